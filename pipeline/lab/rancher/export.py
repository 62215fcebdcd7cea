"""A stack's services as compose files: what `exportconfig` answers."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from pipeline.lab.rancher.compose_executor import HASH, SIDEKICKS
from pipeline.lab.rancher.compose_keys import compose_health, compose_keys
from pipeline.lab.rancher.rows import Fields, Row, Store
from pipeline.lab.rancher.units import is_global

_IMAGES = {"dnsService": "rancher/dns-service", "externalService": "rancher/external-service"}


def exported(services: Iterable[Row], store: Store) -> dict[str, Any]:
    """Both documents. Variables are not restored, and each dollar is doubled."""
    docker: dict[str, Fields] = {}
    rancher: dict[str, Fields] = {}
    secrets: set[str] = set()
    for service in services:
        for name, config in _configs(service):
            docker[name] = _docker(service, config, store, primary=name == service.name)
            secrets |= {_source(one) for one in docker[name].get("secrets", ())}
        rancher[service.name] = _rancher(service)
        rancher |= {name: _beside(config) for name, config in _configs(service) if name != service.name}
    document: dict[str, Any] = {"version": "2", "services": {name: keys for name, keys in docker.items() if keys}}
    if secrets:
        document["secrets"] = {name: {"external": "true"} for name in sorted(secrets)}
    other = {"version": "2", "services": {name: keys for name, keys in rancher.items() if keys}}
    return {
        "id": None,
        "type": "composeConfig",
        "links": {},
        "actions": {},
        "dockerComposeConfig": _text(document),
        "rancherComposeConfig": _text(other),
    }


def zipped(config: Mapping[str, Any]) -> bytes:
    """Both documents as the files that the UI offers."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("docker-compose.yml", config["dockerComposeConfig"])
        archive.writestr("rancher-compose.yml", config["rancherComposeConfig"])
    return buffer.getvalue()


def _configs(service: Row) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield service.name, service.data.get("launchConfig") or {}
    for one in service.data.get("secondaryLaunchConfigs") or ():
        yield str(one["name"]), one


def _docker(service: Row, config: Mapping[str, Any], store: Store, *, primary: bool) -> Fields:
    image = str(config.get("imageUuid") or _IMAGES.get(service.kind, "")).removeprefix("docker:")
    found: Fields = {"image": image} if image else {}
    found |= compose_keys(config)
    for name, field in (("command", "command"), ("entrypoint", "entryPoint"), ("environment", "environment")):
        if config.get(field):
            found[name] = config[field]
    labels = {key: str(value) for key, value in (config.get("labels") or {}).items() if key != HASH}
    if primary:
        labels |= _primary_labels(service)
        found |= _links(service, store)
    if labels:
        found["labels"] = labels
    if config.get("logConfig") and (config["logConfig"].get("driver") or config["logConfig"].get("config")):
        found["logging"] = {"driver": config["logConfig"].get("driver"), "options": config["logConfig"].get("config")}
    if config.get("networkLaunchConfig"):
        found["network_mode"] = f"container:{config['networkLaunchConfig']}"
    elif config.get("networkMode") not in (None, "managed"):
        found["network_mode"] = config["networkMode"]
    if config.get("dataVolumesFromLaunchConfigs"):
        found["volumes_from"] = config["dataVolumesFromLaunchConfigs"]
    if config.get("secrets"):
        found["secrets"] = [_secret(one) for one in config["secrets"]]
    return found


def _primary_labels(service: Row) -> dict[str, str]:
    found = {}
    sidekicks = [str(one["name"]) for one in service.data.get("secondaryLaunchConfigs") or ()]
    if sidekicks:
        found[SIDEKICKS] = ",".join(sidekicks)
    for field, label in (("selectorLink", "link"), ("selectorContainer", "container")):
        if service.data.get(field):
            found[f"io.rancher.service.selector.{label}"] = str(service.data[field])
    return found


def _links(service: Row, store: Store) -> Fields:
    inside, outside = [], []
    for link in store.children("serviceConsumeMap", service.number):
        target = store.get("service", link.data["consumedServiceId"])
        if target is None:
            continue
        alias = f":{link.name or target.name}"
        if target.data["stackId"] == service.data["stackId"]:
            inside.append(f"{target.name}{alias}")
        else:
            stack = store.get("stack", target.data["stackId"])
            outside.append(f"{stack.name if stack is not None else ''}/{target.name}{alias}")
    return {name: links for name, links in (("links", inside), ("external_links", outside)) if links}


def _rancher(service: Row) -> Fields:
    config = service.data.get("launchConfig") or {}
    found: Fields = {} if is_global(service) else {"scale": service.data.get("scale")}
    found["start_on_create"] = bool(service.data.get("startOnCreate"))
    given = {
        "metadata": {name: value for name, value in (service.data.get("metadata") or {}).items() if name != HASH},
        "lb_config": service.data.get("lbConfig"),
        "retain_ip": service.data.get("retainIp"),
        "scale_policy": service.data.get("scalePolicy"),
        "external_ips": service.data.get("externalIpAddresses"),
        "hostname": service.data.get("hostname"),
    }
    return found | {name: value for name, value in given.items() if value} | _beside(config)


def _beside(config: Mapping[str, Any]) -> Fields:
    given = {
        "health_check": compose_health(config["healthCheck"]) if config.get("healthCheck") else None,
        "drain_timeout_ms": config.get("drainTimeoutMs"),
        "milli_cpu_reservation": config.get("milliCpuReservation"),
    }
    return {name: value for name, value in given.items() if value}


def _secret(reference: Mapping[str, Any]) -> Any:
    """The short form where owner and mode are unset, in which the target's name is lost."""
    given = {name: reference[name] for name in ("uid", "gid", "mode") if reference.get(name)}
    name = reference.get("name")
    return {"source": name, "target": name} | given if given else name


def _source(secret: Any) -> str:
    return str(secret["source"] if isinstance(secret, dict) else secret)


def _text(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(_doubled(document), sort_keys=True, allow_unicode=True)


def _doubled(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _doubled(one) for key, one in value.items()}
    return [_doubled(one) for one in value] if isinstance(value, list) else value
