"""A golden folder of an environment on Rancher: every byte that is written of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.lab.rancher.running import running_rancher
from pipeline.model.bootstrap_kit import LIBRARIES
from pipeline.model.interpolate import secret_mark
from pipeline.model.stack import Mount, Port, RancherHealth, RancherPart, StackService
from tests.contracts.rancher_estates import DIGEST, SOON, RancherSite
from tests.contracts.random_estates import Draw, make_stack
from tests.contracts.whole_gateways import open_lab
from tests.golden_folder import compared

GOLDEN = Path(__file__).parent.parent / "golden" / "bootstrap-rancher"
HEALTH = RancherHealth(port=80, request_line='GET "/ws/cities/health" "HTTP/1.0"')
PROXY = StackService(
    name="proxy",
    image=f"registry.example:5000/proxy@{DIGEST}",
    scale=2,
    ports=(Port(container=80),),
    labels={"io.rancher.sidekicks": "logs", "it's": "a label"},
    rancher=RancherPart(health=HEALTH, metadata={"team": "maps"}),
)
LOGS = StackService(
    name="logs", image="fluent/bit:3", scale=2, tmpfs=("/run",), rancher=RancherPart(sidekick_of="proxy")
)
APP = StackService(
    name="app",
    image=f"registry.example:5000/app@{DIGEST}",
    environment={"DB": f"postgres://cities:{secret_mark('ALPHA')}@db/cities", "QUOTES": 'it\'s "so" $5'},
    mounts=(Mount(source="data", target="/data"),),
    rancher=RancherPart(drain_timeout_ms=5000),
)


def test_an_environment_on_rancher_is_written_byte_for_byte(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with open_lab(tmp_path) as lab, running_rancher(timings=SOON, real_time=True) as rancher:
        site = RancherSite(rancher, lab)
        key = "00000000-0000-4000-8000-00000000000a"
        upstream = {"name": "cities", "host": "proxy.cities-master-0a1b2c3d", "port": 80, "protocol": "http"}
        route = {"name": "cities", "paths": ["/ws/cities"], "service": {"id": key}, "created_at": 1600000000}
        drafts = (("services", key, upstream | {"created_at": 1600000000}), ("routes", key[:-1] + "b", route))
        site.deploy(Draw(stacks=(make_stack("cities", (PROXY, LOGS, APP)),), drafts=drafts))
        written = site.write(tmp_path / "folder")
        site.close()
    found = {path: text for path, text in written.files.items() if path not in (*LIBRARIES, "SHA256SUMS")}

    compared(found, GOLDEN, request)
