"""The connection to one registry: its challenges and tokens, its moods, and an end to all waiting.

Protocol: the OCI distribution specification, with docker's token authentication.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from pipeline.edge.docker_config import NO_LOGIN, Login
from pipeline.edge.http import Lost, NeverSent, Outgoing, Untrusted
from pipeline.edge.registry_transport import CERTIFICATES, Busy, Patience, RegistryTransport, Reply
from pipeline.errors import BadInput, Unreachable
from pipeline.model.clock import Clock, Deadline

_PAIR = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to a repository. `path` is what follows its name."""

    method: str
    repository: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    @property
    def scope(self) -> str:
        """What a token has to allow, as the token specification writes it."""
        rights = {"PUT": "pull,push", "DELETE": "pull,delete"}
        return f"repository:{self.repository}:{rights.get(self.method, 'pull')}"

    def __str__(self) -> str:
        return f"{self.method} {self.repository}/{self.path}"


class NoRegistry(Unreachable):
    """What answers is no registry: a proxy, a login page."""


class RegistryConnection:
    """For one thread: it keeps its connection and the tokens that it was given, one for each scope."""

    def __init__(
        self,
        host: str,
        login: Login = NO_LOGIN,
        *,
        clock: Clock,
        insecure: bool = False,
        certificates: str = CERTIFICATES,
        patience: Patience | None = None,
    ) -> None:
        self.host = host
        self._login = login
        self._clock = clock
        self._patience = patience or Patience()
        self._transport = RegistryTransport(
            host, clock=clock, insecure=insecure, certificates=certificates, patience=self._patience
        )
        self._known: dict[str, str] = {}

    def close(self) -> None:
        self._transport.close()

    def ask(self, call: Call) -> Reply:
        """The answer, whatever it is, unless it says that the registry is busy: then the request is made again, and
        also after a lost connection (all that is asked here may be repeated: GET, HEAD, the PUT of a manifest).
        Retry-After is obeyed.

        Raises BadInput when no token is given to the user, Unreachable when patience ends."""
        deadline = Deadline(self._clock, self._patience.total)
        pauses = iter(self._patience.pauses)
        while True:
            try:
                return self._answer(call, deadline)
            except Busy as busy:
                why, wait = f"answers {busy.status} to {call}", busy.wait
            except Lost as lost:
                if isinstance(lost, NeverSent | Untrusted):
                    raise self._silent(lost) from None  # its cause has the URL, which may open a blob
                why, wait = f"does not answer {call}: {lost.reason}", 0.0
            pause = max(next(pauses, self._patience.total), wait)
            if wait > self._patience.longest:
                why += f" and wants to be left alone for {wait:.0f} s"
            if wait > self._patience.longest or pause >= deadline.left:
                raise Unreachable(
                    f"the registry {self.host} {why}", hint="It is busy or ill: wait and run the same again."
                )
            deadline.pause(pause)

    def json(self, reply: Reply) -> dict[str, Any]:
        """The object in a reply's body. Raises NoRegistry for anything else."""
        try:
            return msgspec.json.decode(reply.body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError):
            raise self.foreign(reply) from None

    def foreign(self, reply: Reply) -> NoRegistry:
        """The failure of an answer that a registry does not give."""
        kind = reply.headers.get("content-type", "no content type")
        return NoRegistry(
            f"{self.host} does not answer as a registry: {reply.status} with {kind}: {shown(reply.body)!r}",
            hint="Is there a proxy or a login page in front of it? The address has to be the registry's own.",
        )

    def refusal(self, why: str) -> BadInput:
        return refusal(self.host, self._login.user, why)

    def _answer(self, call: Call, deadline: Deadline) -> Reply:
        """Takes up a challenge once: with a first token, or with a new one when the known one has run out."""
        known = self._known.get("") or self._known.get(call.scope, "")
        reply = self._exchange(call, known, deadline)
        if reply.status == 401 and (given := self._authorization(reply, call, deadline)) not in ("", known):
            return self._exchange(call, given, deadline)
        return reply

    def _exchange(self, call: Call, authorization: str, deadline: Deadline) -> Reply:
        headers = {**call.headers, **({"Authorization": authorization} if authorization else {})}
        path = f"/v2/{call.repository}/{call.path}"
        return self._transport.ask(Outgoing(method=call.method, url=path, headers=headers, body=call.body), deadline)

    def _authorization(self, reply: Reply, call: Call, deadline: Deadline) -> str:
        """Basic as it is, bearer with a token from where the registry sends us; kept for the next request."""
        kind, _, rest = reply.headers.get("www-authenticate", "").partition(" ")
        if kind.lower() == "basic" and self._login.user and self._login.password:
            login = f"{self._login.user}:{self._login.password.reveal()}".encode()
            self._known[""] = f"Basic {b64encode(login).decode()}"
            return self._known[""]
        if kind.lower() == "bearer":
            self._known[call.scope] = f"Bearer {self._token(dict(_PAIR.findall(rest)), call, deadline)}"
            return self._known[call.scope]
        return ""

    def _token(self, challenge: Mapping[str, str], call: Call, deadline: Deadline) -> str:
        realm = challenge.get("realm", "")
        if not self._transport.may_be_sent_a_password(realm):
            raise BadInput(
                f"the registry {self.host} wants its password sent to {realm!r}, without TLS",
                hint="Nothing was sent. The registry's token realm has to be an https URL.",
            )
        scope, service = challenge.get("scope") or call.scope, challenge.get("service", "")
        wanted = {**({"service": service} if service else {}), "scope": scope}
        try:
            reply = self._transport.send(_token_request(realm, wanted, self._login), deadline)
        except Lost as lost:
            raise type(lost)(f"{urlsplit(realm).netloc}, which gives its tokens: {lost.reason}") from lost
        if reply.status != 200:
            raise self.refusal(f"{reply.status} to a request for a token for {scope}")
        found = self.json(reply)
        token = found.get("token") or found.get("access_token")
        if not (isinstance(token, str) and token.isascii() and token.isprintable()):
            raise Unreachable(
                f"{urlsplit(realm).netloc}, which gives the tokens of the registry {self.host}, gave none for {scope}",
                hint="It is ill: wait and run the same again.",
            )
        return token

    def _silent(self, lost: Lost) -> Unreachable:
        hint = "See whether it runs and is reachable from here."
        if isinstance(lost, Untrusted):
            hint = f"Put the CA of its certificate into {CERTIFICATES}/{self.host}/ca.crt."
        return Unreachable(f"the registry {self.host} does not answer: {lost.reason}", hint=hint)


