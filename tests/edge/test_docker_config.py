"""The docker command's configuration as it is found, and the private copy that a docker command of ours gets."""

from __future__ import annotations

import base64
import json
import os
import stat
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.edge.docker_config import NO_LOGIN, Login, Logins, docker_config_for
from pipeline.errors import BadInput
from pipeline.model.address import RegistryAddress
from pipeline.model.secret import Secret

HOST = "registry.example.com:5000"
INDEX = "https://some.docker.io/v1/"


class Home:
    """A user's home with a configuration of the docker command and credential helpers on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / ".docker" / "config.json"
        self.variables: dict[str, str] = {}
        (folder / ".docker").mkdir()
        (folder / "bin").mkdir()

    @property
    def environ(self) -> dict[str, str]:
        return {"HOME": str(self.folder), "PATH": f"{self.folder}/bin:{os.environ['PATH']}", **self.variables}

    def write(self, **config: Any) -> None:
        self.config.write_text(json.dumps(config))

    def helper(self, name: str, script: str) -> None:
        """A program that notes each server that it was asked for."""
        path = self.folder / "bin" / f"docker-credential-{name}"
        path.write_text(f'#!/bin/sh\nread -r server\necho "$1 $server" >> {self.folder}/{name}.asked\n{script}\n')
        path.chmod(0o755)

    def asked(self, name: str) -> list[str]:
        path = self.folder / f"{name}.asked"
        return path.read_text().splitlines() if path.exists() else []

    def of(self, registry: str, *own: RegistryAddress, seconds: float = 30.0) -> Login:
        return Logins(own, self.environ, index=lambda: INDEX, helper_seconds=seconds).of(registry)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def auth(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def user(name: str, password: str = "secret") -> Login:
    return Login(user=name, password=Secret(password))


def answer(name: str, secret: str) -> str:
    return f"""echo '{{"ServerURL": "x", "Username": "{name}", "Secret": "{secret}"}}'"""


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": auth("ci", "se:cret")}, user("ci", "se:cret")),
        ({"username": "ci", "password": "secret"}, user("ci")),
        ({"auth": auth("ci", "secret\0\0")}, user("ci")),
        ({"auth": auth("ci", ""), "identitytoken": "t"}, Login(user="ci", identity_token=Secret("t"))),
        ({}, NO_LOGIN),
    ],
)
def test_an_entry_of_auths_is_a_login(home: Home, entry: Mapping[str, str], expected: Login) -> None:
    home.write(auths={HOST: entry})

    assert home.of(HOST) == expected


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"https://{HOST}/v2/", f"http://{HOST}/", f"{HOST}/group"])
def test_a_key_may_have_a_scheme_and_a_path(home: Home, key: str) -> None:
    home.write(auths={key: {"auth": auth("ci", "secret")}})

    assert home.of(HOST) == user("ci")
    assert home.of("registry.example.com") == NO_LOGIN


def test_the_registry_s_own_key_wins_over_one_with_a_path(home: Home) -> None:
    home.write(auths={f"{HOST}/a": {"auth": auth("a", "secret")}, HOST: {"auth": auth("ci", "secret")}})

    assert home.of(HOST) == user("ci")


@pytest.mark.parametrize("registry", ["", "docker.io"])
@pytest.mark.parametrize("key", [INDEX, "docker.io", "some.docker.io"])
def test_docker_io_goes_by_any_of_its_names(home: Home, registry: str, key: str) -> None:
    home.write(auths={key: {"auth": auth("ci", "secret")}})

    assert home.of(registry) == user("ci")


def test_without_a_configuration_nobody_is_logged_in(home: Home) -> None:
    assert home.of(HOST) == NO_LOGIN
    assert NO_LOGIN.for_engine() == {}


def test_settings_come_before_the_variable_and_that_before_the_file(home: Home) -> None:
    home.write(auths={HOST: {"auth": auth("file", "secret")}, "b": {"auth": auth("file", "secret")}})
    home.variables["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {HOST: {"auth": auth("variable", "secret")}}})
    own = RegistryAddress(host=HOST, user="settings", password=Secret("secret"))

    assert home.of(HOST, own) == user("settings")
    assert home.of(HOST) == user("variable")
    assert home.of("b", own) == user("file")


def test_docker_config_names_another_folder(home: Home) -> None:
    (home.folder / "other").mkdir()
    home.variables["DOCKER_CONFIG"] = str(home.folder / "other")
    (home.folder / "other" / "config.json").write_text(json.dumps({"auths": {HOST: {"auth": auth("ci", "secret")}}}))

    assert home.of(HOST) == user("ci")


def test_a_registry_s_helper_is_asked_before_the_store_and_the_entries(home: Home) -> None:
    home.helper("one", answer("one", "secret"))
    home.helper("store", answer("store", "secret"))
    home.write(credHelpers={HOST: "one"}, credsStore="store", auths={HOST: {"auth": auth("file", "secret")}})

    assert home.of(HOST) == user("one")
    assert home.of("other.example.com") == user("store")
    assert home.of("") == user("store")
    assert home.asked("one") == [f"get {HOST}"]
    assert home.asked("store") == ["get other.example.com", f"get {INDEX}"]


def test_a_helper_is_asked_once_for_a_registry(home: Home) -> None:
    home.helper("one", answer("one", "secret"))
    home.write(credsStore="one")
    logins = Logins((), home.environ)

    assert logins.of(HOST) == logins.of(HOST) == user("one")
    assert home.asked("one") == [f"get {HOST}"]


def test_a_helper_may_give_an_identity_token(home: Home) -> None:
    home.helper("one", answer("<token>", "t"))
    home.write(credsStore="one")

    assert home.of(HOST).for_engine() == {"identitytoken": "t"}


def test_a_helper_that_knows_nothing_leaves_it_to_the_entries(home: Home) -> None:
    home.helper("one", "echo credentials not found in native keychain; exit 1")
    home.write(credsStore="one", auths={HOST: {"auth": auth("ci", "secret")}})

    assert home.of(HOST) == user("ci")
    assert home.of("other.example.com") == NO_LOGIN


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (None, "cannot be run: No such file or directory"),
        ("echo hunter2; exit 3", "failed with exit code 3"),
        ("echo hunter2", "printed what is no login"),
        ("""echo '{"Username": "hunter2"}'""", "printed what is no login"),
        ("""echo '{"Username": 1, "Secret": "hunter2"}'""", "printed what is no login"),
        ("echo hunter2; sleep 60 & sleep 60", "did not answer within 0.3 s"),
    ],
)
def test_a_helper_that_fails_is_named_with_the_registry_and_not_quoted(
    home: Home, script: str | None, words: str
) -> None:
    if script is not None:
        home.helper("one", script)
    home.write(credsStore="one")

    with pytest.raises(BadInput) as failed:
        home.of(HOST, seconds=0.3 if "within" in words else 30.0)

    assert str(failed.value) == (
        f"the credential helper docker-credential-one, which {home.config} names for {HOST}, {words}"
    )
    assert failed.value.hint
    assert "hunter2" not in "".join(traceback.format_exception(failed.value))


def test_a_helper_that_hangs_is_ended_with_its_children(home: Home) -> None:
    home.helper("one", f"sleep 60 & echo $! > {home.folder}/child; sleep 60")
    home.write(credsStore="one")

    with pytest.raises(BadInput, match="did not answer"):
        home.of(HOST, seconds=2.0)

    child = Path(f"/proc/{(home.folder / 'child').read_text().strip()}/stat")
    assert soon(lambda: not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z")


def soon(check: Callable[[], bool]) -> bool:
    """What the system does after a signal takes it a moment."""
    for _ in range(200):
        if check():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hunter2", "is no JSON object"),
        ('["hunter2"]', "is no JSON object"),
        ('{"auths": ["hunter2"]}', "auths should be an object"),
        (f'{{"auths": {{"{HOST}": "hunter2"}}}}', f"auths.{HOST} should be an object"),
        (f'{{"auths": {{"{HOST}": {{"auth": "hunter2!"}}}}}}', f"auths.{HOST}.auth should be user:password in base64"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_named_and_not_quoted(home: Home, text: str, words: str) -> None:
    home.config.write_text(text)

    with pytest.raises(BadInput) as failed:
        home.of(HOST)

    assert str(failed.value) == f"{home.config}: {words}"
    assert "hunter2" not in "".join(traceback.format_exception(failed.value))


def test_a_login_does_not_show_what_it_holds() -> None:
    login = Login(user="ci", password=Secret("hunter2"), identity_token=Secret("hunter2"))

    assert "hunter2" not in f"{login!r} {login}"


OWN = RegistryAddress(host=HOST, user="settings", password=Secret("secret"))


def test_a_command_s_configuration_is_the_user_s_with_our_logins(home: Home) -> None:
    home.write(
        auths={f"https://{HOST}/v1/": {"auth": "old"}, "b": {"auth": auth("b", "secret")}},
        credHelpers={"c": "one"},
        credsStore="store",
        proxies={"default": {"httpProxy": "http://proxy.example.com"}},
        currentContext="far",
    )

    with docker_config_for([OWN], home.environ, index=INDEX) as environ:
        found = json.loads(Path(environ["DOCKER_CONFIG"], "config.json").read_text())

    assert found == {
        "auths": {"b": {"auth": auth("b", "secret")}, HOST: {"auth": auth("settings", "secret")}},
        "credHelpers": {"c": "one", HOST: ""},
        "credsStore": "store",
        "proxies": {"default": {"httpProxy": "http://proxy.example.com"}},
        "currentContext": "far",
    }
    assert environ == {**home.environ, "DOCKER_CONFIG": environ["DOCKER_CONFIG"]}


def test_the_variable_s_logins_go_into_the_file_and_the_variable_goes(home: Home) -> None:
    home.write(credsStore="store", auths={HOST: {"auth": auth("file", "secret")}})
    entries = {f"https://{HOST}": {"auth": auth("variable", "secret")}, "empty.example.com": {}}
    home.variables["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": entries})
    docker_io = RegistryAddress(host="docker.io", user="hub", password=Secret("secret"))

    with docker_config_for([docker_io], home.environ, index=INDEX) as environ:
        found = json.loads(Path(environ["DOCKER_CONFIG"], "config.json").read_text())

    assert found["auths"][HOST] == {"auth": auth("variable", "secret")}
    assert found["auths"][INDEX] == {"auth": auth("hub", "secret")}
    assert found["credHelpers"] == {HOST: "", INDEX: ""}
    assert "DOCKER_AUTH_CONFIG" not in environ


def test_a_command_s_configuration_is_private_and_finds_what_else_the_user_has(home: Home) -> None:
    plugin = home.folder / ".docker" / "cli-plugins" / "docker-buildx"
    for path in (plugin, home.folder / ".docker" / "contexts" / "meta" / "x", home.folder / ".docker" / "ca.pem"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("here")
    home.write(auths={})
    before = home.config.read_bytes()

    with docker_config_for([OWN], home.environ) as environ:
        folder = Path(environ["DOCKER_CONFIG"])
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "config.json")]
        found = [(folder / name).read_text() for name in ("cli-plugins/docker-buildx", "contexts/meta/x", "ca.pem")]

    assert modes == [0o700, 0o600]
    assert found == ["here", "here", "here"]
    assert not folder.exists()
    assert plugin.read_text() == "here"
    assert home.config.read_bytes() == before


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_command_s_configuration_is_gone_however_the_command_ends(home: Home, end: type[BaseException]) -> None:
    folders: list[Path] = []

    def run() -> None:
        with docker_config_for([OWN], home.environ) as environ:
            folders.append(Path(environ["DOCKER_CONFIG"]))
            raise end

    with pytest.raises(end):
        run()

    assert not folders[0].exists()


def test_without_a_configuration_of_the_user_s_there_is_only_ours(tmp_path: Path) -> None:
    with docker_config_for([OWN], {"HOME": str(tmp_path)}) as environ:
        assert os.listdir(environ["DOCKER_CONFIG"]) == ["config.json"]
