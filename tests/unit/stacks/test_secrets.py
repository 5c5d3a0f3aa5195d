"""Secrets are a pure function, and certificates are what TLS and SSH take them for."""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import which

import asyncssh
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from hypothesis import given, settings
from hypothesis import strategies as st

from stacks.secrets import AUTHORITY_LIFE, FIRST_DAY, LEAF_LIFE, PERIOD, StackSecrets

USUAL = StackSecrets("0123456789abcdef" * 4, "full-test", 1, date(2026, 11, 22))
ADDRESS = "10.0.0.21"

DERIVED: dict[str, Callable[[StackSecrets], str]] = {
    "password": lambda s: s.password("gui"),
    "SSH host key": lambda s: s.host_key("core-1").private,
    "SSH public key": lambda s: s.host_key("core-1").public,
    "authority": lambda s: s.authority,
    "certificate": lambda s: s.certificate("database-1", ADDRESS).certificate,
    "key": lambda s: s.certificate("database-1", ADDRESS).key,
    "keyed hash": lambda s: s.keyed_hash("text"),
}
OTHERS: dict[str, StackSecrets] = {
    "root secret": replace(USUAL, root_secret="fedcba9876543210" * 4),
    "stack": replace(USUAL, stack="full-other"),
    "epoch": replace(USUAL, epoch=2),
}


def fresh(secrets: StackSecrets) -> StackSecrets:
    """The same without anything cached."""
    return replace(secrets)


