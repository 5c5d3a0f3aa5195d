"""Situations in which a precaution of the database pair matters, as tests/protocol/history.py has them simulated.

Each begins with a pair that is whole and its database on the main, while clients write.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from scripts.drills import clients
from scripts.drills.breaking import killed
from scripts.drills.clients import Clients
from scripts.drills.scenes import Scene
from tests.machines.broken_agent import HANGS
from tests.machines.lab import until

CUT, DEAD = 16.0, 12.0
"""Seconds for which the holder is cut off, so that both might write for a while, and without power, before it boots."""

LAG = 2.0
"""Seconds for which what is received is not applied, until something strikes."""

PATIENCE = 90.0

FOLDER = "/var/lib/m2-stranger"
BEGIN = f"""
install -d -o mysql {FOLDER}
mariadb-install-db --no-defaults --user=mysql --datadir={FOLDER}/data --skip-test-db
systemd-run --quiet --unit=m2-stranger --property=Type=notify --uid=mysql \\
    /usr/sbin/mariadbd --no-defaults --datadir={FOLDER}/data --socket={FOLDER}/socket --pid-file={FOLDER}/pid \\
    --skip-networking --server-id=99 --innodb-buffer-pool-size=32M --rpl-semi-sync-slave-enabled=1
"""
FOLLOW = """
SET GLOBAL gtid_slave_pos = '{}';
CHANGE MASTER TO MASTER_HOST = '{}', MASTER_USER = 'stranger', MASTER_PASSWORD = 'stranger',
    MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1;
START SLAVE IO_THREAD;
"""

Situation = Callable[[Scene, Clients], None]


def isolated(scene: Scene, journal: Clients) -> None:
    """Nobody reaches the holder but the clients on its own host.

    Ends before the pair is whole: a holder that is not fenced stands still for ever.
    """
    with scene.breaker.isolate(scene.main):
        time.sleep(CUT)


def late_bid(scene: Scene, journal: Clients) -> None:
    """The backup hangs as it begins its bid; the holder comes back and goes on alone; then the bid is sent."""
    holder, backup = journal.acks[-1].server, scene.backup
    scene.hosts.logins.output(backup, f"sudo touch {HANGS}")
    with scene.breaker.isolate(scene.main):
        until(lambda: scene.hosts.logins.run(backup, f"test -e {HANGS}").returncode != 0, PATIENCE, "the backup hangs")
    _until_written(journal, holder)
    scene.hosts.logins.output(backup, "sudo systemctl kill --signal=CONT m2-agent")
    time.sleep(2.0)
    until_whole(scene)


def restarted_backup(scene: Scene, journal: Clients) -> None:
    """The backup's mariadbd dies with what it has received and not applied, and then the main."""
    with _lagging(scene, scene.backup), killed(scene.hosts, scene.backup), scene.breaker.power(scene.main):
        time.sleep(DEAD)
    until_whole(scene)


def stranger(scene: Scene, journal: Clients) -> None:
    """Somebody else acknowledges what the backup does not get, and then the main dies."""
    with _acknowledging_too(scene), scene.breaker.split(*scene.members):
        time.sleep(2.0)
        with scene.breaker.power(scene.main):
            time.sleep(DEAD)
    until_whole(scene)


def hasty_failback(scene: Scene, journal: Clients) -> None:
    """The database is to return while the main has yet to apply what it has received."""
    _move(scene)
    with _lagging(scene, scene.main):
        scene.pair.ask(scene.backup, "failback")
    until_whole(scene)


def doubtful_commits(scene: Scene, journal: Clients) -> None:
    """The holder's mariadbd dies with commits in doubt that the other member has received, and goes on alone.

    The backup holds, which was started to follow: whoever starts it the same way again has it take those commits back.
    """
    if "SLAVE" not in scene.hosts.logins.output(scene.backup, "cat /run/m2/mariadbd.env"):
        fill_again(scene, scene.backup)
    _move(scene)
    holder = journal.acks[-1].server
    with scene.breaker.freeze(scene.main):
        time.sleep(1.0)
        with killed(scene.hosts, scene.backup):
            _until_written(journal, holder)
    until_whole(scene)


def fill_again(scene: Scene, member: str) -> None:
    """The member that does not hold gets the holder's data."""
    scene.pair.ask(member, "rejoin")
    time.sleep(2.0)
    until_whole(scene)


def until_whole(scene: Scene) -> None:
    """A member that is being filled again, and its source, are not to be disturbed."""
    scene.pair.until(lambda look: not look.troubles, PATIENCE, "the pair is whole")


def _move(scene: Scene) -> None:
    scene.pair.ask(scene.main, "switchover")
    scene.pair.until(lambda look: look.holder == scene.backup and not look.troubles, PATIENCE, "moved to the backup")


@contextmanager
def _lagging(scene: Scene, member: str) -> Iterator[None]:
    """Somebody reads there, and what is received waits; the block begins when enough does."""
    lock = f"LOCK TABLES m2.drill READ; DO SLEEP({2 * LAG})"
    with ThreadPoolExecutor() as pool:
        pool.submit(scene.hosts.logins.run, member, "sudo mariadb", lock)
        time.sleep(LAG)
        yield


@contextmanager
def _acknowledging_too(scene: Scene) -> Iterator[None]:
    """A server on the third host replicates from the main and says that it has what it received."""
    hosts = scene.hosts
    clients.sql(hosts, scene.main, "GRANT REPLICATION SLAVE ON *.* TO stranger IDENTIFIED BY 'stranger'")
    address = hosts.logins.ask_agent(scene.backup, "status")["database"]["replica"]["master_ip"]
    hosts.logins.output(scene.third, "sudo sh -e", BEGIN)
    try:
        position = clients.sql(hosts, scene.main, "SELECT @@gtid_binlog_pos").strip()
        hosts.logins.output(scene.third, f"sudo mariadb --socket={FOLDER}/socket", FOLLOW.format(position, address))
        time.sleep(2.0)
        yield
    finally:
        hosts.logins.output(scene.third, f"sudo systemctl stop m2-stranger; sudo rm -r {FOLDER}")


def _until_written(journal: Clients, server: int) -> None:
    """The server has written for two seconds from now on."""
    since = time.time()

    def written() -> bool:
        acked = [ack.acked for ack in journal.acks if ack.server == server and ack.acked > since]
        return bool(acked) and acked[-1] - acked[0] > 2.0

    until(written, PATIENCE, "writes")
