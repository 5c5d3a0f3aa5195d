"""Makes a member's database anew from the other member's, and keeps what the old one alone may have.

The old data folder is moved aside, never deleted as a whole: its binary logs may be the only copy of transactions
that the other member never received, and its relay logs of those that were acknowledged and not yet applied.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

from failover.https import Writer
from failover.mariadb import DEFAULTS, SEEDED, SOCKET
from failover.peer import PeerClient, PeerError

LOGS = ("binlog.*", "relay.*", "master.info", "relay-log.info")
"""What a quarantine keeps at least."""

BLOCK = 1 << 20
STALL = 60.0
"""Seconds without a byte after which a backup is given up."""

REPORT_DEADLINE = 5.0
PREPARE_DEADLINE = 3600.0
COMMAND_DEADLINE = 300.0
LOW_PRIORITY = ("nice", "-n", "10", "ionice", "-c", "2", "-n", "7")


class ReseedError(Exception):
    """There is no new database; what was there before is untouched. One sentence."""


def quarantine(data_folder: Path) -> Path:
    """Move the data of a mariadbd that is dead aside; where it is now. Raises ReseedError.

    Of older quarantines only the logs are kept.
    """
    if not data_folder.exists():
        raise ReseedError(f"there is no database in {data_folder}")
    for older in quarantines(data_folder):
        _keep_logs_only(older)
    place = data_folder.with_name(f"{data_folder.name}.quarantine-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}")
    data_folder.rename(place)
    return place


def reseed(peer: PeerClient, data_folder: Path) -> str:
    """Fill a data folder that is not there with the other member's data; the GTID position that it has.

    Quarantines shrink to their logs if there may be too little room. May be run again however it ended.
    MariaDb.follow begins at the position, which is left in the folder. Raises ReseedError.
    """
    if data_folder.exists():
        raise ReseedError(f"there is a database in {data_folder}: it has to be quarantined first")
    incoming = data_folder.with_name(f"{data_folder.name}.incoming")
    _remove(incoming)
    _make_room(data_folder, _size(peer))
    incoming.mkdir(mode=0o700)
    _receive(peer, incoming)
    _run(PREPARE_DEADLINE, "mariabackup", "--prepare", f"--target-dir={incoming}")
    position = _position(incoming)
    (incoming / SEEDED).write_text(position)
    _run(COMMAND_DEADLINE, "chown", "-R", "mysql:mysql", str(incoming))
    _run(COMMAND_DEADLINE, "sync", "-f", str(incoming))
    incoming.rename(data_folder)
    return position


def stream_backup(to: Writer, socket: str = SOCKET) -> None:
    """Write the local database, while it runs, as mbstream. Raises ReseedError, and what `to` raises."""
    with tempfile.TemporaryDirectory() as scratch:
        words = (
            *LOW_PRIORITY,
            "mariabackup",
            f"--defaults-file={DEFAULTS}",
            "--backup",
            "--stream=mbstream",
            "--user=root",
            f"--socket={socket}",
            f"--target-dir={scratch}",
        )
        with _process(words, stdout=subprocess.PIPE) as (process, errors):
            for block in _blocks(cast(IO[bytes], process.stdout)):
                to.write(block)
            _finished(process, errors, "mariabackup")


def _receive(peer: PeerClient, incoming: Path) -> None:
    with _process(("mbstream", "-x", "-C", str(incoming)), stdin=subprocess.PIPE) as (process, errors):
        pipe = cast(IO[bytes], process.stdin)
        try:
            peer.backup(pipe)
            pipe.close()
        except (OSError, PeerError) as error:
            raise ReseedError(f"the backup did not arrive: {_last_line(errors) or error}") from None
        _finished(process, errors, "mbstream")


def _position(incoming: Path) -> str:
    """Of the backup's last line of the form "file, offset, GTID", separated by tabs."""
    for name in ("mariadb_backup_binlog_info", "xtrabackup_binlog_info"):
        path = incoming / name
        if path.exists():
            words = path.read_text().split()
            return words[2] if len(words) > 2 else ""
    raise ReseedError("the backup does not say at which transaction it was made")


def _size(peer: PeerClient) -> int:
    """Bytes that the copy takes at most: all that is on the other's data disk."""
    try:
        return int(peer.report(REPORT_DEADLINE)["used_bytes"])
    except (PeerError, KeyError, TypeError, ValueError) as error:
        raise ReseedError(f"how much the other member has is not known: {error}") from None


def _make_room(data_folder: Path, needed: int) -> None:
    """The oldest goes first. If the copy still does not fit, mbstream says so."""
    for place in quarantines(data_folder):
        if _free(data_folder) < needed:
            _keep_logs_only(place)


def _free(data_folder: Path) -> int:
    disk = os.statvfs(data_folder.parent)
    return disk.f_bavail * disk.f_frsize


def quarantines(data_folder: Path) -> list[Path]:
    """The oldest first."""
    return sorted(data_folder.parent.glob(f"{data_folder.name}.quarantine-*"))


def _keep_logs_only(place: Path) -> None:
    for path in place.iterdir():
        if not any(path.match(pattern) for pattern in LOGS):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _blocks(source: IO[bytes]) -> Iterator[bytes]:
    while True:
        if not select.select([source], [], [], STALL)[0]:
            raise ReseedError(f"mariabackup wrote nothing for {STALL:.0f} s")
        block = os.read(source.fileno(), BLOCK)
        if not block:
            return
        yield block


@contextmanager
def _process(
    words: tuple[str, ...], stdin: int | None = None, stdout: int | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A process that does not outlive the block, and the file that has what it complains of."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(words, stdin=stdin or subprocess.DEVNULL, stdout=stdout, stderr=errors)
        try:
            yield process, errors
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _finished(process: subprocess.Popen[bytes], errors: IO[bytes], name: str) -> None:
    try:
        code = process.wait(COMMAND_DEADLINE)
    except subprocess.TimeoutExpired:
        raise ReseedError(f"{name} did not end in {COMMAND_DEADLINE:.0f} s") from None
    if code:
        raise ReseedError(f"{name}: {_last_line(errors) or f'exit code {code}'}")


def _last_line(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def _run(deadline: float, *words: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=deadline)
    except subprocess.TimeoutExpired:
        raise ReseedError(f"{words[0]} did not end in {deadline:.0f} s") from None
    if done.returncode:
        raise ReseedError(f"{words[0]}: {(done.stderr.strip().splitlines() or [str(done.returncode)])[-1]}")
