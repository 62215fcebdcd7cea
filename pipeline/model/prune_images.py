"""Which images go with the stacks: only those that were deployed here, that nobody has and nobody may go back to."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from pipeline.model.history import Version
from pipeline.model.snapshot import Snapshot
from pipeline.model.surroundings import FoundImage


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageVerdict:
    """`goes`: it is removed, once the containers that have it are."""

    image: FoundImage
    goes: bool
    reason: str


def judge_images(
    snapshot: Snapshot, staying: frozenset[Version], *, services: tuple[str, ...], claimed: frozenset[str]
) -> tuple[ImageVerdict, ...]:
    """A verdict on every image of these services that this toolkit built, by name. `staying` are releases whose images
    stay, `claimed` references that other environments' records have."""
    releases: dict[str, set[Version]] = defaultdict(set)
    for record in snapshot.records:
        for reference in record.images.values():
            releases[reference].add(Version(stack=record.stack, version=record.version))
    names = {release.stack for release in staying}
    held = {one.image for stack in snapshot.stacks if stack.name in names for one in stack.containers}
    used = snapshot.surroundings.used | held
    chosen = frozenset(services)
    verdicts = []
    for image in snapshot.surroundings.images:
        if not image.stack or image.service not in chosen:
            continue
        if image.id in used:
            verdicts.append(ImageVerdict(image=image, goes=False, reason="a container uses it"))
            continue
        deployed = {one for reference in (image.id, *image.digests) for one in releases.get(reference, ())}
        reason = _why_it_stays(image, deployed, staying, claimed)
        gone = f"{', '.join(sorted(one.stack for one in deployed)[:3])}: gone, and not kept"
        verdicts.append(ImageVerdict(image=image, goes=not reason, reason=reason or gone))
    return tuple(sorted(verdicts, key=lambda one: (one.image.service, one.image.label, one.image.id)))


def _why_it_stays(
    image: FoundImage, deployed: set[Version], staying: frozenset[Version], claimed: frozenset[str]
) -> str:
    if kept := deployed & staying:
        return f"{min(kept).stack} runs it, or would again"
    if not deployed:
        return "it was not deployed here"
    if any(image.is_named(reference) for reference in claimed):
        return "another environment's records name it"
    return ""
