"""Publishing manifests (RAD-68 by ITI-65, ITI-105 and ITI-106): what is sent is read, compared with its metadata,
which it completes, and takes the place of the study's earlier manifest."""

import json
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from msgspec.structs import replace

from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import CLASS_CODES_BY_TYPE, DOCUMENT_DEFAULTS, SampleCode, SampleReferenceId
from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from gateway.fhir.formats import FhirFormat
from gateway.fhir.manifest_bundle import manifest_bundle_bytes
from gateway.fhir.manifest_read import read_manifest
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model.imaging import IssuedId, Issuer, LocalTime
from tests.dicom.oracle import ORACLE_FILES, oracle
from tests.dicom.samples import CHEST, group_case
from tests.fhir.manifest_samples import CONTEXT

from .documents import a_patient
from .imaging import matches, published_study
from .manifests import DICOM, FHIR_FORMAT, FHIR_JSON, FHIR_XML, manifest_document
from .publishing import warnings_of
from .stack import running_stack
from .tables import fingerprint
from .test_generate_metadata import binary, generated, operate
from .test_generate_metadata import parameters as of_operation
from .test_images import images
from .test_simplified_publish import post, simplified

pytestmark = pytest.mark.asyncio(loop_scope="module")

DCM = "http://dicom.nema.org/resources/ontology/DCM"
STARTED = "2026-03-10T07:00:00Z"


@asynccontextmanager
async def domain(folder, **imaging):
    publish = {"defaults": DOCUMENT_DEFAULTS, "class_codes": CLASS_CODES_BY_TYPE}
    async with running_stack(folder, imaging=imaging, publish=publish) as stack:
        stack.interfere = None
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    async with domain(tmp_path_factory.mktemp("manifests")) as running:
        yield running


def manifest(number, **changes):
    """The group case under an instance UID of its own, with other things changed."""
    made = group_case()
    study = replace(made.study, study_instance_uid=f"2.999.7.{number}.1", **changes)
    return replace(made, sop_instance_uid=f"2.999.7.{number}.4.1", study=study)


def as_document(made, **changes):
    return manifest_document(write_kos(made), **{"unique_id": made.sop_instance_uid, **changes})


def as_fhir(stored, unique_id, **changes):
    return manifest_document(stored, unique_id, content_type=FHIR_JSON, format=FHIR_FORMAT, **changes)


async def in_fhir(stack, patient, made):
    """The FHIR manifest that the gateway makes of one that was published."""
    (found,) = await stack.find(
        patient__identifier=patient.token, status="current", contenttype=FHIR_JSON, identifier=made
    )
    return (await stack.download(found))[2]


async def current(stack, patient, **parameters):
    return await stack.find(patient__identifier=patient.token, status="current", **parameters)


# --- metadata ---------------------------------------------------------------------------------------------------
async def test_what_the_client_leaves_out_is_taken_from_the_manifest(stack):
    """R40, R41, R46: study, both accession numbers, placer order, modalities of both levels, regions, time."""
    patient, made = a_patient(), manifest(1)
    status, answer = await stack.publish(provide_bundle([as_document(made)], patient=patient))
    assert status == 200, answer
    assert not [issue for issue in warnings_of(answer) if issue["severity"] == "warning"]
    stack.soap_calls.clear()
    for parameters in (
        {"study-instance-uid": made.study.study_instance_uid},
        {"accession-number": f"urn:oid:2.999.5.1|{made.study.requests[0].accession.value}"},
        {"accession-number": f"urn:oid:2.999.5.1|{made.study.requests[1].accession.value}"},
        {"related:identifier": "urn:oid:2.999.5.2|ORDER-7"},
        {"modality": "KO"},
        {"period": "ge2026-03-10", "date": "ge2000"},
    ):
        assert len(await current(stack, patient, **parameters)) == 2, parameters
    assert stack.soap_calls["/xds/repository"] == 0, "the entry says it all"


