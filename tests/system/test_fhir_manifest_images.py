"""Images that only a registered FHIR manifest names, over the whole stack: JPEG Lossless beside other syntaxes, at
a source that speaks RAD-69 and at one that speaks WADO-RS, for clients of either."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.clients.imaging_source import ImagingDocumentSource
from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import CLASS_CODES_BY_TYPE, DOCUMENT_DEFAULTS, SamplePatient
from gateway.fhir.manifest_bundle import ManifestContext, manifest_bundle_bytes
from gateway.fhir.terminology import Terminology
from gateway.model import Code, imaging_codes
from gateway.model.images import ImagePart, SeriesWanted
from gateway.model.imaging import (
    Instance,
    LocalTime,
    Manifest,
    RetrieveLocation,
    RetrieveLocationUid,
    Series,
    Study,
)
from gateway.model.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from tests.dicom.files import CT, image_file
from tests.dicom.jpeg_lossless import JPEG_LOSSLESS, lossless_file

from .documents import a_patient
from .imaging import matches
from .manifests import FHIR_FORMAT, FHIR_JSON, manifest_document
from .stack import Stack, running_stack
from .tables import fingerprint
from .test_images import ANY, RELATED, parts_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

STUDY, MANIFEST = "2.999.31", "2.999.32.1"
BY_RAD69, BY_WADO = RetrieveLocationUid("2.999.33.1"), RetrieveLocationUid("2.999.33.2")
LOSSLESS, PLAIN, LOSSLESS_ELSEWHERE = (f"{STUDY}.{number}" for number in (1, 2, 3))
SERIES = {
    LOSSLESS: (
        BY_RAD69,
        {f"{LOSSLESS}.{n}": lossless_file(STUDY, LOSSLESS, f"{LOSSLESS}.{n}", seed=n) for n in (1, 2)},
    ),
    PLAIN: (BY_RAD69, {f"{PLAIN}.1": image_file(STUDY, PLAIN, f"{PLAIN}.1", size=300_000)}),
    LOSSLESS_ELSEWHERE: (
        BY_WADO,
        {
            f"{LOSSLESS_ELSEWHERE}.{n}": lossless_file(
                STUDY, LOSSLESS_ELSEWHERE, f"{LOSSLESS_ELSEWHERE}.{n}", seed=10 + n
            )
            for n in (1, 2, 3)
        },
    ),
}
FILES = {sop: content for _, files in SERIES.values() for sop, content in files.items()}
IN_LOSSLESS = set(SERIES[LOSSLESS][1]) | set(SERIES[LOSSLESS_ELSEWHERE][1])


def fhir_manifest() -> bytes:
    """The manifest of the study as a FHIR document."""
    modality = Code("CT", imaging_codes.DCM, "Computed Tomography")
    series = tuple(
        Series(
            uid,
            modality=modality,
            number=uid[-1],
            locations=(RetrieveLocation(location),),
            instances=tuple(Instance(sop, CT, sop.rpartition(".")[2]) for sop in files),
        )
        for uid, (location, files) in SERIES.items()
    )
    study = Study(STUDY, modalities=(modality,), started=LocalTime("20260310", "080000"), series=series)
    made = Manifest(sop_instance_uid=MANIFEST, series_instance_uid="2.999.32", study=study)
    return manifest_bundle_bytes(made, ManifestContext(Terminology(), datetime(2026, 3, 10, 8, tzinfo=UTC)))


@dataclass(frozen=True)
class Registered:
    """The stack, the patient, and what the registry says of the manifest."""

    stack: Stack
    patient: SamplePatient
    base: str

    async def get(self, path: str, accept: str = ANY):
        """Status, headers and body of WADO-RS below the base of the study's endpoint."""
        async with self.stack.session.get(f"{self.base}{path}", headers={"Accept": accept}) as answer:
            return answer.status, answer.headers, await answer.read()

    async def images(self, path: str, accept: str = ANY):
        """Files by SOP Instance UID."""
        status, headers, body = await self.get(path, accept)
        assert status == 200, body
        return parts_of(headers, body)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def registered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fhir-manifest")
    for location, files in SERIES.values():
        place = folder / location
        place.mkdir(exist_ok=True)
        for sop, content in files.items():
            (place / f"{sop}.dcm").write_bytes(content)
    places = {BY_RAD69: (folder / BY_RAD69, "rad-69"), BY_WADO: (folder / BY_WADO, "wado-rs")}
    publish = {"defaults": DOCUMENT_DEFAULTS, "class_codes": CLASS_CODES_BY_TYPE}
    async with running_stack(folder / "stack", images=places, publish=publish) as stack:
        stack.interfere = None
        patient = a_patient()
        document = manifest_document(
            fhir_manifest(),
            MANIFEST,
            content_type=FHIR_JSON,
            format=FHIR_FORMAT,
            creation="2026-03-10T08:00:00Z",
        )
        status, answer = await stack.publish(provide_bundle([document], patient=patient))
        assert status == 200, answer
        status, bundle = await stack.get(
            "ImagingStudy",
            **{"patient.identifier": patient.token, "_include": "ImagingStudy:endpoint"},
        )
        assert status == 200, bundle
        addresses = {
            endpoint["address"]
            for endpoint in matches(bundle, "include")
            if endpoint["resourceType"] == "Endpoint"
            and endpoint["connectionType"]["code"] == "dicom-wado-rs"
        }
        (base,) = {address.rstrip("/") for address in addresses}
        yield Registered(stack, patient, f"{base}/studies/{STUDY}")


