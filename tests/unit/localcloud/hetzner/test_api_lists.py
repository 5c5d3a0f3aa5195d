"""What every list has: pages, order, names, and labels where the provider documents them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.unit.localcloud.hetzner.running_api import FSN1, Api, HcloudClient, make_server


def ssh_key(client: HcloudClient, number: int, **more: object) -> None:
    key = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    client.ssh_keys.create(public_key=key.decode(), **more)


def network(client: HcloudClient, number: int, **more: object) -> None:
    client.networks.create(ip_range=f"10.{number}.0.0/16", **more)


def placement_group(client: HcloudClient, number: int, **more: object) -> None:
    client.placement_groups.create(type="spread", **more)


def firewall(client: HcloudClient, number: int, **more: object) -> None:
    client.firewalls.create(**more)


def server(client: HcloudClient, number: int, **more: Any) -> None:
    make_server(client, **more)


def primary_ip(client: HcloudClient, number: int, **more: object) -> None:
    client.primary_ips.create(type="ipv4", location=FSN1, **more)


def floating_ip(client: HcloudClient, number: int, **more: object) -> None:
    client.floating_ips.create(type="ipv4", home_location=FSN1, **more)


def volume(client: HcloudClient, number: int, **more: object) -> None:
    client.volumes.create(size=10, location=FSN1, **more).action.wait_until_finished()


MAKERS = [ssh_key, network, placement_group, firewall, server, primary_ip, floating_ip, volume]
SORTED_BY_NAME = [ssh_key, network, placement_group, firewall, server, volume]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_pages_names_and_labels(api: Api, client: HcloudClient, make: Callable[..., None]) -> None:
    kind = f"{make.__name__}s"
    for number, name in enumerate(("cc", "aa", "bb"), start=1):
        make(client, number, name=name, labels={"kept": "yes"} if name != "aa" else {})
    first = api.raw("GET", f"/v1/{kind}?per_page=2").json()
    second = api.raw("GET", f"/v1/{kind}?per_page=2&page=2").json()
    assert [[one["name"] for one in page[kind]] for page in (first, second)] == [["cc", "aa"], ["bb"]]
    assert first["meta"]["pagination"]["total_entries"] == 3
    assert [one["name"] for one in api.raw("GET", f"/v1/{kind}?name=bb").json()[kind]] == ["bb"]
    assert [one["name"] for one in api.raw("GET", f"/v1/{kind}?label_selector=kept").json()[kind]] == ["cc", "bb"]
    assert api.raw("GET", f"/v1/{kind}?name=zz").json()[kind] == []


@pytest.mark.parametrize("make", SORTED_BY_NAME, ids=lambda make: make.__name__)
def test_sorted_by_name(api: Api, client: HcloudClient, make: Callable[..., None]) -> None:
    kind = f"{make.__name__}s"
    for number, name in enumerate(("cc", "aa", "bb"), start=1):
        make(client, number, name=name)
    for order, names in (
        ("name", ["aa", "bb", "cc"]),
        ("name:desc", ["cc", "bb", "aa"]),
        ("id:desc", ["bb", "aa", "cc"]),
    ):
        assert [one["name"] for one in api.raw("GET", f"/v1/{kind}?sort={order}").json()[kind]] == names
    reply = api.raw("GET", f"/v1/{kind}?sort=colour")
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "invalid_input")


@pytest.mark.parametrize(("kind", "name"), [("locations", "nbg1"), ("server_types", "cx23"), ("images", "debian-12")])
def test_what_is_for_sale_has_pages_and_names_too(api: Api, kind: str, name: str) -> None:
    assert [one["name"] for one in api.raw("GET", f"/v1/{kind}?name={name}").json()[kind]] == [name]
    page = api.raw("GET", f"/v1/{kind}?per_page=1&page=2").json()
    assert (len(page[kind]), page["meta"]["pagination"]["previous_page"]) == (1, 1)
