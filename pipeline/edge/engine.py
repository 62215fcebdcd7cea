"""A connection to a Docker engine, and its failures in our words: builders, platforms and ledgers share it."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

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
    _load_docker()
    import docker

    class Client(docker.APIClient):
        """Already the first request, in the constructor, must not look at REQUESTS_CA_BUNDLE or a proxy."""

        @property
        def trust_env(self) -> bool:
            return False

        @trust_env.setter
        def trust_env(self, value: bool) -> None: ...

    class Docker(docker.DockerClient):
        """Knows where the docker command would go: its variables, its context, the socket."""

        def __init__(self, *words: Any, **named: Any) -> None:
            self.api = Client(*words, **named)

    with engine_errors(address, "connect"):
        if not address.host:
            return Docker.from_env(timeout=ENGINE_TIMEOUT, version="auto").api
        return Client(base_url=address.host, tls=_tls(address), timeout=ENGINE_TIMEOUT, version="auto")


class _Later(ModuleType):
    """A module that is loaded when something of it is wanted."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


def _load_docker() -> None:
    """docker-py loads paramiko wherever that is installed, as long as itself, and wants it for ssh:// alone."""
    if "docker" not in sys.modules and "paramiko" not in sys.modules:
        sys.modules["paramiko"] = _Later("paramiko")
        try:
            import_module("docker")
        finally:
            del sys.modules["paramiko"]


class EngineClients:
    """Clients of one engine, one for each thread that asks: docker-py's are not for several. `client` is the calling
    thread's, where it has one; the others open with a thread's first question and are closed together."""

    def __init__(self, client: APIClient | None, address: EngineAddress) -> None:
        self.address = address
        self._given = client
        self._own = threading.local()
        self._own.client = client
        self._opened: list[APIClient] = []

    @property
    def client(self) -> APIClient:
        found: APIClient | None = getattr(self._own, "client", None)
        if found is None:
            found = self._own.client = open_engine(self.address)
            self._opened.append(found)
        return found

    def close(self) -> None:
        """Closes what it opened itself, once the threads have ended; whoever asks again gets a new one."""
        while self._opened:
            self._opened.pop().close()
        self._own = threading.local()
        self._own.client = self._given


@contextmanager
def engine_errors(address: EngineAddress, doing: str) -> Iterator[None]:
    """Failures of the engine's client as ours; `doing` says at what ("create the container x").

    Decides on types and status codes: a refused or lost connection is Unreachable, an answer of the engine is Failed.
    """
    import docker.errors
    import requests.exceptions
    import urllib3.exceptions

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
    except (
        requests.exceptions.RequestException,
        # What a stream that breaks off raises is not wrapped by requests.
        urllib3.exceptions.HTTPError,
        docker.errors.StreamParseError,
        docker.errors.DockerException,
        OSError,
    ) as error:
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


def seconds_of(timestamp: str) -> float:
    """The engine's RFC 3339 time with nanoseconds, as seconds since 1970."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", timestamp).replace("Z", "+00:00")).timestamp()


def _tls(address: EngineAddress) -> TLSConfig | bool:
    """As the docker command has it: certificates lie in ~/.docker when nothing else is said."""
    if not (address.cert_path or address.tls_verify):
        return False
    import os.path

    from docker.tls import TLSConfig

    def part(name: str) -> str:
        return os.path.join(address.cert_path or os.path.expanduser("~/.docker"), name)

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
