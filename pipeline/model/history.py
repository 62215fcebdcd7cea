"""History: what the records say was served when, what is on the way back from it, and what was given up as bad."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.model.record import Record

HISTORY_VERSION = 1
SWITCHING = ("register", "rollback", "adopt")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Version:
    """One release in history: in place a stack has one name and many versions."""

    stack: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A release that requests went to, from `since` to `until` (0 while nothing has followed)."""

    release: Version
    since: float
    until: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Of one service. `served` is oldest first, `bad` are those that were rolled back from and not put there again."""

    service: str
    served: tuple[Served, ...] = ()
    bad: frozenset[Version] = frozenset()

    @property
    def last(self) -> Version | None:
        """What the records say is served now."""
        return self.served[-1].release if self.served else None

    def left_at(self, stack: str) -> float | None:
        """When the last route left the stack, by the platform's clock; None for one that never served, and for the last
        that did as far as anyone has recorded."""
        ends = [one.until for one in self.served if one.release.stack == stack]
        return ends[-1] or None if ends else None

    def has_served(self, stack: str) -> bool:
        return any(one.release.stack == stack for one in self.served)

    def back(self, *, serving: Iterable[str] = ()) -> tuple[Version, ...]:
        """The releases to go back to, the previous one first: each once, none that is bad and none that serves."""
        now = set(serving)
        found: dict[Version, None] = {}
        for one in reversed(self.served):
            release = one.release
            in_place = is_in_place(release.stack, release.version)
            current = release == self.last if in_place else release.stack in now
            if release not in self.bad and not current:
                found.setdefault(release)
        return tuple(found)


def is_in_place(stack: str, version: str) -> bool:
    """Whether a stack's name does not tell its version: it is replaced where it stands. An unknown version tells
    nothing."""
    return bool(version) and not stack.endswith(f"-{version}")


def history_of(service: str, records: Iterable[Record]) -> History:
    """What the records of a service say, oldest first."""
    served: list[Served] = []
    bad: set[Version] = set()
    for record in records:
        if record.service != service or not record.stack:
            continue
        # In place nothing changes in the gateway, so nothing is registered: what was deployed is what is served.
        switched = record.verb in SWITCHING and record.route_after
        if not switched and not (record.verb == "deploy" and is_in_place(record.stack, record.version)):
            continue
        release = Version(stack=record.stack, version=record.version)
        if record.verb == "rollback" and record.stack_before:
            bad.add(Version(stack=record.stack_before, version=record.version_before))
        bad.discard(release)
        if served and served[-1].release == release:
            continue
        if served:
            served[-1] = Served(release=served[-1].release, since=served[-1].since, until=record.at)
        served.append(Served(release=release, since=record.at))
    return History(service=service, served=tuple(served), bad=frozenset(bad))


def deployed_as(records: Iterable[Record], release: Version) -> Record | None:
    """The newest record that has the release's definition: what it can be made again from."""
    found = [one for one in records if (one.stack, one.version) == (release.stack, release.version) and one.definition]
    return found[-1] if found else None


def registered_as(records: Iterable[Record], release: Version) -> Record | None:
    """The newest record of the release's route."""
    found = [
        one
        for one in records
        if (one.stack, one.version) == (release.stack, release.version) and one.verb in SWITCHING and one.route
    ]
    return found[-1] if found else None


def history_document(environment: str, records: Iterable[Record], services: tuple[str, ...]) -> dict[str, object]:
    """What `invoke history --json` prints: newest first. Times in seconds since 1970, by the platform's clock."""
    chosen = [one for one in records if not services or one.service in services]
    return {
        "schema_version": HISTORY_VERSION,
        "environment": environment,
        "records": [_entry(one) for one in reversed(chosen)],
    }


def _entry(record: Record) -> dict[str, object]:
    return {
        "at": round(record.at, 3),
        "verb": record.verb,
        "service": record.service,
        "stack": record.stack,
        "stack_before": record.stack_before,
        "branch": record.branch,
        "version": record.version,
        "commit": record.commit,
        "subject": record.subject,
        "author": record.author,
        "actor": record.actor,
        "outcome": record.outcome,
        "images": dict(record.images),
        "route_before": record.route_before,
        "route_after": record.route_after,
        "seconds": record.seconds,
        "pipeline": record.pipeline_url,
    }
