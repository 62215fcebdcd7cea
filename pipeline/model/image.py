"""Images: what is to be built, and what was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

LABEL = "pipeline."


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One image of one release. `context` and `dockerfile` are absolute paths; `args` are the build args that count for
    the fingerprint, `facts` the three that do not (version, branch, stack); `labels` go onto the image."""

    service: str
    compose_service: str
    reference: str
    context: str
    dockerfile: str
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


class BuiltImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image as a platform may run it: by `digest` (`name@sha256:…`) when it was pushed, else by `id` on the engine
    that built it. `built_for` is the stack of the release that it was built for: an older one when nothing changed."""

    compose_service: str
    reference: str
    id: str
    digest: str = ""
    fingerprint: str = ""
    built_for: str = ""

    @property
    def runnable(self) -> str:
        return self.digest or self.id
