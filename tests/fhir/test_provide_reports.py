"""Imaging reports that are published: metadata from their content, and what becomes of one that breaks the guide."""

import base64
import hashlib

import orjson
import pytest

from gateway.fhir.formats import FhirFormat
from gateway.fhir.issues import OutcomeError
from gateway.fhir.provide_bundle import open_provide_bundle
from gateway.fhir.provide_context import NOTHING_ELSEWHERE
from gateway.fhir.provide_policy import PublishPolicy
from gateway.fhir.provide_response import write_provide_response
from gateway.fhir.simplified_publish import open_simplified_publish
from gateway.fhir.xml_writer import write_xml
from gateway.mhd.generate_metadata import open_generate_metadata
from gateway.model import Code, Cx, codes
from gateway.model import imaging_codes as imaging
from gateway.model.publishing import DocumentDefaults, MetadataTables, PublishingSource
from gateway.model.releases import FhirRelease
from tests.fhir import provide_samples as samples
from tests.fhir.report_samples import ALL, changed, report, report_bytes, resource

STRICT, FLAG, OFF = (PublishPolicy(reports=check) for check in ("strict", "flag", "off"))
FHIR_JSON = "application/fhir+json"
CODE = Code("c", "2.999.20", "Code")
SOURCE = PublishingSource(
    source_id="2.999.40",
    defaults=DocumentDefaults(
        class_code=CODE,
        type_code=CODE,
        format_code=CODE,
        facility_type=CODE,
        practice_setting=CODE,
        confidentiality=CODE,
        language="fr",
    ),
)
LEFT_OPEN = ("masterIdentifier", "type", "category", "securityLabel")


def reference(*, minimal=False):
    """A DocumentReference that says nothing against a report; `minimal` without what the report says."""
    made = samples.document_reference(0, b"", samples.urn(100))
    content, clinical = made["content"][0], made["context"]
    attachment = content["attachment"]
    for name in ("hash", "size", "title", "creation"):
        attachment.pop(name, None)
    attachment.update(contentType=FHIR_JSON, language="en", creation="2025-05-08T10:00:00+02:00")
    for name in ("event", "period", "related"):
        clinical.pop(name, None)
    made["type"] = samples.concept("85430-7")
    if minimal:
        for name in LEFT_OPEN:
            del made[name]
        del attachment["language"], attachment["creation"], content["format"]
        made.pop("contained", None)
        clinical.pop("sourcePatientInfo")
        made.pop("author", None)
        made.pop("authenticator", None)
    return made


def publish(document, *, minimal=False, **changes):
    """A Provide Document Bundle with a report: JSON values as entry, bytes as Binary."""
    made = samples.bundle()
    made["entry"][1]["resource"] = told = reference(minimal=minimal)
    identifier = document.get("identifier") if isinstance(document, dict) else None
    if identifier and not minimal:
        told["masterIdentifier"] = samples.identifier("uniqueId", identifier["value"])
    if isinstance(document, bytes):
        data = base64.b64encode(document).decode()
        binary = {"resourceType": "Binary", "contentType": FHIR_JSON, "data": data}
        made["entry"][2] = samples.entry(100, "Binary", binary)
    else:
        made["entry"][2] = samples.entry(100, "Bundle", document)
    if minimal:
        made["meta"]["profile"] = [codes.PROFILE_MINIMAL_BUNDLE]
    return made | changes


@pytest.mark.parametrize("kind", ["foot", "cardiac", "minimal"])
def test_a_report_as_entry_gives_its_metadata_and_keeps_its_bytes(kind):
    raw = orjson.dumps(publish(report(kind)))
    read = samples.read(raw, policy=STRICT)
    (entry,), (stored,) = read.submission.entries, read.documents
    assert stored.content == orjson.dumps(report(kind))
    assert entry.hash == hashlib.sha1(stored.content).hexdigest()
    assert read.warnings == ()
    assert {(r.id, r.type) for r in entry.reference_ids} >= {("A123", codes.REFERENCE_ACCESSION)}
    assert "61685007" in {c.code for c in entry.event_codes} or "80891009" in {
        c.code for c in entry.event_codes
    }
    assert entry.service_start_time == "20250429071500"
    assert entry.title in ("MRI of the left foot", "CT of the heart", "Imaging report")


@pytest.mark.parametrize(("kind", "release"), ALL)
def test_a_report_as_binary_is_stored_as_it_is(kind, release):
    raw = report_bytes(kind, release)
    read = samples.read(publish(raw), policy=STRICT)
    (entry,), (stored,) = read.submission.entries, read.documents
    assert stored.content == raw
    assert entry.hash == hashlib.sha1(raw).hexdigest()
    assert kinds_of(entry) >= {codes.REFERENCE_STUDY, codes.REFERENCE_ACCESSION}


def kinds_of(entry):
    return {reference.type for reference in entry.reference_ids}


