"""From traffic to servers: pure arithmetic over two tables, one measured here and one of the vendor's.

A demand is concurrent calls (cc), calls started a second (CPS) and a codec. What carries it is counted in vCPUs of
dedicated server types, because a core that waits for its neighbours drops media.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Literal

from components.plan import ServerType

Codec = Literal["g711", "g722", "g729", "opus"]

PAYLOAD_BYTES: Mapping[Codec, int] = {"g711": 160, "g722": 160, "g729": 20, "opus": 80}
"""Of one packet of 20 ms: RFC 3551 (G.711, G.722, G.729); Opus at 32 kbit/s (RFC 6716, wideband speech)."""

HEADER_BYTES = 12 + 8 + 20 + 18
"""RTP, UDP, IPv4, Ethernet with its checksum."""

PACKETS_A_SECOND = 50
PORTS_A_CALL = 4
"""RTP and RTCP for each of two parties."""

BUSY_HOURS = 10
"""Hours at the full CPS that a day's traffic is worth."""

ROW_BYTES = 800
"""A call record on disk: the row, its indexes, and its share of a week of binary logs."""

SPARE_DISK_GB = 10


@dataclass(frozen=True)
class Figures:
    """What one vCPU carries at the load that leaves room for a takeover, by role; `source` says who found out."""

    core_calls: float
    core_cps: float
    balancer_cps: float
    database_cps: float
    source: str


VENDOR = Figures(
    core_calls=2500 / 2 / 4,
    core_cps=500 / 2 / 4,
    balancer_cps=1000 / 4,
    database_cps=500 / 4,
    source="the vendor's table for M4: a database and two cores carry 500 CPS and 2500 cc with media proxied, "
    "a balancer 1000 CPS; each box taken as 4 vCPUs",
)
MEASURED = Figures(
    core_calls=VENDOR.core_calls,
    core_cps=0.5 / 4.33e-3,
    balancer_cps=0.5 / 1.05e-3,
    database_cps=0.5 / 0.31e-3,
    source="scripts/bench sip, 2026-11-22, at 200 CPS: CPU seconds a call of the reference roles, half of a vCPU used",
)
"""Calls at a time are the vendor's figure: the benchmark's machines relay media in user space, at 42 us a packet, which
would be 119 calls a vCPU; real cores relay in the kernel."""


def lower(one: Figures, other: Figures) -> Figures:
    """What both say that a vCPU carries."""
    return Figures(
        core_calls=min(one.core_calls, other.core_calls),
        core_cps=min(one.core_cps, other.core_cps),
        balancer_cps=min(one.balancer_cps, other.balancer_cps),
        database_cps=min(one.database_cps, other.database_cps),
        source=f"the lower ones of: {one.source}; {other.source}",
    )


FIGURES = lower(MEASURED, VENDOR)


@dataclass(frozen=True)
class Ceiling:
    """What a topology carries at most, whatever its servers are; None: as much as its cores do."""

    calls: int | None
    cps: int | None


CEILINGS: Mapping[str, Ceiling] = {
    "one-server": Ceiling(1000, 100),
    "two-server-ha": Ceiling(500, 300),
    "three-server": Ceiling(3000, 500),
    "four-server-ha": Ceiling(3000, 300),
    "full": Ceiling(None, None),
}
"""Concurrent calls: the vendor's network architecture; CPS: its table for M4. `full` is 10000++ cc and 1000++ CPS."""

SPARE_CORES: Mapping[str, int] = {"four-server-ha": 1, "full": 1}
"""Cores that may be dead while the others carry everything."""

CORES: Mapping[str, int] = {"one-server": 1, "two-server-ha": 1, "three-server": 2, "four-server-ha": 2}
"""How many hosts take calls where that is no setting; of the two nodes one does."""

