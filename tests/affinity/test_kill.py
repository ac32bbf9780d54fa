"""Killed at a random moment under load: what was acknowledged is there whole, nothing is there in part."""

import asyncio
import contextlib
import random

import pytest

from gateway.model import ResponseStatus
from gateway.model.codes import RPLC
from gateway.model.errors import PeerError
from gateway.model.query import ANY_STATUS, FindSubmissionSets, GetSubmissionSetAndContents
from gateway.soap.client import SoapClient
from gateway.soap.contract import load_contract
from tests.affinity.client import Client
from tests.affinity.process import server
from tests.affinity.samples import PATIENT, entry, link, sha1, submission


def a_submission(random_, replaced):
    """Two documents, one of which goes through a spool file; the first replaces an older one now and then."""
    small, large = random_.randbytes(200), random_.randbytes(400_000)
    one, two = (entry(hash=sha1(content), size=len(content)) for content in (small, large))
    associations = (link(RPLC, one.entry_uuid, replaced),) if replaced else ()
    return submission(one, two, associations=associations), (small, large)


async def publish_until_killed(client, random_, acknowledged, attempted):
    replaced = None
    with contextlib.suppress(PeerError):
        while True:
            wanted, contents = a_submission(random_, replaced)
            attempted[wanted.submission_set.entry_uuid] = wanted
            answer = await client.provide(wanted, *contents)
            assert answer.status is ResponseStatus.SUCCESS
            acknowledged[wanted.submission_set.entry_uuid] = wanted
            replaced = wanted.entries[0].entry_uuid


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_killed_under_load(tmp_path, seed):
    random_ = random.Random(seed)
    acknowledged, attempted = {}, {}
    async with SoapClient(load_contract()) as soap:
        with server(tmp_path) as (process, base):
            load = asyncio.gather(
                *(
                    publish_until_killed(Client(soap, base), random_, acknowledged, attempted)
                    for _ in range(8)
                )
            )
            while len(acknowledged) < 10:
                await asyncio.sleep(0.01)
            await asyncio.sleep(random_.random() / 2)
            process.kill()
            await load
        with server(tmp_path) as (process, base):
            await check(Client(soap, base), acknowledged, attempted, tmp_path)
            process.terminate()
            assert await asyncio.to_thread(process.wait, 20) == 0


async def check(client, acknowledged, attempted, state_dir):
    sets = (await client.query(FindSubmissionSets(patient_id=PATIENT, status=ANY_STATUS))).submission_sets
    stored = {s.entry_uuid for s in sets}
    assert set(acknowledged) <= stored <= set(attempted)
    hashes = set()
    for uuid in stored:
        wanted = attempted[uuid]
        found = await client.query(GetSubmissionSetAndContents(entry_uuid=uuid))
        assert {e.entry_uuid for e in found.entries} == {e.entry_uuid for e in wanted.entries}
        assert {a.entry_uuid for a in found.associations} >= {
            a.entry_uuid for a in wanted.associations if a.type != RPLC
        }
        _, contents = await client.retrieve(*(e.unique_id for e in wanted.entries))
        assert {u: sha1(content) for u, content in contents.items()} == {
            e.unique_id: e.hash for e in wanted.entries
        }
        hashes |= {e.hash for e in wanted.entries}
    files = {p.name for p in (state_dir / "documents").rglob("*") if p.is_file()}
    assert files == hashes
    assert [p for p in (state_dir / "spool").rglob("*") if p.is_file()] == []
