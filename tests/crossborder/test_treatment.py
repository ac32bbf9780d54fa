"""Communities that demand an assertion of the treatment relationship (eHDSI TRC) beside that of who asks: given
to them, and asked for by this one."""

import base64
import html
from datetime import datetime

import pytest
import pytest_asyncio
from lxml import etree

from gateway.demo.bundles import provide_bundle
from gateway.ebxml.stored_queries import write_query
from gateway.model import Cx
from gateway.model.query import FindDocuments
from tests.certificates import self_signed
from tests.crossborder.neighbours import OWN, neighbours
from tests.security import assertions
from tests.security.assertions import AUDIENCE, ISSUER, SIGNER, signed, text
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack
from tests.system.test_assertions_of_others import RESOURCE, XSPA, Service, id_of, security
from tests.system.test_assertions_to_peers import NS, attributes, copied, envelope_of

BORDER = "urn:ehdsi:assertions.audience:x-border"
NEEDED = ["/xca/gateway", "/xca-i/imaging"]
VOUCHED = '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"/>'
HCP, TRC = "urn:ehdsi:assertions:hcp", "urn:ehdsi:assertions:trc"


# --- between two gateways -----------------------------------------------------------------------------------
async def test_a_community_gets_both_assertions_and_gives_documents_of_that_patient(tmp_path):
    own = self_signed("sts")
    key, certificate = own.write(tmp_path, "sts")
    issue = {
        "issuer": "urn:idp:at:countryB",
        "treatment_issuer": "urn:initgw:at:countryB",
        "key_file": str(key),
        "certificate_file": str(certificate),
        "attributes": {"urn:oasis:names:tc:xspa:1.0:environment:locality": ["Hospital A"]},
    }
    trusted = {"certificates_file": str(certificate)}
    accept = {
        "audiences": [BORDER],
        "issuers": [{"issuer": issue[name], **trusted} for name in ("issuer", "treatment_issuer")],
        "treatment_at": NEEDED,
        "sender_vouches": True,
    }
    changes = {"assertion": "issue", "treatment": True, "audience": BORDER}
    patient, document = a_patient(), a_document()
    async with neighbours(
        tmp_path,
        "1",
        own={"security": {"access": "open", "assertions": {"issue": issue}}},
        changes={"1": changes},
        theirs={"1": {"security": {"access": "open", "assertions": {"accept": accept}}}},
    ) as around:
        status, _ = await around.by_name["1"].stack.publish(provide_bundle([document], patient=patient))
        assert status == 200
        query = {
            "patient__identifier": patient.token,
            "status": "current",
            "targetCommunityIdList": f"{OWN}.1",
        }
        (found,) = await around.front.find(**query)
        status, _, content = await around.front.download(found)
        assert (status, content) == (200, document.content), "the URL says whose document it is"
        # what names no patient cannot say whose treatment it is, and is not sent without saying it
        status, outcome = await around.front.get(f"DocumentReference/{found['id']}")
        assert status >= 500
        assert "treatment" in outcome["issue"][0]["diagnostics"]


async def test_what_a_community_is_sent_is_as_ehdsi_writes_it(tmp_path):
    own = self_signed("sts")
    key, certificate = own.write(tmp_path, "sts")
    issue = {
        "issuer": "urn:idp:at:countryB",
        "treatment_issuer": "urn:initgw:at:countryB",
        "key_file": str(key),
        "certificate_file": str(certificate),
        "lifetime": 14_400,
        "purposes": [{"system": "urn:oid:2.16.840.1.113883.5.8", "code": "ETREAT"}],
    }
    seen = []
    async with running_stack(
        tmp_path / "stack",
        peers={"assertion": "issue", "treatment": True, "audience": BORDER},
        security={"access": "open", "assertions": {"issue": issue}},
    ) as stack:

        async def look(request):
            seen.append(await copied(request))

        stack.interfere = look
        patient = a_patient()
        assert await stack.find(patient__identifier=patient.token, status="current") == []
    header = etree.fromstring(envelope_of(seen[0])).find("s:Header/wsse:Security", NS)
    identity, treatment = header.findall("saml:Assertion", NS)
    assert identity.find("saml:Issuer", NS).get("NameQualifier") == HCP
    assert treatment.find("saml:Issuer", NS).get("NameQualifier") == TRC
    assert treatment.findtext("saml:Issuer", None, NS) == "urn:initgw:at:countryB"
    names = {each.findtext("saml:Subject/saml:NameID", None, NS) for each in (identity, treatment)}
    assert names == {"urn:idp:at:countryB"}
    assert treatment.findtext("saml:Advice/saml:AssertionIDRef", None, NS) == identity.get("ID")
    context = treatment.findtext("saml:AuthnStatement/saml:AuthnContext/saml:AuthnContextClassRef", None, NS)
    assert context == "urn:oasis:names:tc:SAML:2.0:ac:classes:PreviousSession"
    said = attributes(treatment)
    assert said[f"{XSPA}subject-id"] == [f"{patient.id}^^^&{patient.authority}&ISO"]
    assert said[f"{XSPA}purposeofuse"] == ["EMERGENCY"]
    starts, ends = (
        treatment.find("saml:Conditions", NS).get(name)[:19] for name in ("NotBefore", "NotOnOrAfter")
    )
    assert (datetime.fromisoformat(ends) - datetime.fromisoformat(starts)).total_seconds() == 7200


