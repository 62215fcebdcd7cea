"""The whole gateway: one store, one Admin port and one proxy port, started and stopped together."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from pipeline.lab.gateway.admin import Admin
from pipeline.lab.gateway.dialect import Dialect
from pipeline.lab.gateway.kong_2_8 import KONG_2_8
from pipeline.lab.gateway.node import Node
from pipeline.lab.gateway.port import Port
from pipeline.lab.gateway.proxy import Proxy
from pipeline.lab.gateway.store import Store

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Where a gateway listens (port 0: a free one) and keeps its state."""

    admin: Address
    proxy: Address
    state: Path
    environment: str = ""
    dialect: Dialect = KONG_2_8


class Gateway:
    """One gateway. `start` and `stop` run in an event loop; `admin` and `proxy` are then the real addresses."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._store = Store(setup.dialect.schemas.values(), setup.state, setup.dialect.version)
        node = Node(store=self._store, dialect=setup.dialect, environment=setup.environment)
        self._forwarding = Proxy(setup.dialect.proxy.routing(self._store, setup.dialect.proxy.targets), setup.dialect)
        admin = Admin(self._store, setup.dialect, node)
        strict = setup.dialect.proxy.strict
        self._admin = Port(admin.serve, setup.dialect.admin.nginx.refusal, follows_client=False, strict=strict)
        self._proxy = Port(self._forwarding.serve, self._forwarding.refuse, follows_client=True, strict=strict)

    async def start(self) -> None:
        """Listen on both ports. OSError when an address cannot be had."""
        await self._proxy.listen(*self._setup.proxy)
        await self._admin.listen(*self._setup.admin)
        self._forwarding.port = self._proxy.address[1]

    async def stop(self, seconds: float) -> None:
        """Stop accepting, let requests finish within `seconds`, then let go of everything."""
        await asyncio.gather(self._admin.drain(seconds), self._proxy.drain(seconds))
        self._forwarding.close()
        await asyncio.sleep(0)  # connections that were aborted are let go of in the loop's next round
        self._store.close()

    @property
    def admin(self) -> Address:
        """The Admin API's address."""
        return self._admin.address

    @property
    def proxy(self) -> Address:
        """The proxy's address."""
        return self._proxy.address
