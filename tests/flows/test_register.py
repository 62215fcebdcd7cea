from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeline.errors import Failed, GatewayAnswered, Refused
from pipeline.flows.dump import Origin, dump, restore_files
from pipeline.flows.register import CheckPolicy, plan_registration, register
from pipeline.gateways.memory import MemoryFront, MemoryGateway
from pipeline.model.check import NO_ANSWER, Answer, Question
from pipeline.model.manifest import Expect, Verify
from pipeline.model.plan import Change, Verb
from pipeline.model.registration import Checked, Outcome, Registration
from pipeline.model.route import Owner, Route, WantedPlugin, stack_of_upstream


class TestClock:
    __test__ = False

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def route(stack: str = "cities-master-0a1b2c3d", **fields: object) -> Route:
    wanted = Route(
        service="cities", environment="local", stack=stack, uri="/ws/cities", upstream=f"http://proxy.{stack}:80"
    )
    return replace(wanted, **fields)  # type: ignore[arg-type]  # the fields of Route


def reports_stack(upstream: str, question: Question) -> Answer:
    """Stacks that answer OPTIONS as the cities service does."""
    return Answer(status=200, headers={}, body=json.dumps({"stack": stack_of_upstream(upstream)}).encode())


def facts(wanted: Route) -> dict[str, str]:
    return {"stack": wanted.stack, "version": wanted.stack[-8:], "branch": "master"}


class Scene:
    """A gateway, its proxy and a clock."""

    def __init__(self, gateway: MemoryGateway | None = None) -> None:
        self.gateway = gateway or MemoryGateway()
        self.clock = TestClock()
        self.front = MemoryFront(self.gateway, reports_stack)

    def register(
        self,
        wanted: Route,
        *,
        verify: Verify | None = None,
        front: MemoryFront | None = None,
        policy: CheckPolicy | None = None,
    ) -> Registration:
        self.front = front or MemoryFront(self.gateway, reports_stack)
        return register(
            wanted,
            verify=verify or Verify(),
            facts=facts(wanted),
            gateway=self.gateway,
            front=self.front,
            clock=self.clock,
            policy=policy,
        )


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_new_service_is_created_and_verified(scene: Scene) -> None:
    done = scene.register(route())

    assert (done.outcome, done.checked, done.problem) == (Outcome.CREATED, Checked.VERIFIED, None)
    assert (done.upstream_before, done.stack_before) == ("", "")
    assert [change.verb for change in done.changes] == [Verb.CREATE, Verb.CREATE]
    (found,) = scene.gateway.routes()
    assert found.upstream == "http://proxy.cities-master-0a1b2c3d:80"
    assert found.owner == Owner(environment="local", service="cities", stack="cities-master-0a1b2c3d")


def test_a_check_wants_several_right_answers_spread_over_more_than_a_second(scene: Scene) -> None:
    done = scene.register(route())

    assert len(scene.front.asked) == 5
    assert done.seconds >= 1.2


def test_a_wrong_answer_begins_the_count_anew(scene: Scene) -> None:
    scene.register(route("cities-master-11111111"))
    lagging = MemoryFront(scene.gateway, reports_stack, stale=3)

    done = scene.register(route("cities-master-22222222"), front=lagging)

    assert done.verified
    assert len(lagging.asked) >= 3 + 5


def test_answers_that_flap_are_not_believed(scene: Scene) -> None:
    scene.register(route("cities-master-11111111"))
    count = iter(range(1000))

    def flaps(upstream: str, question: Question) -> Answer:
        return reports_stack(upstream if next(count) % 4 else "http://proxy.cities-master-11111111", question)

    with pytest.raises(Failed, match=r"put back: requests go to http://proxy\.cities-master-11111111:80 as before"):
        scene.register(route("cities-master-22222222"), front=MemoryFront(scene.gateway, flaps))


