"""How many calls a second: straight to a carrier, through one balancer, and the whole path with records.

All in one run on the same machines, whose CPUs the calling and the called sipp share: the ratios are what counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from localcloud.machines.machine import Guest
from scripts import calls, local_stack, localcloud, signalling
from scripts.benchmarks import BenchmarkError, apart, say, table
from scripts.local_stack import STACK
from scripts.signalling import Outcome, Place
from scripts.stack import bring_up, read_outputs, use_local_cloud

CORES = 4
RATES = (50, 100, 200, 300, 400, 500, 750, 1000, 1250, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 8000)
SECONDS = 8.0
DELAYS_AT = 100
"""Calls a second at which set-up delays are compared: all paths carry that."""

AT_REST_S = 10.0
"""How long is looked at what hosts use without calls."""

HELD = 10_000
HELD_RATE = 200
HELD_FOR_S = 60.0
MEDIA_CALLS, MEDIA_RATE, MEDIA_TALK_S = 200, 20, 8.0
RECORDS_DEADLINE_S = 120.0
FIRST_CALL_DEADLINE_S = 120.0
DISPATCHER = "/run/m2/dispatcher.list"

Figures = dict[str, float]


@dataclass(frozen=True)
class Cluster:
    """The stack that is measured."""

    sip_address: str

    def on(self, host: str, command: str) -> str:
        return localcloud.ssh(f"{STACK}-{host}", command)

    def guest(self, host: str) -> Guest:
        server = next(s for s in localcloud.servers() if s["name"] == f"{STACK}-{host}")
        return Guest(localcloud.STATE, int(server["id"]))

    def cpu_seconds(self, hosts: Sequence[str], unit: str = "") -> float:
        """What they have used since they started, or one systemd unit of theirs."""
        return sum(_usage(self.guest(host), unit) for host in hosts)

    def records(self) -> int:
        """In the database, of calls that were answered."""
        return int(self.on("database-1", 'sudo mariadb -N -e "SELECT COUNT(*) FROM m2.calls WHERE code = 200"'))

    @contextmanager
    def calls_go_to(self, *cores: str) -> Iterator[None]:
        """Only these cores get calls, until the block ends."""
        addresses = [self._private(core) for core in cores]
        lines = [f"1 sip:{address}:5060;slot={slot} 0 0" for slot, address in enumerate(addresses, 1)]
        keep = f"sudo cp {DISPATCHER} {DISPATCHER}.kept; sudo tee {DISPATCHER} >/dev/null"
        self.on("balancer-1", f"printf '%s\\n' '{chr(10).join(lines)}' | ({keep}); sudo kamcmd dispatcher.reload")
        time.sleep(2)
        try:
            yield
        finally:
            self.on("balancer-1", f"sudo mv {DISPATCHER}.kept {DISPATCHER}; sudo kamcmd dispatcher.reload")

    @contextmanager
    def sipp_in_place_of(self, core: str) -> Iterator[None]:
        """A bare answering machine at the core's address, so that only the balancer is measured."""
        self.on(core, "sudo systemctl stop kamailio")
        try:
            process = self.guest(core).first_process()
            with signalling.answering(Place(f"/proc/{process}/ns/net", self._private(core))):
                yield
        finally:
            self.on(core, "sudo systemctl start kamailio")

    def _private(self, host: str) -> str:
        server = next(s for s in localcloud.servers() if s["name"] == f"{STACK}-{host}")
        return str(server["addresses"][-1])


def main(
    as_json: Annotated[bool, typer.Option("--json", help="the figures as JSON on standard output")] = False,
) -> None:
    """Calls a second and at a time: sipp alone, one balancer, the whole path; CPU, set-up delay, growth, media."""
    apart("sip-tester")
    with _cluster() as cluster:
        figures = measure(cluster)
    for title, (unit, columns) in figures.items():
        say.print(table(title, columns, unit))
    if as_json:
        print(json.dumps({title: columns for title, (_, columns) in figures.items()}, indent=2))


def measure(cluster: Cluster) -> dict[str, tuple[str, dict[str, Figures]]]:
    """Tables: title, unit, and figures by column."""
    paths = _paths(cluster)
    return {
        "calls a second": ("CPS or ms", paths),
        "the whole path by cores": ("CPS", _growth(cluster)),
        f"{HELD} calls held for {HELD_FOR_S:.0f} s": ("", {"whole path": _held(cluster)}),
        "media": ("", {"rtpengine": _media(cluster)}),
    }


def _paths(cluster: Cluster) -> dict[str, Figures]:
    found = {}
    with signalling.answering():
        found["sipp alone"] = _path(cluster, "sipp alone", calls.CALLEE, {})
    with cluster.sipp_in_place_of("core-1"), cluster.calls_go_to("core-1"):
        found["one balancer"] = _path(cluster, "one balancer", cluster.sip_address, {"balancer": ["balancer-1"]})
    with signalling.answering():
        before = cluster.records()
        found["whole path"] = _path(cluster, "whole path", cluster.sip_address, _hosts())
        found["whole path"]["records missing"] = _records_missing(cluster, before, found["whole path"])
    return found


