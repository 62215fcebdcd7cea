"""Rancher's error answers: a status, a code that clients decide on, and the field that is wrong."""

from __future__ import annotations

import uuid
from typing import Any

_TEXTS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method not allowed",
    409: "Conflict",
    422: "Unprocessable Entity",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Fault(Exception):
    """An answer that is not success; raised from wherever it is found and answered by the server."""

    def __init__(
        self,
        status: int,
        code: str = "",
        *,
        field: str | None = None,
        message: str | None = None,
        detail: str | None = None,
    ) -> None:
        self.status = status
        self.code = code or _TEXTS.get(status, "Internal Server Error")
        self.field = field
        # A plain HTTP error repeats its text; a validation error has no message at all.
        self.message = message if message is not None or field is not None else (message or self.code)
        self.detail = detail
        super().__init__(f"{status} {self.code} {field or ''}".strip())

    def body(self) -> dict[str, Any]:
        """The error as a resource; each has an id of its own."""
        found: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "type": "error",
            "links": {},
            "actions": {},
            "status": self.status,
            "code": self.code,
            "message": self.message,
            "detail": self.detail,
        }
        if self.field is not None:
            found["fieldName"] = self.field
        return found | {"baseType": "error"}


def not_found() -> Fault:
    """An unknown type or id, or one that the caller may not see."""
    return Fault(404)


def method_not_allowed() -> Fault:
    """A method that the caller's schema does not have, or that the state does not allow."""
    return Fault(405)


def invalid(code: str, field: str, *, message: str | None = None) -> Fault:
    """A validation error."""
    return Fault(422, code, field=field, message=message)


def action_not_available() -> Fault:
    """An action that the type has and the state does not offer."""
    return invalid("ActionNotAvailable", "action")
