"""Every kind of resource that a gateway sends, gathered from one that holds the sample content."""

import json
import uuid
from collections.abc import AsyncIterator

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.demo.samples import CLASS_CODES_BY_TYPE, DOCUMENT_DEFAULTS
from tests.fhir import provide_samples
from tests.system.documents import a_document, a_patient
from tests.system.stack import Stack
from tests.system.test_generate_metadata import a_cda, binary
from tests.system.test_simplified_publish import simplified

PUBLISH = {"defaults": DOCUMENT_DEFAULTS, "class_codes": CLASS_CODES_BY_TYPE}
"""Settings that the sample of ITI-106 needs."""
JSON, XML = "application/fhir+json", "application/fhir+xml"
CONTENT = sample_content("emitted")
TOKEN = CONTENT.patient.token


async def post(stack: Stack, path: str, resource: object, accept: str = JSON) -> tuple[int, bytes]:
    """Status and text of the answer to a POST."""
    async with stack.session.post(
        stack.base_url + path, json=resource, headers={"Content-Type": JSON, "Accept": accept}
    ) as answer:
        return answer.status, await answer.read()


async def get(stack: Stack, path: str, accept: str = JSON, **parameters: str) -> tuple[int, bytes]:
    """Status and text of the answer to a GET."""
    url = path if "://" in path else f"{stack.base_url}/{path}"
    async with stack.session.get(url, params=parameters, headers={"Accept": accept}) as answer:
        return answer.status, await answer.read()


async def publish_samples(stack: Stack) -> list[str]:
    """Publish the content of the demonstration; the Location of each entry."""
    documents = [CONTENT.report, CONTENT.discharge, CONTENT.manifest]
    first = provide_bundle(documents, patient=CONTENT.patient, folder=CONTENT.folder, title="Chest CT")
    locations = []
    status, answer = await stack.publish(first)
    assert status == 200, answer
    locations += [entry["response"]["location"] for entry in answer["entry"]]
    replacement = provide_bundle(
        [CONTENT.corrected_report],
        patient=CONTENT.patient,
        replaces=locations[1],
        relates_to=[("appends", locations[2]), ("signs", locations[3])],
    )
    status, answer = await stack.publish(replacement)
    assert status == 200, answer
    return locations + [entry["response"]["location"] for entry in answer["entry"]]


async def answers(
    stack: Stack, locations: list[str], accept: str = JSON
) -> AsyncIterator[tuple[str, int, bytes]]:
    """What was asked, status and text: searchsets, resources, responses and outcomes, in the format of `accept`."""

    async def ask(path: str, **parameters: str) -> tuple[str, int, bytes]:
        return (f"{path} {parameters}", *await get(stack, path, accept, **parameters))

    who = {"patient.identifier": TOKEN, "status": "current,superseded"}
    for path in ("DocumentReference", "List"):
        yield await ask(path, **who)
        yield await ask(path, **who, _count="2")
        yield await ask(path, **who, colour="red")
        yield await ask(path, **who, identifier="urn:ietf:rfc:3986|urn:oid:2.999.0.1")
        for summary in ("true", "text", "data", "count"):
            yield await ask(path, **who, _summary=summary)
        yield await ask(
            path, **who, _elements="identifier,subject,author,source", _include="*", _revinclude="*"
        )
        yield await ask(path, **(who | {"status": "wrong"}))
        yield await ask(path)
    for location in dict.fromkeys(locations):
        kind, _, name = location.removeprefix(stack.base_url + "/").partition("/")
        if kind in ("DocumentReference", "List"):
            yield await ask(location)
        if kind == "DocumentReference":
            yield await ask(f"Binary/{name}")
    (found, *_) = await stack.find(patient__identifier=TOKEN, status="current")
    yield await ask(found["subject"]["reference"])
    yield await ask("Patient", identifier=TOKEN)
    yield await ask("Patient", identifier=f"{TOKEN.partition('|')[0]}|", family=CONTENT.patient.family)
    yield await ask("Patient", identifier="urn:oid:2.999.404|", family="Nobody")
    described = {"resourceType": "Patient", "identifier": [CONTENT.patient.identifier]}
    for patient in (described, {**described, "birthDate": "1901-01-01"}, {"resourceType": "Patient"}):
        yield "ITI-119", *await post(stack, "/Patient/$match", patient, accept)
    yield await ask("metadata")
    yield await ask("", **who, _include="*", _revinclude="*")
    for path in ("SearchParameter", "OperationDefinition"):
        yield await ask(path)
        yield await ask(path, flavour="sweet")
        for entry in json.loads((await get(stack, path))[1])["entry"]:
            yield await ask(f"{path}/{entry['resource']['id']}")
    yield await ask(f"DocumentReference/{found['id']}", _summary="true")
    for path in (
        f"DocumentReference/{uuid.uuid4()}",
        "List/x",
        "Patient/x",
        "Binary/x",
        "content/x",
        "Nothing",
    ):
        yield await ask(path)
    warned = provide_bundle([a_document()], patient=a_patient())
    warned["entry"][1]["resource"]["custodian"] = {"display": "Archive"}
    broken = provide_samples.bundle() | {"type": "batch"}
    yield "publish with a warning", *await post(stack, "", warned, accept)
    yield "broken publish", *await post(stack, "", broken, accept)
    yield "no publish", *await post(stack, "", [], accept)
    generate = "/DocumentReference/$generate-metadata"
    yield "ITI-106", *await post(stack, generate, binary(a_cda(a_patient())), accept)
    yield "ITI-105", *await post(stack, "/DocumentReference", simplified(a_patient(), a_document()), accept)
