"""One comment, never two, against a double of GitHub's API on a loopback port."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from costs.comment import MARKER
from costs.github import GitHubError, PullRequest
from scripts import cost_comment

TOKEN = "a-token-of-github"
REPOSITORY = "somebody/m2"
BOT, PERSON = {"type": "Bot", "login": "github-actions[bot]"}, {"type": "User", "login": "somebody"}


class GitHub(ThreadingHTTPServer):
    """Issue comments of one repository, as docs.github.com describes them: pages, 404, 403, 422."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.comments: dict[int, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.refuse: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, body: str, user: dict[str, str] = BOT) -> dict[str, Any]:
        number = len(self.asked) * 1000 + len(self.comments) + 1
        self.comments[number] = {"id": number, "body": body, "user": user}
        return self.comments[number]

    @property
    def bodies(self) -> list[str]:
        return [comment["body"] for comment in self.comments.values()]


class Handler(BaseHTTPRequestHandler):
    server: GitHub

    def do_GET(self) -> None:
        asked = parse_qs(urlparse(self.path).query)
        size, page = int(asked["per_page"][0]), int(asked["page"][0])
        self._answer(200, list(self.server.comments.values())[size * (page - 1) : size * page])

    def do_POST(self) -> None:
        self._answer(201, self.server.add(self._body()))

    def do_PATCH(self) -> None:
        comment = self.server.comments[self._number()]
        comment["body"] = self._body()
        self._answer(200, comment)

    def do_DELETE(self) -> None:
        del self.server.comments[self._number()]
        self._answer(204, None)

    def _number(self) -> int:
        return int(self.path.rsplit("/", 1)[-1])

    def _body(self) -> str:
        length = int(self.headers["Content-Length"])
        return str(json.loads(self.rfile.read(length))["body"])

    def _answer(self, status: int, document: Any) -> None:
        self.server.asked.append(f"{self.command} {urlparse(self.path).path}")
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            status, document = 401, {"message": "Bad credentials"}
        if self.server.refuse:
            status, document = self.server.refuse, {"message": "Resource not accessible by integration"}
        payload = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def github() -> Iterator[GitHub]:
    server = GitHub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def upsert(github: GitHub, text: str) -> str:
    return PullRequest(REPOSITORY, 7, TOKEN, github.url).upsert(f"{MARKER}\n{text}", MARKER)


def test_it_is_posted_once_and_then_changed_in_place(github: GitHub) -> None:
    assert [upsert(github, text) for text in ("one", "two", "two")] == ["posted", "updated", "unchanged"]
    assert github.bodies == [f"{MARKER}\ntwo"]
    assert github.asked[1] == f"POST /repos/{REPOSITORY}/issues/7/comments"


def test_it_is_found_on_a_later_page(github: GitHub) -> None:
    for number in range(250):
        github.add(f"comment {number}", PERSON)
    upsert(github, "one")
    upsert(github, "two")
    assert github.bodies.count(f"{MARKER}\ntwo") == 1
    assert len(github.bodies) == 251


def test_two_that_a_race_made_become_one(github: GitHub) -> None:
    for text in ("one", "another"):
        github.add(f"{MARKER}\n{text}")
    assert upsert(github, "new") == "updated"
    assert github.bodies == [f"{MARKER}\nnew"]


@pytest.mark.parametrize("quote", [f"> {MARKER}\nwhat is this?", f"{MARKER}\nforged"])
def test_what_people_write_is_left_alone(github: GitHub, quote: str) -> None:
    github.add(quote, PERSON)
    assert upsert(github, "one") == "posted"
    assert github.bodies == [quote, f"{MARKER}\none"]


@pytest.mark.parametrize("status", [403, 404, 422, 500])
def test_a_refusal_says_what_was_asked_and_nothing_secret(github: GitHub, status: int) -> None:
    github.refuse = status
    with pytest.raises(GitHubError, match=f"GET .*comments.*: {status} .*not accessible") as error:
        upsert(github, "one")
    assert TOKEN not in str(error.value)


def test_nobody_there_is_an_error_of_ours() -> None:
    with pytest.raises(GitHubError, match="GET http://127"):
        PullRequest(REPOSITORY, 7, TOKEN, "http://127.0.0.1:9").upsert(MARKER, MARKER)


def test_a_comment_without_its_marker_is_never_posted(github: GitHub) -> None:
    with pytest.raises(ValueError, match="again and again"):
        PullRequest(REPOSITORY, 7, TOKEN, github.url).upsert("hello", MARKER)
    assert github.asked == []


def run(github: GitHub, monkeypatch: pytest.MonkeyPatch, file: Path) -> Any:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    monkeypatch.setenv("GITHUB_API_URL", github.url)
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
    monkeypatch.setattr("sys.argv", ["cost_comment", "7", str(file)])
    with pytest.raises(SystemExit) as ended:
        cost_comment.run()
    return ended.value.code


def test_the_script_posts_a_report_and_exits_well(
    github: GitHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "comment.md"
    file.write_text(f"{MARKER}\nreport\n")
    assert [run(github, monkeypatch, file) for _ in range(2)] == [0, 0]
    assert github.bodies == [f"{MARKER}\nreport"]


@pytest.mark.parametrize("text", ["no report", f"{MARKER}\n" + "x" * 65_000])
def test_the_script_refuses_what_is_no_report(
    github: GitHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    """It is what another job of the branch made."""
    file = tmp_path / "comment.md"
    file.write_text(text)
    assert run(github, monkeypatch, file) == 1
    assert github.asked == []
