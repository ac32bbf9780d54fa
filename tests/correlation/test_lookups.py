"""A look-up is what the registry said, or nothing."""

from gateway.correlation.lookups import DOCUMENT_BY_ENTRY_UUID, Lookup, LookupStore
from gateway.security.document_urls import DocumentKey

from .servers import eventually

ENTRY_UUID = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"
KEY = DocumentKey(document_unique_id="2.999.7", entry_uuid=ENTRY_UUID, repository_unique_id="2.999.10.1")


async def test_what_was_remembered_is_found_for_its_lifetime(open_store):
    async with open_store() as store:
        lookups = LookupStore(store)
        assert await lookups.find(DOCUMENT_BY_ENTRY_UUID, ENTRY_UUID) is None
        await lookups.remember(DOCUMENT_BY_ENTRY_UUID, ENTRY_UUID, KEY, 60)
        assert await lookups.find(DOCUMENT_BY_ENTRY_UUID, ENTRY_UUID) == KEY
        await lookups.remember(DOCUMENT_BY_ENTRY_UUID, ENTRY_UUID, KEY, 0.05)

        async def forgotten():
            return await lookups.find(DOCUMENT_BY_ENTRY_UUID, ENTRY_UUID) is None

        await eventually(forgotten)


async def test_a_value_of_another_shape_is_not_found(open_store):
    async with open_store() as store:
        lookups = LookupStore(store)
        await lookups.remember(Lookup("document", int), ENTRY_UUID, 5, 60)
        assert await lookups.find(DOCUMENT_BY_ENTRY_UUID, ENTRY_UUID) is None


async def test_without_redis_nothing_is_found(open_store, server):
    async with open_store() as store:
        server.kill()
        lookups = LookupStore(store)
        await lookups.remember(DOCUMENT_BY_ENTRY_UUID, ENTRY_UUID, KEY, 60)
        assert await lookups.find(DOCUMENT_BY_ENTRY_UUID, ENTRY_UUID) is None
