"""The types around stacks and services, and all of them by name."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.lab.rancher import kinds_launch
from pipeline.lab.rancher.fields import Action, Field, Kind
from pipeline.lab.rancher.kinds import COMMON, FILTERS, FLAG, MAIN, READ, reference

_ONCE = Field(access="cro")
_SWITCHED = {name: Action() for name in ("activate", "deactivate", "update", "remove", "purge")}
_REMOVED = {"remove": Action()}

_PROJECTS = (
    Kind(
        name="project",
        table="account",
        fields={
            **COMMON,
            "projectTemplateId": Field(access="cr"),
            "members": Field(type="json", access="cr"),
            "virtualMachine": Field(type="boolean"),
            "servicesPortRange": Field(type="json"),
            "hostRemoveDelaySeconds": Field(type="int"),
            "orchestration": READ,
            "healthState": READ,
        },
        filters=("id", "uuid", "name", "state", "removed"),
        links=("account", "stacks", "services", "hosts"),
        actions={name: Action(output="project") for name in ("activate", "deactivate", "update", "remove")}
        | {"setmembers": Action(input="setProjectMembersInput", output="setProjectMembersInput")},
        user="crud",
        project="rud",
    ),
    Kind(
        name="account",
        table="account",
        fields={**COMMON, "externalId": Field()},
        filters=FILTERS,
        user="r",
        admin="crud",
        project="r",
    ),
    Kind(
        name="apiKey",
        table="credential",
        fields={
            **COMMON,
            "accountId": reference("account", "cr"),
            "publicValue": READ,
            "secretValue": Field(type="password", access="ro"),
        },
        filters=(*FILTERS, "publicValue"),
        links=("account",),
        actions=_SWITCHED,
        user="crud",
        project="crud",
    ),
    Kind(
        name="setting",
        table="setting",
        fields={"id": READ, "name": READ, "value": Field(), "activeValue": READ, "inDb": FLAG, "source": READ},
        filters=("id", "name"),
        user="r",
        admin="ru",
        project="r",
    ),
)

_AROUND = (
    Kind(
        name="host",
        table="host",
        fields={
            **COMMON,
            "hostname": READ,
            "agentState": READ,
            "agentIpAddress": READ,
            "labels": Field(type="map[string]", access="ru"),
            "info": Field(type="json", access="r"),
            "instanceIds": Field(type="array[reference[instance]]", access="r"),
            "publicEndpoints": Field(type="json", access="r"),
            "memory": Field(type="int", access="ru"),
            "milliCpu": Field(type="int", access="ru"),
            "localStorageMb": Field(type="int", access="ru"),
        },
        filters=(*FILTERS, "agentState", "hostname"),
        links=("account", "instances"),
        actions=_SWITCHED | {"evacuate": Action()},
        user="r",
        project="rud",
    ),
    Kind(
        name="registry",
        plural="registries",
        table="storagePool",
        fields={**COMMON, "serverAddress": Field(access="cr", required=True, min_length=1)},
        filters=(*FILTERS, "serverAddress"),
        links=("account", "credentials"),
        actions=_SWITCHED,
        user="r",
        project="crud",
    ),
    Kind(
        name="registryCredential",
        table="credential",
        fields={
            **COMMON,
            "registryId": reference("registry", "cr", required=True),
            "publicValue": Field(required=True),
            "secretValue": Field(type="password", access="cuo", required=True),
            "email": Field(),
        },
        filters=(*FILTERS, "publicValue", "registryId"),
        links=("account", "registry"),
        actions=_SWITCHED,
        user="r",
        project="crud",
    ),
    Kind(
        name="certificate",
        table="certificate",
        fields={
            **COMMON,
            "name": Field(required=True, unique=True, min_length=1, max_length=255),
            "cert": Field(required=True),
            "key": Field(type="password", access="cuo", required=True),
            "certChain": Field(),
            "CN": READ,
            "issuer": READ,
            "issuedAt": READ,
            "expiresAt": READ,
            "algorithm": READ,
            "serialNumber": READ,
            "keySize": Field(type="int", access="r"),
            "subjectAlternativeNames": Field(type="array[string]", access="r"),
            "certFingerprint": READ,
            "version": READ,
        },
        filters=FILTERS,
        actions=_REMOVED,
        user="r",
        project="crud",
    ),
    Kind(
        name="secret",
        table="secret",
        fields={
            **COMMON,
            "name": Field(required=True, unique=True, min_length=1, max_length=255),
            "value": _ONCE,
        },
        filters=FILTERS,
        actions=_REMOVED,
        user="r",
        project="crd",
    ),
    Kind(
        name="volume",
        table="volume",
        fields={**COMMON, "name": Field(required=True), "driver": Field(access="cr"), "driverOpts": Field(type="json")},
        filters=FILTERS,
        actions=_SWITCHED,
        user="r",
        project="crud",
    ),
)

_MAPS = (
    Kind(
        name="serviceConsumeMap",
        table="serviceConsumeMap",
        fields={
            **COMMON,
            "serviceId": reference("service"),
            "consumedServiceId": reference("service"),
            "consumedService": READ,
            "ports": Field(type="array[string]", access="r"),
        },
        filters=(*FILTERS, "serviceId", "consumedServiceId"),
        user="r",
        project="r",
    ),
    Kind(
        name="serviceExposeMap",
        table="serviceExposeMap",
        fields={
            **COMMON,
            "serviceId": reference("service"),
            "instanceId": reference("instance"),
            "ipAddress": READ,
            "managed": FLAG,
        },
        filters=(*FILTERS, "serviceId", "instanceId"),
        user="r",
        project="r",
    ),
    Kind(
        name="pullTask",
        table="genericObject",
        fields={
            **COMMON,
            "image": Field(access="cr", required=True),
            "mode": Field(access="cr", default="all", options=("all", "cached")),
            "labels": Field(type="map[string]", access="cr"),
            "status": Field(type="map[string]", access="r"),
        },
        filters=FILTERS,
        actions=_REMOVED,
        project="cr",
    ),
    Kind(
        name="registrationToken",
        table="credential",
        fields={**COMMON, "registrationUrl": READ, "token": READ, "command": READ, "image": READ},
        filters=FILTERS,
        actions=_SWITCHED,
        project="crd",
    ),
    Kind(name="subscribe", plural="subscribe", fields={"eventNames": Field(type="array[string]")}, project="r"),
    Kind(name="schema", user="r", project="r"),
    Kind(
        name="hostAccess",
        fields={"url": READ, "token": READ},
        value_only=True,
        user="v",
        project="v",
    ),
)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (*MAIN, *_PROJECTS, *_AROUND, *_MAPS, *kinds_launch.KINDS)}
_BY_WORD = {word.lower(): kind for kind in KINDS.values() for word in (kind.name, kind.plural_name)}


def kind_named(word: str) -> Kind | None:
    """A type by its name or plural, whatever the case: links are lower-cased."""
    return _BY_WORD.get(word.lower())
