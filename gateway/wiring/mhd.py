"""The use cases of IHE MHD over their clients."""

from zoneinfo import ZoneInfo

from gateway.correlation.idempotency import IdempotencyStore
from gateway.correlation.lookups import DocumentLookup
from gateway.correlation.snapshots import SnapshotStore
from gateway.fhir.capability import write_capability_statement
from gateway.fhir.capability_actors import StatedActor
from gateway.fhir.document_reference import MAX_INTEGER64, MAX_UNSIGNED_INT, WriteContext
from gateway.fhir.list_elements import RegistryList
from gateway.fhir.provide_context import ProvideContext
from gateway.imaging.known_patients import KnownPatients
from gateway.mhd.authorisation import client_of_token
from gateway.mhd.bases import Base, Bases
from gateway.mhd.definitions import Definitions
from gateway.mhd.find import Finder
from gateway.mhd.find_all import AllFinder, MixedSnapshots
from gateway.mhd.find_lists import ListFinder
from gateway.mhd.includes import Includer
from gateway.mhd.publish import Publisher, PublishLifetimes, PublishPeers
from gateway.mhd.read import Reader
from gateway.mhd.references import document_urls
from gateway.mhd.retrieve import RetrievePolicy, Retriever
from gateway.mhd.routes import UseCases
from gateway.mhd.search_pages import FindLimits, SearchServices
from gateway.mhd.sources import ClientOf, client_in_header, nobody
from gateway.model import DocumentEntry
from gateway.model.releases import FhirRelease
from gateway.security.document_urls import DocumentTokens, PageTokens
from gateway.settings import Settings
from gateway.wiring.audit import answers_audit_queries
from gateway.wiring.bases import scope_of
from gateway.wiring.domain import own_recipient, own_registry
from gateway.wiring.fan_out import every_place, every_registry
from gateway.wiring.fhir import patient_references, search_context, terminology
from gateway.wiring.imaging import (
    imaging_view,
    manifest_publishing,
    manifest_translator,
    manifests,
    offered_manifests,
)
from gateway.wiring.parts import Parts
from gateway.wiring.patient_manager import domain_patients, named_patients
from gateway.wiring.patients import patient_finder, patient_matcher
from gateway.wiring.publishing import metadata_tables, publish_policy, publishing_sources
from gateway.wiring.resources import patient_directory, patient_notes, stored_note
from gateway.wiring.security import Guard


def use_cases(
    settings: Settings,
    parts: Parts,
    base: Base,
    release: FhirRelease,
    bases: Bases,
    *,
    guarded: Guard | None,
) -> UseCases:
    """Build the use cases of one release at one of the bases, over their clients."""
    base_url, scope = base.url, scope_of(base, release)

    def statement() -> bytes:
        endpoint = None if guarded is None else guarded.token_endpoint
        return write_capability_statement(
            base_url,
            release=release,
            tokens=guarded is not None,
            token_endpoint=endpoint,
            versions=base.release is None,
            actors=frozenset(map(StatedActor, settings.server.actors)),
            audit_events=parts.trail is not None and answers_audit_queries(settings, guarded is not None),
        )

    terms = terminology(settings)
    tokens = DocumentTokens(parts.ring)
    references = patient_references(parts.ring, terms, base_url, parts.communities)
    registry = own_registry(settings, parts)
    everywhere = every_registry(settings, parts)
    document_url = document_urls(tokens, base_url)
    write_context = WriteContext(
        terminology=terms,
        base_url=base_url,
        document_url=document_url,
        patient_reference=references.of,
        largest_size=MAX_UNSIGNED_INT if release is FhirRelease.R4 else MAX_INTEGER64,
        imaging=imaging_view(settings),
        own_home=settings.home_community_id,
    )
    searching = search_context(settings, terms, references, base_url, parts.communities)
    directory = patient_directory(settings, parts.imaging, references)
    services = SearchServices(
        everywhere,
        searching,
        write_context,
        FindLimits(settings.search.max_results, settings.lifetimes.snapshot),
        Includer(everywhere, directory),
        offered_manifests(settings, parts.imaging),
        KnownPatients(manifests(settings, parts.imaging)[1], terms, references.of),
        patient_notes(settings, parts.imaging).of_entries,
        named_patients(settings, parts, references),
    )
    publish_to = own_recipient(settings, parts)
    patients = domain_patients(settings, parts)
    return UseCases(
        publisher=Publisher(
            PublishPeers(registry, publish_to, parts.outside, patients),
            IdempotencyStore(parts.store, scope),
            ProvideContext(
                terminology=terms,
                base_url=base_url,
                release=release,
                bases=bases.urls,
                patient_of=references.resolve,
                patient_reference=references.of,
                document_url=document_url,
                repository_unique_id=publish_to.unique_id,
                tables=metadata_tables(settings, terms),
                policy=publish_policy(settings, settings.publish_repository),
                directory=settings.references.directory,
                time_zone=ZoneInfo(settings.publish.time_zone),
                max_bytes=settings.server.max_bundle_bytes,
                domain=frozenset() if patients is None else patients.native,
            ),
            write_context,
            PublishLifetimes(
                answer=settings.lifetimes.idempotency,
                lock=settings.lifetimes.publish_lock,
                wait=settings.lifetimes.publish_lock,
            ),
            sources=publishing_sources(settings, terms, base_url),
            manifests=manifest_publishing(settings, parts.imaging),
            note=stored_note(settings, parts.imaging),
        ),
        finder=Finder(
            services,
            snapshots=SnapshotStore[DocumentEntry](parts.store, DocumentEntry),
            pages=PageTokens(parts.ring, f"DocumentReference{scope}"),
        ),
        list_finder=ListFinder(
            services,
            snapshots=SnapshotStore[RegistryList](parts.store, RegistryList),
            pages=PageTokens(parts.ring, f"List{scope}"),
        ),
        all_finder=AllFinder(
            services, snapshots=MixedSnapshots(parts.store), pages=PageTokens(parts.ring, f"all{scope}")
        ),
        definitions=Definitions(statement, base_url),
        # a manifest that is made is one document, with the same bytes on every base
        retriever=document_retriever(settings, parts, bases.shared.url),
        reader=Reader(everywhere, write_context),
        patient_finder=patient_finder(settings, parts, references, base_url, f"Patient{scope}"),
        patient_matcher=patient_matcher(settings, parts, references, base_url, release),
        capability_statement=statement,
        base_url=base_url,
        client_of=_named_by_proxy(settings) if guarded is None else client_of_token,
    )


def document_retriever(settings: Settings, parts: Parts, base_url: str) -> Retriever:
    """What gives documents; `base_url` is that of the addresses in manifests that are made."""
    return Retriever(
        every_registry(settings, parts),
        every_place(settings, parts),
        tokens=DocumentTokens(parts.ring),
        lookup=DocumentLookup(parts.store, settings.lifetimes.lookup),
        policy=RetrievePolicy(
            settings.retrieve.deprecated,
            settings.retrieve.removed,
            settings.retrieve.verify_sha1_up_to,
        ),
        translator=manifest_translator(settings, parts.imaging, base_url),
    )


def _named_by_proxy(settings: Settings) -> ClientOf:
    header = settings.publish.client_header
    return client_in_header(header) if header else nobody
