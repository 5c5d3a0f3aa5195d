"""The settings of a stack: typed, and every error of a stack file told at once.

A rule that spans settings runs when each of its own settings is valid, so one wrong value never hides another.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from components.clouds.hetzner_types import server_types
from components.plan import Role, ServerType
from stacks import addressing, sizing
from stacks.sizing import Codec

NAMESPACE = "m2"
NAMESPACES = (NAMESPACE, "hcloud", "aws", "command", "pulumi")
"""The project's, its providers', and the engine's own."""

KEY_OF_A_MAP = "[key]"
"""How pydantic marks, in a location, that a key and not its value is wrong."""

PRIVATE_NETWORKS = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
"""RFC 1918."""

Region = Literal["fsn1", "nbg1", "hel1", "ash", "hil", "sin"]
TopologyName = Literal["one-server", "two-server-ha", "three-server", "four-server-ha", "full"]


class SettingsError(ValueError):
    """A stack file is wrong; the message has one line for each of its errors."""


def setting(description: str, allowed: str, default: Any = PydanticUndefined, **constraints: Any) -> Any:
    """A field that can say what it is for and what may stand in it."""
    return Field(default, description=description, json_schema_extra={"allowed": allowed}, **constraints)


def _administrators(network: IPv4Network) -> IPv4Network:
    if network.prefixlen < 16:
        raise ValueError("opens SSH to far too many addresses")
    return network


def _ports(text: str) -> str:
    first, _, last = text.partition("-")
    if not (first.isdigit() and last.isdigit() and 1024 <= int(first) < int(last) <= 65535):
        raise ValueError("not a range of ports")
    return text


def _site_network(network: IPv4Network) -> IPv4Network:
    right_size = addressing.LARGEST_NETWORK <= network.prefixlen <= addressing.SMALLEST_NETWORK
    if not (right_size and any(network.subnet_of(private) for private in PRIVATE_NETWORKS)):
        raise ValueError("not a private network of that size")
    return network


