"""The embedded imaging document source over sockets: RAD-69 with each of its refusals, and WADO-RS."""

import asyncio
import json
import zlib
from contextlib import asynccontextmanager

import aiohttp
import pytest

from gateway.affinity.options import AffinityOptions, ImageLocation, image_location
from gateway.clients.imaging_source import ImagingDocumentSource
from gateway.dicom.image_header import read_image_header
from gateway.dicom.part10 import NotDicom
from gateway.ebxml.imaging_retrieve import write_imaging_request
from gateway.ebxml.retrieve import read_retrieve_response
from gateway.model import ImageRequest, ImageSetRequest, ResponseStatus
from gateway.model.images import ImageError, SeriesWanted
from gateway.model.imaging import RetrieveLocation
from gateway.multipart import MultipartReader, parse_media_type
from gateway.soap.client import Peer
from gateway.soap.contract import load_contract
from gateway.soap.envelope import ANONYMOUS, write_envelope
from tests.affinity.client import running
from tests.affinity.samples import HOME, REPOSITORY
from tests.dicom.files import EXPLICIT_LE, image_file

A, B, STUDY = "2.999.20.1", "2.999.20.2", "2.999.21"
RLE = "1.2.840.10008.1.2.5"
IMAGES = {
    (A, "2.999.22.1", "2.999.23.1"): EXPLICIT_LE,
    (A, "2.999.22.1", "2.999.23.2"): EXPLICIT_LE,
    (A, "2.999.22.2", "2.999.23.3"): RLE,
    (B, "2.999.22.3", "2.999.23.4"): EXPLICIT_LE,
}
CONTENTS = {
    sop: image_file(STUDY, series, sop, syntax=syntax, size=700_000, fill=sop.encode())
    for (_, series, sop), syntax in IMAGES.items()
}
ONE, TWO, COMPRESSED, ELSEWHERE = CONTENTS


@asynccontextmanager
async def domain(tmp_path, *, b_rad69=True, **options):
    for location, series, sop in IMAGES:
        place = tmp_path / location / series
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{sop}.dcm").write_bytes(CONTENTS[sop])
    locations = (ImageLocation(A, tmp_path / A), ImageLocation(B, tmp_path / B, rad69=b_rad69))
    given = {"state_dir": tmp_path / "state", "repository_unique_id": REPOSITORY, **options}
    async with running(AffinityOptions(image_locations=locations, **given)) as client:
        yield client


def wanted(sop, location=A, study=STUDY, series=None, home=None):
    known = next((s for (_, s, one) in IMAGES if one == sop), "2.999.22.1")
    return ImageRequest(location, study, series or known, sop, home)


async def ask(client, *images, syntaxes=(EXPLICIT_LE, RLE)):
    """The answer, and contents by SOP Instance UID."""
    body = write_imaging_request(ImageSetRequest(tuple(images), tuple(syntaxes)))
    contents = {}
    async with client.soap.open(Peer("source", f"{client.base}/xds/imaging"), "RAD-69", body) as reply:
        answer = read_retrieve_response(reply.body)
        uids = iter([d.header.document_unique_id for d in answer.documents])
        async for part in reply.parts():
            contents[next(uids)] = b"".join([chunk async for chunk in part])
    return answer, contents


def told(answer):
    return [(error.code, error.location) for error in answer.errors]


# --- RAD-69, the cases that a source is tested with -------------------------------------------------------


async def test_each_image_comes_byte_for_byte_with_the_ids_of_its_request(tmp_path):
    async with domain(tmp_path) as client:
        answer, contents = await ask(client, wanted(TWO), wanted(ONE), wanted(COMPRESSED))
    assert answer.status is ResponseStatus.SUCCESS
    assert answer.errors == ()
    assert contents == {uid: CONTENTS[uid] for uid in (TWO, ONE, COMPRESSED)}
    assert [
        (d.header.repository_unique_id, d.header.document_unique_id, d.header.mime_type)
        for d in answer.documents
    ] == [(A, uid, "application/dicom") for uid in (TWO, ONE, COMPRESSED)]


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (wanted(ONE, location="2.999.20.9"), "XDSUnknownRepositoryId"),
        (wanted(ONE, location=REPOSITORY), "XDSUnknownRepositoryId"),
        (wanted(ONE, study="2.999.21.9"), "XDSDocumentUniqueIdError"),
        (wanted(ONE, series="2.999.22.2"), "XDSDocumentUniqueIdError"),
        (wanted("2.999.23.9"), "XDSDocumentUniqueIdError"),
        (wanted(ELSEWHERE, location=A), "XDSDocumentUniqueIdError"),
        (wanted(ONE, home="urn:oid:2.999.6"), "XDSUnknownCommunity"),
    ],
    ids=["location", "the document repository", "study", "series", "instance", "at another location", "community"],
)  # fmt: skip
@pytest.mark.parametrize("beside", [True, False])
async def test_what_is_wrong_is_refused_and_takes_nothing_else_along(tmp_path, image, code, beside):
    async with domain(tmp_path, home_community_id=HOME) as client:
        answer, contents = await ask(client, image, *([wanted(TWO)] if beside else []))
    assert told(answer) == [(code, image.sop_instance_uid)]
    assert answer.status is (ResponseStatus.PARTIAL if beside else ResponseStatus.FAILURE)
    assert contents == ({TWO: CONTENTS[TWO]} if beside else {})


