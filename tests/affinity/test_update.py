"""Metadata update over sockets: versions, status, new associations, and what is refused with which code."""

import asyncio

import pytest
from msgspec import structs

from gateway.affinity.errors import Refusal
from gateway.ebxml.metadata_update import MetadataUpdate, submission_of
from gateway.fhir.error_table import known_code
from gateway.model import AvailabilityStatus, ResponseStatus
from gateway.model.codes import (
    APND,
    HAS_MEMBER,
    ON_DEMAND_DOCUMENT,
    RPLC,
    SIGNS,
    SUBMIT_ASSOCIATION,
    UPDATE_AVAILABILITY_STATUS,
)
from gateway.model.query import (
    ANY_STATUS,
    FindDocuments,
    FindFolders,
    GetAll,
    GetAssociations,
    GetDocuments,
    GetDocumentsAndAssociations,
    GetFolderAndContents,
    GetSubmissionSetAndContents,
)
from tests.affinity.samples import (
    OTHER_PATIENT,
    PATIENT,
    entry,
    entry_uuid,
    folder,
    link,
    status_of,
    submission,
    submission_set,
    version_of,
)

APPROVED, DEPRECATED = AvailabilityStatus.APPROVED, AvailabilityStatus.DEPRECATED
EVERYTHING = GetAll(
    patient_id=PATIENT,
    entry_status=ANY_STATUS,
    submission_set_status=ANY_STATUS,
    folder_status=ANY_STATUS,
    metadata_level=2,
)


async def register(client, *args, **kwargs):
    wanted = submission(*args, **kwargs)
    assert (await client.register(wanted)).errors == ()
    return wanted


async def done(client, wanted):
    answer = await client.update(wanted)
    assert (answer.status, answer.errors) == (ResponseStatus.SUCCESS, ())


async def refused(client, wanted):
    """Code and text of a refused update, after which the registry is as it was."""
    before = await client.query(EVERYTHING)
    answer = await client.update(wanted)
    assert answer.status is ResponseStatus.FAILURE
    assert await client.query(EVERYTHING) == before
    assert "P-1" not in repr(answer.errors)
    return [error.code for error in answer.errors], " | ".join(error.context for error in answer.errors)


# --- versions -------------------------------------------------------------------------------------------


async def test_a_new_version_takes_the_place_of_the_old_one(client):
    old = entry()
    await register(client, old)
    wanted = version_of(old, title="Corrected")
    await done(client, wanted)
    new = structs.replace(wanted.versions[0].entry, version="2")
    assert (await client.query(FindDocuments(patient_id=PATIENT, status=ANY_STATUS))).entries == (new,)
    assert (await client.query(GetDocuments(entry_uuids=(old.entry_uuid,)))).entries == ()
    for query in (
        GetDocuments(unique_ids=(old.unique_id,)),
        GetDocuments(logical_ids=(old.entry_uuid,)),
        GetDocumentsAndAssociations(logical_ids=(old.entry_uuid,)),
    ):
        assert (await client.query(query)).entries == (new,)


async def test_every_version_is_given_where_it_is_asked_for(client):
    first = entry()
    await register(client, first)
    second, third = version_of(first, title="2nd"), version_of(first, "2", title="3rd")
    await done(client, second)
    await done(client, third)
    found = await client.query(GetDocuments(logical_ids=(first.entry_uuid,), metadata_level=2))
    assert [(e.title, e.version, e.status) for e in found.entries] == [
        ("Report", "1", DEPRECATED),
        ("2nd", "2", DEPRECATED),
        ("3rd", "3", APPROVED),
    ]
    assert {e.logical_id for e in found.entries} == {first.entry_uuid}
    by_uuid = GetDocuments(entry_uuids=(first.entry_uuid,), metadata_level=2)
    assert (await client.query(by_uuid)).entries == found.entries[:1]


async def test_what_was_never_updated_has_version_1_and_says_so_at_level_2_only(client):
    only = entry()
    await register(client, only)
    query = GetDocuments(entry_uuids=(only.entry_uuid,))
    assert (await client.query(query)).entries == (only,)
    (found,) = (await client.query(structs.replace(query, metadata_level=2))).entries
    assert (found.logical_id, found.version) == (only.entry_uuid, "1")


