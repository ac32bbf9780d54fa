"""Resources of other servers, whatever they look like, become metadata that ebRIM has a place for, or are left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.fhir.document_reference import WriteContext, write_document_reference
from gateway.fhir.peer_resources import LeftOut, PeerReader
from gateway.fhir.peer_shapes import shaped
from gateway.fhir.terminology import Terminology
from gateway.model.metadata import DocumentEntry, Folder, SubmissionSet
from tests.fhir.strategies import document_entries

BASE = "https://server.example/fhir"
TERMS = Terminology()
NAMES = st.sampled_from(
    [
        *(
            "resourceType",
            "id",
            "meta",
            "profile",
            "contained",
            "extension",
            "identifier",
            "status",
            "subject",
        ),
        *(
            "masterIdentifier",
            "type",
            "category",
            "author",
            "relatesTo",
            "code",
            "target",
            "content",
            "system",
        ),
        *("attachment", "format", "context", "period", "start", "related", "entry", "item", "date", "value"),
        *("reference", "coding", "display", "url", "size", "hash", "creation", "source", "name", "given"),
    ]
)
WORDS = st.sampled_from(
    [
        *(
            "DocumentReference",
            "List",
            "submissionset",
            "folder",
            "current",
            "7",
            "urn:oid:2.999.1",
            "Patient/1",
        ),
        *("urn:uuid:00000000-0000-4000-8000-000000000001", "urn:ietf:rfc:3986", "2024-01-01", "text/plain"),
        *("https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes", "#a", "\x00", "x" * 300, ""),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=25,
)


def reader():
    return PeerReader(TERMS, BASE, "2.999.10")


@given(JSON, st.sampled_from(["DocumentReference", "List"]))
def test_no_json_breaks_the_reader(value, kind):
    if isinstance(value, dict):
        value = {**value, "resourceType": kind, "id": value.get("id", "1")}
    read = reader().document if kind == "DocumentReference" else reader().list
    try:
        found = read(value)
    except LeftOut as reason:
        assert str(reason).startswith("it ")
    else:
        item = found.entry if kind == "DocumentReference" else found.item
        assert isinstance(item, DocumentEntry | SubmissionSet | Folder)
        assert item.entry_uuid.startswith("urn:uuid:")
        assert item.unique_id


@given(JSON)
def test_what_has_been_shaped_stays_as_it_is(value):
    once = shaped(value)
    assert once is None or shaped(once) == once


@given(document_entries())
def test_what_the_gateway_writes_is_read_as_the_strict_reader_reads_it(entry):
    context = WriteContext(TERMS, BASE, lambda _: f"{BASE}/content/x", lambda _: {"reference": "Patient/1"})
    written = write_document_reference(entry, context)
    found = reader().document(written, f"{BASE}/DocumentReference/{written['id']}")
    assert found.entry.entry_uuid == entry.entry_uuid
    assert (found.entry.type_code is None) == (entry.type_code is None)
    assert found.attachment["url"] == f"{BASE}/content/x"
    again = reader().document(written).entry
    assert structs.replace(again, patient_id=None) == structs.replace(found.entry, patient_id=None)


@pytest.mark.parametrize(
    ("reference", "key"),
    [
        ("DocumentReference/1", ("DocumentReference", "1")),
        ("DocumentReference/1/_history/2", ("DocumentReference", "1")),
        (f"{BASE}/List/a-b", ("List", "a-b")),
        ("/fhir/List/a-b", ("List", "a-b")),
        ("https://other.example/fhir/List/1", None),
        ("#contained", None),
        ("urn:uuid:00000000-0000-4000-8000-000000000001", None),
        ("", None),
    ],
)
def test_references_are_those_of_the_server_alone(reference, key):
    assert reader().key_of({"reference": reference}) == key


def test_a_server_behind_a_proxy_is_known_by_the_name_that_it_gives_itself():
    peer = reader()
    document = {
        "resourceType": "DocumentReference",
        "id": "1",
        "content": [{"attachment": {"contentType": "text/plain", "url": "x"}}],
    }
    peer.document(document, "http://inside:8080/fhir/DocumentReference/1")
    assert peer.key_of({"reference": "http://inside:8080/fhir/DocumentReference/2"}) == (
        "DocumentReference",
        "2",
    )
