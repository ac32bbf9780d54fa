"""Every URN, scheme UUID, canonical URL and code value that the gateway compares or writes, once.

Sources: ITI TF-3 4.2.5 (scheme UUIDs), 4.2.2 (associations), 4.2.4 (errors), ITI TF-2 3.18 (queries),
IHE MHD 4.2.4 (canonical URLs).
"""

from typing import Final

# --- XML namespaces -------------------------------------------------------------------------------------
NS_RIM: Final = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
NS_RS: Final = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
NS_LCM: Final = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
NS_QUERY: Final = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
NS_XDS: Final = "urn:ihe:iti:xds-b:2007"
NS_RMD: Final = "urn:ihe:iti:rmd:2017"
NS_XDSI: Final = "urn:ihe:rad:xdsi-b:2009"
NS_SOAP12: Final = "http://www.w3.org/2003/05/soap-envelope"
NS_WSA: Final = "http://www.w3.org/2005/08/addressing"
NS_XOP: Final = "http://www.w3.org/2004/08/xop/include"
NS_WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
NS_HL7V3: Final = "urn:hl7-org:v3"
NS_XCPD: Final = "urn:ihe:iti:xcpd:2009"
NS_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
NS_VIA: Final = "urn:mhd-xds-gateway:via"
"""Of the header block in which a request says through which communities it came."""

# --- object types ---------------------------------------------------------------------------------------
STABLE_DOCUMENT: Final = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"
ON_DEMAND_DOCUMENT: Final = "urn:uuid:34268e47-fdf5-41a6-ba33-82133c465248"
OBJECT_TYPE_PREFIX: Final = "urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:"

# --- DocumentEntry schemes ------------------------------------------------------------------------------
DE_AUTHOR: Final = "urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d"
DE_CLASS: Final = "urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a"
DE_CONFIDENTIALITY: Final = "urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f"
DE_EVENT: Final = "urn:uuid:2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4"
DE_FORMAT: Final = "urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d"
DE_FACILITY: Final = "urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1"
DE_PRACTICE_SETTING: Final = "urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead"
DE_TYPE: Final = "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983"
DE_LIMITED: Final = "urn:uuid:ab9b591b-83ab-4d03-8f5d-f93b1fb92e85"
DE_PATIENT_ID: Final = "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427"
DE_UNIQUE_ID: Final = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"

# --- SubmissionSet schemes ------------------------------------------------------------------------------
SS_NODE: Final = "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"
SS_AUTHOR: Final = "urn:uuid:a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d"
SS_CONTENT_TYPE: Final = "urn:uuid:aa543740-bdda-424e-8c96-df4873be8500"
SS_LIMITED: Final = "urn:uuid:5003a9db-8d8d-49e6-bf0c-990e34ac7707"
SS_PATIENT_ID: Final = "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446"
SS_UNIQUE_ID: Final = "urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8"
SS_SOURCE_ID: Final = "urn:uuid:554ac39e-e3fe-47fe-b233-965d2a147832"

# --- Folder schemes -------------------------------------------------------------------------------------
FOLDER_NODE: Final = "urn:uuid:d9d542f3-6cc4-48b6-8870-ea235fbc94c2"
FOLDER_LIMITED: Final = "urn:uuid:2c144a76-29a9-4b7c-af54-b25409fe7d03"
FOLDER_CODE_LIST: Final = "urn:uuid:1ba97051-7806-41a8-a48b-8fce7af683c5"
FOLDER_PATIENT_ID: Final = "urn:uuid:f64ffdf0-4b97-4e06-b79f-a52b38ec2f8a"
FOLDER_UNIQUE_ID: Final = "urn:uuid:75df8f67-9973-4fbe-a900-df66cefecc5a"

ASSOCIATION_DOCUMENTATION: Final = "urn:uuid:abd807a3-4432-4053-87b4-fd82c643d1f3"

