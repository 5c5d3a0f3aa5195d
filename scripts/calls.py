"""Real phone calls between two carriers that live outside of the local cloud: sipp, with media.

The caller and the callee are addresses in the local cloud's "internet"; everything that they send goes the way a
carrier's packets go.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

INTERNET = "m2-internet"
CALLER = "192.0.2.10"
CALLEE = "192.0.2.20"
NUMBER = "4930123456"
"""Lies in the prefix that the local stack file gives to the callee."""

SCENARIOS = Path(__file__).parent / "sipp"
FIRST_MEDIA_PORT = 6000
COUNTERS = """
table inet m2_calls
delete table inet m2_calls
table inet m2_calls {{
    counter sent {{ }}
    counter returned {{ }}
    chain out {{
        type filter hook output priority filter;
        ip saddr {caller} udp sport >= {port} counter name sent
    }}
    chain in {{
        type filter hook input priority filter;
        ip daddr {caller} udp dport >= {port} counter name returned
    }}
}}
"""


class CallError(Exception):
    """sipp could not be run; one sentence."""


@dataclass(frozen=True)
class Calls:
    """What came of some calls; packets are RTP at the caller, out and back."""

    answered: int
    failed: int
    packets_sent: int
    packets_returned: int


@contextmanager
def callee() -> Iterator[None]:
    """A carrier that answers and echoes media, as long as the block runs."""
    add_address(CALLEE)
    words = ["-sf", str(SCENARIOS / "uas.xml"), "-i", CALLEE, "-p", "5060", "-rtp_echo"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(_sipp(words), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def make(sip_address: str, count: int, rate: int, talk: float = 2.0, timeout: float = 60.0) -> Calls:
    """`count` calls of `talk` seconds, `rate` a second; needs a callee. Raises CallError."""
    add_address(CALLER)
    _nft(COUNTERS.format(caller=CALLER, port=FIRST_MEDIA_PORT))
    words = ["-sf", str(SCENARIOS / "uac.xml"), f"{sip_address}:5060", "-s", NUMBER, "-i", CALLER, "-p", "5060"]
    words += ["-m", str(count), "-r", str(rate), "-d", str(int(talk * 1000)), "-mp", str(FIRST_MEDIA_PORT)]
    words += ["-timeout", f"{timeout:.0f}s"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(_sipp(words), cwd=folder, capture_output=True, text=True, check=False)
    answered, failed = (last_count(done.stdout, name) for name in ("Successful call", "Failed call"))
    return Calls(answered, failed, _packets("sent"), _packets("returned"))


def _sipp(words: list[str]) -> list[str]:
    return [*_inside(), "sipp", *words, "-nostdin", "-skip_rlimit"]


def _inside() -> list[str]:
    return ["nsenter", f"--net=/run/netns/{INTERNET}"]


def add_address(address: str) -> None:
    """Make it one of the local cloud's internet."""
    subprocess.run([*_inside(), "ip", "address", "replace", f"{address}/32", "dev", "lo"], check=True)


def _nft(rules: str) -> None:
    subprocess.run([*_inside(), "nft", "-f", "-"], input=rules, text=True, check=True)


def _packets(counter: str) -> int:
    words = [*_inside(), "nft", "list", "counter", "inet", "m2_calls", counter]
    found = re.search(r"packets (\d+)", subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return int(found.group(1)) if found else 0


def last_count(screen: str, name: str) -> int:
    """The cumulative figure of sipp's last statistics screen."""
    found = re.findall(rf"{name}\s*\|\s*\d+\s*\|\s*(\d+)", screen)
    if not found:
        raise CallError("sipp said nothing of its calls: is it installed (package sip-tester)?")
    return int(found[-1])
