"""Whole runs of programs against a cloud of files."""

from __future__ import annotations

import json

import pytest

from localcloud.engine.errors import EngineError
from localcloud.engine.events import Diagnostic, StepEnded
from localcloud.engine.values import Secret
from tests.unit.localcloud.engine.conftest import Stack

TWO = """
a = Thing("a", label="x", size=config.get_int("size") or 1)
b = Thing("b", text=a.out, label=config.get("label") or "y")
pulumi.export("b", b.out)
"""


def test_creates_then_changes_nothing(stack: Stack) -> None:
    stack.program(TWO)
    assert stack.up().change_summary == {"create": 3}
    assert stack.outputs() == {"b": "out of b"}
    stack.cloud.forget_calls()
    assert stack.preview().change_summary == {"same": 3}
    assert stack.up().change_summary == {"same": 3}
    assert stack.cloud.calls() == []


def test_preview_touches_nothing(stack: Stack) -> None:
    stack.program(TWO)
    plan = stack.preview()
    assert plan.change_summary == {"create": 3}
    assert [step.urn.rsplit("::", 1)[1] for step in plan.steps] == ["demo-dev", "a", "b"]
    assert stack.cloud.objects() == {}
    assert not stack.checkpoint.exists()


def test_updates_in_place(stack: Stack) -> None:
    stack.program(TWO)
    stack.up()
    before = stack.resource("b")
    stack.configure(label="z")
    assert stack.up().change_summary == {"same": 2, "update": 1}
    after = stack.resource("b")
    assert (after["id"], after["inputs"]["label"]) == (before["id"], "z")
    assert after["created"] == before["created"]
    assert after["modified"] > before["modified"]


def test_deletes_what_the_program_no_longer_has_dependents_first(stack: Stack) -> None:
    stack.program(TWO)
    stack.up()
    stack.program("")
    stack.cloud.forget_calls()
    assert stack.up().change_summary == {"same": 1, "delete": 2}
    assert [call for call in stack.cloud.calls() if "before" in call] == ["delete b before", "delete a before"]
    assert stack.names() == set()


def test_destroy_leaves_an_empty_state(stack: Stack) -> None:
    stack.program(TWO)
    stack.up()
    assert stack.destroy().change_summary == {"delete": 3}
    assert stack.latest()["resources"] == []
    assert stack.names() == set()


def test_secrets_are_never_plain_in_the_state(stack: Stack) -> None:
    stack.program("""
        a = Thing("a", secret=pulumi.Output.secret("hush-1"), text="open")
        pulumi.export("token", pulumi.Output.secret({"deep": "hush-2"}))
        pulumi.export("copy", a.secret)
        pulumi.export("open", a.text)
    """)
    outcome = stack.up()
    assert outcome.outputs["token"] == Secret({"deep": "hush-2"})
    assert "hush" not in stack.checkpoint.read_text()
    assert "hush" not in str(stack.events)
    assert stack.checkpoint.stat().st_mode & 0o077 == 0
    assert stack.outputs() == {"token": "[secret]", "copy": "[secret]", "open": "open"}
    assert stack.outputs(show_secrets=True) == {"token": {"deep": "hush-2"}, "copy": "hush-1", "open": "open"}


def test_a_changed_secret_is_shown_as_changed_and_not_what_it_is(stack: Stack) -> None:
    stack.program('Thing("a", secret=config.require_secret("s"))')
    stack.configure(s="one\ntwo")
    stack.up()
    stack.configure(s="one\nthree")
    plan = stack.preview()
    step = next(step for step in plan.to_json()["steps"] if step["op"] == "update")
    assert step["diffReasons"] == ["secret"]
    assert step["newState"]["inputs"]["secret"] == "[secret]"
    assert "three" not in json.dumps(step)


def test_a_run_error_of_the_program_is_its_clean_text(stack: Stack) -> None:
    stack.program("""
        Thing("a")
        raise pulumi.RunError("cores: 0 is not allowed; allowed: 2 to 8")
    """)
    for run_it in (stack.preview, stack.up):
        with pytest.raises(EngineError) as caught:
            run_it()
        assert str(caught.value) == "cores: 0 is not allowed; allowed: 2 to 8"
        assert caught.value.details == ""


