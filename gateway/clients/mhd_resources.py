"""Searches at an MHD server (ITI-66, ITI-67) and what they find, page by page, with the patients that it is
of.

The server may call a patient by an identifier, by a reference to a Patient that has identifiers, or by one
that says nothing; what is of no patient that the gateway can name is left out, with a warning.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from lxml.etree import Element
from msgspec.structs import replace

from gateway.clients.fhir_server import FhirClient, FhirRequest, FhirServer, Refused, outcome_errors
from gateway.clients.mhd_exchange import MhdExchange, recorded
from gateway.ebxml.document_entry import write_document_entry
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.registry_package import write_folder, write_submission_set
from gateway.fhir.datatypes import Json
from gateway.fhir.peer_resources import FoundDocument, FoundList, LeftOut, PeerReader
from gateway.fhir.peer_search import DOCUMENTS, LISTS, Parameters, PeerSearch, patient_parameter
from gateway.fhir.terminology import Terminology
from gateway.model import Cx, Folder, RegistryError, RegistryFailure, Severity
from gateway.model.errors import PeerError, PeerProtocolError, PeerUnsupported

TOO_MANY: Final = "XDSTooManyResults"
_FORM: Final = "application/x-www-form-urlencoded"
_NO_SUCH_SEARCH: Final = frozenset({404, 405, 501})
_MOST_PAGES: Final = 1000
_PAGE: Final = 200

_F = TypeVar("_F", FoundDocument, FoundList)


@dataclass(frozen=True, slots=True)
class MhdRules:
    """How a server is asked. `authorities` issue the patient identifiers that are told to others, the first
    first; empty is any. `by_get` sends searches as URLs, `most` is the number of resources of one search.
    `homes` are the homeCommunityIds of the server, empty where it has none; with `targeted` searches name the
    first of them, for a server that would ask others too."""

    by_get: bool = False
    most: int = 5000
    lists: bool = True
    authorities: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()
    targeted: bool = False


@dataclass(slots=True)
class Found:
    """What the searches of one query have found so far."""

    documents: list[FoundDocument] = field(default_factory=list)
    lists: list[FoundList] = field(default_factory=list)
    errors: list[RegistryError] = field(default_factory=list)
    patients: dict[str, tuple[Cx, ...]] = field(default_factory=dict)


class MhdResources:
    """Searches of one server."""

    def __init__(self, client: FhirClient, server: FhirServer, reader: PeerReader, rules: MhdRules) -> None:
        self._client = client
        self._server = server
        self._reader = reader
        self._rules = rules

    @property
    def name(self) -> str:
        """Name of the server in the settings."""
        return self._server.peer.name

    async def search(self, search: PeerSearch, found: Found, patient: Cx | None = None) -> None:
        """Add what a search finds. `patient` is whom it is limited to.

        Raises PeerError, PeerUnsupported where the server has no such search, and RegistryFailure.
        """
        if search.resource == LISTS and not self._rules.lists:
            raise PeerUnsupported(self.name, search.transaction, "its settings say that it has no Lists")
        target = (("targetCommunityIdList", self._rules.homes[0]),) if self._rules.targeted else ()
        parameters = (*search.parameters, *target)
        exchange = MhdExchange(
            transaction=search.transaction,
            url=self._server.peer.url,
            query=urlencode(parameters).encode(),
            patient=patient,
        )
        with recorded(self._client.record, exchange):
            await self._searched(search, parameters, target, found, patient)
        found.documents[:] = _without_renderings(found.documents)

    async def _searched(
        self,
        search: PeerSearch,
        parameters: Parameters,
        target: Parameters,
        found: Found,
        patient: Cx | None,
    ) -> None:
        try:
            await self._pages(search, parameters, found, patient)
        except Refused as refusal:
            if search.wider is None or refusal.status in _NO_SUCH_SEARCH:
                raise self._refused(search.transaction, refusal) from None
            try:
                await self._pages(search, (*search.wider, *target), found, patient)
            except Refused as again:
                raise self._refused(search.transaction, again) from None

    async def patient_id(self, patient: Cx, terminology: Terminology) -> str | None:
        """FHIR id of the Patient with an identifier; None where the server does not have exactly one."""
        _, token = patient_parameter(patient, terminology)
        try:
            page = await self._client.json(
                self._server, "ITI-78", self._first("Patient", (("identifier", token),))
            )
        except Refused:
            return None
        resources = (_mapping(entry.get("resource")) for entry in _entries(page))
        patients = [r for r in resources if patient in self._reader.patient_ids(r) and r.get("id")]
        return str(patients[0]["id"]) if len(patients) == 1 else None

    def _refused(self, transaction: str, refusal: Refused) -> PeerError | RegistryFailure:
        if refusal.status in _NO_SUCH_SEARCH:
            return PeerUnsupported(self.name, transaction, "it has no such search")
        said = RegistryError("XDSRegistryError", f"the server refuses the search (HTTP {refusal.status})")
        return RegistryFailure(self.name, transaction, refusal.errors or (said,))

    async def _pages(
        self, search: PeerSearch, parameters: Iterable[tuple[str, str]], found: Found, patient: Cx | None
    ) -> None:
        before = len(found.documents) + len(found.lists)
        request: FhirRequest | None = self._first(search.resource, (*parameters, ("_count", str(_PAGE))))
        seen: set[str] = set()
        while request is not None:
            page = await self._client.json(self._server, search.transaction, request)
            if page.get("resourceType") != "Bundle":
                raise self._broken(search.transaction, "the answer to a search is no Bundle")
            await self._take(search, page, found, patient)
            if len(found.documents) + len(found.lists) - before > self._rules.most:
                text = f"the search has more than {self._rules.most} results; narrow it"
                raise RegistryFailure(self.name, search.transaction, (RegistryError(TOO_MANY, text),))
            request = self._next(search.transaction, page, seen)

    def _first(self, resource: str, parameters: Iterable[tuple[str, str]]) -> FhirRequest:
        base = f"{self._server.peer.url}/{resource}"
        form = urlencode(list(parameters))
        if self._rules.by_get:
            return FhirRequest("GET", f"{base}?{form}")
        # identifiers of patients belong into no URL, which is what servers and proxies log
        return FhirRequest("POST", f"{base}/_search", body=form.encode(), headers={"Content-Type": _FORM})

    def _next(self, transaction: str, page: Json, seen: set[str]) -> FhirRequest | None:
        named = _link(page, "next")
        if named is None:
            return None
        url = self._server.url_of(named)
        if url is None:
            raise self._broken(
                transaction, "the next page is at a host that the settings do not allow (allowed_hosts)"
            )
        if url in seen or len(seen) >= _MOST_PAGES:
            raise self._broken(transaction, "the pages of the answer have no end")
        seen.add(url)
        return FhirRequest("GET", url)

    async def _take(self, search: PeerSearch, page: Json, found: Found, patient: Cx | None) -> None:
        limited = patient is not None and "patient.identifier" in (_link(page, "self") or "")
        for number, entry in enumerate(_entries(page), start=1):
            resource = entry.get("resource")
            mode = (_mapping(entry.get("search")).get("mode") or "match").lower()
            if mode == "outcome" or _mapping(resource).get("resourceType") == "OperationOutcome":
                found.errors += outcome_errors(resource if isinstance(resource, dict) else None)
            elif mode == "match":
                try:
                    await self._add(search, entry, found, patient, limited)
                except LeftOut as reason:
                    text = f"{search.resource} {number} of a page is left out: {reason}"
                    found.errors.append(RegistryError("XDSRegistryError", text, Severity.WARNING))

    async def _add(
        self, search: PeerSearch, entry: Json, found: Found, patient: Cx | None, limited: bool
    ) -> None:
        resource, full_url = entry.get("resource"), entry.get("fullUrl")
        if search.resource == DOCUMENTS:
            document = self._reader.document(resource, full_url)
            if all(document.key != other.key for other in found.documents):
                self._check_home(document.entry.home_community_id)
                of = await self._patient(document.subject, found, patient, limited)
                found.documents.append(_writable(document, of))
        else:
            each = self._reader.list(resource, full_url)
            if all(each.key != other.key for other in found.lists):
                self._check_home(each.item.home_community_id)
                of = await self._patient(each.subject, found, patient, limited)
                found.lists.append(_writable_list(each, of))

    def _check_home(self, home: str | None) -> None:
        if home is not None and self._rules.homes and home not in self._rules.homes:
            raise LeftOut("it is of another community than this server")

    async def _patient(self, subject: Json, found: Found, asked: Cx | None, limited: bool) -> Cx:
        """Whom an object is of. Raises LeftOut where nobody can say, or where it is not who was asked."""
        identifier = self._reader.identifier(subject["identifier"]) if subject.get("identifier") else None
        if asked is not None and identifier is not None and identifier.authority == asked.authority:
            if identifier != asked:
                raise LeftOut("it is of another patient than asked")
            return asked
        known: tuple[Cx, ...] = (identifier,) if identifier else ()
        if not self._chosen(known) or asked is not None:
            known += await self._identifiers(subject, found)
        if asked is not None:
            says_who = any(cx.authority == asked.authority for cx in known)
            if asked in known or (limited and not says_who and subject.get("reference")):
                return asked
            raise LeftOut("the server does not say that it is of the patient who was asked")
        chosen = self._chosen(known)
        if chosen is None:
            raise LeftOut("its patient has no identifier in an authority of the settings")
        return chosen

    def _chosen(self, known: Iterable[Cx]) -> Cx | None:
        listed = tuple(known)
        if not self._rules.authorities:
            return next(iter(listed), None)
        by_authority = {cx.authority: cx for cx in reversed(listed)}
        return next((by_authority[a] for a in self._rules.authorities if a in by_authority), None)

    async def _identifiers(self, subject: Json, found: Found) -> tuple[Cx, ...]:
        """Those of the Patient that a subject refers to; empty where the server does not give it."""
        key = self._reader.key_of(subject)
        if key is None or key[0] != "Patient":
            return ()
        if key[1] not in found.patients:
            url = f"{self._server.peer.url}/Patient/{key[1]}"
            try:
                patient = await self._client.json(self._server, "ITI-78", FhirRequest("GET", url))
            except (Refused, PeerError):
                patient = {}
            found.patients[key[1]] = self._reader.patient_ids(patient)
        return found.patients[key[1]]

    def _broken(self, transaction: str, detail: str) -> PeerProtocolError:
        return PeerProtocolError(self.name, transaction, detail)


def _writable(document: FoundDocument, patient: Cx) -> FoundDocument:
    """The document with its patient. Raises LeftOut where ebRIM has no place for a value."""
    entry = replace(document.entry, patient_id=patient)
    try:
        write_document_entry(entry, Element("list"))
    except MetadataError as error:
        raise LeftOut(error.context) from None
    return FoundDocument(document.key, entry, document.subject, document.attachment, document.relations)


def _writable_list(found: FoundList, patient: Cx) -> FoundList:
    item = replace(found.item, patient_id=patient)
    try:
        if isinstance(item, Folder):
            write_folder(item, Element("list"))
        else:
            write_submission_set(item, Element("list"))
    except MetadataError as error:
        raise LeftOut(error.context) from None
    return FoundList(found.key, item, found.subject, found.members)


def _without_renderings(documents: Iterable[FoundDocument]) -> list[FoundDocument]:
    """The documents without those that a server makes of another one under the same uniqueId.

    In XDS a uniqueId is one sequence of bytes, and ITI-43 could not say which is meant. What is stored is the
    one with a hash.
    """
    documents = list(documents)
    stored = {(d.entry.unique_id, d.entry.status) for d in documents if d.entry.hash}
    return [d for d in documents if d.entry.hash or (d.entry.unique_id, d.entry.status) not in stored]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _entries(page: Json) -> list[Json]:
    entries = page.get("entry")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _link(page: Json, relation: str) -> str | None:
    links = page.get("link")
    for link in links if isinstance(links, list) else ():
        found = _mapping(link)
        if str(found.get("relation", "")).lower() == relation and isinstance(found.get("url"), str):
            return str(found["url"])
    return None
