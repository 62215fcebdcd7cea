"""README.md of a generated folder: what it is, how it is run, what is not in it and how that is brought along."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from pipeline.model.bootstrap_document import Count
from pipeline.model.bootstrap_kit import kit_of
from pipeline.model.bootstrap_variables import Wanted
from pipeline.model.inventory import Carried, FoundVolume, Inventory


def readme_text(
    inventory: Inventory,
    original: Inventory,
    counts: tuple[Count, ...],
    wanted: tuple[Wanted, ...],
    carried: Mapping[str, Carried],
) -> str:
    """`original` is the inventory before a remap: what is copied has its old name here and its new one there."""
    name, old = inventory.environment, original.environment
    kit = kit_of(inventory.driver)
    needed = [one.name for one in wanted if not one.without]
    lines = [
        f"# The environment {name}",
        "",
        f"Written by `invoke bootstrap -e {old}` from what runs; changes by hand are lost. docs/bootstrap.md of the",
        "toolkit has the details.",
        "",
        "| | written down | listed |",
        "|---|---|---|",
        *(f"| {one.kind} | {one.exported} | {one.listed} |" for one in counts),
        "",
        "## Build it",
        "",
        *kit.where,
        "",
        "```",
        "sha256sum -c SHA256SUMS",
        "cp variables.env.example variables.env    # and fill it in",
        "set -a; . ./variables.env; set +a",
        *(f"sh {one.name:<18}# {one.what}" for one in kit.scripts),
        "```",
        "",
        "Each can be run again at any time. " + (_to_supply(needed)),
    ]
    return "\n".join([*lines, *_not_included(inventory, original, counts, carried)]) + "\n"


def _to_supply(needed: list[str]) -> str:
    return f"To supply: {', '.join(needed)}." if needed else "Nothing has to be supplied."


def _not_included(
    inventory: Inventory, original: Inventory, counts: tuple[Count, ...], carried: Mapping[str, Carried]
) -> Iterator[str]:
    left = [f"- {one.kind[:-1]} `{_code(found.name)}`: {found.reason}" for one in counts for found in one.left_out]
    volumes = [pair for pair in zip(original.volumes, inventory.volumes, strict=True) if pair[1].name not in carried]
    folders = sorted(set(zip(_folders(original), _folders(inventory), strict=True)))
    if left or volumes or folders:
        yield from ("", "## Not included")
    if left:
        yield from ("", *left)
    if volumes:
        yield from ("", *kit_of(inventory.driver).volumes, "", "```")
        for old, new in volumes:
            yield f"{_opened(old)} && docker cp copy:/copy/. - >{shlex.quote(new.name)}.tar; docker rm copy"
            yield f"{_opened(new)} && docker cp - copy:/copy <{shlex.quote(new.name)}.tar; docker rm copy"
        yield "```"
    if folders:
        yield from ("", "Folders of the machine itself that containers are given:", "", "```")
        for here, there in folders:
            yield f"tar -C {shlex.quote(here)} -cf - . | ssh NEW tar -C {shlex.quote(there)} -xpf -"
        yield "```"


def _opened(volume: FoundVolume) -> str:
    image = shlex.quote(volume.sample or "IMAGE")
    return f"docker create --name copy --volume {shlex.quote(volume.name)}:/copy:nocopy {image} never-started"


def _folders(inventory: Inventory) -> list[str]:
    return [mount.source for _, one in inventory.services() for mount in one.mounts if mount.source[:1] == "/"]


def _code(text: str) -> str:
    return "".join(char if char.isprintable() and char != "`" else "?" for char in text)
