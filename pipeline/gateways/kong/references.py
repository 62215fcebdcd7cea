"""Whether what a dump holds refers to what it holds. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pipeline.model.kinds import Kind, kind_of, referred
from pipeline.model.route import Entity

Key = tuple[str, str]
"""Kind and id."""


def all_referred(kind: Kind, bodies: Iterable[Mapping[str, object]]) -> Iterator[tuple[str, set[str]]]:
    """What many entities of a kind refer to, together: kind and ids."""
    for name, other in kind.references.items():
        values = [value for body in bodies if (value := body.get(name))]
        yield other, set(map(str, [value.get("id") for value in values if isinstance(value, dict)]))
    for name, other in kind.lists.items():
        values = [value for body in bodies if (value := body.get(name))]
        yield other, {str(one) for ids in values if isinstance(ids, list) for one in ids}


def dangling(entities: Iterable[Entity]) -> frozenset[Key]:
    """Those that refer, themselves or by what they refer to, to what is not there."""
    there = {(one.kind, one.id): referred(kind_of(one.kind), one.body) for one in entities}
    found: set[Key] = set()
    while lost := [key for key, named in there.items() if any((kind, of) not in there for _, kind, of in named)]:
        found |= set(lost)
        for key in lost:
            del there[key]
    return frozenset(found)
