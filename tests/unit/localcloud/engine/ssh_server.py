"""A real SSH server for the engine's tests."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from localcloud.engine.values import Properties


@dataclass
class SshServer:
    """A real SSH server that runs commands in a shell."""

    port: int = 0
    accepts_variables: bool = True
    host_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    client_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    connections: int = 0

    def connection(self, **more: Any) -> Properties:
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "admin",
            "privateKey": self.client_key.export_private_key().decode(),
            "hostKey": self.host_key.export_public_key().decode(),
            "dialErrorLimit": 0,
            "perDialTimeout": 5,
            **more,
        }

    async def listen(self) -> asyncssh.SSHAcceptor:
        acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=lambda: _Watched(self),
            server_host_keys=[self.host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(self.client_key.export_public_key().decode()),
            process_factory=self._run,
            encoding="utf-8",
        )
        self.port = acceptor.get_port()
        return acceptor

    async def _run(self, process: Any) -> None:
        env = {**os.environ, **(process.env if self.accepts_variables else {})}
        child = await asyncio.create_subprocess_shell(process.command, env=env, stdin=-1, stdout=-1, stderr=-1)
        out, err = await child.communicate((await process.stdin.read()).encode())
        process.stdout.write(out.decode())
        process.stderr.write(err.decode())
        process.exit(child.returncode)


class _Watched(asyncssh.SSHServer):
    def __init__(self, server: SshServer) -> None:
        self._server = server

    def connection_made(self, _: asyncssh.SSHServerConnection) -> None:
        self._server.connections += 1

    def connection_requested(self, *_: Any) -> bool:
        """A proxy passes connections on."""
        return True