async def test_folders_and_relations_follow_to_the_new_version(client):
    original, box = entry(), folder()
    await register(
        client,
        original,
        folders=(box,),
        associations=(link(HAS_MEMBER, box.entry_uuid, original.entry_uuid),),
    )
    addendum = entry()
    await register(client, addendum, associations=(link(APND, addendum.entry_uuid, original.entry_uuid),))
    wanted = version_of(original, title="Corrected")
    await done(client, wanted)
    new = wanted.versions[0].entry.entry_uuid
    in_box = await client.query(GetFolderAndContents(entry_uuid=box.entry_uuid))
    assert [e.entry_uuid for e in in_box.entries] == [new]
    assert [a.target for a in in_box.associations] == [new]
    touching = (await client.query(GetAssociations(uuids=(new,)))).associations
    assert (APND, addendum.entry_uuid, new) in [(a.type, a.source, a.target) for a in touching]
    held = await client.query(GetSubmissionSetAndContents(entry_uuid=wanted.submission_set.entry_uuid))
    assert {a.type for a in held.associations} == {HAS_MEMBER}
    assert [e.entry_uuid for e in held.entries] == [new]
    ended = GetAssociations(uuids=(original.entry_uuid,), association_status=(DEPRECATED,))
    assert {a.type for a in (await client.query(ended)).associations} == {HAS_MEMBER, APND}
    replacement = entry()
    await register(client, replacement, associations=(link(RPLC, replacement.entry_uuid, new),))
    (addendum_now,) = (await client.query(GetDocuments(entry_uuids=(addendum.entry_uuid,)))).entries
    assert addendum_now.status is DEPRECATED


async def test_nothing_follows_where_no_propagation_is_asked_for(client):
    old, box = entry(), folder()
    member = link(HAS_MEMBER, box.entry_uuid, old.entry_uuid)
    await register(client, old, folders=(box,), associations=(member,))
    await done(client, version_of(old, propagate=False, title="Corrected"))
    assert (await client.query(GetFolderAndContents(entry_uuid=box.entry_uuid))).entries == ()


async def test_a_document_may_go_to_another_patient_without_its_associations(client):
    old, box = entry(), folder()
    member = link(HAS_MEMBER, box.entry_uuid, old.entry_uuid)
    await register(client, old, folders=(box,), associations=(member,))
    codes, text = await refused(client, version_of(old, patient_id=OTHER_PATIENT))
    assert codes == ["XDSPatientIDReconciliationError"], text
    await done(client, version_of(old, propagate=False, patient_id=OTHER_PATIENT))
    assert (await client.query(FindDocuments(patient_id=PATIENT, status=ANY_STATUS))).entries == ()
    assert len((await client.query(FindDocuments(patient_id=OTHER_PATIENT))).entries) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"unique_id": "2.999.99"}, "XDSMetadataIdentifierError"),
        ({"hash": "0" * 40}, "XDSMetadataUpdateError"),
        ({"size": 1}, "XDSMetadataUpdateError"),
        ({"mime_type": "text/html"}, "XDSMetadataUpdateError"),
        ({"repository_unique_id": "2.999.77"}, "XDSMetadataUpdateError"),
        ({"logical_id": None}, "XDSMetadataUpdateError"),
        ({"logical_id": "urn:uuid:00000000-0000-4000-8000-ffffffffffff"}, "XDSMetadataUpdateError"),
        ({"class_code": None}, "XDSRegistryMetadataError"),
        ({"service_start_time": "yesterday"}, "XDSRegistryMetadataError"),
        (
            {"object_type": ON_DEMAND_DOCUMENT, "creation_time": None, "hash": None, "size": None},
            "XDSObjectTypeError",
        ),
    ],
)
async def test_a_version_that_is_none_of_its_entry_is_refused(client, change, code):
    old = entry()
    await register(client, old)
    codes, text = await refused(client, version_of(old, **change))
    assert code in codes, text
    assert all(context.startswith("DocumentEntry urn:uuid:") for context in text.split(" | "))


