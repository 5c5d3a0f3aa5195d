"""The hcloud provider: what it takes and refuses, and the calls it makes of a local cloud without machines."""

from __future__ import annotations

import itertools
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from localcloud.engine.errors import EngineError
from localcloud.engine.providers import Diff, ProviderError, UnknownOutcomeError
from localcloud.engine.providers import hcloud as provider
from localcloud.engine.providers.hcloud import Hcloud
from localcloud.engine.providers.hcloud_api import Api, ApiError, is_here, polling, refuse_foreign
from localcloud.engine.providers.hcloud_kinds import hashed
from localcloud.engine.values import UNKNOWN, Properties, Secret
from tests.unit.localcloud.engine.conftest import TOKEN, free_port

numbers = itertools.count()


class Cloud:
    """A provider on the local cloud, and every call that it has made."""

    def __init__(self, endpoint: str) -> None:
        self.calls: list[tuple[str, str, Any]] = []
        api = Api(TOKEN, endpoint, polling("10ms", "constant"))
        call = api.call

        def noted(method: str, path: str, body: Any = None) -> Any:
            if not path.startswith("actions?"):
                self.calls.append((method, path, body))
            return call(method, path, body)

        api.call = noted  # type: ignore[method-assign]
        self.api = api
        self.provider = Hcloud(api)
        self.made: list[tuple[str, str, Properties, Properties]] = []

    def create(self, kind: str, **inputs: Any) -> tuple[int, Properties]:
        self.calls.clear()
        checked = self.provider.check(type_of(kind), "thing", {}, inputs)
        id_, outputs = self.provider.create(type_of(kind), "thing", checked)
        self.made.append((type_of(kind), id_, checked, outputs))
        return int(id_.split("-")[0]), outputs

    def update(self, kind: str, id_: int, inputs: Properties, outputs: Properties, **changes: Any) -> Properties:
        self.calls.clear()
        wanted = inputs | changes
        diff = self.provider.diff(type_of(kind), inputs, outputs, wanted)
        assert not diff.replaces
        return self.provider.update(type_of(kind), str(id_), outputs, wanted, diff)

    def delete(self, kind: str, id_: int | str, outputs: Properties) -> None:
        self.calls.clear()
        self.provider.delete(type_of(kind), str(id_), {}, outputs)

    def summary(self) -> list[str]:
        """The calls, with N for numbers."""
        return [f"{method} {re.sub(r'/[0-9]+', '/N', path.split('?')[0])}" for method, path, _ in self.calls]

    def clean(self) -> None:
        for type_, id_, inputs, outputs in reversed(self.made):
            self.provider.delete(type_, id_, inputs, outputs)


def type_of(kind: str) -> str:
    return f"hcloud:index/{kind[0].lower()}{kind[1:]}:{kind}"


@pytest.fixture
def cloud(local_cloud: str) -> Iterator[Cloud]:
    cloud = Cloud(local_cloud)
    yield cloud
    cloud.clean()


def fresh() -> str:
    return f"n{next(numbers)}"


def server(cloud: Cloud, **more: Any) -> tuple[int, Properties, Properties]:
    inputs = {"name": fresh(), "serverType": "cx23", "image": "debian-12", "location": "fsn1", **more}
    id_, outputs = cloud.create("Server", **inputs)
    return id_, inputs, outputs


def test_an_ssh_key_is_one_call_each(cloud: Cloud) -> None:
    inputs = {"name": fresh(), "publicKey": ssh_key(), "labels": {"a": "1"}}
    id_, outputs = cloud.create("SshKey", **inputs)
    assert cloud.summary() == ["POST ssh_keys"]
    assert outputs["fingerprint"]
    outputs = cloud.update("SshKey", id_, inputs, outputs, labels={"a": "2"})
    assert cloud.calls == [("PUT", f"ssh_keys/{id_}", {"labels": {"a": "2"}})]
    assert outputs["labels"] == {"a": "2"}


