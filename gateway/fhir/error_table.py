"""The one table of XDS error codes: HTTP status, issue code and advice for each.

Codes from ITI TF-3 Table 4.2.4.1-2 and its supplements (Metadata Update, Remove Metadata and Documents, XCA,
RAD-69) and from IHE MHD 4.2.4 2:3.65.4.1.3. IHE leaves the HTTP side open; the choices here follow one rule:
422 and 409 where the client can change its request, 404 where a thing is not there, 503 where the same
request may succeed later, 502 where the peer failed, 500 where a peer refuses what the gateway itself wrote.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from gateway.model.errors import (
    PeerBusy,
    PeerCircuitOpen,
    PeerDisconnected,
    PeerError,
    PeerFault,
    PeerForbids,
    PeerProtocolError,
    PeerTimeout,
    PeerUnreachable,
    PeerUnsupported,
)


class Use(StrEnum):
    """What a transaction is for; some codes mean different things in each."""

    PUBLISH = "publish"
    QUERY = "query"
    RETRIEVE = "retrieve"


_USES = {
    Use.PUBLISH: ("ITI-41", "ITI-42", "ITI-57", "ITI-61", "ITI-62", "ITI-65", "ITI-86", "RAD-68"),
    Use.RETRIEVE: ("ITI-39", "ITI-43", "ITI-68", "RAD-69", "RAD-75"),
}
_USE_OF = {transaction: use for use, names in _USES.items() for transaction in names}


def use_of(transaction: str) -> Use:
    """Publish, query or retrieve, from an IHE transaction id such as `ITI-41`."""
    return _USE_OF.get(transaction, Use.QUERY)


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """How one code is answered.

    `status` is the HTTP status where the code is an error; a warning never changes the status. `issue` is
    from the FHIR issue-type code system. `retry_after` is in seconds. `use` limits the row to one kind of
    transaction. `written` is the spelling of IHE MHD where it differs. `generic` marks codes that say less
    than any other code in the same answer. `no_match` marks codes that mean an empty result of a query.
    """

    code: str
    status: int
    issue: str
    advice: str = ""
    retry_after: int | None = None
    use: Use | None = None
    written: str | None = None
    generic: bool = False
    no_match: bool = False


_RETRY = 10
_RETRY_OUT_OF_RESOURCES = 60
_METADATA = "Correct the metadata that it names and send the Bundle again."
_UNIQUE = "Give each new document, SubmissionSet and Folder a uniqueId of its own."
_LATER = "Repeat the request later."
_OURS = "The gateway's own message was refused; this needs the operator."
_SUPERSEDED = "Relate the new document to the current version instead."
_PARTLY = "The documents are stored; this part is not."

TABLE: tuple[ErrorRow, ...] = (
    # metadata and submissions
    ErrorRow("XDSRegistryMetadataError", 422, "invalid", _METADATA),
    ErrorRow("XDSRepositoryMetadataError", 422, "invalid", _METADATA),
    ErrorRow("XDSMissingDocument", 500, "structure", _OURS),
    ErrorRow("XDSMissingDocument", 404, "not-found", "The document is not available.", use=Use.RETRIEVE),
    ErrorRow("XDSMissingDocumentMetadata", 500, "structure", _OURS),
    ErrorRow("InvalidDocumentContent", 422, "invalid", "The document's content does not fit its metadata."),
    ErrorRow("UnresolvedReferenceException", 422, "not-found", "Relate to documents that are registered."),
    ErrorRow("XDSPatientIdDoesNotMatch", 422, "business-rule", "All parts have to be of one patient."),
    ErrorRow("XDSUnknownPatientId", 422, "not-found", "Register the patient in the affinity domain first."),
    ErrorRow(
        "XDSUnknownPatientId",
        404,
        "not-found",
        "The domain has no such patient.",
        use=Use.QUERY,
        no_match=True,
    ),
    ErrorRow("XDSDuplicateUniqueIdInRegistry", 409, "duplicate", _UNIQUE),
    ErrorRow("XDSRegistryDuplicateUniqueIdInMessage", 422, "duplicate", _UNIQUE),
    ErrorRow("XDSRepositoryDuplicateUniqueIdInMessage", 422, "duplicate", _UNIQUE),
    ErrorRow("XDSNonIdenticalHash", 409, "conflict", "The uniqueId belongs to another content."),
    ErrorRow("XDSNonIdenticalSize", 409, "conflict", "The uniqueId belongs to another content."),
    ErrorRow("XDSRegistryDeprecatedDocumentError", 409, "conflict", _SUPERSEDED),
    ErrorRow("XDSReplaceFailed", 409, "conflict", _SUPERSEDED),
    # availability
    ErrorRow("XDSRegistryBusy", 503, "transient", _LATER, _RETRY),
    ErrorRow("XDSRepositoryBusy", 503, "transient", _LATER, _RETRY),
    ErrorRow("XDSRegistryNotAvailable", 503, "transient", _LATER, _RETRY),
    ErrorRow("XDSUnavailableCommunity", 503, "transient", _LATER, _RETRY),
    ErrorRow("XDSRegistryOutOfResources", 503, "throttled", _LATER, _RETRY_OUT_OF_RESOURCES),
    ErrorRow("XDSRepositoryOutOfResources", 503, "throttled", _LATER, _RETRY_OUT_OF_RESOURCES),
    ErrorRow("XDSRegistryError", 502, "exception", generic=True),
    ErrorRow("XDSRepositoryError", 502, "exception", generic=True),
    # queries
    ErrorRow("XDSStoredQueryMissingParam", 500, "required", _OURS),
    ErrorRow("XDSStoredQueryParamNumber", 500, "invalid", _OURS),
    ErrorRow(
        "XDSUnknownStoredQuery",
        501,
        "not-supported",
        "The registry lacks a query that this search needs; `related` needs its Reference ID option.",
    ),
    ErrorRow("XDSTooManyResults", 400, "too-costly", "Narrow the search, for example by type or creation."),
    ErrorRow("XDSResultNotSinglePatient", 400, "multiple-matches", "Add patient.identifier to the search."),
    # communities and repositories
    ErrorRow("XDSUnknownCommunity", 404, "not-found", "The community is not known."),
    ErrorRow("XDSMissingHomeCommunityId", 500, "required", _OURS),
    ErrorRow("XDSUnknownRepositoryId", 404, "not-found", "The document's repository is not known."),
    ErrorRow("XDSDocumentUniqueIdError", 404, "not-found", "The document is not available."),
    ErrorRow("XDSIRequestError", 500, "invalid", _OURS),
    ErrorRow("XDSIUnknownIdsUid", 404, "not-found", "The image source is not known."),
    # images (RAD-69, PS3.18)
    ErrorRow("urn:dicom:wado:0006", 406, "not-supported", "Ask for a format that the image source has."),
    ErrorRow("urn:dicom:wado:0007", 406, "not-supported", "Ask for a format that the image source has."),
    ErrorRow("urn:dicom:wado:0012", 406, "not-supported", "Ask for a format that the image source has."),
    ErrorRow("urn:dicom:wado:0014", 406, "not-supported", "Ask for a format that the image source has."),
    # Metadata Update and Restricted Update
    ErrorRow("XDSMetadataUpdateError", 409, "conflict", "Read the current metadata and repeat the update."),
    ErrorRow("XDSMetadataUpdateOperationError", 422, "business-rule", _METADATA),
    ErrorRow("XDSMetadataVersionError", 409, "conflict", "Read the current metadata and repeat the update."),
    ErrorRow("XDSPatientIDReconciliationError", 422, "business-rule", "All parts have to be of one patient."),
    ErrorRow("XDSMetadataIdentifierError", 422, "business-rule", _METADATA),
    ErrorRow("XDSObjectTypeError", 422, "business-rule", _METADATA),
    ErrorRow(
        "UnmodifiableMetadataError", 422, "business-rule", "Leave the attribute that it names unchanged."
    ),
    ErrorRow("LocalPolicyRestrictionError", 422, "business-rule", "The domain's policy does not allow this."),
    # Remove Metadata and Documents
    ErrorRow("XDSRemoveDocumentsError", 409, "conflict"),
    ErrorRow("ReferencesExistException", 409, "conflict", "Remove what refers to it first."),
    ErrorRow("XDSUnreferencedObjectException", 409, "conflict", "Name every object that belongs to it."),
    ErrorRow("XDSInvalidRequestException", 409, "conflict"),
    # IHE MHD
    ErrorRow("UnknownRecipient", 422, "not-found", "Name a recipient that the domain knows."),
    ErrorRow("UnavailableRecipient", 422, "transient", _LATER),
    ErrorRow("FHIRDocumentNotSupported", 422, "not-supported", "Send the document as Binary."),
    # warnings: 200 where they come with success
    ErrorRow("XDSExtraMetadataNotSaved", 200, "not-supported", "Additional metadata was not stored."),
    ErrorRow("DocumentQueued", 200, "informational", "The document is stored and will be processed."),
    ErrorRow("PartialFolderContentNotProcessed", 200, "incomplete", _PARTLY),
    ErrorRow("PartialReplaceContentNotProcessed", 200, "incomplete", _PARTLY),
    ErrorRow("PartialAppendContentNotProcessed", 200, "incomplete", _PARTLY),
    ErrorRow(
        "PartialTransformNotProcessed",
        200,
        "incomplete",
        _PARTLY,
        written="PartialTransformContentNotProcessed",
    ),
    ErrorRow("PartialTransformContentNotProcessed", 200, "incomplete", _PARTLY),
    ErrorRow("PartialTransformReplaceNotProcessed", 200, "incomplete", _PARTLY),
    ErrorRow("PartialRelationshipContentNotProcessed", 200, "incomplete", _PARTLY),
)


@dataclass(frozen=True, slots=True)
class PeerRow:
    """How a peer that gave no usable answer is reported. `show_detail` adds what is known of the cause."""

    kind: type[PeerError]
    status: int
    issue: str
    advice: str
    retry_after: int | None = None
    show_detail: bool = False


PEER_ERRORS: tuple[PeerRow, ...] = (
    PeerRow(PeerTimeout, 504, "timeout", "No answer in time. Repeat the request later."),
    PeerRow(PeerUnreachable, 502, "transient", "No connection; the request was not sent. Repeat it later."),
    PeerRow(PeerDisconnected, 502, "incomplete", "The connection broke before the answer was complete."),
    PeerRow(
        PeerForbids,
        403,
        "forbidden",
        "It does not accept the identity or the rights that were sent.",
        show_detail=True,
    ),
    PeerRow(PeerProtocolError, 502, "structure", "The answer cannot be used.", show_detail=True),
    PeerRow(PeerBusy, 503, "throttled", "Too many requests wait for it. Repeat the request later.", 2),
    PeerRow(
        PeerCircuitOpen,
        503,
        "transient",
        "It failed too often lately and is not asked for a while. Repeat the request later.",
        _RETRY,
    ),
    PeerRow(PeerUnsupported, 501, "not-supported", "Search without this parameter.", show_detail=True),
    PeerRow(PeerError, 502, "exception", "", show_detail=True),
)
"""Transport, most specific first; each way to fail has its own pair of status and issue code."""

_REFUSED = PeerRow(PeerFault, 500, "processing", _OURS, show_detail=True)
_FOREIGN = PeerRow(
    PeerFault, 502, "not-supported", "It does not speak this transaction as IHE defines it.", show_detail=True
)
FAULTS: Mapping[str, PeerRow] = MappingProxyType(
    {
        "Sender": _REFUSED,
        "Client": _REFUSED,
        "DataEncodingUnknown": _FOREIGN,
        "MustUnderstand": _FOREIGN,
        "VersionMismatch": _FOREIGN,
        "Receiver": PeerRow(PeerFault, 502, "exception", "Repeat the request later.", show_detail=True),
        "security": PeerRow(
            PeerFault,
            403,
            "forbidden",
            "It does not accept the identity or the rights that were sent.",
            show_detail=True,
        ),
    }
)
"""SOAP faults by env:Code, `security` for those of WS-Security; any other code counts as Receiver."""

_BY_KEY: Mapping[tuple[str, Use | None], ErrorRow] = MappingProxyType(
    {(r.code.lower(), r.use): r for r in TABLE}
)


def row_of(code: str, transaction: str) -> ErrorRow:
    """The row of a code in a transaction.

    A code is found in whatever letter case, and by its last part where a URN stands in front. A code that no
    standard defines is a failure of the peer (502) and keeps its name.
    """
    for spelling in _spellings(code):
        row = _BY_KEY.get((spelling, use_of(transaction))) or _BY_KEY.get((spelling, None))
        if row is not None:
            return row
    return ErrorRow(code, 502, "exception", generic=True)


def known_code(code: str) -> str:
    """The code where a standard defines it, else `other`: peers put free text there, and logs hold none."""
    for spelling in _spellings(code):
        for use in (None, *Use):
            if (spelling, use) in _BY_KEY:
                return _BY_KEY[spelling, use].code
    return "other"


def _spellings(code: str) -> tuple[str, str]:
    lower = code.strip().lower()
    return lower, lower.rpartition("#")[2].rpartition(":")[2]


_USED_IN = {None: "any", Use.PUBLISH: "publish", Use.QUERY: "search", Use.RETRIEVE: "retrieve"}


def error_table_markdown() -> str:
    """The table of `docs/errors.md`: what a client gets for each code that a peer answers with."""
    lines = ["| XDS error code | request | HTTP status | issue | advice |", "|---|---|---|---|---|"]
    for row in TABLE:
        status = "200, empty" if row.no_match else "200, warning" if row.status < 400 else str(row.status)
        again = f", Retry-After {row.retry_after}" if row.retry_after else ""
        code = f"{row.code} (written {row.written})" if row.written else row.code
        lines.append(f"| {code} | {_USED_IN[row.use]} | {status}{again} | {row.issue} | {row.advice} |")
    return "\n".join(lines) + "\n"
