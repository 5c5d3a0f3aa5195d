"""The full topology under Pulumi's mocks: what exists, with which options, in which order, and who may read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from components.bundle import openings
from tests.unit.components.deployment import Deployment, Resource, address_by_id, deploy
from tests.unit.stacks.example import ROOT_SECRET, SSH_KEY, STACK, TOKEN, USUAL, plan, secrets_of, settings

HOSTS = ["balancer-1", "balancer-2", "database-1", "database-2", "gui", "core-1", "core-2"]
FOREVER = ["balancer-1", "balancer-2", "database-1", "database-2", "gui"]
"""Hosts whose public address people know; cores come and go."""


@cache
def usual() -> Deployment:
    return checked(deploy())


@cache
def unprotected() -> Deployment:
    return checked(deploy({**USUAL, "protected": False}))


@cache
def first_preview() -> Deployment:
    return checked(deploy(first_preview=True))


def checked(deployment: Deployment) -> Deployment:
    if deployment.error:
        raise deployment.error
    return deployment


def server(host: str, deployment: Deployment | None = None) -> Resource:
    return (deployment or usual()).one("Server", f"-{host}")


def command(host: str, deployment: Deployment | None = None) -> Resource:
    return (deployment or usual()).one("Command", f"-{host}-apply")


def host_of(resource: Resource) -> str | None:
    """The host that a resource belongs to; sites, pairs, placements and firewalls belong to several."""
    if resource.kind in ("Site", "SipBalancer", "DbPair", "PlacementGroup", "Firewall"):
        return None
    return next((host for host in HOSTS if f"-{host}-" in f"{resource.name}-"), None)


COUNTS = {
    "Site": 1,
    "SipBalancer": 1,
    "DbPair": 1,
    "Host": 4,
    "GuiServer": 1,
    "CoreNode": 2,
    "SshKey": 1,
    "Network": 1,
    "NetworkSubnet": 1,
    "PlacementGroup": 3,
    "Firewall": 4,
    "PrimaryIp": 7,
    "FloatingIp": 1,
    "Server": 7,
    "ServerNetwork": 7,
    "Volume": 2,
    "VolumeAttachment": 2,
    "Command": 7,
}


@pytest.mark.parametrize("run", [usual, unprotected, first_preview], ids=lambda run: run.__name__)
def test_the_full_topology_is_made_of_these_resources_and_no_others(run: Any) -> None:
    """No FloatingIpAssignment and no NetworkRoute: which member has an address is never Pulumi's."""
    assert Counter(resource.kind for resource in run().resources) == COUNTS


def test_one_more_core_is_one_more_server_and_what_belongs_to_it() -> None:
    more = checked(deploy({**USUAL, "cores": 3}))
    before = {resource.urn for resource in usual().resources}
    new = [resource for resource in more.resources if resource.urn not in before]
    assert Counter(resource.kind for resource in new) == Counter(
        ["CoreNode", "PrimaryIp", "Server", "ServerNetwork", "Command"]
    )
    assert before <= {resource.urn for resource in more.resources}
    assert changed_inputs(more) == {("Command", "balancer-1"), ("Command", "balancer-2")}


def changed_inputs(now: Deployment) -> set[tuple[str, str | None]]:
    """Which of the usual resources have other inputs."""
    after = {resource.urn: resource for resource in now.resources}
    return {(before.kind, host_of(before)) for before in usual().resources if before.inputs != after[before.urn].inputs}


def test_a_changed_timer_changes_the_commands_of_the_hosts_that_use_it_and_nothing_else() -> None:
    slower = checked(deploy({**USUAL, "probe_interval": 9}))
    assert changed_inputs(slower) == {("Command", "balancer-1"), ("Command", "balancer-2")}


@pytest.mark.parametrize("host", HOSTS)
def test_only_its_rebuild_count_replaces_a_server(host: str) -> None:
    request = server(host).request
    assert set(request.ignoreChanges) == {"image", "sshKeys", "userData"}
    assert request.HasField("replacement_trigger")
    assert request.replacement_trigger.number_value == 0
    assert request.deleteBeforeReplaceDefined
    assert request.deleteBeforeReplace
    assert not request.replaceOnChanges


