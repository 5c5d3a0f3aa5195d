"""The Hetzner resources: what they take, what replaces them, and which calls they are made of.

Source: terraform-provider-hcloud 1.66.1 (internal/*/resource*.go) behind pulumi-hcloud 1.43.3. The order of a kind's
fields is the order in which the provider applies their changes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from localcloud.engine.providers import PartialError, ProviderError
from localcloud.engine.providers.hcloud_api import TRIES, Api, ApiError, Json
from localcloud.engine.values import Properties, Value


@dataclass(frozen=True)
class Update:
    """One object while it is changed; `current` is what the API said before, where the provider asks."""

    api: Api
    path: str
    id: int
    wanted: Properties
    known: Properties
    current: Json

    def act(self, action: str, body: Json) -> None:
        self.api.act(f"{self.path}/{self.id}/actions/{action}", body)


@dataclass(frozen=True)
class Field:
    """One input.

    `absent` is what the provider takes a missing one for; a missing `computed` one may be anything. `normal` makes the
    form in which two values are compared. A change is made by a PUT of the object (`put`), by calls of its own
    (`apply`), by a replacement (`replaces`), or by nothing. `sent` says whether a create sends it, `read` where it is
    in the API's object, by default its name.
    """

    type: type
    absent: Value = None
    computed: bool = False
    replaces: bool = False
    put: bool = False
    apply: Callable[[Update], None] | None = None
    normal: Callable[[Value], Value] = lambda value: value
    sent: bool = True
    read: str = ""

    def same(self, old: Value, new: Value) -> bool:
        if new is None and self.computed:
            return True
        old, new = (self.absent if value is None else value for value in (old, new))
        return (None if old is None else self.normal(old)) == (None if new is None else self.normal(new))


def text(**options: Any) -> Field:
    return Field(str, absent="", normal=str, **options)


def number(**options: Any) -> Field:
    return Field(int, normal=int, **options)


def flag(**options: Any) -> Field:
    return Field(bool, absent=False, **options)


def protect(update: Update) -> None:
    update.act("change_protection", {"delete": bool(update.wanted.get("deleteProtection"))})


NAME = text(put=True)
LABELS = Field(dict, absent={}, put=True)
PROTECTED = flag(apply=protect, sent=False, read="protection.delete")
LOCATION = text(computed=True, replaces=True, read="location.name")


class Kind:
    """A resource that is an object of the API by itself."""

    path: ClassVar[str] = ""
    fields: ClassVar[Mapping[str, Field]] = {}
    also: ClassVar[Mapping[str, str]] = {}
    """Outputs that are no inputs, and where they are in the API's object."""
    volatile: ClassVar[tuple[str, ...]] = ()
    """Outputs that are unknown while anything is changed."""
    framework = False
    """Of the provider's newer half: one PUT, its reply is the new state, deleted before it is replaced."""
    asks_first = True
    """Before an update."""
    reads_back = True
    """After a create."""
    unreadable: ClassVar[frozenset[str]] = frozenset()
    """Inputs that replace it and that the API never gives back."""
    busy: ClassVar[tuple[str, ...]] = ()
    """Errors of a delete that pass by themselves."""

    def body(self, api: Api, inputs: Properties) -> Json:
        """What a create sends."""
        given = {key: value for key, value in inputs.items() if key in self.fields and value is not None}
        return {snake(key): value for key, value in given.items() if self.fields[key].sent}

    def outputs(self, found: Json, known: Properties) -> Properties:
        """From the API's object; what it does not give back stays as it is known."""
        reads = {**{key: field.read or snake(key) for key, field in self.fields.items()}, **self.also}
        values = {key: _pick(found, path, known.get(key)) for key, path in reads.items()}
        labels = found["labels"] or ({} if self.framework else None)
        return {**values, "id": str(found["id"]), "labels": labels}

    def create(self, api: Api, inputs: Properties) -> tuple[str, Properties]:
        try:
            reply = api.call("POST", self.path, self.body(api, inputs))
        except ApiError as error:
            return self._existing(api, inputs, error)
        made = next(value for value in reply.values() if isinstance(value, dict) and "created" in value)
        id_ = str(made["id"])
        try:
            api.wait(reply)
            self.complete(Update(api, self.path, made["id"], inputs, {}, made))
            read = self.read(api, id_, inputs) if self.reads_back else None
            return id_, read or self.outputs(made, inputs)
        except ProviderError as error:
            raise PartialError(str(error), id_, self.outputs(made, inputs)) from error

    def complete(self, update: Update) -> None:
        """What a create cannot send."""
        if update.wanted.get("deleteProtection"):
            protect(update)

    def _existing(self, api: Api, inputs: Properties, error: ApiError) -> tuple[str, Properties]:
        """A reply was lost, or a run killed: it is ours if the labels and all that can be read back agree."""
        unsure = error.code != "uniqueness_error" or self.unreadable & inputs.keys()
        id_ = None if unsure else self.find(api, inputs)
        outputs = self.read(api, id_, {}) if id_ else None
        if id_ is None or outputs is None:
            raise error
        differs = [k for k, field in self.fields.items() if k in inputs and not field.same(outputs[k], inputs[k])]
        if differs:
            raise ProviderError(f"{inputs['name']} exists already and differs in {', '.join(differs)}") from error
        return id_, outputs

    def read(self, api: Api, id_: str, known: Properties) -> Properties | None:
        found = api.get(f"{self.path}/{id_}")
        return None if found is None else self.outputs(found, known)

    def update(self, api: Api, id_: str, known: Properties, wanted: Properties, changed: set[str]) -> Properties:
        asks = self.asks_first and not self.framework
        current = api.get(f"{self.path}/{id_}") if asks else {}
        if current is None:
            raise ProviderError(f"{self.path}/{id_} is gone: run refresh, then up")
        self.apply(Update(api, self.path, int(id_), wanted, known, current), changed)
        if not self.framework:
            return self.read(api, id_, wanted) or {}
        puts = {snake(key): wanted.get(key, self.fields[key].absent) for key in changed if self.fields[key].put}
        (found,) = api.call("PUT", f"{self.path}/{id_}", puts).values()
        return self.outputs(found, wanted)

    def apply(self, update: Update, changed: set[str]) -> None:
        applied = set()
        for key, field in self.fields.items():
            if key not in changed or field.apply in applied:
                continue
            if field.apply:
                field.apply(update)
                applied.add(field.apply)
            elif field.put and not self.framework:
                body = {snake(key): update.wanted.get(key, field.absent)}
                update.api.call("PUT", f"{self.path}/{update.id}", body)

    def delete(self, api: Api, id_: str, known: Properties) -> None:
        self.release(api, id_, known)
        api.wait(api.persist(lambda: api.call("DELETE", f"{self.path}/{id_}"), self.busy, 2 * TRIES))

    def release(self, api: Api, id_: str, known: Properties) -> None:
        """What must come off before it can be deleted."""

    def find(self, api: Api, inputs: Properties) -> str | None:
        found = api.list(self.path, f"name={inputs['name']}")
        ours = [o for o in found if o["labels"] and o["labels"] == (inputs.get("labels") or {})]
        return str(ours[0]["id"]) if ours else None

    def detach(self, api: Api, id_: str, action: str) -> None:
        """From the server that it is on, if any."""
        if (api.get(f"{self.path}/{id_}") or {}).get("server"):
            api.act(f"{self.path}/{id_}/actions/{action}", {}, retry=("locked",))


