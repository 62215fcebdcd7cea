"""`invoke dump` and `invoke restore` as they are typed, against a lab gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyrage
import pytest
import yaml

from tests.contracts.test_gateways_recorded import Answer, Replay, replay
from tests.contracts.whole_gateways import Draft, Open, open_lab, secrets_of, steady

__all__ = ["replay"]
TAGS = ["pipeline", "env.local", "service.a"]
S, R, C, K, B = (f"00000000-0000-4000-8000-00000000000{number}" for number in range(5))
DRAFTS: list[Draft] = [
    ("services", S, {"name": "a", "host": "h", "tags": TAGS}),
    ("routes", R, {"name": "a", "paths": ["/a"], "service": {"id": S}}),
    ("consumers", C, {"username": "ann"}),
    ("key-auths", K, {"key": "very-s3cret", "consumer": {"id": C}}),
]
BASIC: Draft = ("basic-auths", B, {"username": "ann", "password": "hunter2hunter2", "consumer": {"id": C}})
INVOKE = str(Path(sys.executable).parent / "invoke")


@dataclass(frozen=True)
class Scene:
    """A repository, a lab gateway, and what is typed there."""

    opened: Open
    folder: Path
    identity: pyrage.x25519.Identity

    def invoke(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "KONG_ADMIN_URL": self.opened.url}
        command = [INVOKE, *words]
        return subprocess.run(
            command, cwd=self.folder, env=environ | variables, capture_output=True, text=True, timeout=60
        )

    @property
    def secret(self) -> dict[str, str]:
        return {name: value.reveal() for name, value in secrets_of(self.opened.gateway.dump()).items()}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    with open_lab(tmp_path_factory.mktemp("verbs")) as opened:
        yield opened


@pytest.fixture
def scene(opened: Open, tmp_path: Path) -> Scene:
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "tasks.py").write_text("from pipeline.tasks import ns\n")
    settings = {"pipeline": {"age_recipients": [str(identity.to_public())], "environments": {"stage": {}}}}
    (tmp_path / "invoke.yaml").write_text(yaml.safe_dump(settings))
    opened.make(DRAFTS)
    return Scene(opened, tmp_path, identity)


@pytest.mark.parametrize("form", ["sh", "json", "deck"])
def test_a_lost_gateway_comes_back_from_its_dump(form: str, scene: Scene) -> None:
    before, secret = scene.opened.gateway.dump(), scene.secret
    dumped = scene.invoke("dump", "--format", form, "--output", "gateway.dump")
    scene.opened.wipe()

    checked = scene.invoke("restore", "gateway.dump", "--check", **secret)
    untouched = scene.opened.gateway.dump().entities
    restored = scene.invoke("restore", "gateway.dump", **secret)
    again = scene.invoke("restore", "gateway.dump", **secret)
    checked_again = scene.invoke("restore", "gateway.dump", "--check", **secret)

    assert (dumped.returncode, checked.returncode, untouched) == (0, 2, ()), dumped.stderr + checked.stderr
    assert "create routes a: the gateway does not have it" in checked.stderr
    assert restored.returncode == 0, restored.stderr
    assert "created 4, changed 0, deleted 0, put back 0, left 0, refused 0" in restored.stderr
    assert steady(scene.opened.gateway.dump()) == steady(before)
    assert again.returncode == checked_again.returncode == 0
    assert "created 0, changed 0" in again.stderr
    assert "the gateway is as the file says" in checked_again.stderr
    for ran in (dumped, checked, restored, again):
        assert "very-s3cret" not in ran.stdout + ran.stderr
    assert "very-s3cret" not in (scene.folder / "gateway.dump").read_text()


def test_secrets_go_to_those_who_may_restore_and_come_back_from_their_file(scene: Scene) -> None:
    dumped = scene.invoke("dump", "--output", "artifacts/kong.0a1b2c3d.sh", "--with-secrets")
    sealed = scene.folder / "artifacts" / "kong.0a1b2c3d.secrets.age"
    scene.opened.wipe()
    words = ("restore", "artifacts/kong.0a1b2c3d.sh", "--secrets")

    still_sealed = scene.invoke(*words, str(sealed))
    clear = scene.folder / "secrets"
    clear.write_bytes(pyrage.decrypt(sealed.read_bytes(), [scene.identity]))
    restored = scene.invoke(*words, "secrets")

    assert dumped.returncode == 0, dumped.stderr
    assert b"very-s3cret" not in sealed.read_bytes()
    assert sealed.stat().st_mode & 0o777 == 0o600
    assert still_sealed.returncode == 3
    assert "age -d -i KEY" in still_sealed.stderr
    assert restored.returncode == 0, restored.stderr


def test_secrets_that_are_missing_are_named_before_anything_is_written(scene: Scene) -> None:
    scene.invoke("dump", "--output", "gateway.sh")
    scene.opened.wipe()

    ran = scene.invoke("restore", "gateway.sh")

    assert ran.returncode == 3
    assert "KONG_SECRET_KEY_AUTH_ANN_00000000" in ran.stderr
    assert scene.opened.gateway.dump().entities == ()


def test_a_key_that_is_taken_is_refused_without_showing_it(scene: Scene) -> None:
    secret = scene.secret
    scene.invoke("dump", "--format", "json", "--output", "gateway.json")
    taken: Draft = ("key-auths", B, {"key": "very-s3cret", "consumer": {"id": C}})
    scene.opened.make([*DRAFTS[:2], ("consumers", C, {"username": "other"}), taken])

    ran = scene.invoke(
        "restore", "gateway.json", "--keep-going", **secret | {"KONG_SECRET_KEY_AUTH_ANN_00000000": "very-s3cret"}
    )

    assert "very-s3cret" not in ran.stdout + ran.stderr


def test_a_hashed_password_is_refused_until_a_new_one_is_given(scene: Scene) -> None:
    scene.opened.make([*DRAFTS, BASIC])
    secret = scene.secret
    scene.invoke("dump", "--output", "gateway.sh")
    scene.opened.wipe()

    refused = scene.invoke("restore", "gateway.sh", **secret)
    checked = scene.invoke("restore", "gateway.sh", "--check", **secret)
    issued = scene.invoke("restore", "gateway.sh", KONG_SECRET_BASIC_AUTH_ANN_00000000="new", **secret)
    again = scene.invoke("restore", "gateway.sh", **secret)

    assert refused.returncode == 1
    assert "refused 1" in refused.stderr
    assert checked.returncode == 2
    assert "the gateway is as the file says but for 1 that cannot be restored" in checked.stderr
    assert "KONG_SECRET_BASIC_AUTH_ANN_00000000" in refused.stderr
    assert (issued.returncode, again.returncode) == (0, 0), issued.stderr
    assert "created 1" in issued.stderr
    assert "created 0" in again.stderr


def test_a_file_of_kongs_own_holds_the_hash_and_says_that_it_is_one(scene: Scene) -> None:
    scene.opened.make([*DRAFTS, BASIC])
    (hashed,) = scene.opened.gateway.dump().of("basic-auths")

    ran = scene.invoke("dump", "--format", "declarative", "--output", "kong.yaml.age")

    assert ran.returncode == 0, ran.stderr
    content = yaml.safe_load(pyrage.decrypt((scene.folder / "kong.yaml.age").read_bytes(), [scene.identity]))
    assert (content["_format_version"], content["_transform"]) == ("2.1", False)
    assert content["basicauth_credentials"][0]["password"] == hashed.body["password"].reveal()  # type: ignore[attr-defined]
    assert content["keyauth_credentials"][0]["consumer"] == C
    assert content["routes"][0]["service"] == S


def test_the_newest_artifact_of_the_environment_is_found(scene: Scene) -> None:
    secret = scene.secret
    for number, (version, host) in enumerate((("11111111", "one"), ("22222222", "two"), ("33333333", "three"))):
        scene.opened.gateway._admin.write("PATCH", ("services", S), {"host": host})
        path = scene.folder / "artifacts" / f"createKongApi.{version}.sh"
        scene.invoke("dump", "--output", str(path))
        if host == "three":
            path.write_text(path.read_text().replace("environment local,", "environment stage,"))
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    scene.opened.wipe()

    ran = scene.invoke("restore", "--latest", **secret)

    assert ran.returncode == 0, ran.stderr
    assert "createKongApi.22222222.sh" in ran.stderr
    assert scene.opened.gateway.dump().of("services")[0].body["host"] == "two"


def test_exact_deletes_what_is_ours_and_all_the_rest_too(scene: Scene) -> None:
    secret = scene.secret
    scene.invoke("dump", "--format", "json", "--output", "gateway.json")
    added: list[Draft] = [
        ("services", B, {"name": "ours", "host": "h", "tags": TAGS}),
        ("consumers", R, {"username": "x"}),
    ]
    scene.opened.make([*DRAFTS, *added])

    kept = scene.invoke("restore", "gateway.json", "--check", **secret)
    exact = scene.invoke("restore", "gateway.json", "--exact", **secret)
    everything = scene.invoke("restore", "gateway.json", "--exact", "--all", **secret)

    assert "delete" not in kept.stderr
    assert "deleted 1" in exact.stderr
    assert "deleted 1" in everything.stderr
    assert len(scene.opened.gateway.dump().entities) == len(DRAFTS)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("restore", "x", "--latest"), 3, "two things"),
        (("restore", "none.sh"), 3, "none.sh: No such file"),
        (("restore", "--latest"), 3, "no restore artifact of local"),
        (("restore", "invoke.yaml"), 3, "has no _format_version"),
        (("restore", "x", "--all"), 3, "--all says what --exact may delete"),
        (("dump", "--format", "xml"), 3, "'xml' is not known"),
        (("dump", "--format", "declarative"), 3, "Name an --output"),
    ],
)
def test_what_cannot_be_meant_is_bad_input(words: tuple[str, ...], code: int, told: str, scene: Scene) -> None:
    ran = scene.invoke(*words)

    assert ran.returncode == code
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) == 2


def test_without_recipients_no_secret_is_written(scene: Scene) -> None:
    (scene.folder / "invoke.yaml").write_text("pipeline: {}\n")

    for words in (("--with-secrets",), ("--format", "declarative", "--output", "x")):
        ran = scene.invoke("dump", *words)

        assert ran.returncode == 3
        assert "age_recipients" in ran.stderr


def test_another_environments_file_and_gateway_are_refused_unless_forced(scene: Scene) -> None:
    secret = scene.secret
    scene.invoke("dump", "--format", "json", "--output", "gateway.json")
    document = json.loads((scene.folder / "gateway.json").read_text())
    (scene.folder / "stage.json").write_text(json.dumps(document | {"environment": "stage"}))
    scene.opened.make([("services", S, {"name": "a", "host": "x", "tags": ["pipeline", "env.other", "service.a"]})])
    before = scene.opened.gateway.dump()

    for file in ("gateway.json", "stage.json"):
        refused = scene.invoke("restore", file, **secret)
        assert refused.returncode == 4, refused.stderr
        assert scene.opened.gateway.dump() == before
    assert scene.invoke("restore", "stage.json", "--force", **secret).returncode == 0


def test_a_gateway_that_is_not_there_is_unreachable(scene: Scene) -> None:
    scene.invoke("dump", "--format", "json", "--output", "gateway.json")

    ran = scene.invoke("restore", "gateway.json", **scene.secret | {"KONG_ADMIN_URL": "http://127.0.0.1:9"})

    assert ran.returncode == 5


@pytest.mark.parametrize("words", [(), ("-e", "local"), ("--environment=local", "--check"), ("--secrets", "file")])
def test_a_restore_without_a_file_says_what_to_name(words: tuple[str, ...], scene: Scene) -> None:
    done = scene.invoke("restore", *words)

    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "error: no file was named to restore from",
        "next:  `invoke restore FILE`, or `invoke restore --latest` for the newest one in artifacts/.",
    ]


@pytest.mark.parametrize("words", [(), ("--check",)])
def test_a_kong_without_a_database_is_refused_before_anything_is_planned_aloud(
    words: tuple[str, ...], scene: Scene, replay: Replay
) -> None:
    scene.invoke("dump", "--output", "gateway.sh")
    replay.answers["GET /"] = Answer(body={"version": "2.8.5", "configuration": {"database": "off"}})
    for listing in ("services?size=1000", "routes?size=1000", "services?size=1000&tags=pipeline"):
        replay.answers[f"GET /{listing}"] = Answer(body={"data": [], "next": None})

    done = scene.invoke("restore", "gateway.sh", *words, **scene.secret | {"KONG_ADMIN_URL": replay.url})

    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 2
    assert "runs without a database" in done.stderr


def test_help_after_the_task_is_help_and_no_file(scene: Scene) -> None:
    done = scene.invoke("restore", "--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert "--latest" in done.stdout


def test_a_file_that_is_not_there_is_told_before_the_gateway_is_asked(scene: Scene) -> None:
    done = scene.invoke("restore", "none.sh", KONG_ADMIN_URL="http://127.0.0.1:1")

    assert done.returncode == 3
    assert "none.sh" in done.stderr
