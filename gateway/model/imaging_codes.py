"""Codes, canonicals and extensions of imaging documents, once.

Sources: IHE RAD MADO 0.1.0, HL7 Europe Imaging Report 1.0.0-ballot, EU Health Data API 1.0.0-ballot, DICOM
PS3.6 and PS3.16, FHIR R4. What these guides called things before is read and never written.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# --- coding schemes as the model has them: bare OIDs ----------------------------------------------------
DCM: Final = "1.2.840.10008.2.16.4"
DCMUID: Final = "1.2.840.10008.2.6.1"
SNOMED: Final = "2.16.840.1.113883.6.96"
LOINC: Final = "2.16.840.1.113883.6.1"
MADO_FORMAT_CODES: Final = "1.3.6.1.4.1.19376.1.2.7.1"
"""Coding scheme of the format code of a FHIR manifest; other IHE format codes have another scheme."""
EU_PRIORITY_CATEGORIES: Final = (
    "http://hl7.eu/fhir/health-data-api/CodeSystem/eehrxf-document-priority-category-cs"
)
LEGACY_EU_PRIORITY_CATEGORIES: Final = (
    "http://hl7.eu/fhir/eu-health-data-api/CodeSystem/eehrxf-document-priority-category-cs"
)
DCM_DESIGNATOR: Final = "DCM"
SNOMED_DESIGNATOR: Final = "SCT"
"""What DICOM and some registries call the schemes."""

# --- document codes -------------------------------------------------------------------------------------
MEDICAL_IMAGING: Final = "Medical-Imaging"
LOINC_IMAGING_STUDY: Final = "18748-4"
LOINC_IMAGING_STUDY_DISPLAY: Final = "Diagnostic imaging study"
LOINC_IMAGING_REPORT: Final = "85430-7"
LOINC_IMAGING_REPORT_DISPLAY: Final = "Diagnostic imaging report"
LOINC_RADIATION_DOSE: Final = "73569-6"
LOINC_KEY_IMAGE: Final = "55113-5"
SNOMED_IMAGING_DEVICE: Final = "314789007"
SOP_INSTANCE_UID: Final = "00080018"
LEGACY_LOINC_MANIFEST: Final = "19005-8"
"""Type of manifests before MADO; in reports it is the code of a section."""
FORMAT_KOS: Final = "1.2.840.10008.5.1.4.1.1.88.59"
FORMAT_KOS_DISPLAY: Final = "Key Object Selection Document"
FORMAT_FHIR_MANIFEST: Final = "urn:ihe:rad:MADO:fhir-manifest:2026"
KOS_SOP_CLASS: Final = FORMAT_KOS
MIME_DICOM: Final = "application/dicom"
MIME_FHIR_JSON: Final = "application/fhir+json"

# --- identifier types -----------------------------------------------------------------------------------
STUDY_INSTANCE_UID: Final = "110180"
SERIES_INSTANCE_UID: Final = "112002"
ACCESSION_NUMBER: Final = "121022"
V2_ACCESSION: Final = "ACSN"
V2_PLACER: Final = "PLAC"
V2_FILLER: Final = "FILL"
SNOMED_IMAGING: Final = "363679005"
"""Category of imaging orders and procedures."""

# --- FHIR systems ---------------------------------------------------------------------------------------
V2_UNIVERSAL_ID_TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0301"
ENDPOINT_CONNECTION: Final = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
ENDPOINT_PAYLOAD: Final = "http://terminology.hl7.org/CodeSystem/endpoint-payload-type"
LIFECYCLE: Final = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
PROVENANCE_PARTICIPANT: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
LOINC_SYSTEM: Final = "http://loinc.org"
SNOMED_SYSTEM: Final = "http://snomed.info/sct"
IHE_FORMAT_CODE_SYSTEM: Final = "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode"
LEGACY_SOP_CLASS_SYSTEMS: Final = frozenset(
    {
        "http://dicom.nema.org/resources/CodeSystem/DICOM_UIDs",
        "http://dicom.nema.org/resources/ontology/DCMUID",
        "urn:dicom:uid",
    }
)
"""Systems that manifests give SOP classes instead of that of URIs."""

# --- FHIR extensions of the base specification and its packs --------------------------------------------
EXT_DATA_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
EXT_UNCERTAIN_PERIOD: Final = "http://hl7.org/fhir/StructureDefinition/uncertainPeriod"
EXT_NAME_REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
R5_EXTENSION: Final = "http://hl7.org/fhir/5.0/StructureDefinition/extension-"
EXT_DOCUMENT_MODALITY: Final = R5_EXTENSION + "DocumentReference.modality"
EXT_DOCUMENT_BODY_SITE: Final = R5_EXTENSION + "DocumentReference.bodySite"
EXT_DOCUMENT_CONTENT_PROFILE: Final = R5_EXTENSION + "DocumentReference.content.profile"
EXT_REPORT_COMPOSITION: Final = R5_EXTENSION + "DiagnosticReport.composition"
EXT_COMPOSITION_VERSION: Final = R5_EXTENSION + "Composition.version"
EXT_ARTIFACT_VERSION: Final = "http://hl7.org/fhir/StructureDefinition/artifact-version"
EXT_DEVICE_CATEGORY: Final = R5_EXTENSION + "Device.category"
EXT_IMAGING_SELECTION: Final = R5_EXTENSION + "ImagingSelection"
EXT_EVENT_BASED_ON: Final = "http://hl7.org/fhir/StructureDefinition/event-basedOn"
EXT_SECTION_NOTE: Final = "http://hl7.org/fhir/StructureDefinition/note"
EXT_REPORT_OF_COMPOSITION: Final = (
    "http://hl7.eu/fhir/extensions/StructureDefinition/composition-diagnosticReportReference"
)

# --- IHE RAD MADO ---------------------------------------------------------------------------------------
MADO: Final = "https://profiles.ihe.net/RAD/MADO/"
MADO_GUIDE: Final = MADO + "ImplementationGuide/ihe.rad.mado"
MADO_RESPONDER: Final = MADO + "CapabilityStatement/IHE.RAD.MADO.DocumentResponder"
MADO_STRUCTURE: Final = MADO + "StructureDefinition/"
MADO_SEARCH_PARAMETER: Final = MADO + "SearchParameter/"
MADO_DEVICE_TYPES: Final = MADO + "CodeSystem/MadoDeviceType"
MADO_CREATOR_TYPE: Final = "mado-creator"
PROFILE_MADO_BUNDLE: Final = MADO_STRUCTURE + "MadoFhirBundle"
PROFILE_MADO_COMPOSITION: Final = MADO_STRUCTURE + "MadoComposition"
PROFILE_MADO_STUDY: Final = MADO_STRUCTURE + "MadoImagingStudy"
PROFILE_MADO_WADO: Final = MADO_STRUCTURE + "MadoWadoEndpoint"
PROFILE_MADO_VIEWER: Final = MADO_STRUCTURE + "MadoWebViewerEndpoint"
PROFILE_MADO_CREATOR: Final = MADO_STRUCTURE + "MadoCreator"
PROFILE_MADO_ORGANIZATION: Final = MADO_STRUCTURE + "MadoCreatorOrganization"
PROFILE_MADO_REQUEST: Final = MADO_STRUCTURE + "MadoRequestedProcedure"
PROFILE_MADO_PATIENT: Final = MADO_STRUCTURE + "MadoPatient"
PROFILE_MADO_KOS_DOCUMENT: Final = MADO_STRUCTURE + "MadoDicomKosDocumentReference"
PROFILE_MADO_FHIR_DOCUMENT: Final = MADO_STRUCTURE + "MadoFhirDocumentReference"
EXT_MADO_REGION: Final = MADO_STRUCTURE + "MadoAnatomicalRegionExtension"
EXT_MADO_FRAMES: Final = MADO_STRUCTURE + "MadoNumberOfFrames"
EXT_MADO_KO_TITLE: Final = MADO_STRUCTURE + "MadoKeyObjectDocumentTitle"
EXT_MADO_LOCATION: Final = MADO_STRUCTURE + "MadoRetrieveLocationUIDExtension"
PLACEHOLDER_ADDRESS: Final = "http://notspecified"
PLACEHOLDER_HOSTS: Final = frozenset({"notspecified", "notapplicable"})
"""Hosts that stand for an address which is not known."""

# --- HL7 Europe -----------------------------------------------------------------------------------------
EU_IMAGING: Final = "http://hl7.eu/fhir/imaging/"
EU_STRUCTURE: Final = EU_IMAGING + "StructureDefinition/"
EU_R5_STRUCTURE: Final = "http://hl7.eu/fhir/imaging-r5/StructureDefinition/"
EU_SEARCH_PARAMETER: Final = EU_IMAGING + "SearchParameter/"
LEGACY_EU_STRUCTURES: Final = (
    "http://hl7.eu/fhir/imaging-r4/StructureDefinition/",
    "http://hl7.eu/fhir/imaging-r5/StructureDefinition/",
)
EU_IMAGING_GUIDE: Final = "http://hl7.eu/fhir/imaging/ImplementationGuide/hl7.fhir.eu.imaging"
EU_DOCUMENT_PROVIDER: Final = EU_IMAGING + "CapabilityStatement/EehrxfImagingDocumentAccessProvider"
EU_RESOURCE_PROVIDER: Final = EU_IMAGING + "CapabilityStatement/EeehrxfImagingReportResourceAccessProvider"
PROFILE_EU_REPORT_DOCUMENT: Final = EU_STRUCTURE + "DocumentReferenceImagingReport"
OPERATION_DOCUMENT: Final = EU_IMAGING + "OperationDefinition/DiagnosticReport-fhir-report"
PROFILE_EU_STUDY: Final = EU_STRUCTURE + "ImagingStudyEuImaging"
PROFILE_EU_ORDER: Final = EU_STRUCTURE + "ServiceRequestOrderEuImaging"
EU_REPORT_BUNDLES: Final = frozenset(
    {
        EU_STRUCTURE + "BundleReportEuImaging",
        EU_STRUCTURE + "BundleReportMinimalMetadataEuImaging",
        EU_R5_STRUCTURE + "BundleReportEuImaging",
        EU_R5_STRUCTURE + "BundleReportMinimalMetadataEuImaging",
    }
)
"""Profiles of report Bundles in either release; their canonicals are the formatCodes of reports, which have
no others."""
EXT_EU_CONTENT_PROFILE: Final = EU_STRUCTURE + "im-documentreference-content-profile"
EXT_EU_REGION: Final = EU_STRUCTURE + "AnatomicalRegionExtension"
EXT_EU_FRAMES: Final = EU_STRUCTURE + "NumberOfFrames"
EXT_EU_INSTANCE_DESCRIPTION: Final = EU_STRUCTURE + "ImagingStudyEuImagingInstanceDescription"

# --- anatomical regions (SNOMED CT) ---------------------------------------------------------------------
SPINE_EU: Final = "737561001"
SPINE_MADO: Final = "1141981001"
SPINE_OLD: Final = "421060004"
SPINE: Final = frozenset({SPINE_EU, SPINE_MADO, SPINE_OLD})
"""The three codes that guides of different age give the spine: one region in search."""
REGIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "63337009": "Lower trunk structure",
        "38266002": "Entire body as a whole",
        "53120007": "Upper limb structure",
        "61685007": "Lower limb structure",
        "67734004": "Upper trunk structure",
        "774007": "Structure of head and/or neck",
        "113257007": "Structure of cardiovascular system",
        "80891009": "Heart structure",
        "76752008": "Breast structure",
    }
)
"""Regions that the value sets of MADO and of HL7 Europe share, with a display; the spine is apart."""
EU_REGIONS: Final = frozenset({*REGIONS, SPINE_EU})
MADO_REGIONS: Final = frozenset({*REGIONS, SPINE_MADO})
ALL_REGIONS: Final = frozenset({*REGIONS, *SPINE})
"""What an event code of SNOMED CT has to be to be taken for a region rather than a procedure."""
DESIGNATORS: Final[Mapping[str, str]] = MappingProxyType({DCM_DESIGNATOR: DCM, SNOMED_DESIGNATOR: SNOMED})
"""Coding schemes by the name that DICOM gives them; registries have either."""
SPELLINGS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {DCM: (DCM, DCM_DESIGNATOR), SNOMED: (SNOMED, SNOMED_DESIGNATOR)}
)
"""Every name of a coding scheme, the OID first."""
