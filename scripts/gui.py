"""Asks the GUI of a stack for what it shows, as JSON."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.request
from collections.abc import Mapping
from typing import Any


def ask(outputs: Mapping[str, Any], path: str) -> Any:
    """The answer to `api/...`; the certificate is checked against the stack's authority. Raises OSError."""
    login = base64.b64encode(f"{outputs['gui_user']}:{outputs['gui_password']}".encode()).decode()
    context = ssl.create_default_context(cadata=outputs["authority"])
    request = urllib.request.Request(  # noqa: S310 - the stack's own https address
        outputs["gui_url"] + path, headers={"Authorization": f"Basic {login}"}
    )
    with urllib.request.urlopen(request, context=context, timeout=10) as reply:  # noqa: S310
        return json.load(reply)
