"""The assertion of a treatment relationship (eHDSI TRC) beside that of who asks: made for the same user, it
refers to the other assertion and names the one patient who is treated.
"""

from typing import Final

from msgspec.structs import replace

from gateway.model import codes
from gateway.model.claims import Claims
from gateway.security.assertion_reader import Statement
from gateway.security.assertion_shape import AssertionRefused

LONGEST_LIFE: Final = 7200.0
"""Seconds that one may be valid for."""


def is_treatment(statement: Statement) -> bool:
    """Whether an assertion is one of a treatment relationship."""
    return statement.qualifier == codes.EHDSI_TREATMENT


def pair(statements: list[Statement]) -> tuple[Statement, Statement | None]:
    """Who asks, and the treatment where there is one. Raises AssertionRefused."""
    of_treatment = [each for each in statements if is_treatment(each)]
    of_identity = [each for each in statements if not is_treatment(each)]
    if len(of_identity) != 1 or len(of_treatment) > 1:
        raise AssertionRefused(
            "InvalidSecurity", "there is not one assertion of who asks, and one of a treatment"
        )
    return of_identity[0], next(iter(of_treatment), None)


def claims_with(identity: Statement, treatment: Statement) -> Claims:
    """Who asks, for whom and what for. Raises AssertionRefused where the two are not made for each other."""
    if treatment.refers_to != (identity.claims.statement_id,):
        raise _refused("does not refer to that of who asks")
    if treatment.claims.subject != identity.claims.subject:
        raise _refused("is for somebody else")
    if treatment.ends - treatment.starts > LONGEST_LIFE:
        raise _refused("is valid for too long a time")
    if not any(each.method == codes.SAML_SENDER_VOUCHES for each in treatment.confirmations):
        raise AssertionRefused("FailedAuthentication", "nobody vouches for the treatment")
    # what is the name of a user elsewhere is the id of the patient here
    named = {each for each in (treatment.claims.name, treatment.claims.patient) if each is not None}
    if len(named) != 1:
        raise _refused("names not one patient")
    (patient,) = named
    if identity.claims.patient not in {None, patient}:
        raise _refused("names another patient than that of who asks")
    return replace(
        identity.claims, patient=patient, purposes=treatment.claims.purposes or identity.claims.purposes
    )


def _refused(reason: str) -> AssertionRefused:
    return AssertionRefused("InvalidSecurityToken", f"the assertion of the treatment {reason}")
