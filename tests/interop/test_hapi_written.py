"""Resources of registry objects that the embedded domain does not hold, and outcomes of every code, are valid
to HAPI FHIR's validator, with the profile that they claim."""

import re

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from msgspec.structs import replace

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.fhir.document_reference import write_document_reference
from gateway.fhir.lists import write_folder_list, write_submission_set_list
from gateway.fhir.outcome import issues_of_warnings, outcome_of_failure, write_outcome
from gateway.model import RegistryError, RegistryFailure, Severity, codes
from tests.ebxml import strategies as registry
from tests.fhir import strategies
from tests.fhir.contexts import write_context
from tests.fhir.test_document_reference import ENTRY, relation
from tests.fhir.test_error_table import EXPECTED
from tests.fhir.test_lists import FOLDER, MEMBERS, SET

pytestmark = pytest.mark.interop

generated = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # the first example tells enough
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

STRICTER = {
    r"OIDs must be valid \([0-2](\.(0|[1-9]\d*)){2}\)": "FHIR R4 oid has a pattern, which takes every OID of three arcs",
    r'language: Code "[A-Za-z]{2}-[A-Za-z]{2}" is not in valueset': "language tags are equal in any case (RFC 5646 2.1.1)",
    r"context.period: Constraint failed: per-1": "an end of less precision means its last moment (FHIR R4 Period)",
    r"Coding.system must be an absolute reference": "coding schemes of a registry need not be URIs (ITI TF-3 4.2.3.1)",
}
"""What the validator takes for an error, and why it is none of ours."""


def unexplained(errors):
    return [error for error in errors if not any(re.search(pattern, error) for pattern in STRICTER)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"object_type": codes.ON_DEMAND_DOCUMENT, "hash": None, "size": None, "creation_time": None},
        {"hash": codes.EMPTY_SHA1, "size": 0},
        {"limited_metadata": True, "patient_id": None, "confidentiality": ()},
        {"home_community_id": "urn:oid:2.999.6", "unique_id": "2.999.1^A/1"},
        {"size": 2**31, "hash": "x", "creation_time": "20269999"},
    ],
    ids=["stable", "on-demand", "delayed assembly", "limited", "community", "not FHIR"],
)
def test_document_entries(hapi, changes):
    kinds = (codes.RPLC, codes.XFRM, codes.APND, codes.SIGNS, codes.XFRM_RPLC, codes.IS_SNAPSHOT_OF)
    written = write_document_reference(
        replace(ENTRY, **changes), write_context(), [relation(kind) for kind in kinds]
    )
    assert hapi.errors(written) == []


@given(entry=registry.document_entries() | strategies.document_entries())
@generated
def test_whatever_a_registry_answers_about_documents(hapi, entry):
    # a zero width no-break space alone is nothing to the validator, though FHIR counts it as no white space
    assume("\\ufeff" not in repr(entry))
    assert unexplained(hapi.errors(write_document_reference(entry, write_context()))) == []


@given(
    submission_set=registry.submission_sets() | strategies.submission_sets(),
    folder=registry.folders() | strategies.folders,
)
@generated
def test_whatever_a_registry_answers_about_lists(hapi, submission_set, folder):
    assume("\\ufeff" not in repr((submission_set, folder)))
    written = write_submission_set_list(submission_set, MEMBERS[:1], write_context())
    assert unexplained(hapi.errors(written)) == []
    assert unexplained(hapi.errors(write_folder_list(folder, MEMBERS[:1], write_context()))) == []


@pytest.mark.parametrize("complete", [True, False])
def test_lists(hapi, complete):
    less = {} if complete else {"patient_id": None, "limited_metadata": True}
    assert hapi.errors(write_submission_set_list(replace(SET, **less), MEMBERS, write_context())) == []
    assert hapi.errors(write_folder_list(replace(FOLDER, **less), MEMBERS, write_context())) == []


def test_outcomes_of_every_code_of_a_registry(hapi):
    for code, transaction, *_ in EXPECTED:
        errors = [RegistryError(code, "context", severity=s) for s in (Severity.ERROR, Severity.WARNING)]
        outcome = outcome_of_failure(RegistryFailure("registry", transaction, tuple(errors)))
        assert hapi.errors(write_outcome(outcome.issues)) == []
        assert hapi.errors(write_outcome(issues_of_warnings(errors[1:]))) == []


SAMPLES = sample_content("hapi")
DOCUMENTS = (SAMPLES.report, SAMPLES.discharge, SAMPLES.manifest)


@pytest.mark.parametrize(
    "bundle",
    [
        provide_bundle(DOCUMENTS, patient=SAMPLES.patient, folder=SAMPLES.folder, title="Chest CT"),
        provide_bundle([SAMPLES.other_report], patient=SAMPLES.other_patient),
        provide_bundle(
            [SAMPLES.corrected_report],
            patient=SAMPLES.patient,
            replaces="DocumentReference/1d1a4a3f-0000-4000-8000-000000000002",
            relates_to=[("appends", "DocumentReference/1d1a4a3f-0000-4000-8000-000000000003")],
        ),
    ],
    ids=["three documents with a folder", "one document", "replacement"],
)
def test_the_bundles_of_the_demo(hapi, bundle):
    assert bundle["meta"]["profile"] == [codes.PROFILE_COMPREHENSIVE_BUNDLE]
    assert hapi.errors(bundle) == []
