"""Metadata of both worlds side by side, and what of it is hidden from who may not see whose it is."""

import msgspec
import pytest

from gateway.console.side_by_side import document_rows, study_rows, values_at
from gateway.demo.content import sample_content
from gateway.demo.ct_manifest import manifest_of
from gateway.demo.samples import IdSource
from gateway.fhir.document_reference import WriteContext, write_document_reference
from gateway.fhir.imaging_study import StudyLinks, write_imaging_study
from gateway.fhir.imaging_times import Zones
from gateway.fhir.terminology import Terminology
from gateway.model import Author, Code, Cx, DocumentEntry, Organization, Person, ReferenceId, codes
from gateway.model.metadata import Address, SourcePatientInfo

CODE = Code("C-1", "2.999.4", "What it is")
SECRETS = {
    "patient_id": Cx("SECRET-PATIENT", "2.999.1.1"),
    "source_patient_id": Cx("SECRET-LOCAL", "2.999.1.2"),
    "source_patient_info": SourcePatientInfo(
        ids=(Cx("SECRET-LOCAL", "2.999.1.2"),),
        names=(Person(family="SECRET-FAMILY", given="SECRET-GIVEN"),),
        birth_date="19750412",
        gender="F",
        addresses=(Address(street="SECRET-STREET"),),
        other=("PID-13|SECRET-PHONE",),
    ),
    "authors": (Author(person=Person(family="SECRET-AUTHOR"), institutions=(Organization("SECRET-WARD"),)),),
    "legal_authenticator": Person(family="SECRET-SIGNER"),
    "reference_ids": (ReferenceId("SECRET-ACCESSION", "2.999.1.5", codes.REFERENCE_ACCESSION),),
    "service_start_time": "202403100915",
    "service_stop_time": "202403100930",
    "title": "SECRET-TITLE",
    "comments": "SECRET-COMMENTS",
    "uri": "SECRET-URI",
    "extra": (("urn:local:note", ("SECRET-SLOT",)),),
}
ENTRY = DocumentEntry(
    entry_uuid="urn:uuid:11111111-2222-4333-8444-555555555555",
    unique_id="1.2.3.4",
    logical_id="urn:uuid:11111111-2222-4333-8444-555555555555",
    version="1",
    mime_type="application/pdf",
    home_community_id="urn:oid:2.999.100",
    repository_unique_id="2.999.10.1",
    class_code=CODE,
    type_code=CODE,
    format_code=CODE,
    facility_type=CODE,
    practice_setting=CODE,
    confidentiality=(CODE,),
    event_codes=(CODE,),
    creation_time="20240310093000",
    language="de-DE",
    hash="a" * 40,
    size=17,
    document_availability="Online",
    **SECRETS,
)
NOT_SHOWN = {"limited_metadata", "has_translation", "made_of"}
"""What the gateway itself notes of an entry."""


@pytest.fixture(scope="module")
def resource():
    context = WriteContext(
        terminology=Terminology({}, {}),
        base_url="https://gateway.example/fhir",
        document_url=lambda entry: "https://gateway.example/fhir/content/token",
        patient_reference=lambda patient: {
            "identifier": {"value": patient.id, "system": "urn:oid:2.999.1.1"}
        },
    )
    return write_document_reference(ENTRY, context)


def text_of(rows):
    return "\n".join(" ".join((row.name, *row.values, *row.fhir)) for row in rows)


def test_every_attribute_of_an_entry_is_shown_to_who_may_see_it(resource):
    rows = document_rows(ENTRY, resource, show_all=True)
    text = text_of(rows)
    for value in SECRETS.values():
        for secret in filter(lambda each: "SECRET" in each, _strings(value)):
            assert secret in text
    bare = DocumentEntry(entry_uuid=ENTRY.entry_uuid, unique_id="1.2.3.4")
    for field in msgspec.structs.fields(DocumentEntry):
        if field.name not in NOT_SHOWN | {"entry_uuid", "unique_id", "object_type", "status"}:
            one = msgspec.structs.replace(bare, **{field.name: getattr(ENTRY, field.name)})
            assert len(document_rows(one, {}, show_all=True)) > len(document_rows(bare, {}, show_all=True)), (
                field.name
            )


