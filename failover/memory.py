"""What an agent must not forget when it is restarted: kept in /run, so gone when the host was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from failover.facts import Leaving, State
from failover.record import Record, View

Gate = Literal["", "drop", "reject", "forward"]
"""What happens to clients at this host's door beside what is always so: they get no answer, a reset, the new holder."""

Doubt = Literal["", "read", "write"]
"""A change of the record was asked for. "read": the answer came, the record was not read since. "write": no answer
came, and the change may still be on its way: only another change to the record is sure to be in front of it."""

PATH = Path("/run/m2/agent-memory.json")


@dataclass
class Memory:
    """Times are seconds of CLOCK_BOOTTIME, which a restart of the agent does not touch. See facts.Seen."""

    state: State = field(default_factory=State)
    view: View | None = None
    view_at: float = -1e9
    doubt: Doubt = ""
    lease_from: float | None = None
    promise_from: float | None = None
    promised_until: float = -1e9
    gate: Gate = ""

    def learn(self, view: View, sent: float) -> None:
        """A read that was sent at `sent`. A lease and promises belong to the holder and its epoch."""
        if self._reign(view) != self._reign(self.view):
            self.lease_from = self.promise_from = None
        self.view, self.view_at = view, sent
        if self.doubt == "read":
            self.doubt = ""

    def save(self, path: Path = PATH) -> None:
        """Replace what is kept in one step."""
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(path)

    @classmethod
    def load(cls, path: Path = PATH) -> Memory:
        """What is kept; nothing on a host that booted since."""
        if not path.exists():
            return cls()
        raw = json.loads(path.read_text())
        return cls(**{**raw, "state": _state(raw["state"]), "view": _view(raw["view"])})

    def _reign(self, view: View | None) -> tuple[str, int] | None:
        record = view.record if view else None
        return (record.holder, record.epoch) if record else None


def _state(raw: dict[str, Any]) -> State:
    """Joining begins anew: what was acknowledged before is not known."""
    leaving = Leaving(**raw["leaving"]) if raw["leaving"] else None
    return State(**{**raw, "leaving": leaving, "joined": None, "waiting_from": None})


def _view(raw: dict[str, Any] | None) -> View | None:
    if raw is None:
        return None
    record = Record.from_json(json.dumps(raw["record"])) if raw["record"] else None
    return View(**{**raw, "record": record})
