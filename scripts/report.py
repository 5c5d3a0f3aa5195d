"""A plan in words for a person, from the JSON of `pulumi preview --json`, whichever engine made it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SIGNS = {"create": "+", "update": "~", "replace": "+-", "delete": "-", "read": ">", "import": "="}
Plan = Mapping[str, Any]


def lines(plan: Plan) -> Iterator[str]:
    """One line for each resource that changes, with the properties, and for `apply` the files, that differ."""
    for step in plan["steps"]:
        if step["op"] in SIGNS and not _is_hidden(step):
            yield f" {SIGNS[step['op']]:>2} {_kind(step):24} {_name(step)}{_what(step)}"


def summary(plan: Plan) -> str:
    """How much changes: "2 to update, 57 unchanged"."""
    counts = dict(plan["changeSummary"])
    unchanged = counts.pop("same", 0)
    parts = [f"{count} to {op}" for op, count in sorted(counts.items()) if count]
    return ", ".join([*parts, f"{unchanged} unchanged"])


def warnings(plan: Plan) -> list[str]:
    """What the program warns of, each once."""
    told = (found["message"] for found in plan.get("diagnostics", ()) if found.get("severity") == "warning")
    return list(dict.fromkeys(message.removeprefix("warning: ").strip() for message in told))


def has_changes(plan: Plan) -> bool:
    """False when `up` would do nothing."""
    return any(count for op, count in plan["changeSummary"].items() if op != "same")


def changed_files(old: str, new: str) -> list[str]:
    """The files whose `# path=hash` line came, went or differs between two `create` texts of an apply."""
    before, after = _listing(old), _listing(new)
    paths = sorted(before.keys() | after.keys())
    return [_file_sign(before, after, path) + path for path in paths if before.get(path) != after.get(path)]


def _listing(text: str) -> dict[str, str]:
    entries = (line[2:].rpartition("=") for line in text.splitlines() if line.startswith("# /"))
    return {path: fingerprint for path, _, fingerprint in entries}


def _file_sign(before: Mapping[str, str], after: Mapping[str, str], path: str) -> str:
    if path not in before:
        return "+"
    return "" if path in after else "-"


def _what(step: Mapping[str, Any]) -> str:
    old, new = (step.get(state, {}).get("inputs", {}).get("create", "") for state in ("oldState", "newState"))
    files = changed_files(old, new) if old and new else []
    if files:
        return ": " + ", ".join(files)
    reasons = step.get("replaceReasons") or step.get("diffReasons") or []
    return f": {', '.join(reasons)}" if reasons and step["op"] != "create" else ""


def _is_hidden(step: Mapping[str, Any]) -> bool:
    return _type(step).startswith("pulumi:")


def _kind(step: Mapping[str, Any]) -> str:
    return short_type(_type(step))


def short_type(type_: str) -> str:
    """A type without its module: `hcloud:Server` of `hcloud:index/server:Server`."""
    package, *_, name = type_.split(":")
    return f"{package}:{name}"


def _type(step: Mapping[str, Any]) -> str:
    return str(step["urn"].split("::")[2].rsplit("$", 1)[-1])


def _name(step: Mapping[str, Any]) -> str:
    return str(step["urn"].rsplit("::", 1)[-1])
