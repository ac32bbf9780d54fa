"""SOAP services believe an assertion that its issuer signed as a whole for them, now, and nothing that is like one
(IHE XUA)."""

import asyncio
import base64
import re
import time

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from gateway.audit.record import Outcome
from gateway.audit.transactions import LOGIN
from gateway.ebxml.stored_queries import write_query
from gateway.model import Cx
from gateway.model.query import FindDocuments, GetDocuments
from gateway.soap.envelope import read_envelope, write_envelope
from tests.certificates import Authority, self_signed
from tests.security import assertions
from tests.security.assertions import DS, EXCLUSIVE, SAML, SIGNER, signed, text
from tests.system.documents import a_patient
from tests.system.stack import running_stack

WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
SOAP = "http://www.w3.org/2003/05/soap-envelope"
XSPA = "urn:oasis:names:tc:xspa:1.0:subject:"
RESOURCE = "urn:oasis:names:tc:xacml:2.0:resource:resource-id"
CA = Authority("Assertion authority")
BY_CA = CA.certify("signer of idp-ca", "urn:idp-ca", kind="rsa")
OTHER_NAME = CA.certify("somebody else", kind="rsa")

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Service:
    """A gateway that answers other communities which show who asks, and the registry's view of what it sends on."""

    def __init__(self, stack):
        self.stack = stack
        self.url = stack.base_url.removesuffix("/fhir")

    async def ask(self, header, *, path="/xca/gateway", action="CrossGatewayQuery", body=None, before=""):
        """Post a query with this text in its SOAP header; HTTP status, the envelope, calls to the domain."""
        if body is None:
            body = write_query(FindDocuments(patient_id=Cx("1", "2.999.1.1")), "LeafClass")
        envelope = write_envelope(
            body,
            action=f"urn:ihe:iti:2007:{action}",
            message_id="urn:uuid:6d296e90-e5dc-43d0-b455-7c1f3eb35d83",
            header_blocks=[header.encode()] if header else [],
        )
        calls = sum(self.stack.soap_calls.values())
        async with self.stack.session.post(
            self.url + path,
            data=envelope,
            headers={"Content-Type": "application/soap+xml; charset=UTF-8"},
        ) as answer:
            content = await answer.read()
            return (
                answer.status,
                read_envelope(etree.fromstring(content)),
                sum(self.stack.soap_calls.values()) - calls,
            )

    async def refusal(self, header, **more):
        """Local name of the WS-Security fault that a header gets, which asks nobody and is recorded as a
        failed authentication, once."""
        before = time.time()
        status, envelope, calls = await self.ask(header, **more)
        records = self.stack.parts.trail.queue.find(before, time.time() + 1, 10)
        failed = [record for record in records if record.transaction == LOGIN]
        assert [record.outcome for record in failed] == [Outcome.SERIOUS]
        assert envelope.fault is not None, "it was believed"
        assert (status, envelope.fault.code, calls) == (500, "Sender", 0)
        (subcode,) = envelope.fault.subcodes
        assert subcode.startswith(f"{{{WSSE}}}")
        return subcode.partition("}")[2]

    async def believed(self, header, **more):
        status, envelope, calls = await self.ask(header, **more)
        assert envelope.fault is None, envelope.fault
        return status == 200 and calls > 0


def security(*contents, attributes="s:mustUnderstand='1'"):
    return f"<wsse:Security xmlns:wsse='{WSSE}' xmlns:s='{SOAP}' {attributes}>{''.join(contents)}</wsse:Security>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("assertions")
    pinned, authority, expired = folder / "idp.pem", CA.write(folder), folder / "expired.pem"
    pinned.write_bytes(SIGNER.pem)
    expired.write_bytes(EXPIRED.pem)
    accept = {
        "audiences": [assertions.AUDIENCE, "https://ncp.example/xca"],
        "issuers": [
            {"issuer": assertions.ISSUER, "certificates_file": str(pinned)},
            {"issuer": "urn:idp-ca", "certificates_file": str(authority), "names": ["urn:idp-ca"]},
            {"issuer": "urn:no-names", "certificates_file": str(authority)},
            {"issuer": "urn:expired", "certificates_file": str(expired)},
        ],
        "optional_at": ["/xds/registry"],
    }
    async with running_stack(
        folder / "stack",
        home_community_id="2.999.5",
        responding_gateway={"enabled": True},
        xds_server={"enabled": True},
        security={"access": "open", "assertions": {"accept": accept}},
    ) as stack:
        yield Service(stack)


