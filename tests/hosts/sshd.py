"""Debian's sshd on a free port of 127.0.0.1, and what its user keeps in ~/.ssh. Commands run on this very machine."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.builders.engine_support import free_port, wait_for_port


@dataclass(frozen=True, slots=True, kw_only=True)
class Sshd:
    """A running server. `line` is its host key as known_hosts has it."""

    folder: Path
    port: int
    log: Path

    @property
    def name(self) -> str:
        return f"{getpass.getuser()}@127.0.0.1:{self.port}"

    @property
    def line(self) -> str:
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def trust(self) -> None:
        """The user has met it before."""
        write_home(known_hosts=f"[127.0.0.1]:{self.port} {self.line}\n")


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)], check=True)
    return path


def write_home(**files: str) -> Path:
    """Files of ~/.ssh; what is there is added to."""
    home = Path.home() / ".ssh"
    home.mkdir(mode=0o700, exist_ok=True)
    for name, text in files.items():
        with (home / name).open("a") as file:
            file.write(text)
        (home / name).chmod(0o600)
    return home


def log_in_with(key: Path) -> None:
    """The user's own key is this one."""
    home = write_home()
    for ending in ("", ".pub"):
        shutil.copy(f"{key}{ending}", home / f"id_ed25519{ending}")


@contextmanager
def running_sshd(folder: Path, *, kind: str = "ed25519", more: str = "") -> Iterator[Sshd]:
    """Takes the key `folder/user_key`."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    if not (folder / "user_key").exists():
        make_key(folder / "user_key")
    if not (folder / "host_key").exists():
        make_key(folder / "host_key", kind)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    port = free_port()
    config = folder / f"sshd-{port}"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized_keys\n"
        "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nLogLevel VERBOSE\n"
        + more
    )
    log = folder / f"log-{port}"
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin") or "sshd"
    with log.open("wb") as sink, subprocess.Popen([sshd, "-D", "-e", "-f", str(config)], stderr=sink) as server:
        try:
            wait_for_port(port)
            yield Sshd(folder=folder, port=port, log=log)
        finally:
            server.terminate()
