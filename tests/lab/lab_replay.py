"""Replays what a real Kong answered, request by request over real sockets, against a lab gateway."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lab_support import Client, Reply, echo_upstream, free_port

from pipeline.lab.gateway.running import Lab, running_gateway

RECORDINGS = Path(__file__).parents[1] / "recordings"
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DELETED_AT_ONCE = ("service_schema_violations", "route_schema_violations", "names", "apis_create_post")
_KEY = "-----BEGIN PRIVATE KEY-----\\n<private key>\\n-----END PRIVATE KEY-----"
_NODE_FACTS = {"/", "/status", "/status/", "/timers"}


class Replay:
    """One scenario against one gateway: translates ids, ports and cursors both ways, and compares."""

    def __init__(self, lab: Lab, ports: dict[int, int]) -> None:
        self.lab = lab
        # Each version was recorded behind ports of its own.
        self.ports = {**ports, **{base + 8000: lab.proxy[1] for base in (10000, 20000, 30000)}}
        self.ports |= {base + 8001: lab.admin[1] for base in (10000, 20000, 30000)}
        self.ours: dict[str, str] = {}
        self.theirs: dict[str, str] = {}
        self.offsets: dict[str, str] = {}
        self.names: dict[str, str] = {}

    # -- requests

    def send(self, request: dict[str, Any], note: str) -> Reply:
        # The recorder's client made "/" of nothing.
        path = self.translated(request["path"]) or "/"
        headers = {name: self.translated(value) for name, value in (request["headers"] or {}).items()}
        body = self.encoded(request["body"], note)
        proxied = note.startswith("PROXY")
        headers.setdefault("User-Agent", "rec/1")
        with Client(self.lab.proxy if proxied else self.lab.admin) as client:
            # An answer may come before the request has gone out.
            with suppress(BrokenPipeError, ConnectionResetError):
                client.send(request["method"], path, headers, body)
            return client.receive(request["method"])

    def encoded(self, body: Any, note: str) -> bytes | None:
        if body is None:
            return None
        if isinstance(body, str):
            grown = re.fullmatch(r"(.*)\"/\"\+\"b\"\*(\d+)\}", body)
            if grown:
                return (grown[1] + '"/' + "b" * int(grown[2]) + '"}').encode()
            return self.translated(body).encode("latin-1" if note == "invalid UTF-8" else "utf-8")
        return self.translated(json.dumps(body)).replace("<private key>", _KEY).encode()

    def translated(self, text: str) -> str:
        for theirs, ours in self.offsets.items():
            text = text.replace(theirs, ours)
        text = _UUID.sub(lambda match: self.ours.get(match[0], match[0]), text)
        return re.sub(r"\b([123]8\d\d\d)\b", lambda match: str(self.ports.get(int(match[1]), match[1])), text)

    # -- answers

    def differences(self, recorded: dict[str, Any], request: dict[str, Any], reply: Reply, note: str) -> list[str]:
        found = []
        if reply.status != recorded["status"]:
            found.append(f"status {reply.status} instead of {recorded['status']}")
        for name, value in recorded["headers"].items():
            if name != "Content-Length" and not self.same_header(name, value, reply.header(name)):
                found.append(f"header {name}: {reply.header(name)!r} instead of {value!r}")
        if request["path"].split("?")[0] in _NODE_FACTS and reply.status == recorded["status"] == 200:
            return found + self.node_facts(recorded["body"], request["method"], reply)
        wanted = recorded["body"]
        got: Any = None
        if request["method"] != "HEAD" and (wanted is not None or reply.body):
            got = self.parsed(reply)
        if not self.same(wanted, got):
            found.append(f"body {got!r}\n    instead of {wanted!r}")
        elif self.comparable_length(recorded, note):
            length, wanted_length = reply.header("Content-Length"), recorded["headers"].get("Content-Length")
            if length != wanted_length:
                found.append(f"Content-Length {length} instead of {wanted_length}")
        return found

    def comparable_length(self, recorded: dict[str, Any], note: str) -> bool:
        """Lists, fractions of seconds and what the recorder shortened have lengths of their own."""
        body = recorded["body"]
        return not (note.startswith("PROXY") or _lists(body) or _elided(body))

    def same_header(self, name: str, theirs: str, ours: str | None) -> bool:
        if name in ("RateLimit-Reset", "Retry-After"):
            return ours is not None
        return theirs == ours

    def node_facts(self, wanted: Any, method: str, reply: Reply) -> list[str]:
        """Of a page about the node only the version and the shape can be the same."""
        if method == "HEAD":
            return []
        got = reply.json()
        lacking = [key for key in wanted if key not in got]
        found = [f"lacks {lacking}"] if lacking else []
        if wanted.get("version") != got.get("version"):
            found.append("version")
        return found

    def parsed(self, reply: Reply) -> Any:
        try:
            return reply.json()
        except ValueError:
            return reply.body.decode("utf-8", "surrogateescape")

    def same(self, theirs: Any, ours: Any, key: str = "") -> bool:
        if isinstance(theirs, dict) and isinstance(ours, dict):
            if set(theirs) != set(ours):
                return False
            paged = "offset" in theirs or _is_setup(theirs.get("data"))
            return all(
                self.same_list(theirs[name], ours[name], paged=paged)
                if name in ("data", "enabled_plugins") and isinstance(theirs[name], list)
                else self.same(theirs[name], ours[name], name)
                for name in sorted(theirs, key=lambda name: name != "offset")
            )
        if isinstance(theirs, list) and isinstance(ours, list):
            return len(theirs) == len(ours) and all(map(self.same, theirs, ours))
        if isinstance(theirs, str) and isinstance(ours, str):
            return self.same_text(theirs, ours, key)
        if key in ("created_at", "updated_at") and _is_moment(theirs) and _is_moment(ours):
            return isinstance(theirs, int) == isinstance(ours, int)
        if isinstance(theirs, bool) or isinstance(ours, bool):
            return theirs is ours
        if isinstance(theirs, int) and isinstance(ours, int) and key == "port":
            return self.ports.get(theirs, theirs) == ours
        return bool(theirs == ours)

    def same_text(self, theirs: str, ours: str, key: str) -> bool:
        if theirs == ours:
            return True
        if "\ufffd" in theirs and theirs == ours.encode("utf-8", "surrogateescape").decode("utf-8", "replace"):
            return True
        if theirs.endswith("(elided)") or (theirs == "<private key>" and theirs in ours):
            return True
        if key == "offset":
            self.offsets[theirs] = ours
            return True
        if (
            key in ("key", "password", "secret", "client_id", "client_secret")
            and len(theirs) == len(ours)
            and len(theirs) >= 32
        ):
            self.ours[theirs] = ours
            return True
        return self.known(theirs) == ours or self.mapped(theirs, ours)

    def known(self, theirs: str) -> str:
        return self.translated(theirs)

    def mapped(self, theirs: str, ours: str) -> bool:
        """Whether two texts differ in ids that have not been seen; those are the same from then on."""
        if _UUID.sub("#", self.translated(theirs)) != _UUID.sub("#", ours):
            return False
        for their_id, our_id in zip(_UUID.findall(theirs), _UUID.findall(ours), strict=True):
            if self.ours.setdefault(their_id, our_id) != our_id:
                return False
        return True

    def same_list(self, theirs: list[Any], ours: Any, *, paged: bool) -> bool:
        if not isinstance(ours, list) or len(theirs) != len(ours):
            return False
        if paged:
            # Which entities are on a page follows from random ids: only their shape can be the same.
            return all(any(set(one) == set(other) for other in theirs) for one in ours)
        remaining = list(ours)
        for one in theirs:
            match = next((other for other in remaining if self.same_if_tried(one, other)), None)
            if match is None:
                return False
            remaining.remove(match)
        return True

    def same_if_tried(self, theirs: Any, ours: Any) -> bool:
        before = dict(self.ours)
        if self.same(theirs, ours):
            return True
        self.ours = before
        return False


def _is_moment(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 1_700_000_000


def _is_setup(data: Any) -> bool:
    return (
        isinstance(data, list)
        and bool(data)
        and isinstance(data[0], dict)
        and bool(re.match(r"p[gr]\d+$", str(data[0].get("name"))))
    )


def _lists(body: Any) -> bool:
    return isinstance(body, dict) and ("data" in body or isinstance(body.get("created_at"), float))


def _elided(body: Any) -> bool:
    return "elided" in json.dumps(body) or "<private key>" in json.dumps(body)


@contextmanager
def upstreams() -> Iterator[dict[int, int]]:
    """The ports that the recordings assume: two echoes, one that refuses, one that never answers a SYN."""
    with echo_upstream("A") as first, echo_upstream("B") as second, socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
            fillers.append(filler)
        yield {
            18101: first.server_address[1],
            18102: second.server_address[1],
            18199: free_port(),
            18190: hole.getsockname()[1],
        }
        for filler in fillers:
            filler.close()


def replayed(version: str, scenario: str, state: Path) -> dict[int, list[str]]:
    """What differs, by the index of the request (an empty list: nothing does)."""
    entries = json.loads((RECORDINGS / f"kong-{version}" / f"{scenario}.json").read_text())
    found: dict[int, list[str]] = {}
    with upstreams() as ports, running_gateway(state=state, version=version.rpartition(".")[0]) as lab:
        replay = Replay(lab, ports)
        prepare(scenario, lab)
        for index, entry in enumerate(entries):
            request, recorded, note = entry["request"], entry["response"], entry.get("note", "")
            if isinstance(recorded["status"], list):
                found[index] = concurrently(request["path"], note, recorded, lab)
                continue
            if scenario == "pagination" and index == 37:
                _many(lab, [("PUT", f"/services/pg001/routes/pr{i:03d}", {"paths": [f"/p{i}"]}) for i in range(105)])
            reply = replay.send(request, note)
            found[index] = replay.differences(recorded, request, reply, note)
            if scenario in _DELETED_AT_ONCE and reply.status == 201 and _was_deleted(scenario, index, reply):
                kind = next(kind for kind in ("routes", "services", "apis") if kind in request["path"])
                _many(lab, [("DELETE", f"/{kind}/{reply.json()['id']}", None)])
    return found


def _was_deleted(scenario: str, index: int, reply: Reply) -> bool:
    """The recorder kept the routes' service, and of the apis those whose names it did not use again."""
    if scenario == "apis_create_post":
        return reply.json()["name"] in ("u", "h", "up", "k")
    return not (scenario.startswith("route") and index == 0)


