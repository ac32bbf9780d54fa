"""Defects of other gateways in ITI-68 -> ITI-43 and in errors: one test each that shows this one without it."""

import hashlib

import pytest

from gateway.demo.bundles import provide_bundle
from gateway.ebxml.retrieve import RetrieveAnswer, RetrievedDocument, write_retrieve_response
from gateway.fhir.error_table import TABLE
from gateway.model import DocumentHeader, RegistryError, ResponseStatus
from tests.system import wire_failures as wire
from tests.system.documents import a_document, a_patient
from tests.system.stack import REPOSITORY

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONTENT = b"\r\ncontent \0\xff\r\n"


@pytest.fixture
def stack(stack):
    yield stack
    stack.interfere = None


async def a_found_document(stack, content=CONTENT):
    patient, document = a_patient(), a_document(content=content)
    status, answer = await stack.publish(provide_bundle([document], patient=patient))
    assert status == 200, answer
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    return document, found


def answered(*documents, status=ResponseStatus.SUCCESS, errors=()):
    """An ITI-43 answer with these uniqueIds and contents."""
    return wire.at(
        wire.REPOSITORY,
        wire.soap(
            write_retrieve_response(
                RetrieveAnswer(
                    status,
                    errors,
                    tuple(
                        RetrievedDocument(DocumentHeader(REPOSITORY, unique_id, "text/plain"), content)
                        for unique_id, content in documents
                    ),
                )
            )
        ),
    )


async def test_the_document_is_found_among_others_of_the_answer(stack):
    document, found = await a_found_document(stack)
    stack.interfere = answered(("2.999.0.1", b"another"), (document.unique_id, CONTENT))
    assert (await stack.download(found))[::2] == (200, CONTENT)


async def test_no_document_is_an_error_and_never_an_empty_body(stack):
    _, found = await a_found_document(stack)
    for others in ((), (("2.999.0.1", b"another"),)):
        stack.interfere = answered(*others)
        status, headers, body = await stack.download(found)
        assert (status, headers["Content-Type"].partition(";")[0]) == (502, "application/fhir+json")
        assert b"OperationOutcome" in body


async def test_partial_success_with_the_document_is_the_document(stack):
    document, found = await a_found_document(stack)
    errors = (RegistryError("XDSDocumentUniqueIdError", "the other one", location="2.999.0.1"),)
    stack.interfere = answered((document.unique_id, CONTENT), status=ResponseStatus.PARTIAL, errors=errors)
    assert (await stack.download(found))[::2] == (200, CONTENT)


async def test_headers_say_what_the_document_is(stack):
    _, found = await a_found_document(stack)
    _, headers, _ = await stack.download(found)
    assert headers["Content-Type"] == "text/plain"
    assert headers["Content-Length"] == str(len(CONTENT))
    assert headers["ETag"] == f'"{hashlib.sha1(CONTENT).hexdigest()}"'
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_head_range_conditions_and_negotiation_are_answered(stack):
    _, found = await a_found_document(stack)
    etag = f'"{hashlib.sha1(CONTENT).hexdigest()}"'
    url = found["content"][0]["attachment"]["url"]
    async with stack.session.head(url) as answer:
        assert (answer.status, answer.content_length) == (200, len(CONTENT))
    assert (await stack.download(found, Range="bytes=2-8"))[::2] == (206, CONTENT[2:9])
    assert (await stack.download(found, **{"If-None-Match": etag}))[0] == 304
    assert (await stack.download(found, Accept="image/png"))[0] == 406


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("XDSDocumentUniqueIdError", 404),
        ("XDSUnknownRepositoryId", 404),
        ("XDSRepositoryBusy", 503),
        ("XDSRepositoryOutOfResources", 503),
        ("XDSRepositoryError", 502),
    ],
)
async def test_an_error_is_not_always_400(stack, code, status):
    _, found = await a_found_document(stack)
    stack.interfere = answered(status=ResponseStatus.FAILURE, errors=(RegistryError(code, "why"),))
    answered_with, headers, body = await stack.download(found)
    assert answered_with == status
    assert code.encode() in body
    assert ("Retry-After" in headers) == (status == 503)


async def test_one_table_gives_each_code_its_status_and_not_one_for_all():
    assert len({row.status for row in TABLE}) > 5
    assert len({row.issue for row in TABLE}) > 8
    assert len({row.code for row in TABLE}) > 40
