"""Release identity: the same on a laptop and in CI."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.model.manifest import Manifest, Pipeline
from pipeline.model.release import Checkout, Release, make_release, slug_of, stack_name

COMMIT = "0a1b2c3d" + "e" * 32
HOSTILE = 'feature/"; rm -rf $HOME; "'
SAFE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
BRANCHES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=200)
SERVICES = st.from_regex(r"[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?", fullmatch=True)


def release(branch: str = "master", *, service: str = "cities", in_place: bool = False, **fields: object) -> Release:
    manifest = Manifest(
        name=service,
        uri="/ws/cities",
        pipeline=Pipeline(strategy="in-place" if in_place else "stack-per-release"),
        file="package.json",
    )
    return make_release(manifest, Checkout(**{"commit": COMMIT, "branch": branch} | fields), "local")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("branch", "slug"),
    [
        ("master", "master"),
        ("feature/Ünïcode_X", "feature--n-code-x"),
        ("--Weird--", "weird"),
        ("release/1.2.3", "release-1-2-3"),
        ("x" * 70, "x" * 63),
        ("x" * 62 + "//tail", "x" * 62),
        (HOSTILE, "feature----rm--rf--home"),
        ("$(reboot)", "reboot"),
    ],
)
def test_a_slug_is_made_by_gitlabs_rule(branch: str, slug: str) -> None:
    assert slug_of(branch) == slug


def test_a_branch_of_which_no_slug_remains_gets_a_name_of_its_own() -> None:
    assert re.fullmatch(r"b-[a-z2-7]{8}", slug_of("日本"))
    assert slug_of("日本") != slug_of("中国")


def test_a_stack_is_named_by_service_slug_and_commit() -> None:
    found = release()

    assert found.stack == "cities-master-0a1b2c3d"
    assert (found.sha8, found.version, found.tag) == ("0a1b2c3d", "0a1b2c3d", "master-0a1b2c3d")
    assert found.facts == {"version": "0a1b2c3d", "branch": "master", "stack": "cities-master-0a1b2c3d"}


def test_a_dirty_worktree_shows_in_stack_tag_and_version() -> None:
    found = release(dirty=True)

    assert found.stack == "cities-master-0a1b2c3d-dirty"
    assert (found.version, found.tag) == ("0a1b2c3d-dirty", "master-0a1b2c3d-dirty")


def test_in_place_a_stack_is_named_by_service_and_slug_whatever_the_commit() -> None:
    assert release(in_place=True).stack == release(in_place=True, dirty=True).stack == "cities-master"


def test_ci_says_the_slug() -> None:
    assert release("Feature/X", slug="feature-x-ci").stack == "cities-feature-x-ci-0a1b2c3d"


@pytest.mark.parametrize("slug", ["-x", "x-", "X", "a/b", "x" * 64, "a b"])
def test_a_slug_that_is_none_is_refused(slug: str) -> None:
    with pytest.raises(BadInput, match="CI_COMMIT_REF_SLUG"):
        release(slug=slug)


@pytest.mark.parametrize("commit", ["", "HEAD", "0a1b2c3", "0A1B2C3D", "g" * 40, "--output=x", "0a1b2c3d\n"])
def test_a_commit_that_is_none_is_refused(commit: str) -> None:
    with pytest.raises(BadInput, match="is not a commit id"):
        release(commit=commit)


def test_a_name_of_63_characters_is_whole_and_a_longer_one_is_cut_in_the_slug_only() -> None:
    room = 63 - len("cities-") - len("-0a1b2c3d")

    assert release("x" * room).stack == f"cities-{'x' * room}-0a1b2c3d"
    cut = release("x" * (room + 1)).stack
    assert len(cut) == 63
    assert re.fullmatch(r"cities-x+-[a-z2-7]{8}-0a1b2c3d", cut)


@given(branch=BRANCHES, service=SERVICES, dirty=st.booleans(), in_place=st.booleans())
def test_every_branch_gives_a_name_that_a_host_may_have(branch: str, service: str, dirty: bool, in_place: bool) -> None:
    found = release(branch, service=service, dirty=dirty, in_place=in_place)

    assert SAFE.fullmatch(found.stack)
    assert SAFE.fullmatch(found.slug)
    assert found.stack.startswith(f"{service}-")
    assert len(found.tag) <= 128
    assert found == release(branch, service=service, dirty=dirty, in_place=in_place)


@given(start=st.text("abc-", min_size=60, max_size=60), one=BRANCHES, other=BRANCHES, service=SERVICES)
def test_two_branches_that_begin_alike_do_not_share_a_name_because_of_the_cut(
    start: str, one: str, other: str, service: str
) -> None:
    names = {
        branch: stack_name(service, slug_of(branch), "-0a1b2c3d-dirty", branch)
        for branch in (start + one, start + other)
    }

    assert len(set(names.values())) == len(names)


def test_ten_thousand_long_branches_have_ten_thousand_names() -> None:
    branches = [f"feature/a-very-long-name-that-every-branch-of-this-team-starts-with/{n}" for n in range(10_000)]

    assert len({stack_name("cities", slug_of(branch), "-0a1b2c3d", branch) for branch in branches}) == 10_000
