"""What a job's variables say, what it hands to GitLab, and GitLab's log format."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pipeline.errors import BadInput
from pipeline.model.ci import branch_of, entity_name, family, hosts_of, is_fork, secrets_in
from pipeline.model.ci_log import section_end, section_start
from pipeline.model.ci_report import Case, dotenv, dotenv_lines, junit, service_values
from pipeline.model.manifest import parse_manifest


@pytest.mark.parametrize(
    "pipeline",
    [
        {"CI_COMMIT_TAG": "production"},
        {"CI_PIPELINE_SOURCE": "merge_request_event"},
        {"CI_PIPELINE_SOURCE": "parent_pipeline", "CI_MERGE_REQUEST_IID": "4"},
    ],
    ids=["a tag", "a merge request", "the child of a merge request's pipeline"],
)
def test_a_tag_and_a_merge_request_release_no_branch_whatever_they_are_called(pipeline: dict[str, str]) -> None:
    assert branch_of({"CI_COMMIT_REF_NAME": "production"}) == "production"
    assert branch_of({"CI_COMMIT_REF_NAME": "production", **pipeline}) == ""


def test_a_merge_request_of_another_project_is_a_forks() -> None:
    own = {"CI_MERGE_REQUEST_PROJECT_ID": "1", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1", "CI_PROJECT_ID": "1"}

    assert not is_fork({})
    assert not is_fork(own)
    assert is_fork(own | {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "2"})


def test_a_review_has_names_and_hosts_of_its_own() -> None:
    manifest = parse_manifest(b'{"uri": "/a", "pipeline": {"hosts": ["api.example.com"]}}', file="x", default_name="a")

    assert family("review/my-branch") == "review"
    assert (entity_name("cities", "stage"), entity_name("cities", "review/x")) == ("cities", "cities.review.x")
    assert hosts_of(manifest, ("x.example.com",), "stage") == ("api.example.com",)
    assert hosts_of(manifest, ("x.example.com",), "review/x") == ("x.example.com",)
    with pytest.raises(BadInput, match="review/x has no host of its own"):
        hosts_of(manifest, (), "review/x")


def test_variables_named_like_secrets_are_masked_and_others_are_not() -> None:
    variables = {
        "NPM_TOKEN": "one",
        "DB_PASSWORD": "two",
        "RANCHER_SECRET_KEY": "three",
        "CI_JOB_NAME": "four",
        "TOKEN": "",
    }

    assert sorted(one.reveal() for one in secrets_in(variables)) == ["one", "three", "two"]


def test_dotenv_is_one_line_each_without_quotes_and_under_what_gitlab_reads() -> None:
    values = service_values("cities-master-0a1b2c3d", "/ws/cities", "api.example.com", "https://kong.example.com")
    part = dotenv_lines("my-cities", values)

    assert part.decode().splitlines() == [
        "MY_CITIES_STACK=cities-master-0a1b2c3d",
        "MY_CITIES_URI=/ws/cities",
        "MY_CITIES_URL=https://api.example.com/ws/cities",
    ]
    assert dotenv_lines("a", {"b": "x\ny'$(z)"}) == b"A_B=x y??(z)\n"
    assert 4000 < len(dotenv([part] * 100)) <= 5 * 1024
    assert len(dotenv([part] * 100)) % len(part) == 0


def test_the_url_is_the_hosts_and_else_the_proxys() -> None:
    assert service_values("s", "/a", "", "http://127.0.0.1:8000/")["url"] == "http://127.0.0.1:8000/a"
    assert service_values("s", "/a", "*.example.com", "https://kong")["url"] == "https://kong/a"
    assert service_values("s", "/a", "", "")["url"] == ""


def test_junit_has_a_case_per_check_and_survives_what_a_log_holds() -> None:
    cases = (
        Case(service="cities", name="its stack is healthy", seconds=1.5),
        Case(
            service="towns",
            name="its stack is healthy",
            seconds=0.5,
            failure='exited <1> & "said" \x1b[31mno\x00\nnext',
        ),
    )

    suite = ElementTree.fromstring(junit("deploy", cases))

    assert suite.attrib == {"name": "deploy", "tests": "2", "failures": "1", "time": "2.000"}
    assert [case.get("classname") for case in suite] == ["cities", "towns"]
    failure = suite[1][0]
    assert failure.get("message") == 'exited <1> & "said" ?[31mno?'


def test_a_section_is_written_as_gitlab_reads_it() -> None:
    assert section_start("deploy cities", "deploy", now=12.9) == "\x1b[0Ksection_start:12:deploy_cities\r\x1b[0Kdeploy"
    assert section_end("deploy cities", now=15.1) == "\x1b[0Ksection_end:15:deploy_cities\r\x1b[0K"
