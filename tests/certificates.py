"""An own authority and what it certifies, made for one test."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Certified:
    """A key and its certificate."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self):
        """The certificate and those of its issuers up to the root, which is left out."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in (self.certificate, *self.issuers))

    def key_pem(self, password: bytes | None = None):
        """The private key."""
        encryption = BestAvailableEncryption(password) if password else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    @property
    def fingerprint(self):
        """SHA-256 of the certificate, in hex."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def write(self, folder: Path, name: str):
        """Paths of `name.key` and `name.pem`."""
        folder.mkdir(parents=True, exist_ok=True)
        key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
        key.write_bytes(self.key_pem())
        certificate.write_bytes(self.pem)
        return key, certificate


class Authority:
    """Who certifies: a root, or what another one has `made` an authority."""

    def __init__(self, name: str = "Test authority", made: Certified | None = None):
        self._key = ec.generate_private_key(ec.SECP256R1()) if made is None else made.key
        self._name = _name(name)
        self.certificate = (
            _certificate(self._name, self._key.public_key(), self._name, self._key, ca=True)
            if made is None
            else made.certificate
        )
        self.pem = self.certificate.public_bytes(Encoding.PEM)

    def write(self, folder: Path, name: str = "ca"):
        """Path of its certificate."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.pem"
        path.write_bytes(self.pem)
        return path

    def certify(
        self,
        name: str,
        *names: str,
        kind: str = "ec",
        days: tuple[float, float] = (-1, 30),
        ca: bool = False,
    ):
        """A certificate for a common name and the DNS names, URIs and addresses that follow."""
        key = (
            rsa.generate_private_key(65537, 2048)
            if kind == "rsa"
            else ec.generate_private_key(ec.SECP256R1())
        )
        made = _certificate(_name(name), key.public_key(), self._name, self._key, names, days, ca=ca)
        return Certified(key, made)

    def subordinate(self, name: str):
        """An authority that this one certifies."""
        made = self.certify(name, ca=True)
        return Authority(name, made)

    def revocations(self, *revoked: "Certified | Authority", days: tuple[float, float] = (-1, 30)) -> bytes:
        """Its revocation list, in PEM, with these certificates on it."""
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now + datetime.timedelta(days=days[0]))
            .next_update(now + datetime.timedelta(days=days[1]))
        )
        for each in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(each.certificate.serial_number)
                .revocation_date(now)
                .build()
            )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


def self_signed(name: str = "sts", *, kind: str = "ec", days: tuple[float, float] = (-1, 30)):
    """A certificate that only itself speaks for."""
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    return Certified(key, _certificate(_name(name), key.public_key(), _name(name), key, (), days))


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(subject, public_key, issuer, key, names=(), days=(-1, 30), *, ca=False):
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=ca,
                crl_sign=ca,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if not ca:
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False
        )
    return builder.sign(key, hashes.SHA256())


def _alternative(name):
    if "://" in name or name.startswith("urn:"):
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
