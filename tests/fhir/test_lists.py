"""List of a SubmissionSet and of a Folder, both ways."""

import pytest
from fhir.resources.R4B.list import List
from hypothesis import given, settings
from msgspec.structs import replace

from gateway.fhir.findings import Findings
from gateway.fhir.lists import (
    list_kind,
    read_folder_list,
    read_submission_set_list,
    write_folder_list,
    write_submission_set_list,
)
from gateway.fhir.validation import validate_resource
from gateway.model import (
    Author,
    Code,
    Cx,
    Folder,
    IntendedRecipient,
    Organization,
    Person,
    SubmissionSet,
    Telecom,
    codes,
)
from tests.ebxml import strategies as registry
from tests.fhir import strategies
from tests.fhir.contexts import read_context, write_context
from tests.fhir.judges import errors_of

MEMBERS = (("DocumentReference", "1d1a4a3f-0000-4000-8000-000000000002"), ("List", "f"))
SET = SubmissionSet(
    entry_uuid="urn:uuid:1d1a4a3f-0000-4000-8000-000000000001",
    unique_id="2.999.1.1",
    source_id="2.999.1",
    submission_time="20260102030405",
    patient_id=Cx("P1", "2.999.2"),
    content_type=Code("34133-9", "2.16.840.1.113883.6.1", "Summary"),
)
FOLDER = Folder(
    entry_uuid="urn:uuid:1d1a4a3f-0000-4000-8000-000000000001",
    unique_id="2.999.1.1",
    patient_id=Cx("P1", "2.999.2"),
    code_list=(Code("1", "2.999.5", "one"),),
    title="Episode",
)


def assert_valid(resource):
    List.model_validate(resource)
    findings = Findings()
    validate_resource(resource, "List", findings)
    assert findings.errors == []


def test_a_submission_set_is_a_working_list_with_its_source_and_members():
    resource = write_submission_set_list(SET, MEMBERS, write_context())
    assert_valid(resource)
    assert list_kind(resource) == "submissionset"
    assert (resource["status"], resource["mode"]) == ("current", "working")
    assert resource["meta"]["profile"] == [codes.PROFILE_COMPREHENSIVE_SUBMISSION_SET]
    assert resource["date"] == "2026-01-02T03:04:05Z"
    assert [e["item"]["reference"] for e in resource["entry"]] == [
        "DocumentReference/1d1a4a3f-0000-4000-8000-000000000002",
        "List/f",
    ]
    source_id = next(e for e in resource["extension"] if e["url"] == codes.EXT_SOURCE_ID)
    assert source_id["valueIdentifier"] == {"system": "urn:ietf:rfc:3986", "value": "urn:oid:2.999.1"}


def test_a_submission_set_without_content_type_is_minimal():
    resource = write_submission_set_list(replace(SET, content_type=None), (), write_context())
    assert resource["meta"]["profile"] == [codes.PROFILE_MINIMAL_SUBMISSION_SET]
    assert "entry" not in resource


@pytest.mark.parametrize("missing", [{"title": None}, {"code_list": ()}, {"patient_id": None}])
def test_a_folder_claims_comprehensive_only_where_it_is_complete(missing):
    assert write_folder_list(FOLDER, (), write_context())["meta"]["profile"] == [
        codes.PROFILE_COMPREHENSIVE_FOLDER
    ]
    assert write_folder_list(replace(FOLDER, **missing), (), write_context())["meta"]["profile"] == [
        codes.PROFILE_MINIMAL_FOLDER
    ]


def test_authors_beyond_one_person_and_one_institution_are_reported():
    warnings = []
    authors = (
        Author(person=Person(family="Welby"), institutions=(Organization("A"), Organization("B"))),
        Author(person=Person(family="Kiley")),
        Author(institutions=(Organization("C"),)),
    )
    resource = write_submission_set_list(replace(SET, authors=authors), (), write_context(warnings=warnings))
    assert_valid(resource)
    assert [w.severity for w in warnings] == ["warning"]
    context = read_context()
    assert read_submission_set_list(resource, context, "List").authors == (
        replace(authors[0], institutions=(Organization("A"),)),
        authors[2],
    )


