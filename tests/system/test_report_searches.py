"""Searches of the resources of reports: every parameter, both ways between reports and studies, versions."""

from dataclasses import replace

import orjson
import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.demo.samples import ORGANIZATION

from .documents import a_document, a_patient
from .imaging import matches
from .reports import FOOT, a_report, order_of, published_reports, study_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

EU = "http://hl7.eu/fhir/health-data-api/CodeSystem/eehrxf-document-priority-category-cs"
OLD_EU = "http://hl7.eu/fhir/eu-health-data-api/CodeSystem/eehrxf-document-priority-category-cs"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    async with published_reports(tmp_path_factory.mktemp("reports"), "searches of reports") as running:
        yield running


async def found(published, kind, *pairs, **parameters):
    asked = {"patient.identifier": published.content.patient.token, **dict(pairs), **parameters}
    return await published.search(kind, **asked)


def values(published):
    study = published.study
    return {
        "study": study.study_instance_uid,
        "issuer": study.accession_authority,
        "accession": study.accession,
        "org": ORGANIZATION,
    }


@pytest.mark.parametrize(
    ("kind", "name", "value", "count"),
    [
        ("DiagnosticReport", "category", "http://loinc.org|85430-7", 3),
        ("DiagnosticReport", "category", f"{EU}|Medical-Imaging", 3),
        ("DiagnosticReport", "category", f"{OLD_EU}|Medical-Imaging", 3),
        ("DiagnosticReport", "category", "85430-7", 3),
        ("DiagnosticReport", "category", "http://loinc.org|18748-4", 0),
        ("DiagnosticReport", "category:not", "85430-7", 0),
        ("DiagnosticReport", "code", "http://loinc.org|58744-4", 1),
        ("DiagnosticReport", "code", "58744-4,24707-6", 2),
        ("DiagnosticReport", "code:text", "ct heart", 1),
        ("DiagnosticReport", "status", "final", 3),
        ("DiagnosticReport", "status", "http://hl7.org/fhir/diagnostic-report-status|final", 3),
        ("DiagnosticReport", "status", "preliminary", 0),
        ("DiagnosticReport", "issued", "ge2025-06", 2),
        ("DiagnosticReport", "issued", "2025-05-08", 1),
        ("DiagnosticReport", "issued", "lt2025-05-08T08:00:00Z", 0),
        ("DiagnosticReport", "date", "2025-04-29", 1),
        ("DiagnosticReport", "date", "lt2025", 2),
        ("DiagnosticReport", "based-on:identifier", "urn:oid:{issuer}|{accession}", 2),
        ("DiagnosticReport", "based-on.identifier", "{accession}", 2),
        ("DiagnosticReport", "based-on:identifier", "urn:oid:{org}|P-FOOT", 1),
        ("DiagnosticReport", "based-on:identifier", "urn:oid:2.999.404|{accession}", 0),
        ("DiagnosticReport", "study:identifier", "urn:dicom:uid|urn:oid:{study}", 2),
        ("DiagnosticReport", "imaging-study.identifier", "{study}", 2),
        ("DiagnosticReport", "study.identifier", "urn:oid:{study}", 2),
        ("DiagnosticReport", "study.identifier", "urn:oid:2.999.404", 0),
        ("DiagnosticReport", "study.identifier", "urn:oid:{issuer}|{accession}", 1),
        ("DiagnosticReport", "result:missing", "false", 2),
        ("DiagnosticReport", "identifier", "urn:oid:{org}.1|R-FOOT-1", 1),
        ("DiagnosticReport", "identifier", "R-FOOT-1", 1),
        ("DiagnosticReport", "identifier", "urn:oid:2.999.404|R-FOOT-1", 0),
        ("DiagnosticReport", "_lastUpdated", "ge2025-07", 1),
        ("Composition", "type", "http://loinc.org|58744-4", 1),
        ("Composition", "category", "85430-7", 2),
        ("Observation", "code", "http://loinc.org|73569-6", 1),
        ("Observation", "code", "http://loinc.org|10230-1", 1),
        ("Observation", "status", "final", 4),
        ("Observation", "code:missing", "true", 0),
        ("Procedure", "code", "241547009", 1),
        ("Procedure", "subject.identifier", "urn:oid:2.999.404|x", 0),
        ("ServiceRequest", "identifier", "urn:oid:{issuer}|{accession}", 1),
        ("ServiceRequest", "identifier", "P-FOOT", 1),
        ("ServiceRequest", "category", "http://snomed.info/sct|363679005", 2),
        ("Basic", "code:missing", "false", 2),
        ("Device", "_lastUpdated", "2025-05-08", 1),
        ("Condition", "code", "http://snomed.info/sct|53741008", 1),
        ("AdverseEvent", "date", "ge2020", 0),
        ("ImagingStudy", "identifier", "{study}", 1),
        ("ImagingStudy", "modality", "MR", 1),
        ("ImagingStudy", "started", "2025-04-29", 1),
        ("ImagingStudy", "body-site", "http://snomed.info/sct|56459004", 1),
    ],
)
async def test_every_parameter_narrows(published, kind, name, value, count):
    if name == "subject.identifier":
        status, answer = await published.stack.get(kind, **{name: value})
        assert (status, answer["total"]) == (200, 0)
        return
    asked = value.format(**values(published))
    bundle = await found(published, kind, (name, asked))
    assert (bundle["total"], len(matches(bundle))) == (count, count)
    async with published.stack.session.post(
        f"{published.stack.base_url}/{kind}/_search",
        data={"patient.identifier": published.content.patient.token, name: asked},
    ) as answer:
        assert len(matches(await answer.json(content_type=None))) == count


