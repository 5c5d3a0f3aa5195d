"""The comment on a pull request: Markdown that GitHub takes, whatever the names in it, and never too long.

Names and values come from the branch that is looked at: they are text in it, never markup, mentions or links.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import jinja2

from costs import report as words
from costs.estimate import Report

LONGEST = 64_000
"""Characters: GitHub refuses more than 65,536, and so do its neighbours (pulumi/actions cuts at 64,000)."""

MARKER = "<!-- m2-cost-comment -->"
LONGEST_LINE = 400
MOST_ENTRIES = 5000
AUTOLINKED = re.compile(r"@|:(?=//)|www(?=\.)")
"""Where GitHub would see a mention or an address."""

CURRENCY = re.compile(r"(?<=\b[A-Z]{3}) (?=\d)")

T = TypeVar("T")


@dataclass(frozen=True)
class Cut(Generic[T]):
    """The first entries of a list, and how many more there are."""

    shown: Sequence[T]
    more: int


def markdown(report: Report, picture: str = "", longest: int = LONGEST) -> str:
    """The whole comment; lists end with how many more entries there are when all would be too long."""
    content = _content(report, picture)
    fewer = range(MOST_ENTRIES)
    dropped = bisect_left(fewer, True, key=lambda n: len(_render(content, MOST_ENTRIES - n)) <= longest)
    return _render(content, MOST_ENTRIES - dropped)


def _content(report: Report, picture: str) -> dict[str, Any]:
    return {
        "marker": MARKER,
        "headline": words.headline(report),
        "rows": words.rows(report),
        "warnings": words.warnings(report),
        "unpriced": [item for stack in report.stacks for item in stack.unpriced.items()],
        "stacks": [(stack.plan.stack, words.counts(stack), words.changes(stack)) for stack in report.stacks],
        "picture": picture,
        "notes": words.notes(report),
    }


def _render(content: Mapping[str, Any], limit: int) -> str:
    lists = {name: _cut(content[name], limit) for name in ("rows", "warnings", "unpriced", "notes")}
    stacks = [
        {"name": name, "counts": counts, "changes": _cut(changes, limit)}
        for name, counts, changes in content["stacks"][:limit]
    ]
    return _template().render(**{**content, **lists, "stacks": stacks})


def _cut(entries: Sequence[T], limit: int) -> Cut[T]:
    return Cut(entries[:limit], max(0, len(entries) - limit))


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown; the filters below take the markup out of what is put in
    )
    environment.filters["md"] = plain
    environment.filters["html"] = _html
    environment.filters["fenced"] = _fenced
    environment.filters["amount"] = _amount
    return environment.get_template("comment.md.j2")


def plain(value: object) -> str:
    """Nothing in it is markup, a mention or a link."""
    escaped = "".join(f"\\{char}" if char in "\\`*_{}[]<>#|~" else char for char in _one_line(value))
    return AUTOLINKED.sub("\\g<0>\u200b", escaped)


def _html(value: object) -> str:
    """The same inside a tag, where Markdown does not count."""
    return AUTOLINKED.sub("\\g<0>\u200b", html.escape(_one_line(value)))


def _amount(money: str) -> str:
    """The number stays on the line of its currency."""
    return CURRENCY.sub("\u00a0", money)


def _fenced(value: object) -> str:
    """One line that does not end the block it is in."""
    return _one_line(value).replace("```", "'''")


def _one_line(value: object) -> str:
    text = " ".join(str(value).split("\n"))
    return text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE - 3]}..."
