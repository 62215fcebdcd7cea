"""An older pipeline does not replace what a newer one has put there."""

from __future__ import annotations

import pytest

from pipeline.errors import Refused
from pipeline.flows.order import project_of, refuse_older
from pipeline.model.record import Record

PROJECT = "https://gitlab.example/group/cities"


def record(iid: int = 7, **fields: object) -> Record:
    values = {"verb": "deploy", "service": "cities", "environment": "stage", "branch": "master", "actor": "ada"}
    values |= {"stack": "cities-master-77777777"}
    url = f"{PROJECT}/-/pipelines/{iid * 100}" if iid else ""
    return Record(**values | {"pipeline_iid": iid, "pipeline_url": url} | fields)  # type: ignore[arg-type]


def look(*records: Record, iid: int = 6, project: str = PROJECT, branch: str = "master", verb: str = "deploy") -> str:
    found = project if iid else ""
    return refuse_older(records, verb=verb, service="cities", branch=branch, iid=iid, project=found)


@pytest.mark.parametrize("verb", ["deploy", "register"])
def test_an_older_pipeline_is_refused_and_told_which_is_newer(verb: str) -> None:
    with pytest.raises(
        Refused, match="pipeline 6 is older than pipeline 7, which has put cities-master-77777777"
    ) as no:
        look(record(verb=verb))

    assert "--force" in no.value.hint
    assert no.value.exit_code == 4


def test_a_newer_pipeline_stays_newer_whatever_came_after_it() -> None:
    with pytest.raises(Refused):
        look(record(7), record(0), record(5, verb="rollback"))


def test_a_pipeline_that_was_here_before_is_let_in_again_by_the_redeploy_button() -> None:
    assert look(record(6), record(7)) == ""


def test_a_pipeline_that_deployed_in_time_and_registers_late_is_refused() -> None:
    with pytest.raises(Refused):
        look(record(6), record(7), record(7, verb="register"), verb="register")


def test_the_same_number_in_another_project_is_another_pipeline() -> None:
    with pytest.raises(Refused):
        look(record(6, pipeline_url="https://gitlab.example/group/other/-/pipelines/1"), record(7))


@pytest.mark.parametrize(
    "records",
    [
        (),
        (record(6),),
        (record(5),),
        (record(7, service="towns"),),
        (record(7, branch="feature"),),
        (record(7, verb="rollback"),),
        (record(7, verb="unreadable", service=""),),
    ],
)
def test_the_same_a_newer_or_another_ones_pipeline_goes_on_without_a_word(records: tuple[Record, ...]) -> None:
    assert look(*records) == ""


def test_runs_outside_of_pipelines_replace_each_other_without_a_word() -> None:
    assert look(record(0), iid=0) == ""


@pytest.mark.parametrize(
    ("last", "iid", "who"),
    [
        (record(0), 6, "ada, outside of a pipeline"),
        (record(7), 0, f"pipeline 7 of {PROJECT}"),
        (record(7, pipeline_url="https://other.example/x/-/pipelines/1"), 6, "pipeline 7 of https://other.example/x"),
    ],
)
def test_what_cannot_be_compared_is_said_and_goes_on(last: Record, iid: int, who: str) -> None:
    assert look(last, iid=iid) == (
        f"cities-master-77777777 was put there by {who}: which of the two is newer cannot be told"
    )


def test_a_project_is_what_stands_before_the_dash_in_a_pipelines_url() -> None:
    assert project_of(f"{PROJECT}/-/pipelines/12") == PROJECT
    assert project_of("") == ""
