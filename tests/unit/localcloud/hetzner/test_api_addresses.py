"""Primary and floating IPs through the provider's client."""

from __future__ import annotations

import pytest
from hcloud import APIException
from hcloud.actions import ActionFailedException

from tests.unit.localcloud.hetzner.running_api import (
    FSN1,
    Api,
    HcloudClient,
    StagedBackend,
    make_server,
    refusal,
)


def test_all_public_addresses_are_from_one_pool(client: HcloudClient) -> None:
    primary = client.primary_ips.create(type="ipv4", name="p", location=FSN1).primary_ip
    floating = client.floating_ips.create(type="ipv4", home_location=FSN1).floating_ip
    assert [primary.ip, floating.ip] == ["198.51.100.1", "198.51.100.2"]
    primary.delete()
    assert client.primary_ips.create(type="ipv4", name="q", location=FSN1).primary_ip.ip == "198.51.100.1"


def test_a_floating_ip_moves_with_one_call(client: HcloudClient, backend: StagedBackend) -> None:
    main, backup = make_server(client, "main"), make_server(client, "backup")
    created = client.floating_ips.create(type="ipv4", name="vip", server=main, description="SIP")
    created.action.wait_until_finished()
    vip = client.floating_ips.get_by_name("vip")
    assert (vip.server.id, vip.description, vip.home_location.name) == (main.id, "SIP", "fsn1")
    assert dict(backend.world.floating) == {vip.ip: main.id}
    vip.assign(backup).wait_until_finished()
    assert dict(backend.world.floating) == {vip.ip: backup.id}
    with pytest.raises(APIException) as error:
        vip.assign(backup)
    assert refusal(error) == "floating_ip_assigned"
    assert [ip.id for ip in client.servers.get_by_id(backup.id).public_net.floating_ips] == [vip.id]
    vip.unassign().wait_until_finished()
    assert client.floating_ips.get_by_id(vip.id).server is None
    assert not backend.world.floating


def test_two_moves_at_once_do_not_mix(client: HcloudClient, api: Api) -> None:
    main, backup = make_server(client, "main"), make_server(client, "backup")
    vip = client.floating_ips.create(type="ipv4", home_location=FSN1).floating_ip
    api.backend.go_on.clear()
    action = vip.assign(main)
    reply = api.raw("POST", f"/v1/floating_ips/{vip.id}/actions/assign", json={"server": backup.id})
    assert (reply.status_code, reply.json()["error"]["code"]) == (423, "locked")
    api.backend.go_on.set()
    action.wait_until_finished()
    assert client.floating_ips.get_by_id(vip.id).server.id == main.id


def test_a_failed_move_is_taken_back(client: HcloudClient, backend: StagedBackend) -> None:
    main, backup = make_server(client, "main"), make_server(client, "backup")
    created = client.floating_ips.create(type="ipv4", server=main)
    created.action.wait_until_finished()
    backend.fault = "rewire"
    with pytest.raises(ActionFailedException):
        created.floating_ip.assign(backup).wait_until_finished()
    assert client.floating_ips.get_by_id(created.floating_ip.id).server.id == main.id


def test_an_assigned_floating_ip_is_not_deleted(client: HcloudClient) -> None:
    created = client.floating_ips.create(type="ipv4", server=make_server(client))
    created.action.wait_until_finished()
    vip = created.floating_ip
    with pytest.raises(APIException) as error:
        vip.delete()
    assert refusal(error) == "must_be_unassigned"
    vip.unassign().wait_until_finished()
    vip.change_protection(delete=True).wait_until_finished()
    with pytest.raises(APIException) as error:
        vip.delete()
    assert refusal(error) == "protected"
    vip.change_protection(delete=False).wait_until_finished()
    vip.delete()
    assert client.floating_ips.get_all() == []


def test_floating_ip_names_and_texts(client: HcloudClient) -> None:
    vip = client.floating_ips.create(type="ipv4", home_location=FSN1).floating_ip
    assert vip.name == f"floating-ip-{vip.id}"
    changed = vip.update(name="vip", description="for SIP", labels={"a": "b"})
    assert (changed.name, changed.description, changed.labels) == ("vip", "for SIP", {"a": "b"})
    vip.change_dns_ptr(vip.ip, "sip.example.com").wait_until_finished()
    assert client.floating_ips.get_by_id(vip.id).dns_ptr == [{"ip": vip.ip, "dns_ptr": "sip.example.com"}]
    with pytest.raises(APIException) as error:
        vip.change_dns_ptr("192.0.2.1", "x.example.com")
    assert refusal(error) == "invalid_input"


