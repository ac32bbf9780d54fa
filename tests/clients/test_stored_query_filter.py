"""Stored queries applied here let through what a registry finds by them."""

import pytest
from msgspec import structs

from gateway.affinity.options import AffinityOptions
from gateway.clients.stored_query_filter import (
    finds_document,
    finds_folder,
    finds_submission_set,
    is_content,
)
from gateway.model import AvailabilityStatus, Code, Person, ReferenceId
from gateway.model.codes import ON_DEMAND_DOCUMENT, REFERENCE_ORDER
from gateway.model.metadata import Author
from gateway.model.query import (
    ANY_DOCUMENT,
    ANY_STATUS,
    FindDocuments,
    FindDocumentsByReferenceId,
    FindFolders,
    FindSubmissionSets,
    GetAll,
)
from tests.affinity.samples import (
    OTHER_PATIENT,
    PATIENT,
    REPOSITORY,
    Domain,
    code,
    entry,
    folder,
    submission,
)

ORDER = ReferenceId("ORD_1", "2.999.8", REFERENCE_ORDER)
ENTRIES = [
    entry(),
    entry(type_code=code("other"), creation_time="2024"),
    entry(class_code=Code("class", "2.999.4"), service_start_time=None, service_stop_time=None),
    entry(event_codes=(code("MR"),), confidentiality=(code("R"), code("N"))),
    entry(reference_ids=(ORDER,), authors=()),
    entry(authors=(Author(person=Person(family="O_hm", given="G%")),)),
    entry(object_type=ON_DEMAND_DOCUMENT, creation_time=None, hash=None, size=None, format_code=code("odd")),
    entry(service_start_time="20240102", service_stop_time="20240102235959"),
]
OF = {"patient_id": PATIENT, "status": ANY_STATUS}
QUERIES = [
    {},
    {"document_type": ANY_DOCUMENT},
    {"document_type": (ON_DEMAND_DOCUMENT,), "creation_time_from": "2030"},
    {"type_code": (code("other"), code("none"))},
    {"class_code": (code("class"),)},
    {"format_code": (code("odd"),), "document_type": ANY_DOCUMENT},
    {"event_codes": ((code("CT"), code("MR")),)},
    {"event_codes": ((code("CT"),), (code("CHEST"),))},
    {"confidentiality": ((code("R"),), (code("N"),))},
    {"author_person": ("%Ohm%",)},
    {"author_person": ("%O_hm%", "nobody")},
    {"creation_time_from": "20240102030405", "creation_time_to": "20240102030406"},
    {"creation_time_to": "202401"},
    {"creation_time_from": "2024", "creation_time_to": "20240101000001"},
    {"service_start_time_from": "20240102"},
    {"service_start_time_to": "20240102"},
    {"service_stop_time_from": "2024010203", "service_stop_time_to": "20240103"},
    {"practice_setting": (code("practice"),), "facility_type": (code("facility"),)},
]


@pytest.fixture
def domain(tmp_path):
    made = Domain(AffinityOptions(state_dir=tmp_path, repository_unique_id=REPOSITORY))
    for each in ENTRIES:
        if not each.on_demand:
            made.register(each, folders=(folder(code_list=(code("A"), code(each.unique_id))),))
    made.registry.register(
        made.registry.prepare(submission(next(e for e in ENTRIES if e.on_demand)), on_demand=True)
    )
    yield made
    made.database.close()


def found_by(domain, query):
    return {item.unique_id for item in domain.query(query).entries}


@pytest.mark.parametrize("limits", QUERIES)
def test_documents_are_found_as_a_registry_finds_them(domain, limits):
    query = FindDocuments(**OF, **limits)
    assert {e.unique_id for e in ENTRIES if finds_document(query, e)} == found_by(domain, query)


@pytest.mark.parametrize(
    "patterns",
    [
        (("ACC1^^^&2.999.8&ISO^%",),),
        (("%ORD_1%", "%ACC1%"),),
        (("%ORD%",), ("%order%",)),
        (("ORD__^%",), ("%nothing%",)),
        (("ACC1",),),
    ],
)
def test_documents_are_found_by_reference_id_as_a_registry_finds_them(domain, patterns):
    query = FindDocumentsByReferenceId(**OF, reference_ids=patterns)
    assert {e.unique_id for e in ENTRIES if finds_document(query, e)} == found_by(domain, query)


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"source_id": ("2.999.6",)},
        {"source_id": ("2.999.66",)},
        {"submission_time_from": "20240103101112"},
        {"submission_time_to": "20240103101112"},
        {"author_person": "%Noether%"},
        {"author_person": "Noether"},
        {"content_type": (code("content"),)},
        {"content_type": (code("x"),)},
    ],
)
def test_submission_sets_are_found_as_a_registry_finds_them(domain, limits):
    query = FindSubmissionSets(patient_id=PATIENT, **limits)
    every = domain.query(FindSubmissionSets(patient_id=PATIENT)).submission_sets
    expected = {s.unique_id for s in domain.query(query).submission_sets}
    assert {s.unique_id for s in every if finds_submission_set(query, s)} == expected


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"code_list": ((code("A"),),)},
        {"code_list": ((code("A"),), (code(ENTRIES[0].unique_id),))},
        {"code_list": ((code("B"),),)},
        {"last_update_time_from": "2025"},
    ],
)
def test_folders_are_found_as_a_registry_finds_them(domain, limits):
    query = FindFolders(patient_id=PATIENT, **limits)
    every = domain.query(FindFolders(patient_id=PATIENT)).folders
    expected = {f.unique_id for f in domain.query(query).folders}
    assert {f.unique_id for f in every if finds_folder(query, f)} == expected


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"format_code": (code("odd"),), "document_type": ANY_DOCUMENT},
        {"confidentiality": ((code("R"),),)},
    ],
)
def test_contents_are_limited_as_a_registry_limits_them(domain, limits):
    query = GetAll(patient_id=PATIENT, **limits)
    assert {e.unique_id for e in ENTRIES if is_content(query, e)} == found_by(domain, query)


def test_another_patient_and_another_status_are_never_found():
    query = FindDocuments(patient_id=PATIENT)
    assert finds_document(query, ENTRIES[0])
    assert not finds_document(query, structs.replace(ENTRIES[0], patient_id=OTHER_PATIENT))
    assert not finds_document(query, structs.replace(ENTRIES[0], status=AvailabilityStatus.DEPRECATED))