def test_a_rebuild_reaches_the_trigger_of_that_server_only() -> None:
    rebuilt = checked(deploy({**USUAL, "rebuild": {"core-1": 3}}))
    triggers = {host: server(host, rebuilt).request.replacement_trigger.number_value for host in HOSTS}
    assert triggers == {**dict.fromkeys(HOSTS, 0.0), "core-1": 3.0}


@pytest.mark.parametrize("host", HOSTS)
def test_a_server_has_its_own_public_address_and_no_ipv6(host: str) -> None:
    own = usual().one("PrimaryIp", f"-{host}-ip")
    [net] = server(host).inputs["publicNets"]
    assert net == {"ipv4Enabled": True, "ipv4": identity(own), "ipv6Enabled": False}
    assert own in usual().needs(server(host))
    assert (own.inputs["type"], own.inputs["autoDelete"], own.inputs["location"]) == ("ipv4", False, "fsn1")


def identity(resource: Resource, deployment: Deployment | None = None) -> int:
    """The id that the mocks gave."""
    return (deployment or usual()).ids[resource.urn]


def address(kind: str, name: str) -> str:
    return address_by_id(identity(usual().one(kind, name)))


@pytest.mark.parametrize("host", HOSTS)
def test_a_server_is_what_its_plan_says(host: str) -> None:
    """Networks are never inline, which would replace servers."""
    inputs, planned = server(host).inputs, plan().host(host)
    assert inputs["name"] == f"{STACK}-{host}"
    assert (inputs["serverType"], inputs["image"]) == (planned.server_type, planned.image)
    assert inputs["location"] == "fsn1"
    assert "networks" not in inputs
    assert "datacenter" not in inputs
    [network] = [r for r in usual().of("ServerNetwork") if host_of(r) == host]
    assert network.inputs["ip"] == planned.private_ip
    assert (network.inputs["serverId"], network.inputs["networkId"]) == (
        identity(server(host)),
        identity(usual().one("Network", "-network")),
    )


def test_the_network_and_its_subnet_are_those_of_the_plan() -> None:
    network, subnet = usual().one("Network", "-network"), usual().one("NetworkSubnet", "-subnet")
    assert network.inputs["ipRange"] == "10.0.0.0/16"
    assert (subnet.inputs["ipRange"], subnet.inputs["networkZone"]) == ("10.0.0.0/17", "eu-central")
    for attachment in usual().of("ServerNetwork"):
        assert subnet in usual().needs(attachment)


def groups(deployment: Deployment) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for each in deployment.of("Server"):
        name = each.inputs["name"].removeprefix(f"{STACK}-")
        found.setdefault(each.inputs["placementGroupId"], set()).add(name)
    return found


def test_pairs_and_the_quorum_are_on_different_physical_machines() -> None:
    together = list(groups(usual()).values())
    assert {"database-1", "database-2", "gui"} in together
    assert {"balancer-1", "balancer-2"} in together
    assert {"core-1", "core-2"} in together
    assert all(group.inputs["type"] == "spread" for group in usual().of("PlacementGroup"))


def test_at_most_seven_cores_share_a_placement_group() -> None:
    many = checked(deploy({**USUAL, "cores": 15}))
    sizes = sorted(len(hosts) for hosts in groups(many).values() if "core" in str(hosts))
    assert sizes == [1, 7, 7]
    assert len(many.of("Firewall")) == 4


KEPT = [*(("PrimaryIp", f"-{host}-ip") for host in FOREVER), ("FloatingIp", "-sip-ip")]
KEPT += [("Volume", "-database-1-data"), ("Volume", "-database-2-data")]


@pytest.mark.parametrize(("kind", "name"), KEPT)
def test_what_must_survive_is_protected_twice_and_only_when_the_settings_say_so(kind: str, name: str) -> None:
    """`protect` alone is no guard: destroy has a flag that ignores it."""
    kept, free = usual().one(kind, name), unprotected().one(kind, name)
    assert kept.request.protect
    assert kept.inputs["deleteProtection"] is True
    assert not free.request.protect
    assert not free.inputs.get("deleteProtection")


