"""What a Rancher server needs to pull private images: the registry and a login, as the settings have them."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.edge.rancher_answers import RancherAnswered, Unanswered
from pipeline.edge.rancher_client import RancherClient
from pipeline.errors import Failed
from pipeline.model.address import RegistryAddress
from pipeline.model.image import parse_reference
from pipeline.model.rancher import Login, Registry

_TRIES = 3


def ensure_login(client: RancherClient, registry: RegistryAddress, images: Iterable[str]) -> None:
    """Makes the settings' login known to the server where an image comes from their registry. The password cannot be
    read back, so a login of that user is written anew; one of another user is somebody's own arrangement and stays."""
    host = registry.host.removeprefix("https://").removeprefix("http://").rstrip("/")
    if not (host and registry.user) or all(parse_reference(image).registry != host for image in images):
        return
    registry_id = _ensure_registry(client, host)
    rows = client.every("registrycredentials", Login)
    logins = [row for row in rows if row.registry_id == registry_id and not row.going]
    mine = [row for row in logins if row.public_value == registry.user]
    if mine:
        client.update("registrycredentials", mine[0].id, {"secretValue": registry.password}, Login)
    elif not logins:
        body = {"registryId": registry_id, "publicValue": registry.user, "secretValue": registry.password}
        client.create("registrycredentials", body, Login)


def _ensure_registry(client: RancherClient, host: str) -> str:
    for _ in range(_TRIES):
        rows = client.every("registries", Registry)
        found = [row for row in rows if row.server_address == host and not row.going]
        if found:
            return found[0].id
        try:
            return client.create("registries", {"serverAddress": host}, Registry).id
        except Unanswered:
            continue
        except RancherAnswered as error:
            # Somebody has made it in between.
            if error.code != "ServerAddressUsed":
                raise
    raise Failed(
        f"{client.url} neither has nor takes the registry {host}", hint="Look at Infrastructure → Registries there."
    )
