"""Writing planned changes to a Kong, and putting them back: PUT creates, PATCH changes only fields of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import Failed, GatewayAnswered, PipelineError, Unreachable
from pipeline.gateways.kong.client import AdminClient
from pipeline.gateways.kong.entities import same_value
from pipeline.model.plan import Change, Verb

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


class Writes:
    """Applies and reverts changes by one Admin API."""

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin

    def apply(self, changes: Sequence[Change]) -> None:
        """As Gateway.apply. A request whose answer was lost is resolved by reading the entity back."""
        begun: list[Change] = []
        try:
            for change in changes:
                begun.append(change)
                self._write(change)
        except PipelineError as error:
            raise self._failure(error, begun) from error
        except BaseException:
            self._put_back(begun)
            raise

    def revert(self, changes: Sequence[Change]) -> None:
        """As Gateway.revert."""
        result = self._put_back(changes)
        if result.left:
            raise Failed(result.words(), hint=_CHECK_HINT)

    def _write(self, change: Change) -> None:
        """A write of which it is unclear whether it acted is looked up; one that did not is sent a second time."""
        try:
            self._send(change)
        except (Unreachable, GatewayAnswered) as error:
            if not unclear(error):
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
        if change.verb is Verb.UPDATE:
            self._admin.write("PATCH", (change.kind, change.id), change.after)
        elif change.parent:
            self._admin.write("PUT", ("services", change.parent, change.kind, change.key), change.after)
        else:
            self._admin.write("PUT", (change.kind, change.key), change.after)

    def _holds(self, change: Change) -> bool:
        found = self._admin.find(change.kind, change.id or change.key)
        return found is not None and all(same_value(found.get(key), value) for key, value in change.after.items())

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
        """A DELETE of what is not there is 204 on services and routes (Kong 2.8)."""
        if change.verb is Verb.CREATE:
            self._admin.write("DELETE", (change.kind, change.key))
            return
        try:
            self._admin.write("PATCH", (change.kind, change.id), change.before)
        except Unreachable:
            found = self._admin.find(change.kind, change.id)
            if found is None or not all(same_value(found.get(key), value) for key, value in change.before.items()):
                raise


def unclear(error: PipelineError) -> bool:
    """Whether the server may have acted: its answer was lost or made no sense, or someone before it answered for it.
    429 ends a row of tries of which an earlier one may have been lost."""
    if isinstance(error, GatewayAnswered):
        return error.status == 429 or not 400 <= error.status < 500
    return isinstance(error, Unreachable)
