"""Which states there are, which actions each offers and where they lead: Cattle's process definitions as data."""

from __future__ import annotations

from collections.abc import Mapping

ALWAYS = {
    "stack": ("addoutputs", "exportconfig", "activateservices", "deactivateservices"),
    "service": ("setservicelinks", "addservicelink", "removeservicelink"),
}
"""Actions without a process behind them: offered in every state."""

STACK: Mapping[str, tuple[str, ...]] = {
    "requested": ("create", "remove"),
    "activating": ("remove", "error"),
    "active": ("update", "upgrade", "remove"),
    "updating-active": ("remove",),
    "upgrading": ("cancelupgrade", "rollback", "remove"),
    "upgraded": ("finishupgrade", "rollback", "remove"),
    "finishing-upgrade": ("cancelupgrade", "remove"),
    "canceling-upgrade": ("remove",),
    "canceled-upgrade": ("upgrade", "rollback", "remove"),
    "rolling-back": ("remove",),
    "erroring": ("remove",),
    "error": ("remove",),
    "removing": (),
    "removed": (),
}

SERVICE: Mapping[str, tuple[str, ...]] = {
    "registering": ("remove",),
    "inactive": ("activate", "update", "upgrade", "remove"),
    "activating": ("update", "deactivate", "upgrade", "remove"),
    "active": ("update", "deactivate", "upgrade", "restart", "remove"),
    "updating-active": ("update", "deactivate", "upgrade", "remove"),
    "updating-inactive": ("deactivate", "remove"),
    "deactivating": ("remove",),
    "restarting": ("activate", "deactivate", "remove"),
    "upgrading": ("update", "cancelupgrade", "rollback", "remove"),
    "upgraded": ("finishupgrade", "rollback", "remove"),
    "finishing-upgrade": ("update", "cancelupgrade", "remove"),
    "canceling-upgrade": ("update", "remove"),
    "canceled-upgrade": ("continueupgrade", "rollback", "remove"),
    "rolling-back": ("update", "remove"),
    "removing": (),
    "removed": (),
}

INSTANCE: Mapping[str, tuple[str, ...]] = {
    "requested": ("remove",),
    "creating": ("stop", "remove"),
    "starting": ("stop", "remove"),
    "running": ("stop", "restart", "update", "execute", "logs", "proxy", "migrate"),
    "stopping": ("remove",),
    "stopped": ("start", "remove", "update", "logs"),
    "restarting": ("stop", "remove"),
    "erroring": ("remove",),
    "error": ("remove",),
    "removing": (),
    "removed": ("purge",),
    "purging": (),
    "purged": (),
}

HOST: Mapping[str, tuple[str, ...]] = {
    "registering": (),
    "active": ("deactivate", "evacuate", "update"),
    "activating": ("deactivate",),
    "deactivating": (),
    "inactive": ("activate", "remove", "evacuate", "update"),
    "removing": (),
    "removed": ("purge",),
    "purged": (),
}

GUARDED: Mapping[str, tuple[str, ...]] = {
    "registering": (),
    "activating": (),
    "active": ("deactivate", "update"),
    "deactivating": (),
    "inactive": ("activate", "remove", "update"),
    "removing": (),
    "removed": ("purge",),
    "purging": (),
    "purged": (),
}
"""What must be deactivated before it is removed: API keys, registries and their credentials, volumes."""

FREE: Mapping[str, tuple[str, ...]] = {
    "registering": ("remove",),
    "creating": ("remove",),
    "activating": ("remove",),
    "active": ("remove",),
    "updating-active": ("remove",),
    "inactive": ("remove",),
    "deactivating": (),
    "removing": (),
    "removed": (),
}
"""What can be removed at once: secrets, certificates, pull tasks."""

PROJECT: Mapping[str, tuple[str, ...]] = {
    **FREE,
    "active": ("deactivate", "setmembers", "update", "remove"),
    "inactive": ("activate", "remove", "setmembers", "update"),
}

TABLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "stack": STACK,
    "service": SERVICE,
    "instance": INSTANCE,
    "host": HOST,
    "credential": GUARDED,
    "storagePool": GUARDED,
    "volume": GUARDED,
    "account": PROJECT,
}
"""By base type; what is not named here is FREE."""

TRANSITIONAL = frozenset(
    (
        "activating",
        "canceling-upgrade",
        "creating",
        "deactivating",
        "erroring",
        "finishing-upgrade",
        "migrating",
        "purging",
        "registering",
        "removing",
        "restarting",
        "rolling-back",
        "starting",
        "stopping",
        "updating-active",
        "updating-inactive",
        "upgrading",
    )
)

UPDATING: Mapping[str, str] = {
    "inactive": "updating-inactive",
    "active": "updating-active",
    "activating": "updating-active",
    "updating-active": "updating-active",
    # Inside these an update has no state of its own: what runs takes the new value.
    "upgrading": "upgrading",
    "finishing-upgrade": "finishing-upgrade",
    "canceling-upgrade": "canceling-upgrade",
    "rolling-back": "rolling-back",
}
"""The state that an update of a service leads to, by the state in which it starts."""


def offered(table: str, state: str) -> tuple[str, ...]:
    """The actions of a resource in a state, those without a process too."""
    return TABLES.get(table, FREE).get(state, ()) + ALWAYS.get(table, ())
