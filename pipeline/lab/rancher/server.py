"""The port of the lab Rancher: HTTP in, JSON out, with the headers that every answer of Cattle has."""

from __future__ import annotations

import json

from pipeline.lab.gateway.messages import Answer
from pipeline.lab.gateway.port import Exchange, Port
from pipeline.lab.rancher.api import Api
from pipeline.lab.rancher.auth import REALM, Caller
from pipeline.lab.rancher.browsers import refuse_pages
from pipeline.lab.rancher.events import PING_SECONDS, Events
from pipeline.lab.rancher.faults import Fault
from pipeline.lab.rancher.lab_state import SERVER_VERSION, LabState
from pipeline.lab.rancher.logs import PATH as LOGS
from pipeline.lab.rancher.request import Request, parsed
from pipeline.lab.rancher.scope import Scope
from pipeline.lab.rancher.troubles import Harm, Trouble, Troubles

_PLAIN = {"/ping": b"pong", "/healthcheck": b"healthy"}
_PAGE = b"<!DOCTYPE html><html><head><title>Bad Gateway</title></head><body>Bad Gateway</body></html>"
Headers = tuple[tuple[str, str], ...]


class Server:
    """`start` and `stop` run in an event loop; `address` is then the real one."""

    def __init__(self, state: LabState, troubles: Troubles | None = None, ping_seconds: float = PING_SECONDS) -> None:
        self._state = state
        self._api = Api(state)
        self._events = Events(state.store, ping_seconds)
        self._troubles = troubles if troubles is not None else Troubles()
        self._port = Port(self._serve, _refusal, follows_client=False, strict=False)

    async def start(self, host: str, port: int) -> None:
        await self._port.listen(host, port)

    async def stop(self, seconds: float) -> None:
        self._events.close()
        await self._port.drain(seconds)

    @property
    def address(self) -> tuple[str, int]:
        return self._port.address

    async def _serve(self, exchange: Exchange) -> None:
        body = bytearray()
        while part := await exchange.incoming.body_part():
            body += part
        target = exchange.head.target.decode("latin-1")
        path = target.partition("?")[0]
        if path in _PLAIN:
            await exchange.answer(_answer(200, _PLAIN[path], (("Content-Type", "text/plain"),)))
            return
        trouble = self._troubles.next(f"{exchange.head.method} {target}")
        if trouble is not None and trouble.harm is not Harm.LOST_ANSWER:
            await self._harm(exchange, trouble)
            return
        if path == LOGS and await self._state.logs.serve(exchange, target.partition("?")[2]):
            return
        headers = _headers(exchange)
        request = parsed(exchange.head.method, target, headers, bytes(body))
        answer = await self._answered(exchange, request)
        if trouble is not None:
            exchange.channel.abort()
            raise ConnectionResetError
        if answer is not None:
            await exchange.answer(answer)

    async def _answered(self, exchange: Exchange, request: Request) -> Answer | None:
        """The answer, or None for a stream that has been served."""
        shown: Headers = ()
        try:
            refuse_pages(request, security=self._state.auth.security)
            caller = self._state.auth.caller(request.headers)
            scope = self._scope(caller, request)
            shown = _shown(caller, scope, exchange)
            if request.kind.lower() == "subscribe":
                await self._events.serve(exchange, request, scope)
                return None
            outcome = self._api.outcome(request, caller, scope)
        except Fault as fault:
            if fault.status == 401:
                shown = (*shown, *_challenge(request))
            return _answer(fault.status, json.dumps(fault.body()).encode(), shown)
        return _answer(outcome.status, outcome.body, (("Content-Type", outcome.kind), *shown))

    def _scope(self, caller: Caller, request: Request) -> Scope:
        auth = self._state.auth
        return auth.scope(caller, request.version, _base(request), request.project, in_path=request.in_path)

    async def _harm(self, exchange: Exchange, trouble: Trouble) -> None:
        if trouble.harm is Harm.LOST_REQUEST:
            exchange.channel.abort()
            raise ConnectionResetError
        if trouble.harm is Harm.HTML:
            await exchange.answer(_answer(200, _PAGE, (("Content-Type", "text/html"),)))
        else:
            body = json.dumps(Fault(trouble.status).body()).encode()
            await exchange.answer(_answer(trouble.status, body, ()))


def _headers(exchange: Exchange) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in exchange.head.headers}


def _base(request: Request) -> str:
    """What links begin with: what a proxy in front says, or the host that was asked."""
    scheme = request.headers.get("x-forwarded-proto", "http")
    host = request.headers.get("x-forwarded-host") or request.headers.get("host") or "localhost"
    port = request.headers.get("x-forwarded-port")
    if port and ":" not in host and port != {"http": "80", "https": "443"}.get(scheme):
        host = f"{host}:{port}"
    return f"{scheme}://{host.lower()}"


def _shown(caller: Caller, scope: Scope, exchange: Exchange) -> Headers:
    account = scope.project if scope.project is not None else caller.account
    return (
        ("X-API-Schemas", f"{scope.prefix}/schemas"),
        ("X-API-Account-Id", f"1a{account.number}"),
        ("X-API-User-Id", f"1a{caller.account.number}"),
        ("X-API-Account-Kind", account.kind if account.kind == "project" else caller.role),
        ("X-API-Account-Name", account.name.encode("ascii", "replace").decode()),
        ("X-Api-Client-Ip", exchange.channel.peer[0]),
    )


def _challenge(request: Request) -> Headers:
    quiet = request.headers.get("x-api-no-challenge", "").lower() == "true"
    upgrading = "upgrade" in request.headers.get("connection", "").lower()
    return () if quiet or upgrading else (("WWW-Authenticate", REALM),)


def _answer(status: int, body: bytes, headers: Headers) -> Answer:
    kind = () if any(name == "Content-Type" for name, _ in headers) else (("Content-Type", "application/json"),)
    return Answer(status=status, headers=(*kind, ("X-Rancher-Version", SERVER_VERSION), *headers), body=body)


def _refusal(status: int) -> Answer:
    shown = 400 if status in (408, 414, 494) else status
    return _answer(shown, json.dumps(Fault(shown).body()).encode(), ())
