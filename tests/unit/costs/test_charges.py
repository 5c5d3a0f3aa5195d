"""What each kind of resource costs, at prices that are written here; what is free; what is said to be unknown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from costs import aws, hetzner
from costs.money import Money, signed
from costs.prices import NotPricedError
from tests.unit.costs import samples
from tests.unit.costs.samples import amounts

HOURS_A_MONTH = 730
OWN_IP: dict[str, Any] = {"ipv4Enabled": True, "ipv4": 7, "ipv6Enabled": False}
SERVER = {"serverType": "ccx23", "location": "fsn1", "publicNets": [OWN_IP]}


def hetzner_charges(kind: str, inputs: dict[str, Any]) -> dict[str, str]:
    return amounts(hetzner.OFFER.charges(kind, inputs, samples.HETZNER))


def aws_charges(kind: str, inputs: dict[str, Any]) -> dict[str, str]:
    return amounts(aws.OFFER.charges(kind, {"region": "eu-central-1", **inputs}, samples.AWS))


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("Server", SERVER, {"server ccx23": "EUR 85.99"}),
        ("Server", {**SERVER, "backups": True}, {"server ccx23": "EUR 85.99", "backups of ccx23": "EUR 17.20"}),
        ("PrimaryIp", {"type": "ipv4", "location": "fsn1"}, {"primary IPv4": "EUR 0.50"}),
        ("PrimaryIp", {"type": "ipv4", "datacenter": "fsn1-dc14"}, {"primary IPv4": "EUR 0.50"}),
        ("FloatingIp", {"type": "ipv4", "homeLocation": "fsn1"}, {"floating IPv4": "EUR 3.00"}),
        ("Volume", {"size": 100, "location": "fsn1"}, {"volume": "EUR 5.72"}),
        ("Firewall", {}, {}),
        ("FloatingIpAssignment", {"floatingIpId": 1}, {}),
    ],
)
def test_hetzner_charges(kind: str, inputs: dict[str, Any], expected: dict[str, str]) -> None:
    assert hetzner_charges(kind, inputs) == expected


@pytest.mark.parametrize(
    "nets",
    [None, [{"ipv4Enabled": True, "ipv6Enabled": False}]],
)
def test_a_server_that_is_given_an_address_pays_for_it(nets: Any) -> None:
    charges = hetzner_charges("Server", {**SERVER, "publicNets": nets})
    assert charges["primary IPv4"] == "EUR 0.50"


def test_a_server_without_public_network_has_no_address() -> None:
    nets = [{"ipv4Enabled": False, "ipv6Enabled": False}]
    assert hetzner_charges("Server", {**SERVER, "publicNets": nets}) == {"server ccx23": "EUR 85.99"}


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("Instance", {"instanceType": "c7i.xlarge"}, {"instance c7i.xlarge": "USD 148.70", "EBS gp3": "USD 0.76"}),
        (
            "Instance",
            {"instanceType": "t3.small", "associatePublicIpAddress": True, "rootBlockDevice": {"volumeSize": 20}},
            {"instance t3.small": "USD 17.52", "public IPv4": "USD 3.65", "EBS gp3": "USD 1.90"},
        ),
        ("Eip", {"domain": "vpc"}, {"public IPv4": "USD 3.65"}),
        ("Volume", {"type": "gp3", "size": 100}, {"EBS gp3": "USD 9.52"}),
        ("Volume", {"size": 100}, {"EBS gp2": "USD 11.90"}),
        (
            "Volume",
            {"type": "gp3", "size": 100, "iops": 4000, "throughput": 225},
            {
                "EBS gp3": "USD 9.52",
                "gp3 IOPS above the included": "USD 6.00",
                "gp3 MB/s above the included": "USD 4.76",
            },
        ),
        ("Zone", {"name": "example.net"}, {"Route 53 zone": "USD 0.50"}),
        ("HealthCheck", {"type": "TCP"}, {"Route 53 health check": "USD 0.75"}),
        ("SecurityGroup", {}, {}),
    ],
)
def test_aws_charges(kind: str, inputs: dict[str, Any], expected: dict[str, str]) -> None:
    assert aws_charges(kind, inputs) == expected


def test_the_region_of_an_instance_is_that_of_its_zone() -> None:
    inputs = {"instanceType": "t3.small", "availabilityZone": "eu-central-1b"}
    charges = aws.OFFER.charges("Instance", inputs, samples.AWS)
    assert amounts(charges)["instance t3.small"] == "USD 17.52"


@pytest.mark.parametrize(
    ("kind", "inputs", "why"),
    [
        ("Server", {**SERVER, "serverType": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}, "serverType is known only after"),
        ("Server", {**SERVER, "serverType": "[secret]"}, "serverType is secret"),
        ("Server", {**SERVER, "serverType": "cx99"}, "Hetzner's price list of 2026-11-01 has no server:cx99 in fsn1"),
        ("Server", {**SERVER, "location": "ash"}, "no server:ccx23 in ash"),
        ("Server", {"serverType": "ccx23"}, "location is not set"),
        ("Snapshot", {}, "hcloud:Snapshot is not in the tables"),
        ("ManagedCertificate", {}, "not in the tables"),
    ],
)
def test_what_cannot_be_priced_says_why_and_is_never_zero(kind: str, inputs: dict[str, Any], why: str) -> None:
    with pytest.raises(NotPricedError, match=why):
        hetzner_charges(kind, inputs)


def test_a_nat_gateway_is_not_silently_free() -> None:
    with pytest.raises(NotPricedError, match="aws:NatGateway"):
        aws_charges("NatGateway", {})


def test_currencies_are_shown_side_by_side_and_never_added() -> None:
    both = Money.of("EUR", Decimal(10)) + Money.of("USD", Decimal(20)) + Money.of("EUR", Decimal("0.005"))
    assert str(both) == "EUR 10.01 and USD 20.00"
    assert signed(both - Money.of("EUR", Decimal(11))) == "-EUR 1.00 and +USD 20.00"


def test_tiny_differences_are_no_difference() -> None:
    assert Money.of("EUR", Decimal("0.004")).is_zero
    assert signed(Money.of("EUR", Decimal("-0.001"))) == "0.00"
