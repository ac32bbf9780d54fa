"""Sources of images, manifests and the routes over them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from gateway.clients.dicomweb import DicomWebClient, DicomWebSource
from gateway.clients.fhir_server import FhirClient
from gateway.clients.image_leg import ImageLeg
from gateway.clients.imaging_source import ImagingDocumentSource
from gateway.clients.outside_resources import OutsidePolicy
from gateway.correlation.manifests import ManifestStore
from gateway.correlation.store import CorrelationStore
from gateway.correlation.studies import StudyIndex
from gateway.crossborder.communities import Communities
from gateway.dicom.errors import DicomError
from gateway.dicom.kos_reader import read_kos
from gateway.fhir.document_reference import ImagingView
from gateway.fhir.formats import FhirFormat
from gateway.fhir.manifest_read import NotAManifestError, read_manifest
from gateway.fhir.study_search import MANIFEST_FORMATS
from gateway.fhir.terminology import Terminology
from gateway.imaging.accessions import Accessions
from gateway.imaging.archive_views import ArchiveViews
from gateway.imaging.dicom_patients import DicomPatients
from gateway.imaging.found import StudyNames
from gateway.imaging.grants import Grants
from gateway.imaging.image_search import ImageSearcher
from gateway.imaging.located import LocatedImages
from gateway.imaging.manifest_publishing import ManifestPolicy, ManifestPublishing
from gateway.imaging.manifests import ManifestError, Manifests, Reader
from gateway.imaging.offered_manifests import OfferedManifests
from gateway.imaging.plan import Locations
from gateway.imaging.rad69_server import ImagingFacade
from gateway.imaging.retrieve import ImageRetriever, RetrievePolicy
from gateway.imaging.search_routes import SearchRoutes
from gateway.imaging.studies import StudyFinder
from gateway.imaging.translations import ManifestTranslator
from gateway.imaging.wado_routes import WadoRoutes
from gateway.imaging_settings import ImagingLocationSettings
from gateway.model import Organization
from gateway.model.imaging import ReadManifest
from gateway.model.imaging_codes import MIME_DICOM
from gateway.publish_settings import InstitutionSettings
from gateway.security.sealing import KeyRing
from gateway.security.study_ids import StudyIds
from gateway.security.study_urls import StudyTokens
from gateway.settings import Settings
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.observed import Record
from gateway.soap.server import ServiceLimits, SoapService
from gateway.wiring.domain import own_registry
from gateway.wiring.fan_out import LegsOfCommunities, every_place, every_registry
from gateway.wiring.fhir import patient_references, terminology
from gateway.wiring.patient_manager import resolved_patients
from gateway.wiring.peers import peer_of

_ARCHIVES_BY_URL = 256
_LARGEST_REQUEST = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImagingParts:
    """What images need of what lives as long as the gateway runs."""

    soap: SoapClient
    dicomweb: DicomWebClient
    fhir: FhirClient
    store: CorrelationStore
    ring: KeyRing
    communities: Communities


def locations(
    settings: Settings,
    soap: SoapClient,
    dicomweb: DicomWebClient,
    communities: Communities | None = None,
    otherwise: ImageLeg | None = None,
) -> Locations:
    """The table of the settings; locations of one source share its leg, so that it is asked once for all.

    Without `communities` it is about the own one alone; `otherwise` has the images of every other location of
    that.
    """
    legs: dict[tuple[str, str], ImageLeg] = {}
    by_uid: dict[str, ImageLeg] = {}
    for location in settings.imaging.locations:
        source = (location.protocol, location.url)
        if source not in legs:
            legs[source] = _leg(location, soap, dicomweb)
        by_uid[location.uid] = legs[source]
    allowed = OutsidePolicy(hosts=frozenset(settings.imaging.retrieve_url_hosts))

    @lru_cache(maxsize=_ARCHIVES_BY_URL)
    def by_url(url: str) -> ImageLeg | None:
        if not allowed.allows(url) or urlsplit(url).query:
            return None
        base = url.rstrip("/")
        return DicomWebSource(dicomweb, Peer(name=f"archive {urlsplit(base).hostname}", url=base))

    return Locations(
        by_uid, by_url, None if communities is None else LegsOfCommunities(communities), otherwise
    )


def every_location(settings: Settings, parts: ImagingParts) -> Locations:
    """The same with the images of other communities."""
    return locations(settings, parts.soap, parts.dicomweb, parts.communities)


def _leg(location: ImagingLocationSettings, soap: SoapClient, dicomweb: DicomWebClient) -> ImageLeg:
    peer = peer_of(f"imaging source {location.uid}", location)
    if location.protocol == "wado-rs":
        return DicomWebSource(dicomweb, peer)
    return ImagingDocumentSource(soap, peer, quirks=location.quirks)


def manifests(settings: Settings, parts: ImagingParts) -> tuple[Manifests, ManifestStore]:
    """Manifests of the domain, and where they are kept."""
    store = ManifestStore(parts.store, settings.lifetimes.manifest)
    found = Manifests(
        every_place(settings, parts),
        store,
        manifest_readers(terminology(settings)),
        max_bytes=settings.imaging.max_manifest_bytes,
    )
    return found, store


def offered_manifests(settings: Settings, parts: ImagingParts) -> OfferedManifests:
    """What searches of documents offer of manifests."""
    found, _ = manifests(settings, parts)
    registry, twins = every_registry(settings, parts), settings.imaging.twins
    return OfferedManifests(registry, found, accessions(settings), twins=twins)


def manifest_publishing(settings: Settings, parts: ImagingParts) -> ManifestPublishing:
    """What becomes of manifests that clients send."""
    terms, imaging = terminology(settings), settings.imaging
    _, store = manifests(settings, parts)
    policy = ManifestPolicy(
        publish=imaging.publish,
        strict=imaging.check == "strict",
        replaces=imaging.replaces and "replaces" not in settings.publish_repository.does_not_take,
        dialect=imaging.kos_codes,
        zone=imaging_zone(settings),
        accessions=accessions(settings),
    )
    return ManifestPublishing(own_registry(settings, parts), manifest_readers(terms), store, terms, policy)


def manifest_translator(settings: Settings, parts: ImagingParts, base_url: str) -> ManifestTranslator:
    """What writes manifests in other formats."""
    found, _ = manifests(settings, parts)
    places = every_location(settings, parts)
    return ManifestTranslator(
        found,
        study_names(settings, parts, places, base_url),
        terminology(settings),
        imaging_zone(settings),
        settings.imaging.kos_codes,
        accessions(settings),
    )


def imaging_view(settings: Settings) -> ImagingView:
    """How imaging documents are shown."""
    custodians: dict[str | None, InstitutionSettings | None] = {None: settings.imaging.custodian}
    if settings.home_community_id:
        custodians[settings.home_community_id] = settings.imaging.custodian
    for community in settings.communities:
        custodians |= dict.fromkeys(community.homes, community.custodian)
    known = {home: Organization(c.name, c.oid) for home, c in custodians.items() if c is not None}
    return ImagingView(known, settings.imaging.one_modality)


def accessions(settings: Settings) -> Accessions:
    """Accession numbers of studies that have none."""
    return Accessions(settings.imaging.accession_authority)


def imaging_zone(settings: Settings) -> ZoneInfo | None:
    """Zone of times without one."""
    return ZoneInfo(settings.imaging.time_zone) if settings.imaging.time_zone else None


def manifest_readers(terms: Terminology) -> Mapping[str, Reader]:
    """What reads each format of manifests, by MIME type."""
    return {
        MIME_DICOM: _read_kos,
        **{str(form): partial(_read_fhir, terms, form) for form in FhirFormat},
    }


def _read_kos(content: bytes) -> ReadManifest:
    try:
        return read_kos(content)
    except DicomError as error:
        raise ManifestError(str(error)) from None


def _read_fhir(terms: Terminology, form: FhirFormat, content: bytes) -> ReadManifest:
    try:
        return read_manifest(content, terms, form)
    except NotAManifestError as error:
        raise ManifestError(str(error)) from None


def _front(
    settings: Settings, parts: ImagingParts, order: Literal["arrival", "manifest"]
) -> tuple[Grants, ImageRetriever, Locations]:
    places = every_location(settings, parts)
    policy = RetrievePolicy(
        status_wait=settings.imaging.status_wait,
        order=order,
        spool_bytes=settings.imaging.spool_bytes,
    )
    return image_grants(settings, parts), ImageRetriever(places, policy), places


def image_grants(settings: Settings, parts: ImagingParts) -> Grants:
    """Which studies may be opened."""
    found, store = manifests(settings, parts)
    studies = study_finder(settings, parts, found)
    return Grants(StudyTokens(parts.ring), found, store, studies, registry=every_registry(settings, parts))


def image_routes(settings: Settings, parts: ImagingParts, base_url: str) -> WadoRoutes:
    """WADO-RS and WADO-URI."""
    grants, retriever, places = _front(settings, parts, settings.imaging.order)
    views = ArchiveViews(places, max_bytes=settings.imaging.max_metadata_bytes)
    patients = patient_references(parts.ring, terminology(settings), base_url, parts.communities)
    located = LocatedImages(grants, parts.communities, places, settings.responding_gateway.enabled)
    return WadoRoutes(
        grants, retriever, views, located=located, patient_of=patients.resolve, base_url=base_url
    )


def rad69_service(settings: Settings, parts: ImagingParts, record: Record) -> SoapService:
    """RAD-69 for consumers; to be closed in the end."""
    # its answers are put in the order of the request from files anyway
    grants, retriever, _ = _front(settings, parts, "arrival")
    facade = ImagingFacade(grants, retriever, home_community_id=settings.home_community_id)
    limits = ServiceLimits(
        request=_LARGEST_REQUEST, envelope=_LARGEST_REQUEST, spooled=settings.imaging.rad69_spool_bytes
    )
    return SoapService(load_contract(), facade.handlers, settings.state_dir / "spool", limits, record=record)


def search_routes(settings: Settings, parts: ImagingParts, base_url: str) -> SearchRoutes:
    """QIDO-RS."""
    places = every_location(settings, parts)
    found, store = manifests(settings, parts)
    studies = study_finder(settings, parts, found)
    searcher = ImageSearcher(
        studies,
        study_names(settings, parts, places, base_url),
        Grants(StudyTokens(parts.ring), found, store, studies, registry=every_registry(settings, parts)),
        DicomPatients(terminology(settings), settings.imaging.patient_id_authority),
        max_results=settings.search.max_results,
        named=resolved_patients(
            settings, parts, patient_references(parts.ring, terminology(settings), base_url)
        ),
    )
    return SearchRoutes(searcher, base_url=base_url)


def study_finder(settings: Settings, parts: ImagingParts, found: Manifests) -> StudyFinder:
    """Finds studies by manifests."""
    registry = every_registry(settings, parts)
    return StudyFinder(registry, found, MANIFEST_FORMATS, accessions(settings))


def study_names(settings: Settings, parts: ImagingParts, places: Locations, base_url: str) -> StudyNames:
    """Names studies and their images."""
    index = StudyIndex(parts.store, settings.lifetimes.manifest)
    return StudyNames(
        StudyIds(parts.ring, parts.communities.all_homes), index, StudyTokens(parts.ring), places, base_url
    )
