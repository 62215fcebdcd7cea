import pytest

FACTS = {"service": "cities", "version": "7", "branch": "feature/x", "stack": "cities-feature-x-0a1b2c3d"}
pytestmark = pytest.mark.django_db


def test_options_tells_the_release_and_what_drf_tells(client, settings):
    settings.RELEASE = FACTS

    answer = client.options("/ws/cities")

    assert answer.status_code == 200
    assert FACTS.items() <= answer.json().items()
    assert {"name", "description", "renders", "parses"} <= answer.json().keys()


def test_options_tells_a_writer_the_fields_too(writing):
    assert {"name", "slug", "country"} <= writing.options("/ws/cities").json()["actions"]["POST"].keys()


def test_a_setting_hides_the_release(client, settings):
    settings.SHOW_RELEASE = False

    answer = client.options("/ws/cities").json()

    assert "description" in answer
    assert not FACTS.keys() & answer.keys()


def test_options_needs_no_database(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        client.options("/ws/cities")
