"""Imaging and what consumers and sources of XDS.b ask: what is supported."""

from gateway.fhir.supported_row import Level, SupportedRow

IMAGING: tuple[SupportedRow, ...] = (
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
)
