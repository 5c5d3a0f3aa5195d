"""Everything secret of a stack, derived from its one `root_secret`.

A pure function of (root secret, epoch, name, period): previews are stable, nothing is stored, and a changed
`secrets_epoch` changes everything. Certificates get new dates once every `PERIOD`, long before they end, and keep
their keys, so old and new ones accept each other while hosts are updated one after another.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CURVE = ec.SECP256R1()
CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of P-256 (FIPS 186-4, D.1.2.3)."""

FIRST_DAY = date(2026, 1, 1)
PERIOD = timedelta(days=550)
LEAF_LIFE = timedelta(days=730)
AUTHORITY_LIFE = timedelta(days=3650)


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str


@dataclass(frozen=True)
class HostKey:
    """An SSH host key: `private` is PEM, `public` one line as in known_hosts without the host."""

    private: str
    public: str


@dataclass(frozen=True)
class StackSecrets:
    """The secrets of one stack; `today` only chooses the period of certificates."""

    root_secret: str
    stack: str
    epoch: int
    today: date

    def password(self, name: str) -> str:
        """32 characters of A-Z a-z 0-9 - _ (192 bits)."""
        return base64.urlsafe_b64encode(self._derive(f"password/{name}", 24)).decode()

    def host_key(self, host: str) -> HostKey:
        """The SSH host key of a host."""
        key = self._key(f"ssh/{host}")
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        return HostKey(_pem(key), public.decode())

    @cached_property
    def authority(self) -> str:
        """The certificate of the stack's own authority, PEM."""
        key = self._key("authority")
        name = _name(f"{self.stack} authority")
        builder = self._builder(name, name, key.public_key(), "authority", AUTHORITY_LIFE)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_AUTHORITY_USAGE, critical=True)
        return _signed(builder, key)

    def certificate(self, name: str, *addresses: str) -> Certificate:
        """For server and client authentication, valid for `name` and the IP `addresses`."""
        key = self._key(f"tls/{name}")
        authority = self._key("authority")
        builder = self._builder(
            _name(name), _name(f"{self.stack} authority"), key.public_key(), f"tls/{name}", LEAF_LIFE
        )
        names = [x509.DNSName(name), *(x509.IPAddress(ipaddress.ip_address(a)) for a in addresses)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_LEAF_USAGE, critical=False)
        return Certificate(_signed(builder, authority), _pem(key))

    def keyed_hash(self, text: str) -> str:
        """A fingerprint that tells nothing of a guessable text to those without the root secret; hex."""
        return hmac.new(self._derive("fingerprint", 32), text.encode(), "sha256").hexdigest()

    def _derive(self, purpose: str, length: int) -> bytes:
        info = f"m2/{self.stack}/{self.epoch}/{purpose}".encode()
        return HKDF(hashes.SHA256(), length, salt=None, info=info).derive(self.root_secret.encode())

    def _key(self, purpose: str) -> ec.EllipticCurvePrivateKey:
        number = int.from_bytes(self._derive(f"key/{purpose}", 48), "big") % (CURVE_ORDER - 1) + 1
        return ec.derive_private_key(number, CURVE)

    def _builder(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        key: ec.EllipticCurvePublicKey,
        purpose: str,
        life: timedelta,
    ) -> x509.CertificateBuilder:
        begin = self._period_begin
        serial = self._derive(f"serial/{purpose}/{begin}", 16)
        start = datetime(begin.year, begin.month, begin.day, tzinfo=UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(int.from_bytes(serial, "big") >> 1)
            .not_valid_before(start - timedelta(days=2))
            .not_valid_after(start + life)
        )

    @property
    def _period_begin(self) -> date:
        return FIRST_DAY + (self.today - FIRST_DAY) // PERIOD * PERIOD


_AUTHORITY_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_LEAF_USAGE = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> str:
    certificate = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
