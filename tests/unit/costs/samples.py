"""Real previews, and price lists that stay as they are when the snapshots in the repository are refreshed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from costs import preview
from costs.charges import Charge
from costs.estimate import Assumptions, Estimator, Report, StackEstimate
from costs.gather import plans
from costs.model import Change, StackPlan
from costs.prices import EVERYWHERE, PriceList

FOLDER = Path(__file__).parent / "samples"
TODAY = date(2026, 11, 22)
EU = ("fsn1", "nbg1")
SERVERS = {"cx23": "5.49", "cx33": "8.49", "ccx13": "42.99", "ccx23": "85.99", "ccx33": "138.49"}

HETZNER = PriceList(
    "hetzner",
    "EUR",
    date(2026, 11, 1),
    "a list for tests",
    {
        ("volume", EVERYWHERE): Decimal("0.0572"),
        ("backup", EVERYWHERE): Decimal("0.2"),
        **{(f"server:{kind}", place): Decimal(price) for kind, price in SERVERS.items() for place in EU},
        **{(f"included_tb:{kind}", place): Decimal(20) for kind in SERVERS for place in EU},
        **{(f"traffic_tb:{kind}", place): Decimal(1) for kind in SERVERS for place in EU},
        **{("primary_ip:ipv4", place): Decimal("0.50") for place in EU},
        **{("primary_ip:ipv6", place): Decimal(0) for place in EU},
        **{("floating_ip:ipv4", place): Decimal(3) for place in EU},
    },
)
FRANKFURT = {
    "instance:c7i.large": "0.1018",
    "instance:c7i.xlarge": "0.2037",
    "instance:t3.small": "0.024",
    "ebs:gp3": "0.0952",
    "ebs-iops:gp3": "0.006",
    "ebs-throughput:gp3": "0.0476",
    "ebs:gp2": "0.119",
    "public-ipv4": "0.005",
    "data-out:0": "0.09",
    "data-out:10240": "0.085",
    "data-out:51200": "0.07",
}
AWS = PriceList(
    "aws",
    "USD",
    date(2026, 11, 1),
    "a list for tests",
    {
        **{(item, "eu-central-1"): Decimal(price) for item, price in FRANKFURT.items()},
        ("route53-zone", EVERYWHERE): Decimal("0.5"),
        ("route53-health-check:other", EVERYWHERE): Decimal("0.75"),
    },
)
LISTS = {"hetzner": HETZNER, "aws": AWS}


def document(name: str) -> dict[str, Any]:
    """A sample, to be changed and given to `preview.from_document`."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def plan(name: str) -> StackPlan:
    """A sample without the settings that it was made with."""
    [found] = preview.from_document(document(name))
    return found


def estimate(found: StackPlan) -> StackEstimate:
    return Estimator(LISTS).stack(found)


def report(*found: StackPlan, assumptions: Assumptions | None = None) -> Report:
    """At the prices of this module, on its day."""
    assumed = assumptions or Assumptions()
    estimates = tuple(Estimator(LISTS, assumed).stack(each) for each in found)
    return Report(estimates, (HETZNER, AWS), assumed, TODAY)


def with_settings(name: str, before: Mapping[str, str] | None = None) -> StackPlan:
    """A sample together with its settings, and those before it."""
    [found] = plans([], [FOLDER / f"{name}.json"], {}, before)
    return found


def change(sign: Any, kind: str, before: Any = None, after: Any = None, name: str = "it") -> Change:
    """A resource; a created or deleted one needs one side only."""
    return Change(sign, kind, name, before, after)


def stack(*changes: Change, region: str = "", complete: bool = True, name: str = "some-stack") -> StackPlan:
    return StackPlan(name, changes, complete, "preview", region)


def amounts(charges: tuple[Charge, ...] | list[Charge]) -> dict[str, str]:
    """What each charge is for, and how much."""
    return {charge.what: str(charge.amount) for charge in charges}
