"""Values that must not be seen, taken out of what others wrote: logs of containers and of build steps."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.model.secret import SHOWN, Secret

_SHORTEST = 4
_SHORTEST_LINE = 8


class Mask:
    """Shows each of its secrets as [secret]: one of several lines also line by line, as logs come. Very short ones are
    shown as they are: masking `1` would garble every number."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._values: tuple[str, ...] = ()
        self.add(secrets)

    def add(self, secrets: Iterable[Secret]) -> None:
        values = {part for secret in secrets for part in _parts(secret.reveal())}
        self._values = tuple(sorted(values | set(self._values), key=lambda value: (-len(value), value)))

    def __call__(self, text: str) -> str:
        for value in self._values:
            text = text.replace(value, SHOWN)
        return text


def _parts(value: str) -> set[str]:
    lines = {line for line in value.splitlines() if len(line) >= _SHORTEST_LINE}
    return lines | ({value} if len(value) >= _SHORTEST else set())
