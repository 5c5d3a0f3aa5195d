"""sip_client.py SOURCE ADDRESS PORT udp|tls [CERTIFICATE]: send standard input, {me} and {branch} filled in.

Prints the status of each reply on a line of its own, until a final one or two seconds of silence.
"""

from __future__ import annotations

import re
import secrets
import socket
import ssl
import sys

PATIENCE = 2.0


def connect(source: str, address: str, port: int, transport: str, certificate: str | None) -> socket.socket:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    plain = socket.socket(socket.AF_INET, kind)
    plain.settimeout(PATIENCE)
    plain.bind((source, 0))
    plain.connect((address, port))
    if transport == "udp":
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate)
    return context.wrap_socket(plain)


def main(source: str, address: str, port: str, transport: str, certificate: str | None = None) -> None:
    try:
        with connect(source, address, int(port), transport, certificate) as link:
            me = f"{source}:{link.getsockname()[1]}"
            text = sys.stdin.read().format(me=me, branch=f"z9hG4bK{secrets.token_hex(8)}", transport=transport.upper())
            link.sendall(text.replace("\n", "\r\n").encode())
            while status := re.match(rb"SIP/2.0 (\d+)", link.recv(65536)):
                print(status.group(1).decode(), flush=True)
                if status.group(1) >= b"200":
                    return
    except OSError:
        return


main(*sys.argv[1:])
