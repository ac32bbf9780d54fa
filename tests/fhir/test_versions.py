"""FHIR R4 <-> R5: the two releases say the same, and what one cannot say is named."""

import orjson
import pytest
from fhir.resources import get_fhir_model_class
from fhir.resources.R4B import get_fhir_model_class as r4_model_class
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.fhir.document_reference import MAX_INTEGER64, write_document_reference
from gateway.fhir.document_reference_read import read_document_reference
from gateway.fhir.lists import write_folder_list, write_submission_set_list
from gateway.fhir.report_parameters import SERVED
from gateway.fhir.version_names import path_in_r5
from gateway.fhir.version_rules import Differences
from gateway.fhir.versions import DIFFERENCES, from_r5, to_r5
from gateway.model import AvailabilityStatus, Code, Cx, codes
from gateway.model import imaging_codes as imaging
from gateway.model.metadata import Association, DocumentEntry, Person, ReferenceId
from gateway.model.releases import FhirRelease, release_named
from tests.fhir import strategies
from tests.fhir.contexts import read_context, write_context

CODE = Code("1", "2.999.6", "one")
UUID = "urn:uuid:00000000-0000-4000-8000-000000000001"
LONG = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=50
)


def entry(**fields):
    """A DocumentEntry with what Comprehensive metadata has."""
    given_fields = {
        "entry_uuid": UUID,
        "unique_id": "2.999.1",
        "mime_type": "text/plain",
        "patient_id": Cx("P1", "2.999.2"),
        "source_patient_id": Cx("M1", "2.999.3"),
        "class_code": CODE,
        "type_code": CODE,
        "format_code": CODE,
        "facility_type": CODE,
        "practice_setting": CODE,
        "confidentiality": (CODE,),
        "language": "en",
        "creation_time": "20260102030405",
        "size": 12,
        "hash": "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    }
    return DocumentEntry(**(given_fields | fields))


def in_both(document, relations=()):
    """The DocumentReference of an entry in both releases."""
    resource = write_document_reference(document, write_context(), relations)
    return resource, to_r5(resource)


def lossless(resource):
    """The resource in R5 and back, where nothing may be lost."""
    lost = []
    back = from_r5(to_r5(resource, lost.append), lost.append)
    assert lost == []
    return back


def canonical(value):
    """The value without regard to the order of identifiers that R5 sorts into other elements."""
    if isinstance(value, dict):
        return {name: canonical(item) for name, item in sorted(value.items())}
    if isinstance(value, list):
        return sorted((canonical(item) for item in value), key=orjson.dumps)
    return value


@given(strategies.document_entries())
@LONG
def test_every_document_is_valid_in_r5_and_comes_back_as_it_was(document):
    r4, r5 = in_both(document)
    get_fhir_model_class("DocumentReference").model_validate(r5)
    assert canonical(lossless(r4)) == canonical(r4)


@given(strategies.document_entries())
@LONG
def test_both_releases_of_a_document_read_to_the_same_metadata(document):
    r4, r5 = in_both(document)
    of_r4 = read_document_reference(r4, read_context(), "DocumentReference")
    of_r5 = read_document_reference(from_r5(r5), read_context(), "DocumentReference")
    assert sorted(of_r5.reference_ids, key=str) == sorted(of_r4.reference_ids, key=str)
    assert replace(of_r5, reference_ids=()) == replace(of_r4, reference_ids=())


@given(st.one_of(strategies.submission_sets(), strategies.folders))
@LONG
def test_every_list_is_valid_in_r5_and_comes_back_as_it_was(item):
    write = write_submission_set_list if hasattr(item, "intended_recipients") else write_folder_list
    r4 = orjson.loads(orjson.dumps(write(item, (), write_context())))
    r5 = to_r5(r4)
    get_fhir_model_class("List").model_validate(r5)
    assert lossless(r4) == r4


def test_the_unique_id_is_the_identifier_of_that_type():
    r4, r5 = in_both(entry())
    assert "masterIdentifier" in r4 and "attester" not in r4
    assert "masterIdentifier" not in r5 and "format" not in r5["content"][0]
    (named,) = [i for i in r5["identifier"] if i["type"]["coding"][0]["code"] == "uniqueId"]
    assert named["value"] == "urn:oid:2.999.1"


@pytest.mark.parametrize(
    "identifiers",
    [
        [{"use": "usual", "system": codes.URI_SYSTEM, "value": "urn:oid:2.999.1"}],
        [{"system": codes.URI_SYSTEM, "value": "urn:oid:2.999.1"}, {"type": {"text": "x"}, "value": "y"}],
    ],
)
def test_the_unique_id_is_found_in_the_forms_of_older_guides(identifiers):
    read = from_r5({"resourceType": "DocumentReference", "identifier": identifiers})
    assert read["masterIdentifier"]["value"] == "urn:oid:2.999.1"


def test_the_authenticator_attests_by_law():
    r4, r5 = in_both(entry(legal_authenticator=Person(family="Doe")))
    (attester,) = r5["attester"]
    assert attester["party"] == r4["authenticator"] == {"reference": "#authenticator"}
    assert attester["mode"]["coding"][0] == {"system": codes.ATTESTATION_MODE_SYSTEM, "code": "legal"}


def test_of_several_attesters_the_legal_one_is_read_and_the_rest_named_as_lost():
    def attester(mode, name):
        return {"mode": {"coding": [{"code": mode}]}, "party": {"reference": f"#{name}"}}

    lost = []
    resource = {
        "resourceType": "DocumentReference",
        "attester": [attester("personal", "a"), attester("professional", "b"), attester("legal", "c")],
    }
    assert from_r5(resource, lost.append)["authenticator"] == {"reference": "#c"}
    assert lost == ["DocumentReference.attester (all but one)"]


def test_reference_ids_go_where_mhd_5_has_them():
    ids = (
        ReferenceId("A1", "2.999.4", codes.REFERENCE_ACCESSION),
        ReferenceId("2.999.5", None, codes.REFERENCE_STUDY),
        ReferenceId("E1", "2.999.4", codes.REFERENCE_ENCOUNTER),
        ReferenceId("2.999.7", None, codes.REFERENCE_UNIQUE_ID),
        ReferenceId("2.999.8", None, codes.REFERENCE_WORKFLOW),
    )
    r4, r5 = in_both(entry(reference_ids=ids))
    assert (len(r4["context"]["encounter"]), len(r4["context"]["related"])) == (1, 4)
    assert (len(r5["context"]), len(r5["basedOn"])) == (1, 2)
    assert sum(e["url"] == codes.EXT_REFERENCE_ID for e in r5["extension"]) == 2
    assert all(set(based) == {"identifier"} for based in r5["basedOn"])
    read = read_document_reference(from_r5(r5), read_context(), "DocumentReference")
    assert set(read.reference_ids) == set(ids)


def test_a_document_of_mhd_has_one_profile_which_is_a_coding():
    r4, r5 = in_both(entry())
    assert r5["content"][0]["profile"] == [{"valueCoding": r4["content"][0]["format"]}]
    assert r5["meta"]["profile"] == [f"{codes.PROFILE_COMPREHENSIVE_DOCUMENT}|5.1.0"]


def test_a_report_of_hl7_europe_has_its_canonical_first_and_claims_no_profile_of_mhd():
    r4, _ = in_both(entry())
    canonical_url = imaging.EU_STRUCTURE + "BundleReportEuImaging"
    extension = {"url": imaging.EXT_EU_CONTENT_PROFILE, "valueCanonical": canonical_url}
    r4["content"][0]["extension"] = [extension]
    r5 = to_r5(r4)
    assert [next(iter(profile)) for profile in r5["content"][0]["profile"]] == [
        "valueCanonical",
        "valueCoding",
    ]
    assert "extension" not in r5["content"][0]
    assert "meta" not in r5
    assert from_r5(r5)["content"] == r4["content"]


def test_a_relation_is_a_concept():
    other = "urn:uuid:00000000-0000-4000-8000-000000000002"
    relation = Association(
        entry_uuid=UUID, type=codes.RPLC, source=UUID, target=other, status=AvailabilityStatus.APPROVED
    )
    r4, r5 = in_both(entry(), (relation,))
    assert r4["relatesTo"][0]["code"] == "replaces"
    assert r5["relatesTo"][0]["code"] == {
        "coding": [{"system": codes.RELATIONSHIP_SYSTEM, "code": "replaces"}]
    }


def test_the_source_patient_is_an_extension():
    _, r5 = in_both(entry())
    (extension,) = r5["extension"]
    assert extension == {
        "url": codes.EXT_SOURCE_PATIENT,
        "valueReference": {"reference": "#sourcePatient"},
    }
    assert any(c["id"] == "sourcePatient" for c in r5["contained"])


def test_a_size_is_a_string_and_r5_has_larger_ones():
    _, small = in_both(entry())
    assert small["content"][0]["attachment"]["size"] == "12"
    big = entry(size=3 * 2**30)
    in_r4 = write_document_reference(big, write_context())
    assert "size" not in in_r4["content"][0]["attachment"]
    context = write_context()
    context = type(context)(
        context.terminology,
        context.base_url,
        context.document_url,
        context.patient_reference,
        largest_size=MAX_INTEGER64,
    )
    in_r5 = to_r5(write_document_reference(big, context))
    assert in_r5["content"][0]["attachment"]["size"] == str(3 * 2**30)


@pytest.mark.parametrize(
    "url",
    [
        imaging.EXT_DOCUMENT_MODALITY,
        imaging.MADO_STRUCTURE + "ext-R5-DocumentReference.modality",
    ],
)
def test_extensions_for_elements_of_r5_become_those_elements(url):
    modality = {"coding": [{"system": codes.DICOM_CODE_SYSTEM, "code": "CT"}]}
    region = {"coding": [{"code": "774007"}]}
    r4 = {
        "resourceType": "DocumentReference",
        "extension": [
            {"url": url, "valueCodeableConcept": modality},
            {
                "url": imaging.EXT_DOCUMENT_BODY_SITE,
                "extension": [{"url": "concept", "valueCodeableConcept": region}],
            },
            {"url": codes.EXT_R5 + "DocumentReference.version", "valueString": "2"},
        ],
    }
    r5 = to_r5(r4)
    assert r5 == {
        "resourceType": "DocumentReference",
        "modality": [modality],
        "bodySite": [{"concept": region}],
        "version": "2",
    }
    back = from_r5(r5)
    assert {e["url"] for e in back["extension"]} == {
        imaging.EXT_DOCUMENT_MODALITY,
        imaging.EXT_DOCUMENT_BODY_SITE,
        codes.EXT_R5 + "DocumentReference.version",
    }


def test_canonicals_of_hl7_europe_are_those_of_the_release():
    r4 = {
        "resourceType": "DocumentReference",
        "category": [{"coding": [{"system": imaging.EU_PRIORITY_CATEGORIES, "code": "Medical-Imaging"}]}],
    }
    (coding,) = to_r5(r4)["category"][0]["coding"]
    assert coding["system"].startswith("http://hl7.eu/fhir/eu-health-data-api/")
    assert lossless(r4) == r4


def test_what_a_searchset_says_of_itself_is_issues_in_r5_and_an_entry_in_r4():
    issue = {"severity": "warning", "code": "not-supported", "diagnostics": "left out"}
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    r4 = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
        "link": [{"relation": "self", "url": "https://gateway.example/fhir/R5/List"}],
        "entry": [{"resource": outcome, "search": {"mode": "outcome"}}],
    }
    r5 = to_r5(r4)
    assert "entry" not in r5 and r5["issues"] == outcome | {"id": "issues"}
    get_fhir_model_class("Bundle").model_validate(r5)
    assert from_r5(r5)["entry"] == r4["entry"]


