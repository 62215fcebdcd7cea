"""Lists of the lab Rancher: pages, filters, order, links."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rancher_support import P, Rancher

from pipeline.lab.rancher.running import Lab, running_rancher


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """3,150 stacks; the one in front has services."""
    with running_rancher() as running:
        rancher = Rancher(running)
        first = rancher.stack("first", group="a")
        for name in ("web", "db"):
            rancher.service(first, name)
        add = running.state.store.add
        fields = {"state": "active", "healthState": "healthy", "system": False}

        def fill() -> None:
            for number in range(2, 3151):
                add("stack", "stack", fields | {"name": f"s{number}", "group": "b"}, project=5)

        running.call(fill)
        yield running


@pytest.fixture
def rancher(lab: Lab) -> Rancher:
    return Rancher(lab)


def names(rows: list[dict[str, str]]) -> list[str]:
    return [row["name"] for row in rows]


@pytest.mark.parametrize(
    ("asked", "limit"),
    [("", 100), ("?limit=7", 7), ("?limit=4000", 3000), ("?limit=-2", 3000), ("?limit=0", 3000), ("?limit=x", 100)],
)
def test_a_page_has_a_hundred_rows_or_what_is_asked_for_up_to_3000(rancher: Rancher, asked: str, limit: int) -> None:
    page = rancher.get(f"{P}/stacks{asked}")

    assert len(page["data"]) == page["pagination"]["limit"] == limit
    assert page["pagination"]["partial"] is True
    assert page["pagination"]["next"].endswith(f"limit={limit}&marker=m{limit}")
    assert {page["pagination"][name] for name in ("first", "previous", "total")} == {None}


def test_following_next_reads_everything_once_and_keeps_the_filters(rancher: Rancher) -> None:
    url, seen = f"{P}/stacks?limit=3000&group=b", []
    while url:
        page = rancher.get(url)
        seen += names(page["data"])
        url = page["pagination"]["next"]

    assert seen == [f"s{number}" for number in range(2, 3151)]
    assert page["pagination"]["partial"] is False


def test_a_marker_that_is_none_is_ignored(rancher: Rancher) -> None:
    assert names(rancher.data(f"{P}/stacks?limit=1&marker=7")) == ["first"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("name=s7", ["s7"]),
        ("name=S7", ["s7"]),
        ("name=s7&name=s8", []),
        ("name_prefix=s300", ["s300", *[f"s300{digit}" for digit in range(10)]]),
        ("name_like=%25irs%25", ["first"]),
        ("id=1st3", ["s3"]),
        ("group=a&nonsense=1", ["first"]),
        ("group_ne=b", ["first"]),
        ("group_notnull=x&name=first", ["first"]),
        ("group=a&removed_null=1", ["first"]),
        ("group=a&removed_null=%3Cnil%3E", ["first"]),
        ("removed_notnull=1", []),
        ("group=a&state_ne=inactive&state_ne=removing&system=false", ["first"]),
        ("group=a&state_ne=inactive&state_ne=active", []),
        ("group=a&group_ne=a&name=first", []),
        ("name=s7&dockerCompose=x", ["s7"]),
        ("externalId_null=1&name=s9", ["s9"]),
    ],
)
def test_a_filter_finds(rancher: Rancher, query: str, wanted: list[str]) -> None:
    assert names(rancher.data(f"{P}/stacks?{query}")) == wanted


def test_a_list_is_ordered_by_a_column_when_told_to(rancher: Rancher) -> None:
    assert names(rancher.data(f"{P}/stacks?sort=name&order=desc&limit=2")) == ["s999", "s998"]
    assert rancher.get(f"{P}/stacks?sort=dockerCompose&limit=1")["sort"] is None


def test_a_link_has_everything_and_neither_filters_nor_pages(rancher: Rancher) -> None:
    told = rancher.get(f"{P}/stacks/1st1/services?limit=1&name=web")

    assert names(told["data"]) == ["web", "db"]
    assert told["pagination"] is None


def test_services_of_one_stack_are_found_by_its_id_whatever_its_letters(rancher: Rancher) -> None:
    assert names(rancher.data(f"{P}/services?stackId=1e1&name=db")) == ["db"]
    assert rancher.data(f"{P}/services?stackId=1st2") == []


def test_the_list_of_services_has_all_kinds_and_that_of_a_kind_its_own(rancher: Rancher) -> None:
    body = {"name": "outside", "stackId": "1st1", "hostname": "db.example"}
    rancher.post(f"{P}/externalServices", body)

    assert {row["type"] for row in rancher.data(f"{P}/services")} == {"service", "externalService"}
    assert names(rancher.data(f"{P}/externalservices")) == ["outside"]
    assert set(rancher.get(f"{P}/services")["createTypes"]) >= {"service", "loadBalancerService", "dnsService"}


def test_an_included_link_comes_along(rancher: Rancher) -> None:
    row = rancher.data(f"{P}/services?name=web&include=instances")[0]

    assert [one["name"] for one in row["instances"]] == ["first-web-1"]


def test_actions_come_as_links_when_asked_for(rancher: Rancher) -> None:
    row = rancher.data(f"{P}/services?name=web&_actionLinks=")[0]

    assert row["actions"] == {}
    assert "upgrade" in row["actionLinks"]


def test_the_filters_are_repeated(rancher: Rancher) -> None:
    filters = rancher.get(f"{P}/stacks?state_ne=a&state_ne=b&limit=1")["filters"]

    assert filters["state"] == [{"value": "a", "modifier": "ne"}, {"value": "b", "modifier": "ne"}]
    assert filters["name"] is None


def test_the_list_of_projects_knows_three_filters_only(rancher: Rancher) -> None:
    assert [row["id"] for row in rancher.data("/v2-beta/projects?name=default&limit=1000&state=gone")] == ["1a5"]
    assert rancher.data("/v2-beta/projects?name=other") == []
