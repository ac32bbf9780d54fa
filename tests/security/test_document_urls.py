"""URLs of documents and links of pages carry their content, hidden and whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Cx, DocumentEntry, DocumentRequest, Person, SourcePatientInfo, codes
from gateway.security.document_urls import DocumentKey, DocumentTokens, NotOurs, PageKey, PageTokens
from gateway.security.sealing import KeyRing

RING = KeyRing([bytes(range(32))])
text = st.text(max_size=40)
uuids = st.uuids().map(lambda u: f"urn:uuid:{u}")
hashes = st.binary(min_size=20, max_size=20).map(bytes.hex)
document_keys = st.builds(
    DocumentKey,
    document_unique_id=text,
    entry_uuid=uuids | text,
    repository_unique_id=st.none() | text,
    home_community_id=st.none() | text,
    mime_type=text,
    size=st.none() | st.integers(0, 1 << 60),
    hash=st.none() | hashes | text,
    on_demand=st.booleans(),
)
page_keys = st.builds(
    PageKey,
    parameters=st.lists(st.tuples(text, text), max_size=6).map(tuple),
    offset=st.integers(0, 1 << 40),
    count=st.integers(0, 1000),
    snapshot=st.none() | text,
    anchor=st.none() | text,
)
ENTRY = DocumentEntry(
    entry_uuid="urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1",
    unique_id="2.25.329800735698586629295641978511506172918",
    repository_unique_id="2.999.10.1",
    home_community_id="urn:oid:2.999.9",
    mime_type="application/pdf",
    size=1234,
    hash="da39a3ee5e6b4b0d3255bfef95601890afd80709",
    patient_id=Cx("P-4711", "2.999.1"),
    source_patient_info=SourcePatientInfo(names=(Person(family="Musterfrau"),)),
    title="Report of Musterfrau",
)


@given(document_keys)
def test_a_document_token_names_its_document(key):
    tokens = DocumentTokens(RING)
    token = tokens.write(key)
    assert tokens.read(token) == key
    assert DocumentTokens(RING).write(key) == token


@given(page_keys)
def test_a_page_token_names_its_page(key):
    assert PageTokens(RING, "List").read(PageTokens(RING, "List").write(key)) == key


def test_the_key_of_an_entry_is_what_a_retrieve_asks_for():
    key = DocumentTokens(RING).read(DocumentTokens(RING).write(DocumentKey.of(ENTRY)))
    assert key.request == DocumentRequest("2.999.10.1", ENTRY.unique_id, "urn:oid:2.999.9")
    assert (key.entry_uuid, key.mime_type, key.size, key.hash) == (
        ENTRY.entry_uuid,
        ENTRY.mime_type,
        ENTRY.size,
        ENTRY.hash,
    )
    assert not key.on_demand


def test_an_on_demand_entry_is_known_as_such():
    entry = DocumentEntry(
        entry_uuid=ENTRY.entry_uuid, unique_id="2.999.5", object_type=codes.ON_DEMAND_DOCUMENT
    )
    key = DocumentKey.of(entry)
    assert key.on_demand
    assert key.request is None


def test_a_url_stays_short():
    assert len(DocumentTokens(RING).write(DocumentKey.of(ENTRY))) < 240


def test_documents_and_pages_are_not_exchangeable():
    with pytest.raises(NotOurs):
        PageTokens(RING, "List").read(DocumentTokens(RING).write(DocumentKey.of(ENTRY)))
    page = PageKey(parameters=(("patient.identifier", "urn:oid:2.999.1|P-4711"),), offset=10, count=10)
    with pytest.raises(NotOurs):
        DocumentTokens(RING).read(PageTokens(RING, "List").write(page))
    with pytest.raises(NotOurs):
        PageTokens(RING, "DocumentReference").read(PageTokens(RING, "List").write(page))
