"""Servers, as docs.hetzner.cloud/reference/cloud describes them, through the provider's client."""

from __future__ import annotations

import pytest
from hcloud import APIException
from hcloud.actions import ActionFailedException
from hcloud.firewalls import FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.networks import NetworkSubnet
from hcloud.server_types import ServerType
from hcloud.servers import ServerCreatePublicNetwork

from localcloud.hetzner.steps import PRESS_S, REBOOT_PATIENCE_S
from tests.unit.localcloud.hetzner.running_api import (
    FSN1,
    Api,
    HcloudClient,
    HcloudServer,
    StagedBackend,
    make_server,
    refusal,
)

CX23 = ServerType(name="cx23")
DEBIAN = Image(name="debian-12")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl someone"


def test_create_returns_two_actions_and_ends_in_a_running_server(client: HcloudClient, backend: StagedBackend) -> None:
    created = client.servers.create(name="core-1", server_type=CX23, image=DEBIAN, location=FSN1)
    assert created.server.status == "initializing"
    assert created.action.command == "create_server"
    assert [action.command for action in created.next_actions] == ["start_server"]
    for action in (created.action, *created.next_actions):
        action.wait_until_finished()
        assert action.progress == 100
    server = client.servers.get_by_id(created.server.id)
    assert server.status == "running"
    assert server.server_type.name == "cx23"
    assert server.primary_disk_size == 40
    assert server.public_net.ipv4.ip.startswith("198.51.100.")
    assert server.public_net.ipv6.ip.endswith("::/64")
    assert backend.is_running(server.id)


def test_without_start_after_create_it_is_off(client: HcloudClient, backend: StagedBackend) -> None:
    created = client.servers.create(name="one", server_type=CX23, image=DEBIAN, location=FSN1, start_after_create=False)
    created.action.wait_until_finished()
    assert created.next_actions == []
    assert client.servers.get_by_id(created.server.id).status == "off"
    assert not backend.is_running(created.server.id)


def test_root_password_only_without_ssh_keys(client: HcloudClient) -> None:
    key = client.ssh_keys.create(name="me", public_key=KEY)
    with_key = client.servers.create(name="a", server_type=CX23, image=DEBIAN, ssh_keys=[key])
    without = client.servers.create(name="b", server_type=CX23, image=DEBIAN)
    assert with_key.root_password is None
    assert without.root_password


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"server_type": "cx99"}, 422, "invalid_input", "server_type"),
        ({"image": "debian-1"}, 422, "invalid_input", "image"),
        ({"location": "mars"}, 422, "invalid_input", "location"),
        ({"name": "no_underscores"}, 422, "invalid_input", "name"),
        ({"name": "-x"}, 422, "invalid_input", "name"),
        ({"user_data": "x" * 32769}, 422, "invalid_input", "user_data"),
        ({"labels": {"a b": "c"}}, 422, "invalid_input", "labels"),
        ({"labels": {"hetzner.cloud/x": "c"}}, 422, "invalid_input", "labels"),
        ({"datacenter": "fsn1-dc14"}, 422, "invalid_input", "datacenter"),
        ({"ssh_keys": [7]}, 404, "not_found", None),
        ({"placement_group": 7}, 404, "not_found", None),
        ({"location": "ash"}, 422, "invalid_input", "server_type"),
    ],
)
def test_create_refuses(api: Api, body: dict[str, object], status: int, code: str, field: str | None) -> None:
    good = {"name": "one", "server_type": "cx23", "image": "debian-12", "location": "fsn1"}
    reply = api.raw("POST", "/v1/servers", json=good | body)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (status, code)
    if field:
        assert [each["name"] for each in error["details"]["fields"]] == [field]
    assert api.raw("GET", "/v1/servers").json()["servers"] == []
    assert api.raw("GET", "/v1/primary_ips").json()["primary_ips"] == []


def test_names_are_unique(client: HcloudClient) -> None:
    one, two = make_server(client, "one"), make_server(client, "two")
    with pytest.raises(APIException) as error:
        make_server(client, "one")
    assert refusal(error) == "uniqueness_error"
    with pytest.raises(APIException) as error:
        two.update(name="one")
    assert refusal(error) == "uniqueness_error"
    assert one.update(name="one", labels={"a": "b"}).labels == {"a": "b"}


def test_a_primary_ip_is_used_and_survives_its_server(client: HcloudClient) -> None:
    ip = client.primary_ips.create(type="ipv4", name="ip", location=FSN1, auto_delete=False).primary_ip
    net = ServerCreatePublicNetwork(ipv4=ip, enable_ipv6=False)
    server = make_server(client, public_net=net)
    assert server.public_net.ipv4.ip == ip.ip
    assert server.public_net.ipv6 is None
    with pytest.raises(APIException) as error:
        make_server(client, "two", public_net=net)
    assert refusal(error) == "primary_ip_assigned"
    server.delete().wait_until_finished()
    assert client.primary_ips.get_by_id(ip.id).assignee_id is None


