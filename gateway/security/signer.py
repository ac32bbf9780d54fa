"""Key and certificate that sign assertions, from PEM files."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from lxml.etree import _Element
from msgspec import Struct
from signxml.algorithms import (
    CanonicalizationMethod,
    DigestAlgorithm,
    SignatureConstructionMethod,
    SignatureMethod,
)
from signxml.signer import XMLSigner

from gateway.watched_files import WatchedFiles

_SHORTEST_RSA: Final = 2048

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class SignerError(ValueError):
    """The files hold no key and certificate that can sign; the text says why and quotes nothing of them."""


class Signer(Struct, frozen=True):
    """Signs elements with an enveloped signature, exclusive canonical form, SHA-256."""

    key: PrivateKey
    certificates: tuple[x509.Certificate, ...]

    def sign(self, element: _Element, identifier: str) -> _Element:
        """A signed copy; its signature stands where `ds:Signature` with the Id `placeholder` was."""
        ecdsa = isinstance(self.key, ec.EllipticCurvePrivateKey)
        signer = XMLSigner(
            method=SignatureConstructionMethod.enveloped,
            signature_algorithm=SignatureMethod.ECDSA_SHA256 if ecdsa else SignatureMethod.RSA_SHA256,
            digest_algorithm=DigestAlgorithm.SHA256,
            c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
        )
        signed: _Element = signer.sign(
            element, key=self.key, cert=list(self.certificates), reference_uri=f"#{identifier}"
        )
        return signed


def watched_signer(
    key_file: Path, certificate_file: Path, password_file: Path | None = None
) -> Callable[[], Signer]:
    """The signer of files, also after they were exchanged. Raises SignerError and OSError."""

    def read() -> Signer:
        password = password_file.read_bytes().strip() if password_file else None
        return read_signer(key_file.read_bytes(), certificate_file.read_bytes(), password)

    files = (key_file, certificate_file, *((password_file,) if password_file else ()))
    return WatchedFiles(files, read)


def read_signer(key_pem: bytes, certificate_pem: bytes, password: bytes | None = None) -> Signer:
    """A signer of PEM texts. Raises SignerError."""
    try:
        key = load_pem_private_key(key_pem, password)
    except (ValueError, TypeError):
        raise SignerError("the key is no private key in PEM, or its password is another") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise SignerError("the key is neither RSA nor EC")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _SHORTEST_RSA:
        raise SignerError(f"the RSA key is shorter than {_SHORTEST_RSA} bits")
    try:
        certificates = x509.load_pem_x509_certificates(certificate_pem)
    except ValueError:
        raise SignerError("the certificate is none in PEM") from None
    if _public(certificates[0].public_key()) != _public(key.public_key()):
        raise SignerError("the first certificate is not that of the key")
    return Signer(key, tuple(certificates))


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded
