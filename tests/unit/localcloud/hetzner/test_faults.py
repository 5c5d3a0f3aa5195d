"""Faults that somebody asks for: which calls they are about, what happens, and when it is over."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests
from hcloud import APIException
from hcloud.actions import ActionFailedException

from localcloud.backend import Loss
from localcloud.hetzner import fault_panel
from localcloud.hetzner.faults import Call, CallFault, Fault, ending, sentence, strikes
from tests.unit.localcloud.hetzner.running_api import (
    FSN1,
    Api,
    HcloudClient,
    StagedBackend,
    eventually,
    make_server,
    refusal,
)


@pytest.mark.parametrize(
    ("fault", "call", "struck"),
    [
        ({}, ("GET", "/servers", None), True),
        ({"path": "/servers"}, ("GET", "/servers", None), True),
        ({"path": "/servers"}, ("GET", "/servers/1", None), False),
        ({"path": "/servers/*"}, ("GET", "/servers/1", None), True),
        ({"path": "/servers/*"}, ("GET", "/servers/1/actions/reset", None), False),
        ({"path": "/servers/**"}, ("GET", "/servers/1/actions/reset", None), True),
        ({"path": "/networks/*/actions/add_route"}, ("POST", "/networks/7/actions/add_route", None), True),
        ({"path": "/networks/*/actions/add_route"}, ("POST", "/networks/7/actions/delete_route", None), False),
        ({"method": "POST"}, ("GET", "/servers", None), False),
        ({"caller": "core-1"}, ("GET", "/servers", "core-1"), True),
        ({"caller": "core-1"}, ("GET", "/servers", "core-2"), False),
        ({"caller": "core-1"}, ("GET", "/servers", None), False),
    ],
)
def test_which_calls(fault: dict[str, Any], call: tuple[str, str, str | None], struck: bool) -> None:
    assert strikes(CallFault(status=500, **fault), Call(*call)) is struck


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "resource_limit_exceeded"), (409, "conflict"), (412, "resource_unavailable"), (423, "locked"),
        (429, "rate_limit_exceeded"), (500, "server_error"), (502, "bad_gateway"), (503, "unavailable"),
        (504, "timeout"),
    ],
)  # fmt: skip
def test_calls_fail_as_the_provider_documents(api: Api, status: int, code: str) -> None:
    begin(api, {"type": "api", "path": "/placement_groups", "status": status, "count": 1})
    reply = post_group(api)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert reply.json()["error"].keys() == {"code", "message", "details"}
    assert post_group(api).status_code == 201


def test_a_failing_call_does_nothing(api: Api, client: HcloudClient) -> None:
    begin(api, {"type": "api", "method": "POST", "status": 503})
    with pytest.raises(APIException) as error:
        client.placement_groups.create(name="one", type="spread")
    assert refusal(error) == "unavailable"
    assert client.placement_groups.get_all() == []


@pytest.mark.parametrize(("moment", "made"), [("before", []), ("after", ["one"])])
def test_a_reply_is_lost(api: Api, client: HcloudClient, moment: str, made: list[str]) -> None:
    begin(api, {"type": "api", "method": "POST", "reply_lost": moment})
    with pytest.raises(requests.ConnectionError):
        post_group(api)
    assert [group.name for group in client.placement_groups.get_all()] == made


def test_a_late_call(api: Api) -> None:
    begin(api, {"type": "api", "path": "/locations", "delay_s": 0.2, "status": 500})
    began = time.monotonic()
    assert api.raw("GET", "/v1/locations").status_code == 500
    assert time.monotonic() - began >= 0.2
    assert api.raw("GET", "/v1/pricing").status_code == 200


@pytest.mark.parametrize(("moment", "assigned"), [("before", False), ("after", True)])
def test_an_action_ends_in_error(api: Api, client: HcloudClient, moment: str, assigned: bool) -> None:
    server = make_server(client)
    floating = client.floating_ips.create(type="ipv4", home_location=FSN1).floating_ip
    begin(api, {"type": "api", "path": "/floating_ips/*/actions/assign", "action_error": moment, "count": 1})
    action = floating.assign(server)
    with pytest.raises(ActionFailedException):
        action.wait_until_finished()
    assert client.actions.get_by_id(action.id).error == {"code": "action_failed", "message": "Action failed"}
    assert bool(client.floating_ips.get_by_id(floating.id).server) is assigned
    assert bool(api.backend.world.floating) is assigned
    if not assigned:
        floating.assign(server).wait_until_finished()
    assert api.backend.world.floating == ((floating.ip, server.id),)


def test_links_are_cut_while_both_servers_are_there(api: Api, client: HcloudClient, backend: StagedBackend) -> None:
    one, two = make_server(client, "one"), make_server(client, "two")
    both = begin(api, {"type": "link", "source": "one", "destination": "two"})
    assert losses(backend) == [Loss(one.id, two.id, 100), Loss(two.id, one.id, 100)]
    begin(api, {"type": "link", "source": "two", "destination": "api", "both_ways": False, "percent": 30})
    end(api, both)
    assert losses(backend) == [Loss(two.id, "api", 30)]
    two.delete().wait_until_finished()
    assert losses(backend) == []
    again = make_server(client, "two")
    assert losses(backend) == [Loss(again.id, "api", 30)]


def test_machines_without_power_frozen_and_full(api: Api, client: HcloudClient, backend: StagedBackend) -> None:
    server = make_server(client, "one")
    power = begin(api, {"type": "power", "server": "one"})
    assert not backend.is_running(server.id)
    end(api, power)
    assert backend.is_running(server.id)
    full = begin(api, {"type": "fill", "server": "one", "disk": "root"})
    assert backend.full == {(server.id, "root")}
    end(api, full)
    assert backend.full == set()


def test_a_machine_that_cannot_be_healed_now_is_healed_later(
    api: Api, client: HcloudClient, backend: StagedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk that is not mounted, because the machine has no power."""
    monkeypatch.setattr(fault_panel, "RETRY_S", 0.1)
    server = make_server(client, "one")
    full = begin(api, {"type": "fill", "server": "one", "disk": "data"})
    backend.fault = "free"
    reply = api.raw("DELETE", f"/local/faults/{full}")
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "fault_stays")
    assert backend.full == {(server.id, "data")}
    backend.fault = None
    assert eventually(lambda: backend.full == set())
    assert eventually(lambda: listed(api) == [])


