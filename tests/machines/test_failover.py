"""The database pair on real machines: the rows of the state table, each under clients that write through the VIP.

Every run ends with the same verdict: what was acknowledged is there, both members have the same tables, and never
two acknowledged at once.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from scripts import hosts, local_stack, localcloud
from scripts.database_pair import Pair, PairError
from scripts.drills import clients
from scripts.drills.breaking import LocalBreaker
from scripts.drills.course import Course, Result, run_drill
from scripts.drills.nemesis import run_nemesis
from scripts.drills.scenes import DRILLS, Scene
from tests.machines.cluster import Cluster
from tests.machines.lab import until

pytestmark = pytest.mark.machines

WHOLE = 180.0
NEMESIS = 150.0
FIXED_SEED = 20261122


@pytest.fixture(scope="module")
def cluster(no_cloud: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    file = tmp_path_factory.mktemp("stack") / "Pulumi.full-local.yaml"
    localcloud.up()
    try:
        local_stack.ensure(file)
        made = Cluster(file)
        made.up()
        yield made
    finally:
        localcloud.down()


@pytest.fixture
def scene(cluster: Cluster) -> Scene:
    """A whole pair, the database on its main."""
    pair = Pair(hosts.from_outputs("full-local", cluster.outputs()))
    made = Scene(pair, LocalBreaker("full-local"), "database-1", "database-2", "gui")
    look = pair.until(lambda look: not look.troubles, WHOLE, "the pair is whole")
    if look.holder != made.main:
        pair.ask(made.backup, "failback")
        pair.until(lambda look: not look.troubles and look.holder == made.main, WHOLE, "the database is on its main")
    return made


def course(scene: Scene) -> Course:
    return Course(scene, secrets.token_hex(4), print)


def drill(scene: Scene, name: str, lasts: float) -> Result:
    result = run_drill(course(scene), replace(DRILLS[name], lasts=lasts))
    assert result.failures == []
    return result


def epoch(scene: Scene) -> int:
    record = scene.pair.look().record
    assert record is not None
    return int(record["epoch"])


def mariadbd(cluster: Cluster, host: str, signal: str) -> None:
    cluster.on(host, f"sudo systemctl kill --signal={signal} m2-mariadbd")


@pytest.mark.parametrize(
    ("fault", "lasts"), [("power", 25.0), ("freeze", 25.0), ("cut", 25.0), ("fill", 25.0), ("api", 25.0)]
)
def test_the_backup_takes_over_from_a_main_that_is_gone_and_gives_the_database_back(
    scene: Scene, fault: str, lasts: float
) -> None:
    before = epoch(scene)
    drill(scene, fault, lasts)
    assert epoch(scene) == before + 2


@pytest.mark.parametrize(("fault", "lasts"), [("kill", 5.0), ("split", 12.0), ("quorum", 15.0), ("backup", 10.0)])
def test_the_main_stays_holder(scene: Scene, fault: str, lasts: float) -> None:
    before = epoch(scene)
    drill(scene, fault, lasts)
    assert epoch(scene) == before


def test_a_planned_move_loses_nothing(scene: Scene) -> None:
    before = epoch(scene)
    drill(scene, "switchover", 5.0)
    assert epoch(scene) == before + 2


def test_a_backup_whose_mariadbd_was_restarted_does_not_take_over_and_says_so(cluster: Cluster, scene: Scene) -> None:
    before = epoch(scene)
    with scene.breaker.split(scene.main, scene.backup):
        mariadbd(cluster, scene.backup, "KILL")
        with scene.breaker.power(scene.main):
            time.sleep(15.0)
            assert epoch(scene) == before
            assert "not able to take over" in str(scene.pair.look().said[scene.backup]["sentence"])
    scene.pair.until(lambda look: not look.troubles, WHOLE, "the pair is whole again")


def test_nobody_takes_over_from_a_main_that_wrote_alone_until_a_person_accepts_the_loss(scene: Scene) -> None:
    before = epoch(scene)
    with scene.breaker.power(scene.backup):
        scene.pair.until(lambda look: bool(look.record and look.record["mode"] == "SINGLE"), 60, "alone")
    with scene.breaker.power(scene.main):
        until(lambda: scene.backup in scene.pair.look().said, 90, "the backup is back")
        time.sleep(15.0)
        assert epoch(scene) == before
        with pytest.raises(PairError, match="accept-data-loss"):
            scene.pair.ask(scene.backup, "takeover")
        scene.pair.ask(scene.backup, "takeover --accept-data-loss", timeout=120)
        scene.pair.until(lambda look: look.holder == scene.backup, 90, "taken over")
    scene.pair.until(lambda look: not look.troubles, WHOLE, "the pair is whole again")


def test_a_follower_with_a_transaction_of_its_own_is_filled_again(cluster: Cluster, scene: Scene) -> None:
    """Its data are moved aside, with the binary log that alone has that transaction, and made anew."""
    cluster.sql(scene.backup, "CREATE TABLE m2.errant (id INT PRIMARY KEY)")
    until(lambda: "quarantine" in cluster.on(scene.backup, "sudo ls /srv/database"), WHOLE, "the old data are aside")
    scene.pair.until(lambda look: not look.troubles, WHOLE, "the pair is whole again")
    assert cluster.sql(scene.backup, "SHOW TABLES FROM m2 LIKE 'errant'") == ""


def test_the_whole_site_starts_cold(scene: Scene) -> None:
    everybody: list[Any] = [scene.breaker.power(host) for host in (scene.main, scene.backup, scene.third)]
    for fault in reversed(everybody):
        fault.__exit__(None, None, None)
    look = scene.pair.until(lambda look: not look.troubles, WHOLE, "the pair is whole again")
    assert look.holder == scene.main
    clients.make_table(scene.hosts, scene.main)


@pytest.mark.parametrize("seed", [FIXED_SEED, None], ids=["fixed", "random"])
def test_nothing_is_lost_whatever_strikes(scene: Scene, seed: int | None) -> None:
    chosen = secrets.randbelow(2**31) if seed is None else seed
    result = run_nemesis(course(scene), NEMESIS, chosen)
    assert result.failures == [], f"seed {chosen}"
