"""A .gitlab-ci.yml that a team wrote: what GitLab would refuse, and what our rules are for."""

from __future__ import annotations

import pytest

from pipeline.edge.library import gitlab_schema
from pipeline.errors import BadInput
from pipeline.flows.ci import lint
from pipeline.model.ci_rules import RULES

REGISTER = """\
register:
  script: [invoke register -e stage]
  resource_group: stage
  artifacts: {paths: [artifacts/], expire_in: never}
"""


def found(text: str, **files: str) -> list[str]:
    return [str(one) for one in lint(text, file="x", read=lambda name: files[name], schema=gitlab_schema())]


def test_a_file_that_keeps_to_the_rules_has_no_findings() -> None:
    assert found(REGISTER) == []


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("a: {script: [b], wen: always}", "a: unknown key: wen"),
        ("a: {script: [b], retry: 9}", "a: retry: does not fit (maximum in GitLab's schema)"),
        ("a: {script: [b], artifacts: {path: [c]}}", "a: artifacts: unknown key: path"),
        ("a: {script: [b], interruptible: perhaps}", "a: interruptible: should be of type boolean"),
        ("a: {script: [b], when: soon}", "a: when: should be one of"),
        ("stages: build", "stages: should be of type array"),
    ],
)
def test_what_gitlabs_schema_refuses_is_named_by_job_and_key(text: str, finding: str) -> None:
    (one,) = found(text)

    assert finding in one


def test_a_finding_never_shows_the_value() -> None:
    assert "hunter2" not in str(found("a: {script: [b], variables: {DB_PASSWORD: hunter2}, when: hunter2}"))
    assert "hunter2" not in str(found("a: {script: [b], variables: {DB_PASSWORD: hunter2}}"))


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("a: {image: python, script: [b]}", "a: image: 'python' is not pinned"),
        ("a: {image: 'h:5000/x', script: [b]}", "a: image: 'h:5000/x' is not pinned"),
        ("default: {image: 'x:latest'}\na: {script: [b]}", "default: image: 'x:latest' is not pinned"),
        ("a: {services: [{name: 'docker:latest'}], script: [b]}", "a: services: 'docker:latest' is not pinned"),
        (
            "a: {services: ['docker:28-dind'], variables: {DOCKER_TLS_CERTDIR: ''}, script: [b]}",
            "a: variables: the engine is reached without TLS",
        ),
        (REGISTER + "  interruptible: true\n", "register: interruptible: a job that changes something should be false"),
        (REGISTER.replace("resource_group", "tags: [x]\n  needs: []\n  # "), "register: resource_group: missing"),
        (REGISTER + "  retry: 2\n", "register: retry: also after always"),
        (REGISTER + "  retry: {max: 1, when: [script_failure]}\n", "register: retry: also after script_failure"),
        (REGISTER.replace("never", "1 week"), "register: artifacts.expire_in: '1 week'"),
        (REGISTER.replace("  artifacts", "  # "), "register: artifacts: missing"),
        ("a: {script: [b], variables: {KONG_ADMIN_TOKEN: abc}}", "a: variables.KONG_ADMIN_TOKEN: a secret is written"),
        ("a: {script: [b], environment: {name: review/x}}", "a: environment.on_stop: missing"),
        ("a: {script: [b], environment: {name: review/x, on_stop: c}}", "a: environment.on_stop: there is no job 'c'"),
        (
            "a: {script: [b], environment: {name: review/x, on_stop: c}}\n"
            "c: {script: [b], environment: {name: review/x, action: stop}}",
            "a: environment.on_stop: 'c' checks out the branch",
        ),
        (
            "a:\n  script: [b]\n  rules:\n    - if: $CI_PIPELINE_SOURCE == 'merge_request_event'\n"
            "    - if: $CI_COMMIT_BRANCH",
            "a: rules: the job runs for the branch and again",
        ),
        ("a: {script: [b], needs: [c]}", "a: needs: there is no job 'c'"),
    ],
)
def test_each_rule_finds_what_it_is_for(text: str, finding: str) -> None:
    (one,) = found(text)

    assert one.startswith(finding)


def test_each_rule_says_why() -> None:
    assert [rule.__name__ for rule in RULES if len((rule.__doc__ or "").split()) < 5] == []


def test_what_a_local_include_brings_counts_and_what_another_project_brings_is_not_guessed() -> None:
    base = ".changing:\n  interruptible: true\n  resource_group: stage\n"
    own = "include: base.yml\na:\n  extends: .changing\n  script: [invoke deploy]\n  needs: [b]\n"

    both = found(own, **{"base.yml": base})
    elsewhere = found(own.replace("base.yml", "{project: a/b, file: c.yml}"))

    assert both == ["a: interruptible: a job that changes something should be false", "a: needs: there is no job 'b'"]
    assert elsewhere == ["a: resource_group: missing, and the job deploys or registers"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "x: while parsing"),
        ("- a", "should be one mapping"),
        ("", "should be one mapping"),
        ("a: {extends: b}\nb: {extends: a, script: [c]}", "extends"),
        ("a: &a\n  variables:\n    b: *a\n", "an alias stands inside of itself"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_two_lines(text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as refused:
        found(text)

    assert refused.value.exit_code == 3
    assert refused.value.hint
