"""A service of one file: answers OPTIONS with what it is, counts its starts on a volume, lies or fails when told to."""

import json
import os
import pathlib
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

URI = "/ws/hello"
BEHAVIOUR = pathlib.Path("/app/behaviour").read_text().split()
STARTS = pathlib.Path("/data/starts")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one write: two of them meet a delayed acknowledgement, 40 ms each time.
    wbufsize = -1

    def do_OPTIONS(self) -> None:
        stack = "somebody-else" if "lies" in BEHAVIOUR else os.environ["stack"]
        self.answer(200, {"stack": stack, "version": os.environ["version"], "branch": os.environ["branch"]})

    def do_GET(self) -> None:
        if self.path.endswith("/health"):
            self.answer(
                503 if "sick" in BEHAVIOUR else 200, {"well": "sick" not in BEHAVIOUR, "why": "told to be sick"}
            )
        elif self.path.endswith("/secret"):
            self.answer(200, {"length": len(os.environ.get("HELLO_TOKEN", ""))})
        else:
            self.answer(200, {"says": " ".join(BEHAVIOUR), "starts": int(STARTS.read_text())})

    def answer(self, status: int, document: dict[str, object]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        print(format % args, flush=True)


if "exits" in BEHAVIOUR:
    sys.exit("told to exit")
STARTS.write_text(str(int(STARTS.read_text()) + 1 if STARTS.exists() else 1))
print(f"hello with a token: {os.environ.get('HELLO_TOKEN', '')}", flush=True)
ThreadingHTTPServer(("", 80), Handler).serve_forever()
