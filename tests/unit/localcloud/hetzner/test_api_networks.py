"""Networks, subnets and routes through the provider's client."""

from __future__ import annotations

from typing import Any

import pytest
from hcloud import APIException
from hcloud.actions import ActionFailedException
from hcloud.locations import Location
from hcloud.networks import NetworkRoute, NetworkSubnet
from hcloud.server_types import ServerType

from tests.unit.localcloud.hetzner.running_api import (
    Api,
    HcloudClient,
    HcloudServer,
    StagedBackend,
    eventually,
    make_server,
    refusal,
)

VIP = "10.0.100.1/32"


def subnet(ip_range: Any = "10.0.1.0/24", zone: str = "eu-central") -> NetworkSubnet:
    return NetworkSubnet(type="cloud", network_zone=zone, ip_range=ip_range)


@pytest.fixture
def network(client: HcloudClient) -> HcloudClient:
    return client.networks.create(name="net", ip_range="10.0.0.0/16", subnets=[subnet()], labels={"site": "a"})


def test_gateway_is_the_networks_first_address(network: HcloudClient) -> None:
    assert [each.gateway for each in network.subnets] == ["10.0.0.1"]
    assert network.servers == []
    assert network.labels == {"site": "a"}


@pytest.mark.parametrize("ip_range", ["8.8.0.0/16", "10.0.0.0/25", "10.0.0.1/16", "nonsense"])
def test_range_must_be_private_and_large_enough(client: HcloudClient, ip_range: str) -> None:
    with pytest.raises(APIException) as error:
        client.networks.create(name="net", ip_range=ip_range)
    assert refusal(error) == "invalid_input"


@pytest.mark.parametrize(
    "wrong",
    [subnet("10.1.0.0/24"), subnet("10.0.1.128/25"), subnet("10.0.2.0/31"), subnet("10.0.2.0/24", "mars")],
    ids=["outside", "overlaps", "too small", "no such zone"],
)
def test_subnets_that_do_not_fit(network: HcloudClient, wrong: NetworkSubnet) -> None:
    with pytest.raises(APIException) as error:
        network.add_subnet(wrong)
    assert refusal(error) == "invalid_input"


def test_a_subnet_without_a_range_gets_the_first_free_24(client: HcloudClient, network: HcloudClient) -> None:
    network.add_subnet(subnet(None)).wait_until_finished()
    network.add_subnet(subnet(None)).wait_until_finished()
    ranges = [each.ip_range for each in client.networks.get_by_id(network.id).subnets]
    assert ranges == ["10.0.1.0/24", "10.0.0.0/24", "10.0.2.0/24"]


def test_a_subnet_with_servers_stays(client: HcloudClient, network: HcloudClient) -> None:
    server = make_server(client)
    server.attach_to_network(network).wait_until_finished()
    with pytest.raises(APIException, match="servers are attached") as error:
        network.delete_subnet(subnet())
    assert refusal(error) == "service_error"
    server.detach_from_network(network).wait_until_finished()
    network.delete_subnet(subnet()).wait_until_finished()
    assert client.networks.get_by_id(network.id).subnets == []


def test_a_route_is_a_compare_and_set(client: HcloudClient, network: HcloudClient, backend: StagedBackend) -> None:
    to_main, to_backup = NetworkRoute(VIP, "10.0.1.11"), NetworkRoute(VIP, "10.0.1.12")
    network.add_route(to_main).wait_until_finished()
    assert backend.world.networks[0].routes == ((VIP, "10.0.1.11"),)
    for other in (to_main, to_backup):
        with pytest.raises(APIException, match="overlaps with another") as error:
            network.add_route(other)
        assert refusal(error) == "invalid_input"
    with pytest.raises(APIException) as error:
        network.delete_route(to_backup)
    assert refusal(error) == "invalid_input"
    network.delete_route(to_main).wait_until_finished()
    network.add_route(to_backup).wait_until_finished()
    assert backend.world.networks[0].routes == ((VIP, "10.0.1.12"),)