CONTRADICTIONS = {
    "study": (
        {"reference_ids": (SampleReferenceId(value="2.999.404", type=codes.REFERENCE_STUDY),)},
        "context.related",
    ),
    "accession": (
        {
            "reference_ids": (
                SampleReferenceId(value="A-404", type=codes.REFERENCE_ACCESSION, authority="2.999.5.1"),
            )
        },
        "context.related",
    ),
    "modality": ({"events": (SampleCode(DCM, "US", "Ultrasound"),)}, "extension"),
    "region": ({"events": (SampleCode("http://snomed.info/sct", "774007", "Head"),)}, "extension"),
    "time": ({"period": ("2020-03-10T07:00:00Z", "2020-03-10T07:20:00Z")}, "context.period.start"),
    "uniqueId": ({"unique_id": "2.999.404.1"}, "masterIdentifier"),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
async def test_a_contradiction_is_refused_and_nothing_is_stored(stack, what):
    changes, element = CONTRADICTIONS[what]
    made = manifest(2, regions=(CHEST,))
    patient = a_patient()
    before = fingerprint(stack)
    status, outcome = await stack.publish(
        provide_bundle([as_document(made, **{"period": None, **changes})], patient=patient)
    )
    assert status == 422, outcome
    (issue,) = [i for i in outcome["issue"] if i["severity"] == "error"]
    assert issue["expression"] == [f"Bundle.entry[1].resource.{element}"]
    for value in ("404", patient.id, "2020", "774007"):
        assert value not in issue["diagnostics"]
    assert fingerprint(stack) == before


@pytest.mark.parametrize(
    ("content", "changes"),
    [
        (b"no dicom", {}),
        (b"{}", {"content_type": FHIR_JSON, "format": FHIR_FORMAT}),
        (b"{}", {"content_type": "text/plain"}),
        (write_kos(group_case()), {"format": FHIR_FORMAT, "unique_id": group_case().sop_instance_uid}),
    ],
    ids=["DICOM", "FHIR", "neither", "one as the other"],
)
async def test_what_cannot_be_read_is_refused(stack, content, changes):
    document = manifest_document(content, **{"unique_id": "2.999.7.3.1", **changes})
    status, outcome = await stack.publish(provide_bundle([document], patient=a_patient()))
    assert status == 422, outcome
    assert "manifest" in outcome["issue"][0]["diagnostics"]


async def test_with_flag_both_are_stored_with_a_warning(tmp_path):
    async with domain(tmp_path, check="flag") as stack:
        patient = a_patient()
        wrong = as_document(manifest(4), events=(SampleCode(DCM, "US", "Ultrasound"),))
        unread = manifest_document(b"no dicom", "2.999.7.5.1")
        status, answer = await stack.publish(provide_bundle([wrong, unread], patient=patient))
        assert status == 200, answer
        assert [i["expression"] for i in warnings_of(answer) if i["severity"] == "warning"] == [
            ["Bundle.entry[1].resource.extension"],
            ["Bundle.entry[2].resource.content"],
        ]
        assert len(await current(stack, patient, contenttype=DICOM)) == 2


# --- earlier manifests ------------------------------------------------------------------------------------------
async def test_a_manifest_replaces_the_earlier_one_of_its_study(stack):
    """R29, R80."""
    patient, first = a_patient(), manifest(6)
    _, answer = await stack.publish(provide_bundle([as_document(first)], patient=patient))
    (old,) = await current(stack, patient, contenttype=DICOM)
    other = manifest(7)
    await stack.publish(provide_bundle([as_document(other)], patient=patient))
    second = replace(
        first,
        sop_instance_uid="2.999.7.6.4.2",
        study=replace(first.study, series=first.study.series[:2]),
        created=LocalTime("20260311", "0930", "+0100"),
    )
    bundle = provide_bundle([as_document(second)], patient=patient)
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    uid = first.study.study_instance_uid
    now = await current(stack, patient, **{"study-instance-uid": uid})
    assert {f["masterIdentifier"]["value"] for f in now} == {"urn:oid:2.999.7.6.4.2"}
    (kos,) = [f for f in now if f["content"][0]["attachment"]["contentType"] == DICOM]
    assert {"code": "replaces", "target": {"reference": f"DocumentReference/{old['id']}"}} in kos["relatesTo"]
    before = await stack.find(patient__identifier=patient.token, status="superseded")
    assert {f["masterIdentifier"]["value"] for f in before} == {f"urn:oid:{first.sop_instance_uid}"}
    assert (await stack.download(old))[0] == 200
    _, studies = await stack.get("ImagingStudy", **{"patient.identifier": patient.token, "identifier": uid})
    (study,) = matches(studies)
    assert len(study["series"]) == 2
    assert len(await current(stack, patient, contenttype=DICOM)) == 2, "another study has another manifest"
    again = await stack.publish(bundle)
    assert again == (200, answer)


async def test_a_domain_may_keep_both(tmp_path):
    async with domain(tmp_path, replaces=False) as stack:
        patient, made = a_patient(), manifest(8)
        for number in (1, 2):
            one = replace(made, sop_instance_uid=f"2.999.7.8.4.{number}")
            status, _ = await stack.publish(provide_bundle([as_document(one)], patient=patient))
            assert status == 200
        assert len(await current(stack, patient, contenttype=DICOM)) == 2


# --- formats ----------------------------------------------------------------------------------------------------
async def test_a_fhir_manifest_is_served_as_it_is_and_as_key_object_document(stack):
    patient, made = a_patient(), manifest(9)
    await stack.publish(provide_bundle([as_document(made)], patient=patient))
    content = await in_fhir(stack, patient, f"urn:oid:{made.sop_instance_uid}")
    another = a_patient()
    document = as_fhir(content, made.sop_instance_uid + ".7", title="FHIR")
    status, answer = await stack.publish(provide_bundle([document], patient=another))
    assert status == 200, answer
    found = await current(stack, another, **{"study-instance-uid": made.study.study_instance_uid})
    (fhir,) = [f for f in found if f["content"][0]["attachment"]["contentType"] == FHIR_JSON]
    (kos,) = [f for f in found if f["content"][0]["attachment"]["contentType"] == DICOM]
    assert kos["id"] == f"{fhir['id']}-kos"
    assert (await stack.download(fhir))[2] == content
    status, headers, stored = await stack.download(kos)
    assert (status, headers["Content-Type"]) == (200, DICOM)
    assert read_kos(stored).manifest.study.study_instance_uid == made.study.study_instance_uid
    assert (await stack.download(fhir, Accept=DICOM))[2] == stored
    status, headers, xml = await stack.download(fhir, Accept="application/fhir+xml")
    assert (status, xml[:1]) == (200, b"<")
    _, studies = await stack.get("ImagingStudy", **{"patient.identifier": another.token})
    (study,) = matches(studies)
    assert len(study["series"]) == len(made.study.series)


async def test_a_domain_of_key_object_documents_gets_them(tmp_path, stack):
    patient, made = a_patient(), manifest(10)
    await stack.publish(provide_bundle([as_document(made)], patient=patient))
    content = await in_fhir(stack, patient, f"urn:oid:{made.sop_instance_uid}")
    for publish, registered in (("kos", {DICOM}), ("both", {DICOM, FHIR_JSON})):
        async with domain(tmp_path / publish, publish=publish, twins=False) as other:
            document = as_fhir(content, made.sop_instance_uid)
            status, answer = await other.publish(provide_bundle([document], patient=patient))
            assert status == 200, answer
            found = await current(other, patient)
            assert {f["content"][0]["attachment"]["contentType"] for f in found} == registered
            (kos,) = [f for f in found if f["content"][0]["attachment"]["contentType"] == DICOM]
            status, _, stored = await other.download(kos)
            assert status == 200
            read = read_kos(stored).manifest
            assert f"urn:oid:{read.sop_instance_uid}" == kos["masterIdentifier"]["value"]
            assert read.study.study_instance_uid == made.study.study_instance_uid
            assert sum("transforms" in str(f.get("relatesTo")) for f in found) == len(registered) - 1


async def test_by_simplified_publish_and_by_what_the_document_says(stack):
    patient, made = a_patient(), manifest(11)
    status, _, created = await post(stack, simplified(patient, as_document(made)))
    assert status == 201, created
    assert made.study.study_instance_uid in str(created["context"]["related"])
    assert len(await current(stack, patient, modality="CT")) == 2
    status, _, outcome = await post(
        stack, simplified(patient, as_document(manifest(12), events=(SampleCode(DCM, "US", "Ultrasound"),)))
    )
    assert status == 422, outcome


async def test_images_can_be_asked_for_by_study_at_once(tmp_path):
    async with published_study(tmp_path, "published images") as published:
        url = f"{published.stack.base_url}/dicomweb/{published.path}"
        published.stack.soap_calls.clear()
        assert await images(published, url) == published.files
        assert published.stack.soap_calls["/xds/registry"] == 0


@pytest.mark.parametrize("name", ORACLE_FILES)
async def test_files_of_others_are_published_and_converted_back(stack, name):
    content = oracle(name)
    read = read_kos(content).manifest
    patient = a_patient()
    document = manifest_document(content, read.sop_instance_uid, period=None)
    status, answer = await stack.publish(provide_bundle([document], patient=patient))
    assert status == 200, answer
    found = await current(stack, patient, **{"study-instance-uid": read.study.study_instance_uid})
    assert len(found) == 2
    for shown in found:
        status, headers, body = await stack.download(shown)
        assert status == 200
        if headers["Content-Type"] == DICOM:
            assert body == content
        else:
            back = read_manifest(body, Terminology()).manifest
            assert [s.series_instance_uid for s in back.study.series] == [
                s.series_instance_uid for s in read.study.series
            ]


# --- what the document says -------------------------------------------------------------------------------------
def of_patient(made, patient):
    """The manifest of a patient whom the domain knows by the same number."""
    ids = (IssuedId(patient.id, Issuer(None, patient.authority, "ISO")),)
    study = replace(made.study, patient=replace(made.study.patient, ids=ids))
    return replace(made, study=study)


@pytest.mark.parametrize("form", [DICOM, FHIR_JSON, FHIR_XML, "Bundle"])
async def test_metadata_are_made_from_the_manifest_alone(stack, form):
    """ITI-106: study, numbers, modalities, regions, times, patient and author, and images by study."""
    number = {DICOM: 41, FHIR_JSON: 42, FHIR_XML: 43, "Bundle": 44}[form]
    patient = a_patient()
    made = of_patient(manifest(number), patient)
    written = {
        DICOM: lambda: write_kos(made),
        FHIR_JSON: lambda: manifest_bundle_bytes(made, CONTEXT),
        FHIR_XML: lambda: manifest_bundle_bytes(made, CONTEXT, FhirFormat.XML),
    }
    content = written.get(form, written[FHIR_JSON])()
    body = of_operation(json.loads(content)) if form == "Bundle" else binary(content, form)
    found = await generated(stack, body)
    assert found["masterIdentifier"]["value"] == f"urn:oid:{made.sop_instance_uid}"
    assert found["type"]["coding"][0]["code"] == "18748-4"
    assert found["category"][0]["coding"][0]["code"] == "Medical-Imaging"
    assert found["content"][0]["attachment"]["title"] == "CT Thorax"
    assert found["content"][0]["attachment"]["creation"] == "2026-03-10T08:30:00Z"
    assert found["context"]["period"]["start"] == "2026-03-10T07:00:00Z"
    assert "Example Hospital" in {c.get("name") for c in found["contained"] if isinstance(c.get("name"), str)}
    numbers = {r["identifier"]["value"].removeprefix("urn:oid:") for r in found["context"]["related"]}
    assert numbers == {made.study.study_instance_uid, "A-1", "A-2", "ORDER-7"}
    for parameter in ({"modality": "KO"}, {"bodysite": "67734004"}, {"accession-number": "A-2"}):
        shown = await current(stack, patient, **parameter)
        types = sorted(f["content"][0]["attachment"]["contentType"] for f in shown)
        assert types == sorted({DICOM, FHIR_XML if form == FHIR_XML else FHIR_JSON})
    _, _, stored = await stack.download(found)
    if form == "Bundle":
        assert json.loads(stored) == json.loads(content)
    else:
        assert stored == content
    _, studies = await stack.get("ImagingStudy", **{"patient.identifier": patient.token})
    (study,) = matches(studies)
    assert study["numberOfSeries"] == len(made.study.series)


async def test_a_manifest_without_what_xds_requires_is_refused_by_name(stack):
    patient = a_patient()
    made = of_patient(manifest(45), patient)
    nobody = replace(made, study=replace(made.study, patient=replace(made.study.patient, ids=())))
    before = fingerprint(stack)
    for content, form, expected in (
        (write_kos(nobody), DICOM, "patientId"),
        (manifest_bundle_bytes(nobody, CONTEXT), FHIR_JSON, "patientId"),
        (write_kos(made)[:300], DICOM, "key object document"),
        (b"DICM", DICOM, "key object document"),
    ):
        status, outcome = await operate(stack, binary(content, form))
        assert status == 422, outcome
        assert any(expected in issue["diagnostics"] for issue in outcome["issue"]), outcome
        assert "Müller" not in str(outcome)
    assert fingerprint(stack) == before


async def test_a_manifest_by_its_own_metadata_replaces_the_earlier_one(stack):
    patient = a_patient()
    first = of_patient(manifest(46), patient)
    second = replace(first, sop_instance_uid=f"{first.sop_instance_uid}.2")
    old = await generated(stack, binary(write_kos(first), DICOM))
    new = await generated(stack, binary(write_kos(second), DICOM))
    assert {"code": "replaces", "target": {"reference": f"DocumentReference/{old['id']}"}} in new["relatesTo"]
    (superseded,) = [
        f
        for f in await stack.find(patient__identifier=patient.token, status="superseded")
        if f["content"][0]["attachment"]["contentType"] == DICOM
    ]
    assert superseded["id"] == old["id"]
