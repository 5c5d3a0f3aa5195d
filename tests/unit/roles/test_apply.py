"""`apply`: a host becomes what its bundle says, nothing more is touched, and nothing is lost on the way."""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roles import apply
from tests.unit.roles.fake_host import PRIVATE_IP, FakeHost

SECRET = "secret-of-the-stack"
Output = pytest.CaptureFixture[str]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """A host with nothing to be."""
    host = FakeHost(tmp_path)
    host.take_over(monkeypatch)
    return host


@pytest.fixture
def host(empty: FakeHost) -> FakeHost:
    """A host that will run two services."""
    empty.file("/etc/web/web.conf", "listen 80\n")
    empty.file("/etc/web/key", SECRET, "0600")
    empty.file("/etc/web/sites.list", "a\n")
    empty.file("/etc/sip.conf", "port 5060\n")
    empty.file("/etc/systemd/system/sip.service", "[Service]\n")
    empty.service("web", restart_on=["/etc/web/web.conf", "/etc/web/key"], reload_on=["/etc/web/*.list"])
    empty.service("sip", restart_on=["/etc/sip.conf", "/etc/systemd/system/sip.service"])
    return empty


@pytest.fixture
def settled(host: FakeHost, capsys: Output) -> FakeHost:
    """The same after its first run."""
    assert host.apply() == 0
    capsys.readouterr()
    return host


def said(capsys: Output) -> list[str]:
    return capsys.readouterr().out.splitlines()


def complained(capsys: Output) -> str:
    captured = capsys.readouterr()
    [sentence] = captured.err.strip().splitlines()
    return sentence


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_the_first_run_makes_everything_and_says_so(host: FakeHost, capsys: Output) -> None:
    assert host.apply() == 0
    assert host.path("/etc/web/web.conf").read_text() == "listen 80\n"
    assert host.is_active("web")
    assert host.is_active("sip")
    assert (host.folder / "enabled" / "web").exists()
    lines = said(capsys)
    assert f"changed {host.path('/etc/web/key')}" in lines
    assert {"enabled web", "enabled sip"} <= set(lines)


def test_the_second_run_changes_nothing_and_calls_nothing_that_changes(settled: FakeHost, capsys: Output) -> None:
    before = {path: path.stat().st_mtime_ns for path in settled.path("/").rglob("*")}
    assert settled.apply() == 0
    assert said(capsys) == ["nothing to change"]
    assert settled.called() == []
    assert {path: path.stat().st_mtime_ns for path in settled.path("/").rglob("*")} == before


