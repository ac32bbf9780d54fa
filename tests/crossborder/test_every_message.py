"""Every message that is sent validates against the published schemas: each transaction, as client and as server, at
once and later, with results, with errors and with a Fault."""

import asyncio
import uuid
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from msgspec import structs

from gateway.clients.imaging_source import ImagingDocumentSource
from gateway.clients.patient_discovery import Asker, PatientDiscovery
from gateway.clients.responding_gateway import CommunityPeers, RespondingGateway
from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION
from gateway.ebxml.imaging_retrieve import write_imaging_request
from gateway.ebxml.retrieve import write_retrieve_request
from gateway.ebxml.stored_queries import write_query
from gateway.hl7v3.discovery_request import write_discovery_request
from gateway.model import Cx, DocumentRequest, ImageRequest, ImageSetRequest, Person
from gateway.model.errors import PeerFault
from gateway.model.identity import DiscoveryRequest, MessageHead, Party, PatientQuery
from gateway.model.images import SeriesWanted
from gateway.model.imaging import RetrieveLocation
from gateway.model.metadata import Address
from gateway.model.query import ANY_STATUS, FindDocuments, GetAll, GetDocuments
from gateway.model.transfer_syntaxes import ANY
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.envelope import write_envelope
from gateway.soap.outgoing import mtom_message, simple_message
from tests.affinity.samples import entry, on_demand, submission, version_of
from tests.crossborder.neighbours import OWN, neighbour
from tests.crossborder.written import watching
from tests.crossborder.xds_consumer import all_queries, behind, story, xds_consumer
from tests.system.documents import a_patient
from tests.system.imaging import matches
from tests.system.stack import REPOSITORY, running_stack, site

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTRACT = load_contract()
HOME = f"{OWN}.1"
CONTENTS = (b"line\r\n", b"", b"\r\n%PDF-1.4\x00--")


class Place:
    """A gateway with its images, and a study of the patient in its registry."""

    def __init__(self, folder, name, patient):
        self.content = sample_content(name, patient.id)
        folders = self.content.images.write(folder / f"images {name}")
        self.images = {
            FIRST_LOCATION: (folders[FIRST_LOCATION], "rad-69"),
            SECOND_LOCATION: (folders[SECOND_LOCATION], "wado-rs"),
        }

    async def publish(self, stack):
        bundle = provide_bundle([self.content.manifest], patient=self.content.patient)
        status, answer = await stack.publish(bundle)
        assert status == 200, answer

    def wanted(self, home, more=()):
        study = self.content.images
        return [
            SeriesWanted(
                study.study_instance_uid,
                series.series_instance_uid,
                (*(image.sop_instance_uid for image in series.images), *more),
                RetrieveLocation(uid=series.location_uid),
                home,
            )
            for series in study.series
        ]


@asynccontextmanager
async def mailbox():
    """Where late answers are posted, and what comes."""
    come = asyncio.Queue()

    async def take(request):
        await come.put(await request.read())
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/answers", take)
    async with site(app) as base:
        yield f"{base}/answers", come


class World:
    """The gateway in front, the community behind its responding gateway, and what each holds."""

    def __init__(self, front, other, own_place, other_place, soap, answers):
        self.front, self.other = front, other
        self.own_place, self.other_place = own_place, other_place
        self.soap = soap
        self.address, self.come = answers
        patient = own_place.content.patient
        self.token, self.patient = patient.token, Cx(patient.id, patient.authority)

    def peer(self, path):
        return Peer("community", f"{self.other.base}/{path}", max_attempts=1)

    @property
    def community(self):
        gateway = self.peer("xca/gateway")
        peers = CommunityPeers(gateway, gateway, self.peer("xca-i/imaging"))
        return RespondingGateway(self.soap, CONTRACT, peers, HOME)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("messages")
    patient = a_patient()
    own, other = (Place(folder, name, patient) for name in ("own", "other"))
    async with mailbox() as answers, SoapClient(CONTRACT) as soap:
        hosts = [urlsplit(answers[0]).netloc]
        theirs = {
            "images": other.images,
            "responding_gateway": {"enabled": True, "reply_to_hosts": hosts},
        }
        async with neighbour(folder / "other", HOME, **theirs) as there:
            communities = [there.settings(patients_url=f"{there.base}/xca/patients")]
            values = {
                "images": own.images,
                "home_community_id": OWN,
                "communities": communities,
                "xds_server": {"enabled": True},
            }
            async with running_stack(folder / "own", **values) as front:
                await own.publish(front)
                await other.publish(there.stack)
                yield World(front, there, own, other, soap, answers)


