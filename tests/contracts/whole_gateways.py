"""Random gateways of every kind on a lab gateway: made, wiped, restored by each format."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from pipeline.edge.clock import SystemClock
from pipeline.edge.library import shell_library
from pipeline.errors import GatewayAnswered
from pipeline.flows.restore import Manner, Restoration, apply
from pipeline.gateways.kong.services_routes import KongGateway
from pipeline.lab.gateway.running import running_gateway
from pipeline.model.address import GatewayAddress
from pipeline.model.deck import deck_file, deck_variable
from pipeline.model.deck_reader import read_deck_file
from pipeline.model.kinds import kind_of, rank
from pipeline.model.restoration import RestorePlan, Scope, plan_restore
from pipeline.model.restore_script import ScriptHeader, restore_script
from pipeline.model.restore_script_reader import read_restore_script
from pipeline.model.route import Entity, GatewayState
from pipeline.model.secret import Secret
from pipeline.model.secret_fields import filled, named_secrets
from pipeline.model.state_file import read_state_file, state_file

SHELLS = {"bash": ("bash", "--posix"), "busybox": ("busybox", "sh"), "dash": ("dash",)}
EXAMPLES = int(os.environ.get("RANDOM_GATEWAYS", "50"))
HOSTILE = (
    "'; touch /tmp/pwned; '",
    '"quoted" \\ back',
    "$(id)`id`",
    "a\nb\tc\r",
    "-v --help",
    "@/etc/passwd",
    "%s %n%{http_code}",
    "Düsseldorf 日本 🚀",
    "${{ env }}",
    '{"json": "in \\"a\\" string"}',
    "\x7f\x85\u2028",
    "x" * 4096,
)
# A Kong's database holds no text with a zero byte, and no environment variable does.
_character = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
hostile = st.one_of(st.sampled_from(HOSTILE), st.text(_character, min_size=1, max_size=20))
tags = st.none() | st.lists(
    hostile.map(lambda text: text.replace("/", "").replace(",", "").replace(" ", "")), max_size=2
)
word = st.text(alphabet="abc.-_~é日", min_size=1, max_size=8)
times = st.integers(1_500_000_000, 1_700_000_000)
HEADER = ScriptHeader(
    subject="the whole gateway", file="restore.sh", tool_version="1", environment="stage", commit="0a1b2c3d"
)


def ids() -> st.SearchStrategy[str]:
    return st.uuids(version=4).map(str)


SERVICE = st.fixed_dictionaries(
    {"host": st.sampled_from(["proxy.cities-x", "10.0.0.1"]), "created_at": times},
    optional={
        "name": word,
        "path": st.sampled_from(["/", "/a%20b", "/it's", "/$(x)"]),
        "retries": st.none() | st.integers(0, 9),
        "protocol": st.sampled_from(["http", "https"]),
        "tags": tags,
        "enabled": st.booleans(),
        "read_timeout": st.integers(1, 2**31 - 2),
    },
)
ROUTE = st.fixed_dictionaries(
    {"paths": st.lists(hostile.map(lambda text: "/" + text), min_size=1, max_size=2), "created_at": times},
    optional={
        "name": word,
        "headers": st.dictionaries(
            st.sampled_from(["x-a", "X-B"]), st.lists(hostile, min_size=1, max_size=2), max_size=2
        ),
        "hosts": st.lists(st.sampled_from(["a.example.com", "*.b.com"]), max_size=2),
        "methods": st.none() | st.just(["GET", "PUT"]),
        "strip_path": st.booleans(),
        "regex_priority": st.none() | st.integers(-5, 5),
        "tags": tags,
    },
)
UPSTREAM = st.fixed_dictionaries(
    {"name": st.sampled_from(["up.a", "up.b", "cities.local"]), "created_at": times},
    optional={
        "slots": st.integers(10, 99),
        "tags": tags,
        "hash_on_header": st.just("x-h"),
        "host_header": st.just("h"),
    },
)
TARGET = st.fixed_dictionaries(
    {"target": st.sampled_from(["10.0.0.1:80", "10.0.0.2", "web.local:8080"]), "weight": st.integers(0, 100)},
    optional={"tags": tags, "created_at": st.integers(1_500_000_000, 1_600_000_000).map(lambda one: one + 0.25)},
)
CONSUMER = st.fixed_dictionaries(
    {"username": hostile, "created_at": times}, optional={"custom_id": hostile, "tags": tags}
)  # fmt: skip
CREDENTIALS = {
    "key-auths": st.fixed_dictionaries({"key": hostile}, optional={"tags": tags, "ttl": st.integers(10, 99)}),
    "basic-auths": st.fixed_dictionaries({"username": hostile, "password": hostile}),
    "hmac-auths": st.fixed_dictionaries({"username": hostile}, optional={"secret": hostile}),
    "jwts": st.fixed_dictionaries({"key": hostile}, optional={"secret": hostile}),
    "acls": st.fixed_dictionaries({"group": hostile}),
}
PLUGIN = st.one_of(
    st.fixed_dictionaries({"name": st.just("cors"), "config": st.fixed_dictionaries({"origins": st.lists(hostile, max_size=2)})}),
    st.fixed_dictionaries(
        {
            "name": st.just("rate-limiting"),
            "config": st.fixed_dictionaries(
                {"minute": st.integers(1, 99), "policy": st.just("local")}, optional={"redis_password": hostile}
            ),
        }
    ),
    st.fixed_dictionaries(
        {"name": st.just("request-termination"), "config": st.fixed_dictionaries({"body": hostile}), "tags": tags}
    ),
    st.fixed_dictionaries(
        {
            "name": st.just("file-log"),
            "config": st.fixed_dictionaries(
                {"path": st.just("/tmp/log"), "custom_fields_by_lua": st.dictionaries(hostile, hostile, max_size=2)}
            ),
        }
    ),
)  # fmt: skip
PEM = st.sampled_from(["", "\n", " x \n"]).map(lambda end: f"-----BEGIN PRIVATE KEY-----\nAB'\"$(x)\n-----END{end}")
CERTIFICATE = st.fixed_dictionaries(
    {"cert": st.just("-----BEGIN CERTIFICATE-----\nAB\n"), "key": PEM, "created_at": times}, optional={"tags": tags}
)  # fmt: skip
Draft = tuple[str, str, dict[str, Any]]


@st.composite
def gateways(draw: st.DrawFn) -> list[Draft]:
    """Kind, id and fields of each entity, in an order in which they can be written."""
    found: list[Draft] = []

    def some(kind: str, fields: st.SearchStrategy[dict[str, Any]], most: int, **references: str) -> list[str]:
        made = []
        for one in draw(st.lists(fields, max_size=most)):
            body = {**one, **{name: {"id": key} for name, key in references.items()}}
            made.append(draw(ids()))
            found.append((kind, made[-1], body))
        return made

    for certificate in some("certificates", CERTIFICATE, 1):
        some(
            "snis",
            st.fixed_dictionaries({"name": st.sampled_from(["a.example.com", "*.b.com"])}),
            2,
            certificate=certificate,
        )
    some("ca_certificates", st.just({"cert": "-----BEGIN CERTIFICATE-----\nCA\n"}), 1)
    services = some("services", SERVICE, 3)
    routes = some("routes", ROUTE, 1)
    for service in services:
        routes += some("routes", ROUTE, 2, service=service)
    for upstream in some("upstreams", UPSTREAM, 2):
        some("targets", TARGET, 3, upstream=upstream)
    consumers = some("consumers", CONSUMER, 2)
    for consumer in consumers:
        for kind, fields in CREDENTIALS.items():
            some(kind, fields, 2, consumer=consumer)
    scopes = {"service": services, "route": routes, "consumer": consumers}
    for _ in range(draw(st.integers(0, 3))):
        names = draw(st.lists(st.sampled_from(sorted(scopes)), unique=True, max_size=2))
        some("plugins", PLUGIN, 1, **{name: draw(st.sampled_from(scopes[name])) for name in names if scopes[name]})
    return found


@dataclass(frozen=True)
class Open:
    """A lab gateway, its driver and a folder for scripts."""

    url: str
    gateway: KongGateway
    folder: Path

    def make(self, drafts: list[Draft]) -> GatewayState:
        """What the gateway refuses (two of a name) is left out: it could not be in a dump."""
        self.wipe()
        for kind, key, fields in drafts:
            with contextlib.suppress(GatewayAnswered):
                if kind == "targets":
                    words = ("upstreams", fields["upstream"]["id"], "targets")
                    self.gateway._admin.write("POST", words, {**fields, "id": key})
                else:
                    self.gateway._admin.write("PUT", (kind, key), fields)
        return self.gateway.dump()

    def wipe(self) -> None:
        for entity in sorted(self.gateway.dump().entities, key=lambda one: -rank(one.kind)):
            if entity.kind != "targets":
                self.gateway._admin.write("DELETE", (entity.kind, entity.id))

    def script(self, state: GatewayState) -> str:
        return restore_script(state, HEADER, library=shell_library())

    def run(self, shell: str, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        file = self.folder / "restore.sh"
        file.write_text(script)
        words = [shutil.which(SHELLS[shell][0]) or shell, *SHELLS[shell][1:], str(file)]
        given = {"PATH": os.environ["PATH"], "KONG_ADMIN_URL": self.url, "http_proxy": "http://127.0.0.1:9"}
        return subprocess.run(words, env=given | variables, capture_output=True, text=True, timeout=60)

    def read(self, form: str, state: GatewayState) -> GatewayState:
        """Written in a format, read back, with its secrets but for those that the gateway hashes."""
        values = secrets_of(state)
        if form == "sh":
            found, _ = read_restore_script(self.script(state), file="x")
        elif form == "json":
            found, _ = read_state_file(state_file(state, "stage"), file="x")
        else:
            by_deck = {deck_variable(name): secret.reveal() for name, secret in values.items()}
            found, _ = read_deck_file(deck_file(state), file="x", find=by_deck.get)
        complete, missing = filled(found, values.get)
        assert missing == ()
        return complete

    def plan(self, wanted: GatewayState, scope: Scope | None = None) -> RestorePlan:
        return plan_restore(wanted, self.gateway.dump(), scope or Scope())

    def restore(self, wanted: GatewayState, scope: Scope | None = None, manner: Manner | None = None) -> Restoration:
        return apply(self.plan(wanted, scope), self.gateway.restorer, manner or Manner())


def secrets_of(state: GatewayState) -> dict[str, Secret]:
    """The values of the variables, without those of which the gateway gives a hash."""
    named = [one for one in named_secrets(state) if not one.reissues]
    return {one.variable: one.value for one in named if isinstance(one.value, Secret)}


def without_hashed(state: GatewayState) -> tuple[Entity, ...]:
    return tuple(one for one in state.entities if not kind_of(one.kind).hashed)


def steady(state: GatewayState) -> list[tuple[str, str, object, dict[str, object]]]:
    """Every entity that can be restored, but for what runs down by itself."""
    return [
        (one.kind, one.id, one.created_at, {key: value for key, value in one.body.items() if key != "ttl"})
        for one in without_hashed(state)
    ]


@contextmanager
def open_lab(folder: Path) -> Iterator[Open]:
    with running_gateway(state=folder / f"gateway-{uuid.uuid4().hex}") as lab:
        gateway = KongGateway(GatewayAddress(admin=lab.admin_url), clock=SystemClock())
        yield Open(lab.admin_url, gateway, folder)
        gateway.close()