def _gateway(text: str) -> str:
    address, _, port = text.partition(":")
    IPv4Address(address)
    if port and not (port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError("not a port")
    return text


def _in_order(value: object) -> object:
    return (value,) if isinstance(value, str) else value


AdminNetwork = Annotated[IPv4Network, AfterValidator(_administrators)]
SiteNetwork = Annotated[IPv4Network, AfterValidator(_site_network)]
PortRange = Annotated[str, AfterValidator(_ports)]
SshKey = Annotated[
    str, StringConstraints(pattern=r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-\S+|sk-\S+) [A-Za-z0-9+/=]+( .*)?$")
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Gateway = Annotated[str, AfterValidator(_gateway)]
Prefix = Annotated[str, StringConstraints(pattern=r"^[0-9]{0,15}$")]
TypeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9.-]+$")]
TypeNames = Annotated[tuple[TypeName, ...], BeforeValidator(_in_order)]
CertificateName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$", max_length=64)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

PEM_CERTIFICATE = r"^-----BEGIN CERTIFICATE-----\n"
PEM_KEY = r"^-----BEGIN [A-Z ]*PRIVATE KEY-----\n"

NETWORKS = "a list of IPv4 networks in CIDR notation, such as [203.0.113.7/32]"
SSH_KEYS = "a list of public keys in OpenSSH format, such as ['ssh-ed25519 AAAA... me']"


class Group(BaseModel):
    """A setting with parts."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Admins(Group):
    """Who may log in, and from where."""

    ssh_from: list[AdminNetwork] = setting("From where SSH is open", f"{NETWORKS}, none larger than /16", min_length=1)
    ssh_keys: list[SshKey] = setting("Whose keys log in as `admin`", SSH_KEYS, min_length=1)


class Carrier(Group):
    """One carrier: where its calls come from and which numbers go to it."""

    name: Name = setting("Its name in call records", "lower-case letters, digits and -, at most 31 characters")
    addresses: list[IPv4Network] = setting("Where its calls come from", NETWORKS, [])
    certificate: CertificateName | None = setting(
        "The name (CN) in the TLS certificate that its calls come with", "a domain name, such as sip.example.net", None
    )
    cps: int = setting("Calls a second that it may begin", "1 or more; 0 for no limit", 0, ge=0)
    gateway: Gateway | None = setting("Where calls to it go", "an IPv4 address, or address:port", None)
    transport: Literal["udp", "tcp", "tls"] = setting("How calls to it are sent", "udp, tcp, tls", "udp")
    prefixes: list[Prefix] = setting("Numbers that go to it, longest match", "a list of digits; '' for all others", [])


class SipTls(Group):
    """What the balancers show to carriers over TLS, and whose certificates of carriers they believe; all PEM."""

    certificate: str = setting("The certificate, and those between it and its root", "PEM", pattern=PEM_CERTIFICATE)
    key: str = setting("Its private key; make it `secure:`", "PEM", pattern=PEM_KEY)
    authorities: str = setting("Who signs the carriers' certificates", "PEM", pattern=PEM_CERTIFICATE)


TYPES = "a server type of the provider, or a list of them: the first that its location has got is taken"
IMAGE = "a Debian 12 image of the provider"


class ServerTypes(Group):
    """The provider's server type of each kind of host; one that is left out follows from the traffic."""

    balancer: TypeNames = setting("of balancers", TYPES, (), min_length=1)
    core: TypeNames = setting("of cores", TYPES, (), min_length=1)
    database: TypeNames = setting("of databases", TYPES, (), min_length=1)
    gui: TypeNames = setting("of the GUI server", TYPES, (), min_length=1)
    node: TypeNames = setting("of servers that run everything", TYPES, (), min_length=1)
    witness: TypeNames = setting("of the witness", TYPES, (), min_length=1)


class Images(Group):
    """The provider's image of each kind of host; a running host keeps the one it has until it is rebuilt."""

    balancer: TypeName = setting("of balancers", IMAGE, "debian-12")
    core: TypeName = setting("of cores", IMAGE, "debian-12")
    database: TypeName = setting("of databases", IMAGE, "debian-12")
    gui: TypeName = setting("of the GUI server", IMAGE, "debian-12")
    node: TypeName = setting("of servers that run everything", IMAGE, "debian-12")
    witness: TypeName = setting("of the witness", IMAGE, "debian-12")


class VendorSoftware(Group):
    """The vendor's software in place of a reference role."""

    script: str = setting("Installs it; a path in this repository", "a file that exists")
    sha256: Sha256 = setting("Checksum of the script", "64 hexadecimal digits (sha256sum SCRIPT)")
    licence: str = setting("What the script finds in the file $M2_LICENCE_FILE; make it `secure:`", "a text", "")


class CoreLimits(Group):
    """What one core takes on; a call beyond goes to another core, and is refused where all are full."""

    calls: int = setting("Concurrent calls", "1 or more", ge=1)
    cps: int = setting("Calls started a second", "1 or more", ge=1)


class Bastion(Group):
    """A host through which `up` reaches the servers."""

    host: str = setting("Its address", "a name or an address")
    user: str = setting("Login there", "a user name", "root")
    port: int = setting("SSH port there", "1 to 65535", 22, ge=1, le=65535)
    host_key: str = setting("Its SSH host key", "one line as in known_hosts without the host: 'ssh-ed25519 AAAA...'")


class Settings(Group):
    """Everything that a stack file may say."""

    topology: TopologyName = setting("Which architecture", ", ".join(get_args(TopologyName)))
    region: Region = setting("Location of all servers", ", ".join(get_args(Region)))
    root_secret: str = setting(
        "From which every key and password is derived",
        "at least 32 characters; set it with `pulumi config set --secret root_secret $(openssl rand -hex 32)`",
        min_length=32,
    )
    secrets_epoch: int = setting("Raise it to change every key and password", "1 or more", 1, ge=1)
    admins: Admins = setting("Who may log in, and from where", "ssh_from and ssh_keys")
    carriers: list[Carrier] = setting("Who may send and take calls", "a list of name, addresses, gateway, prefixes", [])
    carriers_in_database: bool = setting(
        "More carriers, from the table m2.carriers; opens the SIP ports to everyone, and the balancers choose",
        "true, false",
        False,
    )
    gui_from: list[IPv4Network] | None = setting(
        "From where the GUI is open", f"{NETWORKS}; default: ssh_from", None, min_length=1
    )
    network: SiteNetwork = setting(
        "The private network",
        "a private IPv4 network (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16), /16 to /24",
        IPv4Network("10.0.0.0/16"),
    )
    concurrent_calls: int = setting("Calls at the same time, at most", "1 to 500000", 500, ge=1, le=500_000)
    cps: int = setting("Calls started in a second, at most", "1 to 20000", 50, ge=1, le=20_000)
    codec: Codec = setting("What calls talk in", ", ".join(get_args(Codec)), "g711")
    records_days: int = setting("Days of call records for which there is disk", "1 to 3650", 60, ge=1, le=3650)
    cores: int | None = setting(
        "Number of cores", "2 to 200, in topology full only; default: what the traffic needs", None, ge=2, le=200
    )
    gui_on: Literal["own-server", "database"] = setting(
        "Where the GUI runs in topology full", "own-server, database", "own-server"
    )
    witness: Literal["own-server", "none"] = setting(
        "Third quorum member of topology two-server-ha; with none nothing takes over by itself",
        "own-server, none",
        "own-server",
    )
    sip_address: IPv4Address | None = setting(
        "A floating IP of the project to take calls at; it is never made or deleted",
        "an IPv4 address, in topologies two-server-ha and full",
        None,
    )
    server_types: ServerTypes = setting(
        "Server type of each kind of host", "balancer, core, database, gui, node, witness", ServerTypes()
    )
    images: Images = setting("Image of each kind of host", "balancer, core, database, gui, node, witness", Images())
    database_disk_gb: int | None = setting(
        "Data volume of each database, GB",
        "10 to 10240; default: what the call records of records_days need",
        None,
        ge=10,
        le=10240,
    )
    core_limits: CoreLimits | None = setting(
        "What one core takes on; default: from its server type and media ports", "calls and cps", None
    )
    drain_minutes: int = setting(
        "How long calls may go on at a core that is about to be removed or rebuilt", "0 to 1440", 30, ge=0, le=1440
    )
    sip_port: int = setting("SIP port, UDP and TCP", "1024 to 65535", 5060, ge=1024, le=65535)
    sip_tls_port: int = setting("SIP port, TLS", "1024 to 65535", 5061, ge=1024, le=65535)
    sip_tls: SipTls | None = setting(
        "The balancers' certificate; without it one of the stack's own authority", "certificate, key, authorities", None
    )
    rtp_ports: PortRange = setting("Media ports of each core", "first-last, 1024 to 65535", "16384-32768")
    max_call_hours: int = setting("A call is ended after this many hours", "1 to 24", 4, ge=1, le=24)
    probe_interval: int = setting("Seconds between health checks of cores", "1 to 30", 1, ge=1, le=30)
    takeover_after: int = setting(
        "Seconds without a sign of the database's holder until the backup takes over", "5 to 60", 10, ge=5, le=60
    )
    failback_after: int = setting(
        "Seconds from a takeover to the main's automatic return", "10 to 86400", 300, ge=10, le=86400
    )
    protected: bool = setting("Refuse to delete what matters", "true, false", True)
    rebuild: dict[str, int] = setting("Raise a host's count to replace its server", "host: count", {})
    vendor: dict[Role, VendorSoftware] = setting("The vendor's software, by role", "script, sha256, licence", {})
    bastion: Bastion | None = setting("A host to reach the servers through", "host, user, port, host_key", None)

    @property
    def demand(self) -> sizing.Demand:
        """The traffic that the stack is made for."""
        return sizing.Demand(self.concurrent_calls, self.cps, self.codec)

    @property
    def size(self) -> sizing.Size:
        """What carries it, with what the other settings fix."""
        wish = _wish(self.cores, self.server_types, self.rtp_ports, self.database_disk_gb, self.records_days)
        return sizing.size(self.topology, self.demand, server_types(self.region), wish)


def parse(config: Mapping[str, str], secret_keys: frozenset[str] = frozenset()) -> Settings:
    """The settings of a stack from Pulumi's configuration, keys with their namespace. Raises SettingsError."""
    given = {key.removeprefix(f"{NAMESPACE}:"): text for key, text in config.items() if key.startswith(f"{NAMESPACE}:")}
    hidden = {key.removeprefix(f"{NAMESPACE}:") for key in secret_keys} | {"root_secret"}
    values: dict[str, Any] = {}
    errors = [_unknown(key, Settings) for key in given if key not in Settings.model_fields]
    errors += [_of_nobody(key) for key in config if key.partition(":")[0] not in NAMESPACES]
    for name, field in Settings.model_fields.items():
        errors += _read(name, field, given, values, hidden)
    errors += _broken_rules(values, hidden)
    if errors:
        raise SettingsError("\n".join(errors))
    return Settings.model_construct(**values)


def _read(
    name: str, field: FieldInfo, given: Mapping[str, str], values: dict[str, Any], hidden: set[str]
) -> Iterator[str]:
    if name not in given:
        if field.is_required():
            yield f"{name}: missing; allowed: {_allowed(field)}"
        else:
            values[name] = field.get_default()
        return
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]
        values[name] = adapter.validate_python(_decode(given[name]))
    except ValidationError as error:
        yield from (_explain(name, field, detail, name in hidden) for detail in error.errors())


