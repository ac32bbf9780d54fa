"""DocumentEntry -> DocumentReference R4 (IHE MHD 4.2.4 3.67.4.2 and its mapping to XDS).

This is the hot path of ITI-67: plain JSON values written by orjson, with the parts that recur on a page
(codes, persons) kept ready as fragments.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import orjson

from gateway.fhir.datatypes import (
    Json,
    coding_fragment,
    concept_fragment,
    fhir_code,
    write_date_time,
    write_entry_uuid,
    write_hash,
    write_unique_id,
)
from gateway.fhir.document_ids import translation_id
from gateway.fhir.issues import Issue
from gateway.fhir.matching import Registered
from gateway.fhir.people import author_fragments, practitioner_fragment, source_patient_fragment
from gateway.fhir.reference_ids import write_reference_id
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model.metadata import (
    Association,
    AvailabilityStatus,
    Code,
    Cx,
    DocumentEntry,
    Organization,
    ReferenceId,
)
from gateway.model.object_ids import is_object_id
from gateway.model.oids import is_oid

MAX_UNSIGNED_INT: Final = 2**31 - 1
"""FHIR R4 unsignedInt: no attachment.size above it."""
MAX_INTEGER64: Final = 2**63 - 1
"""The same of FHIR R5."""

_SOURCE_PATIENT: Final = "sourcePatient"
_AUTHENTICATOR: Final = "authenticator"
_RELATION_CODES: Final[dict[str, tuple[str, ...]]] = {
    codes.RPLC: ("replaces",),
    codes.XFRM: ("transforms",),
    codes.APND: ("appends",),
    codes.SIGNS: ("signs",),
    # FHIR has no code for both at once, so both are written
    codes.XFRM_RPLC: ("replaces", "transforms"),
    codes.IS_SNAPSHOT_OF: ("transforms",),
    # ConceptMap AssociationTypeVsRelatesTo of IHE MHD 4.2.4 lists it under this URN
    codes.ASSOC_2007 + "IsSnapshotOf": ("transforms",),
}


def _ignore(issue: Issue) -> None:
    """Default of `WriteContext.warn`."""


@dataclass(frozen=True, slots=True)
class ImagingView:
    """How imaging documents are shown.

    `custodians` are those of entries that name no institution, by homeCommunityId (None: the own community).
    `one_modality` writes several modalities as codings of one extension, as strict readers of the profiles
    want, instead of one extension each.
    """

    custodians: Mapping[str | None, Organization] = field(default_factory=dict)
    one_modality: bool = False


@dataclass(frozen=True, slots=True)
class WriteContext:
    """What writing a resource needs beyond its metadata.

    `base_url` is the FHIR base without trailing slash. `document_url` gives the absolute ITI-68 URL of an
    entry, `patient_reference` the Reference of a patient; `warn` is told what FHIR cannot carry.
    `largest_size` is the largest attachment.size of the release of FHIR that the answer will have. `own_home`
    is the homeCommunityId of the own community, for what its registry gives without one.
    """

    terminology: Terminology
    base_url: str
    document_url: Callable[[DocumentEntry], str]
    patient_reference: Callable[[Cx], Json]
    warn: Callable[[Issue], None] = _ignore
    largest_size: int = MAX_UNSIGNED_INT
    imaging: ImagingView = field(default_factory=ImagingView)
    own_home: str | None = None


def logical_id(entry_uuid: str) -> str:
    """FHIR id of a registry object: its id (`gateway.model.object_ids`) without the URN prefix."""
    return entry_uuid.removeprefix("urn:uuid:")


def resource_id(item: Registered) -> str:
    """FHIR id of a registry object. Of a document it is the logicalID, which stays through updates."""
    if not isinstance(item, DocumentEntry):
        return logical_id(item.entry_uuid)
    lasting = item.logical_id
    found = logical_id(lasting if lasting is not None and is_object_id(lasting) else item.entry_uuid)
    return found if item.made_of is None else translation_id(found, item.mime_type)


def entry_uuid_of(resource_id: str) -> str | None:
    """Id of the registry object that a FHIR id names; None for an id that cannot be of one."""
    urn = f"urn:uuid:{resource_id.lower()}"
    return urn if is_object_id(urn) else None


def write_document_reference(
    entry: DocumentEntry, context: WriteContext, relations: Sequence[Association] = ()
) -> Json:
    """DocumentReference as JSON values. Of `relations`, those with this entry as source become relatesTo."""
    resource: Json = orjson.loads(document_reference_json(entry, context, relations))
    return resource


def document_reference_json(
    entry: DocumentEntry, context: WriteContext, relations: Iterable[Association] = ()
) -> bytes:
    """DocumentReference as JSON text; see `write_document_reference`."""
    terminology = context.terminology
    uuid = entry.entry_uuid
    master = write_unique_id(entry.unique_id)
    contained: list[Any] = []
    resource: Json = {"resourceType": "DocumentReference", "id": resource_id(entry)}
    content = _write_content(entry, context)
    profile = _profile(entry, content["attachment"])
    if profile is not None:
        resource["meta"] = profile
    resource["contained"] = contained
    named = entry.home_community_id or context.own_home
    if named:
        home = home_community_extension(named)
        if home:
            resource["extension"] = [home]
        else:
            _warn(entry, context, "extension", "The homeCommunityId is no OID")
    resource["masterIdentifier"] = master
    resource["identifier"] = [master, write_entry_uuid(uuid)]
    resource["status"] = "current" if entry.status is AvailabilityStatus.APPROVED else "superseded"
    if entry.type_code is not None:
        resource["type"] = concept_fragment(entry.type_code, terminology)
    if entry.class_code is not None:
        resource["category"] = [concept_fragment(entry.class_code, terminology)]
    if entry.patient_id is not None and entry.patient_id.id:
        resource["subject"] = context.patient_reference(entry.patient_id)
    _write_people(entry, terminology, resource, contained)
    relates_to = write_relations(uuid, relations)
    if relates_to:
        resource["relatesTo"] = relates_to
    if entry.comments:
        resource["description"] = entry.comments
    if entry.confidentiality:
        resource["securityLabel"] = _concepts(entry.confidentiality, terminology)
    resource["content"] = [content]
    clinical = _write_context(entry, context, contained)
    if clinical:
        resource["context"] = clinical
    if not contained:
        del resource["contained"]
    return orjson.dumps(resource)


_COMPREHENSIVE: Final = orjson.Fragment(orjson.dumps({"profile": [codes.PROFILE_COMPREHENSIVE_DOCUMENT]}))
_MINIMAL: Final = orjson.Fragment(orjson.dumps({"profile": [codes.PROFILE_MINIMAL_DOCUMENT]}))


def _profile(entry: DocumentEntry, attachment: Json) -> orjson.Fragment | None:
    """The profile that the resource keeps: an entry of a registry may lack what Comprehensive requires."""
    if "contentType" not in attachment:
        return None
    if entry.limited_metadata:
        return _MINIMAL
    complete = (
        entry.type_code is not None
        and entry.class_code is not None
        and entry.format_code is not None
        and entry.facility_type is not None
        and entry.practice_setting is not None
        and entry.confidentiality
        and entry.patient_id is not None
        and entry.patient_id.id
        and "language" in attachment
        and "creation" in attachment
        and entry.source_patient_id is not None
    )
    return _COMPREHENSIVE if complete else None


@lru_cache(maxsize=64)
def home_community_extension(home_community_id: str) -> Json | None:
    """Extension ihe-HomeCommunityId; None for a community that is not named by an OID."""
    bare = home_community_id.removeprefix("urn:oid:")
    return {"url": codes.EXT_HOME_COMMUNITY, "valueOid": f"urn:oid:{bare}"} if is_oid(bare) else None


def _concepts(values: Iterable[Code], terminology: Terminology) -> list[orjson.Fragment]:
    return [concept_fragment(value, terminology) for value in values]


def _write_people(
    entry: DocumentEntry, terminology: Terminology, resource: Json, contained: list[Any]
) -> None:
    references: list[Json] = []
    for number, author in enumerate(entry.authors):
        written = author_fragments(author, f"author{number}", terminology)
        contained.extend(written.resources)
        references.extend({"reference": f"#{name}"} for name in written.ids)
    if references:
        resource["author"] = references
    if entry.legal_authenticator is not None:
        contained.append(practitioner_fragment(entry.legal_authenticator, _AUTHENTICATOR, terminology))
        resource["authenticator"] = {"reference": f"#{_AUTHENTICATOR}"}


def write_relations(entry_uuid: str, relations: Iterable[Association]) -> list[Json]:
    """relatesTo of the entry that is the source of the associations; a deprecated one no longer counts."""
    return [
        {"code": code, "target": {"reference": f"DocumentReference/{logical_id(relation.target)}"}}
        for relation in relations
        if relation.source == entry_uuid and relation.status is AvailabilityStatus.APPROVED
        for code in _RELATION_CODES.get(relation.type, ())
    ]


def _write_content(entry: DocumentEntry, context: WriteContext) -> Json:
    attachment: Json = {}
    mime_type = fhir_code(entry.mime_type)
    if mime_type:
        attachment["contentType"] = mime_type
    language = fhir_code(entry.language)
    if language:
        attachment["language"] = language
    attachment["url"] = context.document_url(entry)
    if not entry.on_demand:
        if entry.size is not None:
            if entry.size <= context.largest_size:
                attachment["size"] = entry.size
            else:
                _warn(entry, context, "content.attachment.size", "The size is larger than FHIR can say")
        if entry.hash:
            value = write_hash(entry.hash)
            if value:
                attachment["hash"] = value
            else:
                _warn(entry, context, "content.attachment.hash", "The hash is no SHA-1")
    if entry.title:
        attachment["title"] = entry.title
    creation = write_date_time(entry.creation_time)
    if creation:
        attachment["creation"] = creation
    elif entry.creation_time:
        _warn(entry, context, "content.attachment.creation", "The creationTime names no time")
    content: Json = {"attachment": attachment}
    if entry.format_code is not None:
        content["format"] = coding_fragment(entry.format_code, context.terminology)
    return content


def _warn(entry: DocumentEntry, context: WriteContext, element: str, loss: str) -> None:
    context.warn(
        Issue(
            "warning",
            "incomplete",
            f"{loss}; it is left out.",
            f"DocumentReference.where(id='{resource_id(entry)}').{element}",
        )
    )


def _write_period(entry: DocumentEntry, context: WriteContext) -> Json:
    """Period of the service times; FHIR has none that ends before it starts (per-1)."""
    period: Json = {}
    first, last = entry.service_start_time, entry.service_stop_time
    start, stop = write_date_time(first), write_date_time(last)
    if start:
        period["start"] = start
    elif first:
        _warn(entry, context, "context.period.start", "The serviceStartTime names no time")
    if first and last and start and stop and last < first[: len(last)]:
        _warn(entry, context, "context.period.end", "The serviceStopTime is before the serviceStartTime")
    elif stop:
        period["end"] = stop
    elif last:
        _warn(entry, context, "context.period.end", "The serviceStopTime names no time")
    return period


def _write_context(entry: DocumentEntry, context: WriteContext, contained: list[Any]) -> Json:
    terminology = context.terminology
    clinical: Json = {}
    if entry.reference_ids:
        _write_reference_ids(entry.reference_ids, terminology, clinical)
    if entry.event_codes:
        clinical["event"] = _concepts(entry.event_codes, terminology)
    if entry.service_start_time or entry.service_stop_time:
        period = _write_period(entry, context)
        if period:
            clinical["period"] = period
    if entry.facility_type is not None:
        clinical["facilityType"] = concept_fragment(entry.facility_type, terminology)
    if entry.practice_setting is not None:
        clinical["practiceSetting"] = concept_fragment(entry.practice_setting, terminology)
    patient = source_patient_fragment(
        entry.source_patient_id, entry.source_patient_info, _SOURCE_PATIENT, terminology
    )
    if patient is not None:
        contained.append(patient)
        clinical["sourcePatientInfo"] = {"reference": f"#{_SOURCE_PATIENT}"}
    return clinical


def _write_reference_ids(references: Sequence[ReferenceId], terminology: Terminology, clinical: Json) -> None:
    encounters: list[Json] = []
    related: list[Json] = []
    for reference in references:
        if not reference.id:
            continue
        kind = encounters if reference.type == codes.REFERENCE_ENCOUNTER else related
        kind.append({"identifier": write_reference_id(reference, terminology)})
    if encounters:
        clinical["encounter"] = encounters
    if related:
        clinical["related"] = related
