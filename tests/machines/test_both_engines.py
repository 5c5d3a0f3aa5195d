"""The pulumi CLI and the embedded engine take turns on `full-local`, on real machines."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcloud.engine.run import Request
from scripts import local_stack, localcloud, report, stack
from scripts.engines import Embedded, Engine, choose

NEEDED = ("pulumi", "pulumi-resource-hcloud", "pulumi-resource-command")
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


def set_cores(file: Path, cores: int) -> None:
    document = yaml.safe_load(file.read_text())
    document["config"]["m2:cores"] = cores
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def changes(engine: Engine) -> list[str]:
    return list(report.lines(engine.preview()))


def operations(plan: dict[str, Any]) -> dict[str, str]:
    return {step["urn"]: step["op"] for step in plan["steps"] if step["op"] != "same"}


def test_each_engine_sees_no_change_after_the_other(file: Path) -> None:
    cli = choose(localcloud.PROJECT, local_stack.STACK, file, local=True)
    embedded = Embedded(Request(localcloud.PROJECT, local_stack.STACK, file))
    set_cores(file, 2)
    assert operations(cli.preview()) == operations(embedded.preview())
    cli.up(stack.say)
    assert (changes(cli), changes(embedded)) == ([], [])
    set_cores(file, 3)
    assert operations(cli.preview()) == operations(embedded.preview())
    embedded.up(stack.say)
    assert (changes(cli), changes(embedded)) == ([], [])
    set_cores(file, 2)
    cli.up(stack.say)
    assert (changes(cli), changes(embedded)) == ([], [])
    cli.destroy(stack.say)
    assert localcloud.servers() == []