def test_a_fhir_document_stays_as_it_is():
    document = {
        "resourceType": "Bundle",
        "type": "document",
        "entry": [{"resource": {"resourceType": "Composition", "subject": {"display": "x"}}}],
    }
    transaction = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": document},
            {"resource": {"resourceType": "List", "subject": {"display": "x"}}},
        ],
    }
    inside, a_list = to_r5(transaction)["entry"]
    assert inside["resource"] == document == to_r5(document)
    assert a_list["resource"]["subject"] == [{"display": "x"}]


OTHERS = [
    {
        "resourceType": "ImagingStudy",
        "status": "available",
        "modality": [{"system": codes.DICOM_CODE_SYSTEM, "code": "CT"}],
        "subject": {"display": "x"},
        "procedureCode": [{"text": "Scan"}],
        "procedureReference": {"reference": "Procedure/1"},
        "reasonCode": [{"text": "Pain"}],
        "reasonReference": [{"reference": "Condition/1"}],
        "series": [
            {
                "uid": "2.999.1",
                "modality": {"system": codes.DICOM_CODE_SYSTEM, "code": "CT"},
                "bodySite": {"display": "Head"},
                "laterality": {"code": "7771000"},
            }
        ],
    },
    {
        "resourceType": "ServiceRequest",
        "status": "completed",
        "intent": "order",
        "code": {"text": "Scan"},
        "subject": {"display": "x"},
        "orderDetail": [{"text": "with contrast"}],
        "locationCode": [{"text": "ward"}],
        "reasonCode": [{"text": "Pain"}],
        "supportingInfo": [{"reference": "Observation/1"}],
        "patientInstruction": "Drink water.",
    },
    {
        "resourceType": "Endpoint",
        "status": "active",
        "connectionType": {"system": imaging.ENDPOINT_CONNECTION, "code": "dicom-wado-rs"},
        "payloadType": [{"text": "DICOM"}],
        "payloadMimeType": ["application/dicom"],
        "address": "https://gateway.example/fhir/wado",
    },
    {
        "resourceType": "Provenance",
        "target": [{"reference": "ImagingStudy/1"}],
        "recorded": "2026-01-02T03:04:05Z",
        "reason": [{"text": "treatment"}],
        "agent": [{"who": {"display": "gateway"}}],
        "entity": [{"role": "source", "what": {"reference": "DocumentReference/1"}}],
    },
    {
        "resourceType": "Organization",
        "name": "Clinic",
        "telecom": [{"system": "phone", "value": "1"}],
        "address": [{"city": "Bern"}, {"city": "Basel"}],
        "contact": [{"name": {"family": "Doe"}, "telecom": [{"system": "phone", "value": "2"}]}],
    },
    {
        "resourceType": "PractitionerRole",
        "telecom": [{"system": "phone", "value": "1"}],
    },
    {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": {"text": "Report"},
        "imagingStudy": [{"reference": "ImagingStudy/1"}],
        "extension": [
            {
                "url": codes.EXT_R5 + "DiagnosticReport.composition",
                "valueReference": {"reference": "Composition/1"},
            },
            {"url": codes.EXT_R5 + "DiagnosticReport.note", "valueAnnotation": {"text": "note"}},
        ],
    },
    {
        "resourceType": "Composition",
        "identifier": {"system": codes.URI_SYSTEM, "value": UUID},
        "status": "final",
        "type": {"text": "Report"},
        "subject": {"display": "x"},
        "date": "2026-01-02",
        "author": [{"display": "x"}],
        "title": "Report",
        "attester": [{"mode": "legal", "party": {"display": "x"}}],
        "relatesTo": [{"code": "replaces", "targetReference": {"reference": "Composition/0"}}],
        "event": [{"code": [{"text": "Scan"}], "detail": [{"reference": "Procedure/1"}]}],
        "section": [{"title": "one", "entry": [{"reference": "Observation/1"}]}],
        "extension": [{"url": codes.EXT_R5 + "Composition.version", "valueString": "1"}],
    },
    {
        "resourceType": "Procedure",
        "status": "completed",
        "subject": {"display": "x"},
        "category": {"text": "imaging"},
        "performedDateTime": "2026-01-02",
        "reasonCode": [{"text": "Pain"}],
        "complication": [{"text": "none"}],
        "complicationDetail": [{"reference": "Condition/2"}],
        "usedReference": [{"reference": "Device/1"}],
    },
    {
        "resourceType": "Device",
        "extension": [
            {"url": codes.EXT_R5 + "Device.category", "valueCodeableConcept": {"text": "modality"}}
        ],
        "status": "active",
        "type": {"text": "scanner"},
        "deviceName": [
            {"name": "S", "type": "manufacturer-name"},
            {"name": "T", "type": "user-friendly-name"},
        ],
        "modelNumber": "7",
        "specialization": [{"systemType": {"text": "DICOM"}, "version": "2025"}],
        "version": [{"value": "1.2"}],
        "property": [
            {"type": {"text": "field"}, "valueQuantity": [{"value": 3}, {"value": 7}]},
            {"type": {"text": "coil"}, "valueCode": [{"text": "head"}]},
        ],
        "definition": {"display": "x"},
        "patient": {"reference": "Patient/1"},
        "distinctIdentifier": "D1",
    },
    {
        "resourceType": "AdverseEvent",
        "identifier": {"value": "1"},
        "actuality": "actual",
        "event": {"text": "extravasation"},
        "subject": {"display": "x"},
        "date": "2026-01-02",
        "resultingCondition": [{"reference": "Condition/1"}],
        "outcome": {"text": "resolved"},
        "contributor": [{"display": "x"}],
        "suspectEntity": [
            {
                "instance": {"reference": "Procedure/1"},
                "causality": [{"assessment": {"text": "likely"}, "method": {"text": "scale"}}],
            }
        ],
        "subjectMedicalHistory": [{"reference": "Condition/2"}],
        "referenceDocument": [{"reference": "DocumentReference/1"}],
    },
    {
        "resourceType": "Observation",
        "extension": [
            {
                "url": codes.EXT_R5 + "Observation.derivedFrom",
                "valueReference": {"reference": "Basic/1"},
            }
        ],
        "status": "final",
        "code": {"text": "dose"},
        "derivedFrom": [{"reference": "ImagingStudy/1"}],
    },
    {
        "resourceType": "Condition",
        "subject": {"display": "x"},
        "recorder": {"display": "r"},
        "asserter": {"display": "a"},
        "evidence": [{"code": [{"text": "seen"}]}, {"detail": [{"reference": "Observation/1"}]}],
    },
    {
        "resourceType": "AllergyIntolerance",
        "patient": {"display": "x"},
        "type": "allergy",
        "recorder": {"display": "r"},
        "reaction": [{"manifestation": [{"text": "rash"}]}],
    },
    {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"display": "x"},
        "serviceType": {"text": "radiology"},
        "participant": [{"individual": {"display": "x"}}],
        "period": {"start": "2026-01-02"},
        "reasonCode": [{"text": "Pain"}],
        "reasonReference": [{"reference": "Condition/1"}],
        "hospitalization": {"origin": {"display": "x"}},
        "location": [{"location": {"display": "x"}, "physicalType": {"text": "room"}}],
    },
    {
        "resourceType": "Specimen",
        "collection": {"bodySite": {"text": "arm"}},
        "processing": [{"procedure": {"text": "fixed"}}],
    },
    {
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": {"text": "contrast agent"},
        "subject": {"display": "x"},
        "reportedBoolean": True,
        "performer": {"display": "x"},
        "reasonCode": [{"text": "scan"}],
        "dosageInstruction": [{"asNeededCodeableConcept": {"text": "pain"}}, {"asNeededBoolean": True}],
        "dispenseRequest": {"performer": {"display": "x"}},
    },
    {
        "resourceType": "MedicationAdministration",
        "status": "completed",
        "medicationReference": {"reference": "Medication/1"},
        "subject": {"display": "x"},
        "category": {"text": "inpatient"},
        "context": {"reference": "Encounter/1"},
        "effectiveDateTime": "2026-01-02",
        "device": [{"reference": "Device/1"}],
        "performer": [{"actor": {"display": "x"}}],
    },
    {
        "resourceType": "MedicationDispense",
        "status": "completed",
        "medicationCodeableConcept": {"text": "contrast agent"},
        "subject": {"display": "x"},
        "context": {"reference": "Encounter/1"},
    },
    {
        "resourceType": "Medication",
        "form": {"text": "solution"},
        "manufacturer": {"display": "x"},
        "ingredient": [{"itemCodeableConcept": {"text": "iodine"}, "strength": {"numerator": {"value": 3}}}],
    },
    {
        "resourceType": "Immunization",
        "status": "completed",
        "vaccineCode": {"text": "x"},
        "patient": {"display": "x"},
        "occurrenceDateTime": "2026-01-02",
        "reasonReference": [{"reference": "Condition/1"}],
        "manufacturer": {"display": "x"},
        "reportOrigin": {"text": "record"},
    },
    {
        "resourceType": "NutritionOrder",
        "status": "active",
        "intent": "order",
        "dateTime": "2026-01-02",
        "patient": {"display": "x"},
    },
    {
        "resourceType": "BodyStructure",
        "patient": {"display": "x"},
        "location": {"text": "hand"},
        "locationQualifier": [{"text": "left"}],
    },
    {
        "resourceType": "Coverage",
        "status": "active",
        "beneficiary": {"display": "x"},
        "payor": [{"display": "x"}],
        "subscriberId": "7",
    },
    {"resourceType": "CareTeam", "reasonCode": [{"text": "scan"}]},
    {
        "resourceType": "Location",
        "telecom": [{"system": "phone", "value": "1"}],
        "physicalType": {"text": "room"},
    },
    {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "identifier": {"value": "1"},
        "questionnaire": "https://example.org/q",
    },
    {
        "resourceType": "CarePlan",
        "status": "active",
        "intent": "plan",
        "subject": {"display": "x"},
        "author": {"display": "x"},
        "addresses": [{"reference": "Condition/1"}],
    },
]


