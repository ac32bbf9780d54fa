"""A JAX-WS peer made from our WSDLs as Responding Gateway that we ask, and as Initiating Gateway that asks ours
(ITI-38, ITI-39, RAD-75)."""

import hashlib
import random

import pytest

from gateway.clients.repository import DocumentRepository, OutgoingDocument
from gateway.clients.responding_gateway import CommunityPeers, RespondingGateway
from gateway.demo.bundles import provide_bundle
from gateway.model import Cx, DocumentRequest, RegistryFailure
from gateway.model.images import ImageError
from gateway.model.query import FindDocuments, GetDocuments
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from tests.affinity.samples import entry, submission
from tests.system.documents import a_document, a_patient
from tests.system.imaging import published_study
from tests.system.stack import running_stack

from .java_peer import REPOSITORY
from .test_java_imaging import series, source

pytestmark = pytest.mark.interop

HOME = "urn:oid:2.999.77"
CONTENTS = [b"\r\n", random.Random(1).randbytes(70_000) + b"\r\n", random.Random(2).randbytes(2_000_000)]


def community(soap, url, home=HOME):
    query, retrieve = Peer("java", f"{url}/xca/query"), Peer("java", f"{url}/xca/retrieve")
    peers = CommunityPeers(query, retrieve, Peer("java", f"{url}/xca-i/imaging"))
    return RespondingGateway(soap, load_contract(), peers, home)


async def test_its_documents_are_found_and_retrieved_byte_for_byte(java_url):
    patient = Cx("gateway", "2.999.1.1")
    entries = [entry(patient_id=patient, home_community_id=None) for _ in CONTENTS]
    documents = [
        OutgoingDocument(e.entry_uuid, e.mime_type, content)
        for e, content in zip(entries, CONTENTS, strict=True)
    ]
    async with SoapClient(load_contract()) as soap:
        repository = DocumentRepository(
            soap, load_contract(), Peer("java", f"{java_url}/xds/repository"), REPOSITORY
        )
        await repository.provide_and_register(submission(*entries, patient_id=patient), documents)
        java = community(soap, java_url)
        found = (await java.query(FindDocuments(patient_id=patient))).entries
        assert {e.home_community_id for e in found} == {HOME}
        requests = [DocumentRequest(REPOSITORY, e.unique_id) for e in found]
        contents = {}
        async for request, outcome in java.retrieve_many(requests, max_bytes=4_000_000):
            contents[request.document_unique_id] = outcome.content
        with pytest.raises(RegistryFailure) as nothing:
            async with java.retrieve(DocumentRequest(REPOSITORY, "2.999.404")):
                pass
        with pytest.raises(RegistryFailure) as other:
            await community(soap, java_url, "urn:oid:2.999.78").query(GetDocuments(unique_ids=("2.999.1",)))
    assert contents == {e.unique_id: content for e, content in zip(entries, CONTENTS, strict=True)}
    assert [e.code for e in nothing.value.errors] == ["XDSDocumentUniqueIdError"]
    assert [e.code for e in other.value.errors] == ["XDSUnknownCommunity"]


async def test_it_finds_and_retrieves_our_documents_byte_for_byte(peer, tmp_path):
    document = a_document()
    answering = {"home_community_id": HOME, "responding_gateway": {"enabled": True}}
    async with running_stack(tmp_path / "stack", **answering) as stack:
        status, answer = await stack.publish(provide_bundle([document], patient=a_patient()))
        assert status == 200, answer
        url = stack.base_url.removesuffix("/fhir") + "/xca/gateway"
        told = await peer.ask_gateway(tmp_path, url, HOME, document.unique_id)
    assert told == [HOME, HOME, hashlib.sha1(document.content).hexdigest()]


async def test_its_images_come_byte_for_byte_beside_what_is_said_of_the_others(java_url):
    async with source(java_url) as java:
        images = await java.store("2.999.22.75")
        wanted = [series([*images, "2.999.404"], "2.999.22.75")]
        found, errors = {}, []
        async with community(java.soap, java_url).images(wanted) as items:
            async for item in items:
                if isinstance(item, ImageError):
                    errors.append(item)
                else:
                    found[item.sop_instance_uid] = b"".join([chunk async for chunk in item.chunks])
        with pytest.raises(RegistryFailure) as other:
            async with community(java.soap, java_url, "urn:oid:2.999.78").images(wanted) as items:
                [item async for item in items]
    assert found == images
    assert [(e.sop_instance_uid, e.code) for e in errors] == [("2.999.404", "XDSDocumentUniqueIdError")]
    assert [e.code for e in other.value.errors] == ["XDSUnknownCommunity"]


async def test_it_retrieves_our_images_byte_for_byte(peer, tmp_path):
    answering = {"home_community_id": HOME, "responding_gateway": {"enabled": True}}
    async with published_study(tmp_path, "java by RAD-75", **answering) as published:
        study = published.study
        asked = [
            "/".join(
                (study.study_instance_uid, s.series_instance_uid, image.sop_instance_uid, s.location_uid)
            )
            for s in study.series
            for image in s.images
        ]
        study_uid, series_uid, _, location = asked[0].split("/")
        asked.append("/".join((study_uid, series_uid, "2.999.404", location)))
        url = published.stack.base_url.removesuffix("/fhir") + "/xca-i/imaging"
        told = await peer.ask_for_images(tmp_path, url, HOME, *asked)
    got = {uid: (home, sha1) for uid, home, sha1 in told if uid != "error"}
    assert got == {uid: (HOME, hashlib.sha1(data).hexdigest()) for uid, data in published.files.items()}
    assert [line for line in told if line[0] == "error"] == [["error", "XDSDocumentUniqueIdError", HOME]]
