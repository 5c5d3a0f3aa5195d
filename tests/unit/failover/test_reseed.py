"""What a new copy of the database may remove and what never; the copy itself is made in tests/machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from failover.peer import PeerError
from failover.reseed import ReseedError, quarantine, reseed, stream_backup

LOGS = {"binlog.000001", "binlog.index", "relay.000002", "relay.index", "master.info", "relay-log.info"}
DATA = {"ibdata1", "ib_logfile0", "mysql", "m2"}
ENOUGH_FOR_NOBODY = 1 << 62


class UnreachablePeer:
    def backup(self, to: Any) -> None:
        raise PeerError("the other agent at 10.0.0.22: refused")


NOBODY: Any = UnreachablePeer()


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    return filled(tmp_path / "mysql")


def filled(folder: Path) -> Path:
    for name in LOGS:
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"{folder.name} {name}")
    for name in DATA:
        (folder / name).mkdir()
        (folder / name / "x.ibd").touch()
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_quarantine_is_the_whole_folder_under_the_name_of_its_moment(data_folder: Path) -> None:
    place = quarantine(data_folder)
    assert not data_folder.exists()
    assert place.name.startswith("mysql.quarantine-20")
    assert names(place) == LOGS | DATA


def test_older_quarantines_keep_what_may_be_the_only_copy(data_folder: Path) -> None:
    first = quarantine(data_folder)
    second = quarantine(filled(data_folder))
    third = quarantine(filled(data_folder))
    assert [names(place) for place in (first, second, third)] == [LOGS, LOGS, LOGS | DATA]
    assert (first / "binlog.000001").read_text() == "mysql binlog.000001"


def test_nothing_is_quarantined_twice(data_folder: Path) -> None:
    quarantine(data_folder)
    with pytest.raises(ReseedError, match="there is no database"):
        quarantine(data_folder)


def test_a_database_that_is_there_is_never_written_over(data_folder: Path) -> None:
    with pytest.raises(ReseedError, match="has to be quarantined first"):
        reseed(NOBODY, data_folder)
    assert names(data_folder) == LOGS | DATA


def test_where_room_is_short_the_logs_are_kept_and_the_lack_is_told(data_folder: Path) -> None:
    place = quarantine(data_folder)
    with pytest.raises(ReseedError, match=rf"bytes left; the other's data need {ENOUGH_FOR_NOBODY}"):
        reseed(NOBODY, data_folder, ENOUGH_FOR_NOBODY)
    assert names(place) == LOGS


def test_where_there_is_room_a_quarantine_stays_whole_and_a_broken_copy_is_no_database(
    data_folder: Path, tools: Path
) -> None:
    place = quarantine(data_folder)
    with pytest.raises(ReseedError, match="did not arrive"):
        reseed(NOBODY, data_folder, 1)
    assert names(place) == LOGS | DATA
    assert not data_folder.exists()


def test_a_backup_that_fails_is_told_in_its_own_words(tools: Path) -> None:
    with pytest.raises(ReseedError, match="mariabackup: it is broken"):
        stream_backup(NOBODY)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An mbstream that waits for its input's end, and a mariabackup that fails."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in (("mbstream", "cat >/dev/null"), ("mariabackup", "echo it is broken >&2; exit 1")):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder
