"""The network of an environment on an engine: stacks and the lab gateway meet on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.edge.engine import engine_errors, is_conflict
from pipeline.errors import PipelineError, Refused
from pipeline.model.address import EngineAddress
from pipeline.model.ci import family
from pipeline.model.image import LABEL
from pipeline.platforms.names import network_name

if TYPE_CHECKING:
    from docker import APIClient


def ensure_network(client: APIClient, address: EngineAddress, environment: str) -> str:
    """The name of the environment's network, made when it is missing. A second call changes nothing.

    Raises Refused when a network of that name is somebody else's.
    """
    name = network_name(environment)
    with engine_errors(address, f"look for the network {name}"):
        there = [network for network in client.networks(names=[name]) if network["Name"] == name]
    if there:
        if (there[0].get("Labels") or {}).get(f"{LABEL}environment") != family(environment):
            raise Refused(
                f"there is a network {name} on {address} that this toolkit did not make",
                hint=f"Remove it (`docker network rm {name}`), or give the environment another name.",
            )
        return name
    try:
        with engine_errors(address, f"create the network {name}"):
            client.create_network(
                name, driver="bridge", check_duplicate=True, labels={f"{LABEL}environment": family(environment)}
            )
    except PipelineError as error:
        if not is_conflict(error):
            raise
    return name
