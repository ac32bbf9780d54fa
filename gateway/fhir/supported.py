"""What is supported by transaction and option. The README has the same table, and a test compares them."""

from dataclasses import dataclass
from enum import StrEnum


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


_COMMUNITIES = (
    "targetCommunityIdList; without it every community of the settings is asked at once, and a warning names "
    "those that do not answer"
)

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
    SupportedRow("ITI-66 Find Document Lists", "Target Communities", Level.YES, _COMMUNITIES),
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
    SupportedRow("ITI-67 Find Document References", "Target Communities", Level.YES, _COMMUNITIES),
    SupportedRow(
        "ITI-67 Find Document References",
        "imaging manifests (MADO, HL7 Europe)",
        Level.YES,
        "each in both formats, by modality, region, study and numbers; entries that do not say it are read",
    ),
    SupportedRow(
        "ITI-68 Retrieve Document",
        "XDS on FHIR",
        Level.YES,
        "streamed from ITI-43; HEAD, ETag and Range; also by Binary/[id of the DocumentReference]",
    ),
    SupportedRow(
        "ITI-68 Retrieve Document",
        "imaging manifests (MADO)",
        Level.YES,
        "DICOM, FHIR JSON or XML by Accept, whatever is stored; addresses of images are the gateway's",
    ),
    SupportedRow(
        "ITI-105 Simplified Publish",
        "-",
        Level.YES,
        "with relatesTo; the rules are those of ITI-65, the SubmissionSet says what the document says",
    ),
    SupportedRow(
        "RAD-68 Provide and Register Imaging Document Set",
        "by ITI-65, ITI-105 and ITI-106",
        Level.YES,
        "manifests in DICOM or FHIR complete their metadata and are compared with them, stored in either "
        "format or both, and replace the study's earlier one",
    ),
    SupportedRow(
        "Imaging report (HL7 Europe 1.0.0-ballot)",
        "published by ITI-65, ITI-105 and ITI-106",
        Level.YES,
        "documents and minimal ones with PDF, of FHIR R4 and R5, in JSON and XML, checked against"
        " the guide and completed from their content; stored as they are; in a Bundle of R4, one "
        "of R5 is a Binary",
    ),
    SupportedRow(
        "Imaging report (HL7 Europe 1.0.0-ballot)",
        "found by ITI-67, retrieved by ITI-68",
        Level.YES,
        "DocumentReferenceImagingReport where an entry has all that it demands; the report as it "
        "was published",
    ),
    SupportedRow(
        "ITI-106 Generate Metadata",
        "-",
        Level.YES,
        "from CDA R2, FHIR documents and manifests; what they leave open comes from publish.defaults, and "
        "the answer lists what is still missing",
    ),
    SupportedRow(
        "ITI-71 Get Access Token",
        "authorisation server",
        Level.YES,
        "client_credentials with private_key_jwt (RS384, ES384) for registered clients, where it is switched "
        "on",
    ),
    SupportedRow(
        "ITI-72 Incorporate Access Token",
        "resource server",
        Level.YES,
        "JWTs by the keys of their issuer; scopes of SMART v1, v2 (of documents also with a query by codes) "
        "and IUA; bound to a patient by patient/ "
        "scopes or ihe_bppc; SAML tokens with the scopes that the settings give their issuer",
    ),
    SupportedRow("ITI-102 Introspect Token", "client", Level.YES, "opaque tokens of one issuer"),
    SupportedRow(
        "ITI-102 Introspect Token",
        "authorisation server",
        Level.YES,
        "tokens of the own one, for registered clients that may ask",
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
        "documents, List.item and Provenance.target, with a query for each kind; Prefer: handling",
    ),
    SupportedRow("FHIR R4", "JSON", Level.YES, "Accept with weights, _format, _pretty, fhirVersion 4.0"),
    SupportedRow("FHIR R4", "XML", Level.YES, "requests and answers, errors included"),
    SupportedRow("FHIR R4", "gzip", Level.YES, "requests and answers; documents are sent as they are"),
    SupportedRow(
        "FHIR R5",
        "IHE MHD 5.1.0: Recipient and Responder",
        Level.YES,
        "at /R5 below the base, and by fhirVersion=5.0 at the base: what R4 has, in the elements of R5; a "
        "milestone of IHE, which recommends MHD 4.2.4 on R4",
    ),
    SupportedRow(
        "FHIR R5",
        "based-on, context, attester and relatesto as search parameters",
        Level.YES,
        "ids of orders, studies and encounters, names of the legal authenticator, DocumentReference/id; "
        "with the names of R4 on both",
    ),
    SupportedRow(
        "FHIR R5",
        "custodian, description, doc-status, language, location, relation, version as search parameters",
        Level.NO,
        "IHE MHD has none of them",
    ),
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
        "ImagingStudy, ServiceRequest, Endpoint and Provenance of a patient, assembled from manifests and "
        "reports; Endpoints from manifests alone; Provenance of documents, of their SubmissionSets",
    ),
    SupportedRow(
        "ITI-78 Mobile Patient Demographics Query",
        "server",
        Level.YES,
        "every parameter of IHE PDQm 3.2.0; by identifier whoever has documents, by anything else those "
        "whose documents were stored or seen here; nothing merged of sources that disagree; communities by "
        "ITI-55 where they are named",
    ),
    SupportedRow(
        "ITI-119 Patient Demographics Match",
        "server",
        Level.YES,
        "$match by identifiers and demographics with score and grade; who is certain alone, others with "
        "search.match: graded; several persons are never one",
    ),
    SupportedRow(
        "Imaging report resources",
        "FHIR R4",
        Level.YES,
        "DiagnosticReport, Composition, Observation, Procedure and what else reports hold, as they hold it; "
        "the current version of each report; $document gives the report byte for byte",
    ),
    SupportedRow(
        "Imaging manifest",
        "DICOM KOS",
        Level.YES,
        "MADO in final, trial and draft codes and XDS-I.b are read, MADO is written (final or trial codes); "
        "little endian",
    ),
    SupportedRow(
        "RAD-75 Cross Gateway Retrieve Imaging Document Set",
        "client",
        Level.YES,
        "by communities[].images_url, behind WADO-RS and RAD-69; images of one study in two communities stay "
        "two studies",
    ),
    SupportedRow(
        "RAD-160 XC-WADO",
        "client",
        Level.YES,
        "in place of RAD-75 where communities[].wado_url is set",
    ),
    SupportedRow(
        "RAD-160 XC-WADO",
        "server",
        Level.YES,
        "/wado/homeCommunityId/[oid]/RetrieveLocationUID/[oid] below the FHIR base, for images here and of "
        "other communities; access as for WADO-RS",
    ),
    SupportedRow(
        "RAD-75 Cross Gateway Retrieve Imaging Document Set",
        "server",
        Level.YES,
        "/xca-i/imaging with responding_gateway, from imaging.locations by Retrieve Location UID, others "
        "from the WADO-RS of mhd_domain",
    ),
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
    SupportedRow(
        "ITI-38, ITI-39 Cross Gateway",
        "client",
        Level.YES,
        "behind ITI-66 to ITI-68, imaging resources, QIDO-RS: all communities at once, each with a deadline",
    ),
    SupportedRow(
        "ITI-38, ITI-39 Cross Gateway",
        "server",
        Level.YES,
        "/xca/gateway with responding_gateway, from registry and repositories or mhd_domain; also "
        "asynchronous",
    ),
    SupportedRow(
        "ITI-55 Cross Gateway Patient Discovery",
        "client",
        Level.PART,
        "by identifier, where a community does not share it, and by what patient_manager says of names, "
        "birth, sex and addresses; immediate mode; several matches are several patients",
    ),
    SupportedRow(
        "ITI-55 Cross Gateway Patient Discovery",
        "server",
        Level.PART,
        "/xca/patients with responding_gateway: by shared identifiers, from what was submitted, and by name "
        "and birth, from patient_manager; immediate mode, not deferred",
    ),
    SupportedRow(
        "ITI-83 Patient Identifier Cross-reference Query (IHE PIXm 3.1.0)",
        "client",
        Level.YES,
        "of patient_manager: who is meant by identifiers of other domains and by Patients of other servers, "
        "in searches, publishes and QIDO-RS; nobody and several are never somebody",
    ),
    SupportedRow(
        "ITI-78 Patient Demographics Query (IHE PDQm 3.2.0)",
        "client",
        Level.YES,
        "of patient_manager: searches with their pages, reads, merged patients; GET and POST, JSON; in place "
        "of ITI-83 where the manager has none, and for ITI-55",
    ),
    SupportedRow(
        "ITI-78, ITI-83, ITI-104 at /patients",
        "embedded affinity domain",
        Level.PART,
        "FHIR Patients in a folder; JSON; of ITI-104 adding and changing alone",
    ),
    SupportedRow(
        "IHE MHD 4.2.4: ITI-66, ITI-67, ITI-68, ITI-65",
        "client",
        Level.PART,
        "communities[].mhd, and mhd_domain as own domain behind FHIR, XDS.b and the responding gateway; all "
        "14 stored queries; neither versions nor additions to Folders",
    ),
    SupportedRow(
        "ITI-71 Get Access Token",
        "client",
        Level.YES,
        "of MHD servers, by private_key_jwt (SMART Backend Services); or a header from a file",
    ),
    SupportedRow(
        "ITI-18 Registry Stored Query",
        "server",
        Level.YES,
        "/xds/registry with xds_server: all 14 queries, LeafClass and ObjectRef, of the own domain and of "
        "communities as Initiating Gateway",
    ),
    SupportedRow(
        "ITI-41, ITI-43",
        "server",
        Level.YES,
        "/xds/repository with xds_server: from the own domain and communities, to the own domain; in files "
        "on their way",
    ),
    SupportedRow("SOAP", "MTOM/XOP", Level.YES, "streamed both ways; plain SOAP answers are read too"),
    SupportedRow("SOAP", "WS-Addressing", Level.YES, "synchronous; request and response headers, faults"),
    SupportedRow(
        "SOAP",
        "Asynchronous Web Services Exchange",
        Level.PART,
        "by the responding gateway, to responding_gateway.reply_to_hosts; elsewhere and as a client not",
    ),
    SupportedRow(
        "ITI-40 Provide X-User Assertion",
        "X-Service User",
        Level.YES,
        "signed assertions made of the token's claims and the settings, by peer, in SOAP requests; with one "
        "of the treatment relationship (eHDSI TRC) where a peer wants it",
    ),
    SupportedRow(
        "ITI-40 Provide X-User Assertion",
        "X-Service Provider",
        Level.YES,
        "at every SOAP service, required or optional; bearer, holder-of-key by the TLS certificate, "
        "sender-vouches where allowed; one assertion, not encrypted, or two with that of the treatment "
        "relationship (eHDSI TRC)",
    ),
    SupportedRow(
        "ITI-20 Record Audit Event",
        "syslog over TLS, FHIR Feed",
        Level.YES,
        "every transaction at both ends, refused tokens, assertions and certificates, as DICOM audit "
        "messages and as AuditEvents (BALP, IHE MHD); durable queue, each record once",
    ),
    SupportedRow(
        "ITI-81 Retrieve ATNA Audit Event",
        "what is queued or kept here",
        Level.YES,
        "[base]/AuditEvent by date and more, in FHIR R4, to tokens with system/AuditEvent.rs or ITI-81; "
        "stated in /metadata where it is answered",
    ),
)


def supported_table_markdown() -> str:
    """`SUPPORTED` as a Markdown table, with a line break at its end."""
    lines = ["| transaction | option | supported | note |", "|---|---|---|---|"]
    lines += [f"| {r.transaction} | {r.option} | {r.supported} | {r.note} |" for r in SUPPORTED]
    return "\n".join(lines) + "\n"