async def test_who_has_not_seen_the_latest_version_is_refused(client):
    old = entry()
    await register(client, old)
    for previous in ("0", "2", "1.0"):
        codes, text = await refused(client, version_of(old, previous))
        assert codes == ["XDSMetadataVersionError"]
        assert f"PreviousVersion is {previous}, the latest version is 1" in text
    await done(client, version_of(old))
    assert (await refused(client, version_of(old)))[0] == ["XDSMetadataVersionError"]


async def test_of_updates_at_the_same_time_one_is_taken(client):
    old = entry()
    await register(client, old)
    answers = await asyncio.gather(*(client.update(version_of(old, title=str(n))) for n in range(8)))
    assert sorted(a.status is ResponseStatus.SUCCESS for a in answers) == [False] * 7 + [True]
    assert {e.code for a in answers for e in a.errors} == {"XDSMetadataVersionError"}
    found = await client.query(GetDocuments(logical_ids=(old.entry_uuid,), metadata_level=2))
    assert [e.version for e in found.entries] == ["1", "2"]


async def test_a_deprecated_entry_is_approved_before_it_is_updated(client):
    old = entry()
    await register(client, old)
    await done(client, status_of(old.entry_uuid, "Approved", "Deprecated"))
    codes, text = await refused(client, version_of(old))
    assert (codes, "approve it first" in text) == (["XDSMetadataUpdateError"], True)
    await done(client, status_of(old.entry_uuid, "Deprecated", "Approved"))
    await done(client, version_of(old))


async def test_two_versions_of_one_entry_in_one_update_are_refused(client):
    old = entry()
    await register(client, old)
    one, two = version_of(old), version_of(old)
    member = structs.replace(two.versions[0].member, source=one.submission_set.entry_uuid)
    both = structs.replace(one, versions=(*one.versions, structs.replace(two.versions[0], member=member)))
    codes, _ = await refused(client, both)
    assert codes == ["XDSRegistryDuplicateUniqueIdInMessage"]


async def test_an_old_version_is_not_a_document_to_relate_to(client):
    old = entry()
    await register(client, old)
    await done(client, version_of(old))
    late = entry()
    answer = await client.register(
        submission(late, associations=(link(APND, late.entry_uuid, old.entry_uuid),))
    )
    assert [e.code for e in answer.errors] == ["XDSRegistryDeprecatedDocumentError"]


async def test_what_is_no_update_is_refused(client):
    old = entry()
    await register(client, old)
    for wanted in (
        submission(entry()),
        submission(folders=(folder(),)),
        submission_of(MetadataUpdate(submission_set=submission_set())),
    ):
        assert (await refused(client, wanted))[0] == ["XDSMetadataUpdateOperationError"]


async def test_a_submission_set_is_submitted_once(client):
    old = entry()
    first = await register(client, old)
    wanted = version_of(old)
    of = structs.replace(wanted.submission_set, unique_id=first.submission_set.unique_id)
    codes, _ = await refused(client, structs.replace(wanted, submission_set=of))
    assert codes == ["XDSDuplicateUniqueIdInRegistry"]


# --- status ---------------------------------------------------------------------------------------------


async def test_a_document_is_deprecated_and_approved_again(client):
    old = entry()
    await register(client, old)
    await done(client, status_of(old.entry_uuid, "Approved", "Deprecated"))
    assert (await client.query(FindDocuments(patient_id=PATIENT))).entries == ()
    deprecated = FindDocuments(patient_id=PATIENT, status=(DEPRECATED,))
    assert [e.status for e in (await client.query(deprecated)).entries] == [DEPRECATED]
    await done(client, status_of(old.entry_uuid, "Deprecated", "Approved"))
    assert (await client.query(FindDocuments(patient_id=PATIENT))).entries == (old,)
    touching = (await client.query(GetAssociations(uuids=(old.entry_uuid,)))).associations
    assert [a.type for a in touching].count(UPDATE_AVAILABILITY_STATUS) == 2


