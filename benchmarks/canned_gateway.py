"""A large gateway as pages that were made before, and a server that costs next to nothing: for comparisons of clients."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAGE = 1000
ROOT = Path(__file__).parents[1]

# A server of canned pages: it looks for the path and answers with bytes that were made before. /asked says how often.
SERVER = """
import asyncio, json, sys
pages = json.load(open(sys.argv[1]))
answers = {path: b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(text.encode()) + text.encode() for path, text in pages.items()}
nothing = b"HTTP/1.1 404 Not Found\\r\\nContent-Type: application/json\\r\\nContent-Length: 2\\r\\n\\r\\n{}"
asked = 0
written = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 2\\r\\n\\r\\n{}"
async def serve(reader, writer):
    global asked
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            method, path, _ = head.split(b" ", 2)
            place = head.lower().find(b"content-length:")
            if place >= 0:
                await reader.readexactly(int(head[place + 15 : head.index(b"\\r\\n", place)]))
            if path == b"/asked":
                writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%d" % (len(str(asked)), asked))
                continue
            asked += 1
            writer.write(answers.get(path.decode(), nothing) if method == b"GET" else written)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@contextmanager
def process(command: list[str]) -> Iterator[str]:
    """A server in a process of its own, and the line that it says first."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline()
        finally:
            server.terminate()


def canned(size: int) -> tuple[dict[str, str], list[list[str]]]:
    """Pages by path, and the paths of each collection in their order."""
    entities = {
        "services": [service(number) for number in range(size)],
        "routes": [route(number) for number in range(size)],
        "plugins": [plugin(number) for number in range(size)],
        "consumers": [consumer(number) for number in range(size // 5)],
        "key-auths": [
            {"id": made(f"k{number}"), "key": f"key{number}", "consumer": {"id": made(f"c{number}")}, "tags": None}
            for number in range(size // 5)
        ],
    }
    pages = {"/": json.dumps({"version": "2.8.5"}), "/endpoints": json.dumps({"data": []})}
    asked = []
    for kind, listed in entities.items():
        path, paths = f"/{kind}?size={PAGE}", []
        for start in range(0, len(listed), PAGE):
            following = f"p{start + PAGE}" if start + PAGE < len(listed) else None
            pages[path] = json.dumps({"data": listed[start : start + PAGE], "offset": following, "next": None})
            paths.append(path)
            path = f"/{kind}?size={PAGE}&offset={following}"
        asked.append(paths)
    return pages, asked


def made(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def service(number: int) -> dict[str, object]:
    times = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), 60000)
    nulls = dict.fromkeys(("path", "client_certificate", "tls_verify", "tls_verify_depth", "ca_certificates"))
    named = {"id": made(f"s{number}"), "name": f"s{number}", "host": f"proxy.s{number}", "port": 80, "protocol": "http"}
    return {**named, **times, **nulls, "retries": 5, "enabled": True, "created_at": 1, "updated_at": 1, "tags": ["a"]}


def route(number: int) -> dict[str, object]:
    nulls = dict.fromkeys(("hosts", "methods", "headers", "snis", "sources", "destinations"))
    fixed = {"protocols": ["http", "https"], "strip_path": False, "preserve_host": False, "path_handling": "v0"}
    named = {"id": made(f"r{number}"), "name": f"r{number}", "paths": [f"/ws/r{number}"]}
    return {**named, **nulls, **fixed, "service": {"id": made(f"s{number}")}, "created_at": 1, "tags": ["a", "b"]}


def plugin(number: int) -> dict[str, object]:
    config = {"minute": 5, "policy": "local", "hide_client_headers": False, "redis_port": 6379, "limit_by": "ip"}
    scope = {"service": {"id": made(f"s{number}")}, "route": None, "consumer": None}
    return {
        "id": made(f"p{number}"),
        "name": "rate-limiting",
        "config": config,
        **scope,
        "enabled": True,
        "created_at": 1,
    }


def consumer(number: int) -> dict[str, object]:
    return {"id": made(f"c{number}"), "username": f"c{number}", "custom_id": None, "tags": None, "created_at": 1}
