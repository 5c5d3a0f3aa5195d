"""Who holds each moving address by the cloud's API, against who should by the hosts' own record."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from components.logins import LoginError
from failover.cloud import CloudError, Hetzner
from failover.config import Address, MoverConfig, mover_from
from scripts import hosts
from scripts.database_pair import Pair
from scripts.engines import StackError
from scripts.hosts import Hosts
from scripts.localcloud import LocalCloudError

DEADLINE = 20.0
SETTLE = 15.0
"""Seconds after which a difference is no move in progress any more."""

say = Console(stderr=True, highlight=False)


class Drift(IntEnum):
    """What an address is found to be; the exit codes."""

    NONE = 0
    TAKEOVER = 3
    FOREIGN = 4


@dataclass(frozen=True)
class Found:
    """One address: where it is by the cloud ("?": with no member), where by the hosts, and where as configured."""

    address: str
    cloud: str | None
    hosts: str | None
    main: str

    @property
    def drift(self) -> Drift:
        """A takeover, or somebody else."""
        if self.cloud != self.hosts:
            return Drift.FOREIGN
        return Drift.NONE if self.cloud == self.main else Drift.TAKEOVER

    @property
    def sentence(self) -> str:
        """For a person."""
        if self.drift is Drift.FOREIGN:
            return "somebody else's change, or a host that cannot reach the cloud's API: see `scripts/pair status`"
        return "taken over" if self.drift is Drift.TAKEOVER else "as configured"


def find(stack_hosts: Hosts, token: str) -> list[Found]:
    """One look at everything. Raises LoginError, CloudError."""
    config = _moves(stack_hosts)
    cloud = Hetzner(config.endpoint, token)
    deadline = time.monotonic() + DEADLINE
    pair = Pair(stack_hosts).look() if len(stack_hosts.with_role("database")) > 1 else None
    found = []
    for address in config.addresses:
        main = address.members[0].name
        by_hosts = pair.holder or main if pair and main in pair.members else _vrrp_master(stack_hosts, address)
        found.append(Found(address.name, cloud.holder(address, deadline), by_hosts, main))
    return found


def _moves(stack_hosts: Hosts) -> MoverConfig:
    """The movers' fixed list, from the first that answers; what to find where is no secret."""
    error: LoginError | None = None
    for host in stack_hosts.with_role("mover"):
        try:
            return mover_from(json.loads(stack_hosts.logins.output(host, "cat /etc/m2/mover.json", timeout=30)))
        except LoginError as failed:
            error = failed
    raise error or LoginError(f"{stack_hosts.stack} has no addresses that move")


def _vrrp_master(stack_hosts: Hosts, address: Address) -> str | None:
    """Who of a pair that has VRRP says that it is the master; None when nobody does, or both."""
    masters = [member.name for member in address.members if _is_master(stack_hosts, member.name)]
    return masters[0] if len(masters) == 1 else None


def _is_master(stack_hosts: Hosts, host: str) -> bool:
    try:
        return stack_hosts.logins.output(host, "sudo cat /run/m2/vrrp", timeout=30).strip() == "MASTER"
    except LoginError:
        return False


def settled(stack_hosts: Hosts, token: str) -> list[Found]:
    """A second look when the first finds somebody else's hand: it may have been a move."""
    found = find(stack_hosts, token)
    if any(each.drift is Drift.FOREIGN for each in found):
        time.sleep(SETTLE)
        found = find(stack_hosts, token)
    return found


def main(
    stack: Annotated[str, typer.Argument(help="the stack, such as full-fsn1")],
    config_file: Annotated[Path | None, typer.Option(help="instead of stacks/Pulumi.STACK.yaml")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Who holds each moving address by the cloud's API, against who should by the hosts' own record.

    Tells a takeover, which the hosts made, from a change that somebody else made. Only looks. The exit code is for a
    schedule: 0 every address is with its main, 3 the hosts have moved one, 4 the cloud has one elsewhere than the hosts
    say, 1 it could not be found out. What else differs, `scripts/stack preview --expect-no-changes` says.
    """
    stack_hosts = hosts.of_stack(stack, config_file)
    token = os.environ.get("HCLOUD_TOKEN", "")
    if not token:
        raise LoginError("HCLOUD_TOKEN is not set: drift reads who holds the addresses from the cloud's API")
    found = settled(stack_hosts, token)
    if as_json:
        print(json.dumps([{**asdict(each), "drift": each.drift.name.lower()} for each in found], indent=2))
    else:
        Console(highlight=False).print(_table(found))
    worst = max((each.drift for each in found), default=Drift.NONE)
    if worst:
        raise typer.Exit(int(worst))


def _table(found: list[Found]) -> Table:
    table = Table("address", "in the cloud", "by the hosts", "main", "", box=None, pad_edge=False)
    for each in found:
        table.add_row(each.address, each.cloud or "nobody", each.hosts or "nobody", each.main, each.sentence)
    return table


def run() -> None:
    """Ends the process."""
    try:
        typer.run(main)
    except (CloudError, LoginError, StackError, LocalCloudError) as error:
        say.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    run()
