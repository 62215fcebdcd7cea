"""The report of a build: build/<service>/report.json for people and programs, build/<service>/build.env for GitLab.

GitLab reads the second as a dotenv report: lines NAME=value, no quotes, no comments, at most 5 KB.
"""

from __future__ import annotations

import msgspec

from pipeline.model.ci_report import DOTENV_LIMIT, dotenv_lines, dotenv_name

SCHEMA_VERSION = 1


class ImageReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one image. `action` is keep, retag, build or failed; `size` and `context_bytes` are bytes, 0 where
    nothing was built; of the `steps` so many came from the cache."""

    compose_service: str
    reference: str
    action: str
    reason: str
    fingerprint: str = ""
    digest: str = ""
    id: str = ""
    size: int = 0
    context_bytes: int = 0
    steps: int = 0
    cached_steps: int = 0
    cache: tuple[str, ...] = ()
    builder: str = ""
    attestations: str = ""
    seconds: float = 0.0
    error: str = ""


class BuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the images of one release."""

    schema_version: int = SCHEMA_VERSION
    service: str
    branch: str
    commit: str
    version: str
    stack: str
    images: tuple[ImageReport, ...]

    @property
    def changed(self) -> bool:
        return any(image.action != "keep" for image in self.images)


def report_path(service: str) -> str:
    return f"build/{service}/report.json"


def dotenv_path(service: str) -> str:
    return f"build/{service}/build.env"


def write_report(report: BuildReport) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def write_dotenv(report: BuildReport) -> bytes:
    """`CITIES_APP_DIGEST=…` for each image (`CITIES_DIGEST=…` where there is one), `CITIES_STACK=…` for the release.
    Whole images are left out at the end when it would grow beyond what GitLab reads."""
    prefix = dotenv_name(report.service)
    text = dotenv_lines(prefix, {"stack": report.stack, "version": report.version})
    for image in report.images:
        values = {
            "image": image.digest or image.id,
            "digest": image.digest.partition("@")[2],
            "action": image.action,
            "reason": image.reason,
            "fingerprint": image.fingerprint,
            "size": image.size,
            "context_bytes": image.context_bytes,
            "steps": image.steps,
            "cached_steps": image.cached_steps,
            "seconds": image.seconds,
        }
        alone = len(report.images) == 1 or image.compose_service == report.service
        own = prefix if alone else f"{prefix}_{dotenv_name(image.compose_service)}"
        more = dotenv_lines(own, values)
        if len(text) + len(more) > DOTENV_LIMIT:
            break
        text += more
    return text
