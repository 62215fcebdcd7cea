"""Where things are and what opens them: engines, gateways, registries. Parsed once, by settings."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.model.secret import NO_SECRET, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAddress:
    """Where an engine is. An empty `host` is what the docker command would use here (its context, or the socket)."""

    host: str = ""
    tls_verify: bool = False
    cert_path: str = ""

    def __str__(self) -> str:
        return self.host or "the local engine"


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