KINDS: Mapping[str, tuple[str, ...]] = {
    "one-server": ("node",),
    "two-server-ha": ("node", "witness"),
    "three-server": ("database", "core"),
    "four-server-ha": ("database", "core"),
    "full": ("balancer", "database", "gui", "core"),
}
ANY_CPU = ("gui", "witness")
"""Kinds of hosts for which a shared vCPU is good enough, and the smallest server too."""

MOST_CORES = 200
USUAL_CORES = 8
"""More of them than this, and the next larger server type is taken."""

SMALLEST_CORE = 4
"""vCPUs: media is relayed in the kernel on the CPU that gets the interrupt, and SIP workers need another."""

OTHER_ROLES = 1.0
"""vCPUs for a page, a quorum member or an agent."""

ROUNDING = 0.005

TAKEOVER_ROOM = 1.5
"""How much more than it is meant to carry a core takes on while another one is dead."""


@dataclass(frozen=True)
class Demand:
    """Concurrent calls, calls started a second, and what they talk in."""

    calls: int
    cps: int
    codec: Codec = "g711"

    @property
    def mbit(self) -> float:
        """Media in each direction, Mbit/s: both streams of every call go in and out."""
        bits = (PAYLOAD_BYTES[self.codec] + HEADER_BYTES) * 8 * PACKETS_A_SECOND
        return self.calls * 2 * bits / 1e6

    @property
    def packets(self) -> int:
        """Media packets a second in each direction."""
        return self.calls * 2 * PACKETS_A_SECOND

    @property
    def rows_a_day(self) -> int:
        """Call records."""
        return self.cps * 3600 * BUSY_HOURS


@dataclass(frozen=True)
class Wish:
    """What the settings fix; None, or no type for a kind of host, is for this module to choose."""

    cores: int | None = None
    server_types: Mapping[str, str] = field(default_factory=dict)
    rtp_ports: str = "16384-32768"
    disk_gb: int | None = None
    records_days: int = 60

    @property
    def calls_by_ports(self) -> int:
        """How many calls a core has ports for."""
        first, last = map(int, self.rtp_ports.split("-"))
        return (last - first + 1) // PORTS_A_CALL


@dataclass(frozen=True)
class Size:
    """What carries a demand: hosts' server types by kind, and the databases' volumes in GB."""

    cores: int
    server_types: Mapping[str, str]
    disk_gb: int


def over(topology: str, demand: Demand) -> list[str]:
    """Which of `concurrent_calls` and `cps` is more than a topology can carry."""
    ceiling = CEILINGS[topology]
    pairs = (("concurrent_calls", demand.calls, ceiling.calls), ("cps", demand.cps, ceiling.cps))
    return [name for name, asked, most in pairs if most is not None and asked > most]


def carriers(demand: Demand) -> list[str]:
    """The topologies that can carry a demand, the smallest first."""
    return [topology for topology in CEILINGS if not over(topology, demand)]


def size(topology: str, demand: Demand, types: Sequence[ServerType], wish: Wish) -> Size:
    """What carries a demand, with what the settings fix. `types` are what the region sells, the smallest first."""
    core, cores = _cores(topology, demand, types, wish)
    needed = {**_vcpus(demand), "core": 0.0}
    chosen = {kind: _smallest(types, vcpus, kind not in ANY_CPU).name for kind, vcpus in needed.items()}
    return Size(
        cores=cores,
        server_types={**chosen, "core": core, **wish.server_types},
        disk_gb=wish.disk_gb or _disk_gb(demand, wish.records_days),
    )


def problems(topology: str, demand: Demand, types: Sequence[ServerType], wish: Wish) -> Iterator[str]:
    """A sentence for each kind of host that carries less than is asked; a type that nobody knows is trusted."""
    sized = size(topology, demand, types, wish)
    vcpus = {each.name: each.vcpus for each in types}
    busy = busy_cores(topology, sized.cores)
    needed = {**_vcpus(demand), "core": core_vcpus(demand.calls / busy, demand.cps / busy)}
    for kind in KINDS[topology]:
        has = vcpus.get(sized.server_types[kind])
        if has is not None and has < needed[kind] - ROUNDING and kind not in ANY_CPU:
            yield _too_small(kind, sized, has, needed[kind], demand)
    on_one = ceil(demand.calls / busy)
    if wish.calls_by_ports < on_one:
        yield (
            f"rtp_ports: {wish.rtp_ports} is enough for {wish.calls_by_ports} calls on a core, and one may get "
            f"{on_one} of {demand.calls}; allowed: a larger range, or more cores"
        )


