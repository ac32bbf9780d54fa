"""Certificate revocation lists (RFC 5280 5) in PEM files."""

import re
from typing import Final

from cryptography import x509

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_LABEL: Final = b"X509 CRL"


def read_revocations(pem: bytes) -> tuple[x509.CertificateRevocationList, ...]:
    """The lists of a PEM text. Raises ValueError where there is none, or something else besides."""
    blocks = list(_BLOCK.finditer(pem))
    # a certificate among them would be believed by what reads such files for lists and authorities alike
    if not blocks or any(block[1] != _LABEL for block in blocks):
        raise ValueError("holds not certificate revocation lists alone")
    return tuple(x509.load_pem_x509_crl(block[0]) for block in blocks)
