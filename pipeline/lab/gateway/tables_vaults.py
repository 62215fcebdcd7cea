"""The schemas of vaults, which OSS Kong has of one kind: the environment's variables."""

from __future__ import annotations

import re
from dataclasses import replace

from pipeline.lab.gateway.fields import CREATED_AT, ID, TAGS, UPDATED_AT, bare_text, record, text
from pipeline.lab.gateway.rules import NOT_EMPTY
from pipeline.lab.gateway.schema import Field, Rule, Schema, Subschema

_KINDS = ("env",)


def _prefix(value: str) -> str | None:
    if value in _KINDS:
        return f"must not be one of: {', '.join(_KINDS)}"
    return None if re.fullmatch(r"[a-z][a-z0-9-]*?[a-z0-9]+", value) else f"invalid value: {value}"


def _variable(value: str) -> str | None:
    return None if re.fullmatch(r"[A-Za-z_-][A-Za-z0-9_-]*", value) else f"invalid value: {value}"


VAULTS = Schema(
    name="vaults",
    endpoint_key="prefix",
    fields=(
        ID,
        replace(text("prefix", Rule(_prefix), required=True), unique=True),
        text("name", required=True),
        bare_text("description"),
        record("config"),
        CREATED_AT,
        UPDATED_AT,
        TAGS,
    ),
    subschema_key="name",
    subschemas={
        "env": Subschema(fields={"config": record("config", Field(name="prefix", rules=(NOT_EMPTY, Rule(_variable))))})
    },
    subschema_error="vault '{}' is not installed",
)
VAULTS_BETA = replace(VAULTS, name="vaults_beta", path="vaults-beta")
