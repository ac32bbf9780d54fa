"""Studies of several communities: one search, and the images of each from where they are (RAD-75)."""

import re
from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest
from aiohttp import web

from gateway.clients.imaging_source import ImagingDocumentSource
from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION
from gateway.model.images import SeriesWanted
from gateway.model.imaging import RetrieveLocation
from gateway.settings import Settings
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from gateway.wiring.communities import members
from tests.crossborder.neighbours import OWN, home_of, neighbours, never, outcomes, strange
from tests.system.documents import a_patient
from tests.system.imaging import matches
from tests.system.stack import running_gateway, running_stack


def keys_of(stack):
    """The key of a stack, as the setting has it."""
    return (stack.settings.state_dir / "keys").read_text().strip()


@asynccontextmanager
async def studies(folder, seeds, protocol="rad-69", **arguments):
    """A gateway and its neighbours; `seeds` are of the studies of one patient, by community ("" is the own)."""
    patient = a_patient()
    contents = {name: sample_content(seed, patient.id) for name, seed in seeds.items()}
    images = {}
    for name, content in contents.items():
        folders = content.images.write(folder / f"images{name}")
        images[name] = {
            FIRST_LOCATION: (folders[FIRST_LOCATION], protocol),
            SECOND_LOCATION: (folders[SECOND_LOCATION], "wado-rs"),
        }
    others = [name for name in seeds if name]
    theirs = {name: {"images": images[name]} for name in others}
    own = {"images": images[""]} if "" in images else {}
    async with neighbours(folder, *others, theirs=theirs, own=own, **arguments) as around:
        for name, content in contents.items():
            stack = around.by_name[name].stack if name else around.front
            status, answer = await stack.publish(provide_bundle([content.manifest], patient=content.patient))
            assert status == 200, answer
        yield around, contents


async def searched(stack, content, resource="ImagingStudy", **parameters):
    named = {"patient.identifier": content.patient.token, **parameters}
    status, bundle = await stack.get(resource, **named)
    assert status == 200, bundle
    return bundle


async def test_one_search_finds_the_studies_of_all_communities_and_gives_the_images_of_each(tmp_path):
    async with studies(tmp_path, {"": "a", "1": "b", "2": "c"}) as (around, contents):
        bundle = await searched(around.front, contents[""], _include="ImagingStudy:endpoint")
        found = {s["identifier"][0]["value"]: s for s in matches(bundle)}
        assert set(found) == {f"urn:oid:{c.images.study_instance_uid}" for c in contents.values()}
        endpoints = {f"Endpoint/{e['id']}": e["address"] for e in matches(bundle, "include")}
        for content in contents.values():
            study = found[f"urn:oid:{content.images.study_instance_uid}"]
            status, again = await around.front.get(f"ImagingStudy/{study['id']}")
            assert (status, again) == (200, study)
            bases = {endpoints[e["reference"]] for series in study["series"] for e in series["endpoint"]}
            (base,) = bases
            url = f"{base}/studies/{content.images.study_instance_uid}"
            async with around.front.session.get(
                url, headers={"Accept": 'multipart/related; type="application/dicom"'}
            ) as answer:
                body = await answer.read()
                assert answer.status == 200, body
            for _, _, data in content.images.files():
                assert data in body


async def images(stack, url, accept='multipart/related; type="application/dicom"'):
    async with stack.session.get(url, headers={"Accept": accept}) as answer:
        return answer.status, await answer.read()


