"""Cross Gateway Patient Discovery of the Responding Gateway (ITI-55; ITI TF-2 3.55.4.2): answered from what
the own community has documents of.

A community with shared identifiers knows a patient when something was submitted for the identifier; what
else is known of them is the sourcePatientInfo of their latest document. Nothing is found by demographics
alone, and those beside an identifier can only speak against a match. Two identifiers are two patients. Where
the community has a patient manager, it is asked about whoever is not found so.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from lxml.etree import _Element
from msgspec import structs

from gateway.clients.document_domain import DocumentSource
from gateway.clients.patient_discovery import new_id, now
from gateway.crossborder.managed_patients import ManagedPatients, contradicts
from gateway.crossborder.own_community import OwnCommunity
from gateway.ebxml.errors import StoredQueryError
from gateway.hl7v3.discovery_request import message_ids, query_element, read_discovery_request
from gateway.hl7v3.discovery_response import write_discovery_response
from gateway.hl7v3.errors import Hl7v3Error
from gateway.hl7v3.time_to_live import write_time_to_live
from gateway.model import Cx, DocumentEntry, Person, RegistryFailure, SourcePatientInfo
from gateway.model.errors import PeerBusy, PeerError
from gateway.model.identity import (
    Discovery,
    DiscoveryAnswer,
    DiscoveryStatus,
    MessageHead,
    Party,
    PatientMatch,
    PatientQuery,
)
from gateway.model.oids import bare_oid
from gateway.model.query import ANY_DOCUMENT, ANY_STATUS, FindDocuments, FindSubmissionSets
from gateway.soap.envelope import SoapFault
from gateway.soap.server import SoapReply, SoapRequest

_GENDERS: Final = {"M": "M", "F": "F", "O": "UN", "A": "UN"}
"""HL7 v2 letters as V3 codes; unknown ones are left out."""
_MOST_IDENTIFIERS: Final = 20
_LASTING: Final = frozenset({DiscoveryStatus.MATCHES, DiscoveryStatus.NO_MATCH})
_BAD_REQUEST: Final = "SYN113"

log = structlog.get_logger()


class CrossGatewayPatients:
    """The handler."""

    def __init__(
        self,
        community: OwnCommunity,
        registry: DocumentSource,
        processing: str = "P",
        time_to_live: float = 0.0,
        managed: ManagedPatients | None = None,
    ) -> None:
        """`time_to_live` is for how many seconds who asks may keep an answer; with 0 it does not say.
        `managed` are the patients that a manager knows, None where there is none."""
        self._managed = managed
        self._community = community
        self._registry = registry
        self._processing = processing
        self._time_to_live = time_to_live

    async def discover(self, request: SoapRequest) -> SoapReply:
        """The patients that the query means, as far as this community knows them."""
        message_id, query_id = message_ids(request.body)
        if message_id is None or query_id is None:
            raise SoapFault("Sender", "the message needs an id and a queryId, each with a root")
        with self._community.answering(request):
            try:
                asked = read_discovery_request(request.body)
            except Hl7v3Error:
                sender = Party(new_id())
                refused = Discovery(DiscoveryStatus.REFUSED, codes=(_BAD_REQUEST,))
                return self._reply(refused, message_id, query_id, sender, None)
            discovery = await self._discover(asked.query)
        sender = asked.head.sender if asked.head.sender.device else Party(new_id())
        return self._reply(discovery, message_id, query_id, sender, query_element(request.body))

    async def _discover(self, query: PatientQuery) -> Discovery:
        if not query.identifiers and self._managed is None:
            return Discovery(DiscoveryStatus.CANNOT_ANSWER, codes=("AnswerNotAvailable",))
        if len(query.identifiers) > _MOST_IDENTIFIERS:
            return Discovery(DiscoveryStatus.REFUSED, codes=(_BAD_REQUEST,))
        try:
            found = await asyncio.gather(*(self._known(identifier) for identifier in query.identifiers))
            matches = tuple(m for m in found if m is not None and not contradicts(query, m))
            if not matches and self._managed is not None:
                return await self._managed.meant(query)
        except (PeerError, RegistryFailure) as error:
            log.warning("responding_gateway.registry_failed", error=type(error).__name__)
            busy = isinstance(error, PeerBusy)
            code = "ResponderBusy" if busy else "InternalError"
            return Discovery(DiscoveryStatus.CANNOT_ANSWER, codes=(code,))
        if not matches:
            return Discovery(DiscoveryStatus.NO_MATCH)
        return Discovery(DiscoveryStatus.MATCHES, matches)

    async def _known(self, identifier: Cx) -> PatientMatch | None:
        """The patient of an identifier. Raises PeerError, and RegistryFailure that is not about patients."""
        try:
            documents = await self._registry.query(
                FindDocuments(patient_id=identifier, status=ANY_STATUS, document_type=ANY_DOCUMENT)
            )
            if not documents.entries:
                # a patient may have folders alone
                sets = await self._registry.query(FindSubmissionSets(patient_id=identifier))
                if not sets.submission_sets:
                    return None
        except StoredQueryError:
            # ebRIM has no place for it, so nothing can have been submitted for it
            return None
        except RegistryFailure as failure:
            if all(error.code.endswith("XDSUnknownPatientId") for error in failure.errors) and failure.errors:
                return None
            raise
        return _match(self._community.home, identifier, documents.entries)

    def _reply(
        self,
        discovery: Discovery,
        message_id: str,
        query_id: str,
        receiver: Party,
        query: _Element | None,
    ) -> SoapReply:
        home = self._community.home
        head = MessageHead(
            message_id=new_id(),
            created=now(),
            sender=Party(bare_oid(home), home),
            receiver=receiver,
            query_id=query_id,
            processing=self._processing,
        )
        body = write_discovery_response(DiscoveryAnswer(head, message_id, discovery), query)
        lasts = discovery.status in _LASTING and self._time_to_live > 0
        return SoapReply(body, header_blocks=(write_time_to_live(self._time_to_live),) if lasts else ())


def _match(home: str, identifier: Cx, entries: Sequence[DocumentEntry]) -> PatientMatch:
    told = [entry for entry in entries if entry.source_patient_info is not None]
    latest = max(told, key=lambda entry: entry.creation_time or "", default=None)
    info = (latest.source_patient_info if latest else None) or SourcePatientInfo()
    birth = (info.birth_date or "")[:8]
    return PatientMatch(
        home_community_id=home,
        identifier=identifier,
        names=tuple(
            structs.replace(name, id=None, authority=None, degree=None) for name in info.names if _named(name)
        ),
        birth_date=birth if birth.isascii() and birth.isdigit() else None,
        gender=_GENDERS.get(info.gender or ""),
        addresses=tuple(address for address in info.addresses if any(structs.astuple(address))),
        degree=100,
    )


def _named(name: Person) -> bool:
    return bool(name.family or name.given or name.further_given)
