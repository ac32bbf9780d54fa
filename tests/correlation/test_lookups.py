"""A look-up is what the registry said, or nothing."""

import msgspec

from gateway.correlation.lookups import KIND, DocumentLookup
from gateway.security.document_urls import DocumentKey

from .servers import eventually

ENTRY_UUID = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"
KEY = DocumentKey(document_unique_id="2.999.7", entry_uuid=ENTRY_UUID, repository_unique_id="2.999.10.1")


async def test_what_was_remembered_is_found_for_its_lifetime(open_store):
    async with open_store() as store:
        lookup = DocumentLookup(store, 60)
        assert await lookup.find(ENTRY_UUID) is None
        await lookup.remember(KEY)
        assert await lookup.find(ENTRY_UUID) == KEY
        await DocumentLookup(store, 0.05).remember(KEY)

        async def forgotten():
            return await lookup.find(ENTRY_UUID) is None

        await eventually(forgotten)


async def test_a_value_of_another_shape_is_not_found(open_store):
    async with open_store() as store:
        await store.set(KIND, ENTRY_UUID, msgspec.msgpack.encode({"document": 5}), 60)
        assert await DocumentLookup(store, 60).find(ENTRY_UUID) is None


async def test_without_redis_nothing_is_found(open_store, server):
    async with open_store() as store:
        server.kill()
        lookup = DocumentLookup(store, 60)
        await lookup.remember(KEY)
        assert await lookup.find(ENTRY_UUID) is None
