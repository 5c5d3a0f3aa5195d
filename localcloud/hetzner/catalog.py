"""What the provider sells, and its limits: locations, server types, images, prices.

Locations and server types (with the provider's IDs) as its API lists them in autumn 2026; older types that it still
sells in the USA are left out, and where each type is sold is simplified to whole zones. IDs of images are this
cloud's own.

Prices are those of the snapshot that cost reports use, costs/snapshots/hetzner.json, which names its sources; where it
has no price for a location, that of the first location stands in, with the traffic of the location's zone (the list
of 2025).

Limits: docs.hetzner.com/cloud on networks, firewalls, placement groups and volumes. What one project may have
depends on the account and is not documented.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar

from localcloud.hetzner.errors import ApiError, invalid

VAT_PERCENT = Decimal("19.00")
TERABYTE = 1024**4
IMAGES_SINCE = "2025-08-13T06:00:00Z"

SERVERS_IN_SPREAD_GROUP = 10
FIREWALLS_ON_SERVER = 5
RULES_IN_FIREWALL = 50
SOURCES_IN_RULE = 100
NETWORKS_ON_SERVER = 3
SERVERS_IN_NETWORK = 100
SUBNETS_IN_NETWORK = 50
ROUTES_IN_NETWORK = 100
ALIAS_IPS_IN_NETWORK = 5
VOLUMES_ON_SERVER = 16
VOLUME_GB = (10, 10240)
USER_DATA_BYTES = 32 * 1024
IN_PROJECT = {
    "ssh_keys": 100,
    "networks": 50,
    "placement_groups": 50,
    "firewalls": 50,
    "servers": 100,
    "primary_ips": 100,
    "floating_ips": 100,
    "volumes": 100,
}

Architecture = Literal["x86", "arm"]


@dataclass(frozen=True)
class Location:
    """`zone` is the network zone; `availability_zone` is what a server's metadata calls the place."""

    id: int
    name: str
    country: str
    city: str
    description: str
    latitude: float
    longitude: float
    zone: str
    availability_zone: str


@dataclass(frozen=True)
class ServerType:
    """Memory and disk in GB."""

    id: int
    name: str
    cpu_type: Literal["shared", "dedicated"]
    cores: int
    memory: float
    disk: int
    locations: tuple[str, ...]
    architecture: Architecture = "x86"


@dataclass(frozen=True)
class Stock:
    """Of one server type, by the names of locations; deprecated ones with the times (RFC 3339) of `deprecation`."""

    sold_out: frozenset[str] = frozenset()
    deprecated: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """A system image; disk in GB."""

    id: int
    name: str
    flavor: str
    version: str
    description: str
    architecture: Architecture = "x86"
    disk: int = 5


LOCATIONS = (
    Location(1, "fsn1", "DE", "Falkenstein", "Falkenstein DC Park 1", 50.47612, 12.370071, "eu-central", "fsn1-dc14"),
    Location(2, "nbg1", "DE", "Nuremberg", "Nuremberg DC Park 1", 49.452102, 11.076665, "eu-central", "nbg1-dc3"),
    Location(3, "hel1", "FI", "Helsinki", "Helsinki DC Park 1", 60.169855, 24.938379, "eu-central", "hel1-dc2"),
    Location(4, "ash", "US", "Ashburn, VA", "Ashburn, VA", 39.045821, -77.487073, "us-east", "ash-dc1"),
    Location(5, "hil", "US", "Hillsboro, OR", "Hillsboro, OR", 45.54222, -122.951924, "us-west", "hil-dc1"),
    Location(6, "sin", "SG", "Singapore", "Singapore", 1.283333, 103.833333, "ap-southeast", "sin-dc1"),
)  # fmt: skip
ZONES = tuple(dict.fromkeys(location.zone for location in LOCATIONS))

EU = ("fsn1", "nbg1", "hel1")
EVERYWHERE = tuple(location.name for location in LOCATIONS)

SERVER_TYPES = (
    ServerType(96, "ccx13", "dedicated", 2, 8.0, 80, EVERYWHERE),
    ServerType(97, "ccx23", "dedicated", 4, 16.0, 160, EVERYWHERE),
    ServerType(98, "ccx33", "dedicated", 8, 32.0, 240, EVERYWHERE),
    ServerType(99, "ccx43", "dedicated", 16, 64.0, 360, EVERYWHERE),
    ServerType(100, "ccx53", "dedicated", 32, 128.0, 600, EVERYWHERE),
    ServerType(101, "ccx63", "dedicated", 48, 192.0, 960, EVERYWHERE),
    ServerType(109, "cpx22", "shared", 2, 4.0, 80, (*EU, "sin")),
    ServerType(110, "cpx32", "shared", 4, 8.0, 160, (*EU, "sin")),
    ServerType(111, "cpx42", "shared", 8, 16.0, 320, (*EU, "sin")),
    ServerType(112, "cpx52", "shared", 12, 24.0, 480, (*EU, "sin")),
    ServerType(113, "cpx62", "shared", 16, 32.0, 640, (*EU, "sin")),
    ServerType(114, "cx23", "shared", 2, 4.0, 40, EU),
    ServerType(115, "cx33", "shared", 4, 8.0, 80, EU),
    ServerType(116, "cx43", "shared", 8, 16.0, 160, EU),
    ServerType(117, "cx53", "shared", 16, 32.0, 320, EU),
)

IMAGES = (
    Image(114690387, "debian-12", "debian", "12", "Debian 12"),
    Image(161547269, "ubuntu-24.04", "ubuntu", "24.04", "Ubuntu 24.04"),
    Image(310557660, "debian-13", "debian", "13", "Debian 13"),
)

