"""Provenance of a document: the SubmissionSet that brought it (IHE mXDE; HL7 Europe Imaging Report
1.0.0-ballot, document access; ITI TF-3 4.2.3.3).

It says what the registry says and nothing else: when the SubmissionSet was submitted, by whom, from which
source, and what the document has replaced or was made of.
"""

from collections.abc import Iterable
from typing import Final

from gateway.fhir.datatypes import Json, write_date_time
from gateway.fhir.document_ids import provenance_id
from gateway.fhir.document_reference import logical_id, resource_id
from gateway.fhir.held import HeldResource
from gateway.fhir.people import write_author
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.metadata import Association, DocumentEntry, SubmissionSet
from gateway.model.oids import is_oid

_ENTITY_ROLES: Final = {codes.RPLC: "revision", codes.XFRM_RPLC: "revision", codes.XFRM: "derivation"}
_FIRST_VERSIONS: Final = frozenset({None, "", "1"})
_ASSEMBLER: Final = "MHD XDS gateway"


def hold_document_provenance(
    entry: DocumentEntry,
    submission_set: SubmissionSet,
    relations: Iterable[Association],
    terminology: Terminology,
) -> HeldResource:
    """`write_document_provenance` as searches see it."""
    resource = write_document_provenance(entry, submission_set, relations, terminology)
    return HeldResource(
        id=resource["id"],
        resource=resource,
        document_uuid=entry.entry_uuid,
        unique_id=entry.unique_id,
        patient_id=entry.patient_id,
        status=entry.status,
        updated=submission_set.submission_time,
    )


def write_document_provenance(
    entry: DocumentEntry,
    submission_set: SubmissionSet,
    relations: Iterable[Association],
    terminology: Terminology,
) -> Json:
    """Provenance of a document, or of the translation of one.

    `submission_set` brought it, or its original; `relations` are associations with it as source.
    """
    document_id = resource_id(entry)
    types = {relation.type: relation.target for relation in relations}
    contained, agents = _agents(submission_set, terminology)
    entities = [_entity("source", f"List/{logical_id(submission_set.entry_uuid)}")]
    if entry.made_of is not None:
        agents.insert(0, {"type": _type(*_MAKER), "who": {"display": _ASSEMBLER}})
        entities.append(_entity("derivation", f"DocumentReference/{_original_id(entry)}"))
    else:
        entities += [
            _entity(role, f"DocumentReference/{logical_id(types[kind])}")
            for kind, role in _ENTITY_ROLES.items()
            if kind in types
        ]
    resource: Json = {"resourceType": "Provenance", "id": provenance_id(document_id)}
    recorded = write_date_time(submission_set.submission_time)
    exact = recorded is not None and "T" in recorded
    if exact:
        resource["meta"] = {"lastUpdated": recorded}
    if contained:
        resource["contained"] = contained
    resource["target"] = [{"reference": f"DocumentReference/{document_id}"}]
    if recorded is not None and not exact:
        resource["occurredDateTime"] = recorded
    resource |= {"recorded": recorded} if exact else {"_recorded": UNKNOWN_TIME}
    resource["activity"] = _type(*_activity(entry, types))
    resource["agent"] = agents
    resource["entity"] = entities
    return resource


_MAKER: Final = (imaging.PROVENANCE_PARTICIPANT, "assembler")
_AUTHOR: Final = (imaging.PROVENANCE_PARTICIPANT, "author")
_SOURCE: Final = (codes.DICOM_CODE_SYSTEM, codes.DCM_SOURCE)
UNKNOWN_TIME: Final = {"extension": [{"url": imaging.EXT_DATA_ABSENT, "valueCode": "unknown"}]}
"""Of an instant that FHIR requires and the registry does not know to the second."""


def _agents(submission_set: SubmissionSet, terminology: Terminology) -> tuple[list[Json], list[Json]]:
    """Contained resources, and the agents: the authors of the SubmissionSet and the source it came from."""
    contained: list[Json] = []
    agents: list[Json] = []
    for number, author in enumerate(submission_set.authors):
        written = write_author(author, f"author{number}", terminology)
        contained += written.resources
        agents += [{"type": _type(*_AUTHOR), "who": {"reference": f"#{name}"}} for name in written.ids]
    source = submission_set.source_id
    if source:
        value = f"urn:oid:{source}" if is_oid(source) else source
        identifier = {"system": codes.URI_SYSTEM, "value": value}
        agents.append({"type": _type(*_SOURCE), "who": {"identifier": identifier}})
    return contained, agents or [{"who": {"display": "unknown"}}]


def _activity(entry: DocumentEntry, types: Iterable[str]) -> tuple[str, str]:
    """System and code of what the SubmissionSet did."""
    found = set(types)
    if entry.made_of is not None:
        return imaging.LIFECYCLE, "transform"
    if found & codes.REPLACEMENTS or entry.version not in _FIRST_VERSIONS:
        return codes.DATA_OPERATION, "UPDATE"
    if codes.XFRM in found:
        return imaging.LIFECYCLE, "transform"
    return codes.DATA_OPERATION, "APPEND" if codes.APND in found else "CREATE"


def _original_id(entry: DocumentEntry) -> str:
    """The id of the DocumentReference that a translation is of."""
    assert entry.made_of is not None
    return resource_id(entry).rpartition("-")[0]


def _entity(role: str, literal: str) -> Json:
    return {"role": role, "what": {"reference": literal}}


def _type(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}
