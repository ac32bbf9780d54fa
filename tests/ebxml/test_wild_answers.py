"""What registries write otherwise than the standard and mean the same: each deviation has its reader."""

import re
from collections.abc import Callable

import pytest
from lxml import etree

from gateway.ebxml.association import read_association_type
from gateway.ebxml.object_reader import read_scheme, read_status
from gateway.ebxml.query_response import read_query_response, write_query_response
from gateway.ebxml.responses import read_errors
from gateway.model import (
    Association,
    Author,
    AvailabilityStatus,
    Code,
    Cx,
    DocumentEntry,
    Folder,
    Organization,
    QueryResult,
    RegistryError,
    ResponseStatus,
    Severity,
    SubmissionSet,
    codes,
)
from tests.ebxml.wire import parse

ID = "urn:uuid:0a7a3c8e-7a5c-4a3a-9d1a-6f0e5d1c2b3a"
CODE = Code("c", "2.999.4", "C")
RESULT = QueryResult(
    status=ResponseStatus.SUCCESS,
    entries=(
        DocumentEntry(
            entry_uuid=ID,
            object_type=codes.ON_DEMAND_DOCUMENT,
            unique_id="2.999.2.1",
            repository_unique_id="2.999.1",
            home_community_id="urn:oid:2.999.3",
            patient_id=Cx("p", "2.999.9"),
            authors=(Author(institutions=(Organization(name="House"),)),),
            class_code=CODE,
            type_code=CODE,
            format_code=CODE,
            facility_type=CODE,
            practice_setting=CODE,
            confidentiality=(CODE,),
            event_codes=(CODE,),
            creation_time="2024",
            service_start_time="2024",
            language="de",
            hash="ab" * 20,
            size=3,
            status=AvailabilityStatus.DEPRECATED,
            limited_metadata=True,
        ),
    ),
    submission_sets=(
        SubmissionSet(
            entry_uuid=ID[:-1] + "b",
            unique_id="2.999.2.2",
            source_id="2.999.5",
            submission_time="2024",
            patient_id=Cx("p", "2.999.9"),
            content_type=CODE,
            home_community_id="urn:oid:2.999.3",
        ),
    ),
    folders=(
        Folder(
            entry_uuid=ID[:-1] + "c",
            unique_id="2.999.2.3",
            patient_id=Cx("p", "2.999.9"),
            code_list=(CODE,),
            last_update_time="2024",
        ),
    ),
    associations=(
        Association(
            entry_uuid=ID[:-1] + "d",
            type=codes.RPLC,
            source=ID,
            target=ID[:-1] + "e",
            documentation=CODE,
        ),
    ),
)


def _attributes(*names: str) -> Callable[[Callable[[str], str]], Callable[[str], str]]:
    """Apply a change to the values of some attributes wherever they stand."""

    def over(change: Callable[[str], str]) -> Callable[[str], str]:
        pattern = re.compile(rf'\b({"|".join(names)})="([^"]*)"')
        return lambda xml: pattern.sub(lambda m: f'{m[1]}="{change(m[2])}"', xml)

    return over


SCHEMES = _attributes("classificationScheme", "classificationNode", "identificationScheme", "objectType")
IDS = _attributes("id", "sourceObject", "targetObject", "classifiedObject")

DEVIATIONS: dict[str, Callable[[str], str]] = {
    "schemes in capitals": SCHEMES(str.upper),
    "schemes without their URN": SCHEMES(lambda text: text.removeprefix("urn:uuid:")),
    "schemes with blanks": SCHEMES(lambda text: f" {text} "),
    "entryUUIDs in capitals": IDS(lambda text: text.upper() if text.startswith("urn:uuid:") else text),
    "object types as the Technical Framework's sample has them": lambda xml: xml.replace(
        codes.OBJECT_TYPE_PREFIX, "Urn:oasis:Names:tc:ebxml-regrep:objecttype:registryobject:"
    ),
    "names of slots in another case": lambda xml: re.sub(
        r'(<rim:Slot name=")(creationTime|hash|size|repositoryUniqueId|languageCode|serviceStartTime'
        r"|submissionTime|lastUpdateTime)",
        lambda m: m[1] + m[2].upper(),
        xml,
    ),
    "repositoryUniqueID": lambda xml: xml.replace('"repositoryUniqueId"', '"repositoryUniqueID"'),
    "repositoryUniqueId with its URN": lambda xml: xml.replace(">2.999.1<", ">urn:oid:2.999.1<"),
    "communities without their URN": lambda xml: xml.replace('home="urn:oid:', 'home="'),
    "communities with a URN in capitals": lambda xml: xml.replace('home="urn:oid:', 'home="URN:OID:'),
    "coding schemes with their URN": lambda xml: xml.replace(">2.999.4<", ">urn:oid:2.999.4<"),
    "hash in capitals": lambda xml: xml.replace("ab" * 20, "AB" * 20),
    "statuses of the response": lambda xml: xml.replace("StatusType:", "ResponseStatusType:"),
    "statuses bare": lambda xml: re.sub(r'status="[^"]*:(\w+)"', r'status="\1"', xml),
    "statuses in capitals": _attributes("status")(str.upper),
    "types of associations bare": lambda xml: xml.replace(codes.RPLC, "RPLC"),
    "types of associations in the URN of another year": lambda xml: xml.replace(
        "urn:ihe:iti:2007:Assoc", "urn:ihe:iti:2010:Assoc"
    ),
    "types of associations in the URN of OASIS": lambda xml: xml.replace(
        codes.RPLC, "urn:oasis:names:tc:ebxml-regrep:AssociationType:rplc"
    ),
}


