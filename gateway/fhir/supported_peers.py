"""Other communities, patients, assertions and audit: what is supported."""

from gateway.fhir.supported_row import Level, SupportedRow

PEERS: tuple[SupportedRow, ...] = (
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
