"""A gateway that gives the first of its pages and not the next: nothing is pruned, and it is said why."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.edge.clock import SystemClock
from pipeline.edge.json_api import Patience
from pipeline.errors import Refused
from pipeline.flows.survey import Sources, survey
from pipeline.gateways.kong.services_routes import KongGateway
from pipeline.model.address import GatewayAddress
from pipeline.model.prune import plan_prune
from pipeline.model.prune_rules import PrunePolicy
from pipeline.platforms.memory import MemoryEngine, MemoryPlatform
from tests.conftest import SteppingClock


class Half(BaseHTTPRequestHandler):
    """One page of everything, and for the next what the server's `second` says."""

    server: HalfServer

    def do_GET(self) -> None:
        page = {"data": [{"id": self.path, "name": "x", "host": "h", "protocol": "http"}], "offset": "more"}
        status, body = self.server.second if "offset=" in self.path else (200, json.dumps(page))
        content = (json.dumps({"version": "2.8.5"}) if self.path == "/" else body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *words: object) -> None:
        """Says nothing."""


class HalfServer(ThreadingHTTPServer):
    daemon_threads = True
    second: tuple[int, str] = (500, "{}")


@pytest.fixture
def server() -> Iterator[HalfServer]:
    made = HalfServer(("127.0.0.1", 0), Half)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ((500, '{"message": "An unexpected error occurred"}'), "500"),
        ((200, '{"data": [], "offset": "more"}'), "the same page again and again"),
        ((403, '{"message": "no"}'), "403"),
        ((200, "<html>"), ""),
    ],
)
def test_half_of_the_pages_is_a_source_that_could_not_be_read(
    server: HalfServer, second: tuple[int, str], why: str, clock: SteppingClock
) -> None:
    server.second = second
    patience = Patience(connect=1, read=1, total=2, tries=2, first_pause=0.01)
    address = GatewayAddress(admin=f"http://127.0.0.1:{server.server_address[1]}")
    gateway = KongGateway(address, clock=SystemClock(), patience=patience)

    snapshot = survey(
        "stage",
        Sources(platform=lambda: MemoryPlatform(MemoryEngine(clock=clock), "stage"), gateway=lambda: gateway),
    )
    gateway.close()

    ((source, reason),) = snapshot.missing
    assert (source, snapshot.routes) == ("gateway", ())
    assert why in reason
    with pytest.raises(Refused, match="stage could not be read completely: gateway: "):
        plan_prune(snapshot, PrunePolicy())
