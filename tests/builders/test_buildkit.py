"""BuildKit on a real engine, through the docker command of this machine: what arrives, what is told, what leaks (nothing)
and what is left when it goes wrong (nothing)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient
from docker.errors import APIError
from engine_support import HERE, free_port, held, login, registries_of, remove_images, running_registry
from fragile_engine import fragile_engine

from pipeline.builders.buildkit import BuildKit, BuildKitResult, Folder, visible
from pipeline.builders.buildkit_job import BuildKitJob
from pipeline.edge.context import read_context
from pipeline.edge.docker_command import DockerCommand, NoBuildKit, find_buildkit
from pipeline.edge.tar import pack
from pipeline.errors import BadInput, Failed, Interrupted, Unreachable
from pipeline.model.dockerfile import parse_dockerfile
from pipeline.model.image import BuiltImage
from pipeline.model.secret import Secret

pytestmark = pytest.mark.engine
HOSTILE = "-x\n\"'`\\ $(touch /pwned) $HOME ${PATH} ; # é"


class Site:
    """A folder to build from; the images that it makes are removed afterwards."""

    def __init__(self, client: APIClient, base: str, folder: Path, command: DockerCommand) -> None:
        self.client = client
        self.base = base
        self.folder = folder
        self.buildkit = BuildKit(command, os.environ)
        self.log: list[str] = []
        self.made: list[str] = []
        self.job = BuildKitJob(engine=HERE, key="package.json: pipeline.images.web")

    def write(self, dockerfile: str, **files: str) -> None:
        (self.folder / "Dockerfile").write_text(dockerfile.replace("BASE", self.base))
        for name, content in files.items():
            (self.folder / name).write_text(content)

    def build(self, listener: Callable[[str], None] | None = None, **fields: Any) -> BuildKitResult:
        context = read_context(str(self.folder), "", key="test")
        dockerfile = parse_dockerfile(context.dockerfile_text, file=context.dockerfile_path)
        job = replace(self.job, **fields)
        result = self.buildkit.build(job, pack(context), dockerfile, listener or self.log.append)
        self.made.append(result.id)
        return result

    def inspect(self, result: BuildKitResult) -> dict[str, Any]:
        found: dict[str, Any] = self.client.inspect_image(result.id)  # type: ignore[no-untyped-call]
        return found

    def environment(self, result: BuildKitResult) -> dict[str, str]:
        return dict(one.split("=", 1) for one in self.inspect(result)["Config"]["Env"])


@pytest.fixture
def command() -> DockerCommand:
    found = find_buildkit(HERE, os.environ)
    if isinstance(found, NoBuildKit):
        pytest.skip(f"no docker command here can build with BuildKit: {found}")
    return found


@pytest.fixture
def site(client: APIClient, base: str, tmp_path: Path, command: DockerCommand) -> Iterator[Site]:
    folder = tmp_path / "service"
    folder.mkdir()
    found = Site(client, base, folder, command)
    yield found
    for image in dict.fromkeys(filter(None, found.made)):
        with suppress(APIError):  # the test itself removed it
            client.remove_image(image, force=True)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files are made: whatever happens in a test, none stays."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def test_a_secret_reaches_its_step_and_stays_out_of_image_history_and_log(site: Site) -> None:
    value = f"{uuid.uuid4().hex}\n$(x) '\"\\{uuid.uuid4().hex}"
    site.write(
        f"FROM BASE\nENV FRESH={uuid.uuid4().hex}\nRUN --mount=type=secret,id=TOKEN,required=true busybox sha256sum /run/secrets/TOKEN; cat /run/secrets/TOKEN\n"
        f"RUN echo {uuid.uuid4().hex}; ls -a /run/secrets || true\n"
    )

    result = site.build(secrets={"TOKEN": Secret(value)})

    log = "\n".join(site.log)
    assert hashlib.sha256(value.encode()).hexdigest() in log
    image = b"".join(site.client.get_image(result.id))
    history = json.dumps(site.client.history(result.id))
    for line in value.split("\n"):
        assert line not in log
        assert line.encode() not in image
        assert line not in history
    assert log.count("[secret]") >= 2


def test_a_secret_may_be_called_like_a_variable_that_the_command_goes_by(site: Site) -> None:
    fresh = uuid.uuid4().hex
    site.write(f"FROM BASE\nRUN --mount=type=secret,id=PATH busybox sha256sum /run/secrets/PATH; echo {fresh}\n")

    site.build(secrets={"PATH": Secret("/elsewhere"), "DOCKER_HOST": Secret("tcp://nowhere:1")})

    assert hashlib.sha256(b"/elsewhere").hexdigest() in "\n".join(site.log)


def test_no_command_line_shows_a_value_while_it_builds(site: Site) -> None:
    values = {name: uuid.uuid4().hex for name in ("secret", "arg", "seen")}
    site.write(
        "FROM BASE\nARG A\nRUN --mount=type=secret,id=S echo begun; sleep 1; echo FRESH\n".replace(
            "FRESH", uuid.uuid4().hex
        )
    )
    shown: set[str] = set()
    asked: list[str] = []

    def look(line: str) -> None:
        if line.endswith(" begun"):
            lines = command_lines()
            asked.extend(one for one in lines if "PIPELINE_BUILD_SECRET_0" in one)
            shown.update(name for name, value in values.items() for one in lines if value in one)

    site.build(look, args={"A": values["arg"]}, secrets={"S": Secret(values["secret"])}, labels={"l": values["seen"]})

    assert asked
    assert shown == {"seen"}


def test_args_and_labels_arrive_as_they_are(site: Site) -> None:
    site.write("FROM BASE\nARG A\nARG EMPTY=full\nARG HOME\nARG PATH\nENV A=$A EMPTY=$EMPTY HOME_WAS=$HOME\n")

    result = site.build(
        args={"A": HOSTILE, "EMPTY": "", "HOME": "/where", "PATH": "/bin:/nowhere"},
        labels={"own": HOSTILE, "-l": "-v", "empty": ""},
    )

    found = site.environment(result)
    assert (found["A"], found["EMPTY"], found["HOME_WAS"]) == (HOSTILE, "", "/where")
    assert site.inspect(result)["Config"]["Labels"] == {"own": HOSTILE, "-l": "-v", "empty": ""}


def test_the_value_of_a_hidden_arg_is_masked_in_the_names_of_steps(site: Site) -> None:
    value = uuid.uuid4().hex
    site.write("FROM BASE\nARG NPM_TOKEN\nRUN echo $NPM_TOKEN && false\n")

    with pytest.raises(Failed) as failed:
        site.build(args={"NPM_TOKEN": value}, hidden=(Secret(value),))

    assert value not in "\n".join([*site.log, str(failed.value), failed.value.hint])


def test_a_cache_mount_is_there_for_the_next_build_and_not_in_the_image(site: Site) -> None:
    mount = f"RUN --mount=type=cache,id={uuid.uuid4().hex},target=/cache"
    site.write(f"FROM BASE\n{mount} echo kept > /cache/one\n")
    site.build()
    site.write(f"FROM BASE\n{mount} cat /cache/one\n")

    result = site.build()

    assert any(line.endswith(" kept") for line in site.log)
    assert held(site.client, result.id, "/cache") == {}


def test_a_step_reaches_the_ssh_agent(site: Site) -> None:
    copy_program("ssh-add", site.folder)
    site.write(
        "FROM BASE\nCOPY usr /usr\nCOPY lib /lib\nRUN --mount=type=ssh /usr/bin/ssh-add -l # FRESH\n".replace(
            "FRESH", uuid.uuid4().hex
        )
    )

    with ssh_agent(site.folder.parent) as (socket, fingerprint):
        site.buildkit = BuildKit(site.buildkit.command, {**os.environ, "SSH_AUTH_SOCK": socket})
        site.build(ssh=("default",))

    assert any(fingerprint in line for line in site.log)


@pytest.mark.parametrize("socket", ["", "/nowhere/agent"])
def test_an_agent_that_is_not_there_is_said_before_the_build(site: Site, socket: str) -> None:
    site.write("FROM BASE\nRUN --mount=type=ssh true\n")
    site.buildkit = BuildKit(site.buildkit.command, {**os.environ, "SSH_AUTH_SOCK": socket})

    with pytest.raises(BadInput, match=r"pipeline.images.web.ssh: no ssh agent answers") as refused:
        site.build(ssh=("default",))

    assert "ssh-add" in refused.value.hint
    assert site.log == []


@pytest.mark.parametrize(
    ("mount", "hint"),
    [("secret,id=TOKEN,required=true", "secrets: ['TOKEN']"), ("ssh,required=true", "ssh: ['default']")],
)
def test_a_required_mount_that_is_not_given_is_said_before_the_build(site: Site, mount: str, hint: str) -> None:
    site.write(f"FROM BASE\n\nRUN --mount=type={mount} true\n")

    with pytest.raises(BadInput, match=r"Dockerfile:3 wants the .* pipeline.images.web does not give") as refused:
        site.build()

    assert hint in refused.value.hint
    assert site.log == []


def test_steps_and_those_from_the_cache_are_counted(site: Site) -> None:
    site.write(f"FROM BASE\nARG version\nRUN echo {uuid.uuid4().hex}\nCOPY . /srv\nENV v=$version\n", code="x")
    first = site.build(args={"version": "1"})
    (site.folder / "code").write_text("y")

    second = site.build(args={"version": "1"})
    third = site.build(args={"version": "1"})
    fresh = site.build(args={"version": "1"}, no_cache=True)

    assert [(len(one.steps), one.cached) for one in (first, second, third, fresh)] == [(2, 0), (2, 1), (2, 2), (2, 0)]
    assert [step.line for step in first.steps] == [3, 4]
    assert third.id == second.id != first.id


def test_only_the_stages_that_the_target_needs_are_made(site: Site) -> None:
    site.write(
        "FROM BASE AS one\nRUN echo one\nFROM BASE AS broken\nRUN false\nFROM one AS two\nRUN echo two\nFROM two\nRUN false\n"
    )

    result = site.build(target="two")

    assert [step.line for step in result.steps] == [2, 6]


def test_an_image_is_a_cache_for_another_machine(site: Site, tmp_path: Path) -> None:
    marker = uuid.uuid4().hex
    site.write(f"FROM BASE\nRUN echo {marker}\nRUN echo {marker} again\n")
    with running_registry(tmp_path) as registry:
        reference = f"{registry}/group/cache:1"
        result = site.build(cache_to="inline")
        site.client.tag(result.id, f"{registry}/group/cache", "1")
        registries_of(site.client, login(registry)).push(
            BuiltImage(compose_service="app", reference=reference, id=result.id), site.log.append
        )
        remove_images(site.client, f"{registry}/group")
        forget(site.client, marker)

        cold = site.build()
        site.client.remove_image(cold.id, force=True)
        forget(site.client, marker)
        warm = site.build(cache_from=(f"{registry}/group/none:1", reference))

    assert (cold.cached, warm.cached) == (0, 2)


def test_a_base_image_is_pulled_with_the_logins_of_the_run_s_own_configuration(site: Site, tmp_path: Path) -> None:
    users = "ci:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"  # the password is: secret
    with running_registry(tmp_path, htpasswd=users) as registry:
        name = f"{registry}/group/base:1"
        site.client.tag(site.base, f"{registry}/group/base", "1")
        registries = registries_of(site.client, login(registry, "ci", "secret"))
        registries.push(BuiltImage(compose_service="app", reference=name, id=""), site.log.append)
        site.client.remove_image(name)
        site.write(f"FROM {name}\nRUN echo {uuid.uuid4().hex}\n")
        config = tmp_path / "config"
        config.mkdir()
        auth = base64.b64encode(b"ci:secret").decode()
        (config / "config.json").write_text(json.dumps({"auths": {registry: {"auth": auth}}}))

        with pytest.raises(Failed, match="cannot be pulled"):
            site.build()
        result = site.build(docker_config=str(config))

    assert len(result.steps) == 1


def test_a_failing_step_is_told_with_its_line_and_its_last_lines_again(site: Site) -> None:
    site.write("FROM BASE\nRUN echo fine\n\nRUN echo one && \\\n    echo two >&2 && \\\n    cat /missing\n")

    with pytest.raises(Failed, match=r"Dockerfile:4: step 3 of 3 failed: 'RUN echo one && .*exit code: 1"):
        site.build()

    end = site.log[site.log.index(next(line for line in site.log if line.startswith("--- the end of step 3"))) :]
    assert {line for line in end if line in ("one", "two", "fine")} == {"one", "two"}
    assert any("/missing" in line for line in end)


def test_a_mistake_in_the_dockerfile_is_told_with_its_line(site: Site) -> None:
    site.write("FROM BASE\nRAN echo\n")

    with pytest.raises(Failed, match=r"Dockerfile:2: .*unknown instruction: RAN"):
        site.build()


def test_a_file_that_is_not_in_the_context_is_told_with_its_line(site: Site) -> None:
    site.write("FROM BASE\nWORKDIR /srv\nCOPY missing /\n")

    with pytest.raises(Failed, match=r"Dockerfile:3: step 3 of 3 failed: 'COPY missing /': .*missing.* not found"):
        site.build()


def test_a_trigger_of_the_base_image_fails_at_the_from(site: Site) -> None:
    site.write("FROM BASE\nONBUILD RUN false\n")
    name = f"{site.base.partition(':')[0]}-trigger:1"
    site.client.tag(site.build().id, *name.split(":"))
    site.write(f"\nFROM {name}\nRUN echo fine\n")

    with pytest.raises(Failed, match=rf"Dockerfile:2: step 2 of . failed: 'FROM {name}'"):
        site.build()


def test_a_base_image_that_cannot_be_had_is_named_with_the_argument_that_replaces_it(site: Site) -> None:
    name = f"127.0.0.1:{free_port()}/nowhere:1"
    site.write(f"ARG PYTHON_IMAGE={name}\nFROM $PYTHON_IMAGE\n")

    with pytest.raises(Failed, match=rf"the base image {name} is not on the engine and cannot be pulled") as failed:
        site.build()

    assert "set the build arg PYTHON_IMAGE" in failed.value.hint


def test_a_file_that_vanishes_while_it_is_sent_stops_the_build(site: Site) -> None:
    site.write("FROM BASE\nCOPY . /srv\n")
    with (site.folder / "a").open("wb") as file:
        file.truncate(1 << 28)
    (site.folder / "b").write_text("x")
    before = nameless(site.client)
    context = read_context(str(site.folder), "", key="test")
    dockerfile = parse_dockerfile(context.dockerfile_text, file=context.dockerfile_path)

    def losing() -> Iterator[bytes]:
        for number, chunk in enumerate(pack(context)):
            if number == 0:
                (site.folder / "b").unlink()
            yield chunk

    with pytest.raises(BadInput, match=r"b' cannot be read into the build context"):
        site.buildkit.build(site.job, losing(), dockerfile, site.log.append)

    assert nameless(site.client) <= before


@pytest.mark.parametrize("moment", ["while a step is silent", "while a line is told", "by another thread"])
def test_an_interrupted_build_ends_here_and_on_the_engine(site: Site, moment: str) -> None:
    marker = uuid.uuid4().hex
    site.write(f"FROM BASE\nRUN echo {marker}; sleep 120; true\n")
    seen: list[bool] = []

    def interrupt(line: str) -> None:
        if not line.endswith(f" {marker}") or "RUN" in line:
            return
        seen.append(builds(marker))
        if moment == "while a line is told":
            raise KeyboardInterrupt
        if moment == "by another thread":
            threading.Thread(target=site.buildkit.stop).start()
        else:
            threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()

    with pytest.raises(Interrupted if moment == "by another thread" else KeyboardInterrupt):
        site.build(interrupt)

    assert seen == [True]
    assert soon(lambda: not builds(marker))
    assert not any("pipeline-build-" in line for line in command_lines())


def test_after_a_stop_no_other_build_begins(site: Site) -> None:
    site.write(f"FROM BASE\nRUN echo {uuid.uuid4().hex}; sleep 120\n")
    site.buildkit.stop()

    with pytest.raises(Interrupted, match="the build was stopped"):
        site.build()


def test_an_engine_that_dies_in_the_middle_of_a_build_is_unreachable(site: Site) -> None:
    marker = uuid.uuid4().hex
    site.write(f"FROM BASE\nRUN echo begun; sleep 60; echo {marker}\n")

    with (
        fragile_engine() as (address, die),
        pytest.raises(Unreachable, match=r"went away in the middle .*nothing was tagged"),
    ):
        site.build(lambda line: die() if line.endswith(" begun") else None, engine=address)

    assert soon(lambda: not builds(marker))


def test_an_engine_that_dies_while_the_context_is_sent_is_unreachable(site: Site) -> None:
    site.write("FROM BASE\nCOPY . /srv\n")
    with (site.folder / "a").open("wb") as file:
        file.truncate(2 << 30)

    with fragile_engine() as (address, die):
        threading.Timer(0.5, die).start()
        with pytest.raises(Unreachable, match="went away in the middle"):
            site.build(engine=address)


def test_a_folder_is_read_by_the_command_and_an_ignored_dockerfile_does_not_arrive(site: Site) -> None:
    site.write("FROM BASE\nRAN this is not the one that is given\n", code="x", notes="y")
    text = f"FROM {site.base}\nCOPY . /srv\n".encode()
    folder = Folder(path=str(site.folder), dockerfile=text, ignore=b"Dockerfile\nnotes\n")

    result = site.buildkit.build(site.job, folder, parse_dockerfile(text, file="Dockerfile"), site.log.append)
    site.made.append(result.id)

    assert list(held(site.client, result.id, "/srv")) == ["code"]


def test_an_ignore_file_that_ignores_itself_is_not_streamed(site: Site) -> None:
    site.write("FROM BASE\nCOPY . /srv\n", code="x")
    (site.folder / ".dockerignore").write_text(".dockerignore\n")
    context = visible(read_context(str(site.folder), "", key="test"))

    result = site.buildkit.build(
        site.job, pack(context), parse_dockerfile(context.dockerfile_text, file="Dockerfile"), site.log.append
    )
    site.made.append(result.id)

    assert sorted(held(site.client, result.id, "/srv")) == ["Dockerfile", "code"]


def test_an_ignore_file_beside_a_dockerfile_from_outside_is_streamed_as_it_is(site: Site) -> None:
    outside = site.folder.parent / "outside.Dockerfile"
    outside.write_text(f"FROM {site.base}\nCOPY .dockerignore /srv/\n")
    (site.folder / ".dockerignore").write_text("notes\n")
    context = visible(read_context(str(site.folder), str(outside), key="test"))

    result = site.buildkit.build(
        replace(site.job, dockerfile=context.dockerfile),
        pack(context),
        parse_dockerfile(context.dockerfile_text, file="Dockerfile"),
        site.log.append,
    )
    site.made.append(result.id)

    assert held(site.client, result.id, "/srv")[".dockerignore"][-1] == b"notes\n"


def test_several_platforms_are_refused_where_this_machine_cannot(site: Site) -> None:
    if site.buildkit.command.kind == "buildx":
        pytest.skip("the docker command has buildx: what it can depends on its current builder")
    site.write("FROM BASE\n")

    with pytest.raises(BadInput, match=r"cannot build linux/amd64, linux/arm64 in one image") as refused:
        site.build(platforms=("linux/amd64", "linux/arm64"), push=True, reference="127.0.0.1:1/group/web:1")

    assert "docker buildx create --use" in refused.value.hint


def command_lines() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


def builds(marker: str) -> bool:
    """Whether a step's process runs: the engine of the tests is on this machine."""
    return any(marker in line for line in command_lines())


