"""Settings of one environment: defaults < invoke.yaml < invoke.local.yaml < environment variables < flags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from pipeline.errors import BadInput
from pipeline.model.address import EngineAddress, GatewayAddress, RegistryAddress
from pipeline.model.secret import Secret

LOCAL = "local"
BRANCHES = {"master": "stage", "main": "stage", "production": "production"}
_ENVIRONMENT = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:/[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)?")
_ALIASES = {
    "KONG_ADMIN_URL": "kong_admin",
    "KONG_CLIENT_CERT": "kong_cert",
    "KONG_CLIENT_KEY": "kong_key",
    "KONG_TARGET_HOST": "kong_target_host",
}


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown keys are errors in every part."""


class PlatformPart(_Part, frozen=True, kw_only=True):
    """Which platform runs an environment's stacks; `host` is a Docker engine's address, empty for the local one."""

    driver: Literal["docker"] = "docker"
    host: str = ""


class GatewayPart(_Part, frozen=True, kw_only=True):
    """Where an environment's Kong is; `proxy` is where the check through the gateway goes."""

    admin: str = ""
    proxy: str = ""


class EnvironmentPart(_Part, frozen=True, kw_only=True):
    """One environment. Seconds: `deploy_timeout` for a stack to become healthy, `verify_timeout` for the gateway to
    answer as expected. `upstream`: what the gateway is told, the stack's name on the network or a published port."""

    platform: PlatformPart = PlatformPart()
    gateway: GatewayPart = GatewayPart()
    upstream: Literal["network", "published"] = "network"
    deploy_timeout: float = 300.0
    verify_timeout: float = 30.0
    settle: float = 15.0


