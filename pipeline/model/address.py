"""Where things are and what opens them: engines, gateways, registries. Parsed once, by settings."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.model.secret import NO_SECRET, Secret

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAddress:
    """Where an engine is. An empty `host` is what the docker command would use here (its context, or the socket)."""

    host: str = ""
    tls_verify: bool = False
    cert_path: str = ""

    def __str__(self) -> str:
        return self.host or "the local engine"


def published_at(engine: EngineAddress) -> str:
    """The host at which ports that an engine publishes are reached: its own, this machine for a socket."""
    return urlsplit(engine.host).hostname or LOOPBACK


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayAddress:
    """Where a gateway's Admin API and its proxy are. An empty `proxy`: no check through the gateway can be made.

    `ca_cert` is the one CA that the Admin API's certificate may come from, `proxy_ca_cert` the proxy's; empty for those
    that the machine trusts.
    """

    admin: str
    proxy: str = ""
    token: Secret = NO_SECRET
    client_cert: str = ""
    client_key: str = ""
    ca_cert: str = ""
    proxy_ca_cert: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAddress:
    """Where images are pushed: `host` to log in at, `prefix` in front of every image's name; both empty for none."""

    host: str = ""
    prefix: str = ""
    user: str = ""
    password: Secret = NO_SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class RancherAddress:
    """Where a Rancher 1.6 server's API is, up to what stands before `/v2-beta`, and which of its projects (id or name)
    is meant; empty for the only one that the key may see. `ca_cert` is the one CA that its certificate may come from.
    """

    url: str
    project: str = ""
    access_key: str = ""
    secret_key: Secret = NO_SECRET
    ca_cert: str = ""

    def __str__(self) -> str:
        return self.url
