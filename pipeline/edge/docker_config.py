"""The docker command's own configuration: who logs in where, and a private copy of it for one docker command.

Formats: docker's config.json (`auths`, `credHelpers`, `credsStore`) and the protocol of its credential helpers: a
program `docker-credential-<name>` that is given a server on standard input and prints JSON.
"""

from __future__ import annotations

import binascii
import os
import tempfile
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.edge.docker_helper import ask_helper
from pipeline.errors import BadInput
from pipeline.model.address import RegistryAddress
from pipeline.model.image import DOCKER_IO, is_docker_io
from pipeline.model.secret import NO_SECRET, Secret

AUTH_VARIABLE = "DOCKER_AUTH_CONFIG"
_HELPER_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What opens a registry: user and password, or the identity token that a registry gave for them."""

    user: str = ""
    password: Secret = NO_SECRET
    identity_token: Secret = NO_SECRET

    def for_engine(self) -> dict[str, str]:
        """As the engine's requests take it."""
        found = {
            "username": self.user,
            "password": self.password.reveal(),
            "identitytoken": self.identity_token.reveal(),
        }
        return {name: value for name, value in found.items() if value}


NO_LOGIN = Login()
"""Opens what is open to everybody."""


class Logins:
    """Which login a registry gets. The first that knows the registry decides:

    1. the settings' login, which is this toolkit's own and belongs to one host;
    2. `DOCKER_AUTH_CONFIG`, GitLab's variable with the text of a config.json: it was set for this job, and both
       GitLab's runner and newer docker commands ask it before the file;
    3. `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`.

    In each of the two, the helper that `credHelpers` names for the registry comes first, then the one of `credsStore`,
    and when that has nothing, `auths`. `index` gives docker.io's key in these files: the engine knows it
    (IndexServerAddress). Without an `environ` the process's own counts. For several threads; a helper is asked once per
    registry.
    """

    def __init__(
        self,
        own: Iterable[RegistryAddress],
        environ: Mapping[str, str] | None = None,
        *,
        index: Callable[[], str] = lambda: DOCKER_IO,
        helper_seconds: float = _HELPER_SECONDS,
    ) -> None:
        self._own = {_key(one.host): one for one in own if one.user}
        self._environ = os.environ if environ is None else environ
        self._index = index
        self._seconds = helper_seconds
        self._found: dict[str, Login] = {}
        self._lock = threading.Lock()

    def of(self, registry: str) -> Login:
        """The login for `host[:port]` (empty or docker.io for docker.io); NO_LOGIN when nothing knows it.

        Raises BadInput naming the file for a configuration that cannot be read, and helper and registry for a helper
        that is missing, hangs or prints what is no answer."""
        registry = _key(registry)
        with self._lock:
            if registry not in self._found:
                self._found[registry] = self._find(registry)
            return self._found[registry]

    def _find(self, registry: str) -> Login:
        if (own := self._own.get(registry)) is not None:
            return Login(user=own.user, password=own.password)
        for source, config in _configs(self._environ):
            login = self._ask_helpers(source, config, registry) or _written(source, config, registry)
            if login is not None:
                return login
        return NO_LOGIN

    def _ask_helpers(self, source: str, config: Mapping[str, Any], registry: str) -> Login | None:
        helpers = {_key(server): (server, name) for server, name in _table(source, config, "credHelpers").items()}
        usual = self._index() if registry == DOCKER_IO else registry
        server, name = helpers.get(registry, (usual, config.get("credsStore", "")))
        if not name:
            return None
        answer = ask_helper(str(name), server, environ=self._environ, seconds=self._seconds, source=source)
        if answer is None:
            return None
        # Docker's own word for a secret that is an identity token.
        if answer.user == "<token>":
            return Login(identity_token=answer.secret)
        return Login(user=answer.user, password=answer.secret)