PRICES: dict[str, Any] = json.loads((Path(__file__).parents[2] / "costs/snapshots/hetzner.json").read_text())["pricing"]
"""In the form of the API's reply."""

TRAFFIC_TB_PRICES = {"ap-southeast": "7.40"}
TRAFFIC_TB_PRICE = "1.00"
INCLUDED_TRAFFIC_TB = {"eu-central": 20}
INCLUDED_TRAFFIC_TB_ELSEWHERE = 1


def location_named(name_or_id: str | int, field: str = "location") -> Location:
    return _named(LOCATIONS, name_or_id, field)


def server_type_named(name_or_id: str | int) -> ServerType:
    return _named(SERVER_TYPES, name_or_id, "server_type")


def image_named(name_or_id: str | int) -> Image:
    return _named(IMAGES, name_or_id, "image")


T = TypeVar("T", Location, ServerType, Image)


def _named(things: tuple[T, ...], name_or_id: str | int, field: str) -> T:
    for thing in things:
        if str(name_or_id) in (thing.name, str(thing.id)):
            return thing
    known = ", ".join(thing.name for thing in things)
    raise invalid(field, f"'{name_or_id}' does not exist; this cloud has {known}")


def require_sold(server_type: str, location: str | None) -> None:
    """Raises `invalid_input` for a type or a location that there is not; None is any location."""
    known = server_type_named(server_type)
    if location is not None and location_named(location).name not in known.locations:
        raise invalid("location", f"'{server_type}' is sold in {', '.join(known.locations)}, not in '{location}'")


def require_orderable(server_type: ServerType, location: Location, stock: Stock) -> None:
    """Raises what the provider says where a type is not sold, and where it is sold out.

    In the words that users of the provider met: roots/trellis-cli issue 622, pulumi/pulumi-hcloud issue 104.
    """
    if location.name not in server_type.locations:
        raise invalid("server_type", "unsupported location for server type", "unsupported location for server type")
    if location.name in stock.sold_out:
        raise ApiError(412, "resource_unavailable", "error during placement")


def price(net: str | Decimal) -> dict[str, str]:
    """The provider's form: ten decimals, without and with VAT."""
    amount = Decimal(net)
    return {"net": f"{amount:.10f}", "gross": f"{amount * (1 + VAT_PERCENT / 100):.10f}"}


def location_view(location: Location) -> dict[str, Any]:
    return {
        "id": location.id,
        "name": location.name,
        "description": location.description,
        "country": location.country,
        "city": location.city,
        "latitude": location.latitude,
        "longitude": location.longitude,
        "network_zone": location.zone,
    }


def server_type_prices(server_type: ServerType) -> list[dict[str, Any]]:
    rows = _by_location(PRICES["server_types"], "name", server_type.name)
    return [rows.get(name) or _stand_in(rows, location_named(name)) for name in server_type.locations]


def _stand_in(rows: dict[str, dict[str, Any]], location: Location) -> dict[str, Any]:
    return {
        **next(iter(rows.values())),
        "location": location.name,
        "included_traffic": TERABYTE * INCLUDED_TRAFFIC_TB.get(location.zone, INCLUDED_TRAFFIC_TB_ELSEWHERE),
        "price_per_tb_traffic": price(TRAFFIC_TB_PRICES.get(location.zone, TRAFFIC_TB_PRICE)),
    }


def _by_location(things: list[dict[str, Any]], key: str, value: str) -> dict[str, dict[str, Any]]:
    return {row["location"]: row for thing in things if thing[key] == value for row in thing["prices"]}


def server_type_view(server_type: ServerType, stock: Stock) -> dict[str, Any]:
    return {
        "id": server_type.id,
        "name": server_type.name,
        "description": server_type.name.upper(),
        "category": "Dedicated vCPU" if server_type.cpu_type == "dedicated" else "Shared vCPU",
        "cores": server_type.cores,
        "memory": server_type.memory,
        "disk": server_type.disk,
        "storage_type": "local",
        "cpu_type": server_type.cpu_type,
        "architecture": server_type.architecture,
        "deprecated": False,
        "deprecation": None,
        "prices": server_type_prices(server_type),
        "locations": [
            {
                "id": location_named(name).id,
                "name": name,
                "recommended": name not in stock.sold_out and name not in stock.deprecated,
                "available": name not in stock.sold_out,
                "deprecation": stock.deprecated.get(name),
            }
            for name in server_type.locations
        ],
    }


def image_view(image: Image) -> dict[str, Any]:
    return {
        "id": image.id,
        "type": "system",
        "status": "available",
        "name": image.name,
        "description": image.description,
        "image_size": None,
        "disk_size": image.disk,
        "created": IMAGES_SINCE,
        "created_from": None,
        "bound_to": None,
        "os_flavor": image.flavor,
        "os_version": image.version,
        "architecture": image.architecture,
        "rapid_deploy": True,
        "protection": {"delete": False},
        "deprecated": None,
        "deleted": None,
        "labels": {},
    }


def _ip_prices(kind: str) -> list[dict[str, Any]]:
    versions = [each["type"] for each in PRICES[kind]]
    return [
        {"type": version, "prices": _everywhere(_by_location(PRICES[kind], "type", version))} for version in versions
    ]


def _everywhere(rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    usual = next(iter(rows.values()))
    return [rows.get(location.name) or {**usual, "location": location.name} for location in LOCATIONS]


def pricing_view() -> dict[str, Any]:
    types = [{"id": each.id, "name": each.name, "prices": server_type_prices(each)} for each in SERVER_TYPES]
    addresses = {kind: _ip_prices(kind) for kind in ("floating_ips", "primary_ips")}
    return {**PRICES, **addresses, "server_types": types}