class SshKey(Kind):
    path = "ssh_keys"
    framework = True
    reads_back = False
    fields: ClassVar = {"name": NAME, "publicKey": text(replaces=True), "labels": LABELS}
    also: ClassVar = {"fingerprint": "fingerprint"}


class PlacementGroup(Kind):
    path = "placement_groups"
    fields: ClassVar = {"name": NAME, "labels": LABELS, "type": text(replaces=True)}
    also: ClassVar = {"servers": "servers"}


class Network(Kind):
    path = "networks"
    fields: ClassVar = {
        "name": NAME,
        "labels": LABELS,
        "exposeRoutesToVswitch": flag(put=True),
        "deleteProtection": PROTECTED,
        "ipRange": text(replaces=True),
    }

    def body(self, api: Api, inputs: Properties) -> Json:
        return {"expose_routes_to_vswitch": False, **super().body(api, inputs)}


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


class Firewall(Kind):
    path = "firewalls"
    fields: ClassVar = {
        "name": NAME,
        "rules": Field(list, absent=[], apply=_set_rules, normal=_normal_rules),
        "labels": replace(LABELS, computed=True),
    }
    busy = ("conflict", "resource_in_use")

    def body(self, api: Api, inputs: Properties) -> Json:
        return {**super().body(api, inputs), "rules": _rules(inputs)}

    def outputs(self, found: Json, known: Properties) -> Properties:
        rules = [
            {camel(key): rule.get(key) or "" for key in ("direction", "protocol", "port", "description")}
            | {camel(key): rule[key] for key in ("source_ips", "destination_ips")}
            for rule in found["rules"]
        ]
        applied = [
            {"labelSelector": _pick(on, "label_selector.selector", ""), "server": _pick(on, "server.id", 0)}
            for on in found["applied_to"]
        ]
        return {**super().outputs(found, known), "rules": rules, "applyTos": applied}

    def release(self, api: Api, id_: str, known: Properties) -> None:
        applied = (api.get(f"{self.path}/{id_}") or {}).get("applied_to")
        if applied:
            api.act(f"{self.path}/{id_}/actions/remove_from_resources", {"remove_from": applied})


