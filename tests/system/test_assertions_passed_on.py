"""Clients may bring an assertion of their own, as access token or in SOAP, and peers are told the same by it."""

import datetime
import time

import pytest

from gateway.ebxml.stored_queries import write_query
from gateway.model import Cx
from gateway.model.query import FindDocuments
from tests.certificates import self_signed
from tests.security import assertions
from tests.security.assertions import SIGNER, as_token, signed
from tests.security.xml_signatures import signed_by
from tests.system.documents import a_patient
from tests.system.stack import running_stack
from tests.system.test_assertions_of_others import RESOURCE, Service, security
from tests.system.test_assertions_to_peers import NS, assertion_of, copied, envelope_of

PEER = "urn:oid:2.999.8"
BOTH = ((assertions.AUDIENCE, PEER),)


def settings(tmp_path, mode, scopes=("system/*.rs",)):
    own = self_signed("sts")
    key, certificate = own.write(tmp_path, "sts")
    trusted = tmp_path / "idp.pem"
    trusted.write_bytes(SIGNER.pem)
    accept = {
        "audiences": [assertions.AUDIENCE],
        "issuers": [{"issuer": assertions.ISSUER, "certificates_file": str(trusted), "scopes": list(scopes)}],
    }
    issue = {"issuer": "urn:own", "key_file": str(key), "certificate_file": str(certificate)}
    return own, {
        "peers": {"assertion": mode, "audience": PEER},
        "home_community_id": "2.999.5",
        "responding_gateway": {"enabled": True},
        "security": {"access": "token", "assertions": {"accept": accept, "issue": issue}},
    }


class Told:
    """What the registry is told."""

    def __init__(self, stack):
        self.stack = stack
        self.seen = []
        stack.interfere = self._look

    async def _look(self, request):
        self.seen.append(await copied(request))

    async def find(self, token, patient=None):
        patient = patient or a_patient()
        url = f"{self.stack.base_url}/DocumentReference"
        headers = {"Authorization": f"Bearer {token}"}
        query = {"patient.identifier": patient.token, "status": "current"}
        async with self.stack.session.get(url, headers=headers, params=query) as answer:
            return answer.status, answer.headers.get("WWW-Authenticate", "")


async def test_an_assertion_as_token_is_passed_on_as_it_is_where_it_is_for_the_peer_too(tmp_path):
    own, wanted = settings(tmp_path, "pass_on")
    async with running_stack(tmp_path / "stack", **wanted) as stack:
        told = Told(stack)
        theirs = signed(audiences=BOTH)
        assert (await told.find(as_token(theirs)))[0] == 200
        assert signed_by(envelope_of(told.seen[-1]), SIGNER.certificate)
        assert theirs.encode() in told.seen[-1], "byte for byte"

        assert (await told.find(as_token(signed(name_id="user-9"))))[0] == 200
        envelope = envelope_of(told.seen[-1])
        assert signed_by(envelope, own.certificate), "what is not for the peer is said anew"
        assertion = assertion_of(told.seen[-1])
        assert assertion.findtext("saml:Subject/saml:NameID", None, NS) == "user-9"
        assert assertion.findtext(".//saml:AuthnContextClassRef", None, NS).endswith(":Password")


async def test_an_assertion_in_soap_is_passed_on_with_a_signature_that_is_still_good(tmp_path):
    _, wanted = settings(tmp_path, "pass_on")
    async with running_stack(tmp_path / "stack", **wanted) as stack:
        told = Told(stack)
        service = Service(stack)
        body = write_query(FindDocuments(patient_id=Cx("1", "2.999.1.1")), "LeafClass")
        header = security("\n", signed(audiences=BOTH), "\n")
        assert await service.believed(header, body=body)
        assert signed_by(envelope_of(told.seen[-1]), SIGNER.certificate)


async def test_who_asks_in_soap_is_said_anew_to_peers_that_want_it_so(tmp_path):
    own, wanted = settings(tmp_path, "issue")
    async with running_stack(tmp_path / "stack", **wanted) as stack:
        told = Told(stack)
        service = Service(stack)
        soon = int(time.time()) + 60
        assert await service.believed(security(signed(audiences=BOTH, name_id="user-3", ends=60)))
        assert signed_by(envelope_of(told.seen[-1]), own.certificate)
        assertion = assertion_of(told.seen[-1])
        assert assertion.findtext("saml:Issuer", None, NS) == "urn:own"
        assert assertion.findtext("saml:Subject/saml:NameID", None, NS) == "user-3"
        ends = assertion.find("saml:Conditions", NS).get("NotOnOrAfter")
        assert datetime.datetime.fromisoformat(ends).timestamp() <= soon + 2, "it lives no longer"


@pytest.mark.parametrize(
    ("token", "status", "error"),
    [
        (lambda: as_token(assertions.text()), 401, "invalid_token"),
        (lambda: as_token(signed(audiences=(("urn:other",),))), 401, "invalid_token"),
        (lambda: as_token(signed(starts=-400, ends=-120)), 401, "invalid_token"),
        (lambda: as_token(signed(signer=self_signed("idp", kind="rsa"))), 401, "invalid_token"),
        (lambda: as_token(f"<x>{signed()}</x>"), 401, "invalid_token"),
        (lambda: as_token("<!DOCTYPE x [<!ENTITY e 'e'>]>" + signed()), 401, "invalid_token"),
        (lambda: as_token(signed() + " " * 70_000), 401, "invalid_token"),
    ],
    ids=["unsigned", "audience", "expired", "signer", "wrapped", "DTD", "long"],
)
async def test_an_assertion_that_is_not_good_is_no_token(tmp_path, token, status, error):
    _, wanted = settings(tmp_path, "none")
    async with running_stack(tmp_path / "stack", **wanted) as stack:
        told = Told(stack)
        # the HTTP server has bounds of its own
        answer = await told.find(token())
        assert answer[0] in {status, 400}
        assert error in answer[1] or answer[0] == 400
        assert not told.seen


async def test_an_assertion_opens_what_its_issuer_is_given_in_the_settings(tmp_path):
    _, wanted = settings(tmp_path, "none", scopes=("ITI-68",))
    async with running_stack(tmp_path / "stack", **wanted) as stack:
        status, challenge = await Told(stack).find(as_token(signed()))
        assert (status, "insufficient_scope" in challenge) == (403, True)


async def test_an_assertion_for_one_patient_opens_that_patient_alone(tmp_path):
    _, wanted = settings(tmp_path, "none")
    mine, theirs = a_patient(), a_patient()
    token = as_token(signed(attributes=[(RESOURCE, f"{mine.id}^^^&amp;{mine.authority}&amp;ISO")]))
    async with running_stack(tmp_path / "stack", **wanted) as stack:
        told = Told(stack)
        assert (await told.find(token, mine))[0] == 200
        assert (await told.find(token, theirs))[0] == 403
        assert len(told.seen) == 1


async def test_a_token_that_may_be_used_once_is_used_once(tmp_path):
    _, wanted = settings(tmp_path, "none")
    token = as_token(signed(conditions="<saml:OneTimeUse/>"))
    async with running_stack(tmp_path / "stack", **wanted) as stack:
        told = Told(stack)
        assert (await told.find(token))[0] == 200
        assert (await told.find(token))[0] == 401
