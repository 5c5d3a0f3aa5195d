"""Volumes, firewalls, SSH keys, and what is for sale, through the provider's client."""

from __future__ import annotations

import pytest
from hcloud import APIException
from hcloud.actions import ActionFailedException
from hcloud.firewalls import FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.locations import Location
from hcloud.servers import ServerCreatePublicNetwork

from localcloud.backend import FirewallRule as WorldRule
from localcloud.hetzner import catalog
from tests.unit.localcloud.hetzner.running_api import (
    FSN1,
    Api,
    HcloudClient,
    StagedBackend,
    make_server,
    refusal,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl someone"
SSH = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["192.0.2.0/24", "::/0"])
RTP = FirewallRule(direction="in", protocol="udp", port="16384-32768", source_ips=["0.0.0.0/0"])
PING = FirewallRule(direction="in", protocol="icmp", source_ips=["0.0.0.0/0"], description="ping")


def make_volume(client: HcloudClient, name: str = "data", **more: object) -> HcloudClient:
    created = client.volumes.create(name=name, **{"size": 10, "location": FSN1, **more})
    for action in (created.action, *created.next_actions):
        action.wait_until_finished()
    return client.volumes.get_by_id(created.volume.id)


def test_a_volume_and_its_device(client: HcloudClient, backend: StagedBackend) -> None:
    volume = make_volume(client, format="ext4", labels={"a": "b"})
    assert (volume.status, volume.size, volume.format, volume.server) == ("available", 10, "ext4", None)
    assert volume.linux_device == f"/dev/disk/by-id/scsi-0HC_Volume_{volume.id}"
    assert backend.volumes == {volume.id: None}


def test_attach_and_detach(client: HcloudClient, backend: StagedBackend) -> None:
    server, volume = make_server(client), make_volume(client)
    volume.attach(server).wait_until_finished()
    assert backend.volumes == {volume.id: server.id}
    assert [each.id for each in client.servers.get_by_id(server.id).volumes] == [volume.id]
    with pytest.raises(APIException) as error:
        volume.attach(server)
    assert refusal(error) == "volume_already_attached"
    with pytest.raises(APIException) as error:
        volume.delete()
    assert refusal(error) == "resource_in_use"
    volume.detach().wait_until_finished()
    assert backend.volumes == {volume.id: None}
    volume.delete()
    assert client.volumes.get_all() == []
    assert backend.volumes == {}


def test_volumes_and_servers_are_in_one_location(client: HcloudClient) -> None:
    volume = make_volume(client, location=Location(name="hel1"))
    with pytest.raises(APIException) as error:
        volume.attach(make_server(client))
    assert refusal(error) == "invalid_input"


@pytest.mark.parametrize(
    "wrong", [{"size": 9}, {"size": 10241}, {"name": "-x"}, {"format": "btrfs"}, {"location": None}]
)
def test_volumes_that_nobody_sells(api: Api, wrong: dict[str, object]) -> None:
    body = {"name": "data", "size": 10, "location": "fsn1"} | wrong
    reply = api.raw("POST", "/v1/volumes", json=body)
    field = reply.json()["error"]["details"]["fields"][0]["name"]
    assert (reply.status_code, field) == (422, next(iter(wrong)))


def test_volumes_only_grow(client: HcloudClient) -> None:
    volume = make_volume(client)
    volume.resize(20).wait_until_finished()
    assert client.volumes.get_by_id(volume.id).size == 20
    with pytest.raises(APIException) as error:
        volume.resize(20)
    assert refusal(error) == "invalid_input"


def test_a_protected_volume_stays(client: HcloudClient) -> None:
    volume = make_volume(client)
    volume.change_protection(delete=True).wait_until_finished()
    with pytest.raises(APIException) as error:
        volume.delete()
    assert refusal(error) == "protected"


def test_a_volume_that_cannot_be_deleted_is_still_there(api: Api, client: HcloudClient) -> None:
    volume = make_volume(client)
    api.backend.fault = "delete_volume"
    reply = api.raw("DELETE", f"/v1/volumes/{volume.id}")
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "server_error")
    assert client.volumes.get_by_id(volume.id).name == "data"


