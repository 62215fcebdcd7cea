"""The manifest: what a service says of itself in config/package.json. The first value of every verb.

The file may be a real Node package.json: only `uri`, `name`'s absence and what sits under `pipeline` are ours.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from pipeline.errors import BadInput
from pipeline.model.strict import convert

SERVICE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?")
# What every Kong takes literally: with any other character a Kong before 3 reads the path as a regular expression.
_URI = re.compile(r"/[A-Za-z0-9._~/-]*")
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(\.\*)?(:[0-9]+)?")
_METHOD = re.compile(r"[A-Z]+")
_PLUGIN = re.compile(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SSH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?")
_RESERVED_VARIABLES = ("version", "branch", "stack", "ENVIRONMENT")
_LONGEST_SECONDS = 3600


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown keys are errors in every part."""


class Upstream(_Part, frozen=True, kw_only=True):
    """The compose service that the gateway sends requests to, and its port."""

    service: str = "proxy"
    port: int = 80


class Health(_Part, frozen=True, kw_only=True):
    """Probed by the platform on the upstream service: GET `path` answers 2xx or 3xx. Seconds."""

    path: str
    interval: float = 2.0
    timeout: float = 5.0
    retries: int = 15


class Expect(_Part, frozen=True, kw_only=True):
    """What the answer has to be: its status, and values in its JSON body by dotted path. `${stack}`, `${version}` and
    `${branch}` stand for the release's own."""

    status: int = 200
    json: dict[str, str | int | float | bool | None] = {}
    contains: str = ""


class Verify(_Part, frozen=True, kw_only=True):
    """The request that shows, through the gateway, that this very release answers. An empty path is the uri."""

    method: str = "OPTIONS"
    path: str = ""
    headers: dict[str, str] = {}
    expect: Expect = Expect(json={"stack": "${stack}"})


class ImageSource(_Part, frozen=True, kw_only=True):
    """Where an image is built from; `context` is relative to the service's folder,
    `dockerfile` to the context, as in compose.

    `secrets` are the names of variables whose values a step may mount while it runs. `ssh` are the ids under which a
    step reaches the ssh agent of whoever builds; which socket or key that is, is the machine's matter. BuildKit only.
    """

    context: str = "."
    dockerfile: str = ""
    target: str = ""
    args: dict[str, str] = {}
    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


class Plugin(_Part, frozen=True, kw_only=True):
    """A plugin of the gateway on this service's route."""

    name: str
    config: dict[str, Any] = {}


class Pipeline(_Part, frozen=True, kw_only=True):
    """Everything of ours but the uri."""

    name: str = ""
    hosts: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    strip_uri: bool = False
    preserve_host: bool = False
    upstream: Upstream = Upstream()
    health: Health | None = None
    verify: Verify | bool = Verify()
    images: dict[str, ImageSource] = {}
    compose: str = "docker-compose.yml"
    rancher_compose: str = "rancher-compose.yml"
    strategy: Literal["stack-per-release", "in-place"] = "stack-per-release"
    keep: int = 1
    secrets: tuple[str, ...] = ()
    plugins: tuple[Plugin, ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A service's manifest, checked. `name` is the service's; `file` is where it was read, for messages."""

    name: str
    uri: str
    pipeline: Pipeline
    file: str

    @property
    def verify(self) -> Verify | None:
        """None when the manifest says that no check is to be made."""
        if isinstance(self.pipeline.verify, Verify):
            return self.pipeline.verify
        return Verify() if self.pipeline.verify else None


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the file that is ours; npm's keys are left alone."""

    uri: str | None = None
    pipeline: Pipeline = Pipeline()


def parse_manifest(text: bytes, *, file: str, default_name: str) -> Manifest:
    """The manifest in `text`. `default_name` names the service when `pipeline.name` does not.

    Raises BadInput naming the file, the path of the key and the value.
    """
    try:
        content = msgspec.json.decode(text.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} is not JSON: {error}", hint="Mend the file; `jq . FILE` shows the place.") from error
    found = convert(content, _File, file=file, documented="docs/contract.md lists every key and its type.")
    if found.uri is None:
        raise BadInput(
            f"{file}: uri is missing", hint='Say where the service answers, for example { "uri": "/ws/cities" }.'
        )
    manifest = Manifest(name=found.pipeline.name or default_name, uri=found.uri, pipeline=found.pipeline, file=file)
    _check(manifest)
    return manifest


def check_together(manifests: tuple[Manifest, ...]) -> None:
    """Refuses what only shows between services: one name twice, one uri on meeting hosts and methods twice."""
    for index, one in enumerate(manifests):
        for other in manifests[:index]:
            if one.name == other.name:
                raise BadInput(
                    f"{one.file} and {other.file} both name the service {one.name!r}",
                    hint="Give one of them another pipeline.name.",
                )
            if one.uri == other.uri and _meet(one.pipeline, other.pipeline):
                raise BadInput(
                    f"{one.file} and {other.file} both want the uri {one.uri!r}",
                    hint="Give one of them another uri, or hosts or methods of its own.",
                )


def json_schema() -> dict[str, object]:
    """The JSON schema of the file, for editors; it leaves npm's keys open."""
    # Through JSON, because msgspec leaves a tuple where a default is one.
    schema: dict[str, object] = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(_File)))
    return schema


