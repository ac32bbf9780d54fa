"""A walk over three communities through the gateway in front: find, retrieve and see what each of them has,
by FHIR and WADO-RS and by SOAP, also after a restart, and with one community stopped.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import aiohttp

from gateway.clients.imaging_source import ImagingDocumentSource
from gateway.clients.registry import StoredQueries
from gateway.clients.repository import DocumentSets
from gateway.clients.responding_gateway import CommunityPeers, RespondingGateway
from gateway.demo.bundles import provide_bundle
from gateway.demo.ct_study import FIRST_LOCATION
from gateway.demo.neighbours import DEADLINE, Neighbourhood, Place, neighbourhood
from gateway.demo.outside_client import FHIR_JSON, OutsideClient, Resource, expect, require
from gateway.demo.walk import Step, Walk
from gateway.demo.walk_publish import response_entries
from gateway.model import Cx, DocumentEntry, DocumentRequest
from gateway.model.images import ImageError, SeriesWanted
from gateway.model.imaging import RetrieveLocation
from gateway.model.query import FindDocuments
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract

FOUND = "one search finds the studies of all three communities"
_MARGIN = 0.2
_STUDY = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_HOME = "ihe-HomeCommunityId"


def check_communities(state_dir: Path, out: Callable[[str], object] = print) -> int:
    """Start three communities and walk over them; 0 where every step passed. Raises ChildError."""
    seed = secrets.token_hex(4)
    with neighbourhood(state_dir, 0, seed, f"C-{seed}", "warning") as running:
        return asyncio.run(_check(running, out))


async def publish_studies(running: Neighbourhood, session: aiohttp.ClientSession) -> None:
    """The manifest of each community's study, published in that community."""
    for place in running.places:
        client = OutsideClient(session, place.base_url, running.client.tokens(place.base_url))
        bundle = provide_bundle([place.content.manifest], patient=place.content.patient)
        response_entries(await client.publish(bundle), bundle)


async def _check(running: Neighbourhood, out: Callable[[str], object]) -> int:
    timeout = aiohttp.ClientTimeout(total=60)
    walk = Walk(out)
    async with aiohttp.ClientSession(timeout=timeout) as session, SoapClient(load_contract()) as soap:
        await CommunityWalk(running, session, soap).run(walk)
    out(walk.summary())
    return 1 if walk.failed else 0


