"""Tokens of image URLs carry the manifest that grants the images, hidden and whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Cx
from gateway.security.document_urls import DocumentKey, DocumentTokens
from gateway.security.sealing import KeyRing
from gateway.security.study_urls import NotOurs, StudyKey, StudyTokens

RING = KeyRing([bytes(range(32))])
text = st.text(max_size=40)
keys = st.builds(
    StudyKey,
    study_instance_uid=text,
    repository_unique_id=text,
    document_unique_id=text,
    entry_uuid=text,
    patient_id=st.none() | st.builds(Cx, text, text),
    home_community_id=st.none() | text,
    mime_type=text,
)
KEY = StudyKey(
    study_instance_uid="2.999.5",
    repository_unique_id="2.999.10.1",
    document_unique_id="2.999.5.9",
    entry_uuid="urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1",
    patient_id=Cx("P-4711", "2.999.1"),
)


@given(keys)
def test_a_token_names_its_study(key):
    assert StudyTokens(RING).read(StudyTokens(RING).write(key)) == key


def test_a_token_shows_nothing_of_the_patient_and_fits_a_path():
    token = StudyTokens(RING).write(KEY)
    assert "4711" not in token
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_an_altered_token_or_one_of_another_purpose_opens_nothing():
    token = StudyTokens(RING).write(KEY)
    other = DocumentTokens(RING).write(DocumentKey(document_unique_id="2.999.7", entry_uuid="urn:uuid:1"))
    for wrong in (
        token[:-1],
        token + "A",
        token[:20] + "A" + token[21:] if token[20] != "A" else "x",
        other,
        "",
    ):
        with pytest.raises(NotOurs):
            StudyTokens(RING).read(wrong)
