"""Settings of one environment: defaults < invoke.yaml < invoke.local.yaml < environment variables < flags."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from pipeline.errors import BadInput
from pipeline.model.address import EngineAddress, GatewayAddress, RancherAddress, RegistryAddress
from pipeline.model.ci import REVIEW, family
from pipeline.model.dialect import Dialect
from pipeline.model.rancher_settings import rancher_address
from pipeline.model.secret import Secret
from pipeline.model.settings_file import EnvironmentPart, FilePart
from pipeline.model.size import parse_size

LOCAL = "local"
_Endpoint = Callable[[str, str, str], str]
"""An endpoint's variable, what the file has, and where: what is meant, or BadInput."""
_ENVIRONMENT = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:/[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)?")
_PORTS = {"http": 80, "https": 443, "tcp": 2375, "ssh": 22}
_ALIASES = {
    "KONG_ADMIN_URL": "kong_admin",
    "KONG_CLIENT_CERT": "kong_cert",
    "KONG_CLIENT_KEY": "kong_key",
    "KONG_TARGET_HOST": "kong_target_host",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that is set, for one environment. `registry` is where images are pushed, `pulling` the same for the platform
    that pulls them, `rancher` the server that runs stacks (None: an engine does), `dialect` the gateway's (None: its
    answers decide), `variables` are the process's, for compose files and secrets; `age_recipients` are the public keys
    that secrets of a gateway are encrypted for."""

    root: str
    services: str
    environment: str
    driver: str
    build_engine: EngineAddress
    platform_engine: EngineAddress
    rancher: RancherAddress | None
    gateway: GatewayAddress
    lab_version: Literal["2.8", "3.4", "0.14"]
    dialect: Dialect | None
    registry: RegistryAddress
    hosts: tuple[str, ...]
    upstream: Literal["network", "published"]
    deploy_timeout: float
    verify_timeout: float
    settle: float
    grace: float
    build_args: Mapping[str, str]
    builder: Literal["auto", "classic", "buildkit"]
    build_cache: Literal["", "inline", "registry"]
    build_attestations: tuple[Literal["provenance", "sbom"], ...]
    context_limit: int
    default_branches: tuple[str, ...]
    in_ci: bool
    actor: str
    pipeline_url: str
    pipeline_iid: int
    pulling: RegistryAddress
    age_recipients: tuple[str, ...]
    variables: Mapping[str, str] = field(repr=False)

    def secret(self, name: str) -> Secret | None:
        """A service's secret from the variables, the environment's own (`STAGE_NAME`) first."""
        value = _find(self.variables, self.environment, name)[1]
        return Secret(value) if value else None


def choose_environment(file: FilePart, *, flag: str | None, branch: str, in_ci: bool) -> str:
    """The flag's environment, else `local` on a laptop, else the one that the branch is mapped to in CI; empty when
    the branch is mapped to none (it is only built)."""
    chosen = flag if flag is not None else (file.branches.get(branch, "") if in_ci else LOCAL)
    if chosen and not _ENVIRONMENT.fullmatch(chosen):
        raise BadInput(
            f"{chosen!r} cannot be an environment's name",
            hint="Use a-z, 0-9 and -, as in local, stage, review/my-branch.",
        )
    known = {LOCAL, *file.environments, *file.branches.values()}
    if chosen and chosen not in known and family(chosen) not in (*file.environments, REVIEW):
        raise BadInput(
            f"the environment {chosen!r} is not in invoke.yaml",
            hint=f"Known: {', '.join(sorted(known))}. Add it under pipeline.environments, or name another with -e.",
        )
    return chosen


def make_settings(file: FilePart, *, root: str, environment: str, variables: Mapping[str, str]) -> Settings:
    """The settings of one environment. Raises BadInput where a variable contradicts the file's endpoint."""
    part = _part(file, environment)

    def get(name: str) -> str:
        return _find(variables, environment, name)[1]

    def endpoint(name: str, from_file: str, path: str) -> str:
        return _endpoint(_find(variables, environment, name), from_file, f"pipeline.environments.{environment}.{path}")

    local = environment == LOCAL
    build = _engine(get, "")
    admin = endpoint("KONG_ADMIN_URL", part.gateway.admin, "gateway.admin") or _local(local, 8001)
    proxy = endpoint("KONG_PROXY_URL", part.gateway.proxy, "gateway.proxy") or _local(local, 8000)
    return Settings(
        root=root,
        services=file.services,
        environment=environment,
        build_engine=build,
        gateway=_gateway(get, admin, proxy),
        lab_version=part.gateway.lab,
        dialect=None if part.gateway.dialect == "auto" else Dialect(part.gateway.dialect),
        registry=_registry(file, get, "CI_REGISTRY"),
        pulling=_registry(file, get, "CI_DEPLOY" if get("CI_DEPLOY_USER") else "CI_REGISTRY"),
        hosts=tuple(get("KONG_TARGET_HOST").replace(",", " ").split()),
        upstream=part.upstream,
        **_times(part),
        in_ci=in_ci(variables),
        actor=get("GITLAB_USER_LOGIN") or get("USER") or "unknown",
        pipeline_url=get("CI_PIPELINE_URL"),
        pipeline_iid=_number("CI_PIPELINE_IID", get("CI_PIPELINE_IID")),
        variables=variables,
        **_building(file, get),
        **_platform(get, endpoint, part, environment),
    )


