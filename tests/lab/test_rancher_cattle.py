"""The client of Cattle's own tests (`cattle` 0.5.4 from PyPI) against the lab Rancher: it is made from the schemas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cattle
import gdapi
import pytest
from rancher_support import ACCOUNT_KEY, COMPOSE, ENVIRONMENT_KEY

from pipeline.lab.rancher.running import Lab, running_rancher
from pipeline.lab.rancher.scheduler import Timings

QUICK = Timings(step=0.02, tick=0.01, start=0.02, health=0.02, stop=0.02, retry=0.05, retry_limit=0.1)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_rancher(real_time=True, timings=QUICK) as running:
        yield running


def connected(lab: Lab, path: str = "/v2-beta/projects/1a5/schemas", key: Any = ACCOUNT_KEY, **more: Any) -> Any:
    return cattle.Client(url=f"{lab.url}{path}", access_key=key.access, secret_key=key.secret, **more)


@pytest.fixture(scope="module")
def client(lab: Lab) -> Iterator[Any]:
    made = connected(lab)
    yield made
    made._session.close()


def data(row: Any) -> Any:
    """What the client cannot send again by itself on Python 3: one of its own objects."""
    if isinstance(row, list):
        return [data(one) for one in row]
    if hasattr(row, "__dict__"):
        return {name: data(value) for name, value in vars(row).items() if not callable(value)}
    return row


def service(client: Any, stack: Any, name: str = "web", image: str = "app:1", **fields: Any) -> Any:
    made = client.create_service(name=name, stackId=stack.id, launchConfig={"imageUuid": f"docker:{image}"}, **fields)
    return client.wait_success(made)


def images(service: Any) -> list[tuple[str, str]]:
    return sorted((row.state, row.imageUuid) for row in service.instances())


def test_the_schemas_of_a_scope_say_what_can_be_done_in_it(lab: Lab, client: Any) -> None:
    outside = connected(lab, "/v2-beta/schemas")
    environment = connected(lab, "/v2-beta/schemas", ENVIRONMENT_KEY)
    try:
        assert client.schema.types["stack"].creatable
        assert not outside.schema.types["stack"].creatable
        assert outside.schema.types["stack"].listable
        assert "subscribe" in client.schema.types
        assert "subscribe" not in outside.schema.types
        assert outside.schema.types["project"].creatable
        assert not environment.schema.types["project"].creatable
        assert not hasattr(outside, "create_stack")
        assert hasattr(environment, "create_stack")
    finally:
        outside._session.close()
        environment._session.close()


def test_create_activate_upgrade_finish_and_delete(client: Any) -> None:
    stack = client.wait_success(client.create_stack(name="life"))
    web = service(client, stack, scale=2)
    assert (web.state, web.transitioning) == ("inactive", "no")

    web = client.wait_success(web.activate())
    assert web.state == "active"

    config = data(web.launchConfig) | {"imageUuid": "docker:app:2"}
    web = client.wait_success(web.upgrade_action(inServiceStrategy={"launchConfig": config, "intervalMillis": 100}))
    assert web.state == "upgraded"
    assert images(web) == [*[("running", "docker:app:2")] * 2, *[("stopped", "docker:app:1")] * 2]

    web = client.wait_success(web.finishupgrade())
    assert (web.state, images(web)) == ("active", [("running", "docker:app:2")] * 2)

    gone = client.wait_success(client.delete(web))
    assert gone.state == "removed"
    assert client.list_service(name="web", stackId=stack.id).data == []


def test_a_rollback_runs_the_same_containers_again(client: Any) -> None:
    stack = client.wait_success(client.create_stack(name="back"))
    web = client.wait_success(service(client, stack).activate())
    before = {row.uuid for row in web.instances()}
    config = data(web.launchConfig) | {"imageUuid": "docker:app:2"}
    web = client.wait_success(web.upgrade_action(inServiceStrategy={"launchConfig": config}))

    web = client.wait_success(web.rollback())

    assert {row.uuid for row in web.instances()} == before
    assert web.launchConfig.imageUuid == "docker:app:1"


def test_what_is_not_there_is_none(client: Any) -> None:
    assert client.by_id_stack("1st999") is None
    assert client.by_id("service", "1s999") is None


def test_a_compose_stack_that_fails_raises_with_its_reason(client: Any) -> None:
    broken = client.create_stack(name="broken", dockerCompose=COMPOSE.replace("image", "imagine"))

    with pytest.raises(gdapi.ClientApiError, match="Unsupported config option for web service: 'imagine'"):
        client.wait_success(broken)


def test_a_compose_stack_is_exported_as_it_is_now(client: Any) -> None:
    stack = client.wait_success(client.create_stack(name="export", dockerCompose=COMPOSE, startOnCreate=True))

    config = stack.exportconfig()

    assert "image: shop/web:1" in config.dockerComposeConfig
    assert "scale: 1" in config.rancherComposeConfig


def test_a_filter_that_the_schema_does_not_name_is_refused_by_the_client(lab: Lab) -> None:
    strict = connected(lab, strict=True)
    try:
        assert [row.name for row in strict.list_project(name="Default")] == ["Default"]
        assert strict.list_stack(state_ne="active", name="nobody").data == []
        with pytest.raises(gdapi.ClientApiError, match="imageUuid is not searchable"):
            strict.list_service(imageUuid="docker:x")
    finally:
        strict._session.close()


def test_an_error_has_its_code(client: Any) -> None:
    with pytest.raises(gdapi.ApiError) as raised:
        client.create_stack(name="a_b")

    assert (raised.value.error.status, raised.value.error.code, raised.value.error.fieldName) == (
        422,
        "InvalidCharacters",
        "name",
    )


def test_secrets_keys_and_registries_come_and_go(client: Any) -> None:
    secret = client.wait_success(client.create_secret(name="s", value="eA=="))
    assert not hasattr(secret, "value")
    registry = client.wait_success(client.create_registry(serverAddress="registry.example"))
    login = client.create_registry_credential(registryId=registry.id, publicValue="u", secretValue="p")
    login = client.wait_success(login)
    assert not hasattr(login, "secretValue")
    with pytest.raises(gdapi.ApiError) as raised:
        client.delete(registry)
    assert raised.value.error.status == 405

    registry = client.wait_success(client.wait_success(registry.deactivate()).remove())

    assert registry.state == "removed"
    assert client.list_registry_credential().data == []
