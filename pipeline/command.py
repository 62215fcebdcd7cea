"""The border of a verb: failures become two lines and an exit code, Ctrl-C becomes 130, results of several one code."""

from __future__ import annotations

import functools
import gc
import logging
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task

from pipeline.errors import Failed, Interrupted, PipelineError

PENDING = 2


def verb(body: Callable[..., int | None]) -> Callable[..., None]:
    """Ends the process as docs/contract.md says; a verb gives 0 (or nothing), or 2 for pending changes."""

    @functools.wraps(body)
    def run(*args: Any, **flags: Any) -> None:
        if code := outcome(functools.partial(body, *args, **flags)):
            raise Exit(code=code)

    return run


def outcome(body: Callable[[], int | None]) -> int:
    """Runs a command; its failures are told in two lines. The process's exit code."""
    # A command makes more objects by loading its modules than by its work: looking for cycles after every 700 of them
    # costs a tenth of a short run.
    gc.set_threshold(50_000, 20, 20)
    previous = _terminate_as_interrupt()
    try:
        return body() or 0
    except PipelineError as error:
        return _tell(error)
    except KeyboardInterrupt:
        return _tell(Interrupted("interrupted", hint="Nothing is half done; the next run goes on from here."))
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`): there is nobody left to tell.
        sys.stderr.close()
        return 0
    except Exception as error:  # noqa: BLE001 - the top: a mistake of ours ends in two lines as well
        what = f"a mistake in this toolkit: {type(error).__name__}: {error}"
        return _tell(Failed(what, hint="Run it again as `invoke --debug …` and report what that shows."))
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


class _OptionalArgument(Argument):
    """A positional argument that a flag can stand in for: with `instead` given, it is not asked for.

    Invoke takes words for a positional argument until it has a value, and ends with an error when it has none.
    """

    instead: Argument | None = None

    @property
    def value(self) -> Any:
        found = self._value if self._value is not None else self.default
        return "" if found is None and self.instead is not None and self.instead.value else found

    @value.setter
    def value(self, given: str) -> None:
        self.set_value(given, cast=True)


class TaskWithFile(Task[Any]):
    """A task whose positional argument `file` may be left out when its flag `latest` is given."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        found = {argument.name: argument for argument in super().get_arguments(ignore_unknown_help)}
        file = found["file"]
        optional = _OptionalArgument(names=file.names, default=None, help=file.help, positional=True)
        optional.instead = found["latest"]
        return [optional if argument is file else argument for argument in found.values()]


def _tell(error: PipelineError) -> int:
    from pipeline.wiring import open_session

    if _debugging():
        traceback.print_exc()
    open_session().console.error(error)
    return error.exit_code


def _debugging() -> bool:
    """Invoke's own --debug raises the level of its logger."""
    return logging.getLogger("invoke").isEnabledFor(logging.DEBUG)


def _terminate_as_interrupt() -> Any:
    """GitLab ends a cancelled job with SIGTERM: it is Ctrl-C to us. None where signals cannot be set."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        return signal.signal(signal.SIGTERM, interrupt)
    except ValueError:
        return None
