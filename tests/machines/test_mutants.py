"""Builds of the database pair that are broken on purpose are caught on real machines, and the sound one is not.

The judge is the drills' and the nemesis's. One cluster for all tests; each leaves it whole, with the sound build.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence

import pytest

from scripts.drills import checking, clients
from scripts.drills.course import Course, Result, conclude, epochs_between, return_home
from scripts.drills.scenes import of_local_stack
from tests.machines.cluster import Cluster, brought_up, told
from tests.machines.mutants import MUTANTS, SOUND, Build, Mutant, deployed
from tests.machines.situations import Situation, fill_again

pytestmark = pytest.mark.machines

LOOKS = 5
"""At tables that are expected to differ."""


@pytest.fixture(scope="module")
def cluster(no_cloud: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The full topology with as few cores as it may have."""
    with brought_up(tmp_path_factory.mktemp("stack"), cores=2) as made:
        yield made


@pytest.fixture
def course(cluster: Cluster) -> Course:
    return Course(of_local_stack(cluster.file), secrets.token_hex(4), print)


def live(course: Course, build: Build, situations: Sequence[Situation]) -> Result:
    """What clients, and the tables in the end, say of a build in these situations."""
    scene = course.scene
    before = return_home(course, [])
    clients.make_table(scene.hosts, scene.main)
    with clients.writing(scene.hosts, course.run, scene.members) as journal:
        began = time.time()
        with deployed(scene, build):
            for situation in situations:
                return_home(course, [])
                course.tell(f"{time.time() - began:.0f} s: {situation.__name__}")
                situation(scene, journal)
        after = return_home(course, [])
    result = conclude(course, f"{build}", began, [], journal, epochs_between(before, after))
    course.tell(f"{time.time() - began:.0f} s: {result.verdict.acknowledged} acknowledged; {result.failures}")
    return result


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_build_is_caught(course: Course, mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "TRIES", LOOKS)
    result = live(course, mutant.build, [mutant.situation])
    if result.verdict.differ:
        fill_again(course.scene, course.scene.backup)
    assert result.failures


def test_the_sound_build_passes_in_all_situations(course: Course) -> None:
    result = live(course, SOUND, [mutant.situation for mutant in MUTANTS])
    assert result.failures == [], told(result)
