"""The SOAP servers of the gateway: for other communities, and for consumers and sources of XDS.b."""

from gateway.clients.outside_resources import OutsidePolicy
from gateway.crossborder.images import CrossGatewayImages
from gateway.crossborder.own_community import OwnCommunity
from gateway.crossborder.patients import CrossGatewayPatients
from gateway.crossborder.query import CrossGatewayQuery
from gateway.crossborder.retrieve import CrossGatewayRetrieve
from gateway.crossborder.xds_registry import XdsRegistry
from gateway.crossborder.xds_repository import XdsRepository
from gateway.imaging.retrieve import ImageRetriever, RetrievePolicy
from gateway.settings import Settings
from gateway.soap.contract import load_contract
from gateway.soap.late_replies import LateReplies
from gateway.soap.server import ServiceLimits, SoapService
from gateway.wiring.domain import document_domain, domain_images
from gateway.wiring.fan_out import every_registry
from gateway.wiring.imaging import image_grants, locations
from gateway.wiring.parts import Parts
from gateway.wiring.patient_manager import managed_patients
from gateway.wiring.resources import stored_note
from gateway.wiring.tls import usual_tls

GATEWAY_PATH = "/xca/gateway"
PATIENTS_PATH = "/xca/patients"
IMAGES_PATH = "/xca-i/imaging"
REGISTRY_PATH = "/xds/registry"
REPOSITORY_PATH = "/xds/repository"
_LARGEST_REQUEST = 16 * 1024 * 1024


def responding_services(settings: Settings, parts: Parts) -> dict[str, SoapService]:
    """What answers other communities, by path; each to be closed in the end. Empty where it is not wanted."""
    if not settings.responding_gateway.enabled or settings.home_community_id is None:
        return {}
    community = OwnCommunity(settings.home_community_id)
    domain = document_domain(settings, parts)
    query = CrossGatewayQuery(community, domain)
    own = settings.patient_discovery
    managed = managed_patients(settings, parts, community.home)
    patients = CrossGatewayPatients(community, domain, own.processing, own.time_to_live, managed)
    retrieve = CrossGatewayRetrieve(community, domain)
    policy = RetrievePolicy(status_wait=settings.imaging.status_wait)
    places = locations(settings, parts.soap, parts.dicomweb, otherwise=domain_images(settings, parts))
    images = CrossGatewayImages(
        community, ImageRetriever(places, policy), image_grants(settings, parts.imaging)
    )
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
        path: SoapService(
            load_contract(),
            on_path,
            spool,
            limits,
            LateReplies(allowed.allows, tls=usual_tls(settings)),
            record=parts.record,
        )
        for path, on_path in handlers.items()
    }


def xds_services(settings: Settings, parts: Parts) -> dict[str, SoapService]:
    """What answers consumers and sources of XDS.b, by path; each to be closed in the end."""
    own = settings.xds_server
    if not own.enabled:
        return {}
    domain = document_domain(settings, parts)
    community = OwnCommunity(settings.home_community_id) if settings.home_community_id else None
    everywhere = every_registry(settings, parts, domain)
    registry = XdsRegistry(everywhere, parts.communities, community)
    repository = XdsRepository(domain, parts.communities, community, stored_note(settings, parts.imaging))
    spool = settings.state_dir / "spool"
    queries = ServiceLimits(request=_LARGEST_REQUEST, envelope=_LARGEST_REQUEST)
    documents = ServiceLimits(request=own.max_request_bytes, spooled=own.spool_bytes)
    return {
        REGISTRY_PATH: SoapService(
            load_contract(), {"ITI-18": registry.query}, spool, queries, record=parts.record
        ),
        REPOSITORY_PATH: SoapService(
            load_contract(),
            {"ITI-43": repository.retrieve, "ITI-41": repository.provide},
            spool,
            documents,
            record=parts.record,
        ),
    }
