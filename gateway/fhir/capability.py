"""CapabilityStatement (ITI TF-2 Appendix Z.3; IHE MHD 4.2.4 actors and options) and the table of the README.

Search parameters come from the table that the parser reads; what is supported by transaction and option
stands in `SUPPORTED` and nowhere else.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from gateway import __version__
from gateway.fhir.capability_imaging import IMAGING_GUIDES, IMAGING_TABLES, imaging_resources
from gateway.fhir.capability_parameters import search_parameters, supported_rows
from gateway.fhir.formats import FhirFormat
from gateway.fhir.list_parameters import LIST_PARAMETERS
from gateway.fhir.patient_search import PATIENT_PARAMETERS
from gateway.fhir.provide_profiles import MetadataLevel
from gateway.fhir.search_all import COMMON_PARAMETERS, SEARCHED
from gateway.fhir.search_includes import paths
from gateway.fhir.search_parameters import DOCUMENT_PARAMETERS
from gateway.model import codes

FHIR_VERSION = "4.0.1"


class Level(StrEnum):
    """How far a row is supported."""

    YES = "yes"
    PART = "part"
    NO = "no"


@dataclass(frozen=True, slots=True)
class SupportedRow:
    """One transaction and option."""

    transaction: str
    option: str
    supported: Level
    note: str


SUPPORTED: tuple[SupportedRow, ...] = (
    SupportedRow(
        "ITI-65 Provide Document Bundle",
        "Comprehensive Metadata",
        Level.YES,
        "documents, folders, replace, append, transform, sign; atomic and repeatable",
    ),
    SupportedRow(
        "ITI-65 Provide Document Bundle", "XDS on FHIR", Level.YES, "ITI-41 to the configured repository"
    ),
    SupportedRow(
        "ITI-65 Provide Document Bundle",
        "Minimal Metadata",
        Level.YES,
        "all that XDS requires has to be there, and the answer lists what is not; repositories with "
        "limited_metadata get it as it is",
    ),
    SupportedRow(
        "ITI-65 Provide Document Bundle",
        "UnContained Reference",
        Level.YES,
        "targets at servers of references.allowed_hosts are fetched and stored as values, others by "
        "identifier or display",
    ),
    SupportedRow(
        "ITI-65 Provide Document Bundle",
        "FHIR Documents Publish",
        Level.YES,
        "stored with the bytes of the request (JSON) or in canonical form (XML)",
    ),
    SupportedRow(
        "ITI-66 Find Document Lists",
        "-",
        Level.YES,
        "SubmissionSets and Folders with their members; source.* and sourceId are left out with a warning "
        "where only Folders are searched",
    ),
    SupportedRow(
        "ITI-66 Find Document Lists",
        "XDS on FHIR",
        Level.YES,
        "one ITI-18 for each kind, one for the members of the page, one more where a SubmissionSet brought "
        "Folders",
    ),
    SupportedRow(
        "ITI-66 Find Document Lists", "Target Communities", Level.NO, "targetCommunityIdList is refused"
    ),
    SupportedRow(
        "ITI-67 Find Document References",
        "-",
        Level.YES,
        "every parameter; date and _lastUpdated are the submissionTime of the SubmissionSet",
    ),
    SupportedRow(
        "ITI-67 Find Document References",
        "XDS on FHIR",
        Level.YES,
        "one ITI-18 for the page, one for its associations, one more for date and _lastUpdated; related "
        "needs the registry's Reference ID option",
    ),
    SupportedRow(
        "ITI-67 Find Document References", "Target Communities", Level.NO, "targetCommunityIdList is refused"
    ),
    SupportedRow(
        "ITI-68 Retrieve Document",
        "XDS on FHIR",
        Level.YES,
        "streamed from ITI-43; HEAD, ETag and Range; also by Binary/[id of the DocumentReference]",
    ),
    SupportedRow(
        "ITI-105 Simplified Publish",
        "-",
        Level.YES,
        "with relatesTo; the rules are those of ITI-65, the SubmissionSet says what the document says",
    ),
    SupportedRow(
        "ITI-106 Generate Metadata",
        "-",
        Level.YES,
        "from CDA R2 and FHIR documents; what they leave open comes from publish.defaults, and the answer "
        "lists what is still missing",
    ),
    SupportedRow(
        "FHIR R4",
        "search at the base",
        Level.YES,
        "documents and Lists together by what both have; one _type is the search of that type",
    ),
    SupportedRow(
        "FHIR R4",
        "search results",
        Level.YES,
        "_count, _sort, _total, _summary, _elements; _include and _revinclude of patients, related "
        "documents, List.item, with a query for each kind; Prefer: handling",
    ),
    SupportedRow("FHIR R4", "JSON", Level.YES, "Accept with weights, _format, _pretty, fhirVersion 4.0"),
    SupportedRow("FHIR R4", "XML", Level.YES, "requests and answers, errors included"),
    SupportedRow("FHIR R4", "gzip", Level.YES, "requests and answers; documents are sent as they are"),
    SupportedRow(
        "ITI-18 Registry Stored Query",
        "client",
        Level.YES,
        "all 14 queries can be written; too many results are asked for by id, in pieces",
    ),
    SupportedRow(
        "ITI-41 Provide and Register Document Set-b",
        "client",
        Level.YES,
        "to one repository; sent once, and the registry is asked where the outcome is unknown",
    ),
    SupportedRow(
        "ITI-43 Retrieve Document Set",
        "client",
        Level.YES,
        "several repositories by repositoryUniqueId; one document streamed, or sets of small ones",
    ),
    SupportedRow(
        "RAD-69 Retrieve Imaging Document Set",
        "client",
        Level.YES,
        "by imaging.locations; streamed, split by the source's limit, each image accounted for",
    ),
    SupportedRow(
        "RAD-69 Retrieve Imaging Document Set",
        "server",
        Level.YES,
        "/xds/imaging, from RAD-69 and WADO-RS sources, for what manifests grant; in files until complete",
    ),
    SupportedRow(
        "RAD-107 WADO-RS Retrieve",
        "server",
        Level.YES,
        "study, series and instance, of what manifests grant, from RAD-69 and WADO-RS sources at once; "
        "streamed, as stored; metadata and rendered where an archive gives them; RAD-55 for instances",
    ),
    SupportedRow(
        "RAD-107 WADO-RS Retrieve",
        "client",
        Level.YES,
        "by imaging.locations, and by Retrieve URLs of imaging.retrieve_url_hosts",
    ),
    SupportedRow(
        "QIDO-RS (DICOM PS3.18 10.6)",
        "server",
        Level.YES,
        "studies, series, instances of a patient or of one study, over the same manifests; JSON; attributes "
        "by keyword, tag and sequence, wildcards, ranges, lists; neither fuzzy nor empty value matching",
    ),
    SupportedRow(
        "Imaging resources",
        "FHIR R4",
        Level.YES,
        "ImagingStudy, ServiceRequest, Endpoint and Provenance of a patient, assembled from manifests",
    ),
    SupportedRow(
        "Imaging manifest",
        "DICOM KOS",
        Level.YES,
        "MADO in final, trial and draft codes and XDS-I.b are read, MADO is written (final or trial codes); "
        "little endian",
    ),
    SupportedRow("RAD-75 Cross Gateway Retrieve Imaging Document Set", "-", Level.NO, "one community only"),
    SupportedRow(
        "ITI-18 Registry Stored Query",
        "embedded affinity domain",
        Level.YES,
        "all 14 queries, LeafClass and ObjectRef",
    ),
    SupportedRow(
        "ITI-41, ITI-42, ITI-43",
        "embedded affinity domain",
        Level.YES,
        "atomic and durable",
    ),
    SupportedRow(
        "RAD-69, RAD-107 WADO-RS",
        "embedded affinity domain",
        Level.YES,
        "DICOM files in folders, as they are stored; study, series, instance, metadata; nothing rendered",
    ),
    SupportedRow(
        "ITI-57, ITI-61, ITI-62, ITI-86",
        "embedded affinity domain",
        Level.PART,
        "versions of DocumentEntries, status, new associations, deletion, removal; On-Demand documents are "
        "lists of a patient's documents; no versions of Folders",
    ),
    SupportedRow(
        "ITI-57, ITI-62, ITI-86",
        "client",
        Level.YES,
        "by gateway admin: status, metadata, deletion, removal; sent once, and the registry is asked where "
        "the outcome is unknown",
    ),
    SupportedRow(
        "ITI-61 Register On-Demand Document Entry", "client", Level.PART, "a client method, no route uses it"
    ),
    SupportedRow("ITI-38, ITI-39 Cross Gateway", "-", Level.NO, "one community only"),
    SupportedRow("SOAP", "MTOM/XOP", Level.YES, "streamed both ways; plain SOAP answers are read too"),
    SupportedRow("SOAP", "WS-Addressing", Level.YES, "synchronous; request and response headers, faults"),
    SupportedRow("SOAP", "Asynchronous Web Services Exchange", Level.NO, "non-anonymous ReplyTo is refused"),
    SupportedRow("SOAP", "XUA (SAML)", Level.NO, "no assertion is sent or checked"),
)


def supported_table_markdown() -> str:
    """`SUPPORTED` as a Markdown table, with a line break at its end."""
    lines = ["| transaction | option | supported | note |", "|---|---|---|---|"]
    lines += [f"| {r.transaction} | {r.option} | {r.supported} | {r.note} |" for r in SUPPORTED]
    return "\n".join(lines) + "\n"


def search_table_markdown() -> str:
    """The search parameters as a Markdown table, with a line break at its end."""
    lines = ["| search of | parameters |", "|---|---|"]
    for name, table in (
        ("DocumentReference", DOCUMENT_PARAMETERS),
        ("List", LIST_PARAMETERS),
        ("the base", COMMON_PARAMETERS),
        ("Patient", PATIENT_PARAMETERS),
        *((table.resource, table) for table in IMAGING_TABLES),
    ):
        listed = (p.name + "".join(f" :{m}" for m in sorted(p.modifiers)) for p in supported_rows(table))
        lines.append(f"| {name} | {', '.join(listed)} |")
    return "\n".join(lines) + "\n"


@lru_cache(maxsize=8)
def write_capability_statement(
    base_url: str, software_version: str = __version__, date: str | None = None
) -> bytes:
    """The CapabilityStatement of this server as JSON.

    `base_url` is the FHIR base that clients use, `date` the FHIR dateTime of the statement, by default that
    of the first call. `instantiates` claims the Comprehensive and the UnContained Recipient, not the others,
    since XDS does not take every Minimal Bundle, and the Responder without Target Communities.
    """
    statement = CapabilityStatement.model_validate(
        {
            "resourceType": "CapabilityStatement",
            "name": "MhdXdsGateway",
            "title": "MHD to XDS.b gateway",
            "status": "active",
            "date": date or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "kind": "instance",
            "description": "Document Recipient and Document Responder of IHE MHD 4.2.4 with the XDS on FHIR "
            "option, in front of an XDS.b affinity domain.",
            "instantiates": [
                codes.MHD_CAPABILITY_STATEMENT + "IHE.MHD.DocumentRecipient.Comprehensive",
                codes.MHD_CAPABILITY_STATEMENT + "IHE.MHD.DocumentRecipient.UnContained",
                codes.MHD_CAPABILITY_STATEMENT + "IHE.MHD.DocumentResponder",
            ],
            "software": {"name": "mhd-xds-gateway", "version": software_version},
            "implementation": {"description": "MHD to XDS.b gateway", "url": base_url},
            "fhirVersion": FHIR_VERSION,
            "format": [*FhirFormat, "json", "xml"],
            "implementationGuide": [codes.MHD_IMPLEMENTATION_GUIDE, *IMAGING_GUIDES],
            "rest": [_rest()],
        }
    )
    return statement.model_dump_json().encode()


def _rest() -> dict[str, Any]:
    return {
        "mode": "server",
        "documentation": "ITI-65 and a search over documents and Lists at the base, ITI-66 at List, ITI-67, "
        "ITI-105 and ITI-106 at DocumentReference, ITI-68 at each attachment.url, RAD-107 at the address of "
        "each Endpoint. Folders and relations that the recipient behind does not take make ITI-65 fail, or "
        "are left out with a warning, as its operator has set.",
        "security": {
            "description": "No authorisation of its own: it has to stand behind one. IHE recommends ATNA and "
            "encourages IUA or SMART."
        },
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
        ],
        "interaction": [{"code": "read"}, {"code": "create"}, {"code": "search-type"}],
        "searchInclude": list(paths("_include", "DocumentReference")),
        "searchRevInclude": list(paths("_revinclude", "DocumentReference")),
        "searchParam": search_parameters(DOCUMENT_PARAMETERS),
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
        "documentation": "Stands for an identifier of the affinity domain; has no demographics. Searches "
        "find patients that something was submitted for.",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "searchParam": search_parameters(PATIENT_PARAMETERS),
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
