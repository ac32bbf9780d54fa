"""The CapabilityStatement says what the parser does."""

import json
from functools import partial

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from gateway.fhir.capability import write_capability_statement
from gateway.fhir.document_search import SearchContext
from gateway.fhir.held_search import parse_held_search
from gateway.fhir.imaging_document_search import IMAGING_DOCUMENT_PARAMETERS, parse_imaging_document_search
from gateway.fhir.issues import OutcomeError
from gateway.fhir.list_parameters import LIST_PARAMETERS
from gateway.fhir.list_search import parse_list_search
from gateway.fhir.report_parameters import REPORT_TABLES
from gateway.fhir.study_search import (
    parse_endpoint_search,
    parse_imaging_study_search,
)
from gateway.fhir.supported import SUPPORTED, Level, supported_table_markdown
from gateway.fhir.target_communities import OwnCommunityAlone
from gateway.fhir.terminology import Terminology
from gateway.mhd.audit_routes import SEARCHED_BY
from gateway.model import Cx, codes
from gateway.model.releases import FhirRelease

CONTEXT = SearchContext(
    Terminology(),
    "http://gw.example/fhir",
    lambda _: Cx("1", "2.999"),
    communities=OwnCommunityAlone("urn:oid:2.999"),
)
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
    "identifier": "urn:ietf:rfc:3986|urn:oid:1.2",
    "_id": "0a3c1a5c-1f0f-4a2e-8fa0-000000000001",
    "targetCommunityIdList": "urn:oid:2.999",
}

# XDS knows the identifiers of these alone
BY_IDENTIFIER = ("related", "encounter", "based-on")


def sent(name, examples):
    """A parameter with a value."""
    if name in BY_IDENTIFIER:
        return f"{name}:identifier", "urn:dicom:uid|urn:oid:1.2.3"
    return name, examples.get(name, "x")


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
        "https://profiles.ihe.net/ITI/MHD/ImplementationGuide/ihe.iti.mhd",
        "https://profiles.ihe.net/ITI/PDQm/ImplementationGuide/ihe.iti.pdqm",
        "http://hl7.eu/fhir/imaging/ImplementationGuide/hl7.fhir.eu.imaging",
        "https://profiles.ihe.net/RAD/MADO/ImplementationGuide/ihe.rad.mado",
    ]
    transaction, _ = statement["rest"][0]["interaction"]
    assert "IHE.MHD.Comprehensive.ProvideBundle" in transaction["documentation"]


def test_audit_events_are_stated_where_they_are_answered_with_what_their_search_takes():
    def resources(**how):
        made = json.loads(write_capability_statement("http://gw.example/fhir", **how))
        return {r["type"]: r for r in made["rest"][0]["resource"]}

    assert "AuditEvent" not in resources()
    assert "AuditEvent" not in resources(audit_events=True, release=FhirRelease.R5)
    stated = resources(audit_events=True)["AuditEvent"]
    assert {each["code"] for each in stated["interaction"]} == {"read", "search-type"}
    assert {each["name"] for each in stated["searchParam"]} == SEARCHED_BY


def test_it_lists_the_parameters_of_mhd(statement):
    listed = {p["name"] for p in of_type(statement, "DocumentReference")["searchParam"]}
    mhd = "patient patient.identifier status author.given author.family category type creation date event facility"
    mhd += " setting format security-label period related identifier _id _lastUpdated targetCommunityIdList"
    imaging = "modality bodysite study-instance-uid accession-number contenttype"
    mhd += " authenticator.given authenticator.family relatesto encounter based-on"
    assert listed == {*mhd.split(), *imaging.split(), "subject", "subject.identifier"}


def test_every_listed_parameter_is_used_by_the_parser(statement):
    for listed in of_type(statement, "DocumentReference")["searchParam"]:
        name = listed["name"]
        if name == "relatesto":
            continue
        parameters = [("patient", "p"), sent(name, EXAMPLES)]
        search = parse_imaging_document_search(parameters, CONTEXT, strict=True)
        assert parameters[1] in search.self_parameters


def test_it_lists_the_parameters_of_lists(statement):
    listed = {p["name"] for p in of_type(statement, "List")["searchParam"]}
    mhd = "patient patient.identifier code status date designationType source.given source.family sourceId"
    mhd += " targetCommunityIdList"
    assert listed == set(mhd.split()) | {"identifier", "_id", "_lastUpdated", "subject", "subject.identifier"}
    for name in listed:
        parameter = (name, LIST_EXAMPLES.get(name, "x"))
        search = parse_list_search([("patient", "p"), parameter], CONTEXT, strict=True)
        assert parameter in search.self_parameters


OF_FHIR = {
    "DocumentReference": "authenticator author category contenttype custodian date description encounter event "
    "facility format identifier language location patient period related relatesto relation relationship "
    "security-label setting status subject type _content _id _lastUpdated _profile _security _source _tag _text",
    "List": "code date empty-reason encounter identifier item notes patient source status subject title _content "
    "_id _lastUpdated _profile _security _source _tag _text",
}
"""Names of FHIR R4, supported or not."""
PARSERS = {"DocumentReference": parse_imaging_document_search, "List": parse_list_search}


