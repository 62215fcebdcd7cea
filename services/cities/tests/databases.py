"""Databases that processes other than the tests' own work on."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

SERVICE = settings.BASE_DIR
START = "import service.wsgi"
_ASK = """
import json, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "service.settings"
import django
django.setup()
from django.test import Client
answer = Client().get(sys.argv[1], headers={"host": "localhost"})
print(json.dumps([answer.status_code, answer.json()]))
"""


@pytest.fixture
def empty_database(tmp_path, django_db_blocker) -> Iterator[dict[str, str]]:
    """Environment variables that name a new database of the kind that these tests run on."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        yield {"DATA_DIR": str(tmp_path / "data")}
        return
    name = f"cities_{uuid.uuid4().hex}"
    with django_db_blocker.unblock():
        _in_postgresql(f'CREATE DATABASE "{name}"')
        yield {"DATABASE_URL": f"{url.rpartition('/')[0]}/{name}"}
        _in_postgresql(f'DROP DATABASE "{name}" WITH (FORCE)')


def _in_postgresql(statement: str) -> None:
    with connection._nodb_cursor() as cursor:
        cursor.execute(statement)


def python(code: str, *arguments: str, env: dict[str, str], folder: Path = SERVICE) -> subprocess.Popen:
    """The service's code in a process of its own, which knows of its environment variables `env` alone."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start(*, env: dict[str, str], folder: Path = SERVICE) -> str:
    """Does all that a container does before it serves; what it printed."""
    process = python(START, env=env, folder=folder)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    return printed


def ask(path: str, *, env: dict[str, str], folder: Path = SERVICE) -> tuple[int, Any]:
    """Status and body that the service in that folder answers, without a start before."""
    process = python(_ASK, path, env=env, folder=folder)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    status, body = json.loads(printed.splitlines()[-1])
    return status, body
