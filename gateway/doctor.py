"""`gateway doctor`: is everything in place that the settings name?

Peers are asked with harmless requests: the registry for a document that cannot exist, each repository and
each source of images for the same, each community for an object, a document and an image that cannot, the
patient manager for a patient who cannot. Those of the own community that speak SOAP are asked for their WSDL
too, which need not exist but must fit the transactions where it does.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial

import aiohttp

from gateway.assertion_settings import AssertionsSettings
from gateway.clients.community import Community, Queries
from gateway.clients.dicomweb import DicomWebClient
from gateway.clients.fhir_server import FhirClient
from gateway.clients.imaging_source import ImagingDocumentSource
from gateway.clients.patient_discovery import PatientDiscovery
from gateway.clients.patient_manager import PatientManager
from gateway.clients.quirks import Quirks
from gateway.clients.registry import DocumentRegistry
from gateway.clients.repository import DocumentRepository
from gateway.community_settings import CommunitySettings
from gateway.doctor_report import Echo, Findings, Form
from gateway.domain_settings import PeerSettings, RegistrySettings
from gateway.fhir.error_table import known_code
from gateway.model import Cx, DocumentRequest, RegistryFailure
from gateway.model.errors import PeerError, PeerProtocolError
from gateway.model.identity import CrossReferenceStatus, DiscoveryStatus, PatientQuery, SourceIdentifier
from gateway.model.images import SeriesWanted
from gateway.model.imaging import RetrieveLocation, RetrieveLocationUid
from gateway.model.query import GetDocuments
from gateway.progress import waiting
from gateway.settings import Settings, SettingsError
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import check_peer_wsdl, load_contract
from gateway.telemetry.logs import configure
from gateway.tls import Context
from gateway.wiring.audit_repositories import destinations, unreachable_repositories
from gateway.wiring.calls import dicomweb_client, soap_client
from gateway.wiring.communities import community_gateways, patient_discovery
from gateway.wiring.domain import Clients, document_domain
from gateway.wiring.fhir import terminology
from gateway.wiring.parts import StartError, StateInUse, key_ring, open_parts
from gateway.wiring.patient_manager import NAME as MANAGER
from gateway.wiring.patient_manager import patient_manager
from gateway.wiring.peers import peer_of
from gateway.wiring.policy import policy_of
from gateway.wiring.publishing import metadata_tables, publishing_sources
from gateway.wiring.security_check import check_assertions, issuer_problem
from gateway.wiring.tls import context_of, usual_tls

_MAX_WSDL_BYTES = 4 * 1024 * 1024
_NOT_THERE = frozenset({"XDSDocumentUniqueIdError", "XDSMissingDocument"})
_NOT_IN_COMMUNITY = _NOT_THERE | {"XDSUnknownRepositoryId"}
_NO_SUCH_STUDY = frozenset({200, 204, 404, 410})


async def examine(settings: Settings, echo: Echo, form: Form = Form.LINES) -> int:
    """Print one line per check, or all of them as JSON; 0 when all are well, else 1."""
    configure("error")
    findings = Findings(echo, form)
    await _examine_all(settings, findings)
    return findings.end()


async def _examine_all(settings: Settings, findings: Findings) -> None:
    _examine_settings(settings, findings)
    findings.ok("contract", f"{', '.join(load_contract().transactions)}")
    try:
        key_ring(settings)
    except StartError as error:
        findings.bad("keys", str(error))
    else:
        findings.ok("keys", "from the settings" if settings.security.keys else str(settings.state_dir))
        await _examine_redis(settings, findings)
    await _examine_audit(settings, findings)
    await _examine_security(settings, findings)
    try:
        client = soap_client(settings)
    except StartError as error:
        findings.bad("settings", str(error))
        return
    async with client as soap:
        await _examine_peers(settings, soap, findings)


def _examine_settings(settings: Settings, findings: Findings) -> None:
    try:
        # codes whose system is not mapped are found only here
        metadata_tables(settings, terminology(settings))
        publishing_sources(settings, terminology(settings), "")
    except SettingsError as error:
        findings.bad("settings", str(error))
    else:
        findings.ok("settings", "complete")


async def _examine_redis(settings: Settings, findings: Findings) -> None:
    where = "own server" if settings.redis.embedded else "as set"
    try:
        async with open_parts(settings, audited=False) as parts:
            if parts.store.available:
                findings.ok("redis", where)
            else:
                findings.bad("redis", f"{where}: no answer; the gateway runs, without snapshots")
    except StateInUse:
        findings.ok("redis", f"{where}, in use by the gateway that runs in {settings.state_dir}")
    except StartError as error:
        findings.bad("redis", str(error).removeprefix("redis: "))


async def _examine_audit(settings: Settings, findings: Findings) -> None:
    if not settings.audit.enabled:
        findings.bad("audit", "nothing is recorded of who asks for whose data (audit.enabled)")
        return
    if not destinations(settings.audit):
        findings.ok("audit", f"records are kept in {settings.state_dir}, for {settings.audit.keep:g} s")
        return
    for name, problem in await unreachable_repositories(settings):
        if problem is None:
            findings.ok(f"audit {name}", "answers")
        else:
            findings.bad(f"audit {name}", problem)


async def _examine_security(settings: Settings, findings: Findings) -> None:
    """Key sets of issuers can be had, and the files of assertions and of the policy used."""
    for number, issuer in enumerate(settings.security.issuers):
        name = f"issuer {issuer.issuer}"
        problem = await issuer_problem(settings, issuer, f"security.issuers.{number}")
        if problem is None:
            findings.ok(name, "its keys are there" if issuer.key_sets else "its tokens are asked about")
        else:
            findings.bad(name, problem)
    security = settings.security
    for name, wanted, check in (
        ("assertions", security.assertions != AssertionsSettings(), check_assertions),
        ("policy", security.policy is not None, policy_of),
    ):
        if not wanted:
            continue
        try:
            check(settings)
        except StartError as error:
            findings.bad(name, str(error))
        else:
            findings.ok(name, "files can be used")


def _tell_quirks(name: str, quirks: Quirks, findings: Findings) -> None:
    if active := ", ".join(quirks.active()):
        findings.ok(f"{name} quirks", active)


async def _examine_registry(
    settings: Settings, section: RegistrySettings, soap: SoapClient, findings: Findings
) -> None:
    registry = DocumentRegistry(soap, peer_of("registry", section), section.quirks)
    await _try("registry", "ITI-18", findings, lambda: _ask_registry(registry))
    await _check_wsdl("registry", section, findings, _tls(settings, section))
    _tell_quirks("registry", section.quirks, findings)


async def _examine_peers(settings: Settings, soap: SoapClient, findings: Findings) -> None:
    if settings.registry is not None:
        await _examine_registry(settings, settings.registry, soap, findings)
    for each in settings.repositories:
        name = f"repository {each.unique_id}"
        peer = peer_of(name, each)
        repository = DocumentRepository(soap, load_contract(), peer, each.unique_id, each.quirks)
        await _try(name, "ITI-43", findings, lambda r=repository: _ask_repository(r))  # type: ignore[misc]
        await _check_wsdl(name, each, findings, _tls(settings, each))
        _tell_quirks(name, each.quirks, findings)
    await _examine_locations(settings, soap, findings)
    await _examine_communities(settings, soap, findings)


async def _examine_communities(settings: Settings, soap: SoapClient, findings: Findings) -> None:
    async with FhirClient(usual_tls(settings)) as fhir, dicomweb_client(settings) as dicomweb:
        try:
            gateways = community_gateways(settings, Clients(soap, dicomweb, fhir))
        except SettingsError as error:
            findings.bad("communities", str(error))
            return
        for each in settings.communities:
            await _examine_community(settings, each, gateways[each.home_community_id], soap, findings)
        await _examine_mhd_domain(settings, Clients(soap, dicomweb, fhir), findings)
        await _examine_patient_manager(settings, fhir, findings)


async def _examine_community(
    settings: Settings,
    each: CommunitySettings,
    community: Community,
    soap: SoapClient,
    findings: Findings,
) -> None:
    name = f"community {each.name}"
    query, images = ("ITI-38", "RAD-75") if each.mhd is None else ("ITI-67", "RAD-107")
    await _try(name, query, findings, partial(_ask_community, community))
    if each.mhd is None:
        # documents of an MHD server are at URLs of its answers, of which there is none yet
        await _try(name, "ITI-39", findings, partial(_ask_community_document, community))
    if each.images_url or (each.mhd is not None and each.mhd.dicomweb_url):
        await _try(name, images, findings, partial(_ask_community_image, community))
    discovery = patient_discovery(settings, each, soap)
    if discovery is not None:
        await _try(name, "ITI-55", findings, partial(_ask_community_patient, discovery))
    for what in ("query", "retrieve", "images"):
        _tell_quirks(f"{name} {what}", getattr(each.quirks, what), findings)


async def _examine_mhd_domain(settings: Settings, clients: Clients, findings: Findings) -> None:
    if settings.mhd_domain is None:
        return
    try:
        domain = document_domain(settings, clients)
    except SettingsError as error:
        findings.bad("mhd domain", str(error))
        return
    await _try("mhd domain", "ITI-67", findings, partial(_ask_community, domain))


async def _examine_patient_manager(settings: Settings, fhir: FhirClient, findings: Findings) -> None:
    try:
        manager = patient_manager(settings, fhir)
    except SettingsError as error:
        findings.bad(MANAGER, str(error))
        return
    if manager is None or settings.patient_manager is None:
        return
    domain = settings.patient_manager.domain
    if manager.rules.cross_references:
        await _try(MANAGER, "ITI-83", findings, partial(_ask_who, settings, manager, domain))
    if manager.rules.demographics:
        await _try(MANAGER, "ITI-78", findings, partial(_ask_for_nobody, manager, domain))


async def _ask_who(settings: Settings, manager: PatientManager, domain: str) -> None:
    """Ask who nobody is: that nobody has the identifier is the answer of a manager that knows the domain."""
    system = terminology(settings).authorities.uri(domain)
    found = await manager.cross_reference(SourceIdentifier(system, _nowhere()), [domain])
    if found.status in (CrossReferenceStatus.UNKNOWN_DOMAIN, CrossReferenceStatus.UNKNOWN_TARGET):
        text = f"it does not know the affinity domain {system} (patient_manager.domain)"
        raise PeerProtocolError(manager.name, "ITI-83", text)


async def _ask_for_nobody(manager: PatientManager, domain: str) -> None:
    """Ask for nobody. Who answers with patients does not look at the identifier."""
    if (await manager.find(PatientQuery(identifiers=(Cx(_nowhere(), domain),)))).patients:
        text = "it answers a search by an identifier that nobody has with patients"
        raise PeerProtocolError(manager.name, "ITI-78", text)


async def _ask_community(community: Queries) -> None:
    await community.query(GetDocuments(entry_uuids=(uuid.uuid4().urn,)))


async def _ask_community_document(community: Community) -> None:
    try:
        async with community.retrieve(DocumentRequest(_nowhere(), _nowhere())):
            pass
    except RegistryFailure as failure:
        _raise_unless_absent(failure, _NOT_IN_COMMUNITY)


async def _ask_community_image(community: Community) -> None:
    location = RetrieveLocation(uid=RetrieveLocationUid(_nowhere()))
    try:
        async with community.images([SeriesWanted(_nowhere(), _nowhere(), (_nowhere(),), location)]):
            pass
    except RegistryFailure as failure:
        _raise_unless_absent(failure, _NOT_IN_COMMUNITY)


async def _ask_community_patient(discovery: PatientDiscovery) -> None:
    """Ask for a patient whom nobody has. That there is no answer or that more is asked for is one too."""
    found = await discovery.discover(PatientQuery(identifiers=(Cx("nobody", _nowhere()),)))
    if found.status is DiscoveryStatus.REFUSED:
        raise PeerProtocolError(discovery.peer.name, "ITI-55", "it refuses a query by identifier")


def _nowhere() -> str:
    return f"2.25.{uuid.uuid4().int}"


def _raise_unless_absent(failure: RegistryFailure, codes: frozenset[str]) -> None:
    if not any(known_code(error.code) in codes for error in failure.errors):
        raise failure


async def _examine_locations(settings: Settings, soap: SoapClient, findings: Findings) -> None:
    async with dicomweb_client(settings) as dicomweb:
        for each in settings.imaging.locations:
            name = f"imaging location {each.uid}"
            peer = peer_of(name, each)
            if each.protocol == "wado-rs":
                await _try(name, "RAD-107", findings, partial(_ask_archive, dicomweb, peer))
                continue
            await _try(name, "RAD-69", findings, partial(_ask_imaging_source, soap, peer, each.uid))
            await _check_wsdl(name, each, findings, _tls(settings, each))
            _tell_quirks(name, each.quirks, findings)


async def _ask_registry(registry: DocumentRegistry) -> None:
    await registry.query(GetDocuments(entry_uuids=(uuid.uuid4().urn,)))


async def _ask_repository(repository: DocumentRepository) -> None:
    request = DocumentRequest(repository.unique_id, _nowhere())
    try:
        async with repository.retrieve(request):
            pass
    except RegistryFailure as failure:
        _raise_unless_absent(failure, _NOT_THERE)


async def _ask_imaging_source(soap: SoapClient, peer: Peer, location_uid: str) -> None:
    """Ask for an image that is not there. A source that does not know the location says another error."""
    study, series, image = (_nowhere() for _ in range(3))
    wanted = SeriesWanted(study, series, (image,), RetrieveLocation(uid=RetrieveLocationUid(location_uid)))
    try:
        async with ImagingDocumentSource(soap, peer).retrieve([wanted]):
            pass
    except RegistryFailure as failure:
        _raise_unless_absent(failure, _NOT_THERE)


async def _ask_archive(dicomweb: DicomWebClient, peer: Peer) -> None:
    """Ask for a study that is not there."""
    path = f"/studies/{_nowhere()}"
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    async with dicomweb.get(peer, path, accept) as answer:
        if answer.status not in _NO_SUCH_STUDY:
            raise PeerProtocolError(
                peer.name, "RAD-107", f"HTTP {answer.status} for a study that is not there"
            )


async def _try(name: str, transaction: str, findings: Findings, ask: Callable[[], Awaitable[None]]) -> None:
    started = time.perf_counter()
    try:
        with waiting(f"{name}: {transaction}"):
            await ask()
    except PeerError as error:
        findings.bad(name, str(error))
    except RegistryFailure as failure:
        findings.bad(name, f"{transaction} answered {', '.join(e.code for e in failure.errors)}")
    else:
        findings.ok(name, f"{transaction} answered in {(time.perf_counter() - started) * 1000:.0f} ms")


def _tls(settings: Settings, peer: PeerSettings) -> Context:
    return context_of(peer.tls or settings.security.tls)


async def _check_wsdl(name: str, peer: PeerSettings, findings: Findings, tls: Context) -> None:
    timeout = aiohttp.ClientTimeout(total=peer.read_timeout, connect=peer.connect_timeout)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{peer.url}?wsdl", allow_redirects=False, ssl=tls()) as answer,
        ):
            document = bytearray()
            if answer.status == 200:
                async for chunk in answer.content.iter_any():
                    document += chunk
                    if len(document) > _MAX_WSDL_BYTES:
                        findings.bad(name, f"its WSDL has more than {_MAX_WSDL_BYTES} bytes")
                        return
    except (aiohttp.ClientError, TimeoutError):
        return  # the transaction above has said that already
    if b"definitions" not in document:
        return
    for problem in await asyncio.to_thread(check_peer_wsdl, bytes(document)):
        findings.bad(name, f"its WSDL: {problem}")
