"""The transaction-response of ITI-65: one entry per request entry, in order, each with its own Location."""

from fhir.resources.R4B.bundle import Bundle

from gateway.fhir.issues import Issue
from gateway.fhir.provide_response import write_provide_response
from gateway.model.codes import XDS_ERROR_SYSTEM
from tests.fhir import provide_samples as samples
from tests.fhir.provide_samples import BASE, FOLDER_ID, OLD


def answer(made, warnings=()):
    provided = samples.read(made)
    response = write_provide_response(provided, samples.context(), warnings)
    Bundle.model_validate(response)
    assert response["type"] == "transaction-response"
    assert len(response["entry"]) == len(made["entry"])
    return provided, [entry["response"] for entry in response["entry"]]


def uuid_of(thing):
    return thing.entry_uuid.removeprefix("urn:uuid:")


def test_three_documents_have_three_locations_and_three_urls():
    provided, responses = answer(samples.with_folder(b"one", b"two", b"three"))
    submission = provided.submission
    documents = [f"DocumentReference/{uuid_of(e)}" for e in submission.entries]
    urls = [f"{BASE}/content/2.999.10/{e.unique_id}" for e in submission.entries]
    assert [r["location"] for r in responses] == [
        f"List/{uuid_of(submission.submission_set)}",
        documents[0],
        urls[0],
        documents[1],
        urls[1],
        documents[2],
        urls[2],
        f"List/{uuid_of(submission.folders[0])}",
    ]
    assert len({r["location"] for r in responses}) == 8
    assert {r["status"] for r in responses} == {"201 Created"}


def test_what_is_not_created_is_ok_with_its_location():
    made = samples.with_folder(b"one", method="PUT")
    made["entry"][1]["resource"]["relatesTo"] = [
        {"code": "replaces", "target": {"reference": f"DocumentReference/{OLD}"}}
    ]
    made["entry"].append(samples.patch(OLD))
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:oid:2.999.2", "value": "P1"}]}
    made["entry"].append(samples.entry(70, "Patient", patient))
    _, responses = answer(made)
    assert [(r["status"], r["location"]) for r in responses[3:]] == [
        ("200 OK", f"List/{FOLDER_ID}"),
        ("200 OK", f"DocumentReference/{OLD}"),
        ("200 OK", "Patient/of-P1"),
    ]


def test_a_warning_is_in_the_outcome_of_its_entry_and_those_of_the_registry_with_the_submission_set():
    made = samples.bundle()
    made["entry"][1]["resource"]["custodian"] = {"display": "Archive"}
    made["entry"].reverse()
    warning = Issue("warning", "incomplete", "not kept", details_code="XDSExtraMetadataNotSaved")
    _, responses = answer(made, [warning])
    assert ["outcome" in r for r in responses] == [False, True, True]
    ((first,), (second,)) = (r["outcome"]["issue"] for r in responses[1:])
    assert (first["severity"], first["expression"]) == (
        "information",
        ["Bundle.entry[1].resource.custodian"],
    )
    assert second["details"]["coding"] == [{"system": XDS_ERROR_SYSTEM, "code": "XDSExtraMetadataNotSaved"}]


def test_without_warnings_there_is_no_outcome():
    _, responses = answer(samples.bundle())
    assert not any("outcome" in r for r in responses)


def test_the_same_bundle_has_the_same_answer():
    made = samples.with_folder(b"one", b"two")
    assert answer(made)[1] == answer(made)[1]
