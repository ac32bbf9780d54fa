"""Deleting metadata and removing documents over sockets: all or nothing, and nothing is left dangling."""

import pytest
from msgspec import structs

from gateway.model import AvailabilityStatus, ResponseStatus
from gateway.model.codes import APND, HAS_MEMBER
from gateway.model.query import (
    ANY_STATUS,
    GetAll,
    GetAssociations,
    GetDocuments,
    GetFolderAndContents,
)
from tests.affinity.samples import (
    PATIENT,
    entry,
    entry_uuid,
    folder,
    link,
    sha1,
    submission,
    version_of,
)

EVERYTHING = GetAll(
    patient_id=PATIENT,
    entry_status=ANY_STATUS,
    submission_set_status=ANY_STATUS,
    folder_status=ANY_STATUS,
    metadata_level=2,
)


def provided(content: bytes):
    return entry(hash=sha1(content), size=len(content))


def names(*values) -> list[str]:
    return [value.entry_uuid for value in values]


async def deleted(client, *entry_uuids):
    answer = await client.delete(*entry_uuids)
    assert (answer.status, answer.errors) == (ResponseStatus.SUCCESS, ())


async def refused(client, *entry_uuids) -> dict[str, str]:
    """Texts by code of a refused deletion, after which the registry is as it was."""
    before = await client.query(EVERYTHING)
    answer = await client.delete(*entry_uuids)
    assert answer.status is ResponseStatus.FAILURE
    assert await client.query(EVERYTHING) == before
    return {
        code: " | ".join(e.context for e in answer.errors if e.code == code)
        for code in {e.code for e in answer.errors}
    }


# --- ITI-62 ---------------------------------------------------------------------------------------------


async def test_a_whole_submission_is_deleted(client):
    wanted = submission(entry(), folders=(folder(),))
    await client.register(wanted)
    await deleted(
        client, *names(wanted.submission_set, *wanted.entries, *wanted.folders, *wanted.associations)
    )
    found = await client.query(EVERYTHING)
    assert (found.entries, found.submission_sets, found.folders, found.associations) == ((),) * 4
    assert (await client.register(wanted)).errors == ()


async def test_what_is_referred_to_is_not_deleted(client):
    document, box = entry(), folder()
    in_box = link(HAS_MEMBER, box.entry_uuid, document.entry_uuid)
    wanted = submission(document, folders=(box,), associations=(in_box,))
    await client.register(wanted)
    texts = await refused(client, document.entry_uuid)
    assert set(texts) == {"ReferencesExistException"}
    assert in_box.entry_uuid in texts["ReferencesExistException"]
    assert set(await refused(client, wanted.submission_set.entry_uuid)) == {"ReferencesExistException"}


async def test_nothing_is_left_that_no_one_holds(client):
    document = entry()
    wanted = submission(document)
    await client.register(wanted)
    (member,) = wanted.associations
    texts = await refused(client, *names(document, member))
    assert set(texts) == {"XDSUnreferencedObjectException"}
    assert f"SubmissionSet {wanted.submission_set.entry_uuid} would hold nothing" in texts.popitem()[1]
    texts = await refused(client, *names(wanted.submission_set, member))
    assert f"no SubmissionSet would hold {document.entry_uuid}" in texts["XDSUnreferencedObjectException"]


async def test_a_document_leaves_a_folder_that_stays(client):
    document, box = entry(), folder()
    in_box = link(HAS_MEMBER, box.entry_uuid, document.entry_uuid)
    held = submission(document, folders=(box,))
    holds = link(HAS_MEMBER, held.submission_set.entry_uuid, in_box.entry_uuid)
    await client.register(structs.replace(held, associations=(*held.associations, in_box, holds)))
    assert set(await refused(client, in_box.entry_uuid)) == {"ReferencesExistException"}
    await deleted(client, *names(in_box, holds))
    assert (await client.query(GetFolderAndContents(entry_uuid=box.entry_uuid))).entries == ()
    assert len((await client.query(GetDocuments(entry_uuids=(document.entry_uuid,)))).entries) == 1


