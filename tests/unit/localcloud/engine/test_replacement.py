"""Replacing, what goes with it, and what stands in its way."""

from __future__ import annotations

import pytest

from tests.unit.localcloud.engine.conftest import Stack

SERVER = """
server = Thing("server", size=config.get_int("size") or 1, label=config.get("label"), opts=Opts(
    replacement_trigger=config.get_int("rebuild"),
    ignore_changes=["label"],
    delete_before_replace=True,
))
"""


def calls(stack: Stack) -> list[str]:
    return [call.removesuffix(" before") for call in stack.cloud.calls() if call.endswith(" before")]


def test_a_replacement_is_made_before_the_old_one_goes(stack: Stack) -> None:
    stack.program('a = Thing("a", size=config.get_int("size"))\nThing("b", text=a.id)')
    stack.configure(size=1)
    stack.up()
    stack.cloud.forget_calls()
    stack.configure(size=2)
    assert stack.preview().change_summary == {"same": 1, "replace": 1, "update": 1}
    assert stack.up().change_summary == {"same": 1, "replace": 1, "update": 1}
    assert calls(stack) == ["create a", "update b", "delete a"]


def test_delete_before_replace_takes_along_what_would_be_replaced_and_only_that(stack: Stack) -> None:
    """Trap 3: a dependent whose diff with an unknown input says "replace" is deleted first."""
    stack.program(
        SERVER,
        """
        nic = Thing("nic", on=server.id)
        deeper = Thing("deeper", on=nic.id)
        named = Thing("named", text=server.id)
        beside = Thing("beside", opts=Opts(depends_on=[server]))
        """,
    )
    stack.up()
    stack.cloud.forget_calls()
    stack.configure(size=2)
    expected = {"same": 2, "replace": 3, "update": 1}
    assert stack.preview().change_summary == expected
    assert stack.up().change_summary == expected
    deleted = ["delete deeper", "delete nic", "delete server"]
    assert calls(stack)[:4] == [*deleted, "create server"]
    assert set(calls(stack)[4:]) == {"create nic", "create deeper", "update named"}
    assert stack.up().change_summary == {"same": 6}


def test_replace_on_changes_replaces(stack: Stack) -> None:
    stack.program("""
        Thing("a", tag=config.get_object("tag"), opts=Opts(replace_on_changes=["tag[*]"]))
    """)
    stack.configure(tag=["x"])
    stack.up()
    stack.configure(tag=["y"])
    assert stack.up().change_summary == {"same": 1, "replace": 1}


@pytest.mark.parametrize(
    ("before", "after", "replaced"),
    [(None, 1, False), (0, 0, False), (0, 1, True), (1, None, False)],
)
def test_the_replacement_trigger(stack: Stack, before: int | None, after: int | None, replaced: bool) -> None:
    """From nothing to a value, and back, it does nothing; 0 is a value, as the CLI stores it."""
    stack.program(SERVER)
    stack.configure(**({} if before is None else {"rebuild": before}))
    stack.up()
    assert stack.resource("server").get("replacementTrigger") == before
    stack.configure(**({} if after is None else {"rebuild": after}))
    assert stack.up().change_summary.get("replace", 0) == int(replaced)
    assert stack.resource("server").get("replacementTrigger") == after


def test_ignored_properties_take_their_new_values_when_it_is_replaced(stack: Stack) -> None:
    """Trap 4: until then the old inputs stay."""
    stack.program(SERVER)
    stack.configure(label="old", rebuild=0)
    stack.up()
    stack.configure(label="new", rebuild=0)
    assert stack.up().change_summary == {"same": 2}
    assert stack.resource("server")["inputs"]["label"] == "old"
    stack.configure(label="new", rebuild=1)
    stack.up()
    assert stack.resource("server")["inputs"]["label"] == "new"


def test_a_trigger_gives_no_reasons_in_the_plan(stack: Stack) -> None:
    stack.program(SERVER)
    stack.configure(rebuild=0)
    stack.up()
    stack.configure(rebuild=1)
    step = next(step for step in stack.preview().to_json()["steps"] if step["op"] == "replace")
    assert "replaceReasons" not in step
    assert step["detailedDiff"] is None


def test_a_failed_replacement_goes_on_where_it_stopped(stack: Stack) -> None:
    """Trap 2: the deleted resource stays as `pendingReplacement`, so that what names it does not dangle."""
    stack.program(
        """
        server = Thing("server", size=config.get_int("size"), fault=config.get("fault"),
                       opts=Opts(delete_before_replace=True))
        Thing("beside", opts=Opts(depends_on=[server]))
        """
    )
    stack.configure(size=1, fault="")
    stack.up()
    stack.configure(size=2, fault="exists")
    assert stack.up().failures
    assert stack.resource("server")["pendingReplacement"] is True
    assert stack.names() == {"beside"}
    stack.configure(size=2, fault="")
    assert stack.preview().change_summary == {"same": 2, "replace": 1}
    assert stack.up().change_summary == {"same": 2, "replace": 1}
    assert "pendingReplacement" not in stack.resource("server")


def test_protected_resources_refuse_to_go_before_anything_goes(stack: Stack) -> None:
    program = """
        protect = config.require_bool("protect")
        a = Thing("a", opts=Opts(protect=protect))
        Thing("b", text=a.out)
    """
    stack.program(program)
    stack.configure(protect=True)
    stack.up()
    for attempt in (stack.destroy, stack.up):
        outcome = attempt()
        assert outcome.failures[0].message.startswith("a is protected: remove its `protect`")
        assert stack.names() == {"a", "b"}
        stack.program("")
    plan = stack.preview()
    assert plan.failures
    stack.program(program)
    stack.configure(protect=False)
    stack.up()
    assert stack.destroy().failures == ()
    assert stack.names() == set()


def test_a_protected_resource_is_not_replaced_nor_what_it_stands_on(stack: Stack) -> None:
    stack.program(SERVER, 'Thing("disk", on=server.id, opts=Opts(protect=True))')
    stack.up()
    stack.configure(size=2)
    assert [f.message.split(":")[0] for f in stack.preview().failures] == ["disk is protected"]
    assert stack.up().failures
    assert stack.names() == {"server", "disk"}


def test_retained_resources_are_only_forgotten(stack: Stack) -> None:
    stack.program('Thing("a", opts=Opts(retain_on_delete=True))')
    stack.up()
    stack.destroy()
    assert stack.names() == {"a"}
