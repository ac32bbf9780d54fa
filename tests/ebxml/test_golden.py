"""Small messages as they are on the wire, to be read by people and compared to the letter."""

from pathlib import Path

import pytest
from lxml import etree

from gateway.ebxml.query_response import read_query_response, write_query_response
from gateway.ebxml.stored_queries import read_query, write_query
from gateway.ebxml.submissions import read_provide_and_register, write_provide_and_register
from gateway.model import (
    Association,
    Author,
    Code,
    Cx,
    DocumentEntry,
    Folder,
    IntendedRecipient,
    Organization,
    Person,
    QueryResult,
    ReferenceId,
    RegistryError,
    ResponseStatus,
    Severity,
    SourcePatientInfo,
    Submission,
    SubmissionSet,
    Telecom,
    codes,
)
from gateway.model.query import ANY_DOCUMENT, ANY_STATUS, FindDocumentsByReferenceId

GOLDEN = Path(__file__).parent / "golden"

PATIENT = Cx("10001", "1.2.3.4.5")
ENTRY = DocumentEntry(
    entry_uuid="urn:uuid:6b1a2f0e-5d0c-4d56-9a3b-0a1c2d3e4f50",
    unique_id="urn:uuid:3f0c9d8e-1a2b-4c3d-8e9f-a0b1c2d3e4f5",
    patient_id=PATIENT,
    mime_type="application/pdf",
    home_community_id="urn:oid:1.2.3.4.9",
    repository_unique_id="1.2.3.4.6",
    source_patient_id=Cx("S&1", "1.2.3.4.7"),
    source_patient_info=SourcePatientInfo(
        ids=(Cx("S&1", "1.2.3.4.7"),),
        names=(Person(family="Muster", given="Eva"),),
        birth_date="19700101",
        gender="F",
    ),
    authors=(
        Author(
            person=Person(id="77", family="Welby", given="Marcus", prefix="Dr", authority="1.2.3.4.8"),
            institutions=(Organization("Hospital North", "45", "1.2.3.4.8"),),
            roles=("Attending",),
            specialties=(Code("394914008", "2.16.840.1.113883.6.96"),),
            telecoms=(Telecom("welby@example.org", "email", "work"),),
        ),
        Author(institutions=(Organization("Imaging Centre", "1.2.3.4.10"),)),
    ),
    class_code=Code("REPORTS", "1.2.3.4.11", "Reports"),
    type_code=Code("18748-4", "2.16.840.1.113883.6.1", "Diagnostic imaging study"),
    format_code=Code("urn:ihe:iti:xds-sd:pdf:2008", "1.3.6.1.4.1.19376.1.2.3", "PDF"),
    confidentiality=(Code("N", "2.16.840.1.113883.5.25", "normal"),),
    reference_ids=(
        ReferenceId("A1", "1.2.3.4.12", codes.REFERENCE_ACCESSION),
        ReferenceId("1.2.840.1", None, codes.REFERENCE_STUDY),
    ),
    creation_time="20240102030405",
    language="de-CH",
    hash="da39a3ee5e6b4b0d3255bfef95601890afd80709",
    size=0,
    title="Befund",
    extra=(("urn:example:slot", ("x",)),),
)
ANSWER = QueryResult(
    status=ResponseStatus.SUCCESS,
    errors=(RegistryError("XDSExtraMetadataNotSaved", "one slot", Severity.WARNING),),
    entries=(ENTRY,),
)
QUERY = FindDocumentsByReferenceId(
    patient_id=PATIENT,
    status=ANY_STATUS,
    class_code=(Code("REPORTS", "1.2.3.4.11"),),
    event_codes=(
        (Code("CT", "1.2.840.10008.2.16.4"), Code("MR", "1.2.840.10008.2.16.4")),
        (Code("T-1", "SRT"),),
    ),
    author_person=("%O'Neil%",),
    document_type=ANY_DOCUMENT,
    creation_time_from="2024",
    reference_ids=((f"A1^^^&1.2.3.4.12&ISO^{codes.REFERENCE_ACCESSION}",),),
    home="urn:oid:1.2.3.4.9",
)
SUBMISSION = Submission(
    submission_set=SubmissionSet(
        entry_uuid="SubmissionSet01",
        unique_id="1.2.3.4.20.1",
        source_id="1.2.3.4.21",
        submission_time="20240102030405",
        patient_id=PATIENT,
        content_type=Code("REPORTS", "1.2.3.4.11", "Reports"),
        intended_recipients=(
            IntendedRecipient(Organization("Hospital South"), Person(family="Kim", given="Jo")),
        ),
    ),
    entries=(
        DocumentEntry(
            entry_uuid="Document01", unique_id="1.2.3.4.22", patient_id=PATIENT, mime_type="text/xml"
        ),
    ),
    folders=(Folder(entry_uuid="Folder01", unique_id="1.2.3.4.23", patient_id=PATIENT, title="CT 2024"),),
    associations=(
        Association(
            entry_uuid="as01",
            type=codes.HAS_MEMBER,
            source="SubmissionSet01",
            target="Document01",
            submission_set_status="Original",
        ),
        Association(
            entry_uuid="as02",
            type=codes.RPLC,
            source="Document01",
            target="urn:uuid:6b1a2f0e-5d0c-4d56-9a3b-0a1c2d3e4f50",
            documentation=Code("fix", "1.2.3.4.24", "corrected"),
        ),
    ),
)

MESSAGES = {
    "query_response.xml": write_query_response(ANSWER),
    "find_documents_by_reference_id.xml": write_query(QUERY),
    "provide_and_register.xml": write_provide_and_register(SUBMISSION, {"Document01": "1@gateway"}),
}


def golden(name: str) -> etree._Element:
    return etree.parse(GOLDEN / name, etree.XMLParser(remove_blank_text=True)).getroot()


@pytest.mark.parametrize("name", MESSAGES)
def test_message_is_written_as_it_stands_in_the_file(name):
    assert etree.tostring(MESSAGES[name], method="c14n") == etree.tostring(golden(name), method="c14n")


def test_files_are_read_as_the_values_that_they_were_written_from():
    assert read_query_response(golden("query_response.xml")) == ANSWER
    assert read_query(golden("find_documents_by_reference_id.xml")) == (QUERY, "LeafClass")
    provided = read_provide_and_register(golden("provide_and_register.xml"))
    assert provided.submission == SUBMISSION
    assert provided.documents == {"Document01": "cid:1@gateway"}


@pytest.mark.parametrize("name", MESSAGES)
def test_files_are_valid(assert_valid, name):
    assert_valid(golden(name))
