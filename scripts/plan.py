"""The smallest stack that carries a traffic: which topology, which servers, how much media, and what it costs.

The figures behind it are in stacks/sizing.py; the traffic of a stack is its settings `concurrent_calls` and `cps`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.table import Table

from components.clouds.hetzner_types import server_types
from costs import sources
from costs.estimate import Estimator
from costs.settings import compare, from_config
from scripts import prices
from stacks import addressing, sizing
from stacks.settings import Region
from stacks.sizing import Codec, Demand, Size, Wish

say = Console(highlight=False)
complain = Console(stderr=True, highlight=False)


class PlanError(Exception):
    """No stack carries it; one sentence."""


@dataclass(frozen=True)
class Proposal:
    """A stack that carries a demand; `hosts` are numbers of hosts by kind."""

    topology: str
    region: str
    demand: Demand
    size: Size
    hosts: dict[str, int]


def propose(demand: Demand, region: Region, redundant: bool) -> Proposal:
    """The smallest topology and its servers. Raises PlanError."""
    sold = server_types(region)
    told: list[str] = []
    for topology in sizing.carriers(demand):
        if redundant and topology in NOT_REDUNDANT:
            continue
        told = list(sizing.problems(topology, demand, sold, Wish()))
        if not told:
            size = sizing.size(topology, demand, sold, Wish())
            return Proposal(topology, region, demand, size, _hosts(topology, size))
    raise PlanError("no topology carries this: " + ("; ".join(told) or "it is more than every ceiling"))


NOT_REDUNDANT = ("one-server", "three-server")


def _hosts(topology: str, size: Size) -> dict[str, int]:
    counts = dict(addressing.COUNTS[topology])
    return {**counts, "core": size.cores} if "core" in sizing.KINDS[topology] else counts


def lines(proposal: Proposal) -> Iterator[str]:
    """What carries it, for a person."""
    demand, size = proposal.demand, proposal.size
    busy = sizing.busy_cores(proposal.topology, size.cores)
    yield f"{demand.calls} concurrent calls and {demand.cps} CPS: topology {proposal.topology} in {proposal.region}"
    spare = size.cores - busy
    each = demand.calls / busy
    yield f"  a core carries {each:.0f} calls at most" + (f" while {spare} other is dead" if spare else "")
    yield f"  media {demand.mbit:,.0f} Mbit/s and {demand.packets:,} packets/s in each direction ({demand.codec})"
    yield f"  {demand.rows_a_day:,} call records a day, {size.disk_gb} GB for {Wish().records_days} days"
    yield f"  figures: {sizing.FIGURES.source}"


def cost(proposal: Proposal) -> str:
    """What it costs a month: net, with its media traffic, and from when the prices are. Raises PricesError."""
    demand = proposal.demand
    config = {
        "m2:topology": proposal.topology,
        "m2:region": proposal.region,
        "m2:concurrent_calls": demand.calls,
        "m2:cps": demand.cps,
        "m2:codec": demand.codec,
        "m2:admins": {"ssh_from": ["192.0.2.1/32"], "ssh_keys": ["ssh-ed25519 AAAA nobody"]},
    }
    hetzner, _ = prices.providers(asked=())
    known, _ = sources.load(hetzner, prices.today(), sources.default_cache())
    estimate = Estimator({known.provider: known}).stack(compare(None, from_config("planned", config)))
    missing = len(estimate.unpriced)
    without = f" WITHOUT {missing} parts that have no known price in {proposal.region}" if missing else ""
    return f"{estimate.after} a month net{without}, by the prices of {known.name} of {known.day}"


def table(proposal: Proposal) -> Table:
    """Its servers."""
    shown = Table("host", "servers", "type", "vCPUs", box=None, pad_edge=False)
    vcpus = {each.name: each.vcpus for each in server_types(proposal.region)}
    for kind, count in proposal.hosts.items():
        name = proposal.size.server_types[kind]
        shown.add_row(f"  {kind}", str(count), name, str(vcpus[name]))
    return shown


def main(
    cc: Annotated[int, typer.Option(min=1, help="concurrent calls, at most")],
    cps: Annotated[int, typer.Option(min=1, help="calls started a second, at most")],
    codec: Annotated[str, typer.Option(help=", ".join(get_args(Codec)))] = "g711",
    region: Annotated[str, typer.Option(help=", ".join(get_args(Region)))] = "fsn1",
    redundant: Annotated[bool, typer.Option(help="only what survives the death of any one server")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    for value, allowed, option in ((codec, get_args(Codec), "codec"), (region, get_args(Region), "region")):
        if value not in allowed:
            raise PlanError(f"--{option}: {value}; allowed: {', '.join(allowed)}")
    proposal = propose(Demand(cc, cps, codec), region, redundant)  # type: ignore[arg-type]
    if as_json:
        print(json.dumps(asdict(proposal), indent=2))
        return
    for line in lines(proposal):
        say.print(line, markup=False, soft_wrap=True)
    say.print(table(proposal))
    say.print(f"cost: {cost(proposal)}; more with scripts/cost_preview", markup=False, soft_wrap=True)
    say.print(f"make it: scripts/new_stack {proposal.topology} {region} --cc {cc} --cps {cps}", markup=False)


def run() -> None:
    """Ends the process."""
    app = typer.Typer(add_completion=False)
    app.command(help=__doc__)(main)
    try:
        app()
    except PlanError as error:
        complain.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    run()
