"""The full topology: up, calls through it, seen from outside, changed in every way, and down again.

One cluster for all tests, in the order of this file; each leaves it as it found it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import calls, gui, localcloud, signalling
from scripts.engines import StackError
from tests.machines.cluster import ADMINS, CARRIER, STRANGER, Cluster, answering, brought_up, next_second, sip_answers
from tests.machines.lab import until
from tests.machines.sip_requests import request

pytestmark = pytest.mark.machines

HOSTS = ("balancer-1", "balancer-2", "database-1", "database-2", "gui", "core-1", "core-2", "core-3")
SIP_CLIENT = Path(__file__).parent / "sip_client.py"
TABLES = ("calls", "cores")


@pytest.fixture(scope="module")
def cluster(no_cloud: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with brought_up(tmp_path_factory.mktemp("stack")) as made, calls.callee():
        until(lambda: call(made, 1, talk=0.0, timeout=4.0).answered == 1, 90, "a first call is answered")
        until(lambda: in_sync(made), 120, "the main waits for the backup")
        yield made


def call(cluster: Cluster, count: int, rate: int = 10, talk: float = 1.0, timeout: float = 30.0) -> calls.Calls:
    return calls.make(cluster.outputs()["sip_address"], count, rate, talk, timeout)


def is_active(cluster: Cluster, host: str, unit: str) -> bool:
    return cluster.on(host, f"systemctl is-active {unit}; true").strip() == "active"


def in_sync(cluster: Cluster) -> bool:
    return cluster.sql("database-1", "SELECT @@rpl_semi_sync_master_enabled") == "1"


def shown(cluster: Cluster, path: str) -> Any:
    return gui.ask(cluster.outputs(), path)


def checksums(cluster: Cluster, host: str) -> str:
    return cluster.sql(host, "CHECKSUM TABLE " + ", ".join(f"m2.{table}" for table in TABLES))


def test_calls_with_media_go_through_and_each_has_one_record_everywhere(cluster: Cluster) -> None:
    begin = next_second()
    made = call(cluster, 30)
    assert (made.answered, made.failed) == (30, 0)
    assert made.packets_sent > 30 * 20
    assert made.packets_returned == made.packets_sent
    for host in ("database-1", "database-2"):
        until(lambda host=host: cluster.records(host, begin) == 30, 15, f"30 records on {host}")  # type: ignore[misc]
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(begin))
    page = shown(cluster, f"api/calls?limit=1000&from={moment}")
    assert page["reading"] == "database-2"
    assert len(page["calls"]) == 30
    newest = page["calls"][0]
    assert (newest["carrier_in"], newest["carrier_out"], newest["callee"]) == ("alpha", "beta", calls.NUMBER)
    assert newest["packets"] > 20


def test_both_databases_have_the_same_tables_and_no_errant_transaction(cluster: Cluster) -> None:
    """Replication status lies: the tables are compared."""
    cluster.sql("database-1", "FLUSH LOCAL TABLES")
    until(lambda: checksums(cluster, "database-1") == checksums(cluster, "database-2"), 20, "equal tables")
    servers = {gtid.split("-")[1] for gtid in cluster.sql("database-2", "SELECT @@gtid_binlog_pos").split(",")}
    assert servers == {"21"}
    assert cluster.sql("database-2", "SELECT @@read_only") == "1"


def test_nobody_but_the_agent_starts_mariadb(cluster: Cluster) -> None:
    for host in ("database-1", "database-2"):
        assert "masked" in cluster.on(host, "systemctl is-enabled mariadb 2>&1; true")
        assert "static" in cluster.on(host, "systemctl is-enabled m2-mariadbd; true")


def test_a_mariadb_that_was_killed_is_started_again_in_its_role(cluster: Cluster) -> None:
    for host in ("database-2", "database-1"):
        cluster.on(host, "sudo systemctl kill -s KILL m2-mariadbd")
        until(lambda host=host: is_active(cluster, host, "m2-mariadbd"), 30, host)  # type: ignore[misc]
    until(lambda: in_sync(cluster), 60, "the main waits for the backup again")
    assert call(cluster, 5).answered == 5


def test_the_quorum_has_three_healthy_members(cluster: Cluster) -> None:
    tls = "--cacert /etc/m2/tls/ca.pem --cert /etc/m2/etcd/tls.pem --key /etc/m2/etcd/tls.key"
    members = "https://10.0.0.21:2379,https://10.0.0.22:2379,https://10.0.0.31:2379"
    answer = cluster.on("gui", f"sudo ETCDCTL_API=3 etcdctl {tls} --endpoints {members} endpoint health 2>&1")
    assert answer.count("is healthy") == 3


EXPECTED_TCP: dict[tuple[str, int], set[str]] = {
    **{(host, 22): {ADMINS} for host in HOSTS},
    ("sip", 5060): {CARRIER},
    ("sip", 5061): {CARRIER},
    ("gui", 80): {ADMINS},
    ("gui", 443): {ADMINS},
}


def listening(cluster: Cluster, host: str) -> set[int]:
    """Every TCP port that anything on the host listens on."""
    lines = cluster.on(host, "sudo ss -Hltn").splitlines()
    return {int(line.split()[3].rpartition(":")[2]) for line in lines}


def test_from_outside_only_the_listed_ports_answer(cluster: Cluster) -> None:
    """What listens anywhere is tried on every public address from every viewpoint: whatever answers is listed."""
    outputs = cluster.outputs()
    addresses = {**outputs["hosts"], "sip": outputs["sip_address"]}
    ports = set.union(*(listening(cluster, host) for host in HOSTS))
    assert {22, 80, 443, 2379, 2380, 3306, 5060, 5061, 8443} <= ports
    for viewpoint in (ADMINS, CARRIER, STRANGER):
        for name, address in addresses.items():
            open_ports = answering(viewpoint, address, ports)
            allowed = {port for (host, port), who in EXPECTED_TCP.items() if host == name and viewpoint in who}
            assert open_ports == allowed, f"{name} ({address}) seen by {viewpoint}"


def test_sip_answers_carriers_on_the_sip_address_and_nobody_else(cluster: Cluster) -> None:
    outputs = cluster.outputs()
    assert sip_answers(CARRIER, outputs["sip_address"])
    assert not sip_answers(STRANGER, outputs["sip_address"])
    for host in ("balancer-1", "balancer-2", "core-1"):
        assert not sip_answers(CARRIER, outputs["hosts"][host])


@pytest.mark.parametrize(
    ("host", "address", "port", "open_"),
    [
        ("core-1", "10.0.128.1", 3306, True),
        ("core-1", "10.0.0.21", 3306, False),
        ("core-1", "10.0.0.22", 3306, False),
        ("core-1", "10.0.0.21", 8443, False),
        ("core-1", "10.0.0.21", 2379, False),
        ("core-1", "10.0.0.21", 22, False),
        ("gui", "10.0.0.22", 3306, True),
        ("gui", "10.0.0.21", 8443, False),
        ("balancer-1", "10.0.0.21", 8443, True),
        ("balancer-1", "10.0.128.1", 3306, False),
        ("balancer-1", "10.0.0.21", 2379, False),
        ("database-2", "10.0.0.21", 3306, True),
    ],
)
def test_inside_only_those_who_need_a_port_reach_it(
    cluster: Cluster, host: str, address: str, port: int, open_: bool
) -> None:
    word = cluster.on(host, f"timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>/dev/null && echo open; true")
    assert (word.strip() == "open") is open_


def test_only_root_reads_the_metadata_service(cluster: Cluster) -> None:
    ask = "curl -s -m 2 http://169.254.169.254/hetzner/v1/metadata/hostname"
    assert cluster.on("core-1", f"sudo {ask}") == "full-local-core-1"
    assert cluster.on("core-1", f"{ask}; true") == ""


def test_the_mover_does_what_is_on_its_list_and_nothing_else(cluster: Cluster) -> None:
    tls = "--cacert /etc/m2/tls/ca.pem --cert /etc/m2/tls/host.pem --key /etc/m2/tls/host.key"
    ask = f"sudo curl -s -m 5 {tls} https://10.0.0.21:8443/addresses"
    assert json.loads(cluster.on("balancer-1", ask))["database"] == "database-1"
    refused = json.loads(cluster.on("balancer-1", f"{ask}/database -d '{{}}'"))
    assert refused == {"error": "balancer-1 may not hold database"}
    assert cluster.on("balancer-1", "curl -sk -m 5 https://10.0.0.21:8443/addresses; true") == ""


def test_a_second_up_changes_nothing_and_a_second_apply_neither(cluster: Cluster) -> None:
    assert cluster.lines() == []
    for host in HOSTS:
        done = subprocess.run(
            localcloud.ssh_words(f"full-local-{host}", ["sudo python3 -"]),
            input=cluster.program(host),
            env=localcloud.with_agent(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "nothing to change", host


def test_no_secret_is_in_logs_arguments_or_plain_state(cluster: Cluster) -> None:
    names = ("database/core", "database/gui", "database/replication", "gui", "gui/session")
    secrets = [cluster.secrets().password(name) for name in names]
    secrets += [localcloud.environment()["HCLOUD_TOKEN"], cluster.secrets().root_secret]
    places = {"state": cluster.state_file().read_text(), "daemon": (localcloud.STATE / "daemon.log").read_text()}
    for host in HOSTS:
        look = 'sudo journalctl --no-pager -o cat; sudo sh -c \'tr "\\0" " " < /dev/null; cat /proc/[0-9]*/cmdline\''
        places[host] = cluster.on(host, look)
    for place, text in places.items():
        assert [
            name for name, secret in zip((*names, "token", "root"), secrets, strict=True) if secret in text
        ] == [], place


def test_a_changed_timer_changes_the_files_that_use_it_and_the_preview_names_them(cluster: Cluster) -> None:
    with cluster.with_settings(probe_interval=3):
        assert cluster.lines() == [
            f"~ command:Command          fsn1-balancer-{n}-apply: /etc/kamailio/kamailio.cfg" for n in (1, 2)
        ]
        cluster.up()
        assert 'ds_ping_interval", 3' in cluster.on("balancer-2", "sudo cat /etc/kamailio/kamailio.cfg")
    cluster.up()
    until(lambda: call(cluster, 1, talk=0.0, timeout=4.0).answered == 1, 30, "calls after the balancers' restart")


def test_one_more_core_is_one_more_server_and_two_dispatcher_lists(cluster: Cluster) -> None:
    before = {server["name"]: server["id"] for server in localcloud.servers()}
    with cluster.with_settings(cores=4):
        lines = cluster.lines()
        assert sorted(line for line in lines if "core-4" not in line) == [
            f"~ command:Command          fsn1-balancer-{n}-apply: /etc/kamailio/dispatcher.list" for n in (1, 2)
        ]
        assert all(line.startswith("+ ") for line in lines if "core-4" in line)
        cluster.up()
        after = {server["name"]: server["id"] for server in localcloud.servers()}
        assert after.keys() - before.keys() == {"full-local-core-4"}
        assert {name: after[name] for name in before} == before
        until(lambda: "10.0.64.4" in cluster.on("balancer-1", "sudo kamcmd dispatcher.list"), 10, "the new core")
        seen = 0
        for _ in range(5):
            call(cluster, 10, talk=0.0)
            seen = int(cluster.sql("database-1", "SELECT COUNT(*) FROM m2.calls WHERE server_id = 104"))
            if seen:
                break
        assert seen, "the new core gets calls"
    cluster.up()
    assert {server["name"] for server in localcloud.servers()} == before.keys()
    assert call(cluster, 10).failed == 0


def test_a_rebuilt_core_is_another_server_with_the_same_address_and_roles(cluster: Cluster) -> None:
    before, others = cluster.server("core-2"), cluster.server("core-1")
    with cluster.with_settings(rebuild={"core-2": 1}):
        assert any(line.startswith("+- hcloud:Server") and "core-2" in line for line in cluster.lines())
        cluster.up()
        after = cluster.server("core-2")
        assert after["id"] != before["id"]
        assert after["addresses"] == before["addresses"]
        assert cluster.server("core-1") == others
        assert (
            cluster.on("core-2", "systemctl is-active kamailio rtpengine-daemon m2-shipper").split() == ["active"] * 3
        )
        assert cluster.lines() == []
        assert call(cluster, 10).failed == 0


def test_a_protected_stack_refuses_to_be_destroyed_before_anything_is_deleted(cluster: Cluster) -> None:
    with cluster.with_settings(protected=True, rebuild={"core-2": 1}):
        cluster.up()
        servers, plan = localcloud.servers(), cluster.lines()
        with pytest.raises(StackError, match="protect"):
            cluster.destroy()
        assert localcloud.servers() == servers
        assert cluster.lines() == plan == []
        assert call(cluster, 5).answered == 5
    with cluster.with_settings(rebuild={"core-2": 1}):
        cluster.up()


def send(cluster: Cluster, text: str, transport: str = "udp", port: int = 5060) -> list[str]:
    """What the SIP address replies to a carrier, one status after the other."""
    calls.add_address(calls.CALLER)
    inside = ["nsenter", f"--net=/run/netns/{calls.INTERNET}", sys.executable, str(SIP_CLIENT)]
    words = [*inside, calls.CALLER, cluster.outputs()["sip_address"], str(port), transport]
    return subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout.split()


def test_a_carrier_may_speak_tls(cluster: Cluster) -> None:
    sip = cluster.outputs()["sip_address"]
    assert send(cluster, request("OPTIONS", sip, uri=f"sip:{sip}:5061"), "tls", 5061) == ["200"]


def served_certificate(cluster: Cluster) -> str:
    """Whose certificate a carrier sees at the SIP address."""
    calls.add_address(calls.CALLER)
    inside = ["nsenter", f"--net=/run/netns/{calls.INTERNET}", "openssl", "s_client", "-bind", calls.CALLER]
    words = [*inside, "-connect", f"{cluster.outputs()['sip_address']}:5061"]
    said = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=10)
    return next((line.removeprefix("subject=") for line in said.stdout.splitlines() if line.startswith("subject=")), "")


def test_another_certificate_is_served_without_a_restart(cluster: Cluster, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=sip.example.net"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    before = cluster.on("balancer-1", "systemctl show --property=MainPID kamailio")
    pem = certificate.read_text()
    with cluster.with_settings(sip_tls={"certificate": pem, "key": key.read_text(), "authorities": pem}):
        cluster.up()
        assert "sip.example.net" in served_certificate(cluster)
    cluster.up()
    assert "sip.example.net" not in served_certificate(cluster)
    assert cluster.on("balancer-1", "systemctl show --property=MainPID kamailio") == before


def test_not_even_a_carrier_has_a_request_relayed_to_anywhere(cluster: Cluster) -> None:
    sip, victim = cluster.outputs()["sip_address"], "192.0.2.77"
    ours, core = f"Route: <sip:{sip};lr>", "Route: <sip:10.0.64.1;lr>"
    both = (f"Route: <sip:{sip};r2=on;lr>", "Route: <sip:10.0.128.2;r2=on;lr>")
    refused = {
        "a re-INVITE of no call": request("INVITE", sip, ours, to_tag="x", uri=f"sip:1@{victim}:5060"),
        "a route to anywhere": request("BYE", sip, ours, f"Route: <sip:{victim};lr>", to_tag="x"),
        "a route to a database": request("BYE", sip, ours, to_tag="x", uri="sip:1@10.0.0.21:3306"),
    }
    assert {name: send(cluster, text) for name, text in refused.items()} == {name: ["403"] for name in refused}
    through_a_core = request("INVITE", sip, *both, core, to_tag="x", uri=f"sip:1@{victim}:5060")
    assert send(cluster, through_a_core)[-1] == "481"
    preloaded = request("INVITE", sip, ours, f"Route: <sip:{victim};lr>", uri=f"sip:999@{victim}:5060")
    assert send(cluster, preloaded)[-1] == "404"


def test_who_calls_is_what_the_balancer_saw_and_not_what_the_caller_says(cluster: Cluster) -> None:
    sip = cluster.outputs()["sip_address"]
    send(cluster, request("INVITE", sip, "x-orig-ip: 203.0.113.9", "X-Orig-Carrier: beta", uri=f"sip:4999@{sip}"))
    query = "SELECT source, carrier_in FROM m2.calls_in_progress WHERE callee = '4999'"
    until(lambda: cluster.sql("database-1", query) == "192.0.2.10\talpha", 30, "the record of the call")


def calls_of(cluster: Cluster, server_id: int) -> int:
    return int(cluster.sql("database-1", f"SELECT COUNT(*) FROM m2.calls WHERE server_id = {server_id}"))  # noqa: S608


def test_a_drained_core_gets_no_new_calls_also_after_a_restart_and_gets_them_again(cluster: Cluster) -> None:
    cluster.on("core-1", "sudo m2-drain on && sudo systemctl restart kamailio && sudo m2-drain wait")
    before = calls_of(cluster, 101)
    assert call(cluster, 20, talk=0.0).failed == 0
    cluster.on("core-2", "sudo m2-drain wait")
    assert calls_of(cluster, 101) == before
    cluster.on("core-1", "sudo m2-drain off")
    until(lambda: call(cluster, 10, talk=0.0).failed == 0 and calls_of(cluster, 101) > before, 30, "calls at core-1")


def test_a_dead_core_costs_no_call_that_it_did_not_have(cluster: Cluster) -> None:
    """Calls that begin while it is still believed alive are taken by another core."""
    sip = cluster.outputs()["sip_address"]
    cluster.on("core-3", "sudo m2-drain on && sudo m2-drain wait")
    localcloud.power("full-local-core-3", "cut")
    try:
        with signalling.load(sip, 5, 8.0) as load:
            assert load.wait().failed == 0
        until(lambda: "IP" in cluster.on("balancer-1", "sudo kamcmd dispatcher.list"), 20, "core-3 is out")
    finally:
        localcloud.power("full-local-core-3", "on")
    until(lambda: "IP" not in cluster.on("balancer-1", "sudo kamcmd dispatcher.list"), 60, "core-3 is back")
    cluster.on("core-3", "sudo m2-drain off")


def test_the_gui_says_so_when_it_has_to_read_the_main(cluster: Cluster) -> None:
    localcloud.power("full-local-database-2", "cut")
    try:
        until(lambda: shown(cluster, "api/status")["reading"] == "database-1", 30, "the GUI reads the main")
        assert any("database-2" in banner for banner in map(str, shown(cluster, "api/status")["banners"]))
        assert call(cluster, 5).answered == 5
    finally:
        localcloud.power("full-local-database-2", "on")
    until(lambda: shown(cluster, "api/status")["reading"] == "database-2", 60, "the GUI reads the backup again")


def test_the_gui_looks_right_in_a_browser(cluster: Cluster, tmp_path: Path) -> None:
    """A picture of the login page; what it shows is a person's to judge."""
    picture = tmp_path / "gui.png"
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    flags += " --ignore-certificate-errors --window-size=1200,900"
    words = ["chromium", *flags.split(), f"--user-data-dir={tmp_path}/profile", f"--screenshot={picture}"]
    subprocess.run([*words, cluster.outputs()["gui_url"]], check=True, capture_output=True, timeout=60)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_an_interrupted_up_is_completed_by_the_next(cluster: Cluster) -> None:
    """Ctrl-C in the middle of adding a core."""
    with cluster.with_settings(cores=4, rebuild={"core-2": 1}):
        script = str(localcloud.PROJECT / "scripts" / "stack")
        words = [script, "up", "full-local", "--yes", "--config-file", str(cluster.file)]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(3)
        process.send_signal(2)
        process.communicate(timeout=60)
        assert process.returncode not in (0, None)
        cluster.up()
        assert cluster.lines() == []
        assert call(cluster, 10).failed == 0


def test_destroyed_nothing_is_left_in_the_clouds_records(cluster: Cluster) -> None:
    cluster.destroy()
    assert localcloud.servers() == []
    for kind in ("networks", "volumes", "primary_ips", "floating_ips", "firewalls", "placement_groups", "ssh_keys"):
        assert localcloud.ask("GET", f"/v1/{kind}")[kind] == [], kind
