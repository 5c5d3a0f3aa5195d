"""What the local cloud remembers of each resource: one frozen record a resource, JSON in `records`.

A relation is kept in one place only: a server's addresses, volumes and firewalls are found by looking at those.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

IpType = Literal["ipv4", "ipv6"]
Protocol = Literal["tcp", "udp", "icmp", "esp", "gre"]


class Frozen(BaseModel):
    """A value."""

    model_config = ConfigDict(frozen=True)


class Record(Frozen):
    """Something with an ID; `kind` is its plural in paths and replies, `singular` its name in actions."""

    kind: ClassVar[str]
    singular: ClassVar[str]
    id: int


class Resource(Record):
    """A record that the user made, named and labelled; `created` is RFC 3339."""

    name: str
    labels: dict[str, str] = {}
    created: str


class SshKey(Resource):
    kind = "ssh_keys"
    singular = "ssh_key"
    public_key: str
    fingerprint: str


class Subnet(Frozen):
    type: Literal["cloud", "server"]
    ip_range: str
    network_zone: str


class Route(Frozen):
    destination: str
    gateway: str


class Network(Resource):
    kind = "networks"
    singular = "network"
    ip_range: str
    subnets: tuple[Subnet, ...] = ()
    routes: tuple[Route, ...] = ()
    expose_routes_to_vswitch: bool = False
    protected: bool = False


class PlacementGroup(Resource):
    kind = "placement_groups"
    singular = "placement_group"
    type: Literal["spread"]


class Rule(Frozen):
    """`port` is "22", "1024-5000" or "any" for tcp and udp, and None for the others."""

    direction: Literal["in"]
    protocol: Protocol
    port: str | None
    source_ips: tuple[str, ...]
    description: str | None


class Firewall(Resource):
    kind = "firewalls"
    singular = "firewall"
    rules: tuple[Rule, ...] = ()
    servers: tuple[int, ...] = ()
    selectors: tuple[str, ...] = ()


class Nic(Frozen):
    network: int
    ip: str
    alias_ips: tuple[str, ...]
    mac: str


ServerStatus = Literal["initializing", "starting", "running", "stopping", "off", "migrating", "rebuilding", "deleting"]


class Server(Resource):
    """`public_keys` were injected at creation; `disk` in GB."""

    kind = "servers"
    singular = "server"
    status: ServerStatus
    server_type: str
    image: str
    location: str
    disk: int
    placement_group: int | None = None
    nics: tuple[Nic, ...] = ()
    public_keys: tuple[str, ...] = ()
    backup_window: str | None = None
    protected: bool = False


class UserData(Record):
    """The user data of the server with the same ID, apart from it because it may hold secrets."""

    kind = "user_data"
    singular = "user_data"
    text: str


class PrimaryIp(Resource):
    """`ip` is an address for IPv4 and a /64 for IPv6; `dns_ptr` maps an address to a name."""

    kind = "primary_ips"
    singular = "primary_ip"
    type: IpType
    ip: str
    location: str
    assignee_id: int | None = None
    auto_delete: bool = False
    dns_ptr: dict[str, str] = {}
    protected: bool = False


class FloatingIp(Resource):
    """`ip` and `dns_ptr` as in `PrimaryIp`."""

    kind = "floating_ips"
    singular = "floating_ip"
    description: str = ""
    type: IpType
    ip: str
    home_location: str
    server: int | None = None
    dns_ptr: dict[str, str] = {}
    protected: bool = False


class Volume(Resource):
    """`size` in GB."""

    kind = "volumes"
    singular = "volume"
    size: int
    format: str | None
    location: str
    server: int | None = None
    status: Literal["creating", "available"]
    protected: bool = False


class Ref(Frozen):
    """A resource that an action relates to."""

    id: int
    type: str


class Step(Frozen):
    """One idempotent piece of an action's work: a name in `steps.STEPS`, and the ID it is done to."""

    name: str
    id: int


class Undo(Frozen):
    """Fields of a record as they were before a change; all of them for a deleted record."""

    kind: str
    id: int
    fields: dict[str, Any]


class ActionError(Frozen):
    code: str
    message: str


Fate = Literal["before", "after"]
"""When an action that was told to end in error does: instead of its work, or once that is done."""


class Action(Record):
    """`locks` are what nobody else may change while it runs, `after` the action that must succeed before it."""

    kind = "actions"
    singular = "action"
    command: str
    status: Literal["running", "success", "error"] = "running"
    progress: int = 0
    started: str
    finished: str | None = None
    resources: tuple[Ref, ...]
    error: ActionError | None = None
    steps: tuple[Step, ...] = ()
    locks: tuple[Ref, ...] = ()
    undo: tuple[Undo, ...] = ()
    after: int | None = None
    fate: Fate | None = None


KINDS: dict[str, type[Record]] = {
    record.kind: record
    for record in (
        SshKey, Network, PlacementGroup, Firewall, Server, UserData, PrimaryIp, FloatingIp, Volume, Action,
    )
}  # fmt: skip


def ref(record: Record) -> Ref:
    return Ref(id=record.id, type=record.singular)
