"""The one record of a database pair: who holds the database, since when, and whether the other has every write.

It lives in etcd and changes only by compare-and-set, so of several who want to change it one wins.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum


class Mode(StrEnum):
    """SYNC: no write is acknowledged that the other member has not received. SINGLE: the holder writes alone."""

    SYNC = "SYNC"
    SINGLE = "SINGLE"


@dataclass(frozen=True)
class Record:
    """`epoch` grows with every change of the holder. `gtid` is what the holder must have applied before it opens.

    `released`: the holder asks the other to take over at once. `stay`: a person moved the database here, no automatic
    return. `since` and `takeovers` (unplanned ones of the last hour) are seconds of wall time, for hold-downs only.
    """

    cluster: str
    epoch: int
    holder: str
    mode: Mode
    gtid: str = ""
    released: bool = False
    paused: bool = False
    stay: bool = False
    since: float = 0.0
    takeovers: tuple[float, ...] = ()

    def to_json(self) -> str:
        """As it stands in etcd."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Raises ValueError and TypeError when it is not a record."""
        raw = json.loads(text)
        return cls(**{**raw, "mode": Mode(raw["mode"]), "takeovers": tuple(raw["takeovers"])})


@dataclass(frozen=True)
class View:
    """One linearizable read. `record` is None when there is none; the revisions are etcd's mod_revision, 0: absent.

    `alive` is rewritten by the holder every second; what it says does not matter, that it changes does.
    """

    record: Record | None
    record_revision: int
    alive: str
    alive_revision: int
