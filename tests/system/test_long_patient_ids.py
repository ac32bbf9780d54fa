"""Patients whose identifiers are too long for an id of FHIR to carry them: what was handed out about their
studies still leads there when nothing is remembered, and when another manifest has taken the place of the one
before.
"""

import pytest
import pytest_asyncio
from msgspec.structs import replace

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION
from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos

from .documents import a_patient
from .imaging import matches
from .manifests import manifest_document
from .reports import a_report, order_of, study_of
from .stack import beside, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
TYPES = ("ImagingStudy", "Endpoint", "ServiceRequest", "Provenance")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    images = sample_content("long", "any").images.write(folder / "images")
    locations = {uid: (images[uid], "wado-rs") for uid in (FIRST_LOCATION, SECOND_LOCATION)}
    async with running_stack(folder / "stack", images=locations) as running:
        yield running


async def published(stack, *documents, patient):
    status, answer = await stack.publish(provide_bundle(documents, patient=patient))
    assert status == 200, answer


def long_patient():
    return a_patient("of-a-country-whose-identifiers-are-long-" * 3)


async def handed_out(stack, patient, *types):
    """The resources of the study by their URLs."""
    found = {}
    for kind in types or TYPES:
        _, bundle = await stack.get(kind, **{"patient.identifier": patient.token})
        assert matches(bundle), kind
        found |= {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    return found


def without_times(resource):
    return {name: value for name, value in resource.items() if name != "recorded"}


async def test_every_id_leads_to_its_resource_where_nothing_is_remembered(stack, tmp_path):
    patient = long_patient()
    content = sample_content("long study", patient.id)
    await published(stack, content.manifest, patient=content.patient)
    found = await handed_out(stack, content.patient)
    assert not [url for url in found if "/s-" in url]
    async with beside(stack, tmp_path) as other:
        for url, resource in found.items():
            kind_and_id = "/".join(url.split("/")[-2:])
            status, again = await other.get(kind_and_id)
            assert (status, without_times(again)) == (200, without_times(resource)), kind_and_id


async def test_an_id_leads_to_the_study_also_when_another_manifest_replaces_the_one_before(stack, tmp_path):
    patient = long_patient()
    content = sample_content("replaced study", patient.id)
    manifest = read_kos(content.manifest.content).manifest
    first, second = (replace(manifest, sop_instance_uid=f"2.999.81.{number}") for number in (1, 2))
    document = manifest_document(write_kos(first), first.sop_instance_uid, period=None)
    await published(stack, document, patient=content.patient)
    before = await handed_out(stack, content.patient)
    document = manifest_document(
        write_kos(second), second.sop_instance_uid, period=None, creation="2024-03-11T07:25:00Z"
    )
    await published(stack, document, patient=content.patient)
    after = await handed_out(stack, content.patient)
    async with beside(stack, tmp_path) as other:
        for url in [*before, *after]:
            kind, resource_id = url.split("/")[-2:]
            if kind == "Provenance" and url in before:
                # it is about the manifest that was replaced
                continue
            status, resource = await other.get(f"{kind}/{resource_id}")
            assert (status, resource.get("id")) == (200, resource_id), (kind, resource)


async def test_a_report_and_the_manifest_of_a_study_make_one_study(stack, tmp_path):
    patient = long_patient()
    content = sample_content("reported study", patient.id)
    report = a_report("cardiac", content.patient, order_of(content), study_of(content.images))
    await published(stack, report, patient=content.patient)
    (told,) = await handed_out(stack, content.patient, "ImagingStudy")
    await published(stack, content.manifest, patient=content.patient)
    (study,) = await handed_out(stack, content.patient, "ImagingStudy")
    _, bundle = await stack.get("DiagnosticReport", **{"patient.identifier": content.patient.token})
    (diagnosis,) = matches(bundle)
    named = [reference["reference"] for reference in diagnosis["imagingStudy"]]
    async with beside(stack, tmp_path) as other:
        for reference in ["/".join(url.split("/")[-2:]) for url in (told, study)] + named:
            status, resource = await other.get(reference)
            assert (status, resource["identifier"][0]["value"]) == (
                200,
                f"urn:oid:{content.images.study_instance_uid}",
            )