def test_a_release_is_switched_in_one_write(scene: Scene) -> None:
    scene.register(route("cities-master-11111111"))
    writes = scene.gateway.writes

    done = scene.register(route("cities-master-22222222"))

    assert scene.gateway.writes == writes + 1
    assert (done.outcome, done.stack_before, done.stack) == (
        Outcome.SWITCHED,
        "cities-master-11111111",
        "cities-master-22222222",
    )


def test_a_change_that_leaves_the_stack_is_an_update(scene: Scene) -> None:
    scene.register(route())

    done = scene.register(route(uri="/ws/towns"), verify=Verify(path="/ws/towns"))

    assert done.outcome is Outcome.UPDATED


def test_nothing_is_written_and_one_question_asked_when_nothing_differs(scene: Scene) -> None:
    scene.register(route())
    writes = scene.gateway.writes

    done = scene.register(route())

    assert scene.gateway.writes == writes
    assert len(scene.front.asked) == 1
    assert (done.outcome, done.verified, done.changes) == (Outcome.UNCHANGED, True, ())
    assert done.upstream_before == done.upstream


def test_a_wrong_final_answer_puts_the_old_route_back(scene: Scene) -> None:
    scene.register(route("cities-master-11111111"))
    before = dump(scene.gateway)

    def wrong(upstream: str, question: Question) -> Answer:
        return Answer(status=502, headers={}, body=b"An invalid response was received from the upstream server")

    with pytest.raises(Failed) as caught:
        scene.register(route("cities-master-22222222"), front=MemoryFront(scene.gateway, wrong))

    assert dump(scene.gateway) == before
    assert caught.value.exit_code == 1
    assert str(caught.value) == (
        "asked OPTIONS /ws/cities at http://gateway.invalid, "
        'expected status 200, stack = "cities-master-22222222", '
        "was answered status 502: 502 An invalid response was received from the upstream server; "
        "put back: requests go to http://proxy.cities-master-11111111:80 as before"
    )


def test_a_new_route_that_answers_wrongly_is_removed_again(scene: Scene) -> None:
    def wrong(upstream: str, question: Question) -> Answer:
        return Answer(status=200, headers={}, body=b'{"stack": "other"}')

    with pytest.raises(Failed, match=r'was answered stack = "other".*; the new route was removed again'):
        scene.register(route(), front=MemoryFront(scene.gateway, wrong))

    assert scene.gateway.routes() == ()
    assert dump(scene.gateway).entities == ()


def test_a_wrong_answer_when_nothing_differed_puts_nothing_back(scene: Scene) -> None:
    scene.register(route())

    def wrong(upstream: str, question: Question) -> Answer:
        return Answer(status=503, headers={}, body=b"")

    with pytest.raises(Failed, match="status 503: 503 with an empty body; nothing had been changed"):
        scene.register(route(), front=MemoryFront(scene.gateway, wrong))

    assert len(scene.gateway.routes()) == 1


def test_the_check_waits_for_a_stack_that_comes_late(scene: Scene) -> None:
    def late(upstream: str, question: Question) -> Answer:
        if scene.clock.seconds < 20:
            return Answer(status=503, headers={}, body=b"")
        return reports_stack(upstream, question)

    assert scene.register(route(), front=MemoryFront(scene.gateway, late)).verified


def test_a_check_that_nothing_answers_is_said_and_the_switch_stays(scene: Scene) -> None:
    done = scene.register(route(), front=MemoryFront(scene.gateway, reports_stack, unreachable=True))

    assert done.checked is Checked.NOT_VERIFIED
    assert scene.clock.seconds == pytest.approx(5, abs=0.5)
    assert len(scene.gateway.routes()) == 1
    assert done.problem is not None
    assert done.problem.exit_code == 1
    assert "not verified: http://gateway.invalid does not answer" in str(done.problem)


def test_without_an_address_of_the_proxy_nothing_is_verified(scene: Scene) -> None:
    done = register(
        route(), verify=Verify(), facts=facts(route()), gateway=scene.gateway, front=None, clock=scene.clock
    )

    assert done.problem is not None
    assert "no address of the gateway's proxy is set" in str(done.problem)
    assert "KONG_PROXY_URL" in done.problem.hint


