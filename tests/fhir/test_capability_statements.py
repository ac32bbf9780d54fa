"""Statements of the guides that the gateway instantiates are met, as the guides have them."""

import json
from pathlib import Path

import pytest

from gateway.fhir.capability import write_capability_statement
from gateway.fhir.capability_actors import StatedActor
from gateway.mhd.definitions import Definitions
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.releases import FhirRelease

ORACLE = Path(__file__).resolve().parents[3] / "shared/oracle/profiles"
EXPECTATION = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-expectation"
OPTIONAL = {"MAY", "SHOULD"}


def statement(release):
    return json.loads(write_capability_statement("https://gateway.example/fhir", release=release))


def of_guides(release):
    """Statements of servers by canonical."""
    files = ORACLE.glob(f"{release.name.lower()}/*/CapabilityStatement-*.json")
    read = (json.loads(path.read_bytes()) for path in files)
    return {each["url"]: each for each in read if "url" in each}


def expectation(element):
    return next((e["valueCode"] for e in element.get("extension", ()) if e["url"] == EXPECTATION), "SHALL")


def unmet(required, stated):
    """What a guide's statement demands and ours does not list; what is optional does not count."""
    (theirs,), (ours,) = required["rest"], stated["rest"]
    by_type = {resource["type"]: resource for resource in ours["resource"]}
    for resource in theirs["resource"]:
        own = by_type.get(resource["type"])
        if own is None:
            if expectation(resource) not in OPTIONAL:
                yield resource["type"]
            continue
        for element, name in (("interaction", "code"), ("searchParam", "name"), ("operation", "name")):
            listed = {each[name] for each in own.get(element, ())}
            for each in resource.get(element, ()):
                if expectation(each) not in OPTIONAL and each[name] not in listed:
                    yield f"{resource['type']}.{element}: {each[name]}"
        for element in ("searchInclude", "searchRevInclude"):
            yield from (
                f"{resource['type']}.{element}: {path}"
                for path in resource.get(element, ())
                if path not in own.get(element, ())
            )


@pytest.mark.parametrize("release", FhirRelease)
def test_every_statement_of_a_guide_that_is_instantiated_is_met(release):
    known, stated = of_guides(release), statement(release)
    if not known:
        pytest.skip("the statements of the guides are not here")
    checked = [url for url in stated["instantiates"] if url in known]
    for provider in ("ImagingDocumentAccessProvider", "ResourceAccessProvider"):
        assert any(provider in url for url in checked)
    for url in checked:
        assert list(unmet(known[url], stated)) == [], url


def test_each_release_instantiates_the_statements_of_its_guides():
    old, new = (statement(release)["instantiates"] for release in FhirRelease)
    assert imaging.EU_RESOURCE_PROVIDER in old and imaging.MADO_RESPONDER in old
    assert imaging.EU_RESOURCE_PROVIDER.replace("/imaging/", "/imaging-r5/") in new
    assert not any(url.startswith(imaging.MADO) for url in new)


PDQM_PARAMETERS = (
    "_lastUpdated _id active family given identifier telecom birthdate address address-city address-country "
    "address-postalcode address-state gender mothersMaidenName"
)


def test_a_supplier_of_demographics_is_what_ihe_pdqm_has_of_one():
    stated = statement(FhirRelease.R4)
    (patients,) = [r for r in stated["rest"][0]["resource"] if r["type"] == "Patient"]
    by_name = {row["name"]: row for row in patients["searchParam"]}
    assert codes.PDQM_CAPABILITY_STATEMENT + "IHE.PDQm.PatientDemographicsSupplier" in stated["instantiates"]
    assert set(PDQM_PARAMETERS.split()) <= by_name.keys()
    maiden = by_name["mothersMaidenName"]["definition"]
    assert maiden == codes.FHIR_SEARCH_PARAMETER + "patient-extensions-Patient-mothersMaidenName"
    for row in by_name.values():
        if row["type"] == "string":
            assert ":exact" in row["documentation"]
    assert {i["code"] for i in patients["interaction"]} >= {"read", "search-type"}
    assert codes.PROFILE_PDQM_PATIENT in patients["supportedProfile"]
    assert (
        codes.PDQM_CAPABILITY_STATEMENT + "IHE.PDQm.PatientDemographicsSupplierMatch"
        in stated["instantiates"]
    )
    assert patients["operation"] == [{"name": "match", "definition": codes.OPERATION_MATCH}]
    (in_r5,) = [r for r in statement(FhirRelease.R5)["rest"][0]["resource"] if r["type"] == "Patient"]
    assert in_r5["operation"] == [{"name": "match", "definition": codes.OPERATION_PATIENT_MATCH}]
    assert not any(url.startswith(codes.PDQM) for url in statement(FhirRelease.R5)["instantiates"])