def loaded(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


@pytest.mark.parametrize("kind", DERIVED)
def test_the_same_inputs_give_the_same_bytes(kind: str) -> None:
    assert DERIVED[kind](fresh(USUAL)) == DERIVED[kind](fresh(USUAL))


@pytest.mark.parametrize("kind", DERIVED)
@pytest.mark.parametrize("changed", OTHERS)
def test_another_root_secret_stack_or_epoch_changes_everything(kind: str, changed: str) -> None:
    assert DERIVED[kind](USUAL) != DERIVED[kind](OTHERS[changed])


@pytest.mark.parametrize("derive", [StackSecrets.password, lambda s, name: s.host_key(name).private])
def test_another_name_gives_another_secret(derive: Callable[[StackSecrets, str], str]) -> None:
    names = ["core-1", "core-2", "database/core", "database/gui", "gui"]
    assert len({derive(USUAL, name) for name in names}) == len(names)


def test_the_same_name_gives_different_secrets_for_different_purposes() -> None:
    certificate = USUAL.certificate("core-1")
    assert len({USUAL.password("core-1"), USUAL.host_key("core-1").private, certificate.key}) == 3


def test_a_password_is_192_bits_that_need_no_quoting_in_sql_json_or_a_shell() -> None:
    password = USUAL.password("gui")
    assert len(password) == 32
    assert set(password) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@settings(max_examples=50)
@given(st.dates(FIRST_DAY, date(2060, 1, 1)))
def test_a_certificate_is_valid_on_the_day_it_is_made_and_until_well_after_the_next(today: date) -> None:
    secrets = replace(USUAL, today=today)
    noon = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
    for pem in (secrets.authority, secrets.certificate("core-1").certificate):
        made = loaded(pem)
        assert made.not_valid_before_utc < noon
        assert made.not_valid_after_utc > noon + LEAF_LIFE - PERIOD - timedelta(days=1)


def test_a_preview_on_another_day_of_the_period_is_the_same() -> None:
    first = replace(USUAL, today=FIRST_DAY)
    last = replace(USUAL, today=FIRST_DAY + PERIOD - timedelta(days=1))
    assert all(derive(first) == derive(last) for derive in DERIVED.values())


def test_a_new_period_gives_new_dates_and_serials_and_keeps_every_key() -> None:
    now, later = replace(USUAL, today=FIRST_DAY), replace(USUAL, today=FIRST_DAY + PERIOD)
    assert now.certificate("core-1").key == later.certificate("core-1").key
    for old, new in (
        (now.authority, later.authority),
        (now.certificate("core-1").certificate, later.certificate("core-1").certificate),
    ):
        assert loaded(old).public_key() == loaded(new).public_key()
        assert loaded(old).serial_number != loaded(new).serial_number
        assert loaded(new).not_valid_before_utc - loaded(old).not_valid_before_utc == PERIOD
    assert (now.password("gui"), now.host_key("gui")) == (later.password("gui"), later.host_key("gui"))


def verifier(authority: str, at: datetime) -> verification.PolicyBuilder:
    """What TLS checks of a chain: dates, signature, names, usage; RFC 5280's key identifiers are no must."""
    anything = verification.ExtensionPolicy.permit_all()
    authorities = anything.require_present(
        x509.BasicConstraints, verification.Criticality.CRITICAL, None
    ).require_present(x509.KeyUsage, verification.Criticality.CRITICAL, None)
    leaves = anything.require_present(x509.SubjectAlternativeName, verification.Criticality.AGNOSTIC, None)
    return (
        verification.PolicyBuilder()
        .store(verification.Store([loaded(authority)]))
        .time(at)
        .extension_policies(ca_policy=authorities, ee_policy=leaves)
    )


@pytest.mark.parametrize("name", [x509.DNSName("database-1"), x509.IPAddress(ipaddress.ip_address(ADDRESS))], ids=str)
@pytest.mark.parametrize("periods", [(0, 0), (0, 1), (1, 0), (3, 2)], ids=lambda p: f"authority {p[0]}, leaf {p[1]}")
def test_a_leaf_verifies_under_the_authority_of_its_own_and_of_the_neighbouring_period(
    periods: tuple[int, int], name: x509.verification.Subject
) -> None:
    authority, leaf = (replace(USUAL, today=FIRST_DAY + number * PERIOD) for number in periods)
    at = datetime.combine(FIRST_DAY + max(periods) * PERIOD, datetime.min.time())
    made = loaded(leaf.certificate("database-1", ADDRESS).certificate)
    chain = verifier(authority.authority, at).build_server_verifier(name).verify(made, [])
    assert chain[0] == made


def test_a_client_certificate_verifies() -> None:
    made = loaded(USUAL.certificate("balancer-1", ADDRESS).certificate)
    at = datetime.combine(USUAL.today, datetime.min.time())
    assert verifier(USUAL.authority, at).build_client_verifier().verify(made, []).chain[0] == made


@pytest.mark.parametrize(
    "name", [x509.DNSName("database-2"), x509.IPAddress(ipaddress.ip_address("10.0.0.22"))], ids=str
)
def test_a_leaf_is_not_valid_for_another_host(name: x509.verification.Subject) -> None:
    made = loaded(USUAL.certificate("database-1", ADDRESS).certificate)
    at = datetime.combine(USUAL.today, datetime.min.time())
    with pytest.raises(verification.VerificationError):
        verifier(USUAL.authority, at).build_server_verifier(name).verify(made, [])


@pytest.mark.parametrize("changed", OTHERS)
def test_a_leaf_of_another_stack_epoch_or_root_secret_is_refused(changed: str) -> None:
    stranger = loaded(OTHERS[changed].certificate("database-1", ADDRESS).certificate)
    at = datetime.combine(USUAL.today, datetime.min.time())
    with pytest.raises(verification.VerificationError):
        verifier(USUAL.authority, at).build_server_verifier(x509.DNSName("database-1")).verify(stranger, [])


def test_a_leaf_can_sign_no_other_certificate() -> None:
    made = loaded(USUAL.certificate("core-1").certificate)
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_the_authority_outlives_its_leaves() -> None:
    assert AUTHORITY_LIFE >= LEAF_LIFE > PERIOD


@pytest.mark.skipif(not which("openssl"), reason="there is no openssl")
def test_openssl_accepts_the_chain_and_the_key(tmp_path: Path) -> None:
    pair = USUAL.certificate("database-1", ADDRESS)
    for name, text in (("ca", USUAL.authority), ("leaf", pair.certificate), ("key", pair.key)):
        (tmp_path / name).write_text(text)
    at = str(int(datetime.combine(USUAL.today, datetime.min.time(), UTC).timestamp()))
    check = [
        "openssl",
        "verify",
        "-CAfile",
        "ca",
        "-attime",
        at,
        "-verify_ip",
        ADDRESS,
        "-purpose",
        "sslserver",
        "leaf",
    ]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for words in (["pkey", "-in", "key", "-pubout"], ["x509", "-in", "leaf", "-noout", "-pubkey"]):
        done = subprocess.run(["openssl", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.stdout == public_pem(pair.key), done.stderr


def public_pem(private: str) -> str:
    key = serialization.load_pem_private_key(private.encode(), password=None)
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, spki).decode()


def test_the_ssh_host_key_is_one_pair() -> None:
    pair = USUAL.host_key("core-1")
    public = asyncssh.import_private_key(pair.private).export_public_key("openssh").decode()
    assert public.split()[:2] == pair.public.split()[:2]
    assert pair.public.split()[0] == "ecdsa-sha2-nistp256"
    assert "\n" not in pair.public


@pytest.mark.skipif(not which("ssh-keygen"), reason="there is no ssh-keygen")
def test_openssh_takes_the_host_key(tmp_path: Path) -> None:
    pair = USUAL.host_key("core-1")
    path = tmp_path / "ssh_host_ecdsa_key"
    path.touch(0o600)
    path.write_text(pair.private)
    done = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=False)
    assert done.stdout.split()[:2] == pair.public.split()[:2], done.stderr


def test_private_keys_are_on_the_curve_of_the_certificate() -> None:
    key = serialization.load_pem_private_key(USUAL.certificate("core-1").key.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"


def test_a_keyed_hash_tells_equal_from_different_and_nothing_else() -> None:
    assert USUAL.keyed_hash("protected: true") == fresh(USUAL).keyed_hash("protected: true")
    assert USUAL.keyed_hash("protected: true") != USUAL.keyed_hash("protected: false")
    guesses = {stack.keyed_hash("protected: true") for stack in OTHERS.values()}
    assert USUAL.keyed_hash("protected: true") not in guesses
    assert len(USUAL.keyed_hash("")) == 64


def test_the_root_secret_stands_in_nothing_that_is_derived() -> None:
    assert not [kind for kind, derive in DERIVED.items() if USUAL.root_secret in derive(USUAL)]
