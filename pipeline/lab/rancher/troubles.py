"""What a network and a server may do to a request, on demand: for clients that should survive it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum


class Harm(Enum):
    """What happens instead of, or after, the request."""

    STATUS = "an error answer; nothing was done"
    HTML = "a page of a proxy with status 200; nothing was done"
    LOST_REQUEST = "the connection breaks; nothing was done"
    LOST_ANSWER = "it was done, and the connection breaks before the answer"


@dataclass(slots=True, kw_only=True)
class Trouble:
    """Hits the next `times` requests of which `METHOD /path?query` matches, after leaving out `after` of them."""

    matching: str
    harm: Harm
    status: int = 503
    after: int = 0
    times: int = 1


@dataclass(slots=True)
class Troubles:
    """The troubles that are still to come, and every request that was made."""

    coming: list[Trouble] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def next(self, line: str) -> Trouble | None:
        self.seen.append(line)
        for trouble in self.coming:
            if not re.search(trouble.matching, line):
                continue
            if trouble.after:
                trouble.after -= 1
                continue
            trouble.times -= 1
            if trouble.times <= 0:
                self.coming.remove(trouble)
            return trouble
        return None
