"""What has to be supplied to a new environment: every variable that its scripts read, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.model.inventory import Inventory
from pipeline.model.route import GatewayState
from pipeline.model.secret_fields import named_secrets

PULLING = ("CI_DEPLOY_USER", "CI_DEPLOY_PASSWORD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One variable: what it is, which script reads it, and what holds when it is not supplied (empty: it has to be)."""

    name: str
    what: str
    script: str
    without: str = ""


def wanted_variables(
    inventory: Inventory, owners: Mapping[str, tuple[str, ...]], state: GatewayState
) -> tuple[Wanted, ...]:
    """Those that have to be supplied first, then the others, each sorted."""
    found = [
        Wanted(name=name, what=f"secret of {', '.join(services)}", script="50-stacks.sh")
        for name, services in owners.items()
    ]
    found += [
        Wanted(
            name=one.variable,
            what=f"{'.'.join(map(str, one.path))} of {_plain(one.entity.label)}"
            + (", a new one: the gateway keeps a hash only" if one.reissues else ""),
            script="60-gateway.sh",
        )
        for one in named_secrets(state)
    ]
    lab = inventory.lab
    admin, proxy = (f"it is {lab.admin}", f"it is {lab.proxy}") if lab else ("", "no route is asked")
    found += [
        Wanted(name="KONG_ADMIN_URL", what="the gateway's Admin API", script="60-gateway.sh", without=admin),
        Wanted(name="KONG_PROXY_URL", what="the gateway's proxy", script="70-verify.sh", without=proxy),
    ]
    found += [_optional(*words) for words in _OPTIONAL]
    return tuple(sorted(found, key=lambda one: (bool(one.without), one.name)))


def variables_text(wanted: tuple[Wanted, ...], environment: str) -> str:
    """variables.env.example: a comment above each; `#` in front of those that can be left out."""
    lines = [
        f"# What the scripts of {environment} read. Fill in and keep it out of every repository:",
        "# secrets.",
        "",
    ]
    for one in wanted:
        without = f" Without it {one.without}." if one.without else ""
        lines += [f"# {one.what} ({one.script}).{without}", f"{'#' if one.without else ''}{one.name}=", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


_OPTIONAL = (
    ("DOCKER_HOST", "the engine, unix:… or tcp:…", "every script", "it is this machine's"),
    ("DOCKER_TLS_VERIFY", "1 for an engine behind TLS", "every script", "the engine is spoken to in plain"),
    ("DOCKER_CERT_PATH", "the folder of ca.pem, cert.pem, key.pem", "every script", "it is ~/.docker"),
    ("CI_DEPLOY_USER", "who pulls", "30-images.sh", "the docker command's own logins are used"),
    ("CI_DEPLOY_PASSWORD", "that one's password or token", "30-images.sh", "the docker command's own logins are used"),
    ("KONG_ADMIN_TOKEN", "what the Admin API may want", "60-gateway.sh", "none is sent"),
    ("KONG_CLIENT_CERT", "a PEM file for the Admin API", "60-gateway.sh", "none is shown"),
    ("KONG_CLIENT_KEY", "its key, a PEM file", "60-gateway.sh", "it is in the certificate's file"),
    ("KONG_CA_CERT", "the Admin API's CA, a PEM file", "60-gateway.sh", "those that the machine trusts"),
    ("BOOTSTRAP_WAIT", "seconds until containers have to be well", "50-stacks.sh", "it is 300"),
)


def _optional(name: str, what: str, script: str, without: str) -> Wanted:
    return Wanted(name=name, what=what, script=script, without=without)


def _plain(text: str) -> str:
    return re.sub(r"[^ -~]", "?", text)
