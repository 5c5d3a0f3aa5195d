"""The web application: what every answer has in common."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import jinja2
from flask import Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from gui import api, auth, pages, show
from gui.config import Config, load
from gui.database import TooSlowError, connector
from gui.reading import NothingToReadError, Reader
from gui.site import Site, site

CREDENTIAL = "gui.json"
LARGEST_FORM = 16 * 1024
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none';"
        " base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
FILTERS = (
    show.age,
    show.count,
    show.duration,
    show.moment,
    show.percent,
    show.printable,
    show.reply,
    show.seconds,
)


def main() -> Flask:
    """For the application server; the configuration is a credential of the service."""
    config = load(Path(os.environ["CREDENTIALS_DIRECTORY"]) / CREDENTIAL)
    return create(config, Reader(config, connector(config.database_password)))


def create(config: Config, reader: Reader) -> Flask:
    """The application; it needs a login for everything but the login itself, its style and `/healthz`."""
    app = Flask("gui")
    app.config.update(
        SECRET_KEY=config.session_key,
        SESSION_COOKIE_NAME="__Host-m2",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        MAX_CONTENT_LENGTH=LARGEST_FORM,
    )
    app.extensions["site"] = Site(config, reader)
    app.jinja_env.undefined = jinja2.StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update({function.__name__: function for function in FILTERS})
    app.jinja_env.globals.update(form_token=auth.form_token, between=show.between, version=_version(app))
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(api.blueprint)
    app.after_request(_add_headers)
    app.register_error_handler(HTTPException, _failed)
    app.register_error_handler(NothingToReadError, _nothing_to_read)
    app.register_error_handler(TooSlowError, _too_slow)
    return app


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers[name] = value
    if request.endpoint == "static":
        response.headers["Cache-Control"] = "max-age=86400"
    return response


def _failed(error: HTTPException) -> Response | HTTPException:
    if request.path.startswith("/api/"):
        response = jsonify(error=error.description)
    else:
        response = Response(render_template("error.html", title=error.name, text=error.description))
    response.status_code = error.code or 500
    response.headers.extend({name: value for name, value in error.get_headers() if name == "WWW-Authenticate"})
    return response


def _nothing_to_read(error: NothingToReadError) -> Response | HTTPException:
    problems = [f"{seen.member.name}: {seen.problem}." for seen in site().reader.view().all if seen.problem]
    return _failed(ServiceUnavailable(" ".join(["No database answered in time.", *problems])))


def _too_slow(error: TooSlowError) -> Response | HTTPException:
    return _failed(ServiceUnavailable("The database needed too long for this; a shorter time range needs less."))


def _version(app: Flask) -> str:
    """Changes with the style, so that browsers may keep it."""
    return hashlib.sha256((Path(app.root_path) / "static" / "style.css").read_bytes()).hexdigest()[:12]