def _decode(text: str) -> Any:
    """Pulumi hands over objects and lists as JSON and everything else as it was written."""
    if text[:1] not in "[{":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _explain(name: str, field: FieldInfo, detail: ErrorDetails, hidden: bool) -> str:
    path, inner = name, field
    group: type[BaseModel] | None = None
    extra = detail["type"] == "extra_forbidden"
    for step in detail["loc"][:-1] if extra else detail["loc"]:
        group = group_of(inner)
        if isinstance(step, int):
            path += f"[{step}]"
        elif group is not None and step in group.model_fields:
            path, inner = f"{path}.{step}", group.model_fields[step]
        elif step != KEY_OF_A_MAP:
            path += f".{step}"
    group = group_of(inner)
    if extra and group is not None:
        return _unknown(str(detail["loc"][-1]), group, f"{path}.")
    if detail["loc"][-1:] == (KEY_OF_A_MAP,):
        return f"{path}: there is no such key; allowed: {', '.join(_keys_of(field))}"
    if detail["type"] == "missing":
        return f"{path}: missing; allowed: {_allowed(inner)}"
    shown = "[secret]" if hidden else repr(detail["input"])
    return f"{path}: {shown}; allowed: {_allowed(inner)}"


def _keys_of(field: FieldInfo) -> tuple[str, ...]:
    """The keys that a `dict[Literal[...], ...]` may have."""
    keys, *_ = get_args(field.annotation)
    return get_args(keys)


