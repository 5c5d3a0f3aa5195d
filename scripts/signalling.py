"""Phone calls without media, many a second: sipp as a carrier that calls and as one that answers."""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from scripts.calls import CALLEE, CALLER, INTERNET, NUMBER, SCENARIOS, add_address, last_count

MEDIA = "play_pcap_audio"
SCREEN = "screen"
MOST_AT_ONCE = 20_000
PATIENCE_S = 35.0
"""A call that nobody answers is given up by its caller after 32 s (RFC 3261, timer B)."""


@dataclass(frozen=True)
class Place:
    """Where a sipp runs: a network namespace, and its address there."""

    namespace: str
    address: str

    def sipp(self, words: Sequence[str], folder: str) -> subprocess.Popen[bytes]:
        """In `folder`, where it leaves its files and what it shows."""
        inside = ["nsenter", f"--net={self.namespace}", "sipp", "-i", self.address, "-p", "5060"]
        with (Path(folder) / SCREEN).open("wb") as screen:
            return subprocess.Popen(
                [*inside, *words, "-nostdin", "-skip_rlimit"], cwd=folder, stdout=screen, stderr=subprocess.DEVNULL
            )


def outside(address: str) -> Place:
    """A carrier in the local cloud's internet."""
    add_address(address)
    return Place(f"/run/netns/{INTERNET}", address)


@dataclass(frozen=True)
class Outcome:
    """What came of some calls: `delays` from INVITE to 200, ms, sorted; `silence` is the longest without a 200, s."""

    rate: int
    attempted: int
    answered: int
    delays: tuple[float, ...]
    silence: float = 0.0

    @property
    def failed(self) -> int:
        """Without a complete call: refused, cut off or never answered."""
        return self.attempted - self.answered

    def delay(self, percent: int) -> float:
        """That many of a hundred calls were set up in this time, ms; not a number when none was."""
        if not self.delays:
            return math.nan
        return self.delays[min(len(self.delays) - 1, len(self.delays) * percent // 100)]


@dataclass
class Load:
    """Calls that are being made."""

    process: subprocess.Popen[bytes]
    folder: Path
    rate: int
    count: int

    def wait(self) -> Outcome:
        """Until all have ended."""
        self.process.wait()
        screen = (self.folder / SCREEN).read_text(errors="replace")
        answers = _answers(self.folder)
        silence = max((after - before for (before, _), (after, _) in pairwise(answers)), default=math.nan) / 1000
        delays = tuple(sorted(delay for _, delay in answers))
        return Outcome(self.rate, self.count, last_count(screen, "Successful call"), delays, silence)


@contextmanager
def load(target: str, rate: int, seconds: float, talk: float = 0.0) -> Iterator[Load]:
    """`rate` calls a second for `seconds`, each of `talk` seconds, from the calling carrier to `target`."""
    count = int(rate * seconds)
    words = [f"{target}:5060", "-s", NUMBER, "-m", str(count), "-r", str(rate), "-l", str(MOST_AT_ONCE)]
    words += ["-d", str(int(talk * 1000)), "-timeout", f"{seconds + talk + PATIENCE_S:.0f}s"]
    # A call that rang and was then forgotten would be waited for without end.
    words += ["-recv_timeout", str(int(PATIENCE_S * 1000))]
    words += ["-trace_rtt", "-rtt_freq", "1"]
    with tempfile.TemporaryDirectory() as folder:
        scenario = Path(folder) / "caller.xml"
        scenario.write_text(_without_media((SCENARIOS / "uac.xml").read_text()))
        process = outside(CALLER).sipp(["-sf", str(scenario), *words], folder)
        try:
            yield Load(process, Path(folder), rate, count)
        finally:
            process.kill()
            process.wait()


@contextmanager
def answering(place: Place | None = None) -> Iterator[None]:
    """Somebody who takes calls, and OPTIONS too; the called carrier, unless another place is given."""
    with tempfile.TemporaryDirectory() as folder:
        process = (place or outside(CALLEE)).sipp(["-sf", str(SCENARIOS / "uas.xml"), "-aa"], folder)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def _without_media(scenario: str) -> str:
    return "\n".join(line for line in scenario.splitlines() if MEDIA not in line)


def _answers(folder: Path) -> list[tuple[float, float]]:
    """When each 200 came and how long after its INVITE, ms, from sipp's file of response times: when, delay, name."""
    lines = [line.split(";") for path in folder.glob("*_rtt.csv") for line in path.read_text().splitlines()[1:]]
    return sorted((float(words[0]), float(words[1])) for words in lines if len(words) == 3)
