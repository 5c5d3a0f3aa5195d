"""What was tried on the pulumi CLI and is relied on, and no other test says."""

from __future__ import annotations

from localcloud.engine import run
from localcloud.engine.crypter import new_salt
from localcloud.engine.errors import EngineError
from localcloud.engine.providers import command
from tests.unit.localcloud.engine.conftest import Stack

COMMANDS = """
from pulumi_command import local

def log(line):
    return f"echo {line} >>{config.require('log')}"
"""


def up(stack: Stack) -> run.Outcome:
    """With commands beside the fake cloud."""
    providers = {"fake": stack.cloud.configure, "command": command.configure}
    return run.up(run.Request(stack.directory, "dev", providers=providers), stack.events.append)


def said(stack: Stack) -> list[str]:
    """Since the last time."""
    file = stack.directory / "log"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


def configure(stack: Stack, **values: object) -> None:
    stack.configure(log=str(stack.directory / "log"), **values)


def test_the_second_of_a_pair_is_asked_when_the_first_is_done(stack: Stack) -> None:
    stack.program("""
        def ask(args):
            calls = open(config.require("calls"), "a")
            calls.write(f"hook {args.name}\\n")
            calls.close()
        hook = pulumi.ResourceHook("ask", ask)
        opts = lambda *needs: Opts(hooks=pulumi.ResourceHookBinding(before_update=[hook]), depends_on=list(needs))
        a = Thing("a", label=config.get("label"), opts=opts())
        b = Thing("b", label=config.get("label"), opts=opts(a))
    """)
    calls = str(stack.cloud.directory / "calls")
    stack.configure(calls=calls, label="x")
    stack.up()
    stack.cloud.forget_calls()
    stack.configure(calls=calls, label="y")
    stack.up()
    assert [call for call in stack.cloud.calls() if not call.endswith("after")] == [
        *("hook a", "update a before"),
        *("hook b", "update b before"),
    ]


def test_only_a_trigger_runs_the_command_of_a_rebuilt_server_again(stack: Stack) -> None:
    stack.program(
        COMMANDS,
        """
        server = Thing("server", opts=Opts(replacement_trigger=config.require_int("n"), delete_before_replace=True))
        local.Command("with", create=log("with"), triggers=[server.id])
        local.Command("without", create=log("without"), opts=Opts(depends_on=[server]))
        """,
    )
    configure(stack, n=0)
    assert up(stack).failures == ()
    assert sorted(said(stack)) == ["with", "without"]
    configure(stack, n=1)
    assert up(stack).failures == ()
    assert said(stack) == ["with"]


def test_a_trigger_deletes_and_creates_where_another_text_updates(stack: Stack) -> None:
    stack.program(
        COMMANDS,
        """
        local.Command("it", create=log(config.require("text")), update=log("update"), delete=log("delete"),
                      triggers=[config.require("trigger")])
        """,
    )
    configure(stack, text="create", trigger="1")
    up(stack)
    assert said(stack) == ["create"]
    configure(stack, text="another", trigger="1")
    up(stack)
    assert said(stack) == ["update"]
    configure(stack, text="another", trigger="2")
    up(stack)
    assert sorted(said(stack)) == ["another", "delete"]


def test_a_failed_command_is_run_again_by_the_next_up(stack: Stack) -> None:
    stack.program(COMMANDS, 'local.Command("it", create=log("ran") + "; exit " + config.require("status"))')
    configure(stack, status="3")
    assert up(stack).failures[0].message.startswith("exit status 3: ")
    configure(stack, status="0")
    assert up(stack).failures == ()
    assert said(stack) == ["ran", "ran"]
    assert up(stack).change_summary == {"same": 2}


def test_what_a_command_prints_of_a_secret_is_not_secret(stack: Stack) -> None:
    stack.program(
        COMMANDS,
        'it = local.Command("it", create="cat", stdin=pulumi.Output.secret("hush"))\npulumi.export("out", it.stdout)',
    )
    configure(stack)
    assert up(stack).outputs == {"out": "hush"}


def test_the_secrets_of_a_stack_with_another_passphrase_are_an_error(stack: Stack) -> None:
    stack.program('pulumi.export("token", pulumi.Output.secret("hush"))')
    stack.up()
    text = stack.checkpoint.read_text()
    salt = stack.latest()["secrets_providers"]["state"]["salt"]
    stack.checkpoint.with_name("other.json").write_text(text.replace(salt, new_salt("another")))
    stack.program('pulumi.StackReference("organization/demo/other")')
    try:
        failed = stack.preview().failures[0].message
    except EngineError as error:
        failed = str(error)
    assert "is not the passphrase of this stack" in failed
