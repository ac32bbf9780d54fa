"""One community asks another over sockets: our client of Responding Gateways, our Responding Gateway, and behind it
an affinity domain with documents and images (ITI-38, ITI-39, RAD-75)."""

from contextlib import asynccontextmanager

import pytest
from lxml import etree

from gateway.clients.responding_gateway import CommunityPeers, RespondingGateway
from gateway.demo.bundles import provide_bundle
from gateway.ebxml.imaging_retrieve import write_imaging_request
from gateway.ebxml.query_response import read_query_response
from gateway.ebxml.retrieve import read_retrieve_response, write_retrieve_request
from gateway.ebxml.stored_queries import write_query
from gateway.model import (
    AvailabilityStatus,
    Cx,
    DocumentRequest,
    ImageRequest,
    ImageSetRequest,
    RegistryFailure,
    ResponseStatus,
)
from gateway.model.errors import PeerFault, PeerUnsupported
from gateway.model.images import SeriesWanted
from gateway.model.imaging import RetrieveLocation
from gateway.model.query import FindDocuments, FindSubmissionSets, GetAll, GetDocuments
from gateway.model.transfer_syntaxes import ANY
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.via import via_block
from tests.system.documents import a_document, a_patient
from tests.system.imaging import published_study
from tests.system.stack import REPOSITORY, running_stack

HOME = "urn:oid:2.999.5"
OTHER = "urn:oid:2.999.6"
ANSWERING = {"home_community_id": HOME, "responding_gateway": {"enabled": True}}


class Asker:
    """Another community's initiating gateway."""

    def __init__(self, soap, base_url):
        base = base_url.removesuffix("/fhir")
        self.soap = soap
        self.gateway = Peer("community B", f"{base}/xca/gateway", max_attempts=1, via=(OTHER,))
        self.imaging = Peer("community B", f"{base}/xca-i/imaging", max_attempts=1, via=(OTHER,))
        self.client = RespondingGateway(
            soap, load_contract(), CommunityPeers(self.gateway, self.gateway, self.imaging), HOME
        )

    async def ask(self, query, return_type="LeafClass", **call):
        body = write_query(query, return_type)
        return read_query_response(await self.soap.call(self.gateway, "ITI-38", body, **call))

    async def retrieve(self, *requests):
        answer = await self.soap.call(self.gateway, "ITI-39", write_retrieve_request(requests))
        return read_retrieve_response(answer)


@asynccontextmanager
async def asker(tmp_path, **settings):
    async with (
        running_stack(tmp_path, **{**ANSWERING, **settings}) as stack,
        SoapClient(load_contract()) as soap,
    ):
        yield stack, Asker(soap, stack.base_url)


async def publish(stack, *documents):
    patient = a_patient()
    status, answer = await stack.publish(provide_bundle(documents, patient=patient))
    assert status == 200, answer
    return Cx(patient.id, patient.authority)


async def test_documents_of_another_community_are_found_and_retrieved_byte_for_byte(tmp_path):
    documents = [a_document(), a_document()]
    async with asker(tmp_path) as (stack, other):
        patient = await publish(stack, *documents)
        found = await other.client.query(FindDocuments(patient_id=patient))
        assert (found.status, found.errors) == (ResponseStatus.SUCCESS, ())
        assert {entry.home_community_id for entry in found.entries} == {HOME}
        requests = [
            DocumentRequest(e.repository_unique_id, e.unique_id, e.home_community_id) for e in found.entries
        ]
        contents = {}
        async for request, outcome in other.client.retrieve_many(requests, max_bytes=1 << 20):
            assert outcome.header.home_community_id == HOME
            contents[request.document_unique_id] = outcome.content
        async with other.client.retrieve(requests[0]) as streamed:
            whole = b"".join([chunk async for chunk in streamed.chunks])
    assert contents == {document.unique_id: document.content for document in documents}
    assert whole == contents[requests[0].document_unique_id]


async def test_every_object_of_an_answer_names_the_community(tmp_path):
    async with asker(tmp_path) as (stack, other):
        patient = await publish(stack, a_document())
        everything = await other.ask(GetAll(patient_id=patient))
        references = await other.ask(FindDocuments(patient_id=patient), "ObjectRef")
        uuids = tuple(entry.entry_uuid for entry in everything.entries)
        again = await other.ask(GetDocuments(entry_uuids=uuids, home=HOME))
    objects = (*everything.entries, *everything.submission_sets, *everything.associations)
    assert len(objects) == 3
    assert {item.home_community_id for item in (*objects, *references.object_refs)} == {HOME}
    assert tuple(reference.id for reference in references.object_refs) == uuids
    assert not references.entries
    assert again.entries == everything.entries


