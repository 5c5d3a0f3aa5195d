"""How values are written for people. No effects; everything returned is text that still has to be escaped."""

from __future__ import annotations

from datetime import datetime

from gui.sip import REPLIES

NOTHING = "\N{EN DASH}"


def seconds(value: float | None) -> str:
    """With milliseconds: 0.412 s."""
    return NOTHING if value is None else f"{value:.3f} s"


def age(value: float | None) -> str:
    """How long ago, in the unit that a person would use."""
    if value is None:
        return NOTHING
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if value >= 2 * size:
            return f"{value // size:.0f} {unit}"
    return f"{max(0.0, value):.0f} s"


def duration(value: float | None) -> str:
    """Of a call: 1:02:03 or 2:03."""
    if value is None:
        return NOTHING
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds from one to the other."""
    return (end - start).total_seconds() if start and end else None


def moment(value: datetime | None) -> str:
    """2026-01-31 18:30:05.123, in UTC as everything here."""
    return NOTHING if value is None else value.isoformat(" ", "milliseconds")


def count(value: float) -> str:
    """With thin spaces between thousands."""
    return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def percent(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f}\N{NARROW NO-BREAK SPACE}%"


def printable(text: str) -> str:
    """What a caller sent, without anything that could hide or reorder the text around it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def reply(code: int) -> str:
    """A final SIP reply in words: 486 Busy Here."""
    return "no reply" if code == 0 else f"{code} {REPLIES.get(code, '')}".strip()