@pytest.mark.parametrize("host", HOSTS)
def test_a_protected_server_refuses_to_be_deleted_but_can_be_replaced_by_its_count(host: str) -> None:
    assert server(host).request.hooks.before_delete[0] == "refuse-delete"
    assert not server(host).request.protect
    assert "refuse-delete" not in server(host, unprotected()).request.hooks.before_delete


@pytest.mark.parametrize("host", HOSTS)
def test_a_server_of_the_database_pair_is_changed_and_deleted_only_after_its_release(host: str) -> None:
    """Protected or not."""
    in_pair = host.startswith("database-")
    for hooks in (server(host).request.hooks, server(host, unprotected()).request.hooks):
        assert ("release-before-update" in hooks.before_update) == in_pair
        assert ("release-before-delete" in hooks.before_delete) == in_pair


@pytest.mark.parametrize("host", HOSTS)
def test_a_core_is_stopped_and_deleted_only_after_its_calls(host: str) -> None:
    """Protected or not."""
    is_core = host.startswith("core-")
    for hooks in (server(host).request.hooks, server(host, unprotected()).request.hooks):
        assert ("drain-before-update" in hooks.before_update) == is_core
        assert ("drain-before-delete" in hooks.before_delete) == is_core


@pytest.mark.parametrize("host", ["core-1", "core-2"])
def test_removing_a_core_is_deletion_only(host: str) -> None:
    """Nothing of a core is protected by what the program, which no longer knows it, cannot take back."""
    for resource in usual().custom():
        if host_of(resource) == host:
            assert not resource.request.protect, resource.name
            assert not resource.inputs.get("deleteProtection"), resource.name


def test_no_command_has_anything_to_do_at_deletion() -> None:
    """`destroy` would fail on the dial to a dead host, every time."""
    for each in usual().of("Command"):
        assert each.inputs.keys() == {"connection", "create", "stdin", "triggers", "addPreviousOutputInEnv"}


@pytest.mark.parametrize("host", HOSTS)
def test_the_roles_of_a_host_are_applied_again_when_its_server_is_another_and_only_then(host: str) -> None:
    inputs = command(host).inputs
    assert inputs["triggers"] == [str(identity(server(host)))]
    assert inputs["addPreviousOutputInEnv"] is False


@pytest.mark.parametrize("host", HOSTS)
def test_a_connection_goes_to_the_hosts_own_address_and_knows_its_key(host: str) -> None:
    connection = command(host).inputs["connection"]
    key = secrets_of(settings()).host_key(host).public
    assert connection["host"] == address("PrimaryIp", f"-{host}-ip")
    assert connection["user"] == "admin"
    assert connection["hostKey"] == key
    assert not {"password", "privateKey"} & connection.keys()