@pytest.mark.parametrize(
    ("destination", "gateway", "message"),
    [
        ("10.0.1.0/25", "10.0.1.2", "overlaps with another"),
        ("10.0.0.0/16", "10.0.1.2", "overlaps with another"),
        ("172.16.0.0/12", "10.0.1.2", "overlaps with another"),
        ("8.8.8.0/24", "10.0.1.2", "not within"),
        (VIP, "10.0.0.1", "invalid gateway"),
        (VIP, "192.168.0.1", "invalid gateway"),
    ],
    ids=["in a subnet", "around a subnet", "around 172.31.1.1", "public", "the gateway", "outside"],
)
def test_routes_that_do_not_fit(network: HcloudClient, destination: str, gateway: str, message: str) -> None:
    with pytest.raises(APIException, match=message) as error:
        network.add_route(NetworkRoute(destination, gateway))
    assert refusal(error) == "invalid_input"


def test_a_default_route_lives_beside_others(client: HcloudClient, network: HcloudClient) -> None:
    default = NetworkRoute("0.0.0.0/0", "10.0.1.2")
    network.add_route(default).wait_until_finished()
    with pytest.raises(APIException, match="overlaps with another"):
        network.add_route(default)
    network.add_route(NetworkRoute(VIP, "10.0.1.2")).wait_until_finished()
    assert len(client.networks.get_by_id(network.id).routes) == 2


def test_one_change_at_a_time(client: HcloudClient, network: HcloudClient, api: Api) -> None:
    api.backend.go_on.clear()
    action = network.add_route(NetworkRoute(VIP, "10.0.1.11"))
    body = {"destination": "10.0.100.2/32", "gateway": "10.0.1.11"}
    reply = api.raw("POST", f"/v1/networks/{network.id}/actions/add_route", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "conflict")
    api.backend.go_on.set()
    action.wait_until_finished()
    assert [route.destination for route in client.networks.get_by_id(network.id).routes] == [VIP]


def test_a_failed_change_is_taken_back(client: HcloudClient, network: HcloudClient, backend: StagedBackend) -> None:
    backend.fault = "rewire"
    with pytest.raises(ActionFailedException, match="told to fail"):
        network.add_route(NetworkRoute(VIP, "10.0.1.11")).wait_until_finished()
    assert client.networks.get_by_id(network.id).routes == []
    backend.fault = None
    network.add_route(NetworkRoute(VIP, "10.0.1.12")).wait_until_finished()


def test_ranges_only_grow(client: HcloudClient, network: HcloudClient) -> None:
    for wrong in ("10.0.0.0/17", "10.0.0.0/7", "10.2.0.0/15"):
        with pytest.raises(APIException) as error:
            network.change_ip_range(wrong)
        assert refusal(error) == "invalid_input"
    network.change_ip_range("10.0.0.0/15").wait_until_finished()
    assert client.networks.get_by_id(network.id).ip_range == "10.0.0.0/15"


def test_deleting_a_network_detaches_its_servers(
    client: HcloudClient, network: HcloudClient, backend: StagedBackend
) -> None:
    server = make_server(client)
    server.attach_to_network(network).wait_until_finished()
    network.change_protection(delete=True).wait_until_finished()
    with pytest.raises(APIException) as error:
        network.delete()
    assert refusal(error) == "protected"
    network.change_protection(delete=False).wait_until_finished()
    network.delete()
    assert client.servers.get_by_id(server.id).private_net == []
    assert backend.world.networks == ()


def test_attach_chooses_a_free_address(client: HcloudClient, network: HcloudClient, backend: StagedBackend) -> None:
    servers = [make_server(client, f"s{number}") for number in range(3)]
    servers[0].attach_to_network(network).wait_until_finished()
    servers[1].attach_to_network(network, ip="10.0.1.2").wait_until_finished()
    servers[2].attach_to_network(network, alias_ips=["10.0.1.9"]).wait_until_finished()
    assert [_ip(client, server) for server in servers] == ["10.0.1.1", "10.0.1.2", "10.0.1.3"]
    assert client.networks.get_by_id(network.id).servers
    macs = {attachment.nics[0].mac for attachment in backend.world.attachments}
    assert len(macs) == 3
    assert all(mac.startswith("86:00:00:") for mac in macs)


