"""Whose database answers at an address: the name in the certificate that it shows a client, before any login."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from typing import Any

PORT = 3306
CLIENT_PROTOCOL_41 = 0x0200
CLIENT_SSL = 0x0800
CLIENT_SECURE_CONNECTION = 0x8000
LARGEST_PACKET = 1 << 24
UTF8MB4 = 45
TLS_REQUEST = struct.pack(
    "<IIB23x", CLIENT_PROTOCOL_41 | CLIENT_SSL | CLIENT_SECURE_CONNECTION, LARGEST_PACKET, UTF8MB4
)
"""SSLRequest packet (MariaDB's documentation, Connection: Initial Handshake)."""

ERROR = 0xFF


def who_answers(address: str, context: ssl.SSLContext, timeout: float = 2.0) -> str | None:
    """The common name of the server whose greeting comes from there; None: none, or none that proves who it is.

    A mariadbd that is frozen takes the connection and does not greet; one that has no user who may come from here,
    or no connection left, refuses in place of a greeting.
    """
    deadline = time.monotonic() + timeout
    try:
        with socket.create_connection((address, PORT), timeout) as connection:
            connection.settimeout(_left(deadline))
            greeting = _packet(connection)
            if not greeting or greeting[0] == ERROR:
                return None
            connection.sendall(struct.pack("<I", len(TLS_REQUEST))[:3] + b"\x01" + TLS_REQUEST)
            connection.settimeout(_left(deadline))
            with context.wrap_socket(connection, server_hostname=address) as secured:
                return _common_name(secured.getpeercert())
    except OSError:
        return None


def _packet(connection: socket.socket) -> bytes:
    (length,) = struct.unpack("<I", _exactly(connection, 4)[:3] + b"\0")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise ConnectionResetError
        data += more
    return data


def _common_name(certificate: Any) -> str | None:
    names = (value for part in certificate["subject"] for key, value in part if key == "commonName")
    return next(names, None)


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)
