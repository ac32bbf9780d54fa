"""Registry answers of a realistic weight: about 10 kB of ebRIM per DocumentEntry."""

import hashlib
import uuid

from lxml import etree

from gateway.ebxml.query_response import write_query_response
from gateway.model import (
    Author,
    Code,
    Cx,
    DocumentEntry,
    Organization,
    Person,
    QueryResult,
    ReferenceId,
    ResponseStatus,
    SourcePatientInfo,
    codes,
)
from gateway.model.metadata import Address, Telecom

PATIENT = Cx("BENCH-1", "2.999.1.1")
LOINC = "2.16.840.1.113883.6.1"


def entry(number: int) -> DocumentEntry:
    """One DocumentEntry with two authors, eight codes and all the usual slots."""
    text = hashlib.sha1(str(number).encode()).hexdigest()
    authors = tuple(
        Author(
            person=Person(
                id=f"{n}{number % 7}", family="Mustermann", given="Maximilian", authority="2.999.1.2"
            ),
            institutions=(Organization(name="Example University Hospital, Radiology", id="2.999.1.4"),),
            roles=("Attending physician",),
            specialties=(Code("394914008", "2.16.840.1.113883.6.96", "Radiology"),),
            telecoms=(Telecom("radiology@hospital.example", "email"),),
        )
        for n in (1, 2)
    )
    return DocumentEntry(
        entry_uuid=str(uuid.UUID(bytes=bytes.fromhex(text)[:16], version=4).urn),
        unique_id=f"2.999.7.{number + 1}",
        patient_id=PATIENT,
        mime_type="application/pdf",
        home_community_id="urn:oid:2.999.9.1",
        repository_unique_id="2.999.10.1",
        source_patient_id=Cx(f"LOCAL-{number}", "2.999.1.9"),
        source_patient_info=SourcePatientInfo(
            ids=(Cx(f"LOCAL-{number}", "2.999.1.9"),),
            names=(Person(family="Mustermann", given="Erika"),),
            birth_date="19610203",
            gender="F",
            addresses=(Address(street="Example Street 1", city="Wien", postal_code="1010", country="AT"),),
        ),
        authors=authors,
        legal_authenticator=Person(id="9", family="Freigeber", given="Anna", authority="2.999.1.2"),
        class_code=Code("REPORTS", "2.999.1.6", "Reports"),
        type_code=Code("18748-4", LOINC, "Diagnostic imaging study"),
        format_code=Code("urn:ihe:iti:xds:2017:mimeTypeSufficient", "1.3.6.1.4.1.19376.1.2.3", "mimeType"),
        facility_type=Code("22232009", "2.16.840.1.113883.6.96", "Hospital"),
        practice_setting=Code("394914008", "2.16.840.1.113883.6.96", "Radiology"),
        confidentiality=(Code("N", "2.16.840.1.113883.5.25", "normal"),),
        event_codes=(
            Code("CT", "1.2.840.10008.2.16.4", "Computed Tomography"),
            Code("51185008", "2.16.840.1.113883.6.96", "Thorax"),
        ),
        reference_ids=(
            ReferenceId(f"ACC{number}", "2.999.1.3", codes.REFERENCE_ACCESSION),
            ReferenceId(f"2.999.77.{number}", None, codes.REFERENCE_STUDY),
        ),
        creation_time="20260102030405",
        service_start_time="20260102020000",
        service_stop_time="20260102030000",
        language="de-AT",
        hash=text,
        size=123456 + number,
        title=f"Diagnostic imaging report number {number}",
        comments="Report of a computed tomography of the thorax with contrast medium",
        uri=f"report-{number}.pdf",
        logical_id=str(uuid.UUID(bytes=bytes.fromhex(text)[:16], version=4).urn),
        version="1",
        extra=tuple((f"urn:example:slot:{n}", (f"value {n} of {text}",)) for n in range(4)),
    )


def entries(count: int) -> tuple[DocumentEntry, ...]:
    """`count` different entries."""
    return tuple(entry(number) for number in range(count))


def answer_body(count: int) -> bytes:
    """The AdhocQueryResponse with `count` entries."""
    element = write_query_response(QueryResult(status=ResponseStatus.SUCCESS, entries=entries(count)))
    return etree.tostring(element)


def envelope(body: bytes, action: str) -> bytes:
    """A SOAP 1.2 envelope around a body."""
    return (
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        b'xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header><a:Action s:mustUnderstand="true">'
        + action.encode()
        + b"</a:Action></s:Header><s:Body>"
        + body
        + b"</s:Body></s:Envelope>"
    )
