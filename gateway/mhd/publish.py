"""Provide Document Bundle (ITI-65), Simplified Publish (ITI-105) and Generate Metadata (ITI-106) carried out
as Provide and Register Document Set-b (ITI-41).

A publish is idempotent. Ids are derived from the content of the Bundle, so a repeat makes the same
submission; the correlation store makes clients that repeat at once wait for each other, and where it is
away, or the outcome of an earlier attempt is unknown, the registry is asked whether the submission is
there (IHE MHD 4.2.4 3.65.4.1.3; ITI TF-2 3.41).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from dataclasses import replace as replaced
from typing import Protocol

import orjson
import structlog
from msgspec.structs import replace

from gateway.clients.community import Queries
from gateway.clients.document_domain import DocumentRecipient
from gateway.clients.outside_resources import OutsideResources
from gateway.clients.repository import OutgoingDocument
from gateway.correlation.idempotency import Done, Fresh, IdempotencyStore, InProgress
from gateway.crossborder.domain_patients import DomainPatients
from gateway.fhir.datatypes import Json
from gateway.fhir.document_reference import WriteContext, logical_id
from gateway.fhir.error_table import known_code
from gateway.fhir.formats import FhirFormat
from gateway.fhir.generate_metadata import write_generate_metadata
from gateway.fhir.imaging_documents import imaging_document_json
from gateway.fhir.issues import Issue, OutcomeError
from gateway.fhir.outcome import issues_of_warnings, outcome_of_failure
from gateway.fhir.provide_bundle import open_provide_bundle
from gateway.fhir.provide_bundle_documents import Unreachable
from gateway.fhir.provide_bundle_folders import state_of
from gateway.fhir.provide_bundle_references import OutsideReference, linked_urls, urls_to_fetch
from gateway.fhir.provide_context import Elsewhere, ProvideBundle, ProvideContext
from gateway.fhir.provide_response import write_provide_response
from gateway.fhir.simplified_publish import open_simplified_publish
from gateway.imaging.manifest_publishing import ManifestPublishing
from gateway.imaging.patient_imaging import Note
from gateway.mhd.current_version import OLD_TARGET, with_current_targets
from gateway.mhd.generate_metadata import open_generate_metadata
from gateway.mhd.sources import PublishingSources
from gateway.model import Cx, DocumentEntry, RegistryError, RegistryFailure, Submission
from gateway.model.errors import PeerError
from gateway.model.identity import SourceIdentifier
from gateway.model.metadata import AvailabilityStatus
from gateway.model.query import (
    ANY_DOCUMENT,
    GetDocuments,
    GetFolderAndContents,
    GetSubmissionSetAndContents,
)
from gateway.security.access import OtherPatient, bound_patient, check_submission, is_limited
from gateway.security.subjects import about_submission

_MOST_STRANGERS = 20
_READ_IN_THREAD = 64 * 1024
"""Bodies above this are parsed, decoded and hashed outside the event loop."""


class Opened(Protocol):
    """A request that was read as far as it goes without other servers; see `OpenedBundle`."""

    @property
    def digest(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def outside(self) -> tuple[OutsideReference, ...]: ...
    @property
    def updates(self) -> tuple[str, ...]: ...
    @property
    def lookups(self) -> tuple[str, ...]: ...
    @property
    def asks_others(self) -> bool: ...
    @property
    def hosted(self) -> tuple[str, ...]: ...
    @property
    def strangers(self) -> tuple[SourceIdentifier, ...]: ...
    def read(self, elsewhere: Elsewhere) -> ProvideBundle: ...


Opener = Callable[[bytes, ProvideContext, FhirFormat], Opened]
WriteAnswer = Callable[[ProvideBundle, Sequence[Issue]], bytes]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PublishLifetimes:
    """Seconds that an answer is kept for repeats, and that a lock outlives a dead holder."""

    answer: float
    lock: float
    wait: float


@dataclass(frozen=True, slots=True)
class PublishPeers:
    """Who is asked: for what is registered, to store, for what a Bundle refers to at other servers, and who
    patients are (None where nobody knows)."""

    registry: Queries
    repository: DocumentRecipient
    outside: OutsideResources
    patients: DomainPatients | None = None


class Publisher:
    """The use case of ITI-65, ITI-105 and ITI-106."""

    def __init__(
        self,
        peers: PublishPeers,
        idempotency: IdempotencyStore,
        context: ProvideContext,
        write_context: WriteContext,
        lifetimes: PublishLifetimes,
        *,
        sources: PublishingSources,
        manifests: ManifestPublishing,
        note: Note,
    ) -> None:
        """`note` is told what was stored."""
        self._registry = peers.registry
        self._repository = peers.repository
        self._outside = peers.outside
        self._patients = peers.patients
        self._idempotency = idempotency
        self._context = context
        self._write_context = write_context
        self._lifetimes = lifetimes
        self._sources = sources
        self._manifests = manifests
        self._note = note
        # more threads would only make the event loop wait longer for the interpreter
        self._reading = asyncio.Semaphore(1)
        self._running: set[asyncio.Task[bytes]] = set()

    async def publish(self, raw: bytes, wire_format: FhirFormat = FhirFormat.JSON) -> bytes:
        """Store the Bundle and return the transaction-response as JSON, whatever the format of `raw`.

        Raises OutcomeError for a Bundle that breaks a rule, RegistryFailure and PeerError for what the
        domain behind says; nothing is stored then, or the error says that the outcome is unknown.
        """
        opened = await self._open(open_provide_bundle, raw, wire_format, self._context)
        return await self._publish(opened, self._response)

    async def publish_document(
        self, raw: bytes, wire_format: FhirFormat = FhirFormat.JSON, client: str | None = None
    ) -> bytes:
        """Store a DocumentReference with its document inside (ITI-105) and return it as it is then, as JSON.

        `client` is who sends it. Raises the same as `publish`.
        """
        opened = await self._open(open_simplified_publish, raw, wire_format, self._of_client(client))
        return await self._publish(opened, self._document_reference)

    async def generate_metadata(
        self, raw: bytes, wire_format: FhirFormat = FhirFormat.JSON, client: str | None = None
    ) -> bytes:
        """Store a document with the metadata that it says of itself (ITI-106); the Parameters of the answer.

        `client` is who sends it. Raises the same as `publish`.
        """
        opened = await self._open(open_generate_metadata, raw, wire_format, self._of_client(client))
        return await self._publish(opened, self._generated)

    def _of_client(self, client: str | None) -> ProvideContext:
        return replaced(self._context, source=self._sources.of(client))

    def _response(self, bundle: ProvideBundle, warnings: Sequence[Issue]) -> bytes:
        return orjson.dumps(write_provide_response(bundle, self._context, warnings))

    def _document_reference(self, bundle: ProvideBundle, warnings: Sequence[Issue]) -> bytes:
        _log_warnings((*bundle.warnings, *warnings))
        # a manifest may be stored in a second format besides
        entry = bundle.submission.entries[0]
        stored = replace(entry, repository_unique_id=self._context.repository_unique_id)
        return imaging_document_json(stored, self._write_context, bundle.submission.associations)

    def _generated(self, bundle: ProvideBundle, warnings: Sequence[Issue]) -> bytes:
        _log_warnings((*bundle.warnings, *warnings))
        entry = bundle.submission.entries[0]
        return write_generate_metadata(logical_id(entry.entry_uuid))

    async def _publish(self, opened: Opened, answer: WriteAnswer) -> bytes:
        # what others hold may have changed since a Bundle was stored; its repeat must not depend on that
        limited = is_limited()
        bundle = None if opened.asks_others and not limited else await self._complete(opened)
        if bundle is not None:
            # before the answer that is kept of the same Bundle, which another client may have sent
            await check_submission(bundle.submission)
        begun = await self._begin(opened.digest)
        if isinstance(begun, Done):
            return begun.response
        # a client that goes away must not leave a submission half sent, nor its outcome unrecorded
        task = asyncio.create_task(self._store(opened, bundle, begun, answer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _open(
        self, opener: Opener, raw: bytes, wire_format: FhirFormat, context: ProvideContext
    ) -> Opened:
        if len(raw) <= _READ_IN_THREAD:
            return opener(raw, context, wire_format)
        async with self._reading:
            return await asyncio.to_thread(opener, raw, context, wire_format)

    async def _complete(self, opened: Opened) -> ProvideBundle:
        """The submission, with what it refers to at other servers and the Folders that it adds to."""
        fetched: dict[str, Json | Unreachable] = {}
        if opened.outside:
            fetched = await self._outside.fetch(urls_to_fetch(opened.outside))
            linked = (u for url, r in fetched.items() if isinstance(r, dict) for u in linked_urls(url, r))
            fetched |= await self._outside.fetch([u for u in dict.fromkeys(linked) if u not in fetched])
        folders = {}
        for entry_uuid in opened.updates:
            query = GetFolderAndContents(entry_uuid=entry_uuid, document_type=ANY_DOCUMENT)
            state = state_of(entry_uuid, await self._registry.query(query))
            if state is not None:
                folders[entry_uuid] = state
        registered = await self._registered(opened.lookups)
        hosted = await self._outside.fetch_documents(opened.hosted)
        elsewhere = Elsewhere(fetched, folders, registered, hosted, await self._known(opened.strangers))
        if opened.size <= _READ_IN_THREAD and not hosted:
            return self._manifests.checked(opened.read(elsewhere))
        async with self._reading:
            return await asyncio.to_thread(lambda: self._manifests.checked(opened.read(elsewhere)))

    async def _known(self, named: tuple[SourceIdentifier, ...]) -> dict[SourceIdentifier, tuple[Cx, ...]]:
        """Who the patients are that other domains name. Raises OtherPatient, PeerError, and OutcomeError for
        too many of them."""
        if self._patients is None:
            return {}
        if len(named) > _MOST_STRANGERS:
            text = f"A request may name its patient in at most {_MOST_STRANGERS} ways of other domains."
            raise OutcomeError(422, (Issue("error", "too-costly", text),))
        known = {source: await self._patients.named(source) for source in named}
        if bound_patient() is not None and any(len(found) != 1 for found in known.values()):
            # whether there is such a patient is not told to who may not see him
            raise OtherPatient
        return known

    async def _registered(self, unique_ids: tuple[str, ...]) -> dict[str, str]:
        """entryUUIDs of documents by uniqueId: of several with one the current version."""
        if not unique_ids:
            return {}
        found = await self._registry.query(GetDocuments(unique_ids=unique_ids))
        in_order = sorted(found.entries, key=lambda entry: entry.status is AvailabilityStatus.APPROVED)
        return {entry.unique_id: entry.entry_uuid for entry in in_order}

    async def _begin(self, digest: str) -> Fresh | Done:
        """The claim to store the Bundle, or the answer of the request that did."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._lifetimes.wait
        while True:
            begun = await self._idempotency.begin(digest, self._lifetimes.lock)
            if not isinstance(begun, InProgress):
                return begun
            left = ends - loop.time()
            if left <= 0:
                text = "The same Bundle is being stored by another request; send it again to get its answer."
                raise OutcomeError(503, (Issue("error", "transient", text),), {"Retry-After": "2"})
            # without an answer in the end the holder has failed or died, and one of those who wait is next
            done = await self._idempotency.wait(digest, left)
            if done is not None:
                return done

    async def drain(self, seconds: float) -> None:
        """Wait until the submissions that are under way are answered and recorded; then give up the rest."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=max(seconds, 0))
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _store(
        self, opened: Opened, bundle: ProvideBundle | None, claim: Fresh, write: WriteAnswer
    ) -> bytes:
        try:
            async with self._idempotency.renewing(claim, self._lifetimes.lock):
                bundle = await self._manifests.replacing(bundle or await self._complete(opened))
                about_submission(bundle.submission)
                warnings = await self._submit(bundle)
                await self._manifests.remember(bundle, self._context.repository_unique_id)
                await self._note(bundle.submission.entries)
            answer = write(bundle, issues_of_warnings(warnings, "ITI-41"))
        except BaseException:
            await self._idempotency.abandon(claim)
            raise
        await self._idempotency.finish(claim, answer, self._lifetimes.answer)
        return answer

    async def _submit(self, bundle: ProvideBundle) -> Sequence[RegistryError]:
        try:
            return await self._provide(bundle, bundle.submission)
        except RegistryFailure as failure:
            # the failure may only say that an earlier attempt was stored after all
            if await self._was_stored_before(bundle, failure):
                return ()
            submission = await self._to_current_versions(bundle.submission, failure)
            if submission == bundle.submission:
                raise
        return await self._provide(bundle, submission)

    async def _provide(self, bundle: ProvideBundle, submission: Submission) -> Sequence[RegistryError]:
        documents = [OutgoingDocument(d.entry_uuid, d.mime_type, d.content) for d in bundle.documents]
        try:
            response = await self._repository.provide_and_register(submission, documents)
        except PeerError as error:
            if error.outcome_known:
                raise
            return await self._after_unknown_outcome(bundle, error)
        return response.errors

    async def _to_current_versions(self, submission: Submission, failure: RegistryFailure) -> Submission:
        """What to send after a refusal: the same, where it names no document whose metadata was updated."""
        if OLD_TARGET.isdisjoint(error.code for error in failure.errors):
            return submission
        try:
            return await with_current_targets(self._registry, submission)
        except (PeerError, RegistryFailure):
            return submission

    async def _was_stored_before(self, bundle: ProvideBundle, failure: RegistryFailure) -> bool:
        """Ask the registry; where it does not answer, only a conflict leaves open what is true."""
        try:
            return await self._is_stored(bundle)
        except (PeerError, RegistryFailure):
            if outcome_of_failure(failure).status == 409:
                raise
            return False

    async def _after_unknown_outcome(
        self, bundle: ProvideBundle, error: PeerError
    ) -> Sequence[RegistryError]:
        log.warning("publish.outcome_unknown", peer=error.peer, transaction=error.transaction)
        try:
            stored = await self._is_stored(bundle)
        except (PeerError, RegistryFailure):
            raise error from None
        if stored:
            return ()
        raise error

    async def _is_stored(self, bundle: ProvideBundle) -> bool:
        """True where the registry holds this very submission: its SubmissionSet and all its entries."""
        submission = bundle.submission
        found = await self._registry.query(
            GetSubmissionSetAndContents(
                entry_uuid=submission.submission_set.entry_uuid, document_type=ANY_DOCUMENT
            )
        )
        if not any(s.unique_id == submission.submission_set.unique_id for s in found.submission_sets):
            return False
        return _holds(found.entries, submission) or await self._was_updated_since(submission)

    async def _was_updated_since(self, submission: Submission) -> bool:
        """True where the entries are held as older versions, which only a registry with versions has."""
        query = GetDocuments(entry_uuids=tuple(e.entry_uuid for e in submission.entries), metadata_level=2)
        try:
            return _holds((await self._registry.query(query)).entries, submission)
        except RegistryFailure:
            return False


def _holds(entries: Iterable[DocumentEntry], submission: Submission) -> bool:
    """True where every entry of the submission is among `entries`, with its content."""
    held = {entry.entry_uuid: entry.hash for entry in entries}
    return all(
        entry.entry_uuid in held and held[entry.entry_uuid] in (None, entry.hash)
        for entry in submission.entries
    )


def _log_warnings(warnings: Sequence[Issue]) -> None:
    """A single resource as answer has no place for them."""
    codes = [known_code(w.details_code or "") for w in warnings if w.details_code]
    rules = list(dict.fromkeys(w.rule for w in warnings if w.rule))
    if codes or rules:
        log.warning("publish.warnings", codes=codes, rules=rules)
