"""ITI-67 parameters: what is asked of the registry, what is used, what is refused."""

from datetime import UTC, datetime

import pytest

from gateway.fhir.datatypes import write_coding, write_unique_id
from gateway.fhir.document_search import SearchContext, parse_document_search
from gateway.fhir.issues import OutcomeError
from gateway.fhir.reference_ids import write_reference_id
from gateway.fhir.terminology import Terminology
from gateway.model import Author, AvailabilityStatus, Code, Cx, DocumentEntry, Person, ReferenceId, codes
from gateway.model.query import (
    ANY_DOCUMENT,
    ANY_STATUS,
    APPROVED,
    FindDocuments,
    FindDocumentsByReferenceId,
    GetDocuments,
)

PATIENT = Cx("P1", "2.999.1")
LOINC = "2.16.840.1.113883.6.1"
UUID = "0a3c1a5c-1f0f-4a2e-8fa0-000000000001"
WHO = ("patient.identifier", "urn:oid:2.999.1|P1")
CURRENT = ("status", "current")


def context(**changes):
    values = {
        "terminology": Terminology(
            {"http://codes.example/old": "2.999.5", "http://loinc.org": "LN"},
            {"http://ids.example": "2.999.7"},
        ),
        "base_url": "http://gw.example/fhir",
        "patient_of": {"Patient/p1": PATIENT, "Patient/p2": Cx("P2", "2.999.1")}.get,
        "now": lambda: datetime(2024, 7, 1, tzinfo=UTC),
    }
    return SearchContext(**(values | changes))


def search(*parameters, strict=False, **changes):
    return parse_document_search(parameters, context(**changes), strict=strict)


def query(*parameters, **changes):
    (only,) = search(WHO, CURRENT, *parameters, **changes).queries()
    return only


def refused(*parameters, **kwargs):
    with pytest.raises(OutcomeError) as caught:
        search(*parameters, **kwargs)
    assert caught.value.status == 400
    return [(issue.code, issue.diagnostics) for issue in caught.value.issues]


def entry(**values):
    return DocumentEntry(
        **({"entry_uuid": f"urn:uuid:{UUID}", "unique_id": "1.2.3", "patient_id": PATIENT} | values)
    )


# --- patient and status ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameter",
    [
        WHO,
        ("patient:Patient.identifier", "urn:oid:2.999.1|P1"),
        ("patient:identifier", "2.999.1|P1"),
        ("patient", "Patient/p1"),
        ("patient", "p1"),
        ("patient:Patient", "p1"),
        ("patient", "http://gw.example/fhir/Patient/p1"),
    ],
)
def test_a_patient_is_named_by_identifier_or_reference(parameter):
    (asked,) = search(parameter, CURRENT).queries()
    assert asked.patient_id == PATIENT
    assert asked.document_type == ANY_DOCUMENT


def test_an_escaped_separator_belongs_to_the_identifier():
    (asked,) = search(("patient.identifier", r"urn:oid:2.999.1|a\,b\|c\\d"), CURRENT).queries()
    assert asked.patient_id == Cx(r"a,b|c\d", "2.999.1")


def test_an_unknown_patient_finds_nothing_and_asks_no_one():
    found = search(("patient", "Patient/nobody"), CURRENT)
    assert found.impossible
    assert found.queries() == ()


def test_both_ways_to_name_the_patient_have_to_agree():
    assert search(WHO, ("patient", "p1"), CURRENT).queries()
    ((code, text),) = refused(WHO, ("patient", "p2"), CURRENT)
    assert code == "business-rule"
    assert "same patient" in text
    assert refused(("patient", "p1,p2"), CURRENT)


def test_a_search_without_patient_is_refused():
    ((code, text),) = refused(CURRENT, ("type", "x"))
    assert code == "required"
    assert "patient.identifier" in text


@pytest.mark.parametrize("value", ["P1", "|P1", "urn:oid:2.999.1|", "somewhere|P1"])
def test_a_patient_identifier_needs_a_system_and_a_value(value):
    ((code, text),) = refused(("patient.identifier", value), CURRENT)
    assert code == "value"
    assert "P1" not in text


def test_an_unmapped_authority_is_named_with_the_setting():
    ((_, text),) = refused(("patient.identifier", "http://other.example/ids|P1"), CURRENT)
    assert "http://other.example/ids" in text
    assert "terminology.assigning_authorities" in text


