"""What the digest of a study stands for is remembered for a while."""

import msgspec

from gateway.correlation.studies import KIND, StudyIndex
from gateway.model import Cx
from gateway.security.study_ids import StudyIdentity

STUDY = StudyIdentity("2.999.5", Cx("P-1", "2.999.1"), "urn:oid:2.999.9")


async def test_a_study_is_found_by_its_digest(open_store):
    async with open_store() as store:
        index = StudyIndex(store, 60)
        assert await index.find("s-1") is None
        await index.remember("s-1", STUDY)
        assert await index.find("s-1") == STUDY


async def test_a_value_of_another_shape_is_not_found(open_store):
    async with open_store() as store:
        await store.set(KIND, "s-1", msgspec.msgpack.encode(7), 60)
        assert await StudyIndex(store, 60).find("s-1") is None


async def test_without_redis_nothing_is_found_and_nothing_fails(open_store, server):
    async with open_store() as store:
        index = StudyIndex(store, 60)
        server.kill()
        await index.remember("s-1", STUDY)
        assert await index.find("s-1") is None
