"""The five topologies in one region of each cloud, against sums that were done by hand.

Hetzner fsn1, net EUR a month: ccx13 42.99, ccx23 85.99, cx23 5.49, primary IPv4 0.50, floating IPv4 3.00, a GB of
volume 0.0572. AWS eu-central-1, USD: c7i.large 0.1018, c7i.xlarge 0.2037, t3.small 0.024 an hour, 730 hours; a public
IPv4 address 0.005 an hour; a GB of gp3 0.0952, 8 GB for each server's own disk.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.plan import SitePlan
from costs import settings
from costs.money import Money
from tests.unit.costs import samples
from tests.unit.stacks import example

TYPES = {
    "node": "ccx23",
    "core": "ccx23",
    "database": "ccx23",
    "balancer": "ccx13",
    "gui": "cx23",
    "witness": "cx23",
}
AWS_TYPES = {"ccx13": "c7i.large", "ccx23": "c7i.xlarge", "cx23": "t3.small"}
DISK_GB = 100
CALLS = {"concurrent_calls": 100, "cps": 10}
"""Few enough that their media is within what Hetzner's servers include; AWS is priced without media below."""

HETZNER_BY_HAND = {
    # 85.99 + 0.50 + 5.72
    "one-server": "EUR 92.21",
    # 2 x 85.99 + 5.49 + 3 x 0.50 + 2 x 5.72 + 2 floating x 3.00
    "two-server-ha": "EUR 196.41",
    # 3 x 85.99 + 3 x 0.50 + 5.72
    "three-server": "EUR 265.19",
    # 4 x 85.99 + 4 x 0.50 + 2 x 5.72 + 1 floating x 3.00
    "four-server-ha": "EUR 360.40",
    # 2 x 42.99 + 4 x 85.99 + 5.49 + 7 x 0.50 + 2 x 5.72 + 1 floating x 3.00
    "full": "EUR 453.37",
}
AWS_BY_HAND = {
    # c7i.xlarge 148.701, t3.small 17.52, c7i.large 74.314, IPv4 3.65, own disk 0.7616, data disk 9.52
    # 148.701 + 3.65 + 0.7616 + 9.52
    "one-server": "USD 162.63",
    # 2 x 148.701 + 17.52 + 3 x 0.7616 + (3 + 2) x 3.65 + 2 x 9.52
    "two-server-ha": "USD 354.50",
    # 3 x 148.701 + 3 x 0.7616 + 3 x 3.65 + 9.52
    "three-server": "USD 468.86",
    # 4 x 148.701 + 4 x 0.7616 + (4 + 1) x 3.65 + 2 x 9.52
    "four-server-ha": "USD 635.14",
    # 2 x 74.314 + 4 x 148.701 + 17.52 + 7 x 0.7616 + (7 + 1) x 3.65 + 2 x 9.52
    "full": "USD 814.52",
}


def site(topology: str) -> settings.Site:
    more: dict[str, Any] = {"cores": 2} if topology == "full" else {}
    wanted = {"topology": topology, "server_types": TYPES, "database_disk_gb": DISK_GB, **CALLS, **more}
    return settings.from_config("some-stack", example.config({**example.USUAL, **wanted}))


def total(found: settings.Site) -> Money:
    return samples.estimate(settings.compare(found, found)).after


@pytest.mark.parametrize("topology", HETZNER_BY_HAND)
def test_at_hetzner(topology: str) -> None:
    assert str(total(site(topology))) == HETZNER_BY_HAND[topology]


@pytest.mark.parametrize("topology", AWS_BY_HAND)
def test_at_aws(topology: str) -> None:
    """The same hosts in Frankfurt; the program has no components for AWS yet, so the plan is moved there."""
    found = site(topology)
    there = settings.Site(in_frankfurt(found.plan), replace(found.workload, cloud="aws", region="eu-central-1"))
    estimate = samples.estimate(settings.compare(there, there))
    assert (
        str(estimate.after - (estimate.media_after.amount if estimate.media_after else Money()))
        == AWS_BY_HAND[topology]
    )
    assert estimate.unpriced == {}


def in_frankfurt(plan: SitePlan) -> SitePlan:
    hosts = tuple(replace(host, server_type=AWS_TYPES[host.server_type]) for host in plan.hosts)
    return replace(plan, region="eu-central-1", hosts=hosts)