def test_a_server_asks_first_and_sends_what_it_found(cloud: Cloud) -> None:
    key, _ = cloud.create("SshKey", name=fresh(), publicKey=ssh_key())
    group, _ = cloud.create("PlacementGroup", name=fresh(), type="spread")
    firewall, _ = cloud.create("Firewall", name=fresh())
    ip, found = cloud.create("PrimaryIp", name=fresh(), type="ipv4", location="fsn1", autoDelete=False)
    block = {"ipv4Enabled": True, "ipv4": ip, "ipv6Enabled": False}
    more = {"sshKeys": [str(key)], "placementGroupId": group, "firewallIds": [firewall], "publicNets": [block]}
    _, inputs, outputs = server(cloud, userData="#cloud-config\n", labels={"a": "1"}, **more)
    assert cloud.summary() == [
        "GET server_types",
        "GET images",
        "GET ssh_keys/N",
        "GET placement_groups/N",
        "POST servers",
        "GET servers/N",
    ]
    body = cloud.calls[4][2]
    assert body["public_net"] == {"enable_ipv4": True, "enable_ipv6": False, "ipv4": ip}
    assert (body["ssh_keys"], body["firewalls"]) == ([key], [{"firewall": firewall}])
    assert body["user_data"] == "#cloud-config\n"
    assert outputs["ipv4Address"] == found["ipAddress"]
    assert outputs["userData"] == hashed("#cloud-config\n")
    assert cloud.provider.diff(type_of("Server"), inputs, outputs, inputs) == Diff({}, frozenset(), True)


def test_a_servers_type_is_changed_while_it_is_off(cloud: Cloud) -> None:
    id_, inputs, outputs = server(cloud)
    outputs = cloud.update("Server", id_, inputs, outputs, serverType="cx33", labels={"a": "1"})
    assert cloud.summary() == [
        "GET servers/N",
        "PUT servers/N",
        "POST servers/N/actions/poweroff",
        "POST servers/N/actions/change_type",
        "GET servers/N",
    ]
    assert (outputs["serverType"], outputs["labels"]) == ("cx33", {"a": "1"})


def test_a_servers_firewalls_and_protection_change_in_place(cloud: Cloud) -> None:
    old, _ = cloud.create("Firewall", name=fresh())
    new, _ = cloud.create("Firewall", name=fresh())
    id_, inputs, outputs = server(cloud, firewallIds=[old])
    kept = {"deleteProtection": True, "rebuildProtection": True}
    outputs = cloud.update("Server", id_, inputs, outputs, firewallIds=[new], **kept)
    assert cloud.calls[1][1] == f"firewalls/{old}/actions/remove_from_resources"
    assert cloud.calls[2][1] == f"firewalls/{new}/actions/apply_to_resources"
    assert cloud.calls[3] == ("POST", f"servers/{id_}/actions/change_protection", {"delete": True, "rebuild": True})
    assert len(cloud.calls) == 5
    with pytest.raises(ApiError, match="protected"):
        cloud.delete("Server", id_, outputs)
    cloud.update("Server", id_, {**inputs, **kept}, outputs, deleteProtection=False, rebuildProtection=False)


def test_what_only_a_rebuild_changes_is_refused_and_nothing_is_touched(cloud: Cloud) -> None:
    first, _ = cloud.create("PrimaryIp", name=fresh(), type="ipv4", location="fsn1", autoDelete=False)
    second, _ = cloud.create("PrimaryIp", name=fresh(), type="ipv4", location="fsn1", autoDelete=False)
    block = {"ipv4Enabled": True, "ipv4": first, "ipv6Enabled": False}
    group, _ = cloud.create("PlacementGroup", name=fresh(), type="spread")
    id_, inputs, outputs = server(cloud, publicNets=[block], placementGroupId=group)
    for change in ({"publicNets": [{**block, "ipv4": second}]}, {"placementGroupId": 0}):
        with pytest.raises(ProviderError, match="cannot be changed by the embedded engine: raise `rebuild`"):
            cloud.update("Server", id_, inputs, outputs, **change)
        assert cloud.summary() == ["GET servers/N"]