async def test_a_folder_and_an_association_have_a_status_too(client):
    document, box = entry(), folder()
    member = link(HAS_MEMBER, box.entry_uuid, document.entry_uuid)
    await register(client, document, folders=(box,), associations=(member,))
    await done(client, status_of(member.entry_uuid, "Approved", "Deprecated"))
    assert (await client.query(GetFolderAndContents(entry_uuid=box.entry_uuid))).entries == ()
    await done(client, status_of(box.entry_uuid, "Approved", "Deprecated"))
    assert (await client.query(FindFolders(patient_id=PATIENT))).folders == ()
    assert len((await client.query(FindFolders(patient_id=PATIENT, status=ANY_STATUS))).folders) == 1


async def test_a_status_is_changed_from_what_it_is_to_what_it_is_not(client):
    old = entry()
    first = await register(client, old)
    updated = entry()
    await register(client, updated)
    await done(client, version_of(updated))
    cases = [
        (status_of(old.entry_uuid, "Deprecated", "Approved"), "XDSMetadataUpdateError"),
        (status_of(old.entry_uuid, "Approved", "Approved"), "XDSMetadataUpdateError"),
        (status_of(entry_uuid(), "Approved", "Deprecated"), "UnresolvedReferenceException"),
        (status_of(first.submission_set.entry_uuid, "Approved", "Deprecated"), "XDSMetadataUpdateError"),
        (status_of(updated.entry_uuid, "Deprecated", "Approved"), "XDSMetadataVersionError"),
        (
            status_of(old.entry_uuid, "Approved", "Deprecated", patient_id=OTHER_PATIENT),
            "XDSPatientIDReconciliationError",
        ),
    ]
    for wanted, code in cases:
        assert (await refused(client, wanted))[0] == [code]


# --- new associations -----------------------------------------------------------------------------------


def associating(kind, source, target, **changes):
    of, association = submission_set(**changes), link(kind, source, target)
    trigger = link(SUBMIT_ASSOCIATION, of.entry_uuid, association.entry_uuid)
    return MetadataUpdate(submission_set=of, associations=((trigger, association),))


async def test_a_registered_document_is_put_into_a_folder_and_related(client):
    one, two, box = entry(), entry(), folder()
    await register(client, one, two, folders=(box,))
    await done(client, associating(HAS_MEMBER, box.entry_uuid, one.entry_uuid))
    await done(client, associating(SIGNS, two.entry_uuid, one.entry_uuid))
    in_box = await client.query(GetFolderAndContents(entry_uuid=box.entry_uuid))
    assert [e.entry_uuid for e in in_box.entries] == [one.entry_uuid]
    touching = (await client.query(GetAssociations(uuids=(two.entry_uuid,)))).associations
    assert SIGNS in {a.type for a in touching}


async def test_what_cannot_be_associated_is_refused(client):
    one, two, box = entry(), entry(), folder()
    await register(client, one, two, folders=(box,))
    gone = entry()
    await register(client, gone)
    await done(client, status_of(gone.entry_uuid, "Approved", "Deprecated"))
    o, t, b, g = (x.entry_uuid for x in (one, two, box, gone))
    cases = [
        (associating(RPLC, o, t), "XDSMetadataUpdateError"),
        (associating("urn:x:y", o, t), "XDSMetadataUpdateError"),
        (associating(SIGNS, o, entry_uuid()), "UnresolvedReferenceException"),
        (associating(HAS_MEMBER, o, t), "UnresolvedReferenceException"),
        (associating(HAS_MEMBER, b, g), "XDSRegistryDeprecatedDocumentError"),
    ]
    for wanted, code in cases:
        assert (await refused(client, wanted))[0] == [code]
    other = associating(SIGNS, o, t, patient_id=OTHER_PATIENT)
    assert set((await refused(client, other))[0]) == {"XDSPatientIDReconciliationError"}


def test_every_code_that_the_domain_answers_with_has_a_row_for_fhir_clients():
    assert {code for code in Refusal if known_code(code) == "other"} == set()
    assert known_code("XDSMetadataUpdateOperationError") == "XDSMetadataUpdateOperationError"
