"""bootstrap: an environment is listed, and written down as the folder that makes it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from pipeline.errors import Failed, Refused
from pipeline.gateways.base import Gateway
from pipeline.model.bootstrap_choice import Choice, choose, reached
from pipeline.model.bootstrap_document import Count
from pipeline.model.bootstrap_folder import Contents, folder_of
from pipeline.model.bootstrap_images import loose, pinned, registries, resolved
from pipeline.model.bootstrap_secrets import Sealed, sealed
from pipeline.model.inventory import Carried, Inventory, LeftOut
from pipeline.model.kinds import kind_of
from pipeline.model.lead import Lead, leads
from pipeline.model.record import Record
from pipeline.model.remap import NO_REMAP, Remap, Remapped, remapped
from pipeline.model.route import Excluded, GatewayState, stack_of_upstream
from pipeline.model.secret import Secret
from pipeline.model.secret_fields import named_secrets
from pipeline.model.stack import FoundStack
from pipeline.model.whose_gateway import refuse_other_environment
from pipeline.platforms.base import Exporter, Platform

_SHOWN = 5
_TOGETHER = 100
"""Images in one archive, which has the layers that they share once."""
Keep = Callable[[str, Iterator[bytes]], str]
"""Writes an archive at a path of the folder and gives its SHA-256."""
Lost = Callable[[Mapping[str, tuple[str, ...]]], tuple[str, ...]]
"""Of digests by registry, those that it does not have."""

Digests = Callable[[Sequence[str]], Mapping[str, str]]
"""Of references without a digest, those whose registry tells one: reference → `repository@sha256:…`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What an environment is read from, each opened when it is asked for."""

    platform: Callable[[], Platform]
    exporter: Callable[[], Exporter]
    gateway: Callable[[], Gateway]
    records: Callable[[], tuple[Record, ...]]
    lost: Lost
    digests: Digests = lambda _: {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted of a folder: other words, archives of images and data, stacks for the way back. `stage` makes a
    throw-away environment of it."""

    remap: Remap = NO_REMAP
    stage: Callable[[Remapped], Remapped] = lambda found: found
    images: bool = False
    data: bool = False
    predecessors: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A folder and what it was made from. `values` are the secrets as they are here, by variable; `remarks` is what
    whoever runs this should know."""

    files: Mapping[str, str]
    contents: Contents
    values: Mapping[str, Secret]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """An environment as it was listed, secrets by name."""

    stacks: tuple[FoundStack, ...]
    choice: Choice
    sealed: Sealed
    state: GatewayState


def listed(sources: Sources, wish: Wish) -> Estate:
    """Reads everything once. Refused for a stack in the middle of an upgrade, for what could not be written down, and
    for an undeclared credential."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        running = pool.submit(lambda: sources.platform().stacks())
        dumped = pool.submit(lambda: sources.gateway().dump())
        stacks, state = running.result(), _lasting(dumped.result())
    choice = choose(stacks, leads(state), predecessors=wish.predecessors)
    inventory = sources.exporter().inventory(tuple(choice.taken))
    _refuse_incomplete(inventory, choice)
    found = sealed(inventory, sources.records(), wish.remap.credentials)
    return Estate(stacks=stacks, choice=choice, sealed=found, state=state)


def written(estate: Estate, sources: Sources, wish: Wish, keep: Keep, libraries: Mapping[str, str]) -> Written:
    """The folder. Same estate, same bytes. Refused for a gateway that carries another environment's name and for images
    that are nowhere else, Failed for one that its registry has lost."""
    refuse_other_environment(estate.sealed.inventory.environment, estate.state.identity.environments)
    told = sources.digests([one.id for one in loose(estate.sealed.inventory)])
    moved = wish.stage(remapped(resolved(estate.sealed.inventory, told), estate.state, wish.remap))
    inventory = pinned(moved.inventory, carried=wish.images)
    if not wish.images:
        _refuse_lost(inventory, sources.lost)
    carried = dict(_archives(inventory, estate.sealed.inventory, sources.exporter(), wish, keep))
    contents = Contents(
        inventory=inventory,
        original=estate.sealed.inventory,
        owners=estate.sealed.owners,
        state=moved.state,
        calls=sources.exporter().scripts(inventory, carried),
        routes=_routes(estate, moved),
        carried=carried,
        counts=_counts(estate, inventory),
        libraries=libraries,
    )
    return Written(
        files=folder_of(contents),
        contents=contents,
        values=dict(estate.sealed.values) | _of_gateway(estate.state),
        remarks=tuple(_remarks(estate, inventory, moved, wish)),
    )


def _lasting(state: GatewayState) -> GatewayState:
    """Without credentials that run out by themselves: they would be other ones with every second."""
    passing = [one for one in state.entities if any(one.body.get(name) for name in kind_of(one.kind).volatile)]
    if not passing:
        return state
    counts = Counter(one.kind for one in passing)
    excluded = [Excluded(kind=kind, count=count, reason="they expire by themselves") for kind, count in counts.items()]
    ids = {one.id for one in passing}
    kept = tuple(one for one in state.entities if one.id not in ids)
    return replace(state, entities=kept, excluded=tuple(sorted((*state.excluded, *excluded))))


