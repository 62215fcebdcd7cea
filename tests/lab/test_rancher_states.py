"""Actions by state: what is offered in each state of a stack and a service, and that nothing else is taken."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rancher_support import P, Rancher

from pipeline.lab.rancher.running import Lab, running_rancher

# As Rancher 1.6 has them, written down here a second time.
STACK = {
    "requested": "create remove",
    "activating": "remove error",
    "active": "update upgrade remove",
    "updating-active": "remove",
    "upgrading": "cancelupgrade rollback remove",
    "upgraded": "finishupgrade rollback remove",
    "finishing-upgrade": "cancelupgrade remove",
    "canceling-upgrade": "remove",
    "canceled-upgrade": "upgrade rollback remove",
    "rolling-back": "remove",
    "erroring": "remove",
    "error": "remove",
    "removing": "",
    "removed": "",
}
STACK_ALWAYS = "addoutputs exportconfig activateservices deactivateservices"
SERVICE = {
    "registering": "remove",
    "inactive": "activate update upgrade remove",
    "activating": "update deactivate upgrade remove",
    "active": "update deactivate upgrade restart remove",
    "updating-active": "update deactivate upgrade remove",
    "updating-inactive": "deactivate remove",
    "deactivating": "remove",
    "restarting": "activate deactivate remove",
    "upgrading": "update cancelupgrade rollback remove",
    "upgraded": "finishupgrade rollback remove",
    "finishing-upgrade": "update cancelupgrade remove",
    "canceling-upgrade": "update remove",
    "canceled-upgrade": "continueupgrade rollback remove",
    "rolling-back": "update remove",
    "removing": "",
    "removed": "",
}
SERVICE_ALWAYS = "setservicelinks addservicelink removeservicelink"
RESTING = {"requested", "active", "upgraded", "canceled-upgrade", "removed", "inactive"}
STACK_ACTIONS = {*" ".join(STACK.values()).split(), *STACK_ALWAYS.split()}
SERVICE_ACTIONS = {*" ".join(SERVICE.values()).split(), *SERVICE_ALWAYS.split()}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_rancher() as running:
        yield running


def in_state(lab: Lab, table: str, state: str) -> None:
    """Puts row 1 of a table into a state, without a process behind it."""
    row = lab.state.store.get(table, 1)
    assert row is not None
    lab.call(lambda: lab.state.store.put(row, state=state, _error=state == "error"))


@pytest.mark.parametrize("state", STACK)
def test_a_stack_offers_the_actions_of_its_state_and_refuses_the_others(lab: Lab, state: str) -> None:
    rancher = Rancher(lab)
    if lab.state.store.get("stack", 1) is None:
        rancher.stack()
    in_state(lab, "stack", state)
    wanted = {*STACK[state].split(), *STACK_ALWAYS.split()}

    stack = rancher.get(f"{P}/stacks/1st1")

    assert set(stack["actions"]) == wanted
    assert stack["transitioning"] == ("error" if state == "error" else "no" if state in RESTING else "yes")
    for action in STACK_ACTIONS - wanted:
        assert rancher.act(stack, action).error == (422, "ActionNotAvailable", "action"), action


@pytest.mark.parametrize("state", SERVICE)
def test_a_service_offers_the_actions_of_its_state_and_refuses_the_others(lab: Lab, state: str) -> None:
    rancher = Rancher(lab)
    if lab.state.store.get("service", 1) is None:
        rancher.service(rancher.stack("other"))
    in_state(lab, "service", state)
    wanted = {*SERVICE[state].split(), *SERVICE_ALWAYS.split()}

    service = rancher.get(f"{P}/services/1s1")

    assert set(service["actions"]) == wanted
    assert service["transitioning"] == ("no" if state in RESTING else "yes")
    for action in SERVICE_ACTIONS - wanted:
        assert rancher.act(service, action).error == (422, "ActionNotAvailable", "action"), action


def test_an_action_url_carries_a_slash_before_the_query_and_works_without_it(lab: Lab) -> None:
    rancher = Rancher(lab)
    stack = rancher.stack("slashes")

    assert stack["actions"]["exportconfig"] == f"{lab.url}{P}/stacks/{stack['id']}/?action=exportconfig"
    assert rancher.ask("POST", f"{P}/stacks/{stack['id']}?action=exportconfig").status == 200


def test_an_action_that_the_type_does_not_have_is_another_error(lab: Lab) -> None:
    rancher = Rancher(lab)

    assert rancher.act(rancher.stack("unknown"), "fly").error == (422, "InvalidAction", "action")


def test_a_process_answers_202_and_a_handler_200(lab: Lab) -> None:
    rancher = Rancher(lab)
    stack = rancher.stack("codes")

    assert rancher.act(stack, "addoutputs", {"outputs": {"a": "1"}}).status == 200
    assert rancher.act(stack, "activateservices").status == 200
    assert rancher.act(stack, "upgrade", {}).status == 202
