"""What real Kongs answered (tests/recordings), request by request over real sockets, is what the lab gateway answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

_TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(_TESTS / "lab"))  # the tests' folders are no packages

from lab_replay import RECORDINGS, replayed  # noqa: E402  (needs the line above)

VERSIONS = ("0.14.1", "2.8.5", "3.4.2")
SCENARIOS = [
    (version, path.stem) for version in VERSIONS for path in sorted((RECORDINGS / f"kong-{version}").glob("*.json"))
]
_FIGURES: dict[tuple[str, str], tuple[int, int, int]] = {}


def listed(version: str, scenario: str) -> dict[int, str]:
    """The deviations of a scenario: index → reason."""
    deviations: dict[str, list[dict[str, Any]]] = json.loads(
        (_TESTS / "lab" / f"deviations-{version}.json").read_text()
    )
    return {index: entry["reason"] for entry in deviations.get(scenario, []) for index in entry["requests"]}


@pytest.mark.parametrize(("version", "scenario"), SCENARIOS)
def test_every_recorded_answer_is_given_but_for_the_listed_deviations(
    version: str, scenario: str, tmp_path: Path
) -> None:
    wanted = listed(version, scenario)

    found = replayed(version, scenario, tmp_path / "state.sqlite3")

    differing = {index: lines for index, lines in found.items() if lines}
    _FIGURES[version, scenario] = (len(found) - len(differing), len(found), len(wanted))
    unexpected = {index: lines for index, lines in differing.items() if index not in wanted}
    assert not unexpected, "\n".join(f"{index}: " + "; ".join(lines) for index, lines in unexpected.items())
    gone = sorted(set(wanted) - set(differing))
    assert not gone, f"listed as deviations, but equal: {gone}"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_figures_of_the_replay_are_told(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    figures = {scenario: value for (told, scenario), value in sorted(_FIGURES.items()) if told == version}
    equal = sum(value[0] for value in figures.values())
    total = sum(value[1] for value in figures.values())

    with capsys.disabled():
        for scenario, (same, count, deviating) in figures.items():
            print(f"\n  {scenario}: {same} of {count} equal, {deviating} listed deviations", end="")
        print(f"\n  replay of kong-{version}: {equal} of {total} answers equal")

    assert equal <= total
