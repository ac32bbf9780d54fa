"""Retrieve requests and answers, and the response that every submission gets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ebxml.errors import MetadataError
from gateway.ebxml.names import REGISTRY_RESPONSE, RETRIEVE_REQUEST, RETRIEVE_RESPONSE
from gateway.ebxml.responses import read_registry_response, write_registry_response
from gateway.ebxml.retrieve import (
    RetrieveAnswer,
    RetrievedDocument,
    XopHref,
    read_retrieve_request,
    read_retrieve_response,
    write_retrieve_request,
    write_retrieve_response,
)
from gateway.model import (
    DocumentHeader,
    DocumentRequest,
    RegistryError,
    RegistryResponse,
    ResponseStatus,
    Severity,
)
from tests.ebxml import strategies
from tests.ebxml.wire import over_the_wire, parse

FEW = settings(max_examples=60, deadline=None)

contents = st.one_of(
    st.binary(max_size=60), st.from_regex(r"cid:[a-z0-9.%]{1,20}@[a-z]{1,9}", fullmatch=True).map(XopHref)
)
answers = st.builds(
    RetrieveAnswer,
    st.sampled_from(ResponseStatus),
    strategies.several(strategies.registry_errors, 2),
    strategies.several(st.builds(RetrievedDocument, strategies.document_headers, contents), 3),
)
DOCUMENT = (
    "<xds:DocumentResponse>{home}<xds:RepositoryUniqueId>{repository}</xds:RepositoryUniqueId>"
    "<xds:DocumentUniqueId>1.3</xds:DocumentUniqueId><xds:mimeType>text/plain</xds:mimeType>"
    "<xds:Document>{content}</xds:Document></xds:DocumentResponse>"
)


def answer(home: str = "", repository: str = "1.2", content: str = ""):
    document = DOCUMENT.format(home=home, repository=repository, content=content)
    return parse(
        f'<xds:RetrieveDocumentSetResponse><rs:RegistryResponse status="Success"/>{document}'
        "</xds:RetrieveDocumentSetResponse>"
    )


@FEW
@given(strategies.several(strategies.document_requests, 4, min_size=1))
def test_a_request_survives(requests):
    assert read_retrieve_request(over_the_wire(write_retrieve_request(requests))) == requests


@FEW
@given(answers)
def test_an_answer_survives(retrieved):
    read = read_retrieve_response(over_the_wire(write_retrieve_response(retrieved)))
    assert read == retrieved
    assert [type(d.content) for d in read.documents] == [type(d.content) for d in retrieved.documents]


@settings(max_examples=30, deadline=None)
@given(strategies.several(strategies.document_requests, 4, min_size=1), answers)
def test_requests_and_answers_are_valid(assert_valid, requests, retrieved):
    assert_valid(write_retrieve_request(requests))
    inline = tuple(d for d in retrieved.documents if isinstance(d.content, bytes))
    assert_valid(write_retrieve_response(RetrieveAnswer(retrieved.status, retrieved.errors, inline)))


@FEW
@given(
    st.builds(
        RegistryResponse, st.sampled_from(ResponseStatus), strategies.several(strategies.registry_errors)
    )
)
def test_a_registry_response_survives(response):
    assert read_registry_response(over_the_wire(write_registry_response(response))) == response


def test_a_registry_response_is_valid_and_names_its_highest_severity(assert_valid):
    warning = RegistryError("W", "c", Severity.WARNING)
    for errors, highest in (((warning,), "Warning"), ((warning, RegistryError("E")), "Error")):
        element = write_registry_response(RegistryResponse(ResponseStatus.SUCCESS, errors))
        assert_valid(element)
        assert element[0].get("highestSeverity").endswith(highest)


def test_empty_home_community_id_is_none():
    read = read_retrieve_response(answer("<xds:HomeCommunityId/>"))
    assert read.documents[0].header.home_community_id is None


def test_repository_unique_id_with_urn_prefix_is_bare():
    read = read_retrieve_response(answer(repository="urn:oid:1.2"))
    assert read.documents[0].header.repository_unique_id == "1.2"


def test_document_of_no_bytes():
    assert read_retrieve_response(answer()).documents[0].content == b""


def test_blanks_around_inline_content():
    assert read_retrieve_response(answer(content=" DQph\n DQo=\n ")).documents[0].content == b"\r\na\r\n"


def test_blanks_around_an_include():
    include = '\n <xop:Include href="cid:a%40b"/>\n '
    content = read_retrieve_response(answer(content=include)).documents[0].content
    assert isinstance(content, XopHref)
    assert content == "cid:a%40b"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('<xop:Include href="http://inside/"/>', "cid:"),
        ("<xop:Include/>", "cid:"),
        ("###", "base64"),
        ("QQ", "base64"),
    ],
)
def test_content_that_is_refused(content, fault):
    with pytest.raises(MetadataError, match=fault):
        read_retrieve_response(answer(content=content))


def test_a_bare_registry_response_is_a_failure():
    failure = parse(
        '<rs:RegistryResponse status="urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure"/>'
    )
    assert read_retrieve_response(failure) == RetrieveAnswer(ResponseStatus.FAILURE)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<xds:RetrieveDocumentSetRequest/>", "no DocumentRequest"),
        ("<xds:RetrieveDocumentSetResponse/>", "not a RetrieveDocumentSetRequest"),
        (
            "<xds:RetrieveDocumentSetRequest><xds:DocumentRequest/></xds:RetrieveDocumentSetRequest>",
            "DocumentRequest has no RepositoryUniqueId",
        ),
    ],
)
def test_requests_that_are_refused(text, fault):
    with pytest.raises(MetadataError, match=fault):
        read_retrieve_request(parse(text))


def test_answers_that_are_refused():
    with pytest.raises(MetadataError, match="not a RetrieveDocumentSetResponse"):
        read_retrieve_response(parse("<xds:RetrieveDocumentSetRequest/>"))
    with pytest.raises(MetadataError, match="has no Document"):
        read_retrieve_response(
            parse(
                "<xds:RetrieveDocumentSetResponse><xds:DocumentResponse/></xds:RetrieveDocumentSetResponse>"
            )
        )
    with pytest.raises(MetadataError, match="not a RegistryResponse"):
        read_registry_response(parse("<query:AdhocQueryResponse/>"))


def test_messages_of_others(oracle_message):
    requests = read_retrieve_request(oracle_message("soap-ret-req.xml", RETRIEVE_REQUEST))
    assert requests == tuple(DocumentRequest("1.3.6.1.4...1000", f"1.3.6.1.4...230{n}") for n in (0, 1))
    read = read_retrieve_response(oracle_message("soap-xret-resp.xml", RETRIEVE_RESPONSE))
    assert [document.header for document in read.documents] == [
        DocumentHeader("1.3.6.1.4.1000", "1.3.6.1.4.2300", "text/xml", "urn:oid:1.2.3")
    ] * 2
    response = read_registry_response(oracle_message("regresp-suc-err.xml", REGISTRY_RESPONSE))
    assert [error.code for error in response.errors] == ["XDSUnknownPatientId"]


def test_an_id_over_256_characters_is_an_error():
    with pytest.raises(MetadataError, match="DocumentUniqueId has 257"):
        write_retrieve_request([DocumentRequest("1.2", "x" * 257)])