@pytest.mark.parametrize(
    ("parameters", "statuses"),
    [
        ([("status", "current")], APPROVED),
        ([("status", "superseded")], (AvailabilityStatus.DEPRECATED,)),
        ([("status", "current,superseded")], ANY_STATUS),
        ([("status", "http://hl7.org/fhir/document-reference-status|current")], APPROVED),
        ([("status:not", "current")], (AvailabilityStatus.DEPRECATED,)),
        ([("status", "current,superseded"), ("status", "current")], APPROVED),
    ],
)
def test_status_is_asked_as_availability_status(parameters, statuses):
    (asked,) = search(WHO, *parameters).queries()
    assert asked.status == statuses


@pytest.mark.parametrize(
    "parameters", [[("status", "entered-in-error")], [CURRENT, ("status", "superseded")]]
)
def test_a_status_that_no_document_has_finds_nothing(parameters):
    assert search(WHO, *parameters).impossible


def test_an_unknown_status_is_refused():
    ((code, text),) = refused(WHO, ("status", "retired"))
    assert code == "value"
    assert "current or superseded" in text


def test_without_status_current_documents_are_searched_and_the_answer_says_so():
    found = search(WHO)
    assert found.queries()[0].status == APPROVED
    assert ("status", "current") in found.self_parameters
    assert [issue.severity for issue in found.warnings] == ["information"]


def test_status_can_be_made_obligatory():
    ((code, text),) = refused(WHO, status_required=True)
    assert code == "required"
    assert text.startswith("status")


# --- codes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "slot"),
    [
        ("type", "type_code"),
        ("category", "class_code"),
        ("setting", "practice_setting"),
        ("facility", "facility_type"),
        ("format", "format_code"),
    ],
)
def test_a_coded_parameter_is_asked_with_code_and_scheme(name, slot):
    asked = query((name, "urn:oid:2.999.6|A,http://codes.example/old|B"))
    assert getattr(asked, slot) == (Code("A", "2.999.6"), Code("B", "2.999.5"))


@pytest.mark.parametrize(("name", "slot"), [("event", "event_codes"), ("security-label", "confidentiality")])
def test_repeated_parameters_are_and_where_a_slot_may_be_repeated(name, slot):
    asked = query((name, "urn:oid:2.999.6|A,urn:oid:2.999.6|B"), (name, "urn:oid:2.999.6|C"))
    assert getattr(asked, slot) == ((Code("A", "2.999.6"), Code("B", "2.999.6")), (Code("C", "2.999.6"),))


def test_a_repeated_parameter_of_a_single_slot_is_left_to_the_filter():
    found = search(
        WHO, CURRENT, ("type", "urn:oid:2.999.6|A,urn:oid:2.999.6|B"), ("type", "urn:oid:2.999.6|B")
    )
    assert found.queries()[0].type_code == (Code("B", "2.999.6"),)
    assert not found.matches(entry(type_code=Code("A", "2.999.6")))
    assert found.matches(entry(type_code=Code("B", "2.999.6")))


def test_every_scheme_that_is_shown_as_the_same_system_is_asked_for():
    found = search(WHO, CURRENT, ("type", "http://loinc.org|11488-4"))
    assert found.queries()[0].type_code == (Code("11488-4", "LN"), Code("11488-4", LOINC))
    assert found.matches(entry(type_code=Code("11488-4", LOINC)))
    assert found.matches(entry(type_code=Code("11488-4", f"urn:oid:{LOINC}")))


@pytest.mark.parametrize("value", ["A", "urn:oid:2.999.6|", "|A", "urn:oid:2.999.6|A,B"])
def test_what_the_registry_cannot_be_asked_is_left_to_the_filter(value):
    found = search(WHO, CURRENT, ("type", value))
    assert found.queries()[0].type_code == ()
    assert not found.matches(entry(type_code=Code("Z", "2.999.7")))


def test_a_scheme_name_of_the_domain_is_taken_as_it_stands():
    assert query(("type", "Connect-a-thon codes|A")).type_code == (Code("A", "Connect-a-thon codes"),)


def test_an_unmapped_code_system_is_named_with_the_setting():
    ((code, text),) = refused(WHO, CURRENT, ("type", "http://other.example/codes|A"))
    assert code == "value"
    assert "http://other.example/codes" in text
    assert "terminology.code_systems" in text