def test_what_may_tell_who_the_patient_is_stays_hidden(resource):
    rows = document_rows(ENTRY, resource, show_all=False)
    text = text_of(rows)
    assert "SECRET" not in text
    assert "19750412" not in text
    assert "20240310091" not in text
    hidden = {row.name for row in rows if row.hidden}
    assert {
        "patientId",
        "sourcePatientInfo",
        "title",
        "author",
        "referenceIdList",
        "urn:local:note",
    } <= hidden
    by_name = {row.name: row for row in rows}
    assert by_name["uniqueId"].values == ("1.2.3.4",)
    assert by_name["typeCode"].values == ("C-1 · What it is · 2.999.4",)


def test_an_attribute_stands_beside_the_element_that_the_mapping_makes_of_it(resource):
    rows = {row.name: row for row in document_rows(ENTRY, resource, show_all=True)}
    for name, path, fhir in (
        ("mimeType", "content.attachment.contentType", ("application/pdf",)),
        ("size", "content.attachment.size", ("17",)),
        ("languageCode", "content.attachment.language", ("de-DE",)),
        ("availabilityStatus", "status", ("current",)),
        ("repositoryUniqueId", "", ()),
        ("patientId", "subject", ("SECRET-PATIENT · urn:oid:2.999.1.1",)),
    ):
        assert (rows[name].path, rows[name].fhir) == (path, fhir), name
    assert "SECRET-AUTHOR" in " ".join(rows["author"].fhir), "contained resources are told in their place"


def test_a_manifest_hides_whose_it_is_too():
    content = sample_content("side by side")
    manifest = manifest_of(IdSource("side by side"), "1.2.3", content.images)
    shown = text_of(study_rows(manifest, {}, show_all=True))
    hidden = text_of(study_rows(manifest, {}, show_all=False))
    for told in (content.patient.family, content.patient.id, content.images.accession, "CT of the chest"):
        assert told in shown
    for told in (content.patient.family, content.patient.id, content.images.accession):
        assert told not in hidden
    for series in content.images.series:
        assert series.series_instance_uid in hidden
        assert series.description not in hidden


def test_a_study_id_is_hidden_though_the_uid_beside_it_is_not():
    content = sample_content("side by side")
    manifest = manifest_of(IdSource("side by side"), "1.2.3", content.images)
    study = msgspec.structs.replace(manifest.study, study_id="SECRET-STUDY")
    manifest = msgspec.structs.replace(manifest, study=study)
    links = StudyLinks(
        subject={"reference": "Patient/1"}, order=lambda number: "ServiceRequest/1", endpoint=lambda place: {}
    )
    resource = write_imaging_study(study, "1", Zones(), Terminology({}, {}), links)
    assert {"use": "usual", "value": "SECRET-STUDY"} in resource["identifier"]
    uid = (f"urn:oid:{study.study_instance_uid} · urn:dicom:uid",)
    shown = {row.name: row for row in study_rows(manifest, resource, show_all=True)}
    assert shown["Study Instance UID"].fhir == uid
    assert shown["Study ID"].values == shown["Study ID"].fhir == ("SECRET-STUDY",)
    rows = study_rows(manifest, resource, show_all=False)
    hidden = {row.name: row for row in rows}
    assert hidden["Study Instance UID"].fhir == uid
    assert hidden["Study ID"].hidden
    assert "SECRET" not in text_of(rows)


def test_elements_are_read_through_lists_and_whatever_they_hold():
    resource = {
        "code": [{"coding": [{"code": "1", "system": "s"}]}, {"text": "no code"}],
        "number": [1, None, 0],
        "odd": {"nothing": "known"},
    }
    assert values_at(resource, "code") == ("1 · s", "no code")
    assert values_at(resource, "number") == ("1", "None", "0")
    assert values_at(resource, "odd") == ()
    assert values_at(resource, "no.such.path") == ()


def _strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, msgspec.Struct):
        yield from _strings(msgspec.structs.astuple(value))
