"""What the failover protocol stands on, of real mariadbd processes with the project's own my.cnf.

The numbers are those of the facts that the design was made from; each test shows the danger and what keeps it away.
"""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunningError
from contextlib import contextmanager, suppress

import pymysql
import pytest

from failover.fence import Fence
from failover.mariadb import DatabaseError, gtid_covers
from failover.probe import PORT, who_answers
from localcloud.machines import image
from tests.machines.bare_hosts import PROJECT
from tests.machines.databases import PASSWORD, Fleet, Server, authority, fleet
from tests.machines.lab import until

pytestmark = pytest.mark.machines

ADDRESSES = {"a": "10.77.0.1", "b": "10.77.0.2", "c": "10.77.0.3"}
DIVERGED = 1236
"""ER_MASTER_FATAL_ERROR_READING_BINLOG: the follower has what its master never had."""

BLOCKED = 3.0
"""Seconds after which a commit that is not through is taken for one that waits; the others take milliseconds."""

ROLES = PROJECT / "roles"


@pytest.fixture(scope="module")
def hosts(no_cloud: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("facts"), ADDRESSES) as made:
        yield made


@pytest.fixture
def born(hosts: Fleet) -> Iterator[Callable[..., tuple[Server, ...]]]:
    yield hosts.born
    hosts.end()


@pytest.fixture
def pair(born: Callable[..., tuple[Server, ...]]) -> tuple[Server, Server]:
    """`a` writes, `b` acknowledges; the rows 1, 2 and 3 are on both."""
    a, b = born("a", "b")
    in_sync(a, b)
    return a, b


@pytest.fixture
def three(born: Callable[..., tuple[Server, ...]]) -> tuple[Server, Server, Server]:
    """The same, and `c`, which replicates from nobody yet."""
    a, b, c = born("a", "b", "c")
    in_sync(a, b)
    c.start()
    return a, b, c


def in_sync(a: Server, b: Server, *more: str) -> None:
    for server, role in ((a, "MASTER"), (b, "SLAVE")):
        server.start(role, *more)
        server.let_replicate()
    a.database.open()
    a.write("CREATE DATABASE m2")
    a.write("CREATE TABLE m2.x (i INT PRIMARY KEY)")
    a.write("CREATE TABLE m2.other (i INT PRIMARY KEY)")
    b.database.follow(a.address, PASSWORD)
    until(lambda: b.database.status().acknowledging, 20, f"replication: {b.replica()}")
    a.database.semi_sync(True)
    for row in (1, 2, 3):
        insert(a, row)
    until(lambda: b.rows_or_none() == [1, 2, 3], 20, "the first rows")


def insert(server: Server, row: int, timeout: float = 10) -> None:
    server.write(f"INSERT INTO m2.x VALUES ({row})", timeout)  # noqa: S608 - a number


@contextmanager
def waiting(server: Server, *statements: str) -> Iterator[list[Future[None]]]:
    """Commits that wait for an acknowledgement inside the block; who does not get one by its end is dropped."""
    pool = ThreadPoolExecutor(len(statements))
    commits: list[Future[None]] = []
    before = binlogged(server)
    for statement in statements:
        commits.append(pool.submit(server.write, statement, 60))
        until(lambda: binlogged(server) == before + len(commits), 10, f"{statement} in the binary log")
    with suppress(StillRunningError):
        commits[0].result(1)
        raise AssertionError("the commit did not wait")
    try:
        yield commits
    finally:
        server.kill()
        pool.shutdown()


def binlogged(server: Server) -> int:
    """The number of the last transaction in the binary log."""
    return int(server.value("@@gtid_binlog_pos").rpartition("-")[2])


def promote(b: Server) -> None:
    b.database.stop_io()
    b.database.stop_following()
    b.database.open()


def rejoined(a: Server, b: Server) -> bool:
    """Whether `a` follows `b` as a demoted writer."""
    a.database.follow(b.address, PASSWORD, demote=True)
    until(lambda: a.replica()["Slave_IO_Running"] == "Yes" or a.replica()["Last_IO_Errno"], 20, "a verdict")
    time.sleep(0.5)
    return bool(a.replica()["Slave_IO_Running"] == "Yes")