@pytest.mark.parametrize("release", FhirRelease)
def test_every_definition_that_a_guide_has_is_served_by_read(release):
    stated = statement(release)
    served = Definitions(lambda: json.dumps(stated).encode(), "https://gateway.example/fhir")
    for kind, element in (("SearchParameter", "searchParam"), ("OperationDefinition", "operation")):
        wanted = {
            each["definition"]
            for resource in stated["rest"][0]["resource"]
            for each in resource.get(element, ())
            if not each.get("definition", codes.FHIR_SEARCH_PARAMETER).startswith("http://hl7.org/fhir/")
        }
        assert wanted
        for url in wanted:
            assert served.read(kind, url.rpartition("/")[2])


def test_r5_has_search_parameters_of_its_own_where_r4_has_those_of_guides():
    (documents,) = [
        r for r in statement(FhirRelease.R5)["rest"][0]["resource"] if r["type"] == "DocumentReference"
    ]
    by_name = {row["name"]: row.get("definition") for row in documents["searchParam"]}
    for name in ("modality", "bodysite", "creation", "event-code", "format-code", "context", "based-on"):
        assert by_name[name] == f"{codes.FHIR_SEARCH_PARAMETER}DocumentReference-{name}"
    assert len(by_name) == len(documents["searchParam"])


# --- some of the actors -----------------------------------------------------------------------------------
def of_actors(release, *actors):
    raw = write_capability_statement(
        "https://gateway.example/fhir",
        release=release,
        actors=frozenset(StatedActor(name) for name in actors),
    )
    stated = json.loads(raw)
    return stated, {resource["type"]: resource for resource in stated["rest"][0]["resource"]}


@pytest.mark.parametrize("release", FhirRelease)
def test_a_recipient_states_what_publishes(release):
    stated, by_type = of_actors(release, "recipient")
    assert set(by_type) == {"DocumentReference", "OperationDefinition", "SearchParameter"}
    assert [i["code"] for i in by_type["DocumentReference"]["interaction"]] == ["create"]
    assert "searchParam" not in by_type["DocumentReference"]
    assert by_type["DocumentReference"]["operation"]
    assert [i["code"] for i in stated["rest"][0]["interaction"]] == ["transaction"]
    assert stated["instantiates"] and all("DocumentRecipient" in url for url in stated["instantiates"])


@pytest.mark.parametrize("release", FhirRelease)
def test_a_responder_states_what_finds_documents(release):
    stated, by_type = of_actors(release, "responder")
    assert set(by_type) == {
        "Binary", "DocumentReference", "List", "OperationDefinition", "Patient", "SearchParameter",
    }  # fmt: skip
    assert {i["code"] for i in by_type["DocumentReference"]["interaction"]} == {"read", "search-type"}
    assert [i["code"] for i in stated["rest"][0]["interaction"]] == ["search-system"]
    assert stated["instantiates"] and all(
        "Responder" in url or "ImagingDocumentAccessProvider" in url for url in stated["instantiates"]
    )


@pytest.mark.parametrize("release", FhirRelease)
def test_a_provider_of_resources_states_those_of_imaging(release):
    stated, by_type = of_actors(release, "resources")
    assert not {"DocumentReference", "List", "Binary"} & set(by_type)
    assert {"DiagnosticReport", "ImagingStudy", "Patient"} <= set(by_type)
    assert ("ImagingSelection" in by_type) is (release is FhirRelease.R5)
    assert "interaction" not in stated["rest"][0] and "searchParam" not in stated["rest"][0]
    (claimed,) = stated["instantiates"]
    assert claimed.endswith("/EeehrxfImagingReportResourceAccessProvider")


@pytest.mark.parametrize("release", FhirRelease)
def test_a_supplier_of_patients_states_patients_alone(release):
    stated, by_type = of_actors(release, "patients")
    assert set(by_type) == {"OperationDefinition", "Patient", "SearchParameter"}
    claimed = stated.get("instantiates", [])
    assert all(url.startswith(codes.PDQM) for url in claimed)
    # IHE PDQm is for R4 alone
    assert bool(claimed) is (release is FhirRelease.R4)


@pytest.mark.parametrize("release", FhirRelease)
def test_all_actors_are_the_statement_of_this_server(release):
    stated, _ = of_actors(release, *StatedActor)
    assert stated["rest"] == statement(release)["rest"]
