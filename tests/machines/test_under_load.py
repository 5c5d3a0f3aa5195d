"""The full topology under load: what callers notice while machines die, come and go. Shown with `pytest -s`.

One cluster for all tests, in the order of this file; each leaves it as it found it.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from scripts import faults, localcloud, signalling
from scripts.signalling import Outcome
from tests.machines.cluster import NAME, Cluster, brought_up, next_second
from tests.machines.lab import until

pytestmark = pytest.mark.machines

LIMITS = {"calls": 10_000, "cps": 1000}
"""Of a core: what the cluster does is looked at, not what it takes on."""

RATE = 100
"""Calls a second while a core dies; half of what the whole path carries on two busy CPUs."""

DEAD_CORE_S = 5.0
VRRP_CUT_S = 90.0
IN_PROGRESS = "SELECT COUNT(*) FROM m2.calls_in_progress"
DATABASE_AWAY_S = 60.0
LONGEST_S = 900


@pytest.fixture(scope="module")
def cluster(no_cloud: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with brought_up(tmp_path_factory.mktemp("stack"), cores=2, core_limits=LIMITS) as made, signalling.answering():
        until(lambda: calls(made, 1, 1.0).failed == 0, 90, "a first call is answered")
        yield made


def sip(cluster: Cluster) -> str:
    return str(cluster.outputs()["sip_address"])


def calls(
    cluster: Cluster, rate: int, seconds: float, strike: Callable[[], None] | None = None, talk: float = 0.0
) -> Outcome:
    """Calls begin for so long, each of `talk` seconds; a third of that time after the first, `strike` happens."""
    with signalling.load(sip(cluster), rate, seconds, talk) as load:
        if strike:
            time.sleep(seconds / 3)
            strike()
        return told(load.wait())


def told(outcome: Outcome) -> Outcome:
    print(
        f"{outcome.attempted} calls at {outcome.rate} CPS: {outcome.failed} failed, "
        f"set-up {outcome.delay(50):.0f} ms p50, {outcome.delay(99):.0f} ms p99, {outcome.delay(100):.0f} ms at most, "
        f"{outcome.silence:.2f} s without an answer"
    )
    return outcome


def dispatcher(cluster: Cluster) -> str:
    return cluster.on("balancer-1", "sudo kamcmd dispatcher.list")


def retried(cluster: Cluster) -> int:
    """Calls that a second core got, as the first said nothing."""
    return int(cluster.on("balancer-1", "sudo kamcmd stats.get_statistics retried_calls").split("=")[1])


def number(cluster: Cluster, query: str) -> int:
    return int(cluster.sql("database-1", query))


def holder(cluster: Cluster) -> str:
    """Who has the SIP address by the cloud's own list."""
    names = [str(server["name"]) for server in localcloud.servers() if sip(cluster) in server["addresses"]]
    return names[0] if names else "nobody"


def test_a_core_is_drained_and_taken_back(cluster: Cluster) -> None:
    def core(*words: str) -> None:
        script = str(localcloud.PROJECT / "scripts" / "core")
        command = [script, words[0], NAME, "core-1", *words[1:], "--config-file", str(cluster.file)]
        subprocess.run(command, check=True)

    of_core_1 = "SELECT COUNT(*) FROM m2.calls WHERE server_id = 101"
    assert calls(cluster, 50, 30.0, lambda: core("drain", "--wait")).failed == 0
    drained = number(cluster, of_core_1)
    assert calls(cluster, 50, 5.0).failed == 0
    assert number(cluster, of_core_1) == drained
    assert calls(cluster, 50, 15.0, lambda: core("undrain")).failed == 0
    until(lambda: number(cluster, of_core_1) > drained, 30, "calls at core-1 again")