def prepare(scenario: str, lab: Lab) -> None:
    """What was set up without being recorded."""
    numbers = range(250)
    if scenario == "pagination":
        tagged = ({"tags": ["pg", "odd" if i % 2 else "even"], **_paged_service(i)} for i in numbers)
        _many(lab, [("POST", "/services", service) for service in tagged])
    if scenario == "services_pagination_0_14":
        _many(lab, [("POST", "/services", _paged_service(i)) for i in numbers])
    if scenario == "apis_pagination":
        _many(lab, [("POST", "/apis", _paged_api(i)) for i in numbers])


def _paged_service(number: int) -> dict[str, Any]:
    return {"name": f"pg{number:03d}", "host": f"h{number}.example.com"}


def _paged_api(number: int) -> dict[str, Any]:
    url = f"http://h{number}.example.com"
    return {"name": f"pg{number:03d}", "uris": [f"/pg{number}"], "upstream_url": url, "retries": number % 3}


def _many(lab: Lab, requests: list[tuple[str, str, Any]]) -> None:
    with Client(lab.admin) as client:
        for method, path, content in requests:
            body = None if content is None else json.dumps(content).encode()
            reply = client.ask(method, path, {"Content-Type": "application/json"} if body else {}, body)
            assert reply.status in (200, 201, 204), reply