def test_a_network_its_subnet_and_a_server_in_it(cloud: Cloud) -> None:
    network, outputs = cloud.create("Network", name=fresh(), ipRange="10.0.0.0/16")
    assert cloud.calls[0][2] == {
        "name": outputs["name"],
        "ip_range": "10.0.0.0/16",
        "expose_routes_to_vswitch": False,
    }
    cloud.create("NetworkSubnet", networkId=network, type="cloud", networkZone="eu-central", ipRange="10.0.1.0/24")
    assert cloud.summary() == ["POST networks/N/actions/add_subnet", "GET networks/N"]
    server_id, _, _ = server(cloud)
    _, outputs = cloud.create("ServerNetwork", serverId=server_id, networkId=network, ip="10.0.1.9")
    assert cloud.summary() == ["POST servers/N/actions/attach_to_network", "GET servers/N"]
    assert (outputs["id"], outputs["ip"], outputs["aliasIps"]) == (f"{server_id}-{network}", "10.0.1.9", [])


def test_a_networks_protection_comes_after_it_and_holds(cloud: Cloud) -> None:
    inputs = {"name": fresh(), "ipRange": "10.0.0.0/16", "deleteProtection": True}
    id_, outputs = cloud.create("Network", **inputs)
    assert cloud.summary() == ["POST networks", "POST networks/N/actions/change_protection", "GET networks/N"]
    with pytest.raises(ApiError, match="protected"):
        cloud.delete("Network", id_, outputs)
    cloud.update("Network", id_, inputs, outputs, deleteProtection=False)
    assert cloud.summary() == ["GET networks/N", "POST networks/N/actions/change_protection", "GET networks/N"]


def test_a_volume_is_attached_grown_and_detached_before_it_goes(cloud: Cloud) -> None:
    inputs = {"name": fresh(), "size": 10, "location": "fsn1", "format": "ext4"}
    volume, outputs = cloud.create("Volume", **inputs)
    server_id, _, _ = server(cloud)
    _, attached = cloud.create("VolumeAttachment", volumeId=volume, serverId=server_id, automount=False)
    assert cloud.calls[0] == ("POST", f"volumes/{volume}/actions/attach", {"server": server_id})
    assert attached == {"id": str(volume), "volumeId": volume, "serverId": server_id, "automount": False}
    outputs = cloud.update("Volume", volume, inputs, outputs, size=20)
    assert cloud.summary() == ["GET volumes/N", "POST volumes/N/actions/resize", "GET volumes/N"]
    cloud.delete("VolumeAttachment", volume, attached)
    assert cloud.summary() == ["GET volumes/N", "POST volumes/N/actions/detach"]
    assert cloud.provider.read(type_of("VolumeAttachment"), str(volume), {}, {}) is None


def test_a_floating_ip_is_unassigned_before_it_goes(cloud: Cloud) -> None:
    inputs = {"name": fresh(), "type": "ipv4", "homeLocation": "fsn1", "description": "vip"}
    id_, outputs = cloud.create("FloatingIp", **inputs)
    server_id, _, _ = server(cloud)
    cloud.api.act(f"floating_ips/{id_}/actions/assign", {"server": server_id})
    outputs = cloud.update("FloatingIp", id_, inputs, outputs, description="VIP")
    assert cloud.summary() == ["PUT floating_ips/N", "GET floating_ips/N"]
    assert outputs["serverId"] == server_id
    assert cloud.provider.diff(type_of("FloatingIp"), inputs, outputs, {**inputs, "description": "VIP"}).changes == {}
    cloud.delete("FloatingIp", id_, outputs)
    assert cloud.summary() == [
        "GET floating_ips/N",
        "POST floating_ips/N/actions/unassign",
        "DELETE floating_ips/N",
    ]


