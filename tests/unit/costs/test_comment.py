"""The comment is Markdown that GitHub takes, whatever is in it, and never too long."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from markdown_it import MarkdownIt

from costs import comment
from costs.estimate import Report
from costs.model import Change
from tests.unit.costs import samples
from tests.unit.costs.samples import change, report, stack

SERVER = "hcloud:index/server:Server"
INPUTS = {"serverType": "ccx23", "location": "fsn1", "publicNets": [{"ipv4Enabled": False, "ipv6Enabled": False}]}


def servers(number: int, sign: Any = "+", name: str = "server") -> list[Change]:
    before = INPUTS if sign != "+" else None
    after = {**INPUTS, "serverType": "ccx33"} if sign != "-" else None
    return [change(sign, SERVER, before, after, f"{name}-{each}") for each in range(number)]


@pytest.mark.parametrize("number", [0, 1, 100, 900, 3000])
def test_it_is_never_longer_than_github_takes_and_says_truly_how_much_is_left_out(number: int) -> None:
    text = comment.markdown(report(stack(*servers(number))))
    assert len(text) <= comment.LONGEST
    shown = text.count("hcloud:Server")
    more = [line for line in text.splitlines() if line.startswith("... ")]
    assert more == ([f"... {number - shown} more"] if shown < number else [])


def test_every_list_is_cut_truly() -> None:
    """Warnings and what is not priced are as long as the changes here."""
    unpriced = [change("+", "hcloud:index/snapshot:Snapshot", after={}, name=f"shot-{n}") for n in range(2000)]
    text = comment.markdown(report(stack(*servers(2000, "~"), *unpriced)))
    assert len(text) <= comment.LONGEST
    warned = sum(line.startswith("- Server server-") for line in text.splitlines())
    named = sum(line.startswith("- shot-") for line in text.splitlines())
    left = [int(line.split()[1]) for line in text.splitlines() if line.startswith("- ") and line.endswith(" more.")]
    assert left == [2000 + 1 - warned - 0, 2000 - named]


def test_many_stacks_are_cut_too() -> None:
    plans = [stack(*servers(1), name=f"stack-{number}") for number in range(1500)]
    text = comment.markdown(report(*plans))
    assert len(text) <= comment.LONGEST
    assert "more stacks." in text


HOSTILE = "x`*_[a](https://evil.example)<!-- --><img src=x>|#1 @everyone www.evil.example ```\n# heading"


@pytest.mark.parametrize("where", ["name", "value", "stack", "type"])
def test_names_and_values_of_the_branch_are_text_and_nothing_else(where: str) -> None:
    text = comment.markdown(hostile(where))
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    for markup in ("<img", "<a ", "<h1", "<em", "<!-- -->"):
        assert markup not in rendered, markup
    assert "evil" in rendered
    for linked_by_github in ("@everyone", "www.evil", "https://evil"):
        assert linked_by_github not in outside_of_blocks(rendered), linked_by_github


def hostile(where: str) -> Report:
    inputs: dict[str, Any] = {**INPUTS, "serverType": HOSTILE if where == "type" else "ccx23"}
    if where == "value":
        inputs["labels"] = {"a": HOSTILE}
    one = change("~", SERVER, INPUTS, inputs, HOSTILE if where == "name" else "server")
    return report(stack(one, name=HOSTILE if where == "stack" else "some-stack"))


def outside_of_blocks(rendered: str) -> str:
    """Where GitHub looks for mentions and addresses."""
    return re.sub(r"<pre>.*?</pre>", "", rendered, flags=re.DOTALL)


def test_it_begins_with_the_marker_by_which_it_is_found_again() -> None:
    assert comment.markdown(report(stack())).startswith(comment.MARKER)


def test_a_picture_is_shown_where_there_is_one() -> None:
    drawing = "```mermaid\nflowchart LR\n```"
    assert drawing in comment.markdown(report(stack()), drawing)
    assert "Picture" not in comment.markdown(report(stack()))


def test_secrets_stay_masked() -> None:
    plan = samples.plan("spike-replace-masked")
    assert "[secret]" in str([each.after for each in plan.changes])
    masked = replace(plan, changes=tuple(plan.changes))
    text = comment.markdown(report(masked))
    assert "userData" in text
    assert "BEGIN" not in text


def test_a_snapshot_that_is_old_is_warned_of_only_where_it_is_used() -> None:
    old = replace(samples.HETZNER, day=samples.TODAY.replace(month=8))
    found = report(stack(*servers(1)))
    stale = replace(found, prices=(old, samples.AWS))
    assert "The prices of Hetzner are 92 days old" in comment.markdown(stale)
    assert "days old" not in comment.markdown(replace(stale, stacks=()))
    assert "days old" not in comment.markdown(found)
