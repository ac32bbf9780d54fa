"""Manifests are read once, and a study knows all manifests that were seen for it."""

import asyncio

import msgspec
from msgspec import structs

from gateway.correlation.manifests import ACCESSION, MANIFEST, PLACER, ManifestStore
from gateway.model.imaging import (
    Finding,
    ImagingRequest,
    Instance,
    IssuedId,
    Issuer,
    Manifest,
    ReadManifest,
    Series,
    Study,
)
from gateway.security.study_urls import StudyKey


def key(document: str = "2.999.5.9", home: str | None = None, entry: str = "urn:uuid:1") -> StudyKey:
    return StudyKey(
        study_instance_uid="2.999.5",
        repository_unique_id="2.999.10.1",
        document_unique_id=document,
        entry_uuid=entry,
        home_community_id=home,
    )


READ = ReadManifest(
    Manifest(
        sop_instance_uid="2.999.5.9",
        study=Study("2.999.5", series=(Series("2.999.5.1", instances=(Instance("2.999.5.1.1", "1.2"),)),)),
    ),
    (Finding("rule", "place", "text"),),
)


async def test_what_was_read_is_found_with_its_findings(open_store):
    async with open_store() as store:
        manifests = ManifestStore(store, 60)
        assert await manifests.find(key()) is None
        await manifests.remember(key(), READ)
        assert await manifests.find(key()) == READ
        assert await manifests.find(key(home="urn:oid:2.999.9")) is None


async def test_a_study_has_the_manifests_of_every_community_the_latest_first(open_store):
    async with open_store() as store:
        manifests = ManifestStore(store, 60)
        ours, theirs, newer = key(), key(home="urn:oid:2.999.9"), key("2.999.5.10")
        for each in (ours, theirs, newer, ours):
            await manifests.remember(each, READ)
        assert await manifests.of_study("2.999.5") == (ours, newer, theirs)
        assert await manifests.of_study("2.999.6") == ()


async def test_a_number_leads_to_its_studies_with_its_issuer_and_without(open_store):
    ours, theirs = key(), key(home="urn:oid:2.999.9")
    numbered = ImagingRequest(
        accession=IssuedId("A1", Issuer(universal_id="2.999.3", universal_id_type="ISO")),
        placer=IssuedId("P1"),
    )
    study = structs.replace(READ.manifest.study, requests=(numbered,))
    read = ReadManifest(structs.replace(READ.manifest, study=study))
    async with open_store() as store:
        manifests = ManifestStore(store, 60)
        for each in (ours, theirs):
            await manifests.remember(each, read)
        assert await manifests.of_number(ACCESSION, "A1", "2.999.3") == (theirs, ours)
        assert await manifests.of_number(ACCESSION, "A1") == (theirs, ours)
        assert await manifests.of_number(PLACER, "P1") == (theirs, ours)
        assert await manifests.of_number(ACCESSION, "A1", "2.999.4") == ()
        assert await manifests.of_number(ACCESSION, "P1") == ()


async def test_manifests_seen_at_the_same_time_are_all_kept(open_store):
    async with open_store() as store:
        manifests = ManifestStore(store, 60)
        keys = [key(f"2.999.5.{n}") for n in range(5)]
        await asyncio.gather(*(manifests.remember(each, READ) for each in keys))
        assert set(await manifests.of_study("2.999.5")) == set(keys)


async def test_a_value_of_another_shape_is_not_found(open_store):
    async with open_store() as store:
        manifests = ManifestStore(store, 60)
        await manifests.remember(key(), READ)
        document = "\0".join(("", "2.999.10.1", "2.999.5.9"))
        await store.set(MANIFEST, document, msgspec.msgpack.encode(7), 60)
        assert await manifests.find(key()) is None


async def test_without_redis_nothing_is_found_and_nothing_fails(open_store, server):
    async with open_store() as store:
        manifests = ManifestStore(store, 60)
        server.kill()
        await manifests.remember(key(), READ)
        assert await manifests.find(key()) is None
        assert await manifests.of_study("2.999.5") == ()
