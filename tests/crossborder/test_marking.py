"""Ids of objects of other communities: what is written leads back, and communities never see it."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from gateway.crossborder.communities import Communities
from gateway.crossborder.marking import by_mark, names_objects, with_marks
from gateway.fhir.document_ids import read_document_id
from gateway.fhir.document_reference import entry_uuid_of, resource_id
from gateway.model import Association, DocumentEntry, Folder, QueryResult, ResponseStatus, SubmissionSet
from gateway.model.codes import HAS_MEMBER
from gateway.model.object_ids import (
    MARK_BYTES,
    community_mark,
    is_object_id,
    mark_bytes,
    mark_of_bytes,
    marked,
    unmarked,
)
from gateway.model.query import (
    GetAssociations,
    GetDocuments,
    GetFolderAndContents,
    GetSubmissionSets,
)

uuids = st.uuids().map(lambda number: number.urn)
homes = st.lists(st.integers(0, 9999), min_size=1, max_size=6).map(
    lambda arcs: "urn:oid:2.999." + ".".join(map(str, arcs))
)


@given(uuids, homes)
def test_a_mark_comes_off_again(entry_uuid, home):
    object_id = marked(entry_uuid, home)
    assert is_object_id(object_id)
    assert unmarked(object_id) == (entry_uuid, community_mark(home))
    assert unmarked(entry_uuid) == (entry_uuid, None)
    assert len(mark_bytes(community_mark(home))) == MARK_BYTES
    assert mark_of_bytes(mark_bytes(community_mark(home))) == community_mark(home)


@given(uuids, homes)
def test_ids_of_fhir_carry_the_mark_and_stay_short_enough(entry_uuid, home):
    entry = DocumentEntry(entry_uuid=marked(entry_uuid, home), unique_id="2.999.1")
    logical_id = resource_id(entry)
    assert len(f"{logical_id}-fhir") <= 64
    assert entry_uuid_of(logical_id) == entry.entry_uuid
    assert read_document_id(logical_id).entry_uuid == entry.entry_uuid
    made = read_document_id(f"{logical_id}-kos")
    assert (made.entry_uuid, made.made_as) == (entry.entry_uuid, "application/dicom")


@given(st.lists(st.tuples(uuids, st.none() | homes), min_size=1, max_size=8))
def test_a_query_is_cut_into_those_of_each_community_without_marks(named):
    ids = tuple(uid if home is None else marked(uid, home) for uid, home in named)
    for query in (GetDocuments(entry_uuids=ids), GetDocuments(logical_ids=ids), GetAssociations(uuids=ids)):
        assert names_objects(query)
        parts = by_mark(query)
        field = next(name for name in ("entry_uuids", "logical_ids", "uuids") if getattr(query, name, None))
        assert set(parts) == {None if home is None else community_mark(home) for _, home in named}
        for mark, part in parts.items():
            assert list(getattr(part, field)) == [
                uid for uid, home in named if (None if home is None else community_mark(home)) == mark
            ]


@given(uuids, homes)
def test_a_query_for_one_object_is_for_its_community(entry_uuid, home):
    (part,) = by_mark(GetFolderAndContents(entry_uuid=marked(entry_uuid, home))).items()
    assert part == (community_mark(home), GetFolderAndContents(entry_uuid=entry_uuid))


@given(homes, st.lists(uuids, min_size=4, max_size=4, unique=True))
def test_an_answer_is_marked_throughout_and_its_ids_are_those_that_a_query_takes(home, ids):
    document, folder, submission_set, association = ids
    result = QueryResult(
        status=ResponseStatus.SUCCESS,
        entries=(
            DocumentEntry(
                entry_uuid=document, unique_id="2.999.1", home_community_id=home, logical_id=document
            ),
        ),
        folders=(Folder(entry_uuid=folder, unique_id="2.999.2", home_community_id=home),),
        submission_sets=(
            SubmissionSet(
                entry_uuid=submission_set,
                unique_id="2.999.3",
                source_id="2.999",
                submission_time="2026",
                home_community_id=home,
            ),
        ),
        associations=(
            Association(entry_uuid=association, type=HAS_MEMBER, source=submission_set, target=document),
        ),
    )
    there = with_marks(result, home)
    (entry,), (member,) = there.entries, there.associations
    assert entry.logical_id == entry.entry_uuid == marked(document, home)
    assert (member.source, member.target) == (there.submission_sets[0].entry_uuid, entry.entry_uuid)
    assert there.folders[0].entry_uuid == marked(folder, home)
    (part,) = by_mark(GetSubmissionSets(uuids=(entry.entry_uuid,))).items()
    assert part == (community_mark(home), GetSubmissionSets(uuids=(document,)))


def test_the_marks_of_the_worlds_communities_differ():
    assert len({community_mark(f"urn:oid:2.999.{number}") for number in range(2000)}) == 2000


def test_a_mark_of_no_known_community_leads_nowhere():
    mark = unmarked(marked(uuid.uuid4().urn, "urn:oid:2.999.1"))[1]
    assert Communities().home_of_mark(mark) is None
