"""What the guides ask of a server that holds imaging reports, requirement by requirement, where no other module
shows it in full.
"""

import json
import re

import pytest
import pytest_asyncio
from fhir.resources.composition import Composition as R5_MODEL
from fhir.resources.R4B.composition import Composition as R4_MODEL

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.model import codes

from .documents import a_patient
from .imaging import matches, published_study
from .reports import a_report, order_of, study_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

FHIR_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
KINDS = (
    *("DiagnosticReport", "Composition", "Observation", "Procedure", "ServiceRequest", "Condition", "Device"),
    *("Basic", "ImagingStudy"),
)
EVERYTHING = {"_include": "*", "_include:iterate": "*", "_revinclude": "*"}
NOTE = {
    "url": codes.EXT_R5 + "DiagnosticReport.note",
    "valueAnnotation": {"text": "Discussed with the referring physician."},
}


def with_note(content):
    bundle = json.loads(content)
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "DiagnosticReport":
            entry["resource"]["extension"].append(NOTE)
    return json.dumps(bundle).encode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    async with published_study(tmp_path_factory.mktemp("required"), "required of reports") as running:
        patient, images = running.content.patient, running.content.images
        order = order_of(running.content)
        running.order = order
        documents = [
            a_report("cardiac", patient, order, study_of(images), change=with_note),
            a_report("minimal", patient, order, study_of(images), number="M"),
        ]
        status, answer = await running.stack.publish(provide_bundle(documents, patient=patient))
        assert status == 200, answer
        yield running


async def found(published, kind, **parameters):
    return await published.search(
        kind, **{"patient.identifier": published.content.patient.token, **parameters}
    )


# --- Provenance of what is derived ----------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
async def test_every_derived_resource_leads_to_a_document_by_its_provenance(published, kind):
    resources = matches(await found(published, kind))
    assert resources
    for resource in resources:
        provenances = matches(await found(published, "Provenance", target=f"{kind}/{resource['id']}"))
        assert provenances
        for provenance in provenances:
            for entity in provenance["entity"]:
                status, document = await published.stack.get(entity["what"]["reference"])
                assert (status, document["resourceType"]) == (200, "DocumentReference")
                assert document["subject"]["identifier"]["value"] == published.content.patient.id


# --- a report that is a PDF -------------------------------------------------------------------------------------
async def test_a_pdf_is_in_the_report_and_in_no_document_of_its_own(published):
    documents = await published.stack.find(
        patient__identifier=published.content.patient.token, status="current", type="85430-7"
    )
    assert len(documents) == 2
    assert {d["content"][0]["attachment"]["contentType"] for d in documents} == {"application/fhir+json"}
    everything = await published.stack.find(
        patient__identifier=published.content.patient.token, status="current"
    )
    assert not [d for d in everything if d["content"][0]["attachment"]["contentType"] == "application/pdf"]
    number = f"M-{published.study.accession}"
    (report,) = matches(await found(published, "DiagnosticReport", identifier=number))
    assert report["presentedForm"][0]["contentType"] == "application/pdf"


# --- report <-> manifest ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "parameters",
    [
        {"study-instance-uid": "urn:oid:{uid}"},
        {"accession-number": "urn:oid:{issuer}|{accession}"},
        {"related:identifier": "urn:oid:{issuer}|{accession}"},
        {"related:identifier": "urn:oid:{placer_issuer}|{placer}"},
        {"related:identifier": "urn:dicom:uid|urn:oid:{uid}"},
    ],
)
async def test_study_accession_and_placer_number_lead_to_reports_and_manifest_in_one_query(
    published, parameters
):
    order = published.order
    values = {
        "uid": published.study.study_instance_uid,
        "issuer": order.accession_authority,
        "accession": order.accession,
        "placer_issuer": order.placer_authority,
        "placer": order.placer,
    }
    asked = {name: value.format(**values) for name, value in parameters.items()}
    before = published.stack.soap_calls["/xds/registry"]
    bundle = await found(published, "DocumentReference", status="current", **asked)
    types = sorted(d["type"]["coding"][0]["code"] for d in matches(bundle))
    assert types == ["18748-4", "18748-4", "85430-7", "85430-7"], "the manifest in both of its formats"
    # by reference, by manifests whose entries may not say it, and for the relations of the page
    assert published.stack.soap_calls["/xds/registry"] - before == 3
    elsewhere = {
        name: value.replace(order.accession, "404").replace(order.placer, "404")
        for name, value in asked.items()
    }
    if elsewhere != asked:
        assert not matches(await found(published, "DocumentReference", status="current", **elsewhere))


