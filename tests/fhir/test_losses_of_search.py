"""XDS -> FHIR -> XDS: of all attributes of the model, those are lost that `gateway.fhir.losses` names, and no others."""

import types
import typing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from lxml.etree import tostring
from msgspec.structs import fields, replace

from gateway.ebxml.registry_objects import (
    read_document_entry,
    read_folder,
    read_submission_set,
    write_document_entry,
    write_folder,
    write_submission_set,
)
from gateway.fhir.document_reference import write_document_reference
from gateway.fhir.document_reference_read import read_document_reference
from gateway.fhir.lists import (
    read_folder_list,
    read_submission_set_list,
    write_folder_list,
    write_submission_set_list,
)
from gateway.fhir.losses import LOSSES, losses_table_markdown
from gateway.model import (
    Association,
    Author,
    AvailabilityStatus,
    Code,
    Cx,
    DocumentEntry,
    Folder,
    IntendedRecipient,
    Organization,
    Person,
    ReferenceId,
    SourcePatientInfo,
    SubmissionSet,
    Telecom,
    codes,
)
from gateway.model.metadata import Address, Original
from tests.ebxml.wire import over_the_wire
from tests.fhir import strategies
from tests.fhir.contexts import read_context, write_context

LISTED = {element: loss.said for loss in LOSSES if loss.direction == "search" for element in loss.elements}
WRITE_XDS = {DocumentEntry: write_document_entry, SubmissionSet: write_submission_set, Folder: write_folder}
READ_XDS = {DocumentEntry: read_document_entry, SubmissionSet: read_submission_set, Folder: read_folder}
READ_FHIR = {
    DocumentEntry: read_document_reference,
    SubmissionSet: read_submission_set_list,
    Folder: read_folder_list,
}


def written(item, context):
    if isinstance(item, DocumentEntry):
        return write_document_reference(item, context)
    write = write_submission_set_list if isinstance(item, SubmissionSet) else write_folder_list
    return write(item, (), context)


def shown_and_sent(item):
    """The registry object as it is after a search and a publish of what was found, and whether a loss was said.

    Over the wire both times: ebRIM to FHIR to ebRIM.
    """
    kind, warnings = type(item), []
    registered = READ_XDS[kind](over_the_wire(WRITE_XDS[kind](item)))
    assert registered == item, "the registry's message carries everything"
    resource = written(registered, write_context(warnings=warnings))
    context = read_context()
    read = READ_FHIR[kind](resource, context, resource["resourceType"])
    assert context.findings.errors == []
    return READ_XDS[kind](over_the_wire(WRITE_XDS[kind](read))), bool(warnings)


@given(strategies.document_entries())
@settings(max_examples=60, deadline=None)
def test_a_document_entry_with_nothing_of_the_table_survives(entry):
    sent, said = shown_and_sent(entry)
    assert (sent, said) == (entry, False)
    assert tostring(write_document_entry(sent)) == tostring(write_document_entry(entry))


@given(strategies.submission_sets(), strategies.folders)
@settings(max_examples=60, deadline=None)
def test_submission_sets_and_folders_with_nothing_of_the_table_survive(submission_set, folder):
    assert shown_and_sent(submission_set) == (submission_set, False)
    assert shown_and_sent(folder) == (folder, False)


# --- each loss, one by one ------------------------------------------------------------------------------
PERSON = Person("17", "Welby", "Marcus", "M.", "Jr", "Dr", authority="2.999.4")
CLINIC = Organization("Clinic", "C1", "2.999.5")
CODE = Code("1", "2.999.6", "one")
AUTHOR = Author(
    PERSON, (CLINIC,), ("Role", Code("2", "2.999.6")), ("Specialty",), (Telecom("1", "phone", "work"),)
)
PATIENT = Cx("P1", "2.999.2")
INFO = SourcePatientInfo(
    ids=(Cx("M1", "2.999.3"),),
    names=(Person(family="Muster", given="Eva", further_given="A", suffix="Jr", prefix="Dr"),),
    birth_date="19610203",
    gender="F",
    addresses=(Address("Gasse 1", "2", "Wien", "W", "1010", "AT"),),
)
ENTRY = DocumentEntry(
    entry_uuid="urn:uuid:1d1a4a3f-0000-4000-8000-000000000001",
    unique_id="2.999.1.2",
    patient_id=PATIENT,
    status=AvailabilityStatus.DEPRECATED,
    mime_type="text/xml",
    home_community_id="urn:oid:2.999.9",
    source_patient_id=INFO.ids[0],
    source_patient_info=INFO,
    authors=(AUTHOR,),
    legal_authenticator=PERSON,
    class_code=CODE,
    type_code=CODE,
    format_code=CODE,
    facility_type=CODE,
    practice_setting=CODE,
    confidentiality=(CODE,),
    event_codes=(CODE,),
    reference_ids=(ReferenceId("A1", "2.999.7", codes.REFERENCE_ACCESSION),),
    creation_time="20260102030405",
    service_start_time="2026",
    service_stop_time="20260103",
    language="en",
    hash="0a4d55a8d778e5022fab701977c5d840bbc486d0",
    size=11,
    title="Title",
    comments="Comments",
    limited_metadata=True,
)
SET = SubmissionSet(
    entry_uuid=ENTRY.entry_uuid,
    unique_id="2.999.1.1",
    source_id="2.999.1",
    submission_time="20260102030405",
    patient_id=PATIENT,
    content_type=CODE,
    authors=(AUTHOR, Author(institutions=(CLINIC,))),
    intended_recipients=(IntendedRecipient(person=PERSON, telecom=Telecom("a@b.example", "email", "work")),),
    title="Title",
    comments="Comments",
    home_community_id="urn:oid:2.999.9",
)
FOLDER = Folder(
    entry_uuid=ENTRY.entry_uuid,
    unique_id="2.999.1.3",
    patient_id=PATIENT,
    code_list=(CODE,),
    last_update_time="20260102030405",
    title="Title",
    comments="Comments",
    home_community_id="urn:oid:2.999.9",
)


