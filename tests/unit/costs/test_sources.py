"""Which price list is used: live where there is access, else the snapshot; and what a refresh leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import hcloud
import pytest

from costs import aws, hetzner, sources
from costs.prices import PriceList
from costs.sources import Document, PricesError
from tests.unit.costs import local_api
from tests.unit.costs.samples import TODAY
from tests.unit.localcloud.hetzner.running_api import TOKEN, Api

YESTERDAY = TODAY - timedelta(days=1)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with local_api.running(tmp_path_factory.mktemp("cloud")) as running:
        yield running


def snapshot(name: str) -> Document:
    return sources.snapshot(name)


class Source:
    """A provider that counts how often it was asked, and fails when it is told to."""

    def __init__(self, fails: bool = False) -> None:
        self.asked = 0
        self.fails = fails

    def __call__(self, day: date) -> Document:
        self.asked += 1
        if self.fails:
            raise PricesError("nobody answers")
        return {**snapshot(hetzner.SNAPSHOT), "day": str(day), "source": "live"}


def load(source: Source | None, cache: Path, day: date = TODAY) -> tuple[PriceList, str]:
    return sources.load(sources.hetzner_provider(source), day, cache)


def test_without_access_the_snapshot_is_used(tmp_path: Path) -> None:
    prices, warning = load(None, tmp_path)
    assert (prices.live, warning) == (False, "")
    assert str(prices.day) == snapshot(hetzner.SNAPSHOT)["day"]


def test_with_access_the_provider_is_asked_once_a_day(tmp_path: Path) -> None:
    source = Source()
    days = (YESTERDAY, YESTERDAY, TODAY, TODAY)
    found = [load(source, tmp_path, day)[0] for day in days]
    assert [(prices.live, prices.day) for prices in found] == [(True, day) for day in days]
    assert source.asked == 2


def test_a_provider_that_fails_costs_a_warning_and_not_the_report(tmp_path: Path) -> None:
    prices, warning = load(Source(fails=True), tmp_path)
    assert not prices.live
    assert warning == "nobody answers; the snapshot in the repository is used instead."


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"day": 1}'])
def test_a_broken_cache_is_asked_again(tmp_path: Path, broken: str) -> None:
    (tmp_path / hetzner.SNAPSHOT).write_text(broken)
    source = Source()
    assert load(source, tmp_path)[0].live
    assert source.asked == 1


def test_a_refresh_replaces_the_snapshot(tmp_path: Path) -> None:
    (tmp_path / hetzner.SNAPSHOT).write_text("{}")
    fresh = sources.refresh(sources.hetzner_provider(Source()), TODAY, tmp_path)
    assert fresh.day == TODAY
    assert json.loads((tmp_path / hetzner.SNAPSHOT).read_text())["source"] == "live"
    assert [file.name for file in tmp_path.iterdir()] == [hetzner.SNAPSHOT]


@pytest.mark.parametrize("answer", [{}, {"day": "2026-11-22", "source": "x", "notes": [], "pricing": {}}])
def test_a_refresh_that_gets_nonsense_leaves_the_snapshot_alone(tmp_path: Path, answer: Document) -> None:
    (tmp_path / hetzner.SNAPSHOT).write_text("precious")
    with pytest.raises(PricesError, match="not a price list"):
        sources.refresh(sources.hetzner_provider(lambda _: answer), TODAY, tmp_path)
    assert (tmp_path / hetzner.SNAPSHOT).read_text() == "precious"


@pytest.mark.parametrize(
    ("days", "warns"),
    [(0, False), (90, False), (91, True)],
)
def test_prices_older_than_ninety_days_are_warned_of(days: int, warns: bool) -> None:
    prices = hetzner.price_list(snapshot(hetzner.SNAPSHOT))
    assert bool(prices.warning(prices.day + timedelta(days=days))) is warns


def test_the_snapshots_name_their_source_and_day_and_what_is_not_verified() -> None:
    for name, read in ((hetzner.SNAPSHOT, hetzner.price_list), (aws.SNAPSHOT, aws.price_list)):
        prices = read(snapshot(name))
        assert prices.source
        assert prices.day > date(2026, 6, 15), "Hetzner changed its prices on that day"
        assert any("Not verified" in note for note in prices.notes)


def test_hetzners_list_is_read_through_its_own_client(api: Api) -> None:
    """The local cloud speaks the provider's API; its prices are the snapshot's."""
    document = hetzner.fetch(TOKEN, f"{api.url}/v1", TODAY)
    live, kept = hetzner.price_list(document, live=True), hetzner.price_list(snapshot(hetzner.SNAPSHOT))
    assert (live.live, live.day, live.source) == (True, TODAY, f"GET {api.url}/v1/pricing")
    assert TOKEN not in json.dumps(document)
    for item, place in (("server:ccx23", "fsn1"), ("floating_ip:ipv4", "nbg1"), ("volume", "*"), ("backup", "*")):
        assert live.price(item, place) == kept.price(item, place)


def test_a_token_that_is_wrong_is_an_error_of_the_provider(api: Api) -> None:
    with pytest.raises(hcloud.APIException):
        hetzner.fetch("x" * 64, f"{api.url}/v1", TODAY)


class Paginator:
    """Answers like GetProducts, in the form of docs.aws.amazon.com (Price List Query API), one product a page."""

    def __init__(self, products: list[dict[str, Any]]) -> None:
        self.products = products

    def get_paginator(self, operation: str) -> Paginator:
        assert operation == "get_products"
        return self

    def paginate(self, ServiceCode: str, Filters: list[dict[str, str]]) -> Iterator[dict[str, Any]]:  # noqa: N803
        for product in self.products:
            attributes = {**product["product"]["attributes"], "productFamily": product["product"]["productFamily"]}
            matches = all(attributes.get(each["Field"]) == each["Value"] for each in Filters)
            if product["serviceCode"] == ServiceCode and matches:
                yield {"PriceList": [json.dumps(product)]}


def product(service: str, family: str, usage: str, *tiers: tuple[int, str], **attributes: str) -> dict[str, Any]:
    dimensions = {
        f"d{start}": {"beginRange": str(start), "endRange": "Inf", "pricePerUnit": {"USD": price}}
        for start, price in tiers
    }
    return {
        "serviceCode": service,
        "product": {"productFamily": family, "attributes": {"usagetype": usage, **attributes}},
        "terms": {"OnDemand": {"T.X": {"priceDimensions": dimensions}}},
    }


BOX = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
    "regionCode": "eu-central-1",
}
HERE = {"regionCode": "eu-central-1"}
PRODUCTS = [
    product(
        "AmazonEC2", "Compute Instance", "EUC1-BoxUsage:t3.small", (0, "0.0240000000"), instanceType="t3.small", **BOX
    ),
    product("AmazonEC2", "Storage", "EUC1-EBS:VolumeUsage.gp3", (0, "0.0952"), volumeApiName="gp3", **HERE),
    product("AmazonEC2", "Storage", "EUC1-EBS:VolumeUsage.gp2", (0, "0.119"), volumeApiName="gp2", **HERE),
    product("AmazonEC2", "System Operation", "EUC1-EBS:VolumeP-IOPS.gp3", (0, "0.006"), volumeApiName="gp3", **HERE),
    product(
        "AmazonEC2",
        "Provisioned Throughput",
        "EUC1-EBS:VolumeP-Throughput.gp3",
        (0, "0.0476"),
        volumeApiName="gp3",
        **HERE,
    ),
    product(
        "AmazonVPC", "VpcPublicIPv4", "EUC1-PublicIPv4:InUseAddress", (0, "0.005"), group="VPCPublicIPv4Address", **HERE
    ),
    product(
        "AmazonVPC", "VpcPublicIPv4", "EUC1-PublicIPv4:IdleAddress", (0, "0.005"), group="VPCPublicIPv4Address", **HERE
    ),
    product(
        "AWSDataTransfer",
        "Data Transfer",
        "EUC1-DataTransfer-Out-Bytes",
        (10240, "0.085"),
        (0, "0.09"),
        (51200, "0.07"),
        transferType="AWS Outbound",
        fromRegionCode="eu-central-1",
    ),
    product("AmazonRoute53", "DNS Zone", "HostedZone", (25, "0.10"), (0, "0.50")),
    product("AmazonRoute53", "DNS Health Check", "Health-Check-AWS", (0, "0"), (50, "0.50")),
    product("AmazonRoute53", "DNS Health Check", "Health-Check-Non-AWS", (0, "0.75")),
]


def fetch_aws(products: list[dict[str, Any]]) -> PriceList:
    client: Any = Paginator(products)
    return aws.price_list(aws.fetch(client, {"eu-central-1": ["t3.small"]}, TODAY), live=True)


def test_awss_list_is_read_from_its_products() -> None:
    prices = fetch_aws(PRODUCTS)
    assert prices.price("instance:t3.small", "eu-central-1") == Decimal("0.024")
    assert prices.price("public-ipv4", "eu-central-1") == Decimal("0.005")
    assert prices.price("route53-zone", "*") == Decimal("0.50")
    assert prices.price("route53-health-check:aws", "*") == Decimal("0.50"), "the first fifty are free"
    assert prices.tiers("data-out", "eu-central-1") == [
        (Decimal(0), Decimal("0.09")),
        (Decimal(10240), Decimal("0.085")),
        (Decimal(51200), Decimal("0.07")),
    ]


def test_the_items_of_awss_list_are_those_of_the_snapshot() -> None:
    """What is fetched and what is kept are priced by the same code."""
    kept = {item.partition(":")[0] for item, _ in aws.price_list(snapshot(aws.SNAPSHOT)).net}
    assert {item.partition(":")[0] for item, _ in fetch_aws(PRODUCTS).net} == kept


@pytest.mark.parametrize("number", [0, 2])
def test_an_item_that_is_missing_or_there_twice_is_an_error_and_not_a_guess(number: int) -> None:
    disk, others = PRODUCTS[1], [*PRODUCTS[:1], *PRODUCTS[2:]]
    with pytest.raises(aws.PriceListError, match=f"{number} products instead of one for AmazonEC2 with .*gp3"):
        fetch_aws([*others, *[disk] * number])