@pytest.mark.parametrize(
    "field", ["location_uid", "study_instance_uid", "series_instance_uid", "sop_instance_uid"]
)
async def test_an_empty_uid_is_an_error_of_the_request(tmp_path, field):
    names = ("location_uid", "study_instance_uid", "series_instance_uid", "sop_instance_uid")
    values = dict(zip(names, (A, STUDY, "2.999.22.1", ONE), strict=True)) | {field: ""}
    async with domain(tmp_path) as client:
        answer, _ = await ask(client, ImageRequest(**values), wanted(TWO))
    assert (answer.status, answer.documents) == (ResponseStatus.FAILURE, ())
    assert [error.code for error in answer.errors] == ["XDSIRequestError"]


async def test_an_image_comes_in_a_listed_transfer_syntax_or_not_at_all(tmp_path):
    async with domain(tmp_path) as client:
        answer, contents = await ask(client, wanted(ONE), wanted(COMPRESSED), syntaxes=[EXPLICIT_LE])
    assert told(answer) == [("XDSRepositoryError", COMPRESSED)]
    assert "urn:dicom:wado:0007" in answer.errors[0].context
    assert answer.status is ResponseStatus.PARTIAL
    assert contents == {ONE: CONTENTS[ONE]}


async def test_several_locations_may_be_asked_at_once(tmp_path):
    async with domain(tmp_path) as client:
        answer, contents = await ask(client, wanted(ONE), wanted(ELSEWHERE, location=B))
    assert answer.status is ResponseStatus.SUCCESS
    assert contents == {ONE: CONTENTS[ONE], ELSEWHERE: CONTENTS[ELSEWHERE]}


async def test_a_location_that_speaks_wado_only_is_unknown_here(tmp_path):
    async with domain(tmp_path, b_rad69=False) as client:
        answer, contents = await ask(client, wanted(ONE), wanted(ELSEWHERE, location=B))
    assert told(answer) == [("XDSUnknownRepositoryId", ELSEWHERE)]
    assert list(contents) == [ONE]


@pytest.mark.parametrize("home", [None, HOME])
async def test_the_community_is_returned_where_it_was_given(tmp_path, home):
    async with domain(tmp_path, home_community_id=HOME) as client:
        answer, _ = await ask(client, wanted(ONE, home=home))
    assert [d.header.home_community_id for d in answer.documents] == [home]


async def test_an_image_that_is_asked_for_twice_comes_once(tmp_path):
    async with domain(tmp_path) as client:
        answer, _ = await ask(client, wanted(ONE), wanted(ONE))
    assert [d.header.document_unique_id for d in answer.documents] == [ONE]


@pytest.mark.parametrize(
    ("sop", "media_type"), [(ONE, "multipart/related"), ("2.999.23.9", "application/soap+xml")]
)
async def test_a_request_in_simple_soap_has_images_as_attachments_and_errors_without(
    tmp_path, sop, media_type
):
    transaction = load_contract()["RAD-69"]
    body = write_imaging_request(ImageSetRequest((wanted(sop),), (EXPLICIT_LE,)))
    envelope = write_envelope(body, action=transaction.action, message_id="urn:uuid:1", reply_to=ANONYMOUS)
    async with domain(tmp_path) as client, aiohttp.ClientSession() as http:
        headers = {"Content-Type": "application/soap+xml"}
        async with http.post(f"{client.base}/xds/imaging", data=envelope, headers=headers) as answer:
            assert answer.status == 200
            assert answer.content_type == media_type
            content = await answer.read()
    assert (CONTENTS[ONE] in content) is (sop == ONE)
    assert (b"XDSDocumentUniqueIdError" in content) is (sop != ONE)