async def test_what_fhir_clients_cause(world, monkeypatch):
    with watching(monkeypatch) as written:
        bundle = provide_bundle([world.own_place.content.report], patient=world.own_place.content.patient)
        assert (await world.front.publish(bundle))[0] == 200
        await browse(world)
    assert written.invalid == []
    for name in ("ITI-18", "ITI-38", "ITI-39", "ITI-41", "ITI-43", "ITI-55", "RAD-69", "RAD-75"):
        assert {CONTRACT[name].action, CONTRACT[name].response_action} <= written.actions, name


async def browse(world):
    """Find and retrieve everything by FHIR and WADO-RS."""
    front = world.front
    for reference in await front.find(patient__identifier=world.token, status="current"):
        assert (await front.download(reference))[0] == 200
        assert (await front.get(f"DocumentReference/{reference['id']}"))[0] == 200
    await front.find_lists(patient__identifier=world.token, status="current")
    await front.find(patient__identifier=a_patient().token, status="current")
    parameters = {"patient.identifier": world.token, "_include": "ImagingStudy:endpoint"}
    _, bundle = await front.get("ImagingStudy", **parameters)
    assert len(matches(bundle)) == 2
    for endpoint in matches(bundle, "include"):
        for place in (world.own_place, world.other_place):
            url = f"{endpoint['address']}/studies/{place.content.images.study_instance_uid}"
            async with front.session.get(url, headers={"Accept": "*/*"}) as answer:
                await answer.read()


async def test_what_consumers_and_sources_of_xds_cause(world, monkeypatch):
    patient = Cx(a_patient().id, world.patient.authority)
    with watching(monkeypatch) as written:
        async with xds_consumer(world.front.base_url, CONTRACT.validate) as client:
            made = list(story(patient))
            for number, content in enumerate(CONTENTS):
                each = made[number]
                described = tuple(structs.replace(e, hash=None, size=None) for e in each.entries)
                made[number] = structs.replace(each, entries=described)
                answer = await client.provide(made[number], content)
                assert answer.errors == (), answer.errors
            await client.provide(made[0], CONTENTS[0])
            for query in all_queries(patient, made[0], made[2]):
                for home in (None, OWN):
                    for return_type in ("LeafClass", "ObjectRef"):
                        await client.query(structs.replace(query, home=home), return_type)
            await client.query(GetAll(patient_id=world.patient, entry_status=ANY_STATUS))
            uid, elsewhere = made[2].entries[0].unique_id, world.other_place.content.manifest.unique_id
            await client.retrieve(uid, "2.999.404")
            await client.retrieve(elsewhere, home=HOME)
            await client.retrieve(elsewhere, home="urn:oid:2.999.404")
        source = ImagingDocumentSource(
            world.soap, Peer("gateway", f"{world.front.base_url.removesuffix('/fhir')}/xds/imaging")
        )
        for place, home in ((world.own_place, OWN), (world.other_place, HOME)):
            async with source.retrieve(place.wanted(home, ("2.999.404",)), ()) as parts:
                async for part in parts:
                    async for _ in getattr(part, "chunks", nothing()):
                        pass
    assert written.invalid == []


async def nothing():
    for each in ():
        yield each


async def test_what_other_communities_cause(world, monkeypatch):
    manifest = world.other_place.content.manifest.unique_id
    with watching(monkeypatch) as written:
        community = world.community
        await community.query(GetAll(patient_id=world.patient, entry_status=ANY_STATUS))
        await community.query(GetDocuments(unique_ids=(manifest, "2.999.404")))
        await community.query(FindDocuments(patient_id=Cx("nobody", "2.999.404")))
        homeless = write_query(GetDocuments(unique_ids=(manifest,)), "ObjectRef")
        await world.soap.call(world.peer("xca/gateway"), "ITI-38", homeless)
        async for _ in community.retrieve_many(
            [DocumentRequest(REPOSITORY, uid) for uid in (manifest, "2.999.404")], max_bytes=1 << 24
        ):
            pass
        async with community.images(world.other_place.wanted(HOME, ("2.999.404",))) as parts:
            async for part in parts:
                async for _ in getattr(part, "chunks", nothing()):
                    pass
        asker = PatientDiscovery(world.soap, world.peer("xca/patients"), Asker(OWN, "2.999.1", "T"), (HOME,))
        for query in discoveries(world.patient):
            await asker.discover(query)
        again = Peer("community", f"{world.other.base}/xca/gateway", max_attempts=1, via=(HOME,))
        with pytest.raises(PeerFault):
            await world.soap.call(again, "ITI-38", homeless)
    assert written.invalid == []
    for name in ("ITI-38", "ITI-39", "ITI-55", "RAD-75"):
        assert {CONTRACT[name].action, CONTRACT[name].response_action} <= written.actions, name
    assert any(body == "Fault" for _, body in written.counted)


