"""Everything that is correlated lies in a Redis Cluster of three nodes as in one server: each step touches one slot, and
whichever replica asks finds what another has put there."""

import random

import pytest

from gateway.correlation.answers import AnswerStore
from gateway.correlation.connection import RedisOptions, close, connect
from gateway.correlation.idempotency import Done, Fresh, IdempotencyStore
from gateway.correlation.lookups import DocumentLookup
from gateway.correlation.manifests import ACCESSION, PLACER, ManifestStore
from gateway.correlation.patients import PatientStore
from gateway.correlation.snapshots import SnapshotStore
from gateway.correlation.store import CorrelationStore
from gateway.model import Cx, DocumentEntry, QueryResult, ResponseStatus
from gateway.model.imaging import (
    ImagingRequest,
    Instance,
    IssuedId,
    Issuer,
    Manifest,
    ReadManifest,
    RetrieveLocation,
    Series,
    Study,
)
from gateway.model.query import FindDocuments
from gateway.security.document_urls import DocumentKey
from gateway.security.study_urls import StudyKey

from .conftest import RING
from .servers import Server, eventually
from .test_snapshots import entry

NODES = 3
SLOTS = 16_384
HOME = "urn:oid:2.999.9"
PATIENT = Cx("P-1", "2.999.1")


@pytest.fixture
async def cluster(tmp_path):
    """Addresses of three nodes with a third of the slots each."""
    arguments = ("--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
    nodes = [Server(tmp_path / str(n), *arguments).start() for n in range(NODES)]
    clients = [connect(RedisOptions(url=node.url)) for node in nodes]
    try:
        for number, client in enumerate(clients):
            low, high = (SLOTS * each // NODES for each in (number, number + 1))
            await client.execute_command("CLUSTER", "ADDSLOTSRANGE", low, high - 1)
            if number:
                await clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[number].port)

        async def formed():
            infos = [await client.execute_command("CLUSTER", "INFO") for client in clients]
            return all(b"cluster_state:ok" in i and b"cluster_known_nodes:%d" % NODES in i for i in infos)

        await eventually(formed)
        yield tuple(node.address for node in nodes)
    finally:
        for client in clients:
            await close(client)
        for node in nodes:
            node.kill()


async def test_what_one_replica_correlates_the_other_finds(cluster):
    options = RedisOptions(cluster=cluster, connect_timeout=10.0, operation_timeout=10.0)
    async with (
        CorrelationStore(connect(options), RING, deadline=20.0) as one,
        CorrelationStore(connect(options), RING, deadline=20.0) as other,
    ):
        for number in range(20):
            await a_study_is_known_by_each_of_its_keys(one, other, number)
            await a_patient_is_known_in_both_directions(one, other, number)
            await a_document_and_an_answer_are_found(one, other, number)
            await a_publish_is_carried_out_once(one, other, number)
        await pages_of_a_search_fit_together(one, other)
        assert (one.available, other.available) == (True, True)
    assert await how_many_nodes_hold_keys(cluster) == NODES


async def a_study_is_known_by_each_of_its_keys(one, other, number):
    """(homeCommunityId, StudyInstanceUID), uniqueId of the manifest, repository and entryUUID, the location of
    each series, SOP Instance -> series, accession and placer numbers with and without issuer."""
    issuer = Issuer(None, "2.999.4", "ISO")
    series = tuple(
        Series(
            f"2.999.5.{number}.{n}",
            locations=(RetrieveLocation(uid=f"2.999.20.{n}"),),
            instances=(Instance(f"2.999.5.{number}.{n}.1", "1.2"),),
        )
        for n in (1, 2)
    )
    request = ImagingRequest(accession=IssuedId(f"A{number}", issuer), placer=IssuedId(f"P{number}", issuer))
    study = Study(f"2.999.5.{number}", series=series, requests=(request,))
    read = ReadManifest(Manifest(sop_instance_uid=f"2.999.6.{number}", study=study), ())
    key = StudyKey(
        study_instance_uid=study.study_instance_uid,
        repository_unique_id="2.999.10.1",
        document_unique_id=f"2.999.6.{number}",
        entry_uuid=f"urn:uuid:00000000-0000-4000-8000-{number:012x}",
        patient_id=PATIENT,
        home_community_id=HOME,
    )
    await ManifestStore(one, 60).remember(key, read)
    known = ManifestStore(other, 60)
    assert await known.of_study(study.study_instance_uid) == (key,)
    found = await known.find(key)
    assert found == read
    assert [s.locations[0].uid for s in found.manifest.study.series] == ["2.999.20.1", "2.999.20.2"]
    for kind, value in ((ACCESSION, f"A{number}"), (PLACER, f"P{number}")):
        for authority in (None, "2.999.4"):
            assert await known.of_number(kind, value, authority) == (key,)


async def a_patient_is_known_in_both_directions(one, other, number):
    here, there = Cx(f"H{number}", "2.999.1"), Cx(f"T{number}", "2.999.2")
    await PatientStore(one, 60, 60).remember(HOME, here, (there,))
    known = PatientStore(other, 60, 60)
    assert (await known.there(HOME, here), await known.here(HOME, there)) == ((there,), here)


async def a_document_and_an_answer_are_found(one, other, number):
    key = DocumentKey(document_unique_id=f"2.999.7.{number}", entry_uuid=f"urn:uuid:{number}")
    await DocumentLookup(one, 60).remember(key)
    assert await DocumentLookup(other, 60).find(key.entry_uuid) == key
    query = FindDocuments(patient_id=Cx(f"Q{number}", "2.999.1"))
    answer = QueryResult(status=ResponseStatus.SUCCESS, entries=(entry(number),))
    writing, reading = AnswerStore(one, 60), AnswerStore(other, 60)
    await writing.remember(query, b"", await writing.mark(query.patient_id), answer)
    assert await reading.find(query, b"", await reading.mark(query.patient_id)) == answer
    await reading.forget(query.patient_id)
    assert await writing.find(query, b"", await writing.mark(query.patient_id)) is None


async def a_publish_is_carried_out_once(one, other, number):
    digest = f"{number:040x}"
    begun = await IdempotencyStore(one).begin(digest, 30)
    assert isinstance(begun, Fresh)
    assert not isinstance(await IdempotencyStore(other).begin(digest, 30), Fresh)
    await IdempotencyStore(one).finish(begun, b"answer", 60)
    again = await IdempotencyStore(other).begin(digest, 30)
    assert isinstance(again, Done)
    assert again.response == b"answer"


async def pages_of_a_search_fit_together(one, other):
    entries = tuple(entry(n) for n in range(500))
    snapshot = await SnapshotStore[DocumentEntry](one, DocumentEntry).put("digest", entries, 10, 60)
    pages = SnapshotStore[DocumentEntry](other, DocumentEntry)
    for offset in random.Random(1).sample(range(500), 20):
        assert await pages.page(snapshot, offset, 10) == entries[offset : offset + 10]


async def how_many_nodes_hold_keys(addresses):
    held = 0
    for address in addresses:
        client = connect(RedisOptions(url=f"redis://{address}"))
        held += await client.execute_command("DBSIZE") > 0
        await close(client)
    return held
