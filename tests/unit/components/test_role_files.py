"""Roles as somebody writes them: what of a folder comes to the host, and what is said of a wrong one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components import bundle as bundling
from components.bundle import Bundle, BundleError
from tests.unit.stacks.example import renderer

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a file of a repository that has the roles `base`, `one` and `two` and nothing else."""
    monkeypatch.setattr(bundling, "ROOT", tmp_path)
    bundling._templates.cache_clear()

    def write(path: str, text: str) -> Path:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    for role in ("base", "one", "two"):
        write(f"roles/{role}/role.yaml", "packages: []\n")
    yield write
    bundling._templates.cache_clear()


def made() -> Bundle:
    """The bundle of a host with both roles."""
    rendering = renderer()
    host = replace(rendering.plan.host("gui"), roles=("one", "two"))  # type: ignore[arg-type]
    return rendering.bundle(host)


def test_a_template_loses_its_suffix_and_other_files_are_copied(write: Write) -> None:
    write("roles/one/files/etc/a.conf.j2", "{{ host.name }} {{ site.stack }}\n")
    write("roles/one/files/etc/b.conf", "{{ as it is }}\n")
    assert {file.path: file.content for file in made().files} == {
        "/etc/a.conf": "gui full-test\n",
        "/etc/b.conf": "{{ as it is }}\n",
    }


def test_a_relative_link_shares_a_file_and_an_absolute_one_stays_a_link(write: Write) -> None:
    write("roles/one/files/etc/a.conf.j2", "{{ host.name }}\n")
    link = write("roles/two/files/etc/x", "").with_name("b.conf.j2")
    link.symlink_to("../../../one/files/etc/a.conf.j2")
    link.with_name("c.service").symlink_to("/dev/null")
    files = {file.path: file for file in made().files}
    assert files["/etc/b.conf"].content == "gui\n"
    assert files["/etc/b.conf"].link is None
    assert files["/etc/c.service"].link == "/dev/null"


def test_rights_are_those_of_the_first_pattern_that_matches(write: Write) -> None:
    write("roles/one/role.yaml", 'rights:\n  /etc/a/*.key: "0600 root:root"\n  /etc/a/*: "0640 root:mysql"\n')
    for name in ("x.key", "x.pem.j2"):
        write(f"roles/one/files/etc/a/{name}", "")
    write("roles/one/files/etc/b", "")
    assert {file.path: file.rights for file in made().files} == {
        "/etc/a/x.key": "0600 root:root",
        "/etc/a/x.pem": "0640 root:mysql",
        "/etc/b": "0644 root:root",
    }


def test_a_program_comes_with_the_role_that_names_it(write: Write) -> None:
    write("roles/one/role.yaml", "programs: [failover]\n")
    write("failover/agent.py", "print()\n")
    write("failover/notes.txt", "not a program\n")
    assert [file.path for file in made().files] == ["/usr/local/lib/m2/failover/agent.py"]


def test_packages_of_all_roles_are_named_once_in_their_order(write: Write) -> None:
    write("roles/base/role.yaml", "packages: [nftables]\n")
    write("roles/one/role.yaml", "packages: [nginx, python3]\nhardware_packages: [dkms]\n")
    write("roles/two/role.yaml", "packages: [python3, nftables, etcd-server]\n")
    assert made().packages == ("nftables", "nginx", "python3", "etcd-server")
    assert made().hardware_packages == ("dkms",)


def test_services_come_in_the_order_of_base_and_the_roles(write: Write) -> None:
    for role, service in (("two", "c"), ("one", "b"), ("base", "a")):
        write(f"roles/{role}/role.yaml", f"services: [{{name: {service}, reload_on: [/etc/{service}]}}]\n")
    assert [(service.name, service.reload_on) for service in made().services] == [
        ("a", ("/etc/a",)),
        ("b", ("/etc/b",)),
        ("c", ("/etc/c",)),
    ]


def test_two_roles_may_have_the_same_file(write: Write) -> None:
    for role in ("one", "two"):
        write(f"roles/{role}/files/etc/shared", "same\n")
    assert [file.path for file in made().files] == ["/etc/shared"]


@pytest.mark.parametrize(
    ("one", "two"), [(("text", "0600 root:root"), ("text", "0644 root:root")), (("a", "0644 a:a"), ("b", "0644 a:a"))]
)
def test_two_roles_that_disagree_about_a_file_are_refused(
    write: Write, one: tuple[str, str], two: tuple[str, str]
) -> None:
    for role, (text, rights) in (("one", one), ("two", two)):
        write(f"roles/{role}/files/etc/shared", text)
        write(f"roles/{role}/role.yaml", f'rights: {{/etc/shared: "{rights}"}}\n')
    with pytest.raises(BundleError, match=r"gui: .*one, two.*/etc/shared"):
        made()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ nothing }}", "nothing"),
        ("{{ settings.no_such_setting }}", "no_such_setting"),
        ("{{ host.nickname }}", "nickname"),
        ("{% if %}", ""),
        ("{{ site.vip('web').ip }}", "web"),
        ("{{ site.host('core-99').private_ip }}", "core-99"),
        ("{{ address_of('web') }}", "web"),
        ("{{ public['core-99'] }}", "core-99"),
        ("{{ settings.cores.split('-') }}", ""),
    ],
)
def test_a_template_that_cannot_be_rendered_is_named_with_the_reason(write: Write, text: str, reason: str) -> None:
    write("roles/one/files/etc/a.conf.j2", text)
    with pytest.raises(BundleError, match=rf"roles/one/files/etc/a\.conf\.j2: .*{reason}"):
        made()


def test_a_description_of_a_role_that_cannot_be_rendered_is_named(write: Write) -> None:
    write("roles/one/role.yaml", 'opens: [{to: admins, at: public, protocol: tcp, ports: "{{ settings.web }}"}]\n')
    with pytest.raises(BundleError, match=r"roles/one/role\.yaml: .*web"):
        made()


@pytest.mark.parametrize(
    "text",
    [
        "packages: [a\n",
        "opens: [{to: admins, at: public, protocol: sctp, ports: 1}]\n",
        "service: [{name: nginx}]\n",
        "services: [{restart_on: [/etc/x]}]\n",
    ],
)
def test_a_description_of_a_role_that_is_wrong_is_named(write: Write, text: str) -> None:
    write("roles/one/role.yaml", text)
    with pytest.raises(BundleError, match="one"):
        made()


@pytest.mark.parametrize("rights", ["0644", "0888 root:root"])
def test_rights_that_apply_does_not_understand_are_named_at_preview(write: Write, rights: str) -> None:
    write("roles/one/files/etc/a", "")
    write("roles/one/role.yaml", f'rights: {{/etc/a: "{rights}"}}\n')
    with pytest.raises(BundleError, match="/etc/a"):
        made()