# --- asked for ------------------------------------------------------------------------------------------------
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("treatment")
    pinned = folder / "idp.pem"
    pinned.write_bytes(SIGNER.pem)
    accept = {
        "audiences": [AUDIENCE],
        "issuers": [{"issuer": ISSUER, "certificates_file": str(pinned), "scopes": ["system/*.rs"]}],
        "treatment_at": NEEDED,
    }
    async with running_stack(
        folder / "stack",
        home_community_id="2.999.5",
        responding_gateway={"enabled": True},
        security={"access": "token", "assertions": {"accept": accept}},
    ) as stack:
        yield Service(stack)


def cx(patient):
    return f"{patient.id}^^^&amp;{patient.authority}&amp;ISO"


MINE, THEIRS = a_patient(), a_patient()


def treatment(identity, *, patient=MINE, refers_to=None, qualifier=TRC, more=(), **said):
    """An assertion of the treatment relationship, signed."""
    refers_to = id_of(identity) if refers_to is None else refers_to
    given = {"confirmation": VOUCHED, **said}
    named = [] if patient is None else [(f"{XSPA}subject-id", cx(patient))]
    made = text(attributes=[*named, *more], **given)
    advice = f"<saml:Advice><saml:AssertionIDRef>{refers_to}</saml:AssertionIDRef></saml:Advice>"
    made = made.replace("</saml:Conditions>", f"</saml:Conditions>{advice}")
    return signed(made.replace("<saml:Issuer>", f"<saml:Issuer NameQualifier='{qualifier}'>"))


def about(patient):
    return write_query(FindDocuments(patient_id=Cx(patient.id, patient.authority)), "LeafClass")


@pytest.mark.asyncio(loop_scope="module")
async def test_both_together_open_the_patient_who_is_treated_and_no_other(service):
    identity = signed()
    for header in (security(identity, treatment(identity)), security(treatment(identity), identity)):
        assert await service.believed(header, body=about(MINE))
        status, envelope, calls = await service.ask(header, body=about(THEIRS))
        assert envelope.fault is not None and calls == 0, status
        assert not envelope.fault.subcodes, "who asks is known; what is asked is not allowed"


def refused():
    """Headers, and the fault that they get."""
    identity, other = signed(), signed()
    good = treatment(identity)
    bound = signed(attributes=[(RESOURCE, cx(THEIRS))])
    return {
        "identity alone": (security(identity), "InvalidSecurity"),
        "treatment alone": (security(good), "InvalidSecurity"),
        "two of who asks": (security(identity, other), "InvalidSecurity"),
        "two of the treatment": (security(good, treatment(identity)), "InvalidSecurity"),
        "three": (security(identity, good, other), "InvalidSecurity"),
        "one in the other": (
            security(identity, good.replace("</saml:Advice>", f"{other}</saml:Advice>")),
            "InvalidSecurity",
        ),
        "of another assertion": (security(identity, treatment(other)), "InvalidSecurityToken"),
        "of no assertion": (security(identity, treatment(identity, refers_to="")), "InvalidSecurityToken"),
        "of somebody else": (
            security(identity, treatment(identity, name_id="user-2")),
            "InvalidSecurityToken",
        ),
        "of no patient": (security(identity, treatment(identity, patient=None)), "InvalidSecurityToken"),
        "of two patients": (
            security(identity, treatment(identity, more=[(RESOURCE, cx(THEIRS))])),
            "InvalidSecurityToken",
        ),
        "of another patient than who asks": (security(bound, treatment(bound)), "InvalidSecurityToken"),
        "too long": (security(identity, treatment(identity, ends=7300)), "InvalidSecurityToken"),
        "expired": (security(identity, treatment(identity, starts=-400, ends=-120)), "InvalidSecurityToken"),
        "for another audience": (
            security(identity, treatment(identity, audiences=(("urn:other",),))),
            "InvalidSecurityToken",
        ),
        "not vouched for": (
            security(identity, treatment(identity, confirmation=assertions_bearer())),
            "FailedAuthentication",
        ),
        "changed": (
            security(identity, good.replace(html.escape(MINE.id), html.escape(THEIRS.id))),
            "FailedCheck",
        ),
        "not signed": (security(identity, unsigned(good)), "FailedCheck"),
        "untrusted": (
            security(identity, treatment(identity, issuer="urn:other")),
            "FailedAuthentication",
        ),
    }


def assertions_bearer():
    return '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"/>'


def unsigned(assertion):
    root = etree.fromstring(assertion)
    root.remove(root.find(f"{{{assertions.DS}}}Signature"))
    return etree.tostring(root).decode()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("attack", list(refused()))
async def test_what_is_not_made_for_each_other_is_refused_and_asks_nobody(service, attack):
    header, fault = refused()[attack]
    assert await service.refusal(header, body=about(MINE)) == fault


@pytest.mark.asyncio(loop_scope="module")
async def test_one_of_a_treatment_says_not_who_asks_where_none_is_needed(service):
    identity = signed()
    lone = treatment(identity)
    token = base64.urlsafe_b64encode(lone.encode()).rstrip(b"=").decode()
    url = f"{service.stack.base_url}/DocumentReference"
    query = {"patient.identifier": THEIRS.token, "status": "current"}
    async with service.stack.session.get(
        url, headers={"Authorization": f"Bearer {token}"}, params=query
    ) as answer:
        assert answer.status == 401
