"""What the lab Rancher's tests share: a client that shows status, code and field, and stacks that are ready."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

from lab_support import Client

from pipeline.lab.rancher.lab_state import Key
from pipeline.lab.rancher.running import ACCOUNT_KEY, ENVIRONMENT_KEY, Lab, RealLab

P = "/v2-beta/projects/1a5"
COMPOSE = "version: '2'\nservices:\n  web:\n    image: shop/web:1\n"


@dataclass(frozen=True)
class Told:
    """An answer: its status, its JSON and its headers in lower case."""

    status: int
    json: Any
    headers: dict[str, str]

    @property
    def error(self) -> tuple[int, str, str | None]:
        return self.status, self.json["code"], self.json.get("fieldName")


class Rancher:
    """Requests with a key (an environment's, unless another is given); paths may be links that the server made."""

    def __init__(self, lab: Lab | RealLab, key: Key | None = ENVIRONMENT_KEY) -> None:
        self.lab: Any = lab
        self._key = key

    def ask(self, method: str, path: str, content: Any = None, **headers: str) -> Told:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self._key is not None:
            word = base64.b64encode(f"{self._key.access}:{self._key.secret}".encode()).decode()
            given["Authorization"] = f"Basic {word}"
        body = content if isinstance(content, bytes) else None if content is None else json.dumps(content).encode()
        with Client((self.lab.host, self.lab.port)) as client:
            reply = client.ask(method, path.removeprefix(self.lab.url), given, body)
        headers = {name.lower(): value for name, value in reply.headers}
        return Told(reply.status, json.loads(reply.body) if reply.body[:1] in b"{[" else reply.body, headers)

    def get(self, path: str, **headers: str) -> Any:
        told = self.ask("GET", path, **headers)
        assert told.status == 200, told
        return told.json

    def data(self, path: str) -> list[Any]:
        return list(self.get(path)["data"])

    def post(self, path: str, content: Any = None) -> Any:
        told = self.ask("POST", path, content)
        assert told.status in (200, 201, 202), told
        return told.json

    def act(self, row: Any, action: str, content: Any = None) -> Told:
        return self.ask("POST", f"{row['links']['self']}/?action={action}", content)

    def again(self, row: Any) -> Any:
        return self.get(row["links"]["self"])

    def until(self, row: Any, *states: str, seconds: float = 10, **fields: Any) -> Any:
        """The row once it is in one of the states and its fields are so, in real time."""
        end = time.monotonic() + seconds
        while True:
            found = self.again(row)
            if found["state"] in states and fields.items() <= found.items():
                return found
            assert time.monotonic() < end, (found["state"], found["transitioningMessage"], found.get("healthState"))
            time.sleep(0.02)

    def stack(self, name: str = "shop", **fields: Any) -> Any:
        """An active stack."""
        made = self.post(f"{P}/stacks", {"name": name, **fields})
        self.lab.advance(5)
        return self.again(made)

    def service(self, stack: Any, name: str = "web", *, image: str = "shop/web:1", **fields: Any) -> Any:
        """An active service with a health check."""
        config = {"imageUuid": f"docker:{image}", "healthCheck": {"port": 80}, **fields.pop("launchConfig", {})}
        body = {"name": name, "stackId": stack["id"], "startOnCreate": True, "launchConfig": config, **fields}
        made = self.post(f"{P}/services", body)
        self.lab.advance(5)
        return self.again(made)

    def containers(self, service: Any) -> dict[str, tuple[str, str]]:
        """State and image by uuid."""
        rows = self.data(f"{service['links']['self']}/instances")
        return {row["uuid"]: (row["state"], row["imageUuid"].removeprefix("docker:")) for row in rows}

    def upgrade(self, service: Any, image: str, **strategy: Any) -> Told:
        config = {**service["launchConfig"], "imageUuid": f"docker:{image}"}
        return self.act(service, "upgrade", {"inServiceStrategy": {"launchConfig": config, **strategy}})


__all__ = ["ACCOUNT_KEY", "COMPOSE", "ENVIRONMENT_KEY", "P", "Rancher", "Told"]
