"""Verifies an enveloped signature by the steps of XML Signature 1.1, with another implementation than the gateway's:
libxml2's canonical forms and the signature primitives alone."""

import base64
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

DS = "{http://www.w3.org/2000/09/xmldsig#}"
SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"


def signed_by(envelope, certificate: x509.Certificate) -> bool:
    """Whether the one assertion in an envelope (bytes) is signed by the key of a certificate."""
    root = etree.fromstring(envelope)
    (assertion,) = root.iter(f"{SAML}Assertion")
    (signature,) = assertion.findall(f"{DS}Signature")
    info = signature.find(f"{DS}SignedInfo")
    (reference,) = info.findall(f"{DS}Reference")
    assert reference.get("URI") == f"#{assertion.get('ID')}"
    signed_info = etree.tostring(info, method="c14n", exclusive=True)
    value = base64.b64decode(signature.findtext(f"{DS}SignatureValue"))
    digest = base64.b64decode(reference.findtext(f"{DS}DigestValue"))
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(value, signed_info, padding.PKCS1v15(), hashes.SHA256())
    else:
        half = len(value) // 2
        numbers = (int.from_bytes(value[:half]), int.from_bytes(value[half:]))
        key.verify(encode_dss_signature(*numbers), signed_info, ec.ECDSA(hashes.SHA256()))
    # the tail text of the signature belongs to what is signed
    assert signature.tail is None
    assertion.remove(signature)
    return hashlib.sha256(etree.tostring(assertion, method="c14n", exclusive=True)).digest() == digest
