"""What AWS charges, by the on-demand prices of its Price List; a month has 730 hours, as AWS itself counts.

A public IPv4 address costs by the hour, whether it is in use or idle (aws.amazon.com/vpc/pricing, since 2024-02-01).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from costs.charges import Charge, Inputs, Offer, known, monthly
from costs.prices import EVERYWHERE, PriceList

if TYPE_CHECKING:
    from types_boto3_pricing import PricingClient
    from types_boto3_pricing.type_defs import FilterTypeDef

PROVIDER = "aws"
SNAPSHOT = "aws.json"
HOURS = Decimal(730)
GP3_IOPS, GP3_THROUGHPUT = 3000, 125
"""Included in every gp3 volume; the rest is charged (aws.amazon.com/ebs/pricing)."""

ROOT_GB, ROOT_TYPE = 8, "gp3"
"""Of an instance whose settings do not say: the size of Debian's image."""

FREE_DATA_OUT_GB = Decimal(100)
"""A month and account, to the internet (aws.amazon.com/ec2/pricing/on-demand)."""


@dataclass(frozen=True)
class Query:
    """Where an item stands in the Price List: service, attributes, and how its usage type ends."""

    service: str
    where: Mapping[str, str]
    usage: str = ""


IN_REGION: dict[str, Query] = {
    "ebs:gp3": Query("AmazonEC2", {"productFamily": "Storage", "volumeApiName": "gp3"}, "VolumeUsage.gp3"),
    "ebs:gp2": Query("AmazonEC2", {"productFamily": "Storage", "volumeApiName": "gp2"}, "VolumeUsage.gp2"),
    "ebs-iops:gp3": Query("AmazonEC2", {"productFamily": "System Operation", "volumeApiName": "gp3"}, "IOPS.gp3"),
    "ebs-throughput:gp3": Query(
        "AmazonEC2", {"productFamily": "Provisioned Throughput", "volumeApiName": "gp3"}, "Throughput.gp3"
    ),
    "public-ipv4": Query("AmazonVPC", {"group": "VPCPublicIPv4Address"}, "PublicIPv4:InUseAddress"),
    "data-out": Query("AWSDataTransfer", {"transferType": "AWS Outbound"}, "DataTransfer-Out-Bytes"),
}
WORLDWIDE: dict[str, Query] = {
    "route53-zone": Query("AmazonRoute53", {"productFamily": "DNS Zone"}, "HostedZone"),
    "route53-health-check:aws": Query("AmazonRoute53", {"productFamily": "DNS Health Check"}, "Health-Check-AWS"),
    "route53-health-check:other": Query("AmazonRoute53", {"productFamily": "DNS Health Check"}, "Health-Check-Non-AWS"),
}


class PriceListError(Exception):
    """The Price List did not answer as expected; the message says what was asked."""


def fetch(client: PricingClient, types: Mapping[str, Iterable[str]], today: date) -> dict[str, Any]:
    """A price list document of today, for the instance types of each region. Raises PriceListError."""
    regions = {region: dict(_region(client, region, instance_types)) for region, instance_types in types.items()}
    everywhere = {item: str(_single(item, _tiers_of(client, query))) for item, query in WORLDWIDE.items()}
    return {
        "provider": PROVIDER,
        "day": str(today),
        "currency": "USD",
        "source": "AWS Price List, GetProducts",
        "notes": [],
        "regions": regions,
        "everywhere": everywhere,
    }


def price_list(document: Mapping[str, Any], live: bool = False) -> PriceList:
    """From a document of `fetch` or a snapshot. Raises KeyError where it has another form."""
    places = {**document["regions"], EVERYWHERE: document["everywhere"]}
    return PriceList(
        provider=PROVIDER,
        currency=document["currency"],
        day=date.fromisoformat(document["day"]),
        source=document["source"],
        net={(item, place): Decimal(price) for place, items in places.items() for item, price in items.items()},
        notes=tuple(document["notes"]),
        live=live,
    )


def instance_types(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """The instance types that a document has, by region."""
    return {
        region: [item.removeprefix("instance:") for item in items if item.startswith("instance:")]
        for region, items in document["regions"].items()
    }


def _region(client: PricingClient, region: str, types: Iterable[str]) -> Iterator[tuple[str, str]]:
    for instance_type in types:
        item = f"instance:{instance_type}"
        yield item, str(_single(item, _tiers_of(client, _instance(instance_type), region)))
    for item, query in IN_REGION.items():
        tiers = _tiers_of(client, query, region)
        if item == "data-out":
            yield from ((f"{item}:{start}", str(price)) for start, price in sorted(tiers.items()) if price)
        else:
            yield item, str(_single(item, tiers))


def _instance(instance_type: str) -> Query:
    where = {
        "instanceType": instance_type,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
    }
    return Query("AmazonEC2", where, f"BoxUsage:{instance_type}")


def _tiers_of(client: PricingClient, query: Query, region: str | None = None) -> dict[int, Decimal]:
    """The price of a unit by the number of units from which on it holds."""
    where = dict(query.where)
    if region:
        where["fromRegionCode" if query.service == "AWSDataTransfer" else "regionCode"] = region
    filters: list[FilterTypeDef] = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in where.items()]
    pages = client.get_paginator("get_products").paginate(ServiceCode=query.service, Filters=filters)
    products = [json.loads(text) for page in pages for text in page["PriceList"]]
    found = [p for p in products if p["product"]["attributes"]["usagetype"].endswith(query.usage)]
    if len(found) != 1:
        asked = ", ".join(f"{field} {value}" for field, value in where.items())
        raise PriceListError(f"AWS Price List: {len(found)} products instead of one for {query.service} with {asked}")
    return dict(_dimensions(found[0]))


