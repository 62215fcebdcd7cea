"""A rehearsal tells what failed or differs, and ends with everything removed, whatever happened in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.edge.clock import SystemClock
from pipeline.edge.folder import GeneratedFolder
from pipeline.edge.library import shell_libraries
from pipeline.edge.script import run_script
from pipeline.errors import Refused
from pipeline.flows import bootstrap as flow
from pipeline.flows.bootstrap import Wish
from pipeline.flows.bootstrap_rehearse import Ground, Ran, rehearse
from pipeline.model.address import EngineAddress
from pipeline.model.bootstrap_kit import LIBRARIES
from pipeline.model.interpolate import secret_mark
from pipeline.model.rehearsal import Rehearsal, rehearsal_name, report_text
from pipeline.model.secret import Secret
from pipeline.platforms.docker_stage import DockerStage
from tests.contracts.random_estates import SECRETS, Site, make_stack, on_images
from tests.contracts.test_bootstrap_faults import Bench, app, bench, engines

__all__ = ["bench", "engines"]
NAME = rehearsal_name("0a1b2c3d")
Run = Callable[[str, Mapping[str, Secret | str]], Ran]


class Stage:
    """The second engine as the ground of a rehearsal of what the first one runs."""

    def __init__(self, at: Bench) -> None:
        self.at = at
        self.site = Site(at.other.url, at.target.lab, environment=NAME)
        self.cleared = 0

    def run(self, script: str, variables: Mapping[str, Secret | str]) -> Ran:
        urls = {"KONG_ADMIN_URL": self.site.lab.url, "KONG_PROXY_URL": ""}
        environ = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "DOCKER_HOST": self.at.other.url}
        code, lines = run_script(self.at.folder / script, {**variables, **urls}, environ, lambda _: None)
        return Ran(code=code, lines=lines)

    @contextmanager
    def clearing(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.cleared += 1

    def rehearse(self, run: Run | None = None) -> Rehearsal:
        folder = GeneratedFolder(self.at.folder)
        ground = Ground(
            environment=NAME,
            admin=1,
            proxy=2,
            keep=folder.keep,
            write=folder.write,
            run=run or self.run,
            host="127.0.0.1",
            supplied=lambda _: {},
            gateway=lambda _: None,
            sources=self.site.sources,
            clearing=self.clearing(),
        )
        sources, wish = self.at.source.sources, Wish(images=True)
        estate = flow.listed(sources, wish)
        return rehearse(estate, sources, wish, ground, shell_libraries(LIBRARIES), clock=SystemClock())


@pytest.fixture
def stage(bench: Bench) -> Iterator[Stage]:
    image = bench.engine.add_image("app:1")
    parts = (app(environment={"PW": secret_mark("ALPHA")}),)
    bench.source.platform.start(on_images(make_stack("cities", parts), {"app": image}), SECRETS)
    bench.route()
    found = Stage(bench)
    yield found
    found.site.close()


def test_what_is_rebuilt_is_the_same_and_the_report_says_so(stage: Stage) -> None:
    found = stage.rehearse()

    assert found.passed, report_text(found)
    assert "passed" in report_text(found)
    assert stage.cleared == 1


def test_a_script_that_fails_ends_it_with_its_last_words(stage: Stage) -> None:
    def run(script: str, variables: Mapping[str, Secret | str]) -> Ran:
        return Ran(code=1, lines=("it broke",)) if script.startswith("50") else stage.run(script, variables)

    found = stage.rehearse(run)

    assert not found.passed
    assert [(one.script, one.code) for one in found.steps][-1] == ("50-stacks.sh", 1)
    assert "it broke" in report_text(found)
    assert stage.cleared == 1


def test_what_differs_afterwards_is_named(stage: Stage) -> None:
    def run(script: str, variables: Mapping[str, Secret | str]) -> Ran:
        done = stage.run(script, variables)
        if script.startswith("50"):
            for one in stage.at.other.containers.values():
                one["Config"]["Env"].append("ADDED=1")
        return done

    found = stage.rehearse(run)

    assert not found.passed
    assert any("services.app.environment.ADDED" in text for text in found.differences)


def test_ctrl_c_clears_as_well(stage: Stage) -> None:
    def run(script: str, variables: Mapping[str, Secret | str]) -> Ran:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.rehearse(run)

    assert stage.cleared == 1


def test_no_environment_but_a_rehearsals_can_be_removed_whole(stage: Stage, tmp_path: Path) -> None:
    for name in ("production", "rehearsal-", "rehearsal-x", "stage/rehearsal-0a1b2c3d"):
        with pytest.raises(Refused, match="is no rehearsal's name"):
            DockerStage(stage.site.client, EngineAddress(), name)