async def test_the_manifest_in_fhir_is_all_that_is_stored(registered):
    _, stored = fingerprint(registered.stack)
    assert [Path(file).read_bytes() for file in stored] == [fhir_manifest()]


async def test_the_study_comes_whole_from_both_sources_byte_for_byte(registered):
    assert await registered.images("") == FILES


@pytest.mark.parametrize("series", SERIES)
async def test_each_series_and_each_instance_comes_byte_for_byte(registered, series):
    _, files = SERIES[series]
    assert await registered.images(f"/series/{series}") == files
    for sop, content in files.items():
        status, headers, body = await registered.get(f"/series/{series}/instances/{sop}", "application/dicom")
        assert (status, body) == (200, content)
        syntax = EXPLICIT_LITTLE_ENDIAN if series == PLAIN else JPEG_LOSSLESS
        assert headers["Content-Type"] == f"application/dicom; transfer-syntax={syntax}"


@pytest.mark.parametrize("series", [LOSSLESS, LOSSLESS_ELSEWHERE])
async def test_lossless_images_go_to_those_who_accept_them_and_to_no_others(registered, series):
    accept = f"{RELATED}; transfer-syntax={JPEG_LOSSLESS}"
    assert await registered.images(f"/series/{series}", accept) == SERIES[series][1]
    either = f"{RELATED}; transfer-syntax={EXPLICIT_LITTLE_ENDIAN}, {accept}; q=0.5"
    assert await registered.images(f"/series/{series}", either) == SERIES[series][1]
    for other in (EXPLICIT_LITTLE_ENDIAN, "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.90"):
        status, _, body = await registered.get(f"/series/{series}", f"{RELATED}; transfer-syntax={other}")
        assert status == 406, body


async def test_of_a_mixed_study_those_in_an_accepted_syntax_come_with_a_warning(registered):
    status, headers, body = await registered.get("", f"{RELATED}; transfer-syntax={JPEG_LOSSLESS}")
    assert status == 206
    assert set(parts_of(headers, body)) == IN_LOSSLESS
    assert headers["Warning"].startswith("299 - ")


async def from_rad69(registered, syntaxes):
    """What a RAD-69 consumer in front of the gateway gets: files by UID, and errors by UID."""
    url = registered.stack.base_url.removesuffix("/fhir") + "/xds/imaging"
    wanted = [
        SeriesWanted(STUDY, series, tuple(files), RetrieveLocation(location))
        for series, (location, files) in SERIES.items()
    ]
    files, errors = {}, {}
    async with SoapClient(load_contract()) as soap:
        source = ImagingDocumentSource(soap, Peer("gateway", url))
        async with source.retrieve(wanted, syntaxes) as items:
            async for item in items:
                if isinstance(item, ImagePart):
                    files[item.sop_instance_uid] = b"".join([chunk async for chunk in item.chunks])
                else:
                    errors[item.sop_instance_uid] = item.code
    return files, errors


async def test_a_rad69_consumer_gets_the_same_bytes(registered):
    assert await from_rad69(registered, (JPEG_LOSSLESS, EXPLICIT_LITTLE_ENDIAN)) == (FILES, {})


async def test_a_rad69_consumer_gets_only_the_syntaxes_that_it_lists(registered):
    files, errors = await from_rad69(registered, (JPEG_LOSSLESS,))
    assert files == {sop: FILES[sop] for sop in IN_LOSSLESS}
    assert errors == {f"{PLAIN}.1": "urn:dicom:wado:0007"}