def _part(file: FilePart, environment: str) -> EnvironmentPart:
    """`review/x` has what stands under `review`, where nothing of its own does."""
    return file.environments.get(environment, file.environments.get(family(environment), EnvironmentPart()))


def in_ci(variables: Mapping[str, str]) -> bool:
    """Whether this is a GitLab job: GitLab sets GITLAB_CI in every one."""
    return _is_on(variables.get("GITLAB_CI", ""))


def _times(part: EnvironmentPart) -> dict[str, Any]:
    """How long things may take or have to last, in seconds."""
    return {name: getattr(part, name) for name in ("deploy_timeout", "verify_timeout", "settle", "grace")}


def _building(file: FilePart, get: Callable[[str], str]) -> dict[str, Any]:
    """How images are built and secrets kept, the same for every environment."""
    return {
        "age_recipients": file.age_recipients,
        "build_args": file.build_args | _pairs(get("PIPELINE_BUILD_ARGS")),
        "builder": file.builder,
        "build_cache": file.build_cache,
        "build_attestations": file.build_attestations,
        "context_limit": _size("pipeline.context_limit", file.context_limit),
        "default_branches": tuple(filter(None, [get("CI_DEFAULT_BRANCH")])) or ("main", "master"),
    }


def _platform(
    get: Callable[[str], str], endpoint: _Endpoint, part: EnvironmentPart, environment: str
) -> dict[str, Any]:
    """What runs the environment's stacks. On a laptop a Rancher that the shell knows is not where `local` runs."""
    local = environment == LOCAL
    host = endpoint("PLATFORM_DOCKER_HOST", part.platform.host, "platform.host")
    engine = replace(_engine(get, "PLATFORM_"), host=host)
    meant = part.platform.url or ("" if local or host else get("RANCHER_URL"))
    driver = part.platform.driver or ("rancher" if meant else "docker")
    rancher = endpoint("RANCHER_URL", part.platform.url, "platform.url") if driver == "rancher" else ""
    return {
        "driver": driver,
        "platform_engine": engine if host or not local else _engine(get, ""),
        "rancher": rancher_address(get, rancher, part, environment) if driver == "rancher" else None,
    }


