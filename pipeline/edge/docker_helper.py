"""A credential helper of the docker command, asked for one registry's login."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.errors import BadInput
from pipeline.model.secret import Secret

_NONE = "credentials not found"
"""What a helper prints on a failure that is none; the protocol has no other sign of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HelperAnswer:
    """What a helper printed: the user `<token>` says that the secret is an identity token."""

    user: str
    secret: Secret


def ask_helper(
    name: str, server: str, *, environ: Mapping[str, str], seconds: float, source: str
) -> HelperAnswer | None:
    """Runs `docker-credential-<name> get`; None when it has no credentials for that server. `source` is the file that
    names the helper, for messages. Nothing that the helper prints is told: it may be the secret.

    Raises BadInput for a helper that is not there, fails, takes longer than that or prints what is no answer; neither
    it nor what it has started lives on."""
    program = f"docker-credential-{name}"
    whose = f"the credential helper {program}, which {source} names for {server},"
    try:
        with _running(program, environ) as process:
            output, _ = process.communicate(server.encode(), timeout=seconds)
    except subprocess.TimeoutExpired:
        raise BadInput(
            f"{whose} did not answer within {seconds:g} s",
            hint=f"It may wait for someone to unlock it: try `echo {server} | {program} get`.",
        ) from None
    except OSError as error:
        raise BadInput(
            f"{whose} cannot be run: {error.strerror}", hint=f"Install it, or take it out of {source}."
        ) from error
    if process.returncode != 0:
        if _NONE in output.decode(errors="replace").lower():
            return None
        raise BadInput(
            f"{whose} failed with exit code {process.returncode}",
            hint=f"See what it says with `echo {server} | {program} get`.",
        )
    return _answer(output, whose, program, server)


def _answer(output: bytes, whose: str, program: str, server: str) -> HelperAnswer | None:
    try:
        found = msgspec.json.decode(output, type=dict[str, Any])
        user, secret = found["Username"], found["Secret"]
        if not (isinstance(user, str) and isinstance(secret, str)):
            raise TypeError
    except (msgspec.MsgspecError, UnicodeError, KeyError, TypeError):
        raise BadInput(
            f"{whose} printed what is no login", hint=f"See what it says with `echo {server} | {program} get`."
        ) from None
    return HelperAnswer(user=user, secret=Secret(secret)) if secret else None


@contextmanager
def _running(program: str, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Ends it and its children when the block is left early."""
    with subprocess.Popen(
        [program, "get"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environ),
        start_new_session=True,
    ) as process:
        try:
            yield process
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
