"""References to patients as a registry names them."""

import pytest

from gateway.fhir.terminology import Terminology
from gateway.mhd.references import PatientReferences
from gateway.model import Cx
from gateway.security.patient_ids import PatientIds
from gateway.security.sealing import KeyRing
from tests.fhir.judges import errors_of

REFERENCES = PatientReferences(
    PatientIds(KeyRing([bytes(32)])), Terminology(), "https://gateway.example/fhir"
)


def test_a_patient_is_named_by_reference_and_identifier():
    reference = REFERENCES.of(Cx("P1", "2.999.2"))
    assert reference["reference"].startswith("Patient/")
    assert reference["identifier"] == {"system": "urn:oid:2.999.2", "value": "P1"}
    assert REFERENCES.resolve(reference["reference"]) == Cx("P1", "2.999.2")


@pytest.mark.parametrize(("authority", "system"), [("", None), ("our hospital", "our%20hospital")])
def test_an_authority_that_is_no_oid_leaves_the_identifier(authority, system):
    reference = REFERENCES.of(Cx("P1", authority))
    assert "reference" not in reference
    assert reference["identifier"].get("system") == system
    assert (
        errors_of({"resourceType": "List", "status": "current", "mode": "working", "subject": reference})
        == []
    )
