"""One Patient of what several sources say, and the keys that it is found by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fhir.matching import folded
from gateway.fhir.patient_view import (
    KEY_LETTERS,
    birth_key,
    name_key,
    said_by_entries,
    search_keys,
    write_domain_patient,
)
from gateway.fhir.terminology import Terminology
from gateway.model import AvailabilityStatus, Cx, DocumentEntry, Person, SourcePatientInfo

TERMINOLOGY = Terminology()
PATIENT = Cx("P1", "2.999.3")
OWN = {"system": "urn:oid:2.999.3", "value": "P1"}
MUELLER = {"name": [{"family": "Müller", "given": ["Anna"]}], "birthDate": "1975-04-12", "gender": "female"}


def shown(*said):
    return write_domain_patient(PATIENT, "id", said, TERMINOLOGY)


def test_the_patient_is_that_of_the_domain():
    assert shown() == ({"resourceType": "Patient", "id": "id", "identifier": [OWN]}, ())
    patient, differing = shown({**MUELLER, "id": "other", "identifier": [{"value": "UV1"}, OWN]})
    assert patient == {
        "resourceType": "Patient",
        "id": "id",
        "identifier": [OWN, {"value": "UV1"}],
        **MUELLER,
    }
    assert differing == ()


@pytest.mark.parametrize(
    ("first", "other", "expected"),
    [
        ({"gender": "female"}, {"birthDate": "1975"}, {"gender": "female", "birthDate": "1975"}),
        (
            {"birthDate": "1975"},
            {"birthDate": "1975-04-12", "gender": "male"},
            {"birthDate": "1975", "gender": "male"},
        ),
        (
            {"name": [{"family": "MULLER"}]},
            {"name": [{"family": "Müller", "given": ["Anna"]}], "gender": "female"},
            {"name": [{"family": "MULLER"}], "gender": "female"},
        ),
    ],
)
def test_sources_that_agree_add_what_the_latest_leaves_open(first, other, expected):
    patient, differing = shown(first, other)
    assert {name: patient.get(name) for name in expected} == expected
    assert differing == ()


@pytest.mark.parametrize(
    ("change", "element"),
    [
        ({"name": [{"family": "Meier", "given": ["Anna"]}]}, "name"),
        ({"name": [{"family": "Müller", "given": ["Berta"]}]}, "name"),
        ({"birthDate": "1975-04-13"}, "birthDate"),
        ({"birthDate": "1976"}, "birthDate"),
        ({"gender": "male"}, "gender"),
    ],
)
def test_a_source_that_disagrees_adds_nothing(change, element):
    other = {**MUELLER, **change, "telecom": [{"value": "4711"}], "identifier": [{"value": "UV9"}]}
    patient, differing = shown(MUELLER, other)
    assert patient == {"resourceType": "Patient", "id": "id", "identifier": [OWN], **MUELLER}
    assert differing == (element,)


def entry(number, family, **values):
    info = SourcePatientInfo(names=(Person(family=family),)) if family else None
    return DocumentEntry(
        entry_uuid=f"urn:uuid:{number}",
        unique_id=f"1.{number}",
        patient_id=PATIENT,
        mime_type="text/plain",
        creation_time=f"202{number}0101",
        source_patient_info=info,
        **values,
    )


def test_the_latest_document_comes_first_and_superseded_ones_only_alone():
    old = entry(1, "Old", status=AvailabilityStatus.DEPRECATED)
    listed = [old, entry(2, "Former"), entry(4, None), entry(3, "Latest"), entry(3, "Latest")]
    said = said_by_entries(listed, TERMINOLOGY)
    assert [patient["name"][0]["family"] for patient in said] == ["Latest", "Former"]
    assert [p["name"][0]["family"] for p in said_by_entries([old], TERMINOLOGY)] == ["Old"]
    assert said_by_entries([entry(4, None)], TERMINOLOGY) == []


texts = st.text(min_size=1, max_size=12)


@given(texts, texts, st.integers(1, 12))
def test_whoever_begins_so_is_under_the_key_of_the_beginning(family, given_name, length):
    keys = search_keys({"name": [{"family": family, "given": [given_name]}], "birthDate": "2001-02-03"})
    assert birth_key("2001-02-03") in keys
    for part, text in (("family", family), ("given", given_name)):
        beginning = folded(text)[:length]
        if len(folded(beginning)) >= KEY_LETTERS and folded(text).startswith(folded(beginning)):
            assert name_key(part, beginning) in keys


def test_a_birth_that_is_no_day_has_no_key():
    assert search_keys({"birthDate": "2001-02"}) == frozenset()
    assert search_keys({"name": "x", "birthDate": 7}) == frozenset()
