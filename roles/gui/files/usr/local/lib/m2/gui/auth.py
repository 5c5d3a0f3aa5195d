"""Who may see the page: one user, a signed cookie for pages, HTTP basic authentication for scripts.

The password is compared as it is, not as a hash: it is 192 random bits, so a slow hash would protect nothing, and
who can read the configuration can read the key that signs the cookies.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

from gui.config import Config

USER = "admin"
SESSION_SECONDS = 12 * 3600

Cookie = MutableMapping[str, Any]


def is_right(config: Config, user: str, password: str) -> bool:
    """Takes as long for a wrong user as for a wrong password."""
    right_user = hmac.compare_digest(user.encode(), USER.encode())
    right_password = hmac.compare_digest(password.encode(), config.password.encode())
    return right_user & right_password


def log_in(cookie: Cookie) -> None:
    """Nothing of an anonymous visitor's cookie lives on."""
    cookie.clear()
    cookie["until"] = time.time() + SESSION_SECONDS
    form_token(cookie)


def is_logged_in(cookie: Cookie) -> bool:
    """True for SESSION_SECONDS after the login, however busy the visitor is."""
    return float(cookie.get("until", 0)) > time.time()


def form_token(cookie: Cookie) -> str:
    """What every form of this visitor has to send back."""
    if "form" not in cookie:
        cookie["form"] = secrets.token_urlsafe(24)
    return str(cookie["form"])


def is_own_form(cookie: Cookie, token: str) -> bool:
    """False for a form that another site made the visitor send."""
    return "form" in cookie and hmac.compare_digest(token.encode(), str(cookie["form"]).encode())


def local_path(text: str) -> str:
    """Where to go after the login: a path of this site, whatever an address says."""
    return text if text.startswith("/") and text[1:2] not in ("/", "\\") and text.isprintable() else "/"
