"""DocumentReference R4 -> DocumentEntry (IHE MHD 4.2.4, mapping of DocumentReference to XDS).

Not mapped: date, custodian, further codings of a concept, extensions other than homeCommunityId, and the
attachment URL, which is a matter of the transaction.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.fhir.datatypes import (
    Json,
    canonical,
    identifier_role,
    read_code,
    read_coding,
    read_cx,
    read_date_time,
    read_entry_uuid,
    read_hash,
    read_unique_id,
)
from gateway.fhir.findings import Findings
from gateway.fhir.people_read import PeopleReader
from gateway.fhir.reference_ids import read_reference_id
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model.metadata import (
    AvailabilityStatus,
    Code,
    Cx,
    DocumentEntry,
    Person,
    ReferenceId,
    SourcePatientInfo,
)

SubjectReader = Callable[[Json, str], Cx | None]
"""Patient of a Reference; the string is the FHIRPath of the reference, for findings."""


@dataclass(frozen=True, slots=True)
class ReadContext:
    """What reading a resource needs: the tables, who the subject is, and where findings go."""

    terminology: Terminology
    subject: SubjectReader
    findings: Findings


def contained_by_id(resource: Json) -> Mapping[str, Json]:
    """The contained resources of a resource under their local ids."""
    return {c["id"]: c for c in resource.get("contained") or () if c.get("id")}


def read_document_reference(resource: Json, context: ReadContext, path: str) -> DocumentEntry:
    """DocumentEntry of a DocumentReference that is valid FHIR R4.

    What cannot be mapped is reported with `path` in front. `entry_uuid` and `unique_id` are empty where the
    resource has none. An entry without hash and size is On-Demand; the caller knows whether it is not.
    """
    terminology, findings = context.terminology, context.findings
    people = PeopleReader(terminology, findings, contained_by_id(resource), path)
    content = resource["content"][0]
    attachment = content["attachment"]
    clinical = resource.get("context") or {}
    inside = f"{path}.content[0].attachment"
    source_id, source_info = _read_source_patient(clinical, people, path)
    sha1 = read_hash(attachment.get("hash"), findings, f"{inside}.hash")
    size = attachment.get("size")
    subject = resource.get("subject")
    period = clinical.get("period") or {}
    if resource.get("custodian"):
        findings.inform(f"{path}.custodian", "XDS has no custodian; it is not stored.")
    return DocumentEntry(
        entry_uuid=_read_entry_uuid(resource, findings, path) or "",
        unique_id=_read_unique_id(resource, terminology, findings, path) or "",
        patient_id=context.subject(subject, f"{path}.subject") if subject else None,
        object_type=_object_type(attachment),
        status=_STATUS[resource["status"] == "superseded"],
        mime_type=_read_mime_type(attachment, findings, inside),
        home_community_id=read_home_community(resource),
        source_patient_id=source_id,
        source_patient_info=source_info,
        authors=people.authors(resource.get("author") or (), f"{path}.author"),
        legal_authenticator=_read_authenticator(resource, people, path),
        class_code=_first_code(resource.get("category"), context, f"{path}.category"),
        type_code=read_code(resource.get("type"), terminology, findings, f"{path}.type"),
        format_code=read_coding(content.get("format"), terminology, findings, f"{path}.content[0].format"),
        facility_type=read_code(
            clinical.get("facilityType"), terminology, findings, f"{path}.context.facilityType"
        ),
        practice_setting=read_code(
            clinical.get("practiceSetting"), terminology, findings, f"{path}.context.practiceSetting"
        ),
        confidentiality=read_codes(resource.get("securityLabel"), context, f"{path}.securityLabel"),
        event_codes=read_codes(clinical.get("event"), context, f"{path}.context.event"),
        reference_ids=_read_reference_ids(clinical, people, f"{path}.context"),
        creation_time=read_date_time(attachment.get("creation"), findings, f"{inside}.creation"),
        service_start_time=read_date_time(period.get("start"), findings, f"{path}.context.period.start"),
        service_stop_time=read_date_time(period.get("end"), findings, f"{path}.context.period.end"),
        language=attachment.get("language"),
        hash=sha1,
        size=size,
        title=attachment.get("title"),
        comments=resource.get("description"),
        limited_metadata=_is_minimal(resource),
    )


_STATUS: Final = (AvailabilityStatus.APPROVED, AvailabilityStatus.DEPRECATED)


def _object_type(attachment: Json) -> str:
    described = attachment.get("hash") or attachment.get("size") is not None
    return codes.STABLE_DOCUMENT if described else codes.ON_DEMAND_DOCUMENT


def _is_minimal(resource: Json) -> bool:
    profiles = {canonical(url) for url in (resource.get("meta") or {}).get("profile") or ()}
    return codes.PROFILE_MINIMAL_DOCUMENT in profiles


def read_home_community(resource: Json) -> str | None:
    """homeCommunityId of the extension of DocumentReference or List."""
    for extension in resource.get("extension") or ():
        if canonical(extension.get("url")) == codes.EXT_HOME_COMMUNITY and extension.get("valueOid"):
            return str(extension["valueOid"])
    return None


def read_codes(concepts: Iterable[Json] | None, context: ReadContext, path: str) -> tuple[Code, ...]:
    """Code of each CodeableConcept."""
    read = (
        read_code(concept, context.terminology, context.findings, f"{path}[{number}]")
        for number, concept in enumerate(concepts or ())
    )
    return tuple(code for code in read if code is not None)


def _first_code(concepts: list[Json] | None, context: ReadContext, path: str) -> Code | None:
    """The class of a document: of several categories the first that the settings map."""
    if not concepts:
        return None
    for concept in concepts[:-1]:
        attempt = Findings()
        code = read_code(concept, context.terminology, attempt, path)
        if code is not None:
            return code
    position = len(concepts) - 1
    return read_code(concepts[-1], context.terminology, context.findings, f"{path}[{position}]")


def _read_entry_uuid(resource: Json, findings: Findings, path: str) -> str | None:
    for number, identifier in enumerate(resource.get("identifier") or ()):
        if identifier_role(identifier) == "entryUUID":
            return read_entry_uuid(identifier, findings, f"{path}.identifier[{number}]")
    return None


def _read_unique_id(resource: Json, terminology: Terminology, findings: Findings, path: str) -> str | None:
    master = resource.get("masterIdentifier")
    return read_unique_id(master, terminology, findings, f"{path}.masterIdentifier") if master else None


def _read_mime_type(attachment: Json, findings: Findings, path: str) -> str:
    mime_type: str = attachment.get("contentType") or ""
    bare, separator, _ = mime_type.partition(";")
    if separator:
        findings.inform(
            f"{path}.contentType", "XDS takes a MIME type without parameters; they are not stored."
        )
    return bare.strip()


def _read_authenticator(resource: Json, people: PeopleReader, path: str) -> Person | None:
    reference = resource.get("authenticator")
    return people.person(reference, f"{path}.authenticator") if reference else None


def _read_source_patient(
    clinical: Json, people: PeopleReader, path: str
) -> tuple[Cx | None, SourcePatientInfo | None]:
    reference = clinical.get("sourcePatientInfo")
    if not reference:
        return None, None
    patient = people.target(reference)
    if patient is not None:
        # anything but a Patient breaks the profile, which its own rule reports
        return people.source_patient(patient) if patient["resourceType"] == "Patient" else (None, None)
    place = f"{path}.context.sourcePatientInfo"
    if not reference.get("identifier"):
        people.findings.error(
            f"{place}.reference" if "reference" in reference else place,
            "structure",
            "sourcePatientInfo refers to a contained Patient or names it by identifier.",
        )
        return None, None
    return read_cx(reference["identifier"], people.terminology, people.findings, f"{place}.identifier"), None


def _read_reference_ids(clinical: Json, people: PeopleReader, path: str) -> tuple[ReferenceId, ...]:
    read: list[ReferenceId] = []
    for element, is_encounter in (("encounter", True), ("related", False)):
        for number, reference in enumerate(clinical.get(element) or ()):
            place = f"{path}.{element}[{number}]"
            identifier = _identifier_of(reference, people)
            if identifier is None:
                people.findings.error(
                    f"{place}.identifier",
                    "required",
                    "XDS keeps this reference as an identifier; give the business identifier of the target.",
                )
                continue
            found = read_reference_id(
                identifier,
                people.terminology,
                people.findings,
                f"{place}.identifier",
                encounter=is_encounter,
            )
            if found is not None:
                read.append(found)
    return tuple(read)


def _identifier_of(reference: Json, people: PeopleReader) -> Any:
    if reference.get("identifier"):
        return reference["identifier"]
    target = people.target(reference)
    identifiers = (target or {}).get("identifier") or ()
    return identifiers[0] if identifiers else None
