"""Each topology as it is drawn, and the architecture's statements: each test is named after its sentence."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from typing import Any, get_args

import pytest

from components.bundle import Bundle, openings
from components.plan import HostPlan, SitePlan
from stacks import addressing, invariants, sizing
from stacks.settings import Region, SettingsError, TopologyName
from stacks.topologies import TOPOLOGIES, warnings
from tests.unit.components.test_bundle import nft_words
from tests.unit.stacks.example import TOKEN, bundles, plan, renderer, settings

NAMES = get_args(TopologyName)
ALL = {"database", "core", "gui"}
PAIRED = {"database", "mover", "quorum"}
DRAWN: dict[str, tuple[dict[str, object], dict[str, set[str]], dict[str, set[str]]]] = {
    # what is chosen: (settings, roles by host, moving addresses by their main)
    "one-server": ({}, {"node-1": ALL}, {}),
    "two-server-ha": (
        {},
        {"node-1": ALL | PAIRED, "node-2": ALL | PAIRED, "witness": {"quorum"}},
        {"node-1": {"sip", "gui", "database"}},
    ),
    "two-server-ha, no witness": (
        {"witness": "none"},
        {"node-1": ALL | {"mover"}, "node-2": ALL | {"mover"}},
        {"node-1": {"sip", "gui", "database"}},
    ),
    "three-server": ({}, {"database-1": {"database", "gui"}, "core-1": {"core"}, "core-2": {"core"}}, {}),
    "four-server-ha": (
        {},
        {
            "database-1": PAIRED | {"gui"},
            "database-2": PAIRED | {"gui"},
            "core-1": {"core", "quorum"},
            "core-2": {"core"},
        },
        {"database-1": {"gui", "database"}},
    ),
    "full, GUI on the databases": (
        {"gui_on": "database", "cores": 2},
        {
            "balancer-1": {"balancer"},
            "balancer-2": {"balancer"},
            "database-1": PAIRED | {"gui"},
            "database-2": PAIRED | {"gui"},
            "core-1": {"core", "quorum"},
            "core-2": {"core"},
        },
        {"balancer-1": {"sip", "sip-private"}, "database-1": {"gui", "database"}},
    ),
}


def drawn(name: str) -> dict[str, object]:
    """The settings of a drawing."""
    return {**DRAWN[name][0], "topology": name.split(",")[0]}


@cache
def plan_of(name: str) -> SitePlan:
    return plan(**drawn(name))


@cache
def bundles_of(name: str) -> dict[str, Bundle]:
    return bundles(**drawn(name))


def content(name: str, host: str, path: str) -> str:
    return next(file.content for file in bundles_of(name)[host].files if file.path == path)


def has(name: str, host: str, path: str) -> bool:
    return any(file.path == path for file in bundles_of(name)[host].files)


@pytest.mark.parametrize("name", DRAWN)
def test_it_has_the_hosts_roles_and_moving_addresses_of_its_drawing(name: str) -> None:
    _, roles, moving = DRAWN[name]
    chosen = plan_of(name)
    assert {host.name: set(host.roles) for host in chosen.hosts} == roles
    found: dict[str, set[str]] = {}
    for vip in chosen.vips:
        main, backup = vip.members
        assert backup == f"{main.removesuffix('1')}2"
        found.setdefault(main, set()).add(vip.name)
    assert found == moving


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("region", get_args(Region))
def test_it_keeps_every_invariant_in_every_region(name: str, region: str) -> None:
    assert invariants.problems(plan(**{**drawn(name), "region": region})) == []


@pytest.mark.parametrize("name", DRAWN)
def test_the_settings_know_the_names_of_its_hosts(name: str) -> None:
    values = drawn(name)
    without = [kind for kind, absent in (("gui", "gui_on" in values), ("witness", "witness" in values)) if absent]
    names = addressing.host_names(str(values["topology"]), 2, without)
    assert sorted(names) == sorted(host.name for host in plan_of(name).hosts)


@pytest.mark.parametrize("name", DRAWN)
def test_members_of_a_pair_and_the_third_quorum_member_are_on_three_physical_hosts(name: str) -> None:
    chosen = plan_of(name)
    assert len({host.placement for host in chosen.with_role("quorum")}) <= 1
    for main, backup in chosen.pairs():
        assert main.placement == backup.placement


@pytest.mark.parametrize("name", [name for name in DRAWN if name != "one-server"])
def test_the_first_two_cores_are_on_two_physical_hosts(name: str) -> None:
    first, second, *_ = plan_of(name).with_role("core")
    assert first.placement == second.placement


@pytest.mark.parametrize("name", DRAWN)
def test_every_file_of_every_host_can_be_written(name: str) -> None:
    words = nft_words()
    for host, bundle in bundles_of(name).items():
        for file in bundle.files:
            if file.path.endswith(".json"):
                assert isinstance(json.loads(file.content), dict), (host, file.path)
        rules = content(name, host, "/etc/nftables.conf")
        if words:
            done = subprocess.run(words, input=rules, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{host}: {done.stderr}"


@pytest.mark.parametrize("name", DRAWN)
def test_only_hosts_that_move_addresses_have_the_providers_token(name: str) -> None:
    holders = {host for host, bundle in bundles_of(name).items() if any(TOKEN in file.content for file in bundle.files)}
    assert holders == {host.name for host in plan_of(name).with_role("mover")}


Row = tuple[str, str, str | None]
"""Address on the host, protocol, ports."""


def opened_by(role: str, chosen: SitePlan, host: HostPlan) -> set[Row]:
    """What the role opens on a host: to carriers, users and clients, and to the hosts that are not itself."""
    sip, gui, database = (chosen.place(service) for service in ("sip", "gui", "database"))
    others = {role for other in chosen.hosts if other != host for role in other.roles}
    balanced = bool(chosen.with_role("balancer"))
    carriers: set[Row] = {(sip, "udp", "5060"), (sip, "tcp", "5060")}
    media: Row = ("public", "udp", "16384-32768")
    readers = bool("gui" in others or chosen.peer(host))
    rows: dict[str, set[Row]] = {
        "balancer": {
            *carriers,
            ("sip", "tcp", "5061"),
            ("sip-private", "udp", "5060"),
            ("private", "udp", "5060"),
            ("private", "vrrp", None),
        },
        "core": {media, ("private", "udp", "5060")} if balanced else {media, *carriers},
        "gui": {(gui, "tcp", "443"), (gui, "tcp", "80")},
        "database": {
            *([(database, "tcp", "3306")] * ("core" in others)),
            *([("private", "tcp", "3306")] * readers),
            *([("private", "tcp", "8444")] * bool(chosen.peer(host))),
        },
        "mover": {("private", "tcp", "8443")},
        "quorum": {("private", "tcp", "2379-2380")},
    }
    return rows[role]


@pytest.mark.parametrize("name", DRAWN)
def test_ports_are_open_to_exactly_who_needs_them(name: str) -> None:
    """Carriers where cores or balancers take their calls, users where the GUI is, clients where the database is."""
    every_host: set[Row] = {("public", "tcp", "22"), ("public", "icmp", None), ("private", "icmp", None)}
    chosen = plan_of(name)
    for host in chosen.hosts:
        opened = {(opening.at, opening.protocol, opening.ports) for opening in openings(chosen, host)}
        assert opened == every_host.union(*(opened_by(role, chosen, host) for role in host.roles)), host.name


@pytest.mark.parametrize("name", ["two-server-ha", "four-server-ha"])
def test_the_record_holder_owns_every_moving_address_and_keepalived_is_not_installed(name: str) -> None:
    for main, backup in plan_of(name).pairs():
        for host in (main, backup):
            agent = json.loads(content(name, host.name, "/etc/m2/agent.json"))
            assert {a["name"] for a in agent["addresses"]} == {v.name for v in plan_of(name).vips}
            assert agent["main"] == (host is main)
    assert not [b.host for b in bundles_of(name).values() if "keepalived" in b.packages]


@pytest.mark.parametrize("name", ["one-server", "three-server"])
def test_a_single_database_has_no_peer_no_mover_and_no_quorum(name: str) -> None:
    [host] = plan_of(name).with_role("database")
    agent = json.loads(content(name, host.name, "/etc/m2/agent.json"))
    assert agent["main"]
    assert (agent["peer"], agent["addresses"], agent["movers"], agent["quorum"]) == (None, [], [], [])
    assert not has(name, host.name, "/etc/m2/mover.token")
    gui = json.loads(content(name, host.name, "/etc/m2/gui.json"))
    assert (gui["main"]["name"], gui["backup"]) == (host.name, None)
    assert not plan_of(name).with_role("quorum")


@pytest.mark.parametrize("name", ["one-server", "three-server", "four-server-ha"])
def test_carriers_call_the_cores_at_their_own_addresses(name: str) -> None:
    public = renderer(**drawn(name)).public
    for host in plan_of(name).with_role("core"):
        text = content(name, host.name, "/etc/kamailio/kamailio.cfg")
        assert re.findall(r"^listen=(\S+)", text, re.MULTILINE) == [
            f"{transport}:{public[host.name]}:5060" for transport in ("udp", "tcp")
        ]
        assert "X-ORIG-IP" not in re.sub(r"remove_hf_re.*", "", text)
        assert 'allow_source_address("1")' in text


def test_two_servers_take_calls_at_the_address_that_moves_on_whichever_has_it() -> None:
    public = renderer(**drawn("two-server-ha")).public
    for host in ("node-1", "node-2"):
        text = content("two-server-ha", host, "/etc/kamailio/kamailio.cfg")
        assert f"listen=udp:{public['sip']}:5060" in text
        assert "ip_nonlocal_bind = 1" in content("two-server-ha", host, "/etc/sysctl.d/62-m2-sip-address.conf")
    assert "ip_nonlocal_bind = 0" in content("one-server", "node-1", "/etc/sysctl.d/62-m2-sip-address.conf")


@pytest.mark.parametrize("name", DRAWN)
def test_every_client_writes_through_the_vip(name: str) -> None:
    chosen = plan_of(name)
    expected = chosen.vip("database").ip if chosen.pairs() else chosen.with_role("database")[0].private_ip
    for host in chosen.with_role("core"):
        assert json.loads(content(name, host.name, "/etc/m2/core.json"))["database"]["host"] == expected


@pytest.mark.parametrize("name", [name for name in DRAWN if plan_of(name).pairs()])
def test_the_gui_reads_the_backup(name: str) -> None:
    main, backup = next(pair for pair in plan_of(name).pairs() if "database" in pair[0].roles)
    for host in plan_of(name).with_role("gui"):
        gui = json.loads(content(name, host.name, "/etc/m2/gui.json"))
        assert (gui["main"]["name"], gui["backup"]["name"]) == (main.name, backup.name)


def test_a_failed_core_is_routed_around() -> None:
    """The balancers probe every core and try the next one; the cores that are left carry everything."""
    for balancer in ("balancer-1", "balancer-2"):
        name = "full, GUI on the databases"
        listed = content(name, balancer, "/etc/kamailio/dispatcher.list")
        assert all(core.private_ip in listed for core in plan_of(name).with_role("core"))
        text = content(name, balancer, "/etc/kamailio/kamailio.cfg")
        assert 'modparam("dispatcher", "ds_ping_method", "OPTIONS")' in text
        assert "ds_next_dst()" in text
    asked = settings(topology="full", concurrent_calls=10_000, cps=1000)
    assert sizing.busy_cores("full", asked.size.cores) == asked.size.cores - 1


def test_more_cores_can_be_connected() -> None:
    before, after = (plan(topology="full", cores=cores) for cores in (2, 12))
    assert after.hosts[: len(before.hosts)] == before.hosts


@pytest.mark.parametrize("name", DRAWN)
def test_core_and_database_are_in_one_data_centre(name: str) -> None:
    """A plan has one region, and every host of it is made there."""
    values = {**drawn(name), "region": "hel1"}
    assert plan(**values).region == "hel1"
    assert not {"region", "location"} & set(vars(plan(**values).hosts[0]))


@pytest.mark.parametrize(("name", "warned"), [("one-server", "testing only"), ("three-server", "nothing takes over")])
def test_what_is_not_redundant_says_so(name: str, warned: str) -> None:
    [sentence] = warnings(settings(topology=name))
    assert sentence.startswith(f"topology {name}: ")
    assert warned in sentence


@pytest.mark.parametrize("name", ["two-server-ha", "four-server-ha", "full"])
def test_what_is_redundant_has_nothing_to_warn_of(name: str) -> None:
    assert warnings(settings(topology=name)) == []


def test_no_witness_means_no_takeover_and_says_so() -> None:
    [sentence] = warnings(settings(topology="two-server-ha", witness="none"))
    assert "nothing takes over by itself" in sentence
    assert "no member stops itself" in sentence


@pytest.mark.parametrize(
    ("topology", "values"),
    [
        ("one-server", {"cores": 3}),
        ("four-server-ha", {"cores": 2}),
        ("two-server-ha", {"gui_on": "database"}),
        ("full", {"witness": "none"}),
        ("three-server", {"sip_address": "198.51.100.77"}),
    ],
)
def test_a_setting_that_says_nothing_in_a_topology_is_refused(topology: str, values: dict[str, Any]) -> None:
    [name] = values
    with pytest.raises(SettingsError, match=rf"^{name}: .*allowed: in topology .* only, and this one is {topology}$"):
        settings(topology=topology, **values)


@pytest.mark.parametrize("topology", ["two-server-ha", "full"])
def test_an_address_that_carriers_know_is_kept_and_never_made(topology: str) -> None:
    rendering = renderer(topology=topology, sip_address="198.51.100.77")
    vip = rendering.plan.vip("sip")
    assert vip.exists
    assert rendering.platform.moves["sip"] == {"kind": "floating_ip", "ip": "198.51.100.77"}
    assert invariants.problems(rendering.plan) == []


def test_the_topologies_are_those_that_the_settings_allow() -> None:
    assert set(TOPOLOGIES) == set(NAMES) == set(sizing.CEILINGS) == set(addressing.COUNTS)


@pytest.mark.parametrize("name", ["two-server-ha", "four-server-ha", "full, GUI on the databases"])
def test_the_backup_takes_over_after_ten_seconds_by_default_and_the_addresses_return_automatically(name: str) -> None:
    for host in plan_of(name).with_role("database"):
        agent = json.loads(content(name, host.name, "/etc/m2/agent.json"))
        assert agent["takeover_after"] == 10
        assert agent["hold_down"] == settings().failback_after
        assert len(agent["quorum"]) == 3


def test_without_a_witness_no_member_has_a_quorum_to_ask() -> None:
    for host in ("node-1", "node-2"):
        agent = json.loads(content("two-server-ha, no witness", host, "/etc/m2/agent.json"))
        assert agent["quorum"] == []
        assert agent["peer_ip"]
        assert agent["movers"]
