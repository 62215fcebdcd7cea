"""A Rancher server as one project of it: the client that drivers work with."""

from __future__ import annotations

from pipeline.edge.rancher_client import RancherClient
from pipeline.errors import BadInput
from pipeline.model.address import RancherAddress
from pipeline.model.clock import Clock
from pipeline.model.rancher import Project


def open_rancher(address: RancherAddress, *, clock: Clock) -> RancherClient:
    """A client whose project is found, by one request. Raises BadInput where the key does not see it, or sees several
    and none is named."""
    client = RancherClient(address, clock=clock)
    try:
        found = [project for project in client.projects(Project) if not project.going]
        client.project = choose_project(found, address).id
    except BaseException:
        client.close()
        raise
    return client


def choose_project(found: list[Project], address: RancherAddress) -> Project:
    """The project whose id or name is wanted; the only one, where none is."""
    wanted = address.project
    named = [one for one in found if wanted in (one.id, one.name)] if wanted else found
    known = ", ".join(sorted(f"{one.name} ({one.id})" for one in found)) or "none"
    if len(named) == 1:
        return named[0]
    if not wanted:
        raise BadInput(
            f"the key for {address} sees {len(found)} projects, and none is named" if found else _NONE.format(address),
            hint=f"Set RANCHER_PROJECT, or platform.project in invoke.yaml: {known}.",
        )
    raise BadInput(
        f"there is no project {wanted!r} at {address} that this key sees"
        if not named
        else f"{len(named)} projects at {address} are called {wanted!r}",
        hint=f"Set RANCHER_PROJECT, or platform.project in invoke.yaml: {known}.",
    )


_NONE = "the key for {} sees no project"
