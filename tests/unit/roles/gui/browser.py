"""What a browser does with the page."""

from __future__ import annotations

import re

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

SITE = "https://198.51.100.31"
PASSWORD = "right-password"


def get(client: FlaskClient, path: str, **headers: str) -> TestResponse:
    return client.get(path, base_url=SITE, headers={name.replace("_", "-"): value for name, value in headers.items()})


def post(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    return client.post(path, base_url=SITE, data=fields)


def log_in(client: FlaskClient, password: str = PASSWORD, user: str = "admin", **more: str) -> TestResponse:
    """Opens the form and sends it."""
    return post(client, "/login", form=form_token(get(client, "/login")), user=user, password=password, **more)


def form_token(page: TestResponse) -> str:
    found = re.search(r'name="form" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]
