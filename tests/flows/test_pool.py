"""Several things at once: in which order, how many, and how it ends when one of them fails."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import Failed, Interrupted, PipelineError, Unreachable
from pipeline.flows.pool import run_all
from pipeline.model.cancel import Cancellation


def ran(
    jobs: dict[str, Callable[[], str]],
    needs: dict[str, tuple[str, ...]] | None = None,
    *,
    at_once: int = 2,
    fail_fast: bool = False,
    cancellation: Cancellation | None = None,
) -> dict[str, str | PipelineError]:
    needed = {key: (needs or {}).get(key, ()) for key in jobs}
    found = cancellation or Cancellation()
    return run_all(jobs, needed, at_once=at_once, cancellation=found, fail_fast=fail_fast)


def failing() -> str:
    raise Failed("broken", hint="Mend it.")


@settings(deadline=None)
@given(st.data(), st.integers(1, 4))
def test_each_runs_once_and_after_all_that_it_needs(data: st.DataObject, at_once: int) -> None:
    count = data.draw(st.integers(1, 8))
    keys = [f"k{number}" for number in range(count)]
    needs = {
        key: tuple(data.draw(st.lists(st.sampled_from(keys[:number]), unique=True)) if number else ())
        for number, key in enumerate(keys)
    }
    order: list[str] = []

    def job(key: str) -> Callable[[], str]:
        return lambda: order.append(key) or key

    results = ran({key: job(key) for key in keys}, needs, at_once=at_once)

    assert list(results.items()) == [(key, key) for key in keys]
    assert sorted(order) == keys
    assert all(order.index(needed) < order.index(key) for key in keys for needed in needs[key])


def test_no_more_run_at_once_than_were_asked_for() -> None:
    lock, running, most = threading.Lock(), 0, 0

    def job() -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return "done"

    ran({f"k{number}": job for number in range(8)}, at_once=3)

    assert most == 3


def test_one_at_a_time_runs_in_the_calling_thread() -> None:
    results = ran({"a": lambda: threading.current_thread().name, "b": lambda: "b"}, at_once=1)

    assert results["a"] == threading.current_thread().name


@pytest.mark.parametrize("at_once", [1, 2])
def test_what_needs_a_failed_one_is_not_run_and_ends_with_its_code(at_once: int) -> None:
    def lost() -> str:
        raise Unreachable("gone", hint="Start it.")

    results = ran({"a": lost, "b": lambda: "b", "c": lambda: "c"}, {"b": ("a",), "c": ("b",)}, at_once=at_once)

    assert [str(result) for result in results.values()] == [
        "gone",
        "b was not made, because it is made from a",
        "c was not made, because it is made from b",
    ]
    assert {result.exit_code for result in results.values() if isinstance(result, PipelineError)} == {5}


def test_the_others_go_on_after_a_failure_unless_told_otherwise() -> None:
    jobs = {"a": failing, "b": lambda: "b", "c": lambda: "c"}

    patient, hasty = ran(jobs, at_once=1), ran(jobs, at_once=1, fail_fast=True)

    assert [patient["b"], patient["c"]] == ["b", "c"]
    assert [type(hasty[key]) for key in "abc"] == [Failed, Interrupted, Interrupted]


def test_a_cancelled_run_wakes_up_who_waits() -> None:
    cancellation = Cancellation()
    waiting, woken = threading.Event(), threading.Event()

    def patient() -> str:
        with cancellation.waking(woken.set):
            waiting.set()
            assert woken.wait(20)
            cancellation.check()
        return "never"

    def broken() -> str:
        assert waiting.wait(20)
        return failing()

    results = ran({"a": patient, "b": broken}, fail_fast=True, cancellation=cancellation)

    assert isinstance(results["a"], Interrupted)


def test_who_begins_to_wait_after_the_end_is_woken_at_once() -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    woken: list[str] = []

    with cancellation.waking(lambda: woken.append("up")):
        assert woken == ["up"]


def test_ctrl_c_ends_all_and_is_raised_when_they_have_ended() -> None:
    cancellation = Cancellation()
    ended: list[str] = []
    started = threading.Barrier(3, timeout=20)

    def job() -> str:
        woken = threading.Event()
        with cancellation.waking(woken.set):
            started.wait()
            assert woken.wait(20)
        ended.append("ended")
        cancellation.check()
        return "never"

    def interrupt() -> None:
        started.wait()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()

    with pytest.raises(KeyboardInterrupt):
        ran({"a": job, "b": job}, cancellation=cancellation)

    assert ended == ["ended", "ended"]
