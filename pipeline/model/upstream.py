"""Where a gateway reaches a stack: by its name on the platform's network, or at a port that the platform published."""

from __future__ import annotations

from pipeline.errors import Failed
from pipeline.model.manifest import Upstream
from pipeline.model.stack import FoundStack


def upstream_url(stack: FoundStack, upstream: Upstream, *, published: bool, host: str) -> str:
    """`http://proxy.cities-master-0a1b2c3d`, with the port unless it is 80; or `http://<host>:<published port>`.

    `host` is the platform's own, for ports published on every address. Raises Failed when no port was published.
    """
    if not published:
        port = "" if upstream.port == 80 else f":{upstream.port}"
        return f"http://{upstream.service}.{stack.name}{port}"
    for container in stack.containers:
        for inside, outside in container.ports:
            if container.compose_service == upstream.service and inside == f"{upstream.port}/tcp":
                address, _, port = outside.rpartition(":")
                everywhere = address in ("0.0.0.0", "::", "")  # noqa: S104 - nothing is bound here: it is read
                return f"http://{host if everywhere else address}:{port}"
    raise Failed(
        f"{stack.name} publishes no port for {upstream.service}:{upstream.port}",
        hint=f'Add ports: ["{upstream.port}"] to {upstream.service} in the compose file, or set upstream: network.',
    )