def _dimensions(product: Mapping[str, Any]) -> Iterator[tuple[int, Decimal]]:
    for term in product["terms"]["OnDemand"].values():
        for dimension in term["priceDimensions"].values():
            yield int(dimension["beginRange"]), Decimal(dimension["pricePerUnit"]["USD"])


def _single(item: str, tiers: Mapping[int, Decimal]) -> Decimal:
    """The first price that is not a free allowance."""
    paid = [price for _, price in sorted(tiers.items()) if price]
    if not paid:
        raise PriceListError(f"AWS Price List: {item} has no price")
    return paid[0]


def _ec2_instance(inputs: Inputs, prices: PriceList) -> Iterator[Charge]:
    kind, region = known(inputs, "instanceType"), _region_of(inputs)
    price = prices.price(f"instance:{kind}", region)
    yield monthly(prices, f"instance {kind}", f"{HOURS} h", HOURS * price)
    if inputs.get("associatePublicIpAddress") is True:
        yield _public_address(prices, region)
    disks = [inputs.get("rootBlockDevice") or {}, *(inputs.get("ebsBlockDevices") or [])]
    for disk in disks:
        size, sort = disk.get("volumeSize") or ROOT_GB, disk.get("volumeType") or ROOT_TYPE
        yield from _disk(prices, region, sort, size, disk)


def _volume(inputs: Inputs, prices: PriceList) -> Iterator[Charge]:
    region = _region_of(inputs)
    yield from _disk(prices, region, known(inputs, "type", "gp2"), known(inputs, "size"), inputs)


def _disk(prices: PriceList, region: str, sort: str, size: Any, inputs: Inputs) -> Iterator[Charge]:
    gigabytes = Decimal(str(size))
    yield monthly(prices, f"EBS {sort}", f"{gigabytes:f} GB", gigabytes * prices.price(f"ebs:{sort}", region))
    if sort == "gp3":
        yield from _more(prices, region, "ebs-iops", (inputs.get("iops") or 0) - GP3_IOPS, "IOPS")
        yield from _more(prices, region, "ebs-throughput", (inputs.get("throughput") or 0) - GP3_THROUGHPUT, "MB/s")


def _more(prices: PriceList, region: str, item: str, amount: int, unit: str) -> Iterator[Charge]:
    if amount > 0:
        price = prices.price(f"{item}:gp3", region)
        yield monthly(prices, f"gp3 {unit} above the included", f"{amount} {unit}", amount * price)


def _elastic_ip(inputs: Inputs, prices: PriceList) -> Iterator[Charge]:
    yield _public_address(prices, _region_of(inputs))


def _public_address(prices: PriceList, region: str) -> Charge:
    return monthly(prices, "public IPv4", f"{HOURS} h", HOURS * prices.price("public-ipv4", region))


def _zone(inputs: Inputs, prices: PriceList) -> Iterator[Charge]:
    yield monthly(prices, "Route 53 zone", "1", prices.price("route53-zone", EVERYWHERE))


def _health_check(inputs: Inputs, prices: PriceList) -> Iterator[Charge]:
    yield monthly(prices, "Route 53 health check", "1", prices.price("route53-health-check:other", EVERYWHERE))


def _region_of(inputs: Inputs) -> str:
    """The region that a resource says, or that of its zone: eu-central-1 of eu-central-1a."""
    return str(inputs["region"]) if inputs.get("region") else str(known(inputs, "availabilityZone")).rstrip("abcdef")


OFFER = Offer(
    provider=PROVIDER,
    package="aws",
    rules={
        "Instance": _ec2_instance,
        "Volume": _volume,
        "Eip": _elastic_ip,
        "Zone": _zone,
        "HealthCheck": _health_check,
    },
    free=frozenset(
        {
            "DefaultSecurityGroup",
            "EipAssociation",
            "InstanceProfile",
            "InternetGateway",
            "KeyPair",
            "MainRouteTableAssociation",
            "NetworkInterface",
            "NetworkInterfaceAttachment",
            "NetworkInterfaceSecurityGroupAttachment",
            "PlacementGroup",
            "Policy",
            "Record",
            "Role",
            "RolePolicy",
            "RolePolicyAttachment",
            "Route",
            "RouteTable",
            "RouteTableAssociation",
            "SecurityGroup",
            "SecurityGroupEgressRule",
            "SecurityGroupIngressRule",
            "SecurityGroupRule",
            "Subnet",
            "VolumeAttachment",
            "Vpc",
            "VpcSecurityGroupEgressRule",
            "VpcSecurityGroupIngressRule",
        }
    ),
)
