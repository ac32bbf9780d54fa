"""SearchParameter and OperationDefinition resources of this server (FHIR R4; IHE MHD 4.2.4 artefacts).

Those that IHE MHD, MADO and HL7 Europe define and this server supports, under their canonical URLs, made from
the tables that the parser and the CapabilityStatement read. Of what FHIR itself defines only the operation
`$versions` is repeated.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import orjson

from gateway.fhir.capability_imaging import IMAGING_TABLES
from gateway.fhir.datatypes import Json
from gateway.fhir.imaging_document_search import IMAGING_DOCUMENT_PARAMETERS
from gateway.fhir.list_parameters import LIST_PARAMETERS
from gateway.fhir.search_dates import Prefix
from gateway.fhir.search_table import Kind, SearchParameter
from gateway.fhir.version_names import canonical_in_r4
from gateway.model import codes
from gateway.model import imaging_codes as imaging

SEARCH_PARAMETER: Final = "SearchParameter"
OPERATION_DEFINITION: Final = "OperationDefinition"

_OPERATIONS: Final[tuple[Json, ...]] = (
    {
        "url": codes.OPERATION_GENERATE_METADATA,
        "name": "GenerateMetadata",
        "title": "Generate a DocumentReference from a document",
        "status": "active",
        "kind": "operation",
        "affectsState": True,
        "code": "generate-metadata",
        "resource": ["DocumentReference"],
        "system": False,
        "type": True,
        "instance": False,
        "parameter": [
            {
                "name": "document",
                "use": "in",
                "min": 1,
                "max": "1",
                "documentation": "The document: a Binary, or a Bundle of type document.",
                "type": "Resource",
            },
            {
                "name": "DocumentReference",
                "use": "out",
                "min": 1,
                "max": "1",
                "documentation": "The DocumentReference that was made for the document.",
                "type": "Reference",
                "targetProfile": [codes.PROFILE_MINIMAL_DOCUMENT],
            },
        ],
    },
    {
        "url": codes.OPERATION_VERSIONS,
        "name": "Versions",
        "title": "Say which releases of FHIR are spoken at this base",
        "status": "active",
        "kind": "operation",
        "affectsState": False,
        "code": "versions",
        "system": True,
        "type": False,
        "instance": False,
        "parameter": [
            {
                "name": name,
                "use": "out",
                "min": 1,
                "max": most,
                "documentation": text,
                "type": "code",
            }
            for name, most, text in (
                ("version", "*", "A release as the parameter fhirVersion has it: 4.0."),
                ("default", "1", "The one that is spoken where a request names none."),
            )
        ],
    },
    {
        "url": codes.OPERATION_MATCH,
        "name": "PatientMatch",
        "title": "Find the patient whom a description means",
        "status": "active",
        "kind": "operation",
        "affectsState": False,
        "code": "match",
        "base": codes.OPERATION_PATIENT_MATCH,
        "resource": ["Patient"],
        "system": False,
        "type": True,
        "instance": False,
        "parameter": [
            {"name": name, "use": use, "min": least, "max": "1", "documentation": text, "type": kind}
            for name, use, least, kind, text in (
                ("resource", "in", 1, "Patient", "What is known of the patient."),
                ("onlyCertainMatches", "in", 0, "boolean", "True: nobody who is not certain to be meant."),
                ("count", "in", 0, "integer", "The most Patients that are given."),
                ("return", "out", 1, "Bundle", "Patients with score and grade, the best first."),
            )
        ],
    },
    {
        "url": imaging.OPERATION_DOCUMENT,
        "name": "Document",
        "title": "Give the report document that a DiagnosticReport is of",
        "status": "active",
        "kind": "operation",
        "affectsState": False,
        "code": "document",
        "resource": ["DiagnosticReport"],
        "system": False,
        "type": False,
        "instance": True,
        "parameter": [
            {
                "name": "return",
                "use": "out",
                "min": 1,
                "max": "1",
                "documentation": "The report as it was published, byte for byte.",
                "type": "Bundle",
            },
        ],
    },
)


@lru_cache(maxsize=8)
def definitions(resource_type: str, stated: Iterable[str]) -> Mapping[str, bytes]:
    """Resources as JSON by id, in the order of the tables.

    `stated` are the canonicals that the CapabilityStatement refers to; no other is served.
    """
    made = _search_parameters() if resource_type == SEARCH_PARAMETER else _OPERATIONS
    # what is held is R4, and written in another release by its canonicals
    listed = {canonical_in_r4(canonical) for canonical in stated}
    written: dict[str, bytes] = {}
    for content in made:
        if content["url"] in listed:
            name = content["url"].rpartition("/")[2]
            written[name] = orjson.dumps({"resourceType": resource_type, "id": name, **content})
    return MappingProxyType(written)


def _search_parameters() -> Iterable[Json]:
    by_url: dict[str, Json] = {}
    for table in (IMAGING_DOCUMENT_PARAMETERS, LIST_PARAMETERS, *IMAGING_TABLES):
        for row in table.rows:
            of_guide = row.definition and not row.definition.startswith(codes.FHIR_SEARCH_PARAMETER)
            if of_guide:
                content = by_url.setdefault(str(row.definition), _search_parameter(row))
                content["base"].append(table.resource)
    return by_url.values()


def _search_parameter(row: SearchParameter) -> dict[str, Any]:
    written: dict[str, Any] = {
        "url": row.definition,
        "name": "".join(part[0].upper() + part[1:] for part in row.name.split("-")),
        "status": "active",
        "description": row.documentation,
        "code": row.name,
        "base": [],
        "type": row.kind.value,
        "expression": row.expression,
        "multipleOr": True,
        "multipleAnd": True,
    }
    if row.kind is Kind.DATE:
        written["comparator"] = list(Prefix)
    if row.modifiers:
        written["modifier"] = sorted(row.modifiers)
    return written
