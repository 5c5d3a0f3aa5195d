"""Power as somebody at the rack has it."""

from __future__ import annotations

import pytest

from tests.unit.localcloud.hetzner.running_api import FSN1, Api, HcloudClient, StagedBackend, make_server


def test_servers_and_their_addresses(api: Api, client: HcloudClient) -> None:
    server = make_server(client, "core-1")
    vip = client.floating_ips.create(type="ipv4", server=server)
    vip.action.wait_until_finished()
    client.floating_ips.create(type="ipv4", home_location=FSN1)
    assert api.raw("GET", "/local/servers").json() == {
        "servers": [
            {
                "id": server.id,
                "name": "core-1",
                "state": "running",
                "addresses": [server.public_net.ipv4.ip, vip.floating_ip.ip],
            }
        ]
    }


def test_power(api: Api, client: HcloudClient, backend: StagedBackend) -> None:
    server = make_server(client, "core-1")
    for what, state in (("cut", "off"), ("on", "running"), ("freeze", "running"), ("thaw", "running"), ("off", "off")):
        reply = api.raw("POST", "/local/servers/core-1/power", json={"what": what})
        assert (reply.status_code, reply.json()) == (200, {"server": "core-1", "state": state})
        assert backend.is_running(server.id) is (state == "running")
    verbs = [verb for verb, _ in backend.calls[-4:]]
    assert verbs == ["cut_power", "rewire", "start", "cut_power"]


def test_a_power_cut_waits_for_no_lock(api: Api, client: HcloudClient, backend: StagedBackend) -> None:
    server = make_server(client, "core-1")
    server.power_off().wait_until_finished()
    backend.held = "start"
    backend.go_on.clear()
    starting = server.power_on()
    assert api.raw("POST", "/local/servers/core-1/power", json={"what": "cut"}).status_code == 200
    assert ("cut_power", server.id) in backend.calls[-2:]
    backend.go_on.set()
    starting.wait_until_finished()


@pytest.mark.parametrize(
    ("name", "what", "status", "code"),
    [("core-9", "cut", 404, "not_found"), ("core-1", "explode", 422, "invalid_input")],
)
def test_refusals(api: Api, client: HcloudClient, name: str, what: str, status: int, code: str) -> None:
    make_server(client, "core-1")
    reply = api.raw("POST", f"/local/servers/{name}/power", json={"what": what})
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


def test_a_machine_that_does_not_start(api: Api, client: HcloudClient, backend: StagedBackend) -> None:
    make_server(client, "core-1")
    backend.fault = "start"
    reply = api.raw("POST", "/local/servers/core-1/power", json={"what": "on"})
    assert (reply.status_code, reply.json()["error"]["message"]) == (500, "start was told to fail")
