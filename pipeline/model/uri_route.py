"""A route in the words of the first pipeline's command: a uri, where it leads, and no service. Checked here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.errors import BadInput

_URI = re.compile(r"/[A-Za-z0-9._~/-]*")
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(\.\*)?")
_UPSTREAM = re.compile(
    r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UriRoute:
    """What is not said (no `hosts`, `strip_uri` None) stays as the gateway has it, or as it makes a new one."""

    uri: str
    upstream: str
    hosts: tuple[str, ...] = ()
    strip_uri: bool | None = None

    @property
    def name(self) -> str:
        """What a new one is called: `/ws/cities` → `ws.cities`."""
        return self.uri.strip("/").replace("/", ".") or "root"


def make_uri_route(uri: str, upstream: str, *, hosts: str = "", strip_uri: bool | None = None) -> UriRoute:
    """The route of those flags; `hosts` separated by commas. Raises BadInput for what a gateway would not take as it
    stands: a uri that reads as an expression, quotes, white space."""
    _match("--uri", uri, _URI, "a path of letters, digits, / and -._~ with a leading slash, as /ws/cities")
    if "//" in uri or any(part in (".", "..") for part in uri.split("/")):
        raise _wrong("--uri", uri, "a path without //, . and .. segments")
    _match("--upstream_url", upstream, _UPSTREAM, "a URL like http://proxy.cities-master-0a1b2c3d:80")
    port = upstream.rpartition(":")[2].partition("/")[0]
    if port.isdecimal() and not 1 <= int(port) <= 65535:
        raise _wrong("--upstream_url", upstream, "a URL with a port from 1 to 65535")
    names = tuple(hosts.split(",")) if hosts else ()
    for host in names:
        _match("--host", host, _HOST, "a host name like api.example.com")
    return UriRoute(uri=uri, upstream=upstream, hosts=names, strip_uri=strip_uri)


def _match(flag: str, value: str, pattern: re.Pattern[str], wanted: str) -> None:
    if not pattern.fullmatch(value):
        raise _wrong(flag, value, wanted)


def _wrong(flag: str, value: str, wanted: str) -> BadInput:
    return BadInput(f"{flag} {value!r} cannot be used", hint=f"It should be {wanted}.")
