"""What a picture shows: every host, who holds what, and the ports that the roles open."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import pytest

from scripts.draw import DrawError, planned, render
from scripts.drawing import Edge, Live, draw, edges, fingerprint
from stacks.settings import TopologyName
from tests.unit.stacks.example import plan


@pytest.mark.parametrize("topology", get_args(TopologyName))
def test_every_host_and_every_moving_address_is_in_the_picture(topology: str) -> None:
    chosen = plan(topology=topology)
    source = draw(chosen, Live()).source
    for host in chosen.hosts:
        assert f"{host.name}" in source
        assert host.private_ip in source
        assert host.server_type in source
    for vip in chosen.vips:
        assert f"{vip.name} address" in source


def test_many_cores_are_two_and_a_number() -> None:
    source = draw(plan(cores=9), Live()).source
    assert "core-2" in source
    assert "core-3" not in source
    assert "7 more" in source


def test_edges_are_the_ports_that_roles_open() -> None:
    assert edges(plan()) == {
        Edge("carriers", "sip address"): ("SIP 5060",),
        Edge("core", "sip-private address"): ("SIP 5060",),
        Edge("balancer", "core"): ("SIP 5060",),
        Edge("carriers", "core"): ("RTP 16384-32768",),
        Edge("core", "database address"): ("MariaDB",),
        Edge("balancer", "database"): ("mover",),
        Edge("gui", "database"): ("MariaDB", "etcd"),
        Edge("database", "gui"): ("etcd",),
        Edge("users", "gui"): ("HTTPS",),
    }


def test_where_there_are_no_balancers_carriers_reach_the_cores() -> None:
    found = edges(plan(topology="four-server-ha"))
    assert set(found[Edge("carriers", "core")]) == {"RTP 16384-32768", "SIP 5060"}
    assert found[Edge("users", "gui address")] == ("HTTPS",)


def arrow(source: str, start: str, end: str) -> str:
    """The line of an edge."""
    [line] = [line for line in source.splitlines() if f'"{start}" -> "{end}"' in line]
    return line


def test_the_main_holds_an_address_unless_the_cloud_says_otherwise() -> None:
    usual, taken = draw(plan(), Live()).source, draw(plan(), Live(holders={"database": "database-2"})).source
    assert "bold" in arrow(usual, "database address", "database-1")
    assert "dashed" in arrow(usual, "database address", "database-2")
    assert "bold" in arrow(taken, "database address", "database-2")
    assert "bold" in arrow(taken, "sip address", "balancer-1")
    nobody = draw(plan(), Live(holders={"database": None})).source
    assert "bold" not in arrow(nobody, "database address", "database-1")


def test_public_addresses_are_shown_of_a_stack_that_is_up() -> None:
    source = draw(plan(), Live(public={"core-1": "198.51.100.8", "sip": "198.51.100.5"})).source
    assert "10.0.64.1, 198.51.100.8" in source
    assert "floating IP 198.51.100.5" in source


def test_a_change_of_what_is_drawn_changes_the_fingerprint() -> None:
    assert fingerprint(draw(plan(), Live())) == fingerprint(draw(plan(), Live()))
    assert fingerprint(draw(plan(sip_port=5070), Live())) != fingerprint(draw(plan(), Live()))


def test_a_picture_is_written_in_both_forms(tmp_path: Path) -> None:
    if not shutil.which("dot"):
        pytest.skip("Graphviz is not installed")
    svg, png = render(plan(), Live(), tmp_path)
    assert svg.read_text().startswith("<?xml")
    assert png.read_bytes().startswith(b"\x89PNG")


def test_without_graphviz_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(DrawError, match="install the package graphviz"):
        render(plan(), Live(), tmp_path)


def test_a_stack_without_a_file_is_named() -> None:
    with pytest.raises(DrawError, match=r"nothing-like-it: there is no .*Pulumi.nothing-like-it.yaml"):
        planned("nothing-like-it", None)
