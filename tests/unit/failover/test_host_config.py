"""What the roles write is what the hosts' programs read."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

import pytest

from components.bundle import Bundle
from failover.config import Address, HeldAddress, Member, agent_config, mover_config, sip_address_config
from failover.mover_client import PORT
from roles.core.files.usr.local.lib.m2 import shipper
from tests.unit.stacks.example import STACK, TOKEN, bundles, renderer


@cache
def usual() -> dict[str, Bundle]:
    return bundles()


def content(host: str, path: str) -> str:
    return next(file.content for file in usual()[host].files if file.path == path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


BALANCERS = (
    Member("balancer-1", f"{STACK}-balancer-1", "10.0.0.11"),
    Member("balancer-2", f"{STACK}-balancer-2", "10.0.0.12"),
)
DATABASES = (
    Member("database-1", f"{STACK}-database-1", "10.0.0.21"),
    Member("database-2", f"{STACK}-database-2", "10.0.0.22"),
)


@pytest.mark.parametrize(("host", "listen"), [("database-1", "10.0.0.21"), ("database-2", "10.0.0.22")])
def test_both_movers_have_the_same_fixed_list_of_moves(host: str, listen: str, path: Path) -> None:
    path.write_text(content(host, "/etc/m2/mover.json"))
    config = mover_config(path)
    assert (config.listen, config.port) == (listen, PORT)
    assert config.endpoint == "https://api.hetzner.cloud/v1"
    assert [asdict(address) for address in config.addresses] == [
        asdict(Address("sip", "floating_ip", {"name": f"{STACK}-sip"}, BALANCERS)),
        asdict(Address("sip-private", "route", {"network": STACK, "destination": "10.0.128.2/32"}, BALANCERS)),
        asdict(Address("database", "route", {"network": STACK, "destination": "10.0.128.1/32"}, DATABASES)),
    ]


@pytest.mark.parametrize(("host", "preferred"), [("balancer-1", True), ("balancer-2", False)])
def test_a_balancer_knows_whether_it_is_preferred_and_whom_to_ask(host: str, preferred: bool, path: Path) -> None:
    path.write_text(content(host, "/etc/m2/sip-address.json"))
    config = sip_address_config(path)
    assert (config.me, config.preferred) == (host, preferred)
    assert config.addresses == ("sip", "sip-private")
    assert config.movers == ("10.0.0.21", "10.0.0.22")


@pytest.mark.parametrize(
    ("host", "main", "peer", "movers"),
    [
        ("database-1", True, ("database-2", "10.0.0.22"), ("10.0.0.21", "10.0.0.22")),
        ("database-2", False, ("database-1", "10.0.0.21"), ("10.0.0.22", "10.0.0.21")),
    ],
)
def test_a_database_host_knows_its_role_its_peer_and_the_address_of_the_pair(
    host: str, main: bool, peer: tuple[str, str], movers: tuple[str, ...], path: Path
) -> None:
    path.write_text(content(host, "/etc/m2/agent.json"))
    config = agent_config(path)
    assert (config.me, config.main, (config.peer, config.peer_ip), config.movers) == (host, main, peer, movers)
    assert (config.quorum[0], len(config.quorum), config.quorum[-1]) == (config.listen, 3, "10.0.0.31")
    assert config.addresses == (HeldAddress("database", "10.0.128.1", "private"),)
    assert config.replication_password == renderer().secrets.password("database/replication")


def test_the_movers_token_is_the_providers() -> None:
    assert content("database-1", "/etc/m2/mover.token").strip() == TOKEN


def test_a_core_reaches_the_database_at_the_address_that_moves() -> None:
    config = shipper.Config(**json.loads(content("core-1", "/etc/m2/core.json")))
    assert (config.name, config.server_id) == ("core-1", 101)
    assert (config.database["host"], config.database["port"]) == ("10.0.128.1", 3306)


@pytest.mark.parametrize("user", ["core", "gui", "replication"])
def test_the_password_that_a_program_uses_is_the_one_that_the_database_is_given(user: str) -> None:
    users = content("database-1", "/etc/m2/database-users.sql")
    password = renderer().secrets.password(f"database/{user}")
    assert f"IDENTIFIED BY '{password}'" in users
    where = {"core": ("core-1", "core.json"), "gui": ("gui", "gui.json"), "replication": ("database-2", "agent.json")}
    host, name = where[user]
    assert password in content(host, f"/etc/m2/{name}")
