from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.edge.library import shell_library
from pipeline.model.restore_script import ScriptHeader, restore_script
from pipeline.model.route import Entity, Excluded, GatewayIdentity, GatewayState
from pipeline.model.secret import Secret

SHELL_NAMES = ("bash", "busybox", "dash")
LIBRARY = Path(__file__).parents[2] / "pipeline" / "shell" / "lib.sh"
HEADER = ScriptHeader(
    subject="the whole gateway", file="restore.sh", tool_version="1", environment="stage", commit="0a1b2c3d"
)
HOSTILE = (
    "'",
    '"',
    "$(touch /tmp/pwned)",
    "`id`",
    "a\nb",
    "\r\n\t\v\f",
    "-n",
    "--config",
    "@/etc/passwd",
    "%s%n%{http_code}",
    "\\",
    "\\n",
    '\\"',
    "日本語 🚀",
    "\x7f\x80\x85\u2028",
    "'\"'\"'",
    "${HOME}",
    "!!",
    "*?[a]",
    "~",
    "#",
    "KONG_CONFIGURATION",
    "\nKONG_CONFIGURATION\n",
    '{"json": "in \\"a\\" string"}',
    "x" * 4096,
    '"' * 1000,
    "'" * 1000,
)


def state(*entities: Entity, excluded: tuple[Excluded, ...] = ()) -> GatewayState:
    identity = GatewayIdentity(product="kong", version="2.8.5", environments=("stage",))
    return GatewayState(identity=identity, entities=entities, excluded=excluded)


def service(name: str = "cities", **body: object) -> Entity:
    fields = {"name": name, "host": "proxy", "tags": ["pipeline", "env.stage"], **body}
    return Entity(kind="services", id=f"id-of-{name}", name=name, body=fields, created_at=1795421317)


def script(*entities: Entity, header: ScriptHeader = HEADER, excluded: tuple[Excluded, ...] = ()) -> str:
    return restore_script(state(*entities, excluded=excluded), header, library=shell_library())


def test_the_library_and_what_is_generated_from_it_are_clean_for_shellcheck(tmp_path: Path) -> None:
    generated = tmp_path / "restore.sh"
    generated.write_text(script(service("it's"), service("$(x)")))

    for file in (LIBRARY, generated):
        done = subprocess.run(["shellcheck", str(file)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_each_entity_is_put_by_its_id_with_its_own_created_at(bench: Any, shell: str) -> None:
    cities = service()
    route = Entity(
        kind="routes", id="r/1", name="", body={"paths": ["/ws"], "service": {"id": cities.id}, "hosts": None}
    )

    done = bench.run(shell, script(route, cities))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "restored 2 entities at http://kong:8001\n"
    first, second = bench.requests()[2:]
    assert first.option("url") == f"http://kong:8001/services/{cities.id}"
    assert first.body == {**cities.body, "created_at": 1795421317}
    assert second.option("url") == "http://kong:8001/routes/r%2F1"
    assert second.body == route.body


@pytest.mark.parametrize("shell_name", SHELL_NAMES)
@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.one_of(st.sampled_from(HOSTILE), st.text()), min_size=1, max_size=8))
def test_hostile_values_arrive_as_they_are(bench: Any, shell_name: str, values: list[str]) -> None:
    entities = [
        Entity(kind="services", id=f"{index}", name=value, body={"name": value, "nested": {value: [value]}})
        for index, value in enumerate(values)
    ]

    done = bench.run(shell_name, script(*entities))

    assert (done.returncode, done.stderr) == (0, "")
    bodies = {request.option("url").rpartition("/")[2]: request.body for request in bench.requests()[2:]}
    assert bodies == {entity.id: entity.body for entity in entities}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_words_of_the_header_stay_comments(bench: Any, hostile: str) -> None:
    header = ScriptHeader(subject=hostile, file=hostile, tool_version=hostile, environment="stage", commit=hostile)

    done = bench.run("dash", script(service(), header=header))

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "restored 1 entities at http://kong:8001\n")


@pytest.mark.parametrize("token", ["s3cret", 'quo"te\\back', "$(id) `id` 'x' %s", "  spaces  "])
def test_a_token_is_on_no_command_line_and_in_no_environment_of_curl(bench: Any, shell: str, token: str) -> None:
    done = bench.run(shell, script(service()), KONG_ADMIN_TOKEN=token)

    assert done.returncode == 0
    for request in bench.requests():
        assert ("header", f"Kong-Admin-Token: {token}") in request.options
        assert token not in request.arguments
        assert token not in request.variables
    assert token not in done.stdout + done.stderr


