"""ITI-66 parameters: what is asked of the registry, what is used, what is refused."""

from datetime import UTC, datetime

import pytest

from gateway.fhir.issues import OutcomeError
from gateway.fhir.list_search import SearchContext, parse_list_search
from gateway.fhir.terminology import Terminology
from gateway.model import Author, Code, Cx, Folder, Person, SubmissionSet
from gateway.model.query import (
    APPROVED,
    FindFolders,
    FindSubmissionSets,
    GetFolders,
    GetSubmissionSetAndContents,
)

PATIENT = Cx("P1", "2.999.1")
UUID = "0a3c1a5c-1f0f-4a2e-8fa0-000000000001"
WHO = ("patient.identifier", "urn:oid:2.999.1|P1")
CURRENT = ("status", "current")
SETS, FOLDERS = ("code", "submissionset"), ("code", "folder")
LIST_TYPES = "https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes"
CONTEXT = SearchContext(
    Terminology({"http://codes.example/old": "2.999.5"}),
    "http://gw.example/fhir",
    {"Patient/p1": PATIENT}.get,
    now=lambda: datetime(2024, 7, 1, tzinfo=UTC),
    coarsest_time=14,
)


def search(*parameters, strict=False):
    return parse_list_search(parameters, CONTEXT, strict=strict)


def query(*parameters):
    (only,) = search(WHO, CURRENT, *parameters).queries()
    return only


def refused(*parameters, strict=False):
    with pytest.raises(OutcomeError) as caught:
        search(*parameters, strict=strict)
    assert caught.value.status == 400
    return [(issue.code, issue.diagnostics) for issue in caught.value.issues]


def a_set(**values):
    defaults = {
        "entry_uuid": f"urn:uuid:{UUID}",
        "unique_id": "1.2.3",
        "source_id": "2.999.3",
        "submission_time": "20240610080000",
        "patient_id": PATIENT,
    }
    return SubmissionSet(**(defaults | values))


def a_folder(**values):
    return Folder(
        **({"entry_uuid": f"urn:uuid:{UUID}", "unique_id": "1.2.3", "patient_id": PATIENT} | values)
    )


# --- code and status ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        ("submissionset", [FindSubmissionSets]),
        (f"{LIST_TYPES}|submissionset", [FindSubmissionSets]),
        ("folder", [FindFolders]),
        (f"{LIST_TYPES.replace('https', 'http')}|folder", [FindFolders]),
        ("folder,submissionset", [FindSubmissionSets, FindFolders]),
        (f"{LIST_TYPES}|", [FindSubmissionSets, FindFolders]),
    ],
)
def test_the_code_selects_the_stored_query(value, kinds):
    found = search(WHO, CURRENT, ("code", value))
    assert [type(asked) for asked in found.queries()] == kinds
    assert {asked.patient_id for asked in found.queries()} == {PATIENT}
    assert {asked.status for asked in found.queries()} == {APPROVED}
    assert found.matches(a_set()) is (FindSubmissionSets in kinds)
    assert found.matches(a_folder()) is (FindFolders in kinds)


def test_without_code_both_kinds_are_searched_and_the_answer_says_so():
    found = search(WHO, CURRENT)
    assert [type(asked) for asked in found.queries()] == [FindSubmissionSets, FindFolders]
    assert [(i.severity, i.diagnostics.split()[0]) for i in found.warnings] == [("information", "code")]
    assert ("code", "submissionset,folder") in found.self_parameters


def test_two_codes_at_once_find_nothing():
    assert search(WHO, CURRENT, SETS, FOLDERS).impossible


@pytest.mark.parametrize("value", ["submissionSet", "http://loinc.org|folder", "|folder", "worklist"])
def test_a_code_that_no_list_has_is_refused(value):
    ((code, text),) = refused(WHO, CURRENT, ("code", value))
    assert code == "value"
    assert "submissionset or folder" in text


@pytest.mark.parametrize("value", ["superseded", "retired", "entered-in-error", "superseded,retired"])
@pytest.mark.parametrize("kind", [SETS, FOLDERS])
def test_a_status_that_no_list_has_finds_nothing_and_asks_no_one(value, kind):
    assert search(WHO, kind, ("status", value)).impossible


def test_an_unknown_status_is_refused():
    ((code, _),) = refused(WHO, SETS, ("status", "active"))
    assert code == "value"


