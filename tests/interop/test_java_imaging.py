"""Our client calls a JAX-WS imaging document source that was made from our WSDL (RAD-69)."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.clients.imaging_source import ImagingDocumentSource
from gateway.clients.quirks import ImagingSourceQuirks
from gateway.clients.repository import DocumentRepository, OutgoingDocument
from gateway.model import RegistryFailure, ResponseStatus
from gateway.model.images import ImageError, SeriesWanted
from gateway.model.imaging import RetrieveLocation
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from tests.affinity.samples import entry, submission, unique_id

from .java_peer import REPOSITORY

pytestmark = pytest.mark.interop

STUDY = "2.999.21"
CONTENTS = [b"\r\n", random.Random(1).randbytes(70_000) + b"\r\n", random.Random(2).randbytes(3_000_000)]


class Source:
    def __init__(self, url: str, soap: SoapClient) -> None:
        self.soap = soap
        self.repository = DocumentRepository(
            soap, load_contract(), Peer("java", f"{url}/xds/repository"), REPOSITORY
        )
        self.peer = Peer("java", f"{url}/xds/imaging")

    async def store(self, series: str) -> dict[str, bytes]:
        """Give the source a series of its own."""
        images = {unique_id(): content for content in CONTENTS}
        entries = [
            entry(unique_id=uid, title=f"{STUDY}/{series}", mime_type="application/dicom") for uid in images
        ]
        documents = [
            OutgoingDocument(e.entry_uuid, "application/dicom", content)
            for e, content in zip(entries, images.values(), strict=True)
        ]
        answer = await self.repository.provide_and_register(submission(*entries), documents)
        assert answer.status is ResponseStatus.SUCCESS
        return images

    async def fetch(self, *wanted: SeriesWanted, **quirks: int) -> tuple[dict[str, bytes], list[ImageError]]:
        client = ImagingDocumentSource(self.soap, self.peer, quirks=ImagingSourceQuirks(**quirks))
        found, errors = {}, []
        async with client.retrieve(wanted) as items:
            async for item in items:
                if isinstance(item, ImageError):
                    errors.append(item)
                else:
                    assert item.media_type == "application/dicom"
                    found[item.sop_instance_uid] = b"".join([chunk async for chunk in item.chunks])
        return found, errors


def series(uids, series_uid="2.999.22.1", location=REPOSITORY) -> SeriesWanted:
    return SeriesWanted(STUDY, series_uid, tuple(uids), RetrieveLocation(uid=location))


@asynccontextmanager
async def source(url: str) -> AsyncIterator[Source]:
    async with SoapClient(load_contract()) as soap:
        yield Source(url, soap)


@pytest.mark.parametrize("images_per_request", [1, 2, 100])
async def test_images_of_two_series_come_byte_for_byte(java_url, images_per_request):
    async with source(java_url) as java:
        first, second = await java.store("2.999.22.1"), await java.store("2.999.22.2")
        wanted = series(first), series(second, "2.999.22.2")
        found, errors = await java.fetch(*wanted, images_per_request=images_per_request)
    assert (found, errors) == (first | second, [])


async def test_what_is_not_there_is_told_beside_what_is(java_url):
    async with source(java_url) as java:
        images = await java.store("2.999.22.3")
        (other, *rest) = images
        found, errors = await java.fetch(
            series([*rest, "2.999.404"], "2.999.22.3"), series([other], "2.999.22.9")
        )
    assert set(found) == set(rest)
    assert {(e.sop_instance_uid, e.code) for e in errors} == {
        ("2.999.404", "XDSDocumentUniqueIdError"),
        (other, "XDSDocumentUniqueIdError"),
    }


async def test_another_location_is_refused_as_a_whole(java_url):
    async with source(java_url) as java:
        with pytest.raises(RegistryFailure) as caught:
            await java.fetch(series(["2.999.404"], location="2.999.20.9"))
    assert [e.code for e in caught.value.errors] == ["XDSUnknownRepositoryId"]
