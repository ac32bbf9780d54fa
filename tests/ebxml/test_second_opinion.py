"""zeep reads an answer from the contract alone; what it finds is what our reader finds."""

from typing import Any

from hypothesis import given, settings

from gateway.ebxml import hl7
from gateway.ebxml.query_response import read_query_response, write_query_response
from gateway.model import DocumentEntry, QueryResult, ResponseStatus, codes
from gateway.soap.contract import load_contract
from tests.ebxml import strategies
from tests.ebxml.wire import over_the_wire


def _slot(found: Any, name: str) -> list[str]:
    return [value for slot in found.Slot if slot.name == name for value in slot.ValueList.Value]


def _codes(found: Any, scheme: str) -> list[tuple[str, str]]:
    return [
        (item.nodeRepresentation, _slot(item, "codingScheme")[0])
        for item in found.Classification
        if item.classificationScheme == scheme
    ]


def _as_zeep_sees_it(found: Any) -> dict[str, Any]:
    identifiers = {item.identificationScheme: item.value for item in found.ExternalIdentifier}
    return {
        "entry_uuid": found.id,
        "unique_id": identifiers[codes.DE_UNIQUE_ID],
        "patient_id": identifiers.get(codes.DE_PATIENT_ID),
        "status": found.status,
        "home": found.home,
        "mime_type": found.mimeType,
        "title": found.Name.LocalizedString[0].value if found.Name else None,
        "creation_time": _slot(found, "creationTime"),
        "size": _slot(found, "size"),
        "references": _slot(found, codes.REFERENCE_ID_LIST_SLOT),
        "class": _codes(found, codes.DE_CLASS),
        "events": _codes(found, codes.DE_EVENT),
        "persons": [
            person
            for item in found.Classification
            if item.classificationScheme == codes.DE_AUTHOR
            for person in _slot(item, "authorPerson")
        ],
    }


def _as_we_see_it(entry: DocumentEntry) -> dict[str, Any]:
    return {
        "entry_uuid": entry.entry_uuid,
        "unique_id": entry.unique_id,
        "patient_id": hl7.write_cx(entry.patient_id) if entry.patient_id else None,
        "status": entry.status.value,
        "home": entry.home_community_id,
        # the schema's default stands where the attribute is absent
        "mime_type": entry.mime_type or "application/octet-stream",
        "title": entry.title,
        "creation_time": [entry.creation_time] if entry.creation_time else [],
        "size": [str(entry.size)] if entry.size is not None else [],
        "references": [hl7.write_reference_id(value) for value in entry.reference_ids],
        "class": [(entry.class_code.code, entry.class_code.scheme)] if entry.class_code else [],
        "events": [(code.code, code.scheme) for code in entry.event_codes],
        "persons": [hl7.write_xcn(author.person) for author in entry.authors if author.person],
    }


@settings(max_examples=25, deadline=None)
@given(strategies.several(strategies.document_entries(), 2, min_size=1))
def test_zeep_finds_the_same(entries):
    answer = over_the_wire(write_query_response(QueryResult(status=ResponseStatus.SUCCESS, entries=entries)))
    ours = [_as_we_see_it(entry) for entry in read_query_response(answer).entries]
    listed = load_contract().read("ITI-18", answer).RegistryObjectList._value_1
    assert [_as_zeep_sees_it(item["ExtrinsicObject"]) for item in listed] == ours