def soon(check: Callable[[], bool], seconds: float = 15) -> bool:
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def nameless(client: APIClient) -> set[str]:
    return {image["Id"] for image in client.images(all=True) if not image["RepoTags"]}


def forget(client: APIClient, marker: str) -> None:
    """Takes what one test built, and nothing else, out of the engine's cache: the last step first."""
    for _ in range(10):
        found = [one["ID"] for one in client.df()["BuildCache"] if marker in one["Description"]]
        for one in found:
            client.prune_builds(filters={"id": [one]}, all=True)
        if not found:
            return
    raise AssertionError(f"the engine keeps {found}")


def copy_program(name: str, folder: Path) -> None:
    """A program of this machine and its libraries, at their own paths."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.split()
    for path in [program, *(word for word in listed if word.startswith("/"))]:
        place = folder / path.lstrip("/").replace("lib64/", "lib/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(path), place)


@contextmanager
def ssh_agent(folder: Path) -> Iterator[tuple[str, str]]:
    """An agent with a key of its own; gives its socket and the key's fingerprint."""
    key, socket = folder / "key", str(folder / "agent")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    shown = subprocess.run(["ssh-keygen", "-l", "-f", str(key)], capture_output=True, text=True, check=True).stdout
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as agent:
        try:
            assert soon(lambda: os.path.exists(socket))
            subprocess.run(["ssh-add", "-q", str(key)], env={**os.environ, "SSH_AUTH_SOCK": socket}, check=True)
            yield socket, shown.split()[1]
        finally:
            agent.terminate()
