"""By which reference a new environment gets each image: a digest at a registry, or the id of one that is carried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pipeline.errors import Refused
from pipeline.model.bootstrap_kit import kit_of
from pipeline.model.inventory import RANCHER, FoundImage, Inventory, LeftOut

_SHOWN = 5
_ID = "sha256:"


def pinned(inventory: Inventory, *, carried: bool) -> Inventory:
    """The inventory with every image by its digest, or by its id where images are `carried`. Refused, naming services,
    for one that is only on this engine and not carried; the lab gateway is left out for that instead. On a Rancher an
    image whose digest nobody tells keeps its name (`loose`)."""
    references = {one.id: one.id if carried else _digest(one) for one in inventory.images}
    references |= {one.id: one.names[0] for one in loose(inventory)}
    found = _without_lab(inventory) if inventory.lab and not references[inventory.lab.service.image] else inventory
    lost = sorted({service.image for _, service in found.services() if not references[service.image]})
    if lost:
        users = sorted({f"{stack.service}.{one.name}" for stack, one in found.services() if one.image in lost})
        kit = kit_of(inventory.driver)
        raise Refused(
            f"the images of {', '.join(users[:_SHOWN])} are only {kit.images}: {', '.join(one[:19] for one in lost)}",
            hint="Set CI_REGISTRY_IMAGE (or registry in invoke.yaml) and deploy again"
            f"{', or carry them: --with-images' if kit.carries else ''}.",
        )
    images = tuple(one for one in found.images if references[one.id])
    return replace(found, images=images).with_images(references)


def loose(inventory: Inventory) -> tuple[FoundImage, ...]:
    """Images called by a tag, on a platform that does not tell what its hosts pulled."""
    if inventory.driver != RANCHER:
        return ()
    return tuple(one for one in inventory.images if not _digest(one) and not one.id.startswith(_ID))


def resolved(inventory: Inventory, digests: Mapping[str, str]) -> Inventory:
    """The same with the digests (`repository@sha256:…`) that registries tell for names without one."""
    images = tuple(
        replace(one, digests=(digests[one.id],)) if one.id in digests and not one.digests else one
        for one in inventory.images
    )
    return replace(inventory, images=images)


def registries(images: Iterable[FoundImage]) -> Mapping[str, tuple[str, ...]]:
    """Registry host → the digests (`repository@sha256:…`) that have to be there."""
    found: dict[str, set[str]] = {}
    for one in images:
        digest = _digest(one)
        host = digest.split("/")[0]
        if digest and ("." in host or ":" in host or host == "localhost"):
            found.setdefault(host, set()).add(digest.removeprefix(f"{host}/"))
    return {host: tuple(sorted(digests)) for host, digests in sorted(found.items())}


def _digest(image: FoundImage) -> str:
    """The one that containers were made from, else the one of the repository that they name."""
    for name in image.names:
        if "@" in name:
            return name
    repositories = {_repository(name) for name in image.names}
    same = [one for one in image.digests if one.partition("@")[0] in repositories]
    return (same or list(image.digests) or [""])[0]


def _repository(name: str) -> str:
    head, _, last = name.rpartition("/")
    return f"{head}/{last.partition(':')[0]}".lstrip("/")


def _without_lab(inventory: Inventory) -> Inventory:
    assert inventory.lab is not None  # noqa: S101  (its caller looked)
    reason = "the lab gateway's image is in no registry; --with-images carries it"
    left_out = LeftOut(kind="gateways", name=inventory.lab.name, reason=reason)
    return replace(inventory, lab=None, left_out=(*inventory.left_out, left_out))
