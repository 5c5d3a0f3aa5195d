"""From records to what the network should be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from localcloud.backend import Attachment, FirewallRule, PrivateNetwork, PrivateNic, World
from localcloud.hetzner.model import Firewall, FloatingIp, IpType, Network, Nic, PrimaryIp, Route, Rule, Server
from localcloud.hetzner.records import Snapshot
from localcloud.hetzner.world import build_world

SINCE = "2026-01-01T00:00:00Z"
IP_TYPES: tuple[IpType, ...] = ("ipv4", "ipv6")


def server(ident: int, *nics: Nic, labels: dict[str, str] | None = None) -> Server:
    return Server(
        id=ident,
        name=f"s{ident}",
        created=SINCE,
        labels=labels or {},
        status="running",
        server_type="cx23",
        image="debian-12",
        location="fsn1",
        disk=40,
        nics=nics,
    )


def primary_ip(ident: int, ip: str, assignee_id: int | None, ip_type: IpType = "ipv4") -> PrimaryIp:
    return PrimaryIp(
        id=ident, name=f"p{ident}", created=SINCE, type=ip_type, ip=ip, location="fsn1", assignee_id=assignee_id
    )


def floating_ip(ident: int, ip: str, owner: int | None, ip_type: IpType = "ipv4") -> FloatingIp:
    return FloatingIp(
        id=ident, name=f"f{ident}", created=SINCE, type=ip_type, ip=ip, home_location="fsn1", server=owner
    )


def firewall(ident: int, *rules: Rule, servers: tuple[int, ...] = (), selectors: tuple[str, ...] = ()) -> Firewall:
    return Firewall(id=ident, name=f"w{ident}", created=SINCE, rules=rules, servers=servers, selectors=selectors)


def rule(port: str | None, *sources: str) -> Rule:
    return Rule(direction="in", protocol="tcp", port=port, source_ips=sources, description=None)


def test_nothing_makes_an_empty_world() -> None:
    assert build_world(Snapshot()) == World()


def test_everything_at_once() -> None:
    nic = Nic(network=9, ip="10.0.1.1", alias_ips=("10.0.1.5",), mac="86:00:00:00:00:01")
    network = Network(
        id=9,
        name="net",
        created=SINCE,
        ip_range="10.0.0.0/16",
        routes=(Route(destination="10.0.100.1/32", gateway="10.0.1.1"),),
    )
    world = build_world(
        Snapshot(
            servers=(server(1, nic), server(2)),
            networks=(network,),
            primary_ips=(primary_ip(3, "198.51.100.1", 1), primary_ip(4, "198.51.100.2", None)),
            floating_ips=(floating_ip(5, "198.51.100.3", 2), floating_ip(6, "198.51.100.4", None)),
            firewalls=(firewall(7, rule("22", "192.0.2.0/24", "::/0"), servers=(1,)),),
        )
    )
    assert world == World(
        attachments=(
            Attachment(1, "198.51.100.1", (PrivateNic(9, "10.0.1.1", ("10.0.1.5",), "86:00:00:00:00:01"),)),
            Attachment(2, None, ()),
        ),
        networks=(PrivateNetwork(9, "10.0.0.0/16", (("10.0.100.1/32", "10.0.1.1"),)),),
        floating=(("198.51.100.3", 2),),
        inbound=((1, (FirewallRule("tcp", "22", ("192.0.2.0/24",)),)),),
    )


def test_ipv6_stays_in_the_records() -> None:
    world = build_world(
        Snapshot(
            servers=(server(1),),
            primary_ips=(primary_ip(2, "2001:db8:1::/64", 1, "ipv6"),),
            floating_ips=(floating_ip(3, "2001:db8:2::/64", 1, "ipv6"),),
            firewalls=(firewall(4, rule("22", "::/0"), servers=(1,)),),
        )
    )
    assert world == World(attachments=(Attachment(1, None, ()),), inbound=((1, ()),))


def test_a_firewall_without_rules_lets_nothing_in_and_no_firewall_everything() -> None:
    world = build_world(Snapshot(servers=(server(1), server(2)), firewalls=(firewall(3, servers=(1,)),)))
    assert world.inbound == ((1, ()),)


def test_firewalls_add_up() -> None:
    direct = firewall(2, rule("22", "0.0.0.0/0"), servers=(1,))
    selecting = firewall(3, rule("any", "10.0.0.0/8"), selectors=("role=core",))
    labelled = server(1, labels={"role": "core"})
    world = build_world(Snapshot(servers=(labelled,), firewalls=(direct, selecting)))
    assert dict(world.inbound) == {
        1: (FirewallRule("tcp", "22", ("0.0.0.0/0",)), FirewallRule("tcp", None, ("10.0.0.0/8",)))
    }


@given(
    owners=st.lists(st.one_of(st.none(), st.integers(1, 5)), max_size=8),
    ip_types=st.lists(st.sampled_from(IP_TYPES), min_size=8, max_size=8),
)
def test_an_address_is_in_the_world_if_and_only_if_somebody_has_it(
    owners: list[int | None], ip_types: list[IpType]
) -> None:
    servers = tuple(server(ident) for ident in range(1, 6))
    ips = tuple(
        floating_ip(10 + number, f"198.51.100.{number + 1}", owner, ip_types[number])
        for number, owner in enumerate(owners)
    )
    world = build_world(Snapshot(servers=servers, floating_ips=ips))
    assert dict(world.floating) == {ip.ip: ip.server for ip in ips if ip.server and ip.type == "ipv4"}
    assert [attachment.server_id for attachment in world.attachments] == [1, 2, 3, 4, 5]