# 1 and 2: the role with which a crashed main starts


@pytest.mark.parametrize("role", ["MASTER", "SLAVE"])
def test_01_a_commit_without_an_acknowledgement_survives_a_crash_only_in_the_master_role(
    pair: tuple[Server, Server], role: str
) -> None:
    a, b = pair
    b.database.stop_io()
    with waiting(a, "INSERT INTO m2.x VALUES (11)"):
        a.kill()
    a.start(role)
    promote(b)
    insert(b, 21)
    if role == "MASTER":
        assert 11 in a.rows()
        assert not rejoined(a, b)
        assert a.replica()["Last_IO_Errno"] == DIVERGED
        assert a.database.status().replica.error_number == DIVERGED  # type: ignore[union-attr]
    else:
        assert 11 not in a.rows()
        assert rejoined(a, b)
        until(lambda: a.rows() == b.rows() == [1, 2, 3, 21], 10, "the same rows")


@pytest.mark.parametrize("role", ["MASTER", "SLAVE"])
def test_02_a_main_that_resumes_loses_rows_without_an_error_in_the_slave_role(
    pair: tuple[Server, Server], role: str
) -> None:
    """The backup has received a row and its acknowledgement was on the way when the main crashed."""
    a, b = pair
    fence = Fence("10.78.0.1")
    with a.host.network():
        fence.drop()
    with waiting(a, "INSERT INTO m2.x VALUES (10)"):
        until(lambda: 10 in b.rows(), 10, "the row on the backup")
        a.kill()
    with a.host.network():
        fence.clear()
    a.start(role)
    a.database.open()
    insert(a, 5)
    b.database.stop_io()
    b.database.start_io()
    until(lambda: b.replica()["Slave_IO_Running"] == "Yes", 20, f"replication: {b.replica()}")
    insert(a, 6)
    time.sleep(1)
    assert (b.replica()["Slave_SQL_Running"], b.replica()["Last_Error"]) == ("Yes", "")
    if role == "MASTER":
        until(lambda: a.rows() == b.rows() == [1, 2, 3, 5, 6, 10], 10, "the same rows")
    else:
        assert (10 in a.rows(), 10 in b.rows()) == (False, True)
        assert (5 in a.rows(), 5 in b.rows()) == (True, False)


# 3 and 4: a main that is no longer the main


@pytest.mark.parametrize("wait", [1000, None])
def test_03_a_main_that_was_frozen_acknowledges_nothing_after_it_was_replaced(
    born: Callable[..., tuple[Server, ...]], wait: int | None
) -> None:
    """With a short wait for the backup it does, and the write is lost; ours has no limit."""
    a, b = born("a", "b")
    in_sync(a, b, *([f"--rpl-semi-sync-master-timeout={wait}"] if wait else []))
    a.freeze()
    promote(b)
    insert(b, 50)
    a.thaw()
    if wait:
        insert(a, 77)
    else:
        with pytest.raises(pymysql.OperationalError, match="timed out"):
            insert(a, 77, BLOCKED)
        assert 77 not in a.rows()
    assert 77 not in b.rows()


def test_04_a_main_cannot_be_closed_while_a_commit_waits(pair: tuple[Server, Server]) -> None:
    a, b = pair
    b.database.stop_io()
    with waiting(a, "INSERT INTO m2.x VALUES (88)"):
        assert a.database.status().semi_sync_waiting >= 1
        began = time.monotonic()
        with pytest.raises(DatabaseError):
            a.database.close()
        assert time.monotonic() - began < 3
        assert not a.database.status().read_only