# --- associations ---------------------------------------------------------------------------------------
HAS_MEMBER: Final = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
ASSOC_2007: Final = "urn:ihe:iti:2007:AssociationType:"
RPLC: Final = ASSOC_2007 + "RPLC"
XFRM: Final = ASSOC_2007 + "XFRM"
APND: Final = ASSOC_2007 + "APND"
XFRM_RPLC: Final = ASSOC_2007 + "XFRM_RPLC"
SIGNS: Final = ASSOC_2007 + "signs"
ASSOC_2010: Final = "urn:ihe:iti:2010:AssociationType:"
IS_SNAPSHOT_OF: Final = ASSOC_2010 + "IsSnapshotOf"
UPDATE_AVAILABILITY_STATUS: Final = ASSOC_2010 + "UpdateAvailabilityStatus"
SUBMIT_ASSOCIATION: Final = ASSOC_2010 + "SubmitAssociation"
SLOT_PREVIOUS_VERSION: Final = "PreviousVersion"
SLOT_ASSOCIATION_PROPAGATION: Final = "AssociationPropagation"
SLOT_ORIGINAL_STATUS: Final = "OriginalStatus"
SLOT_NEW_STATUS: Final = "NewStatus"
REPLACEMENTS: Final = frozenset({RPLC, XFRM_RPLC})
DOCUMENT_RELATIONS: Final = frozenset({RPLC, XFRM, APND, XFRM_RPLC, SIGNS, IS_SNAPSHOT_OF})

# --- status ---------------------------------------------------------------------------------------------
STATUS_APPROVED: Final = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
STATUS_DEPRECATED: Final = "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"
RESPONSE_SUCCESS: Final = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
RESPONSE_FAILURE: Final = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure"
RESPONSE_PARTIAL: Final = "urn:ihe:iti:2007:ResponseStatusType:PartialSuccess"
SEVERITY_ERROR: Final = "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error"
SEVERITY_WARNING: Final = "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Warning"

# --- reference id types (CXi.5) -------------------------------------------------------------------------
REFERENCE_UNIQUE_ID: Final = "urn:ihe:iti:xds:2013:uniqueId"
REFERENCE_ACCESSION: Final = "urn:ihe:iti:xds:2013:accession"
REFERENCE_ORDER: Final = "urn:ihe:iti:xds:2013:order"
REFERENCE_REFERRAL: Final = "urn:ihe:iti:xds:2013:referral"
REFERENCE_ENCOUNTER: Final = "urn:ihe:iti:xds:2015:encounterId"
REFERENCE_STUDY: Final = "urn:ihe:iti:xds:2016:studyInstanceUID"
REFERENCE_WORKFLOW: Final = "urn:ihe:iti:xdw:2013:workflowInstanceId"

REFERENCE_ID_LIST_SLOT: Final = "urn:ihe:iti:xds:2013:referenceIdList"

# --- code systems ---------------------------------------------------------------------------------------
CONFIDENTIALITY_OID: Final = "2.16.840.1.113883.5.25"
FORMAT_CODE_OID: Final = "1.3.6.1.4.1.19376.1.2.3"

# --- delayed assembly (ITI TF-3 4.1.3) ------------------------------------------------------------------
EMPTY_SHA1: Final = "da39a3ee5e6b4b0d3255bfef95601890afd80709"

# --- HL7 V3 and XCPD (ITI TF-2 3.55) ---------------------------------------------------------------------
HL7_INTERACTIONS: Final = "2.16.840.1.113883.1.6"
HL7_GENDER: Final = "2.16.840.1.113883.5.1"
HL7_ACT_CODE: Final = "2.16.840.1.113883.5.4"
HL7_ACKNOWLEDGEMENT: Final = "2.16.840.1.113883.5.1100"
XCPD_MORE_ATTRIBUTES: Final = "1.3.6.1.4.1.19376.1.2.27.1"
XCPD_HEALTH_DATA_LOCATOR: Final = "1.3.6.1.4.1.19376.1.2.27.2"
XCPD_PROBLEMS: Final = "1.3.6.1.4.1.19376.1.2.27.3"

