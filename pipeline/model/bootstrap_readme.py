"""README.md of a generated folder: what it is, how it is run, what is not in it and how that is brought along."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from pipeline.model.bootstrap_document import STEPS, Count
from pipeline.model.bootstrap_variables import Wanted
from pipeline.model.inventory import Carried, Inventory

_WHAT = {
    "10-engine.sh": "a Docker engine, where there is none (root, apt-get)",
    "20-network.sh": "the network",
    "30-images.sh": "the images",
    "40-platform.sh": "the volumes",
    "50-stacks.sh": "the stacks, until all are well",
    "60-gateway.sh": "the gateway's entities",
    "70-verify.sh": "what differs, as JSON",
}


def readme_text(
    inventory: Inventory, counts: tuple[Count, ...], wanted: tuple[Wanted, ...], carried: Mapping[str, Carried]
) -> str:
    name = inventory.environment
    needed = [one.name for one in wanted if not one.without]
    lines = [
        f"# The environment {name}",
        "",
        f"Written by `invoke bootstrap -e {name}` from what runs; changes by hand are lost. docs/bootstrap.md of the",
        "toolkit has the details.",
        "",
        "| | written down | listed |",
        "|---|---|---|",
        *(f"| {one.kind} | {one.exported} | {one.listed} |" for one in counts),
        "",
        "## Build it",
        "",
        "On a machine with Debian 12 (or any with a Docker engine, curl and a POSIX shell), in this folder:",
        "",
        "```",
        "sha256sum -c SHA256SUMS",
        "cp variables.env.example variables.env    # and fill it in",
        "set -a; . ./variables.env; set +a",
        *(f"sh {script:<18}# {_WHAT[script]}" for script, _ in STEPS),
        "```",
        "",
        "Each can be run again at any time. " + (_to_supply(needed)),
    ]
    return "\n".join([*lines, *_not_included(inventory, counts, carried)]) + "\n"


def _to_supply(needed: list[str]) -> str:
    return f"To supply: {', '.join(needed)}." if needed else "Nothing has to be supplied."


def _not_included(inventory: Inventory, counts: tuple[Count, ...], carried: Mapping[str, Carried]) -> Iterator[str]:
    left = [f"- {one.kind[:-1]} `{_code(found.name)}`: {found.reason}" for one in counts for found in one.left_out]
    without = [volume for volume in inventory.volumes if volume.name not in carried]
    paths = sorted({mount.source for _, one in inventory.services() for mount in one.mounts if mount.source[:1] == "/"})
    if not (left or without or paths):
        return
    yield from ("", "## Not included", "", *left)
    if without:
        yield from (
            "",
            "The data of these volumes (`--with-data` takes it along). `docker stop` first what writes there;",
        )
        yield from ("then, here and on the new machine, after 40-platform.sh and before 50-stacks.sh:", "", "```")
        for volume in without:
            name, image = shlex.quote(volume.name), shlex.quote(volume.sample or "IMAGE")
            made = f"docker create --name copy --volume {name}:/copy:nocopy {image} never-started"
            yield f"{made} && docker cp copy:/copy/. - >{name}.tar; docker rm copy"
            yield f"{made} && docker cp - copy:/copy <{name}.tar; docker rm copy"
        yield "```"
    if paths:
        yield from ("", "Folders of the machine itself that containers are given:", "", "```")
        for path in paths:
            yield f"tar -C {shlex.quote(path)} -cf - . | ssh NEW tar -C {shlex.quote(path)} -xpf -"
        yield "```"


def _code(text: str) -> str:
    return "".join(char if char.isprintable() and char != "`" else "?" for char in text)
