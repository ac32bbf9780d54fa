"""Images over the whole stack: a manifest in the registry, instances at a source that speaks RAD-69 and at one
that speaks WADO-RS, and clients that know nothing of either."""

from email import message_from_bytes
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from gateway.clients.imaging_source import ImagingDocumentSource
from gateway.demo.bundles import provide_bundle
from gateway.dicom.part10 import read_file_meta
from gateway.model.images import ImagePart, SeriesWanted
from gateway.model.imaging import RetrieveLocation
from gateway.model.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, RLE_LOSSLESS
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract

from .documents import a_document, a_patient
from .imaging import Published, published_study
from .stack import beside

pytestmark = pytest.mark.asyncio(loop_scope="module")

RELATED = 'multipart/related; type="application/dicom"'
ANY = f"{RELATED}; transfer-syntax=*"


async def images(published: Published, url: str, accept: str = ANY) -> dict[str, bytes]:
    """Files by SOP Instance UID; each part has to say in which transfer syntax it is."""
    status, headers, body = await published.get(url, accept)
    assert status == 200, body
    return parts_of(headers, body)


def parts_of(headers: Any, body: bytes) -> dict[str, bytes]:
    """Read with the standard library, which knows nothing of ours."""
    message = message_from_bytes(b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body)
    found: dict[str, bytes] = {}
    boundary = message.get_boundary().encode()
    for raw in body.split(b"--" + boundary)[1:-1]:
        head, _, content = raw.partition(b"\r\n\r\n")
        content = content.removesuffix(b"\r\n")
        meta = read_file_meta(content)
        assert f"transfer-syntax={meta.transfer_syntax}".encode() in head
        found[meta.sop_instance_uid] = content
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    async with published_study(tmp_path_factory.mktemp("images"), "images over the whole stack") as running:
        yield running


async def test_a_study_comes_whole_from_both_sources_byte_for_byte(published):
    assert await images(published, published.url()) == published.files


async def test_series_and_instances_come_by_their_uids(published):
    for series in published.study.series:
        path = f"{published.path}/series/{series.series_instance_uid}"
        expected = {i.sop_instance_uid: published.files[i.sop_instance_uid] for i in series.images}
        assert await images(published, published.url(path)) == expected
        one = series.images[0].sop_instance_uid
        assert await images(published, published.url(f"{path}/instances/{one}")) == {
            one: published.files[one]
        }


async def test_one_instance_may_be_the_body_itself(published):
    series = published.study.series[0]
    one = series.images[1].sop_instance_uid
    url = published.url(f"{published.path}/series/{series.series_instance_uid}/instances/{one}")
    status, headers, body = await published.get(url, "application/dicom")
    assert (status, body) == (200, published.files[one])
    assert headers["Content-Type"] == f"application/dicom; transfer-syntax={EXPLICIT_LITTLE_ENDIAN}"


async def test_wado_uri_gives_the_same_instance(published):
    series = published.study.series[2]
    one = series.images[0].sop_instance_uid
    query = (
        f"?requestType=WADO&studyUID={published.study.study_instance_uid}"
        f"&seriesUID={series.series_instance_uid}&objectUID={one}&contentType=application/dicom"
    )
    status, _, body = await published.get(published.url("x").removesuffix("/x") + query, "*/*")
    assert (status, body) == (200, published.files[one])


async def test_a_client_that_knows_only_the_study_gets_what_has_been_seen(published):
    await images(published, published.url())
    url = f"{published.stack.base_url}/dicomweb/{published.path}"
    assert await images(published, url) == published.files
    status, _, body = await published.get(f"{published.stack.base_url}/dicomweb/studies/2.999.404", ANY)
    assert status == 404
    assert b"Search for it first" in body


async def test_a_study_that_was_not_seen_is_found_by_its_patient(published, tmp_path):
    """Another gateway with the same keys, which has nothing in its Redis: it asks the registry."""
    (found, *_) = await published.stack.find(
        patient__identifier=published.content.patient.token, status="current"
    )
    patient = found["subject"]["reference"]
    other = a_patient()
    await published.stack.publish(provide_bundle([a_document()], patient=other))
    (elsewhere,) = await published.stack.find(patient__identifier=other.token, status="current")
    async with beside(published.stack, tmp_path) as gateway:
        url = f"{gateway.base_url}/dicomweb/{published.path}"
        for nobody in ("", f"?patient={elsewhere['subject']['reference']}", "?patient=Patient/x"):
            status, _, body = await published.get(url + nobody, ANY)
            assert status == 404, body
        assert b"patient" in body
        series = published.study.series[2]
        one = series.images[0].sop_instance_uid
        query = (
            f"?requestType=WADO&studyUID={published.study.study_instance_uid}&patient={patient}"
            f"&seriesUID={series.series_instance_uid}&objectUID={one}&contentType=application/dicom"
        )
        status, _, body = await published.get(f"{gateway.base_url}/dicomweb{query}", "*/*")
        assert (status, body) == (200, published.files[one])
        assert await images(published, f"{url}?patient={patient}") == published.files
        assert await images(published, url) == published.files, "it was seen then"
        status, _, _ = await published.get(f"{url}?patient={elsewhere['subject']['reference']}", ANY)
        assert status == 404, "seen, and not of that patient"


