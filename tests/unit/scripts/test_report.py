"""A plan in words: which resources, and for an apply which files, differ."""

from __future__ import annotations

from typing import Any

import pytest

from scripts import report

URN = "urn:pulumi:full-fsn1::m2::m2:index:CoreNode$"


def step(op: str, type_: str, name: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "urn": f"{URN}{type_}::{name}", **more}


def apply(old: str, new: str) -> dict[str, Any]:
    states = {"oldState": {"inputs": {"create": old}}, "newState": {"inputs": {"create": new}}}
    return step("update", "command:remote:Command", "fsn1-core-1-apply", **states, diffReasons=["create", "stdin"])


def test_an_apply_names_the_files_that_change_come_and_go() -> None:
    old = "sudo python3 -  # apply\n# /etc/a=1\n# /etc/b=2\n# /etc/c=3"
    new = "sudo python3 -  # apply\n# /etc/a=1\n# /etc/b=9\n# /etc/d=4"
    [line] = report.lines({"steps": [apply(old, new)]})
    assert line == "  ~ command:Command          fsn1-core-1-apply: /etc/b, -/etc/c, +/etc/d"


def test_warnings_of_the_program_are_told_once_each_and_nothing_else_of_the_diagnostics() -> None:
    said = [("warning", "warning: for testing only\n"), ("warning", "warning: for testing only\n"), ("info", "hello")]
    plan = {"diagnostics": [{"severity": severity, "message": message} for severity, message in said]}
    assert report.warnings(plan) == ["for testing only"]
    assert report.warnings({}) == []


def test_a_path_with_an_equals_sign_is_one_path() -> None:
    assert report.changed_files("# /etc/a=b=1", "# /etc/a=b=2") == ["/etc/a=b"]


@pytest.mark.parametrize(("op", "sign"), [("create", "  +"), ("update", "  ~"), ("replace", " +-"), ("delete", "  -")])
def test_each_operation_has_its_sign(op: str, sign: str) -> None:
    [line] = report.lines({"steps": [step(op, "hcloud:index/server:Server", "fsn1-core-1")]})
    assert line.startswith(f"{sign} hcloud:Server")


def test_what_stays_and_what_is_pulumis_own_is_left_out() -> None:
    steps = [
        step("same", "hcloud:index/server:Server", "fsn1-core-1"),
        {"op": "create", "urn": "urn:pulumi:s::m2::pulumi:providers:hcloud::default"},
        {"op": "create", "urn": "urn:pulumi:s::m2::pulumi:pulumi:Stack::m2-s"},
    ]
    assert list(report.lines({"steps": steps})) == []


def test_the_reasons_of_other_changes_are_said() -> None:
    changed = step("update", "hcloud:index/server:Server", "fsn1-core-1", diffReasons=["serverType"])
    [line] = report.lines({"steps": [changed]})
    assert line.endswith("fsn1-core-1: serverType")


@pytest.mark.parametrize(
    ("counts", "words", "changes"),
    [
        ({"same": 59}, "59 unchanged", False),
        ({"create": 5, "update": 2, "same": 57}, "5 to create, 2 to update, 57 unchanged", True),
        ({"delete": 0, "same": 1}, "1 unchanged", False),
        ({}, "0 unchanged", False),
    ],
)
def test_the_summary_counts_what_changes(counts: dict[str, int], words: str, changes: bool) -> None:
    plan = {"steps": [], "changeSummary": counts}
    assert report.summary(plan) == words
    assert report.has_changes(plan) is changes
