"""The records in SQLite: they survive kill -9, and a mutation happens whole or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from localcloud.hetzner.errors import not_found
from localcloud.hetzner.faults import Fault
from localcloud.hetzner.model import (
    KINDS,
    Action,
    Firewall,
    FloatingIp,
    Network,
    PlacementGroup,
    PrimaryIp,
    Record,
    Server,
    Undo,
    Volume,
)

R = TypeVar("R", bound=Record)

SCHEMA = """
CREATE TABLE IF NOT EXISTS records (kind TEXT, id INTEGER, body TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS ids (id INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE INDEX IF NOT EXISTS unfinished ON records (id) WHERE kind = 'actions' AND body ->> 'status' = 'running';
"""


@dataclass(frozen=True)
class Snapshot:
    """Everything that refers to one another, at one moment."""

    servers: tuple[Server, ...] = ()
    networks: tuple[Network, ...] = ()
    placement_groups: tuple[PlacementGroup, ...] = ()
    firewalls: tuple[Firewall, ...] = ()
    primary_ips: tuple[PrimaryIp, ...] = ()
    floating_ips: tuple[FloatingIp, ...] = ()
    volumes: tuple[Volume, ...] = ()
    faults: tuple[Fault, ...] = ()


class Records:
    """One connection, used from one thread."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        # In WAL mode this loses nothing when the process dies, only when the host does, with its machines.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is kept, or nothing when it raises."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def new_id(self) -> int:
        """An ID that no record ever had."""
        ident = self._db.execute("INSERT INTO ids DEFAULT VALUES").lastrowid
        assert ident is not None  # noqa: S101 - sqlite3 types it as optional
        return ident

    def find(self, kind: type[R], ident: int) -> R | None:
        row = self._db.execute("SELECT body FROM records WHERE kind = ? AND id = ?", (kind.kind, ident)).fetchone()
        return kind.model_validate_json(row[0]) if row else None

    def get(self, kind: type[R], ident: int) -> R:
        """The record; raises the provider's `not_found`."""
        record = self.find(kind, ident)
        if record is None:
            raise not_found(kind.singular, ident)
        return record

    def all(self, kind: type[R]) -> tuple[R, ...]:
        """All records of a kind, oldest first."""
        rows = self._db.execute("SELECT body FROM records WHERE kind = ? ORDER BY id", (kind.kind,))
        return tuple(kind.model_validate_json(row[0]) for row in rows)

    def put(self, record: R) -> R:
        self._db.execute(
            "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
            (record.kind, record.id, record.model_dump_json()),
        )
        return record

    def change(self, record: R, **fields: object) -> tuple[R, Undo]:
        """The record with some fields changed, and how to take that back."""
        before = record.model_dump(mode="json", include=set(fields))
        after = self.put(record.model_validate({**record.model_dump(), **fields}))
        return after, Undo(kind=record.kind, id=record.id, fields=before)

    def delete(self, record: Record) -> Undo:
        self._db.execute("DELETE FROM records WHERE kind = ? AND id = ?", (record.kind, record.id))
        return Undo(kind=record.kind, id=record.id, fields=record.model_dump(mode="json"))

    def take_back(self, undo: Undo) -> None:
        """Set the fields as they were; a record that is gone comes back only if all of it is known."""
        kind = KINDS[undo.kind]
        record = self.find(kind, undo.id)
        if record is None and "id" not in undo.fields:
            return
        fields = record.model_dump() if record else {}
        self.put(kind.model_validate({**fields, **undo.fields}))

    def unfinished(self) -> tuple[Action, ...]:
        rows = self._db.execute(
            "SELECT body FROM records WHERE kind = 'actions' AND body ->> 'status' = 'running' ORDER BY id"
        )
        return tuple(Action.model_validate_json(row[0]) for row in rows)

    def actions(self, idents: list[int]) -> tuple[Action, ...]:
        found = (self.find(Action, ident) for ident in dict.fromkeys(idents))
        return tuple(action for action in found if action)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            servers=self.all(Server),
            networks=self.all(Network),
            placement_groups=self.all(PlacementGroup),
            firewalls=self.all(Firewall),
            primary_ips=self.all(PrimaryIp),
            floating_ips=self.all(FloatingIp),
            volumes=self.all(Volume),
            faults=self.all(Fault),
        )
