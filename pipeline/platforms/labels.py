"""The labels of each container that say which part of its stack it is, and which of its values are secret."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipeline.model.image import LABEL
from pipeline.model.interpolate import as_written, secrets_in
from pipeline.model.stack import StackService

PART_LABEL = f"{LABEL}compose-service"
SECRETS_LABEL = f"{LABEL}secrets"
"""Which environment values hold secrets, as `{NAME: text}` with `${VARIABLE}` in their places: no value is in it."""


def own_labels(service: StackService) -> dict[str, str]:
    declared = {name: as_written(text) for name, text in service.environment.items() if secrets_in(text)}
    told = {SECRETS_LABEL: json.dumps(declared, sort_keys=True)} if declared else {}
    return {PART_LABEL: service.name} | told


def declared_in(labels: Mapping[str, str]) -> dict[str, str]:
    """What `own_labels` said of secrets; nothing where it said nothing."""
    return {str(name): str(text) for name, text in json.loads(labels.get(SECRETS_LABEL) or "{}").items()}
