"""What metadata of a submission must have, whatever the registry holds (ITI TF-3 4.1 to 4.3).

The columns "R" of ITI TF-3 Table 4.3.1-3 for Register Document Set-b and Register On-Demand Document Entry,
value formats, and what holds within one submission: one patient, no uniqueId twice, every object a member of
the SubmissionSet.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar

from gateway.affinity.errors import Refusal
from gateway.affinity.options import is_oid
from gateway.model import Code, Cx, DocumentEntry, Folder, RegistryError, Submission, SubmissionSet
from gateway.model.codes import DOCUMENT_RELATIONS, HAS_MEMBER, ON_DEMAND_DOCUMENT, STABLE_DOCUMENT
from gateway.model.dtm import is_dtm

ORIGINAL = "Original"
REFERENCE = "Reference"

_HASH = re.compile(r"[0-9a-fA-F]{40}")
_MIME_TYPE = re.compile(r"[!#$&^_.+\w-]+/[!#$&^_.+\w-]+(?:\s*;.*)?", re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")
_UNIQUE_ID = re.compile(r"[!-~]{1,128}")

ObjectT = TypeVar("ObjectT", DocumentEntry, SubmissionSet, Folder)
Rules = tuple[tuple[Callable[[ObjectT], bool], str], ...]


def _is_code(code: Code | None) -> bool:
    return code is not None and bool(code.code) and bool(code.scheme)


def _are_codes(codes: tuple[Code, ...]) -> bool:
    return all(map(_is_code, codes))


def _is_patient(patient: Cx | None) -> bool:
    return patient is not None and bool(patient.id) and is_oid(patient.authority)


def _is_time(dtm: str | None) -> bool:
    return dtm is not None and is_dtm(dtm)


_DOCUMENT_ENTRY: Rules[DocumentEntry] = (
    (lambda e: not e.limited_metadata, "limitedMetadata is not allowed in this domain"),
    (lambda e: _MIME_TYPE.fullmatch(e.mime_type) is not None, "mimeType must be a media type"),
    (
        lambda e: _UNIQUE_ID.fullmatch(e.unique_id) is not None,
        "uniqueId must have 1 to 128 printable characters",
    ),
    (
        lambda e: _is_patient(e.patient_id),
        "patientId must be an id with an OID as assigning authority (id^^^&OID&ISO)",
    ),
    (
        lambda e: _is_patient(e.source_patient_id),
        "sourcePatientId must be an id with an OID as assigning authority (id^^^&OID&ISO)",
    ),
    (lambda e: _is_code(e.class_code), "classCode needs code and coding scheme"),
    (lambda e: _is_code(e.type_code), "typeCode needs code and coding scheme"),
    (lambda e: _is_code(e.format_code), "formatCode needs code and coding scheme"),
    (lambda e: _is_code(e.facility_type), "healthcareFacilityTypeCode needs code and coding scheme"),
    (lambda e: _is_code(e.practice_setting), "practiceSettingCode needs code and coding scheme"),
    (
        lambda e: bool(e.confidentiality) and _are_codes(e.confidentiality),
        "confidentialityCode is needed at least once, with code and coding scheme",
    ),
    (lambda e: _are_codes(e.event_codes), "eventCodeList needs code and coding scheme"),
    (
        lambda e: e.service_start_time is None or is_dtm(e.service_start_time),
        "serviceStartTime must be a DTM",
    ),
    (lambda e: e.service_stop_time is None or is_dtm(e.service_stop_time), "serviceStopTime must be a DTM"),
    (
        lambda e: e.language is not None and _LANGUAGE.fullmatch(e.language) is not None,
        "languageCode must be a language tag of RFC 5646",
    ),
    (
        lambda e: e.repository_unique_id is not None and is_oid(e.repository_unique_id),
        "repositoryUniqueId must be an OID",
    ),
    (lambda e: all(r.id for r in e.reference_ids), "referenceIdList must hold ids"),
)

_STABLE: Rules[DocumentEntry] = (
    (lambda e: e.object_type == STABLE_DOCUMENT, "objectType must be that of a stable document"),
    (lambda e: _is_time(e.creation_time), "creationTime must be a DTM"),
    (
        lambda e: e.hash is not None and _HASH.fullmatch(e.hash) is not None,
        "hash must be 40 hex digits (SHA-1)",
    ),
    (lambda e: e.size is not None and e.size >= 0, "size must be a number of bytes"),
)

_ON_DEMAND: Rules[DocumentEntry] = (
    (lambda e: e.object_type == ON_DEMAND_DOCUMENT, "objectType must be that of an On-Demand document"),
    (lambda e: e.creation_time is None, "an On-Demand document has no creationTime"),
    (lambda e: e.hash is None, "an On-Demand document has no hash"),
    (lambda e: e.size is None, "an On-Demand document has no size"),
)

_SUBMISSION_SET: Rules[SubmissionSet] = (
    (lambda s: not s.limited_metadata, "limitedMetadata is not allowed in this domain"),
    (lambda s: is_oid(s.unique_id), "uniqueId must be an OID"),
    (lambda s: is_oid(s.source_id), "sourceId must be an OID"),
    (lambda s: is_dtm(s.submission_time), "submissionTime must be a DTM"),
    (
        lambda s: _is_patient(s.patient_id),
        "patientId must be an id with an OID as assigning authority (id^^^&OID&ISO)",
    ),
    (lambda s: _is_code(s.content_type), "contentTypeCode needs code and coding scheme"),
)

_FOLDER: Rules[Folder] = (
    (lambda f: not f.limited_metadata, "limitedMetadata is not allowed in this domain"),
    (lambda f: is_oid(f.unique_id), "uniqueId must be an OID"),
    (
        lambda f: _is_patient(f.patient_id),
        "patientId must be an id with an OID as assigning authority (id^^^&OID&ISO)",
    ),
    (
        lambda f: bool(f.code_list) and _are_codes(f.code_list),
        "codeList needs at least one code, with coding scheme",
    ),
    (lambda f: bool(f.title), "title must be present"),
)


def metadata_errors(submission: Submission, *, on_demand: bool = False) -> list[RegistryError]:
    """Every rule that a submission breaks by itself; ids are resolved by then.

    Its DocumentEntries are stable ones (ITI-42), or On-Demand ones (ITI-61).
    """
    return [
        *_broken("SubmissionSet", submission.submission_set, _SUBMISSION_SET),
        *(error for e in submission.entries for error in _entry_errors(e, on_demand=on_demand)),
        *(error for f in submission.folders for error in _broken("Folder", f, _FOLDER)),
        *_unique_id_errors(submission),
        *_patient_errors(submission),
        *_association_errors(submission),
        *_membership_errors(submission),
    ]


def update_errors(submission: Submission) -> list[RegistryError]:
    """Every rule that the SubmissionSet and the new versions of a metadata update break by themselves.

    A version is complete, like an entry that is registered for the first time.
    """
    return [
        *_broken("SubmissionSet", submission.submission_set, _SUBMISSION_SET),
        *(error for e in submission.entries for error in _entry_errors(e, on_demand=e.on_demand)),
        *_unique_id_errors(submission),
        *_patient_errors(submission),
    ]


def _entry_errors(entry: DocumentEntry, *, on_demand: bool) -> Iterator[RegistryError]:
    yield from _broken("DocumentEntry", entry, (*_DOCUMENT_ENTRY, *(_ON_DEMAND if on_demand else _STABLE)))


def _error(code: Refusal, context: str) -> RegistryError:
    return RegistryError(code, context)


def _broken(kind: str, value: ObjectT, rules: Rules[ObjectT]) -> Iterator[RegistryError]:
    for holds, rule in rules:
        if not holds(value):
            yield _error(Refusal.REGISTRY_METADATA, f"{kind} {value.entry_uuid}: {rule}")


def _unique_id_errors(submission: Submission) -> Iterator[RegistryError]:
    values: tuple[SubmissionSet | DocumentEntry | Folder, ...] = (
        submission.submission_set,
        *submission.entries,
        *submission.folders,
    )
    unique_ids = Counter(value.unique_id for value in values)
    for unique_id, count in unique_ids.items():
        if count > 1:
            yield _error(
                Refusal.DUPLICATE_IN_MESSAGE, f"uniqueId {unique_id} names {count} objects of the submission"
            )


def _patient_errors(submission: Submission) -> Iterator[RegistryError]:
    patient = submission.submission_set.patient_id
    for kind, values in (("DocumentEntry", submission.entries), ("Folder", submission.folders)):
        for value in values:
            if value.patient_id != patient:
                yield _error(
                    Refusal.PATIENT_ID_DOES_NOT_MATCH,
                    f"{kind} {value.entry_uuid}: patientId must be that of the SubmissionSet",
                )


def _association_errors(submission: Submission) -> Iterator[RegistryError]:
    set_uuid = submission.submission_set.entry_uuid
    entries = {entry.entry_uuid for entry in submission.entries}
    for association in submission.associations:
        name = f"Association {association.entry_uuid}"
        if association.type in DOCUMENT_RELATIONS:
            if association.source not in entries:
                yield _error(
                    Refusal.REGISTRY_METADATA,
                    f"{name}: sourceObject must be a DocumentEntry of the submission",
                )
        elif association.type != HAS_MEMBER:
            yield _error(Refusal.REGISTRY_METADATA, f"{name}: the association type is not one of XDS")
        elif (
            association.source == set_uuid
            and association.target in entries
            and association.submission_set_status != ORIGINAL
        ):
            yield _error(
                Refusal.REGISTRY_METADATA,
                f"{name}: SubmissionSetStatus must be Original for a DocumentEntry of the submission",
            )


def _membership_errors(submission: Submission) -> Iterator[RegistryError]:
    members = {
        association.target
        for association in submission.associations
        if association.type == HAS_MEMBER and association.source == submission.submission_set.entry_uuid
    }
    for kind, values in (("DocumentEntry", submission.entries), ("Folder", submission.folders)):
        for value in values:
            if value.entry_uuid not in members:
                yield _error(
                    Refusal.REGISTRY_METADATA,
                    f"{kind} {value.entry_uuid}: a HasMember association from the SubmissionSet is missing",
                )
