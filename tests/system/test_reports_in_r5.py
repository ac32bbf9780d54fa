"""Reports at the base of FHIR R5: what they hold is valid there, and says the same as at the base of R4."""

import json
from dataclasses import replace

import pytest
import pytest_asyncio
from fhir.resources import get_fhir_model_class

from gateway.demo.bundles import provide_bundle
from gateway.demo.report_parts import ReportOrder
from gateway.demo.samples import ORGANIZATION
from gateway.fhir.report_parameters import READ_ONLY, REPORT_TABLES
from gateway.fhir.versions import from_r5, to_r5
from gateway.model.releases import FhirRelease

from .documents import a_patient
from .imaging import matches, published_study
from .reports import a_report, order_of, study_of
from .test_report_resources import literals

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER = ReportOrder("FOOT-5", ORGANIZATION, "P-FOOT-5", ORGANIZATION)
KINDS = ("ImagingStudy", *REPORT_TABLES)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    """The patient of a study with its manifest and a report of R4, and one with a report of R5."""
    async with published_study(tmp_path_factory.mktemp("reports-r5"), "reports in both releases") as running:
        patient, other = running.content.patient, a_patient()
        reports = {
            patient: a_report(
                "cardiac", patient, order_of(running.content), study_of(running.content.images)
            ),
            other: a_report("cardiac", other, OTHER, release=FhirRelease.R5),
        }
        for who, report in reports.items():
            status, answer = await running.stack.publish(provide_bundle([report], patient=who))
            assert status == 200, answer
        running.patients = tuple(reports)
        yield running


async def search(published, path, patient, **parameters):
    status, bundle = await published.stack.get(path, **{"patient.identifier": patient.token}, **parameters)
    assert status == 200, bundle
    return bundle


def by_id(bundle):
    return {resource["id"]: resource for resource in matches(bundle)}


def plain(resource, base):
    """Without the base, profiles, of which R5 does not have all, and labels, which the code of R4 repeats."""
    made = json.loads(json.dumps(resource).replace(f"{base}/", "BASE/"))
    for name in ("profile", "security"):
        made.get("meta", {}).pop(name, None)
    return made


@pytest.mark.parametrize("kind", KINDS)
async def test_both_bases_answer_the_same(published, kind):
    named = "ImagingSelection" if kind == "Basic" else kind
    base = published.stack.base_url
    for patient in published.patients:
        old = by_id(await search(published, f"R4/{kind}", patient))
        bundle = await search(published, f"R5/{named}", patient)
        get_fhir_model_class("Bundle").model_validate(bundle)
        new = by_id(bundle)
        assert old.keys() == new.keys()
        for name, resource in new.items():
            get_fhir_model_class(named).model_validate(resource)
            lost = []
            back = from_r5(resource, lost.append)
            if "result" in old[name]:
                # R5 has those of sections besides
                back["result"] = back["result"][: len(old[name]["result"])]
            assert plain(back, f"{base}/R5") == plain(old[name], f"{base}/R4")
            assert lost == []
        prefix = f"{base}/R5/{named}/"
        found = (e for e in bundle.get("entry", ()) if e["search"]["mode"] == "match")
        assert all(entry["fullUrl"].startswith(prefix) for entry in found)
        assert bundle["link"][0]["url"].startswith(f"{base}/R5/{named}?")


async def test_every_reference_inside_a_report_leads_to_a_resource(published):
    for patient in published.patients:
        (report,) = matches(await search(published, "R5/DiagnosticReport", patient))
        seen, waiting = {}, [f"DiagnosticReport/{report['id']}"]
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            status, resource = await published.stack.get(f"R5/{path}")
            assert status == 200, (path, resource)
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)
            seen[path] = resource
            waiting += [r for r in literals(resource) if not r.startswith("#")]
        kinds = {resource["resourceType"] for resource in seen.values()}
        assert "ImagingSelection" in kinds and "Basic" not in kinds
        assert {"Composition", "Device", "ImagingStudy", "Practitioner", "Procedure"} <= kinds
        assert kinds <= {*KINDS, *READ_ONLY, "Patient", "ImagingSelection", "Endpoint"}


async def test_a_selection_is_read_and_searched_with_the_parameters_of_r5(published):
    patient, _ = published.patients
    (first, *_) = found = matches(await search(published, "R5/ImagingSelection", patient))
    status, read = await published.stack.get(f"R5/ImagingSelection/{first['id']}")
    assert (status, read) == (200, first)
    assert first["resourceType"] == "ImagingSelection" and first["status"] == "available"
    study = first["derivedFrom"][0]["reference"]
    for name, value in (
        ("study-uid", first["studyUid"]),
        ("status", "available"),
        ("derived-from", study),
        ("code", first["code"]["coding"][0]["code"]),
    ):
        answer = await search(published, "R5/ImagingSelection", patient, **{name: value})
        assert {r["id"] for r in matches(answer)} == {r["id"] for r in found}, name
    nothing = await search(published, "R5/ImagingSelection", patient, **{"study-uid": "2.999.404"})
    assert nothing["total"] == 0


