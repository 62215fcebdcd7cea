"""The manifest: what is taken, and what is refused with file, path and a way out."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.model.manifest import Expect, Manifest, Pipeline, Verify, check_together, parse_manifest

FILE = "services/cities/config/package.json"


def parse(document: object, *, name: str = "cities") -> Manifest:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_manifest(text, file=FILE, default_name=name)


def with_pipeline(**part: object) -> dict[str, object]:
    return {"uri": "/ws/cities", "pipeline": part}


def refusal(document: object) -> BadInput:
    with pytest.raises(BadInput) as refused:
        parse(document)
    assert refused.value.what.startswith(FILE)
    assert refused.value.hint
    return refused.value


def test_a_uri_is_enough() -> None:
    found = parse({"uri": "/ws/cities"})

    assert (found.name, found.uri, found.file) == ("cities", "/ws/cities", FILE)
    assert found.pipeline == Pipeline()
    assert found.verify == Verify(method="OPTIONS", expect=Expect(json={"stack": "${stack}"}))


def test_a_real_package_json_of_node_is_left_alone() -> None:
    npm = {
        "name": "@scope/Cities Site",
        "version": "1.0.0-beta.1",
        "scripts": {"test": "jest"},
        "dependencies": {"left-pad": "^1.3.0"},
        "engines": {"node": ">=18"},
        "private": True,
        "files": ["dist"],
        "config": {"port": "8080"},
    }

    assert parse(npm | {"uri": "/ws/cities"}).name == "cities"
    assert parse(npm | with_pipeline(name="towns")).name == "towns"


def test_a_byte_order_mark_in_front_is_no_reason_to_fail() -> None:
    assert parse(b'\xef\xbb\xbf{"uri": "/ws/cities"}').uri == "/ws/cities"


def test_everything_under_pipeline_is_read() -> None:
    found = parse(
        with_pipeline(
            hosts=["api.example.com", "*.example.org:8080"],
            methods=["GET"],
            strip_uri=True,
            upstream={"service": "web", "port": 8080},
            health={"path": "/health?deep=1", "interval": 0.5, "timeout": 2, "retries": 3},
            verify={"path": "/ws/cities/version", "method": "GET", "expect": {"status": 204}},
            images={
                "web": {
                    "context": "web",
                    "args": {"A": "b"},
                    "secrets": ["NPM_TOKEN"],
                    "ssh": ["default", "git"],
                    "platforms": ["linux/amd64", "linux/arm/v7"],
                }
            },
            strategy="in-place",
            keep=3,
            secrets=["DB_PASSWORD"],
            plugins=[{"name": "cors", "config": {"origins": ["*"]}}],
        )
    )

    assert found.pipeline.upstream.port == 8080
    assert found.pipeline.images["web"].args == {"A": "b"}
    assert found.pipeline.images["web"].secrets == ("NPM_TOKEN",)
    assert found.pipeline.images["web"].ssh == ("default", "git")
    assert found.pipeline.images["web"].platforms == ("linux/amd64", "linux/arm/v7")
    assert found.pipeline.plugins[0].config == {"origins": ["*"]}
    assert found.verify is not None
    assert found.verify.expect.status == 204


def test_verify_false_makes_no_check_and_true_makes_the_usual_one() -> None:
    assert parse(with_pipeline(verify=False)).verify is None
    assert parse(with_pipeline(verify=True)).verify == Verify()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b'{"uri": "/x",}', "is not JSON"),
        (b'{"uri": "\xff"}', "is not JSON"),
        ('{"uri": "/x"}'.encode("utf-16"), "is not JSON"),
        (b"[]", "the file: Expected `object`, got `array`"),
        (b"null", "the file: Expected `object`"),
        (b"{}", "uri is missing"),
        (b'{"uri": null}', "uri is missing"),
        (b'{"uri": 5}', "uri: Expected `str | null`, got `int`"),
        (b'{"uri": "/x", "pipeline": []}', "pipeline: Expected `object`, got `array`"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(text: bytes, words: str) -> None:
    assert words in refusal(text).what


@pytest.mark.parametrize(
    ("part", "what", "hint"),
    [
        ({"helth": {}}, "pipeline.helth is an unknown key", "Did you mean 'health'?"),
        ({"zzz": 1}, "pipeline.zzz is an unknown key", "Known here: compose, health"),
        ({"health": {"path": "/h", "intervall": 1}}, "pipeline.health.intervall is", "Did you mean 'interval'?"),
        ({"verify": {"expect": {"stat": 1}}}, "pipeline.verify.expect.stat is", "Did you mean 'status'?"),
        ({"images": {"web": {}, "app": {"contxt": "."}}}, "pipeline.images.app.contxt is", "Did you mean 'context'?"),
        ({"plugins": [{"name": "a"}, {"nam": "b"}]}, "pipeline.plugins[1].nam is", "Did you mean 'name'?"),
        ({"health": {"path": 7}}, "pipeline.health.path: Expected `str`, got `int`", "docs/contract.md"),
        ({"health": {}}, "pipeline.health: Object missing required field `path`", "docs/contract.md"),
        ({"keep": "3"}, "pipeline.keep: Expected `int`, got `str`", "docs/contract.md"),
        ({"strip_uri": "yes"}, "pipeline.strip_uri: Expected `bool`, got `str`", "docs/contract.md"),
        ({"strategy": "blue-green"}, "pipeline.strategy: Invalid enum value 'blue-green'", "docs/contract.md"),
        ({"hosts": ["a.example", 5]}, "pipeline.hosts[1]: Expected `str`, got `int`", "docs/contract.md"),
        ({"images": {"app": {"args": {"A": 1}}}}, "pipeline.images.app.args[...]: Expected `str`", "docs/contract.md"),
        ({"images": {"app": {"ssh": "default"}}}, "pipeline.images.app.ssh: Expected `array`", "docs/contract.md"),
    ],
)
def test_a_key_or_a_type_that_is_wrong_is_named_with_its_path(part: dict[str, object], what: str, hint: str) -> None:
    found = refusal({"uri": "/ws/cities", "pipeline": part})

    assert f"{FILE}: {what}" in found.what
    assert hint in found.hint


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("ws/cities", "a path with a leading slash: '/ws/cities'"),
        ("", "a leading slash"),
        (" /ws/cities", "a path with a leading slash: '/ws/cities'"),
        ("/ws/my cities", "without spaces"),
        ("/ws/cities\n", "without spaces"),
        ("/ws//cities", "a path of letters"),
        ("/ws/../admin", "without . and .. segments"),
        ("/ws/%2e", "without spaces or escapes"),
        ("/ws/d\u00fcsseldorf", "a path of letters"),
        ("/ws/(.*)", "a path of letters"),
        ("/ws/a+b", "a path of letters"),
        ("http://x/ws", "a leading slash"),
    ],
)
def test_a_uri_that_no_gateway_takes_literally_is_refused(uri: str, hint: str) -> None:
    found = refusal({"uri": uri})

    assert repr(uri) in found.what
    assert hint in found.hint


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"name": "Cities"}, "pipeline.name"),
        ({"name": "-x"}, "pipeline.name"),
        ({"name": "x" * 31}, "pipeline.name"),
        ({"name": "a b"}, "pipeline.name"),
        ({"hosts": ["http://x"]}, "pipeline.hosts"),
        ({"hosts": [""]}, "pipeline.hosts"),
        ({"methods": ["get"]}, "pipeline.methods"),
        ({"secrets": ["MY-KEY"]}, "pipeline.secrets"),
        ({"secrets": ["stack"]}, "pipeline.secrets"),
        ({"secrets": ["ENVIRONMENT"]}, "pipeline.secrets"),
        ({"upstream": {"port": 0}}, "pipeline.upstream.port"),
        ({"upstream": {"port": 65536}}, "pipeline.upstream.port"),
        ({"keep": 0}, "pipeline.keep"),
        ({"health": {"path": "health"}}, "pipeline.health.path"),
        ({"health": {"path": "/a b"}}, "pipeline.health.path"),
        ({"health": {"path": "/x", "interval": 0}}, "pipeline.health"),
        ({"health": {"path": "/x", "timeout": 1e300}}, "pipeline.health"),
        ({"health": {"path": "/x", "retries": 0}}, "pipeline.health"),
        ({"verify": {"path": "x"}}, "pipeline.verify.path"),
        ({"verify": {"method": "options"}}, "pipeline.verify.method"),
        ({"images": {"web": {"secrets": ["MY-KEY"]}}}, "pipeline.images.web.secrets"),
        ({"images": {"web": {"secrets": ["KEY=value"]}}}, "pipeline.images.web.secrets"),
        ({"images": {"web": {"secrets": ["KEY", "KEY"]}}}, "pipeline.images.web.secrets"),
        ({"images": {"web": {"secrets": ["KEY"], "args": {"KEY": "x"}}}}, "pipeline.images.web.secrets"),
        ({"images": {"web": {"ssh": ["default=/home/me/.ssh/id_ed25519"]}}}, "pipeline.images.web.ssh"),
        ({"images": {"web": {"ssh": [""]}}}, "pipeline.images.web.ssh"),
        ({"images": {"web": {"ssh": ["a", "b", "a"]}}}, "pipeline.images.web.ssh"),
        ({"images": {"web": {"platforms": ["amd64"]}}}, "pipeline.images.web.platforms"),
        ({"images": {"web": {"platforms": ["linux/amd64,linux/arm64"]}}}, "pipeline.images.web.platforms"),
        ({"images": {"web": {"platforms": ["Linux/amd64"]}}}, "pipeline.images.web.platforms"),
        ({"images": {"web": {"platforms": ["linux/arm/v7", "linux/arm/v7"]}}}, "pipeline.images.web.platforms"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_what_it_should_be(part: dict[str, object], path: str) -> None:
    found = refusal({"uri": "/ws/cities", "pipeline": part})

    assert f"{FILE}: {path}: " in found.what
    assert found.hint.startswith("It should be ")


def test_a_folder_that_cannot_be_a_services_name_is_refused() -> None:
    with pytest.raises(BadInput, match=r"pipeline.name: 'My_Cities'"):
        parse({"uri": "/x"}, name="My_Cities")


def manifest(name: str = "cities", uri: str = "/ws/cities", **part: object) -> Manifest:
    return Manifest(name=name, uri=uri, pipeline=Pipeline(**part), file=f"{name}/package.json")  # type: ignore[arg-type]


def test_two_services_cannot_have_one_uri() -> None:
    with pytest.raises(BadInput, match=r"towns/package.json and cities/package.json both want the uri '/ws/cities'"):
        check_together((manifest(), manifest("towns")))


def test_two_services_cannot_have_one_name() -> None:
    with pytest.raises(BadInput, match="both name the service 'cities'"):
        check_together((manifest(), manifest(uri="/ws/towns")))


def test_two_services_share_a_uri_when_hosts_or_methods_tell_them_apart() -> None:
    check_together((manifest(hosts=("a.example",)), manifest("towns", hosts=("b.example",))))
    check_together((manifest(methods=("GET",)), manifest("towns", methods=("POST",))))
    check_together((manifest(), manifest("towns", uri="/ws/cities/towns")))
    with pytest.raises(BadInput):
        check_together((manifest(methods=("GET", "PUT")), manifest("towns", methods=("PUT",))))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 70000)
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(string.ascii_lowercase, max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from([*Pipeline.__struct_fields__, "unknown"])


@given(st.dictionaries(KEYS, JSON, max_size=4))
def test_any_document_is_taken_or_refused_with_its_path(part: dict[str, object]) -> None:
    assert refused_or_taken(json.dumps(with_pipeline(**part)).encode()).startswith((f"{FILE}: pipeline", "/ws/cities"))


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_taken_or_refused(text: bytes) -> None:
    assert refused_or_taken(text).startswith((FILE, "/"))


def refused_or_taken(text: bytes) -> str:
    """What is said, or the uri."""
    try:
        return parse(text).uri
    except BadInput as refused:
        return refused.what


@given(st.text(max_size=20))
def test_a_uri_is_refused_or_holds_nothing_that_a_shell_or_a_gateway_reads_otherwise(uri: str) -> None:
    try:
        found = parse({"uri": uri}).uri
    except BadInput:
        return
    assert found == uri
    assert set(found) <= set(string.ascii_letters + string.digits + "/-._~")


@pytest.mark.parametrize("names", [["cors", "cors"], ["two words"], [""]])
def test_a_plugin_is_named_once_and_as_a_gateway_can_have_it(names: list[str]) -> None:
    found = refusal({"uri": "/ws/cities", "pipeline": {"plugins": [{"name": name} for name in names]}})

    assert "pipeline.plugins" in found.what
