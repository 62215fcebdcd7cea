"""A request as Cattle's parser sees it: version, project, type, id and link, and what was sent along."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from pipeline.lab.rancher.faults import Fault
from pipeline.lab.rancher.filters import Pair

VERSIONS = ("v1", "v2-beta")
LATEST = "v2-beta"
ROOT = "v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`kind` is the type's word as it came; empty for the version itself."""

    method: str
    version: str
    project: str | None
    in_path: bool
    kind: str
    id: str
    link: str
    query: Sequence[Pair]
    headers: Mapping[str, str]
    body: bytes

    @property
    def action(self) -> str:
        return dict(self.query).get("action", "")

    def given(self) -> dict[str, Any]:
        """The body's fields over the query's. Raises Fault 400."""
        told: dict[str, Any] = {name: value for name, value in self.query if name not in ("action", "_method")}
        if not self.body.strip():
            return told
        try:
            content = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Fault(400, "InvalidBodyContent") from error
        if content is None:
            return told
        if not isinstance(content, dict):
            raise Fault(400, "InvalidBodyContent")
        return told | content


def parsed(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
    """Slashes that are doubled collapse, one at the end does not count, and `/projects/{id}/x` acts in that project."""
    path, _, text = target.partition("?")
    query = tuple(parse_qsl(text, keep_blank_values=True))
    if "x-api-action-links" in headers:
        query += (("_actionLinks", ""),)
    words = [unquote(word) for word in re.split("/+", path.strip("/")) if word]
    version, words = _version(words)
    project = headers.get("x-api-project-id") or dict(query).get("projectId")
    in_path = False
    if len(words) >= 3 and words[0].lower() == "projects" and words[2].lower() != "projectmembers":
        project, words, in_path = words[1], words[2:], True
    kind, number, link = (*words, "", "", "")[:3]
    return Request(
        method=dict(query).get("_method", method).upper(),
        version=version,
        project=project,
        in_path=in_path,
        kind=kind,
        id=number,
        link=link,
        query=query,
        headers=headers,
        body=body,
    )


def _version(words: list[str]) -> tuple[str, list[str]]:
    if not words:
        return ROOT, []
    return (words[0] if words[0] in VERSIONS else LATEST), words[1:]