def test_a_report_in_xml_is_read_too():
    raw = write_xml(orjson.loads(orjson.dumps(publish(report("cardiac")))))
    opened = open_provide_bundle(raw, samples.context(policy=STRICT), FhirFormat.XML)
    (entry,) = opened.read(NOTHING_ELSEWHERE).submission.entries
    assert entry.mime_type == "application/fhir+xml"
    assert [code.code for code in entry.event_codes] == ["CT", "80891009"]


def test_a_signed_report_is_stored_as_it_was_signed():
    document = report("cardiac")
    document["signature"] = {
        "type": [{"system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.1"}],
        "when": "2025-05-08T08:00:00Z",
        "who": {"display": "Sample"},
        "data": "c2lnbmVk",
    }
    raw = orjson.dumps(document, option=orjson.OPT_INDENT_2)
    for made in (raw, document):
        (stored,) = samples.read(publish(made), policy=STRICT).documents
        assert stored.content == (raw if made is raw else orjson.dumps(document))


@pytest.mark.parametrize("kind", ["cardiac", "minimal"])
def test_the_report_says_what_a_minimal_bundle_leaves_open(kind):
    read = samples.read(publish(report(kind), minimal=True), policy=STRICT)
    (entry,) = read.submission.entries
    assert entry.unique_id == "2.999.2.7"
    assert entry.type_code == Code("85430-7", imaging.LOINC, "Diagnostic imaging report")
    assert entry.class_code == Code("Medical-Imaging", imaging.EU_PRIORITY_CATEGORIES, "Medical Imaging")
    assert entry.format_code is not None and entry.format_code.code in imaging.EU_REPORT_BUNDLES
    assert [code.code for code in entry.confidentiality] == ["N"]
    assert (entry.language, entry.creation_time) == ("en", "20250508080000")
    assert entry.source_patient_id == Cx("REPORT-1", "2.999.1.1")
    assert entry.patient_id == samples.PATIENT


def test_the_class_follows_from_the_table_of_the_settings():
    tables = MetadataTables(class_codes={("85430-7", imaging.LOINC): CODE})
    (entry,) = samples.read(publish(report("foot"), minimal=True), tables=tables).submission.entries
    assert entry.class_code == CODE


def test_what_neither_says_is_still_missing():
    document = report("foot")
    resource(document, "Composition").pop("language")
    resource(document, "DiagnosticReport").pop("language")
    refusal = samples.refusal(publish(document, minimal=True))
    assert [issue.expression for issue in refusal.issues if issue.severity == "error"] == [
        "Bundle.entry[1].resource.content[0].attachment.language"
    ]


def test_the_comprehensive_profile_wants_its_elements_from_the_client():
    made = publish(report("foot"))
    del made["entry"][1]["resource"]["type"]
    assert "Bundle.entry[1].resource.type" in {issue.expression for issue in samples.refusal(made).issues}


# --- what the guide forbids --------------------------------------------------------------------------------
def broken(kind="foot"):
    made = changed(report(kind), "entry[0].resource.section[1]")
    return changed(
        changed(made, "entry[1].resource.identifier"),
        "entry[0].resource.custodian.reference",
        "Organization/none",
    )


RULES = {"section-order", "report-identifier", "reference-dangling"}


def test_strict_refuses_with_every_finding():
    for document, inline in ((broken(), True), (orjson.dumps(broken()), False)):
        refusal = samples.refusal(publish(document), policy=STRICT)
        assert refusal.status == 422
        found = {issue.rule: issue for issue in refusal.issues if issue.severity == "error"}
        assert found.keys() == RULES
        for issue in found.values():
            assert issue.rule in issue.diagnostics
            assert (issue.expression or "").startswith("Bundle.entry[2].resource")
        place = found["section-order"].expression
        assert place == (
            "Bundle.entry[2].resource.entry[0].resource.section"
            if inline
            else "Bundle.entry[2].resource.data"
        )
        assert inline or "Bundle.entry[0].resource.section" in found["section-order"].diagnostics


def test_flag_stores_with_warnings_at_the_entry_of_the_report():
    read = samples.read(publish(broken()), policy=FLAG)
    assert {issue.rule for issue in read.warnings} == RULES
    response = write_provide_response(read, samples.context())
    issues = response["entry"][2]["response"]["outcome"]["issue"]
    assert [issue["severity"] for issue in issues] == ["warning"] * 3
    assert all("outcome" not in response["entry"][n]["response"] for n in (0, 1))
    assert [document.content for document in read.documents] == [orjson.dumps(broken())]


def test_off_says_nothing():
    made = publish(broken())
    made["entry"][1]["resource"]["context"]["event"] = [
        {"coding": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "US"}]}
    ]
    assert samples.read(made, policy=OFF).warnings == ()


def test_what_the_entry_says_against_the_report_is_refused():
    made = publish(report("foot"))
    made["entry"][1]["resource"]["context"]["event"] = [
        {"coding": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "US"}]}
    ]
    for policy in (STRICT, FLAG):
        refusal = samples.refusal(made, policy=policy)
        assert [issue.expression for issue in refusal.issues] == ["Bundle.entry[1].resource.extension"]


