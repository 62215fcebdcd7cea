"""What every kind of host does: machines in memory, and Debian's sshd on this machine, working in a folder of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.edge.ssh import Access
from pipeline.errors import BadInput, Refused
from pipeline.hosts.base import Host
from pipeline.hosts.memory import MemoryHost, MemoryMachine, Run
from pipeline.hosts.ssh import SshHost
from pipeline.model.secret import Secret
from pipeline.model.steps import Folder, Step, plan_steps
from tests.hosts.folders import made
from tests.hosts.sshd import Sshd, log_in_with, running_sshd, write_home

SCRIPTS = {
    "10-engine.sh": "echo out; echo err >&2\n",
    "20-network.sh": "echo no >&2; exit 4\n",
    "30-images.sh": "echo begun; sleep 60; echo never\n",
}


@dataclass
class Scene:
    """A machine, as hosts by name, and a folder for it."""

    folder: Folder
    host: Callable[[str], Host]
    change_there: Callable[[str], None]

    def step(self, script: str, key: str = "the key") -> Step:
        (found,) = (one for one in self.folder.scripts if one.name == script)
        return Step(script=found, folder=self.folder.digest, key=key, runs=True, reason="")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(params=["memory", "ssh"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    folder = made(tmp_path / "folder", SCRIPTS)
    opened: list[Host] = []

    def keep(host: Host) -> Host:
        opened.append(host)
        return host

    if request.param == "memory":
        machine = _memory_machine()
        yield Scene(
            folder=folder,
            host=lambda name: keep(MemoryHost(name, machine)),
            change_there=lambda path: machine.files.update({path: "0" * 64}),
        )
    else:
        server: Sshd = request.getfixturevalue("sshd")
        log_in_with(server.folder / "user_key")
        server.trust()
        _name_it(server, "first", "second")
        base = tmp_path / "base"
        yield Scene(
            folder=folder,
            host=lambda name: keep(
                SshHost(Access(name=name), environment="stage", source=tmp_path / "folder", base=str(base))
            ),
            change_there=lambda path: _append(base / "stage" / f"folder-{folder.digest}" / path),
        )
    for host in opened:
        host.close()


def _memory_machine() -> MemoryMachine:
    gone = threading.Event()
    return MemoryMachine(
        scripts={
            "10-engine.sh": Run(out=("out",), err=("err",)),
            "20-network.sh": Run(err=("no",), code=4),
            "30-images.sh": Run(meanwhile=lambda: gone.wait(1.5) and None),
        }
    )


def _name_it(server: Sshd, *names: str) -> None:
    blocks = [
        f"Host {name}\n  HostName 127.0.0.1\n  Port {server.port}\n  User {server.name.partition('@')[0]}\n"
        for name in names
    ]
    write_home(config="".join(blocks))


def _append(path: Path) -> None:
    with path.open("a") as file:
        file.write("# changed\n")


def run(host: Host, step: Step, values: Mapping[str, Secret] | None = None) -> tuple[int, list[str], list[str]]:
    out: list[str] = []
    err: list[str] = []
    code = host.run(step, values or {}, out.append, err.append)
    return code, out, err


def test_a_machine_says_what_it_is_and_nothing_is_changed(scene: Scene) -> None:
    facts = scene.host("first").facts()

    assert facts.system
    assert facts.may_be_root
    assert all(free > 0 for free in facts.free.values())
    assert facts.free
    assert (facts.finished, facts.begun) == ({}, False)


def test_a_machine_that_a_run_was_at_says_so(scene: Scene) -> None:
    host = scene.host("first")
    host.hold("run 1")
    host.put(scene.folder)

    assert scene.host("second").facts().begun


def test_a_folder_is_copied_once(scene: Scene) -> None:
    host = scene.host("first")

    assert [host.put(scene.folder), host.put(scene.folder)] == [True, False]
    assert scene.host("second").put(scene.folder) is False


def test_a_file_that_was_changed_there_is_refused_by_name(scene: Scene) -> None:
    host = scene.host("first")
    host.put(scene.folder)
    scene.change_there("10-engine.sh")

    with pytest.raises(Refused, match=r"10-engine.sh was changed since it was copied"):
        host.put(scene.folder)


def test_a_script_s_lines_are_heard_apart_and_its_code_is_given(scene: Scene) -> None:
    host = scene.host("first")
    host.put(scene.folder)

    assert run(host, scene.step("10-engine.sh")) == (0, ["out"], ["err"])
    assert run(host, scene.step("20-network.sh")) == (4, [], ["no"])


def test_only_a_step_that_ended_well_is_remembered_and_a_comparison_never_is(scene: Scene) -> None:
    host = scene.host("first")
    host.put(scene.folder)

    run(host, scene.step("10-engine.sh", "a" * 64))
    run(host, scene.step("20-network.sh", "b" * 64))
    run(host, scene.step("70-verify.sh", ""))

    assert scene.host("second").facts().finished == {"10-engine.sh": "a" * 64}


def test_the_plan_of_a_second_run_leaves_what_the_first_has_finished(scene: Scene) -> None:
    host = scene.host("first")
    host.put(scene.folder)
    for step in plan_steps(scene.folder, host.facts().finished, (), first=True, again=False)[:1]:
        run(host, step)

    again = plan_steps(scene.folder, host.facts().finished, (), first=True, again=False)

    assert [step.runs for step in again] == [False, True, True, True]


def test_one_run_holds_a_machine_and_another_is_kept_away_until_it_closes(scene: Scene) -> None:
    first, second = scene.host("first"), scene.host("second")
    first.hold("run 1")

    with pytest.raises(BadInput, match="first and second are the same machine"):
        second.hold("run 1")
    first.close()
    second.close()

    scene.host("second").hold("run 2")


def test_a_machine_that_another_run_holds_is_refused(scene: Scene) -> None:
    scene.host("first").hold("run 1")

    with pytest.raises(Refused, match="second: another run is at work there"):
        scene.host("second").hold("run 2")


@pytest.mark.parametrize("after", [0.0, 0.3, 1.0])
def test_a_script_that_is_stopped_ends_with_all_it_started_and_is_not_remembered(scene: Scene, after: float) -> None:
    host = scene.host("first")
    host.put(scene.folder)
    threading.Timer(after, host.stop).start()

    code, out, _ = run(host, scene.step("30-images.sh"))

    assert code > 0
    assert "never" not in out
    assert scene.host("second").facts().finished == {}


def test_no_script_is_started_after_a_stop(scene: Scene) -> None:
    host = scene.host("first")
    host.put(scene.folder)
    host.stop()

    assert run(host, scene.step("10-engine.sh")) == (143, [], [])
    assert scene.host("second").facts().finished == {}


def test_closing_twice_does_nothing(scene: Scene) -> None:
    host = scene.host("first")
    host.hold("run 1")

    host.close()
    host.close()
