"""Tags of releases that are gone, taken out of a real registry."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.builders.docker_registries import RegistryAccess
from pipeline.builders.docker_tags import DockerTags
from pipeline.edge.clock import SystemClock
from pipeline.edge.registry import RegistryClient
from pipeline.errors import Failed
from pipeline.model.address import EngineAddress
from tests.builders.engine_support import login, running_registry

if TYPE_CHECKING:
    from docker import APIClient

pytestmark = pytest.mark.engine
KIND = "application/vnd.oci.image.manifest.v1+json"


class Kept:
    """A registry with tags that need no layers."""

    def __init__(self, host: str, client: APIClient) -> None:
        self.host = host
        access = RegistryAccess(
            client=client, address=EngineAddress(), login=login(host), clock=SystemClock(), environ={}
        )
        self.tags = DockerTags(access)

    def put(self, tag: str, content: str) -> str:
        blob = self._upload(b"{}" + content.encode())
        manifest = {"schemaVersion": 2, "mediaType": KIND, "config": blob, "layers": []}
        self._ask("PUT", f"manifests/{tag}", json.dumps(manifest).encode(), KIND)
        with RegistryClient(self.host, insecure=True) as client:
            return client.digest("group/cities", tag)

    def _upload(self, content: bytes) -> dict[str, object]:
        import hashlib

        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        place = self._ask("POST", "blobs/uploads/", b"").headers["Location"]
        target = place if place.startswith("http") else f"http://{self.host}{place}"
        self._ask("PUT", f"{target}{'&' if '?' in target else '?'}digest={digest}", content, "application/octet-stream")
        return {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": len(content)}

    def _ask(self, method: str, path: str, body: bytes, kind: str = "application/json"):  # type: ignore[no-untyped-def]
        url = path if path.startswith("http") else f"http://{self.host}/v2/group/cities/{path}"
        request = urllib.request.Request(url, method=method, data=body, headers={"Content-Type": kind})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return answer

    @property
    def repository(self) -> str:
        return f"{self.host}/group/cities"


@pytest.fixture(params=[True, False], ids=["deletes", "does-not-delete"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, engine_client: APIClient) -> Iterator[Kept]:
    with running_registry(tmp_path, deletes=request.param) as host:
        yield Kept(host, engine_client)


@pytest.mark.parametrize("kept", [True], indirect=True)
def test_old_tags_go_and_those_that_share_a_manifest_with_one_that_stays_do_not(kept: Kept) -> None:
    old, shared = kept.put("master-00000001", "old"), kept.put("master-00000002", "shared")
    kept.put("sources.abc", "old")
    kept.put("production-00000002", "shared")
    moved = kept.put("master-00000003", "first")
    kept.put("master-00000003", "built again")
    tags = {"master-00000001": old, "master-00000002": shared, "master-00000003": moved}

    gone = kept.tags.remove(kept.repository, tags)
    again = kept.tags.remove(kept.repository, tags)

    left = set(kept.tags.tags(kept.repository))
    assert "master-00000001" in gone
    assert "master-00000001" not in left
    assert {"production-00000002", "master-00000003"} <= left
    assert set(again) >= set(gone)


@pytest.mark.parametrize("kept", [False], indirect=True)
def test_a_registry_that_deletes_nothing_is_told(kept: Kept) -> None:
    old = kept.put("master-00000001", "old")

    with pytest.raises(Failed, match="deletes neither tags nor manifests"):
        kept.tags.remove(kept.repository, {"master-00000001": old})
