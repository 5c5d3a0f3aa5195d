"""sip_probe.py SOURCE ADDRESS PORT: exit code 0 when an OPTIONS over UDP gets any reply."""

import socket
import sys

source, address, port = sys.argv[1:]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    probe.settimeout(1.5)
    probe.bind((source, 0))
    me = f"{source}:{probe.getsockname()[1]}"
    lines = (
        f"OPTIONS sip:{address}:{port} SIP/2.0",
        f"Via: SIP/2.0/UDP {me};branch=z9hG4bKprobe",
        f"From: <sip:probe@{source}>;tag=probe",
        f"To: <sip:{address}:{port}>",
        f"Call-ID: probe@{me}",
        "CSeq: 1 OPTIONS",
        "Max-Forwards: 70",
        "Content-Length: 0",
        "",
        "",
    )
    probe.sendto("\r\n".join(lines).encode(), (address, int(port)))
    try:
        probe.recv(4096)
    except OSError:
        sys.exit(1)
