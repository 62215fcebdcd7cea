"""carl: the first pipeline's command, so that an old .gitlab-ci.yml goes on working. By address, of no environment."""

from __future__ import annotations

from importlib import metadata
from urllib.parse import urlsplit

from pipeline.edge.library import shell_library
from pipeline.errors import BadInput
from pipeline.flows.dump import dump
from pipeline.flows.publish import publish, words
from pipeline.gateways.base import GatewayByUri
from pipeline.model.address import GatewayAddress
from pipeline.model.restore_script import ScriptHeader, restore_script
from pipeline.model.secret import Secret
from pipeline.model.uri_route import make_uri_route
from pipeline.wiring import open_gateway, open_session


def update_api(address: GatewayAddress, *, uri: str, upstream_url: str, host: str, strip_uri: bool | None) -> int:
    """Says on stdout what was done."""
    wanted = make_uri_route(uri, upstream_url, hosts=host, strip_uri=strip_uri)
    changes = publish(wanted, _open(address))
    open_session().console.result(words(wanted, changes))
    return 0


def dump_apis(address: GatewayAddress) -> int:
    """Prints a script that restores the whole gateway."""
    header = ScriptHeader(
        subject="the whole gateway",
        file="createKongApi.sh",
        tool_version=metadata.version("invoke-pipeline"),
        environment="",
        commit="",
    )
    text = restore_script(dump(_open(address)), header, library=shell_library())
    open_session().console.result(text.rstrip("\n"))
    return 0


def make_address(server: str, *, client_ssl: bool, cert: str, key: str) -> GatewayAddress:
    """Where the Admin API is. KONG_ADMIN_TOKEN and KONG_CA_CERT count as everywhere. Raises BadInput."""
    parts = urlsplit(server) if server.isascii() and server.isprintable() else urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in server:
        raise BadInput(
            f"--server {server!r} is not a URL", hint="It should look like https://kong.example.com:8444; is it set?"
        )
    if client_ssl and not (cert and key):
        raise BadInput("--client_ssl true wants --cert and --key", hint="Name two PEM files; are the variables set?")
    variables = open_session().variables
    return GatewayAddress(
        admin=server,
        token=Secret(variables.get("KONG_ADMIN_TOKEN", "")),
        client_cert=cert if client_ssl else "",
        client_key=key if client_ssl else "",
        ca_cert=variables.get("KONG_CA_CERT", ""),
    )


def _open(address: GatewayAddress) -> GatewayByUri:
    session = open_session()
    session.console.mask((address.token,))
    return open_gateway(address, session.clock)
