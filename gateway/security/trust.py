"""Whose signatures are believed: certificates by the issuer of an assertion, from PEM files."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from msgspec import Struct

_LONGEST_CHAIN: Final = 5
_SHORTEST_RSA: Final = 2048


def no_revocations() -> None:
    """Nobody looks at any."""


class TrustedIssuer(Struct, frozen=True):
    """An issuer of assertions.

    `anchors` gives certificates: those that sign themselves, and authorities, whose certificates are believed
    where they bear one of `names` (a common name, DNS name or URI). `scopes` are what its assertions open
    as access tokens. `revocations` gives the revocation lists of the authorities, None where nobody looks.
    """

    issuer: str
    anchors: Callable[[], Sequence[x509.Certificate]]
    names: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    revocations: Callable[[], Sequence[x509.CertificateRevocationList] | None] = no_revocations


def read_anchors(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Certificates of a PEM text. Raises ValueError where there is none."""
    return tuple(x509.load_pem_x509_certificates(pem))


def signing_certificates(
    trusted: TrustedIssuer, shown: Sequence[x509.Certificate], now: float
) -> list[x509.Certificate]:
    """Certificates whose key may have signed. `shown` are those that came with the signature, its own first:
    a hint, and what an authority has certified."""
    time = datetime.fromtimestamp(now, UTC)
    anchors = trusted.anchors()
    lists = trusted.revocations()
    found = [
        anchor
        for anchor in anchors
        if _valid(anchor, time)
        and _strong(anchor)
        and not (trusted.names and _is_authority(anchor))
        and not _revoked(anchor, anchors, lists, time)
    ]
    # the one that is shown is most likely the one
    found.sort(key=lambda anchor: anchor not in shown[:1])
    if shown and trusted.names and shown[0] not in found:
        own = shown[0]
        if (
            _valid(own, time)
            and _strong(own)
            and _may_sign(own)
            and not trusted.names.isdisjoint(names_of(own))
            and _certified(own, shown[1:_LONGEST_CHAIN], anchors, time, lists)
        ):
            found.insert(0, own)
    return found


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """Common names, DNS names and URIs of a certificate."""
    names = {str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset(names)
    names.update(found.get_values_for_type(x509.DNSName))
    names.update(found.get_values_for_type(x509.UniformResourceIdentifier))
    return frozenset(names)


def _certified(
    certificate: x509.Certificate,
    between: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    time: datetime,
    lists: Sequence[x509.CertificateRevocationList] | None,
) -> bool:
    authorities = [
        anchor
        for anchor in anchors
        if _is_authority(anchor) and _valid(anchor, time) and not _revoked(anchor, anchors, lists, time)
    ]
    intermediate = [each for each in between if _is_authority(each) and _valid(each, time)]
    current = certificate
    for _ in range(_LONGEST_CHAIN):
        if any(_issued(current, each) and _stands(current, each, lists, time) for each in authorities):
            return True
        above = next((each for each in intermediate if _issued(current, each)), None)
        if above is None or not _stands(current, above, lists, time):
            return False
        intermediate.remove(above)
        current = above
    return False


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _stands(
    certificate: x509.Certificate,
    authority: x509.Certificate,
    lists: Sequence[x509.CertificateRevocationList] | None,
    time: datetime,
) -> bool:
    """Whether the authority that issued a certificate still stands by it; without lists it does."""
    if lists is None:
        return True
    published = _published(lists, authority, time)
    return any(_current(each, time) for each in published) and not any(
        _lists(each, certificate) for each in published
    )


def _revoked(
    anchor: x509.Certificate,
    anchors: Sequence[x509.Certificate],
    lists: Sequence[x509.CertificateRevocationList] | None,
    time: datetime,
) -> bool:
    """What is named in the settings itself is believed without a list, and not against one."""
    return any(_lists(each, anchor) for above in anchors for each in _published(lists, above, time))


def _current(revocations: x509.CertificateRevocationList, time: datetime) -> bool:
    return revocations.next_update_utc is not None and time <= revocations.next_update_utc


def _published(
    lists: Sequence[x509.CertificateRevocationList] | None, authority: x509.Certificate, time: datetime
) -> list[x509.CertificateRevocationList]:
    """Lists of an authority up to now, those that have ended too: whom they name stays revoked."""
    key = authority.public_key()
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return []
    return [
        each
        for each in lists or ()
        if each.issuer == authority.subject and each.last_update_utc <= time and each.is_signature_valid(key)
    ]


def _lists(revocations: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    if revocations.issuer != certificate.issuer:
        return False
    return revocations.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None


def _valid(certificate: x509.Certificate, time: datetime) -> bool:
    return certificate.not_valid_before_utc <= time <= certificate.not_valid_after_utc


def _strong(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= _SHORTEST_RSA
    return isinstance(key, ec.EllipticCurvePublicKey)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _may_sign(certificate: x509.Certificate) -> bool:
    if _is_authority(certificate):
        return False
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        return True
