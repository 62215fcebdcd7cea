"""Holding a lease while something is changed: every changing verb of one service and environment goes through here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from pipeline.errors import PipelineError, Refused
from pipeline.ledgers.base import Leases
from pipeline.model.clock import Clock, Deadline
from pipeline.model.record import Lease

LEASE_SECONDS = 60.0
_POLL_SECONDS = 2.0


class Hold:
    """A lease being held: `check()` raises when it was lost, so that no further step is done by two."""

    def __init__(self, leases: Leases, lease: Lease, seconds: float) -> None:
        self._leases = leases
        self._lease = lease
        self._seconds = seconds
        self._lost = False

    @property
    def token(self) -> str:
        """Which lease this is."""
        return self._lease.token

    def renew(self) -> None:
        try:
            self._lost = self._lost or self._leases.renew(self._lease, seconds=self._seconds) is None
        except PipelineError:
            # The platform does not answer just now: the lease still runs, and the next step will say so itself.
            return

    def check(self) -> None:
        if self._lost:
            raise Refused(
                f"the lease {self._lease.name} was taken away while this run held it",
                hint="`invoke lock` tells who has it now; nothing more is done here.",
            )


@contextmanager
def holding(
    leases: Leases,
    name: str,
    *,
    holder: str,
    clock: Clock,
    tell: Callable[[str], None],
    wait: float = 0.0,
    seconds: float = LEASE_SECONDS,
) -> Iterator[Hold]:
    """Holds the lease for the body, renewed in the background, released at the end whatever happens.

    Waits up to `wait` seconds for whoever has it, then raises Refused naming the holder. `leases` is used by one thread
    at a time: by this one before and after, by the background while the body runs, so the body must not use it.
    """
    lease = _take(lambda: leases.take(name, holder=holder, seconds=seconds), leases, name, Deadline(clock, wait), tell)
    hold = Hold(leases, lease, seconds)
    done = threading.Event()

    def beat() -> None:
        while not done.wait(seconds / 3):
            hold.renew()

    thread = threading.Thread(target=beat, name=f"lease {name}", daemon=True)
    try:
        thread.start()
        yield hold
    finally:
        done.set()
        thread.join()
        _release(leases, lease, tell)


@contextmanager
def holding_those(
    leases: Leases,
    names: Mapping[str, str],
    *,
    holder: str,
    tell: Callable[[str], None],
    seconds: float = LEASE_SECONDS,
) -> Iterator[Mapping[str, Hold]]:
    """Holds those of the leases (key → name) that nobody has, for the body; the others are told and left out. They are
    renewed one after the other in the background, so the body must not use `leases`."""
    taken: dict[str, Lease] = {}
    holds: dict[str, Hold] = {}
    done = threading.Event()

    def beat() -> None:
        while not done.wait(seconds / 3):
            for hold in holds.values():
                hold.renew()

    thread = threading.Thread(target=beat, name="leases", daemon=True)
    try:
        for key, name in names.items():
            lease = leases.take(name, holder=holder, seconds=seconds)
            if lease is None:
                found = leases.find(name)
                tell(f"{key}: left alone, it is being changed by {found.holder if found else 'somebody just now'}")
            else:
                taken[key], holds[key] = lease, Hold(leases, lease, seconds)
        thread.start()
        yield holds
    finally:
        done.set()
        if thread.ident is not None:
            thread.join()
        for lease in taken.values():
            _release(leases, lease, tell)


def _take(
    take: Callable[[], Lease | None], leases: Leases, name: str, deadline: Deadline, tell: Callable[[str], None]
) -> Lease:
    told = False
    while (lease := take()) is None:
        found = leases.find(name)
        who = found.holder if found is not None else "somebody who gave it up just now"
        if deadline.passed:
            ends = f" in {round(found.expires - found.now)} s" if found is not None else ""
            since = f", since {round(found.now - found.taken)} s" if found is not None else ""
            raise Refused(
                f"{name} is being changed by {who}{since}",
                hint=f"Wait for it. A run that died loses the lease by itself{ends}; "
                "`invoke lock --break` takes it away.",
            )
        if not told:
            tell(f"waiting for {who}, who is changing {name}")
            told = True
        deadline.pause(_POLL_SECONDS)
    return lease


def _release(leases: Leases, lease: Lease, tell: Callable[[str], None]) -> None:
    """What was done is done: that it could not be given up is said and is no failure of it."""
    try:
        leases.release(lease)
    except PipelineError as error:
        tell(f"the lease {lease.name} could not be given up ({error.what}); it runs out by itself")
