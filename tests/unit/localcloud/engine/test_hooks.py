"""Resource hooks: when they are asked, and what their refusal stops."""

from __future__ import annotations

from localcloud.engine.events import Diagnostic
from tests.unit.localcloud.engine.conftest import Stack

HOOKED = """
def ask(args):
    old, new = args.old_inputs or {}, args.new_inputs or {}
    pulumi.log.info(f"{args.name}: {old.get('label')} -> {new.get('label')}")
    if config.get("refuse") == args.name:
        raise Exception("not now")

options = pulumi.ResourceHookOptions(on_dry_run=config.get_bool("rehearse") or False)
hook = pulumi.ResourceHook("ask", ask, options)
every = pulumi.ResourceHookBinding(
    before_create=[hook], after_create=[hook], before_update=[hook], after_update=[hook],
    before_delete=[hook], after_delete=[hook])
only = pulumi.ResourceHookBinding(before_update=[hook], before_delete=[hook])
server = Thing("server", size=config.get_int("size") or 1, label=config.get("label") or "x",
               opts=Opts(hooks=every if config.get_bool("all") else only, delete_before_replace=True))
Thing("nic", text=server.out)
"""


def said(stack: Stack) -> list[str]:
    said = [e.message for e in stack.events if isinstance(e, Diagnostic) and e.severity == "info"]
    stack.events.clear()
    return said


def test_hooks_are_asked_before_and_told_after(stack: Stack) -> None:
    stack.program(HOOKED)
    stack.configure(all=True)
    stack.up()
    assert said(stack) == ["server: None -> x", "server: None -> x"]
    stack.configure(all=True, label="y")
    stack.up()
    assert said(stack) == ["server: x -> y", "server: x -> y"]
    assert stack.resource("server")["resourceHooks"]["BeforeDelete"] == ["ask"]
    stack.destroy()
    assert said(stack) == ["server: y -> None", "server: y -> None"]


def test_a_refused_update_touches_nothing(stack: Stack) -> None:
    stack.program(HOOKED)
    stack.up()
    stack.cloud.forget_calls()
    stack.configure(label="y", refuse="server")
    outcome = stack.up()
    assert outcome.failures[0].message == "before hook 'ask' failed: not now"
    assert stack.cloud.calls() == []
    assert stack.resource("server")["inputs"]["label"] == "x"
    assert "pending_operations" not in stack.latest()


def test_a_refused_replacement_deletes_nothing(stack: Stack) -> None:
    stack.program(HOOKED)
    stack.up()
    stack.configure(size=2, refuse="server")
    assert stack.up().failures
    assert stack.names() == {"server", "nic"}


def test_hooks_are_not_asked_in_a_preview_unless_they_want_to(stack: Stack) -> None:
    stack.program(HOOKED)
    stack.up()
    said(stack)
    stack.configure(label="y")
    stack.preview()
    assert said(stack) == []
    stack.configure(label="y", rehearse=True, refuse="server")
    assert stack.preview().failures[0].message == "before hook 'ask' failed: not now"


def test_destroy_runs_the_program_for_its_hooks_and_makes_nothing(stack: Stack) -> None:
    stack.program(HOOKED)
    stack.up()
    stack.program(HOOKED, 'Thing("new", text="never made")')
    stack.cloud.forget_calls()
    assert stack.destroy().failures == ()
    assert [call for call in stack.cloud.calls() if "create" in call] == []
    assert stack.names() == set()


def test_destroy_runs_a_program_whose_components_have_resources_as_outputs(stack: Stack) -> None:
    stack.program(
        HOOKED,
        """
        class Site(pulumi.ComponentResource):
            def __init__(self, name):
                super().__init__("demo:index:Site", name)
                self.register_outputs({"server": server})
        Site("site")
        """,
    )
    stack.up()
    assert stack.destroy().failures == ()
    assert stack.latest()["resources"] == []


def test_a_hook_that_refuses_in_a_rehearsal_refuses_before_anything_goes(stack: Stack) -> None:
    stack.program(HOOKED)
    stack.configure(rehearse=True)
    stack.up()
    stack.configure(rehearse=True, refuse="server")
    assert stack.destroy().failures[0].message == "before hook 'ask' failed: not now"
    assert stack.names() == {"server", "nic"}


def test_a_hook_that_refuses_only_in_earnest_keeps_its_resource(stack: Stack) -> None:
    stack.program(HOOKED)
    stack.up()
    stack.configure(refuse="server")
    assert stack.destroy().failures
    assert stack.names() == {"server"}
    assert stack.resource("server")["id"]


def test_a_hook_that_the_program_has_lost_is_an_error(stack: Stack) -> None:
    stack.program(HOOKED)
    stack.up()
    stack.program("")
    assert "hook 'ask' of the state is not registered by the program" in stack.up().failures[0].message
    assert stack.names() == {"server", "nic"}


def test_an_error_after_the_work_fails_the_run_and_keeps_the_work(stack: Stack) -> None:
    stack.program("""
        def fail(args):
            raise Exception("too late")
        hook = pulumi.ResourceHook("fail", fail)
        a = Thing("a", opts=Opts(hooks=pulumi.ResourceHookBinding(after_create=[hook])))
        Thing("b", text=a.out)
    """)
    assert [f.message for f in stack.up().failures] == ["after hook 'fail' failed: too late"]
    assert stack.names() == {"a", "b"}
    assert stack.up().failures == ()


def test_ignored_errors_are_warnings(stack: Stack) -> None:
    stack.program("""
        def fail(args):
            raise Exception("never mind")
        hook = pulumi.ResourceHook("fail", fail, pulumi.ResourceHookOptions(ignore_errors=True))
        Thing("a", opts=Opts(hooks=pulumi.ResourceHookBinding(before_create=[hook])))
    """)
    assert stack.up().failures == ()
    assert [e.message for e in stack.events if isinstance(e, Diagnostic)] == ["before hook 'fail' failed: never mind"]
