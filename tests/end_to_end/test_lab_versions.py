"""The lab gateway of an environment, as the version of Kong that its settings name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.estate import Environment, Estate, ask

pytestmark = pytest.mark.engine


@pytest.fixture
def environment() -> Iterator[Environment]:
    found = Environment()
    yield found
    found.destroy()


def version(estate: Estate, lab: str) -> None:
    path = estate.folder / "invoke.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["pipeline"]["environments"][estate.environment.name]["gateway"]["lab"] = lab
    path.write_text(yaml.safe_dump(settings))


def test_the_lab_speaks_the_version_that_the_settings_name(environment: Environment, tmp_path: Path) -> None:
    estate = Estate(tmp_path, environment)
    version(estate, "0.14")

    first, again = estate.invoke("lab.up"), estate.invoke("lab.up")

    assert first.code == 0, first
    assert "was up already" in again.err
    assert ask(environment.admin + "/")[1]["version"] == "0.14.1"


def test_state_of_another_version_is_refused_with_what_to_do(environment: Environment, tmp_path: Path) -> None:
    estate = Estate(tmp_path, environment)
    version(estate, "3.4")
    estate.invoke("lab.up")
    version(estate, "0.14")

    refused = estate.invoke("lab.up")
    mended = estate.invoke("lab.down", "--state", "lab.up")

    assert refused.code == 1, refused
    assert "3.4.2" in refused.err
    assert mended.code == 0, mended
    assert ask(environment.admin + "/")[1]["version"] == "0.14.1"


def test_a_version_that_there_is_not_is_refused(environment: Environment, tmp_path: Path) -> None:
    estate = Estate(tmp_path, environment)
    version(estate, "1.5")

    ran = estate.invoke("lab.up")

    assert ran.code == 3, ran
    assert "gateway.lab" in ran.err
