"""What the last step of a generated folder says: how an environment that was built differs from what it should be."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pipeline.errors import Failed
from pipeline.model.steps import Folder


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The document of NN-verify.sh (docs/bootstrap.md)."""

    schema_version: int
    environment: str
    differences: tuple[str, ...]
    not_compared: tuple[str, ...] = ()
    found: Mapping[str, int] = {}


def read_verification(folder: Folder, text: str, code: int) -> Verification:
    """The step's answer, checked. Raises Failed when it is none, speaks of another environment, or contradicts its own
    exit code: what cannot be read is not taken for equal."""
    hint = "Its own words are above; run it by hand on the machine to see more."
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        read = msgspec.json.decode(lines[-1] if lines else "", type=Verification)
    except msgspec.MsgspecError as error:
        raise Failed(
            f"{folder.scripts[-1].name} ended with {code} and says nothing that can be read", hint=hint
        ) from error
    if read.schema_version != 1 or read.environment != folder.environment:
        raise Failed(
            f"{folder.scripts[-1].name} speaks of {read.environment!r} (schema {read.schema_version}), "
            f"not of {folder.environment!r}",
            hint=hint,
        )
    if (code == 0) != (not read.differences):
        raise Failed(
            f"{folder.scripts[-1].name} ended with {code} and names {len(read.differences)} differences", hint=hint
        )
    return read
