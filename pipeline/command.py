"""The border of a verb: failures become two lines and an exit code, Ctrl-C becomes 130, results of several one code."""

from __future__ import annotations

import functools
import gc
import itertools
import logging
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.parser.context import translate_underscores as to_flag_name
from invoke.tasks import Task

from pipeline.errors import Failed, Interrupted, PipelineError

PENDING = 2


def verb(body: Callable[..., int | None]) -> Callable[..., None]:
    """Ends the process as docs/contract.md says; a verb gives 0 (or nothing), or 2 for pending changes."""

    def begun(*args: Any, **flags: Any) -> int | None:
        if environment := environment_of_chain(sys.argv[1:], body.__name__.replace("_", ".", 1)):
            from pipeline.wiring import open_session

            open_session((), environment)
        return body(*args, **flags)

    @functools.wraps(body)
    def run(*args: Any, **flags: Any) -> None:
        if code := outcome(functools.partial(begun, *args, **flags)):
            raise Exit(code=code)

    return run


def environment_of_chain(words: Sequence[str], task: str) -> str:
    """The environment that one task of a chain names for all: in `invoke build deploy register -e stage` Invoke tells
    the first two nothing of it, and they would build and deploy for another one. Empty where none or several are named.
    """
    after = list(words[words.index(task) + 1 :]) if task in words else []
    named = {word.partition("=")[2] for word in after if word.startswith("--environment=")}
    named |= {word[2:].removeprefix("=") for word in after if word.startswith("-e") and len(word) > len("-e")}
    named |= {value for flag, value in itertools.pairwise(after) if flag in ("-e", "--environment")}
    return named.pop() if len(named) == 1 else ""


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


class TaskWithFile(Task[Any]):
    """A task whose positional argument `file` may be left out.

    Invoke takes any word for a positional argument that has no value, `--help` as well, and ends with an error of its
    own when none comes. So the argument has a value, the empty one, when what was typed holds no file.
    """

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        found = super().get_arguments(ignore_unknown_help)
        flags = {name for one in found if one.takes_value for name in _flags(one)}
        typed = sys.argv[sys.argv.index(self.name) + 1 :] if self.name in sys.argv else []
        for one in found:
            if one.name == "file" and not _holds_word(typed, flags):
                one.value = ""
        return found


def _flags(argument: Argument) -> list[str]:
    return [f"-{name}" if len(name) == 1 else f"--{name}" for name in map(to_flag_name, argument.names)]


def _holds_word(typed: list[str], with_values: set[str]) -> bool:
    """Whether there is a word that is neither a flag nor the value of one."""
    before = ["", *typed]
    return any(not word.startswith("-") and flag not in with_values for flag, word in zip(before, typed, strict=False))


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