def test_rules_are_a_set_and_an_empty_one_is_not_sent(cloud: Cloud) -> None:
    ssh = {"direction": "in", "protocol": "tcp", "port": "22", "sourceIps": ["10.0.0.0/8", "192.0.2.0/24"]}
    ping = {"direction": "in", "protocol": "icmp", "sourceIps": ["0.0.0.0/0"]}
    inputs = {"name": fresh(), "rules": [ssh, ping]}
    id_, outputs = cloud.create("Firewall", **inputs)
    turned = {**inputs, "rules": [ping, {**ssh, "sourceIps": ssh["sourceIps"][::-1]}]}
    assert cloud.provider.diff(type_of("Firewall"), inputs, outputs, turned).changes == {}
    cloud.update("Firewall", id_, inputs, outputs, rules=[ping])
    assert cloud.calls[1][1:] == (
        f"firewalls/{id_}/actions/set_rules",
        {"rules": [{"direction": "in", "protocol": "icmp", "source_ips": ["0.0.0.0/0"]}]},
    )
    cloud.update("Firewall", id_, inputs, outputs, rules=[])
    assert cloud.summary() == ["GET firewalls/N", "GET firewalls/N"]


def test_what_is_gone_already_is_no_error_to_delete(cloud: Cloud) -> None:
    for kind in ("SshKey", "Network", "Firewall", "PrimaryIp", "FloatingIp", "Volume", "Server"):
        cloud.delete(kind, 999_999, {})
    for kind, id_ in (("NetworkSubnet", "999999-10.0.0.0/24"), ("ServerNetwork", "999999-1")):
        cloud.delete(kind, id_, {})


def test_a_name_that_is_taken_is_adopted_only_if_everything_agrees(cloud: Cloud) -> None:
    """Trap 6, for a reply that was lost: labels and all that can be read back must be the same."""
    inputs = {"name": fresh(), "size": 10, "location": "fsn1", "labels": {"stack": "x"}}
    id_, _ = cloud.create("Volume", **inputs)
    assert cloud.provider.create(type_of("Volume"), "again", inputs)[0] == str(id_)
    with pytest.raises(ProviderError, match="exists already and differs in size"):
        cloud.provider.create(type_of("Volume"), "again", {**inputs, "size": 20})
    for labels in ({"stack": "y"}, {}):
        with pytest.raises(ApiError, match="uniqueness_error"):
            cloud.provider.create(type_of("Volume"), "again", {**inputs, "labels": labels})


def test_a_server_of_unknown_user_data_is_not_adopted(cloud: Cloud) -> None:
    _, inputs, _ = server(cloud, labels={"stack": "x"}, userData="#cloud-config\n")
    with pytest.raises(ApiError, match="uniqueness_error"):
        cloud.provider.create(type_of("Server"), "again", inputs)


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        ("Server", {"backups": True}, "thing: backups is not supported; allowed for hcloud:index/server:Server: "),
        ("Rdns", {}, "hcloud:index/rdns:Rdns is not supported by the embedded engine; allowed: "),
    ],
)
def test_inputs_that_no_table_knows_are_errors(kind: str, inputs: Properties, message: str) -> None:
    with pytest.raises(ProviderError) as caught:
        offline().check(type_of(kind), "thing", {}, inputs)
    assert str(caught.value).startswith(message)


def test_what_is_not_known_yet_passes() -> None:
    checked = offline().check(type_of("Volume"), "v", {}, {"name": "v", "size": UNKNOWN, "labels": Secret({"a": "b"})})
    assert checked == {"__defaults": [], "name": "v", "size": UNKNOWN, "labels": Secret({"a": "b"})}


def test_names_are_made_once() -> None:
    first = offline().check(type_of("Network"), "net", {}, {"ipRange": "10.0.0.0/8"})
    assert first["name"].startswith("net-")
    assert offline().check(type_of("Network"), "net", first, {"ipRange": "10.0.0.0/8"})["name"] == first["name"]


