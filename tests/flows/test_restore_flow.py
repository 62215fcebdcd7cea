from __future__ import annotations

import pytest

from pipeline.errors import BadInput, Failed, Refused
from pipeline.flows.restore import Manner, apply, plan, refuse_other_environment
from pipeline.gateways.memory import MemoryGateway
from pipeline.model.restoration import Act, Scope, Step
from pipeline.model.route import Entity, GatewayIdentity, GatewayState, Route
from pipeline.model.secret import Secret
from pipeline.model.secret_fields import Variable


def made(*services: str) -> MemoryGateway:
    gateway = MemoryGateway()
    for name in services:
        wanted = Route(
            service=name, environment="local", stack=f"{name}-x", uri=f"/{name}", upstream=f"http://proxy.{name}-x"
        )
        gateway.apply(gateway.plan(wanted))
    gateway.writes = 0
    return gateway


def test_a_lost_gateway_comes_back_and_a_second_run_writes_nothing() -> None:
    wanted, gateway = made("cities", "towns").dump(), MemoryGateway()

    restoration = apply(plan(wanted, gateway, Scope()), gateway, Manner())

    assert restoration.summary() == "created 4, changed 0, deleted 0, put back 0, left 0, refused 0"
    assert restoration.problem is None
    assert gateway.dump().entities == wanted.entities
    assert not plan(wanted, gateway, Scope()).pending


def test_after_an_error_nothing_more_is_begun_and_the_summary_says_what_holds() -> None:
    wanted = made("cities").dump()
    gateway = MemoryGateway(fail_at=2)

    restoration = apply(plan(wanted, gateway, Scope()), gateway, Manner())

    assert restoration.summary() == "created 1, changed 0, deleted 0, put back 0, left 1, refused 0"
    assert isinstance(restoration.problem, Failed)
    assert "routes cities could not be restored" in restoration.problem.what
    assert len(gateway.dump().entities) == 1


def test_with_keep_going_the_rest_is_done() -> None:
    wanted = made("a", "b", "c").dump()
    gateway = MemoryGateway(fail_at=4)

    restoration = apply(plan(wanted, gateway, Scope()), gateway, Manner(keep_going=True))

    assert restoration.summary() == "created 5, changed 0, deleted 0, put back 0, left 1, refused 0"
    assert len(gateway.dump().entities) == 5


def test_transactional_leaves_the_old_state() -> None:
    gateway = made("cities", "towns")
    before, wanted = gateway.dump(), made("cities", "villages").dump()
    gateway.fail_at = 2

    restoration = apply(plan(wanted, gateway, Scope(exact=True)), gateway, Manner(transactional=True))

    assert gateway.dump() == before
    assert (len(restoration.put_back), len(restoration.left)) == (1, 1)
    assert restoration.done == ()


def test_ctrl_c_puts_everything_back_when_it_is_transactional() -> None:
    gateway = MemoryGateway()
    wanted = made("cities").dump()

    class Interrupted(MemoryGateway):
        def write(self, step: Step) -> None:
            gateway.write(step)
            if step.entity.kind == "routes":
                raise KeyboardInterrupt

        def undo(self, step: Step) -> None:
            gateway.undo(step)

    with pytest.raises(KeyboardInterrupt):
        apply(plan(wanted, gateway, Scope()), Interrupted(), Manner(transactional=True))

    assert gateway.dump().entities == ()


def test_a_gateway_that_takes_no_changes_is_refused_only_when_there_are_some() -> None:
    wanted, gateway = made("cities").dump(), MemoryGateway(read_only=True)

    with pytest.raises(Refused):
        apply(plan(wanted, gateway, Scope()), gateway, Manner())
    empty = plan(MemoryGateway().dump(), gateway, Scope())
    assert apply(empty, gateway, Manner()).problem is None


def test_opposite_manners_are_refused() -> None:
    gateway = MemoryGateway()

    with pytest.raises(BadInput, match="opposite"):
        apply(plan(gateway.dump(), gateway, Scope()), gateway, Manner(keep_going=True, transactional=True))


HASHED = Entity(kind="basic-auths", id="b", name="ann", body={"username": "ann", "password": Variable("NEW_PASSWORD")})


def state(*entities: Entity) -> GatewayState:
    return GatewayState(identity=GatewayIdentity(product="kong", version="2.8.5"), entities=entities)


def test_a_refused_credential_is_counted_named_and_the_rest_goes_on() -> None:
    gateway = MemoryGateway()
    wanted = state(*made("cities").dump().entities, HASHED)

    restoration = apply(plan(wanted, gateway, Scope()), gateway, Manner())

    assert restoration.summary() == "created 2, changed 0, deleted 0, put back 0, left 0, refused 1"
    assert restoration.problem is not None
    assert "basic-auths ann" in restoration.problem.what


def test_what_could_not_be_put_back_is_not_deleted_by_a_transaction() -> None:
    gateway = MemoryGateway()
    kept = Entity(kind="basic-auths", id="b", name="ann", body={"username": "ann", "password": Secret("hash")})
    gateway.write(Step(act=Act.CREATE, entity=kept))

    with pytest.raises(Refused, match="basic-auths ann would be deleted"):
        apply(plan(state(), gateway, Scope(exact=True, everything=True)), gateway, Manner(transactional=True))

    assert gateway.dump().entities == (kept,)


@pytest.mark.parametrize(
    ("wanted", "found", "words"),
    [
        ("stage", (), "the file is of the environment stage"),
        ("", ("stage",), "this gateway carries the environment stage"),
    ],
)
def test_another_environment_is_refused(wanted: str, found: tuple[str, ...], words: str) -> None:
    with pytest.raises(Refused, match=words):
        refuse_other_environment(wanted, "local", found)


def test_the_own_environment_and_a_file_of_none_are_taken() -> None:
    refuse_other_environment("local", "local", ("local",))
    refuse_other_environment("", "local", ())
