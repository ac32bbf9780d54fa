"""Provide Document Bundles of the demo hold what IHE MHD 4.2.4 Comprehensive asks for."""

import hashlib
from base64 import b64decode, b64encode
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import SampleContent, sample_content
from gateway.fhir.terminology import Terminology
from gateway.model import codes


@pytest.fixture(scope="module")
def content() -> SampleContent:
    return sample_content("test")


@pytest.fixture(scope="module")
def bundle(content: SampleContent) -> dict[str, Any]:
    documents = [content.report, content.discharge, content.manifest]
    return provide_bundle(documents, patient=content.patient, folder=content.folder)


def _resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


def _codings(node: Any) -> list[dict[str, str]]:
    if isinstance(node, list):
        return [coding for item in node for coding in _codings(item)]
    if not isinstance(node, dict):
        return []
    own = [node] if {"system", "code", "display"} <= node.keys() else []
    return own + [coding for value in node.values() for coding in _codings(value)]


def test_bundles_are_valid_fhir(bundle: dict[str, Any], content: SampleContent) -> None:
    Bundle.model_validate(bundle)
    Bundle.model_validate(
        provide_bundle(
            [content.corrected_report], patient=content.patient, replaces="DocumentReference/0", title="New"
        )
    )


def test_the_same_documents_make_the_same_bundle(bundle: dict[str, Any], content: SampleContent) -> None:
    documents = [content.report, content.discharge, content.manifest]
    assert provide_bundle(documents, patient=content.patient, folder=content.folder) == bundle
    other = provide_bundle(documents, patient=content.patient, folder=content.folder, seed="again")
    assert _resources(other, "List")[0]["identifier"] != _resources(bundle, "List")[0]["identifier"]


def test_full_urls_are_distinct_and_every_link_resolves(bundle: dict[str, Any]) -> None:
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(urls)) == len(urls)
    assert all(url.startswith("urn:uuid:") for url in urls)
    submission, folder = _resources(bundle, "List")
    members = {entry["item"]["reference"] for entry in submission["entry"]}
    documents = {
        e["fullUrl"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DocumentReference"
    }
    assert documents < members < set(urls)
    assert {entry["item"]["reference"] for entry in folder["entry"]} == documents


def test_each_attachment_describes_the_bytes_of_its_binary(bundle: dict[str, Any]) -> None:
    binaries = {
        e["fullUrl"]: e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Binary"
    }
    for reference in _resources(bundle, "DocumentReference"):
        attachment = reference["content"][0]["attachment"]
        binary = binaries.pop(attachment["url"])
        data = b64decode(binary["data"])
        assert attachment["size"] == len(data)
        assert attachment["hash"] == b64encode(hashlib.sha1(data).digest()).decode()
        assert attachment["contentType"] == binary["contentType"]
    assert not binaries


def test_every_code_system_is_mapped_without_settings(bundle: dict[str, Any]) -> None:
    systems = {coding["system"] for coding in _codings(bundle)}
    assert "urn:oid:2.999.1.6" in systems
    known = Terminology().code_systems
    assert [system for system in systems if known.oid_or_none(system) is None] == []


def test_contained_resources_and_references_to_them_match(bundle: dict[str, Any]) -> None:
    for reference in _resources(bundle, "DocumentReference"):
        contained = {f"#{resource['id']}": resource for resource in reference["contained"]}
        used = {author["reference"] for author in reference["author"]}
        used.add(reference["context"]["sourcePatientInfo"]["reference"])
        for resource in contained.values():
            used |= {
                resource[link]["reference"] for link in ("practitioner", "organization") if link in resource
            }
        assert used == set(contained)


def test_three_authors_of_three_kinds_stand_in_the_report(bundle: dict[str, Any]) -> None:
    report = _resources(bundle, "DocumentReference")[0]
    assert [author["reference"] for author in report["author"]] == [
        "#role1",
        "#practitioner2",
        "#organization3",
    ]


def test_related_carries_authority_as_system_and_kind_as_type(bundle: dict[str, Any]) -> None:
    report = _resources(bundle, "DocumentReference")[0]
    accession, study = (related["identifier"] for related in report["context"]["related"])
    assert accession["system"] == "urn:oid:2.999.1.3"
    assert accession["type"]["coding"][0] == {"system": codes.URI_SYSTEM, "code": codes.REFERENCE_ACCESSION}
    assert study["type"]["coding"][0]["code"] == codes.REFERENCE_STUDY


def test_a_replacement_comes_with_the_patch_of_its_target(content: SampleContent) -> None:
    target = "DocumentReference/8b6e64a8-6b0b-4a43-a9c5-4b0a2dd9b3d1"
    bundle = provide_bundle([content.corrected_report], patient=content.patient, replaces=target)
    (reference,) = _resources(bundle, "DocumentReference")
    assert reference["relatesTo"] == [{"code": "replaces", "target": {"reference": target}}]
    (patch,) = [entry for entry in bundle["entry"] if entry["request"]["method"] == "PATCH"]
    assert patch["request"]["url"] == target
    parts = {part["name"]: part for part in patch["resource"]["parameter"][0]["part"]}
    assert parts["path"]["valueString"] == "DocumentReference.status"
    assert parts["value"]["valueCode"] == "superseded"
