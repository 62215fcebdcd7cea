"""A secret shows nowhere."""

from __future__ import annotations

import copy
import json
import logging
import pickle

import msgspec
import pytest

from pipeline.model.secret import NO_SECRET, Secret

VALUE = "hunter2-hunter2"


def test_a_secret_shows_as_a_word_wherever_it_is_printed() -> None:
    secret = Secret(VALUE)
    record = logging.LogRecord("x", logging.INFO, "x", 1, "token %s %r", (secret, secret), None)

    for text in (
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>40}",
        f"{[secret]}",
        f"{secret!r}",
        record.getMessage(),
    ):
        assert VALUE not in text
        assert "[secret]" in text


def test_a_secret_is_not_serialised() -> None:
    secret = Secret(VALUE)

    for write in (pickle.dumps, copy.deepcopy, json.dumps, msgspec.json.encode):
        with pytest.raises(TypeError) as refused:
            write(secret)
        assert VALUE not in str(refused.value)


def test_a_secret_has_no_attributes_to_dump() -> None:
    assert not hasattr(Secret(VALUE), "__dict__")


def test_secrets_compare_by_value_and_an_empty_one_is_false() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not NO_SECRET
    assert Secret(VALUE).reveal() == VALUE
