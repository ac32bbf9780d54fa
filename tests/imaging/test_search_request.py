"""Searches as strangers may send them: understood, or refused with 400; never anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dicom.search_attributes import ATTRIBUTES, Level
from gateway.fhir.issues import OutcomeError
from gateway.imaging.search_request import parse_image_search

NAMES = st.one_of(
    st.sampled_from([a.keyword for a in ATTRIBUTES.all] + [a.name for a in ATTRIBUTES.all]),
    st.sampled_from(["includefield", "limit", "offset", "fuzzymatching", "emptyvaluematching", "accept"]),
    st.sampled_from(["ReferencedRequestSequence.AccessionNumber", "00400275.00400026.00400032"]),
    st.text(max_size=20),
)
VALUES = st.one_of(st.text(max_size=30), st.text("0123456789-.,*?\\^=", max_size=30), st.just("true"))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.sampled_from(Level))
def test_any_search_is_understood_or_refused(parameters, level):
    try:
        search = parse_image_search(parameters, level, {})
    except OutcomeError as error:
        assert error.status == 400
        assert error.issues
    else:
        for matcher in search.matchers.values():
            matcher.matches({})


def test_every_problem_is_told_at_once():
    with pytest.raises(OutcomeError) as refused:
        parse_image_search(
            [("Rows", "1"), ("StudyDate", "x"), ("limit", "x"), ("StudyID", "1"), ("00200010", "2")],
            Level.STUDY,
            {},
        )
    assert [issue.expression for issue in refused.value.issues] == ["limit", "Rows", "StudyDate", "00200010"]


def test_a_value_is_never_repeated_in_an_error():
    with pytest.raises(OutcomeError) as refused:
        parse_image_search([("StudyDate", "Muster"), ("Muster=1&x", "1")], Level.STUDY, {})
    assert "Muster" not in str(refused.value)


def test_uids_in_several_parameters_are_one_list():
    search = parse_image_search(
        [("StudyInstanceUID", "1.2"), ("StudyInstanceUID", "1.3,1.4")], Level.STUDY, {}
    )
    assert search.study_uids == ("1.2", "1.3", "1.4")
