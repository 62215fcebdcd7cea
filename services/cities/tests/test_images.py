"""Both images are built and run, and asked through nginx."""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest

from tests.containers import build, docker, engine_answers, stack

pytestmark = [
    pytest.mark.images,
    pytest.mark.skipif(not engine_answers(), reason="no Docker engine answers `docker info`"),
]
TOKEN = "a-token-for-these-tests"
WRITES = {"Authorization": f"Token {TOKEN}", "Content_Type": "application/json"}
CITY = {"name": "Neuss", "country": "DE", "timezone": "Europe/Berlin"}
# Keeps others from starting, as a long migration does.
HOLD_START = "import fcntl, time; f = open('/data/start.lock', 'w'); fcntl.flock(f, fcntl.LOCK_EX); time.sleep(60)"
# Keeps others from writing for some seconds; says when it has begun.
HOLD_DATABASE = """
import sqlite3, sys, time
connection = sqlite3.connect("/data/cities.sqlite3", isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[1]))
connection.execute("ROLLBACK")
"""


@pytest.fixture(scope="module")
def images():
    """The layers stay in the engine's cache, the names do not."""
    tags = [f"cities-test/{part}:{uuid.uuid4().hex[:8]}" for part in ("app", "proxy")]
    try:
        build(tags[0], ".", version="7", branch="feature/x", stack="cities-feature-x-0a1b2c3d")
        build(tags[1], "proxy")
        yield tags
    finally:
        docker("rmi", "--no-prune", *tags, check=False)


@pytest.fixture(scope="module")
def running(images):
    """A stack that is up, a client to ask it, and its two containers."""
    with stack(*images) as running_stack:
        proxy, app = running_stack.proxy(), running_stack.app("--env", f"CITIES_WRITER_TOKEN={TOKEN}")
        client = running_stack.client()
        running_stack.wait_until_up(client)
        yield running_stack, client, app, proxy


def test_the_stack_answers_with_its_cities_and_its_release(running):
    served, client, _, _ = running

    cities = served.ask(client, "GET", "/ws/cities?search=DÜSSEL".replace("Ü", "%C3%9C")).json
    release = served.ask(client, "OPTIONS", "/ws/cities").json

    assert [city["slug"] for city in cities["results"]] == ["duesseldorf"]
    assert release["stack"] == served.name, "the container's environment wins over the image's"
    assert (release["service"], release["version"], release["branch"]) == ("cities", "7", "feature/x")
    assert served.ask(client, "GET", "/ws/cities/health").json["status"] == "ok"


def test_nothing_runs_as_root_and_no_compiler_is_left(running):
    _, _, app, proxy = running

    for container in (app, proxy):
        processes = docker("exec", container, "sh", "-c", "cat /proc/[0-9]*/status | grep ^Uid:")
        assert {line.split()[1] for line in processes.splitlines()} == {"10001"}
        assert not docker("exec", container, "sh", "-c", "command -v cc gcc g++ clang make || true")
    docker("exec", app, "sh", "-c", "! touch /app/x 2>/dev/null && touch /data/x && rm /data/x")


def test_static_files_are_served_compressed(running):
    served, client, _, _ = running
    path = "/ws/cities/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css"

    plain, packed = served.ask(client, "GET", path), served.ask(client, "GET", path, Accept_Encoding="gzip")

    assert (plain.status, plain.headers["Content-Type"]) == (200, "text/css")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.text) < len(plain.text) / 2
    assert served.ask(client, "GET", "/ws/cities/static/../settings.py").status in (400, 404)
    assert served.ask(client, "GET", "/ws/cities/static/nothing.css").json == {"detail": "Not found."}