# --- FHIR and MHD ---------------------------------------------------------------------------------------
URI_SYSTEM: Final = "urn:ietf:rfc:3986"
DICOM_UID_SYSTEM: Final = "urn:dicom:uid"
DATA_OPERATION: Final = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
DICOM_CODE_SYSTEM: Final = "http://dicom.nema.org/resources/ontology/DCM"
V2_IDENTIFIER_TYPE: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
MHD: Final = "https://profiles.ihe.net/ITI/MHD/"
MHD_STRUCTURE: Final = MHD + "StructureDefinition/"
MHD_IDENTIFIER_TYPE: Final = MHD + "CodeSystem/IHE.MHD.MHDIdentifierType"
MHD_LIST_TYPES: Final = MHD + "CodeSystem/MHDlistTypes"
MHD_IMPLEMENTATION_GUIDE: Final = MHD + "ImplementationGuide/ihe.iti.mhd"
PROFILE_MINIMAL_BUNDLE: Final = MHD_STRUCTURE + "IHE.MHD.Minimal.ProvideBundle"
PROFILE_COMPREHENSIVE_BUNDLE: Final = MHD_STRUCTURE + "IHE.MHD.Comprehensive.ProvideBundle"
PROFILE_UNCONTAINED_BUNDLE: Final = MHD_STRUCTURE + "IHE.MHD.UnContained.Comprehensive.ProvideBundle"
PROFILE_MINIMAL_DOCUMENT: Final = MHD_STRUCTURE + "IHE.MHD.Minimal.DocumentReference"
PROFILE_COMPREHENSIVE_DOCUMENT: Final = MHD_STRUCTURE + "IHE.MHD.Comprehensive.DocumentReference"
PROFILE_SIMPLIFIED_DOCUMENT: Final = MHD_STRUCTURE + "IHE.MHD.SimplifiedPublish.DocumentReference"
PROFILE_LIST: Final = MHD_STRUCTURE + "IHE.MHD.List"
PROFILE_UNCONTAINED_SUBMISSION_SET: Final = MHD_STRUCTURE + "IHE.MHD.UnContained.Comprehensive.SubmissionSet"
PROFILE_MINIMAL_SUBMISSION_SET: Final = MHD_STRUCTURE + "IHE.MHD.Minimal.SubmissionSet"
PROFILE_MINIMAL_FOLDER: Final = MHD_STRUCTURE + "IHE.MHD.Minimal.Folder"
PROFILE_COMPREHENSIVE_SUBMISSION_SET: Final = MHD_STRUCTURE + "IHE.MHD.Comprehensive.SubmissionSet"
PROFILE_COMPREHENSIVE_FOLDER: Final = MHD_STRUCTURE + "IHE.MHD.Comprehensive.Folder"
LEGACY_COMPREHENSIVE_BUNDLES: Final = frozenset(
    {
        "http://ihe.net/fhir/StructureDefinition/IHE_MHD_Provide_Comprehensive_DocumentBundle",
        "http://ihe.net/fhir/StructureDefinition/IHE.MHD.ProvideDocumentBundle.Comprehensive",
        MHD_STRUCTURE + "IHE.MHD.ProvideDocumentBundle.Comprehensive",
        MHD_STRUCTURE + "IHE.MHD.Comprehensive.ProvideDocumentBundle",
    }
)
"""What IHE MHD before 4.2 called the Comprehensive bundle profile."""
LEGACY_UNCONTAINED_BUNDLES: Final = frozenset(
    {
        "http://ihe.net/fhir/StructureDefinition/IHE.MHD.ProvideDocumentBundle.UnContained.Comprehensive",
        MHD_STRUCTURE + "IHE.MHD.ProvideDocumentBundle.UnContained.Comprehensive",
        MHD_STRUCTURE + "IHE.MHD.UnContained.UnContained.Comprehensive.ProvideBundle",
    }
)
"""Older names of the UnContained bundle profile, and one that a CapabilityStatement of 4.2.4 cites."""
LEGACY_MINIMAL_BUNDLES: Final = frozenset(
    {
        "http://ihe.net/fhir/StructureDefinition/IHE_MHD_Provide_Minimal_DocumentBundle",
        "http://ihe.net/fhir/StructureDefinition/IHE.MHD.ProvideDocumentBundle.Minimal",
        MHD_STRUCTURE + "IHE.MHD.ProvideDocumentBundle.Minimal",
        MHD_STRUCTURE + "IHE.MHD.Minimal.ProvideDocumentBundle",
    }
)
"""What IHE MHD before 4.2 called the Minimal bundle profile."""
EXT_HOME_COMMUNITY: Final = MHD_STRUCTURE + "ihe-HomeCommunityId"
EXT_DESIGNATION_TYPE: Final = MHD_STRUCTURE + "ihe-designationType"
EXT_SOURCE_ID: Final = MHD_STRUCTURE + "ihe-sourceId"
EXT_INTENDED_RECIPIENT: Final = MHD_STRUCTURE + "ihe-intendedRecipient"
EXT_AUTHOR_ORG: Final = MHD_STRUCTURE + "ihe-authorOrg"

