"""Generate Metadata (ITI-106) over sockets: a document brings its own metadata and is found by it."""

import hashlib
import json
import uuid
from base64 import b64encode

import orjson
import pytest
import pytest_asyncio

from gateway.demo.cda import write_cda
from gateway.demo.content import READER, WARD_PHYSICIAN
from gateway.demo.fhir_document import write_fhir_document
from gateway.demo.samples import (
    CLASS_CODES_BY_TYPE,
    DOCUMENT_DEFAULTS,
    FORMAT_CODES,
    LOINC,
    IdSource,
    SampleReferenceId,
)
from gateway.fhir.xml_reader import read_xml
from gateway.fhir.xml_writer import write_xml
from gateway.model import codes
from tests.cda.documents import FULL, changed
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack
from tests.system.test_simplified_publish import simplified

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON, XML = "application/fhir+json", "application/fhir+xml"
SOURCES = {
    "hospital-a": {
        "source_id": "2.999.71",
        "institution": {"name": "Hospital A", "oid": "2.999.72"},
        "defaults": {"language": "fr"},
    }
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    publish = {
        "source_id": "2.999.70",
        "client_header": "X-Client",
        "sources": SOURCES,
        "defaults": DOCUMENT_DEFAULTS,
        "class_codes": CLASS_CODES_BY_TYPE,
    }
    async with running_stack(tmp_path_factory.mktemp("stack"), publish=publish) as running:
        yield running


def parameters(resource):
    return {"resourceType": "Parameters", "parameter": [{"name": "document", "resource": resource}]}


def binary(content, media_type="text/xml"):
    data = b64encode(content).decode()
    return parameters({"resourceType": "Binary", "contentType": media_type, "data": data})


async def operate(stack, body, media_type=JSON, **headers):
    """Status and body of the operation."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    async with stack.session.post(
        f"{stack.base_url}/DocumentReference/$generate-metadata",
        data=raw,
        headers={"Content-Type": media_type, "Accept": JSON, **headers},
    ) as answer:
        return answer.status, await answer.json(content_type=None)


async def generated(stack, body, media_type=JSON, **headers):
    """The DocumentReference that a document led to."""
    status, answer = await operate(stack, body, media_type, **headers)
    assert status == 200, answer
    (parameter,) = answer["parameter"]
    assert (answer["resourceType"], parameter["name"]) == ("Parameters", "DocumentReference")
    status, found = await stack.get(parameter["valueReference"]["reference"])
    assert status == 200, found
    return found


def a_cda(patient, unique_id=None):
    return write_cda(
        IdSource(uuid.uuid4().hex),
        identifier=unique_id or IdSource(uuid.uuid4().hex).oid(2),
        patient=patient,
        author=WARD_PHYSICIAN,
        written="20240201101500+0100",
    )


def a_fhir_document(patient):
    ids = IdSource(uuid.uuid4().hex)
    accession = SampleReferenceId(value="A1", type=codes.REFERENCE_ACCESSION, authority="2.999.1.3")
    return write_fhir_document(
        ids,
        identifier=ids.oid(2),
        patient=patient,
        author=READER,
        accession=accession,
        study_uid="2.999.3.1",
        written="2024-02-01T10:15:00+01:00",
    )


def token(concept):
    coding = concept["coding"][0]
    return coding["system"], coding["code"]


async def test_a_cda_document_is_stored_and_found_by_what_it_says(stack):
    patient = a_patient()
    content = a_cda(patient)
    found = await generated(stack, binary(content))
    assert token(found["type"]) == (LOINC, "18842-5")
    assert found["category"][0]["coding"][0]["code"] == "SUMMARIES"
    assert found["content"][0]["attachment"]["creation"] == "2024-02-01T09:15:00Z"
    assert found["content"][0]["format"]["code"] == "urn:ihe:iti:xds:2017:mimeTypeSufficient"
    contained = {c["id"]: c for c in found["contained"]}
    assert contained["sourcePatient"]["name"][0]["family"] == "Muster"
    (match,) = await stack.find(
        patient__identifier=patient.token, status="current", type_=f"{LOINC}|18842-5", author__family="Template"
    )  # fmt: skip
    assert match == found
    status, headers, body = await stack.download(found)
    assert (status, headers["Content-Type"], body) == (200, "text/xml", content)


async def test_every_element_of_a_cda_header_comes_back(stack):
    patient = a_patient()
    document = changed(
        ('root="2.999.8.3" extension="MRN-1"', f'root="{patient.authority}" extension="{patient.id}"'),
        ("DOC-1", patient.id),
    )
    found = await generated(stack, binary(document))
    assert found["masterIdentifier"]["system"] == "urn:oid:2.999.8.2"
    assert found["masterIdentifier"]["value"] == patient.id
    assert found["content"][0]["format"]["system"] == FORMAT_CODES
    assert found["content"][0]["format"]["code"] == "urn:ihe:pcc:xds-ms:2007"
    assert found["content"][0]["attachment"]["language"] == "de-AT"
    context = found["context"]
    assert context["period"] == {"start": "2024-01-20", "end": "2024-01-31T14:00:00Z"}
    assert [e["identifier"]["value"] for e in context["encounter"]] == ["STAY-1"]
    assert [r["identifier"]["value"] for r in context["related"]] == [
        "ORD-1", "ACC-1", "ACC-2", "urn:oid:1.2.3.4.5",
    ]  # fmt: skip
    assert token(context["practiceSetting"]) == ("http://snomed.info/sct", "394802001")
    contained = {f"#{c['id']}": c for c in found["contained"]}
    assert contained[found["authenticator"]["reference"]]["name"][0]["family"] == "Signer"


@pytest.mark.parametrize("media_type", [JSON, XML])
@pytest.mark.parametrize("packed", [False, True])
async def test_a_fhir_document_as_bundle_and_in_a_binary(stack, media_type, packed):
    patient = a_patient()
    document = orjson.loads(a_fhir_document(patient))
    write = write_xml if media_type == XML else orjson.dumps
    body = binary(write(document), media_type) if packed else parameters(document)
    found = await generated(stack, write(body), media_type)
    assert found["masterIdentifier"]["value"] == document["identifier"]["value"]
    assert token(found["type"]) == (LOINC, "85430-7")
    assert found["content"][0]["attachment"]["title"] == "Diagnostic imaging report"
    contained = {f"#{c['id']}": c for c in found["contained"]}
    names = [contained[a["reference"]]["name"] for a in found["author"]]
    assert names[0][0]["family"] == "Sample" and names[1] == "Example Hospital"
    (by_accession,) = await stack.find(
        patient__identifier=patient.token, status="current", **{"related:identifier": "urn:oid:2.999.1.3|A1"}
    )
    assert by_accession == found
    _, headers, stored = await stack.download(found, Accept=media_type)
    assert headers["Content-Type"] == f"{media_type}; fhirVersion=4.0"
    attachment = found["content"][0]["attachment"]
    assert attachment["hash"] == b64encode(hashlib.sha1(stored).digest()).decode()
    if media_type == JSON or packed:
        assert stored == write(document)
    else:
        assert read_xml(stored) == document


async def test_a_repeat_gets_the_same_reference_and_stores_nothing(stack):
    patient = a_patient()
    body = binary(a_cda(patient))
    assert await operate(stack, body) == await operate(stack, body)
    assert len(await stack.find(patient__identifier=patient.token, status="current")) == 1
    (submission_set,) = await stack.find_lists(
        patient__identifier=patient.token, code="submissionset", status="current"
    )
    assert len(submission_set["entry"]) == 1


async def test_another_document_with_the_same_id_is_a_conflict(stack):
    patient = a_patient()
    unique_id = IdSource(uuid.uuid4().hex).oid(2)
    await generated(stack, binary(a_cda(patient, unique_id)))
    status, outcome = await operate(stack, binary(a_cda(patient, unique_id)))
    assert status == 409
    assert outcome["issue"][0]["details"]["coding"][0]["code"] in (
        "XDSNonIdenticalHash",
        "XDSDuplicateUniqueIdInRegistry",
    )


def source_of(submission_set):
    (source,) = [
        e["valueIdentifier"]["value"] for e in submission_set["extension"] if e["url"] == codes.EXT_SOURCE_ID
    ]
    return source


async def test_each_client_is_a_source_of_its_own(stack):
    seen = {}
    for client in ("hospital-a", "practice-b", "practice-c", None):
        patient = a_patient()
        headers = {"X-Client": client} if client else {}
        found = await generated(stack, binary(a_cda(patient)), **headers)
        (submission_set,) = await stack.find_lists(
            patient__identifier=patient.token, code="submissionset", status="current"
        )
        seen[client] = source_of(submission_set)
        if client == "hospital-a":
            institutions = [
                c["name"] for c in submission_set["contained"] if c["resourceType"] == "Organization"
            ]
            assert "Hospital A" in institutions
            # what the document says comes before the defaults of its source
            assert found["content"][0]["attachment"]["language"] == "en"
    assert seen["hospital-a"] == "urn:oid:2.999.71"
    assert seen[None] == "urn:oid:2.999.70"
    assert len(set(seen.values())) == 4


async def test_the_defaults_of_a_source_complete_a_single_document_reference(stack):
    patient = a_patient()
    made = simplified(patient, a_document())
    del made["content"][0]["attachment"]["language"], made["context"]["facilityType"], made["securityLabel"]
    async with stack.session.post(
        f"{stack.base_url}/DocumentReference", json=made, headers={"Content-Type": JSON, "X-Client": "hospital-a"}
    ) as answer:  # fmt: skip
        created = await answer.json(content_type=None)
        assert answer.status == 201, created
    assert created["content"][0]["attachment"]["language"] == "fr"
    assert token(created["context"]["facilityType"]) == ("http://snomed.info/sct", "22232009")
    assert created["securityLabel"][0]["coding"][0]["code"] == "N"


async def test_two_names_in_the_header_are_none(stack):
    raw = orjson.dumps(binary(a_cda(a_patient())))
    headers = [("Content-Type", JSON), ("X-Client", "hospital-a"), ("X-Client", "practice-b")]
    async with stack.session.post(
        f"{stack.base_url}/DocumentReference/$generate-metadata", data=raw, headers=headers
    ) as answer:
        assert answer.status == 400, await answer.text()


async def test_all_that_is_missing_is_said_at_once(tmp_path):
    document = b'<ClinicalDocument xmlns="urn:hl7-org:v3"><title>Secret title</title></ClinicalDocument>'
    async with running_stack(tmp_path) as bare:
        status, outcome = await operate(bare, binary(document))
    assert status == 422
    texts = [i["diagnostics"] for i in outcome["issue"]]
    for attribute in (
        "uniqueId", "creationTime", "patientId", "typeCode", "classCode", "confidentialityCode",
        "languageCode", "formatCode", "healthcareFacilityTypeCode", "practiceSettingCode",
    ):  # fmt: skip
        assert any(f"requires {attribute}," in text for text in texts), attribute
    for setting in (
        "type_code",
        "class_code",
        "format_code",
        "facility_type",
        "practice_setting",
        "language",
    ):
        assert any(f"publish.defaults.{setting}" in text for text in texts), setting
    assert "Secret" not in json.dumps(outcome)


def _two(made):
    made["parameter"].append(dict(made["parameter"][0]))


def _named(made):
    made["parameter"][0]["name"] = "documents"


def _empty(made):
    del made["parameter"][0]["resource"]["data"]


def _value(made):
    made["parameter"][0] = {"name": "document", "valueString": "x"}


def _patient(made):
    made["parameter"][0]["resource"] = {"resourceType": "Patient"}


def _text(made):
    made["parameter"][0]["resource"]["contentType"] = "text/plain"


def _not_xml(made):
    made["parameter"][0]["resource"]["data"] = b64encode(b"Hello").decode()


def _doctype(made):
    text = FULL.replace("<ClinicalDocument", "<!DOCTYPE x><ClinicalDocument", 1)
    made["parameter"][0]["resource"]["data"] = b64encode(text.encode()).decode()


def _not_base64(made):
    made["parameter"][0]["resource"]["data"] = "?"


def _collection(made):
    made["parameter"][0]["resource"] = {"resourceType": "Bundle", "type": "collection"}


def _batch(made):
    made["resourceType"] = "Bundle"


@pytest.mark.parametrize(
    ("mutate", "status", "expression"),
    [
        (_two, 422, "Parameters.parameter[1]"),
        (_named, 422, "Parameters.parameter[0].name"),
        (_value, 422, "Parameters.parameter[0].resource"),
        (_patient, 422, "Parameters.parameter[0].resource"),
        (_empty, 422, "Parameters.parameter[0].resource.data"),
        (_text, 422, "Parameters.parameter[0].resource.contentType"),
        (_not_xml, 422, "Parameters.parameter[0].resource.data"),
        (_doctype, 422, "Parameters.parameter[0].resource.data"),
        (_not_base64, 400, "Parameters.parameter[0].resource.data"),
        (_collection, 400, "Parameters.parameter[0].resource.type"),
        (_batch, 400, "Parameters.resourceType"),
    ],
)
async def test_a_refusal_names_the_element(stack, mutate, status, expression):
    patient = a_patient()
    made = binary(a_cda(patient))
    mutate(made)
    got, outcome = await operate(stack, made)
    assert (got, outcome["resourceType"]) == (status, "OperationOutcome"), outcome
    assert expression in [e for i in outcome["issue"] for e in i.get("expression", [])]
    assert await stack.find(patient__identifier=patient.token, status="current") == []


async def test_a_fhir_document_without_patient_is_refused(stack):
    document = orjson.loads(a_fhir_document(a_patient()))
    del document["entry"][0]["resource"]["subject"]
    status, outcome = await operate(stack, parameters(document))
    assert (status, outcome["issue"][0]["expression"]) == (
        422,
        ["Parameters.parameter[0].resource.entry[0].resource.subject"],
    )