def test_firewall_rules_reach_the_world(client: HcloudClient, backend: StagedBackend) -> None:
    created = client.firewalls.create(name="fw", rules=[SSH, RTP, PING])
    server = make_server(client, firewalls=[created.firewall])
    assert dict(backend.world.inbound)[server.id] == (
        WorldRule("tcp", "22", ("192.0.2.0/24",)),
        WorldRule("udp", "16384-32768", ("0.0.0.0/0",)),
        WorldRule("icmp", None, ("0.0.0.0/0",)),
    )
    for action in created.firewall.set_rules([]):
        action.wait_until_finished()
    assert dict(backend.world.inbound)[server.id] == ()
    shown = client.servers.get_by_id(server.id).public_net.firewalls[0]
    assert (shown.firewall.id, shown.status) == (created.firewall.id, "applied")


@pytest.mark.parametrize(
    "wrong",
    [
        {"direction": "in", "protocol": "tcp", "port": "0", "source_ips": ["0.0.0.0/0"]},
        {"direction": "in", "protocol": "tcp", "port": "9-8", "source_ips": ["0.0.0.0/0"]},
        {"direction": "in", "protocol": "tcp", "source_ips": ["0.0.0.0/0"]},
        {"direction": "in", "protocol": "icmp", "port": "22", "source_ips": ["0.0.0.0/0"]},
        {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": []},
        {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["10.0.0.1/8"]},
        {"direction": "in", "protocol": "sctp", "port": "22", "source_ips": ["0.0.0.0/0"]},
    ],
)
def test_rules_that_are_refused(api: Api, wrong: dict[str, object]) -> None:
    reply = api.raw("POST", "/v1/firewalls", json={"name": "fw", "rules": [wrong]})
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "invalid_input")


def test_outbound_rules_are_refused_not_ignored(api: Api) -> None:
    rule = {"direction": "out", "protocol": "tcp", "port": "22", "destination_ips": ["0.0.0.0/0"]}
    reply = api.raw("POST", "/v1/firewalls", json={"name": "fw", "rules": [rule]})
    assert reply.json()["error"]["code"] == "unsupported_error"


def test_apply_and_remove(client: HcloudClient, backend: StagedBackend) -> None:
    server = make_server(client)
    firewall = client.firewalls.create(name="fw", rules=[SSH]).firewall
    target = [FirewallResource(type="server", server=server)]
    _wait(firewall.apply_to_resources(target))
    assert [each.server.id for each in client.firewalls.get_by_id(firewall.id).applied_to] == [server.id]
    with pytest.raises(APIException) as error:
        firewall.apply_to_resources(target)
    assert refusal(error) == "firewall_already_applied"
    with pytest.raises(APIException) as error:
        firewall.delete()
    assert refusal(error) == "resource_in_use"
    _wait(firewall.remove_from_resources(target))
    _wait(firewall.remove_from_resources(target))
    assert backend.world.inbound == ()
    firewall.delete()


def _wait(actions: list[HcloudClient]) -> None:
    for action in actions:
        action.wait_until_finished()


def test_a_label_selector_follows_the_labels(client: HcloudClient, backend: StagedBackend) -> None:
    server = make_server(client, labels={"role": "core"})
    firewall = client.firewalls.create(name="fw", rules=[PING]).firewall
    selector = FirewallResource(
        type="label_selector", label_selector=FirewallResourceLabelSelector(selector="role=core")
    )
    _wait(firewall.apply_to_resources([selector]))
    shown = client.firewalls.get_by_id(firewall.id).applied_to[0]
    assert [each.server.id for each in shown.applied_to_resources] == [server.id]
    with pytest.raises(APIException) as error:
        firewall.remove_from_resources([FirewallResource(type="server", server=server)])
    assert refusal(error) == "firewall_managed_by_label_selector"
    server.update(labels={"role": "gui"})
    _wait(client.servers.get_by_id(server.id).get_actions())
    assert backend.world.inbound == ()