def test_certificates_are_named_and_no_other_ca_is_trusted(bench: Any, shell: str, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name} '\".pem" for name in ("KONG_CLIENT_CERT", "KONG_CLIENT_KEY", "KONG_CA_CERT")}
    for file in files.values():
        file.write_text("")

    done = bench.run(shell, script(service()), **{name: str(file) for name, file in files.items()})

    assert done.returncode == 0
    request = bench.requests()[0]
    assert request.option("cert") == str(files["KONG_CLIENT_CERT"])
    assert request.option("key") == str(files["KONG_CLIENT_KEY"])
    assert request.option("cacert") == str(files["KONG_CA_CERT"])
    assert request.option("capath") == f"{files['KONG_CA_CERT']}/none"
    assert request.arguments == "--disable --config -"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"KONG_ADMIN_URL": ""}, "KONG_ADMIN_URL is not set"),
        ({"KONG_ADMIN_URL": "kong:8001"}, "KONG_ADMIN_URL is not a URL"),
        ({"KONG_CA_CERT": "/none.pem"}, "KONG_CA_CERT: the file /none.pem cannot be read"),
        ({"KONG_CLIENT_KEY": "/dev/null"}, "KONG_CLIENT_KEY is set, KONG_CLIENT_CERT is not"),
        ({"KONG_ADMIN_TOKEN": "a\nb"}, "a KONG_ variable holds a line end"),
    ],
)
def test_what_is_missing_is_said_before_the_first_request(
    bench: Any, shell: str, variables: dict[str, str], words: str
) -> None:
    done = bench.run(shell, script(service()), **variables)

    assert done.returncode == 3
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert bench.requests() == []


def test_curl_is_missed_before_the_first_request(bench: Any, shell: str, tmp_path: Path) -> None:
    done = bench.run(shell, script(service()), PATH=str(tmp_path))

    assert (done.returncode, done.stderr.splitlines()[0]) == (3, "curl is missing")


def test_the_first_error_ends_it_with_the_entity_and_the_answer(bench: Any, shell: str) -> None:
    done = bench.run(shell, script(service("a"), service("b")), STATUS="409", ANSWER='{"message":"UNIQUE $(x) %s"}')

    assert done.returncode == 1
    assert "services a could not be restored" in done.stderr
    assert 'answered 409: {"message":"UNIQUE $(x) %s"}' in done.stderr
    assert "0 entities are restored" in done.stderr
    assert [request.option("request") for request in bench.requests()] == ["GET", "GET", "PUT", "PUT", "PUT"]


def credential(kind: str, id: str, **fields: object) -> Entity:
    body = {"consumer": {"id": "c"}, **{name: Secret(str(value)) for name, value in fields.items()}}
    return Entity(kind=kind, id=id, name="", body=body, created_at=7)


SECRETS = ("s3cret", "quo\"te\\back's", "$(id) `id` %s", " two\nlines\n", "日本\t\r\x01", "x" * 4096, "-n")


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_arrives_as_it_is_and_on_no_command_line(bench: Any, shell: str, secret: str) -> None:
    text = script(credential("key-auths", "1234", key=secret))

    done = bench.run(shell, text, KONG_SECRET_KEY_AUTH_1234=secret)

    assert (done.returncode, done.stderr) == (0, "")
    requests = bench.requests()
    assert requests[-1].body == {"consumer": {"id": "c"}, "created_at": 7, "key": secret}
    for request in requests:
        assert secret not in request.arguments
        assert secret not in request.variables
    assert secret not in text or secret == "-n"


def test_a_refusal_that_repeats_a_secret_is_not_shown(bench: Any, shell: str) -> None:
    text = script(credential("key-auths", "1", key="a"))

    done = bench.run(shell, text, KONG_SECRET_KEY_AUTH_1="s3cret", STATUS="409", ANSWER="UNIQUE {key=s3cret}")

    assert done.returncode == 1
    assert "key-auths 1 could not be restored" in done.stderr
    assert "s3cret" not in done.stderr + done.stdout


def test_secrets_that_are_missing_are_all_named_before_the_first_request(bench: Any, shell: str) -> None:
    text = script(credential("key-auths", "1", key="a"), credential("jwts", "2", secret="b"))

    done = bench.run(shell, text)

    assert done.returncode == 3
    assert "not set: KONG_SECRET_JWT_2 KONG_SECRET_KEY_AUTH_1" in done.stderr
    assert bench.requests() == []


