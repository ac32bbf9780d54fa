"""One Patient of what several sources say, and the keys that it is found by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fhir.matching import folded
from gateway.fhir.patient_view import (
    EVERYBODY,
    KEY_LETTERS,
    beginning_key,
    birth_key,
    identifier_key,
    known_domain_key,
    plain_number,
    said_by_entries,
    search_keys,
    telecom_key,
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
    assert shown() == ({"resourceType": "Patient", "id": "id", "identifier": [OWN], "active": True}, ())
    further = {"system": "http://other.example/ids", "value": "UV1"}
    patient, differing = shown({**MUELLER, "id": "other", "identifier": [further, {"value": "4711"}, OWN]})
    assert patient == {
        "resourceType": "Patient",
        "id": "id",
        "identifier": [OWN, further],
        "active": True,
        **MUELLER,
    }
    assert differing == ()


def test_a_name_has_a_family_given_or_text():
    patient, _ = shown({"name": [{"prefix": ["Dr."], "suffix": ["MPH"]}, {"family": "Müller"}]})
    assert patient["name"] == [
        {"prefix": ["Dr."], "suffix": ["MPH"], "text": "Dr. MPH"},
        {"family": "Müller"},
    ]


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
    assert patient == shown(MUELLER)[0]
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
MAIDEN_NAME = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"


@given(texts, texts, texts, st.integers(1, 12))
def test_whoever_begins_so_is_under_the_key_of_the_beginning(family, given_name, city, length):
    patient = {
        "name": [{"family": family, "given": [given_name]}],
        "birthDate": "2001-02-03",
        "address": [{"city": city}],
        "extension": [{"url": MAIDEN_NAME, "valueString": family}],
    }
    keys = search_keys(patient, TERMINOLOGY)
    assert {birth_key("2001-02-03"), EVERYBODY} <= keys
    for part, text in (("family", family), ("given", given_name), ("address", city), ("maiden", family)):
        beginning = folded(text)[:length]
        if len(folded(beginning)) >= KEY_LETTERS and folded(text).startswith(folded(beginning)):
            assert beginning_key(part, beginning) in keys


def test_a_birth_that_is_no_day_has_no_key():
    assert search_keys({"birthDate": "2001-02"}, TERMINOLOGY) == {EVERYBODY}
    assert search_keys({"name": "x", "birthDate": 7}, TERMINOLOGY) == {EVERYBODY}


def test_identifiers_and_numbers_are_keys_however_they_are_written():
    mapped = Terminology(assigning_authorities={"http://national.example/id": "2.999.8"})
    patient = {
        "identifier": [{"system": "http://national.example/id", "value": "N1"}, {"value": "no domain"}],
        "telecom": [{"system": "phone", "value": "+49 (30) 123-45"}, {"value": "mailto:Ada@X.example"}],
    }
    keys = search_keys(patient, mapped)
    assert keys == {
        EVERYBODY,
        identifier_key("2.999.8", "N1"),
        identifier_key("", "N1"),
        known_domain_key("2.999.8"),
        telecom_key("+493012345"),
        telecom_key("ada@x.example"),
    }
    assert plain_number("tel:+49 30/12345") == "+493012345"
