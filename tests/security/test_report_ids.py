"""Ids of report resources: the same each time, of FHIR's length, and back to their document."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.security.packing import FHIR_ID_LENGTH
from gateway.security.report_ids import NotOurs, ReportIds
from gateway.security.sealing import KeyRing

IDS = ReportIds(KeyRing.parse(["00" * 32]))
OTHER = ReportIds(KeyRing.parse(["11" * 32]))


@given(st.uuids(), st.text(), st.text())
def test_an_id_leads_to_its_document_on_every_replica(document, kind, name):
    written = IDS.write(document.urn, kind, name)
    assert written is not None
    assert len(written) <= FHIR_ID_LENGTH
    assert written == ReportIds(KeyRing.parse(["00" * 32])).write(document.urn, kind, name)
    assert IDS.read(written) == document.urn


def test_entries_of_a_document_have_ids_of_their_own():
    document = uuid.uuid4().urn
    names = [("Observation", "a"), ("Observation", "b"), ("Procedure", "a"), ("Observationa", "")]
    assert len({IDS.write(document, *name) for name in names}) == len(names)
    assert str(uuid.UUID(document)) not in str(IDS.write(document, "Observation", "a"))


@given(st.uuids(), st.integers(0, 63), st.sampled_from("ABCabc019-."))
def test_an_altered_id_is_none_of_ours(document, place, letter):
    written = IDS.write(document.urn, "Observation", "a")
    place %= len(written)
    altered = written[:place] + letter + written[place + 1 :]
    if altered == written:
        return
    with pytest.raises(NotOurs):
        IDS.read(altered)


@pytest.mark.parametrize("fhir_id", ["", "x", "é", "A" * 64, "7edca82f-054d-47f2-a032-9b2a5b5186c1"])
def test_what_was_never_written_is_none_of_ours(fhir_id):
    with pytest.raises(NotOurs):
        IDS.read(fhir_id)


def test_an_id_of_other_keys_is_none_of_ours():
    with pytest.raises(NotOurs):
        IDS.read(OTHER.write(uuid.uuid4().urn, "Observation", "a"))


def test_a_document_that_no_uuid_names_has_no_id():
    assert IDS.write("urn:oid:2.999.1", "Observation", "a") is None
