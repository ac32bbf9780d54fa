"""Assertions as an identity provider of another make writes them, and what attackers make of them."""

import base64
import copy
import datetime
import hashlib
import uuid

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from tests.certificates import self_signed

SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
DS = "http://www.w3.org/2000/09/xmldsig#"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f"{DS}enveloped-signature"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
ECDSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
ISSUER = "https://idp.example"
AUDIENCE = "urn:oid:2.999.7"
SIGNER = self_signed("idp", kind="rsa")


def instant(seconds):
    """A time that is so many seconds from now."""
    time = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def text(
    *,
    identifier=None,
    issuer=ISSUER,
    name_id="user-1",
    audiences=((AUDIENCE,),),
    starts=0,
    ends=300,
    issued=0,
    conditions="",
    confirmation='<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"/>',
    authentication=True,
    attributes=(),
    signature="",
    version="2.0",
):
    """An assertion that is not signed, in a style that no serialiser has."""
    restrictions = "".join(
        "<saml:AudienceRestriction>"
        + "".join(f"<saml:Audience>{a}</saml:Audience>" for a in names)
        + "</saml:AudienceRestriction>"
        for names in audiences
    )
    authentication = (
        f"<saml:AuthnStatement AuthnInstant='{instant(0)}'><saml:AuthnContext><saml:AuthnContextClassRef>"
        "urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext>"
        "</saml:AuthnStatement>"
        if authentication
        else ""
    )
    statements = "".join(
        f"<saml:Attribute Name='{name}'><saml:AttributeValue>{value}</saml:AttributeValue></saml:Attribute>"
        for name, value in attributes
    )
    statements = f"<saml:AttributeStatement>{statements}</saml:AttributeStatement>" if statements else ""
    return (
        f"<saml:Assertion   xmlns:saml='{SAML}' Version='{version}'\n"
        f" ID='{identifier or '_' + uuid.uuid4().hex}' IssueInstant='{instant(issued)}'>"
        f"<saml:Issuer>{issuer}</saml:Issuer>{signature}"
        f"<saml:Subject><saml:NameID>{name_id}</saml:NameID>{confirmation}</saml:Subject>"
        f"<saml:Conditions NotBefore='{instant(starts)}' NotOnOrAfter='{instant(ends)}'>"
        f"{restrictions}{conditions}</saml:Conditions>{authentication}{statements}</saml:Assertion>"
    )


def signed(
    assertion=None,
    *,
    signer=SIGNER,
    method=None,
    digest_method=SHA256,
    transforms=(ENVELOPED, EXCLUSIVE),
    canonical=EXCLUSIVE,
    uri=None,
    show=True,
    more="",
    **said,
):
    """The assertion (text) with an enveloped signature, made by the steps of XML Signature alone."""
    root = etree.fromstring(assertion or text(**said))
    hasher = hashlib.sha1 if digest_method.endswith("sha1") else hashlib.sha256
    digest = base64.b64encode(hasher(canonical_form(root)).digest()).decode()
    rsa = not isinstance(signer.key, ec.EllipticCurvePrivateKey)
    method = method or (RSA_SHA256 if rsa else ECDSA_SHA256)
    uri = f"#{root.get('ID')}" if uri is None else uri
    info = (
        f"<ds:SignedInfo xmlns:ds='{DS}'><ds:CanonicalizationMethod Algorithm='{canonical}'/>"
        f"<ds:SignatureMethod Algorithm='{method}'/><ds:Reference URI='{uri}'><ds:Transforms>"
        + "".join(f"<ds:Transform Algorithm='{each}'/>" for each in transforms)
        + f"</ds:Transforms><ds:DigestMethod Algorithm='{digest_method}'/>"
        f"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    )
    value = base64.b64encode(_sign(signer, canonical_form(etree.fromstring(info)), method)).decode()
    shown = base64.b64encode(signer.certificate.public_bytes(Encoding.DER)).decode()
    key = (
        f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{shown}</ds:X509Certificate>"
        + "".join(
            "<ds:X509Certificate>"
            + base64.b64encode(each.public_bytes(Encoding.DER)).decode()
            + "</ds:X509Certificate>"
            for each in signer.issuers
        )
        + "</ds:X509Data></ds:KeyInfo>"
        if show
        else ""
    )
    signature = etree.fromstring(
        f"<ds:Signature xmlns:ds='{DS}'>{info}<ds:SignatureValue>{value}</ds:SignatureValue>{key}{more}</ds:Signature>"
    )
    root.insert(1, signature)
    return etree.tostring(root).decode()


def canonical_form(element):
    """Exclusive canonical XML without comments."""
    return etree.tostring(copy.deepcopy(element), method="c14n", exclusive=True, with_comments=False)


def _sign(signer, content, method):
    algorithm = hashes.SHA1() if method.endswith("sha1") else hashes.SHA256()
    if isinstance(signer.key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(signer.key.sign(content, ec.ECDSA(algorithm)))
        return r.to_bytes(32) + s.to_bytes(32)
    return signer.key.sign(content, padding.PKCS1v15(), algorithm)


def as_token(assertion):
    """An access token of an assertion (text)."""
    return base64.urlsafe_b64encode(assertion.encode()).rstrip(b"=").decode()
