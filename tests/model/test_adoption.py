"""What may be taken over, on which evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.model.adoption import agreeing_route, find_claims
from pipeline.model.route import FoundRoute, Owner
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import FoundStack
from tests.model.estates import route, snapshot_of, stack

URIS = {"cities": "/ws/cities", "cities-admin": "/ws/cities-admin"}
OLD, NEW = "cities-master-0a1b2c3d", "cities-master-1a1b2c3d"


def stranger(name: str, image: str = "registry.example.com/estate/cities-proxy:master") -> FoundStack:
    found = stack(name, service="", environment="", branch="", version="")
    return replace(found, containers=tuple(replace(one, image_name=image) for one in found.containers))


def legacy(upstream: str, name: str = "ws.cities", path: str = "/ws/cities") -> FoundRoute:
    return replace(route("cities", upstream), name=name, paths=(path,), owner=Owner())


def estate(*strangers: FoundStack, routes: tuple[FoundRoute, ...] = ()) -> Snapshot:
    found = snapshot_of({})
    return replace(found, routes=routes, surroundings=replace(found.surroundings, strangers=strangers))


def test_name_route_and_image_that_agree_are_evidence_for_stack_and_route() -> None:
    (serving, old) = find_claims(estate(stranger(OLD), stranger(NEW), routes=(legacy(NEW),)), URIS)

    assert (serving.stack.name, serving.service, serving.branch, serving.version) == (  # type: ignore[union-attr]
        NEW,
        "cities",
        "master",
        "1a1b2c3d",
    )
    assert serving.evidence == (
        "its name says cities, master, 1a1b2c3d",
        "it runs registry.example.com/estate/cities-proxy:master",
        "the route ws.cities (/ws/cities) leads to it",
    )
    assert (old.route, old.against) == (None, "")


def test_an_image_of_something_else_is_told_and_taken_for_no_evidence() -> None:
    (claim,) = find_claims(estate(stranger(OLD, "nginx:1")), URIS)

    assert claim.against == "none of its images is called after cities: nginx:1"


@pytest.mark.parametrize("name", ["cities", "cities-master", "towns-master-0a1b2c3d", "cities-master-zzzzzzzz"])
def test_names_that_are_no_releases_are_left_alone(name: str) -> None:
    assert find_claims(estate(stranger(name)), URIS) == ()


def test_the_longer_services_name_wins() -> None:
    (claim,) = find_claims(estate(stranger("cities-admin-master-0a1b2c3d", "cities-admin:1")), URIS)

    assert claim.service == "cities-admin"


def test_an_untagged_route_to_a_stack_of_ours_is_taken_alone() -> None:
    found = replace(estate(routes=(legacy(OLD),)), stacks=(stack(OLD),))

    (claim,) = find_claims(found, URIS)

    assert (claim.stack, claim.route, claim.version) == (None, legacy(OLD), "0a1b2c3d")


def test_a_tagged_route_is_nobodys_to_take() -> None:
    assert find_claims(estate(routes=(route("cities", OLD),)), URIS) == ()


def test_a_registration_takes_over_the_one_untagged_route_that_leads_to_a_stack_of_its_service() -> None:
    agreeing = legacy(OLD)

    assert agreeing_route((agreeing, route("towns", "towns-master-1")), "cities", "/ws/cities") == agreeing
    assert agreeing_route((legacy("http://old.example.com"),), "cities", "/ws/cities") is None
    assert agreeing_route((agreeing, legacy(NEW, name="other")), "cities", "/ws/cities") is None
    assert agreeing_route((route("cities", OLD),), "cities", "/ws/cities") is None