def _meet(one: Pipeline, other: Pipeline) -> bool:
    def meet(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
        return (not first and not second) or bool(set(first) & set(second))

    return meet(one.hosts, other.hosts) and meet(one.methods, other.methods)


def _check(manifest: Manifest) -> None:
    part = manifest.pipeline
    _check_name(manifest)
    _check_uri(manifest)
    for host in part.hosts:
        _match(manifest, "pipeline.hosts", host, _HOST, "a host name like api.example.com")
    for method in part.methods:
        _match(manifest, "pipeline.methods", method, _METHOD, "upper case like GET")
    for name in part.secrets:
        _match(manifest, "pipeline.secrets", name, _VARIABLE, "the name of an environment variable")
        if name in _RESERVED_VARIABLES:
            raise _wrong(manifest, "pipeline.secrets", name, "a name other than version, branch, stack and ENVIRONMENT")
    if not 1 <= part.upstream.port <= 65535:
        raise _wrong(manifest, "pipeline.upstream.port", part.upstream.port, "a port from 1 to 65535")
    if part.keep < 1:
        raise _wrong(manifest, "pipeline.keep", part.keep, "1 or more: the way back needs a release to go back to")
    names = [plugin.name for plugin in part.plugins]
    for name in names:
        _match(manifest, "pipeline.plugins", name, _PLUGIN, "a plugin's name like rate-limiting")
        if names.count(name) > 1:
            raise _wrong(manifest, "pipeline.plugins", name, "named once: a service has one of each")
    _check_probes(manifest)
    for name, source in part.images.items():
        _check_image(manifest, f"pipeline.images.{name}", source)


def _check_name(manifest: Manifest) -> None:
    if not SERVICE_NAME.fullmatch(manifest.name):
        raise _wrong(manifest, "pipeline.name", manifest.name, "at most 30 of a-z, 0-9 and -, no - at either end")


def _check_uri(manifest: Manifest) -> None:
    uri = manifest.uri
    if not uri.startswith("/"):
        raise _wrong(manifest, "uri", uri, f"a path with a leading slash: {'/' + uri.lstrip(' /')!r}")
    if not _URI.fullmatch(uri) or "//" in uri:
        raise _wrong(manifest, "uri", uri, "a path of letters, digits, / and -._~ without spaces or escapes")
    if any(part in (".", "..") for part in uri.split("/")):
        raise _wrong(manifest, "uri", uri, "a path without . and .. segments")


def _check_probes(manifest: Manifest) -> None:
    health, verify = manifest.pipeline.health, manifest.verify
    if health is not None:
        if not re.fullmatch(r"/[!-~]*", health.path):
            raise _wrong(manifest, "pipeline.health.path", health.path, "a path with a leading slash, no spaces")
        seconds = (0.1 <= health.interval <= _LONGEST_SECONDS) and (0 < health.timeout <= _LONGEST_SECONDS)
        if not seconds or health.retries < 1:
            raise _wrong(
                manifest,
                "pipeline.health",
                f"interval {health.interval}, timeout {health.timeout}, retries {health.retries}",
                f"interval from 0.1 s and timeout above 0 s, both up to {_LONGEST_SECONDS} s, retries from 1",
            )
    if verify is not None and verify.path and not re.fullmatch(r"/[!-~]*", verify.path):
        raise _wrong(manifest, "pipeline.verify.path", verify.path, "a path with a leading slash, no spaces")
    if verify is not None and not _METHOD.fullmatch(verify.method):
        raise _wrong(manifest, "pipeline.verify.method", verify.method, "upper case like GET")


def _check_image(manifest: Manifest, path: str, source: ImageSource) -> None:
    for name in source.secrets:
        _match(manifest, f"{path}.secrets", name, _VARIABLE, "the name of an environment variable")
        if name in source.args:
            raise _wrong(manifest, f"{path}.secrets", name, "a name that is not in args too: an arg stays in the image")
    for one in source.ssh:
        _match(manifest, f"{path}.ssh", one, _SSH_ID, '"default" or another id; its socket or key is the machine\'s')
    for one in source.platforms:
        _match(manifest, f"{path}.platforms", one, _PLATFORM, "an os/arch like linux/amd64 or linux/arm/v7")
    for key, values in (("secrets", source.secrets), ("ssh", source.ssh), ("platforms", source.platforms)):
        for value in values:
            if values.count(value) > 1:
                raise _wrong(manifest, f"{path}.{key}", value, "there once")


def _match(manifest: Manifest, key: str, value: str, pattern: re.Pattern[str], wanted: str) -> None:
    if not pattern.fullmatch(value):
        raise _wrong(manifest, key, value, wanted)


def _wrong(manifest: Manifest, key: str, value: object, wanted: str) -> BadInput:
    return BadInput(f"{manifest.file}: {key}: {value!r} cannot be used", hint=f"It should be {wanted}.")