def test_a_primary_ip_must_fit(client: HcloudClient) -> None:
    here = client.primary_ips.create(type="ipv4", name="here", location=FSN1).primary_ip
    there = client.primary_ips.create(type="ipv4", name="there", location=Location(name="hel1")).primary_ip
    with pytest.raises(APIException) as error:
        make_server(client, public_net=ServerCreatePublicNetwork(ipv4=there))
    assert refusal(error) == "primary_ip_datacenter_mismatch"
    with pytest.raises(APIException) as error:
        make_server(client, public_net=ServerCreatePublicNetwork(ipv6=here))
    assert refusal(error) == "primary_ip_version_mismatch"


def test_locked_while_an_action_runs(client: HcloudClient, backend: StagedBackend) -> None:
    server = make_server(client)
    backend.go_on.clear()
    action = server.power_off()
    assert action.status == "running"
    shown = client.servers.get_by_id(server.id)
    assert shown.locked
    assert shown.status == "stopping"
    for attempt in (server.power_on, server.reset, server.shutdown, server.delete):
        with pytest.raises(APIException) as error:
            attempt()
        assert refusal(error) == "locked"
    backend.go_on.set()
    action.wait_until_finished()
    shown = client.servers.get_by_id(server.id)
    assert not shown.locked
    assert shown.status == "off"


def test_power(client: HcloudClient, backend: StagedBackend) -> None:
    server = make_server(client)
    server.power_off().wait_until_finished()
    assert client.servers.get_by_id(server.id).status == "off"
    server.power_on().wait_until_finished()
    assert client.servers.get_by_id(server.id).status == "running"
    backend.calls.clear()
    server.reset().wait_until_finished()
    assert [verb for verb, _ in backend.calls] == ["cut_power", "rewire", "start"]
    server.reboot().wait_until_finished()
    assert backend.is_running(server.id)


def test_a_machine_that_goes_off_by_itself_is_off(client: HcloudClient, backend: StagedBackend) -> None:
    server = make_server(client)
    backend.cut_power(server.id)
    assert client.servers.get_by_id(server.id).status == "off"
    assert [each.status for each in client.servers.get_all()] == ["off"]


def test_shutdown_and_reboot_are_only_requests(
    client: HcloudClient, backend: StagedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server(client)
    asked: list[tuple[int, float]] = []

    def deaf(server_id: int, timeout: float) -> bool:
        asked.append((server_id, timeout))
        return False

    monkeypatch.setattr(backend, "shut_down", deaf)
    server.shutdown().wait_until_finished()
    assert asked == [(server.id, PRESS_S)]
    assert client.servers.get_by_id(server.id).status == "running"
    backend.calls.clear()
    server.reboot().wait_until_finished()
    assert asked[1:] == [(server.id, REBOOT_PATIENCE_S)]
    assert backend.calls == []


def test_change_type_needs_off_and_starts_afterwards(client: HcloudClient) -> None:
    server = make_server(client)
    with pytest.raises(APIException) as error:
        server.change_type(ServerType(name="cx33"), upgrade_disk=True)
    assert refusal(error) == "server_not_stopped"
    server.power_off().wait_until_finished()
    server.change_type(ServerType(name="cx33"), upgrade_disk=True).wait_until_finished()
    changed = client.servers.get_by_id(server.id)
    assert (changed.server_type.name, changed.primary_disk_size, changed.status) == ("cx33", 80, "running")


def test_a_disk_never_shrinks(client: HcloudClient) -> None:
    server = make_server(client, server_type=ServerType(name="cx33"))
    server.power_off().wait_until_finished()
    with pytest.raises(APIException) as error:
        server.change_type(CX23, upgrade_disk=False)
    assert refusal(error) == "invalid_server_type"
    server.change_type(ServerType(name="cx43"), upgrade_disk=False).wait_until_finished()
    server.power_off().wait_until_finished()
    server.change_type(ServerType(name="cx33"), upgrade_disk=False).wait_until_finished()
    assert client.servers.get_by_id(server.id).primary_disk_size == 80


def test_protection(client: HcloudClient) -> None:
    server = make_server(client)
    server.change_protection(delete=True, rebuild=True).wait_until_finished()
    for attempt in (server.delete, lambda: server.rebuild(DEBIAN)):
        with pytest.raises(APIException) as error:
            attempt()
        assert refusal(error) == "protected"
    with pytest.raises(APIException) as error:
        server.change_protection(delete=False)
    assert refusal(error) == "invalid_input"
    server.change_protection(delete=False, rebuild=False).wait_until_finished()
    server.delete().wait_until_finished()
    assert client.servers.get_all() == []


def test_rebuild_takes_another_image_and_starts(client: HcloudClient) -> None:
    server = make_server(client)
    server.power_off().wait_until_finished()
    server.rebuild(Image(name="debian-13")).action.wait_until_finished()
    rebuilt = client.servers.get_by_id(server.id)
    assert (rebuilt.image.name, rebuilt.status) == ("debian-13", "running")


def test_backups(client: HcloudClient) -> None:
    server = make_server(client)
    for change, window in ((server.enable_backup, "22-02"), (server.disable_backup, None)):
        action = change()
        action.wait_until_finished()
        assert action.command == change.__name__
        assert client.servers.get_by_id(server.id).backup_window == window


def test_delete_frees_everything_that_was_lent(client: HcloudClient, backend: StagedBackend) -> None:
    firewall = client.firewalls.create(name="fw", rules=[_ssh_rule()]).firewall
    group = client.placement_groups.create(name="pg", type="spread").placement_group
    server = make_server(client, firewalls=[firewall], placement_group=group)
    volume = client.volumes.create(name="v", size=10, server=server)
    for action in (volume.action, *volume.next_actions):
        action.wait_until_finished()
    floating = client.floating_ips.create(type="ipv4", server=server)
    floating.action.wait_until_finished()
    server.delete().wait_until_finished()
    assert client.servers.get_all() == []
    assert client.volumes.get_by_id(volume.volume.id).server is None
    assert client.floating_ips.get_by_id(floating.floating_ip.id).server is None
    assert client.firewalls.get_by_id(firewall.id).applied_to == []
    assert client.placement_groups.get_by_id(group.id).servers == []
    assert client.primary_ips.get_all() == []
    assert backend.world.attachments == ()
    assert backend.world.floating == ()
    assert backend.volumes == {volume.volume.id: None}


def _ssh_rule() -> FirewallRule:
    return FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["192.0.2.0/24"])


