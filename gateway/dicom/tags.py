"""The data elements of a key object document, with keyword and value representation (DICOM PS3.6).

A reader goes by this dictionary, whatever VR a file states. What is not listed here is skipped.
"""

from typing import Final

SPECIFIC_CHARACTER_SET: Final = 0x00080005
SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018
STUDY_DATE: Final = 0x00080020
CONTENT_DATE: Final = 0x00080023
STUDY_TIME: Final = 0x00080030
CONTENT_TIME: Final = 0x00080033
ACCESSION_NUMBER: Final = 0x00080050
ISSUER_OF_ACCESSION_NUMBER: Final = 0x00080051
MODALITY: Final = 0x00080060
MANUFACTURER: Final = 0x00080070
INSTITUTION_NAME: Final = 0x00080080
REFERRING_PHYSICIAN: Final = 0x00080090
CODE_VALUE: Final = 0x00080100
CODING_SCHEME_DESIGNATOR: Final = 0x00080102
CODE_MEANING: Final = 0x00080104
MAPPING_RESOURCE: Final = 0x00080105
CODING_SCHEME_RESOURCES: Final = 0x00080109
CODING_SCHEME_URL_TYPE: Final = 0x0008010A
CODING_SCHEME_UID: Final = 0x0008010C
CODING_SCHEME_URL: Final = 0x0008010E
CODING_SCHEME_IDENTIFICATION: Final = 0x00080110
LONG_CODE_VALUE: Final = 0x00080119
URN_CODE_VALUE: Final = 0x00080120
TIMEZONE_OFFSET: Final = 0x00080201
STUDY_DESCRIPTION: Final = 0x00081030
PROCEDURE_CODES: Final = 0x00081032
REFERENCED_STUDIES: Final = 0x00081110
REFERENCED_PERFORMED_STEPS: Final = 0x00081111
REFERENCED_SERIES: Final = 0x00081115
REFERENCED_SOP_CLASS_UID: Final = 0x00081150
REFERENCED_SOP_INSTANCE_UID: Final = 0x00081155
RETRIEVE_URL: Final = 0x00081190
REFERENCED_SOPS: Final = 0x00081199
PATIENT_NAME: Final = 0x00100010
PATIENT_ID: Final = 0x00100020
ISSUER_OF_PATIENT_ID: Final = 0x00100021
TYPE_OF_PATIENT_ID: Final = 0x00100022
ISSUER_OF_PATIENT_ID_QUALIFIERS: Final = 0x00100024
PATIENT_BIRTH_DATE: Final = 0x00100030
PATIENT_SEX: Final = 0x00100040
OTHER_PATIENT_IDS: Final = 0x00101002
STUDY_INSTANCE_UID: Final = 0x0020000D
SERIES_INSTANCE_UID: Final = 0x0020000E
STUDY_ID: Final = 0x00200010
SERIES_NUMBER: Final = 0x00200011
INSTANCE_NUMBER: Final = 0x00200013
REQUESTED_PROCEDURE_DESCRIPTION: Final = 0x00321060
REQUESTED_PROCEDURE_CODES: Final = 0x00321064
ORDER_PLACER: Final = 0x00400026
ORDER_FILLER: Final = 0x00400027
LOCAL_NAMESPACE: Final = 0x00400031
UNIVERSAL_ENTITY_ID: Final = 0x00400032
UNIVERSAL_ENTITY_ID_TYPE: Final = 0x00400033
MEASUREMENT_UNITS: Final = 0x004008EA
REQUESTED_PROCEDURE_ID: Final = 0x00401001
PLACER_ORDER_NUMBER: Final = 0x00402016
FILLER_ORDER_NUMBER: Final = 0x00402017
RELATIONSHIP_TYPE: Final = 0x0040A010
VALUE_TYPE: Final = 0x0040A040
CONCEPT_NAME: Final = 0x0040A043
CONTINUITY_OF_CONTENT: Final = 0x0040A050
DATE: Final = 0x0040A121
TIME: Final = 0x0040A122
UID: Final = 0x0040A124
TEXT_VALUE: Final = 0x0040A160
CONCEPT_CODE: Final = 0x0040A168
MEASURED_VALUE: Final = 0x0040A300
NUMERIC_VALUE: Final = 0x0040A30A
REFERENCED_REQUESTS: Final = 0x0040A370
CURRENT_EVIDENCE: Final = 0x0040A375
OTHER_EVIDENCE: Final = 0x0040A385
CONTENT_TEMPLATE: Final = 0x0040A504
CONTENT: Final = 0x0040A730
TEMPLATE_IDENTIFIER: Final = 0x0040DB00
RETRIEVE_LOCATION_UID: Final = 0x0040E011
DISPLAY_URI: Final = 0x0040E012

