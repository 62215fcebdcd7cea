"""lab: a gateway and a Rancher to practise on, on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pipeline
from pipeline.builders.base import Making, Sought
from pipeline.edge.http import Access, HttpFront
from pipeline.errors import BadInput, Failed, PipelineError, Refused, Unreachable
from pipeline.model.check import Question
from pipeline.model.clock import Deadline
from pipeline.model.image import COMPOSE_SERVICE_LABEL, SERVICE_LABEL, BuiltImage, Recipe
from pipeline.verbs.report import print_document
from pipeline.wiring import Session, open_session

_IMAGE = "invoke-pipeline"
_START_SECONDS = 30.0


def up(environment: str | None, *, rancher: bool) -> int:
    session = open_session((), environment)
    name = session.require_environment()
    tell = session.console.teller("lab")
    session.lab.require_here()
    image = lab_image(session)
    if rancher:
        started = session.lab_rancher.up(image)
        _wait_for_rancher(session)
        tell(f"the Rancher of {name} {_done(started)}: RANCHER_URL={session.lab_rancher.url}, without a key")
    changed = session.lab.up(image, with_rancher=rancher or session.lab_rancher.state().running)
    _wait(session)
    state = session.lab.state()
    tell(f"the gateway of {name} {_done(changed)}, for practice and local work only")
    tell(f"admin {state.admin}, proxy {state.proxy}")
    return 0


def down(environment: str | None, *, state: bool) -> int:
    session = open_session((), environment)
    rancher = session.lab_rancher.down(state=state)
    there = session.lab.down(state=state)
    kept = "its state is gone" if state else "its state is kept"
    session.console.tell(f"lab: {f'stopped, {kept}' if there else 'was not up'}")
    if rancher:
        stacks = "its stacks are gone" if state else "its stacks run on"
        session.console.tell(f"lab: the Rancher stopped, {stacks}")
    return 0


def status(environment: str | None, *, json: bool) -> int:
    session = open_session((), environment)
    found, rancher = session.lab.state(), session.lab_rancher.state()
    document = {
        "schema_version": 1,
        "environment": found.environment,
        "running": found.running,
        "container": found.container,
        "image": found.image,
        "admin": found.admin,
        "proxy": found.proxy,
        "rancher": {
            "running": rancher.running,
            "container": rancher.container,
            "image": rancher.image,
            "url": rancher.url,
        },
    }
    lines = [f"{found.container}: {_runs(found.running)}, admin {found.admin}, proxy {found.proxy}"]
    if rancher.image:
        lines.append(f"{rancher.container}: {_runs(rancher.running)}, {rancher.url}")
    print_document(session, document, lines, json=json, jq="")
    return 0


def _done(changed: bool) -> str:
    return "is up" if changed else "was up already"


def _runs(running: bool) -> str:
    return "runs" if running else "does not run"


def lab_image(session: Session) -> str:
    """The id of the toolkit's image as it is now, built when the engine does not have it."""
    return _image(session, _recipe(session)).id


def _image(session: Session, recipe: Recipe) -> BuiltImage:
    sources = session.builder.sources([recipe])[0]
    if isinstance(sources, PipelineError):
        raise sources
    found = session.images.find([Sought(recipe=recipe, fingerprint=sources.fingerprint)])[0].same
    if found is not None:
        return found
    session.console.teller("lab")("building the toolkit's image")
    return session.builder.build(recipe, Making(sources=sources), session.console.tell).image


def is_checkout() -> bool:
    """Whether this package lies in a checkout of the toolkit, from which its image can be built."""
    return (_root() / "ci" / "Dockerfile").exists()


def _root() -> Path:
    return Path(pipeline.__file__).resolve().parent.parent


def _recipe(session: Session) -> Recipe:
    """The toolkit's own image, from the checkout that this package lies in."""
    root = _root()
    if not is_checkout():
        raise BadInput(
            f"{root} is not a checkout of the toolkit, so its image cannot be built here",
            hint="Run `invoke lab.up` from a clone of the toolkit's repository (`pip install -e` it).",
        )
    return Recipe(
        service=_IMAGE,
        compose_service=_IMAGE,
        labels={SERVICE_LABEL: _IMAGE, COMPOSE_SERVICE_LABEL: _IMAGE},
        reference=f"{_IMAGE}:lab",
        context=str(root),
        dockerfile=str(root / "ci" / "Dockerfile"),
        machine_args=session.settings.build_args,
        key="ci/Dockerfile",
    )


class LabRuns(Protocol):
    """Whether a lab runs."""

    @property
    def running(self) -> bool: ...


class Lab(Protocol):
    """A lab as a container."""

    def state(self) -> LabRuns: ...

    def last_words(self) -> str: ...


def until_it_answers(session: Session, lab: Lab, ask: Callable[[], object], *, name: str, hint: str) -> None:
    """Until `ask` is not Unreachable. Failed, with the lab's last words, when it stopped or takes too long."""
    deadline = Deadline(session.clock, _START_SECONDS)
    while True:
        try:
            ask()
            return
        except Unreachable as error:
            if deadline.passed or not lab.state().running:
                session.console.tell(lab.last_words())
                raise Failed(
                    f"{name} does not answer after {_START_SECONDS:g} s: {error.what}",
                    hint=f"Its last words are above; {hint}",
                ) from error
        deadline.pause(0.1)


def _wait(session: Session) -> None:
    again = "`invoke lab.down lab.up` starts it anew."
    until_it_answers(session, session.lab, session.gateway.identity, name="the lab gateway", hint=again)


def _wait_for_rancher(session: Session) -> None:
    lab = session.lab_rancher
    front = HttpFront(Access(url=lab.url), clock=session.clock)

    def ask() -> None:
        if front.ask(Question(method="GET", path="/ping", headers={}), timeout=5).status != 200:
            raise Refused(
                f"something else than the lab Rancher answers at {lab.url}", hint="RANCHER_URL chooses another port."
            )

    again = "`invoke lab.down lab.up --rancher` starts it anew."
    until_it_answers(session, lab, ask, name="the lab Rancher", hint=again)
