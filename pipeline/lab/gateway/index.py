"""Lists of rules by what they look at, each list in the order in which the rules are tried."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar


class Ordered(Protocol):
    """What has a place in the order of routes."""

    @property
    def order(self) -> Any:
        """Smaller comes first; no two are equal."""


Item = TypeVar("Item", bound=Ordered)


class Index(Generic[Item]):
    """Lists by a key, each list in order."""

    def __init__(self) -> None:
        self.lists: dict[object, list[Item]] = {}

    def add(self, key: object, item: Item) -> None:
        """Put an item into its key's list."""
        insort(self.lists.setdefault(key, []), item, key=order_of)

    def remove(self, key: object, item: Item) -> None:
        """Take an item out of its key's list."""
        items = self.lists[key]
        del items[bisect_left(items, item.order, key=order_of)]
        if not items:
            del self.lists[key]

    def get(self, key: object) -> list[Item]:
        """The list of a key, empty when there is none."""
        return self.lists.get(key, [])


def order_of(item: Ordered) -> Any:
    """The key for sorting."""
    return item.order


def in_both(strongest: list[Item], possible: list[Item]) -> Iterable[Item]:
    """The strongest that are possible at all, without going through a long list of those that are not."""
    if len(strongest) <= len(possible):
        return strongest
    return (item for item in possible if _holds(strongest, item))


def _holds(items: list[Item], item: Item) -> bool:
    at = bisect_left(items, item.order, key=order_of)
    return at < len(items) and items[at] is item