def test_a_recipient_with_person_and_organization_is_written_as_two():
    both = IntendedRecipient(
        Organization("Clinic", "2.999.6"), Person(family="Kiley"), Telecom("k@example.org", "email")
    )
    resource = write_submission_set_list(replace(SET, intended_recipients=(both,)), (), write_context())
    assert_valid(resource)
    assert read_submission_set_list(resource, read_context(), "List").intended_recipients == (
        IntendedRecipient(organization=both.organization),
        IntendedRecipient(person=both.person, telecom=both.telecom),
    )


def test_an_organization_is_never_reached_at_home():
    at_home = IntendedRecipient(organization=Organization("Clinic"), telecom=Telecom("1", "phone", "home"))
    resource = write_submission_set_list(replace(SET, intended_recipients=(at_home,)), (), write_context())
    (organization,) = [r for r in resource["contained"] if r["resourceType"] == "Organization"]
    assert organization["telecom"] == [{"system": "phone", "value": "1"}]


def test_a_source_id_may_come_without_system_and_prefix_but_is_an_oid():
    resource = write_submission_set_list(SET, (), write_context())
    source_id = next(e for e in resource["extension"] if e["url"] == codes.EXT_SOURCE_ID)
    source_id["valueIdentifier"] = {"value": "2.999.77"}
    assert read_submission_set_list(resource, read_context(), "List").source_id == "2.999.77"
    source_id["valueIdentifier"] = {"value": "our-system"}
    context = read_context()
    read_submission_set_list(resource, context, "List")
    assert [e.expression for e in context.findings.errors] == ["List.extension[1].value.value"]


@pytest.mark.parametrize("value", ["urn:uuid:1d1a4a3f-0000-4000-8000-000000000001", "2.999.1", "urn:oid:9.9"])
def test_the_unique_id_of_a_list_is_an_oid_urn(value):
    resource = write_folder_list(FOLDER, (), write_context())
    resource["identifier"][0] = {**resource["identifier"][0], "value": value}
    context = read_context()
    read_folder_list(resource, context, "List")
    assert [e.expression for e in context.findings.errors] == ["List.identifier[0].value"]


def test_a_last_update_time_that_names_no_time_is_no_version():
    resource = write_folder_list(replace(FOLDER, last_update_time="PID-3|x"), (), write_context())
    assert errors_of(resource) == []
    assert "versionId" not in resource["meta"] and "date" not in resource


def test_a_home_community_that_is_no_oid_is_left_out_with_a_warning():
    warnings = []
    changed = replace(SET, home_community_id="urn:oid:9.9", patient_id=Cx("", "2.999.2"))
    resource = write_submission_set_list(changed, (), write_context(warnings=warnings))
    assert errors_of(resource) == []
    assert "subject" not in resource
    assert [w.expression.rpartition(").")[2] for w in warnings] == ["extension"]


def test_several_notes_are_one_comment():
    resource = write_folder_list(FOLDER, (), write_context())
    resource["note"] = [{"text": "one"}, {"text": "two"}]
    assert read_folder_list(resource, read_context(), "List").comments == "one\ntwo"


@given(strategies.submission_sets())
@settings(max_examples=60, deadline=None)
def test_a_submission_set_comes_back_as_it_was(submission_set):
    resource = write_submission_set_list(submission_set, MEMBERS, write_context())
    assert_valid(resource)
    context = read_context()
    assert read_submission_set_list(resource, context, "List") == submission_set
    assert context.findings.errors == []


@given(strategies.folders)
@settings(max_examples=60, deadline=None)
def test_a_folder_comes_back_as_it_was(folder):
    resource = write_folder_list(folder, MEMBERS, write_context())
    assert_valid(resource)
    context = read_context()
    assert read_folder_list(resource, context, "List") == folder
    assert context.findings.errors == []


@given(registry.submission_sets(), registry.folders())
@settings(max_examples=40, deadline=None)
def test_whatever_a_registry_holds_becomes_valid_lists(submission_set, folder):
    assert_valid(write_submission_set_list(submission_set, (), write_context()))
    assert_valid(write_folder_list(folder, (), write_context()))
