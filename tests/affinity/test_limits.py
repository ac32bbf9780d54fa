"""Large documents, many sources at once, and a disk that is full."""

import asyncio
import hashlib
import sys

import pytest

from gateway.ebxml.responses import read_registry_response
from gateway.ebxml.retrieve import write_retrieve_request
from gateway.ebxml.submissions import write_provide_and_register
from gateway.model import DocumentRequest, ResponseStatus
from gateway.model.errors import PeerFault
from gateway.model.query import FindDocuments, GetDocuments
from gateway.soap.client import Attachment, SoapClient
from gateway.soap.contract import load_contract
from tests.affinity.client import Client
from tests.affinity.process import peak_memory, server
from tests.affinity.samples import PATIENT, REPOSITORY, entry, sha1, submission

BLOCK = bytes(range(256)) * 4096
MIB = 1024 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
async def test_a_document_of_200_mib_takes_no_memory_of_its_size(tmp_path):
    count = 200 * MIB // len(BLOCK)

    async def blocks():
        for _ in range(count):
            yield BLOCK

    digest = hashlib.sha1(BLOCK * count).hexdigest()
    sent = entry(hash=digest, size=len(BLOCK) * count, mime_type="application/dicom")
    async with SoapClient(load_contract()) as soap:
        with server(tmp_path) as (process, base):
            client = Client(soap, base)
            small = entry(hash=sha1(b"x"), size=1)
            await client.provide(submission(small), b"x")
            await client.retrieve(small.unique_id)
            before = peak_memory(process)
            body = write_provide_and_register(submission(sent), {sent.entry_uuid: "big@s"})
            attachment = Attachment("big@s", sent.mime_type, sent.size, blocks)
            answer = await soap.call(client.repository, "ITI-41", body, attachments=[attachment])
            assert read_registry_response(answer).status is ResponseStatus.SUCCESS
            got = hashlib.sha1()
            request = write_retrieve_request([DocumentRequest(REPOSITORY, sent.unique_id)])
            async with soap.open(client.repository, "ITI-43", request) as reply:
                async for part in reply.parts():
                    async for chunk in part:
                        got.update(chunk)
            assert got.hexdigest() == digest
            assert peak_memory(process) - before < 40 * MIB


async def test_200_sources_at_once_are_all_stored(tmp_path):
    contents = [b"%d" % number * 2000 for number in range(200)]
    entries = [entry(hash=sha1(content), size=len(content)) for content in contents]
    async with SoapClient(load_contract()) as soap:
        with server(tmp_path) as (_, base):
            client = Client(soap, base)
            answers = await asyncio.gather(
                *(client.provide(submission(e), c) for e, c in zip(entries, contents, strict=True))
            )
            assert {a.status for a in answers} == {ResponseStatus.SUCCESS}
            _, got = await client.retrieve(*(e.unique_id for e in entries))
    assert got == {e.unique_id: c for e, c in zip(entries, contents, strict=True)}


async def test_a_full_disk_refuses_submissions_and_loses_none(tmp_path):
    limit = 600_000
    stored, refused = [], []
    async with SoapClient(load_contract()) as soap:
        with server(tmp_path, limit) as (_, base):
            client = Client(soap, base)
            large = b"x" * (limit + 100_000)
            with pytest.raises(PeerFault) as caught:
                await client.provide(submission(entry(hash=sha1(large), size=len(large))), large)
            assert caught.value.code == "Receiver"
            while len(refused) < 3:
                content = b"%d" % len(stored)
                each = entry(hash=sha1(content), size=len(content))
                answer = await client.provide(submission(each), content)
                if answer.status is ResponseStatus.SUCCESS:
                    stored.append((each, content))
                else:
                    assert [e.code for e in answer.errors] == ["XDSRepositoryError"]
                    refused.append(each)
            await check(client, stored, refused)
        with server(tmp_path) as (_, base):
            client = Client(soap, base)
            await check(client, stored, refused)
            content = b"room again"
            again = entry(hash=sha1(content), size=len(content))
            assert (await client.provide(submission(again), content)).status is ResponseStatus.SUCCESS


async def check(client, stored, refused):
    found = await client.query(FindDocuments(patient_id=PATIENT))
    assert {e.entry_uuid for e in found.entries} == {e.entry_uuid for e, _ in stored}
    absent = await client.query(GetDocuments(unique_ids=tuple(e.unique_id for e in refused)))
    assert absent.entries == ()
    _, contents = await client.retrieve(*(e.unique_id for e, _ in stored))
    assert contents == {e.unique_id: content for e, content in stored}
