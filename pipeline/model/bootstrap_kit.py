"""What a generated folder has of its own by the platform that it is for: its steps, libraries and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.model.inventory import RANCHER

LIBRARIES = ("lib.sh", "bootstrap.sh", "rancher.sh", "verify.sh")
"""All that a folder may have; each takes those that its scripts call."""
PULLING = ("CI_DEPLOY_USER", "CI_DEPLOY_PASSWORD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One numbered script: on which hosts it runs (`every`, or the `first` alone), and what README.md says of it."""

    name: str
    hosts: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """`stack_script` is each stack's own file, `ready` the call that scripts on an engine begin with. `required` are
    variables that have to be supplied: name, what, which script reads it; `optional` those that can be, with what holds
    without them; `pulls` those of them that 30-images.sh pulls with. `images` says where images are, `carries` whether
    archives of them can be taken along; `where` and `volumes` are README.md's words."""

    scripts: tuple[Script, ...]
    libraries: tuple[str, ...]
    stack_script: str
    ready: str
    images: str
    carries: bool
    where: tuple[str, ...]
    volumes: tuple[str, ...]
    optional: tuple[tuple[str, str, str, str], ...]
    required: tuple[tuple[str, str, str], ...] = ()
    pulls: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[tuple[str, str], ...]:
        """The scripts in their order, each with the hosts that it runs on."""
        return tuple((one.name, one.hosts) for one in self.scripts)


def kit_of(driver: str) -> Kit:
    return _KITS.get(driver, _DOCKER)


_ENGINE = (
    ("DOCKER_HOST", "the engine, unix:… or tcp:…", "every script", "it is this machine's"),
    ("DOCKER_TLS_VERIFY", "1 for an engine behind TLS", "every script", "the engine is spoken to in plain"),
    ("DOCKER_CERT_PATH", "the folder of ca.pem, cert.pem, key.pem", "every script", "it is ~/.docker"),
)
_KONG = (
    ("KONG_ADMIN_TOKEN", "what the Admin API may want", "60-gateway.sh", "none is sent"),
    ("KONG_CLIENT_CERT", "a PEM file for the Admin API", "60-gateway.sh", "none is shown"),
    ("KONG_CLIENT_KEY", "its key, a PEM file", "60-gateway.sh", "it is in the certificate's file"),
    ("KONG_CA_CERT", "the Admin API's CA, a PEM file", "60-gateway.sh", "those that the machine trusts"),
)
_WAIT = ("BOOTSTRAP_WAIT", "seconds until containers have to be well", "50-stacks.sh", "it is 300")

_DOCKER = Kit(
    scripts=(
        Script(name="10-engine.sh", hosts="every", what="a Docker engine, where there is none (root, apt-get)"),
        Script(name="20-network.sh", hosts="first", what="the network"),
        Script(name="30-images.sh", hosts="first", what="the images"),
        Script(name="40-platform.sh", hosts="first", what="the volumes"),
        Script(name="50-stacks.sh", hosts="first", what="the stacks, until all are well"),
        Script(name="60-gateway.sh", hosts="first", what="the gateway's entities"),
        Script(name="70-verify.sh", hosts="first", what="what differs, as JSON"),
    ),
    libraries=("lib.sh", "bootstrap.sh", "verify.sh"),
    stack_script="containers.sh",
    ready="bootstrap_ready",
    images="on this engine",
    carries=True,
    pulls=PULLING,
    where=("On a machine with Debian 12 (or any with a Docker engine, curl and a POSIX shell), in this folder:",),
    volumes=(
        "The data of these volumes (`--with-data` takes it along). `docker stop` first what writes there;",
        "then the first line of each on the old machine, the second on the new one, between 40-platform.sh and",
        "50-stacks.sh:",
    ),
    optional=(
        *_ENGINE,
        (PULLING[0], "who pulls", "30-images.sh", "the docker command's own logins are used"),
        (
            PULLING[1],
            "that one's password or token",
            "30-images.sh",
            "the docker command's own logins are used",
        ),
        *_KONG,
        _WAIT,
    ),
)
_RANCHER = Kit(
    scripts=(
        Script(name="10-engine.sh", hosts="every", what="a Docker engine, where there is none (root, apt-get)"),
        Script(name="20-network.sh", hosts="first", what="nothing: the network is the project's own"),
        Script(name="30-images.sh", hosts="first", what="nothing: Rancher's hosts pull, with 40-platform.sh's logins"),
        Script(name="40-platform.sh", hosts="first", what="the Rancher server, the project, its registries"),
        Script(name="45-hosts.sh", hosts="every", what="this machine becomes a host of the project"),
        Script(name="50-stacks.sh", hosts="first", what="the stacks, until all are well"),
        Script(name="60-gateway.sh", hosts="first", what="the gateway's entities"),
        Script(name="70-verify.sh", hosts="first", what="what differs, as JSON"),
    ),
    libraries=LIBRARIES,
    stack_script="services.sh",
    ready="",
    images="on hosts",
    carries=False,
    required=(("RANCHER_URL", "Rancher's address", "every script from 40 on"),),
    where=(
        "10-engine.sh and 45-hosts.sh on each machine that is to run containers, the others on one that reaches",
        "Rancher and the gateway (any with curl and a POSIX shell; 40-platform.sh starts a server only where docker",
        "is). In this folder:",
    ),
    volumes=(
        "The data of these volumes. Each lies on the host that ran its containers, which Rancher shows, and has to be",
        "on the one that will. Stop the service in Rancher first; then the first line of each on the old host, the",
        "second on the new one, between 45-hosts.sh and 50-stacks.sh:",
    ),
    optional=(
        ("RANCHER_PROJECT", "the project's name or id", "every script from 40 on", "it has the name that it had"),
        ("RANCHER_ACCESS_KEY", "a key of Rancher's", "every script from 40 on", "none is sent"),
        ("RANCHER_SECRET_KEY", "its secret half", "every script from 40 on", "none is sent"),
        ("RANCHER_CA_CERT", "Rancher's CA, a PEM file", "every script from 40 on", "those that the machine trusts"),
        ("RANCHER_SERVER_IMAGE", "what runs as Rancher's server", "40-platform.sh", "none is started"),
        ("RANCHER_REGISTER", "no: this machine does not become a host", "45-hosts.sh", "it does"),
        ("RANCHER_AGENT_IP", "the address that other hosts reach this one by", "45-hosts.sh", "Rancher finds one"),
        *((name, what, "10-engine.sh, 45-hosts.sh", without) for name, what, _, without in _ENGINE),
        *_KONG,
        _WAIT,
    ),
)
_KITS: Mapping[str, Kit] = {RANCHER: _RANCHER}
