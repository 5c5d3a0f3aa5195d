"""The pages that people read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from gui import auth, calls, overview, status
from gui.banners import banners
from gui.search import WORDS, SearchError, parse
from gui.site import site

blueprint = Blueprint("pages", __name__)
OPEN_TO_ALL = {"static", "pages.login", "pages.enter", "pages.healthz"}


@blueprint.before_app_request
def require_login() -> AnyResponse | str | None:
    """Everything that does not say otherwise needs a login; the API asks for itself."""
    if request.endpoint in OPEN_TO_ALL or request.blueprint == "api" or auth.is_logged_in(session):
        return None
    address = request.full_path.removesuffix("?")
    if request.headers.get("Sec-Fetch-Site") == "cross-site" and request.method == "GET":
        # A link from elsewhere comes without the strict cookie; the same address asked from here has it.
        return render_template("arrive.html", address=address)
    return redirect(url_for("pages.login", next=address))


@blueprint.get("/login")
def login() -> str:
    return render_template("login.html", next=auth.local_path(request.args.get("next", "/")), wrong=False)


@blueprint.post("/login")
def enter() -> AnyResponse | tuple[str, int]:
    form = request.form
    target = auth.local_path(form.get("next", "/"))
    if not auth.is_own_form(session, form.get("form", "")):
        abort(400, "This form is too old or from elsewhere; open the page again.")
    if not auth.is_right(site().config, form.get("user", ""), form.get("password", "")):
        return render_template("login.html", next=target, wrong=True), 403
    auth.log_in(session)
    return redirect(target)


@blueprint.post("/logout")
def logout() -> AnyResponse:
    if not auth.is_own_form(session, request.form.get("form", "")):
        abort(400, "This form is too old or from elsewhere; open the page again.")
    session.clear()
    return redirect(url_for("pages.login"))


@blueprint.get("/healthz")
def healthz() -> Response:
    """For probes: nothing but whether a member can be read."""
    well = site().reader.view().reading is not None
    return Response("ok\n" if well else "no database answers\n", 200 if well else 503, mimetype="text/plain")


@blueprint.get("/")
def index() -> str:
    seen = overview.look(site().reader, site().count)
    return render_template(
        "overview.html",
        **{**_frame(), "banners": seen.banners},
        overview=seen,
        is_silent=status.is_silent,
    )


@blueprint.get("/calls")
def search() -> str | tuple[str, int]:
    try:
        wanted = parse(request.args)
    except SearchError as error:
        return _calls(calls.Page(()), {}, str(error).splitlines()), 400
    page, cores = site().reader.read(lambda database: (calls.find(database, wanted), status.cores(database)))
    return _calls(page, _names(cores), [])


@blueprint.get("/calls/<int:number>")
def call(number: int) -> str:
    found, cores = site().reader.read(lambda database: (calls.one(database, number), status.cores(database)))
    if found is None:
        abort(404, f"There is no call {number}.")
    return render_template("call.html", **_frame(), call=found, cores=_names(cores))


def _calls(page: calls.Page, cores: Mapping[int, str], mistakes: list[str]) -> str:
    words = {word: request.args.get(word, "") for word in WORDS}
    asked = {word: text for word, text in words.items() if text}
    newest = {word: text for word, text in asked.items() if word != "before"}
    return render_template(
        "calls.html",
        **_frame(),
        page=page,
        words=words,
        carriers=site().config.carriers,
        cores=cores,
        mistakes=mistakes,
        older=_search_url({**newest, "before": str(page.after)}) if page.after else None,
        newest=_search_url(newest) if newest != asked else None,
    )


def _search_url(words: Mapping[str, str]) -> str:
    return f"{url_for('pages.search')}?{urlencode(words)}"


def _frame() -> dict[str, Any]:
    view = site().reader.view()
    now = datetime.now(UTC).replace(tzinfo=None)
    return {"config": site().config, "view": view, "now": now, "banners": banners(view, ())}


def _names(cores: tuple[status.Core, ...]) -> dict[int, str]:
    return {core.server_id: core.name for core in cores}
