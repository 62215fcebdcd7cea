"""An environment written down as scripts, taken away, and brought back by them: a real engine, containers, requests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.engine_support import running_registry
from tests.end_to_end.estate import Environment, Estate, Ran, ask, until

pytestmark = pytest.mark.engine
TOKEN = 'it\'s "a" $token\\ with `signs`'
CARRIED = ("--with-images", "--with-data")


@pytest.fixture
def released(estate: Estate) -> Estate:
    """The hello service, which counts its starts on a volume and wants a secret."""
    estate.variables["HELLO_TOKEN"] = TOKEN
    ran = estate.invoke("build", "deploy", "register")
    assert ran.code == 0, ran
    return estate


def written(estate: Estate, *flags: str) -> Path:
    ran = estate.invoke("bootstrap", *flags)
    assert ran.code == 0, ran
    return estate.folder / "bootstrap" / estate.environment.name


def bare(folder: Path, *commands: str) -> Path:
    """A folder of commands for PATH: a shell, curl and docker (or other commands), nothing else."""
    folder.mkdir(exist_ok=True)
    for name in ("sh", "curl", *(commands or ["docker"])):
        if not (folder / name).exists():
            (folder / name).symlink_to(shutil.which("dash" if name == "sh" else name) or name)
    return folder


def run_scripts(folder: Path, path: Path, *, but: str = "", **variables: str) -> list[Ran]:
    """All of them in their order `but` one, up to the first that fails."""
    given = {
        name: os.environ[name]
        for name in ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
        if name in os.environ
    }
    done = []
    for script in sorted(found for found in folder.glob("[0-9]*.sh") if found.name != but):
        command = [str(path / "sh"), str(script)]
        ran = subprocess.run(
            command, env=given | {"PATH": str(path)} | variables, capture_output=True, text=True, timeout=300
        )
        done.append(Ran(code=ran.returncode, out=ran.stdout, err=ran.stderr))
        if ran.returncode:
            break
    return done


def take_away(environment: Environment) -> None:
    """Every container, volume and network of the environment, its gateway's state, and the images of its service."""
    environment.destroy()


def test_what_is_gone_comes_back_with_its_data_by_a_shell_curl_and_docker_alone(
    released: Estate, tmp_path: Path
) -> None:
    environment, path = released.environment, bare(tmp_path / "bin")
    assert released.ask()[1]["starts"] == 1
    folder = written(released, *CARRIED)
    take_away(environment)
    assert environment.containers() == []

    done = run_scripts(folder, path, HELLO_TOKEN=TOKEN)

    assert [ran.code for ran in done] == [0] * 7, done[-1]
    found = json.loads(done[-1].out)
    assert found["differences"] == []
    assert found["found"]["routes"] == 1
    assert released.ask()[1]["starts"] == 2
    assert released.ask("/secret")[1]["length"] == len(TOKEN)
    status = json.loads(released.invoke("status", "--json").out)
    assert [(one["stack"], one["state"]) for one in status["stacks"]] == [(released.stack, "healthy")]
    check = released.invoke("bootstrap", "--check")
    assert check.code == 0, check


def test_a_second_run_of_the_scripts_changes_nothing(released: Estate, tmp_path: Path) -> None:
    folder = written(released, *CARRIED)
    before = {one.id for one in released.environment.containers()}

    done = run_scripts(folder, bare(tmp_path / "bin"), HELLO_TOKEN=TOKEN)

    assert [ran.code for ran in done] == [0] * 7, done[-1]
    assert {one.id for one in released.environment.containers()} == before
    assert released.ask()[1]["starts"] == 1


def test_a_rehearsal_builds_compares_and_leaves_nothing(released: Estate) -> None:
    ran = released.invoke("bootstrap", "--rehearse", *CARRIED)

    assert ran.code == 0, ran
    assert "passed" in ran.out
    report = json.loads((released.folder / f"build/bootstrap-{released.environment.name}/rehearsal.json").read_text())
    assert report["passed"]
    assert report["verification"]["found"]["routes"] == 1
    assert TOKEN not in ran.out + ran.err + json.dumps(report)
    assert rehearsals(released.environment) == []
    assert released.ask()[1]["starts"] == 1


def test_a_rehearsal_is_refused_where_its_scripts_would_miss_a_command(released: Estate, tmp_path: Path) -> None:
    (tmp_path / "git").symlink_to(shutil.which("git") or "git")

    ran = released.invoke("bootstrap", "--rehearse", PATH=str(tmp_path))

    assert ran.code == 3, ran
    assert "this machine has no curl and no docker" in ran.err
    assert rehearsals(released.environment) == []


def test_ctrl_c_in_a_rehearsal_leaves_nothing_of_it(released: Estate) -> None:
    started = released.start("bootstrap", "--rehearse", *CARRIED)
    until(lambda: any(name.startswith("hello") for name in rehearsals(released.environment)))

    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=120)

    assert started.returncode == 130, err
    assert rehearsals(released.environment) == []


def rehearsals(environment: Environment) -> list[str]:
    """Containers, volumes and networks of rehearsals."""
    engine = environment.engine
    found = [one.name for one in engine.containers.list(all=True, ignore_removed=True)]
    found += [one.name for one in engine.volumes.list()] + [one.name for one in engine.networks.list()]
    return [name for name in found if "rehearsal-" in name or name in engine_names(environment, "rehearsal-")]