@pytest.mark.parametrize(
    "kind", ["DiagnosticReport", "Observation", "Procedure", "ServiceRequest", "Condition"]
)
async def test_a_search_without_patient_is_refused(published, kind):
    for parameters in ({}, {"identifier": "1"}, {"_id": "x"}, {"category": "85430-7"}):
        status, outcome = await published.stack.get(kind, **parameters)
        assert status == 400
        assert "patient" in outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    "kind", ["DiagnosticReport", "Composition", "Observation", "Procedure", "ServiceRequest", "Basic", "Device",
             "Condition", "Provenance", "ImagingStudy"],
)  # fmt: skip
async def test_what_a_search_gives_is_what_a_read_gives(published, kind):
    bundle = await found(published, kind)
    assert matches(bundle)
    for entry, resource in zip(bundle["entry"], matches(bundle), strict=True):
        status, read = await published.stack.get(entry["fullUrl"])
        assert status == 200
        resource.pop("recorded", None), read.pop("recorded", None)
        assert read == resource
        changed = "A" if resource["id"][-1] != "A" else "B"
        status, _ = await published.stack.get(f"{kind}/{resource['id'][:-1]}{changed}")
        assert status == 404


async def test_an_id_of_one_type_is_none_of_another(published):
    (report, *_) = matches(await found(published, "DiagnosticReport"))
    for kind in ("Observation", "Practitioner", "Composition", "ServiceRequest"):
        status, _ = await published.stack.get(f"{kind}/{report['id']}")
        assert status == 404


# --- report <-> study ---------------------------------------------------------------------------------------
async def test_from_a_study_to_its_reports_and_back_in_one_query_each(published):
    uid = published.study.study_instance_uid
    await found(published, "ImagingStudy")
    before = published.stack.soap_calls["/xds/registry"]
    bundle = await found(published, "ImagingStudy", identifier=uid, _revinclude="DiagnosticReport:study")
    (study,) = matches(bundle)
    reports = [r for r in matches(bundle, "include") if r["resourceType"] == "DiagnosticReport"]
    assert len(reports) == 2
    for report in reports:
        assert [s["reference"] for s in report["imagingStudy"]] == [f"ImagingStudy/{study['id']}"]
    back = await found(
        published, "DiagnosticReport", ("study.identifier", uid), _include="DiagnosticReport:study"
    )
    (again,) = [r for r in matches(back, "include") if r["resourceType"] == "ImagingStudy"]
    assert again == study
    assert all(series["endpoint"] for series in study["series"])
    assert published.stack.soap_calls["/xds/registry"] - before == 2


