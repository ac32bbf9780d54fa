"""The communities of the settings, each with its gateway under every homeCommunityId that it has."""

from gateway.settings import Settings
from gateway.soap.client import SoapClient
from gateway.soap.contract import load_contract
from gateway.wiring.communities import community_gateways, patient_discovery
from gateway.wiring.domain import Clients
from gateway.wiring.servers import responding_services

URL = "http://127.0.0.1:9/"
PEERS = {"registry": {"url": URL}, "repositories": [{"unique_id": "2.999.10.1", "url": URL}]}
B = {"home_community_id": "2.999.2", "name": "b", "query_url": URL}


async def test_a_community_is_reached_by_each_of_its_ids():
    further = B | {"further_home_community_ids": ["2.999.21"], "patients_url": URL}
    other = B | {"home_community_id": "2.999.3", "name": "c"}
    settings = Settings(**PEERS, home_community_id="2.999.1", communities=[further, other])
    async with SoapClient(load_contract()) as soap:
        gateways = community_gateways(settings, Clients(soap, None, None))
        discoveries = [patient_discovery(settings, each, soap) for each in settings.communities]
    assert [(home, gateway.name) for home, gateway in gateways.items()] == [
        ("urn:oid:2.999.2", "community b"),
        ("urn:oid:2.999.21", "community b"),
        ("urn:oid:2.999.3", "community c"),
    ]
    assert gateways["urn:oid:2.999.2"] is gateways["urn:oid:2.999.21"]
    assert [discovery is not None for discovery in discoveries] == [True, False]


async def test_nothing_answers_other_communities_unless_it_is_wanted():
    settings = Settings(**PEERS, home_community_id="2.999.1", communities=[B])
    assert responding_services(settings, None) == {}
