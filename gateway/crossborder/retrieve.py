"""Cross Gateway Retrieve of the Responding Gateway (ITI-39; ITI TF-2 3.39.4.1.3): answered by the
repositories of the own community, or by the MHD server that stands in their place."""

from msgspec import structs

from gateway.clients.document_domain import DocumentSource
from gateway.crossborder.answers import DocumentOutcome, documents_reply
from gateway.crossborder.documents import NotFetched, fetch, of_each
from gateway.crossborder.own_community import OwnCommunity
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.retrieve import read_retrieve_request
from gateway.model import DocumentRequest
from gateway.soap.server import SoapReply, SoapRequest
from gateway.soap.spool import RequestSpool


class CrossGatewayRetrieve:
    """The handler."""

    def __init__(self, community: OwnCommunity, domain: DocumentSource) -> None:
        self._community = community
        self._domain = domain

    async def retrieve(self, request: SoapRequest) -> SoapReply:
        """Each document with its homeCommunityId; PartialSuccess where some are not there."""
        with self._community.answering(request):
            try:
                asked = tuple(dict.fromkeys(read_retrieve_request(request.body)))
            except MetadataError as error:
                return documents_reply((self._community.error(error.code, error.context),))
            return documents_reply(await of_each(asked, lambda wanted: self._one(wanted, request.spool)))

    async def _one(self, wanted: DocumentRequest, spool: RequestSpool) -> DocumentOutcome:
        if refusal := self._community.refusal(wanted.home_community_id, "a DocumentRequest"):
            return refusal
        try:
            header, part = await fetch(self._domain, structs.replace(wanted, home_community_id=None), spool)
        except NotFetched as error:
            # the location is the community's, so that the text has to say which document it is about
            return self._community.error(error.code, f"{wanted.document_unique_id}: {error.text}")
        return structs.replace(header, home_community_id=self._community.home), part
