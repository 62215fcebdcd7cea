"""What a Rancher 1.6 server tells of its things: the fields that this toolkit reads, and no others."""

from __future__ import annotations

from typing import Any

import msgspec

GONE = ("removed", "purging", "purged")
GOING = ("removing", *GONE)
PRIMARY = "io.rancher.service.primary.launch.config"
_MADE_BY = "pipeline://"


class _Row(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the server adds is passed over; what it leaves out or sends as null has a default."""

    id: str
    name: str | None = None
    state: str | None = None
    transitioning: str | None = None
    transitioning_message: str | None = None
    created_ts: float | None = msgspec.field(default=None, name="createdTS")

    @property
    def going(self) -> bool:
        return self.state in GOING

    @property
    def created(self) -> float:
        """Seconds since 1970 by the server's clock."""
        return (self.created_ts or 0.0) / 1000

    @property
    def note(self) -> str:
        """The server's word on what it is doing, where it says more than that it does."""
        message = " ".join((self.transitioning_message or "").split())
        # The server puts a reason in brackets.
        whole = message[1:-1] if message.startswith("(") and message.endswith(")") else message
        return "" if whole == "In Progress" else whole


class Project(_Row, frozen=True, kw_only=True):
    """What the users of Rancher call an environment."""


class StackRow(_Row, frozen=True, kw_only=True):
    """A stack; `external_id` says whose."""

    external_id: str | None = None


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """The labels that are read of many: whose a container is and what it is made from."""

    environment: str = msgspec.field(default="", name="pipeline.environment")
    service: str = msgspec.field(default="", name="pipeline.service")
    branch: str = msgspec.field(default="", name="pipeline.branch")
    commit: str = msgspec.field(default="", name="pipeline.commit")
    version: str = msgspec.field(default="", name="pipeline.version")
    subject: str = msgspec.field(default="", name="pipeline.subject")
    author: str = msgspec.field(default="", name="pipeline.author")
    keep: str = msgspec.field(default="false", name="pipeline.keep")
    sameness: str = msgspec.field(default="", name="pipeline.sameness")
    definition: str = msgspec.field(default="", name="pipeline.definition")
    compose_service: str = msgspec.field(default="", name="pipeline.compose-service")
    once: str = msgspec.field(default="", name="io.rancher.container.start_once")
    launch: str = msgspec.field(default="", name="io.rancher.service.launch.config")


class Launch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The launch config of a service or of one of its sidekicks."""

    name: str | None = None
    labels: Marks | None = None
    image_uuid: str | None = None

    @property
    def marks(self) -> Marks:
        return self.labels or Marks()


class ServiceRow(_Row, frozen=True, kw_only=True):
    """A service as lists need it."""

    kind: str | None = None
    stack_id: str | None = None
    scale: int | None = None
    external_id: str | None = None
    launch_config: Launch | None = None
    secondary_launch_configs: list[Launch] | None = None

    @property
    def marks(self) -> Marks:
        return self.launch_config.marks if self.launch_config else Marks()

    @property
    def digest(self) -> str:
        """Of the definition that it was last told to run."""
        return self.marks.definition

    @property
    def launches(self) -> tuple[tuple[str, Launch], ...]:
        """Name → launch config, the service's own first."""
        own = (self.name or "", self.launch_config or Launch())
        return (own, *((one.name or "", one) for one in self.secondary_launch_configs or ()))


class ServiceWhole(_Row, frozen=True, kw_only=True):
    """A service with all that an upgrade has to send back; `actions` are those that its state offers."""

    stack_id: str | None = None
    scale: int | None = None
    metadata: dict[str, Any] | None = None
    retain_ip: bool | None = None
    actions: dict[str, str] | None = None
    launch_config: dict[str, Any] | None = None
    secondary_launch_configs: list[dict[str, Any]] | None = None

    @property
    def digest(self) -> str:
        """Of the definition that it was last told to run."""
        return str((self.launch_config or {}).get("labels", {}).get("pipeline.definition", ""))


class ContainerRow(_Row, frozen=True, kw_only=True):
    """A container of a service."""

    health_state: str | None = None
    image_uuid: str | None = None
    service_id: str | None = None
    stack_id: str | None = None
    labels: Marks | None = None
    start_count: int | None = None
    ports: list[str] | None = None
    system: bool | None = None

    @property
    def marks(self) -> Marks:
        return self.labels or Marks()


class Registry(_Row, frozen=True, kw_only=True):
    """A registry that hosts pull from."""

    server_address: str | None = None


class Login(_Row, frozen=True, kw_only=True):
    """What hosts log in with at a registry; its password is never told."""

    registry_id: str | None = None
    public_value: str | None = None


# What this toolkit makes begins so; a filter by "not like" passes over what has no externalId at all.
STRANGERS: tuple[dict[str, str], ...] = ({"externalId_null": "1"}, {"externalId_notlike": "pipeline%"})
"""The filters that find what others made, one after the other."""


def owner(environment: str, service: str) -> str:
    """What stands in `externalId` of all that this toolkit makes for a service, so that a list can be asked for it."""
    return f"{_MADE_BY}{environment}/{service}"


def owner_prefix(environment: str) -> str:
    return owner(environment, "")


def service_of(external_id: str | None, environment: str) -> str:
    """The service that a thing belongs to, empty when it is not this environment's."""
    own = owner_prefix(environment)
    return (external_id or "").removeprefix(own) if (external_id or "").startswith(own) else ""
