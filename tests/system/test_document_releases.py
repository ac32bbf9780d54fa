"""FHIR documents through the bases of both releases: stored bytes, their true label, and never a conversion."""

import hashlib
import json
from dataclasses import replace

import orjson
import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.report_parts import ReportOrder
from gateway.demo.samples import MIME_TYPE_SUFFICIENT, ORGANIZATION
from gateway.fhir.xml_reader import read_xml
from gateway.fhir.xml_writer import write_xml
from gateway.model.releases import FhirRelease

from .documents import a_document, a_patient
from .imaging import matches
from .reports import a_report

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON, XML = "application/fhir+json", "application/fhir+xml"
ORDER = ReportOrder("RELEASE-1", ORGANIZATION, "P-RELEASE-1", ORGANIZATION)
FORMATS = {"minimal": MIME_TYPE_SUFFICIENT}
BASES = ("", "/R4", "/R5")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(stack):
    """Reports of each kind and release, with the patient of each."""
    reports = {}
    for kind in ("foot", "minimal"):
        for release in FhirRelease:
            patient = a_patient()
            report = a_report(kind, patient, ORDER, release=release, seed=kind)
            # of some the metadata say the release, of others only the content does
            reports[kind, release] = patient, replace(report, format=FORMATS.get(kind, report.format))
    for patient, report in reports.values():
        status, answer = await stack.publish(provide_bundle([report], patient=patient))
        assert status == 200, answer
    return reports


async def get(stack, url, **headers):
    async with stack.session.get(url, headers=headers) as answer:
        return answer.status, answer.headers, await answer.read()


async def urls_of(stack, base, patient):
    """Where a report is: its attachment, and the operation `$document`."""
    query = {"patient.identifier": patient.token}
    _, found = await stack.get(f"{base}/DocumentReference".lstrip("/"), status="current", **query)
    (document,) = matches(found)
    _, found = await stack.get(f"{base}/DiagnosticReport".lstrip("/"), **query)
    (report,) = matches(found)
    return (
        document["content"][0]["attachment"]["url"],
        f"{stack.base_url}{base}/DiagnosticReport/{report['id']}/$document",
    )


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("release", FhirRelease)
@pytest.mark.parametrize("kind", ["foot", "minimal"])
async def test_the_stored_bytes_and_their_true_release_come_from_every_base(
    stack, published, base, release, kind
):
    patient, report = published[kind, release]
    other = FhirRelease.R5 if release is FhirRelease.R4 else FhirRelease.R4
    for url in await urls_of(stack, base, patient):
        for accept in (
            "*/*",
            JSON,
            f"{JSON}; fhirVersion={release}",
            f"{JSON}; fhirVersion={other}, */*;q=0.1",
        ):
            status, headers, body = await get(stack, url, Accept=accept)
            assert status == 200, accept
            assert headers["Content-Type"] == f"{JSON}; fhirVersion={release}"
            assert "Accept" in headers["Vary"]
            assert hashlib.sha1(body).digest() == hashlib.sha1(report.content).digest()
        status, _, body = await get(stack, url, Accept=f"{JSON}; fhirVersion={other}")
        assert (status, json.loads(body)["resourceType"]) == (406, "OperationOutcome")


async def test_a_head_request_says_the_same(stack, published):
    patient, _ = published["foot", FhirRelease.R5]
    url, _ = await urls_of(stack, "/R4", patient)
    async with stack.session.head(url) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, f"{JSON}; fhirVersion=5.0")
    async with stack.session.head(url, headers={"Accept": f"{JSON}; fhirVersion=4.0"}) as answer:
        assert answer.status == 406


@pytest.mark.parametrize("release", FhirRelease)
@pytest.mark.parametrize("kind", ["foot", "minimal"])
async def test_the_other_format_is_of_the_same_release(stack, published, release, kind):
    patient, report = published[kind, release]
    for base in BASES:
        _, url = await urls_of(stack, base, patient)
        for asked in ({"Accept": XML}, {}):
            address = url if asked else f"{url}?_format=xml"
            status, headers, body = await get(stack, address, **asked)
            assert (status, headers["Content-Type"]) == (200, f"{XML}; fhirVersion={release}")
            content = orjson.loads(report.content)
            assert read_xml(body, release) == read_xml(write_xml(content, release=release), release)


async def test_what_is_not_known_to_be_of_a_release_says_none(stack):
    patient = a_patient()
    document = a_document(content=b'{"resourceType":"Patient"}', content_type=JSON)
    status, answer = await stack.publish(provide_bundle([document], patient=patient))
    assert status == 200, answer
    _, found = await stack.get(
        "R5/DocumentReference", status="current", **{"patient.identifier": patient.token}
    )
    (reference,) = matches(found)
    for accept in (JSON, f"{JSON}; fhirVersion=4.0", f"{JSON}; fhirVersion=5.0"):
        url = reference["content"][0]["attachment"]["url"]
        status, headers, body = await get(stack, url, Accept=accept)
        assert (status, headers["Content-Type"], body) == (200, JSON, document.content)
