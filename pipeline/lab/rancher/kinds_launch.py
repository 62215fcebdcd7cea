"""The launch config of a service, which is a container's type without its name and restart policy."""

from __future__ import annotations

from pipeline.lab.rancher.fields import NAME_CHARS, Field, Kind

_STRINGS = [
    "build",
    "blkioWeightDevice",
    "cgroupParent",
    "cpuSet",
    "cpuSetMems",
    "domainName",
    "hostname",
    "ip",
    "ip6",
    "ipcMode",
    "isolation",
    "pidMode",
    "requestedIpAddress",
    "stopSignal",
    "user",
    "userdata",
    "usernsMode",
    "uts",
    "volumeDriver",
    "workingDir",
    "requestedHostId",
    "networkLaunchConfig",
    "networkContainerId",
    "registryCredentialId",
    "description",
    "healthInterval",
    "healthTimeout",
]
_INTEGERS = [
    "blkioWeight",
    "count",
    "cpuCount",
    "cpuPercent",
    "cpuPeriod",
    "cpuQuota",
    "cpuRealtimePeriod",
    "cpuRealtimeRuntime",
    "cpuShares",
    "diskQuota",
    "healthRetries",
    "ioMaximumBandwidth",
    "ioMaximumIOps",
    "kernelMemory",
    "memory",
    "memoryMb",
    "memoryReservation",
    "memorySwap",
    "memorySwappiness",
    "milliCpuReservation",
    "oomScoreAdj",
    "pidsLimit",
    "shmSize",
    "stopTimeout",
]
_BOOLEANS = ["oomKillDisable", "privileged", "publishAllPorts", "readOnly", "runInit", "stdinOpen", "tty"]
_LISTS = [
    "capAdd",
    "capDrop",
    "command",
    "dataVolumes",
    "dataVolumesFrom",
    "dataVolumesFromLaunchConfigs",
    "devices",
    "dns",
    "dnsOpt",
    "dnsSearch",
    "entryPoint",
    "expose",
    "extraHosts",
    "groupAdd",
    "healthCmd",
    "netAlias",
    "ports",
    "securityOpt",
]
_MAPS = ["dataVolumeMounts", "environment", "labels", "storageOpt", "sysctls", "tmpfs", "lxcConf"]

CONTAINER: dict[str, Field] = {
    **{name: Field(access="cr") for name in _STRINGS},
    **{name: Field(type="int", access="cr") for name in _INTEGERS},
    **{name: Field(type="boolean", access="cr", default=False) for name in _BOOLEANS},
    **{name: Field(type="array[string]", access="cr") for name in _LISTS},
    **{name: Field(type="map[string]", access="cr") for name in _MAPS},
    "blkioDeviceOptions": Field(type="json", access="cr"),
    "disks": Field(type="json", access="cr"),
    "ulimits": Field(type="json", access="cr"),
    "healthCheck": Field(type="instanceHealthCheck", access="cr"),
    "imageUuid": Field(access="cr"),
    "instanceLinks": Field(type="json", access="cr"),
    "logConfig": Field(type="logConfig", access="cr"),
    "networkMode": Field(access="cr", default="managed"),
    "secrets": Field(type="array[secretReference]", access="cr"),
    "startOnCreate": Field(type="boolean", access="cr", default=True),
}

LAUNCH: dict[str, Field] = {
    **CONTAINER,
    "drainTimeoutMs": Field(type="int", access="cr", default=0),
    "kind": Field(access="cr", default="container", options=("container", "virtualMachine")),
    "vcpu": Field(type="int", access="cr", default=1),
    "version": Field(access="r", default="0"),
}


def _values(name: str, fields: dict[str, Field]) -> Kind:
    return Kind(name=name, fields=fields, value_only=True, user="v", project="v")


