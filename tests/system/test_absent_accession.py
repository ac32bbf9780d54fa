"""Studies that nobody has given an accession number: where the settings name an issuer, metadata, manifests in both
formats and resources have the same one (R46)."""

import json

import pytest
import pytest_asyncio
from msgspec.structs import replace

from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import CLASS_CODES_BY_TYPE, DOCUMENT_DEFAULTS
from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from gateway.fhir.manifest_bundle import manifest_bundle_bytes
from gateway.fhir.manifest_read import read_manifest
from gateway.fhir.terminology import Terminology
from gateway.imaging.accessions import Accessions
from gateway.model import ReferenceId, codes
from gateway.model.imaging import ImagingRequest, IssuedId, Issuer
from tests.dicom.samples import group_case
from tests.fhir.manifest_samples import CONTEXT

from .documents import a_patient
from .imaging import matches
from .manifests import DICOM, FHIR_FORMAT, FHIR_JSON, legacy_entry, manifest_document, register
from .stack import running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUTHORITY = "2.999.90"
PUBLISH = {"defaults": DOCUMENT_DEFAULTS, "class_codes": CLASS_CODES_BY_TYPE}
MADE = Accessions(AUTHORITY)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["as_sent", "kos", "both"])
async def stack(request, tmp_path_factory):
    imaging = {"accession_authority": AUTHORITY, "publish": request.param}
    folder = tmp_path_factory.mktemp(request.param)
    async with running_stack(folder, imaging=imaging, publish=PUBLISH) as running:
        running.interfere = None
        running.stored_as = request.param
        yield running


def a_manifest(number):
    """A study of one order, of which nobody says an accession number."""
    made = group_case()
    uid = f"2.999.7.46.{number}.1"
    requests = (ImagingRequest(placer=IssuedId("ORDER-7", Issuer(None, "2.999.5.2", "ISO"))),)
    study = replace(made.study, study_instance_uid=uid, requests=requests)
    return replace(made, sop_instance_uid=f"2.999.7.46.{number}.4.1", study=study)


def numbers_of(content):
    read = read_kos(content) if content[128:132] == b"DICM" else read_manifest(content, Terminology())
    return [request.accession for request in read.manifest.study.requests]


async def test_what_is_published_without_has_one_in_metadata_and_both_formats(stack):
    for number, form in ((1, DICOM), (2, FHIR_JSON)):
        patient, manifest = a_patient(), a_manifest(number)
        made = MADE.made(manifest.study.study_instance_uid)
        changes = {} if form == DICOM else {"content_type": FHIR_JSON, "format": FHIR_FORMAT}
        sent = write_kos(manifest) if form == DICOM else manifest_bundle_bytes(manifest, CONTEXT)
        document = manifest_document(sent, manifest.sop_instance_uid, **changes)
        status, answer = await stack.publish(provide_bundle([document], patient=patient))
        assert status == 200, answer
        found = await stack.find(
            patient__identifier=patient.token,
            status="current",
            **{"accession-number": f"urn:oid:{AUTHORITY}|{made.value}"},
        )
        assert sorted(f["content"][0]["attachment"]["contentType"] for f in found) == [DICOM, FHIR_JSON]
        for shown in found:
            related = [r["identifier"] for r in shown["context"]["related"]]
            assert {"system": f"urn:oid:{AUTHORITY}", "value": made.value}.items() <= next(
                i for i in related if i["value"] == made.value
            ).items()
            _, _, content = await stack.download(shown)
            # what a client sent is stored byte for byte
            kept = content == sent
            assert numbers_of(content) == [None if kept else made]
        status, bundle = await stack.get(
            "ServiceRequest",
            **{"patient.identifier": patient.token, "identifier": f"urn:oid:{AUTHORITY}|{made.value}"},
        )
        assert (status, len(matches(bundle))) == (200, 1), bundle
        url = f"{stack.base_url}/dicomweb/studies"
        asked = {
            "PatientID": patient.id,
            "IssuerOfPatientID": patient.authority,
            "AccessionNumber": made.value,
        }
        async with stack.session.get(url, params=asked) as answer:
            (item,) = json.loads(await answer.read())
        assert item["00080050"]["Value"] == [made.value]


@pytest.mark.parametrize("named", [True, False], ids=["its own", "a made one"])
async def test_an_older_manifest_has_the_number_of_its_entry_or_a_made_one(stack, named):
    patient, manifest = a_patient(), a_manifest(10 + named)
    content = write_kos(manifest)
    expected = MADE.made(manifest.study.study_instance_uid)
    references = ()
    if named:
        expected = IssuedId("RIS-9", Issuer(None, "2.999.5.1", "ISO"))
        references = (ReferenceId("RIS-9", "2.999.5.1", codes.REFERENCE_ACCESSION),)
    entry = legacy_entry(patient, content, manifest.sop_instance_uid, reference_ids=references)
    await register(stack, (entry, content))
    found = await stack.find(
        patient__identifier=patient.token,
        status="current",
        **{"accession-number": f"urn:oid:{expected.issuer.oid}|{expected.value}"},
    )
    by_type = {f["content"][0]["attachment"]["contentType"]: f for f in found}
    assert set(by_type) == {DICOM, FHIR_JSON}
    assert (await stack.download(by_type[DICOM]))[2] == content
    assert numbers_of((await stack.download(by_type[FHIR_JSON]))[2]) == [expected]


async def test_nothing_is_made_where_the_settings_name_no_issuer(tmp_path):
    patient, manifest = a_patient(), a_manifest(20)
    async with running_stack(tmp_path, publish=PUBLISH) as stack:
        document = manifest_document(write_kos(manifest), manifest.sop_instance_uid)
        status, answer = await stack.publish(provide_bundle([document], patient=patient))
        assert status == 200, answer
        for shown in await stack.find(patient__identifier=patient.token, status="current"):
            kinds = {
                c["code"]
                for r in shown["context"]["related"]
                for c in r["identifier"].get("type", {}).get("coding", ())
            }
            assert codes.REFERENCE_ORDER in kinds
            assert codes.REFERENCE_ACCESSION not in kinds
            assert numbers_of((await stack.download(shown))[2]) == [None]
