"""What the European guides ask of imaging from end to end, as far as no other test says it: forms of a search, what a
result has, ids and addresses that last (R11-R23, R53, R58, R79, R80, R94, R95)."""

import json
import re

import pytest
import pytest_asyncio
from aiohttp import web
from msgspec.structs import replace

from gateway.demo.bundles import provide_bundle
from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import IssuedId, Issuer
from tests.dicom.samples import group_case

from .documents import a_document, a_patient
from .imaging import matches, published_study
from .manifests import DICOM, FHIR_JSON, legacy_entry, manifest_document, register
from .stack import beside, site
from .test_images import ANY, images, parts_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

API = "http://hl7.eu/fhir/health-data-api/CodeSystem/eehrxf-document-priority-category-cs"
OLD_API = "http://hl7.eu/fhir/eu-health-data-api/CodeSystem/eehrxf-document-priority-category-cs"
LOINC = "http://loinc.org"
DCMUID = "http://dicom.nema.org/resources/ontology/DCMUID"
FORMATS = "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode"
KOS, FHIR = "1.2.840.10008.5.1.4.1.1.88.59", "urn:ihe:rad:MADO:fhir-manifest:2026"
RESOURCES = ("ImagingStudy", "ServiceRequest", "Endpoint", "Provenance")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    async with published_study(tmp_path_factory.mktemp("required"), "required of imaging") as running:
        plain = a_document(creation="2024-03-09T07:25:00Z")
        status, answer = await running.stack.publish(provide_bundle([plain], patient=running.content.patient))
        assert status == 200, answer
        found = await running.stack.find(patient__identifier=running.content.patient.token, status="current")
        running.patient = found[0]["subject"]["reference"]
        yield running


async def found_by(published, **parameters):
    named = {"patient.identifier": published.content.patient.token, "status": "current", **parameters}
    return matches(await published.search("DocumentReference", **named))


def types(found):
    return sorted(f["content"][0]["attachment"]["contentType"] for f in found)


# --- forms of a search ------------------------------------------------------------------------------------------
async def test_the_patient_in_each_form_and_either_method_give_the_same(published):
    """R10-R12."""
    stack, token = published.stack, published.content.patient.token
    asked = {"type": f"{LOINC}|18748-4", "status": "current"}
    _, expected = await stack.get("DocumentReference", **{"patient.identifier": token}, **asked)
    assert len(expected["entry"]) == 2
    assert all(e["fullUrl"].startswith(f"{stack.base_url}/DocumentReference/") for e in expected["entry"])
    assert {e["resource"]["subject"]["reference"] for e in expected["entry"]} == {published.patient}
    forms = [
        ("patient", published.patient),
        ("patient", published.patient.removeprefix("Patient/")),
        ("patient", f"{stack.base_url}/{published.patient}"),
        ("subject", published.patient),
        ("subject.identifier", token),
        ("patient.identifier", token),
    ]
    for name, value in forms:
        _, got = await stack.get("DocumentReference", **{name: value}, **asked)
        assert got["entry"] == expected["entry"], name
        url = f"{stack.base_url}/DocumentReference/_search"
        async with stack.session.post(url, data={name: value, **asked}) as answer:
            assert (await answer.json(content_type=None))["entry"] == expected["entry"], name


async def test_a_search_of_nobody_is_refused(published):
    """R13."""
    for kind, parameters in (
        ("DocumentReference", {"status": "current"}),
        ("DocumentReference", {"modality": "CT"}),
        ("DocumentReference", {"type": f"{LOINC}|18748-4", "status": "current"}),
        *((kind, {}) for kind in RESOURCES),
        ("ImagingStudy", {"modality": "CT", "started": "ge2000"}),
    ):
        status, outcome = await published.stack.get(kind, **parameters)
        assert (status, outcome["resourceType"]) == (400, "OperationOutcome"), kind
        assert "patient" in outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        ("category", f"{API}|Medical-Imaging", [DICOM, FHIR_JSON]),
        ("category", f"{OLD_API}|Medical-Imaging", [DICOM, FHIR_JSON]),
        ("category", f"{LOINC}|18748-4", [DICOM, FHIR_JSON]),
        ("category", f"{LOINC}|85430-7", []),
        ("type", "18748-4", [DICOM, FHIR_JSON]),
        ("type", f"{LOINC}|85430-7,{LOINC}|18748-4", [DICOM, FHIR_JSON]),
        ("type", f"{LOINC}|85430-7", []),
        ("format", KOS, [DICOM]),
        ("format", f"{DCMUID}|{KOS}", [DICOM]),
        ("format", f"http://dicom.nema.org/resources/CodeSystem/DICOM_UIDs|{KOS}", [DICOM]),
        ("format", FHIR, [FHIR_JSON]),
        ("format", f"{FORMATS}|{FHIR}", [FHIR_JSON]),
        ("format", f"{FORMATS}|urn:x:other", []),
    ],
)
async def test_categories_types_and_formats_in_each_system(published, parameter, value, expected):
    """R14, R15, R21, R94."""
    assert types(await found_by(published, **{parameter: value})) == expected