def _addresses(found: Json) -> Properties:
    return {"ipAddress": found["ip"].split("/")[0], "ipNetwork": found["ip"] if found["type"] == "ipv6" else None}


class PrimaryIp(Kind):
    path = "primary_ips"
    framework = True
    fields: ClassVar = {
        "deleteProtection": PROTECTED,
        "assigneeType": text(computed=True, sent=False),
        "name": NAME,
        "labels": LABELS,
        "autoDelete": flag(put=True),
        "type": text(replaces=True),
        "location": LOCATION,
    }
    also: ClassVar = {"datacenter": "datacenter.name"}
    volatile = ("assigneeId",)
    busy = ("conflict", "locked", "resource_in_use", "must_be_unassigned")

    def outputs(self, found: Json, known: Properties) -> Properties:
        return {**super().outputs(found, known), **_addresses(found), "assigneeId": found["assignee_id"] or 0}

    def release(self, api: Api, id_: str, known: Properties) -> None:
        server = api.get(f"servers/{known['assigneeId']}") if known.get("assigneeId") else None
        if server is None or _pick(server, "public_net.ipv4.id", None) != int(id_):
            return
        for action in (f"servers/{server['id']}/actions/poweroff", f"{self.path}/{id_}/actions/unassign"):
            api.act(action, {})
        api.act(f"servers/{server['id']}/actions/poweron", {})


class FloatingIp(Kind):
    path = "floating_ips"
    asks_first = False
    fields: ClassVar = {
        "description": text(put=True),
        "name": text(put=True, computed=True),
        "labels": LABELS,
        "deleteProtection": PROTECTED,
        "type": text(replaces=True),
        "homeLocation": text(computed=True, replaces=True, read="home_location.name"),
    }
    also: ClassVar = {"serverId": "server"}

    def body(self, api: Api, inputs: Properties) -> Json:
        return {"description": "", **super().body(api, inputs)}

    def outputs(self, found: Json, known: Properties) -> Properties:
        return {**super().outputs(found, known), **_addresses(found)}

    def release(self, api: Api, id_: str, known: Properties) -> None:
        self.detach(api, id_, "unassign")


class Volume(Kind):
    path = "volumes"
    fields: ClassVar = {
        "name": NAME,
        "size": number(apply=lambda update: update.act("resize", {"size": update.wanted["size"]})),
        "labels": LABELS,
        "deleteProtection": PROTECTED,
        "location": LOCATION,
        "format": text(),
    }
    also: ClassVar = {"linuxDevice": "linux_device", "serverId": "server"}
    busy = ("locked", "conflict", "resource_in_use")

    def outputs(self, found: Json, known: Properties) -> Properties:
        """The provider never reads the format back."""
        return {**super().outputs(found, known), "format": known.get("format", found.get("format"))}

    def release(self, api: Api, id_: str, known: Properties) -> None:
        self.detach(api, id_, "detach")


def _change_type(update: Update) -> None:
    if update.current["status"] == "running":
        update.act("poweroff", {})
    body = {"server_type": update.wanted["serverType"], "upgrade_disk": not update.wanted.get("keepDisk")}
    update.act("change_type", body)  # the API starts the server again


def _change_firewalls(update: Update) -> None:
    on = {"type": "server", "server": {"id": update.id}}
    now = {firewall["id"] for firewall in update.current["public_net"]["firewalls"]}
    wanted = set(map(int, update.wanted.get("firewallIds") or ()))
    for firewall in sorted(now - wanted):
        update.api.act(f"firewalls/{firewall}/actions/remove_from_resources", {"remove_from": [on]})
    for firewall in sorted(wanted - now):
        update.api.act(f"firewalls/{firewall}/actions/apply_to_resources", {"apply_to": [on]})


