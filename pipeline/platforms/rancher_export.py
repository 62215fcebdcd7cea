"""An environment on a Rancher server as an inventory: its services in one listing, each as it is to be made again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from pipeline.edge.rancher_client import RancherClient
from pipeline.errors import BadInput
from pipeline.model.image import parse_reference
from pipeline.model.inventory import (
    RANCHER,
    Carried,
    FoundRegistry,
    FoundVolume,
    HostConfiguration,
    Inventory,
    LeftOut,
)
from pipeline.model.rancher import STRANGERS, Login, Project, Registry, StackRow, owner_prefix, service_of
from pipeline.model.stack import Stack
from pipeline.platforms.names import dashed
from pipeline.platforms.rancher_calls import scripts
from pipeline.platforms.rancher_inventory import (
    ServiceExport,
    declared,
    found_images,
    found_stack,
    found_volumes,
    unknown,
    upgrading,
)


class RancherExporter:
    """The environment of one project. `externalId` says what is its own; what has none of this toolkit's is counted."""

    def __init__(self, client: RancherClient, environment: str) -> None:
        self._client = client
        self._environment = environment

    def inventory(self, stacks: Collection[str]) -> Inventory:
        names, services = self._services()
        taken = {name: found for name, found in services.items() if name in stacks}
        found = tuple(found_stack(name, taken[name]) for name in sorted(taken))
        volumes = found_volumes(found)
        every = [(name, one) for name, some in services.items() for one in some]
        foreign = tuple(self._foreign())
        return Inventory(
            environment=self._environment,
            host=HostConfiguration(),
            network=None,
            driver=RANCHER,
            project=self._project(),
            registries=self._registries(found),
            volumes=volumes,
            images=found_images(found),
            stacks=found,
            declared={key: told for name, some in taken.items() for key, told in declared(name, some)},
            listed={"services": len(every) + len(foreign), "volumes": len(volumes)},
            left_out=tuple(sorted((*foreign, *_left_out(every, stacks)))),
            upgrading=tuple(sorted({name for name, some in taken.items() if any(map(upgrading, some))})),
            unknown=tuple(text for name in sorted(taken) for text in self._unknown(name, taken[name], names[name])),
        )

    def scripts(self, inventory: Inventory, carried: Mapping[str, Carried]) -> Mapping[str, tuple[str, ...]]:  # noqa: ARG002 - nothing is carried
        return scripts(inventory)

    def image_archive(self, images: Sequence[str]) -> Iterator[bytes]:  # noqa: ARG002 - none can be had
        _refuse("images", "--with-images")

    def volume_archive(self, volume: FoundVolume) -> Iterator[bytes]:  # noqa: ARG002 - none can be had
        _refuse("volumes", "--with-data")

    def _services(self) -> tuple[dict[str, StackRow], dict[str, list[ServiceExport]]]:
        """Stacks by name, and their services; those that go are not there."""
        mine = {"externalId_prefix": owner_prefix(self._environment)}
        rows = [row for row in self._client.every("stacks", StackRow, **mine) if not row.going]
        stacks = {row.id: row for row in rows if service_of(row.external_id, self._environment)}
        found: dict[str, list[ServiceExport]] = {row.name or "": [] for row in stacks.values()}
        for page in self._client.pages("services", ServiceExport, mine):
            for service in page:
                stack = stacks.get(service.stack_id or "")
                if stack is not None and not service.going:
                    found[stack.name or ""].append(service)
        return {row.name or "": row for row in stacks.values()}, {name: some for name, some in found.items() if some}

    def _unknown(self, name: str, services: list[ServiceExport], row: StackRow) -> Iterator[str]:
        prefix = f"{service_of(row.external_id, self._environment)}-{dashed(self._environment)}-"
        for one in services:
            yield from unknown(name, one, prefix)

    def _foreign(self) -> Iterator[LeftOut]:
        for filters in STRANGERS:
            for page in self._client.pages("services", ServiceExport, filters | {"system": "false"}):
                for one in page:
                    if not one.going:
                        kind = "" if one.kind == "service" else f" ({one.kind})"
                        name = f"{one.name or one.id}{kind}"
                        yield LeftOut(kind="services", name=name, reason="this toolkit did not make it")

    def _registries(self, stacks: tuple[Stack, ...]) -> tuple[FoundRegistry, ...]:
        """Those with a login that an image comes from."""
        used = {parse_reference(one.image).registry for stack in stacks for one in stack.definition.services}
        rows = self._client.every("registries", Registry)
        addresses = {row.id: row.server_address or "" for row in rows if not row.going}
        if not used & set(addresses.values()):
            return ()
        logins = self._client.every("registrycredentials", Login)
        found = {
            FoundRegistry(address=addresses[one.registry_id or ""], user=one.public_value or "")
            for one in logins
            if not one.going and addresses.get(one.registry_id or "") in used
        }
        return tuple(sorted(found))

    def _project(self) -> str:
        rows: list[Any] = self._client.projects(Project)
        return next((row.name or row.id for row in rows if row.id == self._client.project), self._client.project)


def _left_out(services: list[tuple[str, ServiceExport]], stacks: Collection[str]) -> Iterator[LeftOut]:
    for stack, one in services:
        if stack not in stacks:
            yield LeftOut(kind="services", name=f"{stack}.{one.name}", reason="its stack is left out")


def _refuse(what: str, flag: str) -> NoReturn:
    raise BadInput(
        f"{flag}: {what} lie on the hosts, which only Rancher reaches",
        hint="Leave it out: images come from their registry, and README.md has the commands that copy data.",
    )
