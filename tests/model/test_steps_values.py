"""Where a folder's variables are taken from: never what tells this machine's own places."""

from __future__ import annotations

import pytest

from pipeline.errors import BadInput
from pipeline.model.secret import Secret
from pipeline.model.steps import Variable
from pipeline.model.steps_values import find_values

TOKEN = Variable(name="KONG_ADMIN_TOKEN", required=True, about="The token.")
ENGINE = Variable(name="DOCKER_HOST", required=False)
ADMIN = Variable(name="KONG_ADMIN_URL", required=True)


@pytest.mark.parametrize(
    ("environ", "value"),
    [
        ({"KONG_ADMIN_TOKEN": "plain"}, "plain"),
        ({"KONG_ADMIN_TOKEN": "plain", "REVIEW_MY_BRANCH_KONG_ADMIN_TOKEN": "own"}, "own"),
        ({"REVIEW_MY_BRANCH_KONG_ADMIN_TOKEN": "own", "BOOTSTRAP_KONG_ADMIN_TOKEN": "said"}, "said"),
        ({"KONG_ADMIN_TOKEN": "plain", "BOOTSTRAP_KONG_ADMIN_TOKEN": ""}, "plain"),
        ({"KONG_ADMIN_TOKEN": 'it\'s\n"so" $HOME\n'}, 'it\'s\n"so" $HOME\n'),
    ],
)
def test_a_value_comes_from_the_most_particular_variable(environ: dict[str, str], value: str) -> None:
    assert find_values([TOKEN], environ, "review/my-branch", None).values == {"KONG_ADMIN_TOKEN": Secret(value)}


def test_the_engine_and_the_gateway_of_this_place_are_not_taken_for_those_of_the_new_one() -> None:
    here = {"DOCKER_HOST": "unix:///here", "KONG_ADMIN_URL": "http://old", "STAGE_KONG_ADMIN_URL": "http://old"}

    assert find_values([ENGINE], here, "stage", None).values == {}
    with pytest.raises(BadInput, match="not set: BOOTSTRAP_KONG_ADMIN_URL"):
        find_values([ENGINE, ADMIN], here, "stage", None)
    given = here | {"BOOTSTRAP_KONG_ADMIN_URL": "http://new"}
    assert find_values([ENGINE, ADMIN], given, "stage", None).values == {"KONG_ADMIN_URL": Secret("http://new")}


def test_the_rancher_that_is_being_copied_is_not_taken_for_the_new_one() -> None:
    wanted = [Variable(name=f"RANCHER_{name}", required=name == "URL") for name in ("URL", "ACCESS_KEY", "SECRET_KEY")]
    here = {"RANCHER_URL": "http://old", "STAGE_RANCHER_SECRET_KEY": "old", "RANCHER_ACCESS_KEY": "old"}

    with pytest.raises(BadInput, match="not set: BOOTSTRAP_RANCHER_URL"):
        find_values(wanted, here, "stage", None)
    new = {"BOOTSTRAP_RANCHER_URL": "http://new", "BOOTSTRAP_RANCHER_SECRET_KEY": "new"}
    given = find_values(wanted, here | new, "stage", None)

    assert given.values == {"RANCHER_URL": Secret("http://new"), "RANCHER_SECRET_KEY": Secret("new")}
    assert given.hidden == (Secret("new"),)


def test_all_that_are_missing_are_named_at_once_and_nobody_is_asked_for_what_is_set() -> None:
    asked: list[str] = []

    def ask(variable: Variable) -> str:
        asked.append(f"{variable.name}: {variable.about}")
        return "typed"

    with pytest.raises(BadInput, match="not set: KONG_ADMIN_TOKEN, BOOTSTRAP_KONG_ADMIN_URL"):
        find_values([TOKEN, ADMIN], {}, "stage", None)
    given = find_values([TOKEN, ADMIN, ENGINE], {"BOOTSTRAP_KONG_ADMIN_URL": "http://new"}, "stage", ask)

    assert given.values["KONG_ADMIN_TOKEN"] == Secret("typed")
    assert asked == ["KONG_ADMIN_TOKEN: The token."]


def test_a_place_may_be_seen_and_a_password_in_it_may_not() -> None:
    def hidden(url: str) -> tuple[Secret, ...]:
        return find_values([ADMIN], {"BOOTSTRAP_KONG_ADMIN_URL": url}, "stage", None).hidden

    assert hidden("http://kong:8001") == ()
    assert hidden("http://me:pass@kong:8001") == (Secret("http://me:pass@kong:8001"),)
    assert hidden("http://[") == (Secret("http://["),)
    assert find_values([TOKEN], {"KONG_ADMIN_TOKEN": "t"}, "stage", None).hidden == (Secret("t"),)
