"""Estates for the tests of prune: snapshots from a few words, in JSON or from hypothesis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline.model.prune_rules import PrunePolicy
from pipeline.model.record import Lease, Record
from pipeline.model.route import FoundRoute, FoundUpstream, Owner
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import FoundContainer, FoundStack
from pipeline.model.surroundings import FoundImage, FoundVolume, Surroundings

NOW = 1_000_000.0


def stack(name: str, *, age: float = 86400, state: str = "healthy", **fields: Any) -> FoundStack:
    """`cities-master-00000001` is version 00000001 of cities on master, unless a field says otherwise."""
    service, _, rest = name.partition("-")
    branch, _, version = rest.rpartition("-")
    ports = tuple(("80/tcp", f"0.0.0.0:{port}") for port in fields.pop("ports", ()))
    container = FoundContainer(
        id=f"id-{name}",
        name=f"{name}.proxy.1",
        compose_service="proxy",
        image=fields.pop("image", f"sha256:{name}"),
        state=state,  # type: ignore[arg-type]  # one of the states
        created=NOW - age,
        ports=ports,
    )
    found = FoundStack(
        name=name,
        service=service,
        environment="stage",
        branch=branch,
        commit=version * 5,
        version=version,
        sameness=name,
        containers=(container,),
    )
    return replace(found, **fields)


def route(service: str, upstream: str, **fields: Any) -> FoundRoute:
    """A route of ours to a stack (by its name) or to a URL."""
    url = upstream if "://" in upstream else f"http://proxy.{upstream}"
    tag = fields.pop("tag", upstream)
    owner = Owner(environment=fields.pop("environment", "stage"), service=service, stack=tag)
    found = FoundRoute(
        id=f"route-{service}-{upstream}",
        name=service,
        paths=(f"/ws/{service}",),
        hosts=(),
        methods=(),
        strip_uri=False,
        preserve_host=False,
        upstream=url,
        owner=owner,
    )
    return replace(found, **fields) if fields.pop("ours", True) else replace(found, owner=Owner(), name="legacy")


def record(verb: str, name: str, *, ago: float, **fields: Any) -> Record:
    service, _, _ = name.partition("-")
    known = {"route_after": f"http://proxy.{name}"} if verb in ("register", "rollback") else {}
    known |= {"images": {"proxy": f"sha256:{name}"}} if verb == "deploy" else {}
    return Record(
        **{  # type: ignore[arg-type]  # the fields of Record
            "verb": verb,
            "service": service,
            "environment": "stage",
            "at": NOW - ago,
            "stack": name,
            "version": name[-8:],
            **known,
            **fields,
        }
    )


def image(name: str, **fields: Any) -> FoundImage:
    known = {"id": f"sha256:{name}", "names": (f"{name}:1",), "service": name.partition("-")[0], "stack": name}
    return FoundImage(**(known | fields))


def snapshot_of(case: dict[str, Any]) -> Snapshot:
    branches = case.get("branches", [])
    leases = [
        Lease(name=f"stage.{service}", token="t", holder=holder, taken=NOW - 5, expires=NOW + left, now=NOW)
        for service, holder, left in case.get("leases", ())
    ]
    return Snapshot(
        environment="stage",
        stacks=tuple(stack(**fields) for fields in case.get("stacks", ())),
        routes=tuple(route(**fields) for fields in case.get("routes", ())),
        upstreams=tuple(FoundUpstream(name=name, targets=tuple(to)) for name, to in case.get("upstreams", ())),
        records=tuple(record(verb, name, ago=ago, **more) for verb, name, ago, more in case.get("records", ())),
        leases=tuple(leases),
        surroundings=Surroundings(
            now=NOW,
            strangers=tuple(stack(**fields, service="", environment="") for fields in case.get("strangers", ())),
            images=tuple(image(**fields) for fields in case.get("images", ())),
            used=frozenset(case.get("used", ())),
            volumes=tuple(FoundVolume(**fields) for fields in case.get("volumes", ())),
        ),
        branches=None if branches is None else frozenset(branches),
        missing=tuple((source, why) for source, why in case.get("missing", ())),
    )


def policy_of(case: dict[str, Any]) -> PrunePolicy:
    return PrunePolicy(**case.get("policy", {}))
