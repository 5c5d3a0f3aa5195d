"""The database pair on real machines: every drill, changes by `up` under load, and random faults.

One cluster for all tests, in the order of this file; each leaves it whole, the database on its main.
"""

from __future__ import annotations

import random
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from components.logins import UnreachableError
from scripts import local_stack, localcloud
from scripts.database_pair import Look
from scripts.drills import clients
from scripts.drills.clients import Clients
from scripts.drills.course import Course, conclude, epochs_between, return_home, run_drill
from scripts.drills.nemesis import run_nemesis
from scripts.drills.scenes import DRILLS, of_local_stack
from scripts.engines import StackError
from tests.machines.cluster import NAME, Cluster, brought_up, told
from tests.machines.lab import until

pytestmark = pytest.mark.machines

MAIN, BACKUP = 21, 22
NEMESIS_SECONDS = 150.0
FIXED_SEED = 5
PATIENCE = 60.0
"""Seconds; what a takeover takes on a busy machine is the benchmark's to say."""

TAKEOVER_AFTER = 10.0
TAKEN_OVER = ("power", "freeze", "cut", "api")


@pytest.fixture(scope="module")
def cluster(no_cloud: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The full topology with as few cores as it may have."""
    with brought_up(tmp_path_factory.mktemp("stack"), cores=2) as made:
        yield made


@pytest.fixture
def course(cluster: Cluster) -> Iterator[Course]:
    """A run of its own on a pair that is whole."""
    made = Course(of_local_stack(cluster.file), secrets.token_hex(4), print)
    return_home(made, [])
    yield made
    return_home(made, [])


def is_alone(look: Look) -> bool:
    return look.record is not None and look.record["mode"] == "SINGLE"


@contextmanager
def written(course: Course) -> Iterator[Clients]:
    """Clients write as long as the block lasts."""
    clients.make_table(course.scene.hosts, course.scene.main)
    with clients.writing(course.scene.hosts, course.run, course.scene.members) as journal:
        yield journal


@pytest.mark.parametrize("name", DRILLS)
def test_a_drill_loses_nothing_and_ends_where_it_began(course: Course, name: str) -> None:
    result = run_drill(course, DRILLS[name])
    assert result.failures == [], told(result)
    if name in TAKEN_OVER:
        assert result.service.first_server == BACKUP, told(result)
        assert result.service.silence < PATIENCE, told(result)
    if name in ("kill", "split", "quorum", "backup"):
        assert result.verdict.changes == 0, told(result)


def test_a_main_that_dies_while_it_writes_alone_is_waited_for(course: Course) -> None:
    """The backup lacks writes: nobody takes over by himself, and everything is there once the main is."""
    scene, before = course.scene, course.scene.pair.look()
    with written(course) as journal:
        began = time.time()
        with ExitStack() as main_dead:
            with scene.breaker.power(scene.backup):
                scene.pair.until(
                    lambda look: look.record is not None and look.record["mode"] == "SINGLE", PATIENCE, "alone"
                )
                time.sleep(2.0)
                main_dead.enter_context(scene.breaker.power(scene.main))
            time.sleep(3 * TAKEOVER_AFTER)
            assert {ack.server for ack in journal.acks} == {MAIN}
        after = return_home(course, [])
    result = conclude(course, "main lost in SINGLE", began, [], journal, epochs_between(before, after))
    assert result.failures == [], told(result)
    assert result.verdict.changes == 0


def test_a_backup_whose_mariadbd_was_restarted_does_not_take_over_and_says_so(cluster: Cluster, course: Course) -> None:
    scene, before = course.scene, course.scene.pair.look()
    with scene.breaker.split(scene.main, scene.backup):
        cluster.on(scene.backup, "sudo systemctl kill --signal=KILL m2-mariadbd")
        with scene.breaker.power(scene.main):
            time.sleep(2 * TAKEOVER_AFTER)
            look = scene.pair.look()
            assert (look.holder, epochs_between(before, look)) == (scene.main, 0)
            assert "received writes may be gone" in str(look.said[scene.backup]["sentence"])


def test_a_person_who_accepts_the_loss_has_the_backup_take_over_from_a_main_that_wrote_alone(course: Course) -> None:
    scene = course.scene
    with ExitStack() as main_dead:
        with scene.breaker.power(scene.backup):
            scene.pair.until(is_alone, PATIENCE, "alone")
            main_dead.enter_context(scene.breaker.power(scene.main))
        scene.pair.until(lambda look: scene.backup in look.said and bool(look.record), PATIENCE, "the backup is back")
        with pytest.raises(UnreachableError, match="accept-data-loss"):
            scene.pair.ask(scene.backup, "takeover")
        scene.pair.ask(scene.backup, "takeover --accept-data-loss", timeout=120)
        scene.pair.until(lambda look: look.holder == scene.backup, 2 * PATIENCE, "taken over")


def test_a_follower_with_a_transaction_of_its_own_is_filled_again(cluster: Cluster, course: Course) -> None:
    """Its data are moved aside, with the binary log that alone has that transaction, and made anew."""
    scene = course.scene
    cluster.sql(scene.backup, "CREATE TABLE m2.errant (id INT PRIMARY KEY)")
    until(lambda: "quarantine" in cluster.on(scene.backup, "sudo ls /srv/database"), 2 * PATIENCE, "data moved aside")
    return_home(course, [])
    assert cluster.sql(scene.backup, "SHOW TABLES FROM m2 LIKE 'errant'") == ""


def pair(cluster: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    """`scripts/pair`, as a person types it."""
    script = str(localcloud.PROJECT / "scripts" / "pair")
    command = [script, words[0], NAME, *words[1:], "--config-file", str(cluster.file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_paused_pair_waits_for_a_person(cluster: Cluster, course: Course) -> None:
    scene = course.scene
    assert pair(cluster, "pause").returncode == 0
    with scene.breaker.power(scene.main):
        time.sleep(2 * TAKEOVER_AFTER)
        assert scene.pair.look().holder == scene.main
        assert pair(cluster, "resume").returncode == 0
        scene.pair.until(lambda look: look.holder == scene.backup, PATIENCE, "taken over")


def test_a_planned_move_stays_until_somebody_moves_it_back(cluster: Cluster, course: Course) -> None:
    scene = course.scene
    assert "failback goes to the main" in pair(cluster, "failback").stderr
    assert pair(cluster, "switchover").returncode == 0
    assert scene.pair.look().holder == scene.backup
    scene.pair.until(lambda look: not look.troubles, PATIENCE, "whole")
    assert pair(cluster, "status").returncode == 0
    assert pair(cluster, "failback").returncode == 0
    assert scene.pair.look().holder == scene.main


def test_a_member_is_filled_again_when_a_person_wants_it(cluster: Cluster, course: Course) -> None:
    scene = course.scene
    quarantined = "sudo ls /srv/database | grep -c quarantine; true"
    before = int(cluster.on(scene.backup, quarantined))
    assert "only the other one" in pair(cluster, "rejoin", "--member", scene.main).stderr
    assert pair(cluster, "rejoin").returncode == 0
    until(lambda: int(cluster.on(scene.backup, quarantined)) > before, PATIENCE, "data moved aside")


def test_a_member_that_was_to_be_filled_again_when_its_agent_died_is_filled_by_the_next(
    cluster: Cluster, course: Course
) -> None:
    """An empty database that follows would never get what the holder's binary logs no longer have."""
    backup = course.scene.backup
    cluster.on(backup, "sudo systemctl stop m2-agent && sudo systemctl kill --signal=KILL m2-mariadbd")
    cluster.on(backup, "sudo mv /srv/database/mysql /srv/database/mysql.quarantine-0 && sudo systemctl start m2-agent")
    return_home(course, [])
    cluster.on(backup, "sudo ls /srv/database/mysql/xtrabackup_binlog_info")


def test_all_hosts_of_the_pair_are_rebooted_under_load_one_after_the_other(cluster: Cluster, course: Course) -> None:
    before = course.scene.pair.look()
    with written(course) as journal:
        began = time.time()
        done = pair(cluster, "patch", "--reboot")
        after = return_home(course, [])
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stderr.splitlines() if "rebooted" in line] == [
        course.scene.third,
        course.scene.backup,
        course.scene.main,
    ]
    result = conclude(course, "patch", began, [], journal, epochs_between(before, after))
    assert result.failures == [], told(result)
    assert result.service.silence < PATIENCE, told(result)