def test_one_request_id_is_in_the_answer_and_in_both_logs(running):
    served, client, app, proxy = running
    given = uuid.uuid4().hex

    assert served.ask(client, "GET", "/ws/cities", X_Request_ID=given).headers["X-Request-ID"] == given
    made = served.ask(client, "GET", "/ws/cities", X_Request_ID="not sane").headers["X-Request-ID"]

    for request_id in (given, made):
        assert f"request_id={request_id} method=GET" in docker("logs", app)
        (line,) = [line for line in docker("logs", proxy).splitlines() if f'"request_id":"{request_id}"' in line]
        assert json.loads(line)["status"] == 200
    assert "not sane" not in docker("logs", app)


def test_what_nginx_refuses_is_json_too(running):
    served, client, _, _ = running

    too_large = served.ask(client, "POST", "/ws/cities", size=3_000_000, **WRITES)
    assert too_large.status == 413
    assert too_large.json["detail"] == "The request is too large."
    assert too_large.json["request_id"] == too_large.headers["X-Request-ID"]
    assert "nginx/" not in too_large.headers["Server"]
    assert served.ask(client, "TRACE", "/ws/cities").json["detail"] == "Method not allowed."
    assert served.ask(client, "GET", f"/{'x' * 9000}").json["detail"] == "The address is too long."
    assert served.ask(client, "GET", "/ws/cities", Long="x" * 9000).json["detail"] == "Bad request."


def test_a_large_body_that_the_application_does_not_want_gets_its_answer(running):
    served, client, _, _ = running

    for _ in range(5):
        assert served.ask(client, "POST", "/ws/cities", size=1_900_000).status == 401


def test_a_host_that_is_not_ours_is_refused_and_a_request_without_one_is_not(running):
    served, client, _, _ = running
    bare = "import socket, sys; s = socket.create_connection((sys.argv[1], 80)); s.sendall(b'GET /ws/cities/health HTTP/1.0\\r\\n\\r\\n'); print(s.recv(99))"

    assert served.ask(client, "GET", "/ws/cities", Host="evil.example").status == 400
    assert "200 OK" in docker("exec", client, "python", "-c", bare, f"proxy.{served.name}")


def test_two_replicas_start_at_once_on_one_volume_and_write_at_once(images):
    with stack(*images) as starting:
        apps = [starting.app("--env", f"CITIES_WRITER_TOKEN={TOKEN}") for _ in range(2)]
        starting.proxy()
        client = starting.client()
        starting.wait_until_up(client)
        time.sleep(2)

        assert starting.ask(client, "GET", "/ws/cities").json["count"] == 8
        logs = "".join(docker("logs", app) for app in apps)
        assert logs.count("Applying cities.0001_initial... OK") == 1

        def write(number: int) -> int:
            city = {**CITY, "slug": f"neuss-{number}"}
            return starting.ask(client, "POST", "/ws/cities", body=city, **WRITES).status

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(write, range(32))) == {201}
        assert all("POST" in docker("logs", app) for app in apps)


def test_a_request_that_runs_gets_its_answer_when_the_containers_are_stopped(images):
    with stack(*images) as stopping:
        proxy, app = stopping.proxy(), stopping.app("--env", f"CITIES_WRITER_TOKEN={TOKEN}")
        client = stopping.client()
        stopping.wait_until_up(client)
        with holding_database(app, seconds=3):
            answers = []
            asking = Thread(
                target=lambda: answers.append(stopping.ask(client, "POST", "/ws/cities", body=CITY, **WRITES))
            )
            asking.start()
            time.sleep(1)

            docker("stop", "--time", "10", proxy, app)

            asking.join(timeout=30)
        assert [answer.status for answer in answers] == [201]
        assert exit_codes(proxy, app) == ["0", "0"]


@pytest.mark.parametrize(("to_proxy", "to_app"), [("TERM", "TERM"), ("QUIT", "INT")])
def test_containers_with_nothing_to_do_stop_at_once(images, to_proxy, to_app):
    with stack(*images) as stopping:
        proxy, app = stopping.proxy(), stopping.app()
        stopping.wait_until_up(stopping.client())
        begin = time.monotonic()

        for container, signal in ((proxy, to_proxy), (app, to_app)):
            docker("kill", "--signal", signal, container)
            docker("wait", container, timeout=10)

        assert time.monotonic() - begin < 4
        assert exit_codes(proxy, app) == ["0", "0"]