EXPIRED = self_signed("expired", kind="rsa", days=(-30, -1))


@pytest.mark.parametrize(
    "assertion",
    [
        {},
        {"show": False},
        {"audiences": (("urn:other", assertions.AUDIENCE), ("https://ncp.example/xca",))},
        {"issued": 30, "starts": 30},
        {"starts": -400, "ends": -30},
        {"conditions": "<saml:ProxyRestriction Count='1'/>"},
        {"issuer": "urn:idp-ca", "signer": BY_CA},
        {"attributes": [(f"{XSPA}subject-id", "Dr. &lt;A&gt; Öst")]},
    ],
    ids=["plain", "no KeyInfo", "audiences", "skewed clock", "just ended", "proxy", "authority", "text"],
)
async def test_a_good_assertion_is_believed(service, assertion):
    assert await service.believed(security(signed(**assertion)))


async def test_an_assertion_in_an_indented_header_beside_others_blocks_is_believed(service):
    header = (
        "<x:Other xmlns:x='urn:x'/>\n  "
        + security("\n   ", signed(), "\n  ", attributes="s:mustUnderstand='true'")
        + "\n"
    )
    assert await service.believed(header)


async def test_one_assertion_serves_several_requests(service):
    header = security(signed())
    assert await service.believed(header)
    assert await service.believed(header)


async def test_an_assertion_that_says_one_time_use_serves_one_request(service):
    header = security(signed(conditions="<saml:OneTimeUse/>"))
    assert await service.believed(header)
    assert await service.refusal(header) == "InvalidSecurityToken"


async def test_without_an_assertion_nothing_is_answered_but_where_it_is_optional(service):
    assert await service.refusal("") == "InvalidSecurity"
    assert await service.believed("", path="/xds/registry", action="RegistryStoredQuery")
    bad = security(text())
    assert await service.refusal(bad, path="/xds/registry", action="RegistryStoredQuery") == "FailedCheck"


def tampered_subject():
    return signed().replace("user-1", "user-2")


def other_key_in_key_info():
    """Signed by an attacker whose certificate says who it is."""
    return signed(signer=self_signed("idp", kind="rsa"))


