"""The CapabilityStatement says what the parser does."""

import json

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from gateway.fhir.capability import SUPPORTED, Level, supported_table_markdown, write_capability_statement
from gateway.fhir.document_search import SearchContext, parse_document_search
from gateway.fhir.list_parameters import LIST_PARAMETERS
from gateway.fhir.list_search import parse_list_search
from gateway.fhir.search_parameters import DOCUMENT_PARAMETERS
from gateway.fhir.terminology import Terminology
from gateway.model import Cx

CONTEXT = SearchContext(Terminology(), "http://gw.example/fhir", lambda _: Cx("1", "2.999"))
EXAMPLES = {
    "patient": "p",
    "patient.identifier": "urn:oid:2.999|1",
    "subject": "p",
    "subject.identifier": "urn:oid:2.999|1",
    "date": "2024",
    "_lastUpdated": "ge2024-01-01T00:00:00Z",
    "status": "current",
    "creation": "ge2024",
    "period": "2024-01",
    "related": None,
    "identifier": "urn:ietf:rfc:3986|urn:oid:1.2",
    "_id": "0a3c1a5c-1f0f-4a2e-8fa0-000000000001",
}

LIST_EXAMPLES = EXAMPLES | {"code": "folder,submissionset", "date": "2024"}


@pytest.fixture(scope="module")
def statement():
    raw = write_capability_statement("http://gw.example/fhir")
    CapabilityStatement.model_validate_json(raw)
    return json.loads(raw)


def of_type(statement, name):
    return next(r for r in statement["rest"][0]["resource"] if r["type"] == name)


def test_it_states_this_server(statement):
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["kind"] == "instance"
    assert statement["implementation"]["url"] == "http://gw.example/fhir"
    assert statement["implementationGuide"] == [
        "https://profiles.ihe.net/ITI/MHD/ImplementationGuide/ihe.iti.mhd"
    ]
    transaction, _ = statement["rest"][0]["interaction"]
    assert "IHE.MHD.Comprehensive.ProvideBundle" in transaction["documentation"]


def test_it_lists_the_parameters_of_mhd_except_those_that_are_refused(statement):
    listed = {p["name"] for p in of_type(statement, "DocumentReference")["searchParam"]}
    mhd = "patient patient.identifier status author.given author.family category type creation date event facility"
    mhd += " setting format security-label period related identifier _id _lastUpdated"
    assert listed == set(mhd.split()) | {"subject", "subject.identifier"}


def test_every_listed_parameter_is_used_by_the_parser(statement):
    for listed in of_type(statement, "DocumentReference")["searchParam"]:
        name = listed["name"]
        if name == "related":
            continue
        parameters = [("patient", "p"), (name, EXAMPLES.get(name, "x"))]
        assert parameters[1] in parse_document_search(parameters, CONTEXT, strict=True).self_parameters


def test_it_lists_the_parameters_of_lists(statement):
    listed = {p["name"] for p in of_type(statement, "List")["searchParam"]}
    mhd = "patient patient.identifier code status date designationType source.given source.family sourceId"
    assert listed == set(mhd.split()) | {"identifier", "_id", "_lastUpdated", "subject", "subject.identifier"}
    for name in listed:
        parameter = (name, LIST_EXAMPLES.get(name, "x"))
        search = parse_list_search([("patient", "p"), parameter], CONTEXT, strict=True)
        assert parameter in search.self_parameters


@pytest.mark.parametrize("table", [DOCUMENT_PARAMETERS, LIST_PARAMETERS], ids=lambda table: table.resource)
def test_every_modifier_that_is_documented_is_taken(statement, table):
    for listed in of_type(statement, table.resource)["searchParam"]:
        _, _, modifiers = listed["documentation"].partition("Modifiers: ")
        for modifier in filter(None, modifiers.rstrip(".").split(", ")):
            assert table.find(listed["name"] + modifier) is not None


@pytest.mark.parametrize("resource", ["DocumentReference", "List"])
def test_every_definition_is_a_canonical_of_fhir_or_mhd(statement, resource):
    for listed in of_type(statement, resource)["searchParam"]:
        if "." not in listed["name"]:
            assert listed["definition"].startswith(
                ("http://hl7.org/fhir/SearchParameter/", "https://profiles.ihe.net/ITI/MHD/SearchParameter/")
            )


def test_the_table_has_every_row_once():
    lines = supported_table_markdown().splitlines()
    assert len(lines) == len(SUPPORTED) + 2
    assert len({(r.transaction, r.option) for r in SUPPORTED}) == len(SUPPORTED)
    assert {line.count("|") for line in lines} == {5}
    assert any(r.supported is Level.NO for r in SUPPORTED)
