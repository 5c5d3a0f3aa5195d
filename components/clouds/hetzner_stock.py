"""What a Hetzner location has got today, and which server type each host gets of those that its settings name.

A server that runs keeps its type as long as the settings name it: stock that comes and goes resizes nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import requests
from hcloud import APIException, Client

from components.clouds import Settled
from components.plan import HostPlan, SitePlan
from components.protection import REBUILD_LABEL

TIMEOUT = 10.0


class StockError(Exception):
    """The API did not say what there is; one sentence."""


@dataclass(frozen=True)
class Offer:
    """A server type in one location; `gone_after` is when it can no longer be ordered, of a deprecated one."""

    available: bool = True
    gone_after: datetime | None = None
    vcpus: int = 0


@dataclass(frozen=True)
class Running:
    """A server that exists."""

    server_type: str
    rebuild: str


@dataclass(frozen=True)
class Stock:
    """What is sold in the plan's location, what runs already (by name in the cloud), and the project's floating IPs."""

    offers: Mapping[str, Offer]
    running: Mapping[str, Running]
    floating_ips: frozenset[str] = frozenset()


def read(token: str, endpoint: str, plan: SitePlan) -> Stock:
    """Three calls of the API. Raises StockError."""
    client = Client(token=token, api_endpoint=endpoint, timeout=TIMEOUT)
    try:
        types: list[Any] = client.server_types.get_all()
        servers: list[Any] = client.servers.get_all(label_selector=f"m2-stack={plan.stack}")
        addresses: list[Any] = client.floating_ips.get_all() if any(vip.exists for vip in plan.vips) else []
    except (APIException, requests.RequestException) as error:
        raise StockError(f"the API of the provider did not say what {plan.region} has got: {error}") from None
    return Stock(
        offers={each.name: offer for each in types for offer in _offers(each, plan.region)},
        running={each.name: Running(each.server_type.name, each.labels.get(REBUILD_LABEL, "")) for each in servers},
        floating_ips=frozenset(each.ip for each in addresses),
    )


def settle(plan: SitePlan, stock: Stock) -> Settled:
    """The plan with the types that there are; a sentence for each host that cannot be had, once a kind of host."""
    chosen = {host.name: _choice(plan, host, stock) for host in plan.hosts}
    hosts = tuple(_of_type(host, chosen[host.name] or host.server_type, stock) for host in plan.hosts)
    problems = [*_unavailable(plan, chosen, stock), *_missing_addresses(plan, stock)]
    return Settled(replace(plan, hosts=hosts), tuple(problems), tuple(_deprecated(replace(plan, hosts=hosts), stock)))


def unread(plan: SitePlan, error: StockError) -> Settled:
    """Without the API: fine where there is nothing to choose, and a problem where there is."""
    if any(host.other_types for host in plan.hosts):
        return Settled(plan, (f"server_types: {error}; allowed: one type for each kind of host, or try again",))
    return Settled(plan, (), (str(error),))


def _offers(server_type: Any, region: str) -> Iterator[Offer]:
    for place in server_type.locations or ():
        if place.location.name == region:
            gone_after = place.deprecation.unavailable_after if place.deprecation else None
            yield Offer(place.available is not False, gone_after, server_type.cores)


def _of_type(host: HostPlan, name: str, stock: Stock) -> HostPlan:
    if name == host.server_type:
        return host
    return replace(host, server_type=name, size=stock.offers.get(name, NOTHING).vcpus or host.size)


def _choice(plan: SitePlan, host: HostPlan, stock: Stock) -> str | None:
    """None where nothing that the settings name can be had."""
    wanted = (host.server_type, *host.other_types)
    running = stock.running.get(plan.cloud_name(host.name))
    if running and running.server_type in wanted and running.rebuild == str(host.rebuild):
        return running.server_type
    return next((name for name in wanted if stock.offers.get(name, NOTHING).available), None)


NOTHING = Offer(available=False)


def _unavailable(plan: SitePlan, chosen: Mapping[str, str | None], stock: Stock) -> Iterator[str]:
    sold = ", ".join(name for name, offer in stock.offers.items() if offer.available)
    without = {host.kind: host for host in plan.hosts if chosen[host.name] is None}
    for kind, host in without.items():
        wanted = ", ".join((host.server_type, *host.other_types))
        known = host.server_type in stock.offers
        why = "has none left today" if known else "does not sell it"
        yield f"server_types.{kind}: {wanted}; {plan.region} {why}; allowed: what it has got now: {sold or 'nothing'}"


def _missing_addresses(plan: SitePlan, stock: Stock) -> Iterator[str]:
    for vip in plan.vips:
        if vip.exists and vip.ip not in stock.floating_ips:
            yield (
                f"{vip.name}_address: {vip.ip}; allowed: a floating IP of the project, which has "
                f"{', '.join(sorted(stock.floating_ips)) or 'none'}"
            )


def _deprecated(plan: SitePlan, stock: Stock) -> Iterator[str]:
    for kind, name in dict.fromkeys((host.kind, host.server_type) for host in plan.hosts):
        gone_after = stock.offers.get(name, NOTHING).gone_after
        if gone_after:
            yield (
                f"server_types.{kind}: {name} is deprecated in {plan.region} and cannot be ordered after "
                f"{gone_after.date()}; a rebuild after that day needs another type"
            )
