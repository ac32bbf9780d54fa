"""The queries that the guides write out: HL7 Europe's narrative from report to images, and those of the national
contact points of MyHealth@EU.
"""

import json
from datetime import date

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.report_parts import ReportOrder
from gateway.demo.samples import ORGANIZATION

from .documents import a_document, a_patient
from .imaging import matches, published_study
from .reports import a_report, order_of, study_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

EU = "http://hl7.eu/fhir/health-data-api/CodeSystem/eehrxf-document-priority-category-cs"
LOINC = "http://loinc.org"
REPORT, MANIFEST = f"{LOINC}|85430-7", f"{LOINC}|18748-4"
SCT = "http://snomed.info/sct"
IMAGES = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def with_reason(content):
    bundle = json.loads(content)
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "ImagingStudy":
            entry["resource"]["reasonCode"] = [{"coding": [{"system": SCT, "code": "102588006"}]}]
    return json.dumps(bundle).encode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    async with published_study(tmp_path_factory.mktemp("queries"), "queries of guides") as running:
        patient, images = running.content.patient, running.content.images
        own = ReportOrder("FOOT-7", ORGANIZATION, "P-FOOT-7", ORGANIZATION)
        documents = [
            a_report("cardiac", patient, order_of(running.content), study_of(images), change=with_reason),
            a_report("foot", patient, own),
            a_document(),
        ]
        for bundle in (
            provide_bundle(documents, patient=patient),
            provide_bundle([a_document()], patient=a_patient()),
        ):
            status, answer = await running.stack.publish(bundle)
            assert status == 200, answer
        (known,) = matches(await running.search("Patient", identifier=patient.token))
        running.patient = f"Patient/{known['id']}"
        yield running


async def ask(published, kind, **parameters):
    named = {name.replace("__", "."): value for name, value in parameters.items()}
    status, bundle = await published.stack.get(kind, **named)
    assert status == 200, bundle
    assert not matches(bundle, "outcome") or kind != "ImagingStudy"
    return matches(bundle)


def kind_of(document):
    return document["type"]["coding"][0]["code"]


# --- the narrative of HL7 Europe ----------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["{uid}", "urn:oid:{uid}", "urn:dicom:uid|urn:oid:{uid}", "{accession}"])
@pytest.mark.parametrize(("category", "code"), [(REPORT, "85430-7"), (MANIFEST, "18748-4")])
async def test_documents_by_category_subject_and_study_or_accession(published, category, code, form):
    study = published.study
    value = form.format(uid=study.study_instance_uid, accession=study.accession)
    found = await ask(
        published, "DocumentReference", category=category, subject=published.patient, identifier=value
    )
    assert found
    assert {kind_of(document) for document in found} == {code}
    related = {i["identifier"]["value"] for d in found for i in d["context"]["related"]}
    assert f"urn:oid:{study.study_instance_uid}" in related


async def test_the_forms_of_the_capability_statements_give_the_same(published):
    narrative = await ask(published, "DocumentReference", category=REPORT, subject=published.patient)
    by_type = await ask(published, "DocumentReference", type=REPORT, patient=published.patient)
    assert narrative == by_type
    assert len(narrative) == 2
    both = await ask(
        published, "DocumentReference", category=f"{EU}|Medical-Imaging", patient=published.patient
    )
    assert {kind_of(document) for document in both} == {"85430-7", "18748-4"}


async def test_from_the_reports_to_the_images(published):
    """Reports -> report -> manifest by StudyInstanceUID -> address of the images -> DICOM."""
    reports = await ask(published, "DocumentReference", category=REPORT, subject=published.patient)
    bundles = []
    for report in reports:
        async with published.stack.session.get(report["content"][0]["attachment"]["url"]) as answer:
            bundles.append(await answer.json(content_type=None))
    studies = {
        identifier["value"]
        for bundle in bundles
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "ImagingStudy"
        for identifier in entry["resource"]["identifier"]
        if identifier["system"] == "urn:dicom:uid"
    }
    assert len(studies) == 2
    manifests = []
    for study in studies:
        manifests += await ask(
            published, "DocumentReference", category=MANIFEST, subject=published.patient, identifier=study,
            contenttype="application/fhir+json",
        )  # fmt: skip
    (manifest,) = manifests
    status, bundle = await published.stack.get(manifest["content"][0]["attachment"]["url"])
    assert (status, bundle["resourceType"]) == (200, "Bundle")
    endpoints = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Endpoint"]
    addresses = {e["address"] for e in endpoints if e["connectionType"]["code"] == "dicom-wado-rs"}
    assert addresses
    for address in addresses:
        status, _, body = await published.get(f"{address}/{published.path}", IMAGES)
        assert status in (200, 206)
        assert b"DICM" in body


