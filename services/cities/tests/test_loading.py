import json

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from cities.loading import SAMPLE, load_sample_once
from cities.models import City, Event, Writer

pytestmark = pytest.mark.django_db

CITIES = """name,slug,country,timezone
Düsseldorf,,DE,Europe/Berlin
Köln,,de,Europe/Berlin
"""
EVENTS = """city;external_id;title;starts_at;ends_at
duesseldorf;1;Konzert;2044-05-01T20:00;2044-05-01T22:00
koeln;2;"Lesung; mit
Musik";2044-05-02T20:00;
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(**contents: str | bytes) -> None:
        for name, content in contents.items():
            path = tmp_path / name.replace("_", ".")
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


@pytest.fixture
def load(capsys):
    """What the command printed and, apart, what it skipped."""

    def run(*arguments: str) -> tuple[list[str], list[str]]:
        call_command("load_cities", *arguments)
        printed = capsys.readouterr()
        return printed.out.splitlines(), printed.err.splitlines()

    return run


def test_cities_and_events_are_loaded_from_csv_in_any_order_of_files(files, load):
    files(c_csv=CITIES, e_csv=EVENTS)

    told, skipped = load("e.csv", "c.csv")

    assert told == [
        "cities: 2 created, 0 updated, 0 unchanged",
        "events: 2 created, 0 updated, 0 unchanged",
        "skipped: 0",
    ]
    assert skipped == []
    assert Event.objects.get(external_id="2").title == "Lesung; mit\nMusik"
    assert City.objects.get(slug="duesseldorf").events.count() == 1


def test_a_byte_order_mark_as_spreadsheets_write_it_is_no_matter(files, load):
    files(c_csv=CITIES.encode("utf-8-sig").replace(b"\n", b"\r\n"))

    assert load("c.csv")[0][0] == "cities: 2 created, 0 updated, 0 unchanged"


def test_loading_again_changes_nothing_and_a_changed_row_is_updated(files, load):
    files(c_csv=CITIES, e_csv=EVENTS)
    load("c.csv", "e.csv")

    assert load("c.csv", "e.csv")[0][:2] == [
        "cities: 0 created, 0 updated, 2 unchanged",
        "events: 0 created, 0 updated, 2 unchanged",
    ]

    files(c_csv=CITIES.replace("Europe/Berlin\nK", "Europe/Vienna\nK"), e_csv=EVENTS.replace("Konzert", "Oper"))
    assert load("c.csv", "e.csv")[0][:2] == [
        "cities: 0 created, 1 updated, 1 unchanged",
        "events: 0 created, 1 updated, 1 unchanged",
    ]


def test_wrong_rows_of_csv_are_skipped_and_told_with_their_line(files, load):
    files(
        c_csv=CITIES + "\n,,DE,UTC\nHealth,,DE,UTC\nBonn,,Germany,UTC\nNeuss,,DE\n",
        e_csv=EVENTS + "nowhere;3;X;2044-01-01T00:00;\nkoeln;1;X;2044-01-01T00:00;\nkoeln;4;X;soon;\n",
    )

    told, skipped = load("c.csv", "e.csv")

    assert told == [
        "cities: 2 created, 0 updated, 0 unchanged",
        "events: 2 created, 0 updated, 0 unchanged",
        "skipped: 7",
    ]
    assert [line.split(": ")[0:2] for line in skipped] == [
        ["skipped c.csv:5", "name"],
        ["skipped c.csv:6", "slug"],
        ["skipped c.csv:7", "country"],
        ["skipped c.csv:8", "3 cells where the header has 4"],
        ["skipped e.csv:5", "city"],
        ["skipped e.csv:6", "external_id"],
        ["skipped e.csv:7", "starts_at"],
    ]
    assert skipped[4] == "skipped e.csv:5: city: There is no city 'nowhere'."


def test_wrong_items_of_json_are_skipped_and_told_with_their_index(files, load):
    files(
        x_json=json.dumps(
            {
                "cities": [{"name": "Bonn", "country": "DE", "timezone": "Europe/Berlin"}, "Köln", {"name": 5}],
                "events": [None, {"city": ["bonn"]}, {"city": "bonn", "external_id": "1", "title": "X"}],
            }
        )
    )

    told, skipped = load("x.json")

    assert told[-1] == "skipped: 5"
    assert [line.split(": ")[1] for line in skipped] == [
        "cities[1]",
        "cities[2]",
        "events[0]",
        "events[1]",
        "events[2]",
    ]
    assert City.objects.get().name == "Bonn"


def test_strict_loading_stores_nothing_when_anything_is_wrong(files, load, capsys):
    files(c_csv=CITIES + "Bonn,,Germany,UTC\n")

    with pytest.raises(CommandError, match=r"1 rows are wrong\. Nothing was stored\."):
        load("--strict", "c.csv")

    assert "country" in capsys.readouterr().err
    assert not City.objects.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", b"{", "is not JSON"),
        ("x.json", b"[" * 200_000, "is not JSON"),
        ("x.json", b"[]", "should be an object like"),
        ("x.json", b'{"towns": []}', "should be an object like"),
        ("x.json", b'{"cities": {}}', "should be lists"),
        ("x.csv", b"", "columns are missing: country, name, timezone"),
        ("x.csv", b"external_id,title\n", "columns are missing: city, starts_at"),
        ("x.csv", b'name,country,timezone\n"open', "is not CSV"),
        ("x.csv", "name,country,timezone\nKöln".encode("latin-1"), "is not UTF-8"),
        ("x.xlsx", b"", "should be named .json or .csv"),
    ],
)
def test_a_file_that_cannot_be_read_stores_nothing_of_any_file(files, load, name, content, message):
    files(c_csv=CITIES, **{name.replace(".", "_"): content})

    with pytest.raises(CommandError, match=message):
        load("c.csv", name)

    assert not City.objects.exists()


def test_a_file_that_is_not_there_is_named(load):
    with pytest.raises(CommandError, match=r"nowhere.csv: No such file or directory. Nothing was stored."):
        load("nowhere.csv")


def test_the_events_of_another_writer_are_its_own(files, load):
    files(c_csv=CITIES, e_csv=EVENTS)
    load("c.csv", "e.csv")

    assert load("--writer", "other", "e.csv")[0][1] == "events: 2 created, 0 updated, 0 unchanged"


def test_many_events_cost_few_queries(files, load, django_assert_max_num_queries):
    rows = "".join(f"koeln;{number};X;2044-05-01T20:00;\n" for number in range(100, 1100))
    files(c_csv=CITIES, e_csv=EVENTS + rows)

    with django_assert_max_num_queries(60):
        assert load("c.csv", "e.csv")[0][1] == "events: 1002 created, 0 updated, 0 unchanged"


def test_all_of_the_sample_data_is_good(load):
    _, skipped = load(str(SAMPLE))

    assert skipped == []
    assert City.objects.filter(name="Düsseldorf", slug="duesseldorf").exists()
    assert Event.objects.filter(ends_at__gt=timezone.now()).count() >= 10


def test_sample_data_is_loaded_into_an_empty_database_and_what_is_deleted_stays_deleted():
    load_sample_once()
    assert City.objects.count() == 8

    City.objects.all().delete()
    load_sample_once()

    assert not City.objects.exists()


def test_sample_data_is_not_loaded_beside_cities_that_are_there(koeln):
    load_sample_once()
    City.objects.all().delete()
    load_sample_once()

    assert not City.objects.exists()
    assert Writer.objects.filter(name="sample").exists()