# --- date, designationType, source ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        ("ge2024-06-10", ("20240610000000", None)),
        ("lt2024-06-10T10:00:00+02:00", (None, "20240610080000")),
        ("2024-06", ("20240601000000", "20240701000000")),
        ("gt2024", ("20250101000000", None)),
        ("le2024-06-10", (None, "20240611000000")),
        ("sa2024-06-10", ("20240611000000", None)),
        ("eb2024", (None, "20240101000000")),
        ("ne2024", (None, None)),
    ],
)
def test_the_date_is_asked_as_submission_time_and_as_last_update_time(value, limits):
    asked = query(SETS, ("date", value))
    assert (asked.submission_time_from, asked.submission_time_to) == limits
    asked = query(FOLDERS, ("date", value))
    assert (asked.last_update_time_from, asked.last_update_time_to) == limits


def test_a_folder_without_time_has_no_date():
    assert not search(WHO, FOLDERS, ("date", "ne2024")).matches(a_folder())
    assert search(WHO, FOLDERS, ("date:missing", "true")).matches(a_folder())


def test_designation_type_is_asked_with_code_and_scheme():
    either = ("designationType", "urn:oid:2.999.6|A,http://codes.example/old|B")
    other = ("designationType", "urn:oid:2.999.6|C")
    codes = (Code("A", "2.999.6"), Code("B", "2.999.5"))
    assert query(SETS, either).content_type == codes
    assert query(FOLDERS, either, other).code_list == (codes, (Code("C", "2.999.6"),))
    # contentType takes one OR list: the shorter one, and the filter applies both
    found = search(WHO, SETS, either, other)
    assert found.queries()[0].content_type == (Code("C", "2.999.6"),)
    assert not found.matches(a_set(content_type=Code("C", "2.999.6")))


def test_a_code_without_system_is_left_to_the_filter():
    found = search(WHO, SETS, ("designationType", "A"))
    assert found.queries()[0].content_type == ()
    assert found.matches(a_set(content_type=Code("A", "2.999.6")))
    assert not found.matches(a_set(content_type=Code("B", "2.999.6")))


@pytest.mark.parametrize(
    "value", ["urn:oid:2.999.3", "2.999.3", "urn:ietf:rfc:3986|urn:oid:2.999.3", "URN:OID:2.999.3"]
)
def test_a_source_is_its_bare_oid_in_every_spelling(value):
    found = search(WHO, CURRENT, SETS, ("sourceId", value))
    assert found.queries()[0].source_id == ("2.999.3",)
    assert found.matches(a_set())
    assert not found.matches(a_set(source_id="2.999.33"))


@pytest.mark.parametrize("value", ["http://other.example|2.999.3", "|2.999.3", "urn:ietf:rfc:3986|"])
def test_a_source_of_another_system_is_refused(value):
    ((code, text),) = refused(WHO, CURRENT, SETS, ("sourceId", value))
    assert code == "value"
    assert "urn:ietf:rfc:3986" in text


def test_several_exact_authors_are_a_query_each_since_the_slot_takes_one():
    found = search(WHO, CURRENT, SETS, ("source.family:exact", "Welby,House"))
    assert [asked.author_person for asked in found.queries()] == ["%^Welby%", "%^House%"]
    many = ",".join(f"Name{n}" for n in range(5))
    assert query(SETS, ("source.family:exact", many)).author_person is None


@pytest.mark.parametrize(
    ("name", "value", "matches"),
    [
        ("source.family", "muell", False),
        ("source.family", "mul", True),
        ("source.family", "second", True),
        ("source.given", "anna", True),
        ("source:Practitioner.family", "Müller", True),
        ("source.family:exact", "müller", False),
        ("source.family:contains", "lle", True),
    ],
)
def test_names_of_every_author_are_compared(name, value, matches):
    authors = (
        Author(person=Person(family="Müller", given="Eva", further_given="Anna")),
        Author(person=Person(family="Second")),
    )
    found = search(WHO, CURRENT, SETS, (name, value))
    assert found.matches(a_set(authors=authors)) is matches
    assert not found.matches(a_set())


