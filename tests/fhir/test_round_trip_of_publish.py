"""FHIR -> XDS -> FHIR: whatever is published with the elements that have a place comes back element by element."""

import base64
import hashlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.fhir.document_reference import write_document_reference
from gateway.fhir.lists import write_folder_list, write_submission_set_list
from gateway.model import AvailabilityStatus, Code, Cx, codes
from tests.fhir import strategies
from tests.fhir.contexts import write_context
from tests.fhir.provide_samples import PATIENT, binary, bundle, entry, urn
from tests.fhir.round_trip import DOCUMENT, FOLDER, SET, sent_and_found

CONTENT = b"Hello World"
CODE = Code("1", "2.999.6", "one")
REQUIRED = {
    "class_code": CODE,
    "type_code": CODE,
    "format_code": CODE,
    "facility_type": CODE,
    "practice_setting": CODE,
    "confidentiality": (CODE,),
    "language": "en",
    "creation_time": "20260102030405",
    "source_patient_id": Cx("M1", "2.999.3"),
}


def publishable(drawn):
    """The entry with what XDS requires, and what only a registry says set aside."""
    return replace(
        drawn,
        entry_uuid=urn(77),
        patient_id=PATIENT,
        status=AvailabilityStatus.APPROVED,
        limited_metadata=False,
        object_type=codes.STABLE_DOCUMENT,
        mime_type="text/plain",
        hash=hashlib.sha1(CONTENT).hexdigest(),
        size=len(CONTENT),
        **{name: getattr(drawn, name) or value for name, value in REQUIRED.items()},
    )


def listed(resource, *references):
    """The List with these members."""
    return {**resource, "entry": [{"item": {"reference": reference}} for reference in references]}


@st.composite
def provided(draw):
    """SubmissionSet, DocumentReference and Folder as a client writes them."""
    context = write_context()
    document = write_document_reference(publishable(draw(strategies.document_entries())), context)
    submission_set, folder = draw(strategies.submission_sets()), draw(strategies.folders)
    own = {"patient_id": PATIENT}
    return (
        write_submission_set_list(
            replace(submission_set, **own, entry_uuid=urn(78), unique_id="2.999.0.1", content_type=CODE),
            (),
            context,
        ),
        document,
        write_folder_list(
            replace(
                folder,
                **own,
                entry_uuid=urn(79),
                unique_id="2.999.0.2",
                title=folder.title or "Title",
                code_list=folder.code_list or (CODE,),
                last_update_time=None,
            ),
            (),
            context,
        ),
    )


@given(provided())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_what_is_published_is_what_is_found(resources):
    submission_set, document, folder = resources
    made = bundle(CONTENT)
    attachment = document["content"][0]["attachment"] | {"url": urn(100)}
    sent = {**document, "content": [{**document["content"][0], "attachment": attachment}]}
    made["entry"] = [
        entry(1, "List", listed(submission_set, urn(10), urn(500))),
        entry(10, "DocumentReference", sent),
        entry(100, "Binary", binary(CONTENT)),
        entry(500, "List", listed(folder, urn(10))),
    ]
    found, said = sent_and_found(made)
    assert said == ()
    shown = found[DOCUMENT]["content"][0]["attachment"]
    assert shown.pop("url") and document["content"][0]["attachment"].pop("url")
    assert base64.b64decode(shown["hash"]) == hashlib.sha1(CONTENT).digest()
    assert found[DOCUMENT] == document
    for position, resource in ((SET, submission_set), (FOLDER, folder)):
        assert [e["item"]["reference"].partition("/")[0] for e in found[position].pop("entry")] == (
            ["DocumentReference", "List"] if position == SET else ["DocumentReference"]
        )
        assert found[position] == resource
