"""Whatever a peer sends, readers answer with a value or with their own error, never with another exception."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.ebxml.errors import MetadataError, StoredQueryError
from gateway.ebxml.imaging_retrieve import read_imaging_request, write_imaging_request
from gateway.ebxml.query_response import read_query_response, write_query_response
from gateway.ebxml.retrieve import (
    RetrieveAnswer,
    RetrievedDocument,
    read_retrieve_response,
    write_retrieve_response,
)
from gateway.ebxml.stored_queries import read_query, write_query
from gateway.ebxml.submissions import read_provide_and_register, write_provide_and_register
from gateway.model import DocumentHeader, ImageRequest, ImageSetRequest, QueryResult, ResponseStatus
from tests.ebxml.test_golden import ANSWER, ENTRY, QUERY, SUBMISSION

JUNK = st.sampled_from(("", " ", "^^^", "&&", "|", "(", "'", "\\", "~", "urn:uuid:", "x" * 300, "\n", "∞"))
_ANSWER = QueryResult(
    status=ANSWER.status,
    errors=ANSWER.errors,
    entries=(ENTRY,),
    submission_sets=(SUBMISSION.submission_set,),
    folders=SUBMISSION.folders,
    associations=SUBMISSION.associations,
)
_RETRIEVED = RetrieveAnswer(
    ResponseStatus.SUCCESS, (), (RetrievedDocument(DocumentHeader("1.2", "1.3", "text/plain"), b"abc"),)
)
_IMAGES = ImageSetRequest(
    tuple(ImageRequest("1.2", "1.3", series, "1.5") for series in ("1.4", "1.6")), ("1.2.840.10008.1.2",)
)
MESSAGES = {
    "answer": (write_query_response(_ANSWER), read_query_response),
    "query": (write_query(QUERY), read_query),
    "submission": (write_provide_and_register(SUBMISSION, {"Document01": "1@x"}), read_provide_and_register),
    "retrieve": (write_retrieve_response(_RETRIEVED), read_retrieve_response),
    "images": (write_imaging_request(_IMAGES), read_imaging_request),
}


@st.composite
def damaged(draw, element):
    """The message with one to four elements removed, doubled, emptied, renamed or filled with junk."""
    copy = etree.fromstring(etree.tostring(element))
    for _ in range(draw(st.integers(1, 4))):
        nodes = list(copy.iter("*"))[1:]
        if not nodes:
            break
        node = nodes[draw(st.integers(0, len(nodes) - 1))]
        match draw(
            st.sampled_from(("remove", "double", "empty", "rename", "text", "attribute", "lose", "comment"))
        ):
            case "remove":
                node.getparent().remove(node)
            case "double":
                node.addnext(etree.fromstring(etree.tostring(node, with_tail=False)))
            case "empty":
                del node[:]
            case "rename":
                node.tag = nodes[draw(st.integers(0, len(nodes) - 1))].tag
            case "text":
                node.text = draw(JUNK)
            case "attribute" if node.attrib:
                node.set(draw(st.sampled_from(sorted(node.attrib))), draw(JUNK))
            case "lose" if node.attrib:
                del node.attrib[draw(st.sampled_from(sorted(node.attrib)))]
            case "comment":
                node.insert(0, etree.Comment("c"))
    return copy


@pytest.mark.parametrize("kind", MESSAGES)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_readers_raise_their_own_errors_only(kind, data):
    written, read = MESSAGES[kind]
    message = data.draw(damaged(written))
    try:
        read(message)
    except (MetadataError, StoredQueryError) as error:
        assert error.code.startswith("XDS")
        assert "10001" not in error.context