def with_info(**changes):
    return {"source_patient_info": replace(INFO, **changes)}


def with_author(**changes):
    return {"authors": (replace(AUTHOR, **changes),)}


EXTRA = {"extra": (("urn:x:slot", ("1",)),)}
DEGREE = replace(PERSON, degree="MD")
AT_HOME = Author(institutions=(CLINIC,), telecoms=(Telecom("1", "phone", "home"),))
CASES = {
    **{
        f"DocumentEntry.{name}": (ENTRY, {name: value}, {name: left})
        for name, value, left in (
            ("size", 2**31, None),
            ("hash", "abc", None),
            ("creation_time", "20261301", None),
            ("service_start_time", "20260230", None),
            ("service_stop_time", "2025", None),
            ("home_community_id", "urn:oid:here", None),
            ("logical_id", "urn:uuid:1d1a4a3f-0000-4000-8000-000000000009", None),
            ("version", "2", None),
            ("document_availability", "urn:ihe:iti:2010:DocumentAvailability:Offline", None),
            ("uri", "a.xml", None),
            ("repository_unique_id", "2.999.10", None),
        )
    },
    "DocumentEntry.extra": (ENTRY, EXTRA, {}),
    "DocumentEntry.object_type": (
        ENTRY,
        {"hash": None, "size": None},
        {"hash": None, "size": None, "object_type": codes.ON_DEMAND_DOCUMENT},
    ),
    "SubmissionSet.submission_time": (SET, {"submission_time": "yesterday"}, {"submission_time": ""}),
    "SubmissionSet.home_community_id": (SET, {"home_community_id": "urn:oid:x"}, {"home_community_id": None}),
    "SubmissionSet.authors": (SET, {"authors": (AUTHOR, AUTHOR)}, {"authors": (AUTHOR,)}),
    "SubmissionSet.extra": (SET, EXTRA, {}),
    "SubmissionSet.status": (SET, {"status": AvailabilityStatus.DEPRECATED}, {}),
    "SubmissionSet.limited_metadata": (SET, {"limited_metadata": True}, {}),
    "Folder.last_update_time": (FOLDER, {"last_update_time": "today"}, {"last_update_time": None}),
    "Folder.home_community_id": (FOLDER, {"home_community_id": "urn:oid:x"}, {"home_community_id": None}),
    "Folder.extra": (FOLDER, EXTRA, {}),
    "Folder.status": (FOLDER, {"status": AvailabilityStatus.DEPRECATED}, {}),
    "Folder.limited_metadata": (FOLDER, {"limited_metadata": True}, {}),
    "dtm.hour": (ENTRY, {"creation_time": "2026010203"}, {"creation_time": "20260102030000"}),
    "dtm.minute": (SET, {"submission_time": "202601020304"}, {"submission_time": "20260102030400"}),
    "ReferenceId.home_community_id": (
        ENTRY,
        {"reference_ids": (replace(ENTRY.reference_ids[0], home_community_id="urn:oid:2.999.9"),)},
        {},
    ),
    "Person.degree": (ENTRY, with_author(person=DEGREE), with_author(person=replace(PERSON, suffix="Jr MD"))),
    "SourcePatientInfo.other": (ENTRY, with_info(other=("PID-13|1",)), {}),
    "SourcePatientInfo.birth_date": (ENTRY, with_info(birth_date="196102030405"), {}),
    "SourcePatientInfo.gender": (ENTRY, with_info(gender="A"), with_info(gender="O")),
    "Telecom.use": (
        ENTRY,
        {"authors": (AT_HOME,)},
        {"authors": (replace(AT_HOME, telecoms=(Telecom("1", "phone"),)),)},
    ),
    "IntendedRecipient.organization": (
        SET,
        {"intended_recipients": (IntendedRecipient(CLINIC, PERSON),)},
        {"intended_recipients": (IntendedRecipient(CLINIC), IntendedRecipient(person=PERSON))},
    ),
    "Author.institutions": (
        ENTRY,
        {"authors": (Author(institutions=(CLINIC, Organization("Other"))),)},
        {"authors": (Author(institutions=(CLINIC,)), Author(institutions=(Organization("Other"),)))},
    ),
}
"""For each loss an object that has none of them, what is changed in it, and what is left of the change."""


