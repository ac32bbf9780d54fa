"""Cross Gateway Query of the Responding Gateway (ITI-38; ITI TF-2 3.38.4.1.3): answered by the registry of
the own community, or by the MHD server that stands in its place."""

from collections.abc import Iterable
from typing import Any, Final

import structlog
from msgspec import structs

from gateway.clients.document_domain import DocumentSource
from gateway.crossborder.answers import failed_query, references, unavailable
from gateway.crossborder.own_community import OwnCommunity
from gateway.ebxml.query_response import write_query_response
from gateway.ebxml.stored_queries import StoredQueryError, read_query
from gateway.model import QueryResult, RegistryError, RegistryFailure, ResponseStatus, Severity
from gateway.model.errors import PeerError
from gateway.model.query import StoredQuery
from gateway.soap.server import SoapReply, SoapRequest

_OBJECTS: Final = ("entries", "submission_sets", "folders", "associations", "object_refs")
_TOLD: Final = frozenset(
    {
        "XDSRegistryBusy",
        "XDSRegistryError",
        "XDSRegistryOutOfResources",
        "XDSResultNotSinglePatient",
        "XDSStoredQueryMissingParam",
        "XDSStoredQueryParamNumber",
        "XDSTooManyResults",
        "XDSUnknownPatientId",
        "XDSUnknownStoredQuery",
    }
)
"""Codes of a registry that mean the same to another community."""

log = structlog.get_logger()


class CrossGatewayQuery:
    """The handler."""

    def __init__(self, community: OwnCommunity, domain: DocumentSource) -> None:
        self._community = community
        self._domain = domain

    async def query(self, request: SoapRequest) -> SoapReply:
        """Objects of this community, each with its homeCommunityId; errors have it as location."""
        with self._community.answering(request):
            try:
                query, return_type = read_query(request.body)
            except StoredQueryError as error:
                return self._failed(self._community.error(error.code, error.context))
            if refusal := self._refusal(query):
                return self._failed(refusal)
            if not self._community.targeted(query.target_communities):
                return SoapReply(write_query_response(QueryResult(status=ResponseStatus.SUCCESS)))
            try:
                found = await self._domain.query(structs.replace(query, home=None, target_communities=()))
            except StoredQueryError as error:
                return self._failed(self._community.error(error.code, error.context))
            except RegistryFailure as failure:
                return self._failed(*self._told(failure.errors))
            except PeerError as error:
                log.warning("responding_gateway.registry_failed", error=type(error).__name__)
                return self._failed(
                    self._community.error(*unavailable(error, "the registry of the community"))
                )
        if return_type == "ObjectRef":
            found = references(found)
        return SoapReply(write_query_response(self._homed(found)))

    def _refusal(self, query: StoredQuery) -> RegistryError | None:
        # queries by patient need not name the community: the patient's identifier does
        if query.home is None and hasattr(query, "patient_id"):
            return None
        return self._community.refusal(query.home, "a query that names no patient")

    def _homed(self, found: QueryResult) -> QueryResult:
        home = self._community.home
        objects: dict[str, Any] = {
            name: tuple(structs.replace(item, home_community_id=home) for item in getattr(found, name))
            for name in _OBJECTS
        }
        return structs.replace(found, errors=tuple(self._told(found.errors)), **objects)

    def _told(self, errors: Iterable[RegistryError]) -> Iterable[RegistryError]:
        """What the registry said in this community's name; its own texts are not passed on."""
        for error in errors:
            code = error.code.rpartition(":")[2]
            known = code in _TOLD
            yield RegistryError(
                code if known else "XDSRegistryError",
                f"the registry of the community answered {code if known else 'an error'}",
                error.severity,
                self._community.home,
            )

    def _failed(self, *errors: RegistryError) -> SoapReply:
        failing = any(error.severity is Severity.ERROR for error in errors)
        told = errors if failing else (*errors, self._community.error("XDSRegistryError", "the query failed"))
        return failed_query(*told)
