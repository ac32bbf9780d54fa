"""Killed at a random moment under load: what was acknowledged is there whole, nothing is there in part."""

import asyncio
import contextlib
import random

import pytest

from gateway.model import AvailabilityStatus, ResponseStatus
from gateway.model.codes import RPLC
from gateway.model.errors import PeerError
from gateway.model.query import (
    ANY_STATUS,
    FindSubmissionSets,
    GetAssociations,
    GetDocuments,
    GetSubmissionSetAndContents,
)
from gateway.soap.client import SoapClient
from gateway.soap.contract import load_contract
from tests.affinity.client import Client
from tests.affinity.process import server
from tests.affinity.samples import PATIENT, entry, link, sha1, status_of, submission, version_of


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


# --- changes of what is registered ----------------------------------------------------------------------

STEPS = ("provided", "updated", "deprecated", "deleted", "removed")


async def change_until_killed(client, random_, acknowledged, attempted):
    """Take one document after another through all that can become of it."""
    with contextlib.suppress(PeerError):
        while True:
            content = random_.randbytes(200)
            document = entry(hash=sha1(content), size=len(content))
            first, update = submission(document), version_of(document, title="Corrected")
            (version,) = update.versions
            status = status_of(version.entry.entry_uuid, "Approved", "Deprecated")
            objects = [
                *(first.submission_set, document, *first.associations),
                *(update.submission_set, version.entry, version.member),
                *(status.submission_set, status.status_changes[0].request),
            ]
            steps = (
                lambda d=document, f=first, c=content: client.provide(f, c),
                lambda u=update: client.update(u),
                lambda s=status: client.update(s),
                lambda o=objects: client.delete(*(x.entry_uuid for x in o)),
                lambda d=document: client.remove(d.unique_id),
            )
            for number, step in enumerate(steps):
                attempted[document.unique_id] = (number, document)
                answer = await step()
                assert answer.errors == ()
                acknowledged[document.unique_id] = number


async def step_of(client, document) -> int:
    """The last step that a document has taken whole; one that was never provided counts as removed."""
    found = (await client.query(GetDocuments(logical_ids=(document.entry_uuid,), metadata_level=2))).entries
    _, contents = await client.retrieve(document.unique_id)
    if found:
        assert sha1(contents[document.unique_id]) == document.hash
        assert [e.version for e in found] == ["1", "2"][: len(found)]
        if len(found) == 1:
            assert found[0].status is AvailabilityStatus.APPROVED
            return 0
        assert found[0].status is AvailabilityStatus.DEPRECATED
        return 1 if found[1].status is AvailabilityStatus.APPROVED else 2
    touching = GetAssociations(uuids=(document.entry_uuid,), metadata_level=2)
    assert (await client.query(touching)).associations == ()
    return 3 if contents else 4


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_while_metadata_changes(tmp_path, seed):
    random_ = random.Random(seed)
    acknowledged, attempted = {}, {}
    async with SoapClient(load_contract()) as soap:
        with server(tmp_path) as (process, base):
            load = asyncio.gather(
                *(change_until_killed(Client(soap, base), random_, acknowledged, attempted) for _ in range(8))
            )
            while STEPS.index("removed") not in acknowledged.values():
                await asyncio.sleep(0.01)
            await asyncio.sleep(random_.random() / 2)
            process.kill()
            await load
        with server(tmp_path) as (process, base):
            client = Client(soap, base)
            left = set()
            for unique_id, (number, document) in attempted.items():
                step = await step_of(client, document)
                if unique_id not in acknowledged:
                    assert (number, step) in {(0, 0), (0, 4)}
                else:
                    assert acknowledged[unique_id] <= step <= number
                if step < STEPS.index("removed"):
                    left.add(document.hash)
    assert {p.name for p in (tmp_path / "documents").rglob("*") if p.is_file()} == left
