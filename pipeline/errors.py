"""What can go wrong, with the exit code and the next step of each: the border that every verb ends at."""

from __future__ import annotations


class PipelineError(Exception):
    """A failure that a user can cause or act on.

    `what` says what happened, naming the object and the value; `hint` says what to do next. `exit_code` is the
    process's (docs/contract.md). A subclass is a code, not a message: raise the one whose code is right.
    """

    exit_code = 1

    def __init__(self, what: str, *, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return self.what


class Failed(PipelineError):
    """The thing was tried and did not work: a build step, an unhealthy container, a check through the gateway."""

    exit_code = 1


class BadInput(PipelineError):
    """A manifest, a setting or a flag says something that cannot be meant."""

    exit_code = 3


class Refused(PipelineError):
    """It could be done and would hurt: cut traffic, replace a newer release, touch what belongs to someone else."""

    exit_code = 4


class Unreachable(PipelineError):
    """An engine, a platform, a gateway or a host does not answer."""

    exit_code = 5


class Interrupted(PipelineError):
    """Ctrl-C or SIGTERM; what was begun has been put back or is completed by the next run."""

    exit_code = 130


class GatewayAnswered(Failed):
    """The gateway refused a request; `status` and `body` are its own words."""

    def __init__(self, what: str, *, hint: str, status: int, body: object = None) -> None:
        super().__init__(what, hint=hint)
        self.status = status
        self.body = body