# --- MyHealth@EU: the API of national contact points ----------------------------------------------------------
def year(published):
    return int(published.study.date[:4])


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ({"identifier": "urn:dicom:uid|urn:oid:{uid}"}, 1),
        ({"identifier": "urn:oid:2.999.404"}, 0),
        ({"modality": "CT"}, 1),
        ({"modality": "CT,MR"}, 2),
        ({"modality": "US"}, 0),
        ({"started": "ge{year}-01-01"}, None),
        ({"started": ["ge{year}-01-01", "le{year}-12-31"], "modality": "CT"}, 1),
        ({"started": ["ge1990-01-01", "le1990-12-31"]}, 0),
        ({"reason": f"{SCT}|102588006"}, 1),
        ({"reason": f"{SCT}|1"}, 0),
        ({"bodysite": f"{SCT}|56459004"}, 1),
        ({"dicom-class": "urn:oid:{sop_class}"}, 1),
        ({"dicom-class": "1.2.3"}, 0),
        ({"modality": "CT", "reason": "102588006", "started": "ge{year}", "dicom-class": "{sop_class}"}, 1),
    ],
)
async def test_imaging_studies_of_a_contact_point(published, parameters, count):
    values = {
        "uid": published.study.study_instance_uid,
        "year": year(published),
        "sop_class": published.study.series[0].images[0].sop_class_uid,
    }
    asked = {
        name: [v.format(**values) for v in value] if isinstance(value, list) else value.format(**values)
        for name, value in parameters.items()
    }
    token = published.content.patient.token
    found = await ask(published, "ImagingStudy", patient__identifier=token, **asked)
    by_reference = await ask(published, "ImagingStudy", patient=published.patient, **asked)
    assert found == by_reference
    assert len(found) == count if count is not None else found


@pytest.mark.parametrize(
    ("parameters", "codes"),
    [
        ({"type": REPORT}, ["85430-7"] * 2),
        ({"type": MANIFEST}, ["18748-4"] * 2),
        ({"type": f"{REPORT},{MANIFEST}"}, ["18748-4"] * 2 + ["85430-7"] * 2),
        ({"type": REPORT, "category": f"{EU}|Medical-Imaging"}, ["85430-7"] * 2),
        ({"type": MANIFEST, "contenttype": "application/dicom"}, ["18748-4"]),
        ({"type": MANIFEST, "contenttype": "application/fhir+json"}, ["18748-4"]),
        ({"type": REPORT, "date": f"ge{date.today().year - 1}"}, ["85430-7"] * 2),
        ({"type": REPORT, "date": "lt2000"}, []),
        ({"type": REPORT, "creation": "ge2025-05-08"}, ["85430-7"] * 2),
        ({"type": REPORT, "creation": "lt2025"}, []),
    ],
)
async def test_documents_of_a_contact_point(published, parameters, codes):
    token = published.content.patient.token
    found = await ask(published, "DocumentReference", patient__identifier=token, **parameters)
    assert sorted(map(kind_of, found)) == codes


async def test_a_patient_of_a_contact_point(published):
    patient = published.content.patient
    for parameters in (
        {"identifier": patient.token},
        {"name": patient.family, "birthdate": patient.birth_date, "gender": "female,male,other,unknown"},
        {"family": patient.family, "given": patient.given, "birthdate": patient.birth_date},
    ):
        found = await ask(published, "Patient", **parameters)
        assert patient.id in [p["identifier"][0]["value"] for p in found]


@pytest.mark.parametrize("level", ["study", "series", "instance"])
async def test_images_of_a_contact_point(published, level):
    series = published.study.series[0]
    path = {
        "study": published.path,
        "series": f"{published.path}/series/{series.series_instance_uid}",
        "instance": f"{published.path}/series/{series.series_instance_uid}/instances/{series.images[0].sop_instance_uid}",
    }[level]
    token = published.content.patient.token
    (study,) = await ask(published, "ImagingStudy", patient__identifier=token, modality="CT")
    bases = set()
    for each in study["series"]:
        if each["uid"] == series.series_instance_uid:
            for endpoint in each["endpoint"]:
                status, resource = await published.stack.get(endpoint["reference"])
                assert status == 200
                bases.add(resource["address"])
    for base in bases:
        status, headers, body = await published.get(f"{base}/{path}", IMAGES)
        assert status in (200, 206)
        assert headers["Content-Type"].startswith("multipart/related")
        assert b"DICM" in body


async def test_studies_by_qido_of_a_contact_point(published):
    patient = published.content.patient
    url = f"{published.stack.base_url}/dicomweb/studies?PatientID={patient.id}&IssuerOfPatientID={patient.authority}"
    status, _, body = await published.get(url, "application/dicom+json")
    assert status == 200
    assert published.study.study_instance_uid in {s["0020000D"]["Value"][0] for s in json.loads(body)}