@pytest.mark.parametrize("content", [b"{", b"<Bundle/>", b'{"resourceType": "Bundle", "a": "85430-7"}'])
def test_what_is_no_report_is_stored_as_any_binary(content):
    read = samples.read(publish(content), policy=STRICT)
    assert [document.content for document in read.documents] == [content]
    assert read.submission.entries[0].event_codes == ()


def test_a_collection_that_is_no_report_is_no_document():
    made = publish({"resourceType": "Bundle", "type": "collection"})
    with pytest.raises(OutcomeError) as caught:
        samples.read(made)
    assert [issue.expression for issue in caught.value.issues] == ["Bundle.entry[2].resource.type"]


# --- ITI-105 -----------------------------------------------------------------------------------------------
def simplified(raw, policy=STRICT, **elements):
    made = {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"contentType": FHIR_JSON, "data": base64.b64encode(raw).decode()}}],
        **elements,
    }
    context = samples.context(policy=policy, source=SOURCE)
    return open_simplified_publish(orjson.dumps(made), context, FhirFormat.JSON).read()


@pytest.mark.parametrize(("kind", "release"), ALL)
def test_a_report_alone_is_enough_for_simplified_publish(kind, release):
    provided = simplified(report_bytes(kind, release))
    (entry,), submission_set = provided.submission.entries, provided.submission.submission_set
    assert entry.patient_id == submission_set.patient_id == Cx("REPORT-1", "2.999.1.1")
    assert entry.type_code is not None and entry.type_code.code == "85430-7"
    assert entry.class_code is not None and entry.class_code.code == "Medical-Imaging"
    assert [entry.format_code.code if entry.format_code else None] == report(kind, release)["meta"]["profile"]
    assert (entry.language, entry.unique_id) == ("en", f"2.999.2.{len(kind)}")
    assert (entry.facility_type, entry.practice_setting) == (CODE, CODE)
    assert submission_set.content_type == entry.type_code
    assert provided.documents[0].content == report_bytes(kind, release)


def test_what_the_client_says_comes_first_in_simplified_publish():
    (entry,) = simplified(
        report_bytes("foot"), category=[samples.concept("other", "urn:oid:2.999.9")]
    ).submission.entries
    assert entry.class_code is not None and entry.class_code.code == "other"


def test_simplified_publish_names_every_finding_at_the_data():
    with pytest.raises(OutcomeError) as caught:
        simplified(orjson.dumps(broken()))
    found = [issue for issue in caught.value.issues if issue.severity == "error"]
    assert {issue.rule for issue in found} == RULES
    assert {issue.expression for issue in found} == {"DocumentReference.content[0].attachment.data"}
    assert {issue.rule for issue in simplified(orjson.dumps(broken()), FLAG).warnings} == RULES


# --- ITI-106 -----------------------------------------------------------------------------------------------
def generated(document, policy=STRICT, content_type=FHIR_JSON):
    if isinstance(document, bytes):
        data = base64.b64encode(document).decode()
        document = {"resourceType": "Binary", "contentType": content_type, "data": data}
    made = {"resourceType": "Parameters", "parameter": [{"name": "document", "resource": document}]}
    context = samples.context(policy=policy, source=SOURCE)
    return open_generate_metadata(orjson.dumps(made), context, FhirFormat.JSON).read()


@pytest.mark.parametrize(("kind", "release"), ALL)
def test_metadata_are_generated_from_a_report(kind, release):
    raw = report_bytes(kind, release)
    (entry,) = generated(raw).submission.entries
    assert entry.type_code is not None and entry.type_code.code == "85430-7"
    assert entry.class_code is not None and entry.class_code.code == "Medical-Imaging"
    assert entry.patient_id == Cx("REPORT-1", "2.999.1.1")
    assert entry.unique_id == f"2.999.2.{len(kind)}"
    assert kinds_of(entry) >= {codes.REFERENCE_STUDY, codes.REFERENCE_ACCESSION}
    assert entry.authors[0].person is not None and entry.authors[0].person.family == "Sample"
    assert [entry.format_code.code if entry.format_code else None] == report(kind, release)["meta"]["profile"]
    if release is FhirRelease.R4:
        assert generated(report(kind)).submission.entries[0].format_code == entry.format_code


def test_a_minimal_report_without_identifier_gets_one_that_follows_from_its_bytes():
    raw = orjson.dumps(changed(report("minimal"), "identifier"))
    first, again = (generated(raw).submission.entries[0].unique_id for _ in range(2))
    assert first == again and first.startswith("2.25.")
    other = orjson.dumps(changed(report("minimal"), "identifier"), option=orjson.OPT_INDENT_2)
    assert generated(other).submission.entries[0].unique_id != first


@pytest.mark.parametrize("as_binary", [True, False])
def test_generating_metadata_refuses_or_flags(as_binary):
    document = orjson.dumps(broken()) if as_binary else broken()
    with pytest.raises(OutcomeError) as caught:
        generated(document)
    found = [issue for issue in caught.value.issues if issue.severity == "error"]
    assert {issue.rule for issue in found} == RULES
    provided = generated(document, FLAG)
    assert {issue.rule for issue in provided.warnings} == RULES
    assert generated(document, OFF).warnings == ()
