"""A document source and consumer of the tests, over the real SOAP client."""

from contextlib import asynccontextmanager

from aiohttp import web

from gateway.affinity.app import create_app
from gateway.affinity.options import AffinityOptions
from gateway.ebxml.metadata_update import MetadataUpdate, submission_of
from gateway.ebxml.query_response import read_query_response
from gateway.ebxml.removal import write_remove_documents, write_remove_objects
from gateway.ebxml.responses import read_registry_response
from gateway.ebxml.retrieve import XopHref, read_retrieve_response, write_retrieve_request
from gateway.ebxml.stored_queries import write_query
from gateway.ebxml.submissions import write_provide_and_register, write_submit_objects
from gateway.model import DocumentRequest
from gateway.soap.client import Attachment, Peer, SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.mtom import cid_of_href
from tests.affinity.samples import REPOSITORY


class Client:
    """A document source and consumer."""

    def __init__(self, soap: SoapClient, base: str) -> None:
        self.soap = soap
        self.base = base
        self.registry = Peer(name="registry", url=f"{base}/xds/registry")
        self.repository = Peer(name="repository", url=f"{base}/xds/repository")

    async def query(self, query, return_type="LeafClass"):
        return read_query_response(
            await self.soap.call(self.registry, "ITI-18", write_query(query, return_type))
        )

    async def register(self, wanted):
        return read_registry_response(
            await self.soap.call(self.registry, "ITI-42", write_submit_objects(wanted))
        )

    async def update(self, wanted):
        """A metadata update, or any submission in its place."""
        submission = submission_of(wanted) if isinstance(wanted, MetadataUpdate) else wanted
        return await self._change(self.registry, "ITI-57", write_submit_objects(submission))

    async def register_on_demand(self, wanted):
        return await self._change(self.registry, "ITI-61", write_submit_objects(wanted))

    async def delete(self, *entry_uuids):
        return await self._change(self.registry, "ITI-62", write_remove_objects(entry_uuids))

    async def remove(self, *unique_ids, repository=REPOSITORY, home=None):
        requests = [DocumentRequest(repository, u, home) for u in unique_ids]
        return await self._change(self.repository, "ITI-86", write_remove_documents(requests))

    async def _change(self, peer, transaction, body):
        return read_registry_response(await self.soap.call(peer, transaction, body))

    async def provide(self, wanted, *contents):
        ids = {e.entry_uuid: f"{number}@source" for number, e in enumerate(wanted.entries)}
        attachments = [
            Attachment(content_id=name, content_type=e.mime_type, size=len(content), source=content)
            for (name, e, content) in zip(ids.values(), wanted.entries, contents, strict=True)
        ]
        body = write_provide_and_register(wanted, ids)
        return read_registry_response(
            await self.soap.call(self.repository, "ITI-41", body, attachments=attachments)
        )

    async def retrieve(self, *unique_ids, repository=REPOSITORY, home=None):
        body = write_retrieve_request([DocumentRequest(repository, u, home) for u in unique_ids])
        async with self.soap.open(self.repository, "ITI-43", body) as reply:
            answer = read_retrieve_response(reply.body)
            parts = {}
            async for part in reply.parts():
                parts[part.content_id] = b"".join([chunk async for chunk in part])
        contents = {
            d.header.document_unique_id: parts[cid_of_href(d.content)]
            if isinstance(d.content, XopHref)
            else d.content
            for d in answer.documents
        }
        return answer, contents


@asynccontextmanager
async def running(options: AffinityOptions):
    runner = web.AppRunner(create_app(options))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with SoapClient(load_contract()) as soap:
            yield Client(soap, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()
