"""Writing planned changes to a Kong, and putting them back, in the words of its dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.errors import Failed, GatewayAnswered, PipelineError, Unreachable
from pipeline.gateways.kong.client import AdminClient
from pipeline.gateways.kong.entities import same_value
from pipeline.model.plan import Change, Verb, writing

_CHECK_HINT = "Look at the gateway before the next try; the last restore artifact has the state before."


@dataclass(frozen=True, slots=True, kw_only=True)
class _PutBack:
    """What became of the before-images: those written, and those that could not be, with the reason."""

    done: tuple[Change, ...]
    left: tuple[tuple[Change, str], ...]

    def words(self) -> str:
        if not self.done and not self.left:
            return "nothing was changed"
        parts = []
        if self.done:
            parts.append(f"put back as before: {', '.join(change.label for change in self.done)}")
        if self.left:
            listed = (f"{change.label} ({reason})" for change, reason in self.left)
            parts.append(f"could not be put back: {', '.join(listed)}")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One write to an Admin API. Paths are words."""

    method: str
    words: tuple[str, ...]
    fields: Mapping[str, object]


class Wording(Protocol):
    """How a dialect says what a change means."""

    def place(self, change: Change) -> tuple[str, ...]:
        """Where the entity is once it exists."""

    def create(self, change: Change, fields: Mapping[str, object]) -> Request:
        """Makes the entity with these fields."""

    def update(self, change: Change, fields: Mapping[str, object]) -> Request:
        """Makes the entity that exists hold these fields."""


class Writes:
    """Applies and reverts changes by one Admin API."""

    def __init__(self, admin: AdminClient, wording: Wording) -> None:
        self._admin = admin
        self._wording = wording

    def apply(self, changes: Sequence[Change]) -> None:
        """As Gateway.apply. A request whose answer was lost is resolved by reading the entity back."""
        begun: list[Change] = []
        try:
            for change in writing(changes):
                begun.append(change)
                self._write(change)
        except PipelineError as error:
            raise self._failure(error, begun) from error
        except BaseException:
            self._put_back(begun)
            raise

    def revert(self, changes: Sequence[Change]) -> None:
        """As Gateway.revert."""
        result = self._put_back(writing(changes))
        if result.left:
            raise Failed(result.words(), hint=_CHECK_HINT)

    def _write(self, change: Change) -> None:
        """A write of which it is unclear whether it acted is looked up; one that did not is sent a second time. What
        is there already, and is as it should be, is created."""
        try:
            self._send(change)
        except (Unreachable, GatewayAnswered) as error:
            if not unclear(error) and not (_is_taken(change, error) and self._holds(change)):
                raise
            if not self._holds(change):
                self._write_again(change)

    def _write_again(self, change: Change) -> None:
        try:
            self._send(change)
        except (Unreachable, GatewayAnswered) as error:
            if not unclear(error) or not self._holds(change):
                raise

    def _send(self, change: Change) -> None:
        if change.verb is Verb.DELETE:
            self._remove(change)
        elif change.verb is Verb.CREATE:
            self._request(self._wording.create(change, change.after))
        else:
            self._request(self._wording.update(change, change.after))

    def _holds(self, change: Change) -> bool:
        return self._agrees(change, None if change.verb is Verb.DELETE else change.after)

    def _agrees(self, change: Change, fields: Mapping[str, object] | None) -> bool:
        """Whether the entity is there with these fields; for None, whether it is not there."""
        found = self._admin.find(*self._wording.place(change))
        if found is None or fields is None:
            return found is None and fields is None
        return agrees(found, fields)

    def _remove(self, change: Change) -> None:
        """What is gone already is 204 on services, routes and plugins (Kong 2.8), 404 on /apis and its plugins."""
        try:
            self._admin.write("DELETE", self._wording.place(change))
        except GatewayAnswered as error:
            if error.status != 404:
                raise

    def _request(self, request: Request) -> None:
        self._admin.write(request.method, request.words, request.fields)

    def _failure(self, error: PipelineError, begun: Sequence[Change]) -> PipelineError:
        """The error with the whole truth. A write that the server refused has nothing to be put back."""
        failed = begun[-1]
        result = self._put_back(begun if unclear(error) else begun[:-1])
        what = f"{failed.label} could not be written: {error.what} – {result.words()}"
        if isinstance(error, GatewayAnswered):
            return GatewayAnswered(what, hint=error.hint, status=error.status, body=error.body)
        if result.left:
            return Failed(what, hint=_CHECK_HINT)
        return type(error)(what, hint=error.hint)

    def _put_back(self, begun: Sequence[Change]) -> _PutBack:
        """Last first. Ctrl-C meanwhile begins the step anew, once: half of a registration is worse than a wait."""
        done: list[Change] = []
        left: list[tuple[Change, str]] = []
        interrupted: KeyboardInterrupt | None = None
        for change in reversed(begun):
            try:
                try:
                    self._undo(change)
                except KeyboardInterrupt as interrupt:
                    interrupted = interrupt
                    self._undo(change)
            except PipelineError as error:
                left.append((change, error.what))
            else:
                done.append(change)
        if interrupted is not None:
            raise interrupted
        return _PutBack(done=tuple(done), left=tuple(left))

    def _undo(self, change: Change) -> None:
        if change.verb is Verb.CREATE:
            self._remove(change)
            return
        if change.verb is Verb.DELETE and self._agrees(change, change.before):
            return
        word = self._wording.create if change.verb is Verb.DELETE else self._wording.update
        try:
            self._request(word(change, change.before))
        except Unreachable:
            if not self._agrees(change, change.before):
                raise


def agrees(found: Mapping[str, object], fields: Mapping[str, object]) -> bool:
    """Whether an entity holds these fields; of one with fields of its own, what is named of them."""
    for key, value in fields.items():
        there = found.get(key)
        inner = isinstance(value, Mapping) and isinstance(there, Mapping)
        if not (agrees(there, value) if inner else same_value(there, value)):  # type: ignore[arg-type]  # both are
            return False
    return True


def unclear(error: PipelineError) -> bool:
    """Whether the server may have acted: its answer was lost or made no sense, or someone before it answered for it.
    429 ends a row of tries of which an earlier one may have been lost."""
    if isinstance(error, GatewayAnswered):
        return error.status == 429 or not 400 <= error.status < 500
    return isinstance(error, Unreachable)


def _is_taken(change: Change, error: PipelineError) -> bool:
    """A POST of what exists is 409 (/apis); a PUT is not."""
    return change.verb is Verb.CREATE and isinstance(error, GatewayAnswered) and error.status == 409
