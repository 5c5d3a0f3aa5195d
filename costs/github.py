"""One comment on a pull request that is changed in place (docs.github.com, REST API, Issue comments)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests

API = "https://api.github.com"
PAGE = 100
TIMEOUT_S = 30


class GitHubError(Exception):
    """GitHub refused; the message says what was asked and what it answered."""


@dataclass(frozen=True)
class PullRequest:
    """`repository` is "owner/name"; `token` needs `pull-requests: write` and nothing else."""

    repository: str
    number: int
    token: str
    api: str = API

    def upsert(self, body: str, marker: str) -> str:
        """Post `body`, which contains `marker`, or change the comment that has it; says what was done.

        Other people's comments that quote the marker are left alone; a second own one is removed, in case two runs
        once raced. Raises GitHubError.
        """
        if marker not in body:
            raise ValueError("a comment without its marker would be posted again and again")
        mine = [comment for comment in self._comments() if comment["body"].startswith(marker) and _is_a_robot(comment)]
        if not mine:
            self._ask("POST", f"issues/{self.number}/comments", {"body": body})
            return "posted"
        first, *rest = mine
        for comment in rest:
            self._ask("DELETE", f"issues/comments/{comment['id']}")
        if first["body"] == body:
            return "unchanged"
        self._ask("PATCH", f"issues/comments/{first['id']}", {"body": body})
        return "updated"

    def _comments(self) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            found = self._ask("GET", f"issues/{self.number}/comments?per_page={PAGE}&page={page}")
            yield from found
            if len(found) < PAGE:
                return
            page += 1

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        url = f"{self.api}/repos/{self.repository}/{path}"
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/vnd.github+json"}
        try:
            answer = requests.request(method, url, json=body, headers=headers, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise GitHubError(f"{method} {url}: {error}") from None
        if not answer.ok:
            raise GitHubError(f"{method} {url}: {answer.status_code} {answer.text[:200]}")
        return answer.json() if answer.content else None


def _is_a_robot(comment: dict[str, Any]) -> bool:
    """Workflows comment as github-actions[bot]; a person who quotes the comment stays who they are."""
    return bool(comment["user"]["type"] == "Bot")
