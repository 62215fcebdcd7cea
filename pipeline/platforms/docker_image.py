"""An image on an engine that runs containers: it is there, or it is pulled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.edge.docker_config import Logins
from pipeline.edge.engine import engine_errors, is_missing
from pipeline.errors import Failed, PipelineError
from pipeline.model.address import EngineAddress, RegistryAddress
from pipeline.model.image import parse_reference

if TYPE_CHECKING:
    from docker import APIClient


def ensure_image(client: APIClient, address: EngineAddress, registry: RegistryAddress, image: str) -> str:
    """Pulls it where it is missing, with the settings' login for its own registry, else with what the docker command's
    configuration has; gives its id. Raises Failed with the registry's reason."""
    found = _id(client, address, image)
    if found:
        return found
    if image.startswith("sha256:"):
        raise Failed(
            f"the image {image[:19]} is not on {address}",
            hint="It was built on another engine: set CI_REGISTRY_IMAGE (or registry in invoke.yaml) to share it.",
        )
    logins = Logins([registry], index=lambda: str(client.info()["IndexServerAddress"]))
    login = logins.of(parse_reference(image).registry).for_engine()
    with engine_errors(address, f"pull the image {image}"):
        for line in client.pull(image, stream=True, decode=True, auth_config=login):
            if "error" in line:
                raise Failed(
                    f"{address} could not pull {image}: {line['error']}",
                    hint="Check the name; for a private registry set CI_DEPLOY_USER and CI_DEPLOY_PASSWORD.",
                )
    return _id(client, address, image)


def _id(client: APIClient, address: EngineAddress, image: str) -> str:
    """Empty for one that is missing."""
    try:
        with engine_errors(address, f"look at the image {image}"):
            return str(client.inspect_image(image)["Id"])  # type: ignore[no-untyped-call]  # its stubs
    except PipelineError as error:
        if is_missing(error):
            return ""
        raise
