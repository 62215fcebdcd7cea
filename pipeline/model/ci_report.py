"""What a job hands to GitLab: build/<verb>.env (dotenv) for the jobs after it; for people build/<verb>.xml (JUnit) and
build/<verb>.log, of what failed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

DOTENV_LIMIT = 5 * 1024
_LONGEST_VALUE = 300
_NOT_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
"""Compiled where it is used: a set of so many characters takes milliseconds, which every command would wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One check of a service: what was checked, in how many seconds, and why it failed (empty when it did not)."""

    service: str
    name: str
    seconds: float
    failure: str = ""


def dotenv_file(verb: str) -> str:
    return f"build/{verb}.env"


def junit_file(verb: str) -> str:
    return f"build/{verb}.xml"


def log_file(verb: str) -> str:
    return f"build/{verb}.log"


def dotenv_lines(prefix: str, values: Mapping[str, object]) -> bytes:
    """`CITIES_STACK=…` for each value that is not empty, as GitLab reads them: one line each, no quotes."""
    given = {name: _value(value) for name, value in values.items()}
    name_of = dotenv_name(prefix)
    return "".join(f"{name_of}_{name.upper()}={value}\n" for name, value in given.items() if value).encode()


def dotenv(parts: Iterable[bytes]) -> bytes:
    """The parts that fit into what GitLab reads; whole parts are left out at the end."""
    text = b""
    for part in parts:
        if len(text) + len(part) > DOTENV_LIMIT:
            break
        text += part
    return text


def service_values(stack: str, uri: str, host: str, proxy: str) -> dict[str, str]:
    """Where a service is after a verb. `host` is the route's first, `proxy` the gateway's own URL: one of them says
    how people reach it."""
    scheme = "http" if proxy.startswith("http://") else "https"
    base = f"{scheme}://{host}" if host and "*" not in host else proxy.rstrip("/")
    return {"stack": stack, "uri": uri, "url": f"{base}{uri}" if base else ""}


def junit(verb: str, cases: Sequence[Case]) -> bytes:
    """One suite, one case per check."""
    from xml.etree import ElementTree

    failed = str(sum(bool(case.failure) for case in cases))
    seconds = f"{sum(case.seconds for case in cases):.3f}"
    suite = ElementTree.Element("testsuite", name=verb, tests=str(len(cases)), failures=failed, time=seconds)
    for case in cases:
        one = ElementTree.SubElement(
            suite, "testcase", classname=case.service, name=case.name, time=f"{case.seconds:.3f}"
        )
        if case.failure:
            told = re.sub(_NOT_XML, "?", case.failure)
            ElementTree.SubElement(one, "failure", message=told.splitlines()[0]).text = told
    text: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text


def dotenv_name(text: str) -> str:
    """As a variable is called."""
    return re.sub(r"[^A-Z0-9]", "_", text.upper())


def _value(value: object) -> str:
    """Without what a shell, or GitLab itself, would read as its own."""
    text = " ".join(str(value).split())
    return re.sub(r"[\"'`$\\]|[^\x20-\x7e]", "?", text)[:_LONGEST_VALUE]
