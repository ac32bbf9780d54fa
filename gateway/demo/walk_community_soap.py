"""Steps of the walk over three communities as a consumer of XDS.b and XDS-I.b, and as another community:
ITI-18, ITI-43 and RAD-69 of the gateway in front, and ITI-38, ITI-39 and RAD-75 of a responding gateway in
front of each.
"""

from gateway.clients.imaging_source import ImagingDocumentSource
from gateway.clients.registry import StoredQueries
from gateway.clients.repository import DocumentSets
from gateway.clients.responding_gateway import CommunityPeers, RespondingGateway
from gateway.demo.neighbours import Neighbourhood, Place
from gateway.demo.outside_client import expect, require
from gateway.demo.walk import Step, Walk
from gateway.model import Cx, DocumentEntry, DocumentRequest, QueryResult, ResponseStatus
from gateway.model.images import ImageError, SeriesWanted
from gateway.model.imaging import RetrieveLocation
from gateway.model.query import FindDocuments
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract

_DICOM = "application/dicom"


class SoapWalk:
    """The steps."""

    def __init__(self, running: Neighbourhood, soap: SoapClient) -> None:
        self._running = running
        self._soap = soap
        self._patient = running.front.content.patient

    async def run(self, walk: Walk, *, needs: tuple[str, ...]) -> None:
        """Walk."""
        for place in self._running.places:
            by = f"of community {place.number} to a consumer of XDS-I.b"
            await walk.step(f"RAD-69 gives the images {by}", self._by_rad69(place), needs=needs)
        await walk.step("ITI-18 and ITI-43 give the manifests of all three", self._by_xds, needs=needs)
        for place in self._running.places:
            step = f"ITI-38, ITI-39 and RAD-75 give those of community {place.number} to another community"
            await walk.step(step, self._by_xca(place), needs=needs)

    async def partial(self, stopped: Place) -> None:
        """A query of a consumer is answered by the living, with an error that names the one that is dead."""
        found = await self._found()
        expect("status", ResponseStatus.PARTIAL, found.status)
        codes = {(e.code.rpartition(":")[2], e.location) for e in found.errors}
        expect("errors", {("XDSUnavailableCommunity", stopped.home)}, codes)
        living = {p.home for p in self._running.places if p is not stopped}
        expect("communities", living, {entry.home_community_id for entry in found.entries})

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

    async def _found(self) -> QueryResult:
        peer = Peer("gateway", f"{self._running.front.root}/xds/registry")
        return await StoredQueries(self._soap, peer).query(self._find_documents())

    async def _by_xds(self) -> None:
        peer = Peer("gateway", f"{self._running.front.root}/xds/repository")
        documents = DocumentSets(self._soap, load_contract(), peer)
        wanted = {p.content.manifest.unique_id: p.content.manifest.content for p in self._running.places}
        got = {}
        for entry in (await self._found()).entries:
            async with documents.retrieve(_request(entry)) as document:
                content = b"".join([chunk async for chunk in document.chunks])
            if entry.mime_type == _DICOM:
                got[entry.unique_id] = content
        expect("manifests", wanted, got)

    def _by_xca(self, place: Place) -> Step:
        async def step() -> None:
            root = self._running.responding(place)
            gateway = Peer(f"community {place.number}", f"{root}/xca/gateway")
            imaging = Peer(f"community {place.number}", f"{root}/xca-i/imaging")
            community = RespondingGateway(
                self._soap, load_contract(), CommunityPeers(gateway, gateway, imaging), place.home
            )
            entries = (await community.query(self._find_documents())).entries
            (entry,) = (each for each in entries if each.mime_type == _DICOM)
            async with community.retrieve(_request(entry)) as document:
                content = b"".join([chunk async for chunk in document.chunks])
            expect("manifest", place.content.manifest.content, content)
            source = ImagingDocumentSource(self._soap, imaging, transaction="RAD-75")
            await self._images_of(place, source, place.home)

        return step

    def _find_documents(self) -> FindDocuments:
        return FindDocuments(patient_id=Cx(self._patient.id, self._patient.authority))


def _request(entry: DocumentEntry) -> DocumentRequest:
    return DocumentRequest(entry.repository_unique_id or "", entry.unique_id, entry.home_community_id)
