"""Ids of report resources after restarts and on replicas, what is fetched and when, and damaged documents."""

import secrets

import orjson
import pytest
import redis

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.demo.report_parts import ReportOrder
from gateway.demo.samples import ORGANIZATION
from gateway.settings import Settings
from tests.correlation.servers import Server

from .documents import a_document, a_patient
from .imaging import matches
from .reports import a_report, order_of, study_of
from .stack import running_gateway, running_stack

DOCUMENTS, REPORTS, MANIFESTS = 300, 40, 30
PER_RETRIEVE = 5
"""Documents in one ITI-43 by default."""


def order(number=1):
    return ReportOrder(f"A-{number}", ORGANIZATION, f"P-{number}", ORGANIZATION)


async def publish(stack, documents, patient):
    status, answer = await stack.publish(provide_bundle(documents, patient=patient))
    assert status == 200, answer


async def find(stack, kind, patient, **parameters):
    status, bundle = await stack.get(kind, **{"patient.identifier": patient.token, **parameters})
    assert status == 200, bundle
    return bundle


def calls(stack):
    return stack.soap_calls["/xds/registry"], stack.soap_calls["/xds/repository"]


async def test_ids_are_good_on_another_replica_that_shares_only_the_keys(tmp_path):
    cache = Server(tmp_path / "redis").start()
    other = Server(tmp_path / "other").start()
    keys = {"security": {"keys": [secrets.token_hex(32)]}, "server": {"base_url": "https://x.example/fhir"}}
    patient = a_patient()
    try:
        async with running_stack(tmp_path, redis={"url": cache.url}, **keys) as first:
            await publish(first, [a_report("cardiac", patient, order())], patient)
            found = {}
            kinds = (
                "DiagnosticReport",
                "Composition",
                "Observation",
                "ImagingStudy",
                "ServiceRequest",
                "Basic",
            )
            for kind in kinds:
                found |= {r["id"]: r for r in matches(await find(first, kind, patient))}
            changed = {**first.settings.model_dump(), "state_dir": tmp_path / "second"}
            settings = Settings(**{**changed, "redis": {"url": other.url}})
            async with running_gateway(settings) as second:
                for resource in found.values():
                    status, read = await second.get(f"{resource['resourceType']}/{resource['id']}")
                    assert (status, read) == (200, resource)
    finally:
        cache.kill()
        other.kill()


async def test_what_is_forgotten_is_found_again(tmp_path):
    cache = Server(tmp_path / "redis").start()
    patient = a_patient()
    times = {"connect_timeout": 0.25, "operation_timeout": 0.25}
    try:
        async with running_stack(tmp_path, redis={"url": cache.url, **times}) as stack:
            await publish(stack, [a_report("foot", patient, order())], patient)
            (report,) = matches(await find(stack, "DiagnosticReport", patient))
            cache.kill()
            (again,) = matches(await find(stack, "DiagnosticReport", patient))
            assert again == report
            status, read = await stack.get(f"DiagnosticReport/{report['id']}")
            assert (status, read) == (200, report)
    finally:
        cache.kill()


async def test_a_report_that_was_altered_in_the_repository_is_never_shown(tmp_path):
    patient = a_patient()
    sound, altered = a_report("foot", patient, order(1)), a_report("cardiac", patient, order(2))
    async with running_stack(tmp_path) as stack:
        await publish(stack, [sound, altered], patient)
        changed = 0
        for path in (tmp_path / "affinity").rglob("*"):
            if path.is_file() and path.read_bytes() == altered.content:
                path.write_bytes(altered.content.replace(b"stenosis", b"stenosys"))
                changed += 1
        assert changed == 1
        bundle = await find(stack, "DiagnosticReport", patient)
        (report,) = matches(bundle)
        assert report["code"]["coding"][0]["code"] == "24707-6"
        (outcome,) = matches(bundle, "outcome")
        assert "another document than the one that is registered" in outcome["issue"][0]["diagnostics"]


