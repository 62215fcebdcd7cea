"""Deciding and carrying out a deployment, and every way in which it can break off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from pipeline.errors import Failed, PipelineError, Refused, Unreachable
from pipeline.flows.deploy import Attempt, Deployment, Outcome, deploy, judge, plan
from pipeline.model.interpolate import secret_mark
from pipeline.model.secret import Secret
from pipeline.model.stack import Definition, FoundContainer, FoundStack, HealthCheck, Stack, StackService, State
from pipeline.platforms.memory import Behaviour, MemoryEngine, MemoryPlatform
from tests.conftest import SteppingClock

OLD, NEW = "cities-master-00000000", "cities-master-11111111"
HEALTH = HealthCheck(test=("CMD", "true"))


def definition(text: str = "1", *, health: HealthCheck | None = HEALTH, scale: int = 1) -> Definition:
    app = StackService(
        name="app", image="app:1", environment={"TEXT": text, "TOKEN": secret_mark("TOKEN")}, scale=scale
    )
    return Definition(services=(app, StackService(name="proxy", image="proxy:1", health=health)))


def stack(name: str = NEW, wanted: Definition | None = None, *, sameness: str = "new", version: str = "") -> Stack:
    return Stack(
        name=name,
        service="cities",
        environment="local",
        branch="master",
        commit="1" * 40,
        version=version or name[-8:],
        definition=wanted or definition(),
        sameness=sameness,
        labels={},
    )


class Crash(BaseException):
    """What kill -9 is to the code: nothing of it runs any more."""


@dataclass
class Scene:
    """A platform in memory on which OLD runs and serves."""

    clock: SteppingClock = field(default_factory=SteppingClock)
    told: list[str] = field(default_factory=list)
    behaviour: Behaviour = field(default_factory=lambda: Behaviour(healthy_after=2, log=("a line", "another")))

    def __post_init__(self) -> None:
        self.engine = MemoryEngine(clock=self.clock, behave=lambda stack, service: self.behaviour)
        self.platform = MemoryPlatform(self.engine)
        self.run(stack(OLD, definition("old"), sameness="old"))
        self.old = self.names(OLD)
        self.clock.step(100)
        self.told.clear()

    def run(
        self,
        wanted: Stack | None = None,
        *,
        force: bool = False,
        finished: bool = False,
        timeout: float = 20,
        go_on: Callable[[], None] = lambda: None,
    ) -> Deployment:
        wanted = wanted or stack()
        decided = plan(wanted, self.platform.stacks(), force=force)
        attempt = Attempt(
            stack=wanted,
            decided=decided,
            secrets={"TOKEN": Secret("hunter2")},
            timeout=timeout,
            finished=finished,
        )
        return deploy(attempt, self.platform, clock=self.clock, tell=self.told.append, go_on=go_on)

    def names(self, name: str = NEW) -> set[str]:
        return {one.name for one in self.engine.containers.values() if one.stack.name == name}

    def state(self, name: str = NEW) -> str:
        found = next((one for one in self.platform.stacks() if one.name == name), None)
        return found.state if found else "none"

    def stop(self, error: BaseException, after: int, *, for_good: bool = False) -> None:
        """Raises in the place of the call after so many; `for_good`: every later one as well."""
        left = [after]

        def before(_: str) -> None:
            left[0] -= 1
            if left[0] == -1 or (left[0] < 0 and for_good):
                raise error

        self.engine.before = before

    def go_on(self) -> None:
        self.engine.before = lambda _: None


@pytest.fixture
def scene() -> Scene:
    return Scene()


# What is decided


def container(state: State = "healthy", service: str = "app", digest: str = "", **fields: object) -> FoundContainer:
    values = {"id": service, "name": service, "compose_service": service, "image": "i", "created": 10.0}
    return FoundContainer(**values | {"state": state, "digest": digest or definition().digest()} | fields)  # type: ignore[arg-type]


def found(*containers: FoundContainer, name: str = OLD, created: float = 10, **fields: object) -> FoundStack:
    parts = tuple(replace(one, created=created) for one in containers or (container(), container(service="proxy")))
    values = {"service": "cities", "environment": "local", "branch": "master", "commit": "", "version": "0"}
    return FoundStack(**values | {"name": name, "sameness": "new", "containers": parts} | fields)  # type: ignore[arg-type]


OTHER = definition("other").digest()
PLANS: dict[str, tuple[tuple[FoundStack, ...], Outcome, str]] = {
    "nothing runs": ((), Outcome.NEW, NEW),
    "another one runs": ((found(sameness="old"),), Outcome.NEW, NEW),
    "an equal one runs": ((found(),), Outcome.UNCHANGED, OLD),
    "an equal one of another branch": ((found(branch="other"),), Outcome.NEW, NEW),
    "an equal one of another service": ((found(service="towns"),), Outcome.NEW, NEW),
    "an equal one that is not whole": ((found(container()),), Outcome.NEW, NEW),
    "an equal one that is not well": ((found(container("unhealthy"), container()),), Outcome.NEW, NEW),
    "an equal one that is stopped": ((found(container("stopped"), container()),), Outcome.NEW, NEW),
    "an equal one that was not committed": ((found(version="0-dirty"),), Outcome.NEW, NEW),
    "an equal one, and a newer other one": (
        (found(), found(name="cities-master-x", created=20, sameness="old")),
        Outcome.NEW,
        NEW,
    ),
    "an older other one, and an equal newest": (
        (found(sameness="old"), found(name="cities-master-x", created=20)),
        Outcome.UNCHANGED,
        "cities-master-x",
    ),
    "it runs": ((found(name=NEW),), Outcome.SAME, NEW),
    "it runs without health": ((found(container("running"), container("running"), name=NEW),), Outcome.SAME, NEW),
    "it is half there": ((found(container(), name=NEW),), Outcome.COMPLETED, NEW),
    "it was never started": ((found(container(), container("starting"), name=NEW),), Outcome.COMPLETED, NEW),
    "it is stopped": ((found(container("stopped"), container(), name=NEW),), Outcome.COMPLETED, NEW),
    "one of it is done": ((found(container("stopped", once=True), container(), name=NEW),), Outcome.SAME, NEW),
    "its definition changed": (
        (found(container(digest=OTHER), container(digest=OTHER), name=NEW, sameness="old"),),
        Outcome.REPLACED,
        NEW,
    ),
    "in place, the next commit of the same": (
        (found(container(digest=OTHER), container(digest=OTHER), name=NEW),),
        Outcome.UNCHANGED,
        NEW,
    ),
    "it is being replaced": (
        (found(container(digest=OTHER), container(digest=OTHER), container(), name=NEW),),
        Outcome.COMPLETED,
        NEW,
    ),
    "it was replaced but the old is still there": (
        (found(container(), container(service="proxy"), container(digest=OTHER), name=NEW),),
        Outcome.COMPLETED,
        NEW,
    ),
}


@pytest.mark.parametrize("case", PLANS)
def test_the_plan_follows_from_what_runs(case: str) -> None:
    stacks, outcome, name = PLANS[case]

    decided = plan(stack(), stacks, force=False)

    assert (decided.outcome, decided.stack) == (outcome, name)
    assert decided.reason
    assert decided.changes == (outcome not in (Outcome.SAME, Outcome.UNCHANGED))
    assert plan(stack(), stacks[::-1], force=False) == decided


def test_forced_an_equal_stack_is_a_new_release() -> None:
    assert plan(stack(), (found(),), force=True).outcome is Outcome.NEW
    in_place = (found(container(digest=OTHER), container(digest=OTHER), name=NEW),)
    assert plan(stack(), in_place, force=True).outcome is Outcome.REPLACED


def test_a_stack_of_that_name_that_is_another_services_is_refused() -> None:
    with pytest.raises(Refused, match=f"{NEW} is a stack of the service 'cities-master', not of 'cities'") as refused:
        plan(stack(), (found(name=NEW, service="cities-master"),), force=True)

    assert refused.value.exit_code == 4


VERDICTS: dict[str, tuple[tuple[FoundContainer, ...], str, str]] = {
    "both well": ((container(), container(service="proxy")), "ready", ""),
    "without health": ((container("running"), container("running")), "ready", ""),
    "one starts": ((container("starting"), container()), "waiting", "app to become healthy"),
    "one is missing": ((container(),), "waiting", "1 containers to be there"),
    "none is there": ((), "waiting", "2 containers to be there"),
    "others' do not count": ((container("unhealthy", digest=OTHER),), "waiting", "2 containers to be there"),
    "one is unhealthy": ((container("unhealthy"), container()), "failed", "app is unhealthy"),
    "one exited": ((container("stopped", exit_code=137), container()), "failed", "app exited with 137"),
    "one is done": ((container("stopped", once=True), container()), "ready", ""),
    "one is not done well": ((container("stopped", once=True, exit_code=1),), "failed", "app exited with 1"),
    "one restarts": ((container("starting", restarts=2), container()), "waiting", "app to become healthy"),
    "one restarts again and again": (
        (container("starting", restarts=3, exit_code=2), container()),
        "failed",
        "app was restarted 3 times, it exits with 2",
    ),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_a_stack_is_judged_by_its_containers(case: str) -> None:
    containers, verdict, why = VERDICTS[case]

    assert judge(definition(), definition().digest(), found(*containers) if containers else None) == (verdict, why)


# What is done


def test_a_new_stack_is_started_beside_the_old_and_waited_for(scene: Scene) -> None:
    done = scene.run()

    assert done.plan.outcome is Outcome.NEW
    assert (done.found.name, done.found.state) == (NEW, "healthy")
    assert 0 < done.seconds < 2
    assert scene.names(OLD) == scene.old
    assert scene.told == ["waiting for proxy to become healthy"]


def test_deploying_again_changes_nothing(scene: Scene) -> None:
    first = scene.run().found

    assert scene.run().found == first


def test_without_any_health_check_a_stack_has_to_stay_up_for_two_seconds(scene: Scene) -> None:
    done = scene.run(stack(wanted=definition(health=None)))

    assert 2 <= done.seconds < 2.5
    assert scene.told == ["waiting for it to stay up"]


def test_a_stack_that_goes_down_and_comes_up_begins_its_two_seconds_anew(scene: Scene) -> None:
    wanted = stack(wanted=definition(health=None))
    calls = [0]

    def before(doing: str) -> None:
        calls[0] += doing.startswith("observe")
        for one in scene.engine.containers.values():
            if one.stack.name == NEW:
                one.status = "created" if 20 <= calls[0] < 30 else "running"

    scene.engine.before = before

    assert scene.run(wanted).seconds > 3


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (Behaviour(unhealthy_after=3, healthy_after=None, log=("a line",)), "does not run: proxy is unhealthy"),
        (Behaviour(exits_after=1, exit_code=9, log=("a line",)), "does not run: app exited with 9"),
        (Behaviour(healthy_after=None, log=("a line",)), "was not healthy after 20 s, waiting for proxy to become"),
    ],
)
def test_a_new_stack_that_fails_shows_its_log_and_is_removed(scene: Scene, behaviour: Behaviour, why: str) -> None:
    scene.behaviour = behaviour

    with pytest.raises(Failed, match=f"{NEW} {why}") as failed:
        scene.run()

    assert "log is above" in failed.value.hint
    assert scene.names() == set()
    assert scene.names(OLD) == scene.old
    assert any(line.endswith("| a line") for line in scene.told)
    assert scene.told[-1] == f"removing {NEW} again"


def test_a_container_that_is_restarted_again_and_again_fails_the_stack(scene: Scene) -> None:
    scene.behaviour = Behaviour(exits_after=1)
    app = StackService(name="app", image="app:1", restart="always")

    with pytest.raises(Failed, match="app was restarted 3 times"):
        scene.run(stack(wanted=Definition(services=(app,))))

    assert scene.names() == set()


def test_a_changed_definition_replaces_the_old_one_when_it_is_well(scene: Scene) -> None:
    scene.run()
    before = scene.names()

    done = scene.run(stack(wanted=definition("2"), sameness="other"))

    assert done.plan.outcome is Outcome.REPLACED
    assert len(done.found.containers) == 2
    assert not before & scene.names()
    assert scene.told[-1] == f"removing 2 containers of the replaced definition of {NEW}"


def test_a_changed_definition_that_fails_leaves_the_old_one_alone(scene: Scene) -> None:
    scene.run()
    before = scene.names()
    scene.behaviour = Behaviour(unhealthy_after=1, healthy_after=None)

    with pytest.raises(Failed):
        scene.run(stack(wanted=definition("2"), sameness="other"), finished=True)

    assert scene.names() == before
    assert scene.state() == "healthy"


def test_a_stack_that_served_stays_when_its_completion_fails(scene: Scene) -> None:
    scene.run()
    gone = min(scene.names())
    del scene.engine.containers[gone]
    scene.behaviour = Behaviour(exits_after=0, exit_code=1)

    with pytest.raises(Failed):
        scene.run(finished=True)

    assert len(scene.names()) == 1
    assert gone not in scene.names()


def test_a_stack_that_never_served_is_removed_whole_when_its_completion_fails(scene: Scene) -> None:
    scene.behaviour = Behaviour(unhealthy_after=3, healthy_after=None)
    scene.stop(Crash(), after=7, for_good=True)
    with pytest.raises(Crash):
        scene.run()
    scene.go_on()
    assert scene.names()

    with pytest.raises(Failed):
        scene.run()

    assert scene.names() == set()


def test_who_lost_the_lease_leaves_everything_as_it_is(scene: Scene) -> None:
    scene.run()
    before = scene.names()

    def lost() -> None:
        raise Refused("the lease was taken away", hint="Look who has it.")

    with pytest.raises(Refused):
        scene.run(stack(wanted=definition("2"), sameness="other"), go_on=lost)

    assert before < scene.names()


def test_a_log_that_cannot_be_read_hides_neither_the_failure_nor_the_cleaning_up(scene: Scene) -> None:
    scene.behaviour = Behaviour(unhealthy_after=1, healthy_after=None)

    def before(doing: str) -> None:
        if doing.startswith("logs"):
            raise Failed("the log driver cannot read", hint="")

    scene.engine.before = before

    with pytest.raises(Failed, match="proxy is unhealthy"):
        scene.run()

    assert scene.names() == set()
    assert f"cleaning {NEW} up: the log driver cannot read; the next run goes on from here" in scene.told


def calls_of_a_deployment(wanted: Stack, *first: Stack) -> int:
    """How many things the platform does for it."""
    scene = Scene()
    for one in first:
        scene.run(one)
    calls: list[str] = []
    scene.engine.before = calls.append
    scene.run(wanted)
    return len(calls)


CHANGED = stack(wanted=definition("2"), sameness="other")


@pytest.mark.parametrize("after", range(calls_of_a_deployment(stack())))
def test_ctrl_c_at_any_point_leaves_nothing_of_a_new_stack_or_all_of_it(scene: Scene, after: int) -> None:
    scene.stop(KeyboardInterrupt(), after)

    with pytest.raises(KeyboardInterrupt):
        scene.run()

    assert scene.names() == set() or scene.state() == "healthy"
    assert scene.names(OLD) == scene.old
    scene.go_on()
    scene.run()
    assert scene.state() == "healthy"


@pytest.mark.parametrize("after", range(calls_of_a_deployment(stack())))
def test_after_kill_9_at_any_point_the_next_run_completes_what_is_there(scene: Scene, after: int) -> None:
    scene.stop(Crash(), after, for_good=True)
    with pytest.raises(Crash):
        scene.run()
    scene.go_on()
    left = scene.names()

    done = scene.run()

    assert done.plan.outcome in (Outcome.NEW, Outcome.COMPLETED, Outcome.SAME)
    assert (scene.state(), len(scene.names())) == ("healthy", 2)
    assert left <= scene.names()
    assert scene.names(OLD) == scene.old


@pytest.mark.parametrize("after", range(calls_of_a_deployment(CHANGED, stack())))
def test_after_kill_9_while_a_definition_is_replaced_the_next_run_completes_it(scene: Scene, after: int) -> None:
    scene.run()
    before = scene.names()
    scene.stop(Crash(), after, for_good=True)
    with pytest.raises(Crash):
        scene.run(CHANGED)
    scene.go_on()
    assert scene.names()

    scene.run(CHANGED)

    assert (scene.state(), len(scene.names())) == ("healthy", 2)
    assert not before & scene.names()


@pytest.mark.parametrize("after", range(calls_of_a_deployment(CHANGED, stack())))
def test_ctrl_c_while_a_definition_is_replaced_never_leaves_less_than_a_whole_one(scene: Scene, after: int) -> None:
    scene.run()
    scene.stop(KeyboardInterrupt(), after)

    with pytest.raises(KeyboardInterrupt):
        scene.run(CHANGED)

    scene.go_on()
    digests = [one.digest for one in scene.engine.containers.values() if one.stack.name == NEW]
    assert max(digests.count(digest) for digest in digests) == 2
    scene.run(CHANGED)
    assert (scene.state(), len(scene.names())) == ("healthy", 2)


@pytest.mark.parametrize("after", range(calls_of_a_deployment(stack())))
def test_an_engine_that_dies_at_any_point_is_unreachable_and_the_next_run_completes(scene: Scene, after: int) -> None:
    scene.stop(Unreachable("the engine does not answer", hint="Start it."), after, for_good=True)

    with pytest.raises(Unreachable, match="the engine does not answer"):
        scene.run()

    scene.go_on()
    scene.run()
    assert (scene.state(), len(scene.names())) == ("healthy", 2)
    assert scene.names(OLD) == scene.old


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Crash(), Unreachable("gone", hint="")])
def test_breaking_off_again_and_again_ends_with_a_whole_stack(error: BaseException) -> None:
    scene = Scene()
    for after in range(30):
        scene.stop(error, after, for_good=not isinstance(error, KeyboardInterrupt))
        try:
            scene.run()
        except (KeyboardInterrupt, Crash, PipelineError):
            continue
        finally:
            scene.go_on()

    scene.run()

    assert (scene.state(), len(scene.names())) == ("healthy", 2)


def test_secrets_reach_the_containers_and_nothing_that_is_told(scene: Scene) -> None:
    scene.behaviour = Behaviour(healthy_after=2)
    done = scene.run()

    mine = [one for one in scene.engine.containers.values() if one.stack.name == NEW and one.service.name == "app"]
    assert [one.environment["TOKEN"] for one in mine] == ["hunter2"]
    assert "hunter2" not in repr(done) + "".join(scene.told)
    assert "hunter2" not in repr(Attempt(stack=stack(), decided=done.plan, secrets={"T": Secret("hunter2")}, timeout=1))


def test_a_thousand_stacks_are_planned_from_in_one_look(scene: Scene) -> None:
    for number in range(1000):
        scene.platform.start(stack(f"cities-b-{number:08}", definition(health=None)), {"TOKEN": Secret("x")})
    calls: list[str] = []
    scene.engine.before = calls.append

    stacks = scene.platform.stacks()

    assert len(stacks) == 1001
    assert calls == ["list"]