def engine_names(environment: Environment, part: str) -> set[str]:
    """Containers whose environment's label has that part."""
    listed = environment.engine.containers.list(all=True, ignore_removed=True)
    return {str(one.name) for one in listed if part in str(one.labels.get("pipeline.environment", ""))}


def test_drift_is_told_by_stack_and_by_route(released: Estate) -> None:
    folder = written(released, *CARRIED)
    assert released.invoke("bootstrap", "--check").code == 0
    route = ask(f"{released.environment.admin}/routes/hello")[1]
    ask(f"{released.environment.admin}/routes/{route['id']}", "PATCH", {"strip_path": True})
    (folder / "50-stacks.sh").write_text("true\n")

    ran = released.invoke("bootstrap", "--check")

    assert ran.code == 2, ran
    assert "route hello: body.strip_path was false, is true" in ran.out.splitlines()
    assert "50-stacks.sh was changed by hand" in ran.out.splitlines()


def test_a_tampered_script_is_refused_before_it_does_anything(released: Estate) -> None:
    folder = written(released, *CARRIED)
    with (folder / "20-network.sh").open("a") as file:
        file.write("docker network create pwned\n")

    ran = subprocess.run(
        ["sh", str(folder / "20-network.sh")], capture_output=True, text=True, env=os.environ | {"HELLO_TOKEN": ""}
    )

    assert ran.returncode == 4
    assert "20-network.sh" in ran.stderr
    assert not released.environment.engine.networks.list(names=["pwned"])


def test_an_undeclared_credential_is_refused_and_not_shown(estate: Estate) -> None:
    compose = estate.service / "docker-compose.yml"
    compose.write_text(compose.read_text().replace("environment:\n", "environment:\n      API_KEY: k3yk3yk3y\n"))
    estate.commit("a key in the open")
    assert estate.invoke("build", "deploy", "register").code == 0

    ran = estate.invoke("bootstrap", *CARRIED)

    assert ran.code == 4, ran
    assert "hello.proxy.API_KEY" in ran.err
    assert "k3yk3yk3y" not in ran.out + ran.err


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Its host, and the folder that it keeps everything in."""
    place = tmp_path_factory.mktemp("registry")
    with running_registry(place) as host:
        yield host, place


@pytest.fixture
def pushed(estate: Estate, registry: tuple[str, Path]) -> Estate:
    """The hello service, deployed by digest, in a repository with an origin."""
    estate.variables |= {"HELLO_TOKEN": TOKEN, "CI_REGISTRY": registry[0], "CI_REGISTRY_IMAGE": f"{registry[0]}/estate"}
    ran = estate.invoke("build", "deploy", "register")
    assert ran.code == 0, ran
    origin = estate.folder.parent / f"{estate.folder.name}-origin.git"
    estate.git("init", "-q", "--bare", str(origin))
    estate.git("remote", "add", "origin", str(origin))
    return estate


def test_a_difference_is_committed_once_to_a_branch_of_its_own(pushed: Estate) -> None:
    branch = f"bootstrap/{pushed.environment.name}"
    first = pushed.invoke("bootstrap", "--commit")
    assert first.code == 0, first

    again = pushed.invoke("bootstrap", "--commit")
    route = ask(f"{pushed.environment.admin}/routes/hello")[1]
    ask(f"{pushed.environment.admin}/routes/{route['id']}", "PATCH", {"strip_path": True})
    pending = pushed.invoke("bootstrap", "--commit", "--check")
    changed = pushed.invoke("bootstrap", "--commit")

    assert (again.code, again.out) == (0, f"{branch} is as what runs\n")
    assert (pending.code, pending.out) == (2, "route hello: body.strip_path was false, is true\n")
    assert changed.code == 0, changed
    pushed.git("fetch", "-q", "origin", branch)
    subjects = pushed.git("log", "--format=%s", "FETCH_HEAD", f"^{pushed.sha8}").splitlines()
    assert len(subjects) == 2
    assert "route hello" in subjects[0]
    assert "[skip ci]" in pushed.git("log", "-1", "--format=%B", "FETCH_HEAD")
    assert TOKEN not in pushed.git("log", "-p", "FETCH_HEAD", f"^{pushed.sha8}")
    assert pushed.git("status", "--porcelain", "--", "bootstrap") == ""


def test_images_are_pulled_by_digest_and_one_that_the_registry_lost_is_named(
    pushed: Estate, registry: tuple[str, Path], tmp_path: Path
) -> None:
    folder = written(pushed)
    digest = pushed.environment.containers()[0].attrs["Config"]["Image"]
    pushed.environment.clear()
    pushed.environment.engine.images.remove(digest, force=True)

    done = run_scripts(folder, bare(tmp_path / "bin"), HELLO_TOKEN=TOKEN, **gateway(pushed.environment))

    assert [ran.code for ran in done] == [0] * 7, done[-1]
    assert json.loads(done[-1].out)["differences"] == []
    for manifests in registry[1].rglob("_manifests"):
        shutil.rmtree(manifests)
    lost = pushed.invoke("bootstrap")
    assert lost.code == 1, lost
    assert digest in lost.err


def gateway(environment: Environment) -> dict[str, str]:
    return {"KONG_ADMIN_URL": environment.admin, "KONG_PROXY_URL": environment.proxy}