async def test_a_minimal_report_alone_leads_to_a_manifest_that_comes_later(tmp_path):
    """Its study and order are named by identifier, before and after the gateway knows the manifest."""
    async with published_study(tmp_path, "manifest that comes later") as running:
        content = sample_content("comes later", a_patient().id)
        order, images, patient = order_of(content), content.images, content.patient
        report = a_report("minimal", patient, order, study_of(images))
        status, answer = await running.stack.publish(provide_bundle([report], patient=patient))
        assert status == 200, answer
        asked = {"patient.identifier": patient.token, "_include": "DiagnosticReport:study"}
        bundle = await running.search("DiagnosticReport", **asked)
        (alone,) = matches(bundle)
        assert "reference" not in alone["imagingStudy"][0]
        assert not matches(bundle, "include")
        status, answer = await running.stack.publish(provide_bundle([content.manifest], patient=patient))
        assert status == 200, answer
        bundle = await running.search("DiagnosticReport", **asked)
        (led,) = matches(bundle)
        (study,) = matches(bundle, "include")
        assert led["imagingStudy"][0]["reference"] == f"ImagingStudy/{study['id']}"
        assert led["id"] == alone["id"]


# --- what survives ----------------------------------------------------------------------------------------------
async def test_dose_and_note_are_as_the_report_says_on_both_bases(published):
    (dose,) = matches(await found(published, "Observation", code="73569-6"))
    assert dose["valueString"] == "CTDIvol 6.2 mGy, DLP 118 mGy.cm"
    (report,) = matches(await found(published, "DiagnosticReport", code="58744-4"))
    assert NOTE in report["extension"]
    for kind, resource in (("Observation", dose), ("DiagnosticReport", report)):
        status, in_r5 = await published.stack.get(f"R5/{kind}/{resource['id']}")
        assert status == 200
        if kind == "Observation":
            assert in_r5["valueString"] == dose["valueString"]
        else:
            assert in_r5["note"] == [NOTE["valueAnnotation"]]
            assert NOTE not in in_r5.get("extension", ())


# --- ids ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
async def test_every_id_is_one_of_fhir_and_of_one_resource(published, kind):
    bundle = await found(published, kind, **EVERYTHING)
    named = {}
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] == "OperationOutcome":
            continue
        assert FHIR_ID.fullmatch(resource["id"]), resource["resourceType"]
        assert entry["fullUrl"] == f"{published.stack.base_url}/{resource['resourceType']}/{resource['id']}"
        assert named.setdefault(entry["fullUrl"], resource) == resource
        for held in resource.get("contained", ()):
            assert FHIR_ID.fullmatch(held["id"])


# --- what has no address of its own ---------------------------------------------------------------------------
KEY_IMAGE, PICTURED = (f"urn:uuid:00000000-0000-4000-8000-00000000000{n}" for n in (1, 2))


def with_key_image(content):
    """A report whose findings have a key image as DocumentReference, which relates to another one."""
    bundle = json.loads(content)
    held = {e["resource"]["resourceType"]: e for e in bundle["entry"]}
    content = [{"attachment": {"contentType": "image/png", "data": "AAAA"}}]
    common = {"resourceType": "DocumentReference", "status": "current", "content": content}
    subject = {"subject": {"reference": held["Patient"]["fullUrl"]}}
    related = {"related": [{"reference": held["ImagingStudy"]["fullUrl"]}]}
    for url, more in (
        (
            KEY_IMAGE,
            {"context": related, "relatesTo": [{"code": "transforms", "target": {"reference": PICTURED}}]},
        ),
        (PICTURED, {"relatesTo": [{"code": "transforms", "target": {"reference": KEY_IMAGE}}]}),
    ):
        bundle["entry"].append({"fullUrl": url, "resource": {**common, **subject, **more}})
    findings = next(
        s for s in held["Composition"]["resource"]["section"] if s["code"]["coding"][0]["code"] == "59776-5"
    )
    findings["entry"].append({"reference": KEY_IMAGE})
    return json.dumps(bundle).encode()


async def test_a_key_image_is_contained_in_what_refers_to_it(tmp_path):
    async with published_study(tmp_path, "key images") as running:
        patient, images = running.content.patient, running.content.images
        report = a_report(
            "cardiac", patient, order_of(running.content), study_of(images), change=with_key_image
        )
        status, answer = await running.stack.publish(provide_bundle([report], patient=patient))
        assert status == 200, answer
        asked = {"patient.identifier": patient.token, "_include": "Composition:entry"}
        (composition,) = matches(await running.search("Composition", **asked))
        held = {f"#{c['id']}": c for c in composition["contained"]}
        assert [c["resourceType"] for c in held.values()] == ["DocumentReference"] * 2
        entries = [e["reference"] for s in composition["section"] for e in s.get("entry", ())]
        (named,) = [reference for reference in entries if reference in held]
        image = held[named]
        (study,) = matches(await running.search("ImagingStudy", **{"patient.identifier": patient.token}))
        assert image["context"]["related"][0]["reference"] == f"ImagingStudy/{study['id']}"
        assert image["relatesTo"][0]["target"]["reference"] in held
        assert image["subject"]["reference"].startswith("Patient/")
        for base, read in (("", R4_MODEL), ("R5/", R5_MODEL)):
            status, resource = await running.stack.get(f"{base}Composition/{composition['id']}")
            assert status == 200
            read.model_validate(resource)
        provenances = matches(await running.search("Provenance", **{"patient.identifier": patient.token}))
        targets = {t["reference"].partition("/")[0] for p in provenances for t in p["target"]}
        assert "Composition" in targets
        assert "DocumentReference" not in targets
