"""Puts a cost report on a pull request, in one comment that is changed in place and never posted twice.

GITHUB_TOKEN needs `pull-requests: write` and nothing else; GITHUB_API_URL and GITHUB_REPOSITORY are as GitHub's
workflows set them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from costs.comment import LONGEST, MARKER
from costs.github import API, GitHubError, PullRequest

say = Console(stderr=True, highlight=False)


def main(
    number: Annotated[int, typer.Argument(help="of the pull request", min=1)],
    file: Annotated[Path, typer.Argument(help="the report: `cost_preview --format markdown`", exists=True)],
    repository: Annotated[str, typer.Option(help="OWNER/NAME", envvar="GITHUB_REPOSITORY")],
) -> None:
    body = file.read_text().strip()
    if not body.startswith(MARKER) or len(body) > LONGEST:
        raise GitHubError(f"{file}: not a report of `scripts/cost_preview --format markdown`")
    token = os.environ.get("GITHUB_TOKEN")
    if not token:
        raise GitHubError("GITHUB_TOKEN is not set; it needs `pull-requests: write`")
    pull_request = PullRequest(repository, number, token, os.environ.get("GITHUB_API_URL", API))
    say.print(f"the comment on {repository}#{number}: {pull_request.upsert(body, MARKER)}")


def run() -> None:
    """Ends the process."""
    app = typer.Typer(add_completion=False)
    app.command(help=__doc__)(main)
    try:
        app()
    except GitHubError as error:
        say.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    run()
