"""The comment as it stands on a pull request, for each situation that a reviewer meets.

After a change in wording: ACCEPT=1 .venv/bin/python -m pytest tests/unit/costs/test_goldens.py, and look at the
difference.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from costs import as_json, comment, settings
from costs.estimate import Report
from costs.model import StackPlan
from tests.unit.costs import samples
from tests.unit.costs.samples import report, with_settings
from tests.unit.stacks import example

GOLDENS = Path(__file__).parent / "goldens"
VENDOR = {"core": {"script": "scripts/setup", "sha256": "0" * 64, "licence": "key"}}


def with_calls(plan: StackPlan, before: int, after: int) -> StackPlan:
    """The same with settings that say how many calls."""
    old = replace(plan.old, cc=before, most_cc=before, most_cps=before // 10) if plan.old else None
    new = replace(plan.new, cc=after, most_cc=after, most_cps=after // 10) if plan.new else None
    return replace(plan, old=old, new=new)


SERVERS = {"balancer": "ccx13", "core": "ccx23", "database": "ccx23", "gui": "cx23"}
FIXED = {"region": "nbg1", "cores": 2, "server_types": SERVERS, "database_disk_gb": 100}
"""So that another sizing or another default changes nothing here."""


def site(**changes: object) -> settings.Site:
    return settings.from_config("full-nbg1", example.config({**example.USUAL, **FIXED, **changes}))


def in_frankfurt() -> StackPlan:
    """Two instances with a disk and an address each, as pulumi-aws names their inputs, and a zone."""
    made = []
    for host in ("core-1", "core-2"):
        tags = {"tags": {"m2-host": host}}
        server = {"instanceType": "c7i.xlarge", "availabilityZone": "eu-central-1a", **tags}
        made.append(samples.change("+", "aws:ec2/instance:Instance", after=server, name=f"eu-{host}"))
        made.append(samples.change("+", "aws:ec2/eip:Eip", after={"domain": "vpc", **tags}, name=f"eu-{host}-ip"))
    made.append(samples.change("+", "aws:route53/zone:Zone", after={"name": "example.net"}, name="zone"))
    return samples.stack(*made, region="eu-central-1", name="full-eu-central-1")


def unpriced() -> StackPlan:
    """A new stack with a server type that no list has and a resource that no table has."""
    plan = samples.plan("full-new")
    changes = [
        replace(each, after={**(each.after or {}), "serverType": "ccx99"}) if each.name == "fsn1-gui" else each
        for each in plan.changes
    ]
    snapshot = samples.change("+", "hcloud:index/snapshot:Snapshot", after={"serverId": 1}, name="before-upgrade")
    return replace(plan, changes=(*changes, snapshot))


SITUATIONS: dict[str, Callable[[], Report]] = {
    "a-new-stack": lambda: report(with_calls(with_settings("full-new"), 0, 3000)),
    "two-cores-more": lambda: report(with_calls(with_settings("full-cores"), 2000, 5000)),
    "another-server-type": lambda: report(with_calls(with_settings("full-type"), 2000, 2000)),
    "a-server-replaced": lambda: report(with_calls(with_settings("full-rebuild"), 2000, 2000)),
    "a-server-replaced-without-preview": lambda: report(
        with_calls(settings.compare(site(vendor=VENDOR), site(vendor=VENDOR, rebuild={"core-2": 1})), 2000, 2000)
    ),
    "nothing-changed": lambda: report(with_calls(with_settings("full-nochange-sames"), 2000, 2000)),
    "labels-only": lambda: report(with_settings("spike-label-change")),
    "an-unpriced-resource": lambda: report(unpriced()),
    "two-clouds": lambda: report(with_calls(with_settings("full-cores"), 2000, 5000), in_frankfurt()),
    "a-stack-that-goes": lambda: report(samples.plan("destroy-preview")),
    "a-larger-disk": lambda: report(with_calls(with_settings("full-disk"), 2000, 2000)),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_comment_is_worded_as_it_was_accepted(name: str) -> None:
    assert comment.markdown(SITUATIONS[name]()) + "\n" == accepted(f"{name}.md", comment.markdown(SITUATIONS[name]()))


def test_the_numbers_for_programs_are_as_they_were_accepted() -> None:
    text = json.dumps(as_json.document(SITUATIONS["two-clouds"]()), indent=1)
    assert text + "\n" == accepted("two-clouds.json", text)


def accepted(name: str, text: str) -> str:
    """What was accepted, which with ACCEPT is what there is now."""
    file = GOLDENS / name
    if os.environ.get("ACCEPT"):
        GOLDENS.mkdir(exist_ok=True)
        file.write_text(f"{text}\n")
    return file.read_text()
