"""Applying a folder to hosts: in which order, what is left out, where it stops, and what it says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pipeline.errors import BadInput, Failed, PipelineError, Refused, Unreachable
from pipeline.flows.bootstrap_apply import Order, Telling, apply, plan
from pipeline.hosts.memory import MemoryHost, MemoryMachine, Run
from pipeline.model.host import Facts
from pipeline.model.secret import Secret
from pipeline.model.steps import Folder
from pipeline.model.steps_verification import Verification
from tests.hosts.folders import made

EQUAL_LINE = '{"schema_version":1,"environment":"stage","differences":[]}'
DIFFERS = Run(out=('{"schema_version":1,"environment":"stage","differences":["route /ws answered 503"]}',), code=1)
SCRIPTS = {"10-engine.sh": "", "20-network.sh": "", "50-stacks.sh": "", "60-gateway.sh": ""}
ALL = [*SCRIPTS, "70-verify.sh"]


@dataclass
class Site:
    """Machines by host name, and what was told."""

    folder: Folder
    machines: dict[str, MemoryMachine]
    told: list[str] = field(default_factory=list)
    complaints: dict[str, PipelineError] = field(default_factory=dict)

    def build(
        self, run: str = "1", *, values: Mapping[str, Secret] | None = None, again: bool = False, at_once: int = 8
    ) -> dict[str, Verification]:
        order = Order(folder=self.folder, values=values or {}, run=run, again=again, at_once=at_once)
        hosts = [MemoryHost(name, machine) for name, machine in self.machines.items()]
        telling = Telling(
            tell=lambda host, text: self.told.append(f"{host}: {text}"), complain=self.complaints.__setitem__
        )
        try:
            return apply(order, plan(order, hosts, telling), hosts, telling)
        finally:
            for host in hosts:
                host.close()

    def ran(self, host: str) -> list[str]:
        ran, self.machines[host].ran = self.machines[host].ran, []
        return ran


def machine(**scripts: Run) -> MemoryMachine:
    """Scripts by their word: `stacks=Run(code=1)`."""
    names = {name.split("-", 1)[1].removesuffix(".sh"): name for name in ALL}
    equal = {"70-verify.sh": Run(out=(EQUAL_LINE,))}
    return MemoryMachine(scripts=equal | {names[word]: run for word, run in scripts.items()})


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., Site]:
    folder = made(tmp_path, SCRIPTS, first=("50-stacks.sh", "60-gateway.sh", "70-verify.sh"))

    def make(**machines: MemoryMachine) -> Site:
        return Site(folder=folder, machines=machines)

    return make


def test_a_bare_host_runs_every_step_in_order_and_ends_with_the_comparison(site: Callable[..., Site]) -> None:
    here = site(a=machine(network=Run(out=("made",), err=("slowly",))))

    verified = here.build()

    assert here.ran("a") == ALL
    assert verified["a"].differences == ()
    assert here.told == [
        "a: 9 files copied and checked",
        "a: 10-engine.sh: done",
        "a: 20-network.sh: made",
        "a: 20-network.sh: slowly",
        "a: 20-network.sh: done",
        "a: 50-stacks.sh: done",
        "a: 60-gateway.sh: done",
    ]


def test_a_second_run_only_compares(site: Callable[..., Site]) -> None:
    here = site(a=machine())
    here.build("1")
    here.ran("a")

    here.build("2")

    assert here.ran("a") == ["70-verify.sh"]
    assert "a: 50-stacks.sh: finished before" in here.told


@pytest.mark.parametrize("failing", SCRIPTS)
def test_a_run_goes_on_at_the_step_that_failed(site: Callable[..., Site], failing: str) -> None:
    here = site(a=machine())
    here.machines["a"].scripts[failing] = Run(err=("no", "mend it"), code=1)

    with pytest.raises(Failed, match=f"a: {failing} ended with 1") as failed:
        here.build("1")
    assert f"it goes on at {failing}" in failed.value.hint
    assert here.ran("a") == ALL[: ALL.index(failing) + 1]
    del here.machines["a"].scripts[failing]
    here.build("2")

    assert here.ran("a") == ALL[ALL.index(failing) :]


@pytest.mark.parametrize("lost", ALL)
def test_a_connection_lost_in_any_step_is_5_and_the_next_run_goes_on_there(
    site: Callable[..., Site], lost: str
) -> None:
    here = site(a=machine())
    there = here.machines["a"].scripts
    there[lost] = Run(lost=True)

    with pytest.raises(Unreachable, match="the connection was lost"):
        here.build("1")
    there[lost] = Run(out=(EQUAL_LINE,))
    here.ran("a")
    here.build("2")

    assert here.ran("a") == ALL[ALL.index(lost) :]


@pytest.mark.parametrize(("code", "kind"), [(1, Failed), (3, BadInput), (4, Refused), (5, Unreachable), (127, Failed)])
def test_a_script_s_exit_code_is_the_kind_of_its_failure(
    site: Callable[..., Site], code: int, kind: type[PipelineError]
) -> None:
    with pytest.raises(kind, match=f"10-engine.sh ended with {code}"):
        site(a=machine(engine=Run(code=code))).build()


def test_steps_for_the_first_host_begin_when_all_others_have_ended_what_comes_before(site: Callable[..., Site]) -> None:
    begun: list[str] = []
    slow = Run(meanwhile=lambda: (time.sleep(0.2), begun.append("b network"))[0])
    here = site(a=machine(stacks=Run(meanwhile=lambda: begun.append("a stacks"))), b=machine(network=slow))

    here.build()

    assert begun == ["b network", "a stacks"]
    assert here.ran("a") == ALL
    assert here.ran("b") == ["10-engine.sh", "20-network.sh"]


def test_hosts_work_at_once_and_no_more_of_them_than_allowed(site: Callable[..., Site]) -> None:
    lock, running, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1

    here = site(**{name: machine(engine=Run(meanwhile=work)) for name in "abcde"})

    here.build(at_once=3)

    assert most == 3


def test_one_host_that_fails_does_not_stop_the_others_before_they_need_it(site: Callable[..., Site]) -> None:
    here = site(a=machine(), b=machine(engine=Run(code=4)), c=machine(network=Run(lost=True)))

    with pytest.raises(Failed, match="2 of 3 hosts failed: b, c") as failed:
        here.build("1")
    assert failed.value.exit_code == 4
    assert {name: type(error) for name, error in here.complaints.items()} == {"b": Refused, "c": Unreachable}
    assert here.ran("a") == ["10-engine.sh", "20-network.sh"]
    for name in "bc":
        here.ran(name)
        here.machines[name].scripts = {}
    here.build("2")

    assert here.ran("a") == ["50-stacks.sh", "60-gateway.sh", "70-verify.sh"]
    assert (here.ran("b"), here.ran("c")) == (["10-engine.sh", "20-network.sh"], ["20-network.sh"])


def test_a_host_that_is_not_bare_is_refused_before_anything_is_changed_anywhere(site: Callable[..., Site]) -> None:
    here = site(a=machine(), b=machine())
    here.machines["b"].found = replace(here.machines["b"].found, system="ubuntu 24.04", engine="silent")

    with pytest.raises(Failed, match="1 of 2 hosts failed: b") as failed:
        here.build()

    assert failed.value.exit_code == 4
    assert here.complaints["b"].what.startswith("b is not taken: it runs ubuntu 24.04 (and: a docker is there")
    assert [here.ran("a"), here.machines["a"].folder, here.machines["a"].holder] == [[], "", ("", "")]


def test_a_host_that_used_its_disk_for_the_first_steps_is_still_taken(site: Callable[..., Site]) -> None:
    here = site(a=machine(stacks=Run(code=1)))
    with pytest.raises(Failed):
        here.build("1")
    here.machines["a"].found = Facts(system="debian 12", free={"/var/lib": 2 << 30})
    here.machines["a"].scripts = machine().scripts

    assert here.build("2")["a"].differences == ()


def test_a_full_disk_is_named_whatever_the_script_said(site: Callable[..., Site]) -> None:
    here = site(a=machine())
    full = replace(here.machines["a"].found, free={"/var/lib/docker": 4096})
    here.machines["a"].scripts["50-stacks.sh"] = Run(
        code=1, meanwhile=lambda: setattr(here.machines["a"], "found", full)
    )

    with pytest.raises(Failed, match=r"a: the disk is full: /var/lib/docker has no room left after 50-stacks.sh"):
        here.build()


def test_one_machine_with_two_names_is_bad_input(site: Callable[..., Site]) -> None:
    one = machine()

    with pytest.raises(BadInput, match="a and b are the same machine"):
        site(a=one, b=one).build()

    assert one.ran == []


def test_a_host_at_which_another_run_works_is_left_alone(site: Callable[..., Site]) -> None:
    here = site(a=machine())
    here.machines["a"].holder = ("other", "x")

    with pytest.raises(Refused, match="another run"):
        here.build()

    assert here.ran("a") == []


def test_a_file_that_was_changed_on_the_host_is_refused(site: Callable[..., Site]) -> None:
    here = site(a=machine())
    here.build("1")
    here.ran("a")
    here.machines["a"].files["50-stacks.sh"] = "0" * 64

    with pytest.raises(Refused, match=r"50-stacks.sh was changed"):
        here.build("2", again=True)

    assert here.ran("a") == []


def test_what_differs_is_given_by_host(site: Callable[..., Site]) -> None:
    assert site(a=machine(verify=DIFFERS)).build()["a"].differences == ("route /ws answered 503",)


def test_a_comparison_that_could_not_be_made_is_a_failure(site: Callable[..., Site]) -> None:
    with pytest.raises(Unreachable, match=r"70-verify.sh ended with 5"):
        site(a=machine(verify=Run(code=5))).build()


def test_scripts_are_given_the_values_and_nobody_else_is(site: Callable[..., Site]) -> None:
    here = site(a=machine())

    here.build(values={"KONG_ADMIN_TOKEN": Secret("it's \n secret")})

    assert here.machines["a"].given == {"KONG_ADMIN_TOKEN": Secret("it's \n secret")}
    assert "secret" not in "".join(here.told)


def test_again_runs_the_finished_steps_too(site: Callable[..., Site]) -> None:
    here = site(a=machine())
    here.build("1")
    here.ran("a")

    here.build("2", again=True)

    assert here.ran("a") == ALL