def group_of(field: FieldInfo) -> type[BaseModel] | None:
    """The group inside a field's type: of `list[Carrier]` it is Carrier."""
    pending = [field.annotation]
    while pending:
        kind = pending.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        pending.extend(get_args(kind))
    return None


def _allowed(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra["allowed"]) if isinstance(extra, dict) else ""


def _unknown(key: str, group: type[BaseModel], prefix: str = "") -> str:
    known = list(group.model_fields)
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {prefix}{near[0]}?" if near else f"allowed: {', '.join(known)}"
    return f"{prefix}{key}: there is no such setting; {hint}"


def _of_nobody(key: str) -> str:
    """For a key in a namespace that nothing here reads: the nearest one that something does."""
    near = difflib.get_close_matches(key, [f"{NAMESPACE}:{name}" for name in Settings.model_fields], n=1)
    hint = f"did you mean {near[0]}?" if near else f"allowed: keys that begin with {', '.join(NAMESPACES)}"
    return f"{key}: there is no such setting; {hint}"


def _broken_rules(values: Mapping[str, Any], hidden: set[str]) -> Iterator[str]:
    for needs, rule in RULES:
        if not all(name in values for name in needs):
            continue
        broken = list(rule(*(values[name] for name in needs)))
        if broken and hidden.intersection(needs):
            broken = [f"{', '.join(needs)}: [secret]; allowed: values that fit together, which these do not"]
        yield from broken


def _wish(cores: int | None, types: ServerTypes, rtp_ports: str, disk_gb: int | None, days: int) -> sizing.Wish:
    first = {kind: names[0] for kind, names in types if names}
    return sizing.Wish(cores, first, rtp_ports, disk_gb, days)


def _topology_carries(topology: str, calls: int, cps: int) -> Iterator[str]:
    demand, ceiling = sizing.Demand(calls, cps), sizing.CEILINGS[topology]
    able = ", ".join(sizing.carriers(demand))
    for name in sizing.over(topology, demand):
        asked, most = (calls, ceiling.calls) if name == "concurrent_calls" else (cps, ceiling.cps)
        yield f"{name}: {asked}; allowed: at most {most} in topology {topology}; this much carries: {able}"


@dataclass(frozen=True)
class _Sizing:
    """What a size follows from."""

    topology: str
    region: str
    calls: int
    cps: int
    cores: int | None
    types: ServerTypes
    rtp_ports: str

    @property
    def arguments(self) -> tuple[str, sizing.Demand, tuple[ServerType, ...], sizing.Wish]:
        """Those of sizing.size."""
        wish = _wish(self.cores, self.types, self.rtp_ports, None, 1)
        return self.topology, sizing.Demand(self.calls, self.cps), server_types(self.region), wish


OF_SIZE = ("topology", "region", "concurrent_calls", "cps", "cores", "server_types", "rtp_ports")


def _servers_carry(*of_size: Any) -> Iterator[str]:
    asked = _Sizing(*of_size)
    if not sizing.over(asked.topology, sizing.Demand(asked.calls, asked.cps)):
        yield from sizing.problems(*asked.arguments)


