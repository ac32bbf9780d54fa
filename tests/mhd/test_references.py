"""References to patients as a registry names them."""

from functools import partial

import pytest

from gateway.fhir.terminology import Terminology
from gateway.mhd.references import DOCUMENTS, PatientReferences
from gateway.model import Cx
from gateway.security.patient_ids import PatientIds
from gateway.security.sealing import KeyRing
from tests.fhir.judges import errors_of

REFERENCES = PatientReferences(
    partial(PatientIds, KeyRing([bytes(32)])),
    Terminology(),
    "https://gateway.example/fhir",
    lambda: ("urn:oid:2.999.7", "urn:oid:2.999.8"),
)


def test_a_patient_is_named_by_reference_and_identifier():
    reference = REFERENCES.of(Cx("P1", "2.999.2"))
    assert reference["reference"].startswith("Patient/")
    assert reference["identifier"] == {"system": "urn:oid:2.999.2", "value": "P1"}
    assert REFERENCES.resolve(reference["reference"]) == Cx("P1", "2.999.2")


def test_what_each_source_says_of_a_patient_has_an_id_of_its_own():
    patient = Cx("P1", "2.999.2")
    views = ("", DOCUMENTS, "urn:oid:2.999.7", "urn:oid:2.999.8")
    ids = [REFERENCES.logical_id(patient, view) for view in views]
    assert len(set(ids)) == 4
    assert [REFERENCES.named(each) for each in ids] == [(patient, view) for view in views]
    assert {REFERENCES.resolve(f"Patient/{each}") for each in ids} == {patient}
    of_a_stranger = REFERENCES.logical_id(patient, "urn:oid:2.999.9")
    assert REFERENCES.named(of_a_stranger) is None


@pytest.mark.parametrize(("authority", "system"), [("", None), ("our hospital", "our%20hospital")])
def test_an_authority_that_is_no_oid_leaves_the_identifier(authority, system):
    reference = REFERENCES.of(Cx("P1", authority))
    assert "reference" not in reference
    assert reference["identifier"].get("system") == system
    assert (
        errors_of({"resourceType": "List", "status": "current", "mode": "working", "subject": reference})
        == []
    )
