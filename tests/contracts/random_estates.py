"""Random estates: stacks on an engine and routes in a gateway, with the names and values that hurt shells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from hypothesis import strategies as st

from pipeline.edge.engine import open_engine
from pipeline.edge.folder import GeneratedFolder
from pipeline.edge.library import shell_libraries
from pipeline.flows import bootstrap as flow
from pipeline.model.address import EngineAddress, RegistryAddress
from pipeline.model.bootstrap_document import snapshot_of
from pipeline.model.bootstrap_kit import LIBRARIES
from pipeline.model.image import LABEL
from pipeline.model.interpolate import secret_mark
from pipeline.model.secret import Secret
from pipeline.model.stack import NO_HEALTH, Definition, HealthCheck, Mount, Port, Stack, StackService
from pipeline.platforms.base import Exporter, Platform
from pipeline.platforms.docker import DockerPlatform
from pipeline.platforms.docker_export import DockerExporter
from tests.contracts.whole_gateways import HOSTILE, SHELLS, Draft, Open, gateways

ENVIRONMENT = "stage"
PLAIN = flow.Wish()
ENGINE = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
values = st.one_of(
    st.sampled_from([one for one in HOSTILE if "\x00" not in one]),
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20),
)
names = st.text(alphabet="ABC_'\"$ `;\\-.é", min_size=1, max_size=8).filter(lambda one: not one.startswith(LABEL))
variables = st.from_regex(r"[A-F_][A-F0-9_]{0,5}", fullmatch=True)
SECRETS = {
    "ALPHA": Secret('it\'s "quoted" \\ $(id) `id`\nand more\t'),
    "BETA": Secret("日本 🚀 %s"),
}
secret_texts = st.sampled_from(
    [
        secret_mark("ALPHA"),
        f"postgres://user:{secret_mark('BETA')}@db/x",
        f"{secret_mark('ALPHA')}/{secret_mark('BETA')}",
    ]
)
health = st.one_of(
    st.none(),
    st.just(NO_HEALTH),
    st.builds(
        HealthCheck,
        test=st.tuples(st.just("CMD-SHELL"), values.map(lambda text: f"true # {text}".replace("\n", " "))),
        interval=st.sampled_from([0.5, 2.0, 30.0]),
        retries=st.integers(1, 5),
    ),
)
words = st.lists(values.filter(lambda one: not one.startswith("-")), min_size=1, max_size=3).map(tuple)
SERVICE: dict[str, st.SearchStrategy[Any]] = {
    "image": st.sampled_from(["plain", "full"]),
    "scale": st.integers(1, 2),
    "command": st.none() | words,
    "entrypoint": st.none() | words,
    "environment": st.dictionaries(variables, values | secret_texts, max_size=4),
    "ports": st.lists(st.builds(Port, container=st.integers(1, 99)), max_size=1).map(tuple),
    "mounts": st.sets(st.sampled_from(["/a", "/b c", "/d$e"]), max_size=2).flatmap(
        lambda targets: st.tuples(
            *(
                st.builds(
                    Mount,
                    source=st.sampled_from(["data", "cache", "/srv/it's", ""]),
                    target=st.just(target),
                    read_only=st.booleans(),
                )
                for target in sorted(targets)
            )
        )
    ),
    "labels": st.dictionaries(names, values, max_size=2),
    "restart": st.sampled_from(["", "always", "unless-stopped", "on-failure:5"]),
    "user": st.sampled_from(["", "1000:1000"]),
    "working_dir": st.sampled_from(["", "/work it"]),
    "hostname": st.sampled_from(["", "node"]),
    "stop_signal": st.sampled_from(["", "SIGINT"]),
    "stop_seconds": st.none() | st.just(3.0),
    "privileged": st.booleans(),
    "read_only": st.booleans(),
    "init": st.booleans(),
    "tty": st.booleans(),
    "cap_add": st.sampled_from([(), ("NET_ADMIN",)]),
    "extra_hosts": st.sampled_from([(), ("db:10.0.0.1",)]),
    "sysctls": st.sampled_from([{}, {"net.core.somaxconn": "1024"}]),
    "tmpfs": st.sampled_from([(), ("/run:size=1m",)]),
    "mem_limit": st.sampled_from([0, 64 * 1024 * 1024]),
    "cpu_shares": st.sampled_from([0, 512]),
    "log_driver": st.sampled_from(["", "none"]),
    "health": health,
}


@dataclass(frozen=True)
class Draw:
    """One estate: stacks by service, and the gateway's entities."""

    stacks: tuple[Stack, ...]
    drafts: tuple[Draft, ...]


def services(fields: Mapping[str, st.SearchStrategy[Any]], always: tuple[str, ...]) -> st.SearchStrategy[StackService]:
    chosen = st.fixed_dictionaries(
        {name: fields[name] for name in always},
        optional={name: found for name, found in fields.items() if name not in always},
    )
    return chosen.map(lambda given: StackService(name="app", **_fitting(given)))


