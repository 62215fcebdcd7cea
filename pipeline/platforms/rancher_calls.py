"""An inventory as the calls of pipeline/shell that make it on a Rancher server, script by script. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.model.bootstrap_variables import registry_variables
from pipeline.model.interpolate import Marks, secret_mark
from pipeline.model.inventory import BOOTSTRAP_LABEL, Inventory
from pipeline.model.rancher import owner
from pipeline.model.shell_call import call, digest_of, json_pieces
from pipeline.model.stack import Stack
from pipeline.platforms.rancher_payload import primaries, service_payload, stack_payload

Calls = Mapping[str, tuple[str, ...]]
_STACK = "RANCHER_STACK"
"""The variable that has the id of the stack at work: only the server knows it."""


def scripts(inventory: Inventory) -> Calls:
    """The calls by script. A script that makes nothing has none."""
    opened = call("rancher_open", inventory.project)
    services = {stack.name: tuple(_services(stack)) for stack in inventory.stacks}
    return {
        "10-engine.sh": (call("bootstrap_engine", "json-file", "false", "{}"),),
        "40-platform.sh": (call("rancher_make", inventory.project), *_registries(inventory)),
        "45-hosts.sh": (opened, "rancher_host"),
        "50-stacks.sh": (
            *(opened, "rancher_hosts"),
            *(call("bootstrap_stack", name, "services.sh") for name in services),
            "bootstrap_join_stacks",
            *(call("rancher_wait", name) for name in services),
        ),
        "70-verify.sh": (opened, *_verify(inventory, services)),
    } | {
        f"stacks/{stack.name}/services.sh": (
            call(
                "rancher_stack", stack.name, owner(stack.environment, stack.service), *json_pieces(stack_payload(stack))
            ),
            *(call("rancher_service", *words) for words in services[stack.name]),
        )
        for stack in inventory.stacks
    }


def _registries(inventory: Inventory) -> Iterator[str]:
    for registry, variable in registry_variables(inventory.registries).items():
        login = {"registryId": secret_mark("RANCHER_REGISTRY"), "publicValue": registry.user}
        pieces = json_pieces(login | {"secretValue": secret_mark(variable)})
        made = json_pieces({"serverAddress": registry.address})
        yield call("rancher_registry", registry.address, registry.user, *made, *pieces)


def _services(stack: Stack) -> Iterator[tuple[str, ...]]:
    """Name, digest of the call and JSON of each service. The digest is a label of its containers."""
    for service in primaries(stack):
        payload = service_payload(stack, secret_mark(_STACK), service, Marks())
        digest = digest_of(payload)
        payload["launchConfig"]["labels"][BOOTSTRAP_LABEL] = digest
        yield (service.name, digest, *json_pieces(payload))


def _verify(inventory: Inventory, services: Mapping[str, tuple[tuple[str, ...], ...]]) -> Iterator[str]:
    for name, found in services.items():
        yield call("verify_stack", name)
        for service, digest, *_ in found:
            yield call("verify_service", name, service, digest)
    yield call("verify_other_stacks", owner(inventory.environment, ""))
    if inventory.volumes:
        yield call("verify_leaves_out", f"{len(inventory.volumes)} volumes: they lie on the hosts")
