import threading
from datetime import datetime

import pytest
from django.db import connections
from rest_framework.test import APIClient

from cities.models import City, Event
from cities.writers import give_token

URL = "/ws/cities/duesseldorf/events"


def event(external_id: str = "a", **changes) -> dict:
    return {
        "external_id": external_id,
        "title": "Konzert",
        "starts_at": "2044-05-01T20:00:00",
        "ends_at": "2044-05-01T22:00:00",
        **changes,
    }


def outcomes(answer) -> list[str]:
    assert answer.status_code in (200, 201), answer.content
    return [result["outcome"] for result in answer.json()["results"]]


def test_a_writer_posts_one_event(writing, duesseldorf):
    answer = writing.post(URL, event())

    assert answer.status_code == 201
    assert answer.json() == {
        "created": 1,
        "updated": 0,
        "unchanged": 0,
        "results": [{"external_id": "a", "outcome": "created"}],
    }
    assert writing.get("/ws/cities/duesseldorf").json()["event_count"] == 1


def test_a_batch_tells_what_became_of_each_event(writing, duesseldorf):
    writing.post(URL, [event("a"), event("b")])

    answer = writing.post(URL, [event("c"), event("b", title="Konzert, verlegt"), event("a")])

    assert outcomes(answer) == ["created", "updated", "unchanged"]
    assert set(Event.objects.values_list("external_id", "title")) == {
        ("a", "Konzert"),
        ("b", "Konzert, verlegt"),
        ("c", "Konzert"),
    }


def test_the_same_batch_again_changes_nothing_and_is_no_creation(writing, duesseldorf):
    batch = [event("a"), event("b", ends_at=None)]
    writing.post(URL, batch)

    answer = writing.post(URL, batch)

    assert answer.status_code == 200
    assert outcomes(answer) == ["unchanged", "unchanged"]


def test_the_same_instant_written_otherwise_is_no_change(writing, duesseldorf):
    writing.post(URL, event())

    assert outcomes(writing.post(URL, event(starts_at="2044-05-01T18:00:00Z"))) == ["unchanged"]


def test_an_event_posted_to_another_city_moves_there(writing, duesseldorf, koeln):
    writing.post(URL, event())

    assert outcomes(writing.post("/ws/cities/koeln/events", event())) == ["updated"]
    assert Event.objects.get().city == koeln


def test_two_writers_may_use_the_same_external_id(writing, duesseldorf):
    other = APIClient(headers={"Authorization": f"Token {give_token('others')}"})

    assert outcomes(writing.post(URL, event())) == outcomes(other.post(URL, event())) == ["created"]
    assert Event.objects.count() == 2


def test_a_batch_with_wrong_events_stores_nothing_and_tells_each(writing, duesseldorf):
    batch = [
        event("good"),
        event("late", ends_at="2044-05-01T19:00:00"),
        "not an event",
        event("good"),
        {"external_id": "bare"},
    ]

    answer = writing.post(URL, batch)

    assert answer.status_code == 400
    assert answer.json() == {
        "detail": "Nothing was stored: 4 of 5 events are wrong.",
        "errors": [
            {"index": 1, "external_id": "late", "errors": {"ends_at": ["Should be after starts_at."]}},
            {
                "index": 2,
                "external_id": None,
                "errors": {"non_field_errors": ["Invalid data. Expected a dictionary, but got str."]},
            },
            {"index": 3, "external_id": "good", "errors": {"external_id": ["Is in this batch already."]}},
            {
                "index": 4,
                "external_id": "bare",
                "errors": {"title": ["This field is required."], "starts_at": ["This field is required."]},
            },
        ],
    }
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"external_id": ""}, "external_id"),
        ({"external_id": {"a": 1}}, "external_id"),
        ({"title": None}, "title"),
        ({"title": "\x00"}, "title"),
        ({"starts_at": "tomorrow"}, "starts_at"),
        ({"starts_at": 5}, "starts_at"),
        ({"starts_at": "0001-01-01T00:00:00"}, "starts_at"),
        ({"starts_at": "9999-12-31T23:59:59", "ends_at": None}, "starts_at"),
        ({"ends_at": "9999-12-31T23:59:59Z"}, "ends_at"),
        ({"ends_at": "2044-05-01T20:00:00"}, "ends_at"),
    ],
)
def test_one_wrong_event_is_refused_with_the_field(writing, duesseldorf, change, field):
    answer = writing.post(URL, event(**change))

    assert answer.status_code == 400
    assert list(answer.json()) == [field]


@pytest.mark.parametrize("body", ["5", '"a"', "null", "true"])
def test_what_is_neither_event_nor_list_is_refused(writing, duesseldorf, body):
    answer = writing.post(URL, body, content_type="application/json")

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/json"


def test_an_empty_batch_stores_nothing(writing, duesseldorf):
    assert writing.post(URL, []).json() == {"created": 0, "updated": 0, "unchanged": 0, "results": []}


def test_a_batch_too_large_is_refused(writing, duesseldorf):
    answer = writing.post(URL, [event(str(number)) for number in range(1001)])

    assert answer.status_code == 400
    assert "at most 1000 events, these are 1001" in answer.json()["detail"]


