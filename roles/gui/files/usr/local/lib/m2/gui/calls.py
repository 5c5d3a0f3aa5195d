"""Finds calls, newest first, in tables of any size.

Pages go by (began, id), the order of the index `by_time`, so that a page costs the same wherever it is. Few calls
have a given Call-ID, or a number with a rare beginning: those come from their own indexes. Everything else is
looked for in spans of the time index, newest first, until a page is full or the time is up; then the page says how
far it came and the next one goes on from there.

Statements are put together from constants of this file only; what people wrote goes as parameters.
"""

# ruff: noqa: S608

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gui.database import Row, Session
from gui.search import Position, Search

SPAN = 50_000
"""Rows of the time index looked at in one statement."""

RARE = 5_000
"""So many calls with a beginning of a number are fetched and sorted; more are looked for by time."""

SEARCH_SECONDS = 1.2

COLUMNS = (
    "calls.id, calls.server_id, calls.call_id, calls.from_tag, calls.to_tag, calls.leg, calls.began, calls.answered,"
    " calls.ended, calls.code, calls.caller, calls.callee, calls.carrier_in, calls.carrier_out, calls.source,"
    " calls.packets"
)
BY_TIME = "m2.calls FORCE INDEX (by_time)"
OF_CALL_ID = (
    "(SELECT DISTINCT server_id FROM m2.calls) AS servers STRAIGHT_JOIN m2.calls"
    " ON calls.server_id = servers.server_id AND calls.call_id = %s"
)
OF_NUMBER = (
    "(SELECT id FROM m2.calls WHERE caller LIKE %s UNION SELECT id FROM m2.calls WHERE callee LIKE %s) AS found"
    " STRAIGHT_JOIN m2.calls USING (id)"
)


@dataclass(frozen=True)
class Page:
    """Calls, newest first. `after` is where the next page begins, None when nothing is left.

    `searched_to` is set when the time was up before the page was full: all calls since then were looked at.
    """

    calls: tuple[Row, ...]
    after: Position | None = None
    searched_to: datetime | None = None


@dataclass(frozen=True)
class Condition:
    """A piece of SQL that contains nothing of what a person wrote, and the values for its places."""

    sql: str
    values: tuple[object, ...] = ()


def find(session: Session, search: Search, clock: Callable[[], float] = time.monotonic) -> Page:
    """One page. Raises UnavailableError, TooSlowError."""
    if search.call_id:
        return _from_index(session, search, Condition(OF_CALL_ID, (search.call_id.encode(),)))
    if search.number and _is_rare(session, search.number):
        return _from_index(session, search, Condition(OF_NUMBER, (beginning(search.number),) * 2))
    if search.has_conditions:
        return _by_time(session, search, clock)
    return _from_index(session, search, Condition(BY_TIME))


def one(session: Session, number: int) -> Row | None:
    """The call with this id. Raises UnavailableError, TooSlowError."""
    rows = session.rows(f"SELECT {COLUMNS} FROM m2.calls WHERE id = %s", (number,))
    return rows[0] if rows else None


def beginning(number: str) -> str:
    """The LIKE pattern for texts that begin with `number`."""
    for special in "\\%_":
        number = number.replace(special, f"\\{special}")
    return f"{number}%"


def conditions(search: Search) -> tuple[Condition, ...]:
    """Everything that a call must meet, its place among the pages included."""
    return (*_order_conditions(search), *_row_conditions(search))


def _order_conditions(search: Search) -> tuple[Condition, ...]:
    found = []
    if search.since:
        found.append(Condition("began >= %s", (search.since,)))
    if search.until:
        found.append(Condition("began < %s", (search.until,)))
    if search.before:
        began, number = search.before.began, search.before.id
        found.append(Condition("began <= %s AND (began < %s OR id < %s)", (began, began, number)))
    return tuple(found)


def _row_conditions(search: Search) -> tuple[Condition, ...]:
    found = []
    if search.number:
        found.append(Condition("(caller LIKE %s OR callee LIKE %s)", (beginning(search.number),) * 2))
    if search.carrier:
        found.append(Condition("(carrier_in = %s OR carrier_out = %s)", (search.carrier,) * 2))
    if search.outcome:
        found.append(Condition(f"answered IS {'NOT NULL' if search.outcome == 'answered' else 'NULL'}"))
    return tuple(found)


def _is_rare(session: Session, number: str) -> bool:
    return all(_count(session, column, number) <= RARE for column in ("caller", "callee"))


def _count(session: Session, column: str, number: str) -> int:
    sql = f"SELECT COUNT(*) AS n FROM (SELECT 1 FROM m2.calls WHERE {column} LIKE %s LIMIT {RARE + 1}) AS found"
    return int(session.rows(sql, (beginning(number),))[0]["n"])


def _from_index(session: Session, search: Search, source: Condition) -> Page:
    rows = _select(session, source, conditions(search), search.limit + 1)
    return _page(rows, search.limit)


def _by_time(session: Session, search: Search, clock: Callable[[], float]) -> Page:
    enough = clock() + SEARCH_SECONDS
    rows: list[Row] = []
    rest = search
    while True:
        end = _end_of_span(session, rest)
        within = (Condition("began >= %s AND (began > %s OR id >= %s)", (end.began, end.began, end.id)),) if end else ()
        rows += _select(session, Condition(BY_TIME), (*conditions(rest), *within), search.limit + 1 - len(rows))
        if end is None or len(rows) > search.limit:
            return _page(rows, search.limit)
        if clock() > enough:
            return Page(tuple(rows), after=end, searched_to=end.began)
        rest = replace(rest, before=end)


def _end_of_span(session: Session, search: Search) -> Position | None:
    """The last row of the next span; None when fewer rows are left. Reads nothing but the index."""
    where = _where(_order_conditions(search))
    sql = f"SELECT began, id FROM {BY_TIME}{where.sql} ORDER BY began DESC, id DESC LIMIT 1 OFFSET {SPAN - 1}"
    rows = session.rows(sql, where.values)
    return Position(rows[0]["began"], rows[0]["id"]) if rows else None


def _select(session: Session, source: Condition, found: Sequence[Condition], limit: int) -> list[Row]:
    where = _where(found)
    sql = f"SELECT {COLUMNS} FROM {source.sql}{where.sql} ORDER BY calls.began DESC, calls.id DESC LIMIT %s"
    return session.rows(sql, (*source.values, *where.values, limit))


def _where(found: Sequence[Condition]) -> Condition:
    sql = " AND ".join(condition.sql for condition in found)
    return Condition(f" WHERE {sql}" if sql else "", tuple(v for condition in found for v in condition.values))


def _page(rows: Sequence[Row], limit: int) -> Page:
    shown = tuple(rows[:limit])
    more = len(rows) > limit
    return Page(shown, Position(shown[-1]["began"], shown[-1]["id"]) if more else None)