async def test_images_of_one_study_in_two_communities_stay_two_studies(tmp_path):
    async with studies(tmp_path, {"1": "same", "2": "same"}) as (around, contents):
        content = contents["1"]
        bundle = await searched(around.front, content, _include="ImagingStudy:endpoint")
        found = matches(bundle)
        assert len({study["id"] for study in found}) == len(found) == 2
        endpoints = {f"Endpoint/{e['id']}": e["address"] for e in matches(bundle, "include")}
        for study in found:
            before = {name: dict(around.by_name[name].stack.soap_calls) for name in ("1", "2")}
            (base,) = {endpoints[e["reference"]] for s in study["series"] for e in s["endpoint"]}
            status, body = await images(around.front, f"{base}/studies/{content.images.study_instance_uid}")
            assert status == 200
            assert all(data in body for _, _, data in content.images.files())
            asked = [n for n in ("1", "2") if dict(around.by_name[n].stack.soap_calls) != before[n]]
            assert len(asked) == 1, "the images come from the community of the URL"
        status, bundle = await around.front.get(
            "DocumentReference", **{"patient.identifier": content.patient.token, "status": "current"}
        )
        assert len({e["resource"]["id"] for e in bundle["entry"]}) == 4, "each manifest in both formats"


async def test_a_qido_search_finds_the_studies_of_all_communities(tmp_path):
    async with studies(tmp_path, {"": "a", "1": "b"}) as (around, contents):
        patient = contents[""].patient
        query = f"PatientID={patient.id}&IssuerOfPatientIDQualifiersSequence.UniversalEntityID={patient.authority}"
        status, body = await images(
            around.front, f"{around.front.base_url}/dicomweb/studies?{query}", "application/dicom+json"
        )
        assert status == 200, body
        listed = orjson.loads(body)
        found = {item["0020000D"]["Value"][0]: item["00081190"]["Value"][0] for item in listed}
        assert set(found) == {content.images.study_instance_uid for content in contents.values()}
        for content in contents.values():
            status, body = await images(around.front, found[content.images.study_instance_uid])
            assert status == 200
            assert all(data in body for _, _, data in content.images.files())


async def test_a_consumer_of_rad69_gets_images_of_another_community(tmp_path):
    async with studies(tmp_path, {"1": "b"}) as (around, contents):
        content = contents["1"]
        await searched(around.front, content)
        base = around.front.base_url.removesuffix("/fhir")
        wanted = [
            SeriesWanted(
                content.images.study_instance_uid,
                series.series_instance_uid,
                tuple(image.sop_instance_uid for image in series.images),
                RetrieveLocation(uid=series.location_uid),
                f"{OWN}.1",
            )
            for series in content.images.series
        ]
        async with SoapClient(load_contract()) as soap:
            source = ImagingDocumentSource(soap, Peer("gateway", f"{base}/xds/imaging"))
            got = {}
            async with source.retrieve(wanted, ()) as parts:
                async for part in parts:
                    got[part.sop_instance_uid] = b"".join([chunk async for chunk in part.chunks])
        assert got == {image.sop_instance_uid: data for _, image, data in content.images.files()}


async def test_a_manifest_of_a_community_is_retrieved_in_both_formats(tmp_path):
    async with studies(tmp_path, {"1": "b"}) as (around, contents):
        content = contents["1"]
        found = await around.front.find(patient__identifier=content.patient.token, status="current")
        assert {home_of(r) for r in found} == {f"{OWN}.1"}
        by_type = {r["content"][0]["attachment"]["contentType"]: r for r in found}
        kos, fhir = by_type["application/dicom"], by_type["application/fhir+json"]
        assert (await around.front.download(kos))[2] == content.manifest.content
        status, _, body = await around.front.download(fhir)
        assert status == 200
        bundle = orjson.loads(body)
        endpoints = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Endpoint"]
        addresses = {e["address"] for e in endpoints if e["connectionType"]["code"] == "dicom-wado-rs"}
        assert len(addresses) == 1
        status, _ = await images(
            around.front, f"{addresses.pop()}/studies/{content.images.study_instance_uid}"
        )
        assert status == 200
        status, read = await around.front.get(f"DocumentReference/{fhir['id']}")
        assert (status, read) == (200, fhir)


