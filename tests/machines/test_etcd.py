"""The record in three real etcd members with the role's own settings: quorum, cuts, and the leader's place."""

from __future__ import annotations

import re
import signal
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined

from failover.etcd import Etcd, EtcdError, _Connection
from failover.record import Mode, Record
from stacks.secrets import StackSecrets
from tests.machines.bare_hosts import PROJECT, Host, hosts
from tests.machines.lab import until

pytestmark = pytest.mark.machines

ADDRESSES = {"database-1": "10.77.0.1", "database-2": "10.77.0.2", "gui": "10.77.0.3"}
SETTINGS = PROJECT / "roles/quorum/files/etc/default/etcd.j2"
SECRETS = StackSecrets("r" * 32, "quorum", 1, datetime.now(UTC).date())
RECORD = Record("c", 1, "database-1", Mode.SINGLE)
TIMEOUT = 5.0


class Quorum:
    """The members; `client` is an agent on one of them."""

    def __init__(self, members: dict[str, Host], folder: Path) -> None:
        self.members = members
        self.folder = folder
        self.processes: dict[str, int] = {}

    def start(self, name: str) -> None:
        self.processes[name] = self.members[name].start(
            "/usr/bin/etcd", log="etcd.log", environment=_settings(self.members, name)
        )

    def kill(self, name: str) -> None:
        self.members[name].signal(self.processes[name], signal.SIGKILL)

    def client(self, name: str) -> Etcd:
        others = [address for other, address in ADDRESSES.items() if other != name]
        return Etcd((ADDRESSES[name], *others), _context(self.folder / name / "etc/m2"))

    def leader(self) -> str:
        """The name of the member that leads."""
        with self.members["gui"].network():
            return next(name for name in ADDRESSES if self._leads(name))

    def _leads(self, name: str) -> bool:
        with _Connection(ADDRESSES[name], 2379, self.client("gui").context) as connection:
            status: dict[str, Any] = connection.post("/v3/maintenance/status", {}, time.monotonic() + 2)
        return bool(status["leader"] == status["header"]["member_id"])


@pytest.fixture
def quorum(no_cloud: None, tmp_path: Path) -> Iterator[Quorum]:
    with hosts(tmp_path, ADDRESSES) as members:
        for host in members.values():
            _configure(host)
        made = Quorum(members, tmp_path)
        for name in members:
            made.start(name)
        etcd = made.client("database-1")
        with members["database-1"].network():
            until(lambda: len(etcd.healthy(1)) == len(members), 20, "three healthy members")
        yield made


def test_a_record_lives_through_cuts_and_the_loss_of_one_member(quorum: Quorum) -> None:
    etcd = quorum.client("database-1")
    with quorum.members["database-1"].network():
        assert etcd.swap(RECORD, 0, TIMEOUT)
        view = etcd.read(TIMEOUT)
        assert view.record == RECORD
        assert etcd.renew(view.record_revision, "1", TIMEOUT)
        quorum.kill("gui")
        assert etcd.swap(replace(RECORD, epoch=2), view.record_revision, TIMEOUT)
        assert not etcd.swap(replace(RECORD, epoch=3), view.record_revision, TIMEOUT)
        assert not etcd.renew(view.record_revision, "2", TIMEOUT)
        assert etcd.healthy(1) == (ADDRESSES["database-1"], ADDRESSES["database-2"])
        quorum.start("gui")
        until(lambda: len(etcd.healthy(1)) == 3, 20, "the third member again")


def test_a_member_that_is_cut_off_says_so_in_time_and_the_others_go_on(quorum: Quorum) -> None:
    isolated, other = quorum.client("database-1"), quorum.client("database-2")
    with quorum.members["database-2"].network():
        assert other.swap(RECORD, 0, TIMEOUT)
    quorum.members["database-1"].link("down")
    with quorum.members["database-1"].network():
        began = time.monotonic()
        with pytest.raises(EtcdError, match="etcd does not answer"):
            isolated.read(1.0)
        assert time.monotonic() - began < 2
    with quorum.members["database-2"].network():
        assert other.read(TIMEOUT).record == RECORD
    quorum.members["database-1"].link("up")
    with quorum.members["database-1"].network():
        assert isolated.read(TIMEOUT).record == RECORD


def test_a_write_without_a_quorum_is_never_called_done(quorum: Quorum) -> None:
    etcd = quorum.client("database-1")
    quorum.kill("database-2")
    quorum.kill("gui")
    with quorum.members["database-1"].network():
        with pytest.raises(EtcdError):
            etcd.swap(RECORD, 0, 1.0)
        quorum.start("gui")
        until(lambda: len(etcd.healthy(1)) == 2, 20, "a quorum again")
        assert etcd.read(TIMEOUT).record in (None, RECORD)


def test_the_database_s_host_does_not_keep_the_lead(quorum: Quorum) -> None:
    for name in ("database-1", "database-2"):
        with quorum.members[name].network():
            quorum.client(name).lead_elsewhere(TIMEOUT)
    assert quorum.leader() == "gui"
    with quorum.members["gui"].network():
        replace(quorum.client("gui"), endpoints=(ADDRESSES["gui"], ADDRESSES["database-1"])).lead_elsewhere(TIMEOUT)
    assert quorum.leader() == "database-1"
    with quorum.members["database-1"].network():
        etcd = Etcd(tuple(ADDRESSES.values()), quorum.client("database-1").context)
        etcd.lead_elsewhere(TIMEOUT)
    assert quorum.leader() == "gui"


def test_a_forgotten_lock_goes_by_itself(quorum: Quorum) -> None:
    etcd = quorum.client("database-1")
    with quorum.members["database-1"].network():
        assert etcd.lock("apply", 1, TIMEOUT) is None
        assert etcd.lock("patch", 60, TIMEOUT) == "apply"
        until(lambda: etcd.lock("patch", 60, TIMEOUT) is None, 20, "the lock of a dead owner")
        etcd.unlock("patch", TIMEOUT)
        assert etcd.lock("apply", 60, TIMEOUT) is None


def _settings(members: dict[str, Host], name: str) -> dict[str, str]:
    """The role's environment file, as systemd reads it."""
    site = SimpleNamespace(stack="test", with_role=lambda role: [_plan(host) for host in members.values()])
    template = Environment(undefined=StrictUndefined, autoescape=False).from_string(SETTINGS.read_text())  # noqa: S701
    return dict(re.findall(r"^(ETCD_\w+)=(.*)$", template.render(host=_plan(members[name]), site=site), re.MULTILINE))


def _plan(host: Host) -> SimpleNamespace:
    return SimpleNamespace(name=host.name, private_ip=host.address)


def _configure(host: Host) -> None:
    """Certificates; this user reads them in a test."""
    pair = SECRETS.certificate(host.name, host.address)
    for name, text in (
        ("tls/ca.pem", SECRETS.authority),
        ("etcd/tls.pem", pair.certificate),
        ("etcd/tls.key", pair.key),
    ):
        path = host.folder / "etc/m2" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def _context(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(folder / "tls/ca.pem"))
    context.load_cert_chain(folder / "etcd/tls.pem", folder / "etcd/tls.key")
    return context
