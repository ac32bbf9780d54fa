"""dicomtrolley as RAD-69 consumer of the embedded imaging source and of the gateway.

It asks in simple SOAP, knows one RepositoryUniqueId alone and reads multipart answers with a reader of its own.
"""

import asyncio
from contextlib import asynccontextmanager
from io import BytesIO

import pydicom
import pytest
from aiohttp import web

from gateway.affinity.options import AffinityOptions, ImageLocation
from gateway.clients.community import DocumentPlaces
from gateway.clients.dicomweb import DicomWebClient, DicomWebSource
from gateway.correlation.manifests import ManifestStore
from gateway.imaging.grants import Grants
from gateway.imaging.manifests import Manifests
from gateway.imaging.plan import Locations
from gateway.imaging.rad69_server import ImagingFacade
from gateway.imaging.retrieve import ImageRetriever
from gateway.model.imaging import Instance, Manifest, ReadManifest, RetrieveLocation, Series, Study
from gateway.security.study_urls import StudyKey, StudyTokens
from gateway.soap.contract import load_contract
from gateway.soap.server import SoapService
from tests.affinity.client import running
from tests.affinity.samples import REPOSITORY
from tests.correlation.conftest import RING
from tests.dicom.files import CT, image_file
from tests.imaging.archives import Archive, peer
from tests.imaging.conftest import open_store, server

rad69 = pytest.importorskip(
    "dicomtrolley.rad69", reason="dicomtrolley is not installed (pip install dicomtrolley)"
)
requests = pytest.importorskip("requests")
core = pytest.importorskip("dicomtrolley.core")

__all__ = ["open_store", "server"]
pytestmark = pytest.mark.interop

LOCATION, STUDY = "1.3.6.1.4.1000", "2.999.21"
FILES = {
    (STUDY, f"2.999.22.{series}", f"2.999.23.{series}.{number}"): image_file(
        STUDY, f"2.999.22.{series}", f"2.999.23.{series}.{number}", size=100_000, fill=b"\r\n--"
    )
    for series in (1, 2)
    for number in (1, 2, 3)
}


async def fetch(url: str, keys, **options) -> dict[str, bytes]:
    """Private contents of the datasets that dicomtrolley gives, by SOP Instance UID."""

    def run():
        with requests.Session() as session:
            client = rad69.Rad69(session, url, **options)
            datasets = client.datasets([core.InstanceReference(*key) for key in keys])
            return {str(d.SOPInstanceUID): d[0x0029, 0x1010].value for d in datasets}

    return await asyncio.to_thread(run)


def expected(keys) -> dict[str, bytes]:
    return {
        sop: pydicom.dcmread(BytesIO(FILES[study, series, sop]))[0x0029, 0x1010].value
        for study, series, sop in keys
    }


@asynccontextmanager
async def embedded(tmp_path):
    (tmp_path / "images").mkdir()
    for (_, _, sop), content in FILES.items():
        (tmp_path / "images" / sop).write_bytes(content)
    options = AffinityOptions(
        tmp_path / "state", REPOSITORY, image_locations=(ImageLocation(LOCATION, tmp_path / "images"),)
    )
    async with running(options) as domain:
        yield f"{domain.base}/xds/imaging"


@asynccontextmanager
async def gateway(tmp_path, open_store):
    """RAD-69 of the gateway in front of an archive that speaks WADO-RS alone."""
    study = Study(
        STUDY,
        series=tuple(
            Series(
                uid,
                locations=(RetrieveLocation(LOCATION),),
                instances=tuple(Instance(sop, CT) for _, one, sop in FILES if one == uid),
            )
            for uid in dict.fromkeys(series for _, series, _ in FILES)
        ),
    )
    key = StudyKey(study_instance_uid=STUDY, repository_unique_id=REPOSITORY, document_unique_id="2.999.24", entry_uuid="urn:uuid:1")  # fmt: skip
    async with Archive(FILES).serve() as base, DicomWebClient() as client, open_store() as redis:
        store = ManifestStore(redis, 60)
        await store.remember(key, ReadManifest(Manifest(sop_instance_uid="2.999.24", study=study)))
        facade = ImagingFacade(
            Grants(StudyTokens(RING), Manifests(DocumentPlaces({}), store, {}, max_bytes=1), store),
            ImageRetriever(Locations({LOCATION: DicomWebSource(client, peer(base))})),
        )
        service = SoapService(load_contract(), facade.handlers, tmp_path / "spool")

        async def answer(request: web.Request) -> web.StreamResponse:
            return await service(request)

        app = web.Application()
        app.router.add_route("*", "/xds/imaging", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/xds/imaging"
        finally:
            await runner.cleanup()
            service.close()


@asynccontextmanager
async def serving(kind, tmp_path, open_store):
    async with embedded(tmp_path) if kind == "embedded source" else gateway(tmp_path, open_store) as url:
        yield url


@pytest.fixture(params=["embedded source", "gateway"])
def serve(request, tmp_path, open_store):
    return lambda: serving(request.param, tmp_path, open_store)


@pytest.mark.parametrize(
    "options", [{}, {"request_per_series": False}, {"use_async": True, "max_workers": 2}]
)
async def test_it_gets_every_image_as_it_is_stored(serve, options):
    async with serve() as url:
        assert await fetch(url, FILES, **options) == expected(FILES)


async def test_it_is_told_what_is_not_there(serve):
    async with serve() as url:
        with pytest.raises(rad69.Rad69ServerError, match="XDSDocumentUniqueIdError"):
            await fetch(url, [(STUDY, "2.999.22.1", "2.999.23.9.9")])


async def test_it_gets_what_is_there_beside_what_is_not(serve):
    keys = [*list(FILES)[:2], (STUDY, "2.999.22.1", "2.999.23.9.9")]
    async with serve() as url:
        assert await fetch(url, keys) == expected(keys[:2])
