"""The gateway as a Document Repository for consumers and sources that speak nothing else: Retrieve Document
Set (ITI-43; ITI TF-2 3.43.4.1) and Provide and Register Document Set-b (ITI-41; ITI TF-2 3.41.4.1), passed on
to the own domain, whatever that speaks.

Documents stay in files on their way; none is held whole.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Final

import structlog
from msgspec import structs

from gateway.clients.document_domain import DocumentDomain
from gateway.clients.repository import OutgoingDocument
from gateway.crossborder.answers import DocumentOutcome, documents_reply
from gateway.crossborder.communities import Communities
from gateway.crossborder.documents import NotFetched, fetch, of_each
from gateway.crossborder.own_community import UNKNOWN_COMMUNITY, OwnCommunity
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.responses import write_registry_response
from gateway.ebxml.retrieve import XopHref, read_retrieve_request
from gateway.ebxml.submissions import ProvidedSubmission, read_provide_and_register
from gateway.model import (
    DocumentEntry,
    DocumentRequest,
    RegistryError,
    RegistryFailure,
    RegistryResponse,
    ResponseStatus,
)
from gateway.model.errors import PeerBusy, PeerCircuitOpen, PeerError, PeerUnreachable, PeerUnsupported
from gateway.soap.mtom import cid_of_href
from gateway.soap.server import SoapReply, SoapRequest, SpooledPart
from gateway.soap.spool import RequestSpool

_FAILED: Final = "XDSRepositoryError"

log = structlog.get_logger()


class XdsRepository:
    """The handlers over the own domain and other `communities`, whose documents are retrieved there.

    Without `own` the own community has no homeCommunityId, and it may not be named. `note` is told of the
    documents that were stored.
    """

    def __init__(
        self,
        domain: DocumentDomain,
        communities: Communities,
        own: OwnCommunity | None,
        note: Callable[[Sequence[DocumentEntry]], Awaitable[None]],
    ) -> None:
        self._domain = domain
        self._communities = communities
        self._own = own
        self._note = note

    # --- ITI-43 -----------------------------------------------------------------------------------------
    async def retrieve(self, request: SoapRequest) -> SoapReply:
        """The documents that are there, and an error with its uniqueId as location for each that is not."""
        try:
            asked = tuple(dict.fromkeys(read_retrieve_request(request.body)))
        except MetadataError as error:
            return documents_reply((RegistryError(error.code, error.context),))
        with self._own.answering(request) if self._own else nullcontext():
            return documents_reply(await of_each(asked, lambda wanted: self._one(wanted, request.spool)))

    async def _one(self, wanted: DocumentRequest, spool: RequestSpool) -> DocumentOutcome:
        home, uid = wanted.home_community_id, wanted.document_unique_id
        member = self._communities.of_home(home)
        if home is not None and not self._communities.is_known(home):
            return RegistryError(UNKNOWN_COMMUNITY, "no community of this gateway has that id", location=uid)
        try:
            if member is not None:
                header, part = await fetch(member.community, wanted, spool)
            else:
                asked = structs.replace(wanted, home_community_id=None)
                header, part = await fetch(self._domain, asked, spool)
        except NotFetched as error:
            return RegistryError(error.code, error.text, location=uid)
        # what is asked for in the name of a community is given in its name (ITI TF-2 3.43.4.2.2)
        return structs.replace(header, home_community_id=home), part

    # --- ITI-41 -----------------------------------------------------------------------------------------
    async def provide(self, request: SoapRequest) -> SoapReply:
        """Stored by the domain, all of it, or nothing."""
        try:
            provided = read_provide_and_register(request.body)
            documents = tuple(_outgoing(entry, provided, request.attachments) for entry in _entries(provided))
        except MetadataError as error:
            return _refused(RegistryError(error.code, error.context))
        try:
            response = await self._domain.provide_and_register(provided.submission, documents)
        except MetadataError as error:
            return _refused(RegistryError(error.code, error.context))
        except RegistryFailure as failure:
            return _refused(*failure.errors)
        except PeerError as error:
            log.warning(
                "xds_repository.domain_failed",
                error=type(error).__name__,
                outcome_known=error.outcome_known,
            )
            return _refused(RegistryError(*_unavailable(error)))
        await self._note(provided.submission.entries)
        return SoapReply(write_registry_response(response))


def _entries(provided: ProvidedSubmission) -> tuple[DocumentEntry, ...]:
    return provided.submission.entries


def _outgoing(
    entry: DocumentEntry, provided: ProvidedSubmission, attachments: Mapping[str, SpooledPart]
) -> OutgoingDocument:
    content = provided.documents[entry.entry_uuid]
    if not isinstance(content, XopHref):
        return OutgoingDocument(entry.entry_uuid, entry.mime_type, content)
    part = attachments.get(cid_of_href(content))
    if part is None:
        raise MetadataError(
            "XDSMissingDocument", "a Document names a part of the message, which does not have it"
        )
    given = part.chunks if part.data is None else part.data
    return OutgoingDocument(entry.entry_uuid, entry.mime_type, given, part.size, part.sha1)


def _refused(*errors: RegistryError) -> SoapReply:
    told = errors or (RegistryError(_FAILED, "the repository refuses the submission"),)
    return SoapReply(write_registry_response(RegistryResponse(ResponseStatus.FAILURE, told)))


def _unavailable(error: PeerError) -> tuple[str, str]:
    if isinstance(error, PeerBusy):
        return "XDSRepositoryBusy", "the repository is busy; nothing was stored"
    if isinstance(error, PeerUnreachable | PeerCircuitOpen):
        return "XDSRegistryNotAvailable", "the repository does not answer; nothing was stored"
    if isinstance(error, PeerUnsupported):
        return _FAILED, error.detail
    if error.outcome_known:
        return _FAILED, "the repository gives no usable answer; nothing was stored"
    return _FAILED, (
        "the repository gave no usable answer, and it is not known whether the submission was stored; "
        "ask for its documents before sending it again"
    )