# --- FHIR search, outcomes and capability statement ------------------------------------------------------
XDS_ERROR_SYSTEM: Final = "https://profiles.ihe.net/ITI/TF/Volume3/ch-4.2.html#4.2.4"
"""System of XDS error codes in issue.details: the section that defines them, since IHE names no system."""
FHIR_SEARCH_PARAMETER: Final = "http://hl7.org/fhir/SearchParameter/"
MHD_SEARCH_PARAMETER: Final = MHD + "SearchParameter/"
PIXM_STRUCTURE: Final = "https://profiles.ihe.net/ITI/PIXm/StructureDefinition/"
PDQM: Final = "https://profiles.ihe.net/ITI/PDQm/"
PDQM_STRUCTURE: Final = PDQM + "StructureDefinition/"
PDQM_CAPABILITY_STATEMENT: Final = PDQM + "CapabilityStatement/"
PDQM_IMPLEMENTATION_GUIDE: Final = PDQM + "ImplementationGuide/ihe.iti.pdqm"
PROFILE_PDQM_PATIENT: Final = PDQM_STRUCTURE + "IHE.PDQm.Patient"
OPERATION_PATIENT_MATCH: Final = "http://hl7.org/fhir/OperationDefinition/Patient-match"
OPERATION_MATCH: Final = PDQM + "OperationDefinition/PDQmMatch"
EXT_MATCH_GRADE: Final = "http://hl7.org/fhir/StructureDefinition/match-grade"
OPERATION_GENERATE_METADATA: Final = MHD + "OperationDefinition/generate-metadata"
MHD_CAPABILITY_STATEMENT: Final = MHD + "CapabilityStatement/"
DOCUMENT_REFERENCE_STATUS_SYSTEM: Final = "http://hl7.org/fhir/document-reference-status"
OBSERVATION_VALUE_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
LIST_STATUS_SYSTEM: Final = "http://hl7.org/fhir/list-status"

# --- FHIR versioning ------------------------------------------------------------------------------------
OPERATION_VERSIONS: Final = "http://hl7.org/fhir/OperationDefinition/CapabilityStatement-versions"

# --- FHIR R5 and MHD 5.1 -----------------------------------------------------------------------------------
EXT_SOURCE_PATIENT: Final = "http://hl7.org/fhir/StructureDefinition/documentreference-sourcepatient"
EXT_REFERENCE_ID: Final = MHD_STRUCTURE + "ihe-referenceId"
RELATIONSHIP_SYSTEM: Final = "http://hl7.org/fhir/document-relationship-type"
ATTESTATION_MODE_SYSTEM: Final = "http://hl7.org/fhir/composition-attestation-mode"
CONFIDENTIALITY_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
MOTHERS_MAIDEN_NAME: Final = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"
EXT_R5: Final = "http://hl7.org/fhir/5.0/StructureDefinition/extension-"
"""Followed by type and path: an element of R5 in a resource of R4."""
EXT_R4: Final = "http://hl7.org/fhir/4.0/StructureDefinition/extension-"
"""Followed by type and path: an element of R4 in a resource of R5."""

# --- security ------------------------------------------------------------------------------------------
RESTFUL_SECURITY_SERVICE: Final = "http://terminology.hl7.org/CodeSystem/restful-security-service"
OAUTH_URIS: Final = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"

# --- SAML 2.0 and IHE XUA (ITI TF-2 3.40) ---------------------------------------------------------------
NS_SAML: Final = "urn:oasis:names:tc:SAML:2.0:assertion"
NS_DS: Final = "http://www.w3.org/2000/09/xmldsig#"
NS_EXC_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED_SIGNATURE: Final = NS_DS + "enveloped-signature"
SAML_BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
SAML_SENDER_VOUCHES: Final = "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"
SAML_HOLDER_OF_KEY: Final = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"
SAML_UNSPECIFIED: Final = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
SAML_NAME_FORMAT_URI: Final = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"
AUTHN_X509: Final = "urn:oasis:names:tc:SAML:2.0:ac:classes:X509"
AUTHN_UNSPECIFIED: Final = "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified"
AUTHN_PREVIOUS_SESSION: Final = "urn:oasis:names:tc:SAML:2.0:ac:classes:PreviousSession"
EHDSI_IDENTITY: Final = "urn:ehdsi:assertions:hcp"
EHDSI_TREATMENT: Final = "urn:ehdsi:assertions:trc"
XUA_SUBJECT_ID: Final = "urn:oasis:names:tc:xspa:1.0:subject:subject-id"
XUA_ORGANIZATION: Final = "urn:oasis:names:tc:xspa:1.0:subject:organization"
XUA_ORGANIZATION_ID: Final = "urn:oasis:names:tc:xspa:1.0:subject:organization-id"
XUA_HOME_COMMUNITY: Final = "urn:ihe:iti:xca:2010:homeCommunityId"
XUA_HOME_COMMUNITY_NHIN: Final = "urn:nhin:names:saml:homeCommunityId"
XUA_NPI: Final = "urn:oasis:names:tc:xspa:1.0:subject:npi"
XUA_PROVIDER_ID: Final = "urn:ihe:iti:xua:2017:subject:provider-identifier"
XUA_ROLE: Final = "urn:oasis:names:tc:xacml:2.0:subject:role"
XUA_PURPOSE: Final = "urn:oasis:names:tc:xspa:1.0:subject:purposeofuse"
XUA_RESOURCE_ID: Final = "urn:oasis:names:tc:xacml:2.0:resource:resource-id"
XUA_CONSENT: Final = "urn:ihe:iti:bppc:2007:docid"
XUA_CONSENT_POLICY: Final = "urn:ihe:iti:xua:2012:acp"

