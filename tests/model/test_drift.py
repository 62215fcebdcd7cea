"""Where an environment is not as its records say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.model.drift import Drift, DriftReason, find_drift, recorded_route
from pipeline.model.record import Record, decode_record, encode_record
from pipeline.model.route import FoundRoute, Owner, Route
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import FoundStack

STACK = "cities-master-0a1b2c3d"
WANTED = Route(
    service="cities",
    environment="review/x",
    stack=STACK,
    uri="/ws/cities",
    upstream=f"http://proxy.{STACK}:80",
    hosts=("b.example.com", "a.example.com"),
)
FOUND = FoundRoute(
    id="r",
    name="cities",
    paths=("/ws/cities",),
    hosts=("a.example.com", "b.example.com"),
    methods=(),
    strip_uri=False,
    preserve_host=False,
    upstream=f"http://proxy.{STACK}",
    owner=Owner(environment="review.x", service="cities", stack=STACK),
)
RUNNING = FoundStack(
    name=STACK,
    service="cities",
    environment="review/x",
    branch="master",
    commit="",
    version="",
    sameness="",
    containers=(),
)


def record(verb: str = "register", **fields: object) -> Record:
    values = {"service": "cities", "environment": "review/x", "stack": STACK}
    if verb == "register":
        values |= {"route_after": WANTED.upstream, "route": recorded_route(WANTED)}  # type: ignore[dict-item]  # of one kind
    return Record(verb=verb, **(values | fields))  # type: ignore[arg-type]  # the fields of Record


def snapshot(**fields: object) -> Snapshot:
    whole = Snapshot(environment="review/x", stacks=(RUNNING,), routes=(FOUND,))
    return replace(whole, **fields)  # type: ignore[arg-type]  # the fields of Snapshot


def only(found: tuple[Drift, ...]) -> tuple[DriftReason, str, str]:
    (drift,) = found
    assert drift.service == "cities"
    return drift.reason, drift.subject, drift.what


def test_what_is_as_recorded_has_not_drifted() -> None:
    assert find_drift(snapshot(), (record("deploy"), record())) == ()


def test_a_review_that_shares_its_gateway_is_told_apart_by_its_own_name() -> None:
    owner = replace(FOUND.owner, service="cities.review.x")
    of_another = replace(FOUND, name="cities.review.y", owner=Owner(environment="review.y", service="cities.review.y"))
    routes = (replace(FOUND, name="cities.review.x", owner=owner), of_another)

    assert find_drift(snapshot(routes=routes), (record("deploy"), record())) == ()


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"upstream": "http://elsewhere"}, f"it leads to http://elsewhere, recorded is http://proxy.{STACK}:80"),
        ({"paths": ("/ws/cities", "/x")}, "uri is /ws/cities, /x, recorded is /ws/cities"),
        ({"hosts": ()}, "hosts is none, recorded is a.example.com, b.example.com"),
        ({"methods": ("GET",)}, "methods is GET, recorded is none"),
        ({"strip_uri": True}, "strip_uri is true, recorded is false"),
        ({"preserve_host": True}, "preserve_host is true, recorded is false"),
        ({"owner": Owner()}, "its tags are gone"),
    ],
)
def test_a_field_that_someone_changed_is_named_with_both_values(fields: dict[str, object], what: str) -> None:
    changed = replace(FOUND, **fields)  # type: ignore[arg-type]  # the fields of FoundRoute

    found = find_drift(snapshot(routes=(changed,)), (record(),))

    assert only(found) == (DriftReason.CHANGED, "route", what)


def test_a_route_that_is_gone_is_recorded_but_missing() -> None:
    reason, subject, what = only(find_drift(snapshot(routes=()), (record(),)))

    assert (reason, subject) == (DriftReason.MISSING, "route")
    assert f"http://proxy.{STACK}:80" in what


def test_the_stack_that_was_registered_last_and_does_not_run_is_missing() -> None:
    found = find_drift(snapshot(stacks=()), (record("deploy", stack="cities-master-old"), record()))

    assert only(found) == (DriftReason.MISSING, "stack", f"{STACK}, which was registered last, does not run")


def test_a_route_of_ours_without_a_record_is_running_but_unrecorded() -> None:
    reason, subject, what = only(find_drift(snapshot(), (record("deploy"),)))

    assert (reason, subject) == (DriftReason.UNRECORDED, "route")
    assert "/ws/cities leads to" in what


def test_a_stack_without_a_record_is_running_but_unrecorded() -> None:
    other = replace(RUNNING, name="cities-other-11111111")

    reason, subject, what = only(find_drift(snapshot(stacks=(RUNNING, other)), (record(),)))

    assert (reason, subject) == (DriftReason.UNRECORDED, "stack")
    assert "cities-other-11111111" in what


def test_the_last_registration_counts() -> None:
    old = record(route_after="http://proxy.cities-master-old", stack="cities-master-old")

    assert find_drift(snapshot(), (old, record())) == ()


def test_what_others_have_in_the_gateway_is_no_drift() -> None:
    foreign = replace(FOUND, id="f", name="legacy", paths=("/old",), owner=Owner())

    assert find_drift(snapshot(routes=(FOUND, foreign)), (record(),)) == ()


def test_of_a_source_that_could_not_be_read_nothing_is_said() -> None:
    blind = snapshot(routes=(), stacks=(), missing=(("gateway", "away"), ("platform", "away")))

    assert find_drift(blind, (record(),)) == ()


def test_a_record_of_an_older_toolkit_is_compared_by_where_it_leads() -> None:
    old = decode_record(encode_record(record(route={})))

    assert find_drift(snapshot(), (old,)) == ()
    moved = replace(FOUND, upstream="http://elsewhere")
    assert only(find_drift(snapshot(routes=(moved,)), (old,)))[0] is DriftReason.CHANGED


def test_a_tag_that_names_another_image_than_runs_is_told() -> None:
    from dataclasses import replace

    from pipeline.model.surroundings import FoundImage, Surroundings
    from tests.model.estates import record, snapshot_of, stack

    name = "cities-master-00000001"
    deployed = record("deploy", name, ago=5, definition="{}", images={"proxy": "sha256:old", "cache": "redis:6"})
    same = FoundImage(id="sha256:old", names=("r.example.com/estate/cities:master-00000001",))
    found = replace(snapshot_of({}), stacks=(stack(name),), surroundings=Surroundings(images=(same,)))
    other = replace(found, surroundings=Surroundings(images=(replace(same, id="sha256:new"),)))

    assert not [one for one in find_drift(found, (deployed,)) if one.subject == "image"]
    (drift,) = [one for one in find_drift(other, (deployed,)) if one.subject == "image"]
    assert drift.reason == "digest differs from tag"
    assert drift.what == (
        f"{name} runs sha256:old as proxy, and r.example.com/estate/cities:master-00000001 is sha256:new now"
    )
