"""On-Demand entries over sockets: registered, found when they are asked for, made when they are retrieved."""

import asyncio
import hashlib

import pytest
from msgspec import structs

from gateway.affinity.options import AffinityOptions
from gateway.model import AvailabilityStatus, ResponseStatus
from gateway.model.codes import APND, IS_SNAPSHOT_OF, ON_DEMAND_DOCUMENT, RPLC
from gateway.model.query import (
    ANY_DOCUMENT,
    ANY_STATUS,
    FindDocuments,
    GetAssociations,
    GetDocuments,
)
from tests.affinity.client import running
from tests.affinity.samples import (
    OTHER_PATIENT,
    PATIENT,
    REPOSITORY,
    code,
    entry,
    link,
    on_demand,
    sha1,
    submission,
)

ANY = FindDocuments(patient_id=PATIENT, document_type=ANY_DOCUMENT)
STABLE = FindDocuments(patient_id=PATIENT)


async def provide(client, content: bytes, **changes):
    document = entry(hash=sha1(content), size=len(content), **changes)
    assert (await client.provide(submission(document, patient_id=document.patient_id), content)).errors == ()
    return document


async def register(client, *entries, **changes):
    answer = await client.register_on_demand(submission(*entries, **changes))
    assert (answer.status, answer.errors) == (ResponseStatus.SUCCESS, ())


async def retrieved(client, wanted):
    """Header and bytes of an On-Demand document."""
    answer, contents = await client.retrieve(wanted.unique_id)
    assert (answer.status, answer.errors) == (ResponseStatus.SUCCESS, ())
    return answer.documents[0].header, contents[wanted.unique_id]


async def test_an_on_demand_entry_is_found_only_where_its_type_is_asked_for(client):
    wanted = on_demand()
    await register(client, wanted)
    assert (await client.query(STABLE)).entries == ()
    for types in (ANY_DOCUMENT, (ON_DEMAND_DOCUMENT,)):
        found = await client.query(structs.replace(STABLE, document_type=types))
        assert found.entries == (wanted,)
    by_id = await client.query(GetDocuments(entry_uuids=(wanted.entry_uuid,)))
    assert by_id.entries == (wanted,)


@pytest.mark.parametrize(
    "changes",
    [
        {"object_type": entry().object_type},
        {"creation_time": "2024"},
        {"hash": sha1(b"")},
        {"size": 0},
        {"class_code": None},
        {"repository_unique_id": None},
        {"mime_type": "application/pdf"},
    ],
)
async def test_what_is_no_on_demand_entry_is_refused(client, changes):
    answer = await client.register_on_demand(submission(on_demand(**changes)))
    assert answer.status is ResponseStatus.FAILURE
    assert [e.code for e in answer.errors] == ["XDSRegistryMetadataError"]
    assert (await client.query(ANY)).entries == ()


async def test_an_on_demand_entry_of_another_repository_may_have_any_type(client):
    await register(client, on_demand(repository_unique_id="2.999.77", mime_type="application/pdf"))


async def test_the_document_lists_what_the_patient_has(client):
    wanted = on_demand()
    await register(client, wanted)
    header, empty = await retrieved(client, wanted)
    assert header.mime_type == "text/plain"
    assert empty.decode().splitlines() == [
        "All documents", "", "created\ttype\ttitle\tmedia type\tuniqueId",
    ]  # fmt: skip
    first = await provide(client, b"1", title="One\ttwo", type_code=code("letter"))
    await provide(client, b"2", patient_id=OTHER_PATIENT)
    _, data = await retrieved(client, wanted)
    assert data.decode().splitlines()[3:] == [
        f"20240102030405\tLetter\tOne two\ttext/plain\t{first.unique_id}"
    ]


