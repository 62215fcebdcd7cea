"""What may be wrong with an environment, a folder or the machine that it is run on: said, and nothing half done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.edge.library import shell_libraries
from pipeline.errors import Failed, Refused
from pipeline.flows import bootstrap as flow
from pipeline.flows.bootstrap import Wish
from pipeline.model.bootstrap_drift import drift
from pipeline.model.bootstrap_kit import LIBRARIES
from pipeline.model.remap import parse_remap
from pipeline.model.stack import Mount, StackService
from tests.contracts.random_estates import SECRETS, Site, make_stack, on_images
from tests.contracts.whole_gateways import SHELLS, open_lab
from tests.memory_engine import MemoryEngine, memory_engine

SERVICE = "00000000-0000-4000-8000-00000000000a"
TEXTS = shell_libraries(LIBRARIES)
DIGEST = f"registry.example/app@sha256:{'a' * 64}"


@dataclass(frozen=True)
class Bench:
    """Two engines in memory with a gateway each: what is written down, and where it is built."""

    engine: MemoryEngine
    source: Site
    other: MemoryEngine
    target: Site
    folder: Path

    def deploy(self, *parts: StackService, service: str = "cities") -> None:
        image = self.engine.add_image("app:1", digest=DIGEST)
        stack = make_stack(service, parts or (app(),))
        self.source.platform.start(on_images(stack, {"app": image}), SECRETS)

    def route(self, host: str = "app.cities-master-0a1b2c3d", path: str = "/ws/cities", hosts: str = "") -> None:
        number = str(len(self.source.lab.gateway.dump().entities) // 2)
        key, route = SERVICE[:-1] + number, SERVICE[:-2] + "b" + number
        admin = self.source.lab.gateway._admin
        admin.write("PUT", ("services", key), {"name": f"s{number}", "host": host, "port": 80, "protocol": "http"})
        body = {"name": f"r{number}", "paths": [path], "service": {"id": key}}
        admin.write("PUT", ("routes", route), body | ({"hosts": [hosts]} if hosts else {}))

    def write(self, **wish: object) -> flow.Written:
        return self.source.write(self.folder, Wish(**({"images": True} | wish)))  # type: ignore[arg-type]

    def run(self, script: str, **variables: str) -> tuple[int, str]:
        done = self.target.run(self.folder, script, "dash", **variables)
        return done.returncode, done.stderr

    def build(self, **variables: str) -> None:
        for script in ("20-network.sh", "30-images.sh", "40-platform.sh", "50-stacks.sh"):
            code, said = self.run(script, **variables)
            assert code == 0, said


def app(**fields: object) -> StackService:
    return StackService(**({"name": "app", "image": "app"} | fields))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[MemoryEngine, Site]]]:
    place = tmp_path_factory.mktemp("labs")
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            engine = stack.enter_context(memory_engine())
            site = Site(engine.url, stack.enter_context(open_lab(place)))
            stack.callback(site.close)
            made.append((engine, site))
        yield made


@pytest.fixture
def bench(engines: list[tuple[MemoryEngine, Site]], tmp_path: Path) -> Bench:
    for engine, site in engines:
        for table in (engine.containers, engine.images, engine.networks, engine.volumes, engine.files):
            table.clear()
        site.lab.wipe()
    (engine, source), (other, target) = engines
    return Bench(engine, source, other, target, tmp_path / "folder")


# What cannot be written down ---------------------------------------------------------------------------------


def test_a_stack_in_the_middle_of_an_upgrade_is_refused(bench: Bench) -> None:
    bench.deploy(app())
    bench.deploy(app(command=("other",)))

    with pytest.raises(Refused, match=r"upgrade.*cities-master-0a1b2c3d"):
        bench.write()


def test_what_no_definition_can_say_is_named(bench: Bench) -> None:
    bench.deploy()
    next(iter(bench.engine.containers.values()))["HostConfig"]["PidMode"] = "host"

    with pytest.raises(Refused, match=r"cities-master-0a1b2c3d.app.1-.* has PidMode 'host'"):
        bench.write()


def test_containers_of_a_service_that_differ_are_named(bench: Bench) -> None:
    bench.deploy(app(scale=2))
    list(bench.engine.containers.values())[1]["HostConfig"]["Memory"] = 64 << 20

    with pytest.raises(Refused, match="is not like the other containers of app"):
        bench.write()


def test_an_undeclared_credential_is_refused_by_service_and_key_and_never_shown(bench: Bench) -> None:
    url = "postgres://app:hunter2@db/x"
    bench.deploy(app(environment={"DB": url, "API_KEY": "abcdef"}, labels={"x.token": "t0ken"}))

    with pytest.raises(Refused) as refused:
        bench.write()

    assert all(f"cities.app.{key}" in refused.value.what for key in ("DB", "API_KEY", "x.token"))
    assert not any(value in str(refused.value) + refused.value.hint for value in ("hunter2", "abcdef", "t0ken"))


def test_a_reference_of_the_remap_file_makes_a_secret_of_it(bench: Bench) -> None:
    bench.deploy(app(environment={"API_KEY": "abcdef"}))
    remap = parse_remap({"credentials": {"cities.app.API_KEY": "NEW_KEY"}}, file="x")

    written = bench.write(remap=remap)

    assert all("abcdef" not in text for text in written.files.values())
    assert "\nNEW_KEY=\n" in written.files["variables.env.example"]
    bench.build(NEW_KEY="it's new")
    assert "API_KEY=it's new" in next(iter(bench.other.containers.values()))["Config"]["Env"]


def test_one_name_with_two_values_becomes_two_variables(bench: Bench) -> None:
    from pipeline.model.interpolate import secret_mark
    from pipeline.model.secret import Secret

    image = bench.engine.add_image("app:1", digest=DIGEST)
    for service, value in (("cities", "one"), ("towns", "two")):
        stack = on_images(make_stack(service, (app(environment={"PW": secret_mark("DB")}),)), {"app": image})
        bench.source.platform.start(stack, {"DB": Secret(value)})

    written = bench.write()

    assert sorted(written.values) == ["CITIES_DB", "TOWNS_DB"]
    bench.build(CITIES_DB="one", TOWNS_DB="two")
    given = {one["Name"][1:7]: one["Config"]["Env"] for one in bench.other.containers.values()}
    assert given == {"cities": ["PW=one"], "towns-": ["PW=two"]}


def test_an_image_that_its_registry_has_lost_is_named(bench: Bench) -> None:
    bench.deploy()
    estate = flow.listed(bench.source.sources, Wish())
    from dataclasses import replace

    sources = replace(bench.source.sources, lost=lambda wanted: tuple(f"{h}/{o}" for h, s in wanted.items() for o in s))

    with pytest.raises(Failed, match=f"the registry has lost {DIGEST}") as failed:
        flow.written(estate, sources, Wish(), lambda *_: "", TEXTS)
    assert "--with-images" in failed.value.hint


def test_an_image_that_is_only_here_is_refused_and_carried_on_request(bench: Bench) -> None:
    image = bench.engine.add_image("local:1")
    bench.source.platform.start(on_images(make_stack("cities", (app(),)), {"app": image}), {})

    with pytest.raises(Refused, match=r"cities.app are only on this engine"):
        bench.write(images=False)
    bench.write(images=True)


def test_a_volume_that_changes_while_it_is_read_is_refused(bench: Bench) -> None:
    bench.deploy(app(mounts=(Mount(source="data", target="/data"),)))
    estate = flow.listed(bench.source.sources, Wish())
    sums = iter(["image", "first", "second"])

    with pytest.raises(Refused, match=r"cities-stage-data changes while it is read; cities-master-0a1b2c3d.app.1-"):
        flow.written(estate, bench.source.sources, Wish(images=True, data=True), lambda *_: next(sums), TEXTS)


def test_what_came_while_it_was_listed_makes_the_counts_fail(bench: Bench) -> None:
    from dataclasses import replace

    bench.deploy()
    estate = flow.listed(bench.source.sources, Wish())
    inventory = replace(estate.sealed.inventory, listed={"containers": 2, "volumes": 0})
    estate = replace(estate, sealed=replace(estate.sealed, inventory=inventory))

    with pytest.raises(Failed, match="2 containers are listed, 1 would be written down and 0 left out"):
        flow.written(estate, bench.source.sources, Wish(images=True), lambda *_: "", TEXTS)


def test_a_container_beside_the_stacks_is_counted_with_its_reason(bench: Bench) -> None:
    bench.deploy()
    body = {"Image": "app:1", "Labels": {}, "HostConfig": {"NetworkMode": "pipeline-stage"}}
    bench.engine.create("by-hand", body)

    document = json.loads(bench.write().files["environment.json"])

    excluded = [{"reason": "this toolkit did not make it", "count": 1, "names": ["by-hand"]}]
    assert document["counts"]["containers"] == {"listed": 2, "exported": 1, "excluded": excluded}


def test_a_gateway_of_another_environment_is_not_written_down(bench: Bench) -> None:
    bench.deploy()
    body = {"name": "s", "host": "x.example", "port": 80, "protocol": "http", "tags": ["pipeline", "env.production"]}
    bench.source.lab.gateway._admin.write("PUT", ("services", SERVICE), body)

    with pytest.raises(Refused, match="carries the environment production, and stage was asked for"):
        bench.write()


def test_a_route_to_what_no_script_makes_is_named(bench: Bench) -> None:
    bench.deploy()
    bench.route()
    bench.route(host="proxy.by-hand-1", path="/old")

    remarks = bench.write().remarks

    assert "these scripts do not make where these routes lead: r1 (http://proxy.by-hand-1:80)" in remarks


# Same estate, same bytes -------------------------------------------------------------------------------------


def test_the_same_estate_gives_the_same_bytes(bench: Bench) -> None:
    bench.deploy()
    bench.route()

    assert bench.write().files == bench.write().files


def test_a_change_of_one_variable_changes_the_stacks_files_and_no_other(bench: Bench) -> None:
    bench.deploy(app(environment={"A": "1"}))
    bench.route()
    before = bench.write().files
    next(iter(bench.engine.containers.values()))["Config"]["Env"] = ["A=2"]

    after = bench.write().files

    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    stack = "stacks/cities-master-0a1b2c3d"
    own = {f"{stack}/containers.sh", f"{stack}/docker-compose.yml", "environment.json", "SHA256SUMS", "70-verify.sh"}
    assert changed == own
    told = drift(after, lambda name: before[name].encode(), sums(before), where="x")
    assert told == ('stack cities-master-0a1b2c3d: services.app.environment.A was "1", is "2"',)


def sums(files: dict[str, str] | object) -> dict[str, str]:
    from pipeline.model.bootstrap_drift import sums_of

    assert isinstance(files, dict)
    return sums_of({path: text.encode() for path, text in files.items()})


# What a remap does -------------------------------------------------------------------------------------------


def test_a_remap_moves_what_it_names_and_lists_what_still_names_the_old_place(bench: Bench) -> None:
    environment = {"PUBLIC": "https://api.old.example/x", "PEER": "old.example.evil.com", "DB": "10.0.0.5:5432"}
    bench.deploy(app(environment=environment, mounts=(Mount(source="/srv/data/x", target="/d"),)))
    bench.route(hosts="www.old.example")
    remap = {
        "domains": {"old.example": "new.example"},
        "addresses": {"10.0.0.5": "10.9.0.5"},
        "volumes": {"/srv/data": "/mnt"},
        "registry": {"registry.example": "registry.new"},
        "urls": {"http://nobody": "http://somebody"},
    }

    written = bench.write(images=False, remap=parse_remap(remap, file="x"))

    compose = written.files["stacks/cities-master-0a1b2c3d/docker-compose.yml"]
    assert "https://api.new.example/x" in compose
    assert "10.9.0.5:5432" in compose
    assert "/mnt/x:/d" in compose
    assert DIGEST.replace("registry.example", "registry.new") in written.files["30-images.sh"]
    assert "www.new.example" in written.files["60-gateway.sh"]
    assert "still names the old place: cities.app.environment.PEER: old.example" in written.remarks
    assert "nothing had this entry of the remap file: urls.http://nobody" in written.remarks


def test_a_remap_that_makes_two_routes_equal_is_refused(bench: Bench) -> None:
    bench.deploy()
    bench.route(hosts="a.old")
    bench.route(hosts="b.old")
    remap = parse_remap({"domains": {"a.old": "x.new", "b.old": "x.new"}}, file="x")

    with pytest.raises(Refused, match="makes routes equal: r0, r1"):
        bench.write(remap=remap)


# What may be wrong where scripts run -------------------------------------------------------------------------


def test_a_missing_variable_is_named_before_anything_is_done(bench: Bench) -> None:
    from pipeline.model.interpolate import secret_mark

    bench.deploy(app(environment={"PW": secret_mark("ALPHA")}))
    bench.write()

    code, said = bench.run("50-stacks.sh")

    assert code == 3
    assert "not set: ALPHA" in said
    assert not bench.other.containers


def test_a_target_that_holds_half_of_it_gets_the_other_half(bench: Bench) -> None:
    bench.deploy(app(), app(name="db"))
    bench.write()
    bench.build()
    gone = next(one for one in bench.other.containers.values() if ".db." in one["Name"])
    kept = {one["Id"] for one in bench.other.containers.values()} - {gone["Id"]}
    bench.other.remove(gone)

    bench.build()

    assert len(bench.other.containers) == 2
    assert kept < set(bench.other.containers)


def test_a_container_from_an_older_folder_is_made_anew_and_told(bench: Bench) -> None:
    bench.deploy(app(environment={"A": "1"}))
    bench.write()
    bench.build()
    next(iter(bench.engine.containers.values()))["Config"]["Env"] = ["A=2"]
    bench.write()

    code, said = bench.run("50-stacks.sh")

    assert code == 0, said
    assert "made from an older call, made anew" in said
    assert [one["Config"]["Env"] for one in bench.other.containers.values()] == [["A=2"]]


@pytest.mark.parametrize(
    ("script", "make"),
    [
        ("20-network.sh", "network"),
        ("40-platform.sh", "volume"),
        ("50-stacks.sh", "container"),
    ],
)
def test_what_belongs_to_somebody_else_is_refused_by_name(bench: Bench, script: str, make: str) -> None:
    bench.deploy(app(mounts=(Mount(source="data", target="/data"),)))
    bench.write()
    labels = {"pipeline.environment": "other"}
    name = next(iter(bench.engine.containers.values()))["Name"][1:]
    bench.other.add_image("app:1", digest=DIGEST)
    if make == "network":
        bench.other.networks["pipeline-stage"] = {"Name": "pipeline-stage", "Id": "1", "Labels": labels, "Driver": "x"}
    elif make == "volume":
        bench.other.make_volume({"Name": "cities-stage-data", "Labels": labels})
    else:
        bench.other.create(name, {"Image": "app:1", "Labels": labels})

    code, said = bench.run(script)

    assert code == 4, said
    assert {"network": "pipeline-stage", "volume": "cities-stage-data", "container": name}[make] in said


def test_a_changed_archive_is_refused(bench: Bench) -> None:
    bench.deploy()
    bench.write()
    archive = next((bench.folder / "images").iterdir())
    archive.write_bytes(archive.read_bytes() + b" ")

    code, said = bench.run("30-images.sh")

    assert code == 4
    assert archive.name in said
    assert not bench.other.images


def test_verification_names_each_difference_in_one_document(bench: Bench) -> None:
    bench.deploy(app(mounts=(Mount(source="data", target="/data"),)), app(name="db"), app(name="web"))
    bench.route()
    bench.write()
    bench.build()
    first, second, third = bench.other.containers.values()
    bench.other.remove(first)
    second["State"] |= {"Status": "exited", "ExitCode": 137}
    third["Config"]["Labels"]["pipeline.bootstrap"] = "another"
    extra = {"Image": "app:1", "Labels": {"pipeline.environment": "stage", "pipeline.stack": "x"}}
    bench.other.create("extra", extra)
    bench.other.volumes.clear()

    done = bench.target.run(bench.folder, "70-verify.sh", "dash")

    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["differences"] == [
        "volume cities-stage-data is missing",
        f"container {first['Name'][1:]} is missing",
        f"container {second['Name'][1:]} does not run: exited with 137",
        f"container {third['Name'][1:]} was made from another call than this folder's",
        "container extra is in no script",
        "the gateway has no routes r0",
        "the gateway has no services s0",
    ]
    assert found["not_compared"] == ["routes: KONG_PROXY_URL is not set"]


def test_an_engine_that_does_not_answer_is_told_with_5(bench: Bench) -> None:
    bench.deploy()
    bench.write()

    done = bench.target.run(bench.folder, "50-stacks.sh", "dash", DOCKER_HOST="tcp://127.0.0.1:1")

    assert done.returncode == 5
    assert "tcp://127.0.0.1:1 does not answer" in done.stderr


@pytest.mark.parametrize("shell", sorted(SHELLS))
def test_ten_megabytes_of_variables_arrive_whole(bench: Bench, shell: str) -> None:
    large = {f"V{index}": f"'\"$\\`\n{index}" + "x" * 500_000 for index in range(20)}
    bench.deploy(app(environment=large))
    bench.write()
    for script in ("20-network.sh", "30-images.sh", "50-stacks.sh"):
        done = bench.target.run(bench.folder, script, shell)
        assert done.returncode == 0, done.stderr[:2000]

    (made,) = bench.other.containers.values()
    assert dict(text.split("=", 1) for text in made["Config"]["Env"]) == large
