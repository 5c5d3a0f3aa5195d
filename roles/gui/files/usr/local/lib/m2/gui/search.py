"""What a person looks for among the calls: from the words of a form or an address to typed values. No effects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar

Outcome = Literal["answered", "failed"]

PAGE = 50
LARGEST_PAGE = 1000
SEPARATORS = re.compile(r"[\s()./-]+")
DIALLED = re.compile(r"\+?[0-9*#]+")

Value = TypeVar("Value")


class SearchError(ValueError):
    """What was asked cannot be looked for; one line for each mistake."""


@dataclass(frozen=True)
class Position:
    """Where a page ends: the start of a call (UTC, no zone) and its id. Written as milliseconds-id."""

    began: datetime
    id: int

    def __str__(self) -> str:
        return f"{round(self.began.replace(tzinfo=UTC).timestamp() * 1000)}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Raises ValueError."""
        found = re.fullmatch(r"([0-9]{1,14})-([0-9]{1,19})", text)
        if not found:
            raise ValueError
        milliseconds, number = (int(part) for part in found.groups())
        began = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)
        return cls(began.replace(tzinfo=None), number)


@dataclass(frozen=True)
class Search:
    """Which calls, newest first; all conditions hold together. `number` is how caller or callee begin."""

    number: str = ""
    carrier: str = ""
    call_id: str = ""
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: Position | None = None
    limit: int = PAGE

    @property
    def has_conditions(self) -> bool:
        """True when rows have to be looked at, not only counted off."""
        return bool(self.number or self.carrier or self.call_id or self.outcome)


def parse(words: Mapping[str, str]) -> Search:
    """From a query string; empty words are as good as none. Raises SearchError with every mistake."""
    mistakes: list[str] = []

    def read(name: str, reader: Callable[[str], Value], allowed: str, default: Value) -> Value:
        text = words.get(name, "").strip()
        try:
            return reader(text) if text else default
        except (ValueError, OverflowError, OSError):
            mistakes.append(f"{name}: {text[:80]!r} is not possible; allowed: {allowed}.")
            return default

    mistakes += [f"{name}: there is no such word; allowed: {', '.join(WORDS)}." for name in words if name not in WORDS]
    search = Search(
        number=read("number", _number, "the beginning of a number, at most 64 characters", ""),
        carrier=read("carrier", _at_most(31), "a carrier's name, at most 31 characters", ""),
        call_id=read("call_id", _at_most(255), "a whole Call-ID, at most 255 characters", ""),
        outcome=read("result", _outcome, "answered, failed", None),
        since=read("from", _time, TIME, None),
        until=read("to", _time, TIME, None),
        before=read("before", Position.parse, "what the page before gave as its end", None),
        limit=read("limit", _limit, f"1 to {LARGEST_PAGE}", PAGE),
    )
    if search.since and search.until and search.since >= search.until:
        mistakes.append("from: is not before to.")
    if mistakes:
        raise SearchError("\n".join(mistakes))
    return search


WORDS = ("number", "carrier", "call_id", "result", "from", "to", "before", "limit")
TIME = "a time in UTC, such as 2026-01-31T18:30"


def _number(text: str) -> str:
    """As it stands in a record: people paste numbers with spaces and hyphens, phones send none."""
    bare = SEPARATORS.sub("", text)
    return _at_most(64)(bare if DIALLED.fullmatch(bare) else text)


def _at_most(length: int) -> Callable[[str], str]:
    def reader(text: str) -> str:
        if len(text) > length:
            raise ValueError
        return text

    return reader


def _outcome(text: str) -> Outcome:
    if text == "answered":
        return "answered"
    if text == "failed":
        return "failed"
    raise ValueError


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _limit(text: str) -> int:
    limit = int(text)
    if not 1 <= limit <= LARGEST_PAGE:
        raise ValueError
    return limit
