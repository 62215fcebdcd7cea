"""Secrets of an inventory: declared ones become names, what looks like one and is not declared is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from pipeline.errors import Refused
from pipeline.model.interpolate import interpolate, secret_mark, secrets_in
from pipeline.model.inventory import Inventory, with_services
from pipeline.model.record import Record
from pipeline.model.secret import Secret
from pipeline.model.secret_fields import is_called_secret
from pipeline.model.stack import Definition, Stack, StackService

_SHOWN = 5
_VALUES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|://[^/\s:@]*:[^/\s@]+@"
    r"|\bgl[a-z]{2,6}-[\w-]{16,}|\bgh[pousr]_\w{20,}|\bAKIA[0-9A-Z]{16}\b|\bxox[abprs]-[\w-]{10,}"
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+"
)
"""Private keys, URLs with a password, tokens of well-known issuers, signed JSON tokens."""
_OPTION = re.compile(r"--?([A-Za-z0-9][\w-]*)=(.+)", re.DOTALL)
_HARMLESS = re.compile(r"|true|false|yes|no|on|off|none|null|[0-9]{1,5}|/[\w./-]*", re.IGNORECASE)
_MARK = re.compile("(\x00[A-Za-z_][A-Za-z0-9_]*\x00)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """An inventory that may be shown: marks stand for its secrets. `values` are what the containers have there, by
    variable; `owners` the services that want each."""

    inventory: Inventory
    values: Mapping[str, Secret]
    owners: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One secret in one service: its declared name and its value."""

    service: str
    name: str
    value: str


def sealed(inventory: Inventory, records: tuple[Record, ...], references: Mapping[str, str]) -> Sealed:
    """Marks for what is declared: by the containers' own label, else by the record of their definition, else by
    `references` (`service.compose service.NAME` → variable). Two services that call different values by one name get
    a variable each. Refused where an undeclared value looks like a credential, naming service and key."""
    texts = dict(_declared(inventory, records))
    found: list[_Found] = []
    marked: dict[tuple[str, str], dict[str, str]] = {}
    for stack, service in inventory.services():
        wanted = texts.get(f"{stack.name}/{service.name}", {})
        environment = dict(service.environment)
        for key, value in service.environment.items():
            reference = references.get(f"{stack.service}.{service.name}.{key}")
            text = secret_mark(reference) if reference else wanted.get(key, "")
            parts = _parts(text, value)
            if parts is not None:
                environment[key] = text
                found += [_Found(service=stack.service, name=name, value=part) for name, part in parts]
        marked[stack.name, service.name] = environment
    names = _variables(found)
    stacks = tuple(_with_marks(stack, marked, names) for stack in inventory.stacks)
    result = replace(inventory, stacks=stacks)
    _refuse_undeclared(result)
    owners: dict[str, set[str]] = {}
    for one in found:
        owners.setdefault(names[one.service, one.name], set()).add(one.service)
    return Sealed(
        inventory=result,
        values={names[one.service, one.name]: Secret(one.value) for one in found},
        owners={name: tuple(sorted(services)) for name, services in sorted(owners.items())},
    )


def _declared(inventory: Inventory, records: tuple[Record, ...]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """`stack/service` → environment values with marks. A label is the containers' own and comes before a record."""
    texts = {_digest(record): record.definition for record in records if record.definition}
    for stack in inventory.stacks:
        text = texts.get(stack.labels.get("pipeline.definition", ""))
        services = {one.name: one.environment for one in _definition(text).services} if text else {}
        for service in stack.definition.services:
            key = f"{stack.name}/{service.name}"
            written = inventory.declared.get(key, services.get(service.name, {}))
            yield key, {name: _marks(value) for name, value in written.items() if "${" in value}


def _digest(record: Record) -> str:
    import hashlib

    return hashlib.sha256(record.definition.encode()).hexdigest()


def _definition(text: str) -> Definition:
    return msgspec.json.decode(text, type=Definition)


def _marks(text: str) -> str:
    return interpolate(text, lambda name, _: secret_mark(name), where="a container's label")


def _parts(text: str, value: str) -> list[tuple[str, str]] | None:
    """The secrets in a value by the text that it was made from; None when it was not made from it."""
    if not secrets_in(text):
        return None
    pattern, seen = "", set()
    for part in _MARK.split(text):
        name = part.strip("\x00")
        if not part.startswith("\x00"):
            pattern += re.escape(part)
        elif name in seen:
            pattern += f"(?P={name})"
        else:
            seen.add(name)
            pattern += f"(?P<{name}>.*)"
    matched = re.fullmatch(pattern, value, re.DOTALL)
    return sorted(matched.groupdict().items()) if matched else None


def _variables(found: list[_Found]) -> dict[tuple[str, str], str]:
    """Service and declared name → variable: the name itself while it has one value everywhere."""
    values: dict[str, set[str]] = {}
    for one in found:
        values.setdefault(one.name, set()).add(one.value)
    return {
        (one.service, one.name): one.name
        if len(values[one.name]) == 1
        else f"{re.sub('[^A-Z0-9]', '_', one.service.upper())}_{one.name}"
        for one in found
    }


def _with_marks(
    stack: Stack, marked: Mapping[tuple[str, str], dict[str, str]], names: Mapping[tuple[str, str], str]
) -> Stack:
    def renamed(text: str) -> str:
        return re.sub("\x00(\\w+)\x00", lambda one: secret_mark(names.get((stack.service, one[1]), one[1])), text)

    def with_marks(service: StackService) -> StackService:
        environment = {key: renamed(text) for key, text in marked[stack.name, service.name].items()}
        return msgspec.structs.replace(service, environment=environment)

    return with_services(stack, tuple(map(with_marks, stack.definition.services)))


def _refuse_undeclared(inventory: Inventory) -> None:
    found = sorted({text for stack, service in inventory.services() for text in _suspicious(stack, service)})
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise Refused(
            f"values that look like credentials and are not declared: {', '.join(found[:_SHOWN])}{more}",
            hint="Declare them under pipeline.secrets of the manifest and deploy again, or name a variable for each "
            "under credentials of a --remap file.",
        )


def _suspicious(stack: Stack, service: StackService) -> Iterator[str]:
    """Where a credential seems to be, never what it is."""
    where = f"{stack.service}.{service.name}"
    named = (*service.environment.items(), *service.labels.items(), *service.log_options.items())
    for key, value in named:
        if not secrets_in(value) and looks_secret(key, value):
            yield f"{where}.{key}"
    for word in (
        *(service.command or ()),
        *(service.entrypoint or ()),
        *(service.health.test if service.health else ()),
    ):
        option = _OPTION.fullmatch(word)
        if looks_secret(option[1] if option else "", option[2] if option else word):
            yield f"{where}.command"


def looks_secret(key: str, value: str) -> bool:
    """By its name, or by what it is; a switch, a small number and a path are none."""
    if _VALUES.search(value):
        return True
    return is_called_secret(key) and not _HARMLESS.fullmatch(value)
