"""Other communities, as they are asked."""

from gateway.clients.community import Community
from gateway.clients.dicomweb import DicomWebClient
from gateway.clients.patient_discovery import Asker, PatientDiscovery
from gateway.clients.responding_gateway import CommunityPeers, RespondingGateway
from gateway.community_settings import CommunitySettings
from gateway.crossborder.communities import CommunityImages, CommunityLegs, Member
from gateway.crossborder.wado import CommunityWado
from gateway.settings import Settings
from gateway.soap.client import SoapClient
from gateway.soap.contract import load_contract
from gateway.wiring.domain import PeerClients, mhd_peer
from gateway.wiring.peers import peer_at


def community_gateways(settings: Settings, clients: PeerClients) -> dict[str, Community]:
    """What each community in the settings is asked through, by every homeCommunityId that it has.

    Raises SettingsError where a key cannot be read.
    """
    gateways: dict[str, Community] = {}
    for number, community in enumerate(settings.communities):
        gateways |= dict.fromkeys(community.homes, _gateway(settings, number, clients))
    return gateways


def _gateway(settings: Settings, number: int, clients: PeerClients) -> Community:
    community = settings.communities[number]
    if community.mhd is None:
        return responding_gateway(settings, community, clients.soap)
    return mhd_peer(
        settings,
        community.mhd,
        f"community {community.name}",
        clients,
        homes=community.homes,
        authorities=community.assigning_authorities,
        key=f"communities.{number}.mhd",
    )


def members(settings: Settings, clients: PeerClients) -> tuple[Member, ...]:
    """The communities of the settings as they are asked. Raises SettingsError where a key cannot be read."""
    gateways = community_gateways(settings, clients)
    return tuple(
        Member(
            community=gateways[each.home_community_id],
            homes=each.homes,
            authorities=frozenset(each.assigning_authorities),
            deadline=each.deadline or settings.fan_out.community_deadline,
            discovery=patient_discovery(settings, each, clients.soap),
            images=_images(each, gateways[each.home_community_id], clients.dicomweb),
        )
        for each in settings.communities
    )


def _images(
    settings: CommunitySettings, community: Community, dicomweb: DicomWebClient
) -> CommunityLegs | None:
    if settings.wado_url is not None:
        peer = peer_at(settings.wado_url, f"community {settings.name}", settings)
        return CommunityWado(dicomweb, peer, settings.wado_studies)
    has_images = settings.images_url or (settings.mhd and settings.mhd.dicomweb_url)
    return CommunityImages(community) if has_images else None


def responding_gateway(
    settings: Settings, community: CommunitySettings, soap: SoapClient
) -> RespondingGateway:
    """One that has a Responding Gateway. Raises ValueError for one that has none."""
    if community.query_url is None:
        raise ValueError("the community has no query_url")
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