async def test_a_report_is_found_by_its_selection(published):
    patient, _ = published.patients
    (first, *_) = matches(await search(published, "R5/ImagingSelection", patient))
    literal = f"ImagingSelection/{first['id']}"
    bundle = await search(published, "R5/Composition", patient, entry=literal, _include="Composition:entry")
    (composition,) = matches(bundle)
    assert literal in literals(composition)
    included = [e for e in bundle["entry"] if e["search"]["mode"] == "include"]
    assert any(e["fullUrl"].endswith(f"/R5/{literal}") for e in included)
    provenances = await search(published, "R5/ImagingSelection", patient, _revinclude="Provenance:target")
    (provenance,) = [
        e["resource"] for e in provenances["entry"] if e["resource"]["resourceType"] == "Provenance"
    ]
    assert literal in literals(provenance)


async def test_r4_has_no_selection_and_r5_no_basic_that_is_one(published):
    patient, _ = published.patients
    (first, *_) = matches(await search(published, "R4/Basic", patient))
    for path in (f"R4/ImagingSelection/{first['id']}", "R4/ImagingSelection", f"R5/Basic/{first['id']}"):
        status, outcome = await published.stack.get(path)
        assert (status, outcome["resourceType"]) == (404, "OperationOutcome"), path
    assert (await search(published, "R5/Basic", patient))["total"] == 0


async def test_the_parameters_of_r5_find_the_same_as_those_of_r4(published):
    for patient in published.patients:
        (order, *_) = matches(await search(published, "R4/ServiceRequest", patient))
        code = order.get("code", {}).get("coding", [{"code": "none"}])[0]["code"]
        old = by_id(await search(published, "R4/ServiceRequest", patient, code=code))
        new = by_id(await search(published, "R5/ServiceRequest", patient, **{"code-concept": code}))
        assert old.keys() == new.keys()


async def test_a_basic_of_another_kind_is_one_on_both_bases(published):
    patient = a_patient()
    report = a_report("cardiac", patient, OTHER, seed="other basic")
    bundle = json.loads(report.content)
    basic = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Basic")
    basic["extension"] = [{"url": "urn:oid:2.999.1", "valueString": "a note of the house"}]
    del basic["meta"]
    sent = replace(report, content=json.dumps(bundle).encode())
    status, answer = await published.stack.publish(provide_bundle([sent], patient=patient))
    assert status == 200, answer
    (found,) = matches(await search(published, "R5/Basic", patient))
    assert found["extension"] == basic["extension"]
    (composition,) = matches(await search(published, "R5/Composition", patient))
    assert f"Basic/{found['id']}" in literals(composition)
    assert to_r5(found) == found


async def test_r5_lists_the_observations_of_sections_as_results(published):
    """Invariant dgr-1 of DiagnosticReport, of which R4 has nothing."""
    patient = a_patient()
    report = a_report("cardiac", patient, OTHER, seed="results")
    bundle = json.loads(report.content)
    held = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DiagnosticReport")
    removed = held.pop("result")
    sent = replace(report, content=json.dumps(bundle).encode())
    status, answer = await published.stack.publish(provide_bundle([sent], patient=patient))
    assert status == 200, answer
    (old,) = matches(await search(published, "R4/DiagnosticReport", patient))
    assert "result" not in old
    found = await search(published, "R5/DiagnosticReport", patient, _include="DiagnosticReport:result")
    (new,) = matches(found)
    (composition,) = matches(await search(published, "R5/Composition", patient))
    of_sections = {name for name in literals(composition["section"]) if name.startswith("Observation/")}
    assert {result["reference"] for result in new["result"]} == of_sections
    assert len(of_sections) >= len(removed) > 0
    included = [e["resource"] for e in found["entry"] if e["search"]["mode"] == "include"]
    assert {f"Observation/{resource['id']}" for resource in included} >= of_sections
    status, read = await published.stack.get(f"R5/DiagnosticReport/{new['id']}")
    assert (status, read["result"]) == (200, new["result"])


async def test_every_observation_of_a_section_is_a_result_in_r5(published):
    for patient in published.patients:
        for report in matches(await search(published, "R5/DiagnosticReport", patient)):
            status, composition = await published.stack.get(f"R5/{report['composition']['reference']}")
            assert status == 200
            wanted = {name for name in literals(composition["section"]) if name.startswith("Observation/")}
            assert wanted <= set(literals(report["result"]))


@pytest.mark.parametrize(
    ("kind", "element"),
    [
        ("ImagingSelection", "studyUid"),
        ("DiagnosticReport", "study"),
        ("DiagnosticReport", "composition"),
        ("Composition", "version"),
        ("ImagingStudy", "partOf"),
        ("ServiceRequest", "reason"),
        ("Procedure", "occurrenceDateTime"),
    ],
)
async def test_parts_are_asked_for_by_the_elements_of_r5(published, kind, element):
    patient, _ = published.patients
    whole = by_id(await search(published, f"R5/{kind}", patient))
    for asked in (element, f"{kind}.{element}"):
        bundle = await search(published, f"R5/{kind}", patient, _elements=asked)
        assert "issues" not in bundle, bundle["issues"]
        parts = by_id(bundle)
        assert parts.keys() == whole.keys()
        for name, part in parts.items():
            get_fhir_model_class(kind).model_validate(part)
            assert part.get(element) == whole[name].get(element)
            assert part.keys() < whole[name].keys()
