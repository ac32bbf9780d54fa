"""The shape that an assertion must have before its signature is looked at (IHE XUA, ITI TF-2 3.40.4.1.2;
SAML 2.0 core 5.4): what keeps a signature from being good for something else than what is read.

Nothing is searched for by its id, nor anywhere in a message: an assertion is the one child of the one
`wsse:Security`, its signature the one child of it, and what that refers to is the assertion itself.
"""

import re
from typing import Final

from lxml.etree import _Element
from signxml.algorithms import DigestAlgorithm, SignatureMethod

from gateway.model import codes

_SAML: Final = f"{{{codes.NS_SAML}}}"
_DS: Final = f"{{{codes.NS_DS}}}"
_SECURITY: Final = f"{{{codes.NS_WSSE}}}Security"
_INCLUDE: Final = f"{{{codes.NS_XOP}}}Include"
_ID = re.compile(r"[A-Za-z_][\w.\-]{0,255}")
_TRANSFORMS: Final = (codes.ENVELOPED_SIGNATURE, codes.NS_EXC_C14N)
SIGNATURE_METHODS: Final = frozenset(
    {
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.SHA256_RSA_MGF1,
        SignatureMethod.SHA384_RSA_MGF1,
        SignatureMethod.SHA512_RSA_MGF1,
        SignatureMethod.ECDSA_SHA256,
        SignatureMethod.ECDSA_SHA384,
        SignatureMethod.ECDSA_SHA512,
    }
)
DIGESTS: Final = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})
_METHOD_NAMES: Final = frozenset(method.value for method in SIGNATURE_METHODS)
_DIGEST_NAMES: Final = frozenset(digest.value for digest in DIGESTS)


class AssertionRefused(Exception):
    """An assertion is not believed. `kind` is the local name of the fault code of WS-Security 1.0 section 12;
    the text says why without anything of its content."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def assertions_in(root: _Element, header: _Element | None, most: int = 1) -> tuple[_Element, ...]:
    """The assertions of a message, one to `most`; none where it has no security header.

    Raises AssertionRefused.
    """
    blocks = [] if header is None else header.findall(_SECURITY)
    found = list(root.iter(f"{_SAML}Assertion", f"{_SAML}EncryptedAssertion"))
    if not blocks:
        if found:
            raise AssertionRefused("InvalidSecurity", "an assertion stands outside of wsse:Security")
        return ()
    if len(blocks) > 1:
        raise AssertionRefused("InvalidSecurity", "there is more than one wsse:Security")
    if not found:
        raise AssertionRefused("InvalidSecurity", "wsse:Security holds no assertion")
    if len(found) > most:
        raise AssertionRefused(
            "InvalidSecurity", f"there is more than {'one assertion' if most == 1 else most}"
        )
    for assertion in found:
        if assertion.getparent() is not blocks[0]:
            raise AssertionRefused("InvalidSecurity", "the assertion is not a child of wsse:Security")
        if assertion.get("ID") and not _is_alone(root, assertion.get("ID", "")):
            raise AssertionRefused("InvalidSecurity", "the ID of the assertion is not its alone")
    return tuple(found)


def _is_alone(root: _Element, identifier: str) -> bool:
    return root.xpath("count(//@*[. = $id])", id=identifier) == 1


def check_shape(assertion: _Element) -> None:
    """Raises AssertionRefused unless the assertion is of SAML 2.0, complete, and signed as a whole."""
    if assertion.tag == f"{_SAML}EncryptedAssertion":
        raise AssertionRefused("UnsupportedSecurityToken", "encrypted assertions are not read")
    if assertion.tag != f"{_SAML}Assertion" or assertion.get("Version") != "2.0":
        raise AssertionRefused("UnsupportedSecurityToken", "it is no assertion of SAML 2.0")
    if not _ID.fullmatch(assertion.get("ID") or "") or not assertion.get("IssueInstant"):
        raise AssertionRefused("InvalidSecurityToken", "it has no ID or no IssueInstant")
    if next(assertion.iterdescendants(_INCLUDE), None) is not None:
        raise AssertionRefused("InvalidSecurityToken", "part of it is outside of the message's XML")
    for local in ("Issuer", "Subject", "Conditions"):
        if len(assertion.findall(f"{_SAML}{local}")) != 1:
            raise AssertionRefused("InvalidSecurityToken", f"it has not one {local}")
    if assertion.find(f"{_SAML}AuthnStatement") is None:
        raise AssertionRefused("InvalidSecurityToken", "it has no AuthnStatement")
    if not _is_alone(assertion, assertion.get("ID") or ""):
        raise AssertionRefused("InvalidSecurityToken", "its ID is not its alone")
    if next(assertion.iterdescendants(f"{_SAML}Assertion"), None) is not None:
        raise AssertionRefused("InvalidSecurityToken", "there is another assertion in it")
    _check_signature(assertion)


def _check_signature(assertion: _Element) -> None:
    signatures = list(assertion.iterdescendants(f"{_DS}Signature"))
    if not signatures:
        raise AssertionRefused("FailedCheck", "it is not signed")
    if len(signatures) > 1 or signatures[0].getparent() is not assertion:
        raise AssertionRefused("FailedCheck", "its signature is not the one child that it may be")
    (signature,) = signatures
    info = signature.findall(f"{_DS}SignedInfo")
    references = list(signature.iterdescendants(f"{_DS}Reference"))
    if len(info) != 1 or len(references) != 1 or references[0].getparent() is not info[0]:
        raise AssertionRefused("FailedCheck", "its signature has not one reference")
    if next(signature.iterdescendants(f"{_DS}Object", f"{_DS}Manifest"), None) is not None:
        raise AssertionRefused("FailedCheck", "its signature brings content of its own")
    (reference,) = references
    if reference.get("URI") != f"#{assertion.get('ID')}":
        raise AssertionRefused("FailedCheck", "its signature refers to something else")
    transforms = tuple(
        each.get("Algorithm") for each in reference.iterfind(f"{_DS}Transforms/{_DS}Transform")
    )
    if transforms != _TRANSFORMS:
        raise AssertionRefused(
            "UnsupportedAlgorithm", "its transforms are not enveloped-signature and exclusive canonical XML"
        )
    _check_algorithms(info[0], reference)


def _check_algorithms(info: _Element, reference: _Element) -> None:
    for element, allowed in (
        (info.find(f"{_DS}CanonicalizationMethod"), frozenset({codes.NS_EXC_C14N})),
        (info.find(f"{_DS}SignatureMethod"), _METHOD_NAMES),
        (reference.find(f"{_DS}DigestMethod"), _DIGEST_NAMES),
    ):
        if element is None or element.get("Algorithm") not in allowed:
            raise AssertionRefused("UnsupportedAlgorithm", "an algorithm of its signature is not allowed")
