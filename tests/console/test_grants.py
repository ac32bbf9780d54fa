"""What a viewer may see of patients: what the token grants, for as long as it is good, and nothing by the scope
`console`."""

import pytest

from gateway.console.viewers import Granted, Grants, Viewer
from gateway.model import Cx
from gateway.security.scopes import Permission, Scopes
from gateway.security.tokens import Token

ADA, EVE = Cx("1", "2.999.1.1"), Cx("2", "2.999.1.1")
PATIENTS = {"ada": ADA, "eve": EVE}
READ = Permission("DocumentReference", "r")


def access(scope, *, now=0.0, expires=None, policy=None, **patients):
    token = Token("https://issuer", "sub", "client", Scopes.of(scope.split()), expires, **patients)
    grants = Grants(PATIENTS.get, policy, clock=lambda: now)
    return grants.access(Viewer("someone", Granted.of(token)))


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
    grants = Grants(PATIENTS.get, None)
    assert grants.access(Viewer("", None)) is None
    assert grants.access(Viewer("", Granted())).granted == frozenset()


def test_the_policy_of_the_site_decides_besides():
    policy = object()
    assert access("console system/DocumentReference.r", policy=policy).policy is policy
