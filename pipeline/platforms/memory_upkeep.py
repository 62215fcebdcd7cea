"""What is put away on an engine in memory (platforms.base.Upkeep)."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from pipeline.errors import Failed
from pipeline.model.stack import FoundContainer
from pipeline.model.surroundings import FoundImage, FoundVolume, Surroundings
from pipeline.platforms.memory import MemoryEngine, MemoryPlatform


class MemoryUpkeep:
    """Of one environment; each of its writes is announced to `engine.before`, as those of the platform are."""

    def __init__(self, engine: MemoryEngine, environment: str = "local") -> None:
        self._engine = engine
        self._environment = environment
        self._platform = MemoryPlatform(engine, environment)
        self._one_at_a_time = threading.Lock()

    def surroundings(self) -> Surroundings:
        engine = self._engine
        engine.before("list everything")
        containers = engine.containers.values()
        others = (one.service.image for one in containers if one.stack.environment != self._environment)
        return Surroundings(
            now=engine.clock.now(),
            strangers=engine.strangers,
            images=tuple(engine.kept.values()),
            used=frozenset(others),
            volumes=tuple(FoundVolume(name=name, environment=whose) for name, whose in sorted(engine.volumes.items())),
            environments=tuple(sorted({one.stack.environment for one in containers})),
        )

    def stop(self, containers: Sequence[FoundContainer]) -> None:
        with self._one_at_a_time:
            for found in containers:
                container = self._engine.containers.get(found.name)
                if container is not None and container.status == "running":
                    self._engine.before(f"stop {found.name}")
                    container.status = "exited"

    def resume(self, containers: Sequence[FoundContainer]) -> None:
        with self._one_at_a_time:
            for found in containers:
                container = self._engine.containers.get(found.name)
                if container is None:
                    raise Failed(f"the container {found.name} was removed by somebody else", hint="Run the same again.")
                if container.status != "running":
                    self._engine.before(f"start {found.name}")
                    container.status, container.observed = "running", 0

    def remove(self, containers: Sequence[FoundContainer]) -> None:
        with self._one_at_a_time:
            self._platform.remove(containers)
            names = {one.name for one in containers}
            left = (one for one in self._engine.strangers if not names & {part.name for part in one.containers})
            self._engine.strangers = tuple(left)

    def remove_image(self, image: FoundImage) -> bool:
        with self._one_at_a_time:
            if any(one.service.image == image.id for one in self._engine.containers.values()):
                return False
            self._engine.before(f"remove the image {image.id}")
            self._engine.kept.pop(image.id, None)
            return True

    def space(self) -> int:
        return sum(image.size for image in self._engine.kept.values())
