"""Which tags of a registry go."""

from __future__ import annotations

from dataclasses import replace

from pipeline.model.prune import plan_prune
from pipeline.model.prune_rules import PrunePolicy
from pipeline.model.prune_tags import old_tags, still_there
from tests.model.estates import record, route, snapshot_of, stack

A, B, C, D = (f"cities-master-{number:08}" for number in (1, 2, 3, 4))


def reference(content: str, name: str = "cities") -> str:
    return f"r.example.com/estate/{name}@sha256:{content}"


def test_tags_of_releases_that_are_gone_go_and_a_digest_that_is_still_needed_keeps_its_tags() -> None:
    images = {
        A: {"proxy": reference("a"), "cache": "redis:6"},
        B: {"proxy": reference("shared")},
        C: {"proxy": reference("c")},
        D: {"proxy": reference("shared")},
    }
    records = []
    for ago, (name, deployed) in zip((9e3, 8e3, 7e3, 6e3), images.items(), strict=True):
        records += [record("deploy", name, ago=ago, images=deployed), record("register", name, ago=ago)]
    snapshot = replace(
        snapshot_of({}), stacks=(stack(C), stack(D)), routes=(route("cities", D),), records=tuple(records)
    )
    plan = plan_prune(snapshot, PrunePolicy())

    (found,) = old_tags(snapshot, plan, frozenset())

    assert (found.repository, found.tags) == ("r.example.com/estate/cities", {"master-00000001": "sha256:a"})
    assert old_tags(snapshot, plan, frozenset({reference("a")})) == ()
    assert still_there(found, ["other"]).tags == {}