@pytest.mark.parametrize("element", CASES)
def test_each_loss_of_the_table_is_lost_and_said_where_it_says_so(element):
    whole, change, left = CASES[element]
    found, said = shown_and_sent(replace(whole, **change))
    assert found == replace(whole, **left)
    assert said == LISTED[element]


def test_the_table_names_no_other():
    of_associations = {e for e in LISTED if e.startswith("Association.")}
    assert set(LISTED) - of_associations == set(CASES)


# --- and nothing else -----------------------------------------------------------------------------------
def struct_types(annotation):
    """The Structs in the type of a field."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    if isinstance(annotation, types.UnionType | types.GenericAlias):
        for inner in typing.get_args(annotation):
            yield from struct_types(inner)


def attributes_of(kind, seen):
    """Every attribute of a Struct and of the Structs in it."""
    if kind in seen:
        return
    seen.add(kind)
    for field in fields(kind):
        yield kind, field
        for inner in struct_types(field.type):
            yield from attributes_of(inner, seen)


def values_of(item, kind, name):
    """The values of an attribute anywhere in an object."""
    if isinstance(item, tuple):
        for part in item:
            yield from values_of(part, kind, name)
    elif isinstance(item, msgspec.Struct):
        if type(item) is kind:
            yield getattr(item, name)
        for field in fields(type(item)):
            yield from values_of(getattr(item, field.name), kind, name)


def test_the_objects_without_losses_have_every_attribute_that_is_not_in_the_table():
    seen = set()
    missing = []
    for whole in (ENTRY, SET, FOLDER):
        assert shown_and_sent(whole) == (whole, False)
    for kind in (DocumentEntry, SubmissionSet, Folder):
        for owner, field in attributes_of(kind, seen):
            if owner is Original or field.name in ("has_translation", "made_of"):
                continue  # said of what this gateway makes, by no registry
            values = [v for whole in (ENTRY, SET, FOLDER) for v in values_of(whole, owner, field.name)]
            empty = (None, (), "", False, field.default)
            if all(v in empty for v in values) and f"{owner.__name__}.{field.name}" not in LISTED:
                missing.append(f"{owner.__name__}.{field.name}")
    assert missing == []


def test_of_an_association_source_kind_and_target_are_shown():
    names = {field.name for field in fields(Association)}
    listed = {e.removeprefix("Association.") for e in LISTED if e.startswith("Association.")}
    assert names - listed == {"source", "target"}
    other = "urn:uuid:1d1a4a3f-0000-4000-8000-000000000002"
    plain = Association(entry_uuid=other, type=codes.APND, source=ENTRY.entry_uuid, target=other)
    full = replace(
        plain,
        entry_uuid=ENTRY.entry_uuid,
        submission_set_status="Original",
        documentation=CODE,
        home_community_id="urn:oid:2.999.9",
        extra=EXTRA["extra"],
    )
    snapshot = replace(plain, type=codes.IS_SNAPSHOT_OF)
    shown = [
        write_document_reference(ENTRY, write_context(), [a])["relatesTo"] for a in (plain, full, snapshot)
    ]
    reference = {"reference": f"DocumentReference/{other[9:]}"}
    assert shown == [[{"code": code, "target": reference}] for code in ("appends", "appends", "transforms")]
    ended = replace(plain, status=AvailabilityStatus.DEPRECATED)
    assert "relatesTo" not in write_document_reference(ENTRY, write_context(), [ended])


def test_the_table_of_the_readme_is_that_of_the_code():
    text = (Path(__file__).parents[2] / "docs" / "mapping.md").read_text()
    assert text.split("<!-- losses:begin -->\n")[1].split("<!-- losses:end -->")[0] == losses_table_markdown()
