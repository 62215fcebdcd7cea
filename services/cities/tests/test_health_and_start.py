"""Starts on a database that others use or start on at the same time, and what health says of it."""

import shutil
from pathlib import Path

import pytest
from django.db.migrations.recorder import MigrationRecorder

from tests.databases import SERVICE, START, ask, python, start

HEALTHY = {"status": "ok", "database": "ok", "migrations": "ok"}
NEWER_MIGRATION = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("cities", "0001_initial")]
    operations = [migrations.AddField("city", "mayor", models.CharField(max_length=100, null=True))]
"""


@pytest.fixture
def newer_code(tmp_path):
    """The service as its next release may be: with one more migration."""
    folder = tmp_path / "newer"
    for package in ("cities", "service"):
        shutil.copytree(SERVICE / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "cities" / "migrations" / "0002_city_mayor.py").write_text(NEWER_MIGRATION)
    return folder


def test_a_served_database_is_healthy(client, db):
    answer = client.get("/ws/cities/health")

    assert (answer.status_code, answer.json()) == (200, HEALTHY)


def test_health_asks_the_database_little(client, db, django_assert_max_num_queries):
    client.get("/ws/cities/health")

    with django_assert_max_num_queries(2):
        client.get("/ws/cities/health")


def test_a_missing_migration_is_told(client, db):
    MigrationRecorder.Migration.objects.filter(app="cities").delete()

    answer = client.get("/ws/cities/health")

    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "failing", "database": "ok", "migrations": "missing"},
    )


def test_a_migration_of_newer_code_is_no_matter(client, db):
    MigrationRecorder.Migration.objects.create(app="cities", name="9999_newer")

    assert client.get("/ws/cities/health").status_code == 200


def test_a_database_without_any_table_is_told(empty_database):
    if folder := empty_database.get("DATA_DIR"):
        Path(folder).mkdir()

    status, body = ask("/ws/cities/health", env=empty_database)

    assert (status, body["migrations"]) == (503, "missing")


@pytest.mark.parametrize(
    "env",
    [
        {"DATABASE_URL": "postgresql://cities:secret@127.0.0.1:1/cities"},
        {"DATA_DIR": "/proc/nowhere"},
    ],
    ids=["PostgreSQL", "SQLite"],
)
def test_a_database_that_does_not_answer_is_told(env):
    status, body = ask("/ws/cities/health", env=env)

    assert (status, body["database"]) == (503, "unreachable")


def test_a_start_on_an_empty_database_makes_it_healthy_with_sample_data(empty_database):
    printed = start(env=empty_database)

    assert "Applying cities.0001_initial" in printed
    assert "DJANGO_SECRET_KEY is not set" in printed
    assert ask("/ws/cities/health", env=empty_database) == (200, HEALTHY)
    assert ask("/ws/cities?search=dusseldorf", env=empty_database)[1]["results"][0]["event_count"] >= 1


def test_a_second_start_has_nothing_to_do(empty_database):
    start(env=empty_database)

    printed = start(env=empty_database)

    assert "Applying" not in printed
    assert "sample" not in printed


def test_starts_at_the_same_time_migrate_and_load_once(empty_database):
    processes = [python(START, env=empty_database) for _ in range(4)]

    printed = [process.communicate(timeout=120)[0] for process in processes]

    assert [process.returncode for process in processes] == [0] * 4, "\n".join(printed)
    assert "".join(printed).count("Applying cities.0001_initial... OK") == 1
    assert "".join(printed).count("Loaded the sample data") == 1
    assert ask("/ws/cities", env=empty_database)[1]["count"] == 8


def test_a_token_of_the_environment_may_write_and_is_not_printed(empty_database):
    token = "a-token-that-nobody-may-read"

    printed = start(env={**empty_database, "CITIES_WRITER_TOKEN": token})

    assert token not in printed


def test_no_sample_data_is_loaded_elsewhere_than_locally(empty_database):
    if "DATABASE_URL" not in empty_database:
        pytest.skip("only on PostgreSQL: SQLite is for the environment local")
    production = {**empty_database, "ENVIRONMENT": "production", "DJANGO_SECRET_KEY": "key"}

    start(env=production)

    assert ask("/ws/cities", env=production)[1]["count"] == 0


def test_the_old_code_stays_healthy_and_starts_again_after_newer_code_has_migrated(empty_database, newer_code):
    start(env=empty_database)
    assert ask("/ws/cities/health", env=empty_database, folder=newer_code)[0] == 503

    assert "Applying cities.0002_city_mayor" in start(env=empty_database, folder=newer_code)

    assert ask("/ws/cities/health", env=empty_database, folder=newer_code) == (200, HEALTHY)
    assert ask("/ws/cities/health", env=empty_database) == (200, HEALTHY)
    assert "Applying" not in start(env={**empty_database, "CITIES_WRITER_TOKEN": "old-code-writes-too-1"})
    assert ask("/ws/cities", env=empty_database)[1]["count"] == 8
