"""A connection to a Docker engine, and its failures in our words: builders, platforms and ledgers share it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.errors import BadInput, Failed, PipelineError, Unreachable
from pipeline.model.address import EngineAddress

if TYPE_CHECKING:
    from docker import APIClient
    from docker.tls import TLSConfig

ENGINE_TIMEOUT = 60


def open_engine(address: EngineAddress) -> APIClient:
    """A client of the engine, its API version negotiated. Raises Unreachable when nothing answers.

    The client trusts exactly the CA of `cert_path`: REQUESTS_CA_BUNDLE, which many CI images set, would win over it.
    """
    import docker

    with engine_errors(address, "connect"):
        if not address.host:
            client = docker.from_env(timeout=ENGINE_TIMEOUT, version="auto").api
        else:
            client = docker.APIClient(base_url=address.host, tls=_tls(address), timeout=ENGINE_TIMEOUT, version="auto")
        client.trust_env = False
        return client


@contextmanager
def engine_errors(address: EngineAddress, doing: str) -> Iterator[None]:
    """Failures of the engine's client as ours; `doing` says at what ("create the container x").

    Decides on types and status codes: a refused or lost connection is Unreachable, an answer of the engine is Failed.
    """
    import docker.errors
    import requests.exceptions

    try:
        yield
    except docker.errors.APIError as error:
        raise EngineAnswered(
            f"{address} could not {doing}: {error.explanation or error}",
            hint="The engine's own words are above; `docker info` and the engine's log tell more.",
            status=error.status_code or 500,
        ) from error
    except docker.errors.TLSParameterError as error:
        raise BadInput(
            f"{address}: TLS: {error}", hint="Set DOCKER_CERT_PATH to the folder with ca, cert, key."
        ) from error
    except (requests.exceptions.RequestException, docker.errors.DockerException, OSError) as error:
        raise Unreachable(
            f"{address} does not answer ({doing}): {_root(error)}",
            hint="Start it (`systemctl start docker`, or `make engine` here), or set DOCKER_HOST to one that runs.",
        ) from error


class EngineAnswered(Failed):
    """The engine refused; `status` is its HTTP status."""

    def __init__(self, what: str, *, hint: str, status: int) -> None:
        super().__init__(what, hint=hint)
        self.status = status


def is_missing(error: PipelineError) -> bool:
    return isinstance(error, EngineAnswered) and error.status == 404


def is_conflict(error: PipelineError) -> bool:
    return isinstance(error, EngineAnswered) and error.status == 409


def _tls(address: EngineAddress) -> TLSConfig | bool:
    if not address.cert_path:
        return False
    import os.path

    from docker.tls import TLSConfig

    def part(name: str) -> str:
        return os.path.join(address.cert_path, name)

    return TLSConfig(
        client_cert=(part("cert.pem"), part("key.pem")),
        ca_cert=part("ca.pem"),
        verify=address.tls_verify,
    )


def _root(error: BaseException) -> BaseException:
    """The first cause, which names the socket or the host; the wrappers around it only repeat it."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