@pytest.mark.parametrize(
    "parameter", [("source.family", "x"), ("source.given:exact", "x"), ("sourceId", "urn:oid:2.999.3")]
)
def test_a_folder_has_no_source_and_the_answer_says_so(parameter):
    for parameters in ((FOLDERS, parameter), (parameter, FOLDERS)):
        found = search(WHO, CURRENT, *parameters)
        assert [i.severity for i in found.warnings] == ["warning"]
        assert "a Folder has no source" in found.warnings[0].diagnostics
        assert found.matches(a_folder())
        assert parameter not in found.self_parameters
    ((code, _),) = refused(WHO, CURRENT, FOLDERS, parameter, strict=True)
    assert code == "not-supported"


def test_a_source_that_is_asked_of_both_kinds_leaves_submission_sets():
    found = search(WHO, CURRENT, ("code", "folder,submissionset"), ("sourceId", "2.999.3"))
    assert [type(asked) for asked in found.queries()] == [FindSubmissionSets]
    assert not found.warnings
    assert not found.matches(a_folder())


# --- identifiers ----------------------------------------------------------------------------------------


def test_an_identifier_needs_no_patient_and_is_asked_of_both_kinds():
    assert search(("identifier", "urn:ietf:rfc:3986|urn:oid:1.2.3")).queries() == (
        GetSubmissionSetAndContents(unique_id="1.2.3"),
        GetFolders(unique_ids=("1.2.3",)),
    )


def test_a_uuid_may_be_entry_uuid_or_unique_id():
    urn = f"urn:uuid:{UUID}"
    assert search(SETS, ("identifier", f"urn:ietf:rfc:3986|{urn}")).queries() == (
        GetSubmissionSetAndContents(entry_uuid=urn),
        GetSubmissionSetAndContents(unique_id=urn),
    )


def test_folders_are_got_together():
    other = UUID[:-1] + "2"
    assert search(FOLDERS, ("_id", f"{UUID},{other}")).queries() == (
        GetFolders(entry_uuids=(f"urn:uuid:{UUID}", f"urn:uuid:{other}")),
    )


def test_what_is_named_is_filtered_by_the_rest():
    found = search(("_id", UUID), WHO, ("date", "2023"))
    assert isinstance(found.queries()[0], GetSubmissionSetAndContents)
    assert not found.matches(a_set())
    assert not found.matches(a_set(submission_time="2023", patient_id=Cx("P2", "2.999.1")))
    assert found.matches(a_set(submission_time="2023"))


def test_very_many_ids_are_asked_of_the_patient_or_refused():
    ids = ",".join(f"0a3c1a5c-1f0f-4a2e-8fa0-{n:012}" for n in range(30))
    found = search(SETS, ("_id", ids), WHO, CURRENT)
    assert [type(asked) for asked in found.queries()] == [FindSubmissionSets]
    assert refused(SETS, ("_id", ids))[0][0] == "too-costly"
    assert len(search(FOLDERS, ("_id", ids)).queries()) == 1


def test_an_id_that_is_no_uuid_names_nothing():
    assert search(("_id", "x")).impossible


# --- what is not used -----------------------------------------------------------------------------------


def test_communities_that_are_not_reached_are_refused():
    ((code, text),) = refused(WHO, CURRENT, SETS, ("targetCommunityIdList", "urn:oid:2.999.9"))
    assert code == "not-found"
    assert "XDSUnknownCommunity" in text


@pytest.mark.parametrize("parameter", [("title", "x"), ("_sort", "title")])
def test_what_cannot_be_used_is_a_warning_or_an_error_in_strict_handling(parameter):
    found = search(WHO, CURRENT, SETS, parameter)
    assert [(i.severity, i.code) for i in found.warnings] == [("warning", "not-supported")]
    assert refused(WHO, CURRENT, SETS, parameter, strict=True)[0][0] == "not-supported"


def test_a_patient_is_required():
    ((code, text),) = refused(CURRENT, SETS)
    assert code == "required"
    assert "patient.identifier" in text


def test_results_come_as_sorted_by():
    held = [
        a_set(entry_uuid=f"urn:uuid:{n}", submission_time=t) for n, t in enumerate(["2023", "2022", "2024"])
    ]
    held.append(a_folder(entry_uuid="urn:uuid:3"))
    for order, wanted in (("date", "1023"), ("-date", "2013"), ("_id", "0123")):
        found = search(WHO, CURRENT, ("_sort", order))
        assert "".join(i.entry_uuid[-1] for i in sorted(held, key=found.sort_key)) == wanted
    assert "".join(i.entry_uuid[-1] for i in sorted(held, key=search(WHO).sort_key)) == "2013"