def key_value_only():
    attacker = self_signed("attacker", kind="rsa")
    numbers = attacker.key.public_key().public_numbers()

    def number(value):
        return base64.b64encode(value.to_bytes((value.bit_length() + 7) // 8)).decode()

    key = (
        f"<ds:KeyInfo xmlns:ds='{DS}'><ds:KeyValue><ds:RSAKeyValue><ds:Modulus>{number(numbers.n)}</ds:Modulus>"
        f"<ds:Exponent>{number(numbers.e)}</ds:Exponent></ds:RSAKeyValue></ds:KeyValue></ds:KeyInfo>"
    )
    return signed(signer=attacker, show=False, more=key)


def hmac_with_public_key():
    return signed(method="http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")


REFUSED = {
    "not signed": (text, "FailedCheck"),
    "subject changed": (tampered_subject, "FailedCheck"),
    "other signer": (other_key_in_key_info, "FailedCheck"),
    "signer by KeyValue": (key_value_only, "FailedCheck"),
    "HMAC": (hmac_with_public_key, "UnsupportedAlgorithm"),
    "SHA-1 signature": (lambda: signed(method=f"{DS}rsa-sha1"), "UnsupportedAlgorithm"),
    "SHA-1 digest": (lambda: signed(digest_method=f"{DS}sha1"), "UnsupportedAlgorithm"),
    "inclusive canonical form": (
        lambda: signed(canonical="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"),
        "UnsupportedAlgorithm",
    ),
    "comments signed": (lambda: signed(canonical=f"{EXCLUSIVE}WithComments"), "UnsupportedAlgorithm"),
    "XPath transform": (
        lambda: signed(transforms=(assertions.ENVELOPED, "http://www.w3.org/TR/1999/REC-xpath-19991116")),
        "UnsupportedAlgorithm",
    ),
    "XSLT transform": (
        lambda: signed(
            transforms=(assertions.ENVELOPED, "http://www.w3.org/TR/1999/REC-xslt-19991116", EXCLUSIVE)
        ),
        "UnsupportedAlgorithm",
    ),
    "no enveloped transform": (lambda: signed(transforms=(EXCLUSIVE,)), "UnsupportedAlgorithm"),
    "whole document": (lambda: signed(uri=""), "FailedCheck"),
    "other document": (lambda: signed(uri="http://127.0.0.1:9/assertion"), "FailedCheck"),
    "content of its own": (lambda: signed(more=f"<ds:Object xmlns:ds='{DS}'/>"), "FailedCheck"),
    "other issuer": (lambda: signed(issuer="https://other.example"), "FailedAuthentication"),
    "issuer of another's key": (lambda: signed(issuer="urn:idp-ca"), "FailedAuthentication"),
    "other name": (lambda: signed(issuer="urn:idp-ca", signer=OTHER_NAME), "FailedAuthentication"),
    "authority without names": (lambda: signed(issuer="urn:no-names", signer=BY_CA), "FailedCheck"),
    "expired certificate": (lambda: signed(issuer="urn:expired", signer=EXPIRED), "FailedAuthentication"),
    "expired": (lambda: signed(starts=-400, ends=-120), "InvalidSecurityToken"),
    "not yet valid": (lambda: signed(starts=120, ends=300), "InvalidSecurityToken"),
    "issued later": (lambda: signed(issued=120), "InvalidSecurityToken"),
    "valid for a day": (lambda: signed(ends=86_400), "InvalidSecurityToken"),
    "other audience": (lambda: signed(audiences=(("urn:other",),)), "InvalidSecurityToken"),
    "one of two audiences": (
        lambda: signed(audiences=((assertions.AUDIENCE,), ("urn:other",))),
        "InvalidSecurityToken",
    ),
    "no audience": (lambda: signed(audiences=()), "InvalidSecurityToken"),
    "empty audience": (lambda: signed(audiences=((),)), "InvalidSecurityToken"),
    "unknown condition": (
        lambda: signed(conditions="<x:Only xmlns:x='urn:x'/>"),
        "InvalidSecurityToken",
    ),
    "no AuthnStatement": (lambda: signed(authentication=False), "InvalidSecurityToken"),
    "no confirmation": (lambda: signed(confirmation=""), "FailedAuthentication"),
    "sender vouches": (
        lambda: signed(
            confirmation="<saml:SubjectConfirmation Method='urn:oasis:names:tc:SAML:2.0:cm:sender-vouches'/>"
        ),
        "FailedAuthentication",
    ),
    "confirmation for another": (
        lambda: signed(
            confirmation="<saml:SubjectConfirmation Method='urn:oasis:names:tc:SAML:2.0:cm:bearer'>"
            "<saml:SubjectConfirmationData Recipient='https://other.example'/></saml:SubjectConfirmation>"
        ),
        "FailedAuthentication",
    ),
    "confirmation ended": (
        lambda: signed(
            confirmation="<saml:SubjectConfirmation Method='urn:oasis:names:tc:SAML:2.0:cm:bearer'>"
            f"<saml:SubjectConfirmationData NotOnOrAfter='{assertions.instant(-120)}'/></saml:SubjectConfirmation>"
        ),
        "FailedAuthentication",
    ),
    "holder of another key": (
        lambda: signed(
            confirmation="<saml:SubjectConfirmation Method='urn:oasis:names:tc:SAML:2.0:cm:holder-of-key'>"
            f"<saml:SubjectConfirmationData><ds:KeyInfo xmlns:ds='{DS}'><ds:X509Data><ds:X509Certificate>"
            f"{base64.b64encode(SIGNER.certificate.public_bytes(Encoding.DER)).decode()}"
            "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></saml:SubjectConfirmationData>"
            "</saml:SubjectConfirmation>"
        ),
        "FailedAuthentication",
    ),
    "no NameID": (lambda: signed(name_id=""), "InvalidSecurityToken"),
    "SAML 1.1": (lambda: signed(version="1.1"), "UnsupportedSecurityToken"),
    "encrypted": (
        lambda: f"<saml:EncryptedAssertion xmlns:saml='{SAML}'/>",
        "UnsupportedSecurityToken",
    ),
    "user name": (
        lambda: "<wsse:UsernameToken><wsse:Username>a</wsse:Username></wsse:UsernameToken>",
        "InvalidSecurity",
    ),
    "not a time": (
        lambda: signed(re.sub("NotOnOrAfter='[^']*'", "NotOnOrAfter='tomorrow'", text())),
        "InvalidSecurityToken",
    ),
}


@pytest.mark.parametrize("attack", REFUSED)
async def test_what_is_not_good_is_refused_with_the_fault_of_ws_security_and_asks_nobody(service, attack):
    made, fault = REFUSED[attack]
    assert await service.refusal(security(made())) == fault


def evil(identifier="_evil"):
    """What an attacker wants to be read."""
    return text(identifier=identifier, name_id="admin")


def split(assertion):
    """A signed assertion without its signature, and the signature."""
    root = etree.fromstring(assertion)
    signature = root.find(f"{{{DS}}}Signature")
    root.remove(signature)
    return etree.tostring(root).decode(), etree.tostring(signature).decode()


def id_of(assertion):
    return etree.fromstring(assertion).get("ID")


def inside(assertion, content, after="</saml:Issuer>"):
    return assertion.replace(after, after + content, 1)


def wrapped(kind):
    """Moves of a signed assertion that leave its signature good (signature wrapping, XSW1 to XSW8 and kin)."""
    good = signed()
    bare, signature = split(good)
    moved = signature.replace("</ds:Signature>", f"<ds:Object>{bare}</ds:Object></ds:Signature>")
    return {
        "evil first, signed beside it": security(evil(), good),
        "signed first, evil beside it": security(good, evil()),
        "evil has the signature, signed in its Object": security(inside(evil(), moved)),
        "evil has the signature, signed beside it": security(inside(evil(), signature), bare),
        "evil around the signed": security(inside(evil(), good)),
        "evil around the signed, at the end": security(
            evil().replace("</saml:Assertion>", f"{good}</saml:Assertion>")
        ),
        "signed around the evil": security(good.replace("</saml:Assertion>", f"{evil()}</saml:Assertion>")),
        "same id twice": security(
            inside(evil(id_of(good)), signature), f"<x:Old xmlns:x='urn:x'>{bare}</x:Old>"
        ),
        "same id in a header block": f"<x:Old xmlns:x='urn:x' Id='{id_of(good)}'/>" + security(good),
        "signed in another header block": f"<x:Old xmlns:x='urn:x'>{good}</x:Old>"
        + security(inside(evil(), signature)),
        "signed in a second Security": security(evil()) + security(good),
        "signed for another role": security(evil()) + security(good, attributes=f"s:role='{SOAP}/role/none'"),
        "signed deeper in Security": security(
            f"<wsse:SecurityTokenReference>{good}</wsse:SecurityTokenReference>"
        ),
        "evil with extensions around the signed": security(
            evil().replace("</saml:Conditions>", f"</saml:Conditions><saml:Advice>{good}</saml:Advice>")
        ),
        "signature beside": security(evil(), signature),
        "two signatures": security(inside(good, signature)),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "evil first, signed beside it",
        "signed first, evil beside it",
        "evil has the signature, signed in its Object",
        "evil has the signature, signed beside it",
        "evil around the signed",
        "evil around the signed, at the end",
        "signed around the evil",
        "same id twice",
        "same id in a header block",
        "signed in another header block",
        "signed in a second Security",
        "signed for another role",
        "signed deeper in Security",
        "evil with extensions around the signed",
        "signature beside",
        "two signatures",
    ],
)
async def test_a_signature_is_good_for_nothing_but_the_assertion_around_it(service, kind):
    assert await service.refusal(wrapped(kind)) in {"InvalidSecurity", "InvalidSecurityToken", "FailedCheck"}


async def test_an_assertion_in_the_body_does_not_count(service):
    body = write_query(FindDocuments(patient_id=Cx("1", "2.999.1.1")), "LeafClass")
    body.append(etree.fromstring(signed()))
    assert await service.refusal("", body=body) == "InvalidSecurity"
    assert await service.refusal(security(evil()), body=body) == "InvalidSecurity"


async def test_a_comment_in_a_name_does_not_cut_it(service, monkeypatch):
    seen = []
    whole = signed(name_id="admin@ncp.example<!-- -->.evil.example")
    from gateway.security import assertion_verifier

    verify = assertion_verifier.AssertionVerifier.in_message

    def look(*arguments):
        verified = verify(*arguments)
        seen.append(verified.claims.subject)
        return verified

    monkeypatch.setattr(assertion_verifier.AssertionVerifier, "in_message", look)
    assert "<!--" in whole
    assert await service.believed(security(whole))
    assert seen == ["admin@ncp.example.evil.example"], "what was signed, to its end"


async def test_a_patient_in_the_assertion_is_the_only_one_that_is_asked_about(service):
    mine, theirs = a_patient(), a_patient()
    header = security(signed(attributes=[(RESOURCE, f"{mine.id}^^^&amp;{mine.authority}&amp;ISO")]))

    def about(patient):
        return write_query(FindDocuments(patient_id=Cx(patient.id, patient.authority)), "LeafClass")

    assert await service.believed(header, body=about(mine))
    status, envelope, calls = await service.ask(header, body=about(theirs))
    assert (status, calls) == (400, 0)
    assert not envelope.fault.subcodes, "who asks is known; what is asked is not allowed"
    unreadable = security(signed(attributes=[(RESOURCE, "somebody")]))
    assert (await service.ask(unreadable, body=about(mine)))[2] == 0


async def test_certificates_of_an_issuer_are_exchanged_without_a_restart(tmp_path):
    old, new = SIGNER, self_signed("idp", kind="rsa")
    path = tmp_path / "idp.pem"
    path.write_bytes(old.pem)
    accept = {
        "audiences": [assertions.AUDIENCE],
        "issuers": [{"issuer": assertions.ISSUER, "certificates_file": str(path)}],
    }
    async with running_stack(
        tmp_path / "stack",
        home_community_id="2.999.5",
        responding_gateway={"enabled": True},
        security={"access": "open", "assertions": {"accept": accept}},
    ) as stack:
        service = Service(stack)
        kept = security(signed())
        assert await service.believed(kept)
        path.write_bytes(new.pem)
        async with asyncio.timeout(60):
            while (await service.ask(kept))[1].fault is None:
                await asyncio.sleep(0.1)
        assert await service.refusal(kept) == "FailedCheck", "though it was good before"
        assert await service.believed(security(signed(signer=new)))


async def test_each_service_asks_for_an_assertion(service):
    body = write_query(GetDocuments(unique_ids=("2.999.1",)), "LeafClass")
    for path, action in (
        ("/xca/gateway", "CrossGatewayQuery"),
        ("/xca/gateway", "CrossGatewayRetrieve"),
        ("/xds/repository", "RetrieveDocumentSet"),
    ):
        status, envelope, calls = await service.ask("", path=path, action=action, body=body)
        assert envelope.fault is not None and calls == 0, (path, status)
