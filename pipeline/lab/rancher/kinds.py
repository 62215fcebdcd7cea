"""The types of the API: their fields, filters, links, actions, and who may do what with them."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.lab.rancher import kinds_launch
from pipeline.lab.rancher.fields import NAME_CHARS, Action, Field, Kind

_READ = Field(access="r")
_FLAG = Field(type="boolean", access="r")


def _reference(kind: str, access: str = "r", *, required: bool = False) -> Field:
    return Field(type=f"reference[{kind}]", access=access, required=required)


COMMON: Mapping[str, Field] = {
    "id": _READ,
    "name": Field(max_length=255),
    "description": Field(max_length=1024),
    "kind": _READ,
    "uuid": _READ,
    "accountId": _reference("account"),
    "state": _READ,
    "created": Field(type="date", access="r"),
    "removed": Field(type="date", access="r"),
    "removeTime": Field(type="date", access="r"),
    "transitioning": Field(type="enum", access="r", options=("yes", "no", "error")),
    "transitioningMessage": _READ,
    "transitioningProgress": Field(type="int", access="r"),
}
_FILTERS = ("accountId", "created", "description", "id", "kind", "name", "removed", "removeTime", "state", "uuid")
_NAME = Field(required=True, nullable=False, min_length=1, max_length=63, chars=NAME_CHARS)

_STACK = Kind(
    name="stack",
    table="stack",
    fields={
        **COMMON,
        "name": _NAME,
        "externalId": Field(max_length=128),
        "previousExternalId": Field(max_length=128),
        "previousEnvironment": Field(type="map[string]"),
        "outputs": Field(type="map[string]"),
        "binding": Field(type="json"),
        "group": Field(max_length=255),
        "dockerCompose": Field(access="cr"),
        "rancherCompose": Field(access="cr"),
        "environment": Field(type="map[string]", access="cr"),
        "answers": Field(type="map[json]", access="cr"),
        "templates": Field(type="map[string]", access="cr"),
        "startOnCreate": Field(type="boolean", access="cr", default=False),
        "healthState": _READ,
        "system": _FLAG,
        "serviceIds": Field(type="array[reference[service]]", access="r"),
    },
    filters=(*_FILTERS, "externalId", "group", "healthState", "system"),
    links=("account", "services", "composeConfig"),
    actions={
        "create": Action(output="stack"),
        "update": Action(output="stack"),
        "upgrade": Action(input="stackUpgrade", output="stack"),
        "finishupgrade": Action(output="stack"),
        "cancelupgrade": Action(output="stack"),
        "rollback": Action(output="stack"),
        "remove": Action(output="stack"),
        "error": Action(output="stack"),
        "addoutputs": Action(input="addOutputsInput", output="stack"),
        "exportconfig": Action(input="composeConfigInput", output="composeConfig"),
        "activateservices": Action(output="stack"),
        "deactivateservices": Action(output="stack"),
    },
    user="r",
    project="crud",
)

_SERVICE_FIELDS: dict[str, Field] = {
    **COMMON,
    "name": _NAME,
    "stackId": _reference("stack", "cr", required=True),
    "scale": Field(type="int", default=1, min=0),
    "currentScale": Field(type="int", access="r"),
    "launchConfig": Field(type="launchConfig", access="cr"),
    "secondaryLaunchConfigs": Field(type="array[secondaryLaunchConfig]", access="cr"),
    "upgrade": Field(type="serviceUpgrade", access="r"),
    "startOnCreate": Field(type="boolean", access="cr", default=False),
    "metadata": Field(type="map[json]"),
    "selectorLink": Field(),
    "selectorContainer": Field(),
    "scalePolicy": Field(type="scalePolicy"),
    "retainIp": Field(type="boolean"),
    "assignServiceIpAddress": Field(type="boolean", access="cr"),
    "vip": Field(access="cr"),
    "externalId": Field(access="cr", max_length=128),
    "lbConfig": Field(type="lbConfig"),
    "publicEndpoints": Field(type="json"),
    "linkedServices": Field(type="map[reference[service]]", access="r"),
    "instanceIds": Field(type="array[reference[instance]]", access="r"),
    "healthState": _READ,
    "fqdn": _READ,
    "createIndex": Field(type="int", access="r"),
    "system": _FLAG,
}
_SERVICE_ACTIONS = {
    "activate": Action(output="service"),
    "deactivate": Action(output="service"),
    "update": Action(output="service"),
    "upgrade": Action(input="serviceUpgrade", output="service"),
    "finishupgrade": Action(output="service"),
    "cancelupgrade": Action(output="service"),
    "continueupgrade": Action(output="service"),
    "rollback": Action(output="service"),
    "restart": Action(input="serviceRestart", output="service"),
    "remove": Action(output="service"),
    "setservicelinks": Action(input="setServiceLinksInput", output="service"),
    "addservicelink": Action(input="addRemoveServiceLinkInput", output="service"),
    "removeservicelink": Action(input="addRemoveServiceLinkInput", output="service"),
}


def _service(name: str, plural: str = "", **others: Field) -> Kind:
    return Kind(
        name=name,
        plural=plural,
        table="service",
        fields={**_SERVICE_FIELDS, **others},
        filters=(
            *_FILTERS,
            *("createIndex", "externalId", "healthState", "selectorContainer", "selectorLink", "stackId", "system"),
            "vip",
        ),
        links=(
            *("account", "stack", "instances", "consumedservices", "consumedbyservices", "serviceExposeMaps"),
            *("serviceLogs", "containerStats", "networkDrivers", "storageDrivers", "configItemStatuses"),
        ),
        actions=_SERVICE_ACTIONS,
        user="r",
        project="crud",
    )


SERVICE_KINDS = ("service", "loadBalancerService", "dnsService", "externalService")

_SERVICES = (
    _service("service"),
    _service("loadBalancerService", launchConfig=Field(type="launchConfig", required=True)),
    _service("dnsService"),
    _service("externalService", hostname=Field(), externalIpAddresses=Field(type="array[string]")),
)

_CONTAINER_FIELDS: dict[str, Field] = {
    **COMMON,
    **kinds_launch.CONTAINER,
    "name": Field(min_length=1, max_length=63, chars=NAME_CHARS),
    "imageUuid": Field(access="cr", required=True),
    "healthState": _READ,
    "hostId": _reference("host"),
    "primaryIpAddress": _READ,
    "externalId": _READ,
    "serviceIds": Field(type="array[reference[service]]", access="r"),
    "serviceId": _reference("service"),
    "stackId": _reference("stack"),
    "deploymentUnitUuid": _READ,
    "version": _READ,
    "createIndex": Field(type="int", access="r"),
    "startCount": Field(type="int", access="r"),
    "exitCode": Field(type="int", access="r"),
    "system": _FLAG,
    "nativeContainer": _FLAG,
}
_CONTAINER_ACTIONS = {
    "start": Action(output="instance"),
    "stop": Action(input="instanceStop", output="instance"),
    "restart": Action(output="instance"),
    "update": Action(output="instance"),
    "remove": Action(output="instance"),
    "purge": Action(output="instance"),
    "migrate": Action(output="instance"),
    "execute": Action(output="hostAccess"),
    "logs": Action(output="hostAccess"),
    "proxy": Action(output="hostAccess"),
}


def _instance(name: str, project: str) -> Kind:
    return Kind(
        name=name,
        table="instance",
        fields=_CONTAINER_FIELDS,
        filters=(
            *_FILTERS,
            *("createIndex", "deploymentUnitUuid", "externalId", "healthState", "hostname", "imageId", "serviceId"),
            *("stackId", "system", "version"),
        ),
        links=("account", "services", "hosts", "stack"),
        actions=_CONTAINER_ACTIONS,
        user="r",
        project=project,
    )


FILTERS, READ, FLAG, reference = _FILTERS, _READ, _FLAG, _reference
"""What kinds_other builds its types with."""

MAIN = (_STACK, *_SERVICES, _instance("container", "crud"), _instance("instance", "r"))
