"""~/.ssh/config and /etc/ssh/ssh_config, as OpenSSH reads them; paramiko leaves out `Include`."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import BadInput
from pipeline.model.host_keys import Known, known_keys

if TYPE_CHECKING:
    from paramiko.config import SSHConfig

_FILES = ("~/.ssh/config", "/etc/ssh/ssh_config")
_USER_KNOWN = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
_GLOBAL_KNOWN = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
_DEEPEST = 16
"""OpenSSH's own limit (ssh_config(5))."""
_KEYWORD = re.compile(r"\s*(host|match|include)[\s=]+(.*)", re.IGNORECASE)


def read_ssh_config() -> SSHConfig:
    """Both files with what they include; an included file's settings are taken whatever block the `Include` is in.
    Raises BadInput for one that cannot be understood."""
    from paramiko.config import SSHConfig
    from paramiko.ssh_exception import ConfigParseError

    config = SSHConfig()
    for name in _FILES:
        for part in _parts(Path(name).expanduser(), 0):
            try:
                config.parse(part)
            except ConfigParseError as error:
                raise BadInput(f"{name}: {error}", hint="Check it with `ssh -G HOST`.") from error
    return config


def known_of(settings: Mapping[str, str], host: str, port: int, pins: tuple[str, ...]) -> Known:
    """What known_hosts files and pins say of a host with these settings of ssh_config."""
    name = settings.get("hostkeyalias") or (host if port == 22 else f"[{host}]:{port}")
    given = f"{settings.get('userknownhostsfile', _USER_KNOWN)} {settings.get('globalknownhostsfile', _GLOBAL_KNOWN)}"
    files = {path: text for path in given.split() if (text := _text(Path(path.strip('"')).expanduser())) is not None}
    known = known_keys(files or {given.split()[0]: ""}, name)
    return Known(keys=known.keys, revoked=known.revoked, files=known.files, pins=pins)


def _parts(path: Path, depth: int) -> Iterator[list[str]]:
    """The file's lines, cut where another one is included; what follows goes on in the block that it stood in."""
    text = _text(path)
    if text is None or depth > _DEEPEST:
        return
    part: list[str] = []
    block = ""
    for line in text.splitlines():
        match = _KEYWORD.fullmatch(line)
        if match is None or match[1].lower() != "include":
            block = line if match else block
            part.append(line)
            continue
        yield part
        for pattern in match[2].replace('"', "").split():
            base = path.parent if path.is_relative_to("/etc/ssh") else Path("~/.ssh").expanduser()
            for found in sorted(glob.glob(os.path.join(base, os.path.expanduser(pattern)))):
                yield from _parts(Path(found), depth + 1)
        part = [block] if block else []
    yield part


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None