def test_firewalls_are_for_public_servers_that_there_are(client: HcloudClient, api: Api) -> None:
    private = make_server(
        client,
        start_after_create=False,
        public_net=ServerCreatePublicNetwork(enable_ipv4=False, enable_ipv6=False),
    )
    firewall = client.firewalls.create(name="fw").firewall
    with pytest.raises(APIException) as error:
        firewall.apply_to_resources([FirewallResource(type="server", server=private)])
    assert refusal(error) == "private_net_only_server"
    body = {"apply_to": [{"type": "server", "server": {"id": 999}}]}
    reply = api.raw("POST", f"/v1/firewalls/{firewall.id}/actions/apply_to_resources", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "firewall_resource_not_found")


def test_a_failed_application_is_taken_back(client: HcloudClient, backend: StagedBackend) -> None:
    server = make_server(client)
    firewall = client.firewalls.create(name="fw", rules=[SSH]).firewall
    _wait(firewall.get_actions())
    backend.fault = "rewire"
    (action,) = firewall.apply_to_resources([FirewallResource(type="server", server=server)])
    with pytest.raises(ActionFailedException):
        action.wait_until_finished()
    assert client.firewalls.get_by_id(firewall.id).applied_to == []


def test_ssh_keys(client: HcloudClient) -> None:
    key = client.ssh_keys.create(name="me", public_key=KEY, labels={"a": "b"})
    assert key.fingerprint.count(":") == 15
    assert client.ssh_keys.get_by_fingerprint(key.fingerprint).id == key.id
    with pytest.raises(APIException, match="same fingerprint") as error:
        client.ssh_keys.create(name="other", public_key=KEY)
    assert refusal(error) == "uniqueness_error"
    with pytest.raises(APIException) as error:
        client.ssh_keys.create(name="broken", public_key="ssh-ed25519 nonsense")
    assert refusal(error) == "invalid_input"
    assert key.update(name="you").name == "you"
    key.delete()
    assert client.ssh_keys.get_all() == []


def test_what_is_for_sale(client: HcloudClient) -> None:
    zones = {location.name: location.network_zone for location in client.locations.get_all()}
    assert zones == {
        "fsn1": "eu-central",
        "nbg1": "eu-central",
        "hel1": "eu-central",
        "ash": "us-east",
        "hil": "us-west",
        "sin": "ap-southeast",
    }
    cx23 = client.server_types.get_by_name("cx23")
    assert (cx23.cores, cx23.memory, cx23.disk, cx23.architecture) == (2, 4.0, 40, "x86")
    assert [each.location.name for each in cx23.locations] == ["fsn1", "nbg1", "hel1"]
    assert client.images.get_by_name_and_architecture("debian-12", "x86").os_flavor == "debian"
    assert client.images.get_all(architecture=["arm"]) == []


def test_pricing_covers_every_type_and_place(api: Api) -> None:
    pricing = api.raw("GET", "/v1/pricing").json()["pricing"]
    cx23 = next(each for each in pricing["server_types"] if each["name"] == "cx23")["prices"][0]
    assert (pricing["currency"], cx23["location"]) == ("EUR", "fsn1")
    assert float(cx23["price_monthly"]["gross"]) == pytest.approx(float(cx23["price_monthly"]["net"]) * 1.19)
    assert float(cx23["price_hourly"]["net"]) == 0.0088
    assert {each["type"] for each in pricing["primary_ips"]} == {"ipv4", "ipv6"}


def test_datacenters_are_gone(api: Api) -> None:
    reply = api.raw("GET", "/v1/datacenters")
    assert (reply.status_code, reply.json()["error"]["code"]) == (410, "deprecated_api_endpoint")


def test_a_projects_limits(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.IN_PROJECT, "networks", 1)
    body = {"name": "one", "ip_range": "10.0.0.0/16"}
    assert api.raw("POST", "/v1/networks", json=body).status_code == 201
    reply = api.raw("POST", "/v1/networks", json=body | {"name": "two"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "resource_limit_exceeded")
    assert reply.json()["error"]["details"] == {"limits": [{"name": "networks"}]}


def test_a_servers_own_addresses_count_too(client: HcloudClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.IN_PROJECT, "primary_ips", 1)
    with pytest.raises(APIException) as error:
        make_server(client)
    assert refusal(error) == "resource_limit_exceeded"
    assert client.servers.get_all() == client.primary_ips.get_all() == []
