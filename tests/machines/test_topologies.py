"""The smaller topologies, one after the other on one local cloud: up, calls through, records, and down again."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest

from scripts import calls, gui, local_stack, localcloud
from stacks.settings import TopologyName
from tests.machines.cluster import CARRIER, STRANGER, Cluster, sip_answers
from tests.machines.lab import until

pytestmark = pytest.mark.machines

CALLS = 10


@pytest.fixture(scope="module")
def cloud(no_cloud: None) -> Iterator[None]:
    localcloud.up()
    try:
        with calls.callee():
            yield
    finally:
        localcloud.down()


@pytest.fixture(scope="module", params=["one-server", "two-server-ha", "four-server-ha"])
def cluster(cloud: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    topology: TopologyName = request.param
    made = Cluster(tmp_path_factory.mktemp("stack") / f"Pulumi.{topology}-local.yaml", f"{topology}-local")
    local_stack.ensure(made.file, topology)
    made.up()
    for address in made.outputs()["sip_addresses"]:
        until(lambda address=address: call(address, 1).answered == 1, 120, f"a first call to {address}")  # type: ignore[misc]
    yield made
    made.destroy()
    assert localcloud.servers() == []


def call(address: str, count: int) -> calls.Calls:
    return calls.make(address, count, rate=10, talk=0.5, timeout=6.0)


def databases(cluster: Cluster) -> list[str]:
    return [host for host, roles in cluster.outputs()["ssh"]["roles"].items() if "database" in roles]


def records(cluster: Cluster, host: str, since: int) -> int:
    begun = f"began >= FROM_UNIXTIME({since})"
    return int(cluster.sql(host, f"SET time_zone = '+00:00'; SELECT COUNT(*) FROM m2.calls WHERE {begun}"))  # noqa: S608


def test_calls_with_media_go_through_and_each_has_one_record_on_every_database(cluster: Cluster) -> None:
    begin = math.ceil(time.time())
    time.sleep(begin - time.time())
    addresses = cluster.outputs()["sip_addresses"]
    for address in addresses:
        made = call(address, CALLS)
        assert (made.answered, made.failed) == (CALLS, 0)
        assert made.packets_returned == made.packets_sent > CALLS * 10
    wanted = CALLS * len(addresses)
    for host in databases(cluster):
        until(lambda host=host: records(cluster, host, begin) == wanted, 30, f"{wanted} records on {host}")  # type: ignore[misc]


def test_the_gui_reads_the_backup_or_the_only_database(cluster: Cluster) -> None:
    names = databases(cluster)
    until(lambda: gui.ask(cluster.outputs(), "api/status")["reading"] == names[-1], 30, f"the GUI reads {names[-1]}")
    shown = gui.ask(cluster.outputs(), "api/calls?limit=100")["calls"]
    assert {(one["carrier_in"], one["carrier_out"]) for one in shown} == {("alpha", "beta")}


def test_carriers_get_answers_and_strangers_none(cluster: Cluster) -> None:
    for address in cluster.outputs()["sip_addresses"]:
        assert sip_answers(CARRIER, address)
        assert not sip_answers(STRANGER, address)


def test_a_second_up_changes_nothing(cluster: Cluster) -> None:
    assert cluster.lines() == []