async def test_only_what_is_stored_in_an_accepted_transfer_syntax_is_sent(published):
    coronal = published.study.series[1]
    assert coronal.transfer_syntax == RLE_LOSSLESS
    accept = f"{RELATED}; transfer-syntax={RLE_LOSSLESS}"
    path = f"{published.path}/series/{coronal.series_instance_uid}"
    assert len(await images(published, published.url(path), accept)) == len(coronal.images)
    status, _, body = await published.get(
        published.url(path), f"{RELATED}; transfer-syntax={EXPLICIT_LITTLE_ENDIAN}"
    )
    assert status == 406, body
    status, headers, body = await published.get(published.url(), accept)
    assert status == 206
    assert set(parts_of(headers, body)) == {i.sop_instance_uid for i in coronal.images}
    assert headers["Warning"].startswith("299 - ")


async def test_the_manifest_is_fetched_once_for_all_requests(published):
    await images(published, published.url())
    before = published.stack.soap_calls["/xds/repository"]
    for _ in range(3):
        await images(published, published.url())
    assert published.stack.soap_calls["/xds/repository"] == before


async def test_metadata_come_from_the_archive_and_name_only_the_gateway(published):
    series = published.study.series[2]
    url = published.url(f"{published.path}/series/{series.series_instance_uid}/metadata")
    async with published.stack.session.get(url, headers={"Accept": "application/dicom+json"}) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/dicom+json"
        found = await answer.json(content_type=None)
    assert {i["00080018"]["Value"][0] for i in found} == {i.sop_instance_uid for i in series.images}
    assert all(i["00081190"]["Value"] == [url.removesuffix("/metadata")] for i in found)
    assert "BulkDataURI" not in str(found)
    whole = published.url(f"{published.path}/metadata")
    async with published.stack.session.get(whole) as answer:
        assert answer.status == 206
    behind_soap = published.url(
        f"{published.path}/series/{published.study.series[0].series_instance_uid}/metadata"
    )
    async with published.stack.session.get(behind_soap) as answer:
        assert answer.status == 501


@pytest.mark.parametrize(
    "path",
    [
        "studies/2.999.1",
        "studies/{study}/series/2.999.1",
        "studies/{study}/series/{series}/instances/2.999.1",
        "studies/{study}/series/{other}/instances/{sop}",
    ],
)
async def test_what_the_manifest_does_not_list_is_not_found(published, path):
    first, second = published.study.series[0], published.study.series[2]
    named = path.format(
        study=published.study.study_instance_uid,
        series=first.series_instance_uid,
        other=second.series_instance_uid,
        sop=first.images[0].sop_instance_uid,
    )
    status, _, body = await published.get(published.url(named), ANY)
    assert status == 404
    assert b"OperationOutcome" in body


async def test_an_altered_address_opens_nothing(published):
    url = published.url()
    token = url.split("/wado/")[1].split("/")[0]
    other = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    status, _, body = await published.get(url.replace(token, other), ANY)
    assert status == 404
    assert b"Search again" in body


async def test_a_manifest_that_is_gone_from_its_repository_opens_nothing(published):
    gone = replace(published.key, document_unique_id="2.999.404")
    status, _, body = await published.get(published.url(key=gone), ANY)
    assert status == 404, body


async def test_a_source_that_fails_leaves_the_rest_and_says_so(published):
    from aiohttp import web

    async def refuse(request):
        return web.Response(status=500) if request.path == "/xds/imaging" else None

    published.stack.interfere = refuse
    try:
        status, headers, body = await published.get(published.url(), ANY)
        assert status == 206
        assert set(parts_of(headers, body)) == {i.sop_instance_uid for i in published.study.series[2].images}
        series = published.study.series[0].series_instance_uid
        status, _, body = await published.get(published.url(f"{published.path}/series/{series}"), ANY)
        assert status == 502, body
        assert b"imaging source" in body
    finally:
        published.stack.interfere = None


async def test_a_consumer_that_speaks_rad_69_alone_gets_the_same_from_both_sources(published):
    await images(published, published.url())
    wanted = [
        SeriesWanted(
            published.study.study_instance_uid,
            series.series_instance_uid,
            tuple(i.sop_instance_uid for i in series.images),
            RetrieveLocation(uid=series.location_uid),
        )
        for series in published.study.series
    ]
    found: dict[str, bytes] = {}
    async with SoapClient(load_contract()) as soap:
        url = published.stack.base_url.removesuffix("/fhir") + "/xds/imaging"
        async with ImagingDocumentSource(soap, Peer("gateway", url)).retrieve(wanted) as items:
            async for item in items:
                assert isinstance(item, ImagePart)
                found[item.sop_instance_uid] = b"".join([chunk async for chunk in item.chunks])
    assert found == published.files
