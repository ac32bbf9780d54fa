"""Who is certain to be meant by `$match` (ITI-119), who only may be, and what a client may send."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fhir.issues import OutcomeError
from gateway.fhir.patient_match import CERTAIN_AT, Fit, Grade, Graded, fit_of, judged
from gateway.fhir.patient_match_input import read_match, searches_of
from gateway.fhir.patient_view import search_keys
from gateway.fhir.terminology import Terminology
from gateway.model.codes import MOTHERS_MAIDEN_NAME

TERMINOLOGY = Terminology()
DOMAIN, NATIONAL = "urn:oid:2.999.3", "urn:oid:2.999.77"


def patient(**changes):
    made = {
        "resourceType": "Patient",
        "id": "1",
        "identifier": [{"system": DOMAIN, "value": "P1"}],
        "name": [{"family": "Lindqvist", "given": ["Ada", "Maria"]}],
        "gender": "female",
        "birthDate": "1975-04-12",
        "telecom": [{"system": "phone", "value": "+46 31 12345"}],
        "address": [{"line": ["Avenyn 7"], "city": "Göteborg", "postalCode": "411 36"}],
        "extension": [{"url": MOTHERS_MAIDEN_NAME, "valueString": "Sjöberg"}],
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


ALIKE = {"identifier": None, "telecom": None, "address": None, "extension": None}
KNOWN = patient()


def fit(wanted, known=KNOWN, **options):
    return fit_of(wanted, known, TERMINOLOGY, **options)


@pytest.mark.parametrize(
    ("wanted", "points", "grade"),
    [
        # the identifier, and what else is the same
        (patient(), 100, Grade.CERTAIN),
        ({"identifier": [{"system": DOMAIN, "value": "P1"}]}, 95, Grade.CERTAIN),
        (patient(name=[{"family": "LINDQVIST"}], birthDate="1975"), 95, Grade.CERTAIN),
        # what is said of both and differs
        (patient(birthDate="1975-04-13"), 60, Grade.POSSIBLE),
        (patient(birthDate="1975-04-13", gender="male"), 30, Grade.NOT),
        (patient(identifier=[{"system": DOMAIN, "value": "P2"}]), 60, Grade.POSSIBLE),
        # demographics alone
        (patient(identifier=None), 100, Grade.CERTAIN),
        (patient(**ALIKE), 80, Grade.PROBABLE),
        (patient(**ALIKE | {"telecom": [{"value": "tel:+463112345"}]}), 90, Grade.CERTAIN),
        (patient(**ALIKE | {"address": [{"city": "goteborg", "postalCode": "411 36"}]}), 90, Grade.CERTAIN),
        (patient(**ALIKE | {"address": [{"city": "Göteborg"}]}), 80, Grade.PROBABLE),
        (patient(**ALIKE | {"address": [{"city": "Lund", "postalCode": "411 36"}]}), 80, Grade.PROBABLE),
        (patient(**ALIKE | {"extension": KNOWN["extension"]}), 90, Grade.CERTAIN),
        (patient(**ALIKE | {"gender": "unknown"}), 75, Grade.PROBABLE),
        (patient(**ALIKE | {"birthDate": "1975"}), 65, Grade.POSSIBLE),
        (patient(**ALIKE | {"name": [{"family": "Lindqvist", "given": ["Eva"]}]}), 30, Grade.NOT),
        (patient(**ALIKE | {"gender": "male"}), 45, Grade.POSSIBLE),
        ({"birthDate": "1975-04-12"}, 30, Grade.NOT),
    ],
)
def test_points_and_grade(wanted, points, grade):
    found = fit(wanted)
    assert (found.points, found.grade) == (points, grade)


def test_nobody_is_certain_whom_something_speaks_against():
    assert fit(patient(gender="male"), degree=100).grade is not Grade.CERTAIN
    assert fit(patient(), degree=100).grade is Grade.CERTAIN
    assert fit(patient(), degree=CERTAIN_AT - 1).grade is Grade.PROBABLE


def graded(*known, wanted=KNOWN, sources=()):
    listed = [Graded(k, s, fit(wanted, k)) for k, s in zip(known, sources or [""] * len(known), strict=True)]
    return [(one.resource["id"], one.grade) for one in judged(listed, TERMINOLOGY)]


def test_two_persons_are_neither_certain():
    twin = patient(id="2", identifier=[{"system": DOMAIN, "value": "P2"}])
    wanted = patient(identifier=None)
    assert graded(KNOWN, twin, wanted=wanted) == [("1", Grade.PROBABLE), ("2", Grade.PROBABLE)]
    # the identifier tells them apart
    assert graded(KNOWN, twin) == [("1", Grade.CERTAIN), ("2", Grade.POSSIBLE)]


def test_who_is_alike_makes_demographics_alone_uncertain():
    rival = patient(id="2", **ALIKE | {"identifier": [{"system": DOMAIN, "value": "P2"}]})
    wanted = patient(identifier=None)
    assert graded(KNOWN, wanted=wanted) == [("1", Grade.CERTAIN)]
    assert graded(KNOWN, rival, wanted=wanted) == [("1", Grade.PROBABLE), ("2", Grade.PROBABLE)]


def test_records_of_one_person_in_two_domains_are_both_certain():
    national = {"system": NATIONAL, "value": "N1"}
    here = patient(identifier=[*KNOWN["identifier"], national])
    there = patient(id="2", identifier=[{"system": "urn:oid:2.999.4", "value": "7"}, national])
    wanted = patient(identifier=[national])
    assert graded(here, there, wanted=wanted) == [("1", Grade.CERTAIN), ("2", Grade.CERTAIN)]
    # nothing says that they are one
    stranger = {**there, "identifier": there["identifier"][:1]}
    assert [g for _, g in graded(here, stranger, wanted=patient(identifier=None))] == [Grade.PROBABLE] * 2
    # one domain never has two identifiers of one person
    double = {**there, "identifier": [{"system": DOMAIN, "value": "P2"}, national]}
    assert [g for _, g in graded(here, double, wanted=wanted)] == [Grade.PROBABLE] * 2


def test_several_matches_of_a_community_are_several_patients():
    other = patient(id="2")
    sources = ["urn:oid:2.999.9", "urn:oid:2.999.9"]
    assert graded(KNOWN, other, sources=sources) == [("1", Grade.PROBABLE), ("2", Grade.PROBABLE)]


parts = st.sampled_from(["name", "gender", "birthDate", "telecom", "address", "extension", "identifier"])


@given(st.sets(parts))
def test_what_is_not_said_never_makes_a_match_better(left_out):
    less = patient(**dict.fromkeys(left_out))
    assert fit(less).points <= fit(patient()).points
    assert fit(patient(), less).points <= fit(patient()).points
    assert fit(less) == fit_of(KNOWN, less, TERMINOLOGY), "it does not matter who says less"


# --- what a client sends ----------------------------------------------------------------------------------
def parameters(*others, resource=KNOWN):
    return {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": resource}, *others]}


ONLY = {"name": "onlyCertainMatches", "valueBoolean": True}


def test_the_patient_alone_is_the_same_as_parameters_with_it():
    assert read_match(KNOWN, TERMINOLOGY) == read_match(parameters(), TERMINOLOGY)
    wanted = read_match(parameters(ONLY, {"name": "count", "valueInteger": 3}), TERMINOLOGY)
    assert (wanted.patient, wanted.only_certain, wanted.count) == (KNOWN, True, 3)


@pytest.mark.parametrize(
    ("body", "path", "text"),
    [
        ({"resourceType": "Bundle"}, "$this", "Parameters, or the Patient"),
        ({"resourceType": "Parameters"}, "Parameters.parameter.resource", "is required"),
        (parameters(resource={"resourceType": "Person"}), "Parameters.parameter.resource", "no Patient"),
        (parameters({"name": "resource", "resource": KNOWN}), "Parameters.parameter[1]", "may appear once"),
        (parameters(ONLY, ONLY), "Parameters.parameter[2]", "may appear once"),
        (parameters({"name": "mode", "valueString": "x"}), "Parameters.parameter[1].name", "no other parameter"),
        (parameters({"name": "count", "valueInteger": 0}), "Parameters.parameter", "1 or more"),
        (parameters({"name": "count", "valueInteger": True}), "Parameters.parameter[1]", "valueInteger"),
        (parameters({"name": "count", "valueString": "3"}), "Parameters.parameter[1]", "valueInteger"),
        (parameters({"name": "onlyCertainMatches", "valueBoolean": "yes"}), "Parameters.parameter[1]", "valueBoolean"),
        (parameters({**ONLY, "part": []}), "Parameters.parameter[1]", "nothing else"),
        (parameters(7), "Parameters.parameter[1]", "is an object"),
        ({**parameters(), "implicitRules": "http://x"}, "Parameters.implicitRules", "does not allow"),
        (patient(implicitRules="http://x"), "Patient.implicitRules", "does not allow"),
        (patient(modifierExtension=[{"url": "http://x", "valueCode": "y"}]), "Patient.modifierExtension", "allow"),
        (patient(birthDate="12.4.1975"), "Patient.birthDate", ""),
        (patient(identifier=KNOWN["identifier"] * 21), "Patient.identifier", "20 at most"),
        (patient(gender="f"), "Patient.gender", ""),
        (patient(name="Ada"), "Patient.name", ""),
        ({"resourceType": "Patient"}, "Patient", "not say enough"),
        ({"resourceType": "Patient", "name": [{"family": "Lindqvist"}]}, "Patient", "not say enough"),
        ({"resourceType": "Patient", "birthDate": "1975-04-12"}, "Patient", "not say enough"),
        ({"resourceType": "Patient", "identifier": [{"value": "P1"}]}, "Patient", "not say enough"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(body, path, text):
    before = copy.deepcopy(body)
    with pytest.raises(OutcomeError) as refused:
        read_match(body, TERMINOLOGY)
    issue = refused.value.issues[0]
    assert refused.value.status == 400
    assert (issue.severity, issue.expression) == ("error", path)
    assert text in issue.diagnostics
    assert "Lindqvist" not in str(refused.value) and "12.4.1975" not in str(refused.value)
    assert body == before


def test_whoever_may_be_meant_is_looked_for_under_the_keys_that_they_are_kept_under():
    kept = search_keys(KNOWN, TERMINOLOGY)
    for wanted in (
        patient(),
        {"resourceType": "Patient", "identifier": KNOWN["identifier"]},
        {"resourceType": "Patient", "name": KNOWN["name"]},
        {"resourceType": "Patient", "name": [{"family": "LINDQUIST"}], "birthDate": "1975-04-12"},
        {"resourceType": "Patient", "telecom": KNOWN["telecom"]},
    ):
        alternatives = read_match(wanted, TERMINOLOGY).alternatives
        assert any(all(group.keys & kept for group in groups) for groups in alternatives)


def test_a_server_of_demographics_is_asked_by_identifier_and_by_name_and_birth():
    assert searches_of(KNOWN) == [
        [("identifier", f"{DOMAIN}|P1")],
        [("family", "Lindqvist"), ("birthdate", "1975-04-12")],
    ]
    assert searches_of({"name": [{"family": "A,B", "given": ["C"]}]}) == [
        [("family", "A\\,B"), ("given", "C")]
    ]


def test_a_fit_without_doubt_is_graded_by_its_points():
    grades = [Fit(points).grade for points in (90, 89, 70, 69, 40, 39, 0)]
    assert grades == [
        "certain",
        "probable",
        "probable",
        "possible",
        "possible",
        "certainly-not",
        "certainly-not",
    ]
