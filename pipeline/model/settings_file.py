"""invoke.yaml: what an estate writes down of its environments and of its builds, under the key `pipeline`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from pipeline.model.strict import convert

BRANCHES = {"master": "stage", "main": "stage", "production": "production"}


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown keys are errors in every part."""


class PlatformPart(_Part, frozen=True, kw_only=True):
    """Which platform runs an environment's stacks. `host` is a Docker engine's address, empty for the local one; `url`
    is a Rancher server's, `project` the id or the name of one of its projects (empty for the only one). An empty
    `driver` is told by what is given."""

    driver: Literal["", "docker", "rancher"] = ""
    host: str = ""
    url: str = ""
    project: str = ""


class GatewayPart(_Part, frozen=True, kw_only=True):
    """Where an environment's Kong is; `proxy` is where the check through the gateway goes; `lab` is the version of Kong
    that the lab gateway speaks when it is this environment's. `dialect`: what is written, services and routes or the
    legacy /apis; `auto` lets the server's answers decide."""

    admin: str = ""
    proxy: str = ""
    lab: Literal["2.8", "3.4", "0.14"] = "2.8"
    dialect: Literal["auto", "services", "apis"] = "auto"


class EnvironmentPart(_Part, frozen=True, kw_only=True):
    """One environment. Seconds: `deploy_timeout` for a stack to become healthy, `verify_timeout` for the gateway to
    answer as expected, `settle` that nothing is stopped after its last route left it. `grace`: how long prune keeps,
    stopped, what a route has left. `upstream`: what the gateway is told, the stack's name on the network or a
    published port."""

    platform: PlatformPart = PlatformPart()
    gateway: GatewayPart = GatewayPart()
    upstream: Literal["network", "published"] = "network"
    deploy_timeout: float = 300.0
    verify_timeout: float = 30.0
    settle: float = 15.0
    grace: float = 3600.0


class FilePart(_Part, frozen=True, kw_only=True):
    """The key `pipeline` of invoke.yaml."""

    services: str = "services"
    registry: str = ""
    environments: dict[str, EnvironmentPart] = {}
    branches: dict[str, str] = msgspec.field(default_factory=lambda: dict(BRANCHES))
    build_args: dict[str, str] = {}
    builder: Literal["auto", "classic", "buildkit"] = "auto"
    build_cache: Literal["", "inline", "registry"] = ""
    build_attestations: tuple[Literal["provenance", "sbom"], ...] = ()
    context_limit: str = "500MB"
    age_recipients: tuple[str, ...] = ()


def merge_files(files: tuple[tuple[str, object], ...]) -> FilePart:
    """The settings files (name, parsed YAML), later over earlier ones, key by key. Raises BadInput with the path."""
    merged: dict[str, object] = {}
    for name, content in files:
        _convert(name, content)
        merged = _over(merged, content if isinstance(content, dict) else {})
    return _convert(files[-1][0] if files else "invoke.yaml", merged)


def _over(below: dict[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _convert(name: str, content: object) -> FilePart:
    return convert(
        {} if content is None else content,
        FilePart,
        file=name,
        above="pipeline",
        documented="docs/contract.md lists every setting.",
    )
