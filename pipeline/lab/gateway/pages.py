"""nginx's and Kong's error pages, byte for byte."""

from __future__ import annotations

import html

from pipeline.lab.gateway.messages import REASONS, Answer, Head

_HEADER_TOO_LARGE = 494
_TEXT = {
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
    <title>Kong Error</title>
  </head>
  <body>
    <h1>Kong Error</h1>
    <p>{}.</p>
  </body>
</html>
"""
_XML = """<?xml version="1.0" encoding="UTF-8"?>
<error>
  <message>{}</message>
</error>
"""


def nginx_page(status: int, *headers: tuple[str, str]) -> Answer:
    """The page of the Admin port's nginx; further headers follow its own."""
    title = f"{status} {REASONS.get(status, 'Unknown')}"
    center = f"<center><h1>{title}</h1></center>"
    if status == _HEADER_TOO_LARGE:
        title, status = "400 Request Header Or Cookie Too Large", 400
        center = "<center><h1>400 Bad Request</h1></center>\n<center>Request Header Or Cookie Too Large</center>"
    page = f"<html>\n<head><title>{title}</title></head>\n<body>\n{center}\n</body>\n</html>\n"
    body = page.replace("\n", "\r\n").encode()
    return Answer(
        status=status,
        headers=(("Content-Type", "text/html; charset=UTF-8"), ("Content-Length", str(len(body))), *headers),
        body=body,
    )


def message_page(status: int, head: Head | None) -> tuple[int, str, bytes]:
    """Kong's error page as status, content type and body: its form follows Accept, then Content-Type."""
    message = _TEXT.get(status, REASONS.get(status, "An unexpected error occurred"))
    if status == _HEADER_TOO_LARGE:
        message, status = _TEXT[400], 400
    kind = _form_of(head)
    if kind == "json":
        return status, "application/json; charset=utf-8", f'{{\n  "message":"{message}"\n}}'.encode()
    if kind == "html":
        return status, "text/html; charset=utf-8", _HTML.format(html.escape(message)).encode()
    if kind == "xml":
        return status, "application/xml; charset=utf-8", _XML.format(html.escape(message)).encode()
    return status, "text/plain; charset=utf-8", f"{message}\n".encode()


def _form_of(head: Head | None) -> str:
    if head is None:
        return "text"
    accept = head.value(b"accept") or head.value(b"content-type") or b""
    if b"text/html" in accept:
        return "html"
    if b"application/json" in accept:
        return "json"
    return "xml" if b"application/xml" in accept else "text"