def test_04_cutting_a_client_commits_what_was_not_acknowledged(pair: tuple[Server, Server]) -> None:
    a, b = pair
    b.database.stop_io()
    with waiting(a, "INSERT INTO m2.x VALUES (88)"):
        (row,) = a.sql("SELECT id FROM information_schema.processlist WHERE info LIKE 'INSERT INTO m2.x%'")
        a.sql("KILL CONNECTION %s", row["id"])
        until(lambda: 88 in a.rows(), 10, "the row that nobody has acknowledged")
        assert 88 not in b.rows()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_04_only_sigkill_and_the_slave_role_leave_nothing_of_it(
    pair: tuple[Server, Server], number: signal.Signals
) -> None:
    a, b = pair
    b.database.stop_io()
    with waiting(a, "INSERT INTO m2.x VALUES (89)"):
        a.host.signal(a.process, number)
        a.host.wait(a.process, 30)
    a.start("SLAVE")
    assert (89 in a.rows()) is (number is signal.SIGTERM)


# 5 to 8: settings


def test_05_a_replica_that_waits_for_acknowledgements_itself_applies_nothing(pair: tuple[Server, Server]) -> None:
    a, b = pair
    assert not b.value("@@rpl_semi_sync_master_enabled")
    b.sql("SET GLOBAL rpl_semi_sync_master_enabled = 1")
    insert(a, 4)
    time.sleep(2)
    assert 4 not in b.rows()
    b.database.semi_sync(False)
    until(lambda: 4 in b.rows(), 10, "the row")


def test_05_following_turns_waiting_off(pair: tuple[Server, Server]) -> None:
    a, b = pair
    a.kill()
    promote(b)
    a.start("SLAVE")
    a.sql("SET GLOBAL rpl_semi_sync_master_enabled = 1")
    assert rejoined(a, b)
    insert(b, 4)
    until(lambda: 4 in a.rows(), 10, "the row")


def test_06_a_connection_says_nothing_of_a_frozen_server_and_a_query_does(pair: tuple[Server, Server]) -> None:
    a, b = pair
    assert who(a, b) == "a"
    a.freeze()
    with b.host.network():
        socket.create_connection((a.address, PORT), 2).close()
    for look in (lambda: a.database.status(0.5), lambda: a.database.beat("a")):
        with pytest.raises(DatabaseError, match="timed out"):
            look()
    assert who(a, b) is None


def who(a: Server, seen_from: Server) -> str | None:
    with seen_from.host.network():
        return who_answers(a.address, authority(seen_from.host), 1.0)


def test_07_a_backup_notices_a_hang_of_its_main_and_is_promoted_at_once(pair: tuple[Server, Server]) -> None:
    a, b = pair
    a.freeze()
    time.sleep(2)
    assert b.database.status().acknowledging
    until(lambda: not b.database.status().acknowledging, 15, "the hang is noticed")
    assert b.state("Rpl_semi_sync_slave_status") == "ON", "this alone does not tell it"
    began = time.monotonic()
    promote(b)
    assert time.monotonic() - began < 5
    insert(b, 4)


@pytest.mark.parametrize("point", ["AFTER_COMMIT", None])
def test_08_nobody_reads_what_was_not_acknowledged(born: Callable[..., tuple[Server, ...]], point: str | None) -> None:
    a, b = born("a", "b")
    in_sync(a, b, *([f"--rpl-semi-sync-master-wait-point={point}"] if point else []))
    b.database.stop_io()
    with waiting(a, "INSERT INTO m2.x VALUES (11)"):
        assert (11 in a.rows()) is (point == "AFTER_COMMIT")


SAFE = {
    "sync_binlog": 1,
    "innodb_flush_log_at_trx_commit": 1,
    "gtid_strict_mode": 1,
    "read_only": 1,
    "rpl_semi_sync_master_enabled": 0,
    "rpl_semi_sync_slave_enabled": 0,
    "rpl_semi_sync_master_wait_no_slave": 1,
    "rpl_semi_sync_master_timeout": 4294967295,
    "slave_net_timeout": 6,
}


def test_08_settings_that_safety_stands_on(fresh: Server) -> None:
    assert {name: fresh.value(f"@@GLOBAL.{name}") for name in SAFE} == SAFE


