"""Builds that are broken on purpose, and how they get onto both members and off again.

They lack what those of tests/protocol/mutations.py lack. There somebody sees everything at once; here clients have to
notice, so that where two precautions stand against the same loss, both go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.drills.breaking import heal
from scripts.drills.scenes import Scene
from tests.machines.situations import (
    Situation,
    doubtful_commits,
    hasty_failback,
    isolated,
    late_bid,
    restarted_backup,
    stranger,
)

PROGRAM = Path(__file__).with_name("broken_agent.py")
PLACE = "/usr/local/lib/m2/broken_agent.py"
DROP_INS = "/etc/systemd/system/{}.service.d"
AGENT, MARIADBD = DROP_INS.format("m2-agent"), DROP_INS.format("m2-mariadbd")
FOR_EVER, BY_DEFAULT = 4294967295, 10000
DEPLOY = """
mkdir -p {agent} {mariadbd}
cat >{place} <<'END'
{program}
END
printf '[Service]\\nExecStart=\\nExecStart=/usr/bin/python3 {place} {without}\\n' >{agent}/broken.conf
printf '[Service]\\n{unit}\\n' >{mariadbd}/broken.conf
mariadb -e 'SET GLOBAL rpl_semi_sync_master_timeout = {patience}'
systemctl daemon-reload
systemctl restart m2-agent
"""
RESTORE = f"""sudo sh -c '
rm -f {PLACE} {AGENT}/broken.conf {MARIADBD}/broken.conf
mariadb -e "SET GLOBAL rpl_semi_sync_master_timeout = {FOR_EVER}"
systemctl daemon-reload
systemctl restart m2-agent'"""


@dataclass(frozen=True)
class Build:
    """`without`: which of broken_agent.PRECAUTIONS are gone; `unit`: a line more in mariadbd's; `patience`: for how
    many milliseconds a commit waits for the backup."""

    without: tuple[str, ...] = ()
    unit: str = ""
    patience: int = FOR_EVER


@dataclass(frozen=True)
class Mutant:
    """What is broken, and the situation in which it matters."""

    name: str
    build: Build
    situation: Situation


SOUND = Build()
MUTANTS = (
    Mutant("systemd restarts mariadbd", Build(unit="Restart=always"), doubtful_commits),
    # Commits of a holder that lives on without the epoch wait for the backup all the same, if they wait for ever.
    Mutant("no fencing", Build(("fence",), patience=BY_DEFAULT), isolated),
    Mutant("promotion without the CAS", Build(("comparison",)), late_bid),
    Mutant("B bids after its own restart", Build(("fitness",)), restarted_backup),
    Mutant("a second semi-sync client allowed", Build(("only_client",)), stranger),
    Mutant("failback without catching up", Build(("catching_up",)), hasty_failback),
)


@contextmanager
def deployed(scene: Scene, build: Build) -> Iterator[None]:
    """Both members run it as long as the block lasts."""
    script = DEPLOY.format(
        agent=AGENT,
        mariadbd=MARIADBD,
        place=PLACE,
        program=PROGRAM.read_text(),
        without=" ".join(build.without),
        unit=build.unit,
        patience=build.patience,
    )
    try:
        _on_both(scene, lambda member: scene.hosts.logins.output(member, "sudo sh -e", script))
        yield
    finally:
        _on_both(scene, lambda member: heal(scene.hosts, member, RESTORE))


def _on_both(scene: Scene, work: Callable[[str], object]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(work, scene.members))
