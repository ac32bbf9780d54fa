"""Images of one study out of several archives: merged, tried elsewhere, bounded, and never silently short."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gateway.clients.dicomweb import DicomWebClient, DicomWebSource
from gateway.imaging.plan import ImageSelection, Locations, NoSuchImage
from gateway.imaging.problems import no_images
from gateway.imaging.retrieve import ImageRetriever, IncompleteImages, NoImages, RetrievePolicy
from gateway.model.errors import PeerDisconnected
from gateway.model.imaging import Instance, RetrieveLocation, RetrieveLocationUid, Series, Study
from tests.dicom.files import CT, EXPLICIT_LE, image_file

from .archives import Archive, peer

STUDY = "2.999.5"
LEFT, RIGHT = RetrieveLocationUid("2.999.200.1"), RetrieveLocationUid("2.999.200.2")


def series(number: int, count: int, *uids: RetrieveLocationUid) -> Series:
    uid = f"{STUDY}.{number}"
    return Series(
        uid,
        locations=tuple(RetrieveLocation(u) for u in uids),
        instances=tuple(Instance(f"{uid}.{n}", CT) for n in range(1, count + 1)),
    )


def files(*all_series: Series, size: int = 2000) -> dict[tuple[str, str, str], bytes]:
    return {
        (STUDY, s.series_instance_uid, i.sop_instance_uid): image_file(
            STUDY, s.series_instance_uid, i.sop_instance_uid, size=size
        )
        for s in all_series
        for i in s.instances
    }


A, B = series(1, 5, LEFT), series(2, 4, RIGHT)
FILES = files(A, B)
BY_SOP = {sop: content for (_, _, sop), content in FILES.items()}


@asynccontextmanager
async def retriever(archives: dict[str, Archive], policy: RetrievePolicy | None = None):
    async with DicomWebClient() as client:
        servers = {uid: archive.serve() for uid, archive in archives.items()}
        legs = {}
        try:
            for uid, server in servers.items():
                legs[uid] = DicomWebSource(client, peer(await server.__aenter__(), name=f"archive {uid}"))
            yield ImageRetriever(Locations(legs), policy)
        finally:
            for server in servers.values():
                await server.__aexit__(None, None, None)


async def collect(images) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    async for part in images.parts:
        assert part.sop_instance_uid not in found
        found[part.sop_instance_uid] = b"".join([chunk async for chunk in part.chunks])
    return found


def both(**more) -> dict[str, Archive]:
    return {LEFT: Archive(files(A), **more), RIGHT: Archive(files(B))}


async def test_a_study_in_two_archives_comes_whole_and_byte_for_byte():
    async with (
        retriever(both()) as images,
        images.retrieve(ImageSelection(Study(STUDY, series=(A, B)))) as found,
    ):
        assert (found.partial, found.wanted) == (False, 9)
        assert await collect(found) == BY_SOP


async def test_a_series_and_an_instance_ask_only_the_archive_that_has_them():
    archives = both()
    study = Study(STUDY, series=(A, B))
    async with retriever(archives) as images:
        async with images.retrieve(ImageSelection(study, B.series_instance_uid)) as found:
            assert set(await collect(found)) == {i.sop_instance_uid for i in B.instances}
        one = B.instances[2].sop_instance_uid
        async with images.retrieve(ImageSelection(study, B.series_instance_uid, one)) as found:
            assert await collect(found) == {one: BY_SOP[one]}
    assert archives[LEFT].requests == []


@pytest.mark.parametrize(
    ("wanted", "level"),
    [
        (ImageSelection(Study(STUDY, series=(A,)), "2.999.5.9"), "series"),
        (ImageSelection(Study(STUDY, series=(A, B)), A.series_instance_uid, "2.999.5.2.1"), "instance"),
    ],
)
async def test_what_the_manifest_does_not_list_is_not_asked_for(wanted, level):
    archives = both()
    async with retriever(archives) as images:
        with pytest.raises(NoSuchImage) as error:
            async with images.retrieve(wanted):
                raise AssertionError("nothing was opened")
    assert error.value.level == level
    assert not archives[LEFT].requests and not archives[RIGHT].requests


async def test_instances_that_an_archive_lacks_make_the_answer_partial_and_spare_the_rest():
    lost = B.instances[1].sop_instance_uid
    archives = {LEFT: Archive(files(A)), RIGHT: Archive(files(B), gone=frozenset({lost}))}
    async with (
        retriever(archives) as images,
        images.retrieve(ImageSelection(Study(STUDY, series=(A, B)), B.series_instance_uid)) as found,
    ):
        with pytest.raises(IncompleteImages) as late:
            got: set[str] = set()
            async for part in found.parts:
                got.add(part.sop_instance_uid)
                async for _ in part.chunks:
                    pass
    assert got == {i.sop_instance_uid for i in B.instances} - {lost}
    assert [(e.sop_instance_uid, e.code) for e in late.value.errors] == [(lost, "missing")]


async def test_an_archive_that_is_down_is_known_before_the_first_byte():
    archives = {LEFT: Archive(files(A)), RIGHT: Archive({}, answer=lambda _: web.Response(status=500))}
    async with (
        retriever(archives) as images,
        images.retrieve(ImageSelection(Study(STUDY, series=(A, B)))) as found,
    ):
        assert found.partial
        assert {e.sop_instance_uid for e in found.errors} == {i.sop_instance_uid for i in B.instances}
        assert set(await collect(found)) == {i.sop_instance_uid for i in A.instances}


async def test_a_location_that_no_setting_leads_to_is_told_and_nothing_else_is_called():
    archives = {LEFT: Archive(files(A))}
    async with (
        retriever(archives) as images,
        images.retrieve(ImageSelection(Study(STUDY, series=(A, B)))) as found,
    ):
        assert {e.code for e in found.errors} == {"no-location"}
        assert len(await collect(found)) == 5


async def test_nothing_at_all_says_why():
    archives = {LEFT: Archive({}), RIGHT: Archive({}, answer=lambda _: web.Response(status=500))}
    async with retriever(archives) as images:
        with pytest.raises(NoImages) as nothing:
            async with images.retrieve(ImageSelection(Study(STUDY, series=(A, B)))):
                raise AssertionError("nothing was opened")
    assert {e.code for e in nothing.value.errors} == {"HTTP 404", "source-failed"}
    assert [type(f).__name__ for f in nothing.value.failures] == ["PeerProtocolError"]


@pytest.mark.parametrize(
    "bad",
    [
        {"answer": lambda _: web.Response(status=500)},
        {"gone": frozenset(i.sop_instance_uid for i in series(3, 4).instances[1:3])},
        {"cut_after": 2},
    ],
    ids=["down", "lacks two", "breaks off"],
)
async def test_what_one_location_does_not_give_is_tried_at_the_next(bad):
    copied = series(3, 4, LEFT, RIGHT)
    archives = {LEFT: Archive(files(copied), **bad), RIGHT: Archive(files(copied))}
    async with retriever(archives) as images:
        study = ImageSelection(Study(STUDY, series=(copied,)))
        async with images.retrieve(study) as found:
            assert not found.partial
            assert await collect(found) == {sop: c for (_, _, sop), c in files(copied).items()}


async def test_an_instance_that_breaks_in_its_middle_is_an_error_for_who_reads_it():
    archive = Archive(files(A, size=500_000), cut_after=2, cut_at=300_000)
    async with (
        retriever({LEFT: archive}) as images,
        images.retrieve(ImageSelection(Study(STUDY, series=(A,)))) as found,
    ):
        with pytest.raises(PeerDisconnected):
            await collect(found)


async def test_only_the_transfer_syntaxes_that_were_asked_for_are_passed_on():
    jpeg = "1.2.840.10008.1.2.4.70"
    async with retriever(both()) as images:
        with pytest.raises(NoImages) as nothing:
            async with images.retrieve(ImageSelection(Study(STUDY, series=(A,))), (jpeg,)):
                raise AssertionError("nothing was opened")
        assert {e.code for e in nothing.value.errors} == {"transfer-syntax"}
        async with images.retrieve(ImageSelection(Study(STUDY, series=(A,))), (jpeg, EXPLICIT_LE)) as found:
            assert len(await collect(found)) == 5


async def test_an_instance_under_another_uid_is_not_passed_on():
    lie = {
        (STUDY, A.series_instance_uid, A.instances[0].sop_instance_uid): image_file(
            STUDY, "2.999.6", "2.999.6.1"
        )
    }
    selection = ImageSelection(
        Study(STUDY, series=(A,)), A.series_instance_uid, A.instances[0].sop_instance_uid
    )
    async with retriever({LEFT: Archive(lie)}) as images:
        with pytest.raises(NoImages):
            async with images.retrieve(selection):
                raise AssertionError("nothing was opened")


async def test_a_slow_archive_does_not_hold_back_the_others():
    hold = asyncio.Event()
    late = {"answer": lambda _: None, "hold": hold}
    one, many = series(1, 3, LEFT), series(2, 3, RIGHT)
    archives = {LEFT: Archive(files(one)), RIGHT: Archive(files(many), **late)}
    async with (
        retriever(archives, RetrievePolicy(status_wait=0.2)) as images,
        images.retrieve(ImageSelection(Study(STUDY, series=(one, many)))) as found,
    ):
        got = []
        async for part in found.parts:
            got.append(part.sop_instance_uid)
            async for _ in part.chunks:
                pass
            if len(got) == 4:
                hold.set()
    assert len(got) == 6
    assert set(got[:4]) >= {i.sop_instance_uid for i in one.instances}


@pytest.mark.parametrize("spool", [10_000_000, 1])
async def test_the_order_of_the_manifest_is_kept_where_asked_for(spool):
    turned = dict(reversed(FILES.items()))
    archives = {LEFT: Archive(turned), RIGHT: Archive(turned)}
    async with (
        retriever(archives, RetrievePolicy(order="manifest", spool_bytes=spool)) as images,
        images.retrieve(ImageSelection(Study(STUDY, series=(A, B)))) as found,
    ):
        got = await collect(found)
    assert got == BY_SOP
    if spool > 1:
        assert list(got) == list(BY_SOP)


async def test_leaving_early_ends_what_is_under_way_at_every_archive():
    hold = asyncio.Event()
    archives = {LEFT: Archive(files(A), hold=hold), RIGHT: Archive(files(B), hold=hold)}
    async with retriever(archives) as images:
        async with images.retrieve(ImageSelection(Study(STUDY, series=(A, B)))) as found:
            async for _ in found.parts:
                break
        for _ in range(100):
            if not any(archive.open_now for archive in archives.values()):
                break
            await asyncio.sleep(0.02)
        assert not any(archive.open_now for archive in archives.values())


@pytest.mark.parametrize("status", [401, 403])
async def test_an_archive_that_does_not_let_the_gateway_in_is_named_as_the_cause(status):
    shut = Archive(FILES, answer=lambda _: web.Response(status=status))
    async with retriever({LEFT: shut}) as images:
        with pytest.raises(NoImages) as none:
            async with images.retrieve(ImageSelection(Study(STUDY, series=(A,)))):
                pass
    answer = no_images(none.value)
    assert (answer.status, answer.issues[0].code) == (403, "forbidden")
    assert f"HTTP {status}" in (answer.issues[0].diagnostics or "")
