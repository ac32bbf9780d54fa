"""Registry Stored Query of the gateway as a Document Registry for consumers that speak nothing else (ITI-18;
ITI TF-2 3.18.4.1), answered by the own domain, whatever that speaks.

Where there are other communities it is an Initiating Gateway: a query by patient goes to all of them, or to
those that it names; any other has to say which community it is for. Objects are given by the ids that their
community has for them, with its homeCommunityId.
"""

from contextlib import nullcontext
from typing import Any, Final

import structlog
from msgspec import structs

from gateway.clients.community import Queries
from gateway.crossborder.answers import failed_query, references, unavailable
from gateway.crossborder.communities import Communities
from gateway.crossborder.marking import without_marks
from gateway.crossborder.own_community import MISSING_HOME, UNKNOWN_COMMUNITY, OwnCommunity
from gateway.ebxml.query_response import write_query_response
from gateway.ebxml.stored_queries import StoredQueryError, read_query
from gateway.model import QueryResult, RegistryError, RegistryFailure, ResponseStatus
from gateway.model.errors import PeerError
from gateway.model.query import StoredQuery
from gateway.soap.server import SoapReply, SoapRequest

_OBJECTS: Final = ("entries", "submission_sets", "folders", "associations", "object_refs")

log = structlog.get_logger()


class XdsRegistry:
    """The handler over `registry`, which is the own domain and the `communities` as one.

    Without `own` the own community has no homeCommunityId, and it may not be named.
    """

    def __init__(self, registry: Queries, communities: Communities, own: OwnCommunity | None) -> None:
        self._registry = registry
        self._communities = communities
        self._own = own

    async def query(self, request: SoapRequest) -> SoapReply:
        """The objects; what a registry says of a query is passed on as it said it."""
        try:
            query, return_type = read_query(request.body)
        except StoredQueryError as error:
            return failed_query(RegistryError(error.code, error.context))
        if refusal := self._refusal(query):
            return failed_query(refusal)
        unknown = tuple(self._unknown(home) for home in query.target_communities if not self._knows(home))
        if unknown and len(unknown) == len(query.target_communities):
            return failed_query(*unknown)
        try:
            with self._own.answering(request) if self._own else nullcontext():
                found = await self._registry.query(self._addressed(query))
        except StoredQueryError as error:
            return failed_query(RegistryError(error.code, error.context))
        except RegistryFailure as failure:
            return failed_query(*failure.errors)
        except PeerError as error:
            log.warning("xds_registry.no_answer", error=type(error).__name__)
            return failed_query(self._unavailable(query, error))
        told = self._told(found, unknown)
        return SoapReply(write_query_response(references(told) if return_type == "ObjectRef" else told))

    def _refusal(self, query: StoredQuery) -> RegistryError | None:
        if query.home is not None:
            return None if self._knows(query.home) else self._unknown(query.home)
        if self._communities.members and not hasattr(query, "patient_id"):
            return RegistryError(
                MISSING_HOME, "a query that names no patient has to name the homeCommunityId that it is for"
            )
        return None

    def _knows(self, home: str) -> bool:
        return self._communities.is_known(home)

    def _unknown(self, home: str) -> RegistryError:
        return RegistryError(UNKNOWN_COMMUNITY, "no community of this gateway has that id", location=home)

    def _addressed(self, query: StoredQuery) -> StoredQuery:
        targets = tuple(home for home in query.target_communities if self._knows(home))
        return structs.replace(query, target_communities=targets)

    def _told(self, found: QueryResult, unknown: tuple[RegistryError, ...]) -> QueryResult:
        """The answer as it goes out: ids without marks, own objects with the own homeCommunityId."""
        told = without_marks(found)
        if self._own is not None and self._communities.members:
            home = self._own.home
            objects: dict[str, Any] = {
                name: tuple(
                    item if item.home_community_id else structs.replace(item, home_community_id=home)
                    for item in getattr(told, name)
                )
                for name in _OBJECTS
            }
            told = structs.replace(told, **objects)
        if unknown:
            told = structs.replace(told, status=ResponseStatus.PARTIAL, errors=(*told.errors, *unknown))
        return told

    def _unavailable(self, query: StoredQuery, error: PeerError) -> RegistryError:
        member = self._communities.of_home(query.home)
        if member is None:
            return RegistryError(*unavailable(error, "the registry"))
        code, text = unavailable(error, f"the community {member.label}")
        code = "XDSUnavailableCommunity" if code == "XDSRegistryNotAvailable" else code
        return RegistryError(code, text, location=query.home)