def test_a_fault_ends_by_itself(api: Api, client: HcloudClient, backend: StagedBackend) -> None:
    server = make_server(client, "one")
    begin(api, {"type": "power", "server": "one"}, seconds=0.1)
    assert not backend.is_running(server.id)
    assert eventually(lambda: backend.is_running(server.id))
    assert eventually(lambda: listed(api) == [])


def test_faults_outlive_a_restart(api: Api, client: HcloudClient) -> None:
    begin(api, {"type": "api", "path": "/placement_groups", "method": "POST", "status": 423, "count": 2})
    begin(api, {"type": "api", "path": "/pricing", "status": 500}, seconds=0.3)
    assert post_group(api).status_code == 423
    api.stop()
    api.start()
    assert api.raw("GET", "/v1/pricing").status_code == 500
    assert post_group(api).status_code == 423
    assert post_group(api).status_code == 201
    assert eventually(lambda: listed(api) == [])
    assert api.raw("GET", "/v1/pricing").status_code == 200


def test_an_action_that_is_to_fail_does_so_after_a_restart(
    api: Api, client: HcloudClient, backend: StagedBackend
) -> None:
    server = make_server(client)
    backend.held = "cut_power"
    backend.go_on.clear()
    begin(api, {"type": "api", "path": "/servers/*/actions/poweroff", "action_error": "after", "count": 1})
    action = server.power_off()
    api.stop()
    backend.go_on.set()
    api.start()
    with pytest.raises(ActionFailedException):
        api.client().actions.get_by_id(action.id).wait_until_finished()
    assert api.client().servers.get_by_id(server.id).status == "off"


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ({"type": "freeze", "server": "two"}, 404, "there is no server 'two'; servers are: one"),
        ({"type": "link", "source": "one", "destination": "two"}, 404, "there is no server 'two'"),
        ({"type": "link", "source": "one", "destination": "one"}, 422, "'one' cannot be cut from itself"),
        ({"type": "link", "source": "api", "destination": "everything"}, 422, "has to be a server"),
        ({"type": "link", "source": "one", "destination": "api", "percent": 101}, 422, "percent"),
        ({"type": "api", "status": 500, "reply_lost": "before"}, 422, "only one of"),
        ({"type": "api"}, 422, "one of delay_s, status, reply_lost and action_error is needed"),
        ({"type": "api", "status": 418}, 422, "status"),
        ({"type": "fire", "server": "one"}, 422, "fault"),
    ],
)
def test_refusals(api: Api, client: HcloudClient, fault: dict[str, Any], status: int, words: str) -> None:
    make_server(client, "one")
    reply = api.raw("POST", "/local/faults", json={"fault": fault})
    assert (reply.status_code, words in reply.json()["error"]["message"]) == (status, True), reply.text
    assert listed(api) == []


def test_an_unknown_fault_cannot_be_cleared(api: Api) -> None:
    assert api.raw("DELETE", "/local/faults/7").status_code == 404


def test_words() -> None:
    spec = CallFault(method="POST", path="/servers", caller="core-1", delay_s=2.5, reply_lost="after", count=3)
    assert sentence(spec) == "POST /servers from core-1: 2.5 s late, no reply, the work is done"
    assert ending(Fault(id=1, spec=spec, begun=90.0, until=110.0, struck=1), now=100.0) == "after 2 more or in 10 s"
    assert ending(Fault(id=1, spec=CallFault(status=500), begun=90.0, until=None), now=100.0) == "when cleared"


def begin(api: Api, fault: dict[str, Any], seconds: float | None = None) -> int:
    reply = api.raw("POST", "/local/faults", json={"fault": fault, "seconds": seconds})
    assert reply.status_code == 201, reply.text
    return int(reply.json()["fault"]["id"])


def end(api: Api, ident: int) -> None:
    assert api.raw("DELETE", f"/local/faults/{ident}").status_code == 200


def listed(api: Api) -> list[Any]:
    return list(api.raw("GET", "/local/faults").json()["faults"])


def losses(backend: StagedBackend) -> list[Loss]:
    return list(backend.world.losses)


def post_group(api: Api) -> requests.Response:
    return api.raw("POST", "/v1/placement_groups", json={"name": "one", "type": "spread"})