def _belongs_to(topology: str, values: Mapping[str, object]) -> Iterator[str]:
    """Settings that say nothing in a topology are refused, so that nobody relies on them."""
    for name, value in values.items():
        where, usual = ONLY_IN[name], Settings.model_fields[name].get_default()
        if value != usual and topology not in where:
            yield f"{name}: {value}; allowed: in topology {' and '.join(where)} only, and this one is {topology}"


def _cores_fit(cores: int | None, network: IPv4Network) -> Iterator[str]:
    limit = addressing.core_limit(network)
    if cores and cores > limit:
        yield f"cores: {cores}; allowed: at most {limit} in network {network} (a larger network has room for more)"


def _rebuilds_hosts(gui_on: str, witness: str, rebuild: Mapping[str, int], *of_size: Any) -> Iterator[str]:
    asked = _Sizing(*of_size)
    without = [*(["gui"] if gui_on == "database" else []), *(["witness"] if witness == "none" else [])]
    hosts = addressing.host_names(asked.topology, sizing.size(*asked.arguments).cores, without)
    for name, count in rebuild.items():
        if name not in hosts:
            near = difflib.get_close_matches(name, hosts, n=1) or [", ".join(hosts)]
            yield f"rebuild.{name}: this stack has no such host; allowed: {near[0]}"
        if count < 0:
            yield f"rebuild.{name}: {count}; allowed: 0 or more"


def _sip_ports_are_free(sip_port: int, sip_tls_port: int) -> Iterator[str]:
    reserved = ", ".join(map(str, RESERVED_PORTS))
    for name, port in (("sip_port", sip_port), ("sip_tls_port", sip_tls_port)):
        if port in RESERVED_PORTS:
            yield f"{name}: {port} belongs to a service of the hosts; allowed: any other than {reserved}"
    if sip_port == sip_tls_port:
        yield f"sip_tls_port: {sip_tls_port} is sip_port; allowed: another port"


def _sip_apart_from_media(sip_port: int, rtp_ports: str) -> Iterator[str]:
    first, last = map(int, rtp_ports.split("-"))
    if first <= sip_port <= last:
        yield f"sip_port: {sip_port} lies in rtp_ports {rtp_ports}; allowed: a port outside of it"


def _carriers_differ(carriers: list[Carrier]) -> Iterator[str]:
    names = [carrier.name for carrier in carriers]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"carriers: two are called {name!r}; allowed: each name once"
    prefixes = [(prefix, carrier.name) for carrier in carriers for prefix in carrier.prefixes]
    for prefix in sorted({p for p, _ in prefixes if sum(p == other for other, _ in prefixes) > 1}):
        owners = ", ".join(name for p, name in prefixes if p == prefix)
        yield f"carriers: prefix {prefix!r} goes to {owners}; allowed: one carrier for a prefix"
    for carrier in carriers:
        if not carrier.addresses and carrier.certificate is None:
            yield f"carriers: {carrier.name} has neither addresses nor a certificate; allowed: one of them, or both"
        if carrier.prefixes and carrier.gateway is None:
            yield f"carriers: {carrier.name} has prefixes and no gateway; allowed: a gateway for the calls"


def _carriers_outside(carriers: list[Carrier], network: IPv4Network) -> Iterator[str]:
    for carrier in carriers:
        inside = [str(address) for address in carrier.addresses if address.overlaps(network)]
        if carrier.gateway and IPv4Address(carrier.gateway.split(":")[0]) in network:
            inside.append(carrier.gateway)
        for address in inside:
            yield f"carriers: {address} of {carrier.name} lies in network {network}; allowed: addresses outside of it"


RESERVED_PORTS = (2379, 2380, 3306, 8443, 8444)
"""etcd, MariaDB, the mover and the agents."""

ONLY_IN: Mapping[str, tuple[str, ...]] = {
    "carriers_in_database": ("full",),
    "sip_tls": ("full",),
    "cores": ("full",),
    "gui_on": ("full",),
    "witness": ("two-server-ha",),
    "sip_address": ("two-server-ha", "full"),
}

RULES = (
    (("sip_port", "sip_tls_port"), _sip_ports_are_free),
    (("cores", "network"), _cores_fit),
    (("gui_on", "witness", "rebuild", *OF_SIZE), _rebuilds_hosts),
    (("topology", *ONLY_IN), lambda topology, *values: _belongs_to(topology, dict(zip(ONLY_IN, values, strict=True)))),
    (("topology", "concurrent_calls", "cps"), _topology_carries),
    (OF_SIZE, _servers_carry),
    (("sip_port", "rtp_ports"), _sip_apart_from_media),
    (("carriers",), _carriers_differ),
    (("carriers", "network"), _carriers_outside),
)
