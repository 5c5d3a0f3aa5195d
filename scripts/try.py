"""A whole cluster on this machine: two SIP balancers, three cores, two databases and a GUI, with real phone calls.

Installs what is missing (as root, or by sudo), builds the machines' image once, starts the local cloud, brings the
stack full-local up and makes 100 calls with media through it. Again: nothing changes. Ctrl-C at any time; the next
run goes on. To remove everything: scripts/localcloud down --image
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from rich.console import Console

from localcloud.backend import BackendError
from scripts import calls, gui, local_stack, localcloud
from scripts.engines import StackError
from scripts.local_stack import STACK
from scripts.stack import bring_up, read_outputs

CALLS = 100
CALLS_A_SECOND = 20
LEAST_MEDIA = 0.5
"""Share of media packets that shows a path; a machine that is busy with something else loses some of them."""

FIRST_CALL_DEADLINE = 120.0
RECORDS_DEADLINE = 30.0

say = Console(stderr=True, highlight=False)


class TryError(Exception):
    """The cluster does not do what it should; one sentence."""


@dataclass
class Phases:
    """How long each part took, in seconds."""

    took: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        say.rule(name, align="left")
        began = time.monotonic()
        yield
        self.took[name] = time.monotonic() - began


def main(
    calls_to_make: Annotated[int, typer.Option("--calls", min=1, help="how many calls")] = CALLS,
    as_json: Annotated[bool, typer.Option("--json", help="the figures as JSON on standard output")] = False,
) -> None:
    localcloud.become_root("try")
    phases = Phases()
    with phases.phase("local cloud"):
        localcloud.require_packages(["sip-tester"], _tell)
        localcloud.up(_tell)
    local_stack.ensure()
    with phases.phase("stack"):
        bring_up(STACK)
    outputs = read_outputs(STACK)
    with calls.callee():
        with phases.phase("first answered call"):
            wait_for_first_call(outputs["sip_address"])
        with phases.phase(f"{calls_to_make} calls with media"):
            made = make_calls(outputs["sip_address"], calls_to_make)
    with phases.phase("call records"):
        records = wait_for_records(outputs, made.since, calls_to_make)
    show(outputs, made, records, phases)
    if as_json:
        print(json.dumps({"seconds": phases.took, "answered": made.calls.answered, "records": records.counts}))


def _tell(step: str) -> None:
    say.print(f"  {step}", markup=False)


@dataclass(frozen=True)
class Made:
    """The calls, and when the first of them began: a whole second since the epoch, as the GUI searches."""

    calls: calls.Calls
    since: int


@dataclass(frozen=True)
class Records:
    """How many records of the calls are where, and the last ones as the GUI shows them."""

    counts: dict[str, int]
    shown: list[dict[str, Any]]
    reading: str


def wait_for_first_call(sip_address: str) -> None:
    """Until a call is answered. Raises TryError at the deadline."""
    deadline = time.monotonic() + FIRST_CALL_DEADLINE
    while calls.make(sip_address, 1, 1, talk=0.0, timeout=4.0).answered == 0:
        if time.monotonic() > deadline:
            raise TryError(f"no call was answered for {FIRST_CALL_DEADLINE:.0f} s; see `scripts/localcloud status`")


def make_calls(sip_address: str, count: int) -> Made:
    """All calls, each answered, with media there and back. Raises TryError."""
    since = math.ceil(time.time())
    time.sleep(since - time.time())
    made = calls.make(sip_address, count, CALLS_A_SECOND)
    if made.answered != count or made.failed:
        raise TryError(f"{made.answered} of {count} calls were answered, {made.failed} failed")
    if made.packets_returned < LEAST_MEDIA * made.packets_sent:
        raise TryError(f"of {made.packets_sent} media packets {made.packets_returned} came back")
    return Made(made, since)


def wait_for_records(outputs: dict[str, Any], since: int, count: int) -> Records:
    """Until every call has its record on both databases and in the GUI. Raises TryError at the deadline."""
    deadline = time.monotonic() + RECORDS_DEADLINE
    while True:
        records = read_records(outputs, since)
        if set(records.counts.values()) == {count}:
            return records
        if time.monotonic() > deadline:
            found = ", ".join(f"{place} {number}" for place, number in records.counts.items())
            raise TryError(f"{count} calls were made, and there are records: {found}")
        time.sleep(1.0)


def read_records(outputs: dict[str, Any], since: int) -> Records:
    """One look at both databases and the GUI."""
    counts = {host: _count_on(host, since) for host in ("database-1", "database-2")}
    shown, reading = _ask_gui(outputs, since)
    return Records({**counts, "GUI": len(shown)}, shown[:5], reading)


def _count_on(host: str, since: int) -> int:
    query = f"SELECT COUNT(*) FROM m2.calls WHERE code = 200 AND began >= FROM_UNIXTIME({since})"  # noqa: S608
    answer = localcloud.ssh(f"{STACK}-{host}", f"sudo mariadb -N -e \"SET time_zone = '+00:00'; {query}\"")
    return int(answer)


def _ask_gui(outputs: dict[str, Any], since: int) -> tuple[list[dict[str, Any]], str]:
    begin = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since))
    found: list[dict[str, Any]] = []
    path = f"api/calls?limit=1000&from={begin}&result=answered"
    page = gui.ask(outputs, path)
    while True:
        found += page["calls"]
        if not page["after"]:
            return found, page["reading"]
        page = gui.ask(outputs, f"{path}&before={page['after']}")


def show(outputs: dict[str, Any], made: Made, records: Records, phases: Phases) -> None:
    """What stands where, what came of the calls, and where to look further."""
    _section("what stands where", _places(outputs))
    _section(f"the last call records, as the GUI reads them from {records.reading}", map(_record, records.shown))
    _section("what came of it", _results(made, records, phases))
    _section("look further", _commands(outputs))


def _section(title: str, lines: Iterable[str]) -> None:
    say.rule(title, align="left")
    for line in lines:
        say.print(f"  {line}", markup=False, soft_wrap=True)


def _places(outputs: dict[str, Any]) -> Iterator[str]:
    for host, address in sorted(outputs["hosts"].items()):
        yield f"{host:12} {address}"
    yield f"{'SIP':12} {outputs['sip_address']}  (moves between the balancers)"
    yield f"{'database':12} {outputs['database_address']}  (private; moves between the databases)"


def _record(call: dict[str, Any]) -> str:
    route = f"{call['caller']} ({call['carrier_in']}) -> {call['callee']} ({call['carrier_out']})"
    return f"{call['began']}  {route}  {call['code']}  {call['packets']} media packets"


def _results(made: Made, records: Records, phases: Phases) -> Iterator[str]:
    yield f"{made.calls.answered} calls answered, {made.calls.failed} failed"
    yield f"{made.calls.packets_sent} media packets sent, {made.calls.packets_returned} came back"
    yield "records: " + ", ".join(f"{number} in {place}" for place, number in records.counts.items())
    yield "time: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in phases.took.items())


def _commands(outputs: dict[str, Any]) -> Iterator[str]:
    yield f"GUI          {outputs['gui_url']}  (user {outputs['gui_user']})"
    yield f"password     scripts/stack outputs {STACK} --show-secrets"
    yield f"log in       scripts/localcloud ssh {STACK}-core-1"
    yield f"power cut    scripts/localcloud power {STACK}-balancer-1 cut"
    yield f"change it    edit stacks/Pulumi.{STACK}.yaml, then: scripts/stack up {STACK}"
    yield "remove all   scripts/localcloud down --image"


def run() -> None:
    """Ends the process."""
    try:
        typer.run(main)
    except (TryError, calls.CallError, StackError, localcloud.LocalCloudError, BackendError) as error:
        say.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    run()
