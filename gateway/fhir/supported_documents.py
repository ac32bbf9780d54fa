"""Documents, tokens and the releases of FHIR: what is supported for clients."""

from gateway.fhir.supported_row import Level, SupportedRow

_COMMUNITIES = (
    "targetCommunityIdList; without it every community of the settings is asked at once, and a warning names "
    "those that do not answer"
)

DOCUMENTS: tuple[SupportedRow, ...] = (
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
)
