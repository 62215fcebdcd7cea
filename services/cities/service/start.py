"""What a start does before it serves: migrations, the environment's writer, sample data. Two at once do it once."""

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection

from cities.loading import load_sample_once
from cities.writers import keep_environment_writer
from service import environment
from service.health import missing_migrations

logger = logging.getLogger(__name__)

_LOCK_KEY = 0x63697469  # any number that nobody else uses in this database: "citi"
_LOCK_SECONDS = 300
# A migration that waits for a table makes all of the serving stack's queries wait behind it: rather give up.
_TABLE_LOCK_MILLISECONDS = 10_000


def prepare() -> None:
    """A second call, or a second replica at the same time, finds nothing left to do."""
    if settings.LOCAL and not environment.text("DJANGO_SECRET_KEY"):
        logger.info("DJANGO_SECRET_KEY is not set: this start made a key of its own")
    with _only_one_at_a_time():
        if missing_migrations():
            call_command("migrate", interactive=False, verbosity=1)
        if settings.WRITER_TOKEN:
            keep_environment_writer(settings.WRITER_TOKEN)
        if settings.LOCAL:
            load_sample_once()
    connection.close()  # the workers are forked after this, and a connection must not be shared


@contextmanager
def _only_one_at_a_time() -> Iterator[None]:
    if connection.vendor == "postgresql":
        with _advisory_lock():
            yield
    else:
        with _file_lock():
            yield


@contextmanager
def _file_lock() -> Iterator[None]:
    path = settings.DATA_DIR / "start.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise ImproperlyConfigured(f"DATA_DIR {settings.DATA_DIR} cannot be written: {error.strerror}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _advisory_lock() -> Iterator[None]:
    deadline = time.monotonic() + _LOCK_SECONDS
    with connection.cursor() as cursor:
        while not _taken(cursor):
            if time.monotonic() > deadline:
                raise TimeoutError(f"another start has held the database's lock for {_LOCK_SECONDS} seconds")
            time.sleep(0.1)
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{_TABLE_LOCK_MILLISECONDS}ms"])
    try:
        yield
    finally:
        connection.close()  # ends the session, and the lock and its settings with it


def _taken(cursor) -> bool:
    cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK_KEY])
    return cursor.fetchone()[0]
