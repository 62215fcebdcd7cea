"""What has to be supplied to a new environment: every variable that its scripts read, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.model.bootstrap_kit import kit_of
from pipeline.model.inventory import FoundRegistry, Inventory
from pipeline.model.route import GatewayState
from pipeline.model.secret_fields import named_secrets


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
    found += _passwords(inventory)
    kit = kit_of(inventory.driver)
    found += [Wanted(name=name, what=what, script=script) for name, what, script in kit.required]
    found += [_optional(*words) for words in kit.optional]
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


def registry_variables(registries: tuple[FoundRegistry, ...]) -> dict[FoundRegistry, str]:
    """Registry → the variable that has the password which a platform logs in with there."""
    found: dict[FoundRegistry, str] = {}
    for one in registries:
        name = f"REGISTRY_PASSWORD_{re.sub('[^A-Z0-9]', '_', one.address.upper())}"
        same = sum(other.startswith(name) for other in found.values())
        found[one] = f"{name}_{same + 1}" if same else name
    return found


def _passwords(inventory: Inventory) -> list[Wanted]:
    return [
        Wanted(
            name=name,
            what=f"the password or token of {_plain(one.user)} at the registry {_plain(one.address)}",
            script="40-platform.sh",
        )
        for one, name in registry_variables(inventory.registries).items()
    ]


def _optional(name: str, what: str, script: str, without: str) -> Wanted:
    return Wanted(name=name, what=what, script=script, without=without)


def _plain(text: str) -> str:
    return re.sub(r"[^ -~]", "?", text)
