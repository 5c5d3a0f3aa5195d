"""The embedded engine killed at random moments, and every fault of the API during an `up`.

The cloud is the API without machines, so that a hundred runs fit; commands go to an ssh server of the test's own.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from localcloud.engine import run
from localcloud.engine.events import Event
from tests.unit.localcloud.engine.conftest import TOKEN, running_cloud
from tests.unit.localcloud.engine.project import ByHand, Project, made_project
from tests.unit.localcloud.engine.ssh_server import SshServer

pytestmark = pytest.mark.machines

MOMENTS = 10
QUICKER = 0.6
"""Share of the time that an `up` is taken to last once one has ended before it could be killed: a machine that was busy
when the first was measured is not so for ever."""

UP = """
import sys
from pathlib import Path
from localcloud.engine import run
outcome = run.up(run.Request(Path(sys.argv[1]), "dev"), lambda event: None)
sys.exit(len(outcome.failures))
"""
COLLECTIONS = {
    "ssh_keys": "sshKey:SshKey",
    "networks": "network:Network",
    "placement_groups": "placementGroup:PlacementGroup",
    "firewalls": "firewall:Firewall",
    "floating_ips": "floatingIp:FloatingIp",
    "primary_ips": "primaryIp:PrimaryIp",
    "volumes": "volume:Volume",
    "servers": "server:Server",
}
FAULTS: dict[str, dict[str, Any]] = {
    **{f"status {status}": {"status": status} for status in (403, 409, 412, 423, 429, 500, 502, 503, 504)},
    "slow": {"delay_s": 0.5},
    "reply lost before the work": {"reply_lost": "before"},
    "reply lost after the work": {"reply_lost": "after"},
    "action fails before the work": {"action_error": "before"},
    "action fails after the work": {"action_error": "after"},
}


@pytest.fixture
def server() -> Iterator[SshServer]:
    loop, server = asyncio.new_event_loop(), SshServer()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.listen(), loop).result(5)
    yield server
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.fixture
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as endpoint:
        yield endpoint


@pytest.fixture
def project(tmp_path: Path, endpoint: str, server: SshServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with made_project(tmp_path, endpoint, server, monkeypatch) as project:
        yield project


@pytest.fixture
def chance() -> random.Random:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    return random.Random(seed)  # noqa: S311 - for moments


def silent(_: Event) -> None:
    pass


def up(project: Project) -> float:
    """It must complete; how long it took, in seconds."""
    began = time.monotonic()
    assert run.up(project.request, silent).failures == ()
    return time.monotonic() - began


def killed_up(project: Project, after: float) -> bool:
    """An `up` in a process of its own that dies of SIGKILL; whether it was still running then."""
    words = [sys.executable, "-c", UP, str(project.directory)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(after)
        process.kill()
        return process.wait() == -signal.SIGKILL


def assert_complete(project: Project, endpoint: str) -> None:
    """All is there, the cloud has nothing that the state does not know, and nothing is left to do."""
    resources = project.latest()["resources"]
    api = ByHand(endpoint).api
    for collection, type_ in COLLECTIONS.items():
        ours = sorted(r["id"] for r in resources if r["type"] == f"hcloud:index/{type_}")
        assert sorted(str(found["id"]) for found in api.list(collection, "per_page=50")) == ours, collection
    assert not project.latest().get("pending_operations")
    assert set(run.preview(project.request, silent).change_summary) == {"same"}


def ask(endpoint: str, method: str, path: str = "", body: Any = None) -> Any:
    """The fault panel."""
    url, headers = f"{endpoint.removesuffix('/v1')}/local/faults{path}", {"Authorization": f"Bearer {TOKEN}"}
    reply = requests.request(method, url, json=body, headers=headers, timeout=10)
    reply.raise_for_status()
    return reply.json()


def assert_empty(endpoint: str) -> None:
    api = ByHand(endpoint).api
    assert {c: api.list(c, "per_page=50") for c in COLLECTIONS} == {c: [] for c in COLLECTIONS}


def test_killed_at_random_moments_of_an_up_it_completes(project: Project, endpoint: str, chance: random.Random) -> None:
    words = [sys.executable, "-c", UP, str(project.directory)]
    began = time.monotonic()
    subprocess.run(words, check=True)
    whole = time.monotonic() - began
    run.destroy(project.request, silent)
    kills = 0
    for _ in range(MOMENTS):
        killed = killed_up(project, whole * chance.uniform(0.15, 0.95))
        kills += killed
        whole *= 1.0 if killed else QUICKER
        up(project)
        assert_complete(project, endpoint)
        assert run.destroy(project.request, silent).failures == ()
        assert_empty(endpoint)
    assert kills >= MOMENTS / 2


def test_killed_at_random_moments_of_a_replace_it_completes(
    project: Project, endpoint: str, chance: random.Random
) -> None:
    up(project)
    project.change({"rebuild": 1})
    words = [sys.executable, "-c", UP, str(project.directory)]
    began = time.monotonic()
    subprocess.run(words, check=True)
    whole = time.monotonic() - began
    kills = 0
    for attempt in range(MOMENTS):
        project.change({"rebuild": attempt + 2})
        killed = killed_up(project, whole * chance.uniform(0.3, 0.95))
        kills += killed
        whole *= 1.0 if killed else QUICKER
        up(project)
        assert_complete(project, endpoint)
    assert kills >= MOMENTS / 2


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", FAULTS)
def test_under_every_fault_it_completes_or_says_why_and_the_next_completes(
    project: Project, endpoint: str, name: str, method: str
) -> None:
    """The first three calls of a method."""
    project.change({"servers": 1})
    fault = {"type": "api", "path": "/**", "method": method, "count": 3, **FAULTS[name]}
    ask(endpoint, "POST", "", {"fault": fault})
    outcome = run.up(project.request, silent)
    for failure in outcome.failures:
        assert failure.urn
        assert failure.message
        assert "Traceback" not in failure.message
    print(name, method, [failure.message for failure in outcome.failures])
    for left in ask(endpoint, "GET")["faults"]:
        ask(endpoint, "DELETE", f"/{left['id']}")
    up(project)
    assert_complete(project, endpoint)
    assert run.destroy(project.request, silent).failures == ()
    assert_empty(endpoint)
