"""Matching of attributes (DICOM PS3.4 C.2.2.2) and the attributes of search results."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.attribute_matching import BadKey, Matcher
from gateway.dicom.json_model import study_item
from gateway.dicom.search_attributes import ATTRIBUTES, UnknownAttribute
from gateway.model.imaging import ImagingRequest, IssuedId, Issuer, LocalTime, Study


def matches(key: str, asked: str, *values: object) -> bool:
    """Whether an item with these values of an attribute is found."""
    path = ATTRIBUTES.path(key)
    matcher = Matcher()
    matcher.add(path, [asked])
    return matcher.matches({path[0].name: {"vr": path[0].vr, "Value": list(values)}})


@pytest.mark.parametrize(
    ("key", "asked", "value", "expected"),
    [
        ("StudyDate", "20240229", "20240229", True),
        ("StudyDate", "20240229-", "20240228", False),
        ("StudyDate", "-20240229", "20240229", True),
        ("StudyDate", "20240201-20240229", "20240301", False),
        ("StudyTime", "10", "105959", True),
        ("StudyTime", "1000-1030", "103059.5", True),
        ("StudyTime", "1000-1030", "1031", False),
        ("StudyTime", "100015", "1000", True),
        ("StudyTime", "100000.5", "100000.4", False),
        ("AccessionNumber", "a", "A", False),
        ("AccessionNumber", "A.C", "ABC", False),
        ("AccessionNumber", "A?C", "ABC", True),
        ("AccessionNumber", "A?C", "AC", False),
        ("AccessionNumber", "*", "ABC", True),
        ("AccessionNumber", "X\\AB*", "ABC", True),
        ("AccessionNumber", "A,B", "A,B", True),
        ("SeriesNumber", "007", 7, True),
        ("SeriesNumber", "70", 7, False),
    ],
)
def test_a_value_matches_as_its_representation_says(key, asked, value, expected):
    assert matches(key, asked, value) is expected


def test_a_name_matches_by_any_of_its_groups_without_regard_to_case():
    name = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}
    assert matches("PatientName", "yamada^TAROU^^", name)
    assert matches("PatientName", "山田*", name)
    assert not matches("PatientName", "yamada", name)


def test_what_is_not_there_matches_nothing_but_an_empty_key():
    matcher = Matcher()
    matcher.add(ATTRIBUTES.path("AccessionNumber"), [""])
    assert matcher.matches({})
    matcher.add(ATTRIBUTES.path("StudyID"), ["*"])
    assert not matcher.matches({})


def test_one_item_of_a_sequence_has_to_match_all_its_keys():
    study = Study(
        "2.999",
        requests=(
            ImagingRequest(IssuedId("A", Issuer(None, "2.999.1", "ISO"))),
            ImagingRequest(IssuedId("B", Issuer(None, "2.999.2", "ISO"))),
        ),
    )
    item = study_item(study, None, study.requests[0])
    issuer = "ReferencedRequestSequence.IssuerOfAccessionNumberSequence.UniversalEntityID"
    for number, oid, expected in (("A", "2.999.1", True), ("B", "2.999.1", False), ("B", "2.999.2", True)):
        matcher = Matcher()
        matcher.add(ATTRIBUTES.path("ReferencedRequestSequence.AccessionNumber"), [number])
        matcher.add(ATTRIBUTES.path(issuer), [oid])
        assert matcher.matches(item) is expected


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ("StudyDate", "2024"),
        ("StudyDate", "20241301"),
        ("StudyDate", "-"),
        ("StudyDate", "20240101-20240102-20240103"),
        ("StudyTime", "25"),
        ("StudyTime", "10:00"),
        ("StudyInstanceUID", "1.2.*"),
        ("NumberOfStudyRelatedSeries", "1-3"),
        ("ProcedureCodeSequence", "x"),
        ("PatientName", "x" * 2000),
    ],
)
def test_a_value_that_cannot_be_matched_is_refused(key, asked):
    with pytest.raises(BadKey):
        matches(key, asked, "x")


@pytest.mark.parametrize("name", ["Rows", "patientname", "0028001", "StudyDate.CodeValue", "", "."])
def test_an_attribute_that_is_not_known_is_refused(name):
    with pytest.raises(UnknownAttribute):
        ATTRIBUTES.path(name)


@given(st.text("ab*?[.", max_size=12), st.text("ab[.\n", max_size=12))
def test_wildcards_are_those_of_file_names_without_brackets(pattern, value):
    if not pattern:
        return
    escaped = pattern.replace("[", "[[]")
    assert matches("StudyDescription", pattern, value) is fnmatch.fnmatchcase(value, escaped)


def test_many_stars_do_not_multiply_the_work():
    # with backtracking over all of them this would not end
    assert not matches("StudyDescription", "*a" * 400 + "b", "a" * 5000)


def test_a_study_of_an_unknown_kind_has_only_what_is_known():
    assert study_item(Study("2.999", started=LocalTime("20240101")), None, None) == {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080020": {"vr": "DA", "Value": ["20240101"]},
        "0020000D": {"vr": "UI", "Value": ["2.999"]},
        "00201206": {"vr": "IS", "Value": [0]},
        "00201208": {"vr": "IS", "Value": [0]},
    }
