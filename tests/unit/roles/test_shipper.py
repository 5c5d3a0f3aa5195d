"""The shipper: a real journal, a database that dies when it is told to, and no record lost or doubled."""

from __future__ import annotations

import json
import re
import sqlite3
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pymysql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roles.core.files.usr.local.lib.m2 import shipper
from roles.core.files.usr.local.lib.m2.shipper import BATCH, Config, Journal, Load, ship
from stacks.secrets import StackSecrets
from tests.unit.stacks.example import bundles

ROLES = Path(__file__).parents[3] / "roles"
JOURNAL_SQL = ROLES / "core/files/usr/local/lib/m2/journal.sql"
SCHEMA_SQL = ROLES / "database/files/usr/local/lib/m2/schema.sql"
BEGAN = 1_795_000_000.123
CORE = Config("core-1", 51, "", {"host": "10.0.128.1", "user": "core", "password": "p", "database": "m2"})
KEY = ("server_id", "call_id", "from_tag", "to_tag", "leg")
COLUMNS = tuple(re.findall(r"\w+", shipper.INSERT.partition("(")[2].partition(")")[0]))

Row = dict[str, Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal as the SIP server finds it."""
    path = tmp_path / "calls.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(JOURNAL_SQL.read_text())
    connection.close()
    return path


def record(path: Path, *call_ids: str, **changes: object) -> None:
    """Calls that ended, as the SIP server writes them: texts as blobs."""
    usual = {
        "from_tag": b"from",
        "to_tag": b"to",
        "began": BEGAN,
        "answered": BEGAN + 2,
        "ended": BEGAN + 60,
        "code": 200,
        "caller": b"4930111",
        "callee": b"4940222",
        "carrier_in": "alpha",
        "carrier_out": "beta",
        "source": "192.0.2.10",
        "packets": 6000,
    }
    connection = sqlite3.connect(path)
    for call_id in call_ids:
        row: dict[str, object] = {"call_id": call_id.encode(), **usual, **changes}
        columns, places = ", ".join(row), ", ".join("?" * len(row))
        statement = f"INSERT INTO calls ({columns}) VALUES ({places})"  # noqa: S608 - names of columns
        connection.execute(statement, tuple(row.values()))
    connection.commit()
    connection.close()


@dataclass
class Database:
    """Stands for pymysql's connection: rows count once committed, and a key that is there already adds nothing."""

    rows: dict[tuple[Any, ...], Row] = field(default_factory=dict)
    pending: list[Row] = field(default_factory=list)
    statuses: list[tuple[Any, ...]] = field(default_factory=list)
    going_on: set[tuple[Any, ...]] = field(default_factory=set)
    inserted: int = 0
    batches: list[int] = field(default_factory=list)
    dies_at: str = ""
    closed: bool = False

    def cursor(self) -> Database:
        return self

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def executemany(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        if statement == shipper.BEGIN:
            self.going_on |= {row[:3] for row in rows}
            return
        if statement == shipper.END:
            self.going_on -= set(rows)
            return
        assert statement == shipper.INSERT
        self._die("insert")
        self.batches.append(len(rows))
        self.pending += [dict(zip(COLUMNS, row, strict=True)) for row in rows]

    def execute(self, statement: str, values: tuple[Any, ...]) -> None:
        assert statement == shipper.STATUS
        self._die("status")
        self.statuses.append(values)

    def commit(self) -> None:
        self._die("commit")
        for row in self.pending:
            self.inserted += 1
            self.rows.setdefault(tuple(row[column] for column in KEY), row)
        self.pending = []
        self._die("reply to commit")

    def close(self) -> None:
        self.closed = True

    def _die(self, moment: str) -> None:
        if self.dies_at == moment:
            self.dies_at, self.pending = "", []
            raise pymysql.OperationalError(2013, "Lost connection to MySQL server during query")

    @property
    def call_ids(self) -> list[str]:
        return sorted(row["call_id"].decode() for row in self.rows.values())


def ship_to(database: Database, journal: Journal) -> int:
    connection: Any = database
    return ship(CORE, journal, connection)


def test_a_record_leaves_the_journal_when_the_database_has_it(path: Path) -> None:
    record(path, "a", "b")
    journal, database = Journal(str(path)), Database()
    assert ship_to(database, journal) == 2
    assert database.call_ids == ["a", "b"]
    assert journal.size() == 0
    assert ship_to(database, journal) == 0


BEGINNING: dict[str, object] = {"ended": None, "code": None, "packets": None, "to_tag": b""}


def going_on(database: Database) -> list[str]:
    return sorted(key[1].decode() for key in database.going_on)


def test_a_call_that_goes_on_is_known_from_its_beginning_to_its_end(path: Path) -> None:
    journal, database = Journal(str(path)), Database()
    record(path, "a", "b", **BEGINNING)
    assert ship_to(database, journal) == 2
    assert (going_on(database), database.call_ids) == (["a", "b"], [])
    record(path, "a")
    ship_to(database, journal)
    assert (going_on(database), database.call_ids) == (["b"], ["a"])


def test_a_call_that_began_and_ended_in_one_batch_does_not_go_on(path: Path) -> None:
    record(path, "a", **BEGINNING)
    record(path, "a")
    journal, database = Journal(str(path)), Database()
    ship_to(database, journal)
    assert (going_on(database), database.call_ids) == ([], ["a"])


def test_a_beginning_that_is_shipped_twice_ends_all_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, database = Journal(str(path)), Database()
    record(path, "a", **BEGINNING)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda *_: None)
        ship_to(database, journal)
    record(path, "a")
    ship_to(database, journal)
    assert (going_on(database), database.call_ids) == ([], ["a"])
    assert journal.size() == 0


def test_records_are_shipped_in_batches_the_oldest_first(path: Path) -> None:
    record(path, *(f"{number:04}" for number in range(BATCH + 3)))
    journal, database = Journal(str(path)), Database()
    assert [ship_to(database, journal) for _ in range(3)] == [BATCH, 3, 0]
    assert database.batches == [BATCH, 3]
    assert database.call_ids[0] == "0000"
    assert len(database.call_ids) == BATCH + 3


@pytest.mark.parametrize("moment", ["insert", "commit", "reply to commit"])
def test_whatever_dies_nothing_is_lost_and_nothing_doubled(path: Path, moment: str) -> None:
    record(path, "a", "b", "c")
    journal, database = Journal(str(path)), Database(dies_at=moment)
    with pytest.raises(pymysql.OperationalError):
        ship_to(database, journal)
    assert journal.size() == 3
    assert ship_to(database, journal) == 3
    assert database.call_ids == ["a", "b", "c"]
    assert journal.size() == 0


def test_a_core_that_dies_between_commit_and_removal_ships_twice_and_that_is_harmless(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(path, "a", "b")
    database = Database()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journal, "remove", die)
        ship_to(database, Journal(str(path)))
    assert database.inserted == 2
    assert ship_to(database, Journal(str(path))) == 2
    assert database.inserted == 4
    assert database.call_ids == ["a", "b"]


def test_records_that_come_while_a_batch_is_shipped_stay(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(path, "a")
    database, journal = Database(), Journal(str(path))
    commit = Database.commit

    def commit_and_record(self: Database) -> None:
        commit(self)
        record(path, "late")

    monkeypatch.setattr(Database, "commit", commit_and_record)
    ship_to(database, journal)
    assert journal.size() == 1
    ship_to(database, journal)
    assert database.call_ids == ["a", "late"]


def test_a_journal_survives_the_end_of_its_reader(path: Path) -> None:
    record(path, "a")
    before = Journal(str(path))
    assert [row[1] for row in before.oldest()] == [b"a"]
    assert [row[1] for row in Journal(str(path)).oldest()] == [b"a"]


def converted(**changes: object) -> Row:
    row: dict[str, object] = {
        "id": 7,
        "call_id": b"a",
        "from_tag": b"from",
        "to_tag": b"to",
        "began": BEGAN,
        "answered": BEGAN + 2,
        "ended": BEGAN + 60,
        "code": 200,
        "caller": b"4930111",
        "callee": b"4940222",
        "carrier_in": "alpha",
        "carrier_out": "beta",
        "source": "192.0.2.10",
        "packets": 6000,
    }
    assert not changes.keys() - row.keys()
    values = shipper.to_database(51, tuple({**row, **changes}.values()))
    return dict(zip(COLUMNS, values, strict=True))


def test_a_record_becomes_a_row_in_utc() -> None:
    assert converted() == {
        "server_id": 51,
        "call_id": b"a",
        "from_tag": b"from",
        "to_tag": b"to",
        "leg": 0,
        "began": "2026-11-18 11:06:40.123",
        "answered": "2026-11-18 11:06:42.123",
        "ended": "2026-11-18 11:07:40.123",
        "code": 200,
        "caller": "4930111",
        "callee": "4940222",
        "carrier_in": "alpha",
        "carrier_out": "beta",
        "source": "192.0.2.10",
        "packets": 6000,
    }


@pytest.mark.parametrize(
    ("column", "value", "row"),
    [
        ("answered", None, None),
        ("packets", None, None),
        ("to_tag", b"", b""),
        ("began", 1_795_000_000, "2026-11-18 11:06:40.000"),
        ("began", 1_795_000_000.9999, "2026-11-18 11:06:40.999"),
        ("caller", b"", ""),
        ("caller", "Łukasz".encode(), "Łukasz"),
        ("caller", b"\xff\xfe4930", "\ufffd\ufffd4930"),
        ("callee", b"'; DROP TABLE calls; --", "'; DROP TABLE calls; --"),
        ("call_id", b"\xff\x00\xfe", b"\xff\x00\xfe"),
    ],
)
def test_what_a_caller_sends_is_converted_and_never_refused(column: str, value: object, row: object) -> None:
    assert converted(**{column: value})[column] == row


@settings(max_examples=50)
@given(st.floats(0, 4_000_000_000))
def test_every_moment_has_three_digits_after_the_second_and_is_right_to_them(moment: float) -> None:
    text = converted(began=moment)["began"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", text)
    assert abs(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() - moment) < 0.0011


@given(st.binary(max_size=64))
def test_a_text_of_64_bytes_never_becomes_longer_than_its_column(raw: bytes) -> None:
    assert len(converted(caller=raw)["caller"]) <= 64


def test_a_row_fits_the_table_that_the_database_has() -> None:
    schema = SCHEMA_SQL.read_text()
    table = schema[schema.index("m2.calls (") : schema.index("ENGINE", schema.index("m2.calls ("))]
    declared = re.findall(r"^    ([a-z_0-9]+) [A-Z]", table, re.MULTILINE)
    assert set(COLUMNS) == set(declared) - {"id"}
    assert f"UNIQUE KEY once ({', '.join(KEY)})" in table
    assert shipper.INSERT.count("%s") == len(COLUMNS)


def test_a_status_line_has_a_value_for_each_column_of_its_table() -> None:
    schema = SCHEMA_SQL.read_text()
    table = schema[schema.index("m2.cores (") : schema.index("ENGINE", schema.index("m2.cores ("))]
    declared = re.findall(r"^    ([a-z_0-9]+) [A-Z]", table, re.MULTILINE)
    values = shipper.STATUS.count("%s") + shipper.STATUS.count("UTC_TIMESTAMP(3)")
    assert values == len(declared)


NEEDS = {"INSERT": {"INSERT"}, "REPLACE": {"INSERT", "DELETE"}, "ON DUPLICATE KEY UPDATE": {"UPDATE", "SELECT"}}
"""Privileges by statement (MariaDB's documentation of REPLACE and INSERT ON DUPLICATE KEY UPDATE)."""


@pytest.mark.parametrize("statement", [shipper.INSERT, shipper.STATUS], ids=["calls", "cores"])
def test_the_databases_user_may_do_what_the_shipper_does(statement: str) -> None:
    users = next(f.content for f in bundles()["database-1"].files if f.path == "/etc/m2/database-users.sql")
    [granted] = re.findall(r"GRANT (.*) ON m2\.\* TO 'core'@", users)
    needed = {privilege for words, privileges in NEEDS.items() if words in statement for privilege in privileges}
    assert needed <= set(granted.split(", "))


class Clock:
    """Stands for `time` in the shipper: sleeping is what makes it go on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(shipper, "time", clock)
    return clock


@pytest.fixture
def sip(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the SIP server and the media relay say."""
    sip = SimpleNamespace(load=Load(3, 100))
    monkeypatch.setattr(shipper, "sip_load", lambda: sip.load)
    monkeypatch.setattr(shipper, "media_path", lambda: "container")
    return sip


def run_for(seconds: float, clock: Clock, journal: Journal, database: Database) -> None:
    """The shipper's loop until the database goes away."""
    begin = clock.now

    def sleep(pause: float) -> None:
        clock.sleeps.append(pause)
        clock.now += pause
        if clock.now >= begin + seconds:
            raise pymysql.OperationalError(2013, "the end")

    clock.sleep = sleep  # type: ignore[assignment,method-assign]
    connection: Any = database
    with pytest.raises(pymysql.OperationalError, match="the end"):
        shipper.run(CORE, journal, connection)


def test_the_core_says_how_it_is_every_five_seconds(path: Path, clock: Clock, sip: SimpleNamespace) -> None:
    database = Database()
    run_for(21, clock, Journal(str(path)), database)
    assert len(database.statuses) == 4
    server_id, name, calls, cps, load1, waiting, media = database.statuses[0]
    assert (server_id, name, calls, cps, waiting, media) == (51, "core-1", 3, 0.0, 0, "container")
    assert load1 >= 0


def test_calls_a_second_are_those_since_it_spoke_before(path: Path, sip: SimpleNamespace) -> None:
    connection: Any = Database()
    sip.load = Load(9, 160)
    after = shipper.say_status(CORE, Journal(str(path)), connection, Load(3, 100), 5.0)
    assert after == Load(9, 160)
    assert connection.statuses[0][2:4] == (9, 12.0)


def test_a_sip_server_that_was_restarted_counts_no_negative_calls(path: Path, sip: SimpleNamespace) -> None:
    connection: Any = Database()
    sip.load = Load(0, 2)
    shipper.say_status(CORE, Journal(str(path)), connection, Load(3, 100), 5.0)
    assert connection.statuses[0][3] == 0


def test_the_status_says_how_many_records_wait(path: Path, sip: SimpleNamespace) -> None:
    record(path, "a", "b")
    connection: Any = Database()
    shipper.say_status(CORE, Journal(str(path)), connection, Load(0, 0), 5.0)
    assert connection.statuses[0][5] == 2


def test_a_full_batch_is_followed_by_the_next_without_a_pause(path: Path, clock: Clock, sip: SimpleNamespace) -> None:
    record(path, *(str(number) for number in range(2 * BATCH)))
    database = Database()
    run_for(1, clock, Journal(str(path)), database)
    assert database.batches == [BATCH, BATCH]
    assert len(clock.sleeps) <= 2


@pytest.fixture
def credentials(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration as systemd hands it over."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    config = {"name": "core-1", "server_id": 51, "journal": str(path), "database": CORE.database}
    (tmp_path / "core.json").write_text(json.dumps(config))
    return tmp_path


def test_ten_tries_ten_seconds_apart_and_then_it_exits(
    credentials: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []

    def refuse(**_: object) -> None:
        tries.append(clock.now)
        raise pymysql.OperationalError(2003, "Can't connect")

    monkeypatch.setattr(pymysql, "connect", refuse)
    assert shipper.main() == 1
    assert tries == [1000.0 + 10 * number for number in range(10)]


def test_a_lost_connection_is_made_again_and_nothing_is_lost(
    credentials: Path, path: Path, clock: Clock, sip: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(path, "a")
    database = Database(dies_at="reply to commit")
    answers: list[Any] = [pymysql.OperationalError(2003, "Can't connect"), database, database]

    def connect(**_: object) -> Any:
        answer = answers.pop(0) if answers else KeyboardInterrupt()
        if isinstance(answer, BaseException):
            raise answer
        if not answers:
            database.dies_at = "status"
        return answer

    monkeypatch.setattr(pymysql, "connect", connect)
    with pytest.raises(KeyboardInterrupt):
        shipper.main()
    assert database.call_ids == ["a"]
    assert database.closed
    assert Journal(str(path)).size() == 0


def test_the_password_is_never_logged(
    credentials: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**values: object) -> None:
        raise pymysql.OperationalError(1045, "Access denied for user 'core'")

    config = json.loads((credentials / "core.json").read_text())
    config["database"]["password"] = "secret-password"
    (credentials / "core.json").write_text(json.dumps(config))
    monkeypatch.setattr(pymysql, "connect", refuse)
    shipper.main()
    assert "Access denied" in caplog.text
    assert "secret-password" not in caplog.text


def test_the_connection_is_encrypted_and_the_databases_certificate_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the stack's authority; the name is not, as the address moves between two hosts."""
    authority = StackSecrets("r" * 32, "s", 1, datetime.now(UTC).date()).authority
    (tmp_path / "ca.pem").write_text(authority)
    connect = pymysql.connect
    monkeypatch.setattr(pymysql, "connect", lambda **values: connect(**values, defer_connect=True))
    core = Config("core-1", 51, "", {**CORE.database, "ssl_ca": str(tmp_path / "ca.pem")})
    connection: Any = shipper.connect(core)
    assert connection.ssl
    assert connection.ctx.verify_mode == ssl.CERT_REQUIRED


def test_every_wait_for_the_database_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(pymysql, "connect", lambda **values: seen.update(values))
    shipper.connect(CORE)
    for name in ("connect_timeout", "read_timeout", "write_timeout"):
        assert 0 < seen[name] <= 60


Answer = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], None]]:
    yield lambda answer: monkeypatch.setattr(subprocess, "run", answer)


KAMCMD = "{\n\tdialog:active_dialogs = 12\n\tdialog:processed_dialogs = 3456\n}\n"


@pytest.mark.parametrize(
    ("text", "load"), [(KAMCMD, Load(12, 3456)), ("error: connect\n", Load(0, 0)), ("", Load(0, 0))]
)
def test_the_load_is_what_the_sip_server_says(text: str, load: Load, answers: Callable[[Answer], None]) -> None:
    answers(lambda words, **_: subprocess.CompletedProcess(words, 0, text, ""))
    assert shipper.sip_load() == load


@pytest.mark.parametrize(
    "error", [subprocess.TimeoutExpired("kamcmd", 5), FileNotFoundError("kamcmd")], ids=["hangs", "is not there"]
)
def test_the_load_is_zero_when_the_sip_server_does_not_answer(
    error: Exception, answers: Callable[[Answer], None]
) -> None:
    """A SIP server that hangs must not keep call records from being shipped."""

    def fail(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        raise error

    answers(fail)
    assert shipper.sip_load() == Load(0, 0)


@pytest.mark.parametrize(
    ("kernel", "container", "path", "alarm"),
    [
        (True, True, "kernel", False),
        (True, False, "kernel", False),
        (False, True, "container", False),
        (False, False, "userspace", True),
    ],
)
def test_media_in_user_space_is_an_alarm_on_real_hardware_only(
    kernel: bool,
    container: bool,
    path: str,
    alarm: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answers: Callable[[Answer], None],
) -> None:
    table = tmp_path / "0"
    if kernel:
        table.touch()
    monkeypatch.setattr(shipper, "KERNEL_TABLE", table)
    answers(lambda words, **_: subprocess.CompletedProcess(words, 0 if container else 1, "", ""))
    assert shipper.media_path() == path
    assert bool(caplog.records) == alarm


def test_the_words_for_media_are_those_of_the_table() -> None:
    [words] = re.findall(r"media ENUM\((.*?)\)", SCHEMA_SQL.read_text())
    assert set(words.replace("'", "").split(", ")) == {"kernel", "userspace", "container"}
