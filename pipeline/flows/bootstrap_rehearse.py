"""rehearse: an environment is built from its scripts alone, on this machine, compared, and removed again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from pipeline.flows.bootstrap import Estate, Keep, Sources, Wish, Written, listed, written
from pipeline.model.bootstrap_differences import differences
from pipeline.model.bootstrap_document import snapshot_of
from pipeline.model.bootstrap_images import pinned
from pipeline.model.bootstrap_kit import kit_of
from pipeline.model.clock import Clock
from pipeline.model.rehearsal import Rehearsal, StepRun, staged, verification
from pipeline.model.remap import Remapped
from pipeline.model.secret import Secret
from pipeline.model.secret_fields import named_secrets

_LAST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a script did: its exit code, and what it said on both of its streams."""

    code: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where a rehearsal takes place: its environment's name, the host that publishes its ports, two free ones for its
    gateway, how files get there and scripts run there, and how it ends. `gateway` starts one where the scripts bring
    none (on a Rancher its server, too), `supplied` are variables that open it and the registry to them; `sources`
    reads what was built."""

    environment: str
    host: str
    admin: int
    proxy: int
    keep: Keep
    write: Callable[[Mapping[str, str]], None]
    run: Callable[[str, Mapping[str, Secret | str]], Ran]
    gateway: Callable[[Written], None]
    supplied: Callable[[Written], Mapping[str, Secret | str]]
    sources: Sources
    clearing: AbstractContextManager[object]


def rehearse(
    estate: Estate, sources: Sources, wish: Wish, ground: Ground, libraries: Mapping[str, str], *, clock: Clock
) -> Rehearsal:
    """Builds, asks every route, compares; removes everything again however it ends. Nothing of the original is
    written to."""

    def stage(found: Remapped) -> Remapped:
        inventory, state = staged(
            found.inventory,
            found.state,
            ground.environment,
            admin=ground.admin,
            proxy=ground.proxy,
            host=ground.host,
        )
        return replace(found, inventory=inventory, state=state)

    with ground.clearing:
        folder = written(estate, sources, replace(wish, stage=stage), ground.keep, libraries)
        ground.write(folder.files)
        if folder.contents.inventory.lab is None:
            ground.gateway(folder)
        steps, found = _run(folder, ground, clock)
        differing = _compared(folder, ground, wish) if found else ()
    return Rehearsal(
        environment=estate.sealed.inventory.environment,
        steps=steps,
        found=found,
        differences=differing,
        counts={one.kind: one.exported for one in folder.contents.counts},
    )


def _run(folder: Written, ground: Ground, clock: Clock) -> tuple[tuple[StepRun, ...], dict[str, Any]]:
    """The scripts in their order, up to the first that fails; and what the last one found."""
    places = {"KONG_ADMIN_URL": ground.admin, "KONG_PROXY_URL": ground.proxy}
    variables: dict[str, Secret | str] = {name: f"http://{ground.host}:{port}" for name, port in places.items()}
    # Where the gateway keeps a hash only, any password does: none of its users is here.
    variables |= {one.variable: f"rehearsed-{index}" for index, one in enumerate(named_secrets(folder.contents.state))}
    variables |= folder.values
    variables |= ground.supplied(folder)
    steps: list[StepRun] = []
    scripts = [name for name, _ in kit_of(folder.contents.inventory.driver).steps]
    for script in scripts:
        started = clock.monotonic()
        ran = ground.run(script, variables)
        last = ran.lines[-_LAST:] if ran.code else ()
        steps.append(StepRun(script=script, seconds=clock.monotonic() - started, code=ran.code, last=last))
        if script == scripts[-1]:
            return tuple(steps), verification(ran.lines)
        if ran.code:
            break
    return tuple(steps), {}


def _compared(folder: Written, ground: Ground, wish: Wish) -> tuple[str, ...]:
    """The snapshot of what was built against that of what was to be."""
    wanted = folder.contents
    found = listed(ground.sources, Wish(predecessors=wish.predecessors))
    inventory = pinned(found.sealed.inventory, carried=wish.images)
    if wanted.inventory.lab is None:
        inventory = replace(inventory, lab=None)
    old, new = snapshot_of(wanted.inventory, wanted.state), snapshot_of(inventory, found.state)
    return differences(old, new)
