"""What the media of calls costs: bytes from calls, codec and hours, against what servers include.

A call whose media the cores relay has two legs; each sends one stream out to the world and takes one in. Both
providers charge what goes out only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from costs.aws import FREE_DATA_OUT_GB
from costs.charges import Charge, monthly
from costs.prices import NotPricedError, PriceList

PAYLOAD_BYTES = {"g711": 160, "g722": 160, "g729": 20, "opus": 80}
"""Of 20 ms: RFC 3551; Opus at 32 kbit/s (RFC 6716)."""

HEADER_BYTES = 12 + 8 + 20 + 18
"""RTP, UDP, IPv4 and Ethernet."""

PACKETS_PER_S = 50
LEGS = 2
SECONDS_PER_H = 3600
TB = Decimal(1024**4)
GB = Decimal(1024**3)


@dataclass(frozen=True)
class Traffic:
    """The calls of a month: `cc` at a time during `hours`, with `codec`."""

    cc: int
    codec: str
    hours: Decimal

    @property
    def bytes_out(self) -> Decimal:
        """A month, of all cores together."""
        stream = (PAYLOAD_BYTES[self.codec] + HEADER_BYTES) * PACKETS_PER_S
        return Decimal(self.cc * LEGS * stream * SECONDS_PER_H) * self.hours

    def __str__(self) -> str:
        return f"{self.cc:,} cc x {self.codec} x {self.hours:f} h a month = {self.bytes_out / TB:,.1f} TB out"


def charge(traffic: Traffic, servers: Iterable[Mapping[str, str]], prices: PriceList, region: str) -> Charge:
    """What the month's media costs; `servers` are the inputs of those that relay it. Raises NotPricedError."""
    if prices.provider == "aws":
        return _aws(traffic, prices, region)
    return _hetzner(traffic, [(server["serverType"], server["location"]) for server in servers], prices)


def _hetzner(traffic: Traffic, servers: list[tuple[str, str]], prices: PriceList) -> Charge:
    """Every server includes some of its own; what one does not use helps no other."""
    if not servers:
        raise NotPricedError("no server that relays media is known")
    each = traffic.bytes_out / TB / len(servers)
    amount, included = Decimal(0), Decimal(0)
    for kind, place in servers:
        free = prices.price(f"included_tb:{kind}", place)
        included += free
        amount += max(Decimal(0), each - free) * prices.price(f"traffic_tb:{kind}", place)
    return monthly(prices, f"media: {traffic}", f"{included:,.0f} TB included", amount)


def _aws(traffic: Traffic, prices: PriceList, region: str) -> Charge:
    """The account's first gigabytes are free, then the price falls in steps."""
    left = max(Decimal(0), traffic.bytes_out / GB - FREE_DATA_OUT_GB)
    tiers = prices.tiers("data-out", region)
    ends = [start for start, _ in tiers[1:]] + [Decimal("Infinity")]
    amount = Decimal(0)
    for (start, price), end in zip(tiers, ends, strict=True):
        amount += max(Decimal(0), min(left, end) - start) * price
    return monthly(prices, f"media: {traffic}", f"{FREE_DATA_OUT_GB:f} GB included", amount)
