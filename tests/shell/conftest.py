"""Generated scripts are run by three shells, with a stand-in for curl that writes down what it was given."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SHELLS = {"dash": ("dash",), "bash": ("bash", "--posix"), "busybox": ("busybox", "sh")}

# Answers `GET /` and the listing as a Kong does, and every write with $ANSWER; several writes of one configuration with
# $STATUS each, up to the first that is an error.
_STAND_IN = """#!/bin/sh
set -eu
if [ "$1" = --version ]; then echo "curl ${CURL_VERSION:-8.0.0} OpenSSL"; exit 0; fi
configuration=$(cat)
{ printf '%s\\n' "$*"; printf '%s\\n' "$configuration"; printf '\\001'; env; printf '\\0'; } >> "$RECORD"
nothing='{}' none='{"data":[]}' status=${STATUS:-200}
case $configuration in
*'output = "/dev/null"'*)
    while [ "${configuration#*write-out = ?}" != "$configuration" ]; do
        configuration=${configuration#*write-out = ?}
        printf '%s:%s\\n' "${configuration%%:*}" "$status"
        [ "$status" -lt 400 ] || exit 22
    done ;;
*'request = "PUT"'* | *'request = "P'*) printf '%s\\n%s' "${ANSWER:-$nothing}" "$status" ;;
*'/services?'*) printf '%s\\n200' "${LISTING:-$none}" ;;
*'url = "http://kong:8001/"'*) printf '{"version":"2.8.5"}\\n200' ;;
*'/basic-auths/'*) printf '{}\\n%s' "${FOUND:-404}" ;;
*) printf '{"version":"2.8.5"}\\n200' ;;
esac
exit "${CURL_EXIT:-0}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that curl was to make: its arguments, its configuration, its environment variables."""

    arguments: str
    options: tuple[tuple[str, str], ...]
    variables: str

    def option(self, name: str) -> str:
        return next((value for key, value in self.options if key == name), "")

    @property
    def body(self) -> object:
        data = self.option("data-binary")
        return json.loads(data) if data else None


class Bench:
    """A folder with the stand-in, and runs of scripts in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "restore.sh"
        self.record = folder / "record"
        stand_in = folder / "curl"
        stand_in.write_text(_STAND_IN)
        stand_in.chmod(0o755)
        for name in ("cat", "env"):
            (folder / name).symlink_to(shutil.which(name) or name)

    def run(self, shell: str, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs with nothing on the path but the stand-in and what that needs."""
        self.script.write_text(script)
        self.record.unlink(missing_ok=True)
        words = SHELLS[shell]
        command = [shutil.which(words[0]) or words[0], *words[1:], str(self.script)]
        given = {"PATH": str(self.folder), "RECORD": str(self.record), "KONG_ADMIN_URL": "http://kong:8001"} | variables
        set_variables = {name: value for name, value in given.items() if value}
        return subprocess.run(command, env=set_variables, capture_output=True, text=True, timeout=60, cwd=os.sep)

    def requests(self) -> list[Request]:
        if not self.record.exists():
            return []
        return [request for part in self.record.read_text().split("\0") if part for request in _requests(part)]


def _requests(text: str) -> Iterator[Request]:
    """One for each that a call of curl was to make."""
    given, _, variables = text.partition("\x01")
    arguments, _, configuration = given.rstrip("\n").partition("\n")
    for part in configuration.split("\nnext\n"):
        pairs = (line.partition(" = ") for line in part.split("\n"))
        options = tuple((name, _value(value)) for name, _, value in pairs)
        yield Request(arguments=arguments, options=options, variables=variables)


def _value(text: str) -> str:
    """As curl reads it (its manual, --config): quoted with backslashes, or up to the first white space."""
    if not text.startswith('"'):
        assert len(text.split()) <= 1, f"white space ends a value: {text!r}"
        return text
    escaped, found = False, ""
    for character in text[1:]:
        if escaped:
            found += {"n": "\n", "t": "\t", "r": "\r"}.get(character, character)
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"':
            return found
        else:
            found += character
    raise AssertionError(f"a quote is not closed: {text!r}")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)
