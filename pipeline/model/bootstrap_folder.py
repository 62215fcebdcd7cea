"""The folder of a bootstrap: every generated file's text. Same inventory and gateway, same bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.model.bootstrap_compose import compose_text, rancher_compose_text
from pipeline.model.bootstrap_document import Count, environment_text, snapshot_of
from pipeline.model.bootstrap_kit import kit_of
from pipeline.model.bootstrap_readme import readme_text
from pipeline.model.bootstrap_variables import Wanted, variables_text, wanted_variables
from pipeline.model.deck import deck_file
from pipeline.model.deck_apis import for_deck
from pipeline.model.dialect import Dialect
from pipeline.model.inventory import Carried, Inventory
from pipeline.model.kinds import kind_of
from pipeline.model.lead import Lead
from pipeline.model.restore_script import ScriptHeader, entity_path, restore_script
from pipeline.model.route import GatewayState, tag_word
from pipeline.model.shell_call import call

SUMS = "SHA256SUMS"
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/_.%-]*")
_ASKED = ("OPTIONS", "GET", "HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All that a folder is made from: an inventory with marks for secrets and `owners` of those, what it was before a
    remap (the same things in the same order), the gateway, the
    platform's `calls` by script, the routes by stack, the archives, the counts, and the texts of the libraries."""

    inventory: Inventory
    original: Inventory
    owners: Mapping[str, tuple[str, ...]]
    state: GatewayState
    calls: Mapping[str, tuple[str, ...]]
    routes: Mapping[str, tuple[Lead, ...]]
    carried: Mapping[str, Carried]
    counts: tuple[Count, ...]
    libraries: Mapping[str, str]


def folder_name(environment: str) -> str:
    """Below `bootstrap/`."""
    return environment.replace("/", "-")


def folder_of(contents: Contents) -> Mapping[str, str]:
    """Path → text, SHA256SUMS last; the archives are in its sums only."""
    inventory, state = contents.inventory, contents.state
    wanted = wanted_variables(inventory, contents.owners, state)
    kit = kit_of(inventory.driver)
    files = {name: contents.libraries[name] for name in kit.libraries}
    for script, _ in kit.steps:
        files[script] = _script(script, contents, wanted)
    for stack in inventory.stacks:
        below = f"stacks/{stack.name}"
        files[f"{below}/{kit.stack_script}"] = _of_stack(contents, f"{below}/{kit.stack_script}")
        files[f"{below}/docker-compose.yml"] = compose_text(stack)
        files[f"{below}/rancher-compose.yml"] = rancher_compose_text(stack)
    files["kong.yaml"] = deck_file(for_deck(state))
    files["variables.env.example"] = variables_text(wanted, inventory.environment)
    files["README.md"] = readme_text(inventory, contents.original, contents.counts, wanted, contents.carried)
    files["environment.json"] = environment_text(
        snapshot_of(inventory, state),
        inventory,
        contents.counts,
        carried=contents.carried,
        variables=tuple(one.name for one in wanted if not one.without),
    )
    files[SUMS] = _sums(files, contents.carried)
    return files


def _sums(files: Mapping[str, str], carried: Mapping[str, Carried]) -> str:
    sums = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}
    sums |= {one.path: one.sha256 for one in carried.values()}
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items()))


def _head(contents: Contents) -> list[str]:
    return [
        "#!/bin/sh",
        f"# The environment {contents.inventory.environment}, written by invoke bootstrap (docs/bootstrap.md).",
        "# shellcheck disable=SC1091,SC2016",
    ]


def _opening(contents: Contents, script: str, wanted: tuple[Wanted, ...]) -> list[str]:
    kit = kit_of(contents.inventory.driver)
    lines = ["set -eu", 'case $0 in */*) cd -- "${0%/*}/" ;; esac']
    lines += [f". ./{name}" for name in kit.libraries if name != "verify.sh" or script == _VERIFY]
    lines.append(call("bootstrap_begin", contents.inventory.environment))
    lines += [call("kong_needs", one.name) for one in wanted if not one.without and one.script == script != _GATEWAY]
    if script == "30-images.sh":
        lines += [call("kong_may_need", name) for name in kit.pulls]
    lab = contents.inventory.lab
    if lab and script in (_GATEWAY, _VERIFY):
        lines += [f': "${{KONG_ADMIN_URL:={lab.admin}}}" "${{KONG_PROXY_URL:={lab.proxy}}}"']
    return lines


_GATEWAY = "60-gateway.sh"
_VERIFY = "70-verify.sh"


def _script(script: str, contents: Contents, wanted: tuple[Wanted, ...]) -> str:
    wanted = tuple(one for one in wanted if one.name not in ("KONG_ADMIN_URL", "KONG_PROXY_URL"))
    opening, calls = _opening(contents, script, wanted), contents.calls.get(script, ())
    ready = [*filter(None, [kit_of(contents.inventory.driver).ready])]
    if script == _GATEWAY:
        return _gateway(contents, "\n".join([*opening, *([*ready, *calls] if calls else [])]))
    lines = [*_head(contents), *opening, *(ready if script != "10-engine.sh" else []), *calls]
    if script == _VERIFY:
        lines += [call("kong_open", _carried_name(contents)), *_expectations(contents), "verify_end"]
    return "\n".join(lines) + "\n"


def _gateway(contents: Contents, opening: str) -> str:
    """A restore script like any other: `invoke restore` reads it, too."""
    header = ScriptHeader(
        subject="the whole gateway",
        file=_GATEWAY,
        tool_version="",
        environment=contents.inventory.environment,
        commit="",
    )
    return restore_script(contents.state, header, library=opening)


def _of_stack(contents: Contents, path: str) -> str:
    lines = ["# shellcheck shell=sh disable=SC2016", "# Called by 50-stacks.sh.", *contents.calls[path]]
    return "\n".join(lines) + "\n"


def _expectations(contents: Contents) -> Iterator[str]:
    """That the gateway has each entity, and that each stack's routes reach it. Plain requests only: what would change
    something at the service is not sent."""
    for entity in contents.state.entities:
        if not kind_of(entity.kind).creates_by_post:
            yield call("verify_entity", entity_path(entity), _ascii(entity.label))
    yield "verify_entities_now"
    for stack, routes in contents.routes.items():
        for lead in routes:
            method = next((one for one in _ASKED if not lead.methods or one in lead.methods), "")
            path = next((one for one in lead.paths if _PLAIN_PATH.fullmatch(one)), "" if lead.paths else "/")
            host = next((one for one in lead.hosts if "*" not in one), "")
            if not (method and path) or (lead.hosts and not host):
                yield call("verify_leaves_out", f"route {_ascii(lead.label)}: it takes no plain request")
            else:
                yield call("verify_route", _ascii(lead.label), method, path, host, stack)


def _ascii(text: str) -> str:
    return re.sub(r"[^ -~]", "?", text)


def _carried_name(contents: Contents) -> str:
    """What the gateway's entities call the environment; apis carry no name."""
    legacy = contents.state.identity.dialect is Dialect.APIS
    return "" if legacy else tag_word(contents.inventory.environment)