def test_a_start_that_waits_for_another_one_is_stopped_at_once(images):
    with stack(*images) as starting:
        starting.run(starting.app_image, "--volume", f"{starting.volume}:/data", command=("python", "-c", HOLD_START))
        time.sleep(1)
        app = starting.app()
        time.sleep(2)
        begin = time.monotonic()

        docker("stop", "--time", "10", app)

        assert time.monotonic() - begin < 5
        assert exit_codes(app) == ["0"]
        assert "Applying" not in docker("logs", app)


def test_nginx_says_that_the_application_is_away_and_finds_it_at_its_new_address(images):
    with stack(*images) as moving:
        moving.proxy()
        first = moving.app()
        client = moving.client()
        moving.wait_until_up(client)

        docker("rm", "--force", first)
        moving.client()  # takes the address that became free
        away = moving.ask(client, "GET", "/ws/cities")
        moving.app()
        moving.wait_until_up(client, seconds=15)

        assert away.status in (502, 504)
        assert away.json["detail"] in ("The service is not available.", "The service took too long.")
        assert moving.ask(client, "GET", "/ws/cities").status == 200


def test_the_next_release_of_the_same_code_is_built_from_the_cache(images):
    tag = f"cities-test/app:{uuid.uuid4().hex[:8]}"
    try:
        steps = build(tag, ".", version="8", branch="master", stack="cities-master-1a2b3c4d").split("\nStep ")[1:]

        made = [step.split(" : ")[1].split()[0] for step in steps if "Using cache" not in step]
        assert [word for word in made if word not in ("ARG", "FROM")] == ["ENV"]
    finally:
        docker("rmi", "--no-prune", tag, check=False)


def test_production_without_a_database_says_so_and_ends(images):
    with stack(*images) as failing:
        app = failing.app("--env", "ENVIRONMENT=production", "--env", "DJANGO_SECRET_KEY=key")

        assert docker("wait", app, timeout=30) != "0"
        assert "DATABASE_URL is not set" in docker("logs", app)


@pytest.mark.skipif(not os.environ.get("DATABASE_URL"), reason="DATABASE_URL names no PostgreSQL: run-tests does")
def test_production_serves_from_postgresql_and_shows_no_secret(images):
    url = os.environ["DATABASE_URL"]
    socket = unquote(urlsplit(url).netloc.rpartition("@")[2])
    inside = url.replace(socket.replace("/", "%2F"), "%2Fpostgresql")
    environment = {"ENVIRONMENT": "production", "DATABASE_URL": inside, "DJANGO_SECRET_KEY": "a-secret-key"}
    options = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
    with stack(*images) as production:
        production.proxy()
        apps = [
            production.app(*options, "--env", f"CITIES_WRITER_TOKEN={TOKEN}", "--volume", f"{socket}:/postgresql")
            for _ in range(2)
        ]
        client = production.client()
        production.wait_until_up(client)

        created = production.ask(client, "POST", "/ws/cities", body=CITY, **WRITES)
        cities = production.ask(client, "GET", "/ws/cities").json

        assert created.status == 201, created
        assert [city["name"] for city in cities["results"]] == ["Neuss"]
        logs = "".join(docker("logs", app) for app in apps)
        assert not [secret for secret in (TOKEN, inside, "a-secret-key") if secret in logs]


@contextmanager
def holding_database(app: str, *, seconds: float) -> Iterator[None]:
    command = ["docker", "exec", app, "python", "-c", HOLD_DATABASE, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield


def exit_codes(*containers: str) -> list[str]:
    return [docker("inspect", "--format", "{{.State.ExitCode}}", container) for container in containers]