async def test_our_own_client_reads_it_in_several_requests(tmp_path):
    async with domain(tmp_path) as client:
        source = ImagingDocumentSource(client.soap, Peer("source", f"{client.base}/xds/imaging"))
        series = [
            SeriesWanted(STUDY, "2.999.22.1", (ONE, TWO, "2.999.23.9"), RetrieveLocation(uid=A)),
            SeriesWanted(STUDY, "2.999.22.2", (COMPRESSED,), RetrieveLocation(uid=A)),
        ]
        got, errors = {}, []
        async with source.retrieve(series) as items:
            async for item in items:
                if isinstance(item, ImageError):
                    errors.append((item.sop_instance_uid, item.code))
                else:
                    got[item.sop_instance_uid] = b"".join([chunk async for chunk in item.chunks])
    assert got == {uid: CONTENTS[uid] for uid in (ONE, TWO, COMPRESSED)}
    assert errors == [("2.999.23.9", "XDSDocumentUniqueIdError")]


async def test_a_domain_without_images_has_no_imaging_source(tmp_path):
    async with running(AffinityOptions(tmp_path, REPOSITORY)) as client, aiohttp.ClientSession() as http:
        for path in ("/xds/imaging", f"/dicomweb/{A}/studies/{STUDY}"):
            async with http.get(client.base + path) as answer:
                assert answer.status == 404


# --- the folder -----------------------------------------------------------------------------------------


async def test_files_that_come_change_and_go_are_seen(tmp_path):
    new = image_file(STUDY, "2.999.22.1", "2.999.23.8")
    changed = image_file(STUDY, "2.999.22.1", ONE, size=10)
    async with domain(tmp_path, seconds_between_looks=0.0) as client:
        (tmp_path / A / "new.dcm").write_bytes(new)
        (tmp_path / A / "2.999.22.1" / f"{ONE}.dcm").write_bytes(changed)
        (tmp_path / A / "2.999.22.1" / f"{TWO}.dcm").unlink()
        answer, contents = await ask(client, wanted("2.999.23.8"), wanted(ONE), wanted(TWO))
    assert contents == {"2.999.23.8": new, ONE: changed}
    assert told(answer) == [("XDSDocumentUniqueIdError", TWO)]


@pytest.mark.filterwarnings("ignore:End of file")
async def test_what_is_no_instance_is_passed_over(tmp_path):
    (tmp_path / A).mkdir()
    (tmp_path / A / "notes.txt").write_text("no DICOM")
    (tmp_path / A / "empty").touch()
    (tmp_path / A / "cut.dcm").write_bytes(CONTENTS[ONE][:200])
    (tmp_path / A / "broken.dcm").write_bytes(CONTENTS[ONE][:160] + b"\xff" * 500)
    (tmp_path / A / "dangling").symlink_to("nowhere")
    async with domain(tmp_path) as client:
        answer, _ = await ask(client, wanted(ONE))
    assert answer.status is ResponseStatus.SUCCESS


def test_a_header_is_read_without_the_rest_of_the_file(tmp_path):
    (tmp_path / "a").write_bytes(CONTENTS[COMPRESSED][:2000])
    header = read_image_header(tmp_path / "a")
    assert (header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid) == (
        STUDY,
        "2.999.22.2",
        COMPRESSED,
    )
    assert (header.transfer_syntax, header.sop_class_uid) == (RLE, "1.2.840.10008.5.1.4.1.1.2")


def test_a_deflated_file_is_read_and_inflated_only_at_its_beginning(tmp_path):
    plain = image_file(STUDY, "2.999.22.1", ONE, syntax="1.2.840.10008.1.2.1.99", size=100)
    path = tmp_path / "a"
    path.write_bytes(plain)
    assert read_image_header(path).sop_instance_uid == ONE
    start = 132 + 12 + int.from_bytes(plain[140:144], "little")
    deflate = zlib.compressobj(wbits=-15)
    element = b"\x08\x00\x05\x00UT\0\0" + (1 << 30).to_bytes(4, "little")
    bomb = deflate.compress(element + bytes(1 << 26)) + deflate.flush()
    path.write_bytes(plain[:start] + bomb)
    with pytest.raises(NotDicom):
        read_image_header(path)


@pytest.mark.parametrize("text", ["2.999.1", "2.999.1=", "abc=/tmp", "2.999.1=/no/such/folder"])
def test_a_location_that_cannot_be_is_refused(text):
    with pytest.raises(ValueError):
        image_location(text)


def test_a_location_has_one_folder(tmp_path):
    with pytest.raises(ValueError, match="one folder"):
        AffinityOptions(
            tmp_path,
            REPOSITORY,
            image_locations=(ImageLocation(A, tmp_path), ImageLocation(f"urn:oid:{A}", tmp_path)),
        )


# --- WADO-RS ----------------------------------------------------------------------------------------------


ANY = 'multipart/related; type="application/dicom"; transfer-syntax=*'


