"""What the environment variables make of the settings, and which are refused with a sentence."""

import os
import runpy

import pytest
from django.core.exceptions import ImproperlyConfigured

from cities.writers import keep_environment_writer
from tests.databases import SERVICE, START, python

URL = "postgresql://cities:pass%40word@db.example:5433/cities"


@pytest.fixture
def settings_of(monkeypatch):
    def read(**variables: str) -> dict:
        for name in set(os.environ) - {"PATH"}:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(SERVICE / "service" / "settings.py"))

    return read


def test_nothing_is_needed_locally_and_nothing_is_open(settings_of):
    settings = settings_of(DATA_DIR="/data")

    assert str(settings["DATABASES"]["default"]["NAME"]) == "/data/cities.sqlite3"
    assert len(settings["SECRET_KEY"]) >= 50
    assert not settings.get("DEBUG", False)
    assert "*" not in settings["ALLOWED_HOSTS"]


def test_an_empty_variable_counts_as_not_set(settings_of):
    settings = settings_of(ENVIRONMENT="", DATABASE_URL="", DJANGO_SECRET_KEY="", version="", SHOW_RELEASE="")

    assert settings["LOCAL"]
    assert settings["SHOW_RELEASE"]
    assert settings["RELEASE"] == {"service": "cities", "version": "1", "branch": "master", "stack": "stack"}


def test_two_stacks_can_share_the_sqlite_file(settings_of):
    options = settings_of()["DATABASES"]["default"]["OPTIONS"]

    assert options["transaction_mode"] == "IMMEDIATE"
    assert options["timeout"] >= 10
    assert "journal_mode=WAL" in options["init_command"]


def test_a_database_url_is_taken_apart(settings_of):
    database = settings_of(ENVIRONMENT="production", DJANGO_SECRET_KEY="key", DATABASE_URL=URL)["DATABASES"]["default"]

    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["HOST"], database["PORT"], database["PASSWORD"]) == ("db.example", 5433, "pass@word")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ENVIRONMENT": "production", "DATABASE_URL": URL}, "DJANGO_SECRET_KEY is not set"),
        ({"ENVIRONMENT": "stage", "DJANGO_SECRET_KEY": "key"}, "DATABASE_URL is not set.*'stage'.*PostgreSQL"),
        ({"DATABASE_URL": "mysql://cities@db/cities"}, "DATABASE_URL should look like postgresql://"),
        ({"DATABASE_URL": "postgresql://cities:pw@db:port/cities"}, "DATABASE_URL cannot be read"),
        ({"DATABASE_URL": "postgresql://cities:pw@db"}, "DATABASE_URL names no database"),
        ({"SHOW_RELEASE": "maybe"}, "SHOW_RELEASE is 'maybe': say yes or no"),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_variable(settings_of, variables, message):
    with pytest.raises(ImproperlyConfigured, match=message) as refused:
        settings_of(**variables)

    assert "pw" not in str(refused.value)


def test_the_gateways_host_and_the_sites_own_are_allowed(settings_of):
    hosts = settings_of(stack="cities-master-0a1b2c3d", DJANGO_ALLOWED_HOSTS="a.example, b.example")["ALLOWED_HOSTS"]

    assert {"proxy.cities-master-0a1b2c3d", "127.0.0.1", "a.example", "b.example"} <= set(hosts)


def test_a_data_folder_that_cannot_be_written_is_named():
    process = python(START, env={"DATA_DIR": "/proc/nowhere"})
    printed, _ = process.communicate(timeout=60)

    assert process.returncode != 0
    assert "DATA_DIR /proc/nowhere cannot be written" in printed


@pytest.mark.django_db
def test_a_short_writer_token_is_refused_and_not_shown():
    with pytest.raises(ImproperlyConfigured, match="CITIES_WRITER_TOKEN is too short") as refused:
        keep_environment_writer("hunter2")

    assert "hunter2" not in str(refused.value)
