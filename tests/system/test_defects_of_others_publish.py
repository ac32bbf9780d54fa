"""Defects of other gateways in ITI-65 -> ITI-41: one test each that shows this one without it."""

import hashlib
import uuid
from base64 import b64encode

import pytest

from gateway.demo.bundles import CONTENT_TYPE, provide_bundle
from gateway.demo.samples import IdSource, SampleAuthor, SampleFolder
from gateway.model import codes
from tests.system.documents import a_document, a_patient

pytestmark = pytest.mark.asyncio(loop_scope="module")

SET, DOCUMENT = 0, 1


def a_bundle(patient, **document):
    return provide_bundle([a_document(**document)], patient=patient)


async def found_after(stack, patient, bundle):
    """The DocumentReference of a Bundle with one document, and the entries of the answer."""
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    return found, answer["entry"]


def contained_of(resource, reference):
    (found,) = [c for c in resource["contained"] if f"#{c['id']}" == reference["reference"]]
    return found


def entry(kind, resource):
    return {"fullUrl": uuid.uuid4().urn, "resource": resource, "request": {"method": "POST", "url": kind}}


async def test_a_patient_entry_is_no_failure_of_the_server_and_creates_none(stack):
    patient = a_patient()
    bundle = a_bundle(patient)
    bundle["entry"].append(entry("Patient", {"resourceType": "Patient", "identifier": [patient.identifier]}))
    _, answered = await found_after(stack, patient, bundle)
    response = answered[-1]["response"]
    assert response["status"].startswith("200"), "the patient is matched, not created"
    assert "Patient/" in response["location"]


async def test_an_entry_of_any_other_kind_is_refused_and_never_a_server_error(stack):
    for kind in ("Practitioner", "Encounter", "Observation", "Basic"):
        bundle = a_bundle(a_patient())
        bundle["entry"].append(entry(kind, {"resourceType": kind}))
        status, outcome = await stack.publish(bundle)
        assert status in (400, 422), kind
        assert outcome["issue"][0]["expression"][0].startswith("Bundle.entry[3]"), kind


async def test_the_last_list_does_not_hide_the_submission_set(stack):
    patient = a_patient()
    folder = SampleFolder(IdSource(uuid.uuid4().hex).oid(3), "Episode", CONTENT_TYPE)
    bundle = provide_bundle([a_document()], patient=patient, folder=folder)
    bundle["entry"].append(bundle["entry"].pop(SET))
    _, answered = await found_after(stack, patient, bundle)
    lists = {}
    for position in (1, -1):
        status, resource = await stack.get(answered[position]["response"]["location"])
        assert status == 200
        lists[position] = resource["code"]["coding"][0]["code"]
    assert lists == {1: "folder", -1: "submissionset"}


@pytest.mark.parametrize("kind", ["Organization", "Patient", "RelatedPerson", "Device"])
async def test_authors_of_every_kind_are_kept(stack, kind):
    patient = a_patient()
    bundle = a_bundle(patient)
    document = bundle["entry"][DOCUMENT]["resource"]
    author = {
        "Organization": {"name": "Kildare"},
        "Patient": {"name": [{"family": "Kildare"}]},
        "RelatedPerson": {"name": [{"family": "Kildare"}], "patient": {"display": "x"}},
        "Device": {"deviceName": [{"name": "Kildare", "type": "other"}]},
    }[kind]
    document["contained"].append({"resourceType": kind, "id": "who", **author})
    document["author"] = [{"reference": "#who"}]
    found, _ = await found_after(stack, patient, bundle)
    written = contained_of(found, found["author"][0])
    assert "Kildare" in (written["name"] if kind == "Organization" else written["name"][0]["family"])