@pytest.mark.parametrize("resource", ["DocumentReference", "List"])
def test_a_parameter_is_listed_if_and_only_if_it_is_honoured(statement, resource):
    listed = {parameter["name"] for parameter in of_type(statement, resource)["searchParam"]}
    of_mhd = {"creation", "designationType", "sourceId", "source.given", "source.family", "author.family"}
    others = {"author.given", "patient.identifier", "subject.identifier", "targetCommunityIdList"}
    # what relates is asked for before a search is parsed
    for name in (set(OF_FHIR[resource].split()) | of_mhd | others) - {"relatesto"}:
        parameter = sent(name, LIST_EXAMPLES)
        try:
            search = PARSERS[resource]([("patient", "p"), parameter], CONTEXT, strict=True)
        except OutcomeError:
            assert name not in listed
        else:
            assert name in listed
            assert parameter in search.self_parameters


@pytest.mark.parametrize("resource", ["DocumentReference", "List"])
def test_what_comes_along_is_listed_if_and_only_if_it_is_done(statement, resource):
    stated = of_type(statement, resource)
    for control, listed in (
        ("_include", stated["searchInclude"]),
        ("_revinclude", stated["searchRevInclude"]),
    ):
        paths = {f"{r}:{p}" for r in OF_FHIR for p in ("patient", "subject", "relatesto", "item", "author")}
        for path in paths:
            try:
                PARSERS[resource]([("patient", "p"), (control, path)], CONTEXT, strict=True)
            except OutcomeError:
                assert path not in listed
            else:
                assert path in listed


def test_the_responder_is_claimed_with_all_that_its_statement_lists(statement):
    """The requirements of IHE.MHD.DocumentResponder in 4.2.4."""
    assert codes.MHD_CAPABILITY_STATEMENT + "IHE.MHD.DocumentResponder" in statement["instantiates"]
    (rest,) = statement["rest"]
    assert "search-system" in {interaction["code"] for interaction in rest["interaction"]}
    for resource, kinds in (
        ("DocumentReference", {"read", "search-type"}),
        ("List", {"read", "search-type"}),
        ("Binary", {"read"}),
    ):
        assert kinds <= {interaction["code"] for interaction in of_type(statement, resource)["interaction"]}
    lists = {"List", "Minimal.SubmissionSet", "UnContained.Comprehensive.SubmissionSet"}
    lists |= {"Comprehensive.SubmissionSet", "Minimal.Folder", "Comprehensive.Folder"}
    profiles = {url.rpartition("/IHE.MHD.")[2] for url in of_type(statement, "List")["supportedProfile"]}
    assert lists <= profiles
    assert {"application/fhir+json", "application/fhir+xml"} <= set(statement["format"])


@pytest.mark.parametrize(
    "table", [IMAGING_DOCUMENT_PARAMETERS, LIST_PARAMETERS], ids=lambda table: table.resource
)
def test_every_modifier_that_is_documented_is_taken(statement, table):
    for listed in of_type(statement, table.resource)["searchParam"]:
        _, _, modifiers = listed["documentation"].partition("Modifiers: ")
        for modifier in filter(None, modifiers.rstrip(".").split(", ")):
            assert table.find(listed["name"] + modifier) is not None


@pytest.mark.parametrize("resource", ["DocumentReference", "List"])
def test_every_definition_is_a_canonical_of_fhir_or_a_guide(statement, resource):
    for listed in of_type(statement, resource)["searchParam"]:
        # FHIR R4 has no basedOn
        if "." not in listed["name"] and listed["name"] != "based-on":
            assert listed["definition"].startswith(
                (
                    "http://hl7.org/fhir/SearchParameter/",
                    "https://profiles.ihe.net/ITI/MHD/SearchParameter/",
                    "https://profiles.ihe.net/RAD/MADO/SearchParameter/",
                    "http://hl7.eu/fhir/imaging/SearchParameter/",
                )
            )


def test_the_table_has_every_row_once():
    lines = supported_table_markdown().splitlines()
    assert len(lines) == len(SUPPORTED) + 2
    assert len({(r.transaction, r.option) for r in SUPPORTED}) == len(SUPPORTED)
    assert {line.count("|") for line in lines} == {5}
    assert any(r.supported is Level.NO for r in SUPPORTED)


IMAGING_EXAMPLES = EXAMPLES | {
    "status": "available",
    "started": "ge2024",
    "basedon": "ServiceRequest/1",
    "basedon.identifier": "urn:oid:2.999|1",
    "identifier": "1",
    "endpoint": "Endpoint/1",
    "target": "ImagingStudy/1",
    **dict.fromkeys(
        (
            "date",
            "issued",
            "period",
            "authored",
            "authoredon",
            "recorded",
            "onset-date",
            "effective-time",
            "whenhandedover",
        ),
        "ge2024",
    ),
    "connection-type": "dicom-wado-rs",
}


@pytest.mark.parametrize(
    ("name", "parse"),
    [
        ("ImagingStudy", parse_imaging_study_search),
        ("Endpoint", parse_endpoint_search),
        *((name, partial(parse_held_search, table)) for name, table in REPORT_TABLES.items()),
    ],
)
def test_every_listed_parameter_of_imaging_resources_is_used(statement, name, parse):
    listed = of_type(statement, name)["searchParam"]
    assert "patient" in {p["name"] for p in listed}
    for parameter in listed:
        pair = (parameter["name"], IMAGING_EXAMPLES.get(parameter["name"], "x"))
        assert pair in parse([("patient", "p"), pair], CONTEXT, strict=True).self_parameters