def test_not_finds_documents_without_the_element_too():
    found = search(WHO, CURRENT, ("event:not", "urn:oid:2.999.6|A"))
    assert found.queries()[0].event_codes == ()
    assert found.matches(entry())
    assert found.matches(entry(event_codes=(Code("B", "2.999.6"),)))
    assert not found.matches(entry(event_codes=(Code("B", "2.999.6"), Code("A", "2.999.6"))))


def test_text_looks_at_the_start_of_the_display():
    found = search(WHO, CURRENT, ("type:text", "radio"))
    assert found.matches(entry(type_code=Code("A", "2.999.6", "Radiology report")))
    assert not found.matches(entry(type_code=Code("radio", "2.999.6", "Report")))


# --- times ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("2024", "20240101000000", "20250101000000"),
        ("eq2024-02", "20240201000000", "20240301000000"),
        ("2024-02-29", "20240229000000", "20240301000000"),
        ("ge2024-01-01T10:00:00+01:00", "20240101090000", None),
        ("ge2024-01-01T10:00:00 01:00", "20240101090000", None),
        ("gt2024-01-01", "20240102000000", None),
        ("lt2024-01-01T00:30:00+01:00", None, "20231231233000"),
        ("le2024-01-01", None, "20240102000000"),
        ("sa2024", "20250101000000", None),
        ("eb2024", None, "20240101000000"),
        ("ne2024", None, None),
        ("ap2024-06-21", "20240620022400", "20240622213600"),
        ("2024-01-01T10:00", "20240101100000", "20240101100100"),
        ("eq2024-01-01T10:00:00.25Z", "20240101100000", "20240101100001"),
        ("9999", "99990101000000", None),
        ("ge0001", None, None),
    ],
)
def test_a_time_is_asked_as_dtm_in_utc(value, low, high):
    asked = query(("creation", value), coarsest_time=14)
    assert (asked.creation_time_from, asked.creation_time_to) == (low, high)


def test_a_lower_limit_reaches_back_to_the_start_of_imprecise_times():
    parameter = ("creation", "ge2024-06-10T10:00:00+01:00")
    assert query(parameter).creation_time_from == "20240101000000"
    assert query(parameter, coarsest_time=8).creation_time_from == "20240610000000"
    found = search(WHO, CURRENT, parameter)
    assert found.matches(entry(creation_time="2024"))
    assert found.matches(entry(creation_time="20240610090000"))
    assert not found.matches(entry(creation_time="20240610085959"))


def test_eq_of_a_year_takes_the_year_and_nothing_else():
    found = search(WHO, CURRENT, ("creation", "eq2024"))
    times = ["20231231235959", "20240101000000", "2024", "20241231235959", "20250101000000"]
    assert [found.matches(entry(creation_time=t)) for t in times] == [False, True, True, True, False]
    assert not found.matches(entry())


def test_a_document_is_found_by_the_fraction_it_was_published_with():
    found = search(WHO, CURRENT, ("creation", "2024-01-01T10:00:00.5Z"))
    assert found.matches(entry(creation_time="20240101100000"))
    assert not found.matches(entry(creation_time="20240101100001"))


def test_several_times_are_one_wide_limit_and_repeated_ones_a_narrow_one():
    asked = query(("creation", "2024-01,2024-03"))
    assert (asked.creation_time_from, asked.creation_time_to) == ("20240101000000", "20240401000000")
    asked = query(("creation", "ge2024"), ("creation", "lt2025"), ("creation", "lt2024-03"))
    assert (asked.creation_time_from, asked.creation_time_to) == ("20240101000000", "20240301000000")


def test_a_period_is_found_by_overlap_even_when_it_started_earlier():
    found = search(WHO, CURRENT, ("period", "ge2024-05-01"), ("period", "lt2024-06-01"))
    asked = found.queries()[0]
    assert (asked.service_start_time_from, asked.service_start_time_to) == (None, "20240601000000")
    assert (asked.service_stop_time_from, asked.service_stop_time_to) == ("20240101000000", None)
    assert found.matches(entry(service_start_time="20240101", service_stop_time="20240520"))
    assert found.matches(entry(service_start_time="20240101"))
    assert not found.matches(entry(service_start_time="20240101", service_stop_time="20240430"))
    assert not found.matches(entry(service_start_time="20240601", service_stop_time="20240602"))
    assert not found.matches(entry())


@pytest.mark.parametrize(
    "value",
    ["", "2024-13", "2024-02-30", "20240101", "xx2024", "ge", "2024-01-01T10", "2024-01-01T25:00Z", "2024Z"],
)
def test_a_wrong_time_is_refused_and_not_repeated(value):
    issues = refused(WHO, CURRENT, ("creation", value), strict=True)
    assert issues[0][1].startswith("creation")
    assert not value or f" {value}" not in issues[0][1]