async def wado(client, path, accept=ANY):
    """Status, headers and, of multipart answers, the parts as (media type, content)."""
    headers = {} if accept is None else {"Accept": accept}
    async with (
        aiohttp.ClientSession(skip_auto_headers=["Accept"]) as http,
        http.get(f"{client.base}/dicomweb/{path}", headers=headers) as answer,
    ):
        media = parse_media_type(answer.headers["Content-Type"])
        if media.name != "multipart/related":
            return answer.status, answer.headers, await answer.read()
        reader = MultipartReader(answer.content.iter_any(), media.parameters["boundary"])
        parts = []
        while (part := await reader.next_part()) is not None:
            parts.append((part.headers["content-type"], b"".join([chunk async for chunk in part])))
        return answer.status, answer.headers, parts


@pytest.mark.parametrize(
    ("path", "uids"),
    [
        (f"{A}/studies/{STUDY}", (ONE, TWO, COMPRESSED)),
        (f"{B}/studies/{STUDY}", (ELSEWHERE,)),
        (f"{A}/studies/{STUDY}/series/2.999.22.1", (ONE, TWO)),
        (f"{A}/studies/{STUDY}/series/2.999.22.1/instances/{TWO}", (TWO,)),
    ],
)
@pytest.mark.parametrize(
    "accept", [ANY, "*/*", None, "text/html, multipart/related; transfer-syntax=*; q=0.5"]
)
async def test_instances_are_sent_as_they_are_stored(tmp_path, path, uids, accept):
    async with domain(tmp_path) as client:
        status, headers, parts = await wado(client, path, accept)
    assert status == 200
    assert [content for _, content in parts] == [CONTENTS[uid] for uid in uids]
    syntaxes = {sop: syntax for (_, _, sop), syntax in IMAGES.items()}
    assert [kind for kind, _ in parts] == [
        f"application/dicom; transfer-syntax={syntaxes[uid]}" for uid in uids
    ]
    assert parse_media_type(headers["Content-Type"]).parameters["type"] == "application/dicom"


async def test_what_has_no_acceptable_transfer_syntax_is_left_out_with_a_warning(tmp_path):
    async with domain(tmp_path) as client:
        status, headers, parts = await wado(
            client, f"{A}/studies/{STUDY}", 'multipart/related; type="application/dicom"'
        )
        nothing, _, _ = await wado(
            client, f"{A}/studies/{STUDY}/series/2.999.22.2", 'multipart/related; type="application/dicom"'
        )
    assert (status, [content for _, content in parts]) == (206, [CONTENTS[ONE], CONTENTS[TWO]])
    assert "1 instances" in headers["Warning"]
    assert nothing == 406


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        (f"{A}/studies/2.999.21.9", ANY, 404),
        (f"{A}/studies/{STUDY}/series/2.999.22.3", ANY, 404),
        (f"{A}/studies/{STUDY}/series/2.999.22.2/instances/{ONE}", ANY, 404),
        (f"2.999.20.9/studies/{STUDY}", ANY, 404),
        (f"{A}/studies/..%2F..", ANY, 400),
        (f"{A}/studies/{STUDY}", "image/jpeg", 406),
        (f"{A}/studies/{STUDY}", 'multipart/related; type="image/jpeg"', 406),
        (f"{A}/studies/{STUDY}", f"{ANY}; q=0", 406),
        (f"{A}/studies/{STUDY}/metadata", "application/dicom+xml", 406),
    ],
)
async def test_what_is_not_there_or_not_offered_is_told_in_one_line(tmp_path, path, accept, status):
    async with domain(tmp_path) as client:
        found, _, text = await wado(client, path, accept)
    assert found == status
    assert text.count(b"\n") == 1


async def test_a_location_that_speaks_rad_69_only_has_no_wado(tmp_path):
    locations = (ImageLocation(A, tmp_path, wado_rs=False),)
    (tmp_path / "a.dcm").write_bytes(CONTENTS[ONE])
    async with running(AffinityOptions(tmp_path / "state", REPOSITORY, image_locations=locations)) as client:
        assert (await wado(client, f"{A}/studies/{STUDY}"))[0] == 404


async def test_metadata_is_dicom_json_without_long_values(tmp_path):
    async with domain(tmp_path) as client:
        status, headers, text = await wado(client, f"{A}/studies/{STUDY}/metadata", "application/dicom+json")
    assert (status, headers["Content-Type"]) == (200, "application/dicom+json")
    listed = json.loads(text)
    assert [item["00080018"]["Value"] for item in listed] == [[ONE], [TWO], [COMPRESSED]]
    assert all("00291010" not in item for item in listed)


async def test_a_client_that_leaves_ends_the_answer_and_the_source_goes_on(tmp_path):
    async with domain(tmp_path) as client:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{client.base}/dicomweb/{A}/studies/{STUDY}", headers={"Accept": ANY}) as answer,
        ):
            await answer.content.readany()
        await asyncio.sleep(0)
        assert (await wado(client, f"{A}/studies/{STUDY}"))[0] == 200
