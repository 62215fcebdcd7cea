"""What a Rancher server's refusals mean: by status and code, never by their text."""

from __future__ import annotations

import msgspec

from pipeline.errors import BadInput, Failed, Refused, Unreachable


class RancherAnswered(Failed):
    """The server refused a request. `status` and `code` tell why (never the text), `field` which value it is about."""

    def __init__(self, what: str, *, hint: str, status: int, code: str, field: str = "") -> None:
        super().__init__(what, hint=hint)
        self.status = status
        self.code = code
        self.field = field


class Unanswered(Unreachable):
    """A request that may not be repeated blindly got no answer: whether the server acted is open. Look, then decide."""


def refusal(request: str, status: int, content: bytes, project: str) -> BadInput | Refused | RancherAnswered:
    """The failure that an error answer stands for: its code and field, because a 422 has no message."""
    try:
        error = msgspec.json.decode(content, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        error = _Error()
    if status == 401:
        return BadInput(
            f"{request} answered 401: the key is not known, or not active (any more)",
            hint="Check RANCHER_ACCESS_KEY and RANCHER_SECRET_KEY; a key just made takes a moment.",
        )
    if status == 403 or (status == 405 and not request.startswith("DELETE")):
        return Refused(
            f"{request} answered {status}: the key may not do this in the project {project or '(none)'}",
            hint="Use a key of an environment, or of an account that is at least a member of it.",
        )
    words = " ".join(part for part in (error.code, error.field and f"({error.field})", error.text) if part)
    return RancherAnswered(
        f"{request} answered {status}: {words or 'nothing that says why'}",
        hint=_HINTS.get(error.code or "", "`invoke doctor` shows what is reachable; look at it in Rancher."),
        status=status,
        code=error.code or "",
        field=error.field or "",
    )


_HINTS = {
    "NotUnique": "Something of that name is there already: look at it in Rancher.",
    "Conflict": "Another process of the server holds it: run this again in a moment.",
    "ActionNotAvailable": "Its state does not allow that (any more): run this again, it goes on from there.",
}


class _Error(msgspec.Struct, rename="camel"):
    code: str | None = None
    field: str | None = msgspec.field(default=None, name="fieldName")
    message: str | None = None
    detail: str | None = None

    @property
    def text(self) -> str:
        """What its code does not say already."""
        told = (self.message, self.detail)
        return ": ".join(text for text in told if text and text != self.code)
