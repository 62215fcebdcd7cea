"""A generated folder on disk: written file by file, what an earlier version had and this one has not is removed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pipeline.edge.files import write_file
from pipeline.errors import BadInput

_SUMS = "SHA256SUMS"


class GeneratedFolder:
    """One folder. Nothing in it that it did not generate itself is touched."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str) -> bytes | None:
        """The content of a file in it; None when there is none."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadInput(f"{self.path / name}: {error.strerror}", hint="Look at the folder's owner.") from error

    def sums(self) -> dict[str, str]:
        """Path → SHA-256 as SHA256SUMS has it; paths that lead out of the folder are left out."""
        text = (self.file(_SUMS) or b"").decode(errors="replace")
        pairs = (line.split("  ", 1) for line in text.splitlines() if "  " in line)
        return {name: digest for digest, name in pairs if not name.startswith("/") and ".." not in name.split("/")}

    def keep(self, name: str, chunks: Iterator[bytes]) -> str:
        """Writes an archive as it comes, whole or not at all, and gives its SHA-256."""
        place = self.path / name
        digest = hashlib.sha256()
        temporary = place.with_name(f".{place.name}.part")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                for chunk in chunks:
                    digest.update(chunk)
                    file.write(chunk)
            os.replace(temporary, place)
        except OSError as error:
            raise BadInput(f"{place} cannot be written: {error.strerror}", hint="Is there room on the disk?") from error
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        return digest.hexdigest()

    def write(self, files: Mapping[str, str]) -> None:
        """All files; SHA256SUMS last, so that a run that was broken off is seen. A file that is as wanted stays."""
        old = self.sums()
        for name, text in sorted(files.items(), key=lambda one: (one[0] == _SUMS, one[0])):
            content = text.encode()
            if self.file(name) != content:
                write_file(self.path / name, content, mode=0o755 if text.startswith("#!") else 0o644)
        new = {**self.sums(), _SUMS: ""}
        for name in sorted(old.keys() - new.keys(), reverse=True):
            self._remove(name)

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            (self.path / name).unlink()
        for parent in list(Path(name).parents)[:-1]:
            with suppress(OSError):
                (self.path / parent).rmdir()


def digest_only(_: str, chunks: Iterator[bytes]) -> str:
    """The SHA-256 of an archive that is not kept."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
