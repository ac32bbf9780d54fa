"""What a viewer may see of patients: what the token grants, for as long as it is good, and nothing by the scope
`console`."""

import asyncio

import msgspec
import pytest

from gateway.console.viewers import Granted, Grants, Viewer
from gateway.model import Code, Cx, DocumentEntry
from gateway.model.claims import Claims
from gateway.model.oids import bare_oid
from gateway.security.policy import Asked, Matter
from gateway.security.scopes import Permission, Scopes
from gateway.security.tokens import Token

ADA, EVE = Cx("1", "2.999.1.1"), Cx("2", "2.999.1.1")
PATIENTS = {"ada": ADA, "eve": EVE}
READ = Permission("DocumentReference", "r")


def access(scope, *, now=0.0, expires=None, policy=None, home="urn:oid:2.999.7", **said):
    token = Token("https://issuer", "sub", "client", Scopes.of(scope.split()), expires, **said)
    grants = Grants(PATIENTS.get, policy, bare_oid, home, clock=lambda: now)
    # as it is after it was in a cookie
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(Granted.of(token)), type=Granted)
    return grants.access(Viewer("someone", kept))


def test_the_scope_of_the_console_opens_no_data():
    assert access("console").granted == frozenset()


def test_other_scopes_of_the_token_open_what_they_say():
    found = access("console system/DocumentReference.rs ITI-68")
    assert found.granted == {READ, Permission("DocumentReference", "s"), Permission("Binary", "r")}
    assert found.patient is None


def test_what_the_token_grants_ends_with_it():
    assert READ in access("console system/*.rs system/DocumentReference.r", now=99, expires=100.0).granted
    assert access("console system/DocumentReference.r", now=100, expires=100.0).granted == frozenset()


@pytest.mark.parametrize("claim", ["launch_patient", "consent_patient"])
def test_a_token_that_names_a_patient_opens_that_one_alone(claim):
    found = access("console patient/DocumentReference.r", **{claim: "ada"})
    assert (found.granted, found.patient) == ({READ}, ADA)
    assert access("console system/DocumentReference.r", **{claim: "ada"}).patient == ADA


def test_patient_scopes_without_a_patient_open_nothing():
    assert access("console patient/DocumentReference.r").granted == frozenset()


@pytest.mark.parametrize(
    "claims",
    [{"launch_patient": "nobody"}, {"launch_patient": "ada", "consent_patient": "eve"}],
)
def test_a_patient_that_is_not_known_or_two_of_them_open_nothing(claims):
    assert access("console system/DocumentReference.r patient/*.rs", **claims).granted == frozenset()


def test_open_access_sees_all_and_an_open_console_of_a_closed_gateway_nothing():
    grants = Grants(PATIENTS.get, None, bare_oid)
    assert grants.access(Viewer("", None)) is None
    assert grants.access(Viewer("", Granted())).granted == frozenset()


def permitted(found, *entries):
    asked = Asked("read", None)
    return list(asyncio.run(found.policy.permits(asked, [Matter(ADA, entry) for entry in entries])))


def test_what_is_granted_for_some_documents_alone_stays_so():
    images, letters = (
        DocumentEntry(entry_uuid=f"urn:uuid:{code}", unique_id="2.999.1", class_code=Code(code, "2.999.5"))
        for code in ("IMG", "LET")
    )
    scope = "console system/DocumentReference.rs?category=IMG system/Binary.r"
    found = access(scope)
    assert {READ, Permission("Binary", "r")} <= found.granted
    assert permitted(found, images, letters) == [True, False]
    assert access("console system/DocumentReference.rs system/Binary.r").policy is None
    assert access(f"{scope} system/DocumentReference.rs").policy is None, "it grants all besides"
    only_read = access("console system/DocumentReference.r?category=IMG system/DocumentReference.s")
    assert permitted(only_read, images, letters) == [True, False]
    of_one = access("console patient/DocumentReference.rs?category=IMG", launch_patient="ada")
    assert (of_one.patient, permitted(of_one, images, letters)) == (ADA, [True, False])


def test_a_token_for_another_community_opens_nothing():
    said = Claims("https://issuer", "sub", "client", home_community_id="urn:oid:2.999.8")
    assert access("console system/DocumentReference.r", claims=said).granted == frozenset()
    assert READ in access("console system/DocumentReference.r", claims=said, home="urn:oid:2.999.8").granted


def test_the_policy_of_the_site_decides_besides():
    policy = object()
    assert access("console system/DocumentReference.r", policy=policy).policy is policy
