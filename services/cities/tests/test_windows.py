"""Which events a window counts, wherever on earth the city is."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def counts(client, **query: str) -> dict[str, int]:
    answer = client.get("/ws/cities", query)
    assert answer.status_code == 200, answer.content
    return {city["slug"]: city["event_count"] for city in answer.json()["results"]}


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"since": "2020-05-01"}, 1),
        ({"since": "2020-05-02"}, 0),
        ({"until": "2020-05-01"}, 1),
        ({"until": "2020-04-30"}, 0),
        ({"since": "2020-05-01", "until": "2020-05-01"}, 1),
        ({"since": "2020-05-01T21:59:59"}, 1),
        ({"since": "2020-05-01T22:00:00"}, 0),
        ({"since": "2020-05-01T19:59:59Z"}, 1),
        ({"since": "2020-05-01T20:00:00Z"}, 0),
        ({"until": "2020-05-01T20:00:00+02:00"}, 0),
        ({"until": "2020-05-01T20:00:01+02:00"}, 1),
    ],
)
def test_a_window_counts_what_lies_in_it_even_if_it_is_over(client, duesseldorf, make_event, query, count):
    make_event(duesseldorf, at("2020-05-01T20:00", "Europe/Berlin"), at("2020-05-01T22:00", "Europe/Berlin"))

    assert counts(client, **query) == {"duesseldorf": count}
    assert client.get("/ws/cities/duesseldorf", query).json()["event_count"] == count
    assert client.get("/ws/cities/duesseldorf/events", query).json()["count"] == count


def test_a_day_begins_and_ends_with_each_citys_own_midnight(client, duesseldorf, new_york, make_event):
    make_event(duesseldorf, at("2026-05-02T00:00", "Europe/Berlin"), at("2026-05-02T01:00", "Europe/Berlin"))
    make_event(new_york, at("2026-05-01T22:00", "America/New_York"), at("2026-05-01T23:00", "America/New_York"))

    assert counts(client, since="2026-05-01", until="2026-05-01") == {"duesseldorf": 0, "new-york": 1}
    assert counts(client, since="2026-05-02", until="2026-05-02") == {"duesseldorf": 1, "new-york": 0}


def test_a_window_of_instants_is_the_same_everywhere(client, duesseldorf, new_york, make_event):
    for city in (duesseldorf, new_york):
        make_event(city, at("2026-05-01T22:00"), at("2026-05-01T23:00"))

    assert counts(client, since="2026-05-01T22:00Z", until="2026-05-01T23:00Z") == {"duesseldorf": 1, "new-york": 1}
    assert counts(client, since="2026-05-01T23:00Z") == {"duesseldorf": 0, "new-york": 0}


@pytest.mark.django_db
def test_a_window_over_no_city_counts_nothing(client):
    assert counts(client, since="2026-05-01") == {}
