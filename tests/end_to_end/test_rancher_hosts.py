"""45-hosts.sh on a real engine: what it starts as Rancher's agent. What the agent then does, the test does for it."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest

from pipeline.lab.rancher.running import ENVIRONMENT_KEY, Lab, running_rancher
from tests.contracts.platform_scenes import busybox_image
from tests.contracts.rancher_estates import SOON, RancherSite
from tests.contracts.random_estates import Draw, make_stack
from tests.contracts.test_bootstrap_rancher_faults import app
from tests.contracts.whole_gateways import open_lab
from tests.memory_engine import memory_engine

pytestmark = pytest.mark.engine
AGENT = ("rancher/agent", "v1.2.11")
"""What the server says that hosts run. Its bytes are in no registry of this machine: another image has its name here."""
KEYS = {"RANCHER_ACCESS_KEY": ENVIRONMENT_KEY.access, "RANCHER_SECRET_KEY": ENVIRONMENT_KEY.secret}


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env(use_context=False)
    client.api.trust_env = False
    if any(one.name == "rancher-agent" for one in client.containers.list(all=True)):
        pytest.skip("this machine is a host of a Rancher")
    had = bool(client.images.list(name=":".join(AGENT)))
    with busybox_image(client.api) as busybox:
        if not had:
            made = client.containers.create(busybox, ["true"])
            conf = {"Entrypoint": ["busybox", "sh", "-c", "sleep 60"], "Cmd": None}
            made.commit(*AGENT, conf=conf)
            made.remove()
        yield client
        for one in client.containers.list(all=True, filters={"ancestor": ":".join(AGENT)}):
            with contextlib.suppress(docker.errors.NotFound):
                one.remove(force=True)
        if not had:
            client.images.remove(":".join(AGENT), force=True)
    client.close()


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running_rancher(timings=SOON, real_time=True) as found:
        yield found


@pytest.fixture
def site(lab: Lab, tmp_path: Path) -> Iterator[RancherSite]:
    with open_lab(tmp_path) as gateway:
        found = RancherSite(lab, gateway)
        found.deploy(Draw(stacks=(make_stack("cities", (app(),)),), drafts=()))
        found.write(tmp_path / "folder")
        yield found
        found.close()


def test_a_machine_becomes_a_host_once_and_its_token_is_in_no_command(
    lab: Lab, site: RancherSite, tmp_path: Path
) -> None:
    """On an engine in memory, for the agent is privileged, which not every machine's engine may do."""
    seen: list[str] = []
    with memory_engine() as machine:
        machine.add_image(":".join(AGENT))

        def register() -> None:
            """What an agent does: it asks for the script that the token names, and registers its machine."""
            end = time.monotonic() + 30
            while not any(one["State"]["Running"] for one in machine.containers.values()) and time.monotonic() < end:
                seen.append(subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout)
                time.sleep(0.02)
            project = lab.state.store.get("account", 5)
            lab.call(lambda: lab.state.add_host(project, "new-1"))  # type: ignore[arg-type]  # every lab has it

        other = threading.Thread(target=register)
        other.start()
        given = {"RANCHER_REGISTER": "", "DOCKER_HOST": machine.url}
        done = site.run(tmp_path / "folder", "45-hosts.sh", RANCHER_AGENT_IP="10.0.0.7", **given)
        other.join()

        assert done.returncode == 0, done.stderr
        assert "host new-1: registered" in done.stderr
        (agent,) = machine.containers.values()
        (url,) = agent["Config"]["Cmd"]
        assert url.startswith(f"{lab.url}/v1/scripts/")
        assert agent["HostConfig"]["Privileged"]
        assert "/var/run/docker.sock:/var/run/docker.sock" in agent["HostConfig"]["Binds"]
        assert "CATTLE_AGENT_IP=10.0.0.7" in agent["Config"]["Env"]
        assert seen
        assert not any(url in text for text in seen)

        agent["Name"] = "/rancher-agent"
        again = site.run(tmp_path / "folder", "45-hosts.sh", **given)
        assert (again.returncode, "is a host already" in again.stderr) == (0, True), again.stderr
        assert len(machine.containers) == 1


def test_a_machine_that_says_no_becomes_no_host(lab: Lab, site: RancherSite, tmp_path: Path) -> None:
    done = site.run(tmp_path / "folder", "45-hosts.sh", RANCHER_REGISTER="no")

    assert done.returncode == 0, done.stderr
    assert not any("registrationtokens" in line for line in lab.requests)


def test_a_server_is_started_where_an_image_is_named_and_none_answers(
    engine: docker.DockerClient, site: RancherSite, tmp_path: Path
) -> None:
    """The image is none of a Rancher, so that it does not answer: what is looked at is what was started."""
    given = {"RANCHER_URL": "http://127.0.0.1:8099", "RANCHER_SERVER_IMAGE": ":".join(AGENT), "BOOTSTRAP_WAIT": "1"}

    done = site.run(tmp_path / "folder", "40-platform.sh", **given, REGISTRY_PASSWORD_REGISTRY_EXAMPLE_5000="p")

    server = engine.containers.get("rancher-server")
    server.remove(force=True, v=True)
    with contextlib.suppress(docker.errors.NotFound):
        engine.volumes.get("rancher-server").remove()
    assert done.returncode == 1
    assert "was started and does not answer at http://127.0.0.1:8099" in done.stderr
    assert server.attrs["HostConfig"]["PortBindings"] == {"8080/tcp": [{"HostIp": "", "HostPort": "8099"}]}
    assert server.attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
