import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from cities.models import Writer
from cities.writers import keep_environment_writer

CITY = {"name": "Neuss", "country": "DE", "timezone": "Europe/Berlin"}
pytestmark = pytest.mark.django_db


def may_write(token: str) -> bool:
    client = APIClient(headers={"Authorization": f"Token {token}"})
    return client.post("/ws/cities/nowhere/events", []).status_code == 404


def create(name: str, capsys) -> str:
    call_command("create_writer", name)
    return capsys.readouterr().out.strip()


def test_the_command_prints_a_token_that_may_write(capsys):
    assert may_write(create("importer", capsys))


def test_a_new_token_replaces_the_old_one(capsys):
    old, new = create("importer", capsys), create("importer", capsys)

    assert may_write(new)
    assert not may_write(old)


def test_no_token_is_kept_readable(capsys):
    token = create("importer", capsys)

    assert token not in str(Writer.objects.values())


def test_the_environments_token_may_write_from_the_start_on_and_is_changed_by_the_next():
    keep_environment_writer("a-token-long-enough-1")
    keep_environment_writer("a-token-long-enough-1")
    assert may_write("a-token-long-enough-1")

    keep_environment_writer("a-token-long-enough-2")

    assert may_write("a-token-long-enough-2")
    assert not may_write("a-token-long-enough-1")
    assert Writer.objects.count() == 1
