"""Requests to delete metadata and to remove documents: what is named survives, what is odd has its code."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.ebxml.errors import MetadataError
from gateway.ebxml.removal import (
    read_remove_documents,
    read_remove_objects,
    write_remove_documents,
    write_remove_objects,
)
from gateway.model import DocumentRequest
from gateway.model.codes import NS_LCM, NS_RIM
from gateway.soap.contract import load_contract
from tests.ebxml import strategies
from tests.ebxml.wire import over_the_wire

FEW = settings(max_examples=40, deadline=None)
_requests = st.builds(
    DocumentRequest, strategies.oids, strategies.unique_ids, strategies.maybe(strategies.homes)
)


@FEW
@given(st.lists(strategies.uuids, min_size=1, max_size=20))
def test_objects_to_delete_survive(assert_valid, entry_uuids):
    element = write_remove_objects(entry_uuids)
    assert_valid(element)
    assert read_remove_objects(over_the_wire(element)) == tuple(entry_uuids)


@FEW
@given(st.lists(_requests, min_size=1, max_size=20))
def test_documents_to_remove_survive(requests):
    element = write_remove_documents(requests)
    load_contract().validate(element)
    assert read_remove_documents(over_the_wire(element)) == tuple(requests)


def test_a_uuid_is_read_in_lower_case():
    (read,) = read_remove_objects(write_remove_objects(["urn:uuid:ABCDEF00-0000-4000-8000-000000000000"]))
    assert read == "urn:uuid:abcdef00-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        ("", "names no object"),
        ("<r:ObjectRefList/>", "names no object"),
        ('<r:AdhocQuery id="urn:x"/>', "not by AdhocQuery"),
    ],
)
def test_a_request_that_names_no_object_by_id_is_refused(content, finding):
    element = etree.fromstring(
        f'<RemoveObjectsRequest xmlns="{NS_LCM}" xmlns:r="{NS_RIM}">{content}</RemoveObjectsRequest>'
    )
    with pytest.raises(MetadataError, match=finding) as caught:
        read_remove_objects(element)
    assert caught.value.code == "XDSInvalidRequestException"


def test_other_requests_are_told_apart():
    with pytest.raises(MetadataError, match="not a RemoveObjectsRequest"):
        read_remove_objects(write_remove_documents([]))
    with pytest.raises(MetadataError, match="not a RemoveDocumentsRequest"):
        read_remove_documents(write_remove_objects([]))
    with pytest.raises(MetadataError, match="RemoveDocumentsRequest has no DocumentRequest"):
        read_remove_documents(write_remove_documents([]))
