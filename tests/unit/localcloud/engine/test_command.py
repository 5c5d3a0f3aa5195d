"""Commands on this machine and, over SSH, on a server of the test's own."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from localcloud.engine.errors import EngineError
from localcloud.engine.providers import Diff, ProviderError
from localcloud.engine.providers.command import Command, configure
from localcloud.engine.values import UNKNOWN, Properties, Secret, plain
from tests.unit.localcloud.engine.conftest import free_port
from tests.unit.localcloud.engine.ssh_server import SshServer

LOCAL, REMOTE = "command:local:Command", "command:remote:Command"
command = Command()


def create(type_: str, **inputs: Any) -> Properties:
    checked = command.check(type_, "cmd", {}, inputs)
    return command.create(type_, "cmd", plain(checked))[1]


def update(type_: str, outputs: Properties, **inputs: Any) -> Properties:
    return command.update(type_, "id", outputs, inputs, Diff())


def test_a_local_command_gets_its_input_and_its_environment(tmp_path: Path) -> None:
    text = "read line; echo $line $WHO; pwd; echo oops >&2"
    outputs = create(LOCAL, create=text, stdin="hello\n", environment={"WHO": "you"}, dir=str(tmp_path))
    assert outputs["stdout"] == f"hello you\n{tmp_path}"
    assert outputs["stderr"] == "oops"


def test_an_interpreter_instead_of_the_shell() -> None:
    assert create(LOCAL, create="print(6 * 7)", interpreter=["python3", "-c"])["stdout"] == "42"


def test_a_large_input_that_nobody_reads_does_no_harm() -> None:
    assert create(LOCAL, create="exec 0<&-; sleep 0.1; echo done", stdin="x" * 1_000_000)["stdout"] == "done"


def test_a_failed_command_says_what_it_said_and_not_what_it_was_given() -> None:
    with pytest.raises(ProviderError) as caught:
        create(LOCAL, create="apply\n# /etc/a=1\necho broken; exit 3", stdin="hush")
    assert str(caught.value).startswith("exit status 3: apply ...\n")
    assert "broken" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_an_update_runs_update_or_else_create_and_sees_what_was_before() -> None:
    outputs = create(LOCAL, create="echo first")
    again = update(LOCAL, outputs, create="echo again after $PULUMI_COMMAND_STDOUT")
    assert again["stdout"] == "again after first"
    assert update(LOCAL, outputs, create="exit 1", update="echo updated")["stdout"] == "updated"
    alone = update(LOCAL, outputs, create="echo $PULUMI_COMMAND_STDOUT.", addPreviousOutputInEnv=False)
    assert alone["stdout"] == "."


def test_without_a_command_nothing_runs_and_the_outputs_stay() -> None:
    assert create(LOCAL, stdin="x")["stdout"] == ""
    assert update(LOCAL, {"stdout": "before", "stderr": ""}, triggers=[1])["stdout"] == "before"


def test_delete_runs_its_command_only_if_there_is_one(tmp_path: Path) -> None:
    command.delete(LOCAL, "id", {}, {"create": "exit 1", "stdout": "", "stderr": ""})
    command.delete(LOCAL, "id", {}, {"delete": f"touch {tmp_path}/gone", "stdout": "", "stderr": ""})
    assert (tmp_path / "gone").exists()


def test_changed_triggers_replace_and_nothing_else_does() -> None:
    inputs = {"create": "a", "triggers": ["1"], "stdin": "x"}
    assert command.diff(LOCAL, inputs, {}, inputs).changes == {}
    changed = command.diff(LOCAL, inputs, {}, {**inputs, "create": "b", "stdin": "y"})
    assert (set(changed.changes), changed.replaces) == ({("create",), ("stdin",)}, frozenset())
    for triggers in (["2"], [UNKNOWN], ["1", "2"], []):
        assert command.diff(LOCAL, inputs, {}, {**inputs, "triggers": triggers}).replaces
    assert command.diff(LOCAL, {"create": "a"}, {}, inputs).replaces == {("triggers",)}


@pytest.mark.parametrize(
    ("type_", "inputs", "message"),
    [
        (LOCAL, {"assetPaths": []}, "cmd: assetPaths is not supported; allowed: create, "),
        (REMOTE, {"connection": {"host": "h", "colour": 1}}, "cmd: connection.colour is not supported"),
        (REMOTE, {"connection": {"host": "h", "proxy": {"x": 1}}}, "cmd: connection.proxy.x is not supported"),
        ("command:remote:CopyToRemote", {}, "command:remote:CopyToRemote is not supported"),
    ],
)
def test_inputs_that_are_not_known_are_errors(type_: str, inputs: Properties, message: str) -> None:
    with pytest.raises(ProviderError) as caught:
        command.check(type_, "cmd", {}, inputs)
    assert str(caught.value).startswith(message)


def test_a_connection_is_always_a_secret() -> None:
    assert command.check(REMOTE, "cmd", {}, {"connection": {"host": "h"}})["connection"] == Secret({"host": "h"})
    assert command.check(REMOTE, "cmd", {}, {"connection": UNKNOWN})["connection"] == Secret(UNKNOWN)


def test_keys_and_passwords_are_secrets_by_themselves_too() -> None:
    """As the provider stores them: otherwise the CLI sees a changed connection and runs every command again."""
    proxy = {"host": "p", "password": "hush"}
    given = Secret({"host": "h", "privateKey": "key", "proxy": proxy})
    checked = command.check(REMOTE, "cmd", {}, {"connection": given})["connection"]
    hidden = {"host": "p", "password": Secret("hush")}
    assert checked == Secret({"host": "h", "privateKey": Secret("key"), "proxy": hidden})
    assert command.check(REMOTE, "cmd", {}, {"connection": checked})["connection"] == checked


def test_the_provider_has_no_settings() -> None:
    with pytest.raises(EngineError, match="command:x is not supported"):
        configure({"x": 1})


def test_a_remote_command_gets_its_input_and_its_environment(server: SshServer) -> None:
    bundle = "s" * 300_000
    outputs = create(
        REMOTE,
        connection=server.connection(),
        create="wc -c; echo $WHO; echo oops >&2",
        stdin=bundle,
        environment={"WHO": "you"},
    )
    assert (outputs["stdout"], outputs["stderr"]) == ("300000\nyou", "oops")


def test_a_failed_remote_command_keeps_its_status(server: SshServer) -> None:
    text = ": apply\necho no such package; exit 7"
    with pytest.raises(ProviderError, match=r"exit status 7: : apply \.\.\.\nno such package"):
        create(REMOTE, connection=server.connection(), create=text)


def test_variables_that_the_server_refuses_are_an_error(server: SshServer) -> None:
    server.accepts_variables = False
    with pytest.raises(ProviderError, match="WHO: is not in the server's AcceptEnv"):
        create(REMOTE, connection=server.connection(), create="echo $WHO", environment={"WHO": "you"})


def test_another_host_key_is_refused(server: SshServer) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(ProviderError, match=r"127\.0\.0\.1: after 1 failed dials: .*[Hh]ost key"):
        create(REMOTE, connection=server.connection(hostKey=other), create="echo never")


def test_a_wrong_client_key_is_refused(server: SshServer) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    with pytest.raises(ProviderError, match="Permission denied"):
        create(REMOTE, connection=server.connection(privateKey=other), create="echo never")


def test_dials_are_tried_again_until_the_limit(server: SshServer) -> None:
    with pytest.raises(ProviderError, match="after 3 failed dials"):
        create(REMOTE, connection=server.connection(port=1, dialErrorLimit=2), create="echo never")


def test_a_machine_that_comes_up_is_reached(loop: asyncio.AbstractEventLoop, server: SshServer) -> None:
    late = SshServer(port=free_port(), host_key=server.host_key, client_key=server.client_key)
    loop.call_soon_threadsafe(lambda: loop.call_later(0.5, lambda: asyncio.ensure_future(late.listen(), loop=loop)))
    outputs = create(REMOTE, connection=late.connection(dialErrorLimit=-1), create="echo up")
    assert outputs["stdout"] == "up"


def test_a_machine_that_does_not_answer_is_given_up(loop: asyncio.AbstractEventLoop) -> None:
    silent = asyncio.run_coroutine_threadsafe(asyncio.start_server(_say_nothing, "127.0.0.1", 0), loop).result(5)
    connection = {"host": "127.0.0.1", "port": silent.sockets[0].getsockname()[1], "dialErrorLimit": 0}
    started = time.monotonic()
    with pytest.raises(ProviderError, match="after 1 failed dials"):
        create(REMOTE, connection={**connection, "perDialTimeout": 1}, create="echo never")
    assert time.monotonic() - started < 10
    loop.call_soon_threadsafe(silent.close)


async def _say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3)
    writer.close()


def test_through_a_proxy(loop: asyncio.AbstractEventLoop, server: SshServer) -> None:
    proxy = SshServer()
    acceptor = asyncio.run_coroutine_threadsafe(proxy.listen(), loop).result(5)
    outputs = create(REMOTE, connection=server.connection(proxy=proxy.connection()), create="echo through")
    assert (outputs["stdout"], proxy.connections, server.connections) == ("through", 1, 1)
    loop.call_soon_threadsafe(acceptor.close)


@pytest.mark.skipif(not shutil.which("ssh-agent"), reason="needs ssh-agent")
def test_the_agents_keys_are_used(server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    socket_path, key = tmp_path / "agent", tmp_path / "key"
    key.write_bytes(server.client_key.export_private_key())
    key.chmod(0o600)
    connection = server.connection()
    del connection["privateKey"]
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket_path)], stdout=subprocess.DEVNULL) as agent:
        _wait_for(socket_path)
        subprocess.run(["ssh-add", "-q", str(key)], env={"SSH_AUTH_SOCK": str(socket_path)}, check=True)
        named = {**connection, "agentSocketPath": str(socket_path)}
        assert create(REMOTE, connection=named, create="echo by name")["stdout"] == "by name"
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket_path))
        assert create(REMOTE, connection=connection, create="echo by variable")["stdout"] == "by variable"
        agent.terminate()


def test_an_agent_that_is_not_there_is_named(server: SshServer, tmp_path: Path) -> None:
    connection = server.connection(agentSocketPath=f"{tmp_path}/none")
    del connection["privateKey"]
    with pytest.raises(ProviderError, match=r"ssh agent .*/none: .*: start it, or set agentSocketPath"):
        create(REMOTE, connection=connection, create="echo never")


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 5
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