def _refuse_incomplete(inventory: Inventory, choice: Choice) -> None:
    if inventory.upgrading:
        raise Refused(
            f"in the middle of an upgrade, with two definitions at once: {', '.join(inventory.upgrading[:_SHOWN])}",
            hint="Wait until it is deployed, or deploy it again; then run this again.",
        )
    gone = sorted(set(choice.taken) - {stack.name for stack in inventory.stacks})
    if gone:
        raise Failed(f"gone while it was read: {', '.join(gone[:_SHOWN])}", hint="Run this again.")
    if inventory.unknown:
        more = f" and {len(inventory.unknown) - _SHOWN} more" if len(inventory.unknown) > _SHOWN else ""
        raise Refused(
            f"this cannot be written down: {'; '.join(inventory.unknown[:_SHOWN])}{more}",
            hint="It was made by hand: take it back, or deploy the service as a new stack, with what compose files can "
            "say (docs/compose.md).",
        )


def _refuse_lost(inventory: Inventory, lost: Lost) -> None:
    missing = lost(registries(inventory.images))
    if missing:
        raise Failed(
            f"the registry has lost {', '.join(missing[:_SHOWN])}, which runs",
            hint="Push it again from the engine that has it (`docker push`), or carry images: --with-images.",
        )


def _archives(
    inventory: Inventory, source: Inventory, exporter: Exporter, wish: Wish, keep: Keep
) -> Iterator[tuple[str, Carried]]:
    if wish.images:
        ids = [image.id for image in inventory.images]
        for start in range(0, len(ids), _TOGETHER):
            some, path = ids[start : start + _TOGETHER], f"images/{start // _TOGETHER + 1}.tar"
            carried = Carried(path=path, sha256=keep(path, exporter.image_archive(some)))
            yield from ((one, carried) for one in some)
    if wish.data:
        for new, old in zip(inventory.volumes, source.volumes, strict=True):
            if old.sample:
                path = f"data/{new.name}.tar"
                first = keep(path, exporter.volume_archive(old))
                if old.users and keep(path, exporter.volume_archive(old)) != first:
                    raise Refused(
                        f"the volume {old.name} changes while it is read; {', '.join(old.users[:_SHOWN])} writes to it",
                        hint="Stop what writes there (`docker stop`) and run this again, or copy it as README.md says.",
                    )
                yield new.name, Carried(path=path, sha256=first)


def _routes(estate: Estate, moved: Remapped) -> dict[str, tuple[Lead, ...]]:
    """By stack, in the new words. A route by a published port leads to this machine: it is not asked elsewhere."""
    taken = tuple(_without_ports(stack) for stack in estate.stacks if stack.name in estate.choice.taken)
    return reached(taken, leads(moved.state))


def _without_ports(stack: FoundStack) -> FoundStack:
    return replace(stack, containers=tuple(replace(one, ports=()) for one in stack.containers))


def _counts(estate: Estate, inventory: Inventory) -> tuple[Count, ...]:
    state, exported = estate.state, inventory.stacks
    written_down = {
        "containers": sum(service.scale for _, service in inventory.services()),
        "services": len([one for _, one in inventory.services() if not (one.rancher and one.rancher.sidekick_of)]),
        "volumes": len(inventory.volumes),
    }
    entities = sum(one.count for one in state.excluded)
    return (
        Count(kind="stacks", listed=len(estate.stacks), exported=len(exported), left_out=estate.choice.left_out),
        *(
            Count(
                kind=kind,
                listed=count,
                exported=written_down[kind],
                left_out=tuple(one for one in inventory.left_out if one.kind == kind),
            )
            for kind, count in inventory.listed.items()
        ),
        Count(
            kind="entities",
            listed=len(state.entities) + entities,
            exported=len(state.entities),
            left_out=tuple(_excluded(state)),
        ),
    )


def _excluded(state: GatewayState) -> Iterator[LeftOut]:
    for one in state.excluded:
        yield LeftOut(kind="entities", name=one.kind, reason=one.reason, count=one.count)


def _of_gateway(state: GatewayState) -> dict[str, Secret]:
    return {
        one.variable: one.value for one in named_secrets(state) if isinstance(one.value, Secret) and not one.reissues
    }


def _remarks(estate: Estate, inventory: Inventory, moved: Remapped, wish: Wish) -> Iterator[str]:
    yield from (f"{text}: it is written down as it was deployed" for text in estate.choice.ill)
    yield from (f"not included: {one.name}: {one.reason}" for one in inventory.left_out if one.kind == "gateways")
    without = [one.name for one in inventory.volumes if not (wish.data and one.sample)]
    if without:
        yield f"not included: the data of {', '.join(without[:_SHOWN])} (README.md has the commands that copy it)"
    yield from (
        f"not pinned: {one.names[0]}, which is at docker.io or not where its name says: deploy by digest"
        for one in loose(inventory)
    )
    away = list(_elsewhere(inventory, moved))
    if away:
        more = f" and {len(away) - _SHOWN} more" if len(away) > _SHOWN else ""
        yield f"these scripts do not make where these routes lead: {', '.join(away[:_SHOWN])}{more}"
    yield from (f"still names the old place: {text}" for text in moved.old)
    yield from (f"nothing had this entry of the remap file: {text}" for text in moved.unused)


def _elsewhere(inventory: Inventory, moved: Remapped) -> Iterator[str]:
    """Routes to what is called like a stack and is none of those: somebody else's, or one that was taken over."""
    names = {stack.name for stack in inventory.stacks}
    for lead in leads(moved.state):
        for url in lead.urls:
            if (found := stack_of_upstream(url)) and found not in names:
                yield f"{lead.label} ({url})"
