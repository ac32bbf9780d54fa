"""Manifests and studies that are made of key object documents keep the profiles of IHE RAD MADO and HL7 Europe,
as HAPI FHIR's validator sees it (R92): of documents of others, in each dialect, and of generated ones.

What is allowed besides the defects of the profiles is a list with reasons: a document that lacks what MADO
requires has a manifest that lacks it too, since nothing is made up.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import Phase, given, settings

from gateway.demo.content import sample_content
from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from gateway.fhir.manifest_bundle import ManifestContext, manifest_bundle_bytes
from gateway.fhir.terminology import Terminology
from gateway.model.imaging import Manifest
from tests.dicom.oracle import ORACLE_FILES, oracle
from tests.dicom.samples import group_case_files
from tests.dicom.strategies import legacy_manifests, manifests
from tests.fhir.test_study_resources import all_resources, found
from tests.interop.hapi import Validator, complaints
from tests.interop.test_hapi_manifests import DEFECTS, SEVERAL_ORDERS

pytestmark = pytest.mark.interop

CONTEXT = ManifestContext(Terminology(), assembled=datetime(2026, 3, 10, 8, tzinfo=UTC))
BASE = "https://gateway.example/fhir"

NO_LOCATION = (
    # Retrieve Location UID is R+ in MADO and optional in XDS-I.b before it; there is no endpoint without one
    r"Slice 'Bundle\.entry:wado-endpoint': a matching slice is required",
    r"Slice 'ImagingStudy\.series\.endpoint:wado': a matching slice is required",
    # such a study does not match the slices for it either
    *SEVERAL_ORDERS[1:],
)
OF_GENERATED = (
    # the validator takes OIDs of three arcs for none
    r"OIDs must be valid \(\d+\.\d+\.\d+\)",
    # a private coding scheme of DICOM (99...) has no URI, and its codes mean nothing without its name
    r"Coding\.system must be an absolute reference",
)

NO_SLICE = (
    # what has such an OID or code in it does not match the slices for it either, nor what refers to it
    r"Slice '(Bundle\.entry|Composition\.\w+):[\w-]+': a matching slice is required",
)


def lacks_locations(manifest: Manifest) -> bool:
    return any(all(place.uid is None for place in s.locations) for s in manifest.study.series)


def assert_valid(hapi: Validator, kos: bytes, also: Sequence[str] = ()) -> None:
    """The manifest in FHIR, and what a search gives of its study."""
    manifest = read_kos(kos).manifest
    several = SEVERAL_ORDERS if len(manifest.study.requests) > 1 else ()
    allowed = (*DEFECTS, *several, *(NO_LOCATION if lacks_locations(manifest) else ()), *also)
    errors = hapi.errors(manifest_bundle_bytes(manifest, CONTEXT))
    if any(re.search(pattern, error) for pattern in also for error in errors):
        allowed = (*allowed, *NO_SLICE)
    assert complaints(errors, *allowed) == []
    searchset = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [
            {"fullUrl": f"{BASE}/{resource['resourceType']}/{resource['id']}", "resource": resource}
            for resource in all_resources(found(manifest))
        ],
    }
    assert complaints(hapi.errors(searchset), *allowed) == []


@pytest.mark.parametrize("name", ORACLE_FILES)
def test_documents_of_others(hapi: Validator, name: str) -> None:
    assert_valid(hapi, oracle(name))


@pytest.mark.parametrize("dialect", ["dcm", "ti", "placeholder", "legacy"])
def test_each_dialect(hapi: Validator, dialect: str) -> None:
    assert_valid(hapi, group_case_files()[dialect])


def test_the_sample_study(hapi: Validator) -> None:
    assert_valid(hapi, sample_content("translated").manifest.content)


@settings(max_examples=12, phases=[Phase.generate], derandomize=True)
@given(manifests())
def test_generated_documents(hapi: Validator, manifest: Manifest) -> None:
    assert_valid(hapi, write_kos(manifest), OF_GENERATED)


@settings(max_examples=8, phases=[Phase.generate], derandomize=True)
@given(legacy_manifests())
def test_generated_documents_of_older_sources(hapi: Validator, manifest: Manifest) -> None:
    assert_valid(hapi, write_kos(manifest), OF_GENERATED)