def test_a_manifest_that_wants_no_check_is_fine_without_one(scene: Scene) -> None:
    done = register(route(), verify=None, facts={}, gateway=scene.gateway, front=None, clock=scene.clock)

    assert (done.checked, done.problem, done.verified) == (Checked.NOT_WANTED, None, False)


def test_a_proxy_that_stops_answering_after_the_switch_puts_it_back(scene: Scene) -> None:
    class GoesAway(MemoryFront):
        def ask(self, question: Question, *, timeout: float) -> Answer:
            self._unreachable = len(self.asked) >= 2
            return super().ask(question, timeout=timeout)

    with pytest.raises(Failed, match=r"was answered nothing .*; the new route was removed again"):
        scene.register(route(), front=GoesAway(scene.gateway, reports_stack))


def test_a_stack_that_hangs_gets_no_traffic(scene: Scene) -> None:
    def hangs(upstream: str, question: Question) -> Answer:
        return Answer(status=NO_ANSWER, headers={}, body=b"no answer within 10 s")

    with pytest.raises(Failed, match="was answered nothing: no answer within 10 s; the new route was removed again"):
        scene.register(route(), front=MemoryFront(scene.gateway, hangs))


def test_ctrl_c_during_the_check_leaves_nothing_half_registered(scene: Scene) -> None:
    scene.register(route("cities-master-11111111"))
    before = dump(scene.gateway)

    def interrupt(upstream: str, question: Question) -> Answer:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scene.register(route("cities-master-22222222"), front=MemoryFront(scene.gateway, interrupt))

    assert dump(scene.gateway) == before


def test_a_write_that_is_refused_changes_nothing(scene: Scene) -> None:
    scene.gateway.fail_at = 2

    with pytest.raises(
        GatewayAnswered, match="routes cities could not be written: refused – put back as before: services"
    ):
        scene.register(route())

    assert dump(scene.gateway).entities == ()


def test_what_cannot_be_put_back_is_said(scene: Scene) -> None:
    class Stuck(MemoryGateway):
        def revert(self, changes: Sequence[Change]) -> None:
            raise Failed("could not be put back: services cities (gone)", hint="Look.")

    with pytest.raises(Failed, match=r"the changes could not all be put back: could not be put back: services cities"):
        Scene(Stuck()).register(route(), verify=Verify(expect=Expect(status=299)))


def test_a_route_of_the_same_path_that_is_someone_elses_is_refused(scene: Scene) -> None:
    scene.gateway.add_foreign("legacy", "/ws/cities", "http://old.example.com")

    with pytest.raises(Refused) as caught:
        scene.register(route())

    assert caught.value.exit_code == 4
    assert "'legacy', which belongs to someone else" in str(caught.value)
    assert "http://old.example.com" in str(caught.value)
    assert "another uri" in caught.value.hint
    assert scene.gateway.writes == 0


def test_a_route_of_another_of_our_services_is_refused_with_its_name(scene: Scene) -> None:
    scene.register(route(service="towns", stack="towns-master-0a1b2c3d", upstream="http://proxy.towns-master-0a1b2c3d"))

    with pytest.raises(Refused, match="which belongs to service 'towns'"):
        scene.register(route())


@pytest.mark.parametrize(
    ("fields", "meets"),
    [
        ({"hosts": ("a.example.com",)}, False),
        ({"methods": ("GET",)}, False),
        ({"uri": "/ws/cities/x"}, False),
        ({}, True),
    ],
)
def test_only_routes_that_would_answer_the_same_requests_are_in_the_way(
    fields: dict[str, object], meets: bool, scene: Scene
) -> None:
    scene.gateway.add_foreign("legacy", "/ws/cities", "http://old.example.com")

    if meets:
        with pytest.raises(Refused):
            plan_registration(route(**fields), scene.gateway)
    else:
        assert plan_registration(route(**fields), scene.gateway).changes