@pytest.mark.parametrize("resource", OTHERS, ids=lambda r: r["resourceType"])
def test_every_other_type_is_valid_in_r5_and_comes_back_as_it_was(resource):
    r4_model_class(resource["resourceType"]).model_validate(resource)
    r5 = to_r5(resource)
    get_fhir_model_class(resource["resourceType"]).model_validate(r5)
    assert r5 != resource
    assert lossless(resource) == resource


@pytest.mark.parametrize(
    ("resource", "element"),
    [
        ({"resourceType": "AdverseEvent", "severity": {"text": "mild"}}, "AdverseEvent.severity"),
        ({"resourceType": "Composition", "section": [{"mode": "changes"}]}, "Composition.section.mode"),
    ],
)
def test_what_r5_has_no_place_for_is_named(resource, element):
    lost = []
    to_r5(resource, lost.append)
    assert lost == [element]


@pytest.mark.parametrize(
    ("resource", "element"),
    [
        (
            {"resourceType": "DocumentReference", "event": [{"reference": {"reference": "Procedure/1"}}]},
            "DocumentReference.event.reference",
        ),
        (
            {"resourceType": "DocumentReference", "docStatus": "cancelled"},
            "DocumentReference.docStatus (a status that R4 does not have)",
        ),
        (
            {"resourceType": "List", "subject": [{"display": "x"}, {"display": "y"}]},
            "List.subject (all but the first)",
        ),
    ],
)
def test_what_r4_has_no_place_for_is_named(resource, element):
    lost = []
    from_r5(resource, lost.append)
    assert lost == [element]


def test_a_path_of_r4_is_told_as_r5_has_it():
    assert path_in_r5("Bundle.entry[1].resource.context.period") == "Bundle.entry[1].resource.period"
    assert path_in_r5("DocumentReference.masterIdentifier") == "DocumentReference.identifier"
    assert path_in_r5("DocumentReference.content[0].format") == "DocumentReference.content[0].profile.value"


def test_a_version_parameter_names_its_release():
    assert release_named("4.0.1") is release_named("4.0") is FhirRelease.R4
    assert release_named("5.0") is FhirRelease.R5
    assert release_named("4.3") is release_named("3.0") is None


def test_every_type_that_differs_has_a_row_in_the_table():
    """Types whose elements at the root are not alike in the models of both releases."""
    for kind in sorted(SERVED - {"Media"}):
        old, new = (
            set(model.elements_sequence()) for model in (r4_model_class(kind), get_fhir_model_class(kind))
        )
        rules = DIFFERENCES.get(kind, Differences())
        assert old - new <= rules.claimed_r4, kind
        assert new - old <= rules.claimed_r5, kind
