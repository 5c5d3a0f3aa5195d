"""A plan, for people and as `pulumi preview --json` has it (pkg/backend/display/json.go)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.engine.events import Diagnostic
from localcloud.engine.plan import ABSENT, Failure, Step
from localcloud.engine.stackfile import wire
from localcloud.engine.state import STACK_TYPE, to_record
from localcloud.engine.values import Properties, mask, show_path


@dataclass(frozen=True)
class Plan:
    """What an up would do; with `failures` it would fail. `config` may hold secrets."""

    config: Properties
    steps: tuple[Step, ...]
    change_summary: Mapping[str, int]
    diagnostics: tuple[Diagnostic, ...]
    failures: tuple[Failure, ...]
    seconds: float

    def to_json(self, show_sames: bool = False) -> dict[str, Any]:
        """Nothing secret is in it. Without `show_sames` only what changes, and the stack itself."""
        texts, secrets = wire(self.config)
        steps = [step for step in self.steps if show_sames or step.op != "same" or step.new.type == STACK_TYPE]
        return {
            "config": {key: "[secret]" if key in secrets else text for key, text in texts.items()},
            "steps": [_step(step) for step in steps],
            "diagnostics": [_diagnostic(diagnostic) for diagnostic in self.diagnostics],
            "duration": int(self.seconds * 1e9),
            "changeSummary": dict(self.change_summary),
        }


def _step(step: Step) -> dict[str, Any]:
    states = {"oldState": step.old, "newState": step.new}
    reasons = {"diffReasons": step.diff.changes, "replaceReasons": step.diff.replaces}
    detailed = step.diff.detailed and {
        show_path(path): {"kind": f"{kind}-replace" if path in step.diff.replaces else kind, "inputDiff": False}
        for path, kind in step.diff.changes.items()
    }
    provider = step.new.provider or step.old.provider
    return {
        "op": step.op,
        "urn": step.urn,
        **({"provider": provider} if provider else {}),
        **{name: to_record(state, mask) for name, state in states.items() if state is not ABSENT},
        **{name: sorted({str(path[0]) for path in paths}) for name, paths in reasons.items() if paths},
        "detailedDiff": detailed or None,
    }


def _diagnostic(diagnostic: Diagnostic) -> dict[str, Any]:
    urn = {"urn": diagnostic.urn} if diagnostic.urn else {}
    return {**urn, "message": f"{diagnostic.severity}: {diagnostic.message}\n", "severity": diagnostic.severity}