def test_ipv6_is_a_network_with_names_inside(client: HcloudClient) -> None:
    vip = client.floating_ips.create(type="ipv6", home_location=FSN1).floating_ip
    inside = vip.ip.replace("/64", "5")
    vip.change_dns_ptr(inside, "six.example.com").wait_until_finished()
    assert client.floating_ips.get_by_id(vip.id).dns_ptr == [{"ip": inside, "dns_ptr": "six.example.com"}]


def test_a_floating_ip_needs_a_place(client: HcloudClient) -> None:
    with pytest.raises(APIException) as error:
        client.floating_ips.create(type="ipv4")
    assert refusal(error) == "invalid_input"


def test_a_primary_ip_changes_hands_only_while_the_server_is_off(client: HcloudClient, backend: StagedBackend) -> None:
    server = make_server(client)
    old = client.primary_ips.get_by_id(server.public_net.primary_ipv4.id)
    new = client.primary_ips.create(type="ipv4", name="new", location=FSN1).primary_ip
    with pytest.raises(APIException) as error:
        old.unassign()
    assert refusal(error) == "server_not_stopped"
    server.power_off().wait_until_finished()
    with pytest.raises(APIException) as error:
        new.assign(server.id, "server")
    assert refusal(error) == "server_has_ipv4"
    with pytest.raises(APIException) as error:
        old.delete()
    assert refusal(error) == "must_be_unassigned"
    old.unassign().wait_until_finished()
    new.assign(server.id, "server").wait_until_finished()
    assert client.servers.get_by_id(server.id).public_net.ipv4.ip == new.ip
    assert backend.world.attachments[0].public_ipv4 == new.ip
    with pytest.raises(APIException) as error:
        new.assign(make_server(client, "two").id, "server")
    assert refusal(error) in ("server_not_stopped", "primary_ip_already_assigned")


def test_primary_ip_protection_and_auto_delete_exclude_each_other(client: HcloudClient) -> None:
    ip = client.primary_ips.create(type="ipv4", name="ip", location=FSN1, auto_delete=True).primary_ip
    with pytest.raises(APIException) as error:
        ip.change_protection(delete=True)
    assert refusal(error) == "invalid_input"
    ip.update(auto_delete=False)
    ip.change_protection(delete=True).wait_until_finished()
    with pytest.raises(APIException) as error:
        ip.update(auto_delete=True)
    assert refusal(error) == "invalid_input"
    with pytest.raises(APIException) as error:
        ip.delete()
    assert refusal(error) == "protected"


def test_a_primary_ip_with_auto_delete_goes_with_its_server(client: HcloudClient) -> None:
    make_server(client).delete().wait_until_finished()
    assert client.primary_ips.get_all() == []


def test_a_primary_ip_says_what_it_is_assigned_to(client: HcloudClient) -> None:
    """Since 2026-08-01: https://docs.hetzner.cloud/changelog#2026-04-27-primary-ips-will-return-unassigned."""
    free = client.primary_ips.create(type="ipv4", name="free", location=FSN1).primary_ip
    assert (free.assignee_type, free.assignee_id) == ("unassigned", None)
    server = make_server(client)
    assert {ip.assignee_type for ip in client.primary_ips.get_all() if ip.assignee_id == server.id} == {"server"}


def test_a_primary_ip_is_created_at_a_place_or_for_a_server(api: Api) -> None:
    body = {"type": "ipv4", "name": "ip", "assignee_type": "server"}
    reply = api.raw("POST", "/v1/primary_ips", json=body)
    assert reply.json()["error"]["details"]["fields"][0]["name"] == "location"


def test_lists_by_ip(client: HcloudClient) -> None:
    one = client.primary_ips.create(type="ipv4", name="one", location=FSN1).primary_ip
    client.primary_ips.create(type="ipv4", name="two", location=FSN1)
    assert [ip.name for ip in client.primary_ips.get_list(ip=one.ip).primary_ips] == ["one"]
