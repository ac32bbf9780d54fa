"""What the EU resource access provider has to offer (HL7 Europe Imaging Report 1.0.0-ballot) is offered.

Each type, interaction and search parameter of its CapabilityStatement is in /metadata, and each parameter finds
what it should and leaves out what it should not.
"""

import json
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content

from .documents import a_patient
from .imaging import matches, published_study
from .reports import a_report, order_of, study_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

GUIDE = Path(__file__).resolve().parents[3] / "shared/oracle/profiles/r4/hl7.fhir.eu.imaging"
STATEMENT = GUIDE / "CapabilityStatement-EeehrxfImagingReportResourceAccessProvider.json"
SCT = "http://snomed.info/sct"


def resources():
    if not STATEMENT.exists():
        return []
    return json.loads(STATEMENT.read_text())["rest"][0]["resource"]


def cases():
    return [(r["type"], p["name"]) for r in resources() for p in r.get("searchParam", ())]


def further(patient, study, practitioner):
    """What the guide allows in the history and procedure of a report, beside the sample's content."""
    whom = {"subject": patient}
    medication = {"medicationCodeableConcept": {"coding": [{"system": SCT, "code": "372687004"}]}}
    coded = {"code": {"coding": [{"system": SCT, "code": "91936005"}]}}
    clinical = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
    condition = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    category = "http://terminology.hl7.org/CodeSystem/condition-category"
    return [
        {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "authoredOn": "2025-04-01"}
        | whom | medication,
        {"resourceType": "MedicationDispense", "status": "completed", "whenHandedOver": "2025-04-02"}
        | whom | medication,
        {"resourceType": "MedicationAdministration", "status": "completed", "effectiveDateTime": "2025-04-29"}
        | whom | medication,
        {"resourceType": "AllergyIntolerance", "patient": patient,
         "clinicalStatus": {"coding": [{"system": clinical, "code": "active"}]}} | coded,
        {"resourceType": "Condition", "clinicalStatus": {"coding": [{"system": condition, "code": "active"}]},
         "category": [{"coding": [{"system": category, "code": "problem-list-item"}]}]} | whom | coded,
        {"resourceType": "Encounter", "status": "finished", "period": {"start": "2025-04-29"},
         "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}} | whom,
        {"resourceType": "AdverseEvent", "actuality": "actual", "date": "2025-04-29"} | whom,
        {"resourceType": "Observation", "status": "final", "effectiveDateTime": "2025-04-29",
         "category": [{"coding": [{"code": "vital-signs"}]}], "code": {"coding": [{"code": "8867-4"}]}} | whom,
    ]  # fmt: skip


def enriched(content):
    """A report with more in its history, and a study of which it says who did it and why."""
    bundle = json.loads(content)
    held = {e["resource"]["resourceType"]: e for e in bundle["entry"]}
    patient = {"reference": held["Patient"]["fullUrl"]}
    study = {"reference": held["ImagingStudy"]["fullUrl"]}
    role = {"reference": held["PractitionerRole"]["fullUrl"]}
    held["ImagingStudy"]["resource"]["reasonCode"] = [{"coding": [{"system": SCT, "code": "102588006"}]}]
    held["ImagingStudy"]["resource"]["referrer"] = role
    for series in held["ImagingStudy"]["resource"]["series"]:
        series["performer"] = [{"actor": role}]
    (history,) = [
        s for s in held["Composition"]["resource"]["section"] if s["code"]["coding"][0]["code"] == "11329-0"
    ]
    for number, resource in enumerate(further(patient, study, role)):
        url = f"urn:uuid:00000000-0000-4000-8000-{number:012d}"
        bundle["entry"].append({"fullUrl": url, "resource": resource})
        history.setdefault("entry", []).append({"reference": url})
    return json.dumps(bundle).encode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    async with published_study(tmp_path_factory.mktemp("eu"), "resource access") as running:
        patient, images = running.content.patient, running.content.images
        report = a_report("cardiac", patient, order_of(running.content), study_of(images), change=enriched)
        other = sample_content("resource access of another", a_patient().id)
        for bundle in (
            provide_bundle([report], patient=patient),
            provide_bundle([other.manifest], patient=other.patient),
        ):
            status, answer = await running.stack.publish(bundle)
            assert status == 200, answer
        _, running.metadata = await running.stack.get("metadata")
        running.other = other.patient
        yield running


def offered(published, kind):
    (found,) = [r for r in published.metadata["rest"][0]["resource"] if r["type"] == kind]
    return found


@pytest.mark.skipif(not STATEMENT.exists(), reason="the guide is not here")
@pytest.mark.parametrize("wanted", resources(), ids=lambda r: r["type"])
async def test_each_type_is_offered_with_its_interactions_and_parameters(published, wanted):
    found = offered(published, wanted["type"])
    assert {i["code"] for i in wanted["interaction"]} <= {i["code"] for i in found["interaction"]}
    named = {p["name"] for p in found.get("searchParam", ())}
    defined = {p.get("definition") for p in found.get("searchParam", ())}
    for parameter in wanted.get("searchParam", ()):
        assert parameter["name"] in named or parameter["definition"] in defined, parameter["name"]


async def test_the_statement_is_claimed_and_so_is_the_operation(published):
    (operation,) = offered(published, "DiagnosticReport")["operation"]
    assert operation["definition"].startswith("http://hl7.eu/fhir/imaging/OperationDefinition/")


async def values_of(published):
    """For each parameter a value that has matches, and one that has none; None where there is none."""
    study, patient = published.study, published.content.patient
    token = patient.token
    (known,) = matches(await published.search("Patient", identifier=token))
    asked = {"patient__identifier": token}
    (found,) = matches(await published.search("ImagingStudy", **asked))
    (report,) = matches(await published.search("DiagnosticReport", **asked))
    status, other = await published.stack.get("Patient", identifier=published.other.token)
    assert status == 200
    reference, of_other = f"Patient/{known['id']}", f"Patient/{matches(other)[0]['id']}"
    series = study.series[0]
    values = {
        ("Patient", "_id"): (known["id"], "nobody"),
        ("Patient", "identifier"): (token, "urn:oid:2.999.1.1|nobody"),
        ("Patient", "family"): (patient.family, "Nobody"),
        ("Patient", "given"): (patient.given, "Nobody"),
        ("Patient", "birthdate"): (patient.birth_date, "1800-01-01"),
        ("ImagingStudy", "based-on"): (found["basedOn"][0]["reference"], "ServiceRequest/nothing"),
        ("ImagingStudy", "body-site"): (f"{SCT}|{found['series'][0]['bodySite']['code']}", f"{SCT}|1"),
        ("ImagingStudy", "dicom-class"): (
            f"urn:oid:{series.images[0].sop_class_uid}",
            "urn:oid:1.2.840.10008.5.1.4.1.1.6.1",
        ),
        ("ImagingStudy", "modality"): ("CT", "US"),
        ("ImagingStudy", "identifier"): (f"urn:dicom:uid|urn:oid:{study.study_instance_uid}", "urn:oid:2.999.0"),
        ("ImagingStudy", "instance"): (series.images[0].sop_instance_uid, "2.999.0"),
        ("ImagingStudy", "series"): (series.series_instance_uid, "2.999.0"),
        ("ImagingStudy", "performer"): (found["series"][0]["performer"][0]["actor"]["reference"], "Practitioner/1"),
        ("ImagingStudy", "referrer"): (found["referrer"]["reference"], "Practitioner/1"),
        ("ImagingStudy", "reason"): (f"{SCT}|102588006", f"{SCT}|1"),
        ("ImagingStudy", "started"): (f"ge{study.date[:4]}", f"lt{study.date[:4]}"),
        ("ImagingStudy", "status"): ("available", "cancelled"),
        ("Provenance", "target"): (f"DiagnosticReport/{report['id']}", "DiagnosticReport/nothing"),
        ("ServiceRequest", "identifier"): (f"urn:oid:{study.accession_authority}|{study.accession}", "nothing"),
        ("DiagnosticReport", "category"): ("85430-7", "18748-4"),
        ("DiagnosticReport", "code"): ("58744-4", "1-1"),
        ("DiagnosticReport", "date"): ("ge2020", "lt2020"),
        ("DiagnosticReport", "status"): ("final", "partial"),
        ("Observation", "category"): ("vital-signs", "laboratory"),
        ("Observation", "code"): ("8867-4", "1-1"),
        ("Observation", "date"): ("2025-04-29", "lt2020"),
        ("Observation", "status"): ("final", "partial"),
        ("Condition", "clinical-status"): ("active", "resolved"),
        ("Condition", "category"): ("problem-list-item", "encounter-diagnosis"),
        ("Condition", "code"): ("91936005", "1"),
        ("AllergyIntolerance", "clinical-status"): ("active", "resolved"),
        ("MedicationRequest", "status"): ("active", "stopped"),
        ("MedicationRequest", "intent"): ("order", "plan"),
        ("MedicationRequest", "authoredon"): ("2025-04-01", "lt2025"),
        ("MedicationDispense", "status"): ("completed", "stopped"),
        ("MedicationDispense", "whenhandedover"): ("ge2025-04", "lt2025"),
        ("Encounter", "date"): ("ge2025-04", "lt2025"),
        ("Encounter", "status"): ("finished", "planned"),
        ("Encounter", "class"): ("AMB", "IMP"),
    }  # fmt: skip
    for kind, name in cases():
        if name in ("patient", "subject"):
            values[kind, name] = (reference, of_other)
    return values


@pytest.mark.skipif(not STATEMENT.exists(), reason="the guide is not here")
@pytest.mark.parametrize(("kind", "name"), cases())
async def test_each_parameter_finds_and_leaves_out(published, kind, name):
    good, bad = (await values_of(published))[kind, name]
    patient = {"patient.identifier": published.content.patient.token}
    own = {} if kind == "Patient" or name in ("patient", "subject") else patient
    status, bundle = await published.stack.get(kind, **own, **{name: good})
    assert status == 200, bundle
    assert matches(bundle)
    assert name in bundle["link"][0]["url"]
    status, read = await published.stack.get(f"{kind}/{matches(bundle)[0]['id']}")
    assert status == 200, read
    status, bundle = await published.stack.get(kind, **own, **{name: bad})
    assert status == 200, bundle
    ids = {r["id"] for r in matches(bundle)}
    if name in ("patient", "subject"):
        status, own_ones = await published.stack.get(kind, **patient)
        assert status == 200
        assert ids.isdisjoint(r["id"] for r in matches(own_ones))
    else:
        assert not ids


@pytest.mark.skipif(not STATEMENT.exists(), reason="the guide is not here")
@pytest.mark.parametrize(
    "kind", [r["type"] for r in resources() if "searchParam" in r and r["type"] != "Patient"]
)
async def test_a_clinical_search_without_patient_is_refused(published, kind):
    status, outcome = await published.stack.get(kind)
    assert status == 400
    assert "patient" in outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize("kind", ["Device", "Composition", "AdverseEvent", "Basic"])
async def test_what_is_only_read_is_read(published, kind):
    bundle = await published.search(kind, patient__identifier=published.content.patient.token)
    for resource in matches(bundle):
        status, read = await published.stack.get(f"{kind}/{resource['id']}")
        assert (status, read) == (200, resource)
    assert matches(bundle)
