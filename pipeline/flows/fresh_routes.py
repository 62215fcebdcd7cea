"""The gateway read again right before each step that cannot be taken back, once for all that wait for it."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

from pipeline.flows.survey import hosts_of
from pipeline.gateways.base import Custody, Gateway
from pipeline.model.route import FoundRoute
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import FoundStack


class FreshRoutes:
    """Answers from a reading that began after the question. Threads that ask at once share one."""

    def __init__(self, snapshot: Snapshot, gateway: Gateway, custody: Custody) -> None:
        self._snapshot = snapshot
        self._gateway = gateway
        self._custody = custody
        self._moments = itertools.count(1)
        self._read_at = 0
        self._one_at_a_time = threading.Lock()
        self.readings = 0

    def reaching(self, stack: FoundStack) -> tuple[FoundRoute, ...]:
        """The routes that lead to the stack now."""
        return self.snapshot().may_reach(stack)

    def snapshot(self) -> Snapshot:
        """The snapshot with the gateway as it is now."""
        asked = next(self._moments)
        with self._one_at_a_time:
            if self._read_at < asked:
                began = next(self._moments)
                routes = self._gateway.routes()
                upstreams = self._custody.upstreams(hosts_of(routes))
                self._snapshot = replace(self._snapshot, routes=routes, upstreams=upstreams)
                self._read_at = began
                self.readings += 1
            return self._snapshot
