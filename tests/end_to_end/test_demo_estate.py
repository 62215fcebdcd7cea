"""The estate of `make demo` (cities behind a gateway): its scripts are rehearsed, and bring it back with its data."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.estate import ROOT, Environment, Estate, ask
from tests.end_to_end.test_bootstrap import bare, rehearsals, run_scripts

pytestmark = pytest.mark.engine
TOKEN = 'a-token-"that"-may-$write-it\'s'
CITY = {"name": "Neuss", "country": "DE", "timezone": "Europe/Berlin"}
CARRIED = ("--with-images", "--with-data")


@pytest.fixture(scope="module")
def demo(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """Released as on a laptop, in an environment of its own name: a demo that runs on this engine is left alone."""
    estate = Estate(tmp_path_factory.mktemp("demo"), environment, uri="/ws/cities")
    shutil.rmtree(estate.service)
    cities = estate.folder / "services" / "cities"
    shutil.copytree(ROOT / "services" / "cities", cities, ignore=shutil.ignore_patterns(".venv", "__pycache__", ".*"))
    # Anywhere but in `local` cities wants a PostgreSQL.
    compose = cities / "docker-compose.yml"
    compose.write_text(compose.read_text().replace("${ENVIRONMENT:-local}", "local"))
    estate.settings(deploy_timeout=120, verify_timeout=30)
    estate.variables["CITIES_WRITER_TOKEN"] = TOKEN
    ran = estate.invoke("build", "deploy", "register")
    assert ran.code == 0, ran
    yield estate
    estate.stop()
    environment.clear()


def found_names(estate: Estate) -> list[str]:
    status, answer = ask(f"{estate.environment.proxy}/ws/cities?search=Neuss")
    assert status == 200, answer
    return [one["name"] for one in answer["results"]]


def add(estate: Estate) -> None:
    request = urllib.request.Request(
        f"{estate.environment.proxy}/ws/cities",
        data=json.dumps(CITY).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Token {TOKEN}"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        assert answer.status == 201


def test_the_demo_estate_passes_its_rehearsal(demo: Estate) -> None:
    ran = demo.invoke("bootstrap", "--rehearse", "--with-images")

    assert ran.code == 0, ran
    report = json.loads((demo.folder / f"build/bootstrap-{demo.environment.name}/rehearsal.json").read_text())
    assert report["passed"]
    assert report["verification"]["found"]["routes"] == 1
    assert report["verification"]["found"]["containers"] == 2
    assert TOKEN not in ran.out + ran.err + json.dumps(report)
    assert rehearsals(demo.environment) == []


def test_cities_comes_back_with_its_data_by_a_shell_curl_and_docker_alone(demo: Estate, tmp_path: Path) -> None:
    environment = demo.environment
    add(demo)
    stacks = environment.stacks()
    ran = demo.invoke("bootstrap", *CARRIED)
    assert ran.code == 0, ran
    environment.destroy()
    for image in environment.engine.images.list(filters={"label": "pipeline.service=cities"}):
        environment.engine.images.remove(image.id, force=True)
    assert environment.containers() == []

    done = run_scripts(demo.folder / "bootstrap" / environment.name, bare(tmp_path / "bin"), CITIES_WRITER_TOKEN=TOKEN)

    assert [one.code for one in done] == [0] * 7, done[-1]
    assert json.loads(done[-1].out)["differences"] == []
    assert found_names(demo) == ["Neuss"]
    assert environment.stacks() == stacks
    check = demo.invoke("bootstrap", "--check", *CARRIED)
    assert check.code == 0, check
