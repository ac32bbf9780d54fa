"""Responding Gateway of another community as a peer: Cross Gateway Patient Discovery in its immediate mode
(ITI-55; ITI TF-2 3.55)."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec import structs

from gateway.hl7v3.discovery_request import write_discovery_request
from gateway.hl7v3.discovery_response import read_discovery_response
from gateway.hl7v3.errors import Hl7v3Error
from gateway.hl7v3.time_to_live import read_time_to_live
from gateway.model.errors import PeerProtocolError
from gateway.model.identity import (
    Discovery,
    DiscoveryAnswer,
    DiscoveryRequest,
    MessageHead,
    Party,
    PatientQuery,
)
from gateway.model.oids import bare_oid
from gateway.soap.client import Peer, SoapClient

_TRANSACTION = "ITI-55"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the own community (`urn:oid:...`), the authority of the patient identifiers by which it can
    be asked, and whether messages are for production (P), test (T) or debugging (D)."""

    home_community_id: str
    authority: str | None = None
    processing: str = "P"


class PatientDiscovery:
    """Looks for patients in one community, which is known by `homes`, the first of them above all."""

    def __init__(self, soap: SoapClient, peer: Peer, asker: Asker, homes: Iterable[str]) -> None:
        self._soap = soap
        self._asker = asker
        self._homes = tuple(homes)
        self.peer = peer

    async def discover(self, query: PatientQuery) -> Discovery:
        """Ask once; each match is a patient of its own.

        A patient whose homeCommunityId is not one of the community makes the answer an error. Raises
        Hl7v3Error for a query that may not be asked, and PeerError.
        """
        request = DiscoveryRequest(self._head(), query, self._asker.authority)
        message = write_discovery_request(request)
        given = await self._soap.ask(self.peer, _TRANSACTION, message, retry=True)
        try:
            answer = read_discovery_response(given.body)
        except Hl7v3Error as error:
            raise self._broken(str(error)) from None
        self._check(request, answer)
        return structs.replace(answer.discovery, time_to_live=read_time_to_live(given.header))

    def _check(self, request: DiscoveryRequest, answer: DiscoveryAnswer) -> None:
        if answer.request_id != request.head.message_id:
            raise self._broken("acknowledgement/targetMessage names another message")
        if answer.head.query_id != request.head.query_id:
            raise self._broken("queryAck/queryId names another query")
        if any(match.home_community_id not in self._homes for match in answer.discovery.matches):
            raise self._broken("in the answer a patient has another community's homeCommunityId")

    def _head(self) -> MessageHead:
        own = bare_oid(self._asker.home_community_id)
        return MessageHead(
            message_id=new_id(),
            created=now(),
            sender=Party(own, self._asker.home_community_id),
            receiver=Party(bare_oid(self._homes[0]), self._homes[0]),
            query_id=new_id(),
            processing=self._asker.processing,
        )

    def _broken(self, detail: str) -> PeerProtocolError:
        return PeerProtocolError(self.peer.name, _TRANSACTION, detail)


def new_id() -> str:
    """An OID made of a UUID, which nothing else has."""
    return f"2.25.{uuid.uuid4().int}"


def now() -> str:
    """The time of a message."""
    return f"{datetime.now(UTC):%Y%m%d%H%M%S}+0000"
