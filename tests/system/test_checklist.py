"""What gateways before this one get wrong, over the whole stack: one test a point, named after it.

Points that other modules show in full are shown here in short; searches have their own module, and large
documents `test_large_documents`.
"""

import json
import secrets
import uuid

import aiohttp
import pytest
from aiohttp import web

from gateway.demo.bundles import CONTENT_TYPE, provide_bundle
from gateway.demo.samples import IdSource, SampleAuthor, SampleFolder
from gateway.ebxml.retrieve import read_retrieve_request
from gateway.model import QueryResult, RegistryError, ResponseStatus, codes
from gateway.safe_xml import parse_xml
from gateway.settings import Settings
from tests.correlation.servers import Server
from tests.ports import free_port
from tests.system import wire_failures as wire
from tests.system.documents import a_document, a_patient
from tests.system.stack import affinity_service, gateway_service, running_gateway, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOME = "urn:oid:2.999.9.1"


async def published(stack, bundle):
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    return answer


async def the_document_of(stack, patient):
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    return found


async def test_3_three_documents_have_three_locations(stack):
    documents = [a_document(title=f"Number {n}") for n in range(3)]
    answer = await published(stack, provide_bundle(documents, patient=a_patient()))
    assert answer["type"] == "transaction-response"
    locations = [entry["response"]["location"] for entry in answer["entry"][1:4]]
    titles = [(await stack.get(location))[1]["content"][0]["attachment"]["title"] for location in locations]
    assert titles == ["Number 0", "Number 1", "Number 2"]


def with_patient_and_folder(patient):
    folder = SampleFolder(IdSource(uuid.uuid4().hex).oid(3), "Episode", CONTENT_TYPE)
    bundle = provide_bundle(
        [a_document(authors=(SampleAuthor(family="Welby", staff_id="1"),))], patient=patient, folder=folder
    )
    full_url = uuid.uuid4().urn
    resource = {"resourceType": "Patient", "identifier": [patient.identifier], "name": [{"family": "Muster"}]}
    bundle["entry"].append(
        {"fullUrl": full_url, "resource": resource, "request": {"method": "POST", "url": "Patient"}}
    )
    for entry in bundle["entry"]:
        if "subject" in entry["resource"]:
            entry["resource"]["subject"] = {"reference": full_url}
    return bundle


async def test_4_folder_submission_set_patient_and_practitioner_in_one_bundle(stack):
    patient = a_patient()
    bundle = with_patient_and_folder(patient)
    kinds = [c["resourceType"] for c in bundle["entry"][1]["resource"]["contained"]]
    assert "Practitioner" in kinds
    answer = await published(stack, bundle)
    assert len({entry["response"]["location"] for entry in answer["entry"]}) == len(bundle["entry"])
    found = await the_document_of(stack, patient)
    assert len(await stack.find_lists(patient__identifier=patient.token, status="current")) == 2
    assert "Practitioner" in [c["resourceType"] for c in found["contained"]]


async def test_4_uncontained_references_too(stack):
    patient = a_patient()
    bundle = with_patient_and_folder(patient)
    bundle["meta"]["profile"] = [codes.PROFILE_UNCONTAINED_BUNDLE]
    document = bundle["entry"][1]["resource"]
    outside = {"reference": "https://directory.example/fhir/Practitioner/1"}
    known_by = {"identifier": {"system": "urn:oid:2.999.4", "value": "17"}, "display": "Kildare"}
    document["authenticator"] = outside | known_by
    await published(stack, bundle)
    found = await the_document_of(stack, patient)
    (authenticator,) = [c for c in found["contained"] if c["id"] == "authenticator"]
    assert authenticator["identifier"] == [known_by["identifier"]]


async def test_4_a_practitioner_as_entry_is_refused_with_what_to_do(stack):
    """IHE MHD has no place for it: the slices of the profile are closed."""
    patient = a_patient()
    bundle = provide_bundle([a_document()], patient=patient)
    practitioner = {"resourceType": "Practitioner", "name": [{"family": "Welby"}]}
    bundle["entry"].append(
        {
            "fullUrl": uuid.uuid4().urn,
            "resource": practitioner,
            "request": {"method": "POST", "url": "Practitioner"},
        }
    )
    status, outcome = await stack.publish(bundle)
    assert status == 422
    assert outcome["issue"][0]["expression"] == ["Bundle.entry[3].resource"]
    assert "contained" in outcome["issue"][0]["diagnostics"]
    assert await stack.find(patient__identifier=patient.token) == []


