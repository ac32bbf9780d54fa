"""The homeCommunityId of the registry reaches the client, and comes back with the retrieve."""

from aiohttp import web

from gateway.demo.bundles import provide_bundle
from gateway.ebxml.retrieve import read_retrieve_request
from gateway.model import codes
from gateway.safe_xml import parse_xml
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_gateway, running_stack

COMMUNITY = "urn:oid:2.999.9.1"


async def test_what_the_own_registry_gives_without_one_has_that_of_the_settings(tmp_path):
    async with running_stack(tmp_path) as before:
        patient, document = a_patient(), a_document()
        bundle = provide_bundle([document], patient=patient)
        status, answer = await before.publish(bundle)
        assert status == 200, answer
        asked = {"patient__identifier": patient.token, "status": "current"}
        (nameless,) = await before.find(**asked)
        assert "extension" not in nameless
        changes = {"home_community_id": COMMUNITY, "state_dir": tmp_path / "named"}
        (tmp_path / "named").mkdir()
        keys = before.settings.state_dir / "keys"
        (tmp_path / "named" / "keys").write_text(keys.read_text())
        server = before.settings.server.model_copy(update={"base_url": before.base_url})
        settings = before.settings.model_copy(update={**changes, "server": server})
        async with running_gateway(settings) as named:
            (found,) = await named.find(**asked)
            assert found["extension"] == [{"url": codes.EXT_HOME_COMMUNITY, "valueOid": COMMUNITY}]
            # what was handed out goes on being what it was
            assert {n: v for n, v in found.items() if n != "extension"} == nameless
            (lists,) = await named.find_lists(**asked)
            assert {"url": codes.EXT_HOME_COMMUNITY, "valueOid": COMMUNITY} in lists["extension"]
            url = found["content"][0]["attachment"]["url"]
            async with named.session.get(url.replace(before.base_url, named.base_url)) as downloaded:
                assert await downloaded.read() == document.content


async def test_it_is_carried_from_the_registry_to_the_client_and_back_to_the_repository(tmp_path):
    async with running_stack(tmp_path, community=COMMUNITY) as stack:
        patient, document = a_patient(), a_document()
        status, answer = await stack.publish(provide_bundle([document], patient=patient))
        assert status == 200, answer
        (found,) = await stack.find(patient__identifier=patient.token, status="current")
        assert found["extension"] == [{"url": codes.EXT_HOME_COMMUNITY, "valueOid": COMMUNITY}]
        assert (await stack.download(found))[2] == document.content

        asked = []

        async def overhear(request):
            if request.path != "/xds/repository":
                return None
            body = await request.read()
            start = body.index(b"<", body.index(b"\r\n\r\n"))
            envelope = parse_xml(body[start : body.rindex(b">") + 1])
            (message,) = envelope.findall(f".//{{{codes.NS_XDS}}}RetrieveDocumentSetRequest")
            asked.extend(read_retrieve_request(message))
            return web.Response(status=500)

        stack.interfere = overhear
        assert (await stack.download(found))[0] == 502
        assert {request.home_community_id for request in asked} == {COMMUNITY}