def test_a_lost_quorum_is_begun_anew_by_a_person(cluster: Cluster, course: Course) -> None:
    """No member of etcd remembers anything: nobody may hold the database until somebody says whose data count."""
    scene = course.scene
    quorum = (scene.main, scene.backup, scene.third)
    for command in ("sudo systemctl stop etcd", "sudo rm -r /var/lib/etcd/m2", "sudo systemctl start --no-block etcd"):
        for host in quorum:
            cluster.on(host, command)
    assert "there is no record" in str(
        scene.pair.until(lambda look: look.record is None, PATIENCE, "forgotten").troubles
    )
    assert pair(cluster, "init", "--primary", scene.main).returncode == 0
    assert return_home(course, []).holder == scene.main


def test_the_whole_site_starts_cold(course: Course) -> None:
    scene = course.scene
    with ExitStack() as dark:
        for host in (scene.backup, scene.third, scene.main):
            dark.enter_context(scene.breaker.power(host))
    assert return_home(course, []).holder == scene.main


@pytest.mark.parametrize(
    "changes",
    [{"server_types": {"database": "cx33"}}, {"rebuild": {"database-1": 1, "database-2": 1}}],
    ids=["server type", "rebuild"],
)
def test_both_members_change_in_one_up_one_after_the_other_under_load(
    cluster: Cluster, course: Course, changes: dict[str, object]
) -> None:
    before = course.scene.pair.look()
    servers = {server["name"]: server["id"] for server in localcloud.servers()}
    local_stack.change(cluster.file, **changes)
    with written(course) as journal:
        began = time.time()
        cluster.up()
        after = return_home(course, [])
    result = conclude(course, "up", began, [], journal, epochs_between(before, after))
    assert result.failures == [], told(result)
    assert result.service.silence < PATIENCE, told(result)
    rebuilt = {s["name"] for s in localcloud.servers() if servers[s["name"]] != s["id"]}
    assert rebuilt == {f"{NAME}-{host}" for host in changes.get("rebuild", {})}  # type: ignore[attr-defined]
    assert cluster.lines() == []


def test_a_pair_that_is_not_whole_is_left_alone_until_somebody_says_that_this_repairs_it(
    cluster: Cluster, course: Course
) -> None:
    servers = {server["name"]: server["id"] for server in localcloud.servers()}
    rebuild = {"database-1": 1, "database-2": 2}
    with cluster.with_settings(rebuild=rebuild), course.scene.breaker.power("database-2"):
        with pytest.raises(StackError, match="accept-degraded"):
            cluster.up()
        assert {server["name"]: server["id"] for server in localcloud.servers()} == servers


@pytest.mark.parametrize("seed", [FIXED_SEED, random.SystemRandom().randrange(2**31)], ids=["fixed", "random"])
def test_random_faults_lose_nothing_and_everything_heals(course: Course, seed: int) -> None:
    result = run_nemesis(course, NEMESIS_SECONDS, seed)
    assert result.failures == [], f"seed {seed}\n{told(result)}"
    assert result.verdict.acknowledged > 0