def core_limits(vcpus: int, media_ports: int) -> tuple[int, int]:
    """Concurrent calls and calls a second beyond which a core refuses more: it would lose those that it has."""
    calls = min(FIGURES.core_calls * vcpus * TAKEOVER_ROOM, media_ports / PORTS_A_CALL)
    return int(calls), int(FIGURES.core_cps * vcpus * TAKEOVER_ROOM)


def core_vcpus(calls: float, cps: float) -> float:
    """vCPUs of a core that carries so much."""
    return calls / FIGURES.core_calls + cps / FIGURES.core_cps


def busy_cores(topology: str, cores: int) -> int:
    """How many cores carry the calls while a spare one is dead."""
    return max(1, cores - SPARE_CORES.get(topology, 0))


def _vcpus(demand: Demand) -> dict[str, float]:
    """What a host of each kind needs; a balancer's partner only waits, and so does a database's."""
    database = demand.cps / FIGURES.database_cps
    return {
        "balancer": demand.cps / FIGURES.balancer_cps,
        "database": database + OTHER_ROLES,
        "gui": OTHER_ROLES,
        "witness": OTHER_ROLES,
        "node": core_vcpus(demand.calls, demand.cps) + database + OTHER_ROLES,
    }


def _cores(topology: str, demand: Demand, types: Sequence[ServerType], wish: Wish) -> tuple[str, int]:
    """The server type of cores and their number; the number never changes the type of those that run."""
    if topology in CORES:
        needed = core_vcpus(demand.calls, demand.cps) / busy_cores(topology, CORES[topology])
        return _smallest(types, max(SMALLEST_CORE, needed), True).name, CORES[topology]
    asked = [each for each in types if each.name == wish.server_types.get("core")]
    sizes = asked or [each for each in types if each.dedicated and each.vcpus >= SMALLEST_CORE]
    counts = {each.name: _cores_needed(topology, demand, each, wish) for each in sizes}
    chosen = next((name for name, count in counts.items() if count <= USUAL_CORES), sizes[-1].name)
    return chosen, wish.cores or min(MOST_CORES, counts[chosen])


def _cores_needed(topology: str, demand: Demand, each: ServerType, wish: Wish) -> int:
    by_cpu = core_vcpus(demand.calls, demand.cps) / each.vcpus
    by_ports = demand.calls / max(1, wish.calls_by_ports)
    return max(2, ceil(max(by_cpu, by_ports)) + SPARE_CORES.get(topology, 0))


def _smallest(types: Sequence[ServerType], vcpus: float, dedicated: bool) -> ServerType:
    """The first with so many vCPUs, else the largest: `problems` says that it is too small."""
    allowed = [each for each in types if each.dedicated or not dedicated]
    return next((each for each in allowed if each.vcpus >= vcpus), allowed[-1])


def _disk_gb(demand: Demand, days: int) -> int:
    gigabytes = demand.rows_a_day * days * ROW_BYTES / 1e9 + SPARE_DISK_GB
    return ceil(gigabytes / 10) * 10


def _too_small(kind: str, sized: Size, has: int, needed: float, demand: Demand) -> str:
    which = f"server_types.{kind}: {sized.server_types[kind]}"
    count = f" on {sized.cores} cores" if kind == "core" else ""
    more = " or more cores" if kind == "core" else ""
    return (
        f"{which} has {has} vCPUs, and {demand.calls} concurrent calls with {demand.cps} CPS{count} need {needed:.1f}; "
        f"allowed: a type with at least {ceil(needed)}{more}, or less in concurrent_calls and cps"
    )
