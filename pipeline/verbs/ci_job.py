"""What a verb adds in a GitLab job: sections in the log, and the reports that GitLab reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from pipeline.edge.files import write_file
from pipeline.errors import PipelineError
from pipeline.model.build_report import dotenv_path
from pipeline.model.ci import hosts_of
from pipeline.model.ci_log import section_end, section_start
from pipeline.model.ci_report import (
    Case,
    dotenv,
    dotenv_file,
    dotenv_lines,
    junit,
    junit_file,
    log_file,
    service_values,
)
from pipeline.wiring import Session, Work


@dataclass(kw_only=True)
class JobReport:
    """The cases of one verb, where its services are after it, and what was told of those that failed. Outside of GitLab
    it is written by nobody."""

    verb: str
    told: list[str] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    places: list[bytes] = field(default_factory=list)


@contextmanager
def reporting(session: Session, verb: str) -> Iterator[JobReport]:
    """For the body; its files are written also when it ends with an error."""
    report = JobReport(verb=verb)
    try:
        yield report
    finally:
        if session.settings.in_ci:
            write_file(session.root / junit_file(verb), junit(verb, report.cases))
            write_file(session.root / dotenv_file(verb), dotenv(report.places))
            if report.told:
                write_file(session.root / log_file(verb), "\n".join((*report.told, "")).encode())


@contextmanager
def planning(session: Session, verb: str) -> Iterator[None]:
    """For a body that decides for all services at once: what ends it is the report's one case."""
    try:
        yield
    except PipelineError as error:
        with reporting(session, verb) as report:
            failure = session.console.masked(f"{error.what}\n{error.hint}")
            report.cases.append(Case(service=verb, name="it is known what to do", seconds=0, failure=failure))
        raise


@contextmanager
def section(session: Session, name: str, title: str) -> Iterator[None]:
    """Folds what the body tells, in GitLab's log."""
    if not session.settings.in_ci:
        yield
        return
    session.console.tell(section_start(name, title, now=session.clock.now()))
    try:
        yield
    finally:
        session.console.tell(section_end(name, now=session.clock.now()))


@contextmanager
def checking(session: Session, report: JobReport, work: Work) -> Iterator[None]:
    """One service of the verb: a section, a case, and its place when it went well."""
    service = work.release.service
    started = session.clock.monotonic()
    failure = ""
    told: list[str] = []
    try:
        # All images are built at once, and have had their section then.
        with (
            nullcontext()
            if report.verb == "build"
            else section(session, f"{report.verb}_{service}", f"{report.verb} {service}"),
            session.console.keeping() as told,
        ):
            yield
        if session.settings.in_ci:
            report.places.append(_place(session, report, work))
    except PipelineError as error:
        failure = session.console.masked(f"{error.what}\n{error.hint}")
        report.told += [f"== {service}", *told, failure]
        raise
    finally:
        seconds = session.clock.monotonic() - started
        name = _CHECKS.get(report.verb, report.verb)
        report.cases.append(Case(service=service, name=name, seconds=seconds, failure=failure))


_CHECKS = {
    "build": "its images are built",
    "deploy": "its stack is healthy",
    "register": "the gateway answers from its stack",
}


def _place(session: Session, report: JobReport, work: Work) -> bytes:
    """Of a build its images' digests; else where the service is. The first one's also without its name, because
    `environment: url` needs one that every repository has."""
    settings, service = session.settings, work.release.service
    if report.verb == "build":
        built = session.root / dotenv_path(service)
        return built.read_bytes() if built.exists() else b""
    stack = session.deployed.get(service, work.release.stack)
    host = next(iter(hosts_of(work.manifest, settings.hosts, work.release.environment)), "")
    values = service_values(stack, work.manifest.uri, host, settings.gateway.proxy)
    own = dotenv_lines(service, values)
    return own if report.places else dotenv_lines("pipeline", values) + own
