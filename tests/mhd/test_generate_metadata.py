"""Requests of Generate Metadata (ITI-106) that are damaged: an outcome each, never another exception."""

import copy
import random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.fhir.formats import FhirFormat
from gateway.fhir.issues import OutcomeError
from gateway.mhd.generate_metadata import open_generate_metadata
from gateway.model import Code, Cx, Organization
from gateway.model.metadata import Author
from gateway.model.publishing import DocumentDefaults, MetadataTables, PublishingSource
from tests.fhir import provide_samples as samples
from tests.fhir.test_fhir_document_header import document

CODE = Code("c", "2.999.20", "Code")
SOURCE = PublishingSource(
    source_id="2.999.40",
    institution=Organization("Hospital A"),
    defaults=DocumentDefaults(
        class_code=CODE, format_code=CODE, facility_type=CODE, practice_setting=CODE, language="en"
    ),
)
VALUES = (
    None,
    "",
    "x",
    5,
    True,
    [],
    {},
    ["x"],
    [{}],
    {"reference": "#a"},
    {"reference": "Patient/p"},
    "2024",
)


def request(bundle):
    return {"resourceType": "Parameters", "parameter": [{"name": "document", "resource": bundle}]}


def read(made, **changes):
    context = samples.context(**{"source": SOURCE, **changes})
    return open_generate_metadata(orjson.dumps(made), context, FhirFormat.JSON).read()


def test_a_submission_says_who_sent_it_and_what_the_document_says():
    provided = read(request(document()))
    submission_set = provided.submission.submission_set
    (entry,) = provided.submission.entries
    assert submission_set.source_id == "2.999.40"
    assert submission_set.authors == (*entry.authors, Author(institutions=(Organization("Hospital A"),)))
    assert submission_set.content_type == entry.type_code
    assert submission_set.title == "Summary"
    (member,) = provided.submission.associations
    assert (member.source, member.target) == (submission_set.entry_uuid, entry.entry_uuid)
    assert provided.documents[0].content == orjson.dumps(document())


def test_the_same_document_has_the_same_ids_and_another_source_other_ones():
    first, again = read(request(document())), read(request(document()))
    assert first.submission.entries == again.submission.entries
    assert first.digest == again.digest
    other = read(request(document()), source=PublishingSource(source_id="2.999.41", defaults=SOURCE.defaults))
    assert other.digest != first.digest


def test_the_tables_come_before_the_defaults():
    made = document()
    del made["entry"][0]["resource"]["category"]
    own, form = Code("own", "2.999.21", "Own"), Code("form", "2.999.22", "Form")
    tables = MetadataTables(
        class_codes={("18842-5", "2.16.840.1.113883.6.1"): own},
        format_codes={"https://profiles.example/Composition": form},
    )
    (entry,) = read(request(made), tables=tables).submission.entries
    assert (entry.class_code, entry.format_code) == (own, form)
    (entry,) = read(request(made)).submission.entries
    assert (entry.class_code, entry.format_code) == (CODE, CODE)


def test_the_patient_is_known_by_the_authority_of_the_settings():
    made = document()
    made["entry"][1]["resource"]["identifier"].append({"system": "urn:oid:2.999.2", "value": "P1"})
    (entry,) = read(request(made)).submission.entries
    assert entry.patient_id == Cx("MRN-1", "2.999.3")
    tables = MetadataTables(patient_authorities=frozenset({"2.999.2"}))
    (entry,) = read(request(made), tables=tables).submission.entries
    assert entry.patient_id == Cx("P1", "2.999.2")


def test_the_custodian_is_the_institution_of_a_source_without_one():
    made = document()
    made["entry"][0]["resource"]["author"] = [{"display": "Resident"}]
    source = PublishingSource(source_id="2.999.40", defaults=SOURCE.defaults)
    authors = read(request(made), source=source).submission.submission_set.authors
    assert authors[-1] == Author(institutions=(Organization("Hospital"),))


def places(value, path=()):
    """Paths of everything below a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        yield (*path, step)
        yield from places(item, (*path, step))


GOOD = request(document())
PLACES = list(places(GOOD))


def damaged(seed):
    chance = random.Random(seed)
    made = copy.deepcopy(GOOD)
    for path in chance.sample(PLACES, chance.randint(1, 3)):
        place = made
        try:
            for step in path[:-1]:
                place = place[step]
            if isinstance(place, dict) != isinstance(path[-1], str):
                # what was there is something else since the last change
                continue
            if chance.random() < 0.4:
                del place[path[-1]]
            else:
                place[path[-1]] = copy.deepcopy(chance.choice(VALUES))
        except (KeyError, IndexError, TypeError):
            continue
    return made


@given(st.integers(min_value=0, max_value=2**32))
@settings(max_examples=600, deadline=None)
def test_a_damaged_request_is_read_or_refused(seed):
    try:
        read(damaged(seed))
    except OutcomeError as error:
        assert error.status in (400, 422)
        assert all(issue.diagnostics for issue in error.issues)


@pytest.mark.parametrize("size", [100, 1000])
def test_a_request_above_the_limit_is_413(size):
    with pytest.raises(OutcomeError) as caught:
        read(GOOD, max_bytes=size)
    assert caught.value.status == 413
