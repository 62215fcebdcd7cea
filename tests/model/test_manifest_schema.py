"""The JSON schema that ships for editors is the one that the manifest's types give."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.model.manifest import json_schema

SHIPPED = Path(__file__).parents[2] / "pipeline" / "schema" / "manifest.json"


def test_the_shipped_schema_is_up_to_date() -> None:
    """When a key was added: write json_schema() there, indented by 2."""
    assert json.loads(SHIPPED.read_text()) == json_schema()