def test_a_core_that_dies_costs_the_calls_that_it_was_setting_up_and_no_others(cluster: Cluster) -> None:
    with ExitStack() as dead:

        def strike() -> None:
            dead.enter_context(faults.power(f"{NAME}-core-2", seconds=LONGEST_S))

        outcome = calls(cluster, RATE, 30.0, strike)
        assert outcome.failed <= outcome.rate / 4, "more than it can have had in its hands"
        assert outcome.delay(100) < 1000 * DEAD_CORE_S
        assert calls(cluster, RATE, 5.0).failed == 0
    until(lambda: "IP" not in dispatcher(cluster), 60, "core-2 is back")


def test_a_balancer_that_dies_costs_no_call(cluster: Cluster) -> None:
    """Those that had been answered end as usual, those that begin meanwhile are answered late."""
    with ExitStack() as dead:

        def strike() -> None:
            dead.enter_context(faults.power(f"{NAME}-balancer-1", seconds=LONGEST_S))

        outcome = calls(cluster, 50, 45.0, strike, talk=30.0)
        assert outcome.failed == 0
        assert holder(cluster) == f"{NAME}-balancer-2"
    until(lambda: holder(cluster) == f"{NAME}-balancer-1", 90, "the address returns")
    until(lambda: calls(cluster, 1, 1.0).failed == 0, 30, "calls through balancer-1")


def test_balancers_that_do_not_hear_each_other_do_not_fight_over_the_address(cluster: Cluster) -> None:
    with ThreadPoolExecutor() as pool, faults.cut(f"{NAME}-balancer-1", f"{NAME}-balancer-2", seconds=LONGEST_S):
        seen = pool.submit(holders, cluster, VRRP_CUT_S)
        outcome = calls(cluster, 20, VRRP_CUT_S)
        print(f"{len(seen.result()) - 1} moves: {' -> '.join(seen.result())}")
        assert len(seen.result()) - 1 <= 2
        assert outcome.failed == 0
    until(lambda: holder(cluster) == f"{NAME}-balancer-1", 60, "the address is with the preferred one")


def holders(cluster: Cluster, seconds: float) -> list[str]:
    """Who has the SIP address, one after the other, while that time passes."""
    found = [holder(cluster)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = holder(cluster)
        if now not in (found[-1], "nobody"):
            found.append(now)
        time.sleep(0.2)
    return found


def up_under_load(cluster: Cluster, **changes: int) -> None:
    """There and back; no call may fail meanwhile."""

    def there_and_back() -> None:
        with cluster.with_settings(**changes):
            cluster.up()
        cluster.up()

    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        done = pool.submit(there_and_back)
        while not done.done():
            assert calls(cluster, 50, 20.0).failed == 0
        done.result()
    print(f"{changes} and back in {time.monotonic() - began:.0f} s")


def test_both_balancers_change_and_no_call_notices(cluster: Cluster) -> None:
    up_under_load(cluster, probe_interval=3)


def test_cores_come_and_go_and_no_call_notices(cluster: Cluster) -> None:
    before = retried(cluster)
    up_under_load(cluster, cores=4)
    assert retried(cluster) == before, "calls went to a core that does not answer yet, or no more"
    assert len([server for server in localcloud.servers() if "-core-" in server["name"]]) == 2


def test_callers_do_not_notice_that_the_database_is_away_and_no_record_is_missing_or_doubled(cluster: Cluster) -> None:
    begin, in_progress = next_second(), number(cluster, IN_PROGRESS)
    with ThreadPoolExecutor() as pool:
        away = pool.submit(database_away, cluster)
        outcome = calls(cluster, 100, DATABASE_AWAY_S + 10)
        away.result()
    assert outcome.failed == 0
    until(lambda: cluster.records("database-1", begin) >= outcome.answered, 120, f"{outcome.answered} records")
    time.sleep(5.0)
    assert cluster.records("database-1", begin) == outcome.answered
    assert number(cluster, IN_PROGRESS) == in_progress, "those of the core that died, and no others"


def database_away(cluster: Cluster) -> None:
    """Both members stand still."""
    with ExitStack() as frozen:
        for name in ("database-1", "database-2"):
            frozen.enter_context(faults.freeze(f"{NAME}-{name}", seconds=LONGEST_S))
        time.sleep(DATABASE_AWAY_S)