async def test_a_patient_with_many_documents_costs_one_query_and_each_document_once(tmp_path):
    patient = a_patient()
    reports = [
        a_report("foot", patient, order(n), seed=str(n), written=f"2025-01-{n % 28 + 1:02}T10:00:00+01:00")
        for n in range(REPORTS)
    ]
    manifests = [sample_content(f"manifest {n}", patient.id).manifest for n in range(MANIFESTS)]
    others = [a_document(content=b"text %d" % n) for n in range(DOCUMENTS - REPORTS - MANIFESTS)]
    documents = [*reports, *manifests, *others]
    server = Server(tmp_path / "redis").start()
    try:
        async with running_stack(tmp_path, redis={"url": server.url}) as stack:
            for start in range(0, len(documents), 60):
                await publish(stack, documents[start : start + 60], patient)
            with redis.Redis.from_url(server.url) as cold:
                cold.flushall()
            await count_calls(stack, patient)
    finally:
        server.kill()


async def count_calls(stack, patient):
    before = calls(stack)
    cold = await find(stack, "DiagnosticReport", patient, _count=500)
    assert cold["total"] == REPORTS
    after = calls(stack)
    assert after[0] - before[0] == 1
    assert after[1] - before[1] == (REPORTS + MANIFESTS) // PER_RETRIEVE
    studies = await find(stack, "ImagingStudy", patient, _count=500)
    assert studies["total"] == REPORTS + MANIFESTS
    warm = await find(stack, "DiagnosticReport", patient, _count=500)
    assert orjson.dumps(warm) == orjson.dumps(cold)
    assert calls(stack) == (after[0] + 2, after[1])


NARRATIVE = (
    ("DocumentReference", {"category": "http://loinc.org|85430-7", "identifier": "{study}"}, 1),
    ("DocumentReference", {"category": "http://loinc.org|85430-7", "identifier": "{accession}"}, 1),
    ("DocumentReference", {"type": "http://loinc.org|85430-7", "identifier": "{study}"}, 1),
    (
        "DocumentReference",
        {"type": "http://loinc.org|18748-4", "identifier": "{study}", "status": "current"},
        2,
    ),
    ("DocumentReference", {"category": "http://loinc.org|18748-4", "identifier": "{study}"}, 2),
    ("DocumentReference", {"related:identifier": "{placer}", "type": "85430-7"}, 1),
    ("DocumentReference", {"contenttype": "application/fhir+json", "type": "85430-7"}, 1),
    ("DocumentReference", {"type": "85430-7", "date": "ge2020", "creation": "ge2025-05-08"}, 1),
    ("ImagingStudy", {"started": ["ge2024-01-01", "le2024-12-31"]}, 1),
    ("ImagingStudy", {"started": ["ge2023-01-01", "le2023-12-31"]}, 0),
    ("ImagingStudy", {"identifier": "{study}", "modality": "CT"}, 1),
    ("ImagingStudy", {"bodysite": "http://snomed.info/sct|51185008", "modality": "CT"}, 1),
    ("ImagingStudy", {"dicom-class": "1.2.840.10008.5.1.4.1.1.2"}, 1),
    ("ImagingStudy", {"reason": "http://snomed.info/sct|1"}, 0),
    ("DiagnosticReport", {"category": "http://loinc.org|85430-7"}, 1),
)


@pytest.fixture(scope="module")
def content():
    return sample_content("narrative queries", a_patient().id)


async def test_the_queries_of_the_guides_are_answered(tmp_path, content):
    patient, images = content.patient, content.images
    placed = order_of(content)
    report = a_report("cardiac", patient, placed, study_of(images))
    named = {
        "study": f"urn:oid:{images.study_instance_uid}",
        "accession": f"urn:oid:{images.accession_authority}|{images.accession}",
        "placer": f"urn:oid:{placed.placer_authority}|{placed.placer}",
    }
    async with running_stack(tmp_path) as stack:
        await publish(stack, [content.manifest, report], patient)
        (found,) = matches(await find(stack, "ImagingStudy", patient))
        reference = found["subject"]["reference"]
        for kind, parameters, count in NARRATIVE:
            filled = {n: v if isinstance(v, list) else v.format(**named) for n, v in parameters.items()}
            for who in (
                {"subject": reference},
                {"patient": reference},
                {"patient.identifier": patient.token},
            ):
                status, bundle = await stack.get(kind, **who, **filled)
                assert (status, len(matches(bundle))) == (200, count), (kind, parameters, who)
