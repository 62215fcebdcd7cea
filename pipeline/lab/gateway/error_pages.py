"""Kong's error pages on the proxy port: what they say, and in which of four forms."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.lab.gateway.messages import REASONS, Head
from pipeline.lab.gateway.pages import HEADER_TOO_LARGE

_WORDS = {
    400: "Bad request",
    404: "Not found",
    408: "Request timeout",
    411: "Length required",
    412: "Precondition failed",
    413: "Payload too large",
    414: "URI too long",
    417: "Expectation failed",
    494: "Request header or cookie too large",
    500: "An unexpected error occurred",
    502: "An invalid response was received from the upstream server",
    503: "The upstream server is currently unavailable",
    504: "The upstream server is timing out",
}
_HTML = """<!doctype html>
<html>
  <head>
    <meta charset="utf-8">
    <title>{title}</title>
  </head>
  <body>
    <h1>{title}</h1>
    <p>%s.</p>
  </body>
</html>
"""
_XML = """<?xml version="1.0" encoding="UTF-8"?>
<error>
  <message>%s</message>
</error>
"""
TEXT, JSON, HTML, XML = "text/plain", "application/json", "text/html", "application/xml"
_KNOWN = frozenset({TEXT, JSON, HTML, XML})


def by_exact_type(accept: str) -> str:
    """The form of an Accept header that names one type; JSON for all else (kong/tools/utils.lua, get_mime_type)."""
    wanted = accept.partition(";")[0].strip()
    if wanted in _KNOWN:
        return wanted
    return TEXT if wanted == "text/*" else JSON


def by_quality(accept: str) -> str:
    """The form that an Accept header likes best, the first of equals (kong/tools/utils.lua, get_response_type)."""
    best, form = 0.0, JSON
    for part in accept.split(","):
        media = re.match(r"\s*([a-z0-9*][a-z0-9\-!#$&^_+.]*/[a-z0-9*][a-z0-9\-!#$&^_+.]*)", part, re.IGNORECASE)
        weight = re.search(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)", part)
        quality = float(weight[1]) if weight else 1.0
        if media and quality > best:
            best, form = quality, by_exact_type(media[1])
    return form


def by_first_found(accept: str) -> str:
    """The form of the first known type that an Accept header mentions at all (0.14's kong/error_handlers.lua)."""
    return next((form for form in (HTML, JSON, XML) if form in accept), TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPages:
    """A version's pages: each form's content type and template, and how Accept chooses the form."""

    choose: Callable[[str], str]
    forms: Mapping[str, tuple[str, str]]
    words: Mapping[int, str]
    looks_at_content_type: bool = True
    shows_494: bool = False

    def page(self, status: int, head: Head | None) -> tuple[int, str, bytes]:
        """Status, content type and body for what went wrong between Kong and nginx."""
        words = self.words.get(status, REASONS.get(status, self.words[500]))
        if status == HEADER_TOO_LARGE and not self.shows_494:
            words, status = self.words[400], 400
        return status, *self.filled(self._form(head), words)

    def said(self, message: str, head: Head) -> tuple[str, bytes]:
        """Content type and body for what Kong itself says, in the form that Accept wants, JSON without one."""
        accept = _text(head, b"accept")
        return self.filled(self.choose(accept) if accept is not None else JSON, message)

    def filled(self, form: str, message: str) -> tuple[str, bytes]:
        """A form's content type, and its template with a message in it."""
        content_type, template = self.forms[form]
        return content_type, template.replace("%s", message).encode()

    def _form(self, head: Head | None) -> str:
        if head is None:
            return TEXT
        accept = _text(head, b"accept")
        if accept is None and self.looks_at_content_type:
            accept = _text(head, b"content-type")
        return self.choose(accept) if accept is not None else TEXT


def _text(head: Head, name: bytes) -> str | None:
    value = head.value(name)
    return value.decode("latin-1") if value is not None else None


def modern_pages(title: str, choose: Callable[[str], str]) -> ErrorPages:
    """The pages since 2.x, which differ in their title and in how Accept is read."""
    return ErrorPages(
        choose=choose,
        words=_WORDS,
        forms={
            TEXT: (f"{TEXT}; charset=utf-8", "%s\n"),
            JSON: (f"{JSON}; charset=utf-8", '{\n  "message":"%s"\n}'),
            HTML: (f"{HTML}; charset=utf-8", _HTML.format(title=title)),
            XML: (f"{XML}; charset=utf-8", _XML),
        },
    )


OLD_PAGES = ErrorPages(
    choose=by_first_found,
    words={**_WORDS, 494: "Request Header Or Cookie Too Large"},
    looks_at_content_type=False,
    shows_494=True,
    forms={
        TEXT: (f"{TEXT}; charset=UTF-8", "%s\n"),
        JSON: (JSON, '{"message":"%s"}\n'),
        HTML: (
            f"{HTML}; charset=UTF-8",
            "<html><head><title>Kong Error</title></head><body><h1>Kong Error</h1><p>%s.</p></body></html>\n",
        ),
        XML: (XML, '<?xml version="1.0" encoding="UTF-8"?>\n<error><message>%s</message></error>\n'),
    },
)
