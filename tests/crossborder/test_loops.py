"""A request that comes back to a gateway by FHIR is found out: a community whose own domain is the MHD server of the
gateway that asks it."""

from contextlib import asynccontextmanager

from gateway.demo.bundles import provide_bundle
from gateway.settings import Settings
from gateway.soap.via import COMMUNITIES_HEADER
from gateway.wiring.communities import members
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_gateway, running_stack

FIRST, SECOND = "urn:oid:2.999.5", "urn:oid:2.999.6"


@asynccontextmanager
async def in_a_circle(tmp_path):
    """The first community asks the second by XCA, which asks the first by MHD."""
    async with running_stack(tmp_path / "1", home_community_id=FIRST) as first:
        settings = Settings(
            state_dir=tmp_path / "2",
            home_community_id=SECOND,
            responding_gateway={"enabled": True},
            mhd_domain={"base_url": first.base_url, "max_attempts": 1},
        )
        async with running_gateway(settings) as second:
            url = second.base_url.removesuffix("/fhir") + "/xca/gateway"
            other = {"home_community_id": SECOND, "name": "second", "query_url": url, "max_attempts": 1}
            own = {"base_url": first.base_url}
            asking = Settings(home_community_id=FIRST, communities=[other], mhd_domain=own)
            first.parts.communities.change_to(members(asking, first.parts))
            yield first


async def test_a_search_that_comes_back_ends_and_finds_what_there_is_once(tmp_path):
    async with in_a_circle(tmp_path) as first:
        patient, document = a_patient(), a_document()
        status, answer = await first.publish(provide_bundle([document], patient=patient))
        assert status == 200, answer
        first.soap_calls.clear()
        status, bundle = await first.get(
            "DocumentReference", **{"patient.identifier": patient.token, "status": "current"}
        )
    assert status == 200, bundle
    modes = [entry["search"]["mode"] for entry in bundle["entry"]]
    assert (modes.count("match"), modes.count("outcome")) == (1, 1)
    assert "second" in str(bundle["entry"][-1]["resource"])
    assert first.soap_calls["/xds/registry"] < 10


async def test_a_request_that_names_this_community_is_refused_and_one_through_others_is_not(tmp_path):
    async with running_stack(tmp_path, home_community_id=FIRST) as stack:
        url = f"{stack.base_url}/DocumentReference?patient.identifier=urn:oid:2.999.1.1|nobody"
        for named, expected in ((f"{SECOND}, {FIRST}", 508), (SECOND, 200), ("nonsense", 200)):
            async with stack.session.get(url, headers={COMMUNITIES_HEADER: named}) as answer:
                body = await answer.json(content_type=None)
                assert answer.status == expected, body
        assert body["resourceType"] == "Bundle"
