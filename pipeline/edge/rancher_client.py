"""The API of a Rancher 1.6 server (v2-beta) in one project: connections that are kept, pages, and what may be repeated.

A 422 comes with a code and no message, 409 is a lock that is held, lists have pages of at most 3,000, and the addresses
that the server gives may name another host than the one that we reached (docs/decisions/rancher.md).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import msgspec

from pipeline.edge.answers import Answer
from pipeline.edge.connection import Connection
from pipeline.edge.http import Access, Limits, Lost, NeverSent, Untrusted
from pipeline.edge.json_api import Patience
from pipeline.edge.rancher_answers import RancherAnswered, Unanswered, refusal
from pipeline.errors import Failed, Unreachable
from pipeline.model.address import RancherAddress
from pipeline.model.clock import Clock, Deadline
from pipeline.model.secret import Secret

Row = TypeVar("Row")

PAGE = 3000
_BUSY = (502, 503, 504)
_REPEATABLE = ("GET", "PUT", "DELETE")
_LONGEST_PAUSE = 5.0


# A Rancher with thousands of stacks takes its time over a page.
_PATIENCE = Patience(read=60.0, total=90.0, tries=6)


class RancherClient:
    """Requests of one key, as one project once `project` is set. Every thread may ask.

    GET, PUT and DELETE are repeated after a lost connection and a server that is busy, everything after 409, POST where
    the server cannot have acted; Unanswered is raised for a POST that may have been done.
    """

    def __init__(self, address: RancherAddress, *, clock: Clock, patience: Patience | None = None) -> None:
        self.address = address
        self.project = ""
        self.url = address.url
        self._access = access_of(address)
        self._clock = clock
        self._patience = patience or _PATIENCE
        self._free: list[Connection] = []
        self._date = ""

    @property
    def scope(self) -> str:
        """Where the project's things are; an account's key may not write anywhere else."""
        return f"/v2-beta/projects/{quote(self.project, safe='')}" if self.project else "/v2-beta"

    def pages(self, kind: str, row: type[Row], filters: Mapping[str, str], *, size: int = PAGE) -> Iterator[list[Row]]:
        """All that matches, page by page; the next one is asked for by its marker alone. Raises Failed for a page that
        comes twice."""
        decoder = msgspec.json.Decoder(_page_type(row))
        marker = ""
        while True:
            query = dict(filters) | {"limit": str(size)} | ({"marker": marker} if marker else {})
            page = self._decoded(decoder, self._ask("GET", f"{self.scope}/{kind}", query=query))
            yield page.data
            following = _marker(page.pagination.next if page.pagination else None)
            if not following:
                return
            if following == marker:
                raise Failed(
                    f"{self.url}{self.scope}/{kind} gives the same page again and again",
                    hint="Something in front of Rancher may drop the query: ask it directly.",
                )
            marker = following

    def every(self, kind: str, row: type[Row], /, **filters: str) -> list[Row]:
        """All that matches, as one list."""
        return [one for page in self.pages(kind, row, filters) for one in page]

    def projects(self, row: type[Row]) -> list[Row]:
        """The projects that the key may see; this list has no pages."""
        decoder = msgspec.json.Decoder(_page_type(row))
        found: list[Row] = self._decoded(decoder, self._ask("GET", "/v2-beta/projects")).data
        return found

    def find(self, kind: str, id_: str, row: type[Row]) -> Row | None:
        """One thing by its id, or None when the server does not know it (any more)."""
        try:
            answer = self._ask("GET", f"{self.scope}/{kind}/{quote(id_, safe='')}")
        except RancherAnswered as error:
            if error.status == 404:
                return None
            raise
        return self._decoded(msgspec.json.Decoder(row), answer)

    def create(self, kind: str, body: Mapping[str, Any], row: type[Row]) -> Row:
        """Not repeatable: after Unanswered look for what it may have made, by its unique name."""
        return self._decoded(msgspec.json.Decoder(row), self._ask("POST", f"{self.scope}/{kind}", body=body))

    def act(self, kind: str, id_: str, action: str, body: object, row: type[Row]) -> Row:
        """An action. Not repeatable: after Unanswered look at the thing's state."""
        path = f"{self.scope}/{kind}/{quote(id_, safe='')}/"
        return self._decoded(msgspec.json.Decoder(row), self._ask("POST", path, query={"action": action}, body=body))

    def update(self, kind: str, id_: str, body: Mapping[str, Any], row: type[Row]) -> Row:
        """Repeatable: the server compares and stores what differs."""
        answer = self._ask("PUT", f"{self.scope}/{kind}/{quote(id_, safe='')}", body=body)
        return self._decoded(msgspec.json.Decoder(row), answer)

    def delete(self, kind: str, id_: str) -> None:
        """Begins its removal. A thing that is gone, or is going (405), is no error."""
        try:
            self._ask("DELETE", f"{self.scope}/{kind}/{quote(id_, safe='')}")
        except RancherAnswered as error:
            if error.status not in (404, 405):
                raise

    def now(self) -> float:
        """The server's clock, from the Date of its latest answer (RFC 9110): whole seconds since 1970."""
        if not self._date:
            raise Failed(
                f"the answers of {self.url} carry no Date",
                hint="Something in front of Rancher drops it; leases end by the server's clock, so it is needed.",
            )
        return parsedate_to_datetime(self._date).timestamp()

    def close(self) -> None:
        """Lets the connections go; the next request opens one again."""
        while self._free:
            self._free.pop().close()

    def _ask(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Answer:
        deadline = Deadline(self._clock, self._patience.total)
        target = f"{path}?{urlencode(query)}" if query else path
        content = None if body is None else msgspec.json.encode(body, enc_hook=_revealed)
        pause = self._patience.first_pause
        for left in range(self._patience.tries - 1, -1, -1):
            try:
                answer = self._once(method, target, content, deadline)
            except Lost as lost:
                sent = not isinstance(lost, NeverSent)
                if isinstance(lost, Untrusted) or (sent and method not in _REPEATABLE) or left == 0 or deadline.passed:
                    raise self._lost(f"{method} {path}", lost, may_be_done=sent and method not in _REPEATABLE) from lost
            else:
                busy = answer.status in (409, 429) or (answer.status in _BUSY and method in _REPEATABLE)
                if not busy or left == 0 or deadline.passed:
                    return self._checked(method, path, answer)
            deadline.pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise Unreachable(f"{self.url} was not asked", hint="Run this again.")

    def _once(self, method: str, target: str, content: bytes | None, deadline: Deadline) -> Answer:
        try:
            connection = self._free.pop()
        except IndexError:
            connection = Connection(self._access)
        silence = max(0.001, min(self._patience.read, deadline.left))
        limits = Limits(connect=self._patience.connect, silence=silence, end=deadline)
        try:
            answer = connection.exchange(method, target, content, limits)
        finally:
            self._free.append(connection)
        self._date = answer.headers.get("date", self._date)
        return answer

    def _lost(self, request: str, lost: Lost, *, may_be_done: bool) -> Unreachable:
        if isinstance(lost, Untrusted):
            return Unreachable(
                f"the certificate of {self.url} is not trusted: {lost.reason}",
                hint="Name the CA that it comes from (RANCHER_CA_CERT, a PEM file); no other is trusted then.",
            )
        if may_be_done:
            return Unanswered(
                f"{self.url} gave no answer to {request}: {lost.reason}",
                hint="It may have been done all the same; the next run looks and goes on from there.",
            )
        return Unreachable(
            f"Rancher at {self.url} does not answer: {lost.reason}",
            hint="Check RANCHER_URL (or platform.url in invoke.yaml), and that the server runs.",
        )

    def _checked(self, method: str, path: str, answer: Answer) -> Answer:
        request = f"{method} {self.url}{path}"
        if answer.status < 300 and "json" in answer.headers.get("content-type", "json"):
            return answer
        if answer.status in _BUSY and method not in _REPEATABLE:
            raise self._lost(
                f"{method} {path}", Lost(f"something in front of it answered {answer.status}"), may_be_done=True
            )
        if answer.status < 400:
            kind = answer.headers.get("content-type", "no content type")
            raise RancherAnswered(
                f"{request} answered {answer.status} with {kind} where JSON was expected",
                hint="Is RANCHER_URL the address of the API, and not of a page or a proxy in front of it?",
                status=answer.status,
                code="NotJson",
            )
        raise refusal(request, answer.status, answer.content, self.project)

    def _decoded(self, decoder: msgspec.json.Decoder[Row], answer: Answer) -> Row:
        try:
            return decoder.decode(answer.content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RancherAnswered(
                f"{self.url} answered with what is no resource of Rancher's: {error}",
                hint="Is RANCHER_URL the address of a Rancher 1.6 server?",
                status=answer.status,
                code="NotJson",
            ) from error


def access_of(address: RancherAddress) -> Access:
    """The keys as a header that no message and no log shows."""
    if not address.access_key or not address.secret_key:
        return Access(url=address.url, variables="RANCHER", ca_file=address.ca_cert)
    # Files of keys end in a line end.
    pair = f"{address.access_key.strip()}:{address.secret_key.reveal().strip()}"
    token = Secret(f"Basic {b64encode(pair.encode()).decode()}")
    return Access(
        url=address.url,
        variables="RANCHER",
        token=token,
        token_header="Authorization",  # noqa: S106 - a header's name
        ca_file=address.ca_cert,
    )


class _Pagination(msgspec.Struct):
    next: str | None = None


def _page_type(row: type[Row]) -> Any:
    """A page of rows of one type, decoded straight into them: 20,000 services must not become dictionaries first."""
    return msgspec.defstruct("Page", [("data", list[row]), ("pagination", _Pagination | None, None)])  # type: ignore[valid-type]


def _marker(url: str | None) -> str:
    return parse_qs(urlsplit(url or "").query).get("marker", [""])[0]


def _revealed(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} is not sent")
