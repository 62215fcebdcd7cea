"""A registry asked over HTTP: which digest a tag has and what an image's labels say.

Protocol: the OCI distribution specification, with docker's token authentication. As with the docker command, plain
HTTP is only spoken to loopback and to registries that the engine names insecure, and TLS trusts the system's CAs and
those in /etc/docker/certs.d/<registry>/. Nothing from the environment takes part: REQUESTS_CA_BUNDLE would win.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from pipeline.edge.clock import SystemClock
from pipeline.errors import BadInput, Unreachable
from pipeline.model.address import RegistryAddress
from pipeline.model.clock import Clock

if TYPE_CHECKING:
    from requests import Response, Session

_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
_CERTIFICATES = "/etc/docker/certs.d"
_TIMEOUT = (5.0, 30.0)
_PAUSES = (0.5, 1.0, 2.0)
_BUSY = (429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteImage:
    """An image as a registry has it; `digest` is its manifest's."""

    digest: str
    labels: Mapping[str, str]


class RegistryClient:
    """One registry. Every method raises BadInput where the registry refuses the user, and Unreachable where it does not
    answer or is busy after some patience. Use it as a context manager: it keeps its connection."""

    def __init__(
        self,
        host: str,
        login: RegistryAddress,
        *,
        insecure: bool = False,
        certificates: str = _CERTIFICATES,
        clock: Clock | None = None,
    ) -> None:
        self._host = host
        self._login = login if login.host == host else RegistryAddress()
        self._schemes = ("https", "http") if insecure or is_loopback(host) else ("https",)
        self._session = _session(os.path.join(certificates, host))
        self._clock = clock or SystemClock()

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def digest(self, path: str, reference: str) -> str:
        """The digest of a tag, or of a digest that is there; empty when the registry has neither."""
        answer = self._ask("HEAD", f"{path}/manifests/{reference}", accept=_MANIFESTS)
        return answer.headers.get("Docker-Content-Digest", "") if answer is not None else ""

    def describe(self, path: str, reference: str) -> RemoteImage | None:
        """The image of a tag or digest; of an image for several platforms, the first one's labels."""
        answer = self._ask("GET", f"{path}/manifests/{reference}", accept=_MANIFESTS)
        if answer is None:
            return None
        manifest = self._json(answer)
        digest = answer.headers.get("Docker-Content-Digest", "")
        if manifest.get("manifests"):
            first = self._ask("GET", f"{path}/manifests/{manifest['manifests'][0]['digest']}", accept=_MANIFESTS)
            manifest = self._json(first)
        config = manifest.get("config", {}).get("digest")
        content = self._ask("GET", f"{path}/blobs/{config}") if config else None
        found = (self._json(content).get("config") or {}).get("Labels")
        return RemoteImage(digest=digest, labels=found or {})

    def _ask(self, method: str, path: str, *, accept: tuple[str, ...] = ()) -> Response | None:
        """The answer, None for 404; asks again while the registry is busy and answers its challenge once."""
        headers = {"Accept": ", ".join(accept)} if accept else {}
        for pause in (*_PAUSES, None):
            answer = self._send(method, f"/v2/{path}", headers)
            if answer.status_code == 401 and "Authorization" not in self._session.headers:
                self._authorize(answer)
                answer = self._send(method, f"/v2/{path}", headers)
            if answer.status_code not in _BUSY:
                break
            if pause is None:
                raise Unreachable(
                    f"the registry {self._host} answers {answer.status_code} to {method} {path}",
                    hint="It is busy or ill: wait and run the same again.",
                )
            self._clock.sleep(pause)
        if answer.status_code == 404:
            return None
        if answer.status_code >= 400:
            raise refusal(self._host, self._login.user, f"{answer.status_code} to {method} {path}")
        return answer

    def _send(self, method: str, path: str, headers: Mapping[str, str]) -> Response:
        import requests

        while True:
            try:
                return self._session.request(
                    method, f"{self._schemes[0]}://{self._host}{path}", headers=headers, timeout=_TIMEOUT
                )
            except requests.exceptions.RequestException as error:
                if len(self._schemes) == 1:
                    raise _silent(self._host, error) from error
                self._schemes = self._schemes[1:]

    def _authorize(self, answer: Response) -> None:
        """Takes up the challenge of a 401: basic as it is, bearer with a token from where the registry sends us."""
        kind, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        if kind.lower() == "basic" and self._login.user:
            login = f"{self._login.user}:{self._login.password.reveal()}".encode()
            self._session.headers["Authorization"] = f"Basic {b64encode(login).decode()}"
        elif kind.lower() == "bearer":
            self._session.headers["Authorization"] = f"Bearer {self._token(dict(_PAIR.findall(rest)))}"

    def _token(self, challenge: Mapping[str, str]) -> str:
        import requests

        realm = challenge.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme != "https" and not is_loopback(parts.netloc):
            raise BadInput(
                f"the registry {self._host} wants its password sent to {realm!r}, without TLS",
                hint="Nothing was sent. The registry's token realm has to be an https URL.",
            )
        wanted = {name: challenge[name] for name in ("service", "scope") if name in challenge}
        login = (self._login.user, self._login.password.reveal()) if self._login.user else None
        try:
            answer = self._session.get(realm, params=wanted, auth=login, timeout=_TIMEOUT)
        except requests.exceptions.RequestException as error:
            raise _silent(parts.netloc, error) from error
        if answer.status_code != 200:
            raise refusal(self._host, self._login.user, f"{answer.status_code} to a request for a token")
        found = self._json(answer)
        return str(found.get("token") or found.get("access_token", ""))

    def _json(self, answer: Response | None) -> dict[str, Any]:
        if answer is None:
            return {}
        try:
            return msgspec.json.decode(answer.content, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise _silent(self._host, error) from error


_PAIR = re.compile(r'(\w+)="([^"]*)"')


def refusal(host: str, user: str, why: str) -> BadInput:
    """What a user sees when a registry does not let them; `why` holds no credential."""
    who = f"the user {user!r}" if user else "a caller without login"
    return BadInput(
        f"the registry {host or 'docker.io'} refuses {who}: {why}",
        hint="Set CI_REGISTRY_USER and CI_REGISTRY_PASSWORD (and CI_REGISTRY) to a login that may write there.",
    )


def is_loopback(host: str) -> bool:
    """Whether `host[:port]` is this machine by its name or address."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _session(certificates: str) -> Session:
    import requests
    from requests.adapters import HTTPAdapter

    context = ssl.create_default_context()
    if os.path.isdir(certificates):
        for name in sorted(os.listdir(certificates)):
            if name.endswith(".crt"):
                context.load_verify_locations(os.path.join(certificates, name))

    class Trusting(HTTPAdapter):
        def init_poolmanager(self, *positional: Any, **named: Any) -> None:
            super().init_poolmanager(*positional, **named, ssl_context=context)

    session = requests.Session()
    session.trust_env = False
    session.mount("https://", Trusting())
    return session


def _silent(host: str, error: Exception) -> Unreachable:
    return Unreachable(
        f"the registry {host} does not answer: {error}", hint="See whether it runs and is reachable from here."
    )
