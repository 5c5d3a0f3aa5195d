"""The smaller topologies, one after the other on one local cloud: up, calls through, records, and down again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hcloud import Client
from hcloud.locations import Location

from components.logins import ASK_AGENT
from scripts import calls, gui, local_stack, localcloud
from scripts.cloud_api import LocalCloudError, power
from stacks.settings import TopologyName
from tests.machines.cluster import CARRIER, STRANGER, Cluster, next_second, sip_answers
from tests.machines.lab import until

pytestmark = pytest.mark.machines

CALLS = 10
KNOWN = "known-to-carriers"
FAILBACK_AFTER = 20
WITHOUT_WITNESS = "two-server-ha, no witness, a kept address"
CASES: dict[str, tuple[TopologyName, dict[str, str]]] = {
    "one-server": ("one-server", {}),
    "two-server-ha": ("two-server-ha", {}),
    WITHOUT_WITNESS: ("two-server-ha", {"m2:witness": "none"}),
    "three-server": ("three-server", {}),
    "four-server-ha": ("four-server-ha", {}),
}
PAIRS = pytest.mark.parametrize("cluster", ["two-server-ha", "four-server-ha"], indirect=True)


@pytest.fixture(scope="module")
def cloud(no_cloud: None) -> Iterator[None]:
    localcloud.up()
    try:
        with calls.callee():
            yield
    finally:
        localcloud.down()


@pytest.fixture(scope="module", params=CASES)
def cluster(cloud: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    topology, changes = CASES[request.param]
    kept = keep_address() if request.param == WITHOUT_WITNESS else None
    config = {"m2:failback_after": FAILBACK_AFTER, **changes, **({"m2:sip_address": kept} if kept else {})}
    made = Cluster(tmp_path_factory.mktemp("stack") / f"Pulumi.{topology}-local.yaml", f"{topology}-local")
    made.file.write_text(yaml.safe_dump({"config": config}))
    local_stack.ensure(made.file, topology)
    made.up()
    for address in made.outputs()["sip_addresses"]:
        wait_for_call(address)
    yield made
    made.destroy()
    assert localcloud.servers() == []
    assert [floating.ip for floating in api().floating_ips.get_all()] == ([kept] if kept else [])
    remove_addresses()


def api() -> Any:
    environment = localcloud.environment()
    return Client(environment["HCLOUD_TOKEN"], environment["HCLOUD_ENDPOINT"])


def keep_address() -> str:
    """A floating IP that carriers know from before."""
    made = api().floating_ips.create("ipv4", home_location=Location(name="fsn1"), name=KNOWN)
    return str(made.floating_ip.ip)


def remove_addresses() -> None:
    for floating in api().floating_ips.get_all():
        floating.delete()


def call(address: str, count: int) -> calls.Calls:
    return calls.make(address, count, rate=10, talk=0.5, timeout=6.0)


def wait_for_call(address: str) -> None:
    until(lambda: call(address, 1).answered == 1, 120, f"a call to {address} is answered")


def databases(cluster: Cluster) -> list[str]:
    roles = cluster.outputs()["ssh"]["roles"]
    return sorted(host for host in roles if "database" in roles[host])


def test_calls_with_media_go_through_and_each_has_one_record_on_every_database(cluster: Cluster) -> None:
    begin = next_second()
    addresses = cluster.outputs()["sip_addresses"]
    for address in addresses:
        made = call(address, CALLS)
        assert (made.answered, made.failed) == (CALLS, 0)
        assert made.packets_returned == made.packets_sent > CALLS * 10
    wanted = CALLS * len(addresses)
    for host in databases(cluster):
        until(lambda host=host: cluster.records(host, begin) == wanted, 30, f"{wanted} records on {host}")  # type: ignore[misc]


def test_the_gui_reads_the_backup_or_the_only_database(cluster: Cluster) -> None:
    names = databases(cluster)
    until(lambda: gui.ask(cluster.outputs(), "api/status")["reading"] == names[-1], 30, f"the GUI reads {names[-1]}")
    shown = gui.ask(cluster.outputs(), "api/calls?limit=100")["calls"]
    assert {(one["carrier_in"], one["carrier_out"]) for one in shown} == {("alpha", "beta")}


def test_carriers_get_answers_and_strangers_none(cluster: Cluster) -> None:
    for address in cluster.outputs()["sip_addresses"]:
        assert sip_answers(CARRIER, address)
        assert not sip_answers(STRANGER, address)


def said(cluster: Cluster, host: str) -> dict[str, Any]:
    """What the agent of a database host says; nothing while the host does not answer."""
    try:
        answer: dict[str, Any] = json.loads(cluster.on(host, f"{ASK_AGENT} status"))
    except LocalCloudError:
        return {}
    return answer


def serves(cluster: Cluster, host: str) -> bool:
    """Whether the pair's record names it, and every address that moves is sent to it."""
    status = said(cluster, host)
    return (status.get("record") or {}).get("holder") == host and set(status["addresses"].values()) == {host}


def check_service(cluster: Cluster, host: str) -> None:
    """Calls, their records on the host that serves, and the GUI, all through the addresses."""
    begin = next_second()
    for address in cluster.outputs()["sip_addresses"]:
        wait_for_call(address)
        assert call(address, CALLS).answered == CALLS
    wanted = (CALLS + 1) * len(cluster.outputs()["sip_addresses"])
    until(lambda: cluster.records(host, begin) >= wanted, 60, f"{wanted} records on {host}")
    until(lambda: gui_writer(cluster) == host, 60, f"the GUI shows {host} as the writer")


def gui_writer(cluster: Cluster) -> str | None:
    try:
        return str(gui.ask(cluster.outputs(), "api/status")["writer"])
    except OSError:
        return None


@PAIRS
def test_the_backup_takes_every_address_and_they_return_to_the_main(cluster: Cluster) -> None:
    """Before and after, every client writes through the address that moves."""
    main, backup = databases(cluster)
    until(lambda: (said(cluster, main).get("record") or {}).get("mode") == "SYNC", 120, "the pair is whole")
    assert serves(cluster, main)
    check_service(cluster, main)
    power(f"{cluster.name}-{main}", "cut")
    until(lambda: serves(cluster, backup), 90, f"{backup} serves")
    check_service(cluster, backup)
    power(f"{cluster.name}-{main}", "on")
    until(lambda: serves(cluster, main), 180, f"{main} serves again")
    check_service(cluster, main)


@pytest.mark.parametrize("cluster", [WITHOUT_WITNESS], indirect=True)
def test_calls_come_in_at_the_address_that_was_there_before(cluster: Cluster) -> None:
    known = api().floating_ips.get_by_name(KNOWN).ip
    assert cluster.outputs()["sip_addresses"] == [known]
    assert known in cluster.server("node-1")["addresses"]


@pytest.mark.parametrize("cluster", [WITHOUT_WITNESS], indirect=True)
def test_without_a_witness_nothing_takes_over_and_nothing_stops_itself(cluster: Cluster) -> None:
    main, backup = databases(cluster)
    until(lambda: read_only(cluster, main) == "0", 60, f"{main} is writable")
    power(f"{cluster.name}-{main}", "cut")
    for _ in range(5):
        time.sleep(6)
        assert read_only(cluster, backup) == "1"
        assert cluster.outputs()["sip_address"] not in cluster.server(backup)["addresses"]
    power(f"{cluster.name}-{main}", "on")
    check_service(cluster, main)


def read_only(cluster: Cluster, host: str) -> str:
    return cluster.sql(host, "SELECT @@read_only")


def test_a_second_up_changes_nothing(cluster: Cluster) -> None:
    assert cluster.lines() == []
