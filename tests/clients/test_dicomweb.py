"""WADO-RS as a way to images: what is asked for, and each thing that archives answer."""

import pytest
from aiohttp import web

from gateway.clients.dicomweb import DicomWebClient, DicomWebSource, accept_dicom
from gateway.model.errors import PeerBusy, PeerDisconnected, PeerProtocolError, PeerUnreachable
from gateway.model.images import ImageError, ImagePart, SeriesWanted
from gateway.model.imaging import RetrieveLocation
from tests.dicom.files import EXPLICIT_LE, image_file
from tests.imaging.archives import Archive, peer

STUDY, SERIES = "2.999.5", "2.999.5.1"
SOPS = tuple(f"2.999.5.1.{n}" for n in range(1, 7))
FILES = {(STUDY, SERIES, sop): image_file(STUDY, SERIES, sop, fill=sop[-1:].encode()) for sop in SOPS}


def wanted(*sops: str, whole: bool = False) -> list[SeriesWanted]:
    return [SeriesWanted(STUDY, SERIES, sops, RetrieveLocation(), whole=whole)]


async def retrieved(archive: Archive, series: list[SeriesWanted], syntaxes=(), **limits):
    """Bytes by SOP Instance UID, and the errors."""
    parts: dict[str | None, bytes] = {}
    errors: list[ImageError] = []
    async with (
        archive.serve() as url,
        DicomWebClient() as client,
        DicomWebSource(client, peer(url, **limits)).retrieve(series, syntaxes) as items,
    ):
        async for item in items:
            if isinstance(item, ImagePart):
                assert item.transfer_syntax == EXPLICIT_LE
                parts[item.sop_instance_uid] = b"".join([chunk async for chunk in item.chunks])
            else:
                errors.append(item)
    return parts, errors


async def test_a_whole_series_is_one_request_and_comes_byte_for_byte():
    archive = Archive(FILES)
    parts, errors = await retrieved(archive, wanted(*SOPS, whole=True))
    assert parts == {sop: content for (_, _, sop), content in FILES.items()}
    assert errors == []
    assert archive.requests == [f"/dicomweb/studies/{STUDY}/series/{SERIES}"]


async def test_single_instances_are_asked_for_one_by_one_in_order():
    archive = Archive(FILES)
    parts, errors = await retrieved(archive, wanted(*SOPS[:3]))
    assert list(parts) == list(SOPS[:3])
    assert errors == []
    assert len(archive.requests) == 3


@pytest.mark.parametrize("single", [True, False])
async def test_an_instance_may_come_without_multipart(single):
    archive = Archive(FILES, single_part=single)
    parts, _ = await retrieved(archive, wanted(SOPS[0]))
    assert parts == {SOPS[0]: FILES[STUDY, SERIES, SOPS[0]]}


async def test_many_instances_never_hold_more_places_than_there_are():
    archive = Archive(FILES)
    parts, _ = await retrieved(archive, wanted(*SOPS), max_in_flight=2)
    assert len(parts) == len(SOPS)
    assert archive.most_open <= 2


async def test_what_the_archive_does_not_give_is_named():
    archive = Archive(FILES, gone=frozenset(SOPS[2:4]))
    parts, errors = await retrieved(archive, wanted(*SOPS, whole=True))
    assert len(parts) == 4
    assert errors == [ImageError("archive", "missing", sop) for sop in SOPS[2:4]]
    parts, errors = await retrieved(archive, wanted(*SOPS[1:3]))
    assert list(parts) == [SOPS[1]]
    assert errors == [ImageError("archive", "HTTP 404", SOPS[2])]


async def test_more_than_the_manifest_lists_is_passed_on():
    parts, errors = await retrieved(Archive(FILES), wanted(*SOPS[:2], whole=True))
    assert set(parts) == set(SOPS)
    assert errors == []


async def test_transfer_syntaxes_are_asked_for_in_order():
    archive = Archive(FILES)
    await retrieved(archive, wanted(SOPS[0]), ("1.2.840.10008.1.2.4.70", EXPLICIT_LE))
    assert archive.accepts == [
        'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.70; q=1, '
        f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT_LE}; q=0.1'
    ]
    assert accept_dicom(()) == 'multipart/related; type="application/dicom"; transfer-syntax=*'


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, PeerProtocolError), (302, PeerProtocolError), (503, PeerBusy), (429, PeerBusy)],
)
async def test_an_archive_that_fails_is_told_from_one_without_the_images(status, error):
    archive = Archive(FILES, answer=lambda _: web.Response(status=status, headers={"Location": "http://x/"}))
    with pytest.raises(error):
        await retrieved(archive, wanted(*SOPS, whole=True))


async def test_an_answer_that_breaks_off_is_an_error_and_never_a_short_series():
    with pytest.raises(PeerDisconnected):
        await retrieved(Archive(FILES, cut_after=2), wanted(*SOPS, whole=True))


@pytest.mark.parametrize(
    "response",
    [
        lambda: web.Response(text="<html>sign in</html>", content_type="text/html"),
        lambda: web.Response(body=b"no dicom at all", content_type="application/dicom"),
        lambda: web.Response(body=b"x", headers={"Content-Type": "multipart/related"}),
    ],
)
async def test_what_is_no_dicom_is_refused(response):
    with pytest.raises(PeerProtocolError):
        await retrieved(Archive(FILES, answer=lambda _: response()), wanted(*SOPS, whole=True))


async def test_an_archive_that_is_down_is_told_at_once():
    async with DicomWebClient() as client:
        with pytest.raises(PeerUnreachable):
            async with DicomWebSource(client, peer("http://127.0.0.1:9")).retrieve(wanted(*SOPS), ()):
                raise AssertionError("nothing was opened")


@pytest.mark.parametrize("uid", ["../../etc", "1.2/../3", "1.2?x=", "", "1.2#"])
async def test_what_is_no_uid_never_becomes_a_path(uid):
    archive = Archive(FILES)
    with pytest.raises(ValueError, match="UID"):
        await retrieved(archive, wanted(uid))
    assert archive.requests == []


async def test_leaving_early_ends_the_answer_and_frees_the_place():
    archive = Archive(FILES)
    async with archive.serve() as url, DicomWebClient() as client:
        source = DicomWebSource(client, peer(url, max_in_flight=1, total_timeout=3.0))
        for _ in range(3):
            async with source.retrieve(wanted(*SOPS), ()) as items:
                async for item in items:
                    assert isinstance(item, ImagePart)
                    break