@pytest.mark.parametrize(
    ("home", "code"), [(None, "XDSMissingHomeCommunityId"), (OTHER, "XDSUnknownCommunity")]
)
async def test_a_query_without_patient_has_to_be_for_this_community(tmp_path, home, code):
    async with asker(tmp_path) as (stack, other):
        answer = await other.ask(GetDocuments(unique_ids=("2.999.1",), home=home))
        calls = sum(stack.soap_calls.values())
    assert answer.status is ResponseStatus.FAILURE
    assert [(e.code, e.location) for e in answer.errors] == [(code, HOME)]
    assert calls == 0


async def test_a_query_by_patient_need_not_name_the_community_but_may_not_name_another(tmp_path):
    async with asker(tmp_path) as (_, other):
        query = {"patient_id": Cx("P", "2.999.1")}
        assert (await other.ask(FindSubmissionSets(**query))).status is ResponseStatus.SUCCESS
        assert (await other.ask(FindSubmissionSets(**query, home=HOME))).status is ResponseStatus.SUCCESS
        refused = await other.ask(FindSubmissionSets(**query, home=OTHER))
    assert [(e.code, e.location) for e in refused.errors] == [("XDSUnknownCommunity", HOME)]


async def test_a_query_for_target_communities_without_this_one_finds_nothing_here(tmp_path):
    async with asker(tmp_path) as (stack, other):
        patient = await publish(stack, a_document())
        here = await other.ask(FindDocuments(patient_id=patient, target_communities=(OTHER, HOME)))
        elsewhere = await other.ask(FindDocuments(patient_id=patient, target_communities=(OTHER,)))
    assert (len(here.entries), elsewhere.status, elsewhere.empty) == (1, ResponseStatus.SUCCESS, True)


async def test_a_query_that_breaks_the_rules_is_refused_with_its_rule(tmp_path):
    async with asker(tmp_path) as (_, other):
        body = write_query(
            FindDocuments(patient_id=Cx("P", "2.999.1"), status=(AvailabilityStatus.APPROVED,))
        )
        for slot in body.findall(".//{*}Slot"):
            slot.getparent().remove(slot)
        answer = read_query_response(await other.soap.call(other.gateway, "ITI-38", body))
    (error,) = answer.errors
    assert (error.code, error.location) == ("XDSStoredQueryMissingParam", HOME)
    assert "$XDSDocumentEntryPatientId" in error.context


@pytest.mark.sends_invalid
async def test_a_value_that_no_registry_can_hold_is_refused(tmp_path):
    async with asker(tmp_path) as (_, other):
        body = write_query(
            FindDocuments(patient_id=Cx("P", "2.999.1"), status=(AvailabilityStatus.APPROVED,))
        )
        value = body.find(".//{*}Value")
        value.text = f"'{'9' * 1000}^^^&2.999.1&ISO'"
        answer = read_query_response(await other.soap.call(other.gateway, "ITI-38", body))
    assert answer.status is ResponseStatus.FAILURE
    assert [error.location for error in answer.errors] == [HOME]
    assert "999" not in answer.errors[0].context


async def test_requests_and_answers_are_valid_under_the_schemas(tmp_path):
    document, contract = a_document(), load_contract()
    async with asker(tmp_path) as (stack, other):
        patient = await publish(stack, document)
        query = write_query(GetAll(patient_id=patient, home=HOME))
        retrieve = write_retrieve_request(
            [DocumentRequest(REPOSITORY, uid, HOME) for uid in (document.unique_id, "2.999.404")]
        )
        for transaction, body in (("ITI-38", query), ("ITI-39", retrieve)):
            contract.validate(body)
            contract.validate(await other.soap.call(other.gateway, transaction, body))


async def test_what_the_registry_says_is_told_in_the_name_of_the_community(tmp_path):
    async with asker(tmp_path, registry_limit=1, registry_quirks={"object_refs": "never"}) as (stack, other):
        patient = await publish(stack, a_document(), a_document())
        with pytest.raises(RegistryFailure) as caught:
            await other.client.query(GetAll(patient_id=patient))
    assert [(e.code, e.location) for e in caught.value.errors] == [("XDSTooManyResults", HOME)]


async def test_a_registry_that_does_not_answer_is_an_error_of_the_community(tmp_path):
    dead = {"url": "http://127.0.0.1:9/xds/registry", "max_attempts": 1}
    async with asker(tmp_path, registry=dead) as (_, other):
        answer = await other.ask(FindDocuments(patient_id=Cx("P", "2.999.1")))
    assert [(e.code, e.location) for e in answer.errors] == [("XDSRegistryNotAvailable", HOME)]
    assert "127.0.0.1" not in answer.errors[0].context


