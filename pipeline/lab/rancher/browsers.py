"""Web pages are not clients: whoever is let in without a key must not be a page that a browser was lured to."""

from __future__ import annotations

import re
from http.cookies import CookieError, SimpleCookie

from pipeline.lab.rancher.faults import Fault
from pipeline.lab.rancher.request import Request

_READING = ("GET", "HEAD")
_OWN_HOST = re.compile(r"(localhost|[\d.]+|\[[0-9a-fA-F:]+\])(:\d+)?", re.IGNORECASE)


def refuse_pages(request: Request, *, security: bool) -> None:
    """Raises Fault 403. A browser's write needs the CSRF header with the cookie's value, as in Cattle; and without
    security a host that is no address is refused, which is what a page gets by rebinding a name of its own."""
    headers = request.headers
    if not security and not _OWN_HOST.fullmatch(headers.get("host", "localhost")):
        raise Fault(403)
    is_page = "mozilla" in headers.get("user-agent", "").lower()
    # A page may read the answers of a WebSocket wherever it leads; those of a GET it may not.
    listens = is_page and "upgrade" in headers.get("connection", "").lower()
    if not listens and (request.method in _READING or not (is_page or "origin" in headers)):
        return
    token = headers.get("x-api-csrf", "")
    if not token or token != _cookie(headers.get("cookie", "")):
        raise Fault(403)


def _cookie(text: str) -> str:
    try:
        found = SimpleCookie(text).get("CSRF")
    except CookieError:
        return ""
    return found.value if found is not None else ""
