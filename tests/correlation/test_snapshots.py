"""Pages of a snapshot are slices of one result."""

import random

import pytest

from gateway.correlation.connection import RedisOptions, connect
from gateway.correlation.snapshots import SnapshotStore
from gateway.correlation.store import CorrelationStore
from gateway.model import (
    Author,
    AvailabilityStatus,
    Code,
    Cx,
    DocumentEntry,
    Organization,
    Person,
    ReferenceId,
    SourcePatientInfo,
    Telecom,
)
from tests.ports import free_port

from .conftest import RING
from .servers import eventually


def entry(n: int) -> DocumentEntry:
    return DocumentEntry(
        entry_uuid=f"urn:uuid:00000000-0000-4000-8000-{n:012x}",
        unique_id=f"2.999.7.{n}",
        patient_id=Cx("P-4711", "2.999.1"),
        status=AvailabilityStatus.DEPRECATED if n % 3 else AvailabilityStatus.APPROVED,
        mime_type="application/pdf",
        home_community_id="urn:oid:2.999.9",
        repository_unique_id="2.999.10.1",
        source_patient_info=SourcePatientInfo(
            ids=(Cx("L-1", "2.999.2"),), names=(Person(family="Musterfrau"),), other=("PID-13|x",)
        ),
        authors=(
            Author(
                person=Person(id="A1", family="Welby", given="Marcus"),
                institutions=(Organization("Clinic"),),
                roles=("Radiologist", Code("R", "2.999.3", "Reader")),
                telecoms=(Telecom("a@clinic.example", "email"),),
            ),
        ),
        type_code=Code("18748-4", "2.16.840.1.113883.6.1", "Diagnostic imaging study"),
        event_codes=(Code("CT", "1.2.840.10008.2.16.4"),),
        reference_ids=(ReferenceId("ACC1", "2.999.4", "urn:ihe:iti:xds:2013:accession"),),
        creation_time="20240102030405",
        hash="da39a3ee5e6b4b0d3255bfef95601890afd80709",
        size=n,
        title=f"Report {n}",
        extra=(("urn:example:slot", ("a", "b")),),
    )


@pytest.fixture
async def snapshots(open_store):
    async with open_store() as store:
        yield SnapshotStore(store, DocumentEntry)


@pytest.mark.parametrize(
    ("total", "page_size"), [(0, 10), (1, 1), (7, 3), (50, 50), (51, 50), (173, 17), (640, 100)]
)
async def test_a_page_is_a_slice(snapshots, total, page_size):
    entries = tuple(entry(n) for n in range(total))
    snapshot = await snapshots.put("search", entries, page_size, 60)
    assert snapshots.total(snapshot) == total
    pages = [await snapshots.page(snapshot, at, page_size) for at in range(0, total, page_size)]
    assert tuple(e for page in pages for e in page) == entries
    chance = random.Random(total)
    for _ in range(20):
        offset, count = chance.randint(0, total + 5), chance.randint(0, total + 5)
        assert await snapshots.page(snapshot, offset, count) == entries[offset : offset + count]


async def test_the_same_search_with_the_same_result_is_one_snapshot(snapshots):
    entries = [entry(n) for n in range(60)]
    first = await snapshots.put("search", entries, 10, 60)
    assert await snapshots.put("search", tuple(entries), 10, 60) == first
    others = [
        await snapshots.put("another", entries, 10, 60),
        await snapshots.put("search", entries[:-1], 10, 60),
        await snapshots.put("search", entries[::-1], 10, 60),
        await snapshots.put("search", entries, 20, 60),
    ]
    assert len({first, *others}) == 5
    assert await snapshots.page(first, 50, 10) == tuple(entries[50:])


async def test_a_page_is_one_round_trip_and_a_snapshot_is_few(snapshots, server):
    async with connect(RedisOptions(url=server.url)) as client:
        await client.config_resetstat()
        snapshot = await snapshots.put("search", [entry(n) for n in range(2000)], 100, 60)
        await snapshots.page(snapshot, 300, 100)
        used = await client.info("commandstats")
        stored = sum([await client.memory_usage(key) for key in await client.keys("gw:search:*")])
    assert used["cmdstat_mget"]["calls"] == 1
    assert used["cmdstat_evalsha"]["calls"] + used["cmdstat_eval"]["calls"] <= 2
    assert stored < 2000 * 200  # bytes an entry: they compress


async def test_a_snapshot_ends_with_its_lifetime(snapshots):
    snapshot = await snapshots.put("search", [entry(1)], 10, 0.05)

    async def gone():
        return await snapshots.page(snapshot, 0, 10) is None

    await eventually(gone)


async def test_half_a_snapshot_is_none(snapshots, server):
    snapshot = await snapshots.put("search", [entry(n) for n in range(150)], 50, 60)
    async with connect(RedisOptions(url=server.url)) as client:
        (second,) = await client.keys("gw:search:*:1")
        await client.delete(second)
    assert await snapshots.page(snapshot, 25, 50) is None
    assert await snapshots.page(snapshot, 0, 50) == tuple(entry(n) for n in range(50))


@pytest.mark.parametrize("text", ["", "x", "A" * 22, "A" * 22 + ".0.5", "A" * 22 + ".10.5", "../../etc"])
async def test_what_names_no_snapshot_finds_none(snapshots, text):
    assert not await snapshots.page(text, 0, 10)


async def test_without_redis_there_are_no_snapshots():
    client = connect(RedisOptions(url=f"redis://127.0.0.1:{free_port()}"))
    async with CorrelationStore(client, RING) as store:
        snapshots = SnapshotStore(store, DocumentEntry)
        assert await snapshots.put("search", [entry(1)], 10, 60) is None
        assert await snapshots.page("A" * 22 + ".50.5", 0, 10) is None
