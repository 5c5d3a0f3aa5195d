"""Where the image's packages come from, and what decides its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localcloud.backend import BackendError
from localcloud.machines import image
from localcloud.machines.image import Sources, packages, sources

DEBIAN = """\
Debian|bookworm|main|http://mirror.example/debian
Debian|bookworm-updates|main|http://mirror.example/debian
Debian|bookworm-security|main|http://security.example/debian-security
Docker|bookworm|stable|https://docker.example/linux/debian
"""
UBUNTU = """\
Ubuntu|noble|main|http://mirror.example/ubuntu
Ubuntu|noble-security|main|http://security.example/ubuntu
"""


def test_packages_are_the_roles_and_the_system(tmp_path: Path) -> None:
    for role, content in (
        ("core", 'packages: [kamailio, sqlite3]\nopens: [{ports: "{{ settings.sip_port }}"}]\n'),
        ("gui", "packages: [sqlite3]\n"),
        ("vendor", "services: [{name: x, restart_on: [/etc/{{ role }}/*]}]\n"),
    ):
        (tmp_path / role).mkdir()
        (tmp_path / role / "role.yaml").write_text(content)
    assert packages(tmp_path) == tuple(sorted({*image.SYSTEM, "kamailio", "sqlite3"}))


def test_every_role_of_this_project_can_be_read() -> None:
    assert {"cloud-init", "kamailio", "mariadb-server", "keepalived", "etcd-server", "openssh-server"} <= set(
        packages()
    )


def test_a_debian_host_uses_its_own_mirrors() -> None:
    assert sources(DEBIAN, None) == Sources(
        "http://mirror.example/debian",
        (
            "deb http://mirror.example/debian bookworm main",
            "deb http://mirror.example/debian bookworm-updates main",
            "deb http://security.example/debian-security bookworm-security main",
        ),
    )


def test_another_debian_release_has_the_same_mirrors() -> None:
    assert sources(DEBIAN.replace("bookworm", "trixie"), None) == sources(DEBIAN, None)


def test_a_host_that_knows_no_debian_mirror_leaves_it_to_debootstrap() -> None:
    assert sources(UBUNTU, None) == Sources(None, ())
    assert sources("", None) == Sources(None, ())


def test_the_setting_overrides_the_host() -> None:
    found = sources(UBUNTU, "http://other.example/debian")
    assert found.mirror == "http://other.example/debian"
    assert found.lines == (
        "deb http://other.example/debian bookworm main",
        "deb http://other.example/debian bookworm-updates main",
    )


def test_a_list_of_mirrors_stands_for_its_first(tmp_path: Path) -> None:
    (tmp_path / "debian.list").write_text("http://first.example/debian\nhttp://second.example/debian\n")
    found = sources(f"Debian|bookworm|main|mirror+file:{tmp_path}/debian.list\n", None)
    assert found.mirror == "http://first.example/debian"


def test_the_name_changes_with_what_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = image.place()
    assert before == image.place()
    monkeypatch.setattr(image, "SYSTEM", (*image.SYSTEM, "one-more"))
    assert image.place() != before


def test_without_an_image_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(image, "CACHE", tmp_path)
    with pytest.raises(BackendError, match=r"run: scripts/localcloud up"):
        image.find()


def test_a_failed_build_says_why_and_leaves_no_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(image, "CACHE", tmp_path)
    monkeypatch.setattr(image, "BUILD", ("sh", "-c", "echo stage: one; echo no such mirror; exit 1"))
    monkeypatch.setattr(image, "_environment", lambda *_: dict(os.environ))
    stages: list[str] = []
    with pytest.raises(BackendError, match=r"no such mirror .*M2_DEBIAN_MIRROR"):
        image.build(stages.append)
    assert stages == ["one"]
    assert not image.place().exists()


def test_only_an_image_that_nobody_has_used_for_a_day_is_outdated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(image, "CACHE", tmp_path)
    old, used = tmp_path / "image-old", tmp_path / "image-used"
    for path in (old, used, image.place()):
        path.mkdir()
        os.utime(path, (0, 0))
    os.utime(used)
    image.find()
    assert image.outdated() == [old]
    assert image.place().stat().st_mtime > 0
