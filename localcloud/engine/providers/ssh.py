"""A command on another machine, with asyncssh; loaded only when one is run.

Source: pulumi-command 1.2.1 (provider/pkg/provider/remote/connection.go, sdk/go/common/util/retry of Pulumi): dials
are tried again, also after a wrong host key, because a machine that boots may not have its own yet.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncssh

from localcloud.engine.providers import ProviderError
from localcloud.engine.providers.command import Finished, Job
from localcloud.engine.values import Properties

FIRST_DELAY, GROWTH, LONGEST_DELAY = 0.1, 1.5, 5.0
ENDLESS = -1
KEEPALIVE_SECONDS = 15
Connection = asyncssh.SSHClientConnection


async def run(job: Job, connection: Properties) -> Finished:
    """ProviderError when the machine cannot be reached; the command's own failure is in its status."""
    async with _connected(connection) as ssh:
        try:
            given: dict[str, Any] = {"input": job.stdin} if job.stdin else {"stdin": asyncssh.DEVNULL}
            done = await ssh.run(_checked(job), env=job.environment, **given)
        except (OSError, asyncssh.Error) as error:
            raise ProviderError(f"{connection['host']}: the connection was lost: {error}") from error
    status = done.returncode if done.returncode is not None else 1
    return Finished(status, str(done.stdout or ""), str(done.stderr or ""))


def _checked(job: Job) -> str:
    """A server takes only the variables of its AcceptEnv and says nothing: the remote shell looks for them."""
    names = [name for name in job.environment if not name.startswith("PULUMI_COMMAND_")]
    return "".join(f': "${{{name}?is not in the server\'s AcceptEnv}}"; ' for name in names) + job.command


@asynccontextmanager
async def _connected(connection: Properties) -> AsyncIterator[Connection]:
    async with AsyncExitStack() as stack:
        tunnel = None
        proxy = connection.get("proxy")
        if proxy:
            tunnel = await stack.enter_async_context(await _dial(proxy, lambda: _connect(proxy, None)))
        yield await stack.enter_async_context(await _dial(connection, lambda: _connect(connection, tunnel)))


async def _dial(connection: Properties, connect: Callable[[], Awaitable[Connection]]) -> Connection:
    limit, delay, failed = connection.get("dialErrorLimit", 10), FIRST_DELAY, 0
    while True:
        try:
            return await connect()
        except (OSError, asyncssh.Error, TimeoutError) as error:
            failed += 1
            if limit != ENDLESS and failed > limit:
                reason = str(error) or type(error).__name__
                raise ProviderError(f"{connection['host']}: after {failed} failed dials: {reason}") from error
        await asyncio.sleep(delay)
        delay = min(delay * GROWTH, LONGEST_DELAY)


async def _connect(connection: Properties, tunnel: Connection | None) -> Connection:
    timeout = connection.get("perDialTimeout", 15) or None
    async with AsyncExitStack() as stack:
        return await asyncssh.connect(
            connection["host"],
            int(connection.get("port", 22)),
            tunnel=tunnel or (),
            username=connection.get("user", "root"),
            password=connection.get("password"),
            client_keys=await _keys(connection, stack),
            known_hosts=_known_hosts(connection.get("hostKey")),
            connect_timeout=timeout,
            login_timeout=timeout or 0,
            keepalive_interval=KEEPALIVE_SECONDS,
            agent_path=None,
            config=None,
        )


async def _keys(connection: Properties, stack: AsyncExitStack) -> Any:
    """The given key, else the agent's; never a file of whoever runs this."""
    if connection.get("privateKey"):
        return [asyncssh.import_private_key(connection["privateKey"], connection.get("privateKeyPassword"))]
    path = connection.get("agentSocketPath") or os.environ.get("SSH_AUTH_SOCK")
    if not path:
        return None
    try:
        agent = await stack.enter_async_context(asyncssh.connect_agent(path))
    except OSError as error:
        raise ProviderError(f"ssh agent {path}: {error.strerror}: start it, or set agentSocketPath") from error
    return list(await agent.get_keys())


def _known_hosts(host_key: str | None) -> Any:
    """Only the pinned key is accepted; without one any is, as in the provider."""
    if host_key is None:
        return None
    return [asyncssh.import_public_key(host_key)], [], []
