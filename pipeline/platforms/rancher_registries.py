"""What a Rancher server needs to pull private images: the registry and a login, as the settings have them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pipeline.edge.rancher_answers import RancherAnswered, Unanswered
from pipeline.edge.rancher_client import RancherClient
from pipeline.errors import Failed
from pipeline.model.address import RegistryAddress
from pipeline.model.image import parse_reference
from pipeline.model.rancher import GOING

_TRIES = 3


class _Registry(msgspec.Struct, rename="camel"):
    id: str
    state: str | None = None
    server_address: str | None = None


class _Login(msgspec.Struct, rename="camel"):
    id: str
    state: str | None = None
    registry_id: str | None = None
    public_value: str | None = None


def ensure_login(client: RancherClient, registry: RegistryAddress, images: Iterable[str]) -> None:
    """Makes the settings' login known to the server where an image comes from their registry. The password cannot be
    read back, so a login of that user is written anew; one of another user is somebody's own arrangement and stays."""
    host = registry.host.removeprefix("https://").removeprefix("http://").rstrip("/")
    if not (host and registry.user) or all(parse_reference(image).registry != host for image in images):
        return
    registry_id = _ensure_registry(client, host)
    rows = client.every("registrycredentials", _Login)
    logins = [row for row in rows if row.registry_id == registry_id and row.state not in GOING]
    mine = [row for row in logins if row.public_value == registry.user]
    if mine:
        client.update("registrycredentials", mine[0].id, {"secretValue": registry.password}, _Login)
    elif not logins:
        body = {"registryId": registry_id, "publicValue": registry.user, "secretValue": registry.password}
        client.create("registrycredentials", body, _Login)


def _ensure_registry(client: RancherClient, host: str) -> str:
    for _ in range(_TRIES):
        rows = client.every("registries", _Registry)
        found = [row for row in rows if row.server_address == host and row.state not in GOING]
        if found:
            return found[0].id
        try:
            return client.create("registries", {"serverAddress": host}, _Registry).id
        except Unanswered:
            continue
        except RancherAnswered as error:
            # Somebody has made it in between.
            if error.code != "ServerAddressUsed":
                raise
    raise Failed(
        f"{client.url} neither has nor takes the registry {host}", hint="Look at Infrastructure → Registries there."
    )
