"""What the role brings to its host."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from gui.config import Member, load

from components.bundle import Bundle, File
from tests.unit.stacks.example import renderer


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    rendering = renderer()
    return rendering.bundle(rendering.plan.host("gui"))


def at(bundle: Bundle, path: str) -> File:
    return next(file for file in bundle.files if file.path == path)


def test_the_page_reads_what_the_template_writes(bundle: Bundle, tmp_path: Path) -> None:
    rendering = renderer()
    written = tmp_path / "gui.json"
    written.write_text(at(bundle, "/etc/m2/gui.json").content)
    config = load(written)
    plan, secrets = rendering.plan, rendering.secrets
    assert config.main == Member("database-1", plan.host("database-1").private_ip, "main")
    assert config.backup == Member("database-2", plan.host("database-2").private_ip, "backup")
    assert config.carriers == tuple(carrier["name"] for carrier in plan.settings["carriers"])
    assert config.database_password == secrets.password("database/gui")
    assert (config.password, config.session_key) == (secrets.password("gui"), secrets.password("gui/session"))
    assert secrets.password("gui") not in repr(config)


def test_secrets_are_for_root_alone(bundle: Bundle) -> None:
    secrets = json.loads(at(bundle, "/etc/m2/gui.json").content)
    words = [secrets["password"], secrets["database_password"], secrets["session_key"], "PRIVATE KEY"]
    holders = [file for file in bundle.files if any(word in file.content for word in words)]
    assert {"/etc/m2/gui.json", "/etc/m2/gui/tls.key"} <= {file.path for file in holders}
    assert not [file.path for file in holders if not file.rights.startswith("06")]
    assert at(bundle, "/etc/m2/gui.json").rights == at(bundle, "/etc/m2/gui/tls.key").rights == "0600 root:root"


def test_a_change_of_any_file_of_the_page_reaches_a_service(bundle: Bundle) -> None:
    patterns = [p for service in bundle.services for p in (*service.restart_on, *service.reload_on)]
    own = [f.path for f in bundle.files if "gui" in f.path or "nginx" in f.path]
    assert len(own) > 20
    assert not [path for path in own if not any(fnmatchcase(path, pattern) for pattern in patterns)]


def test_the_certificate_is_for_the_public_address(bundle: Bundle) -> None:
    rendering = renderer()
    certificate = rendering.secrets.certificate("gui", rendering.public["gui"])
    assert at(bundle, "/etc/m2/gui/tls.pem").content == certificate.certificate
    assert at(bundle, "/etc/m2/gui/tls.key").content == certificate.key
