"""Requests that no well-meant client sends end in an OperationOutcome that says why, never in a server error."""

import json
import uuid

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.documentreference import DocumentReference
from yarl import URL

from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import SampleReferenceId
from gateway.model import Code, Cx, DocumentEntry, QueryResult, ReferenceId, ResponseStatus, codes
from gateway.model.query import FindDocuments
from tests.system import wire_failures as wire
from tests.system.documents import a_document, a_patient

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENT = "patient.identifier=urn:oid:2.999.1.1%7C"
NASTY = "A^B&C|D~E\\F\\T\\ Ö漢字😀 \"q\" 's' <x> %_ \\"
"""Delimiters and escapes of HL7 v2, of XML, of LIKE and of slot values."""


async def get(stack, tail, **headers):
    """GET of a path below the base as it stands; status and body."""
    async with stack.session.get(URL(stack.base_url + tail, encoded=True), headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


@pytest.mark.parametrize(
    "tail",
    [
        "/DocumentReference/x",
        "/DocumentReference/" + "a" * 500,
        "/DocumentReference/%00",
        "/List/" + "a" * 500,
        "/List/%07",
        "/Patient/%00",
        "/Patient/" + "a" * 500,
        "/content/" + "a" * 5000,
    ],
)
async def test_an_id_that_cannot_be_ours_is_not_found_without_asking_anyone(stack, tail):
    stack.soap_calls.clear()
    status, outcome = await get(stack, tail)
    assert (status, outcome["resourceType"]) == (404, "OperationOutcome")
    assert not stack.soap_calls


@pytest.mark.parametrize(
    "tail",
    [
        f"{PATIENT}{'x' * 300}",
        f"{PATIENT}x%00",
        f"{PATIENT}1&type=http://loinc.org%7C{'x' * 300}",
        f"{PATIENT}1&type=http://loinc.org%7C%1B",
        f"{PATIENT}1&related:identifier=urn:oid:2.999.7%7C{'x' * 300}",
        f"{PATIENT}1&author.family:exact={'x' * 300}",
        f"identifier=urn:ietf:rfc:3986%7Curn:oid:2.{'9' * 300}",
        f"{PATIENT}1&_count=-1",
        f"{PATIENT}1&_count=%C2%B2",
        f"{PATIENT}1&creation=ge2024-13",
        f"{PATIENT}1&status=other",
    ],
)
async def test_a_value_that_cannot_be_asked_for_is_refused(stack, tail):
    status, outcome = await get(stack, f"/DocumentReference?{tail}")
    assert status == 400, outcome
    assert all(len(issue["diagnostics"]) > 10 for issue in outcome["issue"])


@pytest.mark.parametrize("count", ["9" * 5000, "000000000000000000000005"])
async def test_a_count_of_any_length_is_limited(stack, count):
    status, bundle = await get(stack, f"/DocumentReference?{PATIENT}1&_count={count}")
    assert (status, bundle["total"]) == (200, 0)


async def test_a_refused_search_also_says_what_it_did_not_know(stack):
    status, outcome = await get(stack, "/DocumentReference?custodian=Organization/1")
    assert status == 400
    assert {i["severity"] for i in outcome["issue"]} == {"error", "warning"}
    assert any("custodian" in i["diagnostics"] for i in outcome["issue"])


@pytest.mark.parametrize(
    "prefer", ["handling=strict", 'return=minimal, handling="strict"', "Handling = strict"]
)
async def test_strict_handling_is_understood_in_every_spelling(stack, prefer):
    status, _ = await get(stack, f"/DocumentReference?{PATIENT}1&colour=red", Prefer=prefer)
    assert status == 400


@pytest.mark.parametrize(
    ("element", "value"),
    [
        (("masterIdentifier", "value"), "urn:oid:1." + "1" * 300),
        (("content", 0, "attachment", "title"), "x" * 5000),
        (("content", 0, "attachment", "title"), "a\0b"),
        (("description",), "a\x1bb"),
        (("description",), "a\ufffeb"),
        (("type", "coding", 0, "code"), "x" * 300),
        (("type", "coding", 0, "display"), "x" * 2000),
        (("contained", 0, "name", 0, "family"), "x" * 300),
        (("contained", 0, "identifier", 0, "value"), "x" * 300),
    ],
)
async def test_what_ebrim_cannot_carry_is_refused_and_not_stored(stack, element, value):
    patient = a_patient()
    bundle = provide_bundle([a_document()], patient=patient)
    *steps, last = element
    place = bundle["entry"][1]["resource"]
    for step in steps:
        place = place[step]
    place[last] = value
    status, outcome = await stack.publish(bundle)
    assert status in (400, 422), outcome
    assert outcome["issue"][0]["severity"] == "error"
    assert value not in json.dumps(outcome)
    assert await stack.find(patient__identifier=patient.token, status="current") == []


async def test_texts_with_every_delimiter_come_back_as_they_were(stack):
    patient = a_patient()
    related = SampleReferenceId(value="ac^c&|~\\%_", type=codes.REFERENCE_ACCESSION, authority="2.999.1.3")
    bundle = provide_bundle([a_document(title=NASTY, reference_ids=(related,))], patient=patient, title=NASTY)
    sent = bundle["entry"][1]["resource"]
    sent["description"] = f"{NASTY}\nsecond line\ttab"
    sent["type"]["coding"][0]["display"] = NASTY
    name = {"family": NASTY, "given": [NASTY, f"{NASTY}2"], "prefix": ["Dr^"], "suffix": ["j~r"]}
    sent["contained"][0]["name"] = [name]
    sent["contained"][0]["address"] = [{"line": [NASTY, "l^2"], "city": NASTY, "country": "A&T"}]
    author = {"resourceType": "Practitioner", "id": "author", "name": [name]}
    author["identifier"] = [{"system": "urn:oid:2.999.7", "value": NASTY}]
    author["telecom"] = [{"system": "email", "value": "a^b@c.example", "use": "work"}]
    role = {"resourceType": "PractitionerRole", "id": "role", "practitioner": {"reference": "#author"}}
    sent["contained"] += [author, {**role, "code": [{"text": NASTY}]}]
    sent["author"] = [{"reference": "#role"}]
    sent["authenticator"] = {"reference": "#author"}
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    contained = {r["id"]: r for r in found["contained"]}
    patient_info = contained[found["context"]["sourcePatientInfo"]["reference"][1:]]
    written_role = contained[found["author"][0]["reference"][1:]]
    person = contained[written_role["practitioner"]["reference"][1:]]
    assert found["content"][0]["attachment"]["title"] == NASTY
    for element in ("description", "type"):
        assert found[element] == sent[element]
    for element in ("name", "address", "identifier", "birthDate", "gender"):
        assert patient_info[element] == sent["contained"][0][element]
    assert (person["name"], person["identifier"]) == (author["name"], author["identifier"])
    assert written_role["code"] == [{"text": NASTY}]
    assert written_role["telecom"] == author["telecom"]
    assert contained[found["authenticator"]["reference"][1:]]["name"] == author["name"]
    assert found["context"]["related"][0]["identifier"]["value"] == related.value
    status, submission_set = await stack.get(answer["entry"][0]["response"]["location"])
    assert (status, submission_set["title"]) == (200, NASTY)
    asked = {"related:identifier": "urn:oid:2.999.1.3|ac^c&\\|~\\\\%_", "author.family": NASTY[:5]}
    assert len(await stack.find(patient__identifier=patient.token, status="current", **asked)) == 1


async def test_what_fhir_cannot_say_is_left_out_with_a_warning(stack):
    patient = Cx(a_patient().id, "2.999.1.1")
    odd = DocumentEntry(
        entry_uuid=uuid.uuid4().urn,
        unique_id="not an oid ^ at all",
        patient_id=patient,
        mime_type=" ",
        size=2**31,
        hash="zz",
        creation_time="20240231",
        service_start_time="2024",
        service_stop_time="2023",
        language="  ",
        type_code=Code(" a  b ", "My scheme", None),
        confidentiality=(Code("N", "", ""),),
        reference_ids=(ReferenceId("some id", None, "a type"),),
        home_community_id="urn:oid:2.999.99",
    )
    stack.interfere = wire.at(
        wire.REGISTRY,
        wire.query_answer(QueryResult(status=ResponseStatus.SUCCESS, entries=(odd,))),
        asked_for=FindDocuments.query_id.encode(),
    )
    try:
        status, bundle = await get(stack, f"/DocumentReference?{PATIENT}{patient.id}&status=current")
    finally:
        stack.interfere = None
    assert (status, bundle["total"]) == (200, 1)
    Bundle.model_validate(bundle)
    match, outcome = (entry["resource"] for entry in bundle["entry"])
    DocumentReference.model_validate(match)
    assert {"size", "hash", "creation"}.isdisjoint(match["content"][0]["attachment"])
    assert {issue["expression"][0].partition("').")[2] for issue in outcome["issue"]} == {
        "content.attachment.size",
        "content.attachment.hash",
        "content.attachment.creation",
        "context.period.end",
    }


async def test_a_bundle_built_again_with_new_labels_is_stored_once(stack):
    patient = a_patient()
    bundle = provide_bundle([a_document(), a_document()], patient=patient)
    text = json.dumps(bundle)
    for entry in bundle["entry"]:
        text = text.replace(entry["fullUrl"], uuid.uuid4().urn)
    first, second = await stack.publish(bundle), await stack.publish(text.encode())
    assert first[0] == 200
    assert first == second
    assert len(await stack.find(patient__identifier=patient.token, status="current")) == 2