async def test_7_the_home_community_goes_from_registry_to_url_to_repository(tmp_path):
    async with running_stack(tmp_path, community=HOME) as stack:
        patient = a_patient()
        await published(stack, provide_bundle([a_document()], patient=patient))
        found = await the_document_of(stack, patient)
        assert {"url": codes.EXT_HOME_COMMUNITY, "valueOid": HOME} in found["extension"]
        asked = []

        async def overhear(request):
            body = await request.read()
            start = body.index(b"<", body.index(b"\r\n\r\n"))
            message = parse_xml(body[start : body.rindex(b">") + 1])
            for found in message.iter(f"{{{codes.NS_XDS}}}RetrieveDocumentSetRequest"):
                asked.extend(read_retrieve_request(found))
            return web.Response(status=500)

        stack.interfere = overhear
        await stack.download(found)
        assert {request.home_community_id for request in asked} == {HOME}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("XDSUnknownPatientId", 422),
        ("XDSNonIdenticalHash", 409),
        ("XDSRepositoryBusy", 503),
        ("XDSRepositoryError", 502),
    ],
)
async def test_9_xds_errors_have_statuses_of_the_published_table(stack, code, status):
    stack.interfere = wire.at(
        wire.REPOSITORY, wire.submission_answer(ResponseStatus.FAILURE, RegistryError(code, "why"))
    )
    try:
        answered, outcome = await stack.publish(provide_bundle([a_document()], patient=a_patient()))
    finally:
        stack.interfere = None
    assert answered == status
    assert outcome["issue"][0]["details"]["coding"][0]["code"] == code


async def test_9_partial_success_is_200_with_an_outcome(stack):
    result = QueryResult(status=ResponseStatus.PARTIAL, errors=(RegistryError("XDSRegistryBusy", "half"),))
    stack.interfere = wire.at(wire.REGISTRY, wire.query_answer(result))
    try:
        status, bundle = await stack.get(
            "DocumentReference", **{"patient.identifier": a_patient().token, "status": "current"}
        )
    finally:
        stack.interfere = None
    assert status == 200
    (entry,) = bundle["entry"]
    assert (entry["search"]["mode"], entry["resource"]["resourceType"]) == ("outcome", "OperationOutcome")


async def test_10_name_only_institutions_uuids_confidentiality_codes_and_authors_survive(stack):
    patient, unique_id = a_patient(), uuid.uuid4().urn
    authors = (
        SampleAuthor(organization="Haus ohne Nummer"),
        SampleAuthor(family="Zweite", given="Zoe", staff_id="2"),
    )
    bundle = provide_bundle([a_document(unique_id=unique_id, authors=authors)], patient=patient)
    document = bundle["entry"][1]["resource"]
    (house,) = [c for c in document["contained"] if c["resourceType"] == "Organization"]
    house.pop("identifier", None)
    restricted = {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
                "code": "R",
                "display": "restricted",
            }
        ]
    }
    document["securityLabel"].append(restricted)
    await published(stack, bundle)
    found = await the_document_of(stack, patient)
    assert found["masterIdentifier"]["value"] == unique_id
    assert [label["coding"][0]["code"] for label in found["securityLabel"]] == ["N", "R"]
    contained = {f"#{c['id']}": c for c in found["contained"]}
    first, second = (contained[author["reference"]] for author in found["author"])
    assert (first["resourceType"], first["name"], "identifier" in first) == (
        "Organization",
        "Haus ohne Nummer",
        False,
    )
    assert (second["resourceType"], second["name"][0]["family"]) == ("Practitioner", "Zweite")


async def test_13_no_patient_and_no_token_in_logs_at_the_default_level(tmp_path):
    port, affinity_port = free_port(), free_port()
    affinity = affinity_service(tmp_path, affinity_port)
    gateway = gateway_service(tmp_path, port, affinity_port, LOG__LEVEL="info")
    token = f"token-{secrets.token_hex(8)}"
    patient = a_patient("ZQMARK")
    bundle = provide_bundle([a_document()], patient=patient)
    try:
        await affinity.start()
        base = await gateway.start()
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            for made, status in ((bundle, 200), (bundle | {"type": "batch"}, 422), ([patient.id], 400)):
                async with session.post(
                    base, json=made, headers={"Content-Type": "application/fhir+json"}
                ) as answer:
                    assert answer.status == status
            for path in ("DocumentReference", f"Patient/{patient.id}", f"DocumentReference/{patient.id}"):
                query = {"patient.identifier": patient.token, "status": "current", patient.id: patient.id}
                async with session.get(f"{base}/{path}", params=query) as answer:
                    await answer.read()
    finally:
        await gateway.kill(15)
        await affinity.kill(15)
    logs = [(tmp_path / name).read_text() for name in ("gateway.log", "affinity.log")]
    assert [json.loads(line)["event"] for line in logs[0].splitlines()].count("request") >= 6
    for log in logs:
        for mark in ("ZQMARK", patient.id, patient.family, token, token.encode().hex()):
            assert mark not in log


async def test_14_two_replicas_without_sticky_sessions(tmp_path):
    redis = Server(tmp_path / "redis").start()
    public = "https://documents.example/fhir"
    common = {
        "redis": {"url": redis.url},
        "security": {"keys": [secrets.token_hex(32)]},
        "server": {"base_url": public},
    }
    try:
        async with running_stack(tmp_path, **common) as first:
            settings = Settings(**(first.settings.model_dump() | {"state_dir": tmp_path / "second"}))
            async with running_gateway(settings) as second:
                patient, document = a_patient(), a_document()
                bundle = provide_bundle([document], patient=patient)
                answer = await published(first, bundle)
                assert await published(second, bundle) == answer
                found = await the_document_of(second, patient)
                url = found["content"][0]["attachment"]["url"].replace(public, first.base_url)
                async with first.session.get(url) as body:
                    assert await body.read() == document.content
    finally:
        redis.kill()