async def test_urls_and_ids_still_work_after_a_restart_without_redis(tmp_path):
    async with studies(tmp_path, {"1": "b"}) as (around, contents):
        content = contents["1"]
        front = around.front
        bundle = await searched(front, content, _include="ImagingStudy:endpoint")
        (study,) = matches(bundle)
        references = await front.find(patient__identifier=content.patient.token, status="current")
        after = Settings(
            **{
                **front.settings.model_dump(),
                "state_dir": tmp_path / "restarted",
                "security": {**front.settings.security.model_dump(), "keys": [keys_of(front)]},
            }
        )
        async with running_gateway(after) as restarted:

            def there(url):
                return url.replace(front.base_url, restarted.base_url)

            for reference in references:
                status, _ = await images(
                    restarted, there(reference["content"][0]["attachment"]["url"]), "*/*"
                )
                assert status == 200
                assert (await restarted.get(f"DocumentReference/{reference['id']}"))[0] == 200
            for endpoint in matches(bundle, "include"):
                status, body = await images(
                    restarted, there(f"{endpoint['address']}/studies/{content.images.study_instance_uid}")
                )
                assert status == 200
                assert all(data in body for _, _, data in content.images.files())
                assert (await restarted.get(f"Endpoint/{endpoint['id']}"))[0] == 200
            assert (await restarted.get(f"ImagingStudy/{study['id']}"))[0] == 200


async def test_a_manifest_that_a_community_does_not_give_in_time_is_named(tmp_path):
    async with strange(never) as place:
        changes = {"1": {"retrieve_url": f"{place}/", "deadline": 0.5}}
        async with studies(tmp_path, {"": "a", "1": "b"}, changes=changes) as (around, contents):
            bundle = await searched(around.front, contents[""])
    (study,) = matches(bundle)
    assert study["identifier"][0]["value"] == f"urn:oid:{contents[''].images.study_instance_uid}"
    (issue,) = outcomes(bundle)
    assert issue["severity"] == "warning"
    assert "Community 1" in issue["diagnostics"]


async def test_the_token_of_one_community_opens_no_study_of_another(tmp_path):
    async with studies(tmp_path, {"1": "same", "2": "other"}) as (around, contents):
        bundle = await searched(around.front, contents["1"], _include="ImagingStudy:endpoint")
        for endpoint in matches(bundle, "include"):
            statuses = {
                name: (
                    await images(
                        around.front,
                        f"{endpoint['address']}/studies/{content.images.study_instance_uid}",
                    )
                )[0]
                for name, content in contents.items()
            }
            assert sorted(statuses.values()) == [200, 404]


@pytest.mark.parametrize("spelling", ["study", "studies"])
async def test_images_come_by_xc_wado_where_the_settings_say_so(tmp_path, spelling):
    paths = []

    async def responding(request):
        """A Responding Imaging Gateway that maps locations to archives (RAD-160)."""
        pattern = r"/wado-rs/homeCommunityId/([0-9.]+)/RetrieveLocationUID/([0-9.]+)/(study|studies)/(.+)"
        home, uid, named, rest = re.fullmatch(pattern, request.path).groups()
        paths.append((home, uid, named))
        url = f"{archives[uid]}/studies/{rest}"
        headers = {"Accept": request.headers["Accept"]}
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            return web.Response(
                status=answer.status,
                body=await answer.read(),
                headers={"Content-Type": answer.headers["Content-Type"]},
            )

    async with strange(responding) as place:
        changes = {"1": {"wado_url": f"{place}/wado-rs", "wado_studies": spelling, "images_url": None}}
        async with studies(tmp_path, {"1": "b"}, changes=changes, protocol="wado-rs") as (around, contents):
            content = contents["1"]
            imaging = around.by_name["1"].stack.settings.imaging
            archives = {location.uid: location.url for location in imaging.locations}
            bundle = await searched(around.front, content, _include="ImagingStudy:endpoint")
            (base,) = {e["address"] for e in matches(bundle, "include")}
            uid = content.images.study_instance_uid
            status, body = await images(around.front, f"{base}/studies/{uid}")
            assert status == 200
            assert all(data in body for _, _, data in content.images.files())
            one = content.images.series[0]
            path = f"series/{one.series_instance_uid}/instances/{one.images[0].sop_instance_uid}"
            assert (await images(around.front, f"{base}/studies/{uid}/{path}"))[0] == 200
    assert set(paths) == {(f"{OWN}.1"[8:], uid, spelling) for uid in archives}


