"""The Provenance of what was taken out of a report says no time that nobody knows."""

import pytest
from fhir.resources.provenance import Provenance as InR5
from fhir.resources.R4B.provenance import Provenance

from gateway.fhir.report_provenance import write_report_provenance
from gateway.fhir.versions import to_r5
from gateway.model import Cx, DocumentEntry


def written(creation_time):
    entry = DocumentEntry(
        entry_uuid="urn:uuid:1",
        unique_id="2.999.1",
        patient_id=Cx("1", "2.999"),
        mime_type="application/fhir+json",
        creation_time=creation_time,
    )
    made = write_report_provenance(entry, "p1", [{"reference": "DiagnosticReport/1"}], "d1")
    Provenance.model_validate(made)
    InR5.model_validate(to_r5(made))
    return made


def test_the_time_of_the_document_is_when_it_was_recorded():
    made = written("20260102030405")
    assert made["recorded"] == made["meta"]["lastUpdated"] == "2026-01-02T03:04:05Z"
    assert "occurredDateTime" not in made


@pytest.mark.parametrize(("time", "occurred"), [("20260102", "2026-01-02"), ("2026", "2026"), (None, None)])
def test_a_time_that_is_no_instant_is_not_made_one(time, occurred):
    made = written(time)
    assert "recorded" not in made and "meta" not in made
    assert made["_recorded"]["extension"][0]["valueCode"] == "unknown"
    assert made.get("occurredDateTime") == occurred
