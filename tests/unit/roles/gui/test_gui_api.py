"""The same for programs."""

from __future__ import annotations

import base64

import pytest
from flask.testing import FlaskClient

from tests.unit.roles.gui.browser import PASSWORD, get
from tests.unit.roles.gui.staged_database import StagedPair, later, refused


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


RIGHT = basic("admin", PASSWORD)


@pytest.mark.parametrize(
    "header", ["", basic("admin", "wrong"), basic("root", PASSWORD), "Basic !", f"Bearer {PASSWORD}", "Basic"]
)
def test_wrong_words_open_nothing(visitor: FlaskClient, header: str) -> None:
    answer = get(visitor, "/api/status", Authorization=header)
    assert (answer.status_code, answer.json) == (401, {"error": "Log in as admin."})
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="m2"'


def test_the_password_opens_the_api_only(visitor: FlaskClient) -> None:
    assert get(visitor, "/api/status", Authorization=RIGHT).status_code == 200
    assert get(visitor, "/", Authorization=RIGHT).status_code == 302


def test_the_login_opens_the_api_too(admin: FlaskClient) -> None:
    assert get(admin, "/api/calls").status_code == 200


def test_status(visitor: FlaskClient) -> None:
    status = get(visitor, "/api/status", Authorization=RIGHT).json
    assert status is not None
    assert (status["reading"], status["writer"], status["banners"]) == ("database-2", "database-1", [])
    assert status["members"][1] == {
        "name": "database-2",
        "role": "backup",
        "address": "10.0.0.22",
        "problem": None,
        "read_only": True,
        "delay": 0.4,
        "replication": {"io": "Yes", "sql": "Yes", "source": "10.0.0.21", "error": ""},
    }
    assert status["cores"][0]["name"] == "core-1"
    assert {**status["today"], "day": ""} == {"day": "", "attempts": 10, "answered": 4, "asr": 40.0, "acd": 120.0}


def test_status_without_databases(visitor: FlaskClient, pair: StagedPair) -> None:
    for member in pair.members.values():
        member.fault = refused()
    status = get(visitor, "/api/status", Authorization=RIGHT).json
    assert status is not None
    assert (status["reading"], status["writer"], status["cores"], status["today"]) == (None, None, None, None)
    assert [member["problem"] for member in status["members"]] == ["connection refused"] * 2


def test_calls_can_be_counted_page_by_page(visitor: FlaskClient, pair: StagedPair) -> None:
    for seconds in range(7):
        pair.add_call(began=later(seconds))
    found: list[int] = []
    after = ""
    while after is not None:
        page = get(visitor, f"/api/calls?carrier=alpha&limit=3&before={after}", Authorization=RIGHT).json
        assert page is not None
        found += [call["id"] for call in page["calls"]]
        after = page["after"]
    assert found == [7, 6, 5, 4, 3, 2, 1]


def test_a_call_in_json(visitor: FlaskClient, pair: StagedPair) -> None:
    pair.add_call(answered=None, packets=None)
    page = get(visitor, "/api/calls", Authorization=RIGHT).json
    assert page is not None
    assert (page["reading"], page["searched_to"]) == ("database-2", None)
    assert page["calls"][0] == {
        "id": 1,
        "server_id": 51,
        "call_id": "call-1@192.0.2.10",
        "from_tag": "from",
        "to_tag": "to",
        "leg": 0,
        "began": "2026-01-31T18:30:00.000Z",
        "answered": None,
        "ended": "2026-01-31T18:32:03.000Z",
        "code": 200,
        "caller": "4930111",
        "callee": "4940222",
        "carrier_in": "alpha",
        "carrier_out": "beta",
        "source": "192.0.2.10",
        "packets": None,
    }


def test_mistakes_are_told(visitor: FlaskClient) -> None:
    answer = get(visitor, "/api/calls?limit=0&result=maybe", Authorization=RIGHT)
    assert answer.status_code == 400
    assert answer.json is not None
    assert len(answer.json["error"].splitlines()) == 2


def test_no_database(visitor: FlaskClient, pair: StagedPair) -> None:
    for member in pair.members.values():
        member.fault = refused()
    answer = get(visitor, "/api/calls", Authorization=RIGHT)
    assert answer.status_code == 503
    assert answer.json is not None
    assert "No database answered in time." in answer.json["error"]
