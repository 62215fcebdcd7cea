"""A stack as a compose file says all that the stack is: read back, it is the same."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.bootstrap_compose import compose_text, rancher_compose_text
from pipeline.model.compose import parse_compose
from pipeline.model.interpolate import secret_mark
from pipeline.model.stack import StackService
from tests.contracts.random_estates import SERVICE, make_stack, services


def read_back(text: str) -> tuple[StackService, ...]:
    """As deploy reads it: a variable is one of the declared secrets."""
    return parse_compose(text.encode(), file="docker-compose.yml", lookup=lambda name, _: secret_mark(name)).services


@given(services(SERVICE, ("image",)))
def test_a_compose_file_reads_back_as_the_stack_that_it_was_written_from(service: StackService) -> None:
    stack = make_stack("cities", (service,))

    (found,) = read_back(compose_text(stack))

    assert found == msgspec.structs.replace(service, scale=1)


@given(st.integers(1, 9))
def test_how_many_containers_is_in_ranchers_own_file(scale: int) -> None:
    stack = make_stack("cities", (StackService(name="app", image="x", scale=scale),))

    assert f"scale: {scale}\n" in rancher_compose_text(stack)
