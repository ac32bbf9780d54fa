"""A manifest goes from one format to the other and back: DICOM key object document and FHIR Bundle."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from gateway.fhir.manifest_bundle import ManifestContext, manifest_bundle_bytes
from gateway.fhir.manifest_losses import as_fhir_returns
from gateway.fhir.manifest_read import read_manifest
from gateway.fhir.terminology import Terminology
from gateway.model.imaging import LocalTime, Manifest
from tests.dicom.oracle import ORACLE_FILES, oracle
from tests.dicom.strategies import manifests

TERMINOLOGY = Terminology()
CONTEXT = ManifestContext(TERMINOLOGY, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


def dated(manifest: Manifest) -> Manifest:
    """The manifest with a time of its own, as else the Bundle shows when it was assembled."""
    return replace(manifest, created=manifest.created or LocalTime("20260102"))


def to_fhir(manifest: Manifest) -> bytes:
    return manifest_bundle_bytes(manifest, CONTEXT)


def from_fhir(raw: bytes) -> Manifest:
    return read_manifest(raw, TERMINOLOGY).manifest


@settings(max_examples=60)
@given(manifests())
def test_dicom_to_fhir_and_back_loses_what_is_listed_alone(manifest: Manifest) -> None:
    stored = write_kos(dated(manifest))
    returned = from_fhir(to_fhir(read_kos(stored).manifest))
    assert returned == as_fhir_returns(dated(manifest))


@settings(max_examples=60)
@given(manifests())
def test_fhir_to_dicom_and_back_changes_nothing(manifest: Manifest) -> None:
    first = to_fhir(as_fhir_returns(dated(manifest)))
    stored = write_kos(from_fhir(first))
    again = to_fhir(read_kos(stored).manifest)
    assert again == first


@pytest.mark.parametrize("name", ORACLE_FILES)
def test_files_of_others_keep_their_study_on_the_way_to_fhir_and_back(name: str) -> None:
    manifest = read_kos(oracle(name)).manifest
    first = to_fhir(manifest)
    assert from_fhir(first) == as_fhir_returns(manifest)
    again = read_kos(write_kos(from_fhir(first))).manifest
    assert to_fhir(again) == first
    assert again.sop_instance_uid == manifest.sop_instance_uid


# The expected values are those of the DICOM dump of the file.
A = "1.2.250.1.59.40211.22756022.2"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
SNOMED = "http://snomed.info/sct"


def entries(name: str, kind: str) -> list[dict[str, Any]]:
    bundle = orjson.loads(to_fhir(read_kos(oracle(name)).manifest))
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


def test_the_study_of_a_mado_file_line_by_line() -> None:
    (study,) = entries("mado-kos-a.dcm", "ImagingStudy")
    (identifier,) = study["identifier"]
    assert identifier["system"] == "urn:dicom:uid"
    assert identifier["value"] == f"urn:oid:{A}.1.101"
    assert identifier["type"]["coding"][0]["code"] == "110180"
    assert study["status"] == "available"
    assert study["started"] == "2026-02-24T16:23:10+01:00"
    assert study["description"] == "Study A"
    assert study["modality"] == [{"system": DCM, "code": "CT"}]
    (region,) = study["extension"]
    assert region["valueCodeableConcept"]["coding"] == [
        {"system": SNOMED, "code": "38266002", "display": "Entire body as a whole"}
    ]
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (2, 86)
    (order,) = study["basedOn"]
    assert order["identifier"]["system"] == "urn:oid:1.3.6.1.4.1.19376.1.1.100.2"
    assert order["identifier"]["value"] == "1731954284869428"
    assert study["procedureCode"] == [{"text": "Study A"}]


def test_the_series_of_a_mado_file_line_by_line() -> None:
    (study,) = entries("mado-kos-a.dcm", "ImagingStudy")
    first, second = study["series"]
    assert first["uid"] == f"{A}.2.101.201"
    assert second["uid"] == f"{A}.2.101.202"
    assert (first["number"], second["number"]) == (1, 2)
    assert (first["description"], second["description"]) == ("Series A1", "Series A2")
    assert first["started"] == "2022-08-22T16:47:58.337+01:00"
    assert second["started"] == "2022-08-22T16:52:31.1235+01:00"
    assert first["modality"] == second["modality"] == {"system": DCM, "code": "CT"}
    assert first["bodySite"] == {"system": SNOMED, "code": "38266002", "display": "Entire body as a whole"}
    assert second["bodySite"] == {"system": SNOMED, "code": "67734004", "display": "Upper trunk"}
    assert (first["numberOfInstances"], second["numberOfInstances"]) == (50, 36)
    assert (len(first["instance"]), len(second["instance"])) == (50, 36)
    # the numbers stand beside the instances there
    assert first["instance"][0] == {
        "uid": f"{A}.3.101.201.31",
        "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840.10008.5.1.4.1.1.2"},
        "number": 1,
    }
    numbers = {instance["uid"]: instance["number"] for instance in first["instance"]}
    assert numbers == {f"{A}.3.101.201.3{number}": number for number in range(1, 51)}


def test_what_stands_beside_the_study_of_a_mado_file() -> None:
    near, far, viewer = entries("mado-kos-a.dcm", "Endpoint")
    assert viewer["address"] == (
        f"https://dicomviewer/IHEInvokeImageDisplay?requestType=STUDY&studyUID={A}.1.101"
    )
    assert near["extension"][0]["valueString"] == "1.3.6.1.4.1.19376.1.1.200.1"
    assert far["extension"][0]["valueString"] == "1.3.6.1.4.1.19376.1.1.200.2"
    assert near["address"] == far["address"] == "https://dicomserver.com/AET/rs/"
    (order,) = entries("mado-kos-a.dcm", "ServiceRequest")
    placer = order["identifier"][1]
    assert (placer["system"], placer["value"]) == ("urn:oid:1.3.6.1.4.1.19376.1.1.100.3", "5357606535677609")
    (patient,) = entries("mado-kos-a.dcm", "Patient")
    first = patient["identifier"][0]
    assert (first["system"], first["value"]) == ("urn:oid:1.3.6.1.4.1.19376.1.1.100.1", "UV59569735")
    assert first["assigner"]["display"] == "ACME_HOSPITAL"
    assert patient["name"] == [{"family": "DOE", "given": ["John"]}]
    assert (patient["birthDate"], patient["gender"]) == ("1977-05-30", "male")
    assert entries("mado-kos-a.dcm", "Device")[0]["manufacturer"] == "IHE"
    assert entries("mado-kos-a.dcm", "Organization")[0]["name"] == "IHE Demo"
    (composition,) = entries("mado-kos-a.dcm", "Composition")
    assert composition["identifier"]["value"] == f"urn:oid:{A}.3.101.259.31"
    assert composition["date"] == "2026-02-25T00:57:59.000988+01:00"


def test_a_legacy_file_says_what_its_evidence_says_and_nothing_more() -> None:
    manifest = read_kos(oracle("legacy-kos-cr.dcm")).manifest
    (study,) = entries("legacy-kos-cr.dcm", "ImagingStudy")
    assert "extension" not in study
    assert [series["modality"]["code"] for series in study["series"]] == ["CR", "CR"]
    listed = [len(series.instances) for series in manifest.study.series]
    assert [series["numberOfInstances"] for series in study["series"]] == listed
    assert study["numberOfInstances"] == sum(listed)