@pytest.fixture
def fresh(born: Callable[..., tuple[Server, ...]]) -> Server:
    """A server that has just been born."""
    (server,) = born("a")
    server.start()
    return server


# 9 and 10: others who replicate


def test_09_a_second_replica_that_acknowledges_does_so_for_the_backup(three: tuple[Server, Server, Server]) -> None:
    a, b, c = three
    c.database.follow(a.address, PASSWORD)
    until(lambda: a.database.status().semi_sync_clients == 2, 20, "two that acknowledge")
    b.database.stop_io()
    insert(a, 11)
    assert 11 in a.rows()
    assert 11 not in b.rows()
    assert a.database.kick_strangers(b.address) == (c.address,)


def test_09_nobody_replicates_but_from_the_address_of_a_member(three: tuple[Server, Server, Server]) -> None:
    a, b, c = three
    a.sql("DROP USER replication@'10.77.0.0/255.255.255.0'")
    a.let_replicate(b.address)
    b.database.stop_io()
    b.database.start_io()
    c.database.follow(a.address, PASSWORD)
    until(lambda: c.replica()["Last_IO_Errno"] == 1045 or c.replica()["Last_IO_Errno"] == 1130, 20, str(c.replica()))
    until(lambda: a.database.status().semi_sync_clients == 1, 20, "the backup alone acknowledges")


def test_10_an_asynchronous_replica_of_the_main_has_rows_that_the_backup_never_got(
    three: tuple[Server, Server, Server],
) -> None:
    a, b, c = three
    c.database.follow(a.address, PASSWORD)
    c.database.stop_io()
    c.sql("SET GLOBAL rpl_semi_sync_slave_enabled = 0")
    c.database.start_io()
    until(lambda: c.rows_or_none() == [1, 2, 3], 20, f"replication: {c.replica()}")
    b.database.stop_io()
    with waiting(a, "INSERT INTO m2.x VALUES (11)"):
        until(lambda: 11 in c.rows(), 10, "the row that nobody has acknowledged")
        a.kill()
    promote(b)
    insert(b, 21)
    c.database.follow(b.address, PASSWORD)
    until(lambda: c.replica()["Last_IO_Errno"] == DIVERGED, 20, f"a divergence: {c.replica()}")


# 11: what was received and not yet applied

ACKNOWLEDGED = [11, 12, 13, 14, 15]


@pytest.fixture
def unapplied(pair: tuple[Server, Server]) -> Server:
    """A backup whose main has died; it has received ACKNOWLEDGED and applied none of them."""
    a, b = pair
    b.sql("STOP SLAVE SQL_THREAD")
    for row in ACKNOWLEDGED:
        insert(a, row)
    a.kill()
    return b


def test_11_stopping_both_threads_throws_away_what_was_acknowledged(unapplied: Server) -> None:
    unapplied.sql("STOP SLAVE")
    unapplied.sql("START SLAVE SQL_THREAD")
    time.sleep(2)
    assert unapplied.rows() == [1, 2, 3]
    assert unapplied.replica()["Last_SQL_Error"] == ""


@pytest.mark.parametrize("role", ["MASTER", "SLAVE"])
def test_11_a_restart_throws_it_away_too_and_begins_nothing_by_itself(unapplied: Server, role: str) -> None:
    """In the SLAVE role it may undo, besides, what was applied: it is in doubt as a writer's last rows would be."""
    unapplied.kill()
    assert unapplied.database.was_following()
    unapplied.start(role)
    time.sleep(1)
    status = unapplied.database.status()
    assert status.replica is not None
    assert (status.replica.io_running, status.replica.sql_running, status.acknowledging) == (False, False, False)
    unapplied.sql("START SLAVE SQL_THREAD")
    time.sleep(2)
    assert unapplied.rows() == [1, 2, 3] or (role == "SLAVE" and set(unapplied.rows()) < {1, 2, 3})


