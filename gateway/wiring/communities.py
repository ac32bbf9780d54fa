"""Other communities, and the gateway that answers them."""

from gateway.clients.community import Community
from gateway.clients.dicomweb import DicomWebClient
from gateway.clients.outside_resources import OutsidePolicy
from gateway.clients.patient_discovery import Asker, PatientDiscovery
from gateway.clients.responding_gateway import CommunityPeers, RespondingGateway
from gateway.community_settings import CommunitySettings
from gateway.crossborder.communities import CommunityImages, Member
from gateway.crossborder.images import CrossGatewayImages
from gateway.crossborder.own_community import OwnCommunity
from gateway.crossborder.patients import CrossGatewayPatients
from gateway.crossborder.query import CrossGatewayQuery
from gateway.crossborder.retrieve import CrossGatewayRetrieve
from gateway.crossborder.xds_registry import XdsRegistry
from gateway.crossborder.xds_repository import XdsRepository
from gateway.imaging.retrieve import ImageRetriever, RetrievePolicy
from gateway.settings import Settings
from gateway.soap.client import SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.late_replies import LateReplies
from gateway.soap.observed import Record, unrecorded
from gateway.soap.server import ServiceLimits, SoapService
from gateway.wiring.imaging import locations
from gateway.wiring.peers import document_domain, peer_at

GATEWAY_PATH = "/xca/gateway"
PATIENTS_PATH = "/xca/patients"
IMAGES_PATH = "/xca-i/imaging"
REGISTRY_PATH = "/xds/registry"
REPOSITORY_PATH = "/xds/repository"
_LARGEST_REQUEST = 16 * 1024 * 1024


def community_gateways(settings: Settings, soap: SoapClient) -> dict[str, Community]:
    """What each community in the settings is asked through, by every homeCommunityId that it has."""
    gateways: dict[str, Community] = {}
    for community in settings.communities:
        gateway = responding_gateway(settings, community, soap)
        gateways |= dict.fromkeys(community.homes, gateway)
    return gateways


def members(settings: Settings, soap: SoapClient) -> tuple[Member, ...]:
    """The communities of the settings as they are asked."""
    gateways = community_gateways(settings, soap)
    return tuple(
        Member(
            community=gateways[each.home_community_id],
            homes=each.homes,
            authorities=frozenset(each.assigning_authorities),
            deadline=each.deadline or settings.fan_out.community_deadline,
            discovery=patient_discovery(settings, each, soap),
            images=CommunityImages(gateways[each.home_community_id]) if each.images_url else None,
        )
        for each in settings.communities
    )


def responding_gateway(
    settings: Settings, community: CommunitySettings, soap: SoapClient
) -> RespondingGateway:
    """One of them."""
    name = f"community {community.name}"
    via = (settings.home_community_id,) if settings.home_community_id else ()
    peers = CommunityPeers(
        query=peer_at(community.query_url, name, community, via),
        retrieve=peer_at(community.retrieve_url or community.query_url, name, community, via),
        images=peer_at(community.images_url, name, community, via) if community.images_url else None,
    )
    return RespondingGateway(
        soap,
        load_contract(),
        peers,
        community.home_community_id,
        further_homes=community.further_home_community_ids,
        quirks=community.quirks,
    )


def patient_discovery(
    settings: Settings, community: CommunitySettings, soap: SoapClient
) -> PatientDiscovery | None:
    """Who looks for patients there; None where the settings have no patients_url."""
    if community.patients_url is None or settings.home_community_id is None:
        return None
    via = (settings.home_community_id,)
    peer = peer_at(community.patients_url, f"community {community.name}", community, via)
    own = settings.patient_discovery
    return PatientDiscovery(
        soap, peer, Asker(settings.home_community_id, own.authority, own.processing), community.homes
    )


def responding_services(
    settings: Settings, soap: SoapClient, dicomweb: DicomWebClient, record: Record = unrecorded
) -> dict[str, SoapService]:
    """What answers other communities, by path; each to be closed in the end. Empty where it is not wanted."""
    if not settings.responding_gateway.enabled or settings.home_community_id is None:
        return {}
    community = OwnCommunity(settings.home_community_id)
    domain = document_domain(settings, soap)
    query = CrossGatewayQuery(community, domain)
    patients = CrossGatewayPatients(community, domain, settings.patient_discovery.processing)
    retrieve = CrossGatewayRetrieve(community, domain)
    policy = RetrievePolicy(status_wait=settings.imaging.status_wait)
    images = CrossGatewayImages(community, ImageRetriever(locations(settings, soap, dicomweb), policy))
    limits = ServiceLimits(
        request=_LARGEST_REQUEST, envelope=_LARGEST_REQUEST, spooled=settings.responding_gateway.spool_bytes
    )
    handlers = {
        GATEWAY_PATH: {"ITI-38": query.query, "ITI-39": retrieve.retrieve},
        PATIENTS_PATH: {"ITI-55": patients.discover},
        IMAGES_PATH: {"RAD-75": images.retrieve},
    }
    spool = settings.state_dir / "spool"
    allowed = OutsidePolicy(hosts=frozenset(settings.responding_gateway.reply_to_hosts))
    return {
        path: SoapService(load_contract(), on_path, spool, limits, LateReplies(allowed.allows), record=record)
        for path, on_path in handlers.items()
    }


def xds_services(settings: Settings, soap: SoapClient, record: Record = unrecorded) -> dict[str, SoapService]:
    """What answers consumers and sources of XDS.b, by path; each to be closed in the end."""
    own = settings.xds_server
    if not own.enabled:
        return {}
    domain = document_domain(settings, soap)
    community = OwnCommunity(settings.home_community_id) if settings.home_community_id else None
    registry, repository = XdsRegistry(domain, community), XdsRepository(domain, community)
    spool = settings.state_dir / "spool"
    queries = ServiceLimits(request=_LARGEST_REQUEST, envelope=_LARGEST_REQUEST)
    documents = ServiceLimits(request=own.max_request_bytes, spooled=own.spool_bytes)
    return {
        REGISTRY_PATH: SoapService(
            load_contract(), {"ITI-18": registry.query}, spool, queries, record=record
        ),
        REPOSITORY_PATH: SoapService(
            load_contract(),
            {"ITI-43": repository.retrieve, "ITI-41": repository.provide},
            spool,
            documents,
            record=record,
        ),
    }
