"""Parameters of the 14 stored queries: one table for writing and reading (ITI TF-2 3.18.4.1.2.3.7)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from gateway.ebxml import hl7
from gateway.ebxml.slot_encoding import Literal, quoted
from gateway.model import AvailabilityStatus, Code, Cx, query
from gateway.model.dtm import is_dtm


class Shape(Enum):
    """How many values a parameter takes. Only ALL_OF may be repeated: slots are AND, their values OR."""

    ONE = auto()
    ANY_OF = auto()
    ALL_OF = auto()


@dataclass(frozen=True, slots=True)
class Codec:
    """Value <-> literal. `read` raises ValueError for a malformed literal, gives None for one to ignore."""

    write: Callable[[Any], str]
    read: Callable[[Literal], Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """Slot name, field of the query, coding, number of values."""

    slot: str
    field: str
    codec: Codec
    shape: Shape = Shape.ONE
    required: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """One stored query. Of the fields `either`, exactly one must be given."""

    query: type[query.StoredQuery]
    parameters: tuple[Parameter, ...]
    either: tuple[str, ...] | None = None


def _read_text(literal: Literal) -> str:
    if not literal.quoted:
        raise ValueError("must stand in single quotes")
    if not literal.text:
        raise ValueError("is empty")
    return literal.text


def _read_uuid(literal: Literal) -> str:
    text = _read_text(literal).strip()
    return text.lower() if text[:9].lower() == "urn:uuid:" else text


def _read_patient(literal: Literal) -> Cx:
    patient = hl7.read_cx(_read_text(literal).strip())
    if not (patient.id and patient.authority):
        raise ValueError("is not of the form id^^^&oid&ISO")
    return patient


def _write_code(code: Code) -> str:
    return quoted(f"{hl7.escape_where_needed(code.code)}^^{hl7.escape_where_needed(code.scheme)}")


def _read_code(literal: Literal) -> Code:
    parts = [hl7.unescape(part) for part in _read_text(literal).strip().split("^")]
    if len(parts) < 3 or not parts[0] or not parts[2]:
        raise ValueError("is not of the form code^^scheme")
    return Code(parts[0], hl7.oid(parts[2]))


def _read_time(literal: Literal) -> str:
    text = literal.text.strip()
    if not is_dtm(text):
        raise ValueError("is not a DTM (YYYY[MM[DD[hh[mm[ss]]]]])")
    return text


_STATUS = {status.value.rpartition(":")[2].lower(): status for status in AvailabilityStatus}


def _read_status(literal: Literal) -> AvailabilityStatus | None:
    return _STATUS.get(_read_text(literal).strip().rpartition(":")[2].lower())


def _read_home(literal: Literal) -> str | None:
    return hl7.home_community_id(_read_text(literal))


def _read_level(literal: Literal) -> int:
    text = literal.text.strip()
    if text not in ("1", "2"):
        raise ValueError("must be 1 or 2")
    return int(text)


TEXT = Codec(quoted, _read_text)
UUID = Codec(quoted, _read_uuid)
PATIENT = Codec(lambda cx: quoted(hl7.write_cx(cx)), _read_patient)
CODE = Codec(_write_code, _read_code)
TIME = Codec(str, _read_time)
STATUS = Codec(lambda status: quoted(status.value), _read_status)
COMMUNITY = Codec(quoted, _read_home)
LEVEL = Codec(str, _read_level)

COMMON = (
    Parameter("$targetCommunityIdList", "target_communities", COMMUNITY, Shape.ANY_OF),
    Parameter("$MetadataLevel", "metadata_level", LEVEL),
    Parameter("$XDSAssociationStatus", "association_status", STATUS, Shape.ANY_OF),
)
"""What every stored query takes (ITI TF-2 3.38, Target Communities; 3.18, Metadata Update)."""

_ENTRY = "$XDSDocumentEntry"
_SET = "$XDSSubmissionSet"
_FOLDER = "$XDSFolder"


def _times(prefix: str, attribute: str, field: str) -> tuple[Parameter, ...]:
    return (
        Parameter(f"{prefix}{attribute}From", f"{field}_from", TIME),
        Parameter(f"{prefix}{attribute}To", f"{field}_to", TIME),
    )


def _statuses(prefix: str, field: str = "status") -> Parameter:
    return Parameter(f"{prefix}Status", field, STATUS, Shape.ANY_OF, required=True)


def _patient(slot: str) -> Parameter:
    return Parameter(slot, "patient_id", PATIENT, required=True)


def _one_object(prefix: str) -> tuple[Parameter, ...]:
    return (
        Parameter(f"{prefix}EntryUUID", "entry_uuid", UUID),
        Parameter(f"{prefix}UniqueId", "unique_id", TEXT),
    )


def _objects(prefix: str) -> tuple[Parameter, ...]:
    return (
        Parameter(f"{prefix}EntryUUID", "entry_uuids", UUID, Shape.ANY_OF),
        Parameter(f"{prefix}UniqueId", "unique_ids", TEXT, Shape.ANY_OF),
    )


_ONE = ("entry_uuid", "unique_id")
_SEVERAL = ("entry_uuids", "unique_ids")
_DOCUMENTS = (*_SEVERAL, "logical_ids")
_LOGICAL_IDS = Parameter(f"{_ENTRY}LogicalID", "logical_ids", UUID, Shape.ANY_OF)
_UUIDS = (Parameter("$uuid", "uuids", UUID, Shape.ANY_OF, required=True),)
_TYPE = Parameter(f"{_ENTRY}Type", "document_type", UUID, Shape.ANY_OF)
_CONTENT = (
    Parameter(f"{_ENTRY}FormatCode", "format_code", CODE, Shape.ANY_OF),
    Parameter(f"{_ENTRY}ConfidentialityCode", "confidentiality", CODE, Shape.ALL_OF),
    _TYPE,
)
_FIND_DOCUMENTS = (
    _patient(f"{_ENTRY}PatientId"),
    _statuses(_ENTRY),
    Parameter(f"{_ENTRY}ClassCode", "class_code", CODE, Shape.ANY_OF),
    Parameter(f"{_ENTRY}TypeCode", "type_code", CODE, Shape.ANY_OF),
    Parameter(f"{_ENTRY}PracticeSettingCode", "practice_setting", CODE, Shape.ANY_OF),
    *_times(_ENTRY, "CreationTime", "creation_time"),
    *_times(_ENTRY, "ServiceStartTime", "service_start_time"),
    *_times(_ENTRY, "ServiceStopTime", "service_stop_time"),
    Parameter(f"{_ENTRY}HealthcareFacilityTypeCode", "facility_type", CODE, Shape.ANY_OF),
    Parameter(f"{_ENTRY}EventCodeList", "event_codes", CODE, Shape.ALL_OF),
    Parameter(f"{_ENTRY}AuthorPerson", "author_person", TEXT, Shape.ANY_OF),
    *_CONTENT,
)

_DEFINITIONS = (
    Definition(query.FindDocuments, _FIND_DOCUMENTS),
    Definition(
        query.FindDocumentsByReferenceId,
        (
            *_FIND_DOCUMENTS,
            Parameter(f"{_ENTRY}ReferenceIdList", "reference_ids", TEXT, Shape.ALL_OF, required=True),
        ),
    ),
    Definition(
        query.FindSubmissionSets,
        (
            _patient(f"{_SET}PatientId"),
            Parameter(f"{_SET}SourceId", "source_id", TEXT, Shape.ANY_OF),
            *_times(_SET, "SubmissionTime", "submission_time"),
            Parameter(f"{_SET}AuthorPerson", "author_person", TEXT),
            Parameter(f"{_SET}ContentType", "content_type", CODE, Shape.ANY_OF),
            _statuses(_SET),
        ),
    ),
    Definition(
        query.FindFolders,
        (
            _patient(f"{_FOLDER}PatientId"),
            *_times(_FOLDER, "LastUpdateTime", "last_update_time"),
            Parameter(f"{_FOLDER}CodeList", "code_list", CODE, Shape.ALL_OF),
            _statuses(_FOLDER),
        ),
    ),
    Definition(
        query.GetAll,
        (
            _patient("$patientId"),
            _statuses(_ENTRY, "entry_status"),
            _statuses(_SET, "submission_set_status"),
            _statuses(_FOLDER, "folder_status"),
            *_CONTENT,
        ),
    ),
    Definition(query.GetDocuments, (*_objects(_ENTRY), _LOGICAL_IDS), _DOCUMENTS),
    Definition(query.GetFolders, _objects(_FOLDER), _SEVERAL),
    Definition(query.GetAssociations, _UUIDS),
    Definition(query.GetDocumentsAndAssociations, (*_objects(_ENTRY), _LOGICAL_IDS), _DOCUMENTS),
    Definition(query.GetSubmissionSets, _UUIDS),
    Definition(query.GetSubmissionSetAndContents, (*_one_object(_SET), *_CONTENT), _ONE),
    Definition(query.GetFolderAndContents, (*_one_object(_FOLDER), *_CONTENT), _ONE),
    Definition(query.GetFoldersForDocument, _one_object(_ENTRY), _ONE),
    Definition(
        query.GetRelatedDocuments,
        (
            *_one_object(_ENTRY),
            Parameter("$AssociationTypes", "association_types", TEXT, Shape.ANY_OF, required=True),
            _TYPE,
        ),
        _ONE,
    ),
)

DEFINITIONS: Mapping[str, Definition] = {definition.query.query_id: definition for definition in _DEFINITIONS}
"""The stored queries by their UUID."""