def test_an_exception_of_the_program_keeps_its_traceback_apart(stack: Stack) -> None:
    stack.program('a = Thing("a")\na.out.apply(lambda _: 1 / 0)')
    stack.program("1 / 0")
    with pytest.raises(EngineError, match="ZeroDivisionError: division by zero") as caught:
        stack.up()
    assert "__main__.py" in caught.value.details


def test_an_output_in_a_text_is_an_error(stack: Stack) -> None:
    stack.program('a = Thing("a")\nThing("b", text=f"{a.out}")')
    with pytest.raises(EngineError, match="Calling __str__ on an Output"):
        stack.preview()


def test_a_program_that_raises_deletes_nothing(stack: Stack) -> None:
    stack.program(TWO)
    stack.up()
    stack.program('raise pulumi.RunError("no")')
    with pytest.raises(EngineError):
        stack.up()
    assert stack.names() == {"a", "b"}


def test_a_failure_stops_what_has_not_begun_and_saves_what_has(stack: Stack) -> None:
    """Trap 5: what runs when another fails is waited for before the last save."""
    stack.program("""
        slow = Thing("slow", slow=0.4)
        bad = Thing("bad", fault=config.get("fault"), slow=0.1)
        late = Thing("late", text=slow.out, opts=Opts(depends_on=[slow]))
    """)
    stack.configure(fault="fails")
    outcome = stack.up()
    assert [(f.urn.rsplit("::", 1)[1], f.message) for f in outcome.failures] == [("bad", "create bad failed")]
    assert stack.names() == {"slow"}
    assert stack.resource("slow")["id"]
    stack.configure(fault="")
    assert stack.up().failures == ()
    assert stack.names() == {"slow", "bad", "late"}


def test_an_input_that_the_provider_does_not_know_is_an_error(stack: Stack) -> None:
    stack.program('Thing("a", colour="red")')
    assert stack.preview().failures[0].message == "a: colour is not supported"
    assert stack.up().failures[0].message == "a: colour is not supported"


def test_an_unknown_provider_is_refused(stack: Stack) -> None:
    stack.program('pulumi.CustomResource("aws:ec2:Instance", "a", {})')
    with pytest.raises(EngineError, match="provider 'aws' is not part of the embedded engine; allowed: fake"):
        stack.up()


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ('custom_timeouts=pulumi.CustomTimeouts(create="5m")', "custom_timeouts"),
        ('hide_diffs=["text"]', "hide_diffs"),
    ],
)
def test_an_option_that_the_engine_does_not_have_is_refused(stack: Stack, option: str, named: str) -> None:
    stack.program(f'Thing("a", opts=Opts({option}))')
    with pytest.raises(EngineError, match=f"a: {named} is not supported"):
        stack.up()


def test_two_resources_of_one_name_are_refused(stack: Stack) -> None:
    stack.program('Thing("a")\nThing("a")')
    assert "two resources have the URN" in stack.up().failures[0].message


def test_components_and_their_outputs_are_kept(stack: Stack) -> None:
    stack.program("""
        class Site(pulumi.ComponentResource):
            def __init__(self, name):
                super().__init__("demo:index:Site", name)
                self.a = Thing("a", opts=Opts(parent=self))
                self.register_outputs({"out": self.a.out})
        Site("site")
    """)
    assert stack.up().change_summary == {"create": 3}
    assert stack.resource("site")["outputs"] == {"out": "out of a"}
    assert stack.resource("a")["urn"].endswith("::demo:index:Site$fake:index:Thing::a")
    assert stack.up().change_summary == {"same": 3}


def test_reads_and_data_sources(stack: Stack) -> None:
    stack.program('Thing("a")')
    stack.up()
    id_ = stack.resource("a")["id"]
    stack.program(f"""
        Thing("a")
        seen = Thing("seen", opts=Opts(id="{id_}"))
        pulumi.export("seen", seen.out)
        pulumi.export("echo", pulumi.runtime.invoke("fake:index:get", {{"x": 1}}).value["echo"])
    """)
    assert stack.up().failures == ()
    assert stack.outputs() == {"seen": "out of a", "echo": {"x": 1}}
    stack.program('Thing("a")')
    stack.up()
    assert stack.names() == {"a"}


def test_logs_and_steps_reach_whoever_watches(stack: Stack) -> None:
    stack.program('pulumi.log.info("hello")\nThing("a")')
    stack.up()
    assert Diagnostic("info", "hello") in stack.events
    ended = next(e for e in stack.events if isinstance(e, StepEnded))
    assert (ended.op, ended.name, ended.type, ended.error) == ("create", "a", "fake:index:Thing", None)


