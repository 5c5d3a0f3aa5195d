"""The pulumi CLI and the embedded engine take turns on `full-local`, on real machines."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.engine.run import Request
from scripts import faults, hosts, local_stack, localcloud, report, stack
from scripts.database_pair import Pair
from scripts.engines import Embedded, Engine, StackError, choose

NEEDED = ("pulumi", "pulumi-resource-hcloud", "pulumi-resource-command")
WHOLE_S = 180.0
missing = [name for name in NEEDED if not shutil.which(name)]
pytestmark = [
    pytest.mark.machines,
    pytest.mark.skipif(bool(missing), reason=f"not on PATH: {', '.join(missing)}"),
]


@pytest.fixture
def file(no_cloud: None, tmp_path: Path) -> Iterator[Path]:
    """The stack's settings, on a local cloud that is up."""
    file = tmp_path / "Pulumi.full-local.yaml"
    localcloud.up()
    try:
        local_stack.ensure(file)
        stack.use_local_cloud()
        yield file
    finally:
        localcloud.down()


def changes(engine: Engine) -> list[str]:
    return list(report.lines(engine.preview()))


def operations(plan: dict[str, Any]) -> dict[str, str]:
    return {step["urn"]: step["op"] for step in plan["steps"] if step["op"] != "same"}


def test_each_engine_sees_no_change_after_the_other(file: Path) -> None:
    cli = choose(localcloud.PROJECT, local_stack.STACK, file, local=True)
    embedded = Embedded(Request(localcloud.PROJECT, local_stack.STACK, file))
    local_stack.change(file, cores=2)
    assert operations(cli.preview()) == operations(embedded.preview())
    cli.up(stack.say)
    assert (changes(cli), changes(embedded)) == ([], [])
    local_stack.change(file, cores=3)
    assert operations(cli.preview()) == operations(embedded.preview())
    embedded.up(stack.say)
    assert (changes(cli), changes(embedded)) == ([], [])
    local_stack.change(file, cores=2)
    cli.up(stack.say)
    assert (changes(cli), changes(embedded)) == ([], [])
    cli.destroy(stack.say)
    assert localcloud.servers() == []


def databases() -> dict[str, int]:
    return {server["name"]: server["id"] for server in localcloud.servers() if "-database-" in server["name"]}


def test_hooks_release_each_member_before_the_cli_replaces_it_and_refuse_when_the_pair_is_broken(file: Path) -> None:
    cli = choose(localcloud.PROJECT, local_stack.STACK, file, local=True)
    local_stack.change(file, cores=2)
    cli.up(stack.say)
    pair = Pair(hosts.of_stack(local_stack.STACK, file))
    pair.until(lambda look: not look.troubles, WHOLE_S, "the pair is born")
    before = databases()
    local_stack.change(file, rebuild={"database-1": 1, "database-2": 1})
    with faults.power(f"{local_stack.STACK}-database-2"):
        with pytest.raises(StackError, match="accept-degraded"):
            cli.up(stack.say)
        assert databases() == before
    pair.until(lambda look: not look.troubles, WHOLE_S, "the pair is whole again")
    cli.up(stack.say)
    assert not set(databases().values()) & set(before.values())
    look = pair.until(lambda look: not look.troubles, WHOLE_S, "the pair is whole again")
    assert look.record is not None
    assert look.record["epoch"] > 1, "it moved away from each"
    assert changes(cli) == []