def refusal(host: str, user: str, why: str) -> BadInput:
    """What a user sees when a registry does not let them; `why` holds no credential."""
    who = f"the user {user!r}" if user else "a caller without login"
    return BadInput(
        f"the registry {host or 'docker.io'} refuses {who}: {why}",
        hint="Set CI_REGISTRY_USER and CI_REGISTRY_PASSWORD (and CI_REGISTRY) to a login that may write there, or "
        "`docker login`.",
    )


def shown(body: bytes) -> str:
    """The beginning of a body, for a message."""
    return " ".join(body[:200].decode("utf-8", "replace").split())


def _token_request(realm: str, wanted: Mapping[str, str], login: Login) -> Outgoing:
    """With an identity token as OAuth 2 has it, else with basic authentication or none."""
    if login.identity_token:
        form = {"grant_type": "refresh_token", "client_id": "invoke-pipeline", **wanted}
        body = urlencode({**form, "refresh_token": login.identity_token.reveal()}).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return Outgoing(method="POST", url=realm, headers=kind, body=body)
    headers = {}
    if login.user:
        text = f"{login.user}:{login.password.reveal()}".encode()
        headers["Authorization"] = f"Basic {b64encode(text).decode()}"
    return Outgoing(method="GET", url=realm, headers=headers, query=wanted)
