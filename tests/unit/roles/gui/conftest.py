"""Fixtures: the web page with databases that are staged."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

LIBRARY = Path(__file__).parents[4] / "roles" / "gui" / "files" / "usr" / "local" / "lib" / "m2"
sys.path.insert(0, str(LIBRARY))
keeps_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # whatever lies there goes to hosts
import gui.app  # noqa: E402
from gui.config import Config, Member  # noqa: E402
from gui.reading import Reader  # noqa: E402

sys.dont_write_bytecode = keeps_bytecode

from tests.unit.roles.gui.browser import PASSWORD, log_in  # noqa: E402
from tests.unit.roles.gui.staged_database import StagedPair  # noqa: E402


@pytest.fixture
def config() -> Config:
    return Config(
        stack="full-test",
        region="fsn1",
        main=Member("database-1", "10.0.0.21", "main"),
        backup=Member("database-2", "10.0.0.22", "backup"),
        carriers=("alpha", "beta"),
        database_password="database-password",
        password=PASSWORD,
        session_key="session-key",
    )


@pytest.fixture
def pair() -> Iterator[StagedPair]:
    pair = StagedPair()
    yield pair
    pair.close()


@pytest.fixture
def reader(config: Config, pair: StagedPair) -> Reader:
    return Reader(config, pair.connect)


@pytest.fixture
def app(config: Config, reader: Reader) -> Flask:
    return gui.app.create(config, reader)


@pytest.fixture
def visitor(app: Flask) -> FlaskClient:
    """A browser that nobody has logged in with."""
    return app.test_client()


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    """A browser after the login."""
    client = app.test_client()
    assert log_in(client).status_code == 302
    return client
