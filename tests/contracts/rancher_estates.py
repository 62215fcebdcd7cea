"""Random estates on a lab Rancher: every field that a service there can have, with the names that hurt shells."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import msgspec
from hypothesis import strategies as st

from pipeline.edge.clock import SystemClock
from pipeline.edge.rancher_project import open_rancher
from pipeline.lab.rancher.running import ENVIRONMENT_KEY, Lab
from pipeline.lab.rancher.scheduler import Timings
from pipeline.model.address import RancherAddress, RegistryAddress
from pipeline.model.rancher import ServiceWhole, StackRow
from pipeline.model.secret import Secret
from pipeline.model.stack import Mount, Port, RancherHealth, RancherPart, StackService
from pipeline.platforms.rancher import RancherPlatform
from pipeline.platforms.rancher_export import RancherExporter
from tests.contracts.platform_scenes import wait_for
from tests.contracts.random_estates import (
    ENVIRONMENT,
    SECRETS,
    Draw,
    Place,
    make_stack,
    names,
    secret_texts,
    values,
    variables,
)
from tests.contracts.whole_gateways import Open, gateways

SOON = Timings(step=0.01, tick=0.01, start=0.01, health=0.01, stop=0.01, retry=0.05, retry_limit=0.2)
PULLING = RegistryAddress(host="registry.example:5000", user="it's me", password=Secret('p"a$$ \\word'))
DIGEST = "sha256:" + "1" * 64

_words = st.lists(values, min_size=1, max_size=3).map(tuple)
_health = st.none() | st.builds(
    RancherHealth,
    port=st.integers(1, 65535),
    request_line=st.sampled_from(["", 'GET "/health" "HTTP/1.0"']),
    interval=st.sampled_from([500, 2000]),
    strategy=st.sampled_from(["none", "recreate"]),
)
_parts = st.builds(
    RancherPart,
    health=_health,
    metadata=st.dictionaries(values, values | st.lists(values, max_size=2) | st.integers(0, 9), max_size=2),
    drain_timeout_ms=st.sampled_from([0, 5000]),
    milli_cpu_reservation=st.sampled_from([0, 100]),
)
_mounts = st.sets(st.sampled_from(["/a", "/b c", "/d$e"]), max_size=2).flatmap(
    lambda targets: st.tuples(
        *(
            st.builds(
                Mount,
                source=st.sampled_from(["data", "cache", "/srv/it's"]),
                target=st.just(target),
                read_only=st.booleans(),
            )
            | st.just(Mount(target=target))
            for target in sorted(targets)
        )
    )
)
FIELDS: MappingProxyType[str, st.SearchStrategy[Any]] = MappingProxyType(
    {
        "image": st.sampled_from([f"registry.example:5000/{one}@{DIGEST}" for one in ("plain", "full")]),
        "scale": st.integers(1, 2),
        "rancher": _parts,
        "command": _words,
        "entrypoint": _words,
        "environment": st.dictionaries(variables, values | secret_texts, max_size=4),
        "ports": st.lists(
            st.builds(Port, container=st.integers(1, 99), protocol=st.sampled_from(["tcp", "udp"])), max_size=1
        ).map(tuple),
        "mounts": _mounts,
        "labels": st.dictionaries(names, values, max_size=2),
        "user": st.sampled_from(["1000:1000", "it's"]),
        "working_dir": st.just("/work it"),
        "hostname": st.just("node"),
        "stop_signal": st.just("SIGINT"),
        "stop_seconds": st.just(3.0),
        "privileged": st.booleans(),
        "read_only": st.booleans(),
        "init": st.booleans(),
        "tty": st.booleans(),
        "cap_add": st.just(("NET_ADMIN", "SYS_TIME")),
        "cap_drop": st.just(("MKNOD",)),
        "security_opt": st.just(("no-new-privileges",)),
        "devices": st.just(("/dev/fuse:/dev/fuse:rwm",)),
        "dns": st.just(("10.0.0.2",)),
        "extra_hosts": st.just(("db:10.0.0.1",)),
        "sysctls": st.just({"net.core.somaxconn": "1024"}),
        "tmpfs": st.just(("/run:size=1m", "/x")),
        "mem_limit": st.just(64 * 1024 * 1024),
        "mem_reservation": st.just(32 * 1024 * 1024),
        "shm_size": st.just(1024 * 1024),
        "cpu_shares": st.just(512),
        "cpuset": st.just("0-1"),
        "log_driver": st.just("json-file"),
    }
)


@st.composite
def rancher_estates(draw: st.DrawFn) -> Draw:
    stacks = []
    for name in draw(st.sets(st.sampled_from(["cities", "towns", "roads"]), min_size=1, max_size=2)):
        found = draw(st.lists(_service(), min_size=1, max_size=3))
        parts = [msgspec.structs.replace(one, name=f"app{index}") for index, one in enumerate(found)]
        if len(parts) > 1 and draw(st.booleans()):
            parts = _with_sidekick(parts)
        stacks.append(make_stack(name, tuple(parts)))
    drafts = [one for one in draw(gateways()) if one[0] != "basic-auths"]
    plain = tuple(
        (kind, key, {name: text for name, text in body.items() if name != "ttl"}) for kind, key, body in drafts
    )
    return Draw(stacks=tuple(stacks), drafts=plain)


def _service() -> st.SearchStrategy[StackService]:
    always = {name: FIELDS[name] for name in ("image", "rancher")}
    others = {name: found for name, found in FIELDS.items() if name not in always}
    return st.fixed_dictionaries(always, optional=others).map(lambda given: StackService(name="app", **given))


def _with_sidekick(parts: list[StackService]) -> list[StackService]:
    """The second goes with the first."""
    first, second, *rest = parts
    labels = {**first.labels, "io.rancher.sidekicks": second.name}
    part = msgspec.structs.replace(second.rancher or RancherPart(), sidekick_of=first.name, metadata={})
    return [
        msgspec.structs.replace(first, labels=labels),
        msgspec.structs.replace(second, rancher=part, scale=first.scale),
        *rest,
    ]


class RancherSite(Place):
    """A project of a lab Rancher and a gateway, and what this toolkit finds there."""

    def __init__(self, rancher: Lab, lab: Open, environment: str = ENVIRONMENT) -> None:
        self.rancher = rancher
        self.lab = lab
        self.environment = environment
        clock = SystemClock()
        key = {"access_key": ENVIRONMENT_KEY.access, "secret_key": Secret(ENVIRONMENT_KEY.secret)}
        self.client = open_rancher(RancherAddress(url=rancher.url, **key), clock=clock)  # type: ignore[arg-type]  # texts
        self.platform = RancherPlatform(self.client, environment, PULLING, clock=clock)
        self.exporter = RancherExporter(self.client, environment)
        keys = {"ACCESS_KEY": ENVIRONMENT_KEY.access, "SECRET_KEY": ENVIRONMENT_KEY.secret}
        given = keys | {"URL": rancher.url, "REGISTER": "no"}
        self.environ = {f"RANCHER_{name}": text for name, text in given.items()}

    def deploy(self, drawn: Draw) -> None:
        for stack in drawn.stacks:
            digest = stack.definition.digest()
            self.platform.start(replace(stack, labels={**stack.labels, "pipeline.definition": digest}), SECRETS)
        self.platform.close()
        wait_for(lambda: all(stack.serves for stack in self.platform.stacks()), seconds=30)
        self.lab.make(list(drawn.drafts))

    def made(self) -> dict[str, Any]:
        """What each service was told, secrets and all, without what the scripts marked it with."""
        found = {}
        stacks = {row.id: row.name for row in self.client.every("stacks", StackRow)}
        for row in self.client.every("services", ServiceWhole, kind="service"):
            launches = [row.launch_config or {}, *(row.secondary_launch_configs or ())]
            for one in launches:
                one["labels"].pop("pipeline.bootstrap", None)
            found[f"{stacks[row.stack_id or '']}/{row.name}"] = (row.scale, row.metadata, row.retain_ip, launches)
        return found

    def close(self) -> None:
        self.platform.close()
        self.client.close()
