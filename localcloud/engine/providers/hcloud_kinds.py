"""The Hetzner resources as a table: what each takes, how a change of it is made, and where its outputs are.

Source: terraform-provider-hcloud 1.66.1 (internal/*/resource*.go) behind pulumi-hcloud 1.43.3. The order of a kind's
inputs is the order in which the provider applies their changes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from localcloud.engine.providers import ProviderError
from localcloud.engine.providers.hcloud_api import TRIES, Api, ApiError, Json
from localcloud.engine.values import Properties, Value


@dataclass(frozen=True)
class Update:
    """One object while it is changed; `current` is what the API said before."""

    api: Api
    path: str
    wanted: Properties
    current: Json

    def act(self, action: str, body: Json) -> None:
        self.api.act(f"{self.path}/actions/{action}", body)


@dataclass(frozen=True)
class Input:
    """One input. `absent` is what the provider takes a missing one for; a missing `computed` one may be anything.

    `change` says how it is changed: by replacing the resource, by a PUT, by calls of its own, or by nothing (None).
    `normal` makes the form in which two values are compared, `sent` says whether a create sends it, and `read` where
    it is in the API's object, by default under its own name.
    """

    normal: Callable[[Value], Value] = lambda value: value
    absent: Value = None
    change: Literal["replace", "put"] | Callable[[Update], None] | None = None
    computed: bool = False
    sent: bool = True
    read: str = ""

    @property
    def replaces(self) -> bool:
        return self.change == "replace"

    def same(self, old: Value, new: Value) -> bool:
        if new is None and self.computed:
            return True
        old, new = (self.absent if value is None else value for value in (old, new))
        return (None if old is None else self.normal(old)) == (None if new is None else self.normal(new))


@dataclass(frozen=True)
class Kind:
    """A resource that is an object of the API by itself.

    `also` are outputs that are no inputs and where they are in the API's object, `volatile` those that are unknown
    while anything is changed. `body` and `outputs` add to what the inputs alone say. `complete` is done after a create
    and `release` before a delete, which is tried again after an error in `busy`. `unreadable` inputs replace the
    resource and are never given back. A `framework` kind is of the provider's newer half: one PUT whose reply is the
    new state.
    """

    path: str
    inputs: Mapping[str, Input]
    also: Mapping[str, str] = field(default_factory=dict)
    volatile: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()
    framework: bool = False
    asks_first: bool = True
    reads_back: bool = True
    body: Callable[[Api, Properties], Json] = lambda api, inputs: {}
    outputs: Callable[[Json, Properties], Properties] = lambda found, known: {}
    complete: Callable[[Update], None] = lambda update: None
    release: Callable[[Api, str, Properties], None] = lambda api, path, known: None


@dataclass(frozen=True)
class Relation:
    """A resource that is part of an object, or between two; every change replaces it. `id` has all that names it."""

    inputs: Mapping[str, Input]
    id: Callable[[Properties], str]
    make: Callable[[Api, Properties], None]
    read: Callable[[Api, str, Properties], Properties | None]
    remove: Callable[[Api, str], None]
    framework: bool = False
    volatile: tuple[str, ...] = ()


def text(**options: Any) -> Input:
    return Input(normal=str, absent="", **options)


def number(**options: Any) -> Input:
    return Input(normal=int, **options)


def flag(**options: Any) -> Input:
    return Input(absent=False, **options)


def snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)


def camel(name: str) -> str:
    return re.sub(r"_(.)", lambda match: match[1].upper(), name)


def pick(found: Json, path: str, otherwise: Value = None) -> Value:
    """What is at `a.b.c`; None where the path ends at nothing, `otherwise` where the API has no such value."""
    value: Any = found
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return None if value is None else otherwise
        value = value[key]
    return value


def protect(update: Update) -> None:
    update.act("change_protection", {"delete": bool(update.wanted.get("deleteProtection"))})


def protect_if_asked(update: Update) -> None:
    if update.wanted.get("deleteProtection"):
        protect(update)


NAME = text(change="put")
LABELS = Input(absent={}, change="put")
PROTECTED = flag(change=protect, sent=False, read="protection.delete")
LOCATION = text(computed=True, change="replace", read="location.name")


def _addresses(found: Json, known: Properties) -> Properties:
    return {"ipAddress": found["ip"].split("/")[0], "ipNetwork": found["ip"] if found["type"] == "ipv6" else None}


def _come_off(action: str) -> Callable[[Api, str, Properties], None]:
    """From the server that it is on, if any."""

    def come_off(api: Api, path: str, known: Properties) -> None:
        if (api.get(path) or {}).get("server"):
            api.act(f"{path}/actions/{action}", {}, retry=("locked",))

    return come_off


# Firewalls.


def _rules(inputs: Properties) -> list[Json]:
    return [{snake(k): v for k, v in rule.items() if v and k[:2] != "__"} for rule in inputs.get("rules") or ()]


def _normal_rules(rules: list[Properties]) -> list[Any]:
    def normal(rule: Properties) -> tuple[Any, ...]:
        words = (str(rule.get(key) or "") for key in ("direction", "protocol", "port", "description"))
        return (*words, *(tuple(sorted(rule.get(key) or ())) for key in ("sourceIps", "destinationIps")))

    return sorted(map(normal, rules))


def _set_rules(update: Update) -> None:
    rules = _rules(update.wanted)
    if rules:  # the provider never sends an empty list
        update.act("set_rules", {"rules": rules})


def _firewall_outputs(found: Json, known: Properties) -> Properties:
    rules = [
        {camel(key): rule.get(key) or "" for key in ("direction", "protocol", "port", "description")}
        | {camel(key): rule[key] for key in ("source_ips", "destination_ips")}
        for rule in found["rules"]
    ]
    applied = [
        {"labelSelector": pick(on, "label_selector.selector", ""), "server": pick(on, "server.id", 0)}
        for on in found["applied_to"]
    ]
    return {"rules": rules, "applyTos": applied}


def _remove_firewall(api: Api, path: str, known: Properties) -> None:
    if applied := (api.get(path) or {}).get("applied_to"):
        api.act(f"{path}/actions/remove_from_resources", {"remove_from": applied})


# Servers.


def _server_body(api: Api, inputs: Properties) -> Json:
    type_ = _only(api.list("server_types", f"name={inputs['serverType']}"), "serverType", inputs)
    image = f"name={inputs['image']}&architecture={type_['architecture']}&include_deprecated=true"
    body = {
        "image": _only(api.list("images", image), "image", inputs)["id"],
        "ssh_keys": [_id_of(api, f"ssh_keys/{key}") for key in inputs.get("sshKeys") or ()],
        "firewalls": [{"firewall": int(id_)} for id_ in inputs.get("firewallIds") or ()],
    }
    if inputs.get("placementGroupId"):
        body["placement_group"] = _id_of(api, f"placement_groups/{inputs['placementGroupId']}")
    if inputs.get("publicNets"):
        net = _public_net(inputs["publicNets"])
        given = {family: net[family] for family in ("ipv4", "ipv6") if net[family]}
        body["public_net"] = {f"enable_{f}": bool(net[f"{f}Enabled"] or net[f]) for f in ("ipv4", "ipv6")} | given
    return body


def _only(found: list[Json], setting: str, inputs: Properties) -> Json:
    if not found:
        raise ProviderError(f"{inputs['name']}: {setting}: {inputs[setting]!r} is not known to the cloud")
    return found[0]


def _id_of(api: Api, path: str) -> int:
    found = api.get(path)
    if found is None:
        raise ProviderError(f"{path} does not exist")
    return int(found["id"])


def _public_net(blocks: list[Properties]) -> Properties:
    """The one block, with what the provider takes a missing value for."""
    (block,) = blocks or ({},)
    given = {key: value for key, value in block.items() if key[:2] != "__" and value is not None}
    return {"ipv4Enabled": True, "ipv6Enabled": True, "ipv4": 0, "ipv6": 0, **given}


def _server_outputs(found: Json, known: Properties) -> Properties:
    image, network = found["image"], pick(found, "public_net.ipv6.ip")
    named = image and image.get("name") and str(image["id"]) != str(known.get("image"))
    return {
        "image": (image["name"] if named else str(image["id"])) if image else known.get("image"),
        "ipv4Address": pick(found, "public_net.ipv4.ip") or "",
        "ipv6Address": network.replace("/64", "1") if network else "",
        "ipv6Network": network or "<nil>",
        "backupWindow": found["backup_window"] or "",
        "backups": bool(found["backup_window"]),
        "firewallIds": sorted(firewall["id"] for firewall in found["public_net"]["firewalls"]),
        "publicNets": [_public_net(known["publicNets"])] if known.get("publicNets") else None,
        "userData": hashed(known["userData"]) if known.get("userData") else None,
        **{key: bool(known.get(key)) for key in ("keepDisk", "shutdownBeforeDeletion", "ignoreRemoteFirewallIds")},
        **dict.fromkeys(("allowDeprecatedImages", "iso", "rescue")),
        "networks": [],
    }


def hashed(user_data: str) -> str:
    """As the provider keeps user-data; what is a hash already stays."""
    if re.fullmatch(r"[A-Za-z0-9+/]{27}=", user_data):
        return user_data
    return base64.b64encode(hashlib.sha1(user_data.encode()).digest()).decode()  # noqa: S324 - the provider's format


def _change_type(update: Update) -> None:
    if update.current["status"] == "running":
        update.act("poweroff", {})
    body = {"server_type": update.wanted["serverType"], "upgrade_disk": not update.wanted.get("keepDisk")}
    update.act("change_type", body)  # the API starts the server again


def _change_firewalls(update: Update) -> None:
    on = {"type": "server", "server": {"id": update.current["id"]}}
    now = {firewall["id"] for firewall in update.current["public_net"]["firewalls"]}
    wanted = set(map(int, update.wanted.get("firewallIds") or ()))
    for firewall in sorted(now - wanted):
        update.api.act(f"firewalls/{firewall}/actions/remove_from_resources", {"remove_from": [on]})
    for firewall in sorted(wanted - now):
        update.api.act(f"firewalls/{firewall}/actions/apply_to_resources", {"apply_to": [on]})


def _protect_server(update: Update) -> None:
    wanted = update.wanted
    body = {"delete": bool(wanted.get("deleteProtection")), "rebuild": bool(wanted.get("rebuildProtection"))}
    update.act("change_protection", body)


def _protect_server_if_asked(update: Update) -> None:
    if update.wanted.get("deleteProtection") or update.wanted.get("rebuildProtection"):
        _protect_server(update)


def _only_by_rebuild(setting: str) -> Callable[[Update], None]:
    def refuse(update: Update) -> None:
        raise ProviderError(
            f"{setting} of a server that exists cannot be changed by the embedded engine: raise `rebuild`, or use "
            "the pulumi CLI"
        )

    return refuse


# Networks and volumes of servers, and subnets of networks.


def _add_subnet(api: Api, inputs: Properties) -> None:
    body = {snake(key): inputs[key] for key in ("type", "ipRange", "networkZone")}
    api.act(f"networks/{inputs['networkId']}/actions/add_subnet", body, retry=("conflict",))


def _read_subnet(api: Api, id_: str, known: Properties) -> Properties | None:
    network, _, ip_range = id_.partition("-")
    subnets = (api.get(f"networks/{network}") or {}).get("subnets", ())
    found = next((subnet for subnet in subnets if subnet["ip_range"] == ip_range), None)
    values = found and {camel(key): found[key] for key in ("ip_range", "type", "network_zone", "gateway")}
    return values and {**values, "id": id_, "networkId": int(network), "vswitchId": None}


def _delete_subnet(api: Api, id_: str) -> None:
    network, _, ip_range = id_.partition("-")
    if _read_subnet(api, id_, {}):
        passing = ("conflict", "locked", "service_error")
        path, body = f"networks/{network}/actions/delete_subnet", {"ip_range": ip_range}
        api.act(path, body, retry=passing, tries=10 * TRIES)


def _attach_volume(api: Api, inputs: Properties) -> None:
    automount = {"automount": True} if inputs.get("automount") else {}
    body = {"server": int(inputs["serverId"]), **automount}
    api.act(f"volumes/{inputs['volumeId']}/actions/attach", body, retry=("locked",))


def _read_volume_attachment(api: Api, id_: str, known: Properties) -> Properties | None:
    volume = api.get(f"volumes/{id_}")
    server = api.get(f"servers/{volume['server']}") if volume and volume["server"] else None
    automount = bool(known.get("automount"))
    return server and {"id": id_, "volumeId": int(id_), "serverId": server["id"], "automount": automount}


NETWORK_BUSY = ("conflict", "locked", "service_error", "no_subnet_available")


def _attach_to_network(api: Api, inputs: Properties) -> None:
    ip = {"ip": inputs["ip"]} if "ip" in inputs else {}
    body = {"network": int(inputs["networkId"]), "alias_ips": [], **ip}
    try:
        api.act(f"servers/{inputs['serverId']}/actions/attach_to_network", body, retry=NETWORK_BUSY)
    except ApiError as error:
        if error.code != "server_already_attached":
            raise


def _read_network_of_server(api: Api, id_: str, known: Properties) -> Properties | None:
    server, _, network = id_.partition("-")
    nics = (api.get(f"servers/{server}") or {}).get("private_net", ())
    nic = next((nic for nic in nics if nic["network"] == int(network)), None)
    values = nic and {camel(key): nic[key] for key in ("ip", "alias_ips", "mac_address")}
    return values and {**values, "id": id_, "serverId": int(server), "networkId": int(network)}


def _detach_from_network(api: Api, id_: str) -> None:
    server, _, network = id_.partition("-")
    api.act(f"servers/{server}/actions/detach_from_network", {"network": int(network)}, retry=NETWORK_BUSY)


KINDS: Mapping[str, Kind | Relation] = {
    "hcloud:index/sshKey:SshKey": Kind(
        "ssh_keys",
        {"name": NAME, "publicKey": text(change="replace"), "labels": LABELS},
        also={"fingerprint": "fingerprint"},
        framework=True,
        reads_back=False,
    ),
    "hcloud:index/placementGroup:PlacementGroup": Kind(
        "placement_groups",
        {"name": NAME, "labels": LABELS, "type": text(change="replace")},
        also={"servers": "servers"},
    ),
    "hcloud:index/network:Network": Kind(
        "networks",
        {
            "name": NAME,
            "labels": LABELS,
            "exposeRoutesToVswitch": flag(change="put"),
            "deleteProtection": PROTECTED,
            "ipRange": text(change="replace"),
        },
        body=lambda api, inputs: {"expose_routes_to_vswitch": bool(inputs.get("exposeRoutesToVswitch"))},
        complete=protect_if_asked,
    ),
    "hcloud:index/firewall:Firewall": Kind(
        "firewalls",
        {
            "name": NAME,
            "rules": Input(absent=[], change=_set_rules, normal=_normal_rules, sent=False),
            "labels": replace(LABELS, computed=True),
        },
        body=lambda api, inputs: {"rules": _rules(inputs)},
        outputs=_firewall_outputs,
        release=_remove_firewall,
        busy=("conflict", "resource_in_use"),
    ),
    "hcloud:index/primaryIp:PrimaryIp": Kind(
        "primary_ips",
        {
            "deleteProtection": PROTECTED,
            "assigneeType": text(computed=True, sent=False),
            "name": NAME,
            "labels": LABELS,
            "autoDelete": flag(change="put"),
            "type": text(change="replace"),
            "location": LOCATION,
        },
        also={"datacenter": "datacenter.name"},
        volatile=("assigneeId", "assigneeType"),
        outputs=lambda found, known: {**_addresses(found, known), "assigneeId": found["assignee_id"] or 0},
        complete=protect_if_asked,
        busy=("conflict", "locked", "resource_in_use", "must_be_unassigned"),
        framework=True,
    ),
    "hcloud:index/floatingIp:FloatingIp": Kind(
        "floating_ips",
        {
            "description": text(change="put"),
            "name": text(change="put", computed=True),
            "labels": LABELS,
            "deleteProtection": PROTECTED,
            "type": text(change="replace"),
            "homeLocation": text(computed=True, change="replace", read="home_location.name"),
        },
        also={"serverId": "server"},
        body=lambda api, inputs: {"description": inputs.get("description", "")},
        outputs=_addresses,
        complete=protect_if_asked,
        release=_come_off("unassign"),
        asks_first=False,
    ),
    "hcloud:index/volume:Volume": Kind(
        "volumes",
        {
            "name": NAME,
            "size": number(change=lambda update: update.act("resize", {"size": update.wanted["size"]})),
            "labels": LABELS,
            "deleteProtection": PROTECTED,
            "location": LOCATION,
            "format": text(),
        },
        also={"linuxDevice": "linux_device", "serverId": "server"},
        # The provider never reads the format back.
        outputs=lambda found, known: {"format": known.get("format", found.get("format"))},
        complete=protect_if_asked,
        release=_come_off("detach"),
        busy=("locked", "conflict", "resource_in_use"),
    ),
    "hcloud:index/server:Server": Kind(
        "servers",
        {
            "name": NAME,
            "labels": LABELS,
            "serverType": text(change=_change_type, read="server_type.name"),
            "firewallIds": Input(
                computed=True, change=_change_firewalls, sent=False, normal=lambda ids: sorted(map(int, ids))
            ),
            "publicNets": Input(computed=True, change=_only_by_rebuild("publicNets"), sent=False, normal=_public_net),
            "placementGroupId": number(
                change=_only_by_rebuild("placementGroupId"), sent=False, read="placement_group.id"
            ),
            "deleteProtection": replace(PROTECTED, change=_protect_server),
            "rebuildProtection": replace(PROTECTED, change=_protect_server, read="protection.rebuild"),
            "keepDisk": flag(sent=False),
            "image": text(computed=True, change="replace", sent=False),
            "location": LOCATION,
            "sshKeys": Input(absent=[], change="replace", sent=False, normal=lambda keys: list(map(str, keys))),
            "userData": Input(absent="", change="replace", normal=hashed),
        },
        also={"status": "status", "datacenter": "datacenter.name", "primaryDiskSize": "primary_disk_size"},
        unreadable=("userData", "sshKeys"),
        body=_server_body,
        outputs=_server_outputs,
        complete=_protect_server_if_asked,
    ),
    "hcloud:index/networkSubnet:NetworkSubnet": Relation(
        {
            "networkId": number(change="replace"),
            **{key: text(change="replace") for key in ("type", "networkZone", "ipRange")},
        },
        id=lambda inputs: f"{inputs['networkId']}-{inputs['ipRange']}",
        make=_add_subnet,
        read=_read_subnet,
        remove=_delete_subnet,
    ),
    "hcloud:index/volumeAttachment:VolumeAttachment": Relation(
        {
            "volumeId": number(change="replace"),
            "serverId": number(change="replace"),
            "automount": Input(computed=True, change="replace"),
        },
        id=lambda inputs: str(inputs["volumeId"]),
        make=_attach_volume,
        read=_read_volume_attachment,
        remove=lambda api, id_: _come_off("detach")(api, f"volumes/{id_}", {}),
    ),
    "hcloud:index/serverNetwork:ServerNetwork": Relation(
        {
            "serverId": number(change="replace"),
            "networkId": number(change="replace"),
            "ip": text(computed=True, change="replace"),
        },
        id=lambda inputs: f"{inputs['serverId']}-{inputs['networkId']}",
        make=_attach_to_network,
        read=_read_network_of_server,
        remove=_detach_from_network,
        framework=True,
    ),
}
