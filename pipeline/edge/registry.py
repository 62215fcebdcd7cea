"""A registry asked over HTTP: what a tag is, what an image's labels say, which tags there are; and another tag put."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec

from pipeline.edge.clock import SystemClock
from pipeline.edge.docker_config import NO_LOGIN, Login
from pipeline.edge.registry_connection import Call, RegistryConnection, shown
from pipeline.edge.registry_transport import CERTIFICATES, Patience, Reply
from pipeline.errors import Failed, PipelineError, Unreachable
from pipeline.model.clock import Clock

_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
_PAGE = 1000
_PAGES = 1000
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteImage:
    """An image as a registry has it; `digest` is that of the tag's manifest, `id` that of its configuration, which is
    the image's id on an engine. An index without the platform that was asked for has neither id nor labels."""

    digest: str
    id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manifest:
    """A manifest or an index, as it came."""

    digest: str
    kind: str
    content: bytes
    parsed: Mapping[str, Any]


class RegistryClient:
    """One registry, for one thread. Every method raises BadInput where the registry refuses the user, Unreachable where
    it is silent or busy after some patience or answers what no registry does, and Failed for what it does not accept.
    Use it as a context manager: it keeps its connection."""

    def __init__(
        self,
        host: str,
        login: Login = NO_LOGIN,
        *,
        insecure: bool = False,
        certificates: str = CERTIFICATES,
        clock: Clock | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._host = host
        self._connection = RegistryConnection(
            host,
            login,
            insecure=insecure,
            certificates=certificates,
            clock=clock or SystemClock(),
            patience=patience,
        )

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def digest(self, path: str, reference: str) -> str:
        """The digest of a tag, or of a digest that is there; empty when the registry has neither. Asks with HEAD, which
        no registry counts as a pull."""
        call = Call(method="HEAD", repository=path, path=f"manifests/{reference}", headers=_accept())
        reply = self._ask(call)
        if reply is None:
            return ""
        if digest := reply.headers.get("docker-content-digest", ""):
            return digest
        manifest = self._manifest(path, reference)
        return manifest.digest if manifest is not None else ""

    def describe(self, path: str, reference: str, *, platform: str = "linux/amd64") -> RemoteImage | None:
        """The image of a tag or digest; of an index, the one for `platform`. None when it is not there."""
        manifest = self._manifest(path, reference)
        if manifest is None:
            return None
        digest = manifest.digest
        if "manifests" in manifest.parsed:
            chosen = _of_platform(manifest.parsed, platform)
            if chosen is None or (manifest := self._manifest(path, chosen)) is None:
                return RemoteImage(digest=digest)
        config = _text(manifest.parsed.get("config"), "digest")
        found = self._ask(Call(method="GET", repository=path, path=f"blobs/{config}")) if config else None
        if found is None:
            return RemoteImage(digest=digest, id=config)
        inner = self._connection.json(found).get("config")
        labels = inner.get("Labels") if isinstance(inner, dict) else None
        return RemoteImage(digest=digest, id=config, labels=labels if isinstance(labels, dict) else {})

    def put_tag(self, path: str, source_reference: str, tag: str) -> str:
        """Makes `tag` name the manifest or index of a tag or digest of the same repository; gives the digest, that the
        registry was asked for afterwards. No layer moves. A second call changes nothing.

        Raises Failed with the registry's words where it lets no tag be moved."""
        digest = source_reference if ":" in source_reference else self.digest(path, source_reference)
        if digest and self.digest(path, tag) == digest:
            return digest
        manifest = self._manifest(path, digest) if digest else None
        if manifest is None:
            raise Failed(
                f"the registry {self._host} has no {path}{'@' if ':' in source_reference else ':'}{source_reference} "
                f"to give the tag {tag}",
                hint="Build and push it again.",
            )
        headers = {"Content-Type": manifest.kind}
        call = Call(method="PUT", repository=path, path=f"manifests/{tag}", headers=headers, body=manifest.content)
        reply = self._connection.ask(call)
        if reply.status >= 300:
            raise self._not_taken(call, reply)
        if (now := self.digest(path, tag)) != digest:
            raise Failed(
                f"the registry {self._host} took {path}:{tag} for {digest} and has {now or 'nothing'} there",
                hint="Somebody else put the tag, or the registry loses what it takes: run the same again.",
            )
        return digest

    def delete(self, path: str, reference: str) -> bool:
        """Takes a tag away, or a manifest with all of its tags when `reference` is a digest; True when it is gone,
        False where the registry does not do that (many know no deletion of a tag alone)."""
        call = Call(method="DELETE", repository=path, path=f"manifests/{reference}")
        reply = self._connection.ask(call)
        if reply.status in (200, 202, 204, 404):
            return True
        if reply.status in (400, 405, 501):
            return False
        raise self._not_taken(call, reply)

    def tags(self, path: str) -> tuple[str, ...]:
        """All tags of a repository, in the registry's order, page by page; empty for a repository that is not there."""
        found: list[str] = []
        query = f"tags/list?n={_PAGE}"
        for _ in range(_PAGES):
            reply = self._ask(Call(method="GET", repository=path, path=query))
            if reply is None:
                return tuple(found)
            names = self._connection.json(reply).get("tags") or []
            if not isinstance(names, list):
                raise self._connection.foreign(reply)
            found.extend(str(name) for name in names)
            following = _NEXT.search(reply.headers.get("link", ""))
            if following is None:
                return tuple(dict.fromkeys(found))
            # Relative to the page, or absolute with whatever name a proxy gave the registry: only the query is taken.
            query = f"tags/list?{urlsplit(urljoin('http://x/', following[1])).query}"
        raise Unreachable(
            f"the registry {self._host} has no end of pages of the tags of {path}",
            hint="Its operator has to look at it.",
        )

    def _manifest(self, path: str, reference: str) -> _Manifest | None:
        call = Call(method="GET", repository=path, path=f"manifests/{reference}", headers=_accept())
        reply = self._ask(call)
        if reply is None:
            return None
        parsed = self._connection.json(reply)
        kind = reply.headers.get("content-type", "").partition(";")[0].strip()
        if kind not in _MANIFESTS:
            kind = str(parsed.get("mediaType", ""))
        if kind not in _MANIFESTS:
            raise self._connection.foreign(reply)
        digest = f"sha256:{hashlib.sha256(reply.body).hexdigest()}"
        told = reference if ":" in reference else reply.headers.get("docker-content-digest", "")
        if told.startswith("sha256:") and told != digest:
            raise Failed(
                f"the registry {self._host} answers {path}/{reference} with a manifest that is not {told} but {digest}",
                hint="Its store or a proxy in front of it is broken: its operator has to look at it.",
            )
        return _Manifest(digest=told or digest, kind=kind, content=reply.body, parsed=parsed)

    def _ask(self, call: Call) -> Reply | None:
        """The good answer, None for 404."""
        reply = self._connection.ask(call)
        if reply.status == 404:
            return None
        if reply.status != 200:
            raise self._not_taken(call, reply)
        return reply

    def _not_taken(self, call: Call, reply: Reply) -> PipelineError:
        if reply.status in (401, 403):
            return self._connection.refusal(f"{reply.status} to {call}")
        words = _words(reply.body)
        if call.method == "PUT":
            return Failed(
                f"the registry {self._host} does not take {call.repository}:{call.path.partition('/')[2]}: "
                f"{reply.status}: {words}",
                hint="Tags of this repository may be immutable: what has the tag stays.",
            )
        return Failed(
            f"the registry {self._host} answers {reply.status} to {call}: {words}",
            hint="Check the image's name, and whether this is the registry's own address.",
        )


def _accept() -> dict[str, str]:
    return {"Accept": ", ".join(_MANIFESTS)}


def _of_platform(index: Mapping[str, Any], platform: str) -> str | None:
    """The digest of an index's image for `os/architecture[/variant]`; of a lone image, whatever it says."""
    entries = [entry for entry in index["manifests"] or () if isinstance(entry, dict) and _text(entry, "digest")]
    if len(entries) == 1 and "platform" not in entries[0]:
        return _text(entries[0], "digest")
    for entry in entries:
        parts = [_text(entry.get("platform"), name) for name in ("os", "architecture", "variant")]
        if platform in ("/".join(parts[:2]), "/".join(parts)):
            return _text(entry, "digest")
    return None


def _text(found: object, name: str) -> str:
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""


def _words(body: bytes) -> str:
    """A registry's own words in the specification's form of an error, else the beginning of what it sent."""
    try:
        errors = msgspec.json.decode(body, type=dict[str, Any]).get("errors")
    except (msgspec.MsgspecError, UnicodeError):
        errors = None
    if isinstance(errors, list) and errors:
        words = (f"{_text(one, 'code')} {_text(one, 'message')}".strip() for one in errors)
        return "; ".join(word for word in words if word) or "no reason given"
    return repr(shown(body)) if body else "no reason given"