def test_a_bastion_is_the_way_to_every_host() -> None:
    bastion = {"host": "203.0.113.9", "user": "jump", "port": 2222, "host_key": SSH_KEY}
    through = checked(deploy({**USUAL, "bastion": bastion}))
    for host in HOSTS:
        proxy = command(host, through).inputs["connection"]["proxy"]
        assert (proxy["host"], proxy["user"], proxy["port"], proxy["hostKey"]) == tuple(bastion.values())
    assert "proxy" not in command("gui").inputs["connection"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_preview_names_the_files_of_a_host_and_no_content(host: str) -> None:
    create, stdin = command(host).inputs["create"], command(host).inputs["stdin"]
    first, *listing = create.splitlines()
    assert first.startswith("sudo python3 -")
    assert "# /etc/nftables.conf=" in create
    assert all(line.startswith("# /") for line in listing)
    assert all(line[2:].split("=")[0] in stdin for line in listing)


@pytest.mark.parametrize("host", HOSTS)
def test_user_data_and_the_bundle_are_secrets(host: str) -> None:
    assert "userData" in server(host).secrets
    assert "stdin" in command(host).secrets
    assert "BEGIN EC PRIVATE KEY" in server(host).inputs["userData"]


def all_secrets() -> dict[str, str]:
    secrets = secrets_of(settings())
    passwords = ["gui", "gui/session", "database/core", "database/gui", "database/replication"]
    keys = {f"SSH key of {host}": body(secrets.host_key(host).private) for host in [*HOSTS, "login"]}
    tls = {f"TLS key of {host}": body(secrets.certificate(host).key) for host in HOSTS}
    named = {f"password {name}": secrets.password(name) for name in passwords}
    return {"root secret": ROOT_SECRET, "token": TOKEN, **keys, **tls, **named}


def body(pem: str) -> str:
    return pem.splitlines()[1]


def test_no_secret_stands_in_what_anybody_may_read() -> None:
    """In no plain input of a resource, and in no plain output."""
    readable = {resource.name: resource.plain_inputs for resource in usual().resources}
    readable |= {f"outputs {number}": text for number, text in enumerate(usual().registered_outputs)}
    told = [
        (what, where) for what, secret in all_secrets().items() for where, text in readable.items() if secret in text
    ]
    assert not told


def test_every_kind_of_secret_is_found_where_it_may_be() -> None:
    """So that the search above can find something."""
    sealed = "".join(str(r.inputs[key]) for r in usual().resources for key in r.secrets)
    absent = {what for what, secret in all_secrets().items() if secret not in sealed}
    unused = {"root secret", "SSH key of login", "TLS key of core-1", "TLS key of core-2", "password gui"}
    assert absent <= unused


def test_the_root_secret_reaches_no_resource_at_all() -> None:
    assert not [resource.name for resource in usual().resources if ROOT_SECRET in str(resource.inputs)]


def test_the_token_reaches_the_database_hosts_only() -> None:
    holders = {host_of(resource) for resource in usual().resources if TOKEN in str(resource.inputs)}
    assert holders == {"database-1", "database-2"}


@pytest.mark.parametrize(("main", "backup"), [("balancer-1", "balancer-2"), ("database-1", "database-2")])
def test_the_second_server_of_a_pair_comes_after_the_first_server_and_waits_for_nothing_else_of_it(
    main: str, backup: str
) -> None:
    others = [r for r in usual().needs(server(backup)) if host_of(r) not in (backup, None)]
    assert others == [server(main)]
    assert not [r for r in usual().needs(server(main)) if host_of(r) == backup]


@pytest.mark.parametrize("host", ["gui", "core-1", "core-2"])
def test_a_server_without_a_pair_waits_for_no_other_host(host: str) -> None:
    assert not [r.name for r in usual().needs(server(host)) if host_of(r) not in (host, None)]


@pytest.mark.parametrize("host", HOSTS)
def test_roles_are_applied_after_the_network_and_the_disk_are_attached(host: str) -> None:
    attached = [r for r in usual().custom() if r.kind in ("ServerNetwork", "VolumeAttachment") and host_of(r) == host]
    assert len(attached) == (2 if host.startswith("database") else 1)
    needed = usual().needs(command(host))
    assert all(each in needed for each in attached)


@pytest.mark.parametrize("host", HOSTS)
def test_roles_of_a_host_wait_for_no_other_host(host: str) -> None:
    """Creation stays parallel."""
    assert not [r.name for r in usual().needs(command(host)) if r.request.custom and host_of(r) not in (host, None)]


@pytest.mark.parametrize("host", ["database-1", "database-2"])
def test_a_database_has_a_volume_that_is_attached_and_not_mounted_by_the_provider(host: str) -> None:
    volume = usual().one("Volume", f"-{host}-data")
    attachment = usual().one("VolumeAttachment", f"-{host}-data-attachment")
    assert (volume.inputs["size"], volume.inputs["format"], volume.inputs["location"]) == (100, "ext4", "fsn1")
    assert (attachment.inputs["volumeId"], attachment.inputs["serverId"]) == (identity(volume), identity(server(host)))
    assert attachment.inputs["automount"] is False
    assert not {"automount", "serverId"} & volume.inputs.keys()


@pytest.mark.parametrize("host", HOSTS)
def test_the_clouds_firewall_lets_in_the_public_openings_and_nothing_else(host: str) -> None:
    """The provider's firewall does not filter private traffic."""
    [number] = server(host).inputs["firewallIds"]
    [firewall] = [each for each in usual().of("Firewall") if identity(each) == number]
    rules = {(r["protocol"], r.get("port"), *sorted(r["sourceIps"])) for r in firewall.inputs["rules"]}
    chosen = plan()
    public = [o for o in openings(chosen, chosen.host(host)) if o.scope == "public"]
    assert rules == {(o.protocol, o.ports, *sorted(o.sources)) for o in public}
    assert {r["direction"] for r in firewall.inputs["rules"]} == {"in"}
    assert not {"3306", "2379-2380", "8443", "8444"} & {r.get("port") for r in firewall.inputs["rules"]}


def test_the_moving_public_address_is_given_to_nobody() -> None:
    floating = usual().one("FloatingIp", "-sip-ip")
    assert "serverId" not in floating.inputs
    assert (floating.inputs["type"], floating.inputs["homeLocation"]) == ("ipv4", "fsn1")


def test_names_in_the_cloud_begin_with_the_stack_and_are_unique_among_their_kind() -> None:
    """The mover finds what it moves by these names."""
    named = [(r.kind, r.inputs["name"]) for r in usual().custom() if "name" in r.inputs]
    assert len(set(named)) == len(named) == 26
    assert all(name == STACK or name.startswith(f"{STACK}-") for _, name in named)
    assert {("FloatingIp", f"{STACK}-sip"), ("Network", STACK), ("Server", f"{STACK}-balancer-1")} <= set(named)


def test_everything_that_can_carry_a_label_says_its_stack() -> None:
    without = ("NetworkSubnet", "ServerNetwork", "VolumeAttachment", "Command")
    for resource in usual().custom():
        if resource.kind not in without:
            assert resource.inputs["labels"]["m2-stack"] == STACK, resource.name


def test_the_outputs_are_what_people_need_to_know() -> None:
    outputs: Mapping[str, Any] = usual().outputs
    assert outputs["sip_address"] == address("FloatingIp", "-sip-ip")
    assert outputs["database_address"] == "10.0.128.1"
    assert outputs["gui_url"] == f"https://{address('PrimaryIp', '-gui-ip')}/"
    assert outputs["gui_user"] == "admin"
    assert outputs["gui_password"] == secrets_of(settings()).password("gui")
    assert outputs["hosts"] == {host: address("PrimaryIp", f"-{host}-ip") for host in HOSTS}
    assert usual().secret_outputs == {"gui_password"}


ON_A_HOST = ("Server", "ServerNetwork", "Command")


def test_every_component_is_the_parent_of_what_it_is_made_of() -> None:
    by_urn = {resource.urn: resource.kind for resource in usual().resources}
    parents = {(by_urn.get(r.request.parent, "Stack"), r.kind) for r in usual().resources}
    assert parents == {
        *(("Stack", kind) for kind in ("Site", "SipBalancer", "DbPair", "GuiServer", "CoreNode")),
        *(("Site", kind) for kind in ("Network", "NetworkSubnet", "SshKey", "PrimaryIp", "FloatingIp")),
        *(("Site", kind) for kind in ("PlacementGroup", "Firewall")),
        *((pair, "Host") for pair in ("SipBalancer", "DbPair")),
        *((host, kind) for host in ("Host", "GuiServer", "CoreNode") for kind in ON_A_HOST),
        *(("Host", kind) for kind in ("Volume", "VolumeAttachment")),
    }


def test_a_first_preview_needs_no_address() -> None:
    """Bundles that name addresses are unknown then; every other input is the same."""
    for resource in first_preview().resources:
        other = next(each for each in usual().resources if each.urn == resource.urn)
        if resource.kind not in ("Command", "Server"):
            assert resource.inputs.keys() == other.inputs.keys()