# --- audit (DICOM PS3.15 A.5, PS3.16; IHE ITI TF-2 3.20; IHE BALP) -----------------------------------------
EVENT_TYPE_SYSTEM: Final = "urn:ihe:event-type-code"
AUDIT_TRANSACTIONS: Final = "IHE Transactions"
"""codeSystemName of EventTypeCode in DICOM audit messages."""
AUDIT_EVENT_TYPE_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
RESTFUL_INTERACTION_SYSTEM: Final = "http://hl7.org/fhir/restful-interaction"
AUDIT_ENTITY_TYPE_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OBJECT_ROLE_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/object-role"
SECURITY_SOURCE_TYPE_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/security-source-type"
PARTICIPATION_TYPE_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
ROLE_CLASS_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-RoleClass"
BALP: Final = "https://profiles.ihe.net/ITI/BALP/"
BALP_STRUCTURE: Final = BALP + "StructureDefinition/"
BALP_USER_AGENT_TYPES: Final = BALP + "CodeSystem/UserAgentTypes"
BALP_ENTITY_TYPES: Final = BALP + "CodeSystem/BasicAuditEntityType"
OAUTH_TOKEN_ID: Final = "urn:ietf:params:oauth:jti:"  # noqa: S105 - a prefix
AUDIT_RECORD_TAG: Final = "urn:mhd-xds-gateway:audit-record"
"""System of meta.tag of AuditEvents: the code is the id of the record, by which a repository has it once."""
DCM_APPLICATION_ACTIVITY: Final = "110100"
DCM_AUDIT_LOG_USED: Final = "110101"
DCM_INSTANCES_ACCESSED: Final = "110103"
DCM_INSTANCES_TRANSFERRED: Final = "110104"
DCM_EXPORT: Final = "110106"
DCM_IMPORT: Final = "110107"
DCM_PATIENT_RECORD: Final = "110110"
DCM_QUERY: Final = "110112"
DCM_SECURITY_ALERT: Final = "110113"
DCM_USER_AUTHENTICATION: Final = "110114"
DCM_APPLICATION_START: Final = "110120"
DCM_APPLICATION_STOP: Final = "110121"
DCM_LOGIN: Final = "110122"
DCM_NODE_AUTHENTICATION: Final = "110126"
DCM_RESTRICTED_FUNCTION: Final = "110132"
DCM_APPLICATION: Final = "110150"
DCM_DESTINATION: Final = "110152"
DCM_SOURCE: Final = "110153"
DCM_STUDY: Final = "110180"
DCM_AUDIT_TERMS: Final = {
    DCM_APPLICATION_ACTIVITY: "Application Activity",
    DCM_AUDIT_LOG_USED: "Audit Log Used",
    DCM_INSTANCES_ACCESSED: "DICOM Instances Accessed",
    DCM_INSTANCES_TRANSFERRED: "DICOM Instances Transferred",
    DCM_EXPORT: "Export",
    DCM_IMPORT: "Import",
    DCM_PATIENT_RECORD: "Patient Record",
    DCM_QUERY: "Query",
    DCM_SECURITY_ALERT: "Security Alert",
    DCM_USER_AUTHENTICATION: "User Authentication",
    DCM_APPLICATION_START: "Application Start",
    DCM_APPLICATION_STOP: "Application Stop",
    DCM_LOGIN: "Login",
    DCM_NODE_AUTHENTICATION: "Node Authentication",
    DCM_RESTRICTED_FUNCTION: "Use of Restricted Function",
    DCM_APPLICATION: "Application",
    DCM_DESTINATION: "Destination Role ID",
    DCM_SOURCE: "Source Role ID",
    DCM_STUDY: "Study Instance UID",
}
"""Meanings of the codes above, by which messages name them."""
HOME_COMMUNITY_DETAIL: Final = "ihe:homeCommunityID"
HOME_COMMUNITY_DETAIL_OF_QUERIES: Final = "urn:ihe:iti:xca:2010:homeCommunityId"
"""Two names of one thing: ITI TF-2 3.18 and 3.38 have the second, 3.39, 3.43 and 3.55 the first."""
REPOSITORY_DETAIL: Final = "Repository Unique Id"
