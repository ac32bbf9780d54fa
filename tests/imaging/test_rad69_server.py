"""RAD-69 of the gateway over sockets: from a source that speaks RAD-69 and from one that speaks WADO-RS, for what
a manifest grants."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web

from gateway.affinity.options import AffinityOptions, ImageLocation
from gateway.clients.community import DocumentPlaces
from gateway.clients.dicomweb import DicomWebClient, DicomWebSource
from gateway.clients.imaging_source import ImagingDocumentSource
from gateway.correlation.manifests import ManifestStore
from gateway.demo.content import sample_content
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION
from gateway.dicom.kos_reader import read_kos
from gateway.ebxml.imaging_retrieve import write_imaging_request
from gateway.ebxml.retrieve import read_retrieve_response
from gateway.imaging.grants import Grants
from gateway.imaging.manifests import Manifests
from gateway.imaging.plan import Locations
from gateway.imaging.rad69_server import ImagingFacade
from gateway.imaging.retrieve import ImageRetriever
from gateway.model import ImageRequest, ImageSetRequest, ResponseStatus
from gateway.model.images import ImageError, SeriesWanted
from gateway.model.imaging import RetrieveLocation
from gateway.model.transfer_syntaxes import ANY, EXPLICIT_LITTLE_ENDIAN
from gateway.security.study_urls import StudyKey, StudyTokens
from gateway.soap.client import Peer
from gateway.soap.contract import load_contract
from gateway.soap.server import ServiceLimits, SoapService
from tests.affinity.client import running
from tests.affinity.samples import HOME, REPOSITORY
from tests.clients.test_imaging_source import attached
from tests.clients.test_repository import error, retrieved
from tests.correlation.conftest import RING
from tests.soap.wire import RELATED, document_part, raw_peer, related, root_part

CONTENT = sample_content("rad69")
STUDY = CONTENT.images
FILES = {image.sop_instance_uid: content for _, image, content in STUDY.files()}
AXIAL, CORONAL, LUNG, KEYS = STUDY.series
KEY = StudyKey(
    study_instance_uid=STUDY.study_instance_uid,
    repository_unique_id=REPOSITORY,
    document_unique_id=CONTENT.manifest.unique_id,
    entry_uuid="urn:uuid:1",
)


class Facade:
    def __init__(self, soap, url, folders):
        self.soap = soap
        self.peer = Peer("gateway", url)
        self.folders = folders

    async def ask(self, *images, syntaxes=ANY):
        """The answer, and contents by SOP Instance UID."""
        body = write_imaging_request(ImageSetRequest(tuple(images), tuple(syntaxes)))
        contents = {}
        async with self.soap.open(self.peer, "RAD-69", body) as reply:
            answer = read_retrieve_response(reply.body)
            uids = iter([d.header.document_unique_id for d in answer.documents])
            async for part in reply.parts():
                contents[next(uids)] = b"".join([chunk async for chunk in part])
        return answer, contents


@asynccontextmanager
async def facade(
    open_store,
    tmp_path,
    *,
    remembered=True,
    reachable=(FIRST_LOCATION, SECOND_LOCATION),
    spooled=None,
    first_source=None,
):
    folders = STUDY.write(tmp_path)
    locations = (
        ImageLocation(FIRST_LOCATION, folders[FIRST_LOCATION], wado_rs=False),
        ImageLocation(SECOND_LOCATION, folders[SECOND_LOCATION], rad69=False),
    )
    options = AffinityOptions(
        tmp_path / "state", REPOSITORY, image_locations=locations, seconds_between_looks=0.0
    )
    async with AsyncExitStack() as stack:
        domain = await stack.enter_async_context(running(options))
        dicomweb = await stack.enter_async_context(DicomWebClient())
        store = ManifestStore(await stack.enter_async_context(open_store()), 60)
        if remembered:
            await store.remember(KEY, read_kos(CONTENT.manifest.content))
        legs = {
            FIRST_LOCATION: ImagingDocumentSource(
                domain.soap, Peer("pacs", first_source or f"{domain.base}/xds/imaging", max_attempts=1)
            ),
            SECOND_LOCATION: DicomWebSource(
                dicomweb, Peer("archive", f"{domain.base}/dicomweb/{SECOND_LOCATION}")
            ),
        }
        grants = Grants(StudyTokens(RING), Manifests(DocumentPlaces({}), store, {}, max_bytes=1), store)
        retriever = ImageRetriever(Locations({uid: legs[uid] for uid in reachable}))
        handlers = ImagingFacade(grants, retriever, home_community_id=HOME).handlers
        service = SoapService(load_contract(), handlers, tmp_path / "spool", ServiceLimits(spooled=spooled))
        stack.callback(service.close)
        app = web.Application()

        async def handle(request: web.Request) -> web.StreamResponse:
            return await service(request)

        app.router.add_route("*", "/xds/imaging", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Facade(domain.soap, f"http://127.0.0.1:{runner.addresses[0][1]}/xds/imaging", folders)


def of(series, *numbers, **changes):
    images = [i for i in series.images if not numbers or i.number in numbers]
    fields = {
        "location_uid": series.location_uid,
        "study_instance_uid": STUDY.study_instance_uid,
        "series_instance_uid": series.series_instance_uid,
    }
    return [ImageRequest(**{**fields, "sop_instance_uid": i.sop_instance_uid, **changes}) for i in images]


EVERYTHING = [image for series in STUDY.series for image in of(series)]


async def test_a_study_comes_from_both_kinds_of_sources_byte_for_byte_in_the_order_of_the_request(
    open_store, tmp_path
):
    async with facade(open_store, tmp_path) as gateway:
        answer, contents = await gateway.ask(*EVERYTHING)
        reversed_answer, _ = await gateway.ask(*reversed(EVERYTHING))
    assert (answer.status, answer.errors) == (ResponseStatus.SUCCESS, ())
    assert contents == FILES
    order = [image.sop_instance_uid for image in EVERYTHING]
    assert [d.header.document_unique_id for d in answer.documents] == order
    assert [d.header.document_unique_id for d in reversed_answer.documents] == order[::-1]
    assert {(d.header.document_unique_id, d.header.repository_unique_id) for d in answer.documents} == {
        (image.sop_instance_uid, image.location_uid) for image in EVERYTHING
    }


async def test_nothing_is_left_in_the_spool_once_an_answer_has_been_sent(open_store, tmp_path):
    async with facade(open_store, tmp_path, spooled=sum(map(len, FILES.values()))) as gateway:
        for _ in range(3):
            answer, _ = await gateway.ask(*EVERYTHING)
            assert answer.status is ResponseStatus.SUCCESS
        async with asyncio.timeout(20):
            while [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]:
                await asyncio.sleep(0.01)


async def test_what_is_not_asked_for_does_not_come_from_an_archive_either(open_store, tmp_path):
    async with facade(open_store, tmp_path) as gateway:
        answer, contents = await gateway.ask(*of(LUNG, 2))
    assert answer.status is ResponseStatus.SUCCESS
    assert list(contents) == [LUNG.images[1].sop_instance_uid]


ONE = of(AXIAL, 1)[0]
OTHER = of(AXIAL, 2)[0]


def changed(**fields):
    return of(AXIAL, 1, **fields)[0]


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (changed(location_uid="2.999.9.9"), "XDSUnknownRepositoryId"),
        (changed(location_uid=REPOSITORY), "XDSUnknownRepositoryId"),
        (changed(location_uid=SECOND_LOCATION), "XDSUnknownRepositoryId"),
        (changed(study_instance_uid="2.999.9.9"), "XDSDocumentUniqueIdError"),
        (changed(series_instance_uid="2.999.9.9"), "XDSDocumentUniqueIdError"),
        (changed(series_instance_uid=CORONAL.series_instance_uid), "XDSDocumentUniqueIdError"),
        (changed(sop_instance_uid="2.999.9.9"), "XDSDocumentUniqueIdError"),
        (changed(home_community_id="urn:oid:2.999.9.9"), "XDSUnknownCommunity"),
    ],
    ids=["location", "document repository", "location of another series", "study", "series", "other series", "instance", "community"],
)  # fmt: skip
@pytest.mark.parametrize("beside", [True, False])
async def test_what_no_manifest_grants_is_refused_and_takes_nothing_else_along(
    open_store, tmp_path, image, code, beside
):
    async with facade(open_store, tmp_path) as gateway:
        answer, contents = await gateway.ask(image, *([OTHER] if beside else []))
    assert [(error.code, error.location) for error in answer.errors] == [(code, image.sop_instance_uid)]
    assert answer.status is (ResponseStatus.PARTIAL if beside else ResponseStatus.FAILURE)
    assert list(contents) == ([OTHER.sop_instance_uid] if beside else [])


@pytest.mark.parametrize(
    "field", ["location_uid", "study_instance_uid", "series_instance_uid", "sop_instance_uid"]
)
async def test_an_empty_uid_is_an_error_of_the_request(open_store, tmp_path, field):
    async with facade(open_store, tmp_path) as gateway:
        answer, _ = await gateway.ask(changed(**{field: ""}), OTHER)
    assert (answer.status, answer.documents) == (ResponseStatus.FAILURE, ())
    assert [error.code for error in answer.errors] == ["XDSIRequestError"]


async def test_without_a_manifest_nothing_is_given(open_store, tmp_path):
    async with facade(open_store, tmp_path, remembered=False) as gateway:
        answer, _ = await gateway.ask(ONE)
    assert answer.status is ResponseStatus.FAILURE
    assert [(e.code, e.location) for e in answer.errors] == [
        ("XDSDocumentUniqueIdError", ONE.sop_instance_uid)
    ]


@pytest.mark.parametrize("home", [None, HOME])
async def test_the_community_is_returned_where_it_was_given(open_store, tmp_path, home):
    async with facade(open_store, tmp_path) as gateway:
        answer, _ = await gateway.ask(changed(home_community_id=home))
    assert [d.header.home_community_id for d in answer.documents] == [home]


async def test_another_transfer_syntax_is_refused_for_each_image_and_source(open_store, tmp_path):
    async with facade(open_store, tmp_path) as gateway:
        mixed, _ = await gateway.ask(ONE, *of(CORONAL), syntaxes=[EXPLICIT_LITTLE_ENDIAN])
        archive, _ = await gateway.ask(*of(LUNG, 1), syntaxes=["1.2.840.10008.1.2.4.70"])
    assert mixed.status is ResponseStatus.PARTIAL
    assert {e.location for e in mixed.errors} == {i.sop_instance_uid for i in CORONAL.images}
    assert archive.status is ResponseStatus.FAILURE
    for told in (*mixed.errors, *archive.errors):
        assert told.code == "XDSRepositoryError"
        assert "urn:dicom:wado:0007" in told.context


async def test_a_location_that_no_setting_leads_to_is_unknown(open_store, tmp_path):
    async with facade(open_store, tmp_path, reachable=[FIRST_LOCATION]) as gateway:
        answer, contents = await gateway.ask(ONE, *of(LUNG, 1))
    assert list(contents) == [ONE.sop_instance_uid]
    assert [(e.code, e.location) for e in answer.errors] == [
        ("XDSUnknownRepositoryId", LUNG.images[0].sop_instance_uid)
    ]


async def test_images_that_are_gone_at_their_source_are_errors_beside_the_others(open_store, tmp_path):
    async with facade(open_store, tmp_path) as gateway:
        for series, number in ((AXIAL, 1), (LUNG, 2)):
            (
                gateway.folders[series.location_uid]
                / STUDY.study_instance_uid
                / f"{series.number}-{number}.dcm"
            ).unlink()
        answer, contents = await gateway.ask(*EVERYTHING)
    gone = {AXIAL.images[0].sop_instance_uid, LUNG.images[1].sop_instance_uid}
    assert answer.status is ResponseStatus.PARTIAL
    assert {(e.code, e.location) for e in answer.errors} == {
        ("XDSDocumentUniqueIdError", uid) for uid in gone
    }
    assert contents == {uid: content for uid, content in FILES.items() if uid not in gone}


async def test_a_source_that_breaks_off_leaves_what_came_before_and_the_other_source(open_store, tmp_path):
    """Of the three images that are asked of it, one is reported missing, one comes and one breaks off."""
    missing, whole, cut = (image.sop_instance_uid for image in of(AXIAL, 1, 2, 3))
    xml = retrieved(
        "PartialSuccess", *attached(whole, cut), errors=[error("XDSDocumentUniqueIdError", missing)]
    )
    parts = [document_part(FILES[uid], f"{uid}@peer") for uid in (whole, cut)]
    body = related(root_part(xml), *parts)

    async def respond(request, writer):
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {RELATED}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body[:-1000])
        await writer.drain()
        writer.close()

    async with raw_peer(respond) as pacs, facade(open_store, tmp_path, first_source=pacs.url) as gateway:
        answer, contents = await gateway.ask(*of(AXIAL, 1, 2, 3), *of(LUNG, 1))
    lung = LUNG.images[0].sop_instance_uid
    assert contents == {uid: FILES[uid] for uid in (whole, lung)}
    assert {(e.code, e.location) for e in answer.errors} == {
        ("XDSDocumentUniqueIdError", missing),
        ("XDSRepositoryError", cut),
    }
    assert answer.status is ResponseStatus.PARTIAL


async def test_a_source_that_is_down_is_told_for_each_of_its_images(open_store, tmp_path):
    async with facade(open_store, tmp_path, first_source="http://127.0.0.1:1/") as gateway:
        answer, contents = await gateway.ask(ONE, *of(LUNG, 1))
        nothing, _ = await gateway.ask(ONE)
    assert list(contents) == [LUNG.images[0].sop_instance_uid]
    for told in (answer, nothing):
        assert [(e.code, e.location) for e in told.errors] == [("XDSRepositoryError", ONE.sop_instance_uid)]
    assert nothing.status is ResponseStatus.FAILURE


async def test_images_for_which_there_is_no_room_are_told(open_store, tmp_path):
    async with facade(open_store, tmp_path, spooled=20_000) as gateway:
        answer, contents = await gateway.ask(*of(AXIAL))
        again, _ = await gateway.ask(ONE)
    assert answer.status is ResponseStatus.PARTIAL
    assert 0 < len(contents) < len(AXIAL.images)
    assert {e.code for e in answer.errors} == {"XDSRepositoryOutOfResources"}
    assert len(contents) + len(answer.errors) == len(AXIAL.images)
    assert again.status is ResponseStatus.SUCCESS


async def test_our_own_client_reads_it(open_store, tmp_path):
    async with facade(open_store, tmp_path) as gateway:
        client = ImagingDocumentSource(gateway.soap, gateway.peer)
        wanted = [
            SeriesWanted(
                STUDY.study_instance_uid,
                series.series_instance_uid,
                tuple(i.sop_instance_uid for i in series.images),
                RetrieveLocation(uid=series.location_uid),
            )
            for series in STUDY.series
        ]
        contents = {}
        async with client.retrieve(wanted) as items:
            async for item in items:
                assert not isinstance(item, ImageError)
                contents[item.sop_instance_uid] = b"".join([chunk async for chunk in item.chunks])
    assert contents == FILES