def test_an_entity_of_our_name_that_is_someone_elses_is_refused(scene: Scene) -> None:
    scene.gateway.add_foreign("cities", "/elsewhere", "http://old.example.com")

    with pytest.raises(Refused, match="'cities' belongs to someone else"):
        scene.register(route())


def test_another_environments_gateway_is_refused(scene: Scene) -> None:
    scene.register(route(environment="review/x", service="towns", uri="/towns"), verify=Verify(path="/towns"))

    with pytest.raises(Refused, match=r"carries the environment review\.x, and local was asked for"):
        scene.register(route())


def test_the_plan_alone_writes_nothing(scene: Scene) -> None:
    plan = plan_registration(route(), scene.gateway)

    assert [str(change) for change in plan.changes] == [
        "create services cities: to http://proxy.cities-master-0a1b2c3d:80",
        "create routes cities: answer /ws/cities",
    ]
    assert scene.gateway.writes == 0


def test_the_hosts_of_a_route_are_asked_for(scene: Scene) -> None:
    scene.register(route(hosts=("api.example.com", "b.example.com")))

    assert scene.front.asked[0].headers == {"Host": "api.example.com"}


LIMIT = WantedPlugin(name="rate-limiting", config={"minute": 5})


def test_plugins_are_part_of_the_plan_and_of_what_a_wrong_answer_puts_back(scene: Scene) -> None:
    scene.register(route("cities-master-11111111", plugins=(LIMIT,)))
    before = dump(scene.gateway)

    def wrong(upstream: str, question: Question) -> Answer:
        return Answer(status=502, headers={}, body=b"")

    changed = route("cities-master-22222222", plugins=(WantedPlugin(name="cors", config={}),))
    plan = plan_registration(changed, scene.gateway)
    with pytest.raises(Failed, match="put back"):
        scene.register(changed, front=MemoryFront(scene.gateway, wrong))

    assert [change.verb for change in plan.changes] == [Verb.CREATE, Verb.DELETE, Verb.UPDATE]
    assert dump(scene.gateway) == before


def test_a_plugin_alone_is_an_update_of_the_route(scene: Scene) -> None:
    scene.register(route())

    done = scene.register(route(plugins=(LIMIT,)))

    assert (done.outcome, [change.kind for change in done.changes]) == (Outcome.UPDATED, ["plugins"])


def test_what_someone_added_by_hand_is_kept_and_told_even_when_nothing_differs(scene: Scene) -> None:
    scene.register(route(plugins=(LIMIT,)))
    scene.gateway.add_foreign_plugin("cities", "key-auth", {})

    unchanged = scene.register(route(plugins=(LIMIT,)))
    switched = scene.register(route("cities-master-22222222", plugins=(LIMIT,)))

    assert (unchanged.outcome, unchanged.changes) == (Outcome.UNCHANGED, ())
    assert [str(step) for step in (*unchanged.kept, *switched.kept)] == [
        "keep plugins cities key-auth: added by hand"
    ] * 2


ORIGIN = Origin(tool_version="1", environment="local", commit="0a1b2c3d" * 5, version="0a1b2c3d")


def test_three_restore_files_are_named_after_service_and_commit(scene: Scene) -> None:
    scene.register(route())

    files = restore_files(dump(scene.gateway), "cities", ORIGIN, library="# library")

    assert [file.path for file in files] == [
        "artifacts/createKongApi.cities.0a1b2c3d.sh",
        "artifacts/createKongApi.0a1b2c3d.sh",
        "artifacts/kong.0a1b2c3d.yaml",
    ]


def test_the_restore_files_of_a_service_that_is_gone_are_not_made(scene: Scene) -> None:
    with pytest.raises(Failed, match="the gateway has no route of cities any more"):
        restore_files(dump(scene.gateway), "cities", ORIGIN, library="# library")