def test_a_failed_creation_leaves_a_server_that_is_off(client: HcloudClient, backend: StagedBackend) -> None:
    backend.fault = "rewire"
    created = client.servers.create(name="one", server_type=CX23, image=DEBIAN)
    with pytest.raises(ActionFailedException, match="rewire was told to fail"):
        created.action.wait_until_finished()
    with pytest.raises(ActionFailedException, match="create_server before it failed"):
        created.next_actions[0].wait_until_finished()
    server = client.servers.get_by_id(created.server.id)
    assert (server.status, server.locked) == ("off", False)


def test_networks_and_volumes_at_creation(client: HcloudClient, backend: StagedBackend) -> None:
    network = client.networks.create(
        name="net",
        ip_range="10.0.0.0/16",
        subnets=[NetworkSubnet(type="cloud", network_zone="eu-central", ip_range="10.0.1.0/24")],
    )
    volume = client.volumes.create(name="v", size=10, location=FSN1)
    volume.action.wait_until_finished()
    server = make_server(client, networks=[network], volumes=[volume.volume])
    assert server.private_net[0].ip == "10.0.1.1"
    assert [each.id for each in server.volumes] == [volume.volume.id]
    assert backend.volumes == {volume.volume.id: server.id}


def test_a_spread_group_takes_ten(client: HcloudClient) -> None:
    group = client.placement_groups.create(name="pg", type="spread").placement_group
    servers = [_off(client, f"s{number}", group) for number in range(10)]
    with pytest.raises(APIException) as error:
        _off(client, "s10", group)
    assert refusal(error) == "placement_error"
    servers[0].remove_from_placement_group().wait_until_finished()
    servers[0].add_to_placement_group(group).wait_until_finished()
    with pytest.raises(APIException) as error:
        make_server(client, "running").add_to_placement_group(group)
    assert refusal(error) == "server_not_stopped"


def _off(client: HcloudClient, name: str, group: object) -> HcloudServer:
    created = client.servers.create(
        name=name, server_type=CX23, image=DEBIAN, placement_group=group, start_after_create=False
    )
    created.action.wait_until_finished()
    return client.servers.get_by_id(created.server.id)


def test_a_server_without_any_network_is_not_powered_on(client: HcloudClient) -> None:
    nothing = ServerCreatePublicNetwork(enable_ipv4=False, enable_ipv6=False)
    created = client.servers.create(
        name="one", server_type=CX23, image=DEBIAN, public_net=nothing, start_after_create=False
    )
    created.action.wait_until_finished()
    with pytest.raises(APIException) as error:
        created.server.power_on()
    assert refusal(error) == "service_error"


def test_reverse_dns_of_the_primary_ip(client: HcloudClient) -> None:
    server = make_server(client)
    ip = server.public_net.ipv4.ip
    server.change_dns_ptr(ip, "sip.example.com").wait_until_finished()
    assert client.servers.get_by_id(server.id).public_net.ipv4.dns_ptr == "sip.example.com"
    server.change_dns_ptr(ip, None).wait_until_finished()
    assert client.servers.get_by_id(server.id).public_net.ipv4.dns_ptr.startswith("static.")