def _public_net(inputs: Properties) -> Properties:
    """The one block, with what the provider takes a missing value for."""
    (block,) = inputs.get("publicNets") or ({},)
    given = {key: value for key, value in block.items() if key[:2] != "__" and value is not None}
    return {"ipv4Enabled": True, "ipv6Enabled": True, "ipv4": 0, "ipv6": 0, **given}


def _change_public_net(update: Update) -> None:
    update.act("poweroff", {})
    for family in ("ipv4", "ipv6"):
        _change_family(update, family)
    update.act("poweron", {})


def _change_family(update: Update, family: str) -> None:
    """From the address that the server has to the wanted one, to one of its own, or to none."""
    wanted, given = _public_net(update.wanted), _public_net(update.known)[family]
    now, target = _pick(update.current, f"public_net.{family}.id", 0), wanted[family]
    own = wanted[f"{family}Enabled"] and not target
    if now == target or (own and now and not given):
        return
    if now:
        update.api.act(f"primary_ips/{now}/actions/unassign", {})
        if not given:
            update.api.call("DELETE", f"primary_ips/{now}")
    on = {"assignee_id": update.id, "assignee_type": "server"}
    if target:
        update.api.act(f"primary_ips/{target}/actions/assign", on)
    elif own:
        name = f"primary_ip-{update.id}-{family}"
        update.api.act("primary_ips", {"name": name, "type": family, "auto_delete": True, **on})


def _change_placement(update: Update) -> None:
    if update.current["placement_group"]:
        if update.current["status"] != "off":
            raise ProviderError("a running server cannot leave its placement group: shut it down, up, then start it")
        update.act("remove_from_placement_group", {})
    if update.wanted.get("placementGroupId"):
        update.act("add_to_placement_group", {"placement_group": update.wanted["placementGroupId"]})


def _protect_server(update: Update) -> None:
    wanted = update.wanted
    body = {"delete": bool(wanted.get("deleteProtection")), "rebuild": bool(wanted.get("rebuildProtection"))}
    update.act("change_protection", body)


def hashed(user_data: str) -> str:
    """As the provider keeps user-data; what is a hash already stays."""
    if re.fullmatch(r"[A-Za-z0-9+/]{27}=", user_data):
        return user_data
    return base64.b64encode(hashlib.sha1(user_data.encode()).digest()).decode()  # noqa: S324 - the provider's format


