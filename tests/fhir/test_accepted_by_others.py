"""Resources of whatever a registry may hold, and of whatever went wrong, are FHIR R4 to two judges."""

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.fhir.capability import write_capability_statement
from gateway.fhir.document_reference import document_reference_json
from gateway.fhir.lists import write_folder_list, write_submission_set_list
from gateway.fhir.outcome import issues_of_warnings, outcome_of_failure, write_outcome
from gateway.fhir.provide_response import write_provide_response
from gateway.fhir.searchset import write_searchset
from gateway.model import Association, DocumentEntry, RegistryError, RegistryFailure, Severity, codes
from tests.ebxml import strategies as registry
from tests.fhir import provide_samples as samples
from tests.fhir import strategies
from tests.fhir.contexts import BASE, write_context
from tests.fhir.judges import errors_of
from tests.fhir.test_error_table import EXPECTED
from tests.fhir.test_lists import MEMBERS

generated = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # the first example tells enough
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def relations(entry):
    """One association of each kind, from the entry to another document."""
    other = "urn:uuid:1d1a4a3f-0000-4000-8000-000000000002"
    return [
        Association(entry_uuid=other, type=kind, source=entry.entry_uuid, target=other)
        for kind in sorted(codes.DOCUMENT_RELATIONS)
    ]


def crossed(drawn, random, number):
    """Entries that have each attribute of one of those that were drawn, and ids of their own."""
    fields = [name for name in DocumentEntry.__struct_fields__ if name != "entry_uuid"]
    return [
        DocumentEntry(
            entry_uuid=f"urn:uuid:1d1a4a3f-0000-4000-8000-{n:012d}",
            **{name: getattr(random.choice(drawn), name) for name in fields},
        )
        for n in range(number)
    ]


@given(
    drawn=st.lists(registry.document_entries() | strategies.document_entries(), min_size=4, max_size=4),
    random=st.randoms(use_true_random=False),
)
@settings(generated, max_examples=40)
def test_pages_of_a_thousand_document_entries(drawn, random):
    page = [*drawn, *crossed(drawn, random, 21)]
    warnings = []
    context = write_context(warnings=warnings)
    entries = [
        (f"{BASE}/DocumentReference/{e.entry_uuid[9:]}", document_reference_json(e, context, relations(e)))
        for e in page
    ]
    links = {"self": f"{BASE}/DocumentReference?status=current"}
    written = write_searchset(entries=entries, total=len(page), links=links, issues=warnings)
    assert len(orjson.loads(written)["entry"]) == len(page) + bool(warnings)
    assert errors_of(written) == []


@given(
    submission_set=registry.submission_sets() | strategies.submission_sets(),
    folder=registry.folders() | strategies.folders,
)
@settings(generated, max_examples=100)
def test_lists_of_submission_sets_and_folders(submission_set, folder):
    assert errors_of(write_submission_set_list(submission_set, MEMBERS, write_context())) == []
    assert errors_of(write_folder_list(folder, MEMBERS, write_context())) == []


def test_outcomes_of_every_code_of_a_registry():
    for code, transaction, *_ in EXPECTED:
        errors = [RegistryError(code, "context", severity=s) for s in (Severity.ERROR, Severity.WARNING)]
        outcome = outcome_of_failure(RegistryFailure("registry", transaction, tuple(errors)))
        assert errors_of(write_outcome(outcome.issues)) == []
        assert errors_of(write_outcome(issues_of_warnings(errors[1:]))) == []


def test_the_answer_to_a_publish():
    for bundle in (
        samples.bundle(),
        samples.with_folder(b"1", b"2"),
        samples.related(("appends", f"DocumentReference/{samples.OLD}")),
    ):
        answer = write_provide_response(samples.read(bundle), samples.context())
        assert errors_of(answer) == []


def test_the_capability_statement():
    assert errors_of(write_capability_statement(BASE)) == []


CONTENT = sample_content("judges")


@pytest.mark.parametrize(
    "bundle",
    [
        provide_bundle(
            [CONTENT.report, CONTENT.discharge, CONTENT.manifest],
            patient=CONTENT.patient,
            folder=CONTENT.folder,
        ),
        provide_bundle([CONTENT.other_report], patient=CONTENT.other_patient),
        provide_bundle(
            [CONTENT.corrected_report], patient=CONTENT.patient, replaces=f"DocumentReference/{samples.OLD}"
        ),
    ],
    ids=["three documents with a folder", "one document", "replacement"],
)
def test_the_bundles_of_the_demo(bundle):
    assert errors_of(bundle) == []