async def test_all_versions_of_an_entry_go_together(client):
    old = entry()
    first = submission(old)
    await client.register(first)
    wanted = version_of(old)
    await client.update(wanted)
    new = wanted.versions[0]
    newer = names(new.entry, new.member, wanted.submission_set)
    texts = await refused(client, *newer)
    assert f"{old.entry_uuid} is another version" in texts["ReferencesExistException"]
    await deleted(client, *newer, *names(old, first.submission_set, *first.associations))
    assert (await client.query(EVERYTHING)).entries == ()


async def test_ids_that_name_nothing_are_told(client):
    unknown = entry_uuid()
    assert await refused(client, unknown) == {
        "UnresolvedReferenceException": f"{unknown} is no object of the registry"
    }
    wanted = submission(entry())
    await client.register(wanted)
    assert "XDSInvalidRequestException" in await refused(client, *names(wanted.submission_set) * 2)


async def test_a_relation_is_deleted_and_the_documents_stay(client):
    old = entry()
    await client.register(submission(old))
    addendum = entry()
    related = link(APND, addendum.entry_uuid, old.entry_uuid)
    await client.register(submission(addendum, associations=(related,)))
    await deleted(client, related.entry_uuid)
    left = (await client.query(GetAssociations(uuids=(old.entry_uuid,)))).associations
    assert [a.type for a in left] == [HAS_MEMBER]


# --- ITI-86 ---------------------------------------------------------------------------------------------


def files(tmp_path) -> list[str]:
    return sorted(p.name for p in (tmp_path / "domain" / "documents").rglob("*") if p.is_file())


async def test_a_removed_document_is_gone_with_its_bytes(client, tmp_path):
    one, two = provided(b"one"), provided(b"two")
    await client.provide(submission(one, two), b"one", b"two")
    answer = await client.remove(one.unique_id)
    assert (answer.status, answer.errors) == (ResponseStatus.SUCCESS, ())
    answer, contents = await client.retrieve(one.unique_id, two.unique_id)
    assert answer.status is ResponseStatus.PARTIAL
    assert [(e.code, e.location) for e in answer.errors] == [("XDSDocumentUniqueIdError", one.unique_id)]
    assert contents == {two.unique_id: b"two"}
    assert files(tmp_path) == [sha1(b"two")]


async def test_bytes_that_another_document_has_too_stay(client, tmp_path):
    one, two = provided(b"same"), provided(b"same")
    await client.provide(submission(one, two), b"same", b"same")
    await client.remove(one.unique_id)
    assert (await client.retrieve(two.unique_id))[1] == {two.unique_id: b"same"}
    await client.remove(two.unique_id)
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "XDSDocumentUniqueIdError"),
        ({"repository": "2.999.77"}, "XDSUnknownRepositoryId"),
    ],
)
async def test_a_removal_is_all_or_nothing(client, changes, code):
    one = provided(b"one")
    await client.provide(submission(one), b"one")
    answer = await client.remove(one.unique_id, "2.999.4711", **changes)
    assert answer.status is ResponseStatus.FAILURE
    assert {e.code for e in answer.errors} == {code}
    assert answer.errors[-1].location == "2.999.4711"
    assert (await client.retrieve(one.unique_id))[1] == {one.unique_id: b"one"}


async def test_a_document_may_come_again_after_its_removal(client):
    one = provided(b"one")
    wanted = submission(one)
    await client.provide(wanted, b"one")
    await client.delete(*names(wanted.submission_set, one, *wanted.associations))
    await client.remove(one.unique_id)
    assert (await client.provide(wanted, b"one")).errors == ()
    assert (await client.retrieve(one.unique_id))[1] == {one.unique_id: b"one"}
    (found,) = (await client.query(GetDocuments(unique_ids=(one.unique_id,)))).entries
    assert found.status is AvailabilityStatus.APPROVED