class Server(Kind):
    path = "servers"
    unreadable = frozenset({"userData", "sshKeys"})
    fields: ClassVar = {
        "name": NAME,
        "labels": LABELS,
        "serverType": text(apply=_change_type, read="server_type.name"),
        "firewallIds": Field(
            list, computed=True, apply=_change_firewalls, sent=False, normal=lambda ids: sorted(map(int, ids))
        ),
        "publicNets": Field(
            list,
            computed=True,
            apply=_change_public_net,
            sent=False,
            normal=lambda blocks: _public_net({"publicNets": blocks}),
        ),
        "placementGroupId": number(apply=_change_placement, sent=False, read="placement_group.id"),
        "deleteProtection": replace(PROTECTED, apply=_protect_server),
        "rebuildProtection": replace(PROTECTED, apply=_protect_server, read="protection.rebuild"),
        "keepDisk": flag(sent=False),
        "shutdownBeforeDeletion": flag(sent=False),
        "image": text(computed=True, replaces=True, sent=False),
        "location": LOCATION,
        "sshKeys": Field(list, absent=[], replaces=True, sent=False, normal=lambda keys: list(map(str, keys))),
        "userData": Field(str, absent="", replaces=True, normal=hashed),
    }
    also: ClassVar = {
        "status": "status",
        "datacenter": "datacenter.name",
        "primaryDiskSize": "primary_disk_size",
        "ipv4Address": "public_net.ipv4.ip",
        "ipv6Network": "public_net.ipv6.ip",
    }

    def body(self, api: Api, inputs: Properties) -> Json:
        type_ = _only(api.list("server_types", f"name={inputs['serverType']}"), "serverType", inputs)
        image = f"name={inputs['image']}&architecture={type_['architecture']}&include_deprecated=true"
        body = super().body(api, inputs)
        body["image"] = _only(api.list("images", image), "image", inputs)["id"]
        body["ssh_keys"] = [_id_of(api, f"ssh_keys/{key}") for key in inputs.get("sshKeys") or ()]
        body["firewalls"] = [{"firewall": int(id_)} for id_ in inputs.get("firewallIds") or ()]
        if inputs.get("placementGroupId"):
            body["placement_group"] = _id_of(api, f"placement_groups/{inputs['placementGroupId']}")
        if inputs.get("publicNets"):
            body["public_net"] = _sent_public_net(inputs)
        return body

    def complete(self, update: Update) -> None:
        if update.wanted.get("deleteProtection") or update.wanted.get("rebuildProtection"):
            _protect_server(update)

    def outputs(self, found: Json, known: Properties) -> Properties:
        values = super().outputs(found, known)
        network = values["ipv6Network"]
        return {
            **values,
            "image": _image(found["image"], known.get("image")),
            "ipv4Address": values["ipv4Address"] or "",
            "ipv6Address": network.replace("/64", "1") if network else "",
            "ipv6Network": network or "<nil>",
            "backupWindow": found["backup_window"] or "",
            "backups": bool(found["backup_window"]),
            "firewallIds": sorted(firewall["id"] for firewall in found["public_net"]["firewalls"]),
            "publicNets": [_public_net(known)] if known.get("publicNets") else None,
            "userData": hashed(known["userData"]) if known.get("userData") else None,
            **{key: bool(known.get(key)) for key in ("keepDisk", "shutdownBeforeDeletion", "ignoreRemoteFirewallIds")},
            **dict.fromkeys(("allowDeprecatedImages", "iso", "rescue")),
            "networks": [],
        }

    def release(self, api: Api, id_: str, known: Properties) -> None:
        if known.get("shutdownBeforeDeletion"):
            api.act(f"servers/{id_}/actions/shutdown", {})
            try:
                api.persist(lambda: _off(api, id_), ("running",))
            except ApiError:
                return  # the provider deletes it all the same


def _off(api: Api, id_: str) -> Json:
    server = api.get(f"servers/{id_}") or {}
    if server.get("status", "off") != "off":
        raise ApiError("running", "server has not shut down yet")
    return server


def _sent_public_net(inputs: Properties) -> Json:
    block, families = _public_net(inputs), ("ipv4", "ipv6")
    enabled = {f"enable_{family}": bool(block[f"{family}Enabled"] or block[family]) for family in families}
    return {**enabled, **{family: block[family] for family in families if block[family]}}


def _image(found: Json | None, given: Value) -> Value:
    if found is None:
        return given
    return found["name"] if found.get("name") and str(found["id"]) != str(given) else str(found["id"])


def _only(found: list[Json], setting: str, inputs: Properties) -> Json:
    if not found:
        raise ProviderError(f"{inputs['name']}: {setting}: {inputs[setting]!r} is not known to the cloud")
    return found[0]


def _id_of(api: Api, path: str) -> int:
    found = api.get(path)
    if found is None:
        raise ProviderError(f"{path} does not exist")
    return int(found["id"])


class Relation(Kind):
    """A resource that is part of another object, or between two."""

    def create(self, api: Api, inputs: Properties) -> tuple[str, Properties]:
        id_ = self.id_of(inputs)
        self.make(api, id_, inputs)
        return id_, self.read(api, id_, inputs) or {}

    def id_of(self, inputs: Properties) -> str:
        raise NotImplementedError

    def make(self, api: Api, id_: str, inputs: Properties) -> None:
        raise NotImplementedError

    def update(self, api: Api, id_: str, known: Properties, wanted: Properties, changed: set[str]) -> Properties:
        """Every change replaces it: this is only asked for what an interrupted run has made."""
        return self.read(api, id_, wanted) or known

    def find(self, api: Api, inputs: Properties) -> str | None:
        """That it is there as it should be is all that there is to match."""
        found = self.read(api, self.id_of(inputs), inputs) or {}
        agrees = found and all(field.same(found[key], inputs.get(key)) for key, field in self.fields.items())
        return self.id_of(inputs) if agrees else None


