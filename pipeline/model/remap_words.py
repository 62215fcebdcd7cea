"""The words of a remap in any text: old names in their borders, all replaced in one pass."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

_AFTER_NAME = r"(?![A-Za-z0-9_-]|\.[A-Za-z0-9])"
# Kind → pattern around an old name: what may not stand before it, and after it.
_BORDERS = {
    "urls": ("", r"(?![A-Za-z0-9_-])"),
    "domains": (r"(?<![A-Za-z0-9_-])", _AFTER_NAME),
    "addresses": (r"(?<![0-9A-Fa-f.:])", r"(?![0-9A-Fa-f]|\.[0-9])"),
    "upstreams": (r"(?<![A-Za-z0-9_.-])", _AFTER_NAME),
}


class Words:
    """Replaces, and remembers what was there to replace. A name that one entry brings is not looked at by another, so
    that two names can be exchanged."""

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, str]],
        *,
        registry: Mapping[str, str],
        volumes: Mapping[str, str],
    ) -> None:
        self.used: set[tuple[str, str]] = set()
        self._registry = registry
        self._volumes = volumes
        self._tables = tables
        entries = [(kind, old, new) for kind in _BORDERS for old, new in tables[kind].items()]
        # Longer ones first: of two that begin alike, the one that says more.
        self._entries = sorted(entries, key=lambda one: (-len(one[1]), one))
        patterns = (f"({_BORDERS[kind][0]}{re.escape(old)}{_BORDERS[kind][1]})" for kind, old, _ in self._entries)
        self._pattern = re.compile("|".join(patterns) or r"(?!)")
        old_names = {old for _, old, _ in self._entries} | {*registry, *volumes}
        self._old = sorted(old_names, key=lambda one: (-len(one), one))
        self._new = [new for _, _, new in self._entries] + [*registry.values(), *volumes.values()]

    def text(self, text: str) -> str:
        return self._pattern.sub(self._replace, text)

    def image(self, reference: str) -> str:
        host, slash, rest = reference.partition("/")
        if slash and host in self._registry:
            self.used.add(("registry", host))
            return f"{self._registry[host]}/{rest}"
        return reference

    def host(self, registry: str) -> str:
        """A registry's own address, as images are called by it."""
        return self.image(f"{registry}/x").removesuffix("/x")

    def path(self, source: str) -> str:
        for old in sorted(self._volumes, key=len, reverse=True):
            root = old.rstrip("/")
            if source == root or source.startswith(f"{root}/"):
                self.used.add(("volumes", old))
                return self._volumes[old].rstrip("/") + source[len(root) :]
        return source

    def anywhere(self, value: object) -> object:
        """The value with every text in it replaced; keys of objects stay. What is no plain text (a secret) stays."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.anywhere(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.anywhere(one) for one in value)
        return value

    def old_names(self, text: str) -> tuple[str, ...]:
        """The old names that still stand in a text, wherever in it; those that new names contain are none."""
        for new in self._new:
            text = text.replace(new, "\n")
        return tuple(old for old in self._old if old in text)

    def unused(self) -> Iterator[str]:
        listed: Iterable[tuple[str, Mapping[str, str]]] = (
            *self._tables.items(),
            ("registry", self._registry),
            ("volumes", self._volumes),
        )
        for kind, entries in listed:
            for old in entries:
                if (kind, old) not in self.used:
                    yield f"{kind}.{old}"

    def _replace(self, found: re.Match[str]) -> str:
        assert found.lastindex is not None  # noqa: S101  (every alternative is a group)
        kind, old, new = self._entries[found.lastindex - 1]
        self.used.add((kind, old))
        return new
