"""Every stored query finds what a plain loop over the registry's content finds, in the same order."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.affinity import objects
from gateway.affinity.conditions import like_as_glob
from gateway.affinity.database import Database
from gateway.affinity.options import AffinityOptions
from gateway.affinity.registry import Registry
from gateway.affinity.schema import open_writer
from gateway.model import (
    Association,
    Author,
    AvailabilityStatus,
    Code,
    Cx,
    DocumentEntry,
    Folder,
    Person,
    ReferenceId,
    ResponseStatus,
    SubmissionSet,
)
from gateway.model.codes import APND, HAS_MEMBER, ON_DEMAND_DOCUMENT, RPLC, STABLE_DOCUMENT
from gateway.model.query import (
    ANY_DOCUMENT,
    ANY_STATUS,
    FindDocuments,
    FindDocumentsByReferenceId,
    FindFolders,
    FindSubmissionSets,
    GetAll,
    GetAssociations,
    GetDocuments,
    GetDocumentsAndAssociations,
    GetFolderAndContents,
    GetFolders,
    GetFoldersForDocument,
    GetRelatedDocuments,
    GetSubmissionSetAndContents,
    GetSubmissionSets,
)
from tests.affinity.naive import Content, evaluate, like
from tests.affinity.samples import HOME, OTHER_PATIENT, PATIENT, entry, folder, link, submission

MOSTLY = Cx("1", "2.999.1")
patients = st.sampled_from([MOSTLY, MOSTLY, MOSTLY, Cx("1", "2.999.2"), Cx("2", "2.999.1")])
codes = st.builds(
    Code, st.sampled_from("AAB"), st.sampled_from(["s1", "s1", "s2"]), st.sampled_from([None, "x"])
)
optional_codes = st.none() | codes
times = st.sampled_from(["2024", "202402", "20240229", "202402291230", "20240229123015", "2025"])
optional_times = st.one_of(times, times, st.none())
statuses = st.sampled_from(list(AvailabilityStatus))
kinds = st.sampled_from([STABLE_DOCUMENT, ON_DEMAND_DOCUMENT])
people = st.builds(
    Person,
    id=st.none(),
    family=st.sampled_from(["Smith", "smith", "S%", "[a]", "Mül?"]),
    given=st.none() | st.just("A*"),
)
authors = st.lists(st.builds(Author, person=st.none() | people), max_size=2).map(tuple)
references = st.builds(
    ReferenceId, st.sampled_from(["a1", "a2"]), st.sampled_from([None, "2.9"]), st.just("urn:t")
)
patterns = st.sampled_from(
    ["%", "^Smith%", "%smith%", "_Smith", "%[a]%", "%?%", "%*%", "^S%", "^Sm_th", "a1%", "%&2.9&%", ""]
)


query_statuses = st.sampled_from([ANY_STATUS, ANY_STATUS, *((s,) for s in AvailabilityStatus)])


def few(values, most=3):
    return st.lists(values, max_size=most).map(tuple)


def some(values, most=2):
    return st.lists(values, min_size=1, max_size=most).map(tuple)


def uuid_of(kind: int, number: int) -> str:
    return f"urn:uuid:{kind:08x}-0000-4000-8000-{number:012x}"


@st.composite
def contents(draw) -> Content:
    content = Content()
    for number in range(draw(st.integers(1, 6))):
        content.entries.append(
            DocumentEntry(
                entry_uuid=uuid_of(1, number),
                unique_id=draw(st.sampled_from(["2.1", "2.2", "2.3"])),
                patient_id=draw(patients),
                object_type=draw(kinds),
                status=draw(statuses),
                authors=draw(authors),
                class_code=draw(optional_codes),
                type_code=draw(optional_codes),
                format_code=draw(optional_codes),
                facility_type=draw(optional_codes),
                practice_setting=draw(optional_codes),
                confidentiality=draw(few(codes)),
                event_codes=draw(few(codes)),
                reference_ids=draw(few(references)),
                creation_time=draw(optional_times),
                service_start_time=draw(optional_times),
                service_stop_time=draw(optional_times),
            )
        )
    for number in range(draw(st.integers(0, 3))):
        content.submission_sets.append(
            SubmissionSet(
                entry_uuid=uuid_of(2, number),
                unique_id=f"3.{number}",
                patient_id=draw(patients),
                source_id=draw(st.sampled_from(["1.1", "1.2"])),
                submission_time=draw(times),
                authors=draw(authors),
                content_type=draw(optional_codes),
                status=draw(statuses),
            )
        )
    for number in range(draw(st.integers(0, 3))):
        content.folders.append(
            Folder(
                entry_uuid=uuid_of(3, number),
                unique_id=f"4.{number}",
                patient_id=draw(patients),
                code_list=draw(few(codes)),
                last_update_time=draw(times),
                status=draw(statuses),
            )
        )
    ends = content.uuids()
    for number in range(draw(st.integers(0, 8)) if ends else 0):
        uuid = uuid_of(4, number)
        content.associations.append(
            Association(
                entry_uuid=uuid,
                type=draw(st.sampled_from([HAS_MEMBER, HAS_MEMBER, RPLC, APND])),
                source=draw(st.sampled_from(ends)),
                target=draw(st.sampled_from([*ends, *(a.entry_uuid for a in content.associations)])),
            )
        )
    return content


uuids = st.builds(uuid_of, st.integers(1, 4), st.integers(0, 4))
entry_uuids, set_uuids, folder_uuids = (
    st.builds(uuid_of, st.just(kind), st.integers(0, 3)) for kind in (1, 2, 3)
)
find_documents = {
    "patient_id": st.just(MOSTLY),
    "status": query_statuses,
    "class_code": few(codes, 1),
    "type_code": few(codes, 1),
    "practice_setting": few(codes, 1),
    "facility_type": few(codes, 1),
    "format_code": few(codes, 1),
    "event_codes": few(some(codes), 2),
    "confidentiality": few(some(codes), 2),
    "author_person": few(patterns, 2),
    "document_type": few(kinds, 2) | st.just(ANY_DOCUMENT),
} | {
    f"{name}_{end}": optional_times
    for name in ("creation_time", "service_start_time", "service_stop_time")
    for end in ("from", "to")
}
content_filter = {
    "format_code": few(codes, 1),
    "confidentiality": few(some(codes), 1),
    "document_type": few(kinds, 2) | st.just(ANY_DOCUMENT),
}


def sparse(query, fields, required=()):
    """Queries with a few of the optional parameters: with all of them nothing is ever found."""

    @st.composite
    def build(draw):
        optional = sorted(set(fields) - set(required))
        chosen = draw(st.lists(st.sampled_from(optional), max_size=3, unique=True)) if optional else []
        return query(**{name: draw(fields[name]) for name in (*required, *chosen)})

    return build()


def by_name(query, names, unique_ids, fields=None):
    one = st.one_of(
        st.fixed_dictionaries({"entry_uuid": names}), st.fixed_dictionaries({"unique_id": unique_ids})
    )
    return st.builds(
        lambda name, rest: query(**name, **rest), one, st.fixed_dictionaries({}, optional=fields or {})
    )


def by_names(query, names, unique_ids):
    return st.builds(lambda u: query(entry_uuids=u), some(names, 3)) | st.builds(
        lambda u: query(unique_ids=u), some(unique_ids, 2)
    )


document_ids = st.sampled_from(["2.1", "2.2", "2.9"])
queries = {
    "FindDocuments": sparse(FindDocuments, find_documents, ("patient_id", "status")),
    **{
        f"FindDocuments by {field}": sparse(
            FindDocuments,
            {
                **{n: find_documents[n] for n in ("patient_id", "status")},
                field: values,
                "document_type": st.just(ANY_DOCUMENT),
            },
            ("patient_id", "status", field, "document_type"),
        )
        for field, values in find_documents.items()
        if field not in ("patient_id", "status")
    },
    "FindDocumentsByReferenceId": sparse(
        FindDocumentsByReferenceId,
        find_documents | {"reference_ids": some(some(patterns))},
        ("patient_id", "status", "reference_ids"),
    ),
    "FindSubmissionSets": sparse(
        FindSubmissionSets,
        {
            "patient_id": st.just(MOSTLY),
            "status": query_statuses,
            "source_id": few(st.sampled_from(["1.1", "1.2"]), 1),
            "submission_time_from": optional_times,
            "submission_time_to": optional_times,
            "author_person": st.none() | patterns,
            "content_type": few(codes, 2),
        },
        ("patient_id", "status"),
    ),
    "FindFolders": sparse(
        FindFolders,
        {
            "patient_id": st.just(MOSTLY),
            "status": query_statuses,
            "last_update_time_from": optional_times,
            "last_update_time_to": optional_times,
            "code_list": few(some(codes), 2),
        },
        ("patient_id", "status"),
    ),
    "GetAll": sparse(
        GetAll,
        {
            "patient_id": st.just(MOSTLY),
            "entry_status": query_statuses,
            "submission_set_status": query_statuses,
            "folder_status": query_statuses,
            **content_filter,
        },
        ("patient_id", "entry_status", "submission_set_status", "folder_status"),
    ),
    "GetDocuments": by_names(GetDocuments, entry_uuids, document_ids),
    "GetFolders": by_names(GetFolders, folder_uuids, st.sampled_from(["4.0", "4.1"])),
    "GetAssociations": st.builds(GetAssociations, uuids=some(uuids, 4)),
    "GetDocumentsAndAssociations": by_names(GetDocumentsAndAssociations, entry_uuids, document_ids),
    "GetSubmissionSets": st.builds(GetSubmissionSets, uuids=some(uuids, 4)),
    "GetSubmissionSetAndContents": by_name(
        GetSubmissionSetAndContents, set_uuids, st.sampled_from(["3.0", "3.1"]), content_filter
    ),
    "GetFolderAndContents": by_name(
        GetFolderAndContents, folder_uuids, st.sampled_from(["4.0", "4.1"]), content_filter
    ),
    "GetFoldersForDocument": by_name(GetFoldersForDocument, entry_uuids, document_ids),
    "GetRelatedDocuments": st.builds(
        lambda base, types: GetRelatedDocuments(
            entry_uuid=base.entry_uuid, unique_id=base.unique_id, association_types=types, document_type=()
        ),
        by_name(GetFoldersForDocument, entry_uuids, document_ids),
        some(st.sampled_from([HAS_MEMBER, RPLC, APND]), 3),
    ),
}


@pytest.fixture(scope="module")
def registry():
    with tempfile.TemporaryDirectory() as folder_name:
        options = AffinityOptions(state_dir=Path(folder_name), repository_unique_id="2.999.10.1")
        database = Database(Path(folder_name) / "registry.sqlite", 1)
        yield Registry(options, database)
        database.close()


def store(connection, content: Content) -> None:
    for value in content.entries:
        objects.insert_entry(connection, value)
    for value in content.submission_sets:
        objects.insert_submission_set(connection, value)
    for value in content.folders:
        objects.insert_folder(connection, value)
    for value in content.associations:
        objects.insert_association(connection, value)


@pytest.mark.parametrize("name", queries)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_query_finds_what_a_plain_loop_finds(registry, name, data):
    content = data.draw(contents())
    connection = open_writer(Path(":memory:"))
    try:
        store(connection, content)
        for _ in range(6):
            query = data.draw(queries[name])
            expected = evaluate(content, query)
            references = registry.answer(connection, query, "ObjectRef")
            assert [r.id for r in references.object_refs] == expected.uuids()
            whole = registry.answer(connection, query, "LeafClass")
            holders = (*expected.entries, *expected.submission_sets, *expected.folders)
            if len({o.patient_id for o in holders}) > 1:
                assert [e.code for e in whole.errors] == ["XDSResultNotSinglePatient"]
                continue
            assert whole.status is ResponseStatus.SUCCESS
            assert list(whole.entries) == expected.entries
            assert list(whole.submission_sets) == expected.submission_sets
            assert list(whole.folders) == expected.folders
            assert list(whole.associations) == expected.associations
    finally:
        connection.close()


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="aA%_*?[]^-!", max_size=8), st.text(alphabet="aA%_*?[]^-!", max_size=8))
def test_a_like_pattern_means_the_same_as_its_glob(text, pattern):
    connection = open_writer(Path(":memory:"))
    try:
        (matched,) = connection.execute("SELECT ? GLOB ?", (text, like_as_glob(pattern))).fetchone()
    finally:
        connection.close()
    assert bool(matched) == like(text, pattern)


def test_the_upper_limit_of_a_time_is_outside(domain):
    domain.register(submission(entry(creation_time="20240102"), entry(creation_time="20240103")))
    found = domain.query(
        FindDocuments(patient_id=PATIENT, creation_time_from="20240102", creation_time_to="20240103")
    )
    assert [e.creation_time for e in found.entries] == ["20240102"]


def test_a_missing_service_time_does_not_exclude(domain):
    domain.register(entry(service_start_time=None, service_stop_time=None))
    query = FindDocuments(patient_id=PATIENT, service_start_time_from="2030", service_stop_time_to="1990")
    assert len(domain.query(query).entries) == 1


def test_whole_objects_of_several_patients_are_refused_and_their_ids_are_not(domain):
    mine = domain.register(entry()).entries[0]
    theirs = domain.register(submission(entry(patient_id=OTHER_PATIENT), patient_id=OTHER_PATIENT)).entries[0]
    query = GetDocuments(entry_uuids=(mine.entry_uuid, theirs.entry_uuid))
    refused = domain.query(query)
    assert (refused.status, refused.entries) == (ResponseStatus.FAILURE, ())
    assert [e.code for e in refused.errors] == ["XDSResultNotSinglePatient"]
    assert len(domain.query(query, "ObjectRef").object_refs) == 2


def test_get_all_names_what_a_current_document_replaced(domain):
    old, new = entry(), entry()
    domain.register(old)
    replacing = link(RPLC, new.entry_uuid, old.entry_uuid)
    domain.register(submission(new, associations=(replacing,)))
    found = domain.query(GetAll(patient_id=PATIENT))
    assert [e.entry_uuid for e in found.entries] == [new.entry_uuid]
    assert replacing in found.associations


def test_more_whole_objects_than_allowed_are_refused(make_domain):
    domain = make_domain(max_results=2)
    domain.register(submission(entry(), entry(), entry()))
    query = FindDocuments(patient_id=PATIENT)
    assert [e.code for e in domain.query(query).errors] == ["XDSTooManyResults"]
    assert len(domain.query(query, "ObjectRef").object_refs) == 3


def test_the_home_community_is_on_everything_that_is_returned(make_domain):
    domain = make_domain(home_community_id="2.999.5")
    document, box = entry(), folder()
    domain.register(
        submission(
            document, folders=(box,), associations=(link(HAS_MEMBER, box.entry_uuid, document.entry_uuid),)
        )
    )
    found = domain.query(GetAll(patient_id=PATIENT))
    returned = (*found.entries, *found.submission_sets, *found.folders, *found.associations)
    assert {o.home_community_id for o in returned} == {HOME}
    references = domain.query(GetAll(patient_id=PATIENT), "ObjectRef").object_refs
    assert {r.home_community_id for r in references} == {HOME}
    elsewhere = domain.query(FindDocuments(patient_id=PATIENT, home="urn:oid:2.999.6"))
    assert [e.code for e in elsewhere.errors] == ["XDSUnknownCommunity"]
    assert domain.query(FindDocuments(patient_id=PATIENT, home=HOME)).entries


def test_thousands_of_ids_are_one_query(domain):
    kept = domain.register(entry()).entries[0]
    names = tuple(uuid_of(9, number) for number in range(40_000))
    assert len(domain.query(GetDocuments(entry_uuids=(*names, kept.entry_uuid))).entries) == 1
