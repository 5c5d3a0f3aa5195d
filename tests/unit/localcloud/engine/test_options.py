"""Aliases, import, reading and other stacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud.engine import run
from localcloud.engine.errors import EngineError
from localcloud.engine.values import Secret
from tests.unit.localcloud.engine.conftest import Stack

SITE = """
class Site(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("demo:index:Site", name, None, opts)
        own = Opts(parent=self)
        self.thing = Thing(f"{name}-thing", label="x", opts=own)
        self.other = Thing("other", text=self.thing.out, opts=own)
        self.register_outputs({})
"""


def test_a_renamed_resource_stays_what_it_is(stack: Stack) -> None:
    stack.program('Thing("old", label="x")\nThing("beside", opts=Opts(depends_on=[]))')
    stack.up()
    id_ = stack.resource("old")["id"]
    stack.program('a = Thing("new", label="x", opts=Opts(aliases=[pulumi.Alias(name="old")]))\nThing("beside")')
    assert stack.preview().change_summary == {"same": 3}
    assert stack.up().change_summary == {"same": 3}
    assert stack.resource("new")["id"] == id_
    assert stack.up().change_summary == {"same": 3}


def test_what_stood_on_the_old_name_stands_on_the_new_one(stack: Stack) -> None:
    stack.program('a = Thing("old")\nThing("b", text=a.out)')
    stack.up()
    urn = stack.resource("old")["urn"]
    stack.program(f'a = Thing("new", opts=Opts(aliases=["{urn}"]))\nThing("b", text=a.out)')
    assert stack.up().change_summary == {"same": 3}
    assert stack.resource("b")["dependencies"] == [stack.resource("new")["urn"]]


def test_children_follow_a_renamed_parent(stack: Stack) -> None:
    stack.program(SITE, 'Site("one")')
    stack.up()
    ids = {stack.resource(name)["id"] for name in ("one-thing", "other")}
    stack.program(SITE, 'Site("two", Opts(aliases=[pulumi.Alias(name="one")]))')
    assert stack.up().change_summary == {"same": 4}
    assert {stack.resource(name)["id"] for name in ("two-thing", "other")} == ids


def test_a_resource_that_moves_below_a_component(stack: Stack) -> None:
    stack.program('Thing("one-thing", label="x")\nThing("other")')
    stack.up()
    here = "opts=own", "opts=Opts(parent=self, aliases=[pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)])"
    stack.program(SITE.replace(*here), 'Site("one")')
    summary = stack.up().change_summary
    assert "create" not in {op for op, count in summary.items() if count > 1}
    assert stack.names() == {"one-thing", "other"}


def test_both_names_at_once_are_two_resources(stack: Stack) -> None:
    stack.program('Thing("old")')
    stack.up()
    stack.program('Thing("old")\nThing("new", opts=Opts(aliases=[pulumi.Alias(name="old")]))')
    assert stack.up().change_summary == {"same": 2, "create": 1}


def test_what_is_there_is_imported_and_then_managed(stack: Stack) -> None:
    stack.cloud.write("17", {"name": "made by hand", "label": "x"})
    program = 'Thing("a", label=config.get("label"), opts=Opts(import_="17"))'
    stack.program(program)
    stack.configure(label="x")
    assert stack.preview().change_summary == {"create": 1, "import": 1}
    assert stack.up().change_summary == {"create": 1, "import": 1}
    assert (stack.resource("a")["id"], stack.resource("a")["importID"]) == ("17", "17")
    assert stack.up().change_summary == {"same": 2}
    stack.configure(label="y")
    assert stack.up().change_summary == {"same": 1, "update": 1}
    assert stack.cloud.objects()["17"]["label"] == "y"


def test_what_differs_from_the_program_is_not_imported(stack: Stack) -> None:
    stack.cloud.write("17", {"name": "made by hand", "label": "y"})
    stack.program('Thing("a", label="x", opts=Opts(import_="17"))')
    for failures in (stack.preview().failures, stack.up().failures):
        assert failures[0].message == "a cannot be imported: 17 differs in label; write what is there"
    assert stack.cloud.objects()["17"]["label"] == "y"
    stack.program('Thing("a", label="x", opts=Opts(import_="none"))')
    assert "'none' does not exist" in stack.up().failures[0].message


def test_the_outputs_of_another_stack(stack: Stack, tmp_path: Path) -> None:
    stack.program('pulumi.export("open", 1)\npulumi.export("token", pulumi.Output.secret("hush"))')
    stack.up()
    other = stack.directory / "stacks" / "Pulumi.two.yaml"
    other.write_text((stack.directory / "stacks" / "Pulumi.dev.yaml").read_text())
    stack.program("""
        dev = pulumi.StackReference("organization/demo/dev")
        pulumi.export("seen", dev.get_output("open"))
        pulumi.export("token", dev.require_output("token"))
    """)
    request = run.Request(stack.directory, "two", providers={"fake": stack.cloud.configure})
    assert run.preview(request, stack.events.append).failures == ()
    outcome = run.up(request, stack.events.append)
    assert outcome.outputs == {"seen": 1, "token": Secret("hush")}
    assert "hush" not in stack.checkpoint.with_name("two.json").read_text()
    assert run.up(request, stack.events.append).change_summary == {"same": 1}


def test_a_stack_that_is_not_there_is_an_error_at_preview(stack: Stack) -> None:
    stack.program('pulumi.StackReference("organization/demo/none")')
    assert stack.preview().failures[0].message.startswith("stack organization/demo/none does not exist")


def test_targets_are_refused(stack: Stack) -> None:
    stack.program('Thing("a")')
    for work in (run.preview, run.up, run.destroy):
        with pytest.raises(EngineError, match="targets: urn:x are not supported by the embedded engine: leave them"):
            work(stack.request(targets=("urn:x",)), stack.events.append)
    assert stack.names() == set()
