import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

pytestmark = pytest.mark.django_db


def test_the_schema_is_valid_and_names_every_address():
    schema = SchemaGenerator().get_schema(public=True)

    validate_schema(schema)
    assert set(schema["paths"]) == {
        "/ws/cities",
        "/ws/cities/{slug}",
        "/ws/cities/{slug}/events",
        "/ws/cities/health",
    }


def test_the_schema_is_served_as_json(client):
    answer = client.get("/ws/cities/schema", headers={"accept": "application/json"})

    assert answer.status_code == 200
    assert answer.json()["info"]["title"] == "Cities"


def test_the_documentation_loads_nothing_from_elsewhere(client):
    page = client.get("/ws/cities/docs").content.decode()

    assert "/ws/cities/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css" in page
    assert "http://" not in page
    assert "https://" not in page
