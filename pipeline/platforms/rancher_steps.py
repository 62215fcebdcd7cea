"""What to do next with a service of Rancher's, whatever its state. Pure: the driver looks, does a step, looks again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import Enum

from pipeline.model.rancher import GONE, ServiceRow, ServiceWhole
from pipeline.platforms.rancher_found import Place

Service = ServiceRow | ServiceWhole


class Step(Enum):
    """One request, or waiting for the server to finish what it does."""

    NOTHING = "nothing"
    WAIT = "wait"
    CREATE = "create"
    ACTIVATE = "activate"
    UPDATE = "update"
    UPGRADE = "upgrade"
    FINISH = "finishupgrade"
    ROLLBACK = "rollback"
    CONTINUE = "continueupgrade"
    REMOVE = "remove"


_ENDING = ("registering", "updating-inactive", "deactivating", "finishing-upgrade", "canceling-upgrade", "rolling-back")
_UPGRADING = ("upgrading", "upgraded", "canceled-upgrade")


def step_to_run(service: Service | None, digest: str, *, fits: bool, well: bool) -> Step:
    """Towards a service that runs the definition with this digest, or is being upgraded to it.

    `fits`: its scale and what else is no launch config are as wanted. `well`: what it runs now runs whole, so that an
    upgrade that somebody did not finish may be.
    """
    if service is None or service.state in GONE:
        return Step.CREATE
    state, same = service.state or "", service.digest == digest
    if state in ("removing", *_ENDING):
        return Step.WAIT
    if state in _UPGRADING and not same:
        return Step.FINISH if state == "upgraded" and well else Step.ROLLBACK
    if state == "canceled-upgrade":
        return Step.CONTINUE
    if state in ("upgrading", "upgraded"):
        return Step.NOTHING
    if not fits and state in ("active", "inactive", "activating", "updating-active"):
        return Step.UPDATE
    if not same:
        # Not offered while it restarts.
        return Step.WAIT if state == "restarting" else Step.UPGRADE
    return Step.ACTIVATE if state == "inactive" else Step.NOTHING


def step_to_remove(service: Service | None, given: Collection[Place]) -> Step:
    """Towards a service without the containers that stand in the given places, all of one service.

    Those of the version before an upgrade go when it is finished, those of the new one when it is rolled back; only
    where they are all that the service has, it goes itself. Places alone cannot be emptied: the server fills them.
    """
    if service is None or service.state in GONE:
        return Step.NOTHING
    state, digest = service.state or "", service.digest[:12]
    current = _covers(service, [place for place in given if place.digest == digest])
    older = any(place.digest != digest for place in given)
    if state == "removing":
        return Step.WAIT if current else Step.NOTHING
    under_way = state in (*_UPGRADING, "canceling-upgrade", "finishing-upgrade", "rolling-back")
    if current and (older or not under_way):
        return Step.REMOVE
    if not under_way:
        return Step.NOTHING
    if state in _ENDING:
        return Step.WAIT
    if current:
        return Step.ROLLBACK
    if not older:
        return Step.NOTHING
    return {"upgraded": Step.FINISH, "canceled-upgrade": Step.CONTINUE}.get(state, Step.WAIT)


def _covers(service: Service, places: Iterable[Place]) -> bool:
    """Whether the places are all that a service has of its present version."""
    numbers: dict[str, set[int]] = {}
    for place in places:
        numbers.setdefault(place.launch, set()).add(place.number)
    wanted = set(range(1, (service.scale or 0) + 1))
    return bool(numbers) and wanted <= numbers.get(service.name or "", set())