def test_a_hashed_credential_is_refused_loudly_and_the_rest_goes_on(bench: Any, shell: str) -> None:
    hashed = Entity(kind="basic-auths", id="b", name="ann", body={"username": "ann", "password": Secret("0hash0")})

    done = bench.run(shell, script(service(), hashed))

    assert done.returncode == 1
    assert "basic-auths ann is not restored: the gateway keeps a hash of its secret only" in done.stderr
    assert "set KONG_SECRET_BASIC_AUTH_ANN_B to a new secret" in done.stderr
    assert done.stdout == "restored 1 entities at http://kong:8001\n"
    assert "1 entities were refused" in done.stderr


@pytest.mark.parametrize("variables", [{"FOUND": "200"}, {"KONG_SECRET_BASIC_AUTH_ANN_B": "new"}])
def test_a_hashed_credential_that_is_there_or_has_a_new_secret_is_not_refused(
    bench: Any, shell: str, variables: dict[str, str]
) -> None:
    hashed = Entity(kind="basic-auths", id="b", name="ann", body={"username": "ann", "password": Secret("0hash0")})

    done = bench.run(shell, script(hashed), **variables)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("version", "together"), [("7.29.0", 1), ("7.64.1", 3), ("7.88.1", 3), ("8.10.0", 3)])
def test_one_curl_takes_many_entities_where_it_can(bench: Any, shell: str, version: str, together: int) -> None:
    done = bench.run(shell, script(*(service(name) for name in "abc")), CURL_VERSION=version)

    assert (done.returncode, done.stdout) == (0, "restored 3 entities at http://kong:8001\n")
    assert bench.record.read_text().count("--config -") == 2 + 3 // together


def test_no_answer_is_another_exit_code(bench: Any, shell: str) -> None:
    done = bench.run(shell, script(service()), CURL_EXIT="7")

    assert done.returncode == 5
    assert "http://kong:8001/ gave no answer to GET" in done.stderr


LISTING = (
    '{"data":[{"path":"\\"tags\\":[\\"env.x\\"","host":"env.host","tags":["a"],"name":"n"},'
    '{"tags":["pipeline","env.%s"]}]}'
)


def test_another_environments_gateway_is_refused(bench: Any, shell: str) -> None:
    done = bench.run(shell, script(service()), LISTING=LISTING % "production")

    assert done.returncode == 4
    assert "carries the environment production, this file is for stage" in done.stderr
    assert all(request.option("request") == "GET" for request in bench.requests())


@pytest.mark.parametrize("variables", [{"LISTING": LISTING % "stage"}, {"LISTING": LISTING % "x", "FORCE": "1"}])
def test_the_environments_own_gateway_is_written_to_and_any_by_force(
    bench: Any, shell: str, variables: dict[str, str]
) -> None:
    assert bench.run(shell, script(service()), **variables).returncode == 0


def test_the_password_of_the_address_is_used_and_not_shown(bench: Any, shell: str) -> None:
    done = bench.run(shell, script(service()), KONG_ADMIN_URL="https://ann:pass@kong:8444/admin//")

    assert done.stdout == "restored 1 entities at https://kong:8444/admin\n"
    assert bench.requests()[2].option("url").startswith("https://ann:pass@kong:8444/admin/services/")


def test_what_is_not_exported_is_said_at_the_top_and_on_stderr(bench: Any, shell: str) -> None:
    left = (Excluded(kind="sessions", count=12, reason="made at run time"), Excluded(kind="x", count=3, reason="it's"))
    text = script(service(), excluded=left)

    done = bench.run(shell, text)

    top = text.partition("set -eu")[0]
    assert "\n# Not in this file: 12 sessions (made at run time).\n# Not in this file: 3 x (it's).\n" in top
    assert done.stderr == "not in this file: 12 sessions (made at run time)\nnot in this file: 3 x (it's)\n"
    assert done.returncode == 0


def test_a_script_needs_no_more_than_a_shell_and_curl(bench: Any, shell: str, tmp_path: Path) -> None:
    (tmp_path / "curl").write_text(f'#!{shutil.which("dash")}\nprintf \'{{"version":"1"}}\\n200\'\n')
    (tmp_path / "curl").chmod(0o755)

    assert bench.run(shell, script(service()), PATH=str(tmp_path)).returncode == 0