@contextmanager
def docker_config_for(
    own: Iterable[RegistryAddress], environ: Mapping[str, str], *, index: str = DOCKER_IO
) -> Iterator[dict[str, str]]:
    """The environment for a docker command that we start: `environ` with a `DOCKER_CONFIG` of its own.

    That is a folder for its user alone, in the system's place for temporary files: the user's config.json with what
    DOCKER_AUTH_CONFIG has and with our logins, and links to all else in the user's folder (contexts, plugins, buildx's
    state, certificates). It is gone when the block ends, however that is; the user's own config.json is only read.
    DOCKER_AUTH_CONFIG is left out of the environment, because a newer docker command would ask it before the file.
    `index` is docker.io's key, as the engine has it (IndexServerAddress).
    """
    users = _folder(environ)
    with tempfile.TemporaryDirectory(prefix="docker-config-") as folder:
        for name in _names(users):
            if name != "config.json":
                os.symlink(os.path.join(os.path.abspath(users), name), os.path.join(folder, name))
        content = msgspec.json.format(msgspec.json.encode(_merged(own, environ, index)))
        handle = os.open(os.path.join(folder, "config.json"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        kept = {name: value for name, value in environ.items() if name != AUTH_VARIABLE}
        yield {**kept, "DOCKER_CONFIG": folder}


def _merged(own: Iterable[RegistryAddress], environ: Mapping[str, str], index: str) -> dict[str, Any]:
    merged: dict[str, Any] = {"auths": {}, "credHelpers": {}}
    for source, config in reversed(list(_configs(environ))):
        auths, helpers = _table(source, config, "auths"), _table(source, config, "credHelpers")
        both = {"auths": {**merged["auths"], **auths}, "credHelpers": {**merged["credHelpers"], **helpers}}
        merged = {**merged, **config, **both}
        if source == AUTH_VARIABLE:
            for key in sorted(auths):
                if _entry(source, key, auths[key]) is not None:
                    _insist(merged, key, index, auths[key])
            merged["credHelpers"].update(helpers)
    for one in own:
        if one.user:
            text = b64encode(f"{one.user}:{one.password.reveal()}".encode()).decode()
            _insist(merged, one.host, index, {"auth": text})
    return {name: value for name, value in merged.items() if value != {}}


def _insist(merged: Mapping[str, dict[str, Any]], key: str, index: str, entry: Mapping[str, Any]) -> None:
    """Makes an entry the only one for its server, under the name by which the docker command looks for it."""
    for table in (merged["auths"], merged["credHelpers"]):
        for known in [name for name in table if _key(name) == _key(key)]:
            del table[known]
    server = index if _key(key) == DOCKER_IO else _host(key)
    merged["auths"][server] = entry
    # A helper without a name turns credsStore off for this server: the docker command would ask it alone.
    merged["credHelpers"][server] = ""


def _configs(environ: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each configuration with its name for messages, the one that wins first."""
    if text := environ.get(AUTH_VARIABLE, ""):
        yield AUTH_VARIABLE, _parsed(AUTH_VARIABLE, text.encode())
    path = os.path.join(_folder(environ), "config.json")
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror}", hint="Mend it, or name another folder with DOCKER_CONFIG."
        ) from error
    yield path, _parsed(path, content)


def _folder(environ: Mapping[str, str]) -> str:
    home = environ.get("HOME") or os.path.expanduser("~")
    return environ.get("DOCKER_CONFIG") or os.path.join(home, ".docker")


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:  # the docker command does without it, too
        return []


def _parsed(source: str, content: bytes) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(content, type=dict[str, Any]) if content.strip() else {}
    except (msgspec.MsgspecError, UnicodeError):
        # Without its cause: that has what was read, and what was read has passwords.
        raise _unusable(source, "is no JSON object") from None


def _table(source: str, config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name) or {}
    if not isinstance(found, dict):
        raise _unusable(source, f"{name} should be an object")
    return found


def _written(source: str, config: Mapping[str, Any], registry: str) -> Login | None:
    """What `auths` has: the registry's own key before one with a scheme or a path."""
    auths = _table(source, config, "auths")
    keys = sorted((key for key in auths if _key(key) == registry), key=lambda key: (key != registry, key))
    for key in keys:
        if (login := _entry(source, key, auths[key])) is not None:
            return login
    return None


def _entry(source: str, key: str, entry: object) -> Login | None:
    if not isinstance(entry, dict):
        raise _unusable(source, f"auths.{key} should be an object")
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if text := entry.get("auth"):
        try:
            user, colon, password = b64decode(str(text), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeError):
            colon = ""
        if not colon:
            raise _unusable(source, f"auths.{key}.auth should be user:password in base64") from None
        password = password.strip("\0")
    if token := entry.get("identitytoken"):
        return Login(user=user, identity_token=Secret(str(token)))
    return Login(user=user, password=Secret(password)) if user else None


def _key(server: str) -> str:
    """A server of a config.json as the host that a reference has."""
    host = _host(server)
    return DOCKER_IO if is_docker_io(host) else host


def _host(server: str) -> str:
    return server.partition("://")[2].partition("/")[0] if "://" in server else server.partition("/")[0]


def _unusable(source: str, why: str) -> BadInput:
    return BadInput(f"{source}: {why}", hint="It is the docker command's configuration: mend it, or `docker login`.")
