"""Clark names and limits of the ebXML RegRep 3.0 and XDS.b schemas (rim.xsd, rs.xsd, lcm.xsd, query.xsd)."""

from typing import Final

from gateway.model.codes import NS_LCM, NS_QUERY, NS_RIM, NS_RMD, NS_RS, NS_XDS, NS_XDSI, NS_XOP

_RIM: Final = f"{{{NS_RIM}}}"
_RS: Final = f"{{{NS_RS}}}"
_XDS: Final = f"{{{NS_XDS}}}"
_XDSI: Final = f"{{{NS_XDSI}}}"

EXTRINSIC_OBJECT: Final = _RIM + "ExtrinsicObject"
REGISTRY_PACKAGE: Final = _RIM + "RegistryPackage"
ASSOCIATION: Final = _RIM + "Association"
OBJECT_REF: Final = _RIM + "ObjectRef"
OBJECT_REF_LIST: Final = _RIM + "ObjectRefList"
REGISTRY_OBJECT_LIST: Final = _RIM + "RegistryObjectList"
SLOT: Final = _RIM + "Slot"
VALUE_LIST: Final = _RIM + "ValueList"
VALUE: Final = _RIM + "Value"
NAME: Final = _RIM + "Name"
DESCRIPTION: Final = _RIM + "Description"
LOCALIZED_STRING: Final = _RIM + "LocalizedString"
VERSION_INFO: Final = _RIM + "VersionInfo"
CLASSIFICATION: Final = _RIM + "Classification"
EXTERNAL_IDENTIFIER: Final = _RIM + "ExternalIdentifier"
ADHOC_QUERY: Final = _RIM + "AdhocQuery"

REGISTRY_RESPONSE: Final = _RS + "RegistryResponse"
REGISTRY_ERROR_LIST: Final = _RS + "RegistryErrorList"
REGISTRY_ERROR: Final = _RS + "RegistryError"

SUBMIT_OBJECTS_REQUEST: Final = f"{{{NS_LCM}}}SubmitObjectsRequest"
REMOVE_OBJECTS_REQUEST: Final = f"{{{NS_LCM}}}RemoveObjectsRequest"
REMOVE_DOCUMENTS_REQUEST: Final = f"{{{NS_RMD}}}RemoveDocumentsRequest"

ADHOC_QUERY_REQUEST: Final = f"{{{NS_QUERY}}}AdhocQueryRequest"
ADHOC_QUERY_RESPONSE: Final = f"{{{NS_QUERY}}}AdhocQueryResponse"
RESPONSE_OPTION: Final = f"{{{NS_QUERY}}}ResponseOption"

PROVIDE_AND_REGISTER_REQUEST: Final = _XDS + "ProvideAndRegisterDocumentSetRequest"
RETRIEVE_REQUEST: Final = _XDS + "RetrieveDocumentSetRequest"
RETRIEVE_RESPONSE: Final = _XDS + "RetrieveDocumentSetResponse"
DOCUMENT_REQUEST: Final = _XDS + "DocumentRequest"
DOCUMENT_RESPONSE: Final = _XDS + "DocumentResponse"
HOME_COMMUNITY_ID: Final = _XDS + "HomeCommunityId"
REPOSITORY_UNIQUE_ID: Final = _XDS + "RepositoryUniqueId"
DOCUMENT_UNIQUE_ID: Final = _XDS + "DocumentUniqueId"
NEW_REPOSITORY_UNIQUE_ID: Final = _XDS + "NewRepositoryUniqueId"
NEW_DOCUMENT_UNIQUE_ID: Final = _XDS + "NewDocumentUniqueId"
MIME_TYPE: Final = _XDS + "mimeType"
DOCUMENT: Final = _XDS + "Document"

IMAGING_REQUEST: Final = _XDSI + "RetrieveImagingDocumentSetRequest"
STUDY_REQUEST: Final = _XDSI + "StudyRequest"
SERIES_REQUEST: Final = _XDSI + "SeriesRequest"
MISPLACED_DOCUMENT_REQUEST: Final = _XDSI + "DocumentRequest"
"""DocumentRequest as peers write it whose schema has it in the namespace of XDS-I.b."""
TRANSFER_SYNTAX_LIST: Final = _XDSI + "TransferSyntaxUIDList"
TRANSFER_SYNTAX: Final = _XDSI + "TransferSyntaxUID"

XOP_INCLUDE: Final = f"{{{NS_XOP}}}Include"

LONG_NAME: Final = 256
"""Characters that rim:LongName allows: Slot names and values, ids of ExternalIdentifier, codes."""
FREE_FORM_TEXT: Final = 1024
"""Characters that rim:FreeFormText allows: title, comments, display names."""
VERSION_NAME: Final = 16
"""Characters that rim:VersionInfo/@versionName allows."""
