"""The own domain, for what speaks to it by XDS: registry and repositories, or an MHD server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson

from gateway.clients.community import Documents, Queries
from gateway.clients.dicomweb import DicomWebClient, DicomWebSource
from gateway.clients.document_domain import DocumentDomain, DocumentRecipient, XdsDomain
from gateway.clients.fhir_access import Anonymous, BackendServices, FhirAccess, HeaderFile
from gateway.clients.fhir_server import FhirClient, FhirServer
from gateway.clients.image_leg import ImageLeg
from gateway.clients.mhd_peer import MhdPeer
from gateway.clients.mhd_resources import MhdRules
from gateway.clients.outside_resources import OutsidePolicy
from gateway.clients.token_request import ClientKey, TokenRequestError
from gateway.mhd_settings import MhdAccessSettings, MhdServerSettings
from gateway.patient_manager_settings import PatientManagerSettings
from gateway.settings import Settings, SettingsError
from gateway.soap.client import SoapClient
from gateway.tls import Context, default_context
from gateway.wiring.fhir import terminology
from gateway.wiring.peers import document_registry, document_repositories, peer_at
from gateway.wiring.tls import context_of


class PeerClients(Protocol):
    """What speaks to peers, for as long as the gateway runs."""

    @property
    def soap(self) -> SoapClient: ...
    @property
    def dicomweb(self) -> DicomWebClient: ...
    @property
    def fhir(self) -> FhirClient: ...


@dataclass(frozen=True, slots=True)
class Clients:
    """`PeerClients` and nothing else."""

    soap: SoapClient
    dicomweb: DicomWebClient
    fhir: FhirClient


def document_domain(settings: Settings, parts: PeerClients) -> DocumentDomain:
    """The own domain. Raises SettingsError where a key cannot be read."""
    if settings.mhd_domain is not None:
        return _own_server(settings, settings.mhd_domain, parts)
    return xds_domain(settings, parts.soap)


def _own_server(settings: Settings, server: MhdServerSettings, parts: PeerClients) -> MhdPeer:
    homes = (settings.home_community_id,) if settings.home_community_id else ()
    return mhd_peer(settings, server, "mhd domain", parts, homes=homes, key="mhd_domain")


def own_registry(settings: Settings, parts: PeerClients) -> Queries:
    """What answers stored queries of the own domain."""
    if settings.mhd_domain is None:
        return document_registry(settings, parts.soap)
    return document_domain(settings, parts)


def own_documents(settings: Settings, parts: PeerClients) -> Mapping[str, Documents]:
    """What gives documents of the own domain, by repositoryUniqueId."""
    if settings.mhd_domain is None:
        return document_repositories(settings, parts.soap)
    server = _own_server(settings, settings.mhd_domain, parts)
    return {server.unique_id: server}


def own_recipient(settings: Settings, parts: PeerClients) -> DocumentRecipient:
    """What takes the documents of clients."""
    if settings.mhd_domain is None:
        return document_repositories(settings, parts.soap)[settings.publish_repository.unique_id]
    return _own_server(settings, settings.mhd_domain, parts)


def domain_images(settings: Settings, parts: PeerClients) -> ImageLeg | None:
    """What has the images of the own domain, but for those of `imaging.locations`."""
    server = settings.mhd_domain
    if server is None:
        return None
    tls = context_of(server.tls or settings.security.tls)
    return _images(server, "mhd domain", parts.dicomweb, "mhd_domain", tls)


def xds_domain(settings: Settings, soap: SoapClient) -> XdsDomain:
    """Registry and repositories."""
    repositories = document_repositories(settings, soap)
    return XdsDomain(
        document_registry(settings, soap), repositories, repositories[settings.publish_repository.unique_id]
    )


def mhd_peer(
    settings: Settings,
    server: MhdServerSettings,
    name: str,
    parts: PeerClients,
    *,
    homes: tuple[str, ...] = (),
    authorities: tuple[str, ...] = (),
    key: str,
) -> MhdPeer:
    """One MHD server. `key` names its settings. Raises SettingsError where its key cannot be read."""
    rules = MhdRules(
        by_get=server.search == "get",
        most=server.max_results,
        lists=server.lists,
        authorities=authorities or tuple(settings.terminology.assigning_authorities.values()),
        homes=homes,
        targeted=server.targeted and bool(homes),
    )
    tls = context_of(server.tls or settings.security.tls)
    return MhdPeer(
        parts.fhir,
        fhir_server(
            server,
            name,
            key,
            tls=tls,
            via=(settings.home_community_id,) if settings.home_community_id else (),
        ),
        terminology(settings),
        repository_unique_id=server.repository_unique_id,
        rules=rules,
        images=_images(server, name, parts.dicomweb, key, tls),
    )


def fhir_server(
    server: MhdServerSettings | PatientManagerSettings,
    name: str,
    key: str,
    *,
    tls: Context = default_context,
    via: tuple[str, ...] = (),
) -> FhirServer:
    """The HTTP side of a FHIR server. Raises SettingsError where its key cannot be read."""
    hosts = frozenset(server.allowed_hosts)
    peer = peer_at(server.base_url, name, server, via)
    bare = FhirServer(peer, hosts=hosts)
    return FhirServer(peer, _access(server.access, bare, f"{key}.access", tls), hosts)


def _access(access: MhdAccessSettings, server: FhirServer, key: str, tls: Context) -> FhirAccess:
    if access.header_file is not None:
        return HeaderFile(access.header_file)
    if access.client_id is None or access.key_file is None:
        return Anonymous()
    try:
        own = ClientKey(orjson.loads(access.key_file.read_bytes()))
    except OSError as error:
        raise SettingsError(f"{key}.key_file: {access.key_file}: {error.strerror}") from None
    except orjson.JSONDecodeError:
        raise SettingsError(f"{key}.key_file: {access.key_file}: is not JSON") from None
    except TokenRequestError as error:
        raise SettingsError(f"{key}.key_file: {error}") from None
    policy = OutsidePolicy(hosts=server.hosts)

    def allows(endpoint: str) -> bool:
        return server.is_own(endpoint) or policy.allows(endpoint)

    return BackendServices(server.peer.url, access.client_id, own, access.scope, allows=allows, tls=tls)


def _images(
    server: MhdServerSettings, name: str, client: DicomWebClient, key: str, tls: Context
) -> DicomWebSource | None:
    """Its WADO-RS, which is shown what its FHIR side is shown where it is at the same host."""
    if server.dicomweb_url is None:
        return None
    peer = peer_at(server.dicomweb_url, name, server)
    fhir = fhir_server(server, name, key, tls=tls)
    if not fhir.is_own(server.dicomweb_url):
        return DicomWebSource(client, peer)
    return DicomWebSource(client, peer, access=fhir.access)
