"""Requests that nobody's phone sends."""

from __future__ import annotations


def request(method: str, to: str, *headers: str, to_tag: str = "", uri: str = "") -> str:
    """As `sip_client.py` takes it; `to` is the address of the stack."""
    tag = f";tag={to_tag}" if to_tag else ""
    lines = (
        f"{method} {uri or f'sip:4930123456@{to}:5060'} SIP/2.0",
        "Via: SIP/2.0/{transport} {me};branch={branch};rport",
        "From: <sip:4670000@{me}>;tag=abuse",
        f"To: <sip:4930123456@{to}>{tag}",
        "Call-ID: {branch}",
        f"CSeq: 1 {method}",
        "Contact: <sip:abuse@{me}>",
        "Max-Forwards: 70",
        *headers,
        "Content-Length: 0",
        "",
        "",
    )
    return "\n".join(lines)
