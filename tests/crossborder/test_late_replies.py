"""Answers that other communities want on a connection of their own (WS-Addressing, asynchronous exchange)."""

import asyncio
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from lxml import etree

from gateway.ebxml.query_response import read_query_response
from gateway.ebxml.retrieve import read_retrieve_response, write_retrieve_request
from gateway.ebxml.stored_queries import write_query
from gateway.model import DocumentRequest, ResponseStatus
from gateway.model.query import FindDocuments
from gateway.soap.contract import load_contract
from gateway.soap.envelope import read_envelope, write_envelope
from gateway.soap.late_replies import LateReplies
from gateway.soap.mtom import MessageLimits, read_message
from gateway.soap.outgoing import mtom_message, simple_message
from gateway.soap.via import via_block
from tests.crossborder.test_responding_gateway import HOME, publish
from tests.system.documents import a_document
from tests.system.stack import REPOSITORY, running_stack, site

MESSAGE_ID = "urn:uuid:00000000-0000-4000-8000-0000000000aa"


class Mailbox:
    """Where another community takes answers."""

    def __init__(self, statuses=()):
        self.statuses = list(statuses)
        self.posts = asyncio.Queue()
        self.url = ""

    async def take(self, request):
        status = self.statuses.pop(0) if self.statuses else 202
        await self.posts.put((request.headers["Content-Type"], await request.read()))
        return web.Response(status=status)

    async def next(self):
        return await asyncio.wait_for(self.posts.get(), 30)


@asynccontextmanager
async def exchange(tmp_path, *, listed=True, **box):
    """A responding gateway, and a mailbox that it may answer to, or not."""
    mailbox = Mailbox(**box)
    app = web.Application()
    app.router.add_post("/answers", mailbox.take)
    async with site(app) as url:
        mailbox.url = f"{url}/answers"
        hosts = [urlsplit(url).netloc] if listed else []
        settings = {"enabled": True, "reply_to_hosts": hosts}
        async with running_stack(tmp_path, home_community_id=HOME, responding_gateway=settings) as stack:
            yield stack, mailbox


async def send(stack, mailbox, body, transaction, write=simple_message, **headers):
    """Status and bytes of what comes at once."""
    action = load_contract()[transaction].action
    envelope = write_envelope(body, action=action, message_id=MESSAGE_ID, reply_to=mailbox.url, **headers)
    message = write(envelope, action)
    url = stack.base_url.removesuffix("/fhir") + "/xca/gateway"
    posted = {"data": message.start, "headers": {"Content-Type": message.content_type}}
    async with aiohttp.ClientSession() as session, session.post(url, **posted) as answer:
        return answer.status, await answer.read()


async def test_a_query_is_accepted_and_its_answer_posted(tmp_path):
    async with exchange(tmp_path) as (stack, mailbox):
        patient = await publish(stack, a_document())
        assert await send(stack, mailbox, write_query(FindDocuments(patient_id=patient)), "ITI-38") == (
            202,
            b"",
        )
        content_type, body = await mailbox.next()
    assert content_type.startswith("application/soap+xml")
    envelope = read_envelope(etree.fromstring(body))
    assert envelope.relates_to == (MESSAGE_ID,)
    assert (envelope.to, envelope.action) == (mailbox.url, load_contract()["ITI-38"].response_action)
    found = read_query_response(envelope.body)
    assert [entry.home_community_id for entry in found.entries] == [HOME]


async def test_documents_are_posted_byte_for_byte_in_the_packaging_of_the_request(tmp_path):
    document = a_document()
    async with exchange(tmp_path) as (stack, mailbox):
        await publish(stack, document)
        wanted = write_retrieve_request([DocumentRequest(REPOSITORY, document.unique_id, HOME)])
        assert await send(stack, mailbox, wanted, "ITI-39", mtom_message) == (202, b"")
        content_type, body = await mailbox.next()

    async def chunks():
        yield body

    message = await read_message(content_type, chunks(), huge=False, limits=MessageLimits())
    answer = read_retrieve_response(read_envelope(message.root).body)
    contents = [b"".join([chunk async for chunk in part]) async for part in message.parts()]
    assert (answer.status, contents) == (ResponseStatus.SUCCESS, [document.content])


async def test_a_fault_is_posted_too(tmp_path):
    async with exchange(tmp_path) as (stack, mailbox):
        patient = await publish(stack, a_document())
        query = write_query(FindDocuments(patient_id=patient))
        came_back = {"header_blocks": via_block((HOME,))}
        assert (await send(stack, mailbox, query, "ITI-38", **came_back))[0] == 202
        _, body = await mailbox.next()
    envelope = read_envelope(etree.fromstring(body))
    assert (envelope.fault.code, envelope.relates_to, envelope.to) == ("Sender", (MESSAGE_ID,), mailbox.url)


async def test_an_answer_that_does_not_get_there_is_sent_again(tmp_path):
    async with exchange(tmp_path, statuses=(503, 202)) as (stack, mailbox):
        patient = await publish(stack, a_document())
        await send(stack, mailbox, write_query(FindDocuments(patient_id=patient)), "ITI-38")
        first, second = await mailbox.next(), await mailbox.next()
    assert first == second


async def test_an_address_that_is_not_listed_is_not_called(tmp_path):
    async with exchange(tmp_path, listed=False) as (stack, mailbox):
        patient = await publish(stack, a_document())
        status, body = await send(stack, mailbox, write_query(FindDocuments(patient_id=patient)), "ITI-38")
        assert mailbox.posts.empty()
    assert status == 400
    assert read_envelope(etree.fromstring(body)).fault.subcodes[-1].endswith("OnlyAnonymousAddressSupported")


@pytest.mark.parametrize("address", ["http://www.w3.org/2005/08/addressing/none", "file:///etc/passwd", "x"])
async def test_what_is_no_address_is_refused(tmp_path, address):
    async with exchange(tmp_path) as (stack, mailbox):
        patient = await publish(stack, a_document())
        mailbox.url = address
        status, _ = await send(stack, mailbox, write_query(FindDocuments(patient_id=patient)), "ITI-38")
    assert status == 400


async def test_answers_that_wait_are_bounded_and_ended_at_the_stop():
    late = LateReplies(lambda url: True, most=1)
    late.check_room()
    late.start(asyncio.sleep(600))
    with pytest.raises(Exception, match="too many requests"):
        late.check_room()
    await late.finish(0)
    late.check_room()
