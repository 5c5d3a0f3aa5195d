"""What a new copy of the database may remove and what never; the copy itself is made in tests/machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from failover.peer import PeerError
from failover.reseed import ReseedError, quarantine, reseed, stream_backup

LOGS = {"binlog.000001", "binlog.index", "relay.000002", "relay.index", "master.info", "relay-log.info"}
DATA = {"ibdata1", "ib_logfile0", "mysql", "m2"}
MORE_THAN_ANY_DISK = 1 << 62


class SilentPeer:
    """It tells its size, and its backup breaks off."""

    def __init__(self, used_bytes: int = 1) -> None:
        self.used_bytes = used_bytes

    def report(self, timeout: float) -> dict[str, int]:
        return {"used_bytes": self.used_bytes}

    def backup(self, to: Any) -> None:
        raise PeerError("the other agent at 10.0.0.22: refused")


NOBODY: Any = SilentPeer()


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


@pytest.mark.parametrize(("used_bytes", "kept"), [(1, LOGS | DATA), (MORE_THAN_ANY_DISK, LOGS)])
def test_a_quarantine_stays_whole_where_there_is_room_and_a_broken_copy_is_no_database(
    data_folder: Path, tools: Path, used_bytes: int, kept: set[str]
) -> None:
    place = quarantine(data_folder)
    peer: Any = SilentPeer(used_bytes)
    with pytest.raises(ReseedError, match="did not arrive: the other agent"):
        reseed(peer, data_folder)
    assert names(place) == kept
    assert not data_folder.exists()


def test_a_member_that_does_not_tell_its_size_is_not_copied(data_folder: Path) -> None:
    place = quarantine(data_folder)
    peer: Any = SilentPeer()
    peer.report = lambda timeout: {}
    with pytest.raises(ReseedError, match="how much the other member has"):
        reseed(peer, data_folder)
    assert names(place) == LOGS | DATA


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
