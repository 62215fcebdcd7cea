"""The GitLab pipeline as text: an included file, a component, an estate's parent and the child with what changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from pipeline.errors import BadInput
from pipeline.model.ci_inputs import Input, component_header, variables_block

PIECES = ("base", "service", "scheduled", "estate", "each", "after_each", "unchanged")
"""The files under pipeline/templates that a pipeline is put together from."""

_SERVICE = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


class Form(StrEnum):
    """What the text is for: a file that is included or copied, or a component of GitLab's catalogue."""

    FILE = "file"
    COMPONENT = "component"


class Shape(StrEnum):
    """Of which repository: one that is a service, or an estate with several."""

    SERVICE = "service"
    ESTATE = "estate"


def render(shape: Shape, form: Form, inputs: tuple[Input, ...], pieces: Mapping[str, str]) -> str:
    """One of our pipelines from its pieces. The same inputs give the same text."""
    jobs = [pieces[name] for name in ("base", shape.value, "scheduled")]
    if form is Form.COMPONENT:
        return "\n".join([_COMPONENT + component_header(inputs), *jobs])
    return "\n".join([_FILE, variables_block(inputs), *jobs])


def render_child(services: Sequence[str], inputs: tuple[Input, ...], pieces: Mapping[str, str]) -> str:
    """The child pipeline of an estate: the jobs of these services, or one that says that there is nothing to do, since
    GitLab refuses a pipeline without jobs. Raises BadInput for a name that cannot stand in YAML as it is."""
    for service in services:
        if not _SERVICE.fullmatch(service):
            raise BadInput(f"{service!r} cannot be a service's name", hint="Use a-z, 0-9 and -.")
    each = [pieces["each"].replace("{service}", service) for service in services]
    jobs = [*each, pieces["after_each"]] if each else [pieces["unchanged"]]
    return "\n".join([_CHILD, variables_block(inputs), pieces["base"], *jobs])


_FILE = """\
# Build, deploy and register with GitLab. Made by `invoke ci.template`; docs/ci.md of the toolkit says how it is used.
"""
_COMPONENT = """\
# The same pipeline as a component: `include: [{component: <host>/<project>/<this file's name>@<version>}]`.
"""
_CHILD = """\
# The services that changed. Made by `invoke ci.template --changed`, in the pipeline that started this one.
"""