# --- names, references, identifiers ---------------------------------------------------------------------


def test_a_name_is_compared_by_its_start_without_case_and_accents():
    author = Author(person=Person(family="Müller", given="Zoë", further_given="Anna Maria"))
    for name, value in [
        ("author.family", "mul"),
        ("author:Practitioner.family", "MÜLLER"),
        ("author.given", "zoe"),
        ("author.given", "maria"),
        ("author.family:contains", "ller"),
        ("author.family:exact", "Müller"),
    ]:
        assert search(WHO, CURRENT, (name, value)).matches(entry(authors=(author,))), (name, value)
    for name, value in [
        ("author.family", "ller"),
        ("author.family:exact", "müller"),
        ("author.given", "mul"),
    ]:
        assert not search(WHO, CURRENT, (name, value)).matches(entry(authors=(author,))), (name, value)


def test_only_an_exact_name_is_asked_of_the_registry():
    assert query(("author.family", "Welby")).author_person == ()
    assert query(("author.family:exact", "Welby")).author_person == ("%^Welby%",)
    assert query(("author.given:exact", "Marcus,Mia")).author_person == ("%Marcus%", "%Mia%")


def test_characters_that_hl7_escapes_are_wild_in_a_pattern():
    assert query(("author.family:exact", "O'Hara & Söhne_1")).author_person == ("%^O%Hara % S%hne%1%",)


def test_related_asks_by_reference_id_and_filters_by_authority():
    found = search(WHO, CURRENT, ("related:identifier", "http://ids.example|ACC1"))
    (asked,) = found.queries()
    assert isinstance(asked, FindDocumentsByReferenceId)
    ((like, *whole),) = asked.reference_ids
    assert like == "ACC1^%"
    assert f"ACC1^^^&2.999.7&ISO^{codes.REFERENCE_ACCESSION}" in whole
    accession = codes.REFERENCE_ACCESSION
    assert found.matches(entry(reference_ids=(ReferenceId("ACC1", "2.999.7", accession),)))
    assert not found.matches(entry(reference_ids=(ReferenceId("ACC1", "2.999.8", accession),)))
    assert not found.matches(entry(reference_ids=(ReferenceId("ACC1", None, accession),)))


@pytest.mark.parametrize(
    "value",
    [
        "urn:dicom:uid|urn:oid:1.2.3",
        "urn:dicom:uid|1.2.3",
        "urn:ietf:rfc:3986|urn:oid:1.2.3",
        "urn:oid:1.2.3",
    ],
)
def test_a_study_is_found_by_its_uid_in_every_spelling(value):
    found = search(WHO, CURRENT, ("related.identifier", value))
    assert "1.2.3^%" in found.queries()[0].reference_ids[0]
    assert found.matches(entry(reference_ids=(ReferenceId("1.2.3", None, codes.REFERENCE_STUDY),)))
    assert not found.matches(entry(reference_ids=(ReferenceId("1.2.30", None, codes.REFERENCE_STUDY),)))


