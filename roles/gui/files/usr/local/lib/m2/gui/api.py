"""The same for programs: JSON, behind the page's login or HTTP basic authentication with the same user."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request, session
from werkzeug.datastructures import Authorization, WWWAuthenticate
from werkzeug.exceptions import BadRequest, Unauthorized

from gui import auth, calls, overview
from gui.database import Row
from gui.members import Observation
from gui.search import SearchError, parse
from gui.site import site
from gui.status import Today

blueprint = Blueprint("api", __name__, url_prefix="/api")


@blueprint.before_request
def require_login() -> None:
    """401 for everybody else."""
    given = request.authorization or Authorization("basic")
    right = auth.is_right(site().config, given.username or "", given.password or "")
    if not (right or auth.is_logged_in(session)):
        raise Unauthorized("Log in as admin.", www_authenticate=WWWAuthenticate("basic", {"realm": "m2"}))


@blueprint.get("/status")
def status() -> Response:
    """What the overview shows."""
    seen = overview.look(site().reader, site().count)
    reading = seen.view.reading
    return jsonify(
        stack=site().config.stack,
        time=_time(datetime.now(UTC).replace(tzinfo=None)),
        reading=reading and reading.member.name,
        writer=seen.view.last_writer,
        members=[_member(one) for one in seen.view.all],
        cores=seen.cores and list(seen.cores),
        today=seen.today and _today(seen.today),
        banners=seen.banners,
    )


@blueprint.get("/calls")
def search() -> Response:
    """What the list of calls shows, by the same words; `after` is the next page's `before`."""
    try:
        wanted = parse(request.args)
    except SearchError as error:
        raise BadRequest(str(error)) from None
    page = site().reader.read(lambda database: calls.find(database, wanted))
    reading = site().reader.view().reading
    return jsonify(
        reading=reading and reading.member.name,
        calls=[_call(row) for row in page.calls],
        after=page.after and str(page.after),
        searched_to=_time(page.searched_to),
    )


def _member(seen: Observation) -> dict[str, Any]:
    return {
        "name": seen.member.name,
        "role": seen.member.role,
        "address": seen.member.address,
        "problem": seen.problem or None,
        "read_only": seen.state and seen.state.read_only,
        "delay": seen.state and seen.state.delay,
        "replication": seen.state and seen.state.replication,
    }


def _today(today: Today) -> dict[str, Any]:
    return {
        "day": today.day.date().isoformat(),
        "attempts": today.attempts,
        "answered": today.answered,
        "asr": today.asr,
        "acd": today.acd,
    }


def _call(row: Row) -> dict[str, Any]:
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: object) -> object:
    return _time(value) if isinstance(value, datetime) else value


def _time(value: datetime | None) -> str | None:
    return None if value is None else f"{value.isoformat(timespec='milliseconds')}Z"
