"""Stacks as they are found, and where a gateway reaches them."""

from __future__ import annotations

import msgspec
import pytest

from pipeline.errors import Failed
from pipeline.model.manifest import Upstream
from pipeline.model.stack import (
    Definition,
    FoundContainer,
    FoundStack,
    Port,
    RancherHealth,
    RancherPart,
    StackService,
    State,
)
from pipeline.model.upstream import upstream_url

DONE = FoundContainer(
    id="9", name="migrate", compose_service="migrate", image="i", state="stopped", created=5, once=True
)


def container(state: State = "running", created: float = 10, **fields: object) -> FoundContainer:
    return FoundContainer(
        **{"id": "1", "name": "n", "compose_service": "app", "image": "i", "state": state, "created": created} | fields  # type: ignore[arg-type]
    )


def stack(*containers: FoundContainer) -> FoundStack:
    return FoundStack(
        name="cities-master-0a1b2c3d",
        service="cities",
        environment="local",
        branch="master",
        commit="",
        version="",
        sameness="",
        containers=containers,
    )


@pytest.mark.parametrize(
    ("states", "wanted", "serves"),
    [
        ((), "stopped", False),
        (("running",), "running", True),
        (("healthy",), "healthy", True),
        (("healthy", "running"), "healthy", True),
        (("healthy", "starting"), "starting", False),
        (("unhealthy", "starting"), "unhealthy", False),
        (("stopped", "unhealthy", "healthy"), "stopped", False),
    ],
)
def test_a_stack_is_as_well_as_the_worst_of_its_containers(
    states: tuple[State, ...], wanted: State, serves: bool
) -> None:
    found = stack(*(container(state) for state in states))

    assert (found.state, found.serves) == (wanted, serves)


def test_a_container_that_runs_once_is_done_when_it_has_exited_with_0() -> None:
    assert stack(container("healthy"), DONE).state == "healthy"
    failed = container("stopped", once=True, exit_code=1)
    assert stack(container("healthy"), failed).state == "stopped"
    assert not container("stopped").done


def test_a_stack_is_as_old_as_its_oldest_container() -> None:
    assert stack(container(created=10), DONE).created == 5
    assert stack().created == 0


def test_a_gateway_reaches_a_stack_by_its_name() -> None:
    assert upstream_url(stack(), Upstream(), published=False, host="h") == "http://proxy.cities-master-0a1b2c3d"
    assert (
        upstream_url(stack(), Upstream(service="web", port=8080), published=False, host="h")
        == "http://web.cities-master-0a1b2c3d:8080"
    )


@pytest.mark.parametrize(
    ("outside", "wanted"),
    [
        ("0.0.0.0:32768", "http://docker.example:32768"),
        (":::32768", "http://docker.example:32768"),
        ("127.0.0.1:32768", "http://127.0.0.1:32768"),
    ],
)
def test_a_gateway_elsewhere_reaches_it_at_its_published_port(outside: str, wanted: str) -> None:
    found = stack(
        container(compose_service="app", ports=(("80/tcp", "0.0.0.0:1"),)),
        container(compose_service="proxy", ports=(("80/udp", "0.0.0.0:2"), ("80/tcp", outside))),
    )

    assert upstream_url(found, Upstream(), published=True, host="docker.example") == wanted


def test_a_port_that_is_not_published_is_said() -> None:
    with pytest.raises(Failed, match=r"publishes no port for proxy:80") as failed:
        upstream_url(stack(container()), Upstream(), published=True, host="h")

    assert 'ports: ["80"]' in failed.value.hint


def test_a_definition_that_was_recorded_is_the_same_when_it_is_read_again() -> None:
    """Words as a file brings them: equal to a default, and not the very same object."""
    recreate, tcp = "".join(["re", "create"]), "".join(["t", "cp"])
    health = RancherHealth(port=80, interval=2000, strategy=recreate)  # type: ignore[arg-type]  # one of the words
    port = Port(container=80, protocol=tcp)  # type: ignore[arg-type]  # one of the words
    one = StackService(name="app", image="sha256:1", ports=(port,), rancher=RancherPart(health=health))
    definition = Definition(services=(one,))

    read = msgspec.json.decode(definition.text(), type=Definition)

    assert read == definition
    assert read.text() == definition.text()
    assert read.digest() == definition.digest()