async def test_documents_that_are_there_come_beside_the_errors_of_the_others(tmp_path):
    document = a_document()
    async with asker(tmp_path) as (stack, other):
        await publish(stack, document)
        wanted = DocumentRequest(REPOSITORY, document.unique_id, HOME)
        answer = await other.retrieve(
            wanted,
            DocumentRequest(REPOSITORY, "2.999.404", HOME),
            DocumentRequest("2.999.404", document.unique_id, HOME),
            DocumentRequest(REPOSITORY, "2.999.405"),
            DocumentRequest(REPOSITORY, "2.999.406", OTHER),
        )
        none = await other.retrieve(DocumentRequest(REPOSITORY, "2.999.404", HOME))
    assert answer.status is ResponseStatus.PARTIAL
    assert [(d.header.document_unique_id, d.header.home_community_id) for d in answer.documents] == [
        (document.unique_id, HOME)
    ]
    assert [e.code for e in answer.errors] == [
        "XDSDocumentUniqueIdError",
        "XDSUnknownRepositoryId",
        "XDSMissingHomeCommunityId",
        "XDSUnknownCommunity",
    ]
    assert {error.location for error in answer.errors} == {HOME}
    assert (none.status, none.documents) == (ResponseStatus.FAILURE, ())


async def test_a_request_that_has_been_here_before_is_not_answered(tmp_path):
    query = FindDocuments(patient_id=Cx("P", "2.999.1"))
    async with asker(tmp_path) as (stack, other):
        with pytest.raises(PeerFault) as caught:
            await other.ask(query, header_blocks=via_block((HOME, "urn:oid:2.999.7")))
        assert caught.value.code == "Sender"
        assert sum(stack.soap_calls.values()) == 0
        assert (await other.ask(query)).status is ResponseStatus.SUCCESS


async def test_a_registry_that_leads_back_here_is_found_out(tmp_path):
    heard = []

    async def overhear(request):
        heard.append(etree.fromstring(await request.read()))

    async with asker(tmp_path) as (stack, other):
        stack.interfere = overhear
        await other.ask(FindDocuments(patient_id=Cx("P", "2.999.1")))
    (envelope,) = heard
    assert [item.text for item in envelope.iterfind(".//{urn:mhd-xds-gateway:via}HomeCommunityId")] == [
        OTHER,
        HOME,
    ]


async def test_no_other_community_is_answered_by_default(tmp_path):
    async with running_stack(tmp_path) as stack:
        for path in ("/xca/gateway", "/xca-i/imaging"):
            async with stack.session.post(stack.base_url.removesuffix("/fhir") + path) as answer:
                assert answer.status == 404


# --- images ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def imaging(tmp_path):
    async with (
        published_study(tmp_path, "rad75", **ANSWERING) as published,
        SoapClient(load_contract()) as soap,
    ):
        yield published, Asker(soap, published.stack.base_url)


def series_of(study, home=None):
    return [
        SeriesWanted(
            study.study_instance_uid,
            series.series_instance_uid,
            tuple(image.sop_instance_uid for image in series.images),
            RetrieveLocation(uid=series.location_uid),
            home,
        )
        for series in study.series
    ]


async def test_images_of_another_community_come_byte_for_byte_from_all_its_sources(tmp_path):
    async with imaging(tmp_path) as (published, other):
        contents = {}
        async with other.client.images(series_of(published.study)) as items:
            async for part in items:
                contents[part.sop_instance_uid] = b"".join([chunk async for chunk in part.chunks])
    assert contents == published.files


async def test_images_that_are_not_there_are_errors_of_the_community_that_name_them(tmp_path):
    async with imaging(tmp_path) as (published, other):
        study = published.study
        series = study.series[0]
        uid = series.images[0].sop_instance_uid
        ids = (study.study_instance_uid, series.series_instance_uid)

        def image(uid, home=HOME, location=series.location_uid):
            return ImageRequest(location, *ids, uid, home)

        asked = (
            image(uid),
            image("2.999.404"),
            image("2.999.405", home=None),
            image("2.999.406", home=OTHER),
        )
        answer = read_retrieve_response(
            await other.soap.call(other.imaging, "RAD-75", write_imaging_request(ImageSetRequest(asked, ANY)))
        )
        nowhere = write_imaging_request(ImageSetRequest((image(uid, location="2.999.404"),), ANY))
        lost = read_retrieve_response(await other.soap.call(other.imaging, "RAD-75", nowhere))
    assert answer.status is ResponseStatus.PARTIAL
    assert [d.header.home_community_id for d in answer.documents] == [HOME]
    assert [(e.code, e.location) for e in answer.errors] == [
        ("XDSDocumentUniqueIdError", HOME),
        ("XDSMissingHomeCommunityId", HOME),
        ("XDSUnknownCommunity", HOME),
    ]
    assert [e.context.split(":")[0] for e in answer.errors] == ["2.999.404", "2.999.405", "2.999.406"]
    assert [e.code for e in lost.errors] == ["XDSUnknownRepositoryId"]


async def test_a_community_without_images_is_not_asked_for_them():
    async with SoapClient(load_contract()) as soap:
        peer = Peer("community B", "http://127.0.0.1:9/")
        client = RespondingGateway(soap, load_contract(), CommunityPeers(peer, peer), HOME)
        with pytest.raises(PeerUnsupported, match="images_url"):
            client.images([])
