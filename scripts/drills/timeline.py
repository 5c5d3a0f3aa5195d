"""What happened when: the fault, the clients' journal, and what the agents and movers said on their hosts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.logins import LoginError
from scripts.drills.clients import Ack
from scripts.drills.verdict import longest_silence
from scripts.hosts import Hosts

JOURNAL = "sudo journalctl --no-pager -o json --output-fields=MESSAGE -u m2-agent -u m2-mover --since @{since:.0f}"
READ_TIMEOUT = 30.0
OUTAGE = 0.3
"""Seconds without an acknowledgement from which on clients notice."""

MARKS = (
    ("detected", ("no sign of", "has not answered", "could not renew", "no commit was acknowledged", "is not running")),
    ("fenced", ("fencing", "killing it")),
    ("promoted", ("opening in epoch",)),
    ("address moved", ("database moved from", "is with")),
)
"""What an agent or a mover says when one of these happens."""


@dataclass(frozen=True)
class Entry:
    """One line of a timeline: seconds since 1970, who says so, what."""

    at: float
    who: str
    what: str


def journals(hosts: Hosts, members: Sequence[str], since: float) -> list[Entry]:
    """What agents and movers said since then; a member that does not answer says nothing."""
    found: list[Entry] = []
    for member in members:
        try:
            text = hosts.logins.output(member, JOURNAL.format(since=since - 1), timeout=READ_TIMEOUT)
        except LoginError:
            continue
        found += _entries(member, text)
    return sorted((entry for entry in found if entry.at >= since), key=lambda entry: entry.at)


def _entries(member: str, text: str) -> Iterable[Entry]:
    for line in text.splitlines():
        said = json.loads(line)
        if isinstance(said.get("MESSAGE"), str):
            yield Entry(int(said["__REALTIME_TIMESTAMP"]) / 1e6, member, said["MESSAGE"])


def labelled(said: Sequence[Entry]) -> list[Entry]:
    """The same lines; those of `MARKS` begin with what they mean."""
    return [Entry(entry.at, entry.who, _labelled(entry.what)) for entry in said]


def _labelled(what: str) -> str:
    return next((f"{name}: {what}" for name, phrases in MARKS if any(phrase in what for phrase in phrases)), what)


@dataclass(frozen=True)
class Service:
    """What the measured client saw from the fault on; seconds. `silence` is the longest time without a write."""

    silence: float
    first_write: float | None
    first_server: int | None


def service(acks: Sequence[Ack], fault_at: float, end: float) -> Service:
    """`first_write` counts from the fault to the write that ended the first outage; None: there was none."""
    after = sorted((ack for ack in acks if ack.acked >= fault_at), key=lambda ack: ack.acked)
    before = fault_at
    for ack in after:
        if ack.acked - before >= OUTAGE:
            return Service(longest_silence(acks, fault_at, end), ack.acked - fault_at, ack.server)
        before = ack.acked
    return Service(longest_silence(acks, fault_at, end), None, None)
