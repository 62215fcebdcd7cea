"""What a registration did: the value that the verb tells, records and ends with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pipeline.errors import Failed
from pipeline.model.plan import Change


class Outcome(StrEnum):
    """What became of the service's route. Switched: its upstream or stack is another one than before."""

    CREATED = "created"
    SWITCHED = "switched"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class Checked(StrEnum):
    """What the check through the gateway showed."""

    VERIFIED = "verified"
    NOT_VERIFIED = "not verified"
    NOT_WANTED = "no check wanted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A finished registration: the route is as wanted. `before` fields are empty for a new route."""

    service: str
    environment: str
    outcome: Outcome
    changes: tuple[Change, ...]
    checked: Checked
    upstream_before: str
    upstream: str
    stack_before: str
    stack: str
    seconds: float
    notes: tuple[str, ...] = ()
    kept: tuple[Change, ...] = ()

    @property
    def verified(self) -> bool:
        return self.checked is Checked.VERIFIED

    @property
    def problem(self) -> Failed | None:
        """What the verb ends with (exit code 1) when a check was wanted and could not be made; the switch stays."""
        if self.checked is not Checked.NOT_VERIFIED:
            return None
        return Failed(
            f"{self.service} is registered to {self.stack}, not verified: {'; '.join(self.notes)}",
            hint="Set KONG_PROXY_URL to where the gateway's proxy answers and run it again, or set verify to false.",
        )
