"""The full topology as it is drawn: which hosts, which roles, what moves between whom, who is apart from whom."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from functools import cache
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from components.bundle import File
from components.clouds import SPREAD
from components.plan import SitePlan
from stacks.addressing import core_limit
from stacks.settings import Settings, parse
from stacks.topologies import TOPOLOGIES
from tests.unit.stacks.example import REQUIRED, STACK, bundles, config, plan
from tests.unit.stacks.strategies import stack_files


def test_the_full_topology_has_the_hosts_and_roles_of_its_drawing() -> None:
    assert {host.name: set(host.roles) for host in plan(cores=3).hosts} == {
        "balancer-1": {"balancer"},
        "balancer-2": {"balancer"},
        "database-1": {"database", "mover", "quorum"},
        "database-2": {"database", "mover", "quorum"},
        "gui": {"gui", "quorum"},
        "core-1": {"core"},
        "core-2": {"core"},
        "core-3": {"core"},
    }


def test_three_addresses_move_each_between_its_main_and_its_backup() -> None:
    assert {vip.name: (vip.scope, vip.members) for vip in plan().vips} == {
        "sip": ("public", ("balancer-1", "balancer-2")),
        "sip-private": ("private", ("balancer-1", "balancer-2")),
        "database": ("private", ("database-1", "database-2")),
    }


def test_only_databases_have_data_volumes() -> None:
    assert {host.name: host.data_disk_gb for host in plan(database_disk_gb=250).hosts if host.data_disk_gb} == {
        "database-1": 250,
        "database-2": 250,
    }


def test_the_pair_and_the_third_quorum_member_are_on_three_physical_machines() -> None:
    placements = {host.name: host.placement for host in plan().hosts}
    assert placements["database-1"] == placements["database-2"] == placements["gui"]


@settings(max_examples=30)
@given(st.integers(2, 200))
def test_cores_are_spread_in_groups_of_at_most_seven(cores: int) -> None:
    """Seven are what both clouds allow in one group."""
    sizes = Counter(host.placement for host in plan(cores=cores).with_role("core"))
    assert max(sizes.values()) <= SPREAD == 7
    assert len(sizes) == -(-cores // 7)


@settings(max_examples=50)
@given(stack_files())
def test_one_more_core_changes_no_other_hosts_plan(values: dict[str, Any]) -> None:
    cores = values["cores"]
    before = plan(**values)
    assume(cores < most_cores(before))
    after = plan(**{**values, "cores": cores + 1})
    assert after.hosts[: len(before.hosts)] == before.hosts
    assert [host.name for host in after.hosts[len(before.hosts) :]] == [f"core-{cores + 1}"]
    assert after.vips == before.vips


def most_cores(of: SitePlan) -> int:
    return min(200, core_limit(IPv4Network(of.network)))


def test_rebuild_reaches_the_host_it_names_and_no_other() -> None:
    counts = {host.name: host.rebuild for host in plan(rebuild={"core-2": 4}).hosts}
    assert counts.pop("core-2") == 4
    assert set(counts.values()) == {0}


@pytest.mark.parametrize("kind", ["balancer", "core", "database", "gui"])
def test_server_type_and_image_are_those_of_the_role(kind: str) -> None:
    chosen = plan(server_types={kind: "ccx63"}, images={kind: "debian-12-mine"})
    for host in chosen.hosts:
        mine = host.name.startswith(kind)
        assert (host.server_type == "ccx63") == mine, host.name
        assert (host.image == "debian-12-mine") == mine, host.name


def test_the_gui_is_open_to_the_admins_networks_unless_told_otherwise() -> None:
    chosen = parse(config(REQUIRED))
    assert TOPOLOGIES["full"].plan(STACK, chosen).settings["gui_from"] == ["203.0.113.7/32"]


def test_templates_never_see_the_root_secret() -> None:
    assert "root_secret" not in plan().settings


OTHER_VALUES: dict[str, object] = {
    "region": "hel1",
    "root_secret": "fedcba9876543210" * 4,
    "secrets_epoch": 2,
    "admins": {"ssh_from": ["203.0.113.8/32"], "ssh_keys": ["ssh-ed25519 AAAA other"]},
    "carriers": [{"name": "gamma", "addresses": ["192.0.2.30/32"]}],
    "gui_from": ["203.0.113.128/26"],
    "network": "10.1.0.0/16",
    "concurrent_calls": 2000,
    "cps": 400,
    "records_days": 120,
    "takeover_after": 5,
    "failback_after": 60,
    "cores": 3,
    "gui_on": "database",
    "sip_address": "198.51.100.77",
    "server_types": {"gui": "cx33"},
    "images": {"gui": "debian-12-mine"},
    "database_disk_gb": 200,
    "sip_port": 5080,
    "sip_tls_port": 5081,
    "sip_tls": {
        "certificate": "-----BEGIN CERTIFICATE-----\n",
        "key": "-----BEGIN PRIVATE KEY-----\n",
        "authorities": "-----BEGIN CERTIFICATE-----\n",
    },
    "carriers_in_database": True,
    "core_limits": {"calls": 1000, "cps": 50},
    "drain_minutes": 5,
    "rtp_ports": "20000-30000",
    "max_call_hours": 5,
    "probe_interval": 3,
    "protected": False,
    "rebuild": {"gui": 1},
}
"""Another value of each setting."""

ELSEWHERE = {"topology", "vendor", "bastion", "witness", "codec"}
"""They have tests of their own; `codec` says what traffic weighs and changes no server."""


def test_the_table_of_other_values_is_complete() -> None:
    assert OTHER_VALUES.keys() | ELSEWHERE == Settings.model_fields.keys()


@pytest.mark.parametrize("setting", OTHER_VALUES)
def test_every_setting_has_an_effect(setting: str) -> None:
    """On a host's bundle or on what is created; what a template may read but does not is no effect."""
    changes = {setting: OTHER_VALUES[setting]}
    assert shape(plan(**changes)) != shape(plan()) or files(**changes) != usual_files()


def shape(of: SitePlan) -> list[object]:
    """What is created; without the settings that templates may read and need not."""
    return [getattr(of, field.name) for field in fields(SitePlan) if field.name != "settings"]


def files(**changes: object) -> dict[str, tuple[File, ...]]:
    return {name: bundle.files for name, bundle in bundles(**changes).items()}


usual_files = cache(files)


def test_names_in_the_cloud_begin_with_the_stack() -> None:
    assert plan().cloud_name("core-1") == f"{STACK}-core-1"
