"""What the container was told: environment variables, where an empty one counts as not set."""

import os

from django.core.exceptions import ImproperlyConfigured

_SWITCH = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def required(name: str, reason: str) -> str:
    if not (value := text(name)):
        raise ImproperlyConfigured(f"{name} is not set: {reason}")
    return value


def words(name: str) -> list[str]:
    return [word.strip() for word in text(name).split(",") if word.strip()]


def switch(name: str, default: str) -> bool:
    value = text(name, default).lower()
    if value not in _SWITCH:
        raise ImproperlyConfigured(f"{name} is {value!r}: say yes or no")
    return _SWITCH[value]