def _fitting(given: dict[str, Any]) -> dict[str, Any]:
    """A read-only anonymous volume and an anonymous one by another name are not what compose can say."""
    mounts = tuple(
        msgspec.structs.replace(one, read_only=False) if not one.source else one for one in given.get("mounts", ())
    )
    return given | ({"mounts": mounts} if mounts else {})


@st.composite
def estates(
    draw: st.DrawFn,
    fields: Mapping[str, st.SearchStrategy[Any]] = MappingProxyType(SERVICE),
    always: tuple[str, ...] = ("image",),
) -> Draw:
    stacks = []
    for name in draw(st.sets(st.sampled_from(["cities", "towns", "roads"]), min_size=1, max_size=2)):
        found = draw(st.lists(services(fields, always), min_size=1, max_size=2))
        parts = tuple(msgspec.structs.replace(one, name=f"app{index}") for index, one in enumerate(found))
        stacks.append(make_stack(name, parts))
    return Draw(stacks=tuple(stacks), drafts=tuple(_plain(draw(gateways()))))


def _plain(drafts: list[Draft]) -> list[Draft]:
    """A route to each of the first stacks would be one more; what runs out or is hashed cannot come back the same."""
    kept = [one for one in drafts if one[0] != "basic-auths"]
    return [(kind, key, {name: value for name, value in body.items() if name != "ttl"}) for kind, key, body in kept]


def make_stack(service: str, parts: tuple[StackService, ...], environment: str = ENVIRONMENT) -> Stack:
    stack = f"{service}-master-0a1b2c3d"
    definition = Definition(services=parts)
    facts = {"service": service, "environment": environment, "stack": stack, "branch": "it's", "commit": "1" * 40}
    facts |= {"version": "0a1b2c3d", "subject": 'say "hi" $(id)\n', "sameness": "s", "definition": definition.digest()}
    return Stack(
        name=stack,
        service=service,
        environment=environment,
        branch="it's",
        commit="1" * 40,
        version="0a1b2c3d",
        definition=definition,
        sameness="s",
        labels={f"{LABEL}{name}": text for name, text in facts.items()},
    )


def on_images(stack: Stack, images: Mapping[str, str]) -> Stack:
    """The stack with an engine's images in the place of their words, labelled as a deployed one is."""
    parts = tuple(msgspec.structs.replace(one, image=images[one.image]) for one in stack.definition.services)
    definition = msgspec.structs.replace(stack.definition, services=parts)
    labels = {**stack.labels, f"{LABEL}definition": definition.digest()}
    return replace(stack, definition=definition, labels=labels)


def snapshot_bytes(written: flow.Written) -> bytes:
    contents = written.contents
    return json.dumps(snapshot_of(contents.inventory, contents.state), sort_keys=True).encode()


class Place:
    """What a platform's exporter finds beside a gateway: written down as a folder, and its scripts run."""

    lab: Open
    platform: Platform
    exporter: Exporter
    environ: Mapping[str, str]
    """What a script is given, so that it finds this place and no other."""

    @property
    def sources(self) -> flow.Sources:
        return flow.Sources(
            platform=lambda: self.platform,
            exporter=lambda: self.exporter,
            gateway=lambda: self.lab.gateway,
            records=lambda: (),
            lost=lambda _: (),
        )

    def write(self, folder: Path, wish: flow.Wish = PLAIN) -> flow.Written:
        place = GeneratedFolder(folder)
        estate = flow.listed(self.sources, wish)
        written = flow.written(estate, self.sources, wish, place.keep, shell_libraries(LIBRARIES))
        place.write(written.files)
        return written

    def run(self, folder: Path, script: str, shell: str = "dash", **given: str) -> subprocess.CompletedProcess[str]:
        command = [shutil.which(SHELLS[shell][0]) or shell, *SHELLS[shell][1:], str(folder / script)]
        variables = {"PATH": os.environ["PATH"], "KONG_ADMIN_URL": self.lab.url, "HOME": "/nonexistent"}
        environ = {**variables, **self.environ, **given}
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, cwd="/")


class Site(Place):
    """An engine and a gateway, and what this toolkit finds there."""

    def __init__(self, engine: str, lab: Open, *, environment: str = ENVIRONMENT) -> None:
        self.address = EngineAddress(host=engine)
        self.lab = lab
        self.environment = environment
        self.client = open_engine(self.address)
        self.exporter = DockerExporter(self.client, self.address, environment)
        self.platform = DockerPlatform(self.client, self.address, environment, RegistryAddress())
        # The engine that this site is, never the one that the docker command would choose by itself.
        found = {name: os.environ[name] for name in ENGINE if name in os.environ}
        self.environ = found | ({"DOCKER_HOST": self.address.host} if self.address.host else {})

    def close(self) -> None:
        self.client.close()