def test_11_the_received_position_tells_that_something_is_missing(unapplied: Server) -> None:
    status = unapplied.database.status()
    assert status.replica is not None
    assert not gtid_covers(status.applied_gtid, status.replica.received_gtid)
    unapplied.sql("START SLAVE SQL_THREAD")
    until(lambda: unapplied.rows() == [1, 2, 3, *ACKNOWLEDGED], 10, "all rows")
    assert gtid_covers(unapplied.database.status().applied_gtid, status.replica.received_gtid)


def test_11_a_person_can_rescue_it_from_the_relay_log(unapplied: Server) -> None:
    place = unapplied.replica()
    unapplied.sql("STOP SLAVE")
    unapplied.sql(
        "CHANGE MASTER TO MASTER_USE_GTID = no, RELAY_LOG_FILE = %s, RELAY_LOG_POS = %s",
        place["Relay_Log_File"],
        place["Relay_Log_Pos"],
    )
    unapplied.sql("START SLAVE SQL_THREAD")
    until(lambda: unapplied.rows() == [1, 2, 3, *ACKNOWLEDGED], 10, "all rows")


def test_11_stopping_to_receive_alone_loses_nothing(pair: tuple[Server, Server]) -> None:
    """The applying thread is held up by a lock while the main dies."""
    a, b = pair
    with b.session() as lock:
        lock.execute("SET SESSION sql_log_bin = 0")
        lock.execute("LOCK TABLES m2.x WRITE")
        for row in ACKNOWLEDGED:
            insert(a, row)
        a.kill()
        b.database.stop_io()
        lock.execute("UNLOCK TABLES")
    until(lambda: b.rows() == [1, 2, 3, *ACKNOWLEDGED], 10, "all rows")


# 12: nobody but the agent


def test_12_systemd_never_starts_ours_again_as_it_does_with_debian_s() -> None:
    theirs = (image.find() / "lib/systemd/system/mariadb.service").read_text()
    ours = (ROLES / "database/files/etc/systemd/system/m2-mariadbd.service").read_text()
    restart = re.compile(r"^Restart=(.*)$", re.MULTILINE)
    assert restart.findall(theirs) == ["on-abnormal"]
    assert restart.findall(ours) == ["no"]
    assert "KillSignal=SIGKILL\n" in ours, "an orderly end commits what was not acknowledged (fact 4)"


def test_12_no_timer_upgrades_the_server() -> None:
    text = (ROLES / "base/files/etc/apt/apt.conf.d/52m2-unattended-upgrades").read_text()
    patterns = re.findall(r'^ *"(.*)";$', text, re.MULTILINE)
    for package in ("mariadb-server", "mariadb-server-core", "mariadb-client", "libmariadb3", "galera-4"):
        assert any(re.match(pattern, package) for pattern in patterns), package


# 13: what a truncation does not undo


def test_13_a_table_s_change_stays_on_the_one_who_crashed_and_he_cannot_rejoin(pair: tuple[Server, Server]) -> None:
    a, b = pair
    b.database.stop_io()
    with waiting(a, "ALTER TABLE m2.x ADD COLUMN y INT"):
        a.kill()
    a.start("SLAVE")
    assert columns(a) == ["i", "y"]
    promote(b)
    b.write("INSERT INTO m2.other VALUES (1)")
    assert not rejoined(a, b)
    assert a.replica()["Last_IO_Errno"] == DIVERGED


def test_13_a_row_and_a_table_s_change_in_doubt_together_keep_mariadbd_from_starting(
    pair: tuple[Server, Server],
) -> None:
    a, b = pair
    b.database.stop_io()
    with waiting(a, "INSERT INTO m2.other VALUES (11)", "ALTER TABLE m2.x ADD COLUMN y INT"):
        a.kill()
    a.launch("SLAVE")
    assert a.host.wait(a.process, 60) != 0


def columns(server: Server) -> list[str]:
    return [row["Field"] for row in server.sql("SHOW COLUMNS FROM m2.x")]


def test_13_tables_of_other_engines_are_named(pair: tuple[Server, Server]) -> None:
    a, _ = pair
    a.database.semi_sync(False)
    a.write("CREATE TABLE m2.old (i INT) ENGINE = MyISAM")
    a.write("CREATE TABLE m2.older (i INT) ENGINE = Aria")
    assert a.database.status().foreign_tables == ("m2.old", "m2.older")