def test_creates_in_parallel_up_to_the_limit(stack: Stack) -> None:
    stack.program("for i in range(8): Thing(f'n{i}', slow=0.15)")
    assert stack.up(parallel=8).seconds < 8 * 0.15
    stack.destroy()
    assert stack.up(parallel=1).seconds > 8 * 0.15


def test_a_half_made_resource_is_kept_and_tried_again(stack: Stack) -> None:
    stack.program('Thing("a", fault=config.get("fault"))')
    stack.configure(fault="half")
    assert stack.up().failures[0].message == "made, but not well"
    assert stack.resource("a")["initErrors"] == ["made, but not well"]
    stack.configure(fault="")
    assert stack.up().change_summary == {"same": 1, "update": 1}
    assert "initErrors" not in stack.resource("a")


def test_another_stack_file_than_the_projects(stack: Stack) -> None:
    stack.program('Thing("a", label=config.get("label"))')
    other = stack.directory / "other.yaml"
    stack.configure(label="other")
    (stack.directory / "stacks" / "Pulumi.dev.yaml").rename(other)
    stack.configure(label="own")
    stack.up(config_file=other)
    assert stack.resource("a")["inputs"]["label"] == "other"


def test_a_new_stack_is_given_a_salt_and_keeps_its_comments(stack: Stack) -> None:
    stack.program('Thing("a", secret=pulumi.Output.secret("hush"))')
    file = stack.directory / "stacks" / "Pulumi.dev.yaml"
    file.write_text("# why it is so\nconfig: {}\n")
    assert stack.preview().change_summary == {"create": 2}
    assert file.read_text() == "# why it is so\nconfig: {}\n"
    stack.up()
    assert file.read_text().startswith("encryptionsalt: v1:")
    assert file.read_text().endswith("# why it is so\nconfig: {}\n")
    assert stack.up().change_summary == {"same": 2}


def test_refresh_takes_over_what_changed_outside_and_up_puts_it_right(stack: Stack) -> None:
    """Trap 4: the wanted inputs are compared with the stored outputs, so drift shows after a refresh."""
    stack.program(TWO)
    stack.up()
    stack.cloud.change("b", label="somebody's")
    assert stack.preview().change_summary == {"same": 3}
    stack.refresh()
    assert stack.resource("b")["outputs"]["label"] == "somebody's"
    assert stack.up().change_summary == {"same": 2, "update": 1}
    assert {o.get("label") for o in stack.cloud.objects().values()} == {"x", "y"}


def test_refresh_of_outputs_alone_is_no_change(stack: Stack) -> None:
    """Trap 7."""
    stack.program('Thing("a", label="x")')
    stack.up()
    stack.cloud.change("a", colour="green")
    stack.refresh()
    assert stack.resource("a")["outputs"]["colour"] == "green"
    assert stack.preview().change_summary == {"same": 2}


def test_refresh_forgets_what_is_gone(stack: Stack) -> None:
    stack.program(TWO)
    stack.up()
    gone = stack.resource("a")["id"]
    stack.cloud.remove(gone)
    stack.refresh()
    assert stack.up().change_summary == {"same": 2, "create": 1}
    assert stack.names() == {"a", "b"}


def test_the_plan_is_in_the_format_of_the_cli(stack: Stack) -> None:
    stack.program(TWO)
    stack.up()
    stack.configure(label="z", size=2)
    plan = stack.preview().to_json()
    assert set(plan) == {"config", "steps", "diagnostics", "duration", "changeSummary"}
    assert plan["config"] == {"demo:label": "z", "demo:size": "2"}
    by_name = {step["urn"].rsplit("::", 1)[1]: step for step in plan["steps"]}
    assert by_name["a"]["op"] == "replace"
    assert by_name["a"]["replaceReasons"] == ["size"]
    assert by_name["b"]["detailedDiff"]["label"] == {"kind": "update", "inputDiff": False}
    assert by_name["b"]["oldState"]["inputs"]["label"] == "y"
    assert by_name["b"]["newState"]["inputs"]["label"] == "z"
    assert "outputs" not in by_name["b"]["newState"]
    json.dumps(plan)
