"""What a name means in an environment: the answers of rancher-dns, from the lab's rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.lab.rancher.health import is_well
from pipeline.lab.rancher.rows import Row, Store

DOMAIN = "rancher.internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """Addresses, or another name that it stands for."""

    addresses: tuple[str, ...] = ()
    canonical: str = ""


class Names:
    """Names are asked for by a container's address: its own stack and its links come first."""

    def __init__(self, store: Store, project: int) -> None:
        self._store = store
        self._project = project

    def meaning(self, name: str, asker: str) -> Meaning | None:
        """None for a name that nothing here has."""
        plain = name.lower().rstrip(".").removesuffix(f".{DOMAIN}")
        found = self._service_at(asker)
        if found is not None:
            linked = self._linked(found, plain)
            if linked is not None:
                return self._of_service(linked)
        for candidate in self._candidates(plain, found):
            meaning = self._named(candidate)
            if meaning is not None:
                return meaning
        return None

    def _candidates(self, name: str, asker: Row | None) -> Iterator[str]:
        stack = self._store.get("stack", asker.data["stackId"]) if asker is not None else None
        if asker is not None and stack is not None and "." not in name:
            yield f"{name}.{stack.name}".lower()
            yield f"{name}.{asker.name}.{stack.name}".lower()
        yield name

    def _named(self, name: str) -> Meaning | None:
        words = name.split(".")
        if len(words) == 1:
            return self._container(name)
        *sidekick, service, stack = words
        if len(sidekick) > 1:
            return None
        for above in self._store.rows("stack"):
            if above.project == self._project and above.name.lower() == stack:
                for one in self._store.children("service", above.number):
                    if one.name.lower() == service:
                        return self._of_service(one, sidekick[0] if sidekick else "")
        return None

    def _container(self, name: str) -> Meaning | None:
        for row in self._store.rows("instance"):
            if row.project == self._project and row.name.lower() == name and row.state == "running":
                return Meaning(addresses=(str(row.data["primaryIpAddress"]),))
        return None

    def _of_service(self, service: Row, sidekick: str = "") -> Meaning | None:
        if service.kind == "externalService":
            addresses = tuple(service.data.get("externalIpAddresses") or ())
            return Meaning(addresses=addresses, canonical=str(service.data.get("hostname") or ""))
        if service.kind == "dnsService":
            behind = [
                self._store.get("service", number) for number in (service.data.get("linkedServices") or {}).values()
            ]
            meanings = [self._of_service(one) for one in behind if one is not None]
            return Meaning(addresses=tuple(one for meaning in meanings if meaning for one in meaning.addresses))
        rows = [
            row
            for row in self._store.children("instance", service.number)
            if row.data.get("_config", "").lower() == sidekick and row.state in ("running", "starting")
        ]
        if sidekick and not any(
            str(one["name"]).lower() == sidekick for one in service.data.get("secondaryLaunchConfigs") or ()
        ):
            return None
        well = [row for row in rows if is_well(row)]
        # With none that is healthy, one of the others is better than none.
        return Meaning(
            addresses=tuple(
                str(row.data["primaryIpAddress"]) for row in well or rows[:1] if row.data.get("primaryIpAddress")
            )
        )

    def _service_at(self, address: str) -> Row | None:
        for row in self._store.rows("instance"):
            if row.data.get("primaryIpAddress") == address and row.state in ("running", "starting", "stopping"):
                return self._store.get("service", row.data.get("serviceId"))
        return None

    def _linked(self, service: Row, name: str) -> Row | None:
        for alias, number in (service.data.get("linkedServices") or {}).items():
            if alias.lower() == name:
                return self._store.get("service", number)
        return None
