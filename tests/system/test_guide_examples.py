"""The provide bundles of IHE MHD 4.2.4 over the whole stack: accepted, stored, found and retrieved.

What is repaired are the known defects of the published examples: one uniqueId for several documents, a wrong
size, references to resources that no server has, a PUT without id.
"""

import hashlib
import json
import uuid
from base64 import b64decode
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import IdSource
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack, site
from tests.system.tables import fingerprint

FOLDER = Path(__file__).resolve().parents[3] / "shared/oracle/profiles/r4/ihe.iti.mhd-4.2.4/examples"
COMPREHENSIVE = "Bundle-ex-comprehensiveProvideDocumentBundle"
UNCONTAINED = "Bundle-ex-unContainedComprehensiveProvideDocumentBundleComplete"
MINIMAL = "Bundle-ex-minimalProvideDocumentBundleSimple"

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the examples of the profile are not here"),
]


def example(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


async def resource_of_the_guide(request):
    """A directory with the persons and organizations of the guide."""
    path = FOLDER / f"{request.match_info['kind']}-{request.match_info['id']}.json"
    if not path.is_file():
        return web.Response(status=404)
    return web.Response(body=path.read_bytes(), content_type="application/fhir+json")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    directory = web.Application()
    directory.router.add_get("/fhir/{kind}/{id}", resource_of_the_guide)
    async with (
        site(directory) as url,
        running_stack(
            tmp_path_factory.mktemp("examples"),
            references={"allowed_hosts": [url.removeprefix("http://")], "directory": f"{url}/fhir"},
            terminology={"assigning_authorities": {
                "http://example.org/patients": "2.999.7",
                "http://example.org/documents": "2.999.8",
            }},
        ) as running,
    ):  # fmt: skip
        yield running


async def a_registered_document(stack):
    """A document of a new patient, and the Reference of that patient at this server."""
    patient = a_patient()
    status, answer = await stack.publish(provide_bundle([a_document()], patient=patient))
    assert status == 200, answer
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    return found, found["subject"]["reference"]


def new_ids(resource):
    """Give a SubmissionSet, Folder or document a uniqueId that no other example has."""
    unique_id = f"urn:oid:{IdSource(uuid.uuid4().hex).oid(9)}"
    for identifier in (*resource.get("identifier", ()), resource.get("masterIdentifier", {})):
        if identifier.get("type", {}).get("coding", [{}])[0].get("code") == "uniqueId":
            identifier["value"] = unique_id


async def mended(stack, name):
    """The example for a patient of this server, and the document that it may relate to."""
    existing, patient = await a_registered_document(stack)
    bundle = example(name)
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if resource.get("subject", {}).get("reference", "").endswith(("ex-patient", "fdoc-patient")):
            resource["subject"] = {"reference": patient}
        if resource["resourceType"] in ("List", "DocumentReference"):
            new_ids(resource)
        for content in resource.get("content", ()):
            if content["attachment"].get("size") == 24:
                content["attachment"]["size"] = 23
        for relation in resource.get("relatesTo", ()):
            relation["target"]["reference"] = f"DocumentReference/{existing['id']}"
        if entry["request"]["method"] == "PATCH":
            entry["request"]["url"] = f"DocumentReference/{existing['id']}"
    return bundle, existing, patient


def documents_of(bundle):
    """Bytes that the Bundle brings, in the order of its DocumentReferences."""
    data = {e["fullUrl"]: e["resource"].get("data") for e in bundle["entry"]}
    return [
        b64decode(data[e["resource"]["content"][0]["attachment"]["url"]] or "")
        for e in bundle["entry"]
        if e["resource"]["resourceType"] == "DocumentReference"
    ]


async def stored(stack, bundle, patient):
    """Publish the Bundle; its documents as the server has them, found by search and retrieved."""
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    assert len(answer["entry"]) == len(bundle["entry"])
    assert all(entry["response"]["location"] for entry in answer["entry"])
    kinds = [e["resource"]["resourceType"] for e in bundle["entry"]]
    found = []
    for kind, entry in zip(kinds, answer["entry"], strict=True):
        location = entry["response"]["location"]
        if kind in ("List", "DocumentReference"):
            assert entry["response"]["status"].startswith(("200", "201"))
            status, resource = await stack.get(location)
            assert status == 200, resource
            if kind == "DocumentReference":
                found.append(resource)
    matches = {r["id"]: r for r in await stack.find(patient=patient, status="current")}
    for resource in found:
        assert matches[resource["id"]] == resource
        status, headers, body = await stack.download(resource)
        attachment = resource["content"][0]["attachment"]
        assert (status, headers["Content-Type"]) == (200, attachment["contentType"])
        assert b64decode(attachment["hash"]) == hashlib.sha1(body).digest()
        assert attachment["size"] == len(body)
    return found


@pytest.mark.parametrize("name", ["Simple", "Complete", "Multiple", "Replace"])
async def test_comprehensive_bundles(stack, name):
    bundle, existing, patient = await mended(stack, f"{COMPREHENSIVE}{name}")
    found = await stored(stack, bundle, patient)
    contents = [(await stack.download(resource))[2] for resource in found]
    assert contents == documents_of(bundle)
    relations = {r["code"] for resource in found for r in resource.get("relatesTo", ())}
    assert relations == {"Complete": {"appends"}, "Replace": {"replaces"}}.get(name, set())
    superseded = [r["id"] for r in await stack.find(patient=patient, status="superseded")]
    assert superseded == ([existing["id"]] if name == "Replace" else [])


async def test_a_document_is_added_to_the_folder_of_another_example(stack):
    bundle, _, patient = await mended(stack, f"{COMPREHENSIVE}Complete")
    await stored(stack, bundle, patient)
    (folder,) = await stack.find_lists(patient=patient, code="folder", status="current")
    added, _, _ = await mended(stack, "Bundle-ex-ProvideDocumentBundle-addToFolder")
    for entry in added["entry"]:
        if "subject" in entry["resource"]:
            entry["resource"]["subject"] = {"reference": patient}
    (update,) = [e for e in added["entry"] if e["request"]["method"] == "PUT"]
    update["request"]["url"] = f"List/{folder['id']}"
    update["resource"]["identifier"] = folder["identifier"]
    update["resource"]["entry"] = [*folder["entry"], {"item": {"reference": added["entry"][1]["fullUrl"]}}]
    await stored(stack, added, patient)
    _, now = await stack.get(f"List/{folder['id']}")
    assert len(now["entry"]) == len(folder["entry"]) + 1


async def test_a_fhir_document(stack):
    bundle, _, patient = await mended(stack, f"{COMPREHENSIVE}Document")
    reference = bundle["entry"][1]["resource"]
    # names without authority have no place in XDS
    reference["contained"][0]["identifier"][0]["system"] = "urn:oid:2.999.8"
    reference["context"]["encounter"][0]["identifier"]["system"] = "urn:oid:2.999.9"
    (found,) = await stored(stack, bundle, patient)
    _, _, body = await stack.download(found, Accept="application/fhir+json")
    assert json.loads(body) == bundle["entry"][2]["resource"]


async def test_uncontained_references_are_resolved_in_the_directory(stack):
    bundle, _, patient = await mended(stack, UNCONTAINED)
    bundle["entry"][1]["resource"]["context"]["sourcePatientInfo"] = {"reference": patient}
    (found,) = await stored(stack, bundle, patient)
    contained = {f"#{c['id']}": c for c in found["contained"]}
    organization, practitioner = (contained[a["reference"]] for a in found["author"])
    assert organization["name"] == "nowhere"
    assert practitioner["telecom"][0]["system"] == "email"
    source = contained[found["context"]["sourcePatientInfo"]["reference"]]
    assert source["identifier"] == [found["subject"]["identifier"]]


@pytest.mark.parametrize("name", [MINIMAL, f"{MINIMAL}Contained"])
async def test_a_minimal_bundle_is_taken_when_it_has_what_the_answer_lists(stack, name):
    bundle, _, patient = await mended(stack, name)
    before = fingerprint(stack)
    status, outcome = await stack.publish(bundle)
    assert status == 422
    assert fingerprint(stack) == before
    model = example(f"{COMPREHENSIVE}Simple")
    sets, references = ([e["resource"] for e in model["entry"]][i] for i in (0, 1))
    missing = {path for issue in outcome["issue"] for path in issue.get("expression", ())}
    assert {f"Bundle.entry[1].resource.{name}" for name in ("type", "category", "securityLabel")} <= missing
    for entry, complete in zip(bundle["entry"], (sets, references), strict=False):
        resource = entry["resource"]
        resource["subject"] = {"reference": patient}
        for element in ("type", "category", "securityLabel", "context"):
            if element in complete:
                resource.setdefault(element, complete[element])
        if resource["resourceType"] == "List":
            resource["extension"].append(complete["extension"][0])
            assert "designationType" in complete["extension"][0]["url"]
            continue
        contained = [c for c in complete["contained"] if c["resourceType"] == "Patient"]
        resource["context"] = complete["context"]
        resource["contained"] = contained
        attachment = resource["content"][0]["attachment"]
        for element in ("language", "creation", "hash", "size"):
            attachment.setdefault(element, complete["content"][0]["attachment"][element])
        resource["content"][0].setdefault("format", complete["content"][0]["format"])
    bundle["entry"] = [e for e in bundle["entry"] if e["resource"]["resourceType"] != "Patient"]
    await stored(stack, bundle, patient)