async def test_a_retrieval_leaves_a_snapshot_that_replaces_the_one_before(client):
    wanted = on_demand()
    await register(client, wanted)
    header, data = await retrieved(client, wanted)
    (snapshot,) = (await client.query(STABLE)).entries
    assert snapshot.unique_id == header.new_document_unique_id != header.document_unique_id
    assert (snapshot.hash, snapshot.size) == (hashlib.sha1(data).hexdigest(), len(data))
    assert (await client.retrieve(snapshot.unique_id))[1] == {snapshot.unique_id: data}
    links = (await client.query(GetAssociations(uuids=(snapshot.entry_uuid,)))).associations
    assert (IS_SNAPSHOT_OF, wanted.entry_uuid) in [(a.type, a.target) for a in links]
    again, _ = await retrieved(client, wanted)
    assert again.new_document_unique_id == snapshot.unique_id
    await provide(client, b"new")
    later, _ = await retrieved(client, wanted)
    entries = (await client.query(structs.replace(STABLE, status=ANY_STATUS))).entries
    status = {e.unique_id: e.status for e in entries}
    assert status[snapshot.unique_id] is AvailabilityStatus.DEPRECATED
    assert status[later.new_document_unique_id] is AvailabilityStatus.APPROVED
    assert len(entries) == 3


async def test_retrievals_at_once_make_one_snapshot(client):
    wanted = on_demand()
    await register(client, wanted)
    await retrieved(client, wanted)
    await provide(client, b"new")
    answers = await asyncio.gather(*(retrieved(client, wanted) for _ in range(8)))
    assert len({data for _, data in answers}) == 1
    assert len({header.new_document_unique_id for header, _ in answers}) == 1
    assert len((await client.query(STABLE)).entries) == 2


async def test_a_removed_snapshot_is_made_anew(client):
    wanted = on_demand()
    await register(client, wanted)
    first, data = await retrieved(client, wanted)
    await client.remove(first.new_document_unique_id)
    second, same = await retrieved(client, wanted)
    assert same == data
    assert second.new_document_unique_id != first.new_document_unique_id
    assert (await client.retrieve(second.new_document_unique_id))[0].status is ResponseStatus.SUCCESS


async def test_without_snapshots_nothing_is_stored(tmp_path):
    options = AffinityOptions(state_dir=tmp_path, repository_unique_id=REPOSITORY, snapshots=False)
    async with running(options) as client:
        wanted = on_demand()
        await register(client, wanted)
        first, _ = await retrieved(client, wanted)
        again, _ = await retrieved(client, wanted)
        assert first == again
        assert (await client.query(STABLE)).entries == ()
        await provide(client, b"new")
        later, _ = await retrieved(client, wanted)
        assert later.new_document_unique_id != first.new_document_unique_id


async def test_an_on_demand_document_comes_with_others_and_with_errors(client):
    wanted = on_demand()
    await register(client, wanted)
    stable = await provide(client, b"1")
    answer, contents = await client.retrieve(stable.unique_id, wanted.unique_id, "2.999.4711")
    assert answer.status is ResponseStatus.PARTIAL
    assert set(contents) == {stable.unique_id, wanted.unique_id}
    assert [(e.code, e.location) for e in answer.errors] == [("XDSDocumentUniqueIdError", "2.999.4711")]


async def test_a_replaced_on_demand_document_is_not_made_any_more(client):
    old, new = on_demand(), on_demand()
    await register(client, old)
    await register(client, new, associations=(link(RPLC, new.entry_uuid, old.entry_uuid),))
    answer, _ = await client.retrieve(old.unique_id)
    assert [e.code for e in answer.errors] == ["XDSDocumentUniqueIdError"]
    await retrieved(client, new)


async def test_relations_join_two_documents_of_one_kind(client):
    wanted = on_demand()
    await register(client, wanted)
    late = entry()
    for kind in (APND, RPLC):
        answer = await client.register(
            submission(late, associations=(link(kind, late.entry_uuid, wanted.entry_uuid),))
        )
        assert [e.code for e in answer.errors] == ["XDSRegistryMetadataError"]
    other = on_demand()
    answer = await client.register_on_demand(
        submission(other, associations=(link(IS_SNAPSHOT_OF, other.entry_uuid, wanted.entry_uuid),))
    )
    assert [e.code for e in answer.errors] == ["XDSRegistryMetadataError"]


async def test_an_on_demand_entry_has_a_unique_id_of_its_own(client):
    stable = await provide(client, b"1")
    answer = await client.register_on_demand(submission(on_demand(unique_id=stable.unique_id)))
    assert [e.code for e in answer.errors] == ["XDSDuplicateUniqueIdInRegistry"]