def test_files_come_before_the_services_that_read_them(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    settle = apply.settle_services

    def settle_with_files(bundle: apply.Bundle, state: apply.State) -> list[str]:
        assert all(Path(file.path).exists() for file in bundle.files)
        return settle(bundle, state)

    monkeypatch.setattr(apply, "settle_services", settle_with_files)
    assert host.apply() == 0


def test_services_are_started_in_the_order_of_the_bundle(host: FakeHost) -> None:
    host.apply()
    starts = [call.split()[-1] for call in host.called("systemctl restart")]
    assert starts == ["web", "sip"]


@pytest.mark.parametrize(
    ("changed", "calls"),
    [
        (["/etc/web/web.conf"], ["systemctl restart web"]),
        (["/etc/web/sites.list"], ["systemctl reload web"]),
        (["/etc/web/sites.list", "/etc/web/key"], ["systemctl restart web"]),
        (["/etc/sip.conf"], ["systemctl restart sip"]),
        (["/etc/sip.conf", "/etc/web/web.conf"], ["systemctl restart web", "systemctl restart sip"]),
        (["/etc/systemd/system/sip.service"], ["systemctl daemon-reload", "systemctl restart sip"]),
    ],
    ids=str,
)
def test_a_changed_file_concerns_only_the_services_that_read_it(
    settled: FakeHost, changed: list[str], calls: list[str]
) -> None:
    for name in changed:
        settled.file(name, "something else\n")
    assert settled.apply() == 0
    assert settled.called() == calls
    assert settled.apply() == 0
    assert settled.called() == []


def test_a_file_that_no_service_reads_restarts_nothing(settled: FakeHost, capsys: Output) -> None:
    settled.file("/etc/motd", "hello\n")
    assert settled.apply() == 0
    assert settled.called() == []
    assert said(capsys) == [f"changed {settled.path('/etc/motd')}"]


def test_a_reload_may_be_a_command_of_its_own(host: FakeHost) -> None:
    marker = host.folder / "reloaded"
    host.services.clear()
    host.service("web", reload_on=["/etc/web/*"], reload=f"test -e {host.path('/etc/web/key')} && touch {marker}")
    host.apply()
    host.file("/etc/web/sites.list", "b\n")
    assert host.apply() == 0
    assert marker.exists()
    assert host.called() == []


def test_what_somebody_changed_by_hand_is_made_right(settled: FakeHost) -> None:
    settled.path("/etc/sip.conf").write_text("port 5061\n")
    settled.path("/etc/web/key").chmod(0o644)
    settled.path("/etc/web/sites.list").unlink()
    assert settled.apply() == 0
    assert settled.path("/etc/sip.conf").read_text() == "port 5060\n"
    assert mode(settled.path("/etc/web/key")) == 0o600
    assert settled.path("/etc/web/sites.list").exists()


def test_a_service_that_stopped_is_started(settled: FakeHost, capsys: Output) -> None:
    settled.flag("active/sip", on=False)
    assert settled.apply() == 0
    assert settled.called() == ["systemctl start sip"]
    assert said(capsys) == ["started sip"]


def test_a_service_that_somebody_disabled_is_enabled(settled: FakeHost, capsys: Output) -> None:
    settled.flag("enabled/sip", on=False)
    assert settled.apply() == 0
    assert said(capsys) == ["enabled sip"]


def test_a_file_that_left_the_bundle_is_removed_and_its_reader_restarted(settled: FakeHost, capsys: Output) -> None:
    del settled.files["/etc/web/key"]
    assert settled.apply() == 0
    assert not settled.path("/etc/web/key").exists()
    assert settled.called() == ["systemctl restart web"]
    assert f"removed {settled.path('/etc/web/key')}" in said(capsys)
    assert settled.apply() == 0
    assert settled.called() == []


def test_files_that_apply_never_made_are_left_alone(settled: FakeHost) -> None:
    mine = settled.path("/etc/web/mine")
    mine.write_text("of the person\n")
    assert settled.apply() == 0
    assert mine.exists()


def test_a_service_that_left_the_bundle_is_stopped_and_disabled_and_no_other(settled: FakeHost, capsys: Output) -> None:
    settled.services.pop()
    del settled.files["/etc/systemd/system/sip.service"]
    assert settled.apply() == 0
    assert not settled.is_active("sip")
    assert settled.is_active("web")
    assert "systemctl disable sip" in settled.called()
    assert "stopped sip" in said(capsys)
    assert settled.apply() == 0
    assert settled.called() == []


def test_a_service_that_did_not_come_up_is_named_and_restarted_by_the_next_run(
    settled: FakeHost, capsys: Output
) -> None:
    settled.file("/etc/sip.conf", "port 5070\n")
    settled.flag("broken/sip")
    assert settled.apply() == 1
    sentence = complained(capsys)
    assert sentence.startswith("core-1: ")
    assert "restart sip" in sentence
    assert "journalctl -u sip" in sentence
    settled.flag("broken/sip", on=False)
    assert settled.apply() == 0
    assert "systemctl restart sip" in settled.called()
    assert settled.apply() == 0
    assert settled.called() == []


def test_a_failed_reload_is_done_again_by_the_next_run(settled: FakeHost) -> None:
    settled.file("/etc/web/sites.list", "b\n")
    settled.flag("broken/web")
    assert settled.apply() == 1
    settled.flag("broken/web", on=False)
    assert settled.apply() == 0
    assert settled.called() == ["systemctl reload web"]


def test_services_after_a_broken_one_hear_of_their_files_in_the_next_run(settled: FakeHost) -> None:
    settled.file("/etc/web/web.conf", "listen 81\n")
    settled.file("/etc/sip.conf", "port 5070\n")
    settled.flag("broken/web")
    assert settled.apply() == 1
    settled.flag("broken/web", on=False)
    assert settled.apply() == 0
    assert {"systemctl restart web", "systemctl restart sip"} <= set(settled.called())


class PowerCutError(BaseException):
    """The run ends here."""


def cut(*_: Any) -> Any:
    raise PowerCutError


@pytest.mark.parametrize("moment", ["write", "settle_services"])
def test_a_run_that_ends_between_a_file_and_its_service_is_made_up_for_by_the_next(
    settled: FakeHost, moment: str
) -> None:
    settled.file("/etc/sip.conf", "port 5070\n")
    del settled.files["/etc/web/key"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(PowerCutError):
        patch.setattr(apply, moment, cut)
        settled.apply()
    assert settled.apply() == 0
    assert settled.path("/etc/sip.conf").read_text() == "port 5070\n"
    assert not settled.path("/etc/web/key").exists()
    assert settled.called() == ["systemctl restart web", "systemctl restart sip"]


def test_a_run_that_ends_right_after_a_file_was_written_is_made_up_for_by_the_next(settled: FakeHost) -> None:
    settled.file("/etc/sip.conf", "port 5070\n")
    write = apply.write

    def write_and_die(file: apply.File) -> None:
        write(file)
        raise PowerCutError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(PowerCutError):
        patch.setattr(apply, "write", write_and_die)
        settled.apply()
    assert settled.path("/etc/sip.conf").read_text() == "port 5070\n"
    assert settled.apply() == 0
    assert settled.called() == ["systemctl restart sip"]


def test_a_file_that_was_made_by_a_run_that_was_cut_is_removed_when_it_leaves(settled: FakeHost) -> None:
    settled.file("/etc/new", "x\n")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(PowerCutError):
        patch.setattr(apply, "settle_services", cut)
        settled.apply()
    del settled.files["/etc/new"]
    assert settled.apply() == 0
    assert not settled.path("/etc/new").exists()


def test_two_runs_at_once_are_done_one_after_the_other(settled: FakeHost) -> None:
    settled.file("/etc/sip.conf", "port 5070\n")
    with (settled.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        other = threading.Thread(target=settled.apply)
        other.start()
        other.join(0.2)
        assert other.is_alive()
        assert settled.path("/etc/sip.conf").read_text() == "port 5060\n"
    other.join(10)
    assert settled.path("/etc/sip.conf").read_text() == "port 5070\n"


@pytest.mark.parametrize("rights", ["0600", "0640", "0644", "0755", "0440"])
def test_a_file_has_the_rights_that_it_shall_have(empty: FakeHost, rights: str) -> None:
    empty.file("/etc/a", "x", rights)
    assert empty.apply() == 0
    assert mode(empty.path("/etc/a")) == int(rights, 8)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_file_is_never_readable_by_more_than_it_says_not_even_while_it_is_written(
    empty: FakeHost, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    chown = os.chown

    def looking(path: Path, *ids: int) -> None:
        seen.append(mode(Path(path)))
        chown(path, *ids)

    monkeypatch.setattr(os, "chown", looking)
    empty.file("/etc/key", SECRET, "0600")
    before = os.umask(umask)
    try:
        assert empty.apply() == 0
    finally:
        os.umask(before)
    assert seen
    assert not [each for each in seen if each & 0o077]
    assert mode(empty.path("/etc/key")) == 0o600


def test_a_file_is_replaced_in_one_step(settled: FakeHost) -> None:
    """Who has the old one open reads it to its end."""
    with settled.path("/etc/sip.conf").open() as old:
        settled.file("/etc/sip.conf", "port 5070\n")
        settled.apply()
        assert old.read() == "port 5060\n"
    assert sorted(path.name for path in settled.path("/etc/web").iterdir()) == ["key", "sites.list", "web.conf"]


@pytest.mark.parametrize("content", ["", "ohne Umbruch", "ä\n", "a\r\nb\r\n", "\t$HOME `x`\n"])
def test_content_arrives_as_it_is(empty: FakeHost, content: str, capsys: Output) -> None:
    empty.file("/etc/a", content)
    assert empty.apply() == 0
    assert empty.path("/etc/a").read_bytes() == content.encode()
    capsys.readouterr()
    empty.apply()
    assert said(capsys) == ["nothing to change"]


def test_a_link_is_made_changed_and_removed(empty: FakeHost, capsys: Output) -> None:
    path = empty.path("/etc/unit")
    for target in ("/dev/null", "/dev/zero"):
        empty.file("/etc/unit", link=target)
        assert empty.apply() == 0
        assert path.readlink() == Path(target)
    capsys.readouterr()
    empty.apply()
    assert said(capsys) == ["nothing to change"]
    empty.files.clear()
    assert empty.apply() == 0
    assert not path.is_symlink()


def test_a_file_becomes_a_link_and_a_link_a_file(empty: FakeHost) -> None:
    path = empty.path("/etc/a")
    target = empty.folder / "target"
    target.write_text("not mine\n")
    empty.file("/etc/a", "text\n")
    assert empty.apply() == 0
    empty.file("/etc/a", link=str(target))
    assert empty.apply() == 0
    assert path.is_symlink()
    empty.file("/etc/a", "text again\n")
    assert empty.apply() == 0
    assert not path.is_symlink()
    assert path.read_text() == "text again\n"
    assert target.read_text() == "not mine\n", "a link is replaced, not followed"


@pytest.mark.parametrize("owner", ["nobody-here:root", "root:no-such-group"])
def test_an_owner_that_there_is_not_is_named(empty: FakeHost, owner: str, capsys: Output) -> None:
    empty.file("/etc/a", SECRET, f"0600 {owner}")
    assert empty.apply() == 1
    missing = next(name for name in owner.split(":") if name != "root")
    assert missing in complained(capsys)


def test_a_unit_that_there_is_not_is_named(settled: FakeHost, capsys: Output) -> None:
    settled.service("a-service")
    settled.flag("units/a-service", on=False)
    assert settled.apply() == 1
    assert "a-service" in complained(capsys)


@pytest.mark.parametrize("name", ["/etc/web", "/etc/sip.conf/inner"])
def test_a_place_where_no_file_can_be_is_named(settled: FakeHost, name: str, capsys: Output) -> None:
    """A folder stands there, or a file where a folder belongs."""
    settled.file(name, "x")
    assert settled.apply() == 1
    assert str(settled.path("/etc")) in complained(capsys)


def test_a_full_disk_is_told_in_one_sentence(
    settled: FakeHost, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise OSError(28, "No space left on device", "/etc/sip.conf")

    settled.file("/etc/sip.conf", "port 5070\n")
    monkeypatch.setattr(os, "open", full)
    assert settled.apply() == 1
    assert "No space left on device" in complained(capsys)


@pytest.mark.parametrize(
    ("missing", "words"),
    [("boot-finished", "waited 0 s for cloud-init"), ("address", f"waited 0 s for private address {PRIVATE_IP}")],
)
def test_what_it_waited_for_in_vain_is_named(
    host: FakeHost, missing: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setattr(apply, "BOOT_TIMEOUT", 0.0)
    monkeypatch.setattr(apply, "ADDRESS_TIMEOUT", 0.0)
    if missing == "address":
        host.has_addresses("198.51.100.51")
    else:
        host.flag(missing, on=False)
    assert host.apply() == 1
    assert words in complained(capsys)
    assert host.called() == []
    assert not host.path("/etc/sip.conf").exists()


def test_an_address_that_comes_late_is_waited_for(host: FakeHost) -> None:
    host.has_addresses("198.51.100.51")
    threading.Timer(0.3, host.has_addresses, args=["198.51.100.51", PRIVATE_IP]).start()
    assert host.apply() == 0


def break_a_service(host: FakeHost) -> None:
    host.flag("broken/web")


def break_the_owner(host: FakeHost) -> None:
    host.file("/etc/other", SECRET, "0600 nobody-here:root")


def break_the_packages(host: FakeHost) -> None:
    host.packages = ["no-such-package"]
    host.flag("apt-fails")


@pytest.mark.parametrize("make_wrong", [None, break_a_service, break_the_owner, break_the_packages])
def test_contents_are_never_printed(
    host: FakeHost, make_wrong: Callable[[FakeHost], None] | None, capsys: Output
) -> None:
    if make_wrong:
        make_wrong(host)
    assert host.apply() == (1 if make_wrong else 0)
    captured = capsys.readouterr()
    assert captured.out + captured.err
    assert SECRET not in captured.out + captured.err
    state = host.folder / "state" / "apply.json"
    assert not state.exists() or SECRET not in state.read_text()


def test_packages_that_are_missing_are_installed_with_services_kept_off(host: FakeHost, capsys: Output) -> None:
    (host.folder / "packages").write_text("ii sip\nrc web\n")
    host.packages = ["sip", "web", "gui"]
    for name in host.packages:
        host.flag(f"available/{name}")
    assert host.apply() == 0
    installs = host.called("apt-get")
    assert [" update " in f"{call} " for call in installs] == [True, False]
    assert installs[1].endswith("web gui [policy-rc.d: 101]")
    assert "--no-install-recommends" in installs[1]
    assert not (host.folder / "policy-rc.d").exists()
    assert {"installed web", "installed gui"} <= set(said(capsys))


def test_packages_that_are_there_are_neither_asked_for_nor_upgraded(settled: FakeHost) -> None:
    (settled.folder / "packages").write_text("ii sip\n")
    settled.packages = ["sip"]
    assert settled.apply() == 0
    assert settled.called("apt-get") == []


def test_an_installation_that_failed_is_told_with_apts_reason_and_leaves_no_policy(
    host: FakeHost, capsys: Output
) -> None:
    host.packages = ["sip"]
    host.flag("apt-fails")
    assert host.apply() == 1
    assert "E: Unable to locate package" in complained(capsys)
    assert not (host.folder / "policy-rc.d").exists()
    host.flag("apt-fails", on=False)
    host.flag("available/sip")
    assert host.apply() == 0


def test_a_policy_that_an_interrupted_installation_left_goes_with_the_next_run(settled: FakeHost) -> None:
    """Else no upgrade would ever restart a service again."""
    (settled.folder / "packages").write_text("ii sip\n")
    settled.packages = ["sip"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(PowerCutError):
        patch.setattr(apply, "_apt", cut)
        patch.setattr(apply, "_installed", set)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        settled.apply()
    assert (settled.folder / "policy-rc.d").exists()
    assert settled.apply() == 0
    assert not (settled.folder / "policy-rc.d").exists()


@pytest.mark.parametrize(("container", "installed"), [(True, ["sip"]), (False, ["sip", "dkms"])])
def test_packages_for_hardware_are_not_installed_in_a_container(
    host: FakeHost, container: bool, installed: list[str]
) -> None:
    host.packages, host.hardware_packages = ["sip"], ["dkms"]
    host.flag("container", on=container)
    for name in ("sip", "dkms"):
        host.flag(f"available/{name}")
    assert host.apply() == 0
    assert f"{' '.join(installed)} [policy" in host.called("apt-get")[1]


def test_services_of_fresh_packages_are_started_by_apply_in_its_order(host: FakeHost) -> None:
    host.packages = ["sip"]
    host.flag("available/sip")
    host.apply()
    calls = [call.split(" [")[0] for call in host.called()]
    assert calls.index("systemctl restart web") > next(n for n, c in enumerate(calls) if " install " in c)


@pytest.fixture
def counting(host: FakeHost) -> FakeHost:
    """A host of a database pair's quorum, after its first run."""
    host.file("/etc/m2/quorum.json", "{}")
    assert host.apply() == 0
    assert host.called("quorum") == [], "a new host has nothing to guard"
    return host


def test_a_host_of_the_quorum_restarts_only_under_the_pairs_lock(counting: FakeHost) -> None:
    counting.file("/etc/sip.conf", "port 5070\n")
    assert counting.apply() == 0
    calls = counting.called()
    locked, restarted = calls.index("quorum lock core-1"), calls.index("systemctl restart sip")
    assert locked < restarted < calls.index("quorum unlock core-1")


def test_without_a_restart_nobody_is_asked_for_the_lock(counting: FakeHost) -> None:
    counting.file("/etc/web/sites.list", "b\n")
    assert counting.apply() == 0
    assert counting.called("quorum") == []


def test_a_host_that_counts_in_no_quorum_has_no_lock(settled: FakeHost) -> None:
    settled.file("/etc/sip.conf", "port 5070\n")
    assert settled.apply() == 0
    assert settled.called("quorum") == []


def test_while_another_host_of_the_pair_is_changed_nothing_restarts_here(counting: FakeHost, capsys: Output) -> None:
    counting.flag("quorum-refuses-lock")
    counting.file("/etc/sip.conf", "port 5070\n")
    assert counting.apply() == 1
    assert "database-2 is being changed" in complained(capsys)
    assert counting.called("systemctl restart") == []
    counting.flag("quorum-refuses-lock", on=False)
    assert counting.apply() == 0
    assert counting.called("systemctl restart") == ["systemctl restart sip"]


def test_a_quorum_that_is_gone_does_not_stop_its_own_repair(counting: FakeHost) -> None:
    counting.flag("quorum-gone")
    counting.file("/etc/sip.conf", "port 5070\n")
    assert counting.apply() == 0
    assert counting.called("systemctl restart") == ["systemctl restart sip"]
    assert "quorum unlock core-1" not in counting.called()


def test_a_quorum_that_is_not_as_complete_as_before_is_told_and_the_next_run_finds_nothing_to_do(
    counting: FakeHost, capsys: Output
) -> None:
    counting.flag("quorum-refuses-unlock")
    counting.file("/etc/sip.conf", "port 5070\n")
    assert counting.apply() == 1
    assert "lock" in complained(capsys)


def test_a_failed_restart_keeps_the_lock_until_it_expires(counting: FakeHost) -> None:
    counting.flag("broken/sip")
    counting.file("/etc/sip.conf", "port 5070\n")
    assert counting.apply() == 1
    assert counting.called("quorum") == ["quorum lock core-1"]