# 14: clients of a main that is gone

ASKS_AND_WAITS = """
import pymysql, sys, time
database = pymysql.connect(host="10.77.0.1", user="waits", password="waits")
began = time.monotonic()
print("asked", flush=True)
try:
    database.cursor().execute("SELECT SLEEP(600)")
except pymysql.MySQLError as error:
    print(f"gave up: {error}", flush=True)
"""


def test_14_a_client_of_a_dead_main_notices_with_our_keepalive_only(born: Callable[..., tuple[Server, ...]]) -> None:
    (a,) = born("a")
    b, c = born("b", "c")
    a.start()
    a.sql("GRANT USAGE ON *.* TO waits@'10.77.0.0/255.255.255.0' IDENTIFIED BY 'waits'")
    for role in ("core", "gui"):
        text = (ROLES / role / "files/etc/sysctl.d/61-m2-tcp-keepalive.conf").read_text()
        c.host.run("sysctl", "-q", "-p", "-", stdin=text)
    for client in (b, c):
        client.host.start("/usr/bin/python3", "-c", ASKS_AND_WAITS, log="client.log")
    until(lambda: all("asked" in said(client) for client in (b, c)), 20, "two questions")
    time.sleep(0.5)
    a.host.link("down")
    a.kill()
    until(lambda: "gave up" in said(c), 40, "that the main is gone")
    assert "gave up" not in said(b)


def said(client: Server) -> str:
    return (client.host.folder / "client.log").read_text()


# 15: defaults that hurt


def test_15_disks_do_not_fill_and_replicas_keep_up(fresh: Server) -> None:
    rows = fresh.sql(
        "SELECT LOWER(variable_name) AS name, default_value AS theirs, global_value AS ours"
        " FROM information_schema.system_variables"
        " WHERE variable_name IN ('BINLOG_EXPIRE_LOGS_SECONDS', 'SLAVE_PARALLEL_THREADS')"
    )
    assert {row["name"]: (int(row["theirs"]), int(row["ours"])) for row in rows} == {
        "binlog_expire_logs_seconds": (0, 7 * 24 * 3600),
        "slave_parallel_threads": (0, 4),
    }


# Beyond the fifteen: what the agent does again and again


def test_roles_change_hands_in_planned_moves_and_nothing_is_lost(pair: tuple[Server, Server]) -> None:
    writer, other = pair
    row = 10
    for _ in range(4):
        for _ in range(20):
            row += 1
            insert(writer, row)
        writer.database.close()
        writer.database.drop_clients()
        last = writer.database.status().binlog_gtid
        until(lambda: gtid_covers(other.database.status().applied_gtid, last), 20, "all of it applied")  # noqa: B023
        promote(other)
        assert (writer.database.was_following(), other.database.was_following()) == (False, False)
        writer.database.semi_sync(False)
        writer.database.follow(other.address, PASSWORD, demote=True)
        writer, other = other, writer
        until(lambda: other.database.status().acknowledging, 20, f"replication: {other.replica()}")  # noqa: B023
        writer.database.semi_sync(True)
    until(lambda: writer.rows() == other.rows() == [1, 2, 3, *range(11, 91)], 20, "the same rows")


def test_a_backup_that_is_killed_under_load_again_and_again_ends_with_the_same_rows(
    pair: tuple[Server, Server],
) -> None:
    a, b = pair
    a.database.semi_sync(False)
    row = 10
    for role in ("SLAVE", "MASTER", "SLAVE"):
        for _ in range(100):
            row += 1
            insert(a, row)
        b.kill()
        b.start(role)
        b.database.follow(a.address, PASSWORD, demote=True)
    until(lambda: b.rows() == a.rows(), 20, f"the same rows: {b.replica()}")
    assert a.rows() == [1, 2, 3, *range(11, 311)]
    assert a.value("@@gtid_binlog_pos") == b.value("@@gtid_binlog_pos")
