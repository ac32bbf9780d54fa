"""What a repository returns is compared with the metadata before its end is passed on."""

import hashlib
from contextlib import asynccontextmanager

import pytest

from gateway.clients.community import DocumentPlaces
from gateway.clients.repository import RetrievedDocument
from gateway.mhd.retrieve import AlteredDocument, Conditions, RetrievePolicy, Retriever
from gateway.model import DocumentHeader
from gateway.model.codes import EMPTY_SHA1
from gateway.security.document_urls import DocumentKey, DocumentTokens
from gateway.security.sealing import KeyRing

CONTENT = [b"first", b"second", b"last"]
WHOLE = b"".join(CONTENT)
SIZE, SHA1 = len(WHOLE), hashlib.sha1(WHOLE).hexdigest()
TOKENS = DocumentTokens(KeyRing([bytes(32)]))


class Repository:
    """Returns the chunks that it is given."""

    name = "repository 2.999.10"

    def __init__(self, chunks, mime_type="text/plain"):
        self.chunks, self.mime_type = chunks, mime_type

    @asynccontextmanager
    async def retrieve(self, request):
        async def each():
            for chunk in self.chunks:
                yield chunk

        header = DocumentHeader(request.repository_unique_id, request.document_unique_id, self.mime_type)
        yield RetrievedDocument(header, each())


async def received(chunks, *, size=SIZE, sha1=SHA1, up_to=100, **changes):
    key = DocumentKey(
        document_unique_id="2.999.1",
        entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000001",
        repository_unique_id="2.999.10",
        **{"mime_type": "text/plain", "size": size, "hash": sha1, **changes},
    )
    retriever = Retriever(
        None,
        DocumentPlaces({"2.999.10": Repository(chunks)}),
        tokens=TOKENS,
        lookup=None,
        policy=RetrievePolicy(verify_sha1_up_to=up_to),
    )
    got = []
    async with retriever.retrieve(TOKENS.write(key), Conditions()) as found:
        try:
            async for chunk in found.chunks:
                got.append(chunk)
        except AlteredDocument:
            return found, b"".join(got), True
    return found, b"".join(got), False


async def test_an_unaltered_document_is_passed_on_whole():
    found, got, altered = await received(CONTENT)
    assert (found.status, found.size, got, altered) == (200, len(WHOLE), WHOLE, False)


@pytest.mark.parametrize(
    "chunks",
    [
        [b"first", b"second", b"lasT"],
        [b"first", b"second"],
        [*CONTENT, b"more"],
        [b"Xirst", b"second", b"last"],
    ],
    ids=["last byte", "shorter", "longer", "first byte"],
)
async def test_the_end_of_an_altered_document_is_held_back(chunks):
    _, got, altered = await received(chunks)
    assert altered
    assert len(got) < len(WHOLE)


async def test_a_small_altered_document_is_refused_before_anything_is_sent():
    with pytest.raises(AlteredDocument):
        await received([b"other"], size=5, sha1=hashlib.sha1(b"equal").hexdigest())


async def test_above_the_limit_only_the_size_is_checked():
    same_size = [b"first", b"second", b"lasT"]
    assert (await received(same_size, up_to=len(WHOLE) - 1))[2] is False
    assert (await received([*CONTENT, b"!"], up_to=len(WHOLE) - 1))[2] is True


async def test_a_document_that_is_assembled_when_asked_for_has_neither_size_nor_hash():
    found, got, altered = await received(CONTENT, size=0, sha1=EMPTY_SHA1)
    assert (found.size, found.etag, got, altered) == (None, None, WHOLE, False)


async def test_without_size_and_hash_everything_is_passed_on():
    found, got, altered = await received(CONTENT, size=None, sha1=None)
    assert (found.size, got, altered) == (None, WHOLE, False)


async def test_the_type_of_the_metadata_comes_before_that_of_the_answer():
    assert (await received(CONTENT, mime_type="application/pdf"))[0].media_type == "application/pdf"
    assert (await received(CONTENT, mime_type=""))[0].media_type == "text/plain"
