"""The patient manager of the own affinity domain as a peer: Mobile Patient Identifier Cross-reference Query
(ITI-83, IHE PIXm 3.1.0) as Patient Identifier Cross-reference Consumer, and Mobile Patient Demographics Query
(ITI-78, IHE PDQm 3.2.0) as Patient Demographics Consumer.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from msgspec import Struct

from gateway.clients.fhir_server import FHIR_JSON, FhirClient, FhirRequest, FhirServer, Refused
from gateway.clients.mhd_exchange import MhdExchange, recorded
from gateway.fhir.datatypes import Json
from gateway.fhir.patient_manager import (
    ManagedPatient,
    read_cross_reference,
    read_managed_patient,
    read_refusal,
    search_for,
)
from gateway.fhir.search_values import write_token
from gateway.fhir.terminology import Terminology
from gateway.model import Cx
from gateway.model.errors import PeerProtocolError, PeerUnsupported
from gateway.model.identity import CrossReference, CrossReferenceStatus, PatientQuery, SourceIdentifier

CROSS_REFERENCE: Final = "ITI-83"
DEMOGRAPHICS: Final = "ITI-78"
_FORM: Final = "application/x-www-form-urlencoded"
_REFUSALS: Final = frozenset({400, 403, 404, 410, 422})
"""What a manager may answer with that knows the question and not the answer."""
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_GONE: Final = frozenset({404, 410})
_PAGE: Final = 100
_MOST_PAGES: Final = 100
_MOST_REPLACED: Final = 5


@dataclass(frozen=True, slots=True)
class ManagerRules:
    """What a manager speaks and how it is asked. `known_as` are further bases by which clients call it.

    `by_get` sends searches as URLs, `by_post` cross-references as Parameters. Of a search `most` patients are
    taken.
    """

    cross_references: bool = True
    demographics: bool = True
    known_as: tuple[str, ...] = ()
    by_get: bool = False
    by_post: bool = False
    most: int = 200


class FoundPatients(Struct, frozen=True):
    """Patients of a search in the order of the manager; `complete` is False where it has more."""

    patients: tuple[ManagedPatient, ...] = ()
    complete: bool = True


class PatientManager:
    """One manager."""

    def __init__(
        self,
        client: FhirClient,
        server: FhirServer,
        terminology: Terminology,
        rules: ManagerRules | None = None,
    ) -> None:
        self._client = client
        self._server = server
        self._terminology = terminology
        self.rules = rules or ManagerRules()
        self._bases = (server.peer.url, *self.rules.known_as)

    @property
    def name(self) -> str:
        """Its name in errors, logs and metrics."""
        return self._server.peer.name

    @property
    def url(self) -> str:
        """Its FHIR base."""
        return self._server.peer.url

    def logical_id(self, reference: str) -> str | None:
        """The id of a Patient of this manager that an absolute reference names; None for any other."""
        for base in self._bases:
            if reference.startswith(f"{base}/Patient/"):
                return reference.removeprefix(f"{base}/Patient/").partition("/_history/")[0] or None
        return None

    # --- ITI-83 -----------------------------------------------------------------------------------------
    async def cross_reference(self, source: SourceIdentifier, targets: Sequence[str]) -> CrossReference:
        """What a patient is called in the domains `targets` (OIDs of assigning authorities).

        Raises PeerError, PeerUnsupported where the manager does not speak PIXm.
        """
        if not self.rules.cross_references:
            raise PeerUnsupported(self.name, CROSS_REFERENCE, "its settings say that it does not speak PIXm")
        systems = [self._terminology.authorities.uri(target) for target in targets]
        request, sent = self._cross_reference(source, systems)
        authority = self._terminology.authorities.oid_or_none(source.system)
        exchange = MhdExchange(
            transaction=CROSS_REFERENCE,
            url=self._server.peer.url,
            query=sent,
            patient=Cx(source.value, authority) if authority else None,
        )
        with recorded(self._client.record, exchange):
            try:
                answer = await self._client.json(self._server, CROSS_REFERENCE, request)
            except Refused as refusal:
                meant = read_refusal(refusal.status, refusal.outcome)
                if meant is None:
                    raise self._refused(CROSS_REFERENCE, refusal.status) from None
                return meant
            asked = (source.system, source.value)
            found = read_cross_reference(answer, asked, frozenset(targets), self._terminology)
            if found is None:
                raise self._broken(CROSS_REFERENCE, "the answer is no Parameters of $ihe-pix")
            return found

    def _cross_reference(self, source: SourceIdentifier, systems: Sequence[str]) -> tuple[FhirRequest, bytes]:
        url = f"{self._server.peer.url}/Patient/$ihe-pix"
        token = write_token(source.system, source.value)
        parameters = [("sourceIdentifier", token), *(("targetSystem", system) for system in systems)]
        query = urlencode(parameters)
        if not self.rules.by_post:
            return FhirRequest("GET", f"{url}?{query}", means=_REFUSALS), query.encode()
        body = orjson.dumps(
            {
                "resourceType": "Parameters",
                "parameter": [
                    {"name": name, "valueUri" if name == "targetSystem" else "valueString": value}
                    for name, value in parameters
                ],
            }
        )
        headers = {"Content-Type": FHIR_JSON}
        return FhirRequest("POST", url, body=body, headers=headers, means=_REFUSALS), body

    # --- ITI-78 -----------------------------------------------------------------------------------------
    async def find(self, query: PatientQuery) -> FoundPatients:
        """The patients whom a query means. Raises PeerError, ValueError for one that says nothing."""
        parameters = search_for(query, self._terminology)
        if not parameters:
            raise ValueError("the query names nobody")
        about = query.identifiers[0] if len(query.identifiers) == 1 else None
        return await self.search(parameters, patient=about)

    async def search(
        self, parameters: Sequence[tuple[str, str]], *, patient: Cx | None = None
    ) -> FoundPatients:
        """The patients of a search with parameters of ITI-78, as FHIR writes them; the pages of it in one.

        `patient` is whom it is about, where that is known. Raises PeerError, PeerUnsupported where the
        manager does not speak PDQm.
        """
        if not self.rules.demographics:
            raise PeerUnsupported(self.name, DEMOGRAPHICS, "its settings say that it does not speak PDQm")
        exchange = MhdExchange(
            transaction=DEMOGRAPHICS,
            url=self._server.peer.url,
            query=urlencode(list(parameters)).encode(),
            patient=patient,
        )
        found: dict[str, ManagedPatient] = {}
        with recorded(self._client.record, exchange):
            request: FhirRequest | None = self._first(parameters)
            seen: set[str] = set()
            while request is not None:
                page = await self._page(request)
                self._take(page, found)
                request = self._next(page, seen)
                if len(found) >= self.rules.most:
                    listed = tuple(found.values())
                    complete = request is None and len(listed) == self.rules.most
                    return FoundPatients(listed[: self.rules.most], complete)
        return FoundPatients(tuple(found.values()))

    async def read(self, logical_id: str) -> ManagedPatient | None:
        """One Patient by its id; None where the manager has none. Raises PeerError."""
        if not self.rules.demographics:
            raise PeerUnsupported(self.name, DEMOGRAPHICS, "its settings say that it does not speak PDQm")
        if not _ID.fullmatch(logical_id):
            return None
        url = f"{self._server.peer.url}/Patient/{logical_id}"
        exchange = MhdExchange(
            transaction=DEMOGRAPHICS, url=self._server.peer.url, query=f"Patient/{logical_id}".encode()
        )
        with recorded(self._client.record, exchange):
            try:
                answer = await self._client.json(self._server, DEMOGRAPHICS, FhirRequest("GET", url))
            except Refused as refusal:
                if refusal.status in _GONE:
                    return None
                raise self._refused(DEMOGRAPHICS, refusal.status) from None
            found = read_managed_patient(answer, self._terminology)
            if found is None:
                raise self._broken(DEMOGRAPHICS, "the answer to a read is no Patient")
            return found

    async def surviving(self, patient: ManagedPatient) -> ManagedPatient | None:
        """The Patient that took the place of one that was merged, or the same where it is active; None where
        nobody did. Raises PeerError."""
        seen = {patient.logical_id}
        while not patient.active:
            literal = patient.replaced_by or ""
            logical_id = self.logical_id(literal) or literal.removeprefix("Patient/")
            following = await self.read(logical_id) if logical_id and logical_id not in seen else None
            if following is None or len(seen) > _MOST_REPLACED:
                return None
            seen.add(logical_id)
            patient = following
        return patient

    def _first(self, parameters: Sequence[tuple[str, str]]) -> FhirRequest:
        base = f"{self._server.peer.url}/Patient"
        form = urlencode([*parameters, ("_count", str(min(_PAGE, self.rules.most + 1)))])
        if self.rules.by_get:
            return FhirRequest("GET", f"{base}?{form}")
        # names and identifiers of patients belong into no URL, which is what servers and proxies log
        return FhirRequest("POST", f"{base}/_search", body=form.encode(), headers={"Content-Type": _FORM})

    async def _page(self, request: FhirRequest) -> Json:
        try:
            page = await self._client.json(self._server, DEMOGRAPHICS, request)
        except Refused as refusal:
            meant = read_refusal(refusal.status, refusal.outcome)
            if meant is not None and meant.status is CrossReferenceStatus.UNKNOWN_TARGET:
                # nobody has an identifier in a domain that the manager does not know
                return {"resourceType": "Bundle"}
            raise self._refused(DEMOGRAPHICS, refusal.status) from None
        if page.get("resourceType") != "Bundle":
            raise self._broken(DEMOGRAPHICS, "the answer to a search is no Bundle")
        return page

    def _take(self, page: Json, found: dict[str, ManagedPatient]) -> None:
        for entry in _objects(page.get("entry")):
            search = entry.get("search")
            mode = str(search.get("mode") or "match").lower() if isinstance(search, dict) else "match"
            patient = read_managed_patient(entry.get("resource"), self._terminology)
            if patient is not None and mode == "match":
                found.setdefault(patient.logical_id, patient)

    def _next(self, page: Json, seen: set[str]) -> FhirRequest | None:
        links = (link for link in _objects(page.get("link")) if str(link.get("relation")).lower() == "next")
        named = next((link.get("url") for link in links), None)
        if not isinstance(named, str):
            return None
        url = self._server.url_of(named)
        if url is None:
            text = "the next page is at a host that the settings do not allow (allowed_hosts)"
            raise self._broken(DEMOGRAPHICS, text)
        if url in seen or len(seen) >= _MOST_PAGES:
            raise self._broken(DEMOGRAPHICS, "the pages of the answer have no end")
        seen.add(url)
        return FhirRequest("GET", url)

    def _refused(self, transaction: str, status: int) -> PeerProtocolError:
        if status == 403:
            return self._broken(transaction, "the server does not let this gateway in (HTTP 403)")
        return self._broken(transaction, f"the manager refuses the request (HTTP {status})")

    def _broken(self, transaction: str, detail: str) -> PeerProtocolError:
        return PeerProtocolError(self.name, transaction, detail)


def _objects(value: Any) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
