"""Names between containers: what rancher-dns answers, from the rows alone and as packets."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rancher_support import P, Rancher

from pipeline.lab.rancher import dns
from pipeline.lab.rancher.resolving import Meaning, Names
from pipeline.lab.rancher.running import Lab, running_rancher


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """shop: web (two, with a sidekick), db linked as store, cdn outside; other: web, and front, which is an alias."""
    with running_rancher() as running:
        rancher = Rancher(running)
        shop, other = rancher.stack("Shop"), rancher.stack("other")
        web = rancher.service(shop, "web", scale=2, secondaryLaunchConfigs=[{"name": "log", "imageUuid": "docker:log"}])
        db = rancher.service(shop, "db")
        rancher.service(other, "web")
        rancher.act(web, "setservicelinks", {"serviceLinks": [{"serviceId": db["id"], "name": "store"}]})
        rancher.post(f"{P}/externalservices", {"name": "cdn", "stackId": shop["id"], "hostname": "cdn.example.com"})
        outside = {"name": "mail", "stackId": shop["id"], "externalIpAddresses": ["192.0.2.1", "192.0.2.2"]}
        rancher.post(f"{P}/externalservices", outside)
        front = rancher.post(f"{P}/dnsservices", {"name": "front", "stackId": other["id"]})
        rancher.act(front, "setservicelinks", {"serviceLinks": [{"serviceId": web["id"]}]})
        running.advance(5)
        yield running


def addresses(lab: Lab, name: str, number: int = 1) -> tuple[str, ...]:
    """Of a service's healthy containers, as the API has them."""
    rancher = Rancher(lab)
    (stack,) = rancher.data(f"{P}/stacks?name={name.split('.')[-1]}")
    service = next(row for row in rancher.data(stack["links"]["services"]) if row["name"] == name.split(".")[-2])
    config = "" if name.count(".") == 1 else name.split(".")[0]
    rows = [
        row
        for row in rancher.data(service["links"]["instances"])
        if row["labels"]["io.rancher.service.launch.config"] == (config or "io.rancher.service.primary.launch.config")
    ]
    return tuple(row["primaryIpAddress"] for row in rows)


def meaning(lab: Lab, name: str, asker: str = "") -> Meaning | None:
    names = Names(lab.state.store, 5)
    return lab.call(lambda: names.meaning(name, asker))


@pytest.mark.parametrize(
    ("name", "asker", "meant"),
    [
        ("web.shop", "", "web.shop"),
        ("WEB.Shop.", "", "web.shop"),
        ("web.shop.rancher.internal", "", "web.shop"),
        ("log.web.shop", "", "log.web.shop"),
        ("web", "db.shop", "web.shop"),
        ("web", "web.other", "web.other"),
        ("log", "web.shop", "log.web.shop"),
        ("store", "web.shop", "db.shop"),
        ("front.other", "", "web.shop"),
    ],
)
def test_a_name_means(lab: Lab, name: str, asker: str, meant: str) -> None:
    address = addresses(lab, asker)[0] if asker else ""

    found = meaning(lab, name, address)

    assert found is not None
    assert found.addresses == addresses(lab, meant)


@pytest.mark.parametrize(
    "name", ["web", "store", "nobody.shop", "web.nowhere", "a.b.web.shop", "x.web.shop", "example.com"]
)
def test_a_name_means_nothing_to_a_stranger(lab: Lab, name: str) -> None:
    assert meaning(lab, name) is None


def test_services_outside_are_names_or_addresses(lab: Lab) -> None:
    assert meaning(lab, "cdn.shop") == Meaning(canonical="cdn.example.com")
    assert meaning(lab, "mail.shop") == Meaning(addresses=("192.0.2.1", "192.0.2.2"))


def test_a_container_is_found_by_its_own_name(lab: Lab) -> None:
    found = meaning(lab, "shop-web-1.rancher.internal")

    assert found is not None
    assert found.addresses == addresses(lab, "web.shop")[:1]


def test_one_that_is_not_healthy_answers_only_when_no_other_does() -> None:
    with running_rancher() as lab:
        rancher = Rancher(lab)
        lab.faults.unhealthy.add("shop-web-2")
        check = {"port": 80, "strategy": "none"}
        rancher.service(rancher.stack(), scale=2, launchConfig={"healthCheck": check})
        well, ill = addresses(lab, "web.shop")

        first = meaning(lab, "web.shop")
        lab.call(lambda: lab.state.instances.health(1, healthy=False))
        then = meaning(lab, "web.shop")

        assert first is not None
        assert first.addresses == (well,)
        assert then is not None
        assert then.addresses in ((well,), (ill,))


def query(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\0" + struct.pack("!HH", kind, 1)


def test_a_query_is_read_and_answered_with_every_address() -> None:
    asked = query("web.shop")
    assert dns.parsed(asked) == ("web.shop", 1)

    reply = dns.answer(asked, 1, Meaning(addresses=("10.0.0.1", "10.0.0.2")))

    assert reply[:2] == asked[:2]
    assert reply[2] & 0x80
    assert struct.unpack("!HHHH", reply[4:12]) == (1, 2, 0, 0)
    assert {reply[-4:], reply[-20:-16]} == {b"\x0a\0\0\x01", b"\x0a\0\0\x02"}


def test_an_address_of_another_kind_is_an_empty_answer() -> None:
    reply = dns.answer(query("web.shop", 28), 28, Meaning(addresses=("10.0.0.1",)))

    assert struct.unpack("!HHHH", reply[4:12]) == (1, 0, 0, 0)
    assert reply[3] & 15 == 0


@given(st.binary(max_size=64))
def test_no_packet_is_too_broken_to_be_looked_at(data: bytes) -> None:
    found = dns.parsed(data)

    assert found is None or isinstance(found[0], str)
