"""The GitLab pipeline as text: the files that ship are what is rendered, every form fits GitLab's schema and our rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.edge.library import gitlab_schema, pipeline_pieces
from pipeline.errors import BadInput
from pipeline.flows.ci import lint
from pipeline.model.ci_inputs import INPUTS, Input, parse_pairs, with_values
from pipeline.model.ci_template import PIECES, Form, Shape, render, render_child
from pipeline.model.ci_yaml import Pipeline, expand, parse_ci

ROOT = Path(__file__).parents[2]
SHIPPED = {
    "ci/gitlab-ci.template.yml": (Shape.SERVICE, Form.FILE),
    "ci/gitlab-ci.estate.yml": (Shape.ESTATE, Form.FILE),
    "templates/service.yml": (Shape.SERVICE, Form.COMPONENT),
    "templates/estate.yml": (Shape.ESTATE, Form.COMPONENT),
}
CHANGING = ("deploy stage", "register stage", "deploy production", "register production", "review")


def rendered(shape: Shape = Shape.SERVICE, form: Form = Form.FILE, inputs: tuple[Input, ...] = INPUTS) -> str:
    return render(shape, form, inputs, pipeline_pieces(PIECES))


def child(*services: str) -> str:
    return render_child(services, INPUTS, pipeline_pieces(PIECES))


def jobs(text: str) -> Pipeline:
    return expand(parse_ci(text, file="x"), lambda name: "")


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_is_what_is_rendered(name: str) -> None:
    """Remade with `invoke ci.template --shape … --form … --output …`."""
    assert (ROOT / name).read_text() == rendered(*SHIPPED[name])


@pytest.mark.parametrize(
    "text",
    [rendered(shape, form) for shape in Shape for form in Form] + [child(), child("cities"), child("cities", "towns")],
    ids=[f"{shape} {form}" for shape in Shape for form in Form] + ["nothing changed", "one", "two"],
)
def test_every_form_fits_gitlabs_schema_and_our_rules(text: str) -> None:
    assert lint(text, file="x", read=lambda name: "", schema=gitlab_schema()) == ()


def test_a_component_has_a_typed_input_for_each_variable_of_the_file() -> None:
    header = parse_ci(rendered(form=Form.COMPONENT), file="x")

    inputs = header.header["spec"]["inputs"]
    assert set(inputs) == {one.name for one in INPUTS}
    assert inputs["stage"] == {"description": "Whether there is a stage", "type": "boolean", "default": True}
    assert inputs["production"]["options"] == ["true", "manual", "false"]
    assert header.content["variables"] == {one.variable: f"$[[ inputs.{one.name} ]]" for one in INPUTS}


def test_what_changes_something_is_never_cancelled_for_a_newer_commit_and_takes_turns() -> None:
    found = jobs(rendered()).running

    assert [name for name in CHANGING if found[name]["interruptible"]] == []
    assert found["build"]["interruptible"] is True
    assert found["deploy stage"]["resource_group"] == "$PIPELINE_ENVIRONMENT"
    assert found["review"]["resource_group"] == "review/$CI_COMMIT_REF_SLUG"


def test_nothing_is_tried_again_after_a_failure_of_its_own() -> None:
    assert {when for job in jobs(rendered()).running.values() for when in job["retry"]["when"]} == {
        "runner_system_failure",
        "stuck_or_timeout_failure",
        "scheduler_failure",
    }


def test_restore_scripts_never_expire_and_the_builds_record_reaches_the_deployment() -> None:
    found = jobs(rendered()).running

    assert found["register production"]["artifacts"]["expire_in"] == "never"
    assert found["build"]["artifacts"]["paths"] == ["build/"]
    assert {"job": "build", "optional": True} in found["deploy production"]["needs"]


def test_the_registration_is_the_deployment_that_gitlabs_button_repeats() -> None:
    found = jobs(rendered()).running

    assert found["deploy stage"]["environment"] == {"name": "$PIPELINE_ENVIRONMENT", "action": "prepare"}
    assert found["register stage"]["environment"] == {"name": "$PIPELINE_ENVIRONMENT", "url": "$PIPELINE_URL"}
    assert 'invoke deploy -e "$PIPELINE_ENVIRONMENT"' in found["register stage"]["script"][0]
    assert found["register stage"]["script"][0].endswith(" register")


def test_a_review_is_stopped_by_hand_by_time_or_with_its_branch() -> None:
    found = jobs(rendered()).running

    assert found["review"]["environment"]["on_stop"] == "stop review"
    assert found["review"]["environment"]["auto_stop_in"] == "$PIPELINE_REVIEW_STOPS_IN"
    assert found["stop review"]["environment"]["action"] == "stop"
    assert found["stop review"]["variables"]["GIT_STRATEGY"] == "none"
    assert found["stop review"]["environment"]["name"] == found["review"]["environment"]["name"]


def test_a_merge_request_deploys_nothing_in_its_pipeline_or_in_a_child_of_it() -> None:
    found = jobs(child("cities")).running

    for name, job in found.items():
        if not name.startswith("build "):
            conditions = " ".join(str(rule.get("if")) for rule in job["rules"] if rule.get("when") == "never")
            held = "$CI_MERGE_REQUEST_IID" in conditions or "$CI_COMMIT_BRANCH !=" in conditions
            assert held, name
    assert found["review cities"]["rules"][-1] == {"if": "$CI_COMMIT_BRANCH"}


def test_what_later_verbs_do_is_called_as_the_contract_has_it() -> None:
    found = jobs(rendered()).running

    assert found["prune"]["script"] == ['invoke prune -e "$PIPELINE_ENVIRONMENT" --yes']
    assert found["rehearse"]["script"] == ['invoke ci.wait bootstrap -e "$PIPELINE_ENVIRONMENT" --rehearse']
    assert found["bootstrap"]["script"] == ['invoke bootstrap -e "$PIPELINE_ENVIRONMENT" --commit']
    assert found["rollback stage"]["script"][0].startswith('invoke rollback -e "$PIPELINE_ENVIRONMENT"')


def test_only_jobs_with_an_engine_are_root() -> None:
    found = jobs(rendered()).running

    roots = sorted(name for name, job in found.items() if job["image"].get("docker", {}).get("user") == "root")
    assert roots == ["build", "rehearse"]
    assert all("services" in found[name] for name in roots)


def test_a_child_has_the_jobs_of_its_services_and_one_dump_after_all_registrations() -> None:
    found = jobs(child("cities", "towns")).running

    assert [name for name in found if name.startswith("build ")] == ["build cities", "build towns"]
    assert found["register stage towns"]["variables"]["PIPELINE_SERVICE"] == "towns"
    assert found["register stage towns"]["resource_group"] == "stage/towns"
    assert [name for name in found if name.startswith("dump ")] == ["dump stage", "dump production"]
    assert found["dump stage"]["stage"] == ".post"
    assert "deploy cities" not in found


def test_a_child_without_services_has_one_job_because_gitlab_refuses_a_pipeline_without() -> None:
    assert list(jobs(child()).running) == ["unchanged"]


def test_a_name_that_would_be_yaml_is_refused() -> None:
    with pytest.raises(BadInput, match="cannot be a service's name"):
        child("a: {script: rm}")


def test_an_input_takes_only_what_fits_it() -> None:
    image = next(one for one in with_values({"image": "registry.example.com/tools:1.2"}) if one.name == "image")

    assert image.default == "registry.example.com/tools:1.2"
    for given, words in (
        ({"imge": "x"}, "no input 'imge'"),
        ({"stage": "perhaps"}, "stage='perhaps' cannot be used"),
        ({"review_domain": "a b"}, "review_domain='a b' cannot be used"),
        ({"image": 'x"\n  evil: y'}, "cannot be used"),
    ):
        with pytest.raises(BadInput, match=words):
            with_values(given)
    with pytest.raises(BadInput, match="is not name=value"):
        parse_pairs(("stage",))


def test_an_input_with_quotes_stays_one_text() -> None:
    branch = 'a"b#: c'

    text = rendered(inputs=with_values({"stage_branch": branch}))

    assert parse_ci(text, file="x").content["variables"]["PIPELINE_STAGE_BRANCH"] == branch
