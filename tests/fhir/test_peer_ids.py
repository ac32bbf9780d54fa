"""Ids of XDS for resources of other servers lead back to them."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fhir.datatypes import is_uuid_urn
from gateway.fhir.peer_ids import entry_uuid_of_id, id_of_entry_uuid, unique_id_of_uuid, uuid_of_unique_id

IDS = st.text("ABCXYZabcxyz0189-.", min_size=1, max_size=19)


@given(IDS)
def test_an_id_leads_to_an_entry_uuid_and_back(resource_id):
    urn = entry_uuid_of_id(resource_id)
    assert is_uuid_urn(urn)
    assert urn == urn.lower()
    assert id_of_entry_uuid(urn) == resource_id
    assert uuid.UUID(urn).version == 8


@given(IDS, IDS)
def test_two_ids_have_two_entry_uuids(one, other):
    assert (one == other) == (entry_uuid_of_id(one) == entry_uuid_of_id(other))


def test_a_uuid_is_its_own_entry_uuid_in_lower_case():
    assert entry_uuid_of_id("0F1E2D3C-0000-4000-8000-00000000ABCD") == (
        "urn:uuid:0f1e2d3c-0000-4000-8000-00000000abcd"
    )


@pytest.mark.parametrize("resource_id", ["a" * 20, "", "with blank", "ä"])
def test_what_is_too_long_or_no_id_has_none(resource_id):
    assert entry_uuid_of_id(resource_id) is None


@given(st.uuids(version=4))
def test_uuids_of_others_hold_no_id(other):
    assert id_of_entry_uuid(other.urn) is None


@given(st.uuids())
def test_a_unique_id_leads_to_its_entry_uuid(any_uuid):
    unique_id = unique_id_of_uuid(any_uuid.urn)
    assert len(unique_id) <= 64
    assert uuid_of_unique_id(unique_id) == any_uuid.urn


@pytest.mark.parametrize("unique_id", ["2.25.x", "2.25.", "2.999.1", f"2.25.{1 << 128}", "2.25.1^x"])
def test_other_unique_ids_lead_to_none(unique_id):
    assert uuid_of_unique_id(unique_id) is None
