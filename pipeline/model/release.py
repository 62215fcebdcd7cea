"""Release identity: one commit of one service on one branch, the same on a laptop and in CI."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import BadInput
from pipeline.model.manifest import Manifest

STACK_LIMIT = 63
DIRTY = "-dirty"
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SHA = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """What git (or CI) says of the folder: `committed_at` in seconds since 1970, `dirty` for the service's folder."""

    commit: str
    branch: str
    slug: str = ""
    committed_at: int = 0
    subject: str = ""
    author: str = ""
    source: str = ""
    dirty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One commit of one service on one branch, for one environment."""

    service: str
    environment: str
    branch: str
    slug: str
    commit: str
    committed_at: int
    subject: str
    author: str
    source: str
    dirty: bool
    stack: str
    in_place: bool

    @property
    def sha8(self) -> str:
        return self.commit[:8]

    @property
    def version(self) -> str:
        return self.sha8 + (DIRTY if self.dirty else "")

    @property
    def tag(self) -> str:
        return f"{self.slug}-{self.version}"

    @property
    def facts(self) -> Mapping[str, str]:
        """What the build args and the containers' environment say of the release."""
        return {"version": self.version, "branch": self.branch, "stack": self.stack}


def make_release(manifest: Manifest, checkout: Checkout, environment: str) -> Release:
    """The release of a service that a checkout stands for. Raises BadInput for a commit that is none."""
    if not _SHA.fullmatch(checkout.commit):
        raise BadInput(
            f"the commit {checkout.commit!r} is not a commit id", hint="Set CI_COMMIT_SHA to the full id, or unset it."
        )
    slug = checkout.slug or slug_of(checkout.branch)
    if not _SLUG.fullmatch(slug):
        raise BadInput(
            f"CI_COMMIT_REF_SLUG {slug!r} is not a slug",
            hint="GitLab's are at most 63 of a-z, 0-9 and -, no - at either end; unset it to have it made.",
        )
    in_place = manifest.pipeline.strategy == "in-place"
    ending = "" if in_place else f"-{checkout.commit[:8]}" + (DIRTY if checkout.dirty else "")
    return Release(
        service=manifest.name,
        environment=environment,
        branch=checkout.branch,
        slug=slug,
        commit=checkout.commit,
        committed_at=checkout.committed_at,
        subject=checkout.subject,
        author=checkout.author,
        source=checkout.source,
        dirty=checkout.dirty,
        stack=stack_name(manifest.name, slug, ending, checkout.branch),
        in_place=in_place,
    )


def slug_of(branch: str) -> str:
    """GitLab's CI_COMMIT_REF_SLUG of a branch: lower case, 63 bytes, all but 0-9a-z becomes `-`, none at the ends.

    A name of which nothing remains (日本) becomes `b-` and 8 characters of its hash, because a name must not be empty.
    """
    slug = re.sub(r"[^0-9a-z]", "-", branch.lower())[:63].strip("-")
    return slug or f"b-{_digest(branch)}"


def stack_name(service: str, slug: str, ending: str, branch: str) -> str:
    """`<service>-<slug><ending>` in 63 characters: a longer slug is cut and gets 8 characters of the branch's hash (40
    bits), so that two branches do not share a name because of the cut."""
    whole = f"{service}-{slug}{ending}"
    if len(whole) <= STACK_LIMIT:
        return whole
    told = _digest(branch)
    room = STACK_LIMIT - len(service) - len(ending) - len(told) - len("--")
    return f"{service}-{slug[:room].rstrip('-')}-{told}{ending}"


def _digest(text: str) -> str:
    """8 characters of a-z and 2-7."""
    return base64.b32encode(hashlib.sha256(text.encode(errors="surrogateescape")).digest())[:8].decode().lower()
