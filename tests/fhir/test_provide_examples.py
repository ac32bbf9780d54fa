"""The example Bundles of IHE MHD 4.2.4, with their published defects repaired."""

import json
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle

from gateway.fhir.issues import OutcomeError
from gateway.fhir.provide_bundle import read_provide_bundle
from gateway.fhir.provide_bundle_folders import FolderState
from gateway.fhir.provide_context import ProvideContext
from gateway.fhir.provide_response import write_provide_response
from gateway.fhir.terminology import Terminology
from gateway.model import Cx, codes

FOLDER = Path(__file__).resolve().parents[3] / "shared/oracle/profiles/r4/ihe.iti.mhd-4.2.4/examples"
OLD = "7b0c6e0a-0000-4000-8000-0000000000aa"
PREFIX = "Bundle-ex-comprehensiveProvideDocumentBundle"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the examples of the profile are not here")


def example(name):
    """The example; its reference to a document of a server gets a UUID as id, as this server gives."""
    text = (FOLDER / name).read_text()
    for old in ("ex-documentreference", "ex-DocumentReferenceComprehensive"):
        text = text.replace(f'"DocumentReference/{old}"', f'"DocumentReference/{OLD}"')
    return json.loads(text)


def entries(bundle, kind):
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


def context():
    return ProvideContext(
        terminology=Terminology({}, {"http://example.org/patients": "2.999.7"}),
        base_url="https://gateway.example/fhir",
        patient_of=lambda reference: Cx("1", "2.999.1") if reference == "Patient/ex-patient" else None,
        patient_reference=lambda patient: {"reference": "Patient/ex-patient"},
        document_url=lambda entry: f"https://gateway.example/fhir/content/{entry.entry_uuid[9:]}",
    )


def publish(bundle):
    folders = {f"urn:uuid:{OLD}": FolderState(frozenset())}
    provided = read_provide_bundle(json.dumps(bundle).encode(), context(), folders=folders)
    response = write_provide_response(provided, context())
    Bundle.model_validate(response)
    assert len(response["entry"]) == len(bundle["entry"])
    assert all(entry["response"]["location"] for entry in response["entry"])
    return provided


def test_simple():
    provided = publish(example(f"{PREFIX}Simple.json"))
    assert provided.documents[0].content == b"Hello World"
    assert provided.submission.submission_set.source_id == "1.2.3.4"


def test_complete():
    submission = publish(example(f"{PREFIX}Complete.json")).submission
    (entry,) = submission.entries
    assert len(entry.authors) == 2
    assert entry.reference_ids[0].type == codes.REFERENCE_UNIQUE_ID
    assert submission.folders[0].title == "Example Folder with comprehensive metadata"
    assert submission.submission_set.submission_time == "20041026045050"
    assert len(submission.submission_set.intended_recipients) == 1
    person, organization = submission.submission_set.authors
    assert person.telecoms[0].system == "email"
    assert organization.institutions[0].name == "my Hospital"
    assert codes.APND in {a.type for a in submission.associations}


def test_multiple():
    bundle = example(f"{PREFIX}Multiple.json")
    master = entries(bundle, "DocumentReference")[1]["masterIdentifier"]
    master["value"] += ".2"
    assert [d.size for d in publish(bundle).documents] == [11, 445]


def test_replace():
    bundle = example(f"{PREFIX}Replace.json")
    entries(bundle, "DocumentReference")[0]["content"][0]["attachment"]["size"] = 23
    provided = publish(bundle)
    assert provided.warnings == ()
    assert [a.target for a in provided.submission.associations if a.type == codes.RPLC] == [f"urn:uuid:{OLD}"]


def test_add_to_folder():
    bundle = example("Bundle-ex-ProvideDocumentBundle-addToFolder.json")
    bundle["entry"][2]["request"]["url"] = f"List/{OLD}"
    submission = publish(bundle).submission
    assert [a.source for a in submission.associations].count(f"urn:uuid:{OLD}") == 2


def test_a_minimal_bundle_is_told_what_xds_requires_besides():
    with pytest.raises(OutcomeError) as caught:
        publish(example("Bundle-ex-minimalProvideDocumentBundleSimple.json"))
    assert caught.value.status == 422
    missing = {i.expression for i in caught.value.issues if i.diagnostics.startswith("XDS requires")}
    inside = ("type", "category", "securityLabel", "content[0].attachment.language")
    assert {f"Bundle.entry[1].resource.{element}" for element in inside} <= missing


def test_uncontained_references_to_nowhere_are_each_named():
    with pytest.raises(OutcomeError) as caught:
        publish(example("Bundle-ex-unContainedComprehensiveProvideDocumentBundleComplete.json"))
    assert caught.value.status == 422
    assert {"Bundle.entry[1].resource.author[0].reference", "Bundle.entry[0].resource.source.reference"} <= {
        issue.expression for issue in caught.value.issues
    }


def test_a_fhir_document():
    bundle = example(f"{PREFIX}Document.json")
    for resource in (entry["resource"] for entry in bundle["entry"][:2]):
        resource["subject"] = {"reference": "Patient/ex-patient"}
    reference = bundle["entry"][1]["resource"]
    reference["contained"][0]["identifier"][0]["system"] = "urn:oid:2.999.8"
    reference["context"]["encounter"][0]["identifier"]["system"] = "urn:oid:2.999.9"
    (document,) = publish(bundle).documents
    assert document.mime_type == "application/fhir+json"
    assert json.loads(document.content)["type"] == "document"