async def test_what_a_minimal_report_names_by_identifier_alone_is_led_to_the_resources(published):
    bundle = await found(
        published, "DiagnosticReport", identifier=f"MINIMAL-{published.study.accession}",
        _include=["DiagnosticReport:study", "DiagnosticReport:based-on", "DiagnosticReport:performer"],
    )  # fmt: skip
    (report,) = matches(bundle)
    along = {f"{r['resourceType']}/{r['id']}": r for r in matches(bundle, "include")}
    assert report["imagingStudy"][0]["reference"] in along
    assert report["imagingStudy"][0]["identifier"]["value"].endswith(published.study.study_instance_uid)
    assert along[report["basedOn"][0]["reference"]]["resourceType"] == "ServiceRequest"
    assert report["presentedForm"][0]["data"]


async def test_a_study_that_only_a_report_knows_has_no_endpoint(published):
    (study,) = matches(
        await found(published, "ImagingStudy", modality="MR", _include="ImagingStudy:endpoint")
    )
    assert not [s for s in study["series"] if "endpoint" in s]
    assert study["description"] == "MRI of the left foot"


async def test_provenance_leads_to_the_document(published):
    (report,) = matches(await found(published, "DiagnosticReport", identifier="R-FOOT-1"))
    bundle = await found(published, "Provenance", target=f"DiagnosticReport/{report['id']}")
    (provenance,) = matches(bundle)
    status, document = await published.stack.get(provenance["entity"][0]["what"]["reference"])
    assert (status, document["resourceType"]) == (200, "DocumentReference")
    assert report["meta"]["source"] == f"{published.stack.base_url}/DocumentReference/{document['id']}"
    async with published.stack.session.get(document["content"][0]["attachment"]["url"]) as answer:
        assert await answer.read() == published.documents["foot"].content
    along = await found(published, "DiagnosticReport", identifier="R-FOOT-1", _revinclude="Provenance:target")
    assert [r["id"] for r in matches(along, "include")] == [provenance["id"]]


async def test_pages_have_every_match_once(published):
    bundle = await found(published, "Observation", _count=3)
    ids = [r["id"] for r in matches(bundle)]
    assert len(ids) == 3
    (following,) = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
    status, rest = await published.stack.get(following)
    assert status == 200
    ids += [r["id"] for r in matches(rest)]
    assert len(ids) == len(set(ids)) == bundle["total"]


# --- what disagrees, what is replaced, what is broken -------------------------------------------------------
async def publish(published, document, patient, **relations):
    status, answer = await published.stack.publish(provide_bundle([document], patient=patient, **relations))
    assert status == 200, answer
    return answer["entry"][1]["response"]["location"]


async def of(published, patient, kind, **parameters):
    return await published.search(kind, patient__identifier=patient.token, **parameters)


async def test_two_sources_that_disagree_are_both_shown(published, capfd):
    content = sample_content("a study that sources disagree about", a_patient().id)
    patient, images = content.patient, content.images
    await publish(published, content.manifest, patient)
    start = images.date[:4].encode()
    report = a_report(
        "cardiac", patient, replace(order_of(content), placer="ANOTHER"), study_of(images),
        change=lambda content: content.replace(b'"started": "' + start, b'"started": "1999'),
    )  # fmt: skip
    assert b'"started": "1999' in report.content
    await publish(published, report, patient)
    studies = matches(await of(published, patient, "ImagingStudy"))
    assert sorted(s["started"][:4] for s in studies) == ["1999", images.date[:4]]
    assert len({s["id"] for s in studies}) == 2
    assert len({s["identifier"][0]["value"] for s in studies}) == 1
    for study in studies:
        endpoints = [s["endpoint"] for s in study["series"] if "endpoint" in s]
        assert endpoints
        status, read = await published.stack.get(f"ImagingStudy/{study['id']}")
        assert (status, read) == (200, study)
    assert "study.sources_differ" in capfd.readouterr().out
    orders = matches(await of(published, patient, "ServiceRequest", identifier=images.accession))
    assert len(orders) == 2