def discoveries(patient):
    """Queries for somebody who is known, for nobody, with all that can be asked, and for too many."""
    name = Person(family="Muster", given="Eva")
    return [
        PatientQuery(identifiers=(patient,)),
        PatientQuery(identifiers=(Cx("nobody", "2.999.404"),)),
        PatientQuery(
            identifiers=(patient,), names=(name,), birth_date="19610203", gender="F",
            addresses=(Address(city="Wien", country="AT"),),
        ),
        PatientQuery(names=(name,), birth_date="19610203"),
        PatientQuery(identifiers=tuple(Cx(str(n), "2.999.404") for n in range(30))),
    ]  # fmt: skip


async def test_answers_that_come_later(world, monkeypatch):
    """Asynchronous exchange of WS-Addressing: the same answers, posted to where ReplyTo says."""
    manifest = world.other_place.content.manifest.unique_id
    (series, *_) = world.other_place.wanted(HOME)
    image = ImageRequest(
        series.location.uid,
        series.study_instance_uid,
        series.series_instance_uid,
        series.sop_instance_uids[0],
        HOME,
    )
    head = MessageHead(
        message_id="2.999.1",
        created="20240102030405+0000",
        sender=Party("2.999.100", OWN),
        receiver=Party("2.999.100.1", HOME),
        query_id="2.999.2",
    )
    discovery = DiscoveryRequest(head, PatientQuery(identifiers=(world.patient,)))
    asked = {
        "ITI-38": ("xca/gateway", simple_message, write_query(FindDocuments(patient_id=world.patient))),
        "ITI-39": (
            "xca/gateway",
            mtom_message,
            write_retrieve_request([DocumentRequest(REPOSITORY, manifest, HOME)]),
        ),
        "RAD-75": ("xca-i/imaging", mtom_message, write_imaging_request(ImageSetRequest((image,), ANY))),
        "ITI-55": ("xca/patients", simple_message, write_discovery_request(discovery)),
    }
    with watching(monkeypatch) as written:
        for name, (path, write, body) in asked.items():
            await post(world, f"{world.other.base}/{path}", name, write, body)
            come = await asyncio.wait_for(world.come.get(), 30)
            assert CONTRACT[name].response_action.encode() in come
    assert written.invalid == []
    assert {CONTRACT[name].response_action for name in asked} <= written.actions


async def post(world, url, transaction, write, body):
    action = CONTRACT[transaction].action
    envelope = write_envelope(
        body, action=action, message_id=f"urn:uuid:{uuid.uuid4()}", reply_to=world.address
    )
    message = write(envelope, action)
    headers = {"Content-Type": message.content_type}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=message.start, headers=headers) as answer,
    ):
        assert answer.status == 202


async def test_what_changes_a_registry(world, monkeypatch):
    """What `gateway admin` sends, and what sources send to registries directly."""
    with watching(monkeypatch) as written:
        async with behind(world.front) as domain:
            document = entry(patient_id=world.patient)
            assert (await domain.register(submission(document, patient_id=world.patient))).errors == ()
            await domain.register(submission(document, patient_id=world.patient))
            later = on_demand(patient_id=world.patient)
            await domain.register_on_demand(submission(later, patient_id=world.patient))
            await domain.update(version_of(document, title="Another"))
            await domain.delete(later.entry_uuid)
            await domain.delete("urn:uuid:00000000-0000-4000-8000-00000000dead")
            await domain.remove("2.999.404")
    assert written.invalid == []
    for name in ("ITI-42", "ITI-57", "ITI-61", "ITI-62", "ITI-86"):
        assert {CONTRACT[name].action, CONTRACT[name].response_action} <= written.actions, name


async def test_no_transaction_of_the_contract_is_left_out():
    assert set(CONTRACT.transactions) == {
        *("ITI-18", "ITI-38", "ITI-39", "ITI-41", "ITI-42", "ITI-43", "ITI-55", "ITI-57", "ITI-61", "ITI-62"),
        *("ITI-86", "RAD-69", "RAD-75"),
    }
