"""Drift: a folder as it is against what would be written now, in words."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping

from pipeline.model.bootstrap_differences import changes, differences
from pipeline.model.bootstrap_document import read_environment
from pipeline.model.bootstrap_folder import SUMS

DOCUMENT = "environment.json"


def drift(
    files: Mapping[str, str], there: Callable[[str], bytes | None], sums: Mapping[str, str], *, where: str
) -> tuple[str, ...]:
    """Every difference: what runs otherwise than is written down, by stack and route; and files that are not as they
    were written. `sums` are those of the folder's own SHA256SUMS. None for a folder that is as it would be written."""
    old_text = there(DOCUMENT)
    if old_text is None:
        return ("nothing is written down yet",)
    old = read_environment(old_text, file=f"{where}/{DOCUMENT}")
    new = read_environment(files[DOCUMENT].encode(), file=DOCUMENT)
    found = list(differences(old["snapshot"], new["snapshot"]))
    for key in ("counts", "carried", "variables", "steps"):
        found += [f"{key}: {text}" for text in changes(old.get(key), new.get(key))]
    return (*found, *_files(files, there, sums, explained=bool(found)))


def sums_of(files: Mapping[str, bytes]) -> dict[str, str]:
    """Path → SHA-256, as the SHA256SUMS among these files has it."""
    lines = files.get(SUMS, b"").decode(errors="replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _files(
    files: Mapping[str, str], there: Callable[[str], bytes | None], sums: Mapping[str, str], *, explained: bool
) -> Iterator[str]:
    for name, text in sorted(files.items()):
        content = there(name)
        if content == text.encode():
            continue
        if content is None:
            if name in sums or not explained:
                yield f"{name} is missing"
        elif name != SUMS and sums.get(name) != hashlib.sha256(content).hexdigest():
            yield f"{name} was changed by hand"
        elif not explained:
            yield f"{name} would be written otherwise by this version of the toolkit"