async def test_the_current_version_is_given_and_the_others_by_identifier(published):
    patient = a_patient()
    first = a_report("foot", patient, FOOT, seed="1", written="2025-01-01T10:00:00+01:00")
    second = a_report("foot", patient, FOOT, seed="2", written="2025-02-01T10:00:00+01:00")
    await publish(published, first, patient)
    (old,) = matches(await of(published, patient, "DiagnosticReport"))
    await publish(published, second, patient)
    (new,) = matches(await of(published, patient, "DiagnosticReport", status="final"))
    assert new["id"] != old["id"]
    assert [o["status"] for o in matches(await of(published, patient, "Observation"))] == ["final"]
    both = matches(await of(published, patient, "DiagnosticReport", identifier="R-FOOT-1"))
    assert [r["id"] for r in both] == [new["id"], old["id"]]
    assert matches(await of(published, patient, "DiagnosticReport", _id=old["id"])) == [old]


async def test_a_superseded_document_is_found_by_the_identifier_of_its_report(published):
    patient = a_patient()
    location = await publish(published, a_report("foot", patient, FOOT, seed="1"), patient)
    (old,) = matches(await of(published, patient, "DiagnosticReport"))
    reference = "/".join(location.split("/")[-2:]) if "_history" not in location else location
    document = old["meta"]["source"].removeprefix(published.stack.base_url + "/")
    assert document in reference
    second = a_report("foot", patient, FOOT, seed="2", written="2025-06-01T10:00:00+02:00")
    await publish(published, second, patient, replaces=document)
    (new,) = matches(await of(published, patient, "DiagnosticReport"))
    both = matches(await of(published, patient, "DiagnosticReport", identifier="R-FOOT-1"))
    assert [r["id"] for r in both] == [new["id"], old["id"]]
    status, read = await published.stack.get(f"DiagnosticReport/{old['id']}")
    assert (status, read) == (200, old)


async def test_an_addendum_replaces_nothing(published):
    def amended(content):
        bundle = orjson.loads(content)
        for entry in bundle["entry"]:
            if entry["resource"]["resourceType"] == "Composition":
                entry["resource"]["relatesTo"] = [
                    {"code": "appends", "targetIdentifier": {"value": "the first"}}
                ]
        return orjson.dumps(bundle)

    patient = a_patient()
    await publish(published, a_report("foot", patient, FOOT, seed="1"), patient)
    addendum = a_report("foot", patient, FOOT, seed="2", written="2025-06-01T10:00:00+02:00", change=amended)
    await publish(published, addendum, patient)
    assert len(matches(await of(published, patient, "DiagnosticReport"))) == 2


async def test_what_is_no_report_is_a_warning_only_where_the_registry_calls_it_one(published):
    patient = a_patient()
    sound = a_report("foot", patient, FOOT)
    await publish(published, sound, patient)
    await publish(published, a_document(content=b"{}", content_type="application/fhir+json"), patient)
    bundle = await of(published, patient, "DiagnosticReport")
    assert len(matches(bundle)) == 1
    assert not matches(bundle, "outcome")
    typed = a_document(
        content=b'{"resourceType":"Patient"}', content_type="application/fhir+json", type=sound.type
    )
    await publish(published, typed, patient)
    bundle = await of(published, patient, "DiagnosticReport")
    assert len(matches(bundle)) == 1
    (outcome,) = matches(bundle, "outcome")
    assert "a report cannot be used" in outcome["issue"][0]["diagnostics"].lower()


async def test_a_report_in_xml_is_given_as_it_is_or_in_json(published):
    from gateway.fhir.xml_writer import write_xml

    patient = a_patient()
    report = a_report(
        "foot",
        patient,
        FOOT,
        change=lambda content: write_xml(orjson.loads(content)),
        content_type="application/fhir+xml",
    )
    await publish(published, report, patient)
    (resource,) = matches(await of(published, patient, "DiagnosticReport"))
    url = f"{published.stack.base_url}/DiagnosticReport/{resource['id']}/$document"
    async with published.stack.session.get(url) as answer:
        assert (answer.content_type, await answer.read()) == ("application/fhir+xml", report.content)
    async with published.stack.session.get(url, headers={"Accept": "application/fhir+json"}) as answer:
        bundle = orjson.loads(await answer.read())
        assert (answer.content_type, bundle["resourceType"]) == ("application/fhir+json", "Bundle")
    async with published.stack.session.get(url, headers={"Accept": "image/png"}) as answer:
        assert answer.status == 406
    status, _ = await published.stack.get(f"DiagnosticReport/{resource['id'][::-1]}/$document")
    assert status == 404
