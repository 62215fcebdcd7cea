"""The part of Rancher that carries out compose files: it makes services of them, links them and starts them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.lab.rancher.compose import ComposeError, question_defaults, services_of
from pipeline.lab.rancher.compose_keys import launch_config
from pipeline.lab.rancher.faults import Fault
from pipeline.lab.rancher.ids import shown_id
from pipeline.lab.rancher.kinds_other import KINDS
from pipeline.lab.rancher.rows import Fields, Row, Store
from pipeline.lab.rancher.scheduler import Steps, Timings
from pipeline.lab.rancher.service_actions import ServiceActions
from pipeline.lab.rancher.service_engine import ServiceEngine
from pipeline.lab.rancher.services import Services

HASH = "io.rancher.service.hash"
SIDEKICKS = "io.rancher.sidekicks"
_KINDS = {"rancher/dns-service": "dnsService", "rancher/external-service": "externalService"}


class ComposeExecutor:
    def __init__(
        self, store: Store, services: Services, actions: ServiceActions, engine: ServiceEngine, timings: Timings
    ) -> None:
        self._store = store
        self._services = services
        self._actions = actions
        self._engine = engine
        self._timings = timings

    def create(self, stack: Row) -> Steps:
        """Services appear one by one, then links; with startOnCreate each is started and waited for. ComposeError."""
        wanted = self._wanted(stack, self.variables(stack, {}, stack.data.get("rancherCompose") or ""))
        made = {}
        for name in _ordered(wanted):
            made[name] = self._made(stack, name, wanted)
            yield self._timings.tick
        self._link(stack, wanted, made)
        if stack.data.get("startOnCreate"):
            for service in made.values():
                yield from self._brought_up(stack, service)

    def upgrade(self, stack: Row, given: Mapping[str, Any]) -> Steps:
        """In place for what has changed, new services for what is new; what is no longer named is left alone."""
        rancher = str(given.get("rancherCompose") or stack.data.get("rancherCompose") or "")
        variables = self.variables(stack, given.get("environment") or {}, rancher)
        docker = str(given.get("dockerCompose") or stack.data["dockerCompose"])
        wanted = self._wanted(stack, variables, docker, rancher)
        there = {row.name: row for row in self._store.children("service", stack.number)}
        made = {}
        for name in _ordered(wanted):
            if name not in there:
                made[name] = self._made(stack, name, wanted)
                yield self._timings.tick
                continue
            made[name] = there[name]
            yield from self._upgraded(stack, there[name], name, wanted)
        self._link(stack, wanted, made)
        for name, service in made.items():
            if name not in there:
                yield from self._brought_up(stack, service)

    def variables(self, stack: Row, given: Mapping[str, str], rancher: str) -> dict[str, str]:
        """What the stack was made with, the defaults of the questions, and what is given now on top."""
        before = dict(stack.data.get("environment") or {})
        defaults = question_defaults(rancher, {"Values": before, **self._words(stack)})
        return defaults | before | dict(given)

    def _wanted(
        self, stack: Row, variables: Mapping[str, str], docker: str = "", rancher: str | None = None
    ) -> dict[str, Fields]:
        text = docker or str(stack.data["dockerCompose"])
        extra = rancher if rancher is not None else str(stack.data.get("rancherCompose") or "")
        return services_of(text, extra, variables, self._words(stack))

    def _words(self, stack: Row) -> dict[str, Any]:
        project = self._store.get("account", stack.project)
        name = {"Name": stack.name, "Version": "", "PreviousVersion": ""}
        return {"Stack": name, "Release": name, "Environment": {"Name": project.name if project is not None else ""}}

    def _made(self, stack: Row, name: str, wanted: Mapping[str, Fields]) -> Row:
        for row in self._store.children("service", stack.number):
            if row.name == name:
                # Made before the lab was restarted.
                return row
        keys = wanted[name]
        kind = KINDS[_kind(keys)]
        project = self._store.get("account", stack.project)
        assert project is not None, "a stack has a project"  # noqa: S101  our own invariant
        configs = self._configs(stack, name, wanted)
        body: Fields = {
            "name": name,
            "stackId": shown_id("stack", stack.number),
            "scale": int(keys.get("scale", 1)),
            "launchConfig": configs[0],
            "secondaryLaunchConfigs": configs[1:] or None,
            "startOnCreate": False,
            "metadata": keys.get("metadata"),
            "retainIp": keys.get("retain_ip"),
            "scalePolicy": keys.get("scale_policy"),
            "hostname": keys.get("hostname"),
            "externalIpAddresses": keys.get("external_ips"),
            "lbConfig": self._balancing(stack, keys.get("lb_config")),
        }
        try:
            return self._services.create(kind, body, project)
        except Fault as error:
            raise ComposeError(f"Failed to create service {name}: {error.code} {error.field or ''}".strip()) from error

    def _configs(self, stack: Row, name: str, wanted: Mapping[str, Fields]) -> list[Fields]:
        configs = []
        for one in (name, *_sidekicks(wanted[name])):
            if one not in wanted:
                raise ComposeError(f"Failed to find sidekick {one} of service {name}")
            config = launch_config(wanted[one])
            config["secrets"] = self._secrets(stack, wanted[one].get("secrets") or ())
            config["labels"][HASH] = hash_of(wanted[one])
            configs.append(config | ({"name": one} if one != name else {}))
        return configs

    def _secrets(self, stack: Row, wanted: Any) -> list[Fields]:
        found = []
        for one in wanted:
            keys = {"source": one} if isinstance(one, str) else dict(one)
            row = next(
                (
                    row
                    for row in self._store.rows("secret")
                    if row.project == stack.project and row.name == keys["source"]
                ),
                None,
            )
            if row is None:
                raise ComposeError(f"Failed to find secret {keys['source']}")
            reference = {"secretId": shown_id("secret", row.number), "name": keys.get("target") or row.name}
            found.append(reference | {name: str(keys[name]) for name in ("uid", "gid", "mode") if name in keys})
        return found

    def _balancing(self, stack: Row, config: Any) -> Any:
        if not isinstance(config, dict):
            return None
        rules = []
        for rule in config.get("port_rules") or ():
            words = {_camel(key): value for key, value in rule.items() if key != "service"}
            if rule.get("service"):
                found = self._by_name(stack, str(rule["service"]))
                words["serviceId"] = shown_id("service", found.number)
            rules.append(words)
        return {"portRules": rules, "config": config.get("config")}

    def _by_name(self, stack: Row, path: str) -> Row:
        above, _, name = path.rpartition("/")
        for row in self._store.rows("stack"):
            if row.project == stack.project and row.name == (above or stack.name):
                for service in self._store.children("service", row.number):
                    if service.name == name:
                        return service
        raise ComposeError(f"Failed to find service {path}")

    def _link(self, stack: Row, wanted: Mapping[str, Fields], made: Mapping[str, Row]) -> None:
        for name, service in made.items():
            links = []
            for text in (*(wanted[name].get("links") or ()), *(wanted[name].get("external_links") or ())):
                target, _, alias = str(text).partition(":")
                if target in wanted and target not in made:
                    continue
                links.append({"serviceId": shown_id("service", self._by_name(stack, target).number), "name": alias})
            if links:
                try:
                    self._actions.act(service, "setservicelinks", {"serviceLinks": links})
                except Fault as error:
                    raise ComposeError(f"Failed to link service {name}: {error.code}") from error

    def _brought_up(self, stack: Row, service: Row) -> Steps:
        yield from self._rested(stack, service, ("inactive", "active"))
        if service.state == "inactive":
            self._engine.act(service, "activate")
            yield from self._rested(stack, service, ("active",))

    def _upgraded(self, stack: Row, service: Row, name: str, wanted: Mapping[str, Fields]) -> Steps:
        if service.state == "upgraded":
            self._engine.act(service, "finishupgrade")
            yield from self._rested(stack, service, ("active",))
        configs = self._configs(stack, name, wanted)
        before = [service.data.get("launchConfig") or {}, *(service.data.get("secondaryLaunchConfigs") or ())]
        if [_hash_in(one) for one in before] == [_hash_in(one) for one in configs]:
            return
        if service.state not in ("active", "inactive"):
            raise ComposeError(
                f"Service {name} must be state=active or inactive to upgrade, currently: state={service.state}"
            )
        strategy = dict((wanted[name].get("upgrade_strategy") or {}).items())
        body = {
            "batchSize": strategy.get("batch_size", 1),
            "intervalMillis": strategy.get("interval_millis", 2000),
            "startFirst": strategy.get("start_first", False),
            "launchConfig": configs[0],
            "secondaryLaunchConfigs": configs[1:],
        }
        try:
            self._actions.act(service, "upgrade", {"inServiceStrategy": body})
        except Fault as error:
            raise ComposeError(f"Failed to upgrade service {name}: {error.code}") from error
        yield from self._rested(stack, service, ("upgraded",))

    def _rested(self, stack: Row, service: Row, states: tuple[str, ...]) -> Iterator[float]:
        """Waits, and shows on the stack what the service waits for. A service that is removed meanwhile is not."""
        while service.state not in states and not service.gone:
            message = service.data.get("transitioningMessage")
            shown = f"{service.name}: {message}" if message else None
            if shown != stack.data.get("transitioningMessage"):
                self._store.put(stack, transitioningMessage=shown)
            yield self._timings.tick


def hash_of(keys: Mapping[str, Any]) -> str:
    """Scale is no part of it: an upgrade never changes it."""
    told = {name: value for name, value in keys.items() if name != "scale"}
    return hashlib.sha1(json.dumps(told, sort_keys=True, default=str).encode(), usedforsecurity=False).hexdigest()


def _hash_in(config: Mapping[str, Any]) -> str:
    return str((config.get("labels") or {}).get(HASH, ""))


def _kind(keys: Mapping[str, Any]) -> str:
    image = str(keys.get("image") or "")
    if keys.get("lb_config") is not None:
        return "loadBalancerService"
    return _KINDS.get(image, "service")


def _sidekicks(keys: Mapping[str, Any]) -> tuple[str, ...]:
    labels = keys.get("labels") or {}
    pairs = labels if isinstance(labels, dict) else dict(str(one).partition("=")[::2] for one in labels)
    return tuple(name.strip() for name in str(pairs.get(SIDEKICKS, "")).split(",") if name.strip())


def _ordered(wanted: Mapping[str, Fields]) -> list[str]:
    """Primaries, each after those that it links to or depends on; a circle is cut where it is met."""
    beside = {one for keys in wanted.values() for one in _sidekicks(keys)}
    found: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name in seen or name not in wanted or name in beside:
            return
        seen.add(name)
        for other in (*(wanted[name].get("links") or ()), *(wanted[name].get("depends_on") or ())):
            visit(str(other).partition(":")[0])
        found.append(name)

    for name in wanted:
        visit(name)
    return found


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)
