"""DocumentReference of a DocumentEntry: what each element becomes, and what is said about the rest."""

import base64

import pytest
from fhir.resources.R4B.documentreference import DocumentReference
from hypothesis import given, settings
from msgspec.structs import replace

from gateway.fhir.document_reference import document_reference_json, write_document_reference
from gateway.fhir.document_reference_read import read_document_reference
from gateway.fhir.findings import Findings
from gateway.fhir.terminology import Terminology
from gateway.fhir.validation import validate_resource
from gateway.model import (
    Association,
    Author,
    AvailabilityStatus,
    Code,
    Cx,
    DocumentEntry,
    Organization,
    Person,
    ReferenceId,
    SourcePatientInfo,
    codes,
)
from tests.ebxml import strategies as registry
from tests.fhir import strategies
from tests.fhir.contexts import read_context, write_context
from tests.fhir.judges import errors_of

ENTRY = DocumentEntry(
    entry_uuid="urn:uuid:1d1a4a3f-0000-4000-8000-000000000001",
    unique_id="2.999.1.2",
    patient_id=Cx("P1", "2.999.2"),
    mime_type="text/xml",
    source_patient_id=Cx("MRN1", "2.999.3"),
    class_code=Code("11369-6", "2.16.840.1.113883.6.1", "History"),
    type_code=Code("60591-5", "2.16.840.1.113883.6.1", "Summary"),
    format_code=Code("urn:ihe:pcc:xphr:2007", "1.3.6.1.4.1.19376.1.2.3", "XPHR"),
    facility_type=Code("82242000", "2.16.840.1.113883.6.96", "Hospital"),
    practice_setting=Code("408467006", "2.16.840.1.113883.6.96", "Adult"),
    confidentiality=(Code("N", "2.16.840.1.113883.5.25", "normal"),),
    creation_time="20260102030405",
    language="en",
    hash="0a4d55a8d778e5022fab701977c5d840bbc486d0",
    size=11,
)


def write(entry, relations=(), **context):
    return write_document_reference(entry, write_context(**context), relations)


def relation(kind, **fields):
    return Association(
        entry_uuid="urn:uuid:1d1a4a3f-0000-4000-8000-00000000000a",
        type=kind,
        source=ENTRY.entry_uuid,
        target="urn:uuid:1d1a4a3f-0000-4000-8000-000000000002",
        **fields,
    )


def test_ids_are_master_identifier_identifiers_and_logical_id():
    resource = write(ENTRY)
    assert resource["id"] == "1d1a4a3f-0000-4000-8000-000000000001"
    assert resource["masterIdentifier"] == {
        "type": {"coding": [{"system": codes.MHD_IDENTIFIER_TYPE, "code": "uniqueId"}]},
        "system": "urn:ietf:rfc:3986",
        "value": "urn:oid:2.999.1.2",
    }
    unique, entry_uuid = resource["identifier"]
    assert unique == resource["masterIdentifier"]
    assert entry_uuid["value"] == ENTRY.entry_uuid
    assert entry_uuid["type"]["coding"][0]["code"] == "entryUUID"


@pytest.mark.parametrize(
    ("unique_id", "system", "value"),
    [
        ("2.999.1", "urn:ietf:rfc:3986", "urn:oid:2.999.1"),
        (
            "urn:uuid:1d1a4a3f-0000-4000-8000-000000000009",
            "urn:ietf:rfc:3986",
            "urn:uuid:1d1a4a3f-0000-4000-8000-000000000009",
        ),
        ("2.999.1^A/1", "urn:oid:2.999.1", "A/1"),
        ("https://documents.example/7", "urn:ietf:rfc:3986", "https://documents.example/7"),
    ],
)
def test_a_unique_id_of_each_form_has_its_identifier(unique_id, system, value):
    master = write(replace(ENTRY, unique_id=unique_id))["masterIdentifier"]
    assert (master["system"], master["value"]) == (system, value)


def test_the_hash_becomes_base64_and_back():
    attachment = write(ENTRY)["content"][0]["attachment"]
    assert attachment["hash"] == "Ck1VqNd45QIvq3AZd8XYQLvEhtA="
    assert attachment["size"] == 11


def test_delayed_assembly_shows_size_zero_and_the_hash_of_nothing():
    attachment = write(replace(ENTRY, hash=codes.EMPTY_SHA1, size=0))["content"][0]["attachment"]
    assert (attachment["size"], attachment["hash"]) == (0, "2jmj7l5rSw0yVb/vlWAYkK/YBwk=")


def test_an_on_demand_document_has_neither_hash_nor_size():
    entry = replace(ENTRY, object_type=codes.ON_DEMAND_DOCUMENT)
    attachment = write(entry)["content"][0]["attachment"]
    assert "hash" not in attachment and "size" not in attachment