def _ip(client: HcloudClient, server: HcloudServer) -> object:
    return client.servers.get_by_id(server.id).private_net[0].ip


@pytest.mark.parametrize(
    ("ip", "code"),
    [
        ("10.0.1.10", "ip_not_available"),
        ("10.0.1.0", "ip_not_available"),
        ("10.0.1.255", "ip_not_available"),
        ("10.0.0.1", "ip_not_available"),
        ("10.0.9.9", "ip_not_available"),
        ("10.0.1.20", "ip_not_available"),
    ],
    ids=["taken", "network", "broadcast", "gateway", "in no subnet", "an alias"],
)
def test_addresses_that_nobody_gets(client: HcloudClient, network: HcloudClient, ip: str, code: str) -> None:
    network.add_subnet(subnet("10.0.0.0/24")).wait_until_finished()
    make_server(client, "first").attach_to_network(network, ip="10.0.1.10", alias_ips=["10.0.1.20"])
    with pytest.raises(APIException) as error:
        make_server(client, "second").attach_to_network(network, ip=ip)
    assert refusal(error) == code


def test_attach_twice_and_from_another_zone(client: HcloudClient, network: HcloudClient) -> None:
    server = make_server(client)
    server.attach_to_network(network).wait_until_finished()
    with pytest.raises(APIException) as error:
        server.attach_to_network(network)
    assert refusal(error) == "server_already_attached"
    far = make_server(client, "far", server_type=ServerType(name="ccx13"), location=Location(name="ash"))
    with pytest.raises(APIException) as error:
        far.attach_to_network(network)
    assert refusal(error) == "no_subnet_available"


def test_networks_of_one_server_do_not_overlap(client: HcloudClient, network: HcloudClient) -> None:
    other = client.networks.create(name="other", ip_range="10.0.128.0/17", subnets=[subnet("10.0.200.0/24")])
    server = make_server(client)
    server.attach_to_network(network).wait_until_finished()
    with pytest.raises(APIException) as error:
        server.attach_to_network(other)
    assert refusal(error) == "networks_overlap"


def test_alias_ips_are_replaced_as_a_list(client: HcloudClient, network: HcloudClient) -> None:
    server = make_server(client)
    server.attach_to_network(network, alias_ips=["10.0.1.20", "10.0.1.21"]).wait_until_finished()
    server.change_alias_ips(network, alias_ips=["10.0.1.21", "10.0.1.22"]).wait_until_finished()
    assert client.servers.get_by_id(server.id).private_net[0].alias_ips == ["10.0.1.21", "10.0.1.22"]
    with pytest.raises(APIException) as error:
        server.change_alias_ips(network, alias_ips=[f"10.0.1.{number}" for number in range(30, 36)])
    assert refusal(error) == "resource_limit_exceeded"
    for twice in (["10.0.1.30", "10.0.1.30"], ["10.0.1.1"]):
        with pytest.raises(APIException) as error:
            server.change_alias_ips(network, alias_ips=twice)
        assert refusal(error) == "ip_not_available"


def test_an_older_world_never_overwrites_a_newer_one(
    client: HcloudClient, network: HcloudClient, backend: StagedBackend
) -> None:
    servers = [make_server(client, f"s{number}") for number in range(4)]
    backend.calls.clear()
    backend.go_on.clear()
    actions = [server.attach_to_network(network) for server in servers]
    assert eventually(lambda: backend.calls == [("rewire", 0)])
    backend.go_on.set()
    for action in actions:
        action.wait_until_finished()
    assert len(backend.calls) == 4
    assert [len(attachment.nics) for attachment in backend.world.attachments] == [1, 1, 1, 1]
    assert len({_ip(client, server) for server in servers}) == 4
