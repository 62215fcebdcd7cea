"""The check through the gateway: what is asked, what the answer has to be, and where it falls short."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.model.manifest import Expect, Verify
from pipeline.model.route import Route

NO_ANSWER = 0
_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request to a gateway's proxy; `headers` may hold Host."""

    method: str
    path: str
    headers: Mapping[str, str]

    def __str__(self) -> str:
        host = self.headers.get("Host", "")
        return f"{self.method} {self.path}" + (f" (Host: {host})" if host else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: header names in lower case, the body as bytes (a long one cut by whoever asked).

    A `status` of NO_ANSWER: something took the connection and gave no answer; `body` says so. An upstream that hangs
    looks like that, and it is a wrong answer, not a check that could not be made.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __str__(self) -> str:
        text = self.body.decode("utf-8", "replace").strip()
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
        if self.status == NO_ANSWER:
            return shown
        return f"{self.status} {shown}" if shown else f"{self.status} with an empty body"


def make_question(verify: Verify, wanted: Route) -> Question:
    """The manifest's request; its path is the uri and its Host the route's first host when it names neither."""
    headers = dict(verify.headers)
    names_host = any(name.lower() == "host" for name in headers)
    if wanted.hosts and not names_host:
        headers["Host"] = wanted.hosts[0].replace("*", "check")
    return Question(method=verify.method, path=verify.path or wanted.uri, headers=headers)


def expectation(expect: Expect, facts: Mapping[str, str]) -> str:
    """What the answer has to be, in words."""
    parts = [f"status {expect.status}"]
    parts += [f"{path} = {json.dumps(_filled(value, facts))}" for path, value in sorted(expect.json.items())]
    if expect.contains:
        parts.append(f"the text {_filled(expect.contains, facts)!r}")
    return ", ".join(parts)


def shortfall(expect: Expect, facts: Mapping[str, str], answer: Answer) -> str:
    """How the answer differs from what is expected, in words; empty when it is as expected."""
    if answer.status == NO_ANSWER:
        return "nothing"
    if answer.status != expect.status:
        return f"status {answer.status}"
    if expect.contains and str(_filled(expect.contains, facts)).encode() not in answer.body:
        return f"no text {_filled(expect.contains, facts)!r}"
    if not expect.json:
        return ""
    try:
        content = json.loads(answer.body)
    except ValueError:
        return "a body that is not JSON"
    for path, value in sorted(expect.json.items()):
        found = _at(content, path)
        if not _same(found, _filled(value, facts)):
            return f"{path} = {json.dumps(found)}" if found is not _NOTHING else f"no {path}"
    return ""


class _Nothing:
    """No value at a path; None is JSON's null."""


_NOTHING = _Nothing()


def _filled(value: str | int | float | bool | None, facts: Mapping[str, str]) -> str | int | float | bool | None:
    if not isinstance(value, str):
        return value
    for name, fact in facts.items():
        value = value.replace(f"${{{name}}}", fact)
    return value


def _at(content: object, path: str) -> object:
    """The value at a dotted path; a number is an index where a list is."""
    for word in path.split("."):
        if isinstance(content, dict) and word in content:
            content = content[word]
        elif isinstance(content, list) and word.isdecimal() and int(word) < len(content):
            content = content[int(word)]
        else:
            return _NOTHING
    return content


def _same(found: object, wanted: object) -> bool:
    """Equal, and true is not 1."""
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)
