"""Nobody sees anything without the login, and no other site can use it."""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, unquote

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from gui import auth
from gui.config import Config

from tests.unit.roles.gui.browser import PASSWORD, SITE, form_token, get, log_in, post
from tests.unit.roles.gui.staged_database import StagedPair, refused


def closed_paths(app: Flask) -> Iterator[str]:
    for rule in app.url_map.iter_rules():
        if rule.endpoint not in ("static", "pages.login", "pages.enter", "pages.healthz"):
            yield rule.rule.replace("<int:number>", "1")


def test_every_page_needs_a_login(app: Flask, visitor: FlaskClient) -> None:
    paths = list(closed_paths(app))
    assert {"/", "/calls", "/calls/1", "/api/status", "/api/calls"} <= set(paths)
    for path in paths:
        answers = {get(visitor, path).status_code, post(visitor, path).status_code}
        assert answers <= {302, 401, 405}, path


def test_a_visitor_is_sent_to_the_login_and_back(visitor: FlaskClient) -> None:
    sent = get(visitor, "/calls?number=49").location
    path, _, query = (sent or "").partition("?")
    assert (path, parse_qs(query)) == ("/login", {"next": ["/calls?number=49"]})
    assert 'name="next" value="/calls?number=49"' in get(visitor, sent or "").text
    answer = log_in(visitor, next="/calls?number=49")
    assert (answer.status_code, answer.location) == (302, "/calls?number=49")
    assert get(visitor, "/").status_code == 200


@pytest.mark.parametrize(
    ("user", "password"), [("admin", "wrong"), ("root", PASSWORD), ("admin", ""), ("", ""), ("admin", f"{PASSWORD}\0")]
)
def test_wrong_words_open_nothing(visitor: FlaskClient, user: str, password: str) -> None:
    answer = log_in(visitor, password, user)
    assert answer.status_code == 403
    assert "User or password is wrong." in answer.text
    assert get(visitor, "/").status_code == 302


def test_a_wrong_user_is_compared_as_long_as_a_wrong_password(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(given: bytes, right: bytes) -> bool:
        compared.append(right)
        return given == right

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert not auth.is_right(config, "nobody", "wrong")
    assert compared == [b"admin", PASSWORD.encode()]


def test_the_cookie_is_for_this_site_alone(visitor: FlaskClient) -> None:
    cookie = log_in(visitor).headers["Set-Cookie"]
    assert cookie.startswith("__Host-m2=")
    for word in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
        assert word in cookie
    assert "Domain" not in cookie


def test_a_cookie_signed_with_another_key_is_nothing(app: Flask) -> None:
    visitor = app.test_client(use_cookies=False)
    for key, status in (("another-key", 302), ("session-key", 200)):
        assert get(visitor, "/", Cookie=f"__Host-m2={signed_with(key, app)}").status_code == status


def signed_with(key: str, app: Flask) -> str:
    """A cookie that says it is logged in."""
    other = Flask("other")
    other.config.update(app.config, SECRET_KEY=key)
    serializer = SecureCookieSessionInterface().get_signing_serializer(other)
    assert serializer
    return str(serializer.dumps({"until": time.time() + 99}))


def test_a_login_ends_after_twelve_hours(admin: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 12 * 3600 - 60)
    assert get(admin, "/").status_code == 200
    monkeypatch.setattr(time, "time", lambda: now + 12 * 3600 + 60)
    assert get(admin, "/").status_code == 302


def test_a_form_from_elsewhere_is_refused(visitor: FlaskClient) -> None:
    assert post(visitor, "/login", user="admin", password=PASSWORD).status_code == 400
    get(visitor, "/login")
    assert post(visitor, "/login", user="admin", password=PASSWORD, form="guessed").status_code == 400
    assert get(visitor, "/").status_code == 302


def test_another_site_cannot_log_anybody_out(admin: FlaskClient) -> None:
    assert post(admin, "/logout").status_code == 400
    assert get(admin, "/").status_code == 200
    assert post(admin, "/logout", form=form_token(get(admin, "/"))).location == "/login"
    assert get(admin, "/").status_code == 302


def test_a_login_changes_the_token_of_forms(visitor: FlaskClient) -> None:
    before = form_token(get(visitor, "/login"))
    log_in(visitor)
    assert form_token(get(visitor, "/")) != before


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/\t/evil.example", ""]
)
def test_the_login_leads_nowhere_else(visitor: FlaskClient, target: str) -> None:
    assert log_in(visitor, next=target).location == "/"


def test_a_link_from_elsewhere_keeps_the_login(admin: FlaskClient, app: Flask) -> None:
    """The strict cookie is not sent then: the page asks for itself again instead of starting a new visitor."""
    arrived = get(app.test_client(), "/calls?number=49", Sec_Fetch_Site="cross-site")
    assert 'http-equiv="refresh" content="0; url=/calls?number=49"' in arrived.text
    assert "Set-Cookie" not in arrived.headers
    assert get(admin, "/calls?number=49", Sec_Fetch_Site="same-origin").status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "cross-site"}])
def test_an_address_that_looks_like_another_site_stays_here(visitor: FlaskClient, headers: dict[str, str]) -> None:
    path = {"PATH_INFO": "//evil.example/"}
    answer = visitor.get("/", base_url=SITE, headers=headers, environ_overrides=path)
    assert "evil.example" in unquote(answer.text)
    assert "//evil.example" not in unquote(answer.text + str(answer.location))


def test_every_answer_has_its_headers(app: Flask, visitor: FlaskClient) -> None:
    for path in ("/", "/login", "/healthz", "/api/status", "/no/such/page"):
        headers = get(visitor, path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


def test_health_is_open_and_says_nothing_else(visitor: FlaskClient, pair: StagedPair) -> None:
    answer = get(visitor, "/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert "Set-Cookie" not in answer.headers


def test_health_fails_when_nobody_answers(visitor: FlaskClient, pair: StagedPair) -> None:
    for member in pair.members.values():
        member.fault = refused()
    answer = get(visitor, "/healthz")
    assert (answer.status_code, answer.text) == (503, "no database answers\n")


def test_a_large_form_is_refused(visitor: FlaskClient) -> None:
    token = form_token(get(visitor, "/login"))
    assert visitor.post("/login", base_url=SITE, data={"form": token, "user": "a" * 20000}).status_code == 413
