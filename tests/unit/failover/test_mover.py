"""The mover over real TLS: whom it obeys, what it moves, and what it does with bad requests."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from typing import Any

import pytest

from failover.cloud import CloudError
from failover.config import MoverConfig
from failover.https import LARGEST_BODY
from failover.mover import Mover
from tests.unit.failover.conftest import Connect
from tests.unit.failover.fake_api import BACKUP, MAIN, NETWORK_DESTINATION, ROUTE, FakeApi
from tests.unit.failover.movers import (
    DATABASE_1,
    PATIENCE,
    SIP,
    Certificates,
    Connection,
    FakeCloud,
    serving,
    stack,
)


def test_it_tells_who_holds_what(connect: Connect, cloud: FakeCloud) -> None:
    cloud.owners = {"sip": "balancer-1"}
    assert connect("balancer-2").get() == (200, {"sip": "balancer-1", "database": None})


@pytest.mark.parametrize(
    ("host", "address"),
    [("balancer-1", "sip"), ("balancer-2", "sip"), ("database-1", "database"), ("database-2", "database")],
)
def test_a_member_gets_the_address_that_it_asks_for(
    connect: Connect, cloud: FakeCloud, host: str, address: str
) -> None:
    assert connect(host).post(f"/addresses/{address}") == (200, {"holder": host})
    assert cloud.moves == [(address, host)]


@pytest.mark.parametrize(
    ("host", "address"),
    [("balancer-1", "database"), ("database-1", "sip"), ("gui", "sip"), ("gui", "database"), ("balancer-1", "other")],
)
def test_whoever_is_no_member_gets_nothing(connect: Connect, cloud: FakeCloud, host: str, address: str) -> None:
    status, answer = connect(host).post(f"/addresses/{address}")
    assert status == 403
    assert host in answer["error"]
    assert address in answer["error"]
    assert cloud.moves == []


def test_nobody_can_claim_for_somebody_else(connect: Connect, cloud: FakeCloud) -> None:
    """Who asks is who the certificate says, whatever the request says."""
    body = {"host": "balancer-2", "member": "balancer-2", "holder": "balancer-2"}
    assert connect("balancer-1").post("/addresses/sip?host=balancer-2", body)[0] in (200, 403)
    assert ("sip", "balancer-2") not in cloud.moves


def test_who_asks_who_holds_what_is_heard() -> None:
    mover = Mover(MoverConfig(DATABASE_1, 0, "", (SIP,)), endless(FakeApi()), began=time.monotonic() - 100)
    mover.hear("balancer-1")
    heard = mover.heard()
    assert heard["balancer-1"] < PATIENCE
    assert 100 <= heard["balancer-2"] < 100 + PATIENCE, "never: since the mover began"


def test_the_holder_asks_for_nothing_new(connect: Connect, cloud: FakeCloud) -> None:
    cloud.owners = {"sip": "balancer-1"}
    assert connect("balancer-1").post("/addresses/sip") == (200, {"holder": "balancer-1"})
    assert cloud.moves == []


@pytest.mark.parametrize(
    ("holder", "moves"),
    [("database-2", []), ("?", []), ("database-1", []), (None, [("database", "database-1")])],
)
def test_an_address_that_somebody_has_stays_when_it_is_asked_for_only_if_free(
    connect: Connect, cloud: FakeCloud, holder: str | None, moves: list[tuple[str, str]]
) -> None:
    cloud.owners = {"database": holder}
    status, answer = connect("database-1").post("/addresses/database", {"only_if_free": True})
    assert (status, answer) == (200, {"holder": holder or "database-1"})
    assert cloud.moves == moves


def test_an_address_that_somebody_took_in_between_stays_when_it_was_asked_for_only_if_free() -> None:
    """Each database host has a mover: adding the route is the compare-and-set between them."""

    def quicker(api: FakeApi) -> None:
        api.routes[NETWORK_DESTINATION] = MAIN.ip

    api = FakeApi(meanwhile=quicker)
    mover = Mover(MoverConfig(DATABASE_1, 0, "", (ROUTE,)), endless(api))
    assert mover.claim("database", BACKUP.name, only_if_free=True) == MAIN.name
    assert api.holder(ROUTE) == MAIN.name


def endless(api: FakeApi) -> Any:
    """The mover counts its deadline with the machine's clock; the API's clock stands before it."""
    api.clock = 0.0
    return api.client()


def test_a_cloud_that_does_not_move_the_address_is_told_in_one_sentence(connect: Connect, cloud: FakeCloud) -> None:
    cloud.error = CloudError("the API answered 423 locked")
    assert connect("balancer-1").post("/addresses/sip") == (502, {"error": "the API answered 423 locked"})
    assert connect("balancer-1").get() == (502, {"error": "the API answered 423 locked"})


def test_a_fault_of_the_cloud_that_nobody_thought_of_does_not_end_the_service(
    connect: Connect, cloud: FakeCloud
) -> None:
    cloud.error = ValueError("Expecting value: line 1 column 1")
    status, _ = connect("balancer-1").post("/addresses/sip")
    assert status >= 500, "the request was right"
    cloud.error = None
    assert connect("balancer-1").get()[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/addresses/sip", 404),
        ("GET", "/addresses/../token", 404),
        ("POST", "/", 404),
        ("POST", "/sip", 404),
        ("POST", "/other/sip", 404),
        ("POST", "/addresses/sip/more", 404),
        ("POST", "/addresses/", 403),
    ],
)
def test_there_is_nothing_but_the_list_of_addresses(
    connect: Connect, cloud: FakeCloud, method: str, path: str, status: int
) -> None:
    assert connect("balancer-1").ask(method, path)[0] == status
    assert cloud.moves == []


@pytest.mark.parametrize("body", ["{", "only_if_free", "\x00", '"only_if_free"', "[1]", "true", "[" * 1000])
def test_a_body_that_is_no_json_object_is_refused(connect: Connect, cloud: FakeCloud, body: str) -> None:
    """Else a claim that was meant to leave the address where it is would move it."""
    status, answer = connect("balancer-1").ask("POST", "/addresses/sip", body)
    assert status == 400
    assert "JSON" in answer["error"]
    assert cloud.moves == []


def test_a_body_that_is_too_long_is_refused(connect: Connect, cloud: FakeCloud) -> None:
    status, _ = connect("balancer-1").ask("POST", "/addresses/sip", " " * (LARGEST_BODY + 1))
    assert status == 413
    assert cloud.moves == []


@pytest.mark.parametrize("length", ["-1", "ten"])
def test_a_length_that_is_none_is_refused_and_not_waited_for(connect: Connect, cloud: FakeCloud, length: str) -> None:
    connection = connect("balancer-1")
    connection.http.timeout = 2.0
    status, _ = connection.ask("POST", "/addresses/sip", None, Content_Length=length)
    assert status == 400
    assert cloud.moves == []


def test_a_connection_serves_several_requests(connect: Connect) -> None:
    connection = connect("balancer-1")
    assert connection.get()[0] == 200
    used = connection.http.sock
    assert connection.post("/addresses/sip")[0] == 200
    assert connection.http.sock is used


def test_two_hosts_that_claim_at_once_are_served_one_after_the_other(connect: Connect, cloud: FakeCloud) -> None:
    cloud.go_on.clear()
    connections = [connect("balancer-1"), connect("balancer-2")]
    answers: list[tuple[int, object]] = []
    threads = [threading.Thread(target=lambda c=c: answers.append(c.post("/addresses/sip"))) for c in connections]
    for thread in threads:
        thread.start()
    threading.Timer(0.2, cloud.go_on.set).start()
    for thread in threads:
        thread.join(PATIENCE)
    assert [status for status, _ in answers] == [200, 200]
    assert cloud.most_at_once == 1
    assert cloud.owners["sip"] == cloud.moves[-1][1]


def test_a_move_of_one_address_does_not_hold_up_another(connect: Connect, cloud: FakeCloud) -> None:
    cloud.go_on.clear()
    first, second = connect("balancer-1"), connect("database-1")
    slow = threading.Thread(target=first.post, args=("/addresses/sip",))
    slow.start()
    other = threading.Thread(target=second.post, args=("/addresses/database",))
    other.start()
    until_moving(cloud, 2)
    cloud.go_on.set()
    slow.join(PATIENCE)
    other.join(PATIENCE)
    assert cloud.owners == {"sip": "balancer-1", "database": "database-1"}


def until_moving(cloud: FakeCloud, count: int) -> None:
    waited = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        if cloud.at_once == count:
            return
        waited.wait(0.02)
    raise AssertionError(f"{cloud.at_once} moves at once, not {count}")


def test_somebody_without_a_certificate_is_refused(port: int, certificates: Certificates) -> None:
    certificates.client("gui")
    nobody = ssl.create_default_context(cafile=str(certificates.folder / "gui-r" / "ca.pem"))
    with pytest.raises(OSError):
        Connection(port, nobody).get()


def test_a_certificate_of_another_authority_is_refused(port: int, certificates: Certificates, cloud: FakeCloud) -> None:
    """It has the name of a member, and trusts the mover."""
    certificates.client("balancer-1")
    stranger = stack("x" * 32).certificate("balancer-1", "127.0.0.11")
    for name, text in (("x.pem", stranger.certificate), ("x.key", stranger.key)):
        (certificates.folder / name).write_text(text)
    context = ssl.create_default_context(cafile=str(certificates.folder / "balancer-1-r" / "ca.pem"))
    context.load_cert_chain(certificates.folder / "x.pem", certificates.folder / "x.key")
    with pytest.raises(OSError):
        Connection(port, context).post("/addresses/sip")
    assert cloud.moves == []


def test_a_host_does_not_talk_to_a_mover_of_another_authority(certificates: Certificates, cloud: FakeCloud) -> None:
    false = certificates.server("database-1", stack("x" * 32))
    with serving(cloud, false) as port, pytest.raises(ssl.SSLCertVerificationError):
        Connection(port, certificates.client("balancer-1")).get()


def test_a_host_does_not_talk_to_another_member_of_the_stack_at_the_movers_address(
    certificates: Certificates, cloud: FakeCloud
) -> None:
    other = certificates.server("gui")
    with serving(cloud, other) as port, pytest.raises(ssl.SSLCertVerificationError):
        Connection(port, certificates.client("balancer-1")).get()


def test_old_versions_of_tls_are_refused(port: int, certificates: Certificates) -> None:
    old = certificates.client("balancer-1")
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError):
        Connection(port, old).get()


@pytest.mark.parametrize("says", [b"", b"GET /addresses HTTP/1.1\r\n\r\n"], ids=["nothing", "plain HTTP"])
def test_a_peer_that_speaks_no_tls_does_not_hold_up_the_others(connect: Connect, port: int, says: bytes) -> None:
    with socket.create_connection((DATABASE_1, port)) as silent:
        silent.sendall(says)
        assert connect("balancer-1").get()[0] == 200


def test_moves_are_logged_with_both_hosts_and_looks_are_not(
    connect: Connect, cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.owners = {"sip": "balancer-1"}
    with caplog.at_level(logging.INFO):
        connection = connect("balancer-2")
        connection.get()
        connection.post("/addresses/sip")
    assert [record.getMessage() for record in caplog.records] == ["sip moved from balancer-1 to balancer-2"]
