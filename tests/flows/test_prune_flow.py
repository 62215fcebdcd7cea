"""A plan carried out in memory: order, the gateway read again before each step, interruptions, what is said."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from pipeline.errors import Failed, Refused
from pipeline.flows.lease import Hold, holding_those
from pipeline.flows.prune import Hands, Pruned, agreed, apply
from pipeline.flows.survey import Sources, survey
from pipeline.gateways.memory import MemoryGateway
from pipeline.gateways.memory_custody import MemoryCustody
from pipeline.ledgers.memory import MemoryLeases, MemoryRecords
from pipeline.model.prune import PrunePlan, plan_prune
from pipeline.model.prune_rules import PrunePolicy
from pipeline.model.record import Record, lease_name
from pipeline.model.route import Route
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import Definition, Stack, StackService
from pipeline.model.surroundings import FoundImage
from pipeline.platforms.memory import MemoryEngine, MemoryPlatform
from pipeline.platforms.memory_upkeep import MemoryUpkeep
from tests.conftest import SteppingClock

HOUR = 3600.0


@dataclass
class Estate:
    """An environment in memory, to which cities is released again and again."""

    clock: SteppingClock = field(default_factory=SteppingClock)

    def __post_init__(self) -> None:
        self.engine = MemoryEngine(clock=self.clock)
        self.gateway = MemoryGateway()
        self.records = MemoryRecords(self.clock)
        self.leases = MemoryLeases(self.clock)
        self.told: list[str] = []
        self.log: list[str] = []
        self.engine.before = self.log.append

    def release(self, number: int, *, service: str = "cities", registered: bool = True) -> str:
        name, version = f"{service}-master-{number:08}", f"{number:08}"
        definition = Definition(services=(StackService(name="proxy", image=f"sha256:{name}"),))
        stack = Stack(
            name=name,
            service=service,
            environment="stage",
            branch="master",
            commit=version * 5,
            version=version,
            definition=definition,
            sameness=name,
            labels={},
        )
        MemoryPlatform(self.engine, "stage").start(stack, {})
        size = 1_000_000
        self.engine.kept[f"sha256:{name}"] = FoundImage(id=f"sha256:{name}", service=service, stack=name, size=size)
        facts = {"service": service, "environment": "stage", "stack": name, "version": version, "branch": "master"}
        self.records.append(Record(verb="deploy", images={"proxy": f"sha256:{name}"}, **facts))  # type: ignore[arg-type]
        if registered:
            self.register(name, service)
            self.records.append(Record(verb="register", route_after=f"http://proxy.{name}", **facts))  # type: ignore[arg-type]
        self.clock.step(HOUR * 2)
        return name

    def register(self, name: str, service: str = "cities") -> None:
        wanted = Route(
            service=service, environment="stage", stack=name, uri=f"/ws/{service}", upstream=f"http://proxy.{name}"
        )
        self.gateway.apply(self.gateway.plan(wanted))

    def snapshot(self) -> Snapshot:
        sources = Sources(
            platform=lambda: MemoryPlatform(self.engine, "stage"),
            gateway=lambda: self.gateway,
            upkeep=lambda: MemoryUpkeep(self.engine, "stage"),
            custody=lambda: MemoryCustody(self.gateway),
            records=lambda: self.records,
            branches=lambda: frozenset(),
        )
        return survey("stage", sources)

    def plan(self, **policy: float) -> tuple[Snapshot, PrunePlan]:
        snapshot = self.snapshot()
        return snapshot, plan_prune(snapshot, PrunePolicy(**policy))  # type: ignore[arg-type]  # fields of it

    def prune(self, **policy: float) -> Pruned:
        snapshot, plan = self.plan(**policy)
        return self.apply(plan, snapshot)

    def apply(self, plan: PrunePlan, snapshot: Snapshot, holds: Mapping[str, Hold] | None = None) -> Pruned:
        names = {service: lease_name("stage", service) for service in plan.services}
        with holding_those(self.leases, names, holder="test", tell=self.told.append) as own:
            return apply(plan, snapshot, self.hands(holds or own))

    def hands(self, holds: Mapping[str, Hold]) -> Hands:
        return Hands(
            gateway=self.gateway,
            custody=MemoryCustody(self.gateway),
            upkeep=MemoryUpkeep(self.engine, "stage"),
            records=self.records,
            holds=holds,
            record=lambda service: Record(verb="prune", service=service, environment="stage"),
            tell=self.told.append,
            at_once=2,
        )

    @property
    def stacks(self) -> dict[str, str]:
        return {stack.name: stack.state for stack in MemoryPlatform(self.engine, "stage").stacks()}


@pytest.fixture
def estate() -> Estate:
    return Estate()


def test_what_releases_left_behind_goes_with_its_images_and_the_way_back_stays(estate: Estate) -> None:
    names = [estate.release(number) for number in range(1, 6)]

    done = estate.prune()

    assert sorted(done.removed) == names[:3]
    assert estate.stacks == dict.fromkeys(names[3:], "running")
    assert set(estate.engine.kept) == {f"sha256:{name}" for name in names[3:]}
    assert done.space == 3_000_000
    written = [(one.stack, one.outcome) for one in estate.records.all() if one.verb == "prune"]
    assert sorted(written) == [(name, "remove: serves nothing any more, and newer ones are kept") for name in names[:3]]


def test_in_its_grace_time_a_stack_is_only_stopped_and_removed_by_a_later_run(estate: Estate) -> None:
    names = [estate.release(number) for number in range(1, 4)]

    first = estate.prune(grace=HOUR * 5)
    assert (first.stopped, first.removed, first.images) == ([names[0]], [], [])
    assert estate.stacks[names[0]] == "stopped"
    again = estate.prune(grace=HOUR * 5)
    assert (again.stopped, again.removed) == ([], [])
    estate.clock.step(HOUR * 5)
    last = estate.prune(grace=HOUR * 5)

    assert (last.removed, names[0] in estate.stacks) == ([names[0]], False)


def test_a_second_run_does_nothing(estate: Estate) -> None:
    for number in range(1, 5):
        estate.release(number)
    estate.prune()
    estate.log.clear()

    _, plan = estate.plan()
    done = estate.prune()

    assert not plan.pending
    assert (done.removed, done.stopped, done.images, done.routes) == ([], [], [], [])
    assert not [one for one in estate.log if one.startswith(("stop", "remove"))]


def test_a_route_that_is_edited_by_hand_in_the_middle_spares_its_stack(estate: Estate) -> None:
    names = [estate.release(number) for number in range(1, 6)]
    snapshot, plan = estate.plan()

    def before(doing: str) -> None:
        # While the first is removed, somebody sends the route to the one whose turn comes next.
        if doing.startswith(f"stop {names[0]}"):
            estate.register(names[2])

    estate.engine.before = before
    names_of = {"cities": lease_name("stage", "cities")}
    with holding_those(estate.leases, names_of, holder="test", tell=estate.told.append) as holds:
        done = apply(plan, snapshot, replace(estate.hands(holds), at_once=1))

    assert done.spared == {
        names[2]: "the route cities leads to it now",
        f"sha256:{names[2]}"[:19]: "a container has it",
    }
    assert estate.stacks[names[2]] == "running"
    assert sorted(done.removed) == [names[0], names[1]]


def test_each_stack_is_looked_for_in_a_reading_of_the_gateway_that_began_after_its_turn_came(estate: Estate) -> None:
    for number in range(1, 9):
        estate.release(number)
    snapshot, plan = estate.plan()
    read: list[int] = []
    routes = estate.gateway.routes

    class Counted(MemoryGateway):
        def routes(self):  # type: ignore[no-untyped-def]
            read.append(len(estate.stacks))
            return routes()

    gateway = Counted()
    names = {"cities": lease_name("stage", "cities")}
    with holding_those(estate.leases, names, holder="test", tell=estate.told.append) as holds:
        apply(plan, snapshot, replace(estate.hands(holds), gateway=gateway, at_once=1))

    assert read == [8, 7, 6, 5, 4, 3]


def test_threads_that_ask_at_once_share_a_reading(estate: Estate) -> None:
    from pipeline.flows.fresh_routes import FreshRoutes

    name = estate.release(1)
    stack = estate.snapshot().stacks[0]
    entered, go = threading.Event(), threading.Event()

    class Slow(MemoryGateway):
        def routes(self):  # type: ignore[no-untyped-def]
            entered.set()
            assert go.wait(5)
            return estate.gateway.routes()

    fresh = FreshRoutes(estate.snapshot(), Slow(), MemoryCustody(estate.gateway))
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(fresh.reaching(stack)))) for _ in range(6)]
    threads[0].start()
    assert entered.wait(5)
    for thread in threads[1:]:
        thread.start()
    time.sleep(0.2)
    go.set()
    for thread in threads:
        thread.join()

    assert found == [1] * 6, name
    assert fresh.readings == 2


def test_routes_of_ours_that_lead_nowhere_go_first_and_whatever_leads_somewhere_again_is_spared(
    estate: Estate,
) -> None:
    estate.release(1)
    estate.release(1, service="towns")
    estate.engine.containers = {
        name: one for name, one in estate.engine.containers.items() if one.stack.service != "towns"
    }
    snapshot, plan = estate.plan()
    assert [dead.reason for dead in plan.routes] == ["/ws/towns leads to towns-master-00000001, which is gone"]

    done = estate.apply(plan, snapshot)
    again = estate.apply(plan, snapshot)

    assert done.routes == ["towns"]
    assert [route.name for route in estate.gateway.routes()] == ["cities"]
    assert again.spared == {"towns": "it leads somewhere now, or is gone"}


def test_a_step_that_fails_does_not_stop_the_others_and_the_next_run_goes_on(estate: Estate) -> None:
    names = [estate.release(number) for number in range(1, 6)]

    def stuck(doing: str) -> None:
        if doing.startswith(f"remove {names[1]}"):
            raise Failed("the engine is busy", hint="Try again.")

    estate.engine.before = stuck
    done = estate.prune()
    assert (sorted(done.removed), list(done.failed)) == ([names[0], names[2]], [names[1]])
    estate.engine.before = lambda _: None

    assert estate.prune().removed == [names[1]]


def test_an_interruption_leaves_a_state_from_which_the_next_run_ends_the_same(estate: Estate) -> None:
    names = [estate.release(number) for number in range(1, 7)]

    def interrupt(doing: str) -> None:
        if doing.startswith(f"remove {names[1]}"):
            raise KeyboardInterrupt

    estate.engine.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        estate.prune()
    estate.engine.before = lambda _: None
    estate.prune()

    assert sorted(estate.stacks) == names[4:]
    assert estate.leases.all() == ()


def test_a_lease_that_was_taken_away_stops_every_further_step(estate: Estate) -> None:
    for number in range(1, 5):
        estate.release(number)
    snapshot, plan = estate.plan()
    names = {"cities": lease_name("stage", "cities")}

    with holding_those(estate.leases, names, holder="test", tell=estate.told.append) as holds:
        estate.leases.break_(lease_name("stage", "cities"))
        holds["cities"].renew()
        done = apply(plan, snapshot, estate.hands(holds))

    assert (done.removed, len(estate.stacks)) == ([], 4)
    assert all(isinstance(error, Refused) for error in done.failed.values())


def test_services_that_somebody_is_changing_are_left_out(estate: Estate) -> None:
    estate.leases.take(lease_name("stage", "cities"), holder="ada", seconds=60)
    names = {service: lease_name("stage", service) for service in ("cities", "towns")}

    with holding_those(estate.leases, names, holder="test", tell=estate.told.append) as holds:
        assert list(holds) == ["towns"]
        assert len(estate.leases.all()) == 2

    assert estate.told == ["cities: left alone, it is being changed by ada"]
    assert [lease.holder for lease in estate.leases.all()] == ["ada"]


def test_only_what_was_shown_and_still_holds_is_done(estate: Estate) -> None:
    names = [estate.release(number) for number in range(1, 5)]
    _, shown = estate.plan()
    names.append(estate.release(5))
    _, now = estate.plan()

    both = agreed(shown, now)

    assert {one.stack.name for one in now.stacks if one.fate == "remove"} == set(names[:3])
    assert {one.stack.name for one in both.stacks if one.fate == "remove"} == set(names[:2])


def test_another_environment_on_the_engine_is_not_touched(estate: Estate) -> None:
    for number in range(1, 5):
        estate.release(number)
    theirs = Stack(
        name="cities-master-00000001",
        service="cities",
        environment="production",
        branch="master",
        commit="",
        version="00000001",
        definition=Definition(services=(StackService(name="proxy", image="sha256:cities-master-00000001"),)),
        sameness="",
        labels={},
    )
    MemoryPlatform(estate.engine, "production").start(theirs, {})

    done = estate.prune()

    assert [one.name for one in MemoryPlatform(estate.engine, "production").stacks()] == ["cities-master-00000001"]
    assert "sha256:cities-master-00000001" in estate.engine.kept
    assert "cities-master-00000001" in done.removed
