"""The README's table and the example stack files are those that the settings make."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import yaml

from components.plan import SitePlan
from localcloud.engine.stackfile import wire
from scripts import generate
from scripts.drawing import Live, draw, fingerprint
from scripts.generate import BEGIN, END, PICTURES, README, examples, in_readme, pictured, table
from stacks.settings import Region, Settings, TopologyName, parse

AGAIN = "run scripts/generate"


def test_the_readme_has_the_table_of_the_settings() -> None:
    assert README.read_text() == in_readme(README.read_text(), table()), AGAIN
    assert table() in README.read_text()


@pytest.mark.parametrize("file", examples(), ids=lambda file: file.name)
def test_an_example_is_the_one_that_is_made(file: Path) -> None:
    assert file.read_text() == examples()[file], AGAIN


@pytest.mark.parametrize("plan", pictured(), ids=lambda plan: plan.stack)
def test_a_picture_shows_what_there_is_and_the_readme_shows_the_picture(plan: SitePlan) -> None:
    picture = PICTURES / f"{plan.stack}.svg"
    assert picture.read_text().endswith(f"<!-- {fingerprint(draw(plan, Live()))} -->\n"), AGAIN
    assert f"(stacks/pictures/{picture.name})" in README.read_text()


def test_there_is_an_example_of_each_topology_and_the_full_one_in_each_region() -> None:
    chosen = [parse(wire({**_config(file), "m2:root_secret": "x" * 64})[0]) for file in examples()]
    assert {one.topology for one in chosen} == set(get_args(TopologyName))
    assert {one.region for one in chosen if one.topology == "full"} == set(get_args(Region))


def _config(file: Path) -> dict[str, object]:
    return dict(yaml.safe_load(file.read_text())["config"])


def test_every_setting_and_every_part_of_one_has_a_row_that_says_something() -> None:
    rows = {line.split(" | ")[0].strip("| `"): line.split(" | ") for line in table().splitlines()[2:]}
    assert set(Settings.model_fields) <= set(rows)
    assert {"admins.ssh_from", "carriers[].gateway", "vendor.ROLE.sha256"} <= set(rows)
    for name, (_, what, allowed, *_rest) in rows.items():
        assert what, name
        assert allowed, name


def test_no_default_opens_ssh_to_everybody() -> None:
    [row] = [line for line in table().splitlines() if line.startswith("| `admins.ssh_from`")]
    assert row.endswith("| **required** |")


def test_only_what_is_between_the_marks_is_replaced() -> None:
    assert in_readme(f"a\n{BEGIN}old\n{END}b\n", "new\n") == f"a\n{BEGIN}new\n{END}b\n"
    assert generate.README.name == "README.md"
