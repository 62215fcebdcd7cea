"""The registry client and what lies in a repository: manifests, indexes, tags."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.errors import BadInput, Failed
from tests.edge.registry_server import (
    DIGEST,
    MANIFEST,
    Answer,
    Asked,
    Shelf,
    image_of,
    index_of,
    opened,
    serving,
    sha256,
)


def test_an_image_s_id_and_labels_are_its_configuration_s() -> None:
    shelf = Shelf()
    shelf.tags["one"] = image_of(shelf, a="b")

    with serving(shelf) as host, opened(host) as client:
        found = client.describe("group/cities", "one")
        missing = client.describe("group/cities", "two")

    assert found is not None
    assert (found.digest, found.labels) == (sha256(shelf.tags["one"]), {"a": "b"})
    assert found.id == next(iter(shelf.blobs))
    assert missing is None


def test_of_an_index_the_platform_s_image_is_described() -> None:
    shelf = Shelf()
    shelf.tags["one"] = index_of(shelf, arm64=image_of(shelf, a="arm"), amd64=image_of(shelf, a="amd"))

    with serving(shelf) as host, opened(host) as client:
        usual = client.describe("group/cities", "one")
        other = client.describe("group/cities", "one", platform="linux/arm64")
        missing = client.describe("group/cities", "one", platform="linux/s390x")

    assert usual is not None
    assert other is not None
    assert missing is not None
    assert [usual.labels, other.labels, missing.labels] == [{"a": "amd"}, {"a": "arm"}, {}]
    assert {usual.digest, other.digest, missing.digest} == {sha256(shelf.tags["one"])}
    assert missing.id == ""


def test_a_manifest_that_is_not_what_its_digest_says_is_not_believed() -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(headers={**DIGEST, "Content-Type": MANIFEST})

    with (
        serving(answer) as host,
        opened(host) as client,
        pytest.raises(Failed, match="that is not sha256:1 but sha256:"),
    ):
        client.describe("group/cities", "one")


@pytest.mark.parametrize("make", [image_of, lambda shelf: index_of(shelf, amd64=image_of(shelf))])
def test_another_tag_is_the_same_bytes_and_no_layer_moves(make: Callable[[Shelf], bytes]) -> None:
    shelf = Shelf()
    content = make(shelf)
    shelf.tags["one"] = content
    kind = shelf.kinds.get(content, MANIFEST)

    with serving(shelf) as host, opened(host) as client:
        digest = client.put_tag("group/cities", "one", "two")

    assert digest == sha256(content)
    assert (shelf.tags["two"], shelf.kinds[content]) == (content, kind)
    assert [asked for asked in shelf.asked if asked.startswith("PUT")] == ["PUT two"]


def test_a_tag_that_is_there_is_not_put_again() -> None:
    shelf = Shelf(one=b'{"a": 1}')

    with serving(shelf) as host, opened(host) as client:
        client.put_tag("group/cities", "one", "two")
        shelf.seen.clear()
        client.put_tag("group/cities", "one", "two")
        client.put_tag("group/cities", sha256(b'{"a": 1}'), "two")

    assert shelf.asked == ["HEAD one", "HEAD two", "HEAD two"]


def test_a_tag_of_what_is_not_there_fails() -> None:
    with serving(Shelf()) as host, opened(host) as client, pytest.raises(Failed, match="has no group/cities:one"):
        client.put_tag("group/cities", "one", "two")


@pytest.mark.parametrize("status", [400, 405, 409])
def test_a_registry_whose_tags_are_immutable_is_quoted(status: int) -> None:
    shelf = Shelf(one=b"{}", two=b'{"other": 1}')
    words = b'{"errors": [{"code": "DENIED", "message": "tag two is immutable"}]}'

    with (
        serving(lambda asked: Answer(status, body=words) if asked.method == "PUT" else shelf(asked)) as host,
        opened(host) as client,
        pytest.raises(Failed, match=f"cities:two: {status}: DENIED tag two is immutable") as failed,
    ):
        client.put_tag("group/cities", "one", "two")

    assert "immutable" in failed.value.hint


def test_a_tag_that_may_not_be_put_is_a_refusal() -> None:
    shelf = Shelf(one=b"{}")

    with (
        serving(lambda asked: Answer(403) if asked.method == "PUT" else shelf(asked)) as host,
        opened(host) as client,
        pytest.raises(BadInput, match="refuses the user 'ci': 403 to PUT group/cities/manifests/two"),
    ):
        client.put_tag("group/cities", "one", "two")


def test_a_registry_that_loses_the_tag_that_it_took_is_not_believed() -> None:
    shelf = Shelf(one=b"{}")

    with (
        serving(lambda asked: Answer(201) if asked.method == "PUT" else shelf(asked)) as host,
        opened(host) as client,
        pytest.raises(Failed, match=r"took group/cities:two for sha256:\w+ and has nothing there"),
    ):
        client.put_tag("group/cities", "one", "two")


def test_tags_are_read_to_the_last_page() -> None:
    pages = {
        "n=1000": Answer(headers={"Link": '</v2/group/cities/tags/list?last=b&n=2>; rel="next"'}, body=b'{"tags": ["a", "b"]}'),
        "last=b&n=2": Answer(headers={"Link": '<https://x/v2/group/cities/tags/list?last=c&n=2>; rel="next"'}, body=b'{"tags": ["c"]}'),
        "last=c&n=2": Answer(body=b'{"tags": null}'),
    }  # fmt: skip

    with serving(lambda asked: pages[asked.path.partition("?")[2]]) as host, opened(host) as client:
        assert client.tags("group/cities") == ("a", "b", "c")


def test_a_repository_that_is_not_there_has_no_tags() -> None:
    with serving(lambda _: Answer(404)) as host, opened(host) as client:
        assert client.tags("group/cities") == ()
