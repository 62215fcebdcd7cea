"""A value that must not be seen: the settings' credentials and the services' secrets travel as this."""

from __future__ import annotations

SHOWN = "[secret]"


class Secret:
    """A string that shows as `[secret]` wherever it is printed, formatted, logged or serialised.

    Only edge and the drivers' clients call `reveal()`, right before the value leaves for where it belongs.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    @property
    def ends_a_line(self) -> bool:
        """Whether it ends in a line end, as files of keys do: a format may have to say so."""
        return self._value.endswith("\n")

    def __repr__(self) -> str:
        return SHOWN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return SHOWN

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        raise TypeError("a Secret is not serialised")


NO_SECRET = Secret("")
