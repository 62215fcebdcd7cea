"""One verb for several services: one that fails does not stop the others, and the end says which did."""

from __future__ import annotations

import re
from collections.abc import Callable

from invoke.context import Context

from pipeline.command import PENDING
from pipeline.errors import BadInput, Failed, PipelineError
from pipeline.verbs.ci_job import checking, reporting
from pipeline.wiring import Session, Work


def checks_only(c: Context, check: bool) -> bool:
    """--check, or Invoke's own --dry."""
    return check or bool(c.config.run.dry)


def parse_number(flag: str, text: str, *, least: int) -> int:
    """A flag's number. Flags are texts to Invoke, which ends in a traceback where one of its numbers is none."""
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < least:
        raise BadInput(f"{flag} {text!r} should be a number from {least} on", hint=f"For example {flag} {least + 1}.")
    return int(text)


def for_each(session: Session, do: Callable[[Work], bool], *, verb: str = "") -> int:
    """Calls `do` for every selected service; it gives True for pending changes (--check). The exit code is 2 when
    there are some. With one service its own error comes through, with several a list of those that failed. In a GitLab
    job `verb` has a section and a report."""
    if not verb:
        return _each(session, do)
    with reporting(session, verb) as report:

        def do_and_tell(work: Work) -> bool:
            with checking(session, report, work):
                return do(work)

        return _each(session, do_and_tell)


def _each(session: Session, do: Callable[[Work], bool]) -> int:
    works = session.works
    if len(works) == 1:
        return PENDING if do(works[0]) else 0
    pending, failed = False, []
    for work in works:
        try:
            pending = do(work) or pending
        except PipelineError as error:
            session.console.error(error, prefix=work.release.service)
            failed.append(work.release.service)
    if failed:
        raise Failed(
            f"{len(failed)} of {len(works)} services failed: {', '.join(failed)}",
            hint="The reasons are above; the others are done. Run it again with -s for each of these.",
        )
    return PENDING if pending else 0