DICTIONARY: Final[dict[int, tuple[bytes, str]]] = {
    SPECIFIC_CHARACTER_SET: (b"CS", "SpecificCharacterSet"),
    SOP_CLASS_UID: (b"UI", "SOPClassUID"),
    SOP_INSTANCE_UID: (b"UI", "SOPInstanceUID"),
    STUDY_DATE: (b"DA", "StudyDate"),
    CONTENT_DATE: (b"DA", "ContentDate"),
    STUDY_TIME: (b"TM", "StudyTime"),
    CONTENT_TIME: (b"TM", "ContentTime"),
    ACCESSION_NUMBER: (b"SH", "AccessionNumber"),
    ISSUER_OF_ACCESSION_NUMBER: (b"SQ", "IssuerOfAccessionNumberSequence"),
    MODALITY: (b"CS", "Modality"),
    MANUFACTURER: (b"LO", "Manufacturer"),
    INSTITUTION_NAME: (b"LO", "InstitutionName"),
    REFERRING_PHYSICIAN: (b"PN", "ReferringPhysicianName"),
    CODE_VALUE: (b"SH", "CodeValue"),
    CODING_SCHEME_DESIGNATOR: (b"SH", "CodingSchemeDesignator"),
    CODE_MEANING: (b"LO", "CodeMeaning"),
    MAPPING_RESOURCE: (b"CS", "MappingResource"),
    CODING_SCHEME_RESOURCES: (b"SQ", "CodingSchemeResourcesSequence"),
    CODING_SCHEME_URL_TYPE: (b"CS", "CodingSchemeURLType"),
    CODING_SCHEME_UID: (b"UI", "CodingSchemeUID"),
    CODING_SCHEME_URL: (b"UR", "CodingSchemeURL"),
    CODING_SCHEME_IDENTIFICATION: (b"SQ", "CodingSchemeIdentificationSequence"),
    LONG_CODE_VALUE: (b"UC", "LongCodeValue"),
    URN_CODE_VALUE: (b"UR", "URNCodeValue"),
    TIMEZONE_OFFSET: (b"SH", "TimezoneOffsetFromUTC"),
    STUDY_DESCRIPTION: (b"LO", "StudyDescription"),
    PROCEDURE_CODES: (b"SQ", "ProcedureCodeSequence"),
    REFERENCED_STUDIES: (b"SQ", "ReferencedStudySequence"),
    REFERENCED_PERFORMED_STEPS: (b"SQ", "ReferencedPerformedProcedureStepSequence"),
    REFERENCED_SERIES: (b"SQ", "ReferencedSeriesSequence"),
    REFERENCED_SOP_CLASS_UID: (b"UI", "ReferencedSOPClassUID"),
    REFERENCED_SOP_INSTANCE_UID: (b"UI", "ReferencedSOPInstanceUID"),
    RETRIEVE_URL: (b"UR", "RetrieveURL"),
    REFERENCED_SOPS: (b"SQ", "ReferencedSOPSequence"),
    PATIENT_NAME: (b"PN", "PatientName"),
    PATIENT_ID: (b"LO", "PatientID"),
    ISSUER_OF_PATIENT_ID: (b"LO", "IssuerOfPatientID"),
    TYPE_OF_PATIENT_ID: (b"CS", "TypeOfPatientID"),
    ISSUER_OF_PATIENT_ID_QUALIFIERS: (b"SQ", "IssuerOfPatientIDQualifiersSequence"),
    PATIENT_BIRTH_DATE: (b"DA", "PatientBirthDate"),
    PATIENT_SEX: (b"CS", "PatientSex"),
    OTHER_PATIENT_IDS: (b"SQ", "OtherPatientIDsSequence"),
    STUDY_INSTANCE_UID: (b"UI", "StudyInstanceUID"),
    SERIES_INSTANCE_UID: (b"UI", "SeriesInstanceUID"),
    STUDY_ID: (b"SH", "StudyID"),
    SERIES_NUMBER: (b"IS", "SeriesNumber"),
    INSTANCE_NUMBER: (b"IS", "InstanceNumber"),
    REQUESTED_PROCEDURE_DESCRIPTION: (b"LO", "RequestedProcedureDescription"),
    REQUESTED_PROCEDURE_CODES: (b"SQ", "RequestedProcedureCodeSequence"),
    ORDER_PLACER: (b"SQ", "OrderPlacerIdentifierSequence"),
    ORDER_FILLER: (b"SQ", "OrderFillerIdentifierSequence"),
    LOCAL_NAMESPACE: (b"UT", "LocalNamespaceEntityID"),
    UNIVERSAL_ENTITY_ID: (b"UT", "UniversalEntityID"),
    UNIVERSAL_ENTITY_ID_TYPE: (b"CS", "UniversalEntityIDType"),
    MEASUREMENT_UNITS: (b"SQ", "MeasurementUnitsCodeSequence"),
    REQUESTED_PROCEDURE_ID: (b"SH", "RequestedProcedureID"),
    PLACER_ORDER_NUMBER: (b"LO", "PlacerOrderNumberImagingServiceRequest"),
    FILLER_ORDER_NUMBER: (b"LO", "FillerOrderNumberImagingServiceRequest"),
    RELATIONSHIP_TYPE: (b"CS", "RelationshipType"),
    VALUE_TYPE: (b"CS", "ValueType"),
    CONCEPT_NAME: (b"SQ", "ConceptNameCodeSequence"),
    CONTINUITY_OF_CONTENT: (b"CS", "ContinuityOfContent"),
    DATE: (b"DA", "Date"),
    TIME: (b"TM", "Time"),
    UID: (b"UI", "UID"),
    TEXT_VALUE: (b"UT", "TextValue"),
    CONCEPT_CODE: (b"SQ", "ConceptCodeSequence"),
    MEASURED_VALUE: (b"SQ", "MeasuredValueSequence"),
    NUMERIC_VALUE: (b"DS", "NumericValue"),
    REFERENCED_REQUESTS: (b"SQ", "ReferencedRequestSequence"),
    CURRENT_EVIDENCE: (b"SQ", "CurrentRequestedProcedureEvidenceSequence"),
    OTHER_EVIDENCE: (b"SQ", "PertinentOtherEvidenceSequence"),
    CONTENT_TEMPLATE: (b"SQ", "ContentTemplateSequence"),
    CONTENT: (b"SQ", "ContentSequence"),
    TEMPLATE_IDENTIFIER: (b"CS", "TemplateIdentifier"),
    RETRIEVE_LOCATION_UID: (b"UI", "RetrieveLocationUID"),
    DISPLAY_URI: (b"UR", "DisplayURI"),
}

PRIVATE_DISPLAY_GROUP: Final = 0x000D
PRIVATE_DISPLAY_CREATOR: Final = "IHE_MADO_PRIVATE"
PRIVATE_DISPLAY_ELEMENT: Final = 0x01
"""DisplayURI of the trial implementation: (000D,xx01) in the block that its creator reserved."""


def name(tag: int) -> str:
    """Keyword of a data element, or `(gggg,eeee)` where it is not one of those above."""
    known = DICTIONARY.get(tag)
    return known[1] if known else f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
