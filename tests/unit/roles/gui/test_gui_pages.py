"""Pages show what was read, say what is wrong, and let nobody write into them."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient
from gui.app import create
from gui.config import Config
from gui.reading import Reader
from gui.show import NOTHING

from tests.unit.roles.gui.browser import get, log_in
from tests.unit.roles.gui.staged_database import REPLICA, StagedPair, later, refused

HOSTILE = '"><script>alert(1)</script>&\u202e'


class Outline(HTMLParser):
    """Which elements and attributes a page has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def words(page: str) -> str:
    """What a person reads."""
    body = re.sub(r"<svg.*?</svg>", " ", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_the_overview_shows_everything(admin: FlaskClient) -> None:
    text = words(get(admin, "/").text)
    for part in (
        "full-test fsn1",
        "reads database-2 , backup, 0.400 s behind",
        "Both databases answer, replication runs, 1 core heard from.",
        "In progress 7",
        "Attempts today 10",
        "Answered 4",
        "ASR 40.0",
        "ACD 2:00",
        "last write by database-1",
        "database-1 main · 10.0.0.21 Mode writes",
        "database-2 backup · 10.0.0.22 Mode read only Heartbeat 0.400 s old",
        "Replicates from 10.0.0.21: IO Yes , SQL Yes This page reads here",
        "core-1 7 1.5 0.50 0 kernel 1 s ago",
    ):
        assert part in text, text


def test_the_overview_works_when_nobody_answers(admin: FlaskClient, pair: StagedPair) -> None:
    for member in pair.members.values():
        member.fault = refused()
    answer = get(admin, "/")
    assert answer.status_code == 200
    assert "Neither database answers" in answer.text
    assert words(answer.text).count("does not answer: connection refused.") == 2


def test_faults_are_told_on_every_page(admin: FlaskClient, pair: StagedPair) -> None:
    pair.add_call()
    pair.members["database-2"].replica = {**REPLICA, "Slave_SQL_Running": "No", "Last_SQL_Error": HOSTILE}
    for path in ("/", "/calls", "/calls/1"):
        assert "has stopped (IO thread: Yes, SQL thread: No)" in get(admin, path).text


def test_calls_need_a_database(admin: FlaskClient, pair: StagedPair) -> None:
    for member in pair.members.values():
        member.fault = refused()
    answer = get(admin, "/calls")
    assert answer.status_code == 503
    assert "database-1: connection refused." in answer.text


def test_a_list_of_calls(admin: FlaskClient, pair: StagedPair) -> None:
    pair.add_call()
    pair.add_call(began=later(5), answered=None, code=486, server_id=99)
    text = words(get(admin, "/calls").text)
    assert f"2026-01-31 18:30:05 .000 4930111 4940222 alpha beta 486 Busy Here {NOTHING} host 99" in text
    assert "2026-01-31 18:30:00 .000 4930111 4940222 alpha beta answered 2:00 core-1" in text


def test_pages_of_calls_lead_to_each_other(admin: FlaskClient, pair: StagedPair) -> None:
    for seconds in range(60):
        pair.add_call(began=later(seconds))
    first = get(admin, "/calls?result=answered").text
    older = re.search(r'href="([^"]+)" rel="next"', first)
    assert older
    second = get(admin, older[1].replace("&amp;", "&"))
    assert [page.count('<td class="answered">') for page in (first, second.text)] == [50, 10]
    assert 'href="/calls?result=answered">Newest' in second.text
    assert "Older" not in second.text


def test_a_mistake_is_told_beside_the_form(admin: FlaskClient) -> None:
    answer = get(admin, "/calls?from=yesterday&number=49")
    assert answer.status_code == 400
    assert "from: &#39;yesterday&#39; is not possible; allowed: a time in UTC, such as 2026-01-31T18:30." in answer.text
    assert 'name="number" value="49"' in answer.text


def test_nothing_found(admin: FlaskClient) -> None:
    assert "No call matches." in get(admin, "/calls?number=1").text


def test_one_call(admin: FlaskClient, pair: StagedPair) -> None:
    pair.add_call()
    text = words(get(admin, "/calls/1").text)
    for part in (
        "4930111 → 4940222",
        "answered after 3.250 s, talked 2:00",
        "Began 2026-01-31 18:30:00.000",
        "Came from 192.0.2.10",
        "Call-ID call-1@192.0.2.10",
        "Final reply 200 OK",
    ):
        assert part in text, text


def test_a_call_that_is_not_there(admin: FlaskClient) -> None:
    assert get(admin, "/calls/1").status_code == 404


@pytest.mark.parametrize("path", ["/calls", "/calls/1", f"/calls?number={HOSTILE}&carrier={HOSTILE}&call_id={HOSTILE}"])
def test_what_callers_send_stays_text(admin: FlaskClient, pair: StagedPair, path: str) -> None:
    fields = ("caller", "callee", "carrier_in", "carrier_out", "source")
    hostile = dict.fromkeys(fields, HOSTILE)
    raw = dict.fromkeys(("call_id", "from_tag", "to_tag"), HOSTILE.encode())
    pair.add_call(**hostile, **raw)
    page = get(admin, path).text
    outline = Outline(page)
    assert "script" not in outline.tags
    assert "\u202e" not in re.sub(r'value="[^"]*"', "", page)
    assert not [name for name, _ in outline.attributes if name.startswith("on") or name == "style"]


@pytest.mark.parametrize("path", ["/", "/calls", "/calls/1", "/login"])
def test_pages_ask_nobody_else_for_anything(admin: FlaskClient, pair: StagedPair, path: str) -> None:
    pair.add_call()
    outline = Outline(get(admin, path).text)
    targets = [value for name, value in outline.attributes if name in ("href", "src", "action")]
    assert targets
    assert not [target for target in targets if not target.startswith("/")]
    assert not {"script", "style", "iframe"} & set(outline.tags)


def test_the_style_is_there(admin: FlaskClient) -> None:
    style = re.search(r'href="(/static/style.css[^"]*)"', get(admin, "/login").text)
    assert style
    answer = get(admin, style[1])
    assert answer.status_code == 200
    assert "prefers-color-scheme: dark" in answer.text
    assert answer.headers["Cache-Control"] == "max-age=86400"


def test_a_single_database_is_shown_without_a_partner(config: Config, pair: StagedPair) -> None:
    single = replace(config, backup=None)
    client = create(single, Reader(single, pair.connect)).test_client()
    log_in(client)
    text = words(get(client, "/").text)
    assert "The database answers, 1 core heard from." in text
    assert "database-2" not in text