# --- what a result has ------------------------------------------------------------------------------------------
async def test_each_manifest_has_what_the_guides_ask_of_it(published):
    """R23."""
    for shown in await found_by(published, identifier=f"urn:oid:{published.key.document_unique_id}"):
        unique_id = {"system": "urn:ietf:rfc:3986", "value": f"urn:oid:{published.key.document_unique_id}"}
        assert unique_id.items() <= shown["masterIdentifier"].items()
        values = [identifier["value"] for identifier in shown["identifier"]]
        assert unique_id["value"] in values
        assert any(value.startswith("urn:uuid:") for value in values)
        assert [c["code"] for c in shown["type"]["coding"]] == ["18748-4"]
        (category,) = shown["category"]
        assert category["coding"][0] == {"system": API, "code": "Medical-Imaging"}
        assert shown["date"].startswith("20")
        custodian = shown["custodian"]["reference"].removeprefix("#")
        assert any(c["id"] == custodian and c["name"] for c in shown["contained"])
        (content,) = shown["content"]
        attachment = content["attachment"]
        assert {"contentType", "creation", "language", "url"} <= attachment.keys()
        is_stored = attachment["contentType"] == DICOM
        assert ({"hash", "size"} <= attachment.keys()) is is_stored
        assert content["format"]["code"] == (KOS if is_stored else FHIR)
        assert {"facilityType", "practiceSetting", "period", "related"} <= shown["context"].keys()
        assert "start" in shown["context"]["period"]
        related = {
            coding["code"]: r["identifier"]["value"]
            for r in shown["context"]["related"]
            for coding in r["identifier"]["type"]["coding"]
        }
        assert related["110180"] == f"urn:oid:{published.study.study_instance_uid}"
        assert related["ACSN"] == related["121022"] == published.study.accession
        assert imaging.EXT_DOCUMENT_MODALITY in {extension["url"] for extension in shown["extension"]}


async def test_ids_are_those_of_fhir_and_old_canonicals_are_never_sent(published):
    """R94, R95."""
    seen = 0
    for kind in ("DocumentReference", "List", *RESOURCES):
        named = {"patient.identifier": published.content.patient.token}
        bundle = await published.search(kind, **named, **({"_include": "*"} if kind != "Endpoint" else {}))
        text = json.dumps(bundle)
        assert "hl7.eu/fhir/imaging-r4" not in text
        assert "eu-health-data-api" not in text
        for resource in (*matches(bundle), *matches(bundle, "include")):
            assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", resource["id"]), kind
            seen += 1
    assert seen > 10


async def test_every_derived_resource_has_a_provenance_that_names_the_manifest(published):
    """R58."""
    named = {"patient.identifier": published.content.patient.token}
    targets = {
        reference["reference"]
        for provenance in matches(await published.search("Provenance", **named))
        for reference in provenance["target"]
        if any("DocumentReference/" in str(e["what"]) for e in provenance["entity"])
    }
    for kind in ("ImagingStudy", "ServiceRequest", "Endpoint"):
        for resource in matches(await published.search(kind, **named)):
            target = f"{kind}/{resource['id']}"
            assert target in targets
            one = await published.search("Provenance", **named, target=target)
            assert len(matches(one)) == 1, target


async def test_a_study_of_several_orders_has_each_of_them_and_its_key_object(published):
    """R41, R47, R54, R55: of an older entry that says nothing of it."""
    patient, manifest = a_patient(), group_case()
    content = write_kos(manifest)
    await register(published.stack, (legacy_entry(patient, content, manifest.sop_instance_uid), content))
    named = {"patient.identifier": patient.token}
    orders = matches(await published.search("ServiceRequest", **named))
    numbers = [(i.get("system"), i["value"]) for order in orders for i in order["identifier"]]
    assert {("urn:oid:2.999.5.1", "A-1"), ("urn:oid:2.999.5.1", "A-2")} < set(numbers)
    assert numbers.count(("urn:oid:2.999.5.2", "ORDER-7")) == len(orders) == 2
    assert all(c["coding"][0]["code"] == "363679005" for order in orders for c in order["category"])
    one = await published.search("ServiceRequest", **named, identifier="urn:oid:2.999.5.1|A-2")
    assert len(matches(one)) == 1
    assert matches(await published.search("ServiceRequest", **named, identifier="urn:oid:2.999.9|A-2")) == []
    for accession in ("urn:oid:2.999.5.1|A-1", "urn:oid:2.999.5.1|A-2"):
        bundle = await published.search(
            "ImagingStudy", **named, **{"based-on:identifier": accession}, _include="*"
        )
        (study,) = matches(bundle)
    assert {o["reference"] for o in study["basedOn"]} == {f"ServiceRequest/{o['id']}" for o in orders}
    assert [o["identifier"]["value"] for o in study["basedOn"]] == ["A-1", "A-2"]
    assert study["numberOfSeries"] == len(study["series"]) == len(manifest.study.series)
    listed = sum(len(series.instances) for series in manifest.study.series)
    assert study["numberOfInstances"] == sum(s["numberOfInstances"] for s in study["series"]) == listed
    assert {c["code"] for c in study["modality"]} == {"CT"}
    assert {s["modality"]["code"] for s in study["series"]} == {"CT", "KO"}
    (key_object,) = study["series"][3]["instance"]
    assert key_object["title"] == "Significant DICOM Instances"
    titles = [e for e in key_object["extension"] if e["url"] == imaging.EXT_MADO_KO_TITLE]
    assert titles[0]["valueCodeableConcept"]["coding"][0]["code"] == "113000"
    for reference in {e["reference"] for s in study["series"] for e in s["endpoint"]}:
        status, endpoint = await published.stack.get(reference)
        assert (status, endpoint["resourceType"]) == (200, "Endpoint")
    (whose,) = [r for r in matches(bundle, "include") if r["resourceType"] == "Patient"]
    assert study["subject"]["reference"] == f"Patient/{whose['id']}"
    assert [(i["system"], i["value"]) for i in whose["identifier"]] == [
        (f"urn:oid:{patient.authority}", patient.id),
        ("urn:oid:2.999.5.4", "P-1"),
        ("urn:oid:2.999.5.5", "N-77"),
    ]


