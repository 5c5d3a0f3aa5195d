"""A member is made anew from the other one, with real mariabackup between two agents' servers on bare hosts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.machines.databases import PASSWORD, Server, fleet
from tests.machines.lab import until

pytestmark = pytest.mark.machines

SERVE = """
import ssl
from failover.config import tls_context
from failover.peer import PORT, PeerServer
from failover.reseed import stream_backup

class Handlers:
    def report(self):
        return {"used_bytes": 0}

    def backup(self, to):
        stream_backup(to)

PeerServer("10.77.0.1", PORT, tls_context(ssl.Purpose.CLIENT_AUTH), "database-2", Handlers()).serve_forever()
"""
RESEED = """
import pathlib, ssl, sys
from failover.config import tls_context
from failover.peer import PeerClient
from failover.reseed import ReseedError, reseed

peer = PeerClient("10.77.0.1", tls_context(ssl.Purpose.SERVER_AUTH))
try:
    print(reseed(peer, pathlib.Path("/srv/database/mysql")))
except ReseedError as error:
    print(f"error: {error}")
"""
QUARANTINE = """
import pathlib
from failover.reseed import quarantine

print(quarantine(pathlib.Path("/srv/database/mysql")).name)
"""


@dataclass
class Pair:
    """database-1 writes and gives its data away; `serving` is its agent."""

    one: Server
    two: Server
    serving: int


@pytest.fixture
def pair(no_cloud: None, tmp_path: Path) -> Iterator[Pair]:
    with fleet(tmp_path, {"database-1": "10.77.0.1", "database-2": "10.77.0.2"}) as made:
        one, two = made.born(*made.hosts)
        one.start()
        one.let_replicate()
        one.database.open()
        one.write("CREATE DATABASE m2")
        one.write("CREATE TABLE m2.x (i INT PRIMARY KEY, filler CHAR(250) NOT NULL DEFAULT '')")
        one.write("INSERT INTO m2.x (i) SELECT seq FROM mysql.seq_1_to_20000")
        yield Pair(one, two, one.host.start("/usr/bin/python3", "-c", SERVE))


def test_a_member_with_errant_transactions_is_made_anew_and_keeps_its_logs(pair: Pair) -> None:
    pair.two.start()
    pair.two.write("CREATE DATABASE errant")
    pair.two.kill()
    place = pair.two.host.python(QUARANTINE)
    position = pair.two.host.python(RESEED, timeout=120)
    assert position == pair.one.value("@@gtid_binlog_pos")
    kept = pair.two.database.data_folder.with_name(place)
    assert "errant" in (kept / "binlog.000001").read_bytes().decode(errors="replace")
    pair.one.write("INSERT INTO m2.x (i) VALUES (20001)")
    pair.two.start("SLAVE")
    pair.two.database.follow(pair.one.address, PASSWORD, demote=True)
    until(lambda: pair.two.rows() == list(range(1, 20002)), 20, f"a copy that follows: {pair.two.replica()}")
    assert "errant" not in {row["Database"] for row in pair.two.sql("SHOW DATABASES")}
    assert pair.two.database.status().applied_gtid == pair.one.value("@@gtid_binlog_pos")
    assert pair.one.sql("CHECKSUM TABLE m2.x EXTENDED") == pair.two.sql("CHECKSUM TABLE m2.x EXTENDED")


def test_a_copy_that_broke_off_is_begun_again(pair: Pair) -> None:
    pair.two.host.python(QUARANTINE)
    pair.one.kill()
    assert pair.two.host.python(RESEED).startswith("error: ")
    assert not pair.two.database.is_installed()
    pair.one.host.signal(pair.serving, signal.SIGKILL)
    assert "refused" in pair.two.host.python(RESEED)
    pair.one.start()
    pair.one.host.start("/usr/bin/python3", "-c", SERVE)
    until(lambda: not pair.two.host.python(RESEED, timeout=120).startswith("error: "), 60, "a whole copy")
    assert pair.two.database.is_installed()
    assert (
        pair.two.host.python(RESEED)
        == "error: there is a database in /srv/database/mysql: it has to be quarantined first"
    )