def concurrently(what: str, note: str, recorded: dict[str, Any], lab: Lab) -> list[str]:
    """Eight threads with the same request at once."""
    number = note.split()[-1]
    method, path = what.split(",")[0].split(" ")[:2]
    name = f"n{number}-{abs(hash(what)) % 10000}"
    url, content = _contended(method, path, name, exists="{existing" in what, lab=lab)
    replies = _at_once(lab, method, url, None if method == "DELETE" else content)
    statuses = sorted(reply.status for reply in replies)
    found = [] if statuses == sorted(recorded["status"]) else [f"{statuses} instead of {recorded['status']}"]
    ids = {reply.json()["id"] for reply in replies if reply.status in (200, 201)}
    if method != "DELETE" and len(ids) != 1:
        found.append(f"{len(ids)} ids")
    return found


def _contended(method: str, path: str, name: str, *, exists: bool, lab: Lab) -> tuple[str, dict[str, Any]]:
    """The URL and the body that the threads send, once what has to be there is."""
    if path.startswith("/apis"):
        content: dict[str, Any] = {"name": name, "uris": ["/c"], "upstream_url": "http://h"}
        if method == "PATCH":
            _many(lab, [("POST", "/apis", content)])
            return f"/apis/{name}", {"upstream_url": "http://other"}
        return "/apis", content
    kind = "routes" if "routes" in path else "services"
    content = {"paths": ["/c"]} if kind == "routes" else {"host": "h"}
    _many(lab, [("PUT", "/services/c0", {"host": "h"})])
    if exists:
        _many(lab, [("PUT", f"/services/c0/routes/{name}" if kind == "routes" else f"/services/{name}", content)])
    if method == "POST":
        return "/services", {**content, "name": name}
    return re.sub(r"\{.*$", name, path), content


def _at_once(lab: Lab, method: str, url: str, content: Any) -> list[Reply]:
    replies: list[Reply] = []
    barrier = threading.Barrier(8)

    def one() -> None:
        with Client(lab.admin) as client:
            barrier.wait()
            body = None if content is None else json.dumps(content).encode()
            replies.append(client.ask(method, url, {"Content-Type": "application/json"} if body else {}, body))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies
