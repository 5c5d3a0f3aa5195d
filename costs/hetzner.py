"""What Hetzner Cloud charges, and its price list in the form of `GET /v1/pricing` (docs.hetzner.cloud, Pricing).

A server is billed by the hour up to a monthly price, which is what a month costs (docs.hetzner.com/cloud/billing/faq).
It is billed while it exists, running or not; so is an address, assigned or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from hcloud import Client

from costs.charges import Charge, Inputs, Offer, known, monthly
from costs.prices import EVERYWHERE, PriceList

TERABYTE = Decimal(1024**4)
PROVIDER = "hetzner"
SNAPSHOT = "hetzner.json"


def fetch(token: str, endpoint: str, today: date) -> dict[str, Any]:
    """A price list document of today. Raises hcloud's errors."""
    answer = Client(token, api_endpoint=endpoint, application_name="m2-costs", timeout=30).request("GET", "/pricing")
    source = f"GET {endpoint}/pricing"
    return {"provider": PROVIDER, "day": str(today), "source": source, "notes": [], "pricing": answer["pricing"]}


def price_list(document: Mapping[str, Any], live: bool = False) -> PriceList:
    """From a document of `fetch` or a snapshot. Raises KeyError where it has another form."""
    pricing = document["pricing"]
    return PriceList(
        provider=PROVIDER,
        currency=pricing["currency"],
        day=date.fromisoformat(document["day"]),
        source=document["source"],
        net=dict(_items(pricing)),
        notes=tuple(document["notes"]),
        live=live,
    )


def _items(pricing: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Decimal]]:
    yield ("volume", EVERYWHERE), _net(pricing["volume"]["price_per_gb_month"])
    yield ("image", EVERYWHERE), _net(pricing["image"]["price_per_gb_month"])
    yield ("backup", EVERYWHERE), Decimal(pricing["server_backup"]["percentage"]) / 100
    for kind in ("floating_ips", "primary_ips"):
        for each in pricing[kind]:
            for price in each["prices"]:
                item = f"{kind.removesuffix('s')}:{each['type']}"
                yield (item, price["location"]), _net(price["price_monthly"])
    for kind in ("server_types", "load_balancer_types"):
        for each in pricing[kind]:
            yield from _per_location(kind.removesuffix("_types"), each)


def _per_location(kind: str, each: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Decimal]]:
    for price in each["prices"]:
        place = price["location"]
        yield (f"{kind}:{each['name']}", place), _net(price["price_monthly"])
        yield (f"included_tb:{each['name']}", place), Decimal(price["included_traffic"]) / TERABYTE
        yield (f"traffic_tb:{each['name']}", place), _net(price["price_per_tb_traffic"])


def _net(price: Mapping[str, str]) -> Decimal:
    return Decimal(price["net"])


def _server(inputs: Inputs, prices: PriceList) -> Iterator[Charge]:
    kind, place = known(inputs, "serverType"), known(inputs, "location")
    price = prices.price(f"server:{kind}", place)
    yield monthly(prices, f"server {kind}", "1", price)
    if inputs.get("backups") is True:
        yield monthly(prices, f"backups of {kind}", "7 slots", price * prices.price("backup", EVERYWHERE))
    for version in ("ipv4", "ipv6"):
        if _makes_an_address(inputs, version):
            yield _address(prices, version, place)


def _makes_an_address(inputs: Inputs, version: str) -> bool:
    """Without a primary IP of its own a server with public network is given one (docs.hetzner.cloud, Servers)."""
    nets = inputs.get("publicNets") or [{}]
    return all(net.get(f"{version}Enabled") is not False and version not in net for net in nets)


def _address(prices: PriceList, version: str, place: str) -> Charge:
    return monthly(prices, f"primary {version.replace('ip', 'IP')}", "1", prices.price(f"primary_ip:{version}", place))


def _primary_ip(inputs: Inputs, prices: PriceList) -> Iterator[Charge]:
    place = inputs.get("location") or str(known(inputs, "datacenter")).partition("-")[0]
    yield _address(prices, known(inputs, "type"), place)


def _floating_ip(inputs: Inputs, prices: PriceList) -> Iterator[Charge]:
    version = known(inputs, "type")
    price = prices.price(f"floating_ip:{version}", known(inputs, "homeLocation"))
    yield monthly(prices, f"floating {version.replace('ip', 'IP')}", "1", price)


def _volume(inputs: Inputs, prices: PriceList) -> Iterator[Charge]:
    size = Decimal(str(known(inputs, "size")))
    yield monthly(prices, "volume", f"{size:f} GB", size * prices.price("volume", EVERYWHERE))


def _load_balancer(inputs: Inputs, prices: PriceList) -> Iterator[Charge]:
    kind = known(inputs, "loadBalancerType")
    price = prices.price(f"load_balancer:{kind}", known(inputs, "location"))
    yield monthly(prices, f"load balancer {kind}", "1", price)


OFFER = Offer(
    provider=PROVIDER,
    package="hcloud",
    rules={
        "Server": _server,
        "PrimaryIp": _primary_ip,
        "FloatingIp": _floating_ip,
        "Volume": _volume,
        "LoadBalancer": _load_balancer,
    },
    free=frozenset(
        {
            "Firewall",
            "FirewallAttachment",
            "FloatingIpAssignment",
            "Network",
            "NetworkRoute",
            "NetworkSubnet",
            "PlacementGroup",
            "PrimaryIpAssignment",
            "Rdns",
            "ServerNetwork",
            "SshKey",
            "VolumeAttachment",
        }
    ),
)
"""Snapshots are charged by what is in them, which no preview knows: they are not priced."""
