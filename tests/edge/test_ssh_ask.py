"""A value that is typed: asked for until there is one, and not shown."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

CODE = "from pipeline.edge.ssh_ask import ask; print(len(ask('DB_PASSWORD', 'the password')))"


def test_what_is_typed_is_taken_and_not_shown() -> None:
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-c", CODE], stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True
        ) as child:
            shown = b""
            for typed in (b"\n", b"it's secret\n"):
                while shown.count(b"DB_PASSWORD (the password): ") < (1 if typed == b"\n" else 2):
                    shown += os.read(ours, 1000)
                os.write(ours, typed)
            out, _ = child.communicate(timeout=20)
    finally:
        os.close(ours)
        os.close(theirs)

    assert out == b"11\n"
    assert b"secret" not in shown


def test_input_that_ends_is_named() -> None:
    command = [sys.executable, "-W", "ignore", "-c", CODE]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True, check=False
    )

    assert "BadInput: DB_PASSWORD was not typed" in done.stderr
