from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from cities.models import City, Event, Writer
from cities.writers import give_token
from tests.databases import empty_database

__all__ = ["empty_database"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory, django_db_modify_db_settings_parallel_suffix):
    """SQLite in a file, as the service has it: in memory it has neither WAL nor locks."""
    database = settings.DATABASES["default"]
    if "sqlite3" in database["ENGINE"]:
        database.setdefault("TEST", {})["NAME"] = str(tmp_path_factory.mktemp("database") / "cities.sqlite3")


@pytest.fixture
def client() -> APIClient:
    return APIClient()


@pytest.fixture
def writer(db) -> Writer:
    give_token("tests")
    return Writer.objects.get(name="tests")


@pytest.fixture
def writing(writer) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {give_token(writer.name)}")
    return client


@pytest.fixture
def duesseldorf(db) -> City:
    return City.objects.create(name="Düsseldorf", slug="duesseldorf", country="DE", timezone="Europe/Berlin")


@pytest.fixture
def koeln(db) -> City:
    return City.objects.create(name="Köln", slug="koeln", country="DE", timezone="Europe/Berlin")


@pytest.fixture
def new_york(db) -> City:
    return City.objects.create(name="New York", slug="new-york", country="US", timezone="America/New_York")


@pytest.fixture
def make_event(writer):
    """Makes an event from `starts` to `ends`: days from now, or datetimes."""
    numbers = iter(range(1_000_000))

    def make(city: City, starts, ends) -> Event:
        now = timezone.now()
        starts_at, ends_at = (now + timedelta(days=end) if isinstance(end, int) else end for end in (starts, ends))
        number = next(numbers)
        return Event.objects.create(
            city=city,
            writer=writer,
            external_id=f"event-{number}",
            title=f"Event {number}",
            starts_at=starts_at,
            ends_at=ends_at,
        )

    return make