def test_repeated_related_is_and():
    asked = query(("related:identifier", "A,B"), ("related:identifier", "C"))
    assert [values[: len(values) // 4] for values in asked.reference_ids] == [("A^%", "B^%"), ("C^%",)]


def test_a_registry_that_compares_whole_values_finds_a_study_too():
    ((*asked,),) = query(("related:identifier", "urn:dicom:uid|urn:oid:1.2.3")).reference_ids
    assert f"1.2.3^^^^{codes.REFERENCE_STUDY}" in asked


def test_an_id_that_hl7_escapes_is_asked_for_as_pattern_only():
    assert query(("related:identifier", "http://ids.example|A&1")).reference_ids == (("A%1^%",),)


def test_a_literal_related_reference_is_refused_with_the_way_out():
    ((code, text),) = refused(WHO, CURRENT, ("related", "ImagingStudy/1"))
    assert code == "not-supported"
    assert "related:identifier" in text


@pytest.mark.parametrize(
    ("value", "queries"),
    [
        ("urn:ietf:rfc:3986|urn:oid:1.2.3", (GetDocuments(unique_ids=("1.2.3",)),)),
        ("urn:oid:1.2.3", (GetDocuments(unique_ids=("1.2.3",)),)),
        ("urn:oid:1.2.3|ext", (GetDocuments(unique_ids=("1.2.3^ext",)),)),
        ("http://ids.example|ext", (GetDocuments(unique_ids=("2.999.7^ext",)),)),
        (
            f"urn:ietf:rfc:3986|urn:uuid:{UUID.upper()}",
            (GetDocuments(entry_uuids=(f"urn:uuid:{UUID}",)), GetDocuments(unique_ids=(f"urn:uuid:{UUID}",))),
        ),
    ],
)
def test_an_identifier_needs_no_patient(value, queries):
    found = search(("identifier", value))
    assert found.queries() == queries
    assert not found.warnings


def test_a_uuid_is_found_as_entry_uuid_and_as_unique_id():
    found = search(("identifier", f"urn:ietf:rfc:3986|urn:uuid:{UUID}"))
    assert found.matches(entry())
    assert found.matches(entry(entry_uuid="urn:uuid:other", unique_id=f"urn:uuid:{UUID}"))
    assert not found.matches(entry(entry_uuid="urn:uuid:other"))


def test_the_id_is_the_uuid_of_the_entry():
    assert search(("_id", UUID)).queries() == (GetDocuments(entry_uuids=(f"urn:uuid:{UUID}",)),)
    assert search(("_id", "not-a-uuid")).impossible


def test_other_parameters_filter_what_an_identifier_finds():
    found = search(("_id", UUID), ("type", "A"), ("patient", "p1"), ("status", "superseded"))
    old = AvailabilityStatus.DEPRECATED
    assert isinstance(found.queries()[0], GetDocuments)
    assert found.matches(entry(status=old, type_code=Code("A", "2.999.6")))
    assert not found.matches(entry(status=old, type_code=Code("B", "2.999.6")))
    assert not found.matches(entry(type_code=Code("A", "2.999.6")))
    assert not found.matches(
        entry(status=old, type_code=Code("A", "2.999.6"), patient_id=Cx("P2", "2.999.1"))
    )


def test_an_identifier_without_system_is_a_filter_and_needs_the_patient():
    assert refused(("identifier", "ext"))[0][0] == "required"
    found = search(WHO, CURRENT, ("identifier", "ext"))
    assert isinstance(found.queries()[0], FindDocuments)
    assert found.matches(entry(unique_id="1.2^ext"))
    assert not found.matches(entry(unique_id="1.2^other"))


# --- what a resource shows finds it ---------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [LOINC, "LN", "2.999.5", "2.999.77", "Connect-a-thon codes", "DCM"])
def test_a_code_is_found_by_what_its_coding_shows(scheme):
    held = Code("11488-4", scheme, "Consult note")
    coding = write_coding(held, context().terminology)
    found = search(WHO, CURRENT, ("type", f"{coding['system']}|{coding['code']}"))
    assert held in [Code(c.code, c.scheme, held.display) for c in found.queries()[0].type_code]
    assert found.matches(entry(type_code=held))


@pytest.mark.parametrize(
    "unique_id", ["1.2.3", f"urn:uuid:{UUID}", "1.2.3^ext", "http://x.example/doc", "2.999.7^e"]
)
def test_a_document_is_found_by_what_its_master_identifier_shows(unique_id):
    shown = write_unique_id(unique_id)
    found = search(("identifier", f"{shown['system']}|{shown['value']}"))
    assert any(unique_id in query.unique_ids for query in found.queries())
    assert found.matches(entry(entry_uuid="urn:uuid:other", unique_id=unique_id))


@pytest.mark.parametrize(
    "reference",
    [
        ReferenceId("ACC1", "2.999.7", codes.REFERENCE_ACCESSION),
        ReferenceId("ACC1", "2.999.77", codes.REFERENCE_ORDER),
        ReferenceId("ACC1", None, codes.REFERENCE_ACCESSION),
        ReferenceId("1.2.3", None, codes.REFERENCE_STUDY),
        ReferenceId("1.2.3", "2.999.7", codes.REFERENCE_STUDY),
        ReferenceId("1.2.3", None, codes.REFERENCE_UNIQUE_ID),
        ReferenceId("urn:uuid:" + UUID, None, codes.REFERENCE_WORKFLOW),
        ReferenceId("E-1", "2.999.7", codes.REFERENCE_ENCOUNTER),
    ],
)
def test_a_document_is_found_by_what_its_references_show(reference):
    shown = write_reference_id(reference, context().terminology)
    found = search(WHO, CURRENT, ("related:identifier", f"{shown.get('system', '')}|{shown['value']}"))
    assert f"{reference.id}^%" in found.queries()[0].reference_ids[0]
    assert found.matches(entry(reference_ids=(reference,)))


# --- what is not used -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameter",
    [
        ("flavour", "x"),
        ("type", ""),
        ("_sort", "event"),
        ("_sort:asc", "creation"),
        ("_elements", "flavour"),
        ("_include", "DocumentReference:encounter"),
        ("_include", "List:item"),
        ("_include:iterate", "DocumentReference:relatesto"),
        ("_revinclude", "DocumentReference:relatesto:Patient"),
    ],
)
def test_what_cannot_be_used_is_a_warning_or_an_error_in_strict_handling(parameter):
    found = search(WHO, CURRENT, parameter)
    (warning,) = found.warnings
    assert warning.severity == "warning"
    assert parameter[0] in warning.diagnostics
    assert parameter not in found.self_parameters
    ((_, text),) = refused(WHO, CURRENT, parameter, strict=True)
    assert parameter[0] in text


@pytest.mark.parametrize(
    "name", ["type:in", "type:below", "creation:exact", "status:text", "patient:missing"]
)
def test_an_unknown_modifier_is_always_refused_by_name(name):
    ((code, text),) = refused(WHO, CURRENT, (name, "x"))
    assert code == "not-supported"
    assert ":" + name.partition(":")[2] in text


def test_communities_that_are_not_reached_are_refused():
    ((code, text),) = refused(WHO, CURRENT, ("targetCommunityIdList", "urn:oid:2.999.9"))
    assert code == "not-found"
    assert "targetCommunityIdList" in text


def test_every_problem_is_reported_at_once():
    issues = refused(WHO, ("status", "x"), ("creation", "x"), ("type:in", "x"), ("_count", "x"))
    assert [text.partition(":")[0] for _, text in issues] == ["status", "creation", "type", "_count"]


def test_no_value_of_the_search_shows_in_the_exception():
    with pytest.raises(OutcomeError) as caught:
        search(
            ("patient.identifier", "Jane|Doe"), ("status", "Doe"), ("related", "Doe/1"), ("creation", "Doe")
        )
    assert "Doe" not in str(caught.value)
    assert "Jane" not in str(caught.value)


# --- page, order, self ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "count"),
    [([], 100), ([("_count", "7")], 7), ([("_count", "0")], 0), ([("_count", "99999")], 1000)],
)
def test_the_page_size_is_bounded_and_shown(parameters, count):
    found = search(WHO, CURRENT, *parameters)
    assert found.count == count
    assert ("_count", str(count)) in found.self_parameters