def _engine(get: Callable[[str], str], prefix: str) -> EngineAddress:
    return EngineAddress(
        host=get(f"{prefix}DOCKER_HOST"),
        # As the docker command has it: any value but none turns it on, `0` as well.
        tls_verify=bool(get(f"{prefix}DOCKER_TLS_VERIFY")),
        cert_path=get(f"{prefix}DOCKER_CERT_PATH"),
    )


def _gateway(get: Callable[[str], str], admin: str, proxy: str) -> GatewayAddress:
    return GatewayAddress(
        admin=admin,
        proxy=proxy,
        token=Secret(get("KONG_ADMIN_TOKEN")),
        client_cert=get("KONG_CLIENT_CERT"),
        client_key=get("KONG_CLIENT_KEY"),
        ca_cert=get("KONG_CA_CERT"),
        proxy_ca_cert=get("KONG_PROXY_CA_CERT"),
    )


def _registry(file: FilePart, get: Callable[[str], str], who: str) -> RegistryAddress:
    return RegistryAddress(
        host=get("CI_REGISTRY"),
        prefix=(file.registry or get("CI_REGISTRY_IMAGE")).rstrip("/"),
        user=get(f"{who}_USER"),
        password=Secret(get(f"{who}_PASSWORD")),
    )


def _find(variables: Mapping[str, str], environment: str, name: str) -> tuple[str, str]:
    """The variable that is set (the environment's own, the plain one, the first pipeline's) and its value; ("", "")
    when none is. An empty one counts as unset, as GitLab hands over variables that are not for this job."""
    prefixes = [re.sub(r"[^A-Z0-9]", "_", one.upper()) for one in (environment, family(environment)) if one]
    for candidate in (*(f"{prefix}_{name}" for prefix in prefixes), name, _ALIASES.get(name, "")):
        if candidate and variables.get(candidate):
            return candidate, variables[candidate].encode(errors="replace").decode()
    return "", ""


def _endpoint(variable: tuple[str, str], from_file: str, path: str) -> str:
    """The endpoint that the file names, or the variable's when it names none: two different hosts are a mistake."""
    name, value = variable
    there, here = _authority(path, from_file), _authority(name, value)
    if from_file and value and there != here:
        raise BadInput(
            f"{name} names {_clean(value)}, but invoke.yaml has {_clean(from_file)} at {path}",
            hint=f"Unset {name} (is it another environment's?), or change the file.",
        )
    return value or from_file


def _authority(where: str, url: str) -> tuple[str, int | None]:
    """What two names of one endpoint have in common: host and port, or a socket's path."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        parts, port = urlsplit(""), None
    if url and parts.scheme in ("unix", "npipe"):
        return url, None
    if url and not (parts.scheme and parts.hostname):
        raise BadInput(f"{where}: {_clean(url)!r} should be a URL", hint="For example http://127.0.0.1:8001.")
    return parts.hostname or "", port


def _clean(url: str) -> str:
    """A URL without user and password, as it may be shown."""
    return re.sub(r"//[^/@]*@", "//", url)


def _local(local: bool, port: int) -> str:
    return f"http://127.0.0.1:{port}" if local else ""


def _is_on(value: str) -> bool:
    return value.lower() not in ("", "0", "false", "no", "off")


def _number(name: str, value: str) -> int:
    if value and not re.fullmatch(r"[0-9]+", value):
        raise BadInput(f"{name} {value!r} is not a number", hint=f"Unset {name}, or give it GitLab's value.")
    return int(value or 0)


def _size(path: str, value: str) -> int:
    size = parse_size(value)
    if size is None:
        raise BadInput(f"invoke.yaml: {path}: {value!r} is not a size", hint="For example 500MB or 2GB.")
    return size


def _pairs(value: str) -> dict[str, str]:
    pairs = {}
    for word in value.split():
        name, found, text = word.partition("=")
        if not found:
            raise BadInput(f"PIPELINE_BUILD_ARGS: {word!r} is not NAME=value", hint="Separate pairs by spaces.")
        pairs[name] = text
    return pairs