class FilePart(_Part, frozen=True, kw_only=True):
    """The key `pipeline` of invoke.yaml."""

    services: str = "services"
    registry: str = ""
    environments: dict[str, EnvironmentPart] = {}
    branches: dict[str, str] = msgspec.field(default_factory=lambda: dict(BRANCHES))
    build_args: dict[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that is set, for one environment. `variables` are the process's, for compose files and secrets."""

    root: str
    services: str
    environment: str
    driver: str
    build_engine: EngineAddress
    platform_engine: EngineAddress
    gateway: GatewayAddress
    registry: RegistryAddress
    hosts: tuple[str, ...]
    upstream: Literal["network", "published"]
    deploy_timeout: float
    verify_timeout: float
    settle: float
    build_args: Mapping[str, str]
    in_ci: bool
    actor: str
    pipeline_url: str
    pipeline_iid: int
    variables: Mapping[str, str] = field(repr=False)

    def secret(self, name: str) -> Secret | None:
        """A service's secret from the variables, the environment's own (`STAGE_NAME`) first."""
        value = _lookup(self.variables, self.environment, name)
        return None if value is None else Secret(value)


def merge_files(files: tuple[tuple[str, object], ...]) -> FilePart:
    """The settings files (name, parsed YAML), later over earlier ones, key by key. Raises BadInput with the path."""
    merged: dict[str, object] = {}
    for name, content in files:
        _convert(name, content)
        merged = _over(merged, content if isinstance(content, dict) else {})
    return _convert(files[-1][0] if files else "invoke.yaml", merged)


def choose_environment(file: FilePart, *, flag: str | None, branch: str, in_ci: bool) -> str:
    """The flag's environment, else `local` on a laptop, else the one that the branch is mapped to in CI; empty when
    the branch is mapped to none (it is only built)."""
    chosen = flag if flag is not None else (file.branches.get(branch, "") if in_ci else LOCAL)
    if chosen and not _ENVIRONMENT.fullmatch(chosen):
        raise BadInput(
            f"{chosen!r} cannot be an environment's name",
            hint="Use a-z, 0-9 and -, as in local, stage, review/my-branch.",
        )
    known = {LOCAL, *file.environments}
    if chosen and chosen not in known:
        raise BadInput(
            f"the environment {chosen!r} is not in invoke.yaml",
            hint=f"Known: {', '.join(sorted(known))}. Add it under pipeline.environments, or name another with -e.",
        )
    return chosen


def make_settings(file: FilePart, *, root: str, environment: str, variables: Mapping[str, str]) -> Settings:
    """The settings of one environment. Raises BadInput where a variable contradicts the file's endpoint."""
    part = file.environments.get(environment, EnvironmentPart())

    def get(name: str, default: str = "") -> str:
        value = _lookup(variables, environment, name)
        return default if value is None else value

    def endpoint(name: str, from_file: str, path: str) -> str:
        return _endpoint(get(name), from_file, name, f"environments.{environment}.{path}")

    local = environment == LOCAL
    build = EngineAddress(
        host=get("DOCKER_HOST"), tls_verify=_is_on(get("DOCKER_TLS_VERIFY")), cert_path=get("DOCKER_CERT_PATH")
    )
    platform_host = endpoint("PLATFORM_DOCKER_HOST", part.platform.host, "platform.host")
    platform = EngineAddress(
        host=platform_host,
        tls_verify=_is_on(get("PLATFORM_DOCKER_TLS_VERIFY")),
        cert_path=get("PLATFORM_DOCKER_CERT_PATH"),
    )
    return Settings(
        root=root,
        services=file.services,
        environment=environment,
        driver=part.platform.driver,
        build_engine=build,
        platform_engine=platform if platform_host or not local else build,
        gateway=GatewayAddress(
            admin=endpoint("KONG_ADMIN_URL", part.gateway.admin, "gateway.admin") or _local(local, 8001),
            proxy=endpoint("KONG_PROXY_URL", part.gateway.proxy, "gateway.proxy") or _local(local, 8000),
            token=Secret(get("KONG_ADMIN_TOKEN")),
            client_cert=get("KONG_CLIENT_CERT"),
            client_key=get("KONG_CLIENT_KEY"),
            ca_cert=get("KONG_CA_CERT"),
        ),
        registry=RegistryAddress(
            host=get("CI_REGISTRY"),
            prefix=(file.registry or get("CI_REGISTRY_IMAGE")).rstrip("/"),
            user=get("CI_REGISTRY_USER"),
            password=Secret(get("CI_REGISTRY_PASSWORD")),
        ),
        hosts=tuple(get("KONG_TARGET_HOST").replace(",", " ").split()),
        upstream=part.upstream,
        deploy_timeout=part.deploy_timeout,
        verify_timeout=part.verify_timeout,
        settle=part.settle,
        build_args=file.build_args | _pairs(get("PIPELINE_BUILD_ARGS")),
        in_ci=in_ci(variables),
        actor=get("GITLAB_USER_LOGIN") or get("USER") or "unknown",
        pipeline_url=get("CI_PIPELINE_URL"),
        pipeline_iid=_number("CI_PIPELINE_IID", get("CI_PIPELINE_IID")),
        variables=variables,
    )


def in_ci(variables: Mapping[str, str]) -> bool:
    """Whether this is a GitLab job: GitLab sets GITLAB_CI in every one."""
    return _is_on(variables.get("GITLAB_CI", ""))


def _lookup(variables: Mapping[str, str], environment: str, name: str) -> str | None:
    prefix = re.sub(r"[^A-Z0-9]", "_", environment.upper())
    for candidate in (f"{prefix}_{name}", name, _ALIASES.get(name, "")):
        if candidate and variables.get(candidate):
            return variables[candidate]
    return None


def _endpoint(variable: str, from_file: str, name: str, path: str) -> str:
    """The endpoint that the file names, or the variable's when it names none: two different hosts are a mistake."""
    for where, url in ((path, from_file), (name, variable)):
        if url and not urlsplit(url).netloc and not url.startswith(("unix://", "npipe://")):
            raise BadInput(f"{where}: {_clean(url)!r} should be a URL", hint="For example http://127.0.0.1:8001.")
    if from_file and variable and urlsplit(from_file).netloc != urlsplit(variable).netloc:
        raise BadInput(
            f"{name} names {_clean(variable)}, but invoke.yaml has {_clean(from_file)} at {path}",
            hint=f"Unset {name} (is it another environment's?), or change the file.",
        )
    return variable or from_file


def _clean(url: str) -> str:
    """A URL without user and password, as it may be shown."""
    return re.sub(r"//[^/@]*@", "//", url)


def _local(local: bool, port: int) -> str:
    return f"http://127.0.0.1:{port}" if local else ""


def _is_on(value: str) -> bool:
    return value.lower() not in ("", "0", "false", "no")


def _number(name: str, value: str) -> int:
    if value and not value.isdigit():
        raise BadInput(f"{name} {value!r} is not a number", hint=f"Unset {name}, or give it GitLab's value.")
    return int(value or 0)


def _pairs(value: str) -> dict[str, str]:
    pairs = {}
    for word in value.split():
        name, found, text = word.partition("=")
        if not found:
            raise BadInput(f"PIPELINE_BUILD_ARGS: {word!r} is not NAME=value", hint="Separate pairs by spaces.")
        pairs[name] = text
    return pairs


def _over(below: dict[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _convert(name: str, content: object) -> FilePart:
    try:
        return msgspec.convert({} if content is None else content, FilePart)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at ")
        where = path.strip("`").replace("$", "pipeline", 1) or "pipeline"
        raise BadInput(f"{name}: {where}: {what}", hint="docs/contract.md lists every setting.") from error
