"""What is done on a host, in three shells and without SSH in between: the program that arrives, and the step that ends."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from pipeline.edge.library import host_library
from pipeline.hosts.ssh import BOOT

SHELLS = {"dash": ("dash",), "bash": ("bash", "--posix"), "busybox": ("busybox", "sh")}


def started(shell: str, program: str, *, announced: int | None = None) -> subprocess.Popen[bytes]:
    """The command line of a host with a program on its standard input, which stays open."""
    words = SHELLS[shell]
    command = [shutil.which(words[0]) or words[0], *words[1:], "-c", BOOT]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = program.encode()
    assert child.stdin is not None
    child.stdin.write(f"{announced or len(text)}\n".encode() + text)
    child.stdin.flush()
    return child


def ended(child: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Ends its input first."""
    out, _ = child.communicate(timeout=60)
    return child.returncode, out.decode()


def ended_by_itself(child: subprocess.Popen[bytes]) -> tuple[int, str]:
    assert child.stdout is not None
    out = child.stdout.read().decode()
    code = child.wait(timeout=60)
    child.communicate()
    return code, out


def call(*words: str) -> str:
    return f"{host_library()}\n{shlex.join(words)}\n"


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "folder-d").mkdir()
    (tmp_path / "steps").mkdir()
    return tmp_path


def test_a_program_that_arrives_in_part_is_not_run(shell: str) -> None:
    code, out = ended(started(shell, "echo run\necho more\n", announced=30))

    assert code != 0
    assert out == ""


def test_a_program_of_any_characters_is_run_as_it_is_and_the_rest_is_its_input(shell: str) -> None:
    child = started(shell, "printf '%s|' 'é \"$x\" `id`\n\n'; cat\n\n\n")

    assert child.stdin is not None
    child.stdin.write(b"the rest")
    assert ended(child) == (0, 'é "$x" `id`\n\n|the rest')


def test_a_step_that_ends_well_is_remembered_and_one_that_fails_is_not(shell: str, base: Path) -> None:
    (base / "folder-d" / "10-a.sh").write_text("echo one\n")
    (base / "folder-d" / "20-b.sh").write_text("echo two; exit 4\n")

    assert ended_by_itself(started(shell, call("host_run", str(base), "d", "10-a.sh", "key"))) == (0, "one\n")
    assert ended_by_itself(started(shell, call("host_run", str(base), "d", "20-b.sh", "key"))) == (4, "two\n")
    assert {path.name: path.read_text() for path in (base / "steps").iterdir()} == {"10-a.sh": "key\n"}


@pytest.mark.parametrize("after", [0.0, 0.5])
@pytest.mark.parametrize("deaf", ["", "trap '' TERM; "])
def test_a_step_ends_with_all_that_it_started_when_its_input_ends(
    shell: str, base: Path, after: float, deaf: str
) -> None:
    (base / "folder-d" / "10-a.sh").write_text(f"{deaf}sleep 985 & echo $! >pid; wait; sleep 985\n")
    child = started(shell, call("host_run", str(base), "d", "10-a.sh", "key"))
    time.sleep(after)

    code, _ = ended(child)

    assert code != 0
    assert list((base / "steps").iterdir()) == []
    found = subprocess.run(["pgrep", "-r", "S,R", "-f", "^sleep 985"], capture_output=True, text=True, check=False)
    assert found.stdout == ""


def test_a_step_waits_for_one_that_is_still_ending(shell: str, base: Path) -> None:
    (base / "folder-d" / "10-a.sh").write_text("sleep 1; echo first\n")
    (base / "folder-d" / "20-b.sh").write_text("echo second\n")
    first = started(shell, call("host_run", str(base), "d", "10-a.sh", "key"))
    time.sleep(0.4)
    second = started(shell, call("host_run", str(base), "d", "20-b.sh", "key"))

    assert [ended_by_itself(second), ended_by_itself(first)] == [(0, "second\n"), (0, "first\n")]
    assert (base / "steps" / "20-b.sh").stat().st_mtime >= (base / "steps" / "10-a.sh").stat().st_mtime


def test_the_functions_are_clean_for_shellcheck(tmp_path: Path) -> None:
    file = tmp_path / "host.sh"
    file.write_text(host_library())

    done = subprocess.run(["shellcheck", str(file)], capture_output=True, text=True, check=False)

    assert done.stdout == ""
