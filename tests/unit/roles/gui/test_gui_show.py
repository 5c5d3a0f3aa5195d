"""Values as people read them."""

from __future__ import annotations

from datetime import datetime

import pytest
from gui import show
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (show.seconds(0.4123), "0.412 s"),
        (show.seconds(None), show.NOTHING),
        (show.age(-0.3), "0 s"),
        (show.age(119.9), "120 s"),
        (show.age(120), "2 min"),
        (show.age(7200), "2 h"),
        (show.age(3 * 86400), "3 d"),
        (show.duration(3723.4), "1:02:03"),
        (show.duration(59.6), "1:00"),
        (show.duration(None), show.NOTHING),
        (show.moment(datetime(2026, 1, 31, 18, 30, 5, 123456)), "2026-01-31 18:30:05.123"),
        (show.count(1234567), "1\u202f234\u202f567"),
        (show.percent(52.04), "52.0\u202f%"),
        (show.reply(486), "486 Busy Here"),
        (show.reply(0), "no reply"),
        (show.reply(499), "499"),
        (show.printable("a\u202eb\x00\n"), "a\\u202eb\\x00\\n"),
    ],
)
def test_values(written: str, wanted: str) -> None:
    assert written == wanted


@given(st.text())
def test_nothing_printed_can_hide(text: str) -> None:
    assert show.printable(text).isprintable()


def test_every_reply_has_its_name() -> None:
    assert show.reply(503) == "503 Service Unavailable"
    assert show.reply(480) == "480 Temporarily Unavailable"
