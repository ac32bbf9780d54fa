"""CapabilityStatement (ITI TF-2 Appendix Z.3; IHE MHD 4.2.4 actors and options) and the README's table of
search parameters, which come from the tables that the parsers read.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from fhir.resources.capabilitystatement import CapabilityStatement as StatementR5
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from gateway import __version__
from gateway.fhir.capability_actors import StatedActor, of_actors
from gateway.fhir.capability_audit import audit_resource
from gateway.fhir.capability_imaging import (
    IMAGING_GUIDES,
    IMAGING_STATEMENTS,
    IMAGING_TABLES,
    imaging_resources,
)
from gateway.fhir.capability_parameters import search_parameters, supported_rows
from gateway.fhir.capability_r5 import statement_in_r5
from gateway.fhir.capability_security import security_element
from gateway.fhir.datatypes import Json
from gateway.fhir.formats import FhirFormat
from gateway.fhir.imaging_document_search import IMAGING_DOCUMENT_PARAMETERS
from gateway.fhir.list_parameters import LIST_PARAMETERS
from gateway.fhir.patient_parameters import PATIENT_PARAMETERS
from gateway.fhir.provide_profiles import MetadataLevel
from gateway.fhir.search_all import COMMON_PARAMETERS, SEARCHED
from gateway.fhir.search_includes import paths
from gateway.model import codes, imaging_codes
from gateway.model.releases import FhirRelease


def search_table_markdown() -> str:
    """The search parameters as a Markdown table, with a line break at its end."""
    lines = ["| search of | parameters |", "|---|---|"]
    for name, table in (
        ("DocumentReference", IMAGING_DOCUMENT_PARAMETERS),
        ("List", LIST_PARAMETERS),
        ("the base", COMMON_PARAMETERS),
        ("Patient", PATIENT_PARAMETERS),
        *((table.resource, table) for table in IMAGING_TABLES),
    ):
        listed = (p.name + "".join(f" :{m}" for m in sorted(p.modifiers)) for p in supported_rows(table))
        lines.append(f"| {name} | {', '.join(listed)} |")
    return "\n".join(lines) + "\n"


@lru_cache(maxsize=16)
def write_capability_statement(
    base_url: str,
    software_version: str = __version__,
    date: str | None = None,
    release: FhirRelease = FhirRelease.R4,
    *,
    tokens: bool = False,
    token_endpoint: str | None = None,
    versions: bool = False,
    actors: frozenset[StatedActor] = frozenset(StatedActor),
    audit_events: bool = False,
) -> bytes:
    """The CapabilityStatement of this server as JSON.

    `base_url` is the FHIR base that clients use, `date` the FHIR dateTime of the statement, by default that
    of the first call. `tokens` says that requests need an access token, `token_endpoint` where one is given;
    `versions` that several releases share the base, and `actors` which of them are stated; `audit_events`
    that ITI-81 is answered, in R4.
    `instantiates` claims the Comprehensive and the UnContained Recipient, not the others,
    since XDS does not take every Minimal Bundle, and the Responder without Target Communities. Of HL7 Europe
    it claims access to documents and to resources.
    """
    statement: Json = {
        "resourceType": "CapabilityStatement",
        "name": "MhdXdsGateway",
        "title": "MHD to XDS.b gateway",
        "status": "active",
        "date": date or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "kind": "instance",
        "description": "Document Recipient and Document Responder of IHE MHD "
        f"{release.mhd} with the XDS on FHIR option, in front of an XDS.b affinity domain.",
        "instantiates": [
            codes.MHD_CAPABILITY_STATEMENT + "IHE.MHD.DocumentRecipient.Comprehensive",
            codes.MHD_CAPABILITY_STATEMENT + "IHE.MHD.DocumentRecipient.UnContained",
            codes.MHD_CAPABILITY_STATEMENT + "IHE.MHD.DocumentResponder",
            codes.PDQM_CAPABILITY_STATEMENT + "IHE.PDQm.PatientDemographicsSupplier",
            codes.PDQM_CAPABILITY_STATEMENT + "IHE.PDQm.PatientDemographicsSupplierMatch",
            *IMAGING_STATEMENTS,
        ],
        "software": {"name": "mhd-xds-gateway", "version": software_version},
        "implementation": {"description": "MHD to XDS.b gateway", "url": base_url},
        "fhirVersion": release.full_version,
        "format": [*FhirFormat, "json", "xml"],
        "implementationGuide": [
            codes.MHD_IMPLEMENTATION_GUIDE,
            codes.PDQM_IMPLEMENTATION_GUIDE,
            *IMAGING_GUIDES,
        ],
        "rest": [_rest(security_element(tokens, token_endpoint)) | (_VERSIONS if versions else {})],
    }
    statement = of_actors(statement, actors)
    if audit_events and release is FhirRelease.R4:
        statement["rest"][0]["resource"].append(audit_resource())
    if release is FhirRelease.R4:
        return CapabilityStatement.model_validate(statement).model_dump_json().encode()
    return StatementR5.model_validate(statement_in_r5(statement)).model_dump_json().encode()


_VERSIONS = {"operation": [{"name": "versions", "definition": codes.OPERATION_VERSIONS}]}


def _rest(security: dict[str, Any]) -> dict[str, Any]:
    return {
        "mode": "server",
        "documentation": "ITI-65 and a search over documents and Lists at the base, ITI-66 at List, ITI-67, "
        "ITI-105 and ITI-106 at DocumentReference, ITI-68 at each attachment.url, RAD-107 at the address of "
        "each Endpoint. Folders and relations that the recipient behind does not take make ITI-65 fail, or "
        "are left out with a warning, as its operator has set.",
        "security": security,
        "resource": [
            _document_reference(),
            _list(),
            _patient(),
            _binary(),
            *imaging_resources(),
            _definitions("SearchParameter"),
            _definitions("OperationDefinition"),
        ],
        "interaction": [
            {"code": "transaction", "documentation": ", ".join(MetadataLevel)},
            {
                "code": "search-system",
                "documentation": f"_type: {', '.join(SEARCHED)} or both.",
            },
        ],
        "searchParam": search_parameters(COMMON_PARAMETERS),
    }


def _document_reference() -> dict[str, Any]:
    return {
        "type": "DocumentReference",
        "supportedProfile": [
            codes.PROFILE_MINIMAL_DOCUMENT,
            codes.PROFILE_COMPREHENSIVE_DOCUMENT,
            codes.PROFILE_SIMPLIFIED_DOCUMENT,
            imaging_codes.PROFILE_MADO_KOS_DOCUMENT,
            imaging_codes.PROFILE_MADO_FHIR_DOCUMENT,
        ],
        "interaction": [{"code": "read"}, {"code": "create"}, {"code": "search-type"}],
        "searchInclude": list(paths("_include", "DocumentReference")),
        "searchRevInclude": list(paths("_revinclude", "DocumentReference")),
        "searchParam": search_parameters(IMAGING_DOCUMENT_PARAMETERS),
        "operation": [{"name": "generate-metadata", "definition": codes.OPERATION_GENERATE_METADATA}],
    }


def _list() -> dict[str, Any]:
    return {
        "type": "List",
        "supportedProfile": [
            codes.PROFILE_LIST,
            codes.PROFILE_MINIMAL_SUBMISSION_SET,
            codes.PROFILE_UNCONTAINED_SUBMISSION_SET,
            codes.PROFILE_COMPREHENSIVE_SUBMISSION_SET,
            codes.PROFILE_MINIMAL_FOLDER,
            codes.PROFILE_COMPREHENSIVE_FOLDER,
        ],
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchInclude": list(paths("_include", "List")),
        "searchRevInclude": list(paths("_revinclude", "List")),
        "searchParam": search_parameters(LIST_PARAMETERS),
    }


def _patient() -> dict[str, Any]:
    return {
        "type": "Patient",
        "supportedProfile": [codes.PROFILE_PDQM_PATIENT],
        "documentation": "ITI-78 and ITI-119. Stands for an identifier of the affinity domain, with what "
        "documents say of the person. Searches find patients that something was submitted for; by anything "
        "but identifiers those of whom this server has stored or seen documents lately.",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": search_parameters(PATIENT_PARAMETERS),
        "operation": [{"name": "match", "definition": codes.OPERATION_MATCH}],
    }


def _binary() -> dict[str, Any]:
    return {
        "type": "Binary",
        "documentation": "The document of the DocumentReference with the same id: as Binary where Accept "
        "names a FHIR format, else as it is.",
        "interaction": [{"code": "read"}],
    }


def _definitions(resource_type: str) -> dict[str, Any]:
    return {
        "type": resource_type,
        "documentation": "What IHE MHD defines and this server supports.",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": [
            {"name": "url", "definition": codes.FHIR_SEARCH_PARAMETER + "conformance-url", "type": "uri"},
            {"name": "_id", "definition": codes.FHIR_SEARCH_PARAMETER + "Resource-id", "type": "token"},
        ],
    }
