"""What a team sets of our pipeline: one table, for the template's variables and for the component's inputs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import BadInput

VERSION = "0.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One setting. Its variable is PIPELINE_ and its name; `options` are all that it can be, empty for any text that
    fits `fits`."""

    name: str
    default: str
    about: str
    options: tuple[str, ...] = ()
    fits: str = r"[^\r\n]*"

    @property
    def variable(self) -> str:
        return f"PIPELINE_{self.name.upper()}"

    @property
    def is_switch(self) -> bool:
        return self.options == ("true", "false")


INPUTS = (
    Input(name="image", default=f"invoke-pipeline:{VERSION}", about="The toolkit's image, of one version", fits=r"\S+"),
    Input(name="docker", default="28.5.1", about="Version of the engine that builds (docker:…-dind)", fits=r"[0-9.]+"),
    Input(name="stage_branch", default="", about="The branch that is released to stage; empty for the default branch"),
    Input(name="production_branch", default="production", about="The branch that is released to production"),
    Input(name="build", default="true", about="Whether images are built here", options=("true", "false")),
    Input(name="stage", default="true", about="Whether there is a stage", options=("true", "false")),
    Input(
        name="production",
        default="true",
        about="Whether there is a production; manual waits for a click before each deployment",
        options=("true", "manual", "false"),
    ),
    Input(
        name="bootstrap",
        default="true",
        about="Whether a registration in production is fed back into the scripts that rebuild it",
        options=("true", "false"),
    ),
    Input(
        name="review_domain",
        default="",
        about="Other branches get <slug>.<this domain>; empty: they are only built",
        fits=r"[a-zA-Z0-9.-]*",
    ),
    Input(
        name="review_stops_in", default="1 week", about="When a review nobody touches is stopped", fits=r"[a-z0-9 ]+"
    ),
    Input(name="registry_mirror", default="", about="URL that pulls from Docker Hub go through", fits=r"\S*"),
    Input(name="ca_certificate", default="", about="Text (PEM) of a CA to trust as well", fits=r"[^\x00]*"),
)


def with_values(given: Mapping[str, str]) -> tuple[Input, ...]:
    """The inputs with these in place of their defaults. Raises BadInput for one that is not there or does not fit."""
    known = {one.name: one for one in INPUTS}
    for name, value in given.items():
        if name not in known:
            raise BadInput(f"there is no input {name!r}", hint=f"Known: {', '.join(known)}.")
        if not _fits(known[name], value):
            allowed = ", ".join(known[name].options) or f"text like {known[name].default or 'registry.example.com'!r}"
            raise BadInput(f"{name}={value!r} cannot be used", hint=f"{known[name].about}: {allowed}.")
    return tuple(
        Input(
            name=one.name,
            default=given.get(one.name, one.default),
            about=one.about,
            options=one.options,
            fits=one.fits,
        )
        for one in INPUTS
    )


def parse_pairs(pairs: tuple[str, ...]) -> dict[str, str]:
    """`name=value` words by name. Raises BadInput for one that is none."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadInput(
                f"--set {pair!r} is not name=value", hint="For example --set review_domain=review.example.com."
            )
        found[name] = value
    return found


def variables_block(inputs: tuple[Input, ...]) -> str:
    """As the top-level `variables` of a file that is included."""
    lines = (f"  # {one.about}.\n  {one.variable}: {_quoted(one.default)}\n" for one in inputs)
    return "variables:\n" + "".join(lines)


def component_header(inputs: tuple[Input, ...]) -> str:
    """As the typed inputs of a component, each handed on as the same variable."""
    lines = ["spec:\n  inputs:\n"]
    for one in inputs:
        kind, default = ("boolean", one.default) if one.is_switch else ("string", _quoted(one.default))
        lines.append(f"    {one.name}:\n      description: {_quoted(one.about)}\n      type: {kind}\n")
        lines.append(f"      default: {default}\n")
        if one.options and not one.is_switch:
            lines.append(f"      options: [{', '.join(_quoted(option) for option in one.options)}]\n")
    # Quoted: a variable is text, and an empty input would leave nothing.
    handed_on = (f'  {one.variable}: "$[[ inputs.{one.name} ]]"\n' for one in inputs)
    return "".join(lines) + "---\nvariables:\n" + "".join(handed_on)


def _fits(one: Input, value: str) -> bool:
    return value in one.options if one.options else bool(re.fullmatch(one.fits, value))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
