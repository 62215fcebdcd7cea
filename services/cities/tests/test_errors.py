"""Every error is JSON with a `detail` or with the wrong fields; none is HTML."""

import logging

import pytest
from rest_framework.test import APIClient

from cities.models import City

CITY = {"name": "Neuss", "country": "DE", "timezone": "Europe/Berlin"}
pytestmark = pytest.mark.django_db


def assert_told(answer, status: int) -> None:
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/json"
    assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nope",
        "/ws/cities/",
        "/ws/cities/nowhere",
        "/ws/cities/a b",
        "/ws/cities/a%00b",
        "/ws/cities/x/",
        "/admin/",
    ],
)
def test_an_unknown_address_is_not_found(client, path):
    assert_told(client.get(path), 404)


def test_a_method_that_is_not_offered_is_not_allowed(client):
    assert_told(client.delete("/ws/cities"), 401)
    assert_told(client.post("/ws/cities/health"), 405)


def test_a_writer_is_told_that_a_method_is_not_allowed(writing):
    assert_told(writing.delete("/ws/cities"), 405)


@pytest.mark.parametrize(
    ("method", "path"), [("post", ""), ("put", "/x"), ("patch", "/x"), ("delete", "/x"), ("post", "/x/events")]
)
def test_who_shows_no_token_may_not_write(client, method, path):
    answer = getattr(client, method)(f"/ws/cities{path}", CITY)

    assert_told(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("header", ["Token wrong", "Token", "Token a b", "Token \u00e4", "Token " + "x" * 5000])
def test_a_wrong_token_is_refused_even_for_reading(header):
    assert_told(APIClient(headers={"Authorization": header}).get("/ws/cities"), 401)


def test_what_is_not_json_is_refused(writing):
    assert_told(writing.post("/ws/cities", "{", content_type="application/json"), 400)
    assert_told(writing.post("/ws/cities", b"\xff", content_type="application/json"), 400)
    assert_told(writing.post("/ws/cities", "[" * 200_000, content_type="application/json"), 400)
    assert_told(writing.post("/ws/cities", '{"name": NaN}', content_type="application/json"), 400)


def test_half_of_a_character_is_refused(writing):
    body = r'{"name": "\ud800", "country": "DE", "timezone": "UTC"}'

    assert list(writing.post("/ws/cities", body, content_type="application/json").json()) == ["name"]


def test_another_content_type_is_refused(writing):
    assert_told(writing.post("/ws/cities", "name=Neuss", content_type="application/x-www-form-urlencoded"), 415)


def test_an_answer_that_is_not_json_cannot_be_asked_for(client):
    assert_told(client.get("/ws/cities", headers={"accept": "text/html"}), 406)


def test_a_host_that_is_not_ours_is_a_bad_request(client):
    assert_told(client.get("/ws/cities", headers={"host": "evil.example"}), 400)


def test_a_bug_tells_the_client_the_request_and_the_log_the_rest(client, settings, caplog):
    settings.ROOT_URLCONF = "tests.failing_urls"
    client.raise_request_exception = False

    answer = client.get("/bug", headers={"X-Request-ID": "request-17"})

    assert_told(answer, 500)
    assert answer.json() == {"detail": "Internal server error.", "request_id": "request-17"}
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "a secret detail" in str(record.exc_info[1])


def test_a_database_that_does_not_answer_makes_the_service_unavailable(client, settings):
    settings.ROOT_URLCONF = "tests.failing_urls"

    answer = client.get("/database-gone")

    assert_told(answer, 503)
    assert answer.headers["Retry-After"] == "5"
    assert "refused" not in answer.json()["detail"]


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "line\nbreak-line", "<script>", "ümlautümlaut"])
def test_a_request_id_that_looks_wrong_is_replaced(client, given):
    answer = client.get("/ws/cities", headers={"X-Request-ID": given})

    assert len(answer.headers["X-Request-ID"]) == 32


def test_a_request_id_that_looks_right_comes_back(client):
    answer = client.get("/nope", headers={"X-Request-ID": "0a1b2c3d-0001"})

    assert answer.headers["X-Request-ID"] == "0a1b2c3d-0001"


def test_nothing_was_written_by_those_who_may_not(client):
    client.post("/ws/cities", CITY)

    assert not City.objects.exists()
