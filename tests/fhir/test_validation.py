"""FHIR R4 validity: what the models find and what they leave to us, each at its FHIRPath."""

import copy

import pytest

from gateway.fhir.findings import Findings
from gateway.fhir.validation import is_resource_type, validate_resource
from tests.fhir.provide_samples import document_reference, folder, submission_set

VALID = document_reference(0, b"Hello World", "urn:uuid:1f0a1f0a-0000-4000-8000-000000000100")


def places(resource):
    findings = Findings()
    validate_resource(resource, "R", findings)
    return [issue.expression for issue in findings.errors]


def changed(change):
    resource = copy.deepcopy(VALID)
    change(resource)
    return resource


def test_valid_resources_have_no_findings():
    assert places(VALID) == []
    assert places(submission_set(["urn:uuid:1f0a1f0a-0000-4000-8000-000000000100"])) == []
    assert places(folder(["DocumentReference/1"])) == []


def attachment(resource):
    return resource["content"][0]["attachment"]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda r: r.update(colour="red"), "R.colour"),
        (lambda r: r["contained"][1].update(telecom=[{"value": "+43"}]), "R.contained[1].telecom[0].system"),
        (lambda r: r.update(extension=[{"url": "https://x.example"}]), "R.extension[0]"),
        (lambda r: r.pop("status"), "R.status"),
        (lambda r: r.pop("content"), "R.content"),
        (lambda r: r.update(status="done"), "R.status"),
        (lambda r: r.update(docStatus="done"), "R.docStatus"),
        (lambda r: r.update(status=["current"]), "R.status"),
        (lambda r: r.update(description=5), "R.description"),
        (lambda r: attachment(r).update(size="11"), "R.content[0].attachment.size"),
        (lambda r: attachment(r).update(size=11.5), "R.content[0].attachment.size"),
        (lambda r: attachment(r).update(size=11.0), "R.content[0].attachment.size"),
        (lambda r: attachment(r).update(size=True), "R.content[0].attachment.size"),
        (lambda r: attachment(r).update(size=-1), "R.content[0].attachment.size"),
        (lambda r: attachment(r).update(creation="2026-01-02T03:04:05"), "R.content[0].attachment.creation"),
        (lambda r: attachment(r).update(creation=1767322800), "R.content[0].attachment.creation"),
        (lambda r: r.update(date=-1), "R.date"),
        (lambda r: r["contained"][0].update(birthDate=0), "R.contained[0].birthDate"),
        (lambda r: r["contained"][0].update(active="true"), "R.contained[0].active"),
        (lambda r: attachment(r).update(creation="2026-02-30"), "R.content[0].attachment.creation"),
        (lambda r: r.update(subject='{"reference":"Patient/9"}'), "R.subject"),
        (lambda r: r.update(author={"reference": "#a"}), "R.author"),
        (lambda r: r["subject"].update(reference="patient nine"), "R.subject.reference"),
        (lambda r: r["subject"].update(reference="ftp://x/Patient/9"), "R.subject.reference"),
        (lambda r: r["masterIdentifier"].update(use="best"), "R.masterIdentifier.use"),
        (lambda r: r.update(relatesTo=[{"code": "x", "target": {"display": "y"}}]), "R.relatesTo[0].code"),
        (lambda r: r["contained"][0].update(gender="f"), "R.contained[0].gender"),
        (lambda r: r["contained"][0].update(birthDate="2020-13-01"), "R.contained[0].birthDate"),
        (lambda r: r["contained"][0].update(resourceType="FooType"), "R.contained[0]"),
        (lambda r: r["contained"][0].pop("resourceType"), "R.contained[0]"),
        (lambda r: r["contained"].append({"resourceType": "Device", "id": "d"}), "R.contained[2]"),
        (lambda r: r["author"].append({"reference": "#nobody"}), "R.author[1].reference"),
        (lambda r: r["contained"][1].update(meta={"versionId": "1"}), "R.contained[1].meta.versionId"),
        (
            lambda r: r["contained"].append({"resourceType": "Practitioner", "id": "a"}),
            "R.contained[2].id",
        ),
        (lambda r: r.update(extension=[{"url": "x", "valueFoo": "y"}]), "R.extension[0].value"),
        (lambda r: r.update(extension=[{"valueString": "y"}]), "R.extension[0].url"),
        (lambda r: r.update(_status={"id": r.pop("status")}), "R.status"),
        (
            lambda r: r.update(relatesTo=[{"_code": {"id": "x"}, "target": {"display": "y"}}]),
            "R.relatesTo[0].code",
        ),
    ],
)
def test_a_fault_is_found_where_it_is(change, place):
    assert place in places(changed(change))


def test_every_fault_is_found_at_once():
    def change(resource):
        attachment(resource)["creation"] = "yesterday"
        resource["colour"] = "red"
        resource["contained"][0]["shape"] = "round"

    assert set(places(changed(change))) == {
        "R.content[0].attachment.creation",
        "R.colour",
        "R.contained[0].shape",
    }


def test_a_contained_resource_without_id_or_within_another_is_refused():
    nested = {"resourceType": "Organization", "id": "o"}
    assert "R.contained[1].contained" in places(
        changed(lambda r: r["contained"][1].update(contained=[nested]))
    )
    assert "R.contained[1].id" in places(changed(lambda r: r["contained"][1].pop("id")))


def test_no_finding_quotes_what_was_sent():
    findings = Findings()
    resource = changed(lambda r: r["contained"][0].update(birthDate="1975-secret", gender="secret"))
    validate_resource(resource, "R", findings)
    assert findings.errors
    assert not any("secret" in issue.diagnostics for issue in findings.errors)


@pytest.mark.parametrize("name", ["FooType", "", None, 5, "Element", "__init__", "documentreference"])
def test_only_names_of_resources_are_resource_types(name):
    assert not is_resource_type(name)
    assert is_resource_type("ImagingStudy")