class CommunityWalk:
    """The steps."""

    def __init__(self, running: Neighbourhood, session: aiohttp.ClientSession, soap: SoapClient) -> None:
        self._running = running
        self._session = session
        self._soap = soap
        front = running.front
        self._client = OutsideClient(session, front.base_url, running.client.tokens(front.base_url))
        self._patient = front.content.patient
        self._addresses: dict[str, str] = {}
        self._manifests: dict[str, Resource] = {}
        self._studies: dict[str, Resource] = {}

    async def run(self, walk: Walk) -> None:
        """Walk."""
        await walk.step("a study is published in each community", self._publish)
        await walk.step(FOUND, self._find)
        await self._retrieve_all(walk, "")
        places = self._running.places
        for place in places:
            by = f"of community {place.number} to a consumer of XDS-I.b"
            await walk.step(f"RAD-69 gives the images {by}", self._by_rad69(place), needs=(FOUND,))
        await walk.step("ITI-18 and ITI-43 give the manifests of all three", self._by_xds, needs=(FOUND,))
        await walk.step("ITI-38, ITI-39 and RAD-75 give those of the second", self._by_xca, needs=(FOUND,))
        await walk.step("an id or URL with another community in it is 404", self._swapped, needs=(FOUND,))
        await walk.step("the gateway starts again without what Redis held", self._restart)
        await self._retrieve_all(walk, " after that")
        await walk.step("what lives answers in time where one is stopped, which is named", self._stopped)

    async def _retrieve_all(self, walk: Walk, when: str) -> None:
        for place in self._running.places:
            number = place.number
            await walk.step(
                f"the manifest of community {number} comes byte for byte{when}",
                self._manifest(place),
                needs=(FOUND,),
            )
            await walk.step(
                f"WADO-RS gives the images of community {number}{when}", self._images(place), needs=(FOUND,)
            )

    # --- FHIR -----------------------------------------------------------------------------------------------
    async def _publish(self) -> None:
        await publish_studies(self._running, self._session)

    async def _find(self) -> None:
        whose = [("patient.identifier", self._patient.token)]
        page = await self._client.search(whose, resource="ImagingStudy")
        said = [issue.get("diagnostics") for each in page.warnings for issue in each["issue"]]
        expect("warnings", [], said)
        for study in page.matches:
            uid = study["identifier"][0]["value"].removeprefix("urn:oid:")
            self._studies[uid] = study
            for series in study["series"]:
                endpoint = self._client.resolve(series["endpoint"][0]["reference"])
                answer = await self._client.request("GET", endpoint)
                self._addresses[uid] = answer.expect_status(200).json()["address"]
        wanted = {place.content.images.study_instance_uid for place in self._running.places}
        expect("studies", wanted, set(self._studies))
        documents = await self._client.search(
            [*whose, ("status", "current"), ("contenttype", "application/dicom")]
        )
        for reference in documents.matches:
            self._manifests[reference["masterIdentifier"]["value"].removeprefix("urn:oid:")] = reference
        for place in self._running.places[1:]:
            homes = [
                extension["valueOid"]
                for extension in self._manifests[place.content.manifest.unique_id].get("extension", ())
                if extension["url"].endswith(_HOME)
            ]
            expect(f"homeCommunityId of community {place.number}", [place.home], homes)

    def _manifest(self, place: Place) -> Step:
        async def step() -> None:
            reference = self._manifests[place.content.manifest.unique_id]
            read = self._client.resolve(f"DocumentReference/{reference['id']}")
            (await self._client.request("GET", read, headers={"Accept": FHIR_JSON})).expect_status(200)
            url = reference["content"][0]["attachment"]["url"]
            answer = (await self._client.request("GET", url)).expect_status(200)
            expect("bytes", place.content.manifest.content, answer.body)

        return step

    def _images(self, place: Place) -> Step:
        async def step() -> None:
            uid = place.content.images.study_instance_uid
            read = self._client.resolve(f"ImagingStudy/{self._studies[uid]['id']}")
            (await self._client.request("GET", read, headers={"Accept": FHIR_JSON})).expect_status(200)
            url = f"{self._addresses[uid]}/studies/{uid}"
            answer = (await self._client.request("GET", url, headers={"Accept": _STUDY})).expect_status(200)
            for _, image, content in place.content.images.files():
                require(f"image {image.sop_instance_uid} byte for byte", content in answer.body)

        return step

    async def _swapped(self) -> None:
        second, third = (self._manifests[p.content.manifest.unique_id] for p in self._running.places[1:])
        uuid, _, _ = second["id"].partition(".")
        mark = third["id"].partition(".")[2]
        study = self._running.places[1].content.images.study_instance_uid
        home = self._running.places[2].home.removeprefix("urn:oid:")
        for path in (
            f"DocumentReference/{uuid}.{mark}",
            f"Binary/{uuid}.{mark}",
            f"wado/homeCommunityId/{home}/RetrieveLocationUID/{FIRST_LOCATION}/study/{study}",
            f"wado/homeCommunityId/2.999.404/RetrieveLocationUID/{FIRST_LOCATION}/study/{study}",
        ):
            (await self._client.request("GET", self._client.resolve(path))).expect_status(404)

    async def _restart(self) -> None:
        await asyncio.to_thread(self._running.front.restart_gateway, without_redis=True)

    async def _stopped(self) -> None:
        stopped = self._running.places[1]
        await asyncio.to_thread(stopped.end_gateway)
        parameters = [("patient.identifier", self._patient.token), ("status", "current")]
        started = time.monotonic()
        page = await self._client.search(parameters)
        seconds = time.monotonic() - started
        require(f"an answer within {DEADLINE + _MARGIN} s, not {seconds:.1f}", seconds <= DEADLINE + _MARGIN)
        said = str(page.warnings)
        require("a warning that names the community", stopped.home in said)
        found = {m["masterIdentifier"]["value"].removeprefix("urn:oid:") for m in page.matches}
        living = (p.content.manifest.unique_id for p in self._running.places if p is not stopped)
        expect("manifests of the living", set(living), found)
        only = urlencode([*parameters, ("targetCommunityIdList", stopped.home)])
        url = f"{self._client.base_url}/DocumentReference?{only}"
        answer = await self._client.request("GET", url, headers={"Accept": FHIR_JSON})
        require(f"502 or 504 where it alone is asked, not {answer.status}", answer.status in (502, 504))

    # --- SOAP -----------------------------------------------------------------------------------------------
    def _by_rad69(self, place: Place) -> Step:
        async def step() -> None:
            peer = Peer("gateway", f"{self._running.front.root}/xds/imaging")
            home = place.home if place is not self._running.front else None
            await self._images_of(place, ImagingDocumentSource(self._soap, peer), home)

        return step

    async def _images_of(self, place: Place, source: ImagingDocumentSource, home: str | None) -> None:
        study = place.content.images
        wanted = [
            SeriesWanted(
                study.study_instance_uid,
                series.series_instance_uid,
                tuple(image.sop_instance_uid for image in series.images),
                RetrieveLocation(uid=series.location_uid),
                home,
            )
            for series in study.series
        ]
        got: dict[str | None, bytes] = {}
        async with source.retrieve(wanted, ()) as items:
            async for item in items:
                require("an image and no error", not isinstance(item, ImageError))
                assert not isinstance(item, ImageError)
                got[item.sop_instance_uid] = b"".join([chunk async for chunk in item.chunks])
        expect("images", {image.sop_instance_uid: content for _, image, content in study.files()}, got)

    async def _by_xds(self) -> None:
        root = self._running.front.root
        queries = StoredQueries(self._soap, Peer("gateway", f"{root}/xds/registry"))
        documents = DocumentSets(self._soap, load_contract(), Peer("gateway", f"{root}/xds/repository"))
        found = (await queries.query(self._find_documents())).entries
        wanted = {p.content.manifest.unique_id: p.content.manifest.content for p in self._running.places}
        got = {}
        for entry in found:
            async with documents.retrieve(_request(entry)) as document:
                got[entry.unique_id] = b"".join([chunk async for chunk in document.chunks])
        expect("manifests", wanted, got)

    async def _by_xca(self) -> None:
        place = self._running.places[1]
        gateway, imaging = (
            Peer("community 2", f"{place.root}/{path}") for path in ("xca/gateway", "xca-i/imaging")
        )
        community = RespondingGateway(
            self._soap, load_contract(), CommunityPeers(gateway, gateway, imaging), place.home
        )
        (entry,) = (await community.query(self._find_documents())).entries
        async with community.retrieve(_request(entry)) as document:
            content = b"".join([chunk async for chunk in document.chunks])
        expect("manifest", place.content.manifest.content, content)
        source = ImagingDocumentSource(self._soap, imaging, transaction="RAD-75")
        await self._images_of(place, source, place.home)

    def _find_documents(self) -> FindDocuments:
        return FindDocuments(patient_id=Cx(self._patient.id, self._patient.authority))


def _request(entry: DocumentEntry) -> DocumentRequest:
    return DocumentRequest(entry.repository_unique_id or "", entry.unique_id, entry.home_community_id)
