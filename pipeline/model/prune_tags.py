"""Which tags of a registry go with the stacks: those of releases that were deployed here and are gone for good."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.model.history import Version
from pipeline.model.image import parse_reference
from pipeline.model.prune import PrunePlan
from pipeline.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class OldTags:
    """Tags of one repository, with the digest that each had when it was deployed."""

    repository: str
    tags: dict[str, str]


def still_there(old: OldTags, tags: Iterable[str]) -> OldTags:
    """Those of them that the registry has."""
    there = frozenset(tags)
    left = {tag: digest for tag, digest in old.tags.items() if tag in there}
    return OldTags(repository=old.repository, tags=left)


def old_tags(snapshot: Snapshot, plan: PrunePlan, claimed: frozenset[str]) -> tuple[OldTags, ...]:
    """By repository. A digest that a release which stays was deployed with, or another environment's records name,
    keeps its tags."""
    chosen = frozenset(plan.services)
    records = [one for one in snapshot.records if one.images and one.service in chosen]
    kept = {
        reference
        for one in records
        if Version(stack=one.stack, version=one.version) in plan.staying
        for reference in one.images.values()
    }
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for record in records:
        tag = record.stack.removeprefix(f"{record.service}-")
        for reference in record.images.values():
            parts = parse_reference(reference)
            last = parts.path.rpartition("/")[2]
            own = last == record.service or last.startswith(f"{record.service}-")
            if parts.digest and parts.registry and own and reference not in kept | claimed:
                found[parts.repository][tag] = parts.digest
    return tuple(OldTags(repository=name, tags=tags) for name, tags in sorted(found.items()))