def test_summary_count_has_no_page():
    assert search(WHO, CURRENT, ("_summary", "count"), ("_count", "5")).count == 0


@pytest.mark.parametrize("value", ["-1", "x", "1.5", ""])
def test_a_wrong_page_size_is_refused(value):
    assert refused(WHO, CURRENT, ("_count", value))[0][1].startswith("_count")


def test_the_self_link_has_what_was_used():
    found = search(WHO, CURRENT, ("type", "http://loinc.org|11488-4"), ("flavour", "x"), ("_format", "json"))
    assert found.self_link == (
        "http://gw.example/fhir/DocumentReference?patient.identifier=urn%3Aoid%3A2.999.1%7CP1&status=current"
        "&type=http%3A%2F%2Floinc.org%7C11488-4&_count=100"
    )


def test_results_come_newest_first_and_without_time_last():
    times = ["2023", None, "20240601", "20240101120000"]
    held = [entry(entry_uuid=f"urn:uuid:{n}", creation_time=t) for n, t in enumerate(times)]
    assert [e.creation_time for e in sorted(held, key=search(WHO).sort_key)] == [
        "20240601",
        "20240101120000",
        "2023",
        None,
    ]


def test_results_come_as_sorted_by():
    held = [
        entry(entry_uuid=f"urn:uuid:{n}", creation_time=t, type_code=c and Code(c, "2.999.6"))
        for n, (t, c) in enumerate([("2023", "B"), ("2024", "A"), ("2022", None), ("2022", "B")])
    ]
    order = search(WHO, ("_sort", "-type,creation")).sort_key
    assert [e.entry_uuid[-1] for e in sorted(held, key=order)] == ["3", "0", "1", "2"]


def test_a_search_with_very_many_values_is_refused():
    assert refused(WHO, CURRENT, ("type", ",".join(["A"] * 501)))[0][0] == "too-costly"
