"""The values of compose keys in their several spellings: each parser gives the one form that the rest works with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pipeline.errors import BadInput
from pipeline.model.image import LABEL, PIN_LABEL
from pipeline.model.stack import NO_HEALTH, HealthCheck, Mount, Port

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_DURATION = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m(?!s))?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?")
_BYTES = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_ADDRESS = r"(?P<address>[0-9]{1,3}(?:\.[0-9]{1,3}){3})"
_PORT = re.compile(rf"(?:(?:{_ADDRESS}:)?(?P<host>[0-9]*):)?(?P<container>[0-9]{{1,5}})(?:/(?P<protocol>tcp|udp))?")
_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RESTART = re.compile(r"no|always|unless-stopped|on-failure(?::[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in a compose file a value stands, for messages."""

    file: str
    service: str
    key: str = ""

    def at(self, key: str) -> Place:
        return replace(self, key=key)

    def __str__(self) -> str:
        return f"{self.file}: services.{self.service}.{self.key}"


def wrong(at: Place, what: str, hint: str) -> BadInput:
    return BadInput(f"{at} {what}", hint=hint)


def known(keys: Iterable[str], allowed: tuple[str, ...], file: str, path: str) -> None:
    for key in keys:
        if key not in allowed and not key.startswith("x-"):
            raise BadInput(f"{file}: {path}{key} is not supported here", hint=f"Supported: {', '.join(allowed)}, x-….")


def as_text(value: object, at: Place) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong(at, f"should be a text, not {value!r}", "Put it in quotes.")
    return str(value)


def as_texts(value: object, at: Place) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise wrong(at, f"should be a list, not {value!r}", "Write one `- item` per line.")
    return tuple(as_text(item, at) for item in value)


def as_map(value: object, at: Place) -> dict[str, str]:
    """NAME → text, from a mapping or a list of NAME=text; empty values are empty texts."""
    if isinstance(value, list):
        pairs = [as_text(item, at).partition("=") for item in value]
        return {name: text for name, _, text in pairs}
    if not isinstance(value, dict):
        raise wrong(at, f"should be a mapping, not {value!r}", "Write one `NAME: value` per line.")
    return {as_text(name, at): _scalar(text, at) for name, text in value.items()}


def as_labels(value: object, at: Place) -> dict[str, str]:
    """Any but this toolkit's own, by which it tells its containers from others'."""
    labels = as_map(value, at)
    for name in labels:
        if name.startswith(LABEL) and name != PIN_LABEL:
            raise wrong(at, f"has {name!r}", f"Labels that start with {LABEL} are this toolkit's.")
    return labels


def as_hosts(value: object, at: Place) -> tuple[str, ...]:
    """`name:address`, from a list or a mapping."""
    if isinstance(value, dict):
        return tuple(f"{name}:{address}" for name, address in as_map(value, at).items())
    return as_texts(value, at)


def as_bool(value: object, at: Place) -> bool:
    """A variable that was filled in is a text, which compose takes as well."""
    if value in ("true", "false"):
        return value == "true"
    if not isinstance(value, bool):
        raise wrong(at, f"should be true or false, not {value!r}", "Write true or false, without quotes.")
    return value


def as_int(value: object, at: Place) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]+", str(value)):
        raise wrong(at, f"should be a whole number, not {value!r}", "Give a number from 0.")
    return int(str(value))


def as_bytes(value: object, at: Place) -> int:
    found = _BYTES.fullmatch(str(value).strip())
    if found is None:
        raise wrong(at, f"should be a size, not {value!r}", "For example 64m or 1g.")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def as_seconds(value: object, at: Place) -> float:
    text = str(value).strip()
    found = _DURATION.fullmatch(text)
    if text != "0" and (found is None or not text):
        raise wrong(at, f"should be a duration, not {value!r}", "For example 10s or 1m30s.")
    hours, minutes, seconds, millis = (float(part or 0) for part in found.groups()) if found else (0.0,) * 4
    return hours * 3600 + minutes * 60 + seconds + millis / 1000


def as_restart(value: object, at: Place) -> str:
    text = as_text(value, at)
    if not _RESTART.fullmatch(text):
        raise wrong(at, f"is {text!r}", 'Known: "no", always, unless-stopped, on-failure and on-failure:5.')
    return text


def as_ports(value: object, at: Place) -> tuple[Port, ...]:
    ports = []
    for text in as_texts(value if isinstance(value, list) else [value], at):
        found = _PORT.fullmatch(text)
        if found is None or not 1 <= int(found["container"]) <= 65535 or int(found["host"] or 0) > 65535:
            raise wrong(at, f"has {text!r}", "Write container, host:container or address:host:container, no ranges.")
        ports.append(
            Port(
                container=int(found["container"]),
                protocol="udp" if found["protocol"] == "udp" else "tcp",
                host=int(found["host"] or 0),
                address=found["address"] or "",
            )
        )
    return tuple(ports)


def as_mounts(value: object, at: Place) -> tuple[Mount, ...]:
    return tuple(_mount(text, at) for text in as_texts(value, at))


def as_health(value: object, at: Place) -> HealthCheck:
    """Compose's healthcheck; NO_HEALTH when it switches off what the image has."""
    if not isinstance(value, dict):
        raise wrong(at, f"should be a mapping, not {value!r}", "Give it a test: and an interval:.")
    known(
        value, ("test", "interval", "timeout", "retries", "start_period", "disable"), at.file, f"services.{at.service}."
    )
    if as_bool(value.get("disable", False), at) or value.get("test") == ["NONE"]:
        return NO_HEALTH
    test = value.get("test")
    if not test:
        raise wrong(at, "has no test", "Give it the command that exits 0 when the container is well.")
    words = ("CMD-SHELL", test) if isinstance(test, str) else as_texts(test, at)
    if words[0] not in ("CMD", "CMD-SHELL"):
        raise wrong(at, f"has a test that starts with {words[0]!r}", "A list starts with CMD, CMD-SHELL or NONE.")
    return HealthCheck(
        test=words,
        interval=as_seconds(value.get("interval", "30s"), at),
        timeout=as_seconds(value.get("timeout", "30s"), at),
        retries=as_int(value.get("retries", 3), at),
        start_period=as_seconds(value.get("start_period", "0s"), at),
    )


def as_depends(value: object, at: Place) -> tuple[str, ...]:
    """Names, from a list or from the mapping of compose 2.1, whose conditions an engine has no means to wait for."""
    if not isinstance(value, dict):
        return as_texts(value, at)
    for name, body in value.items():
        condition = body.get("condition", "service_started") if isinstance(body, dict) else body
        if condition != "service_started":
            raise wrong(
                at,
                f"has the condition {condition!r} for {name}",
                "Containers are started in this order and not waited for: let the service try again until it can.",
            )
    return tuple(as_text(name, at) for name in value)


def _mount(text: str, at: Place) -> Mount:
    parts = text.split(":")
    mode = parts.pop() if len(parts) > 1 and parts[-1] in ("ro", "rw") else "rw"
    source, target = ("", parts[0]) if len(parts) == 1 else (parts[0], ":".join(parts[1:]))
    if not target.startswith("/") or ":" in target:
        raise wrong(at, f"has {text!r}", "Write NAME:/path, /host/path:/path or /path, and :ro behind it if wanted.")
    if source and not source.startswith("/") and not _VOLUME.fullmatch(source):
        raise wrong(at, f"has {text!r}", "A path on the host must be absolute: the stack may run on another machine.")
    return Mount(source=source, target=target, read_only=mode == "ro")


def _scalar(value: object, at: Place) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return as_text(value, at)