def located(stack, home, uid, path):
    """The address of images at a location of a community (RAD-160)."""
    bare = home.removeprefix("urn:oid:")
    return f"{stack.base_url}/wado/homeCommunityId/{bare}/RetrieveLocationUID/{uid}/{path}"


async def test_images_are_given_by_community_and_location(tmp_path):
    async with studies(tmp_path, {"": "same", "1": "same"}) as (around, contents):
        content = contents["1"]
        await searched(around.front, content)
        study = content.images.study_instance_uid
        for home in (OWN, f"{OWN}.1"):
            for series in content.images.series:
                files = {
                    image.sop_instance_uid: data
                    for of_series, image, data in content.images.files()
                    if of_series.series_instance_uid == series.series_instance_uid
                }
                url = located(around.front, home, series.location_uid, f"study/{study}")
                status, body = await images(around.front, url)
                assert status == 200
                assert all(data in body for data in files.values())
                one = f"series/{series.series_instance_uid}/instances/{series.images[0].sop_instance_uid}"
                status, body = await images(around.front, f"{url}/{one}")
                assert status == 200
        for home, uid in (("2.999.77", FIRST_LOCATION), (f"{OWN}.1", "2.999.78")):
            status, _ = await images(around.front, located(around.front, home, uid, f"studies/{study}"))
            assert status == 404


async def test_two_gateways_of_this_kind_speak_xc_wado(tmp_path):
    async with studies(tmp_path, {"1": "b"}, protocol="wado-rs") as (around, contents):
        front, content = around.front, contents["1"]
        communities = [each.model_dump() for each in front.settings.communities]
        other = around.by_name["1"].stack
        communities[0] |= {"wado_url": f"{other.base_url}/wado", "images_url": None}
        changed = Settings(**{**front.settings.model_dump(), "communities": communities})
        front.parts.communities.change_to(members(changed, front.parts))
        bundle = await searched(front, content, _include="ImagingStudy:endpoint")
        (base,) = {e["address"] for e in matches(bundle, "include")}
        study = content.images.study_instance_uid
        status, body = await images(front, f"{base}/studies/{study}")
        assert status == 200
        assert all(data in body for _, _, data in content.images.files())


@pytest.mark.parametrize("responding", [True, False])
async def test_images_of_a_study_that_was_not_seen_are_given_to_other_communities_alone(tmp_path, responding):
    own = {"responding_gateway": {"enabled": responding}, "home_community_id": OWN}
    content = sample_content("b", a_patient().id)
    folders = content.images.write(tmp_path / "images")
    places = {
        FIRST_LOCATION: (folders[FIRST_LOCATION], "rad-69"),
        SECOND_LOCATION: (folders[SECOND_LOCATION], "wado-rs"),
    }
    async with running_stack(tmp_path / "stack", images=places, **own) as stack:
        for series in content.images.series:
            path = f"study/{content.images.study_instance_uid}"
            one = f"series/{series.series_instance_uid}/instances/{series.images[0].sop_instance_uid}"
            url = located(stack, OWN, series.location_uid, path)
            status, _ = await images(stack, f"{url}/{one}")
            assert status == (200 if responding else 404)
            status, _ = await images(stack, url)
            lists = places[series.location_uid][1] == "wado-rs"
            assert status == (200 if responding and lists else 404)


async def test_a_manifest_is_read_by_id_in_its_community_alone(tmp_path):
    async with studies(tmp_path, {"": "a", "1": "b", "2": "c"}) as (around, contents):
        found = await around.front.find(
            patient__identifier=contents["1"].patient.token, contenttype="application/dicom"
        )

        def asked():
            stacks = {"": around.front, **{n: other.stack for n, other in around.by_name.items()}}
            return {name: sum(stack.soap_calls.values()) for name, stack in stacks.items()}

        for reference in found:
            before = asked()
            assert (await around.front.get(f"DocumentReference/{reference['id']}"))[0] == 200
            assert (await around.front.download(reference))[0] == 200
            assert sum(count != before[name] for name, count in asked().items()) == 1