def test_a_size_above_unsigned_int_is_left_out_with_a_warning():
    warnings = []
    attachment = write(replace(ENTRY, size=2**31), warnings=warnings)["content"][0]["attachment"]
    assert "size" not in attachment
    assert [w.severity for w in warnings] == ["warning"]
    assert warnings[0].expression.endswith("content.attachment.size")
    assert write(replace(ENTRY, size=2**31 - 1))["content"][0]["attachment"]["size"] == 2**31 - 1


@pytest.mark.parametrize(
    ("field", "value", "element"),
    [
        ("hash", "not a hash", "content.attachment.hash"),
        ("creation_time", "20240231", "content.attachment.creation"),
        ("service_start_time", "2024-01-01", "context.period.start"),
        ("service_stop_time", "soon", "context.period.end"),
        ("service_stop_time", "1999", "context.period.end"),
    ],
)
def test_what_is_no_fhir_value_is_left_out_with_a_warning(field, value, element):
    warnings = []
    changes = {"service_start_time": "2000", "service_stop_time": "2001", field: value}
    resource = write(replace(ENTRY, **changes), warnings=warnings)
    assert [w.expression.partition("').")[2] for w in warnings] == [element]
    place = resource
    for step in element.split("."):
        place = place[0] if isinstance(place, list) else place
        place = place.get(step)
    assert place is None


@pytest.mark.parametrize(
    ("dtm", "date_time"),
    [
        ("2024", "2024"),
        ("202402", "2024-02"),
        ("20240229", "2024-02-29"),
        ("2024022923", "2024-02-29T23:00:00Z"),
        ("202402292359", "2024-02-29T23:59:00Z"),
        ("20240229235958", "2024-02-29T23:59:58Z"),
        ("20240630235960", "2024-06-30T23:59:59Z"),
    ],
)
def test_a_dtm_keeps_what_precision_date_time_has(dtm, date_time):
    assert write(replace(ENTRY, creation_time=dtm))["content"][0]["attachment"]["creation"] == date_time


@pytest.mark.parametrize(
    "dtm", ["20240230", "20241301000000", "20230229101010", "yesterday", "2024010203040506"]
)
def test_a_time_that_does_not_exist_is_not_written(dtm):
    assert "creation" not in write(replace(ENTRY, creation_time=dtm))["content"][0]["attachment"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (codes.RPLC, ["replaces"]),
        (codes.APND, ["appends"]),
        (codes.XFRM, ["transforms"]),
        (codes.SIGNS, ["signs"]),
        (codes.XFRM_RPLC, ["replaces", "transforms"]),
        (codes.IS_SNAPSHOT_OF, ["transforms"]),
        (codes.HAS_MEMBER, []),
    ],
)
def test_an_association_from_the_entry_becomes_relates_to(kind, expected):
    found = write(ENTRY, [relation(kind)]).get("relatesTo", [])
    assert [r["code"] for r in found] == expected
    assert {r["target"]["reference"] for r in found} <= {
        "DocumentReference/1d1a4a3f-0000-4000-8000-000000000002"
    }


def test_associations_to_the_entry_and_deprecated_ones_are_not_its_relations():
    incoming = replace(relation(codes.RPLC), source="urn:uuid:x", target=ENTRY.entry_uuid)
    deprecated = relation(codes.RPLC, status=AvailabilityStatus.DEPRECATED)
    assert "relatesTo" not in write(ENTRY, [incoming, deprecated])


def test_every_author_is_contained_with_role_and_institutions():
    author = Author(
        person=Person(id="17", family="Welby", given="Marcus", authority="2.999.4"),
        institutions=(Organization("Hospital", "2.999.5"), Organization("Clinic", "C1", "2.999.6")),
        roles=("Attending",),
        specialties=(Code("394802001", "2.16.840.1.113883.6.96", "Medicine"),),
    )
    resource = write(replace(ENTRY, authors=(author, Author(person=Person(family="Kiley")))))
    assert [a["reference"] for a in resource["author"]] == ["#author0r0", "#author0r1", "#author1"]
    by_id = {c["id"]: c for c in resource["contained"]}
    role = by_id["author0r0"]
    assert role["code"] == [{"text": "Attending"}]
    assert role["specialty"][0]["coding"][0]["system"] == "http://snomed.info/sct"
    assert by_id["author0r1"]["practitioner"] == role["practitioner"] == {"reference": "#author0p"}
    assert by_id["author0o0"]["identifier"] == [{"system": "urn:ietf:rfc:3986", "value": "urn:oid:2.999.5"}]
    assert by_id["author1"]["name"] == [{"family": "Kiley"}]


def test_reference_ids_are_related_identifiers_and_encounters():
    references = (
        ReferenceId("A1", "2.999.7", codes.REFERENCE_ACCESSION),
        ReferenceId("2.999.8.1", None, codes.REFERENCE_STUDY),
        ReferenceId("E1", "2.999.9", codes.REFERENCE_ENCOUNTER),
    )
    context = write(replace(ENTRY, reference_ids=references))["context"]
    accession, study = (r["identifier"] for r in context["related"])
    assert accession["system"] == "urn:oid:2.999.7"
    assert accession["type"]["coding"][0] == {
        "system": "urn:ietf:rfc:3986",
        "code": "urn:ihe:iti:xds:2013:accession",
    }
    assert (study["system"], study["value"]) == ("urn:dicom:uid", "urn:oid:2.999.8.1")
    assert context["encounter"] == [{"identifier": {"system": "urn:oid:2.999.9", "value": "E1"}}]


