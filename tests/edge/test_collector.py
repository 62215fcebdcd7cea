from __future__ import annotations

import gc

import pytest

from pipeline.edge.collector import collector_paused


def test_it_is_off_meanwhile_and_afterwards_as_it_was() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
    with collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_turns_it_on_again() -> None:
    with pytest.raises(ZeroDivisionError), collector_paused():
        1 / 0  # noqa: B018  (it fails)

    assert gc.isenabled()


def test_what_was_made_meanwhile_counts_as_old_and_can_still_be_collected() -> None:
    with collector_paused():
        made: list[object] = [[] for _ in range(5000)]

    assert any(one is made for one in gc.get_objects(generation=2))
    assert gc.get_freeze_count() == 0