def test_a_batch_costs_as_many_queries_for_many_events_as_for_few(writing, duesseldorf, django_assert_max_num_queries):
    writing.post(URL, [event(str(number)) for number in range(100)])
    batch = [event(str(number), title="Neu") for number in range(50, 150)]

    with django_assert_max_num_queries(12):
        answer = writing.post(URL, batch)

    assert (answer.json()["created"], answer.json()["updated"]) == (50, 50)


def test_times_without_an_offset_are_the_citys_and_are_shown_so(writing, new_york):
    url = "/ws/cities/new-york/events"
    writing.post(url, event(starts_at="2044-01-01T20:00:00", ends_at="2044-07-01T20:00:00"))

    (stored,) = writing.get(url).json()["results"]

    assert Event.objects.get().starts_at == datetime.fromisoformat("2044-01-02T01:00:00Z")
    assert stored["starts_at"] == "2044-01-01T20:00:00-05:00"
    assert stored["ends_at"] == "2044-07-01T20:00:00-04:00"


def test_an_event_without_an_end_lasts_until_the_citys_midnight(writing, new_york):
    writing.post("/ws/cities/new-york/events", event(starts_at="2044-06-02T03:30:00Z", ends_at=None))

    assert Event.objects.get().ends_at == datetime.fromisoformat("2044-06-02T04:00:00Z")


def test_a_local_time_that_the_clock_change_skips_is_refused(writing, duesseldorf):
    answer = writing.post(URL, event(starts_at="2025-03-30T02:30:00", ends_at=None))

    assert answer.status_code == 400
    assert "starts_at" in answer.json()


def test_of_a_local_time_that_the_clock_shows_twice_the_first_is_meant(writing, duesseldorf):
    writing.post(URL, event(starts_at="2025-10-26T02:30:00", ends_at=None))

    assert Event.objects.get().starts_at == datetime.fromisoformat("2025-10-26T00:30:00Z")


def test_an_event_may_end_at_an_earlier_hand_of_the_clock_when_that_goes_back(writing, duesseldorf):
    first, second = "2025-10-26T02:30:00+02:00", "2025-10-26T02:10:00+01:00"

    assert writing.post(URL, event(starts_at=first, ends_at=second)).status_code == 201
    assert list(writing.post(URL, event(starts_at=second, ends_at=first)).json()) == ["ends_at"]


def test_events_of_an_unknown_city_are_not_found(client, writing):
    assert client.get("/ws/cities/nowhere/events").status_code == 404
    assert writing.post("/ws/cities/nowhere/events", event()).status_code == 404


def test_a_city_lists_its_events_that_are_not_over_in_order(client, duesseldorf, koeln, make_event):
    make_event(duesseldorf, -2, -1)
    last, first = make_event(duesseldorf, 3, 4), make_event(duesseldorf, -1, 9)
    make_event(koeln, 1, 2)

    listed = client.get(URL).json()

    assert [one["external_id"] for one in listed["results"]] == [first.external_id, last.external_id]


@pytest.mark.django_db(transaction=True)
def test_batches_sent_at_once_store_each_event_once():
    City.objects.create(name="Düsseldorf", slug="duesseldorf", country="DE", timezone="Europe/Berlin")
    token = give_token("tests")
    ids = [str(number) for number in range(20)]

    answers = at_once(
        *(
            lambda order=order: APIClient(headers={"Authorization": f"Token {token}"}).post(
                URL, [event(external_id) for external_id in order]
            )
            for order in (ids, ids[::-1], ids, ids[::-1])
        )
    )

    told = [outcome for answer in answers for outcome in outcomes(answer)]
    assert (told.count("created"), told.count("unchanged"), told.count("updated")) == (20, 60, 0)
    assert Event.objects.count() == 20


@pytest.mark.django_db(transaction=True)
def test_a_city_deleted_while_its_events_are_posted_leaves_nothing_behind():
    token = give_token("tests")

    def client() -> APIClient:
        return APIClient(headers={"Authorization": f"Token {token}"})

    for _ in range(5):
        City.objects.create(name="Düsseldorf", slug="duesseldorf", country="DE", timezone="Europe/Berlin")
        client().post(URL, [event("0")])

        posted, deleted = at_once(
            lambda: client().post(URL, [event(str(number), title="Neu") for number in range(20)]),
            lambda: client().delete("/ws/cities/duesseldorf"),
        )

        assert posted.status_code in (201, 404), posted.content
        assert deleted.status_code == 204, deleted.content
        assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_cities_created_at_once_with_one_slug_the_second_is_refused():
    token = give_token("tests")
    city = {"name": "Düsseldorf", "country": "DE", "timezone": "Europe/Berlin"}

    answers = at_once(
        *[lambda: APIClient(headers={"Authorization": f"Token {token}"}).post("/ws/cities", city)] * 3,
    )

    assert sorted(answer.status_code for answer in answers) == [201, 400, 400]
    assert all(list(answer.json()) == ["slug"] for answer in answers if answer.status_code == 400)


def at_once(*requests) -> list:
    """The answers to requests that are sent by one thread each, at the same moment."""
    barrier = threading.Barrier(len(requests))
    answers: list = [None] * len(requests)

    def send(index: int) -> None:
        barrier.wait(timeout=10)
        try:
            answers[index] = requests[index]()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send, args=(index,)) for index in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert all(answer is not None for answer in answers)
    return answers
