"""What may be wrong with an environment on Rancher, its scripts or the server: said, and nothing half done."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.edge.library import shell_libraries
from pipeline.errors import BadInput, Refused
from pipeline.flows import bootstrap as flow
from pipeline.flows.bootstrap import Wish, Written
from pipeline.lab.rancher.running import ACCOUNT_KEY, Lab, running_rancher
from pipeline.lab.rancher.troubles import Harm, Trouble
from pipeline.model.bootstrap_kit import LIBRARIES
from pipeline.model.interpolate import secret_mark
from pipeline.model.rancher import ServiceWhole, StackRow
from pipeline.model.remap import parse_remap
from pipeline.model.stack import Mount, Port, RancherHealth, RancherPart, StackService
from tests.contracts.platform_scenes import wait_for
from tests.contracts.rancher_estates import DIGEST, PULLING, SOON, RancherSite
from tests.contracts.random_estates import Draw, make_stack
from tests.contracts.whole_gateways import open_lab

STACK = "cities-master-0a1b2c3d"
IMAGE = f"registry.example:5000/app@{DIGEST}"
PASSWORD = "REGISTRY_PASSWORD_REGISTRY_EXAMPLE_5000"
SCRIPTS = ("40-platform.sh", "50-stacks.sh", "60-gateway.sh", "70-verify.sh")


@dataclass(frozen=True)
class Bench:
    """Two lab Ranchers, each with a gateway: what is written down, and where it is built."""

    source: RancherSite
    target: RancherSite
    folder: Path
    count: list[str] = field(default_factory=list)

    def deploy(self, *parts: StackService, service: str = "cities") -> None:
        """With a route to it, so that it is written down in whatever state it is."""
        self.count.append(service)
        key = f"00000000-0000-4000-8000-0000000000{len(self.count)}a"
        route = key[:-1] + "b"
        upstream = {"name": service, "host": f"app.{service}-master-0a1b2c3d", "port": 80, "protocol": "http"}
        drafts: Any = (
            ("services", key, upstream),
            ("routes", route, {"name": service, "paths": [f"/ws/{service}"], "service": {"id": key}}),
        )
        self.source.deploy(Draw(stacks=(make_stack(service, parts or (app(),)),), drafts=drafts))

    def write(self, **wish: Any) -> Written:
        return self.source.write(self.folder, Wish(**wish))

    def run(self, script: str, **variables: str) -> tuple[int, str]:
        done = self.target.run(self.folder, script, **({PASSWORD: "p", "BOOTSTRAP_WAIT": "3"} | variables))
        return done.returncode, done.stderr

    def build(self, **variables: str) -> None:
        for script in SCRIPTS[:3]:
            code, said = self.run(script, **variables)
            assert code == 0, said

    def verify(self) -> list[str]:
        done = self.target.run(self.folder, "70-verify.sh")
        return list(json.loads(done.stdout)["differences"])

    @property
    def lab(self) -> Lab:
        return self.target.rancher

    def service(self, name: str = "app") -> ServiceWhole:
        return next(one for one in self.target.client.every("services", ServiceWhole) if one.name == name)


def app(**fields: Any) -> StackService:
    return StackService(**({"name": "app", "image": IMAGE, "rancher": RancherPart()} | fields))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        sites = []
        for _ in range(2):
            lab = stack.enter_context(open_lab(tmp_path))
            site = RancherSite(stack.enter_context(running_rancher(timings=SOON, real_time=True)), lab)
            stack.callback(site.close)
            sites.append(site)
        yield Bench(sites[0], sites[1], tmp_path / "folder")


# What is written down, and what cannot be ---------------------------------------------------------------------


def test_compose_files_say_what_rancher_itself_exports(bench: Bench) -> None:
    health = RancherHealth(port=80, request_line='GET "/$x" "HTTP/1.0"')
    web = app(
        name="web",
        scale=2,
        environment={"A": "it's $5\n"},
        labels={"io.rancher.sidekicks": "logs"},
        ports=(Port(container=80), Port(container=53, protocol="udp")),
        mounts=(Mount(source="/srv/x", target="/y", read_only=True), Mount(source="data", target="/data")),
        command=("run", "$HOME"),
        rancher=RancherPart(health=health, metadata={"a": {"b": "$"}}),
    )
    logs = app(name="logs", scale=2, tmpfs=("/run",), rancher=RancherPart(sidekick_of="web"))
    bench.deploy(web, logs)

    files = bench.write().files
    told = [yaml.safe_load(text) for text in bench.source.platform.export(STACK)]

    ours = [yaml.safe_load(files[f"stacks/{STACK}/{kind}-compose.yml"]) for kind in ("docker", "rancher")]
    for name, exported in told[0]["services"].items():
        found = ours[0]["services"][name]
        exported["labels"] = {key: text for key, text in exported["labels"].items() if not key.startswith("pipeline.")}
        exported["volumes"] = [text.replace("cities-stage-", "") for text in exported.get("volumes", ())]
        exported["ports"] = [text.removesuffix("/tcp") for text in exported.get("ports", ())]
        exported["tmpfs"] = list(exported.get("tmpfs") or ())
        for key in ("image", "environment", "command", "ports", "labels", "volumes", "tmpfs"):
            assert (found.get(key) or None) == (exported.get(key) or None), (name, key)
    exported, found = told[1]["services"]["web"], ours[1]["services"]["web"]
    exported.pop("start_on_create")
    assert found == exported
    assert ours[1]["services"].get("logs", {}) == {}


def test_an_upgrade_that_is_not_finished_is_refused(bench: Bench) -> None:
    bench.deploy()
    client = bench.source.client
    row = client.every("services", ServiceWhole)[0]
    strategy = {"launchConfig": {"imageUuid": "docker:other:1"}, "intervalMillis": 100}
    bench.source.rancher.faults.stuck.add("app")
    client.act("services", row.id, "upgrade", {"inServiceStrategy": strategy}, ServiceWhole)

    with pytest.raises(Refused, match=r"in the middle of an upgrade.*cities-master-0a1b2c3d"):
        bench.write()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"launchConfig": {"networkMode": "host"}}, r"cities-master-0a1b2c3d.hand has networkMode .host."),
        ({"launchConfig": {"requestedHostId": "1h1"}}, "hand has requestedHostId"),
        ({"launchConfig": {"dataVolumes": ["mine:/x"]}}, "hand has the volume mine, which is not cities-stage-"),
        ({"selectorLink": "a=b"}, "hand has a selector"),
    ],
)
def test_what_was_made_by_hand_and_no_definition_can_say_is_named(
    change: dict[str, Any], told: str, bench: Bench
) -> None:
    bench.deploy()
    client = bench.source.client
    stack = client.every("stacks", StackRow)[0]
    launch = {"imageUuid": f"docker:{IMAGE}"} | change.get("launchConfig", {})
    body = {"name": "hand", "stackId": stack.id, "externalId": "pipeline://stage/cities", "startOnCreate": True}
    client.create("services", body | change | {"launchConfig": launch}, ServiceWhole)

    with pytest.raises(Refused, match=told):
        bench.write()


def test_services_of_others_are_counted_with_their_reason(bench: Bench) -> None:
    bench.deploy()
    client = bench.source.client
    other = client.create("stacks", {"name": "theirs"}, StackRow)
    client.create(
        "services", {"name": "web", "stackId": other.id, "launchConfig": {"imageUuid": "docker:x"}}, ServiceWhole
    )
    balanced = {"lbConfig": {"portRules": []}, "launchConfig": {"ports": ["80:80"], "imageUuid": "docker:lb"}}
    client.create("loadBalancerServices", {"name": "lb", "stackId": other.id} | balanced, ServiceWhole)

    document = json.loads(bench.write().files["environment.json"])

    excluded = [{"reason": "this toolkit did not make it", "count": 2, "names": ["lb (loadBalancerService)", "web"]}]
    assert document["counts"]["services"] == {"listed": 3, "exported": 1, "excluded": excluded}


def test_an_undeclared_credential_is_refused_and_never_shown(bench: Bench) -> None:
    bench.deploy(app(environment={"API_KEY": "abcdef"}))

    with pytest.raises(Refused, match=r"cities.app.API_KEY") as refused:
        bench.write()

    assert "abcdef" not in str(refused.value)


def test_a_tag_is_pinned_by_what_its_registry_tells_and_else_said_to_be_loose(bench: Bench) -> None:
    bench.deploy(app(image="registry.example:5000/app:1"), app(name="db", image="postgres:15"))
    sources = bench.source.sources
    asked: list[str] = []

    def digests(references: Any) -> dict[str, str]:
        asked.extend(references)
        return {"registry.example:5000/app:1": IMAGE}

    told = replace(sources, digests=digests)
    written = flow.written(flow.listed(told, Wish()), told, Wish(), lambda *_: "", shell_libraries(LIBRARIES))

    assert asked == ["postgres:15", "registry.example:5000/app:1"]
    assert f"docker:{IMAGE}" in written.files[f"stacks/{STACK}/services.sh"]
    assert [text for text in written.remarks if text.startswith("not pinned: postgres:15")]


def test_a_remap_moves_images_registries_and_the_names_of_volumes(bench: Bench) -> None:
    bench.deploy(app(mounts=(Mount(source="data", target="/d"),), rancher=RancherPart(metadata={"at": "old.example"})))
    remap = {
        "environment": "next",
        "registry": {"registry.example:5000": "new.example"},
        "domains": {"old.example": "n.x"},
    }

    text = bench.write(remap=parse_remap(remap, file="x"))
    bench.build(REGISTRY_PASSWORD_NEW_EXAMPLE="p")

    row = bench.service()
    assert row.launch_config is not None
    assert row.launch_config["imageUuid"] == f"docker:new.example/app@{DIGEST}"
    assert row.launch_config["dataVolumes"] == ["cities-next-data:/d"]
    assert row.metadata == {"at": "n.x"}
    assert "REGISTRY_PASSWORD_NEW_EXAMPLE=" in text.files["variables.env.example"]


# What the scripts meet ----------------------------------------------------------------------------------------


def test_a_second_run_only_looks(bench: Bench) -> None:
    bench.deploy()
    bench.write()
    bench.build()
    before = len(bench.lab.requests)

    bench.build()

    writes = [line for line in bench.lab.requests[before:] if not line.startswith("GET")]
    # The password cannot be read back.
    assert [line.split(" ")[0] for line in writes] == ["PUT"], writes
    assert bench.verify() == []


def test_variables_that_are_missing_are_named_before_anything_is_asked(bench: Bench) -> None:
    bench.deploy(app(environment={"PW": secret_mark("ALPHA")}))
    bench.write()
    before = len(bench.lab.requests)

    assert bench.run("50-stacks.sh", RANCHER_URL="") == (
        3,
        "not set: ALPHA RANCHER_URL\nvariables.env.example says what each is.\n",
    )
    assert bench.run("40-platform.sh", **{PASSWORD: ""})[0] == 3
    assert len(bench.lab.requests) == before


def test_a_wrong_key_a_wrong_address_and_no_server_are_told_apart(bench: Bench) -> None:
    bench.deploy()
    bench.write()

    code, said = bench.run("50-stacks.sh", RANCHER_SECRET_KEY='wr"ong', ALPHA="")
    assert (code, "401" in said, "RANCHER_SECRET_KEY" in said) == (3, True, True), said
    assert 'wr"ong' not in said
    code, said = bench.run("50-stacks.sh", RANCHER_URL="http://127.0.0.1:9")
    assert (code, "127.0.0.1:9" in said) == (5, True), said
    code, said = bench.run("50-stacks.sh", RANCHER_URL=bench.target.lab.url)
    assert code == 1, said
    code, said = bench.run("50-stacks.sh", RANCHER_URL="http://user:secret@10.0.0.5")
    assert (code, "secret@" in said) == (3, False), said


@pytest.mark.parametrize("path", ["/", "/v1", "/v2-beta/", "/v2-beta/projects/1a5", "/v1/projects/1a5/"])
def test_an_address_may_have_what_rancher_shows_with_its_keys(path: str, bench: Bench) -> None:
    bench.deploy()
    bench.write()

    bench.build(RANCHER_URL=bench.lab.url + path)

    assert bench.verify() == []


@pytest.mark.parametrize("harm", [Harm.STATUS, Harm.HTML])
def test_a_proxy_that_answers_in_the_servers_place_is_told_and_the_next_run_goes_on(harm: Harm, bench: Bench) -> None:
    bench.deploy()
    bench.write()
    bench.lab.troubles.coming.append(Trouble(matching="^POST .*/services", harm=harm, status=502))
    assert bench.run("40-platform.sh")[0] == 0

    code, said = bench.run("50-stacks.sh")

    assert code == 1, said
    assert f"the service app of {STACK}: Rancher answered" in said
    assert len(said) < 1000
    bench.build()
    assert bench.verify() == []


def test_a_server_that_does_not_answer_is_started_only_where_an_image_is_named(bench: Bench) -> None:
    bench.deploy()
    bench.write()

    code, said = bench.run("40-platform.sh", RANCHER_URL="http://127.0.0.1:9")

    assert code == 5
    assert "RANCHER_SERVER_IMAGE" in said


def test_a_project_that_is_not_there_is_made_with_the_key_of_an_account(bench: Bench) -> None:
    bench.deploy()
    bench.write()
    key = {"RANCHER_ACCESS_KEY": ACCOUNT_KEY.access, "RANCHER_SECRET_KEY": ACCOUNT_KEY.secret}

    code, said = bench.run("50-stacks.sh", RANCHER_PROJECT='the "new" one', **key)
    assert (code, "has no project" in said) == (4, True), said
    code, said = bench.run("40-platform.sh", RANCHER_PROJECT='the "new" one', **key)
    assert (code, 'project the "new" one: made' in said) == (0, True), said
    asked = bench.lab.requests
    made = asked.index("POST /v2-beta/projects")
    looked = next(
        at for at, line in enumerate(asked) if at > made and re.match("GET /v2-beta/projects/1a[0-9]+$", line)
    )
    assert looked < next(at for at, line in enumerate(asked) if at > made and "/registries" in line)
    code, said = bench.run("40-platform.sh", RANCHER_PROJECT='the "new" one', **key)
    assert (code, "made" in said) == (0, False), said
    code, said = bench.run("50-stacks.sh", RANCHER_PROJECT='the "new" one', **key)
    assert (code, "no active host" in said) == (4, True), said
    code, said = bench.run("50-stacks.sh", RANCHER_PROJECT="another")
    assert (code, "has no project another" in said) == (4, True), said


def test_somebody_elses_stack_of_that_name_is_left_alone(bench: Bench) -> None:
    bench.deploy()
    bench.write()
    bench.target.client.create("stacks", {"name": STACK}, StackRow)

    code, said = bench.run("50-stacks.sh")

    assert code == 4
    assert f"there is a stack {STACK} that is not this environment's" in said


def test_what_an_older_folder_made_is_replaced_and_what_deploy_made_is_left(bench: Bench) -> None:
    bench.deploy(app(environment={"A": "1"}))
    bench.write()
    bench.build()
    first = bench.service().id
    row = bench.source.client.every("services", ServiceWhole)[0]
    launch = row.launch_config or {}
    bench.source.client.delete("services", row.id)
    wait_for(lambda: not bench.source.client.every("services", ServiceWhole), seconds=10)
    body = {"name": "app", "stackId": row.stack_id, "externalId": "pipeline://stage/cities", "startOnCreate": True}
    changed = launch | {"environment": {"A": "2"}}
    bench.source.client.create("services", body | {"launchConfig": changed}, ServiceWhole)
    bench.write()

    assert bench.verify() == [f"service app of {STACK} was made from another call than this folder's"]
    bench.build()

    made = bench.service()
    assert made.id != first
    assert (made.launch_config or {})["environment"] == {"A": "2"}
    assert bench.verify() == []


def test_what_differs_is_named(bench: Bench) -> None:
    bench.deploy(app(), app(name="db"))
    bench.deploy(app(), service="towns")
    bench.write()
    bench.build()
    client = bench.target.client
    client.act("services", bench.service("db").id, "deactivate", None, ServiceWhole)
    towns = next(one for one in client.every("stacks", StackRow) if one.name == "towns-master-0a1b2c3d")
    client.delete("stacks", towns.id)
    client.create("stacks", {"name": "extra", "externalId": "pipeline://stage/extra"}, StackRow)

    found = bench.verify()

    assert any(text.startswith(f"service db of {STACK} is ") for text in found)
    assert "stack towns-master-0a1b2c3d is missing" in found
    assert "stack extra is in no script" in found


def test_a_service_that_rests_is_started_and_one_that_was_taken_away_is_made_again(bench: Bench) -> None:
    bench.deploy(app(), app(name="db"))
    bench.write()
    bench.build()
    client = bench.target.client
    client.act("services", bench.service("db").id, "deactivate", None, ServiceWhole)
    client.delete("services", bench.service("app").id)

    code, said = bench.run("50-stacks.sh", BOOTSTRAP_WAIT="20")

    assert code == 0, said
    assert bench.verify() == []


def test_a_service_that_does_not_get_well_ends_it_with_the_servers_own_words(bench: Bench) -> None:
    bench.deploy()
    bench.write()
    bench.lab.faults.unpullable[IMAGE] = "manifest unknown"

    code, said = bench.run("50-stacks.sh", BOOTSTRAP_WAIT="1")

    assert code == 1
    assert f"the stack {STACK} is not well: app is activating" in said
    assert "manifest unknown" in said


@pytest.mark.parametrize("kind", ["stacks", "services", "registries"])
def test_an_answer_that_is_lost_ends_the_run_and_the_next_one_goes_on(kind: str, bench: Bench) -> None:
    bench.deploy()
    bench.write()
    bench.lab.troubles.coming.append(Trouble(matching=f"^POST .*/{kind}", harm=Harm.LOST_ANSWER))

    codes = [bench.run(script)[0] for script in SCRIPTS[:2]]
    assert 5 in codes
    bench.build()

    assert bench.verify() == []
    names = [one.name for one in bench.target.client.every("services", ServiceWhole)]
    assert names == ["app"]


def test_a_value_of_ten_megabytes_with_quotes_arrives(bench: Bench) -> None:
    value = ('it\'s "so" \\ $(id)\n' * 600_000)[: 10 << 20]
    bench.deploy(app(environment={"BIG": value}))
    bench.write()

    bench.build(BOOTSTRAP_WAIT="60")

    assert (bench.service().launch_config or {})["environment"]["BIG"] == value
    assert bench.verify() == []


def test_the_login_of_a_registry_is_written_anew_and_another_users_stays(bench: Bench) -> None:
    bench.deploy()
    bench.write()
    bench.build(**{PASSWORD: 'one"\\ $x'})
    bench.build(**{PASSWORD: "two"})

    logins = [row.data for row in bench.lab.call(lambda: list(bench.lab.state.store.rows("credential")))]
    found = [one for one in logins if one.get("publicValue") == PULLING.user]
    assert [one["secretValue"] for one in found] == ["two"]


def test_archives_are_refused(bench: Bench) -> None:
    bench.deploy(app(mounts=(Mount(source="data", target="/d"),)))

    with pytest.raises(BadInput, match="--with-images: images lie on the hosts"):
        bench.write(images=True)
    with pytest.raises(BadInput, match="--with-data: volumes lie on the hosts"):
        bench.write(data=True)