@pytest.mark.parametrize(
    ("value", "system"),
    [("https://ids.example/1", codes.URI_SYSTEM), ("ü:1", None), ("1:2", None), ("a: b", None)],
)
def test_only_a_uri_has_the_system_of_uris(value, system):
    written = write(replace(ENTRY, reference_ids=(ReferenceId(value, None, codes.REFERENCE_UNIQUE_ID),)))
    assert written["context"]["related"][0]["identifier"].get("system") == system


def test_systems_and_authorities_are_written_as_the_settings_name_them():
    terminology = Terminology({"https://codes.example/class": "2.999.20"}, {"https://ids.example": "2.999.3"})
    entry = replace(ENTRY, class_code=Code("A", "2.999.20", "A"))
    resource = write(entry, terminology=terminology)
    assert resource["category"][0]["coding"][0]["system"] == "https://codes.example/class"
    assert resource["contained"][0]["identifier"][0]["system"] == "https://ids.example"


def test_the_home_community_is_an_oid_extension():
    resource = write(replace(ENTRY, home_community_id="urn:oid:2.999.40"))
    assert resource["extension"] == [{"url": codes.EXT_HOME_COMMUNITY, "valueOid": "urn:oid:2.999.40"}]


def test_a_complete_entry_claims_the_comprehensive_profile():
    assert write(ENTRY)["meta"]["profile"] == [codes.PROFILE_COMPREHENSIVE_DOCUMENT]


@pytest.mark.parametrize("home", ["urn:oid:", "urn:oid:x", "urn:oid:3.1", "urn:oid:2.1٢"])
def test_a_home_community_that_is_no_oid_is_left_out_with_a_warning(home):
    warnings = []
    context = write_context(warnings=warnings)
    assert "extension" not in write_document_reference(replace(ENTRY, home_community_id=home), context)
    assert [w.expression.rpartition(").")[2] for w in warnings] == ["extension"]


def test_identifiers_without_a_value_are_none():
    nothing = Cx("", "2.999.3")
    entry = replace(
        ENTRY,
        patient_id=nothing,
        source_patient_id=nothing,
        source_patient_info=SourcePatientInfo(ids=(nothing, Cx("P", "2.999.3"))),
        reference_ids=(ReferenceId("", "2.999.7", codes.REFERENCE_ACCESSION),),
    )
    resource = write(entry)
    assert errors_of(resource) == []
    assert "subject" not in resource and "related" not in resource["context"] and "meta" not in resource
    (patient,) = [r for r in resource["contained"] if r["resourceType"] == "Patient"]
    assert [identifier["value"] for identifier in patient["identifier"]] == ["P"]


@pytest.mark.parametrize(
    "missing",
    [
        {"type_code": None},
        {"class_code": None},
        {"format_code": None},
        {"facility_type": None},
        {"practice_setting": None},
        {"confidentiality": ()},
        {"patient_id": None},
        {"language": None},
        {"creation_time": None},
        {"creation_time": "20241301"},
        {"source_patient_id": None},
        {"mime_type": ""},
    ],
)
def test_an_entry_that_lacks_a_required_element_does_not_claim_the_profile(missing):
    assert "meta" not in write(replace(ENTRY, **missing))


def test_limited_metadata_claims_the_minimal_profile():
    resource = write(replace(ENTRY, limited_metadata=True))
    assert resource["meta"]["profile"] == [codes.PROFILE_MINIMAL_DOCUMENT]


@given(registry.document_entries())
@settings(max_examples=60, deadline=None)
def test_whatever_a_registry_answers_becomes_valid_fhir(entry):
    resource = write(entry)
    DocumentReference.model_validate(resource)
    findings = Findings()
    validate_resource(resource, "DocumentReference", findings)
    assert findings.errors == []


@given(strategies.document_entries())
@settings(max_examples=120, deadline=None)
def test_reading_what_was_written_gives_every_mapped_element_back(entry):
    resource = write(entry)
    context = read_context()
    read = read_document_reference(resource, context, "DocumentReference")
    assert context.findings.errors == []
    assert read == entry


@given(strategies.document_entries())
@settings(max_examples=20, deadline=None)
def test_text_and_values_are_the_same_resource(entry):
    import orjson

    context = write_context()
    assert orjson.loads(document_reference_json(entry, context)) == write_document_reference(entry, context)


def test_the_hash_vector_of_the_profile_is_the_hash_of_hello_world():
    import hashlib

    assert base64.b64encode(hashlib.sha1(b"Hello World").digest()).decode() == "Ck1VqNd45QIvq3AZd8XYQLvEhtA="
