"""Several things at once: each starts when what it needs is done, at most so many at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from pipeline.errors import PipelineError
from pipeline.model.cancel import Cancellation

Result = TypeVar("Result")
_LOOK_UP_SECONDS = 0.2


def run_all(
    jobs: Mapping[str, Callable[[], Result]],
    needs: Mapping[str, tuple[str, ...]],
    *,
    at_once: int,
    cancellation: Cancellation,
    fail_fast: bool,
) -> dict[str, Result | PipelineError]:
    """Runs every job, after those that it `needs`, and gives each one's result or failure, in the jobs' order.

    A job that needs a failed one is not run (its own failure names the first). `fail_fast` cancels the others after a
    failure. Ctrl-C and a mistake of ours cancel all, wait for them to end, and are raised. One at a time runs in the
    calling thread."""
    done: dict[str, Result | PipelineError] = {}
    if at_once <= 1 or len(jobs) == 1:
        for key, job in jobs.items():
            done[key] = _outcome(job, key, needs[key], done, cancellation)
            if fail_fast and isinstance(done[key], PipelineError):
                cancellation.cancel()
        return done
    workers: _Workers[Result] = _Workers(min(at_once, len(jobs)))
    try:
        waiting, running = list(jobs), 0
        while waiting or running:
            for key in [key for key in waiting if all(needed in done for needed in needs[key])]:
                waiting.remove(key)
                running += 1
                workers.give(key, partial(_outcome, jobs[key], key, needs[key], dict(done), cancellation))
            key, outcome = workers.take()
            running -= 1
            done[key] = outcome
            if fail_fast and isinstance(outcome, PipelineError):
                cancellation.cancel()
    except BaseException:
        cancellation.cancel()
        raise
    finally:
        workers.end()
    return {key: done[key] for key in jobs}


class _Workers(Generic[Result]):
    """Threads that take one job after the other. Ours, because an executor forgets the thread that it is just starting
    when Ctrl-C comes in between: here all are waited for."""

    def __init__(self, count: int) -> None:
        self._jobs: SimpleQueue[tuple[str, Callable[[], Result | PipelineError]] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[tuple[str, Result | PipelineError | BaseException]] = SimpleQueue()
        self._threads = [Thread(target=self._work, name=f"job {number}", daemon=True) for number in range(count)]

    def give(self, key: str, job: Callable[[], Result | PipelineError]) -> None:
        self._jobs.put((key, job))
        idle = next((thread for thread in self._threads if thread.ident is None), None)
        if idle is not None:
            idle.start()

    def take(self) -> tuple[str, Result | PipelineError]:
        """The next that is done. Raises what a job raised that is no failure of ours.

        It looks up again and again, because a Ctrl-C right before a wait does not end that wait."""
        while True:
            with suppress(Empty):
                key, outcome = self._outcomes.get(timeout=_LOOK_UP_SECONDS)
                break
        if isinstance(outcome, BaseException) and not isinstance(outcome, PipelineError):
            raise outcome
        return key, outcome

    def end(self) -> None:
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _work(self) -> None:
        while (given := self._jobs.get()) is not None:
            key, job = given
            try:
                self._outcomes.put((key, job()))
            except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that waits
                self._outcomes.put((key, error))


def _outcome(
    job: Callable[[], Result],
    key: str,
    needs: tuple[str, ...],
    done: Mapping[str, Result | PipelineError],
    cancellation: Cancellation,
) -> Result | PipelineError:
    for needed in needs:
        if isinstance(error := done[needed], PipelineError):
            return _Needed(f"{key} was not made, because it is made from {needed}", hint=_FIRST, because=error)
    try:
        cancellation.check()
        return job()
    except PipelineError as error:
        return error


_FIRST = "Mend that one first; its reason is told as well."


class _Needed(PipelineError):
    """What it needs failed: it ends with that one's exit code."""

    def __init__(self, what: str, *, hint: str, because: PipelineError) -> None:
        super().__init__(what, hint=hint)
        self.exit_code = because.exit_code
