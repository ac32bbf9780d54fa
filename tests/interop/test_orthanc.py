"""Orthanc as the DICOMweb archive behind the gateway.

What a client gets through the gateway is compared with what Orthanc itself gives and with the files that
were stored: Orthanc keeps files as they come, so that both are the same bytes.
"""

import asyncio
from io import BytesIO
from json import loads

import pydicom
import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION
from gateway.model.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, RLE_LOSSLESS
from tests.system.documents import a_patient
from tests.system.imaging import Published
from tests.system.stack import running_stack
from tests.system.test_images import ANY, RELATED, images, parts_of

from .orthanc import OrthancMissingError, orthanc

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("orthanc")
    content = sample_content("a study in Orthanc", a_patient().id)
    archive = orthanc(folder, [data for _, _, data in content.images.files()])
    try:
        url = await asyncio.to_thread(archive.__enter__)
    except OrthancMissingError as missing:
        pytest.skip(str(missing))
    try:
        locations = [
            {"uid": uid, "protocol": "wado-rs", "url": url} for uid in (FIRST_LOCATION, SECOND_LOCATION)
        ]
        async with running_stack(folder / "stack", imaging={"locations": locations}) as stack:
            stack.interfere = None
            status, answer = await stack.publish(provide_bundle([content.manifest], patient=content.patient))
            assert status == 200, answer
            found = await stack.find(patient__identifier=content.patient.token, status="current")
            running = Published(stack, content, f"urn:uuid:{found[0]['id']}")
            running.archive = url
            yield running
    finally:
        await asyncio.to_thread(archive.__exit__, None, None, None)


def dataset(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(BytesIO(data))


async def test_study_series_and_instance_are_the_files_that_were_stored(published):
    assert await images(published, published.url()) == published.files
    for series in published.study.series:
        path = f"{published.path}/series/{series.series_instance_uid}"
        expected = {i.sop_instance_uid: published.files[i.sop_instance_uid] for i in series.images}
        assert await images(published, published.url(path)) == expected
        one = series.images[0].sop_instance_uid
        got = await images(published, published.url(f"{path}/instances/{one}"))
        assert got == {one: published.files[one]}


async def test_the_gateway_gives_what_the_archive_gives(published):
    status, headers, body = await published.get(f"{published.archive}/{published.path}", ANY)
    assert status == 200
    direct = {str(dataset(d).SOPInstanceUID): d for d in _bodies(headers, body)}
    assert await images(published, published.url()) == direct


def _bodies(headers, body: bytes) -> list[bytes]:
    boundary = headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
    parts = body.split(b"--" + boundary)[1:-1]
    return [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts]


async def test_another_transfer_syntax_comes_where_the_archive_makes_it(published):
    pytest.importorskip("numpy", reason="pydicom unpacks RLE with numpy, which is not installed")
    (compressed,) = [s for s in published.study.series if s.transfer_syntax == RLE_LOSSLESS]
    path = f"{published.path}/series/{compressed.series_instance_uid}"
    accept = f"{RELATED}; transfer-syntax={EXPLICIT_LITTLE_ENDIAN}"
    status, headers, body = await published.get(published.url(path), accept)
    assert status == 200, body
    got = parts_of(headers, body)
    assert set(got) == {i.sop_instance_uid for i in compressed.images}
    for uid, data in got.items():
        # the bytes are the archive's own; the picture is the one that was stored
        here, stored = dataset(data), dataset(published.files[uid])
        assert here.file_meta.TransferSyntaxUID == EXPLICIT_LITTLE_ENDIAN
        stored.decompress(generate_instance_uid=False)
        assert here.PixelData == stored.PixelData
        del here.PixelData, stored.PixelData
        assert here == stored


async def test_metadata_are_those_of_the_files_without_addresses_of_the_archive(published):
    status, _, body = await published.get(
        published.url(f"{published.path}/metadata"), "application/dicom+json"
    )
    assert status == 200, body
    assert published.archive.encode() not in body
    described = [pydicom.Dataset.from_json(item) for item in loads(body)]
    assert {str(d.SOPInstanceUID) for d in described} == set(published.files)
    for each in described:
        stored = dataset(published.files[str(each.SOPInstanceUID)])
        for element in stored:
            if element.keyword not in {"PixelData", "SpecificCharacterSet"} and element.VR != "SQ":
                assert each[element.tag].value == element.value


async def test_an_instance_is_rendered_by_the_archive(published):
    series = published.study.series[0]
    path = (
        f"{published.path}/series/{series.series_instance_uid}/instances/{series.images[0].sop_instance_uid}"
    )
    for accept, start in (("image/jpeg", b"\xff\xd8"), ("image/png", b"\x89PNG")):
        status, headers, body = await published.get(published.url(f"{path}/rendered"), accept)
        assert (status, headers["Content-Type"]) == (200, accept)
        assert body.startswith(start)


async def test_what_the_manifest_does_not_list_is_not_there_though_the_archive_has_it(published):
    one = published.study.series[0].images[0].sop_instance_uid
    path = f"{published.path}/series/{published.study.series[1].series_instance_uid}/instances/{one}"
    status, _, _ = await published.get(published.url(path), ANY)
    assert status == 404