@pytest.mark.parametrize("kind", ["Patient", "RelatedPerson", "Practitioner", "Organization"])
async def test_recipients_of_every_kind_are_kept(stack, kind):
    patient = a_patient()
    bundle = a_bundle(patient)
    submission_set = bundle["entry"][SET]["resource"]
    name = "Kim" if kind == "Organization" else [{"family": "Kim"}]
    more = {"patient": {"display": "x"}} if kind == "RelatedPerson" else {}
    submission_set["contained"].append({"resourceType": kind, "id": "to", "name": name, **more})
    submission_set["extension"].append(
        {"url": codes.EXT_INTENDED_RECIPIENT, "valueReference": {"reference": "#to"}}
    )
    _, answered = await found_after(stack, patient, bundle)
    _, resource = await stack.get(answered[SET]["response"]["location"])
    (recipient,) = [e for e in resource["extension"] if e["url"] == codes.EXT_INTENDED_RECIPIENT]
    written = contained_of(resource, recipient["valueReference"])
    assert "Kim" in (written["name"] if kind == "Organization" else written["name"][0]["family"])


async def test_the_date_of_the_reference_need_not_be_that_of_the_document(stack):
    patient = a_patient()
    bundle = a_bundle(patient, creation="2026-01-02T03:04:05Z")
    bundle["entry"][DOCUMENT]["resource"]["date"] = "2026-05-06T07:08:09Z"
    found, _ = await found_after(stack, patient, bundle)
    assert found["content"][0]["attachment"]["creation"] == "2026-01-02T03:04:05Z"


async def test_a_telecom_without_system_is_refused_by_its_rule(stack):
    bundle = a_bundle(a_patient(), authors=(SampleAuthor(family="Welby", staff_id="1"),))
    document = bundle["entry"][DOCUMENT]["resource"]
    (author,) = [c for c in document["contained"] if c["resourceType"] == "Practitioner"]
    author["telecom"] = [{"value": "4711"}]
    status, outcome = await stack.publish(bundle)
    assert status == 400
    assert outcome["issue"][0]["expression"] == ["Bundle.entry[1].resource.contained[1].telecom[0].system"]
    assert "cpt-2" in outcome["issue"][0]["diagnostics"]


async def test_hash_and_size_are_those_of_the_bytes_and_wrong_ones_are_refused(stack):
    patient, content = a_patient(), b"\r\nbytes\0"
    bundle = a_bundle(patient, content=content)
    attachment = bundle["entry"][DOCUMENT]["resource"]["content"][0]["attachment"]
    attachment["size"] += 1
    status, outcome = await stack.publish(bundle)
    assert status == 422
    assert outcome["issue"][0]["expression"] == ["Bundle.entry[1].resource.content[0].attachment.size"]
    attachment["size"] -= 1
    found, _ = await found_after(stack, patient, bundle)
    assert found["content"][0]["attachment"]["hash"] == b64encode(hashlib.sha1(content).digest()).decode()


async def test_an_encounter_is_kept(stack):
    patient = a_patient()
    bundle = a_bundle(patient)
    visit = {"identifier": {"system": "urn:oid:2.999.8", "value": "V1"}}
    bundle["entry"][DOCUMENT]["resource"]["context"]["encounter"] = [visit]
    found, _ = await found_after(stack, patient, bundle)
    assert found["context"]["encounter"] == [visit]


async def test_each_entry_has_its_own_location_and_its_own_status(stack):
    patient = a_patient()
    documents = [a_document(title=f"Number {n}") for n in range(3)]
    status, answer = await stack.publish(provide_bundle(documents, patient=patient))
    assert (status, answer["type"]) == (200, "transaction-response")
    locations = [e["response"]["location"] for e in answer["entry"]]
    assert len(set(locations)) == 7
    old = answer["entry"][DOCUMENT]["response"]["location"]
    status, answer = await stack.publish(provide_bundle([a_document()], patient=patient, replaces=old))
    assert status == 200, answer
    kinds = [e["response"]["status"][:3] for e in answer["entry"]]
    assert kinds == ["201", "201", "200", "201"], "the PATCH of the old one creates nothing"
