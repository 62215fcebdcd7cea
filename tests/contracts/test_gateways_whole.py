"""A whole gateway, of every kind, wiped and restored by each format: equal in all that can be restored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from pipeline.flows.restore import Manner
from pipeline.model.restoration import Act, Scope
from pipeline.model.route import GatewayState
from tests.contracts.whole_gateways import EXAMPLES, SHELLS, Draft, Open, gateways, open_lab, secrets_of, steady

FEW = [
    HealthCheck.too_slow,
    HealthCheck.function_scoped_fixture,
    HealthCheck.data_too_large,
    HealthCheck.large_base_example,
]
# Three shells share the number of gateways.
few = settings(max_examples=max(1, EXAMPLES // 3), deadline=None, phases=[Phase.generate], suppress_health_check=FEW)
random = settings(max_examples=EXAMPLES, deadline=None, phases=[Phase.generate], suppress_health_check=FEW)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    with open_lab(tmp_path_factory.mktemp("whole")) as opened:
        yield opened


@pytest.mark.parametrize("form", ["json", "deck", "sh"])
@random
@given(drafts=gateways())
def test_a_wiped_gateway_is_restored_and_a_second_run_writes_nothing(
    opened: Open, form: str, drafts: list[Draft]
) -> None:
    before = opened.make(drafts)
    wanted = opened.read(form, before)
    opened.wipe()

    restoration = opened.restore(wanted)
    after = opened.gateway.dump()

    assert restoration.troubles == ()
    assert steady(after) == steady(before)
    hashed = before.of("basic-auths")
    assert len(restoration.refused) == len(hashed)
    assert restoration.count(Act.CREATE) == len(before.entities) - len(hashed) == len(after.entities)
    assert (restoration.problem is None) is (not hashed)
    assert not opened.plan(wanted).pending


@pytest.mark.parametrize("shell", sorted(SHELLS))
@few
@given(drafts=gateways())
def test_a_wiped_gateway_is_restored_by_its_script_and_stays_so(opened: Open, shell: str, drafts: list[Draft]) -> None:
    before = opened.make(drafts)
    text = opened.script(before)
    variables = {name: secret.reveal() for name, secret in secrets_of(before).items()}
    opened.wipe()

    first = opened.run(shell, text, **variables)
    after = opened.gateway.dump()
    second = opened.run(shell, text, **variables)

    hashed = len(before.of("basic-auths"))
    assert first.returncode == second.returncode == (1 if hashed else 0), first.stderr
    assert first.stdout.startswith(f"restored {len(before.entities) - hashed} entities")
    assert first.stderr.count("is not restored: the gateway keeps a hash") == hashed
    assert steady(after) == steady(before)
    assert opened.gateway.dump() == after
    assert opened.script(
        replace(before, entities=tuple(one for one in before.entities if one.kind != "basic-auths"))
    ) == opened.script(after)


@random
@given(old=gateways(), new=gateways())
def test_an_exact_restore_of_everything_turns_any_gateway_into_the_files(
    opened: Open, old: list[Draft], new: list[Draft]
) -> None:
    wanted = opened.read("json", opened.make(new))
    found = opened.make(old)

    restoration = opened.restore(wanted, Scope(exact=True, everything=True), Manner(keep_going=True))

    after = opened.gateway.dump()
    counted = changes_between(found, after)
    assert counted == tuple(restoration.count(act) for act in (Act.CREATE, Act.CHANGE, Act.DELETE))
    if not restoration.troubles:
        assert not opened.plan(wanted, Scope(exact=True, everything=True)).pending


def changes_between(one: GatewayState, other: GatewayState) -> tuple[int, int, int]:
    """Created, changed and deleted, by two dumps."""
    before = {(entity.kind, entity.id): entity for entity in one.entities}
    after = {(entity.kind, entity.id): entity for entity in other.entities}
    changed = sum(before[key] != after[key] for key in before.keys() & after.keys())
    return len(after.keys() - before.keys()), changed, len(before.keys() - after.keys())
