"""Check of documents that bring their own metadata: CDA R2 and a FHIR document (ITI-106, IHE MHD 4.2.4
2:3.106).
"""

import json
from base64 import b64encode
from dataclasses import dataclass, replace
from typing import Any

from gateway.demo.cda import write_cda
from gateway.demo.content import READER, WARD_PHYSICIAN
from gateway.demo.fhir_document import write_fhir_document
from gateway.demo.outside_client import FHIR_JSON, OutsideClient, Resource, expect, require
from gateway.demo.samples import IdSource
from gateway.demo.walk import Walk
from gateway.demo.walk_publish import Samples

CDA = "a CDA document brings its metadata"
FHIR_DOCUMENT = "a FHIR document brings its metadata"


@dataclass(frozen=True, slots=True)
class _Document:
    """A request and what has to come of it."""

    parameters: Resource
    content: bytes
    unique_id: str
    title: str
    type_code: str


class GenerateWalk:
    """Steps with documents of their own."""

    def __init__(self, client: OutsideClient, samples: Samples) -> None:
        self._client = client
        self._samples = samples
        patient = samples.content.patient
        self._patient = replace(patient, id=f"{patient.id}-GENERATED")
        ids = IdSource(f"{self._patient.id} generated")
        self._cda = self._cda_document(ids)
        self._fhir = self._fhir_document(ids)
        self._reference = ""

    async def run(self, walk: Walk) -> None:
        """All steps."""
        await walk.step(CDA, lambda: self._generate(self._cda))
        await walk.step("the same CDA document again is stored once", self._again, needs=(CDA,))
        await walk.step(FHIR_DOCUMENT, lambda: self._generate(self._fhir))
        await walk.step("a document that says nothing about itself is refused", self._plain_text)

    def _cda_document(self, ids: IdSource) -> _Document:
        unique_id = ids.oid(2)
        content = write_cda(
            ids,
            identifier=unique_id,
            patient=self._patient,
            author=WARD_PHYSICIAN,
            written="20240201101500+0100",
        )
        return _Document(_binary("text/xml", content), content, unique_id, "Discharge summary", "18842-5")

    def _fhir_document(self, ids: IdSource) -> _Document:
        unique_id = ids.oid(2)
        content = write_fhir_document(
            ids,
            identifier=unique_id,
            patient=self._patient,
            author=READER,
            accession=self._samples.content.accession,
            study_uid=self._samples.content.study.value,
            written="2024-02-01T10:15:00+01:00",
        )
        parameters = _parameters(json.loads(content))
        # the bytes that are stored are those of the request
        stored = json.dumps(parameters["parameter"][0]["resource"]).encode()
        return _Document(parameters, stored, unique_id, "Diagnostic imaging report", "85430-7")

    async def _operate(self, parameters: Resource, status: int) -> Any:
        answer = await self._client.request(
            "POST",
            f"{self._client.base_url}/DocumentReference/$generate-metadata",
            headers={"Content-Type": FHIR_JSON, "Accept": FHIR_JSON},
            body=json.dumps(parameters).encode(),
        )
        return answer.expect_status(status)

    async def _generate(self, document: _Document) -> None:
        answer = (await self._operate(document.parameters, 200)).json()
        expect("resourceType", "Parameters", answer.get("resourceType"))
        (parameter,) = answer["parameter"]
        expect("name of the parameter", "DocumentReference", parameter["name"])
        self._reference = parameter["valueReference"]["reference"]
        read = await self._client.request("GET", self._client.resolve(self._reference))
        resource = read.expect_status(200).json()
        expect("uniqueId", f"urn:oid:{document.unique_id}", resource["masterIdentifier"]["value"])
        expect("type", document.type_code, resource["type"]["coding"][0]["code"])
        attachment = resource["content"][0]["attachment"]
        expect("title", document.title, attachment["title"])
        expect("creation", "2024-02-01T09:15:00Z", attachment["creation"])
        stored = await self._client.request("GET", attachment["url"])
        expect("bytes of the document", document.content, stored.expect_status(200).body)
        page = await self._client.search(
            [
                ("patient.identifier", self._patient.token),
                ("status", "current"),
                ("identifier", f"urn:oid:{document.unique_id}"),
            ]
        )
        expect("matches", 1, len(page.matches))

    async def _again(self) -> None:
        answer = (await self._operate(self._cda.parameters, 200)).json()
        expect("reference", self._reference, answer["parameter"][0]["valueReference"]["reference"])

    async def _plain_text(self) -> None:
        answer = await self._operate(_binary("text/plain", b"Hello"), 422)
        expressions = [path for issue in answer.issues() for path in issue.get("expression", [])]
        require("the issue names the media type", any(path.endswith("contentType") for path in expressions))


def _parameters(resource: Resource) -> Resource:
    return {"resourceType": "Parameters", "parameter": [{"name": "document", "resource": resource}]}


def _binary(media_type: str, content: bytes) -> Resource:
    data = b64encode(content).decode()
    return _parameters({"resourceType": "Binary", "contentType": media_type, "data": data})
