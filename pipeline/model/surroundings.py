"""What lies on a platform beside the environment's own stacks: images, volumes and what others run there."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.model.stack import FoundStack


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundImage:
    """An image on the engine. `names` are its tags, `digests` are `name@sha256:…`; `service` and `stack` as its labels
    say, empty for one that this toolkit did not build. Bytes; shared layers count in each."""

    id: str
    names: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    service: str = ""
    stack: str = ""
    size: int = 0
    created: float = 0.0

    @property
    def label(self) -> str:
        return self.names[0] if self.names else self.id[:19]

    def is_named(self, reference: str) -> bool:
        """Whether a record's reference (an id, or `name@sha256:…`) means this image."""
        return bool(reference) and (reference == self.id or reference in self.digests)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundVolume:
    """A volume; `service` and `environment` as its labels say."""

    name: str
    service: str = ""
    environment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """One listing pass. `now` is the platform's clock, by which everything's age counts; `strangers` are stacks that
    carry no labels of ours, `used` the ids of images that containers beside this environment's stacks have;
    `environments` are those that keep records on this platform."""

    now: float = 0.0
    strangers: tuple[FoundStack, ...] = ()
    images: tuple[FoundImage, ...] = ()
    used: frozenset[str] = frozenset()
    volumes: tuple[FoundVolume, ...] = ()
    environments: tuple[str, ...] = ()
