"""Which machines are taken, and which are refused before anything is changed there."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from pipeline.errors import BadInput
from pipeline.model.host import Facts, Foreign, is_full, objections, parse_hosts

BARE = Facts(system="debian 12", free={"/var/lib": 50 << 30})


@pytest.mark.parametrize("name", ["root@new-host", "new_host", "a@10.0.0.1:2222", "root@[::1]:22", "[fe80::1]"])
def test_names_as_ssh_takes_them_are_taken(name: str) -> None:
    assert parse_hosts([name]) == (name,)


@pytest.mark.parametrize(
    "name", ["", "-oProxyCommand=id", "a b", "root@", "a;b", "$(id)", "a\nb", "a@b@c", "host:port"]
)
def test_a_name_that_no_machine_has_is_bad_input(name: str) -> None:
    with pytest.raises(BadInput, match="cannot be a machine's name"):
        parse_hosts([name])


def test_no_host_and_one_host_twice_are_bad_input() -> None:
    with pytest.raises(BadInput, match="no host is named"):
        parse_hosts([])
    with pytest.raises(BadInput, match="--host a is named twice"):
        parse_hosts(["a", "b", "a"])


def test_a_bare_machine_and_one_with_an_empty_engine_are_taken() -> None:
    assert objections(BARE, environment="stage") == ()
    assert objections(replace(BARE, engine="docker"), environment="stage") == ()


def test_a_machine_where_a_run_stopped_halfway_may_have_less_room_and_an_engine_that_is_not_up_yet() -> None:
    halfway = replace(BARE, engine="silent", begun=True, free={"/var/lib": 2 << 30})

    assert objections(halfway, environment="stage") == ()
    (objection,) = objections(replace(halfway, free={"/var/lib": 1000}), environment="stage")
    assert "/var/lib has 0 MiB left, and 1 MiB are wanted" in objection.what


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"system": "ubuntu 24.04"}, "it runs ubuntu 24.04"),
        ({"system": ""}, "it runs an unknown system"),
        ({"user": "deploy", "may_be_root": False}, "deploy may not become root"),
        ({"missing": ("tar", "flock")}, "it has no tar, flock"),
        ({"others": ("k3s", "podman (2 containers)")}, "something else runs containers there: k3s, podman"),
        ({"engine": "silent"}, "does not answer"),
        (
            {"containers": (Foreign(name="shop", image="nginx"),)},
            r"1 containers there are not of stage: shop \(nginx\)",
        ),
        ({"free": {"/var/lib": 3 << 30}}, "/var/lib has 3.0 GiB left, and 5.0 GiB are wanted"),
    ],
)
def test_a_machine_that_is_not_bare_is_refused_with_its_reason(found: dict[str, Any], why: str) -> None:
    (objection,) = objections(replace(BARE, **found), environment="stage")

    assert re.search(why, objection.what)
    assert objection.hint


def test_what_a_rancher_runs_on_a_host_speaks_against_a_machine_only_before_an_earlier_run_took_it() -> None:
    agent = Foreign(name="rancher-agent", image="rancher/agent:v1.2.11", of_rancher=True)
    shop = Foreign(name="shop", image="nginx")

    assert objections(replace(BARE, containers=(agent,)), environment="stage")
    assert not objections(replace(BARE, containers=(agent,), begun=True), environment="stage")
    (objection,) = objections(replace(BARE, containers=(agent, shop), begun=True), environment="stage")
    assert "1 containers there are not of stage: shop (nginx)" in objection.what


def test_every_reason_is_told_at_once() -> None:
    facts = replace(BARE, system="alpine 3.20", engine="silent", free={"/var/lib": 0})

    assert len(objections(facts, environment="stage")) == 3


def test_a_disk_is_full_when_not_even_a_mebibyte_is_left() -> None:
    assert is_full(BARE) == ""
    assert is_full(replace(BARE, free={"/var/lib": 50 << 30, "/var/lib/docker": 4096})) == "/var/lib/docker"