def _path(cluster: Cluster, name: str, target: str, hosts: Mapping[str, Sequence[str]]) -> Figures:
    """The highest rate at which no call failed, and what a low rate costs: delay, and CPU by role."""
    outcomes: list[Outcome] = []
    idle, waited = _used(cluster, hosts, lambda: time.sleep(AT_REST_S))
    busy, took = _used(cluster, hosts, lambda: outcomes.append(_calls(name, target, DELAYS_AT)))
    at = outcomes[0]
    for_calls = {role: busy[role] - idle[role] * took / waited for role in hosts}

    def attempt(rate: int) -> Outcome:
        outcomes.append(_calls(name, target, rate))
        return outcomes[-1]

    return {
        "highest rate without a failed call": highest(attempt).rate,
        f"set-up p50 at {DELAYS_AT} CPS": at.delay(50),
        f"set-up p99 at {DELAYS_AT} CPS": at.delay(99),
        **{f"CPU seconds a 1000 calls, {role}": 1000 * used / max(1, at.answered) for role, used in for_calls.items()},
        "calls answered": sum(outcome.answered for outcome in outcomes),
    }


def _used(
    cluster: Cluster, hosts: Mapping[str, Sequence[str]], work: Callable[[], object]
) -> tuple[dict[str, float], float]:
    """CPU seconds by role while something is done, and how many seconds that took."""
    before, began = {role: cluster.cpu_seconds(names) for role, names in hosts.items()}, time.monotonic()
    work()
    took = time.monotonic() - began
    return {role: cluster.cpu_seconds(names) - before[role] for role, names in hosts.items()}, took


def highest(attempt: Callable[[int], Outcome]) -> Outcome:
    """The last outcome of rising rates without a failed call; each rate has a second chance."""
    best = Outcome(0, 0, 0, ())
    for rate in RATES:
        outcome = attempt(rate)
        if outcome.failed:
            outcome = attempt(rate)
        if outcome.failed:
            break
        best = outcome
    return best


def _calls(name: str, target: str, rate: int) -> Outcome:
    with signalling.load(target, rate, SECONDS) as load:
        outcome = load.wait()
    say.print(f"  {name}, {rate} CPS: {outcome.answered} answered, {outcome.failed} failed", markup=False)
    return outcome


def _records_missing(cluster: Cluster, before: int, path: Figures) -> float:
    """Fewer records than calls that were answered; attempts that failed may have left more."""
    deadline = time.monotonic() + RECORDS_DEADLINE_S
    while (missing := path["calls answered"] - (cluster.records() - before)) > 0:
        if time.monotonic() > deadline:
            return missing
        time.sleep(1)
    return 0


def _growth(cluster: Cluster) -> dict[str, Figures]:
    """All cores share this machine's CPUs; what grows here grows without a bottleneck in front of them."""
    found = {}
    with signalling.answering():
        for count in (1, 2, CORES):
            name = f"{count} cores"
            with cluster.calls_go_to(*(f"core-{number}" for number in range(1, count + 1))):
                best = highest(lambda rate, name=name: _calls(name, cluster.sip_address, rate))  # type: ignore[misc]
            found[name] = {"highest rate without a failed call": float(best.rate)}
    return found


def _held(cluster: Cluster) -> Figures:
    ramp = HELD / HELD_RATE
    with signalling.answering(), signalling.load(cluster.sip_address, HELD_RATE, ramp, ramp + HELD_FOR_S) as load:
        time.sleep(ramp + HELD_FOR_S / 2)
        held = sum(_in_progress(cluster, f"core-{number}") for number in range(1, CORES + 1))
        outcome = load.wait()
    return {"calls at a time": held, "answered": outcome.answered, "failed": outcome.failed}


def _in_progress(cluster: Cluster, core: str) -> int:
    return int(cluster.on(core, "sudo kamcmd stats.get_statistics active_dialogs").split("=")[1])


def _media(cluster: Cluster) -> Figures:
    cores = [f"core-{number}" for number in range(1, CORES + 1)]
    used, began = cluster.cpu_seconds(cores, "rtpengine-daemon"), time.monotonic()
    with calls.callee():
        made = calls.make(cluster.sip_address, MEDIA_CALLS, MEDIA_RATE, talk=MEDIA_TALK_S)
    took, used = time.monotonic() - began, cluster.cpu_seconds(cores, "rtpengine-daemon") - used
    packets = 2 * made.packets_sent
    return {
        "packets relayed a second": packets / took,
        "CPU us a packet": 1e6 * used / packets,
        "packets lost of a 1000": 1000 * (1 - made.packets_returned / made.packets_sent),
        "calls failed": made.failed,
    }


def _hosts() -> dict[str, list[str]]:
    """By role; in a stack at rest they use next to nothing."""
    cores = [f"core-{number}" for number in range(1, CORES + 1)]
    return {"balancer": ["balancer-1"], "core": cores, "database": ["database-1"]}


def _usage(guest: Guest, unit: str) -> float:
    groups = guest.cgroup.path.rglob(f"{unit}.service") if unit else [guest.cgroup.path]
    lines = [line.split() for group in groups for line in (group / "cpu.stat").read_text().splitlines()]
    return sum(int(value) for name, value in lines if name == "usage_usec") / 1e6


@contextmanager
def _cluster() -> Iterator[Cluster]:
    file = localcloud.STATE.parent / f"Pulumi.{STACK}.yaml"
    localcloud.up(lambda _: None)
    try:
        local_stack.ensure(file)
        # What a core can do, not what it takes on.
        local_stack.change(file, cores=CORES, core_limits={"calls": HELD, "cps": max(RATES)})
        use_local_cloud()
        bring_up(STACK, file)
        cluster = Cluster(read_outputs(STACK, file)["sip_address"])
        _wait_for_call(cluster)
        yield cluster
    finally:
        localcloud.down()


def _wait_for_call(cluster: Cluster) -> None:
    deadline = time.monotonic() + FIRST_CALL_DEADLINE_S
    with signalling.answering():
        while _calls("first call", cluster.sip_address, 1).failed:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"no call was answered for {FIRST_CALL_DEADLINE_S:.0f} s")
