"""Pulumi's passphrase secrets: PBKDF2-SHA256 with a salt, then AES-256-GCM.

Format (pkg/secrets/passphrase, sdk/go/common/resource/config/crypt.go): a ciphertext is `v1:NONCE:DATA`, a stack's
`encryptionsalt` is `v1:SALT:CIPHERTEXT OF "pulumi"`, all in base64.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from localcloud.engine.errors import EngineError

ROUNDS = 1_000_000
PROOF = "pulumi"


class Crypter:
    """Encrypts and decrypts one stack's secrets; the same text gets the same ciphertext, so that states are stable."""

    def __init__(self, salt: str, passphrase: str) -> None:
        """`salt` is a stack file's `encryptionsalt`; EngineError when the passphrase is not its own."""
        self.salt = salt
        _, seed, proof = salt.split(":", 2)
        self._cipher = _cipher(passphrase, base64.b64decode(seed))
        self._known: dict[str, str] = {}
        try:
            self.decrypt(proof)
        except InvalidTag as error:
            raise EngineError(
                "PULUMI_CONFIG_PASSPHRASE is not the passphrase of this stack: set the one that made its encryptionsalt"
            ) from error

    def encrypt(self, text: str) -> str:
        if text not in self._known:
            self._known[text] = _encrypt(self._cipher, text)
        return self._known[text]

    def decrypt(self, ciphertext: str) -> str:
        _, nonce, data = ciphertext.split(":")
        text = self._cipher.decrypt(base64.b64decode(nonce), base64.b64decode(data), None).decode()
        self._known[text] = ciphertext
        return text


def new_salt(passphrase: str) -> str:
    """An `encryptionsalt` for a new stack file."""
    seed = os.urandom(8)
    return f"v1:{base64.b64encode(seed).decode()}:{_encrypt(_cipher(passphrase, seed), PROOF)}"


def passphrase_of(environment: Mapping[str, str]) -> str:
    """PULUMI_CONFIG_PASSPHRASE, also an empty one, or the contents of PULUMI_CONFIG_PASSPHRASE_FILE."""
    if "PULUMI_CONFIG_PASSPHRASE" in environment:
        return environment["PULUMI_CONFIG_PASSPHRASE"]
    file = environment.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    if not file:
        raise EngineError("PULUMI_CONFIG_PASSPHRASE is not set: set it, or PULUMI_CONFIG_PASSPHRASE_FILE to a file")
    try:
        return Path(file).read_text().strip()
    except OSError as error:
        raise EngineError(f"PULUMI_CONFIG_PASSPHRASE_FILE: {file} cannot be read: {error.strerror}") from error


@cache
def _cipher(passphrase: str, seed: bytes) -> AESGCM:
    """Kept, because it takes a third of a second and a preview and an up of one process both need it."""
    return AESGCM(hashlib.pbkdf2_hmac("sha256", passphrase.encode(), seed, ROUNDS, 32))


def _encrypt(cipher: AESGCM, text: str) -> str:
    nonce = os.urandom(12)
    data = cipher.encrypt(nonce, text.encode(), None)
    return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(data).decode()}"
