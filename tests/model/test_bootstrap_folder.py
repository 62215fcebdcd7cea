"""Golden folders: what an engine and a gateway tell of an environment, and every byte that is written of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.edge.library import shell_libraries
from pipeline.flows import bootstrap as flow
from pipeline.flows.bootstrap import Sources, Wish
from pipeline.model.bootstrap_kit import LIBRARIES
from pipeline.model.remap import NO_REMAP, parse_remap
from pipeline.model.state_file import read_state_file
from tests.contracts.random_estates import Site
from tests.golden_folder import compared
from tests.memory_engine import memory_engine

CASES = Path(__file__).parent.parent / "golden" / "bootstrap"


class _Gateway:
    """A gateway that was dumped before."""

    def __init__(self, text: str) -> None:
        self._state = read_state_file(text, file="gateway.json")[0]

    def dump(self) -> object:
        return self._state


def folder_of(case: Path) -> dict[str, str]:
    """What is written of the case's `engine.json` (containers, images, networks, volumes as inspected) and
    `gateway.json` (`invoke dump --format json`), with `wish.json`."""
    told: dict[str, Any] = json.loads((case / "engine.json").read_text())
    wish: dict[str, Any] = json.loads((case / "wish.json").read_text())
    remap = parse_remap(wish.pop("remap"), file="remap") if "remap" in wish else NO_REMAP
    with memory_engine() as engine:
        for kind in ("containers", "images", "networks", "volumes"):
            getattr(engine, kind).update(told[kind])
        site = Site(engine.url, None, environment=told["environment"])  # type: ignore[arg-type]  # no lab is asked
        gateway = _Gateway((case / "gateway.json").read_text())
        sources = Sources(
            platform=lambda: site.platform,
            exporter=lambda: site.exporter,
            gateway=lambda: gateway,  # type: ignore[arg-type,return-value]  # only dumped
            records=lambda: (),
            lost=lambda _: (),
        )
        wanted = Wish(remap=remap, **wish)
        written = flow.written(
            flow.listed(sources, wanted), sources, wanted, lambda path, _: f"sha-of-{path}", shell_libraries(LIBRARIES)
        )
        site.close()
    return {path: text for path, text in written.files.items() if path not in (*LIBRARIES, "SHA256SUMS")}


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_a_case_is_written_byte_for_byte(case: Path, request: pytest.FixtureRequest) -> None:
    compared(folder_of(case), case / "folder", request)
