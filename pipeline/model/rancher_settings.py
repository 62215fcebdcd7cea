"""Where a Rancher is and what opens it, as an environment's settings say."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from pipeline.errors import BadInput
from pipeline.model.address import RancherAddress
from pipeline.model.secret import Secret
from pipeline.model.settings_file import EnvironmentPart

_URL = re.compile(
    r"(?P<base>https?://[^?#]*?)/*(?:/v(?:1|2-beta)(?:/projects/(?P<project>[^/?#]+))?(?:[/?#].*)?)?", re.IGNORECASE
)


def rancher_address(get: Callable[[str], str], url: str, part: EnvironmentPart, environment: str) -> RancherAddress:
    """The server, told by its origin and what stands before /v1 or /v2-beta; the path may name the project as well."""
    found = _URL.fullmatch(url)
    if found is None:
        raise BadInput(
            f"the environment {environment!r} has no Rancher server"
            + (f": {without_key(url)!r} is no URL" if url else ""),
            hint="Set RANCHER_URL, or platform.url of the environment in invoke.yaml: https://rancher.example.com.",
        )
    if part.upstream == "published":
        raise BadInput(
            f"pipeline.environments.{environment}.upstream is published, which is not supported on Rancher",
            hint="Leave it at network: a gateway on Rancher's network reaches `service.stack`.",
        )
    if "@" in urlsplit(url).netloc:
        raise BadInput(
            f"the address of Rancher holds a key: {without_key(url)}",
            hint="Take it out, and set RANCHER_ACCESS_KEY and RANCHER_SECRET_KEY.",
        )
    in_file, given = part.platform.project, get("RANCHER_PROJECT")
    if in_file and given and in_file != given:
        raise BadInput(
            f"RANCHER_PROJECT names {given}, but invoke.yaml has {in_file} at "
            f"pipeline.environments.{environment}.platform.project",
            hint="Unset RANCHER_PROJECT (is it another environment's?), or change the file.",
        )
    return RancherAddress(
        url=found["base"],
        project=given or in_file or found["project"] or "",
        access_key=get("RANCHER_ACCESS_KEY"),
        secret_key=Secret(get("RANCHER_SECRET_KEY")),
        ca_cert=get("RANCHER_CA_CERT"),
    )


def without_key(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)