def test_what_replaces_a_server_and_what_does_not() -> None:
    inputs = {"name": "s", "serverType": "cx23", "image": "debian-12", "userData": "a", "sshKeys": ["1"]}
    outputs = {**inputs, "userData": hashed("a"), "labels": None, "firewallIds": [1], "location": "fsn1"}
    diff = offline().diff(type_of("Server"), inputs, outputs, {**inputs, "userData": "b", "serverType": "cx33"})
    assert diff == Diff({("serverType",): "update", ("userData",): "update"}, frozenset({("userData",)}), True)
    unknown = offline().diff(type_of("Server"), inputs, outputs, {**inputs, "sshKeys": [UNKNOWN]})
    assert unknown.replaces == {("sshKeys",)}
    labels = offline().diff(type_of("Server"), inputs, outputs, {**inputs, "labels": {}})
    assert labels.changes == {}


def test_an_endpoint_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HCLOUD_ENDPOINT", raising=False)
    with pytest.raises(EngineError, match=r"HCLOUD_ENDPOINT are not set: .* install the pulumi CLI"):
        provider.configure({"token": TOKEN})
    for endpoint in ("https://api.hetzner.cloud/v1", "http://192.0.2.1/v1", "http://example.org", "nonsense"):
        with pytest.raises(EngineError, match=r"is not an address of this machine: .* install the pulumi CLI"):
            provider.configure({"token": TOKEN, "endpoint": endpoint})
    monkeypatch.setenv("HCLOUD_ENDPOINT", "https://api.hetzner.cloud/v1")
    with pytest.raises(EngineError, match=r"api\.hetzner\.cloud"):
        provider.configure({"token": TOKEN})


def test_an_endpoint_here_is_taken() -> None:
    for endpoint in ("http://127.0.0.1:8080/v1", "http://127.1.2.3", "http://localhost:1/v1", "http://[::1]:1/v1"):
        assert refuse_foreign(endpoint) == endpoint
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no route but the loopback's")
        assert is_here(probe.getsockname()[0])


def test_settings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    local = {"endpoint": "http://127.0.0.1:1/v1", "token": TOKEN}
    monkeypatch.delenv("HCLOUD_TOKEN", raising=False)
    for settings, message in (
        ({**local, "token": "short"}, "has 5 characters; allowed: a token of 64"),
        ({**local, "colour": "red"}, "hcloud:colour is not supported"),
        ({**local, "pollInterval": "soon"}, "hcloud:pollInterval: 'soon' is not allowed"),
        ({**local, "pollFunction": "linear"}, "hcloud:pollFunction: 'linear' is not allowed"),
    ):
        with pytest.raises(EngineError, match=message):
            provider.configure(settings)
    assert [polling("500ms", "exponential")(n) for n in (0, 1, 9)] == [0.5, 1.0, 60.0]
    assert polling("1m1.5s", "constant")(7) == 61.5


def test_a_lost_reply_is_not_a_refusal() -> None:
    """The connection is closed without an answer: of a change nobody knows what came of it."""
    with socket.create_server(("127.0.0.1", free_port())) as listener:

        def hang_up() -> None:
            for _ in range(2):
                listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        api = Api(TOKEN, f"http://127.0.0.1:{listener.getsockname()[1]}/v1", polling("1s", "constant"))
        with pytest.raises(UnknownOutcomeError, match="POST networks: no reply"):
            api.call("POST", "networks", {})
        with pytest.raises(ProviderError) as caught:
            api.call("GET", "networks/1")
        assert not isinstance(caught.value, UnknownOutcomeError)
        thread.join()


def test_data_sources(cloud: Cloud) -> None:
    token = "hcloud:index/getLocation:getLocation"
    assert cloud.provider.invoke(token, {"name": "fsn1"})["networkZone"] == "eu-central"
    with pytest.raises(ProviderError, match="not found"):
        cloud.provider.invoke(token, {"name": "moon"})
    with pytest.raises(ProviderError, match="allowed: getLocation, getServerType"):
        cloud.provider.invoke("hcloud:index/getImages:getImages", {})


def offline() -> Hcloud:
    return Hcloud(Api(TOKEN, "http://127.0.0.1:1/v1", polling("1s", "constant")))


def ssh_key() -> str:
    """A new key's public half."""
    return Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
