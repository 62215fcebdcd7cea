"""A Docker engine in this process, over HTTP: it makes of a payload what a real one does, and runs nothing.

Its answers are shaped as the real engine's 20.10 (API 1.41): defaults filled in, an image's configuration merged."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

MINUTE = "2026-01-02T03:{:02}:{:02}.{:09}Z"


class MemoryEngine:
    """What the engine has. `images` by id: the inspected image."""

    def __init__(self) -> None:
        self.containers: dict[str, dict[str, Any]] = {}
        self.images: dict[str, dict[str, Any]] = {}
        self.networks: dict[str, dict[str, Any]] = {}
        self.volumes: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.lock = threading.RLock()
        self.url = ""

    def add_image(self, reference: str, **config: Any) -> str:
        """An image that was built here, or with `digest=` pulled from a registry; gives its id."""
        digest = config.pop("digest", "")
        key = f"sha256:{hashlib.sha256(json.dumps([reference, config], sort_keys=True).encode()).hexdigest()}"
        self.images[key] = {
            "Id": key,
            "RepoTags": [reference] if ":" in reference else [],
            "RepoDigests": [digest] if digest else [],
            "Config": {"Env": None, "Cmd": None, "Entrypoint": None, "Labels": None, "Volumes": None} | config,
            "Size": 1,
            "Created": "2026-01-01T00:00:00Z",
        }
        return key

    def image(self, name: str) -> dict[str, Any] | None:
        for one in self.images.values():
            if name in (one["Id"], *one["RepoTags"], *one["RepoDigests"]) or one["Id"] == f"sha256:{name}":
                return one
        return None

    def container(self, name: str) -> dict[str, Any] | None:
        for one in self.containers.values():
            if one["Id"].startswith(name) or one["Name"] == f"/{name}":
                return one
        return None

    def create(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        image = self.image(body["Image"])
        if image is None:
            return 404, {"message": f"No such image: {body['Image']}"}
        if self.container(name):
            return 409, {"message": f"the name {name} is in use"}
        number = len(self.requests)
        key = hashlib.sha256(f"{name} {number}".encode()).hexdigest()
        host = _host(body.get("HostConfig") or {})
        self._make_volumes(host)
        self.containers[key] = {
            "Id": key,
            "Name": f"/{name}",
            "Created": MINUTE.format(number // 60 % 60, number % 60, number),
            "Image": image["Id"],
            "Config": _merged(key, body, image["Config"]),
            "HostConfig": host,
            "State": {"Status": "created", "Running": False, "Paused": False, "ExitCode": 0, "Restarting": False},
            "RestartCount": 0,
            "Mounts": [_mount(text) for text in host["Binds"] or ()],
            "NetworkSettings": {"Networks": {name: {} for name in _networks(body, host)}},
        }
        return 201, {"Id": key, "Warnings": []}

    def start(self, one: dict[str, Any]) -> None:
        one["State"] |= {"Status": "running", "Running": True}
        test = (one["Config"].get("Healthcheck") or {}).get("Test") or []
        if test and test != ["NONE"]:
            one["State"]["Health"] = {"Status": "healthy", "FailingStreak": 0, "Log": []}

    def remove(self, one: dict[str, Any]) -> None:
        del self.containers[one["Id"]]

    def _make_volumes(self, host: dict[str, Any]) -> None:
        for text in host["Binds"] or ():
            source = text.split(":")[0]
            if not source.startswith("/"):
                self.make_volume({"Name": source})
        for mount in host.get("Mounts") or ():
            options = mount.get("VolumeOptions") or {}
            driver = options.get("DriverConfig") or {}
            body = {"Name": mount["Source"], "Labels": options.get("Labels"), "Driver": driver.get("Name")}
            self.make_volume(body | {"DriverOpts": driver.get("Options")})

    def make_volume(self, body: dict[str, Any]) -> dict[str, Any]:
        made = {
            "Name": body["Name"],
            "Driver": body.get("Driver") or "local",
            "Labels": body.get("Labels") or None,
            "Options": body.get("DriverOpts") or None,
        }
        return self.volumes.setdefault(body["Name"], made)


def _host(given: dict[str, Any]) -> dict[str, Any]:
    """With what the engine fills in."""
    host = {"Binds": None, "PortBindings": {}, "Devices": None, "Tmpfs": None, "Init": None} | given
    logging = host.get("LogConfig") or {}
    host["LogConfig"] = {"Type": logging.get("Type") or "json-file", "Config": logging.get("Config") or {}}
    host["ShmSize"] = host.get("ShmSize") or 64 * 1024 * 1024
    memory = host.get("Memory") or 0
    defaults = {"IpcMode": "private", "CgroupnsMode": "host", "Runtime": "runc", "ConsoleSize": [0, 0], "Isolation": ""}
    defaults |= {"MemorySwap": 2 * memory, "MaskedPaths": ["/proc/acpi"], "PidsLimit": None, "Ulimits": None}
    return defaults | host


def _merged(key: str, body: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    """As runconfig.Merge of the engine does it."""
    config = {name: body.get(name) for name in ("Env", "Cmd", "Entrypoint", "Labels", "Volumes", "Tty", "StopTimeout")}
    if not config["Entrypoint"]:
        if not config["Cmd"]:
            config["Cmd"] = image.get("Cmd")
        if config["Entrypoint"] is None:
            config["Entrypoint"] = image.get("Entrypoint")
    names = {text.partition("=")[0] for text in config["Env"] or ()}
    config["Env"] = [*(config["Env"] or ()), *(t for t in image.get("Env") or () if t.partition("=")[0] not in names)]
    config["Labels"] = (image.get("Labels") or {}) | (config["Labels"] or {})
    config["Volumes"] = ((image.get("Volumes") or {}) | (config["Volumes"] or {})) or None
    for name in ("User", "WorkingDir", "StopSignal"):
        config[name] = body.get(name) or image.get(name) or ""
    config["Healthcheck"] = body.get("Healthcheck") or image.get("Healthcheck")
    config["Hostname"] = body.get("Hostname") or key[:12]
    config["Image"] = body["Image"]
    return config


def _mount(text: str) -> dict[str, str]:
    source = text.split(":")[0]
    return {"Type": "bind", "Source": source} if source.startswith("/") else {"Type": "volume", "Name": source}


def _networks(body: dict[str, Any], host: dict[str, Any]) -> list[str]:
    named = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    return list(named) or [str(host.get("NetworkMode") or "bridge")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one write: two of them meet a delayed acknowledgement, 40 ms each time.
    wbufsize = -1
    engine: MemoryEngine

    def log_message(self, format: str, *words: Any) -> None: ...

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        words = [unquote(word) for word in parts.path.split("/") if word]
        if words and words[0].startswith("v1."):
            words = words[1:]
        query = {name: "\n".join(found) for name, found in parse_qs(parts.query).items()}
        content = self._read()
        with self.engine.lock:
            self.engine.requests.append(f"{self.command} /{'/'.join(words)}")
            status, answer = self._answer(words, query, content)
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Type", "application/x-tar" if isinstance(answer, bytes) else "application/json")
        if words[-1:] == ["archive"] and self.command == "GET":
            self.send_header("X-Docker-Container-Path-Stat", "e30=")
        empty = status in (204, 304)
        if not empty:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and not empty:
            self.wfile.write(body)

    def _read(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, words: list[str], query: dict[str, str], content: bytes) -> tuple[int, Any]:
        engine = self.engine
        match [self.command.replace("HEAD", "GET"), *words]:
            case ["GET", "_ping"]:
                return 200, b"OK"
            case ["GET", "version"]:
                return 200, {
                    "Version": "20.10.24",
                    "ApiVersion": "1.41",
                    "MinAPIVersion": "1.12",
                    "Os": "linux",
                    "Arch": "amd64",
                }
            case ["GET", "info"]:
                told = {"LoggingDriver": "json-file", "LiveRestoreEnabled": False, "RegistryConfig": {}}
                return 200, {"Name": "new-1"} | told
            case ["GET", "events"]:
                return 200, b""
            case ["GET", "containers", "json"]:
                return 200, [_listed(one) for one in engine.containers.values() if _matches(one, query)]
            case ["POST", "containers", "create"]:
                return engine.create(query.get("name", "unnamed"), json.loads(content))
            case ["GET", "images", *name, "json"]:
                found = engine.image("/".join(name))
                return (200, found) if found else (404, {"message": f"No such image: {'/'.join(name)}"})
            case ["GET", "images", "get"]:
                saved = [engine.images[name] for name in query["names"].split("\n")]
                return 200, json.dumps(saved, sort_keys=True).encode()
            case ["POST", "images", "load"]:
                engine.images |= {image["Id"]: image for image in json.loads(content)}
                return 200, {"stream": "Loaded"}
            case ["GET" | "POST", "networks", *rest]:
                return self._networks(rest, query, content)
            case ["GET" | "POST", "volumes", *rest]:
                return self._volumes(rest, query, content)
            case [_, "containers", name, *rest]:
                return self._container(engine.container(name), rest, content)
        return 404, {"message": "page not found"}

    def _container(self, one: dict[str, Any] | None, rest: list[str], content: bytes) -> tuple[int, Any]:
        if one is None:
            return 404, {"message": "No such container"}
        match [self.command, *rest]:
            case ["GET", "json"]:
                return 200, one
            case ["POST", "start"]:
                self.engine.start(one)
                return 204, {}
            case ["POST", "stop"]:
                one["State"] |= {"Status": "exited", "Running": False}
                return 204, {}
            case ["PUT", "archive"]:
                self.engine.files[one["HostConfig"]["Mounts"][0]["Source"]] = content
                return 200, {}
            case ["GET", "archive"]:
                return 200, self.engine.files.get((one["HostConfig"]["Binds"] or [":"])[0].split(":")[0], _empty())
            case ["DELETE"]:
                self.engine.remove(one)
                return 204, {}
        return 404, {"message": "page not found"}

    def _networks(self, rest: list[str], query: dict[str, str], content: bytes) -> tuple[int, Any]:
        networks = self.engine.networks
        if rest == ["create"]:
            body = json.loads(content)
            made = {"Driver": "bridge", "Options": {}, "Labels": {}, "Internal": False} | body
            networks[body["Name"]] = made | {"Id": hashlib.sha256(body["Name"].encode()).hexdigest()}
            return 201, {"Id": networks[body["Name"]]["Id"]}
        if rest:
            found = networks.get(rest[0])
            return (200, found) if found else (404, {"message": f"network {rest[0]} not found"})
        return 200, list(networks.values())

    def _volumes(self, rest: list[str], query: dict[str, str], content: bytes) -> tuple[int, Any]:
        if rest == ["create"]:
            return 201, self.engine.make_volume(json.loads(content))
        if rest:
            found = self.engine.volumes.get(rest[0])
            return (200, found) if found else (404, {"message": f"no such volume: {rest[0]}"})
        wanted = _filters(query).get("label", [])
        return 200, {"Volumes": [one for one in self.engine.volumes.values() if _has(one["Labels"] or {}, wanted)]}


def _empty() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w"):
        pass
    return file.getvalue()


def _filters(query: dict[str, str]) -> dict[str, list[str]]:
    return {name: list(found) for name, found in json.loads(query.get("filters") or "{}").items()}


def _has(labels: dict[str, str], wanted: list[str]) -> bool:
    pairs = [text.partition("=") for text in wanted]
    return all(name in labels and (not sign or labels[name] == value) for name, sign, value in pairs)


def _matches(one: dict[str, Any], query: dict[str, str]) -> bool:
    filters = _filters(query)
    health = one["State"].get("Health", {}).get("Status", "none")
    return (
        _has(one["Config"]["Labels"], filters.get("label", []))
        and all(name in one["NetworkSettings"]["Networks"] for name in filters.get("network", ()))
        and (not filters.get("health") or health in filters["health"])
        and (not filters.get("exited") or one["State"]["Status"] == "exited")
    )


def _listed(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "Id": one["Id"],
        "Names": [one["Name"]],
        "Image": one["Config"]["Image"],
        "ImageID": one["Image"],
        "Created": 1_767_322_980 + int(one["Created"][-10:-1]),
        "Labels": one["Config"]["Labels"],
        "State": one["State"]["Status"],
        "Status": "Up 1 second",
        "Ports": [],
    }


@contextmanager
def memory_engine() -> Iterator[MemoryEngine]:
    """An engine that answers at `url` (tcp://…) until the block ends."""
    engine = MemoryEngine()
    handler = type("Handler", (_Handler,), {"engine": engine})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        engine.url = f"tcp://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield engine
        finally:
            server.shutdown()
            thread.join()