class NetworkSubnet(Relation):
    fields: ClassVar = {key: text(replaces=True) for key in ("networkId", "type", "networkZone", "ipRange")} | {
        "networkId": number(replaces=True)
    }

    def id_of(self, inputs: Properties) -> str:
        return f"{inputs['networkId']}-{inputs['ipRange']}"

    def make(self, api: Api, id_: str, inputs: Properties) -> None:
        body = {snake(key): inputs[key] for key in ("type", "ipRange", "networkZone")}
        api.act(f"networks/{inputs['networkId']}/actions/add_subnet", body, retry=("conflict",))

    def read(self, api: Api, id_: str, known: Properties) -> Properties | None:
        network, _, ip_range = id_.partition("-")
        subnets = (api.get(f"networks/{network}") or {}).get("subnets", ())
        found = next((subnet for subnet in subnets if subnet["ip_range"] == ip_range), None)
        values = found and {camel(key): found[key] for key in ("ip_range", "type", "network_zone", "gateway")}
        return values and {**values, "id": id_, "networkId": int(network), "vswitchId": None}

    def delete(self, api: Api, id_: str, known: Properties) -> None:
        network, _, ip_range = id_.partition("-")
        if self.read(api, id_, known):
            path, passing = f"networks/{network}/actions/delete_subnet", ("conflict", "locked", "service_error")
            api.act(path, {"ip_range": ip_range}, retry=passing, tries=10 * TRIES)


class VolumeAttachment(Relation):
    path = "volumes"
    fields: ClassVar = {
        "volumeId": number(replaces=True),
        "serverId": number(replaces=True),
        "automount": Field(bool, computed=True, replaces=True),
    }

    def id_of(self, inputs: Properties) -> str:
        return str(inputs["volumeId"])

    def make(self, api: Api, id_: str, inputs: Properties) -> None:
        automount = {"automount": True} if inputs.get("automount") else {}
        api.act(f"volumes/{id_}/actions/attach", {"server": int(inputs["serverId"]), **automount}, retry=("locked",))

    def read(self, api: Api, id_: str, known: Properties) -> Properties | None:
        volume = api.get(f"volumes/{id_}")
        server = api.get(f"servers/{volume['server']}") if volume and volume["server"] else None
        automount = bool(known.get("automount"))
        return server and {"id": id_, "volumeId": int(id_), "serverId": server["id"], "automount": automount}

    def delete(self, api: Api, id_: str, known: Properties) -> None:
        self.detach(api, id_, "detach")


class ServerNetwork(Relation):
    framework = True
    fields: ClassVar = {
        "serverId": number(replaces=True),
        "networkId": number(replaces=True),
        "ip": text(computed=True, replaces=True),
    }
    busy = ("conflict", "locked", "service_error", "no_subnet_available")

    def id_of(self, inputs: Properties) -> str:
        return f"{inputs['serverId']}-{inputs['networkId']}"

    def make(self, api: Api, id_: str, inputs: Properties) -> None:
        ip = {"ip": inputs["ip"]} if "ip" in inputs else {}
        body = {"network": int(inputs["networkId"]), "alias_ips": [], **ip}
        try:
            api.act(f"servers/{inputs['serverId']}/actions/attach_to_network", body, retry=self.busy)
        except ApiError as error:
            if error.code != "server_already_attached":
                raise

    def read(self, api: Api, id_: str, known: Properties) -> Properties | None:
        server, _, network = id_.partition("-")
        nics = (api.get(f"servers/{server}") or {}).get("private_net", ())
        nic = next((nic for nic in nics if nic["network"] == int(network)), None)
        values = nic and {camel(key): nic[key] for key in ("ip", "alias_ips", "mac_address")}
        return values and {**values, "id": id_, "serverId": int(server), "networkId": int(network)}

    def delete(self, api: Api, id_: str, known: Properties) -> None:
        server, _, network = id_.partition("-")
        api.act(f"servers/{server}/actions/detach_from_network", {"network": int(network)}, retry=self.busy)


KINDS: Mapping[str, Kind] = {
    f"hcloud:index/{kind.__name__[0].lower()}{kind.__name__[1:]}:{kind.__name__}": kind()
    for kind in (
        *(SshKey, PlacementGroup, Network, NetworkSubnet, Firewall, PrimaryIp, FloatingIp),
        *(Volume, VolumeAttachment, Server, ServerNetwork),
    )
}


def _pick(found: Json, path: str, otherwise: Value) -> Value:
    """What is at `a.b.c`; None where the path ends at nothing, `otherwise` where the API has no such value."""
    value: Any = found
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return None if value is None else otherwise
        value = value[key]
    return value


def snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)


def camel(name: str) -> str:
    return re.sub(r"_(.)", lambda match: match[1].upper(), name)