async def test_a_host_that_a_client_names_is_never_asked(published):
    """R76: neither in the parameter that cross-community WADO has for it, nor in a header."""
    asked = []

    async def listen(request):
        asked.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", listen)
    async with site(app) as elsewhere:
        host = elsewhere.removeprefix("http://")
        for url in (published.url(), f"{published.stack.base_url}/dicomweb/{published.path}"):
            for name, value in (("retrieveurl", f"{host}/dicom"), ("RetrieveURL", elsewhere)):
                assert await images(published, f"{url}?{name}={value}") == published.files
            headers = {"Accept": ANY, "X-Forwarded-Host": host, "Forwarded": f"host={host}"}
            async with published.stack.session.get(url, headers=headers) as answer:
                assert parts_of(answer.headers, await answer.read()) == published.files
    assert asked == []


# --- what lasts -------------------------------------------------------------------------------------------------
async def test_ids_and_addresses_of_a_study_work_where_nothing_is_remembered(published, tmp_path):
    """R53, R79: after a restart, on another replica, and when what was kept has expired."""
    named = {"patient.identifier": published.content.patient.token}
    (study,) = matches(await published.search("ImagingStudy", **named))
    addresses = {e["address"] for e in matches(await published.search("Endpoint", **named))}
    async with beside(published.stack, tmp_path) as other:
        found: dict[str, bytes] = {}
        for address in addresses:
            here = address.replace(published.stack.base_url, other.base_url)
            status, headers, body = await published.get(f"{here}/{published.path}", ANY)
            assert status in (200, 206)
            found |= parts_of(headers, body)
        assert found == published.files
    (folder := tmp_path / "again").mkdir()
    async with beside(published.stack, folder) as other:
        status, read = await other.get(f"ImagingStudy/{study['id']}")
        assert (status, read["id"], len(read["series"])) == (200, study["id"], len(study["series"]))


async def test_addresses_of_a_replaced_manifest_go_on(published):
    """R80: the new one alone is found, the old one by its status; its document and its images still come."""
    patient = a_patient()
    manifest = read_kos(published.content.manifest.content).manifest
    ids = (IssuedId(patient.id, Issuer(None, patient.authority, "ISO")),)
    whose = replace(manifest.study.patient, ids=ids)
    manifest = replace(manifest, study=replace(manifest.study, patient=whose))
    versions = [replace(manifest, sop_instance_uid=f"2.999.80.{number}") for number in (1, 2)]
    old_endpoints: set[str] = set()
    for number, version in enumerate(versions):
        document = manifest_document(write_kos(version), version.sop_instance_uid, period=None)
        status, answer = await published.stack.publish(provide_bundle([document], patient=patient))
        assert status == 200, answer
        endpoints = {
            e["address"]
            for e in matches(await published.search("Endpoint", **{"patient.identifier": patient.token}))
        }
        if number == 0:
            old_endpoints = endpoints
    assert old_endpoints.isdisjoint(endpoints)
    current = await published.stack.find(patient__identifier=patient.token, status="current")
    assert {f["masterIdentifier"]["value"] for f in current} == {"urn:oid:2.999.80.2"}
    old = await published.stack.find(patient__identifier=patient.token, status="superseded")
    assert {f["masterIdentifier"]["value"] for f in old} == {"urn:oid:2.999.80.1"}
    for shown in old:
        assert (await published.stack.download(shown))[0] == 200
    found: dict[str, bytes] = {}
    for address in old_endpoints:
        found |= await images(published, f"{address}/{published.path}")
    assert found == published.files
