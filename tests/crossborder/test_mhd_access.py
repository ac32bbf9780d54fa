"""A gateway gets access tokens of the MHD server that is its own domain (ITI-71), and shows them (ITI-72)."""

import json

import pytest
from aiohttp import web

from gateway.clients.token_request import ClientKey
from gateway.mhd_settings import MhdServerSettings
from gateway.model import ResponseStatus
from gateway.model.errors import PeerProtocolError
from gateway.model.images import SeriesWanted
from gateway.model.imaging import RetrieveLocation, RetrieveLocationUid
from gateway.model.query import FindDocuments
from gateway.settings import Settings, SettingsError
from gateway.wiring.domain import mhd_peer
from gateway.wiring.parts import open_parts
from tests.crossborder.test_xds_servers import CONTENTS, SERVING, patient, told
from tests.crossborder.xds_consumer import xds_consumer
from tests.system.stack import REPOSITORY, running_gateway, running_stack, site

OPEN = {"access": "open"}


def key_pair(folder):
    """The file of a private key, and what the server has to know of it."""
    _, private = ClientKey.made()
    path = folder / "key.json"
    path.write_text(json.dumps(private))
    return path, {name: value for name, value in private.items() if name != "d"}


def guarded(public, scopes):
    client = {"jwks": {"keys": [public]}, "scopes": scopes}
    return {"access": None, "authorisation_server": {"clients": {"front": client}}}


def front(tmp_path, server, **access):
    return Settings(
        state_dir=tmp_path / "b",
        mhd_domain={
            "base_url": server.base_url,
            "repository_unique_id": REPOSITORY,
            "max_attempts": 1,
            "access": access,
        },
        security=OPEN,
        **SERVING,
    )


async def test_documents_pass_both_ways_with_tokens(tmp_path, assert_valid):
    key_file, public = key_pair(tmp_path)
    section = guarded(public, ["system/*.cruds"])
    async with running_stack(tmp_path / "a", security=section) as server:
        settings = front(tmp_path, server, client_id="front", key_file=key_file, scope="system/*.cruds")
        async with (
            running_gateway(settings) as gateway,
            xds_consumer(gateway.base_url, assert_valid) as client,
        ):
            of = patient()
            made = await told(client, of)
            uid = made[2].entries[0].unique_id
            found = await client.query(FindDocuments(patient_id=of))
            _, contents = await client.retrieve(uid)
    assert [e.unique_id for e in found.entries] == [uid]
    assert contents == {uid: CONTENTS[2]}


@pytest.mark.parametrize("known", [True, False])
async def test_without_a_token_that_does_nothing_is_found_or_stored(tmp_path, assert_valid, known):
    key_file, public = key_pair(tmp_path)
    section = guarded(public, ["system/Patient.r"])
    async with running_stack(tmp_path / "a", security=section) as server:
        access = {"client_id": "front" if known else "stranger", "key_file": key_file}
        settings = front(tmp_path, server, scope="system/Patient.r", **access)
        async with (
            running_gateway(settings) as gateway,
            xds_consumer(gateway.base_url, assert_valid) as client,
        ):
            answer = await client.query(FindDocuments(patient_id=patient()))
            calls = sum(server.soap_calls.values())
    assert answer.status is ResponseStatus.FAILURE
    assert [e.code for e in answer.errors] == ["XDSRegistryError" if known else "XDSRegistryNotAvailable"]
    assert calls == 0


async def test_a_key_that_cannot_be_used_stops_the_start_and_names_its_setting(tmp_path):
    (tmp_path / "key.json").write_text("{}")
    access = {"client_id": "front", "key_file": tmp_path / "key.json"}
    community = {
        "home_community_id": "2.999.2",
        "name": "b",
        "mhd": {"base_url": "https://b.example/fhir", "access": access},
    }
    settings = Settings(
        state_dir=tmp_path,
        home_community_id="2.999.1",
        communities=[community],
        mhd_domain={"base_url": "https://a.example/fhir"},
        security=OPEN,
    )
    with pytest.raises(SettingsError, match=r"communities\.0\.mhd\.access\.key_file"):
        async with open_parts(settings):
            pass


@pytest.mark.parametrize("here", [True, False])
async def test_images_are_asked_for_with_what_is_shown_at_the_same_host_alone(tmp_path, here):
    (tmp_path / "header").write_text("Bearer secret")
    seen = []

    async def nothing(request):
        seen.append((request.path, request.headers.get("Authorization")))
        return web.Response(status=404)

    app, uid = web.Application(), RetrieveLocationUid("2.999.3")
    app.router.add_get("/dicomweb/{rest:.*}", nothing)
    wanted = SeriesWanted("2.999.1", "2.999.2", ("2.999.4",), RetrieveLocation(uid=uid))
    async with site(app) as url:
        server = MhdServerSettings(
            base_url=f"{url if here else 'https://elsewhere.example'}/fhir",
            dicomweb_url=f"{url}/dicomweb",
            access={"header_file": tmp_path / "header"},
        )
        own = {"base_url": "https://a.example/fhir"}
        settings = Settings(state_dir=tmp_path, security=OPEN, mhd_domain=own)
        async with open_parts(settings) as parts:
            peer = mhd_peer(settings, server, "server", parts, key="mhd_domain")
            async with peer.images([wanted]) as items:
                assert [item.code async for item in items] == ["HTTP 404"]
    path = "/dicomweb/studies/2.999.1/series/2.999.2/instances/2.999.4"
    assert seen == [(path, "Bearer secret" if here else None)]


@pytest.mark.parametrize("ends", [True, False])
async def test_a_token_that_an_archive_does_not_take_any_more_is_renewed_once(tmp_path, ends):
    key_file, _ = key_pair(tmp_path)
    given, shown = [], []

    async def configuration(request):
        return web.json_response({"token_endpoint": f"http://{request.host}/token"})

    async def token(_):
        given.append(f"t{len(given)}")
        return web.json_response({"access_token": given[-1], "token_type": "bearer", "expires_in": 300})

    async def archive(request):
        shown.append(request.headers["Authorization"])
        status = 401 if shown[-1] == "Bearer t0" or not ends else 404
        return web.Response(status=status, headers={"WWW-Authenticate": 'Bearer realm="MARK"'})

    app = web.Application()
    app.router.add_get("/fhir/.well-known/smart-configuration", configuration)
    app.router.add_post("/token", token)
    app.router.add_get("/dicomweb/{rest:.*}", archive)
    wanted = SeriesWanted(
        "2.999.1", "2.999.2", ("2.999.4",), RetrieveLocation(uid=RetrieveLocationUid("2.999.3"))
    )
    async with site(app) as url:
        server = MhdServerSettings(
            base_url=f"{url}/fhir",
            dicomweb_url=f"{url}/dicomweb",
            max_attempts=1,
            access={"client_id": "front", "key_file": key_file},
        )
        settings = Settings(
            state_dir=tmp_path, security=OPEN, mhd_domain={"base_url": "https://a.example/fhir"}
        )
        async with open_parts(settings) as parts:
            peer = mhd_peer(settings, server, "server", parts, key="mhd_domain")
            if ends:
                async with peer.images([wanted]) as items:
                    assert [item.code async for item in items] == ["HTTP 404"]
            else:
                with pytest.raises(PeerProtocolError, match="does not let this gateway in") as refused:
                    async with peer.images([wanted]):
                        pass
                assert "MARK" not in str(refused.value)
    assert shown == ["Bearer t0", "Bearer t1"]
