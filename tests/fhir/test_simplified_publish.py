"""ITI-105: a DocumentReference with its document inside becomes a submission, or findings about itself."""

import base64
import hashlib

import orjson
import pytest

from gateway.fhir.formats import FhirFormat
from gateway.fhir.issues import OutcomeError
from gateway.fhir.simplified_publish import open_simplified_publish
from gateway.model import Person, codes
from gateway.model.publishing import PublishingSource
from tests.fhir import provide_samples as samples

CONTENT = b"Hello World"
ATTACHMENT = "DocumentReference.content[0].attachment"


def document():
    made = samples.document_reference(0, CONTENT, "")
    attachment = made["content"][0]["attachment"]
    del attachment["url"], made["masterIdentifier"]["type"]
    attachment["data"] = base64.b64encode(CONTENT).decode()
    return made


def read(made, **changes):
    raw = made if isinstance(made, bytes) else orjson.dumps(made)
    context = samples.context(**{"source": PublishingSource(source_id="2.999.40"), **changes})
    opened = open_simplified_publish(raw, context, FhirFormat.JSON)
    return opened.read()


def errors(made, **changes):
    with pytest.raises(OutcomeError) as caught:
        read(made, **changes)
    return caught.value.status, {i.expression for i in caught.value.issues if i.severity == "error"}


def test_the_submission_says_what_the_document_says():
    provided = read(document())
    submission = provided.submission
    (entry,) = submission.entries
    made = submission.submission_set
    assert (made.source_id, made.patient_id, made.content_type) == (
        "2.999.40",
        samples.PATIENT,
        entry.type_code,
    )
    assert made.authors == entry.authors
    assert made.authors[0].person == Person(family="Welby")
    assert made.title == "Display of 60591-5"
    assert made.unique_id.startswith("2.25.")
    assert len(made.submission_time) == 14
    assert (entry.unique_id, entry.hash, entry.size) == (
        "2.999.1.2.0",
        hashlib.sha1(CONTENT).hexdigest(),
        len(CONTENT),
    )
    assert [(a.type, a.source, a.target, a.submission_set_status) for a in submission.associations] == [
        (codes.HAS_MEMBER, made.entry_uuid, entry.entry_uuid, "Original")
    ]
    assert provided.documents[0].content == CONTENT


def test_a_repeat_has_the_same_ids():
    first, second = read(document()), read(document())
    assert first.digest == second.digest
    assert first.submission.submission_set.unique_id == second.submission.submission_set.unique_id
    assert first.submission.entries == second.submission.entries


def test_another_content_is_another_submission():
    other = document()
    attachment = other["content"][0]["attachment"]
    del attachment["hash"], attachment["size"]
    attachment["data"] = base64.b64encode(b"other").decode()
    assert read(other).digest != read(document()).digest


def test_relations_are_kept():
    made = document()
    made["relatesTo"] = [{"code": "appends", "target": {"reference": f"DocumentReference/{samples.OLD}"}}]
    associations = read(made).submission.associations
    assert (codes.APND, f"urn:uuid:{samples.OLD}") in {(a.type, a.target) for a in associations}


def change(path, value=None):
    made = document()
    place = made
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "status", "place"),
    [
        (("content", 0, "attachment", "data"), None, 422, f"{ATTACHMENT}.data"),
        (("content", 0, "attachment", "data"), "not base64!", 400, f"{ATTACHMENT}.data"),
        (("content", 0, "attachment", "data"), 1, 400, f"{ATTACHMENT}.data"),
        (("content", 0, "attachment", "url"), "https://x.example/1", 422, f"{ATTACHMENT}.url"),
        (("content", 0, "attachment", "contentType"), None, 422, f"{ATTACHMENT}.contentType"),
        (("content", 0, "attachment", "hash"), "2jmj7l5rSw0yVb/vlWAYkK/YBwk=", 422, f"{ATTACHMENT}.hash"),
        (("content", 0, "attachment", "size"), 5, 422, f"{ATTACHMENT}.size"),
        (("subject",), None, 422, "DocumentReference.subject"),
        (("subject",), {"reference": "Patient/nobody"}, 422, "DocumentReference.subject"),
        (("type",), None, 422, "DocumentReference.type"),
        (("masterIdentifier",), None, 422, "DocumentReference.masterIdentifier"),
        (("status",), "superseded", 422, "DocumentReference.status"),
        (("docStatus",), "final", 422, "DocumentReference.docStatus"),
        (("unknown",), 1, 400, "DocumentReference.unknown"),
        (("resourceType",), "Binary", 400, "DocumentReference.resourceType"),
    ],
)
def test_findings_name_elements_of_the_document_reference(path, value, status, place):
    assert errors(change(path, value)) == (status, {place})


def test_the_entry_uuid_is_not_for_the_client_to_give():
    made = document()
    made["identifier"] = [samples.identifier("entryUUID", samples.urn(5))]
    assert errors(made) == (422, {"DocumentReference.identifier[0]"})


def test_two_contents():
    made = document()
    made["content"].append({"attachment": {"contentType": "text/plain"}})
    status, places = errors(made)
    assert (status, "DocumentReference.content[1]" in places) == (422, True)


def test_too_many_bytes():
    assert errors(document(), max_bytes=10)[0] == 413