KINDS = (
    _values("launchConfig", LAUNCH),
    _values(
        "secondaryLaunchConfig",
        {"name": Field(access="cr", required=True, min_length=1, max_length=63, chars=NAME_CHARS), **LAUNCH},
    ),
    _values(
        "instanceHealthCheck",
        {
            "name": Field(access="cr"),
            "port": Field(type="int", access="cr", required=True, min=1, max=65535),
            "requestLine": Field(access="cr"),
            "interval": Field(type="int", access="cr"),
            "responseTimeout": Field(type="int", access="cr"),
            "initializingTimeout": Field(type="int", access="cr"),
            "reinitializingTimeout": Field(type="int", access="cr"),
            "healthyThreshold": Field(type="int", access="cr"),
            "unhealthyThreshold": Field(type="int", access="cr"),
            "strategy": Field(access="cr", default="recreate", options=("none", "recreate", "recreateOnQuorum")),
            "recreateOnQuorumStrategyConfig": Field(type="recreateOnQuorumStrategyConfig", access="cr"),
        },
    ),
    _values("recreateOnQuorumStrategyConfig", {"quorum": Field(type="int", access="cr", required=True)}),
    _values("logConfig", {"driver": Field(access="cr"), "config": Field(type="map[string]", access="cr")}),
    _values(
        "secretReference",
        {
            "secretId": Field(access="cr"),
            "name": Field(access="cr"),
            "uid": Field(access="cr"),
            "gid": Field(access="cr"),
            "mode": Field(access="cr"),
        },
    ),
    _values(
        "scalePolicy",
        {
            "min": Field(type="int", access="cr", default=1),
            "max": Field(type="int", access="cr"),
            "increment": Field(type="int", access="cr", default=1),
        },
    ),
    _values(
        "lbConfig",
        {
            "portRules": Field(type="array[portRule]", access="cr"),
            "certificateIds": Field(type="array[string]", access="cr"),
            "defaultCertificateId": Field(access="cr"),
            "config": Field(access="cr"),
            "stickinessPolicy": Field(type="json", access="cr"),
        },
    ),
    _values(
        "portRule",
        {
            "sourcePort": Field(type="int", access="cr", required=True, min=1, max=65535),
            "protocol": Field(access="cr", default="http", options=("http", "tcp", "https", "tls", "sni", "udp")),
            "hostname": Field(access="cr"),
            "path": Field(access="cr"),
            "priority": Field(type="int", access="cr"),
            "targetPort": Field(type="int", access="cr", min=1, max=65535),
            "serviceId": Field(access="cr"),
            "selector": Field(access="cr"),
            "backendName": Field(access="cr"),
            "weight": Field(type="int", access="cr", min=0, max=256),
            "environment": Field(access="cr"),
            "region": Field(access="cr"),
        },
    ),
    _values(
        "serviceUpgrade",
        {
            "inServiceStrategy": Field(type="inServiceUpgradeStrategy", access="cr"),
            "toServiceStrategy": Field(type="toServiceUpgradeStrategy", access="cr"),
        },
    ),
    _values(
        "inServiceUpgradeStrategy",
        {
            "batchSize": Field(type="int", access="cr", default=1, min=1),
            "intervalMillis": Field(type="int", access="cr", default=2000, min=100),
            "startFirst": Field(type="boolean", access="cr", default=False),
            "launchConfig": Field(type="launchConfig", access="cr"),
            "secondaryLaunchConfigs": Field(type="array[secondaryLaunchConfig]", access="cr"),
            "previousLaunchConfig": Field(type="launchConfig", access="r"),
            "previousSecondaryLaunchConfigs": Field(type="array[secondaryLaunchConfig]", access="r"),
        },
    ),
    _values(
        "toServiceUpgradeStrategy",
        {
            "toServiceId": Field(access="cr", required=True),
            "finalScale": Field(type="int", access="cr", default=1, min=1),
            "updateLinks": Field(type="boolean", access="cr", default=False),
            "batchSize": Field(type="int", access="cr", default=1, min=1),
            "intervalMillis": Field(type="int", access="cr", default=2000, min=100),
        },
    ),
    _values("serviceRestart", {"rollingRestartStrategy": Field(type="rollingRestartStrategy", access="cr")}),
    _values(
        "rollingRestartStrategy",
        {
            "batchSize": Field(type="int", access="cr", default=1, min=1),
            "intervalMillis": Field(type="int", access="cr", default=2000, min=100),
        },
    ),
    _values(
        "serviceLink",
        {
            "serviceId": Field(access="cr"),
            "name": Field(access="cr"),
            "service": Field(access="cr"),
        },
    ),
    _values("setServiceLinksInput", {"serviceLinks": Field(type="array[serviceLink]", access="cr")}),
    _values("addRemoveServiceLinkInput", {"serviceLink": Field(type="serviceLink", access="cr", required=True)}),
    _values("addOutputsInput", {"outputs": Field(type="map[string]", access="cr", required=True)}),
    _values("composeConfigInput", {"serviceIds": Field(type="array[string]", access="cr")}),
    _values("composeConfig", {"dockerComposeConfig": Field(access="r"), "rancherComposeConfig": Field(access="r")}),
    _values(
        "stackUpgrade",
        {
            "dockerCompose": Field(access="cr"),
            "rancherCompose": Field(access="cr"),
            "environment": Field(type="map[string]", access="cr"),
            "answers": Field(type="map[json]", access="cr"),
            "templates": Field(type="map[string]", access="cr"),
            "externalId": Field(access="cr"),
        },
    ),
    _values("instanceStop", {"remove": Field(type="boolean", access="cr"), "timeout": Field(type="int", access="cr")}),
    _values("setProjectMembersInput", {"members": Field(type="json", access="cr")}),
)
