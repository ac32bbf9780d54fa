"""AuditEvents keep FHIR R4, BALP and the audit profiles of IHE MHD, as HAPI FHIR's validator sees it."""

import pytest

from gateway.audit.fhir_event import write_audit_event
from gateway.audit.transactions import EVENTS
from gateway.model import codes
from tests.audit.samples import HTTP, SOAP, SOURCE_ID, http_record, soap_sample
from tests.audit.test_transactions import event_of
from tests.interop.hapi import complaints

pytestmark = pytest.mark.interop

SIDES = ("client", "server")
NO_PROFILES_OF_PATIENTS = r"Profile reference '\S+/(PDQm|PIXm)/\S+' has not been checked"


def written(record):
    return write_audit_event(record, source_id=SOURCE_ID, site="NCP")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("transaction", [*HTTP, "search ImagingStudy", "read DiagnosticReport", "search all"])
def test_requests_of_fhir_and_dicomweb(hapi, transaction, failed, side):
    event = written(http_record(transaction, side, failed=failed))
    assert bool(event["meta"].get("profile")) is not failed or transaction == "ITI-81"
    # the profiles of IHE PDQm and PIXm narrow the pattern of BALP, and are not among those to validate against
    claimed = event["meta"].get("profile", ())
    of_patients = any(profile.startswith((codes.PDQM_STRUCTURE, codes.PIXM_STRUCTURE)) for profile in claimed)
    pattern = (codes.BALP_STRUCTURE + "IHE.BasicAudit.PatientQuery",) if of_patients else ()
    assert complaints(hapi.errors(event, *pattern), NO_PROFILES_OF_PATIENTS) == []


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("failure", [None, "no connection"])
@pytest.mark.parametrize("transaction", SOAP)
def test_exchanges_of_soap(hapi, transaction, failure, side):
    for record in soap_sample(transaction, side, failure=failure):
        assert complaints(hapi.errors(written(record))) == []


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_events_of_the_gateway_itself(hapi, event):
    assert complaints(hapi.errors(written(event_of(event)))) == []


@pytest.mark.parametrize("name", ["read Patient", "GET /DiagnosticReport/{id}/$document", "console explorer"])
def test_reads_of_what_is_no_document(hapi, name):
    event = written(http_record(name, "server", documents=()))
    assert event["meta"]["profile"]
    assert complaints(hapi.errors(event)) == []


@pytest.mark.parametrize("transaction", ["ITI-67", "ITI-68", "ITI-105"])
def test_without_patient_and_without_user(hapi, transaction):
    event = written(http_record(transaction, "server", patient=None, actor=None))
    assert complaints(hapi.errors(event)) == []


def test_what_breaks_a_profile_is_found(hapi):
    event = written(http_record("ITI-67", "server"))
    event["source"]["observer"] = {"display": "somebody else"}
    assert any("val-audit-source" in error for error in hapi.errors(event))
