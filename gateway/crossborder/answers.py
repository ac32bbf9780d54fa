"""What answers to consumers and other communities have in common: references in place of objects, errors of
peers as XDS codes (ITI TF-3 4.2.4), documents as attachments (ITI TF-2 3.43.4.2)."""

from collections.abc import Sequence

from gateway.ebxml.query_response import write_query_response
from gateway.ebxml.retrieve import RetrieveAnswer, RetrievedDocument, XopHref, write_retrieve_response
from gateway.model import (
    Association,
    DocumentEntry,
    DocumentHeader,
    Folder,
    ObjectRef,
    QueryResult,
    RegistryError,
    ResponseStatus,
    Severity,
    SubmissionSet,
)
from gateway.model.errors import (
    PeerBusy,
    PeerCircuitOpen,
    PeerError,
    PeerTimeout,
    PeerUnreachable,
    PeerUnsupported,
)
from gateway.soap.mtom import href_of_cid
from gateway.soap.outgoing import Attachment
from gateway.soap.server import SoapReply
from gateway.soap.spool import SpooledPart

DocumentOutcome = tuple[DocumentHeader, SpooledPart] | RegistryError
"""Of one document that was asked for."""


def unavailable(error: PeerError, who: str) -> tuple[str, str]:
    """Code and text for a query that got no answer from `who`, for example `the registry`."""
    if isinstance(error, PeerBusy):
        return "XDSRegistryBusy", f"{who} is busy"
    if isinstance(error, PeerUnsupported):
        return "XDSUnknownStoredQuery", f"{who} does not do this query"
    if isinstance(error, PeerUnreachable | PeerTimeout | PeerCircuitOpen):
        return "XDSRegistryNotAvailable", f"{who} does not answer"
    return "XDSRegistryError", f"{who} gave no usable answer"


def references(found: QueryResult) -> QueryResult:
    """The answer with ObjectRefs in place of its objects, each with its homeCommunityId."""
    objects: tuple[SubmissionSet | DocumentEntry | Folder | Association, ...] = (
        *found.submission_sets,
        *found.entries,
        *found.folders,
        *found.associations,
    )
    refs = (*(ObjectRef(o.entry_uuid, o.home_community_id) for o in objects), *found.object_refs)
    return QueryResult(status=found.status, errors=found.errors, object_refs=refs)


def failed_query(*errors: RegistryError) -> SoapReply:
    """Failure: nothing but errors, of which one at least is an error."""
    if not any(error.severity is Severity.ERROR for error in errors):
        errors = (*errors, RegistryError("XDSRegistryError", "the query failed"))
    return SoapReply(write_query_response(QueryResult(status=ResponseStatus.FAILURE, errors=errors)))


def documents_reply(outcomes: Sequence[DocumentOutcome]) -> SoapReply:
    """What is there as attachments, and an error for each document that is not."""
    errors = tuple(outcome for outcome in outcomes if isinstance(outcome, RegistryError))
    documents: list[RetrievedDocument] = []
    attachments: list[Attachment] = []
    for outcome in outcomes:
        if isinstance(outcome, RegistryError):
            continue
        header, part = outcome
        content_id = f"document{len(documents)}@gateway"
        documents.append(RetrievedDocument(header, XopHref(href_of_cid(content_id))))
        attachments.append(Attachment(content_id, header.mime_type, part.size, part.chunks))
    status = ResponseStatus.SUCCESS
    if errors:
        status = ResponseStatus.PARTIAL if documents else ResponseStatus.FAILURE
    answer = RetrieveAnswer(status, errors, tuple(documents))
    return SoapReply(write_retrieve_response(answer), tuple(attachments))
