"""A lab gateway of Kong 0.14, behind a way that writes requests down and can fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.lab.gateway.running import Lab, running_gateway
from tests.contracts.test_gateways_faults import Way

Fields = dict[str, Any]


class LegacyKong:
    """What a test does to it behind the driver's back."""

    def __init__(self, lab: Lab, way: Way) -> None:
        self.lab = lab
        self.way = way

    @property
    def url(self) -> str:
        """The Admin API's, by the way."""
        return self.way.url

    @property
    def requests(self) -> list[str]:
        """Methods and paths that came by the way."""
        return self.way.asked

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Straight to the Admin API."""
        parts = urlsplit(self.lab.admin_url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"} if content else {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None

    def add(self, kind: str, **fields: Any) -> str:
        """The id of the new entity."""
        status, body = self.ask("POST", f"/{kind}", fields)
        assert status == 201, body
        return str(body["id"])

    def all(self, kind: str) -> list[Fields]:
        found: list[Fields] = self.ask("GET", f"/{kind}?size=1000")[1]["data"]
        return found

    def wipe(self) -> None:
        for kind in ("plugins", "apis"):
            for one in self.all(kind):
                self.ask("DELETE", f"/{kind}/{one['id']}")


@contextmanager
def legacy_kong(folder: Path) -> Iterator[LegacyKong]:
    with running_gateway(state=folder / "legacy", version="0.14") as lab:
        way = Way(int(lab.admin_url.rpartition(":")[2]))
        thread = threading.Thread(target=way.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield LegacyKong(lab, way)
        finally:
            way.shutdown()
            way.server_close()
            thread.join()
