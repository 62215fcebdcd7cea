from __future__ import annotations

import pytest

from pipeline.model.check import Answer, expectation, make_question, shortfall
from pipeline.model.manifest import Expect, Verify
from pipeline.model.route import Route

FACTS = {"stack": "cities-master-0a1b2c3d", "version": "0a1b2c3d", "branch": "master"}


def answer(body: bytes, status: int = 200) -> Answer:
    return Answer(status=status, headers={}, body=body)


@pytest.mark.parametrize(
    ("expect", "body", "lacking"),
    [
        (Expect(json={"stack": "${stack}"}), b'{"stack": "cities-master-0a1b2c3d"}', ""),
        (Expect(json={"stack": "${stack}"}), b'{"stack": "other"}', 'stack = "other"'),
        (Expect(json={"stack": "${stack}"}), b"{}", "no stack"),
        (Expect(json={"stack": "${stack}"}), b"<html>", "a body that is not JSON"),
        (Expect(json={"a.b.1": 2}), b'{"a": {"b": [1, 2]}}', ""),
        (Expect(json={"a.b.2": 2}), b'{"a": {"b": [1, 2]}}', "no a.b.2"),
        (Expect(json={"a": None}), b'{"a": null}', ""),
        (Expect(json={"a": None}), b"{}", "no a"),
        (Expect(json={"a": True}), b'{"a": 1}', "a = 1"),
        (Expect(json={"a": 1}), b'{"a": true}', "a = true"),
        (Expect(json={"a": 1}), b'{"a": 1.0}', ""),
        (Expect(contains="at ${version} of ${branch}"), b"it is at 0a1b2c3d of master", ""),
        (Expect(contains="at ${version}"), b"it is at 1", "no text 'at 0a1b2c3d'"),
        (Expect(status=204), b"", "status 200"),
        (Expect(), b"anything", ""),
    ],
)
def test_an_answer_is_held_to_status_values_and_text(expect: Expect, body: bytes, lacking: str) -> None:
    assert shortfall(expect, FACTS, answer(body)) == lacking


def test_what_is_expected_is_told_in_words() -> None:
    expect = Expect(status=201, json={"stack": "${stack}"}, contains="${branch}")

    assert expectation(expect, FACTS) == "status 201, stack = \"cities-master-0a1b2c3d\", the text 'master'"


def test_a_long_answer_is_cut_for_people() -> None:
    assert len(str(answer(b"x" * 10_000))) < 220


ROUTE = Route(
    service="cities", environment="local", stack="s", uri="/ws/cities", upstream="http://p.s", hosts=("*.b.c",)
)


def test_the_uri_is_asked_with_the_routes_host_unless_the_manifest_names_others() -> None:
    assert str(make_question(Verify(), ROUTE)) == "OPTIONS /ws/cities (Host: check.b.c)"

    asked = make_question(Verify(method="GET", path="/ws/cities/health", headers={"host": "x"}), ROUTE)
    assert (asked.method, asked.path, asked.headers) == ("GET", "/ws/cities/health", {"host": "x"})
