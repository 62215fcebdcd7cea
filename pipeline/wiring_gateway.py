"""What stands in front of an environment: settings → its gateway, and that gateway's proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import BadInput
from pipeline.model.clock import Clock
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.gateways.base import Front
    from pipeline.gateways.kong.any_kong import AnyKong


def open_kong(settings: Settings, clock: Clock) -> AnyKong:
    """The environment's. Raises BadInput where it has none."""
    from pipeline.gateways.kong.any_kong import AnyKong

    if not settings.gateway.admin:
        raise BadInput(
            f"the environment {settings.environment!r} has no gateway",
            hint="Set KONG_ADMIN_URL, or gateway.admin of the environment in invoke.yaml.",
        )
    return AnyKong(settings.gateway, clock=clock, environment=settings.environment, dialect=settings.dialect)


def open_front(settings: Settings, clock: Clock) -> Front | None:
    """None where nobody said at which address requests come in."""
    from pipeline.edge.http import Access, HttpFront

    gateway = settings.gateway
    access = Access(url=gateway.proxy, ca_file=gateway.proxy_ca_cert)
    return HttpFront(access, clock=clock) if gateway.proxy else None
