"""Reads `pulumi preview --json`, with and without `--show-sames`, of either engine.

What it looks like was taken from the CLI 3.260: an object with `steps` and `changeSummary`; a step has `op`, `urn`,
`oldState` and `newState`. Replacements are `replace` steps (an engine may add the two halves, which are left out);
with `--refresh` every resource comes a first time as `refresh`. Outputs differ between runs: only inputs are read.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from costs.model import Change, Sign, StackPlan

SIGNS: dict[str, Sign] = {
    "create": "+",
    "import": "+",
    "delete": "-",
    "update": "~",
    "replace": "+-",
    "same": "=",
    "refresh": "=",
}
HIDDEN = ("pulumi:pulumi:", "pulumi:providers:")
Step = Mapping[str, Any]


class PreviewError(ValueError):
    """This is no preview; the message names the file and what to do."""


def read(path: Path) -> list[tuple[StackPlan, Mapping[str, str]]]:
    """The stacks of one preview, usually one, with the settings that it was made with. Raises PreviewError."""
    try:
        with _no_garbage():
            document = json.loads(path.read_bytes())
            return [(plan, document.get("config") or {}) for plan in from_document(document)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise PreviewError(f"{path}: no preview ({why}); make one with `pulumi preview --json --show-sames`") from None


def from_document(document: Mapping[str, Any]) -> list[StackPlan]:
    """The stacks of one preview. Raises KeyError, TypeError where it has another form."""
    by_stack: dict[str, dict[str, Change]] = {}
    seen: dict[str, set[str]] = {}
    for step in document["steps"]:
        stack = _stack_of(step["urn"])
        seen.setdefault(stack, set()).add(step["urn"])
        changes = by_stack.setdefault(stack, {})
        if step["op"] in SIGNS and _is_billed_by_somebody(step):
            changes[step["urn"]] = _change(step)
    total = sum(count for op, count in document["changeSummary"].items() if op in SIGNS)
    complete = sum(map(len, seen.values())) >= total
    region = _region(document.get("config") or {})
    return [
        StackPlan(stack, in_order(changes.values()), complete, "preview", region) for stack, changes in by_stack.items()
    ]


def in_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    """By host, so that what belongs together stands together."""
    return tuple(sorted(changes, key=lambda change: (change.host, change.type, change.name)))


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Millions of new objects and none of them garbage: looking for it would take longer than reading them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _region(config: Mapping[str, str]) -> str:
    return config.get("aws:region") or next((v for key, v in config.items() if key.endswith(":region")), "")


def _change(step: Step) -> Change:
    sign = SIGNS[step["op"]]
    old, new = (step.get(state, {}).get("inputs") for state in ("oldState", "newState"))
    reasons = step.get("replaceReasons") or step.get("diffReasons") or ()
    return Change(
        sign=sign,
        type=_type_of(step["urn"]),
        name=step["urn"].rsplit("::", 1)[-1],
        before=None if sign == "+" else old,
        after=None if sign == "-" else new,
        reasons=tuple(reasons),
    )


def _is_billed_by_somebody(step: Step) -> bool:
    """Components, the stack and providers are Pulumi's own."""
    state = step.get("newState") or step.get("oldState") or {}
    return bool(state.get("custom")) and not _type_of(step["urn"]).startswith(HIDDEN)


def _stack_of(urn: str) -> str:
    return urn.split("::")[0].removeprefix("urn:pulumi:")


def _type_of(urn: str) -> str:
    return urn.split("::")[2].rsplit("$", 1)[-1]
