"""What a request is called in metrics."""

import pytest

from gateway.telemetry.transactions import transaction_of


@pytest.mark.parametrize(
    ("method", "route", "name"),
    [
        ("POST", "/fhir", "ITI-65"),
        ("POST", "/fhir/", "ITI-65"),
        ("GET", "/fhir", "search all"),
        ("POST", "/fhir/_search", "search all"),
        ("POST", "/fhir/DocumentReference", "ITI-105"),
        ("POST", "/fhir/DocumentReference/$generate-metadata", "ITI-106"),
        ("GET", "/fhir/DocumentReference", "ITI-67"),
        ("HEAD", "/fhir/DocumentReference", "ITI-67"),
        ("POST", "/fhir/DocumentReference/_search", "ITI-67"),
        ("GET", "/fhir/DocumentReference/{id}", "read DocumentReference"),
        ("POST", "/fhir/List/_search", "ITI-66"),
        ("GET", "/fhir/content/{token}", "ITI-68"),
        ("GET", "/fhir/Binary/{id}", "ITI-68"),
        ("GET", "/fhir/Patient", "ITI-78"),
        ("POST", "/fhir/Patient/_search", "ITI-78"),
        ("POST", "/fhir/Patient/$match", "ITI-119"),
        ("POST", "/fhir/R5/Patient/$match", "ITI-119"),
        ("GET", "/fhir/Patient/{id}", "read Patient"),
        ("GET", "/fhir/{type}", "search ImagingStudy"),
        ("POST", "/fhir/{type}/_search", "search ImagingStudy"),
        ("GET", "/fhir/{type}/{id}", "read ImagingStudy"),
        ("GET", "/fhir/metadata", "capabilities"),
        ("GET", "/fhir/dicomweb/studies/{study}/series", "QIDO-RS"),
        ("GET", "/fhir/wado/{token}/studies", "QIDO-RS"),
        ("GET", "/fhir/wado/{token}/{kind}/{study}/series/{series}", "RAD-107"),
        ("GET", "/fhir/dicomweb", "RAD-107"),
        ("GET", "/fhir/wado/{token}/{kind}/{study}/metadata", "WADO-RS metadata"),
        ("POST", "/xds/imaging", "RAD-69"),
        ("POST", "/xca/gateway", "ITI-38, ITI-39"),
        ("POST", "/xca-i/imaging", "RAD-75"),
        ("POST", "/xca/patients", "ITI-55"),
        ("GET", "/fhir/$versions", "versions"),
        ("GET", "/fhir/R5/DocumentReference", "ITI-67"),
        ("POST", "/fhir/R4", "ITI-65"),
        ("GET", "/fhir/R4/{type}/{id}", "read ImagingStudy"),
        ("GET", "/fhir/R4/wado/{token}/studies", "QIDO-RS"),
        ("GET", "/fhirish", "GET /fhirish"),
        ("GET", "/health/ready", "health"),
        ("GET", "/metrics", "metrics"),
        ("PUT", "unknown", "unknown"),
        ("POST", "/fhir/New/{id}/$do", "POST /New/{id}/$do"),
        ("POST", "/elsewhere", "POST /elsewhere"),
    ],
)
def test_requests_have_the_names_of_the_standards(method, route, name):
    assert transaction_of(method, route, "ImagingStudy") == name
