"""What records and leases do, in memory, on the real engine and on a lab Rancher."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

import pytest

from pipeline.edge.engine import open_engine
from pipeline.errors import Refused
from pipeline.ledgers.base import Leases, Records
from pipeline.ledgers.docker import DockerLeases, DockerRecords
from pipeline.ledgers.memory import MemoryLeases, MemoryRecords
from pipeline.ledgers.rancher import RancherLeases, RancherRecords
from pipeline.model.record import Record, lease_name
from tests.conftest import SteppingClock
from tests.contracts.platform_scenes import HERE, EngineScene
from tests.contracts.rancher_scene import RancherScene, rancher_scene

if TYPE_CHECKING:
    from docker import APIClient

HOSTILE = 'feature/"; rm -rf $HOME; "\n\x00\x1b[2J Düsseldorf 日本 \\ / ../.. ${X}'


class Place(Protocol):
    """Where ledgers are kept; each call opens one of its own, as another run would."""

    def leases(self) -> Leases: ...

    def records(self) -> Records: ...

    def pass_time(self, seconds: float) -> None: ...


class MemoryPlace:
    def __init__(self) -> None:
        self.clock = SteppingClock()
        self._leases, self._records = MemoryLeases(self.clock), MemoryRecords(self.clock)

    def leases(self) -> Leases:
        return self._leases

    def records(self) -> Records:
        return self._records

    def pass_time(self, seconds: float) -> None:
        self.clock.step(seconds)


class EnginePlace(EngineScene):
    def client_of_its_own(self) -> APIClient:
        client = open_engine(HERE)
        self.others.append(client)
        return client

    def leases(self) -> Leases:
        return DockerLeases(self.client_of_its_own(), HERE, self.environment)

    def records(self) -> Records:
        return DockerRecords(self.client_of_its_own(), HERE, self.environment)

    def pass_time(self, seconds: float) -> None:
        time.sleep(seconds)


class RancherPlace:
    def __init__(self, scene: RancherScene) -> None:
        self.scene = scene

    def leases(self) -> Leases:
        return RancherLeases(self.scene.client(), self.scene.environment, self.scene.clock)

    def records(self) -> Records:
        return RancherRecords(self.scene.client(), self.scene.environment, self.scene.clock)

    def pass_time(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.fixture(params=["memory", "rancher", pytest.param("engine", marks=pytest.mark.engine)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "memory":
        yield MemoryPlace()
        return
    if request.param == "rancher":
        with rancher_scene() as scene:
            yield RancherPlace(scene)
        return
    found = EnginePlace(request.getfixturevalue("engine_client"), "", SteppingClock())
    try:
        yield found
    finally:
        found.destroy()


@pytest.fixture
def name() -> str:
    return lease_name(f"t-{uuid.uuid4().hex[:8]}", "cities")


def at_once(count: int, do: Callable[[int], object]) -> None:
    """Calls `do` in so many threads that start together."""
    barrier = threading.Barrier(count)
    problems: list[Exception] = []

    def run(number: int) -> None:
        try:
            barrier.wait()
            do(number)
        except Exception as problem:  # noqa: BLE001 - it is looked at below
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_a_lease_is_taken_once_and_says_who_has_it(place: Place, name: str) -> None:
    lease = place.leases().take(name, holder="ada", seconds=60)

    assert lease is not None
    assert place.leases().take(name, holder="bob", seconds=60) is None
    assert place.leases().take(name, holder="ada", seconds=60) is None
    found = place.leases().find(name)
    assert found is not None
    assert (found.name, found.holder, found.token, found.expired) == (name, "ada", lease.token, False)
    assert 55 <= found.expires - found.taken <= 61
    assert [one.token for one in place.leases().all()] == [lease.token]
    place.leases().release(lease)


def test_a_lease_that_is_given_up_can_be_taken_and_giving_it_up_twice_changes_nothing(place: Place, name: str) -> None:
    first = place.leases().take(name, holder="ada", seconds=60)
    assert first is not None
    place.leases().release(first)
    second = place.leases().take(name, holder="bob", seconds=60)
    assert second is not None

    place.leases().release(first)

    found = place.leases().find(name)
    assert found is not None
    assert found.holder == "bob"
    place.leases().release(second)
    assert place.leases().find(name) is None
    assert place.leases().all() == ()


def test_a_lease_that_is_not_renewed_runs_out_and_is_taken_over(place: Place, name: str) -> None:
    old = place.leases().take(name, holder="died", seconds=1)
    assert old is not None
    place.pass_time(2.1)
    found = place.leases().find(name)
    assert found is not None
    assert found.expired

    new = place.leases().take(name, holder="bob", seconds=60)

    assert new is not None
    assert place.leases().renew(old, seconds=60) is None
    place.leases().release(old)
    still = place.leases().find(name)
    assert still is not None
    assert still.token == new.token
    place.leases().release(new)


def test_a_renewed_lease_goes_on(place: Place, name: str) -> None:
    lease = place.leases().take(name, holder="ada", seconds=2)
    assert lease is not None

    renewed = place.leases().renew(lease, seconds=60)

    assert renewed is not None
    assert renewed.expires > lease.expires
    place.pass_time(2.1)
    assert place.leases().take(name, holder="bob", seconds=60) is None
    place.leases().release(renewed)


def test_a_lease_that_has_run_out_cannot_be_renewed_even_if_nobody_took_it(place: Place, name: str) -> None:
    lease = place.leases().take(name, holder="ada", seconds=1)
    assert lease is not None

    place.pass_time(2.1)

    assert place.leases().renew(lease, seconds=60) is None
    place.leases().release(lease)


def test_a_broken_lease_is_lost_to_its_holder_and_free(place: Place, name: str) -> None:
    lease = place.leases().take(name, holder="ada", seconds=60)
    assert lease is not None

    broken = place.leases().break_(name)

    assert broken is not None
    assert broken.holder == "ada"
    assert place.leases().break_(name) is None
    assert place.leases().renew(lease, seconds=60) is None
    again = place.leases().take(name, holder="bob", seconds=60)
    assert again is not None
    place.leases().release(again)


def test_of_several_that_take_a_lease_at_once_exactly_one_has_it(place: Place, name: str) -> None:
    runs = [place.leases() for _ in range(4)]
    taken: list[object] = []

    at_once(4, lambda number: taken.append(runs[number].take(name, holder=f"run {number}", seconds=60)))

    assert len([lease for lease in taken if lease is not None]) == 1
    place.leases().break_(name)


def test_of_several_that_take_over_an_expired_lease_at_once_exactly_one_has_it(place: Place, name: str) -> None:
    assert place.leases().take(name, holder="died", seconds=0.5) is not None
    place.pass_time(1.6)
    runs = [place.leases() for _ in range(4)]
    taken: list[object] = []

    at_once(4, lambda number: taken.append(runs[number].take(name, holder=f"run {number}", seconds=60)))

    assert len([lease for lease in taken if lease is not None]) == 1
    place.leases().break_(name)


def test_two_services_have_two_leases(place: Place, name: str) -> None:
    one, other = (place.leases().take(f"{name}{ending}", holder="ada", seconds=60) for ending in "ab")

    assert one is not None
    assert other is not None
    assert {lease.name for lease in place.leases().all()} == {f"{name}a", f"{name}b"}
    for lease in (one, other):
        place.leases().release(lease)


def test_a_holders_hostile_name_is_a_text(place: Place, name: str) -> None:
    lease = place.leases().take(name, holder=HOSTILE.replace("\x00", ""), seconds=60)

    assert lease is not None
    found = place.leases().find(name)
    assert found is not None
    assert found.holder == HOSTILE.replace("\x00", "")
    place.leases().release(lease)


def record(**fields: object) -> Record:
    return Record(**{"verb": "deploy", "service": "cities", "environment": "local"} | fields)  # type: ignore[arg-type]


def test_there_are_no_records_at_first(place: Place) -> None:
    assert place.records().all() == ()


def test_a_record_is_kept_whole_with_the_platforms_time(place: Place) -> None:
    wanted = record(
        actor=HOSTILE,
        branch=HOSTILE,
        images={"app": "sha256:1"},
        definition='{"a":"${X}"}',
        seconds=1.25,
        pipeline_iid=7,
        at=5.0,
    )

    kept = place.records().append(wanted)

    assert kept.at > 1_600_000_000
    assert place.records().all() == (kept,)
    assert (kept.actor, kept.images, kept.definition, kept.seconds) == (
        HOSTILE,
        wanted.images,
        wanted.definition,
        wanted.seconds,
    )


def test_records_are_in_the_order_in_which_they_were_appended(place: Place) -> None:
    for number in range(6):
        place.records().append(record(pipeline_iid=number))

    assert [one.pipeline_iid for one in place.records().all()] == list(range(6))


def test_appending_the_same_twice_keeps_two(place: Place) -> None:
    place.records().append(record())
    place.records().append(record())

    assert len(place.records().all()) == 2


def test_records_of_several_runs_at_once_are_all_kept(place: Place) -> None:
    runs = [place.records() for _ in range(4)]

    at_once(4, lambda number: [runs[number].append(record(pipeline_iid=10 * number + turn)) for turn in range(3)])

    found = place.records().all()
    assert sorted(one.pipeline_iid for one in found) == [10 * run + turn for run in range(4) for turn in range(3)]
    for run in range(4):
        mine = [one.pipeline_iid for one in found if one.pipeline_iid // 10 == run]
        assert mine == sorted(mine)
    assert [one.at for one in found] == sorted(one.at for one in found)


@pytest.fixture
def engine_place(engine_client: APIClient) -> Iterator[EnginePlace]:
    found = EnginePlace(engine_client, "", SteppingClock())
    try:
        yield found
    finally:
        found.destroy()


def test_a_lease_runs_out_by_the_engines_clock_and_not_by_ours(
    engine_place: EnginePlace, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = engine_place.leases().take(name, holder="ada", seconds=60)
    assert lease is not None

    for shift in (-86400.0, 86400.0):
        real = time.time()
        monkeypatch.setattr(time, "time", lambda now=real + shift: now)
        found = engine_place.leases().find(name)
        assert found is not None
        assert not found.expired
        assert engine_place.leases().take(name, holder="bob", seconds=60) is None
        assert abs(engine_place.records().append(record()).at - real) < 60
        monkeypatch.undo()


def test_records_outlive_a_clean_up_of_stopped_containers(engine_place: EnginePlace, engine_client: APIClient) -> None:
    engine_place.records().append(record(pipeline_iid=1))
    keeper = f"pipeline-records-{engine_place.environment}"
    # What `docker container prune` does to it; the real one would take other people's containers as well.
    engine_client.remove_container(keeper)

    assert [one.pipeline_iid for one in engine_place.records().all()] == [1]
    engine_client.remove_container(keeper)
    engine_place.records().append(record(pipeline_iid=2))
    assert [one.pipeline_iid for one in engine_place.records().all()] == [1, 2]


def test_a_record_that_cannot_be_read_is_shown_and_hides_no_other(engine_place: EnginePlace) -> None:
    engine_place.records().append(record(pipeline_iid=1))
    records = engine_place.records()
    assert isinstance(records, DockerRecords)
    volume = f"pipeline-records-{engine_place.environment}"
    records._keeper.write(volume, "/ledger", "0000000000001.000000-broken.json", b'{"verb": "dep')

    broken, whole = engine_place.records().all()

    assert (broken.verb, broken.outcome) == ("unreadable", f"{volume}: ledger/0000000000001.000000-broken.json")
    assert whole.pipeline_iid == 1


def test_environments_whose_names_look_alike_have_records_of_their_own(engine_place: EnginePlace) -> None:
    slashed = engine_place.environment.replace("-", "/")
    assert lease_name(slashed, "cities") != lease_name(engine_place.environment, "cities")
    engine_place.environments.append(slashed.replace("/", "_"))
    engine_place.environments.append(slashed)
    other = DockerRecords(engine_place.client_of_its_own(), HERE, slashed)

    engine_place.records().append(record(pipeline_iid=1))
    other.append(record(pipeline_iid=2))

    assert [one.pipeline_iid for one in engine_place.records().all()] == [1]
    assert [one.pipeline_iid for one in other.all()] == [2]


def test_a_container_that_only_has_a_leases_name_is_refused(
    engine_place: EnginePlace, engine_client: APIClient, name: str, image: str
) -> None:
    made = engine_client.create_container(image, command=["true"], name=f"pipeline-lease-{name}")
    engine_place.foreign.append(made["Id"])

    with pytest.raises(Refused, match=f"a container pipeline-lease-{name} that is no lease"):
        engine_place.leases().take(name, holder="ada", seconds=60)
