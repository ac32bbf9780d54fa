"""Parameters that shape the answer: what they ask for, how they combine, and what the self link says of them."""

import pytest

from gateway.fhir.document_search import parse_document_search
from gateway.fhir.issues import OutcomeError
from gateway.fhir.list_search import parse_list_search
from gateway.fhir.resource_view import Summary
from gateway.fhir.search_all import parse_search_of_all, read_types
from gateway.fhir.search_includes import Inclusion
from tests.fhir.naive_search import CONTEXT

WHO = [("patient", "p1"), ("status", "current")]


def documents(*parameters, strict=False):
    return parse_document_search([*WHO, *parameters], CONTEXT, strict=strict)


def lists(*parameters, strict=False):
    return parse_list_search([*WHO, ("code", "folder"), *parameters], CONTEXT, strict=strict)


@pytest.mark.parametrize("value", list(Summary))
def test_each_summary_is_taken_and_stands_in_the_self_link(value):
    search = documents(("_summary", value), ("_summary", value), strict=True)
    assert search.view.summary is value
    assert search.self_parameters.count(("_summary", value)) == 1
    assert (search.count == 0) is (value is Summary.COUNT)


@pytest.mark.parametrize(
    "parameters",
    [
        [("_summary", "all")],
        [("_summary", "")],
        [("_summary", "true"), ("_summary", "text")],
        [("_summary", "true"), ("_elements", "subject")],
        [("_elements", "subject"), ("_summary", "text")],
        [("_total", "some")],
        [("_count", "1"), ("_count", "2")],
    ],
)
def test_what_contradicts_or_is_no_value_is_refused(parameters):
    for parse in (documents, lists):
        with pytest.raises(OutcomeError) as caught:
            parse(*parameters)
        assert caught.value.status == 400
        assert caught.value.issues[0].diagnostics.startswith(parameters[-1][0])


@pytest.mark.parametrize(
    ("parse", "parameter", "brought"),
    [
        (documents, ("_include", "DocumentReference:patient"), {Inclusion.PATIENTS}),
        (documents, ("_include", "DocumentReference:subject:Patient"), {Inclusion.PATIENTS}),
        (documents, ("_include", "DocumentReference:relatesto"), {Inclusion.RELATED_DOCUMENTS}),
        (documents, ("_include", "*"), {Inclusion.PATIENTS, Inclusion.RELATED_DOCUMENTS}),
        (documents, ("_revinclude", "DocumentReference:relatesto"), {Inclusion.RELATING_DOCUMENTS}),
        (documents, ("_revinclude", "List:item"), {Inclusion.HOLDING_LISTS}),
        (
            documents,
            ("_revinclude", "*"),
            {Inclusion.RELATING_DOCUMENTS, Inclusion.HOLDING_LISTS, Inclusion.PROVENANCES},
        ),
        (documents, ("_revinclude", "Provenance:target"), {Inclusion.PROVENANCES}),
        (lists, ("_include", "List:item"), {Inclusion.MEMBER_DOCUMENTS, Inclusion.MEMBER_LISTS}),
        (lists, ("_include", "List:item:List"), {Inclusion.MEMBER_LISTS}),
        (lists, ("_include", "List:patient"), {Inclusion.PATIENTS}),
        (lists, ("_revinclude", "List:item"), {Inclusion.HOLDING_LISTS}),
    ],
)
def test_what_comes_along(parse, parameter, brought):
    search = parse(parameter, strict=True)
    assert search.includes == brought
    assert parameter in search.self_parameters
    assert parse(*[p for p in search.self_parameters if p not in WHO]).includes == brought


def test_several_includes_add_up_and_one_that_is_not_known_is_left_out():
    search = documents(
        ("_include", "DocumentReference:patient"),
        ("_include", "DocumentReference:author"),
        ("_revinclude", "List:item"),
    )
    assert search.includes == {Inclusion.PATIENTS, Inclusion.HOLDING_LISTS}
    (warning,) = search.warnings
    assert "DocumentReference:author" in warning.diagnostics
    assert "DocumentReference:relatesto" in warning.diagnostics


def test_a_text_has_no_neighbours():
    search = documents(("_include", "*"), ("_summary", "text"), ("_count", "5"))
    assert search.includes == frozenset()
    assert "_summary=text" in search.warnings[0].diagnostics
    assert "_include" not in search.self_link
    with pytest.raises(OutcomeError):
        documents(("_include", "*"), ("_summary", "text"), strict=True)


def test_sort_keys_add_up():
    assert documents(("_sort", "-creation,_id"), ("_sort", "type")).sort.rules == (
        ("creation", True),
        ("_id", False),
        ("type", False),
    )


def test_the_self_parameters_of_a_search_over_all_make_it_again():
    search = parse_search_of_all(
        [*WHO, ("date", "ge2024"), ("_sort", "-_lastUpdated"), ("_elements", "status"), ("_include", "*")],
        CONTEXT,
        strict=True,
    )
    again = parse_search_of_all(search.parameters, CONTEXT, strict=True)
    assert again.queries() == search.queries()
    assert (again.self_link, again.view, again.includes) == (search.self_link, search.view, search.includes)
    assert search.self_link.startswith("http://gw.example/fhir?_type=DocumentReference,List&")
    assert search.needs_submission_times


@pytest.mark.parametrize(
    ("value", "types"),
    [
        (None, ("DocumentReference", "List")),
        ("", ("DocumentReference", "List")),
        ("List", ("List",)),
        ("List,DocumentReference", ("DocumentReference", "List")),
    ],
)
def test_the_types_of_a_search_at_the_base(value, types):
    assert read_types([] if value is None else [("_type", value)]) == types
    with pytest.raises(OutcomeError):
        read_types([("_type", f"{value or 'List'},Observation")])