def text_of(result: QueryResult) -> str:
    return etree.tostring(write_query_response(result), encoding="unicode")


@pytest.mark.parametrize("name", DEVIATIONS)
def test_an_answer_means_the_same(name):
    written = text_of(RESULT)
    changed = DEVIATIONS[name](written)
    assert changed != written
    assert read_query_response(parse(changed)) == RESULT


def test_without_deviations_too():
    assert read_query_response(parse(text_of(RESULT))) == RESULT


def test_a_document_without_sha1_size_and_media_type_is_a_document():
    xml = re.sub(r'<rim:Slot name="(hash|size)">.*?</rim:Slot>| mimeType="[^"]*"', "", text_of(RESULT))
    (entry,) = read_query_response(parse(xml)).entries
    assert (entry.hash, entry.size, entry.mime_type) == (None, None, "")


def test_a_unique_id_is_kept_as_the_registry_gave_it():
    xml = text_of(RESULT).replace('value="2.999.2.1"', 'value="urn:oid:2.999.2.1"')
    assert read_query_response(parse(xml)).entries[0].unique_id == "urn:oid:2.999.2.1"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (None, ""),
        ("", ""),
        ("URN:UUID:93606BCF-9494-43EC-9B4E-A7748D1A838D", codes.DE_AUTHOR),
        ("93606bcf-9494-43ec-9b4e-a7748d1a838d", codes.DE_AUTHOR),
        ("urn:acme:Own", "urn:acme:Own"),
    ],
)
def test_a_scheme_is_a_uuid_in_small_letters_or_what_it_is(text, read):
    assert read_scheme(text) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("HasMember", codes.HAS_MEMBER),
        ("hasmember", codes.HAS_MEMBER),
        ("urn:oasis:names:tc:ebxml-regrep:associationtype:HasMember", codes.HAS_MEMBER),
        ("urn:ihe:iti:2007:AssociationType:IsSnapshotOf", codes.IS_SNAPSHOT_OF),
        ("urn:oasis:names:tc:ebxml-regrep:AssociationType:Signs", codes.SIGNS),
        ("urn:acme:HasMember", "urn:acme:HasMember"),
        ("urn:acme:AssociationType:Likes", "urn:acme:AssociationType:Likes"),
    ],
)
def test_a_type_of_association_is_known_by_its_last_token(text, read):
    assert read_association_type(text) == read


@pytest.mark.parametrize("text", ["Deprecated", "urn:x:deprecated", " URN:X:DEPRECATED "])
def test_a_status_is_known_by_its_last_token(text):
    assert read_status(text) is AvailabilityStatus.DEPRECATED


STATUSES = [
    ("Success", ResponseStatus.SUCCESS),
    ("urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:PartialSuccess", ResponseStatus.PARTIAL),
    ("urn:ihe:iti:2007:ResponseStatusType:PARTIALSUCCESS", ResponseStatus.PARTIAL),
    ("failure", ResponseStatus.FAILURE),
]


@pytest.mark.parametrize(("text", "status"), STATUSES)
def test_the_status_of_an_answer_is_known_by_its_last_token(text, status):
    xml = text_of(QueryResult(status=ResponseStatus.SUCCESS)).replace(codes.RESPONSE_SUCCESS, text)
    assert read_query_response(parse(xml)).status is status


@pytest.mark.parametrize(
    ("severity", "read"),
    [
        ("urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Warning", Severity.WARNING),
        ("Warning", Severity.WARNING),
        ("urn:x:WARNING", Severity.WARNING),
        ("Error", Severity.ERROR),
        ("", Severity.ERROR),
        ("Fatal", Severity.ERROR),
    ],
)
def test_a_severity_is_known_by_its_last_token(severity, read):
    error = RegistryError("XDSRegistryBusy", "c", Severity.WARNING)
    element = write_query_response(QueryResult(status=ResponseStatus.SUCCESS, errors=(error,)))
    for one in element.iter("{*}RegistryError"):
        one.set("severity", severity)
    assert [e.severity for e in read_errors(element)] == [read]
