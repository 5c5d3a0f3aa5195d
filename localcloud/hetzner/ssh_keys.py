"""SSH keys."""

from __future__ import annotations

import base64
import binascii
import hashlib

from localcloud.hetzner.actions import now
from localcloud.hetzner.body import NO_LABELS, Body, Labels, Name
from localcloud.hetzner.cloud import Cloud, Endpoint, Reply
from localcloud.hetzner.errors import invalid, not_unique
from localcloud.hetzner.model import SshKey


class CreateSshKey(Body):
    name: Name
    public_key: str
    labels: Labels = NO_LABELS


class UpdateSshKey(Body):
    name: Name | None = None
    labels: Labels | None = None


def fingerprint(public_key: str) -> str:
    """MD5 of the key's blob in hex pairs, as the provider shows it; raises for what is no OpenSSH public key."""
    try:
        algorithm, blob = public_key.split()[:2]
        key = base64.b64decode(blob, validate=True)
    except (ValueError, binascii.Error):
        raise invalid("public_key", "is not an OpenSSH public key") from None
    if not key[4:].startswith(algorithm.encode()):
        raise invalid("public_key", f"is not an OpenSSH public key of type {algorithm}")
    return hashlib.md5(key, usedforsecurity=False).digest().hex(":")


def create(cloud: Cloud, body: CreateSshKey) -> Reply:
    cloud.require_room(SshKey)
    cloud.require_new_name(SshKey, body.name)
    mark = fingerprint(body.public_key)
    if any(key.fingerprint == mark for key in cloud.records.all(SshKey)):
        raise not_unique("public_key", "SSH key with the same fingerprint already exists")
    key = SshKey(id=cloud.records.new_id(), created=now(), fingerprint=mark, **body.model_dump())
    return cloud.shown(201, cloud.records.put(key))


def update(cloud: Cloud, ident: int, body: UpdateSshKey) -> Reply:
    return cloud.update(SshKey, ident, body)


def delete(cloud: Cloud, ident: int) -> Reply:
    cloud.records.delete(cloud.records.get(SshKey, ident))
    return Reply(204)


ENDPOINTS = (
    Endpoint("POST", "/ssh_keys", create, CreateSshKey),
    Endpoint("PUT", "/ssh_keys/{id}", update, UpdateSshKey),
    Endpoint("DELETE", "/ssh_keys/{id}", delete),
)
