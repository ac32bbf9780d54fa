"""The README's table, /metadata and the routes agree."""

import json
from pathlib import Path

from gateway.fhir.capability import search_table_markdown, write_capability_statement
from gateway.fhir.report_parameters import READ_ONLY, REPORT_TABLES
from gateway.fhir.supported import SUPPORTED, supported_table_markdown
from gateway.imaging.resource_routes import ImagingRoutes
from gateway.mhd.routes import MhdRoutes
from gateway.model.releases import FhirRelease
from gateway.soap.contract import load_contract

README = Path(__file__).parents[1] / "README.md"
SEARCHES = README.parent / "docs" / "searches.md"

INTERACTIONS = {
    ("POST", "/fhir"): ("", "transaction"),
    ("GET", "/fhir"): ("", "search-system"),
    ("GET", "/fhir/"): ("", "search-system"),
    ("POST", "/fhir/_search"): ("", "search-system"),
    ("POST", "/fhir/DocumentReference"): ("DocumentReference", "create"),
    ("POST", "/fhir/DocumentReference/$generate-metadata"): ("DocumentReference", "$generate-metadata"),
    ("GET", "/fhir/DocumentReference"): ("DocumentReference", "search-type"),
    ("POST", "/fhir/DocumentReference/_search"): ("DocumentReference", "search-type"),
    ("GET", "/fhir/DocumentReference/{id}"): ("DocumentReference", "read"),
    ("GET", "/fhir/List"): ("List", "search-type"),
    ("POST", "/fhir/List/_search"): ("List", "search-type"),
    ("GET", "/fhir/List/{id}"): ("List", "read"),
    ("GET", "/fhir/Binary/{id}"): ("Binary", "read"),
    ("GET", "/fhir/Patient/{id}"): ("Patient", "read"),
    ("GET", "/fhir/DiagnosticReport/{id}/$document"): ("DiagnosticReport", "$document"),
    ("POST", "/fhir/DiagnosticReport/{id}/$document"): ("DiagnosticReport", "$document"),
    ("POST", "/fhir/Patient/$match"): ("Patient", "$match"),
    ("GET", "/fhir/Patient"): ("Patient", "search-type"),
    ("POST", "/fhir/Patient/_search"): ("Patient", "search-type"),
}
NO_INTERACTIONS = {("GET", "/fhir/metadata"), ("POST", "/fhir/")} | {
    (method, "/fhir/content/{token}") for method in ("GET", "HEAD")
}
SEARCHED = ("ImagingStudy", "Endpoint", *REPORT_TABLES)
DEFINED = ("SearchParameter", "OperationDefinition", *SEARCHED)
"""Types that share routes."""


def test_the_table_of_the_readme_is_that_of_the_code():
    text = README.read_text()
    table = text.split("<!-- supported:begin -->\n")[1].split("<!-- supported:end -->")[0]
    assert table == supported_table_markdown()


def test_the_searches_of_the_documentation_are_those_of_the_code():
    text = SEARCHES.read_text()
    table = text.split("<!-- searches:begin -->\n")[1].split("<!-- searches:end -->")[0]
    assert table == search_table_markdown()


def test_the_capability_statement_lists_what_is_routed_and_nothing_else():
    routes = [
        *MhdRoutes(None, None).table("/fhir"),
        *ImagingRoutes(dict.fromkeys(SEARCHED), None, None, FhirRelease.R4).table("/fhir"),
    ]
    routed = {(r.method, r.path) for r in routes} - NO_INTERACTIONS
    shared = {(method, path) for method, path in routed if "{type:" in path}
    assert len(shared) == 7
    (rest,) = json.loads(write_capability_statement("http://127.0.0.1/fhir"))["rest"]
    stated = {("", i["code"]) for i in rest["interaction"]}
    stated |= {(r["type"], i["code"]) for r in rest["resource"] for i in r["interaction"]}
    stated |= {(r["type"], f"${o['name']}") for r in rest["resource"] for o in r.get("operation", ())}
    defined = {(kind, interaction) for kind in DEFINED for interaction in ("search-type", "read")}
    defined |= {(kind, "read") for kind in READ_ONLY}
    assert {INTERACTIONS[route] for route in routed - shared} | defined == stated


def test_a_search_parameter_of_the_readme_curl_is_stated():
    (rest,) = json.loads(write_capability_statement("http://127.0.0.1/fhir"))["rest"]
    (documents,) = [r for r in rest["resource"] if r["type"] == "DocumentReference"]
    names = {p["name"] for p in documents["searchParam"]}
    assert {"patient", "patient.identifier", "status", "related", "identifier", "_id"} <= names


def test_every_transaction_of_the_soap_contract_has_a_row():
    rows = " ".join(row.transaction for row in SUPPORTED)
    assert set(load_contract().transactions) <= {word.strip(",") for word in rows.split()}
