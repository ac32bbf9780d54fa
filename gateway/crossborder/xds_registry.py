"""Registry Stored Query of the gateway as a Document Registry for consumers that speak nothing else (ITI-18;
ITI TF-2 3.18.4.1), answered by the own domain, whatever that speaks."""

import structlog
from msgspec import structs

from gateway.clients.document_domain import DocumentSource
from gateway.crossborder.answers import failed_query, references, unavailable
from gateway.crossborder.own_community import OwnCommunity
from gateway.ebxml.query_response import write_query_response
from gateway.ebxml.stored_queries import StoredQueryError, read_query
from gateway.model import RegistryError, RegistryFailure
from gateway.model.errors import PeerError
from gateway.model.query import StoredQuery
from gateway.soap.server import SoapReply, SoapRequest

log = structlog.get_logger()


class XdsRegistry:
    """The handler. Without `community` the domain has no homeCommunityId, and none may be named."""

    def __init__(self, domain: DocumentSource, community: OwnCommunity | None) -> None:
        self._domain = domain
        self._community = community

    async def query(self, request: SoapRequest) -> SoapReply:
        """The objects of the domain; what the registry says of a query is passed on as it said it."""
        try:
            query, return_type = read_query(request.body)
        except StoredQueryError as error:
            return failed_query(RegistryError(error.code, error.context))
        if refusal := self._refusal(query):
            return failed_query(refusal)
        try:
            found = await self._domain.query(structs.replace(query, home=None, target_communities=()))
        except StoredQueryError as error:
            return failed_query(RegistryError(error.code, error.context))
        except RegistryFailure as failure:
            return failed_query(*failure.errors)
        except PeerError as error:
            log.warning("xds_registry.domain_failed", error=type(error).__name__)
            return failed_query(RegistryError(*unavailable(error, "the registry")))
        return SoapReply(write_query_response(references(found) if return_type == "ObjectRef" else found))

    def _refusal(self, query: StoredQuery) -> RegistryError | None:
        if query.home is None or (self._community is not None and query.home == self._community.home):
            return None
        return RegistryError(
            "XDSUnknownCommunity", "the query is for another community than this one", location=query.home
        )
