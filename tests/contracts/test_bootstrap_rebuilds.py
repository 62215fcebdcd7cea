"""Any estate, written down and built from its scripts on an empty engine beside an empty gateway, is the same again."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck as Check
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pipeline.flows.bootstrap import Wish, Written
from pipeline.model.bootstrap_kit import kit_of
from tests.contracts.random_estates import SECRETS, Draw, Site, estates, on_images, snapshot_bytes
from tests.contracts.whole_gateways import SHELLS, open_lab
from tests.memory_engine import MemoryEngine, memory_engine

EXAMPLES = int(os.environ.get("RANDOM_ESTATES", "50"))
FULL = {
    "Env": ["A=of the image", "PATH=/bin"],
    "Cmd": ["serve", "all"],
    "Entrypoint": ["/entry"],
    "Labels": {"maker": "it's me", "pipeline.sources": "{}"},
    "Volumes": {"/image": {}},
    "User": "www",
    "WorkingDir": "/srv",
    "Healthcheck": {"Test": ["CMD", "ok"], "Interval": 5_000_000_000},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bootstrap")


@pytest.fixture(scope="module")
def sites(place: Path) -> Iterator[tuple[tuple[MemoryEngine, Site], tuple[MemoryEngine, Site]]]:
    """Two engines with a gateway each: the first is written down, the second is built."""
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            engine, lab = stack.enter_context(memory_engine()), stack.enter_context(open_lab(place))
            site = Site(engine.url, lab)
            stack.callback(site.close)
            made.append((engine, site))
        yield made[0], made[1]


def empty(engine: MemoryEngine, site: Site) -> None:
    for table in (engine.containers, engine.images, engine.networks, engine.volumes, engine.files):
        table.clear()
    site.lab.wipe()


def deploy(engine: MemoryEngine, site: Site, drawn: Draw) -> None:
    images = {
        "plain": engine.add_image("plain:1", digest=f"registry.example/plain@sha256:{'1' * 64}"),
        "full": engine.add_image("full:1", digest=f"registry.example/full@sha256:{'2' * 64}", **FULL),
    }
    for stack in drawn.stacks:
        site.platform.start(on_images(stack, images), SECRETS)
    site.lab.make(list(drawn.drafts))


def build(site: Site, folder: Path, shell: str, written: Written) -> None:
    secrets = {name: value.reveal() for name, value in written.values.items()}
    for script, _ in kit_of("docker").steps:
        done = site.run(folder, script, shell, **secrets)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"


def made(engine: MemoryEngine) -> dict[str, object]:
    """What each container is given, secrets and all, without what is its own: its id, and what it was made by."""
    found: dict[str, object] = {}
    for one in engine.containers.values():
        labels = {name: text for name, text in one["Config"]["Labels"].items() if name != "pipeline.bootstrap"}
        own = {
            "Labels": labels,
            "Hostname": one["Config"]["Hostname"].replace(one["Id"][:12], ""),
            "Image": one["Image"],
        }
        # The order of variables is nobody's: a program asks for them by name.
        found[one["Name"]] = (one["Config"] | own | {"Env": sorted(one["Config"]["Env"] or ())}, one["HostConfig"])
    return found


@settings(
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[Check.too_slow, Check.data_too_large],
)
@given(drawn=estates(), shell=st.sampled_from(sorted(SHELLS)))
def test_any_estate_comes_back_byte_for_byte(
    drawn: Draw, shell: str, sites: tuple[tuple[MemoryEngine, Site], tuple[MemoryEngine, Site]], place: Path
) -> None:
    (engine, source), (other, target) = sites
    empty(engine, source)
    empty(other, target)
    deploy(engine, source, drawn)
    folder = place / uuid.uuid4().hex
    written = source.write(folder, Wish(images=True))

    build(target, folder, shell, written)

    assert made(other) == made(engine)
    assert snapshot_bytes(target.write(place / "second", Wish(images=True))) == snapshot_bytes(written)
    done = target.run(folder, "70-verify.sh", shell)
    assert json.loads(done.stdout)["differences"] == []
