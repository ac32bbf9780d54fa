"""Check of the other ways to publish: one DocumentReference alone (ITI-105), a FHIR document as entry of a
Bundle, and documents added to a Folder (IHE MHD 4.2.4 2:3.105, 2:3.65).
"""

import hashlib
import json
from base64 import b64decode, b64encode
from dataclasses import replace
from typing import Any

from gateway.demo.bundles import provide_bundle
from gateway.demo.outside_client import FHIR_JSON, OutsideClient, Resource, expect, require
from gateway.demo.report_content import sample_reports
from gateway.demo.samples import IdSource, SampleDocument
from gateway.demo.walk import Walk
from gateway.demo.walk_publish import Samples, response_entries

SIMPLE = "publish one DocumentReference with its document inside"
FOLDER = "publish a folder to add to"


class SimplifiedWalk:
    """Steps with a patient of their own."""

    def __init__(self, client: OutsideClient, samples: Samples) -> None:
        self._client = client
        self._samples = samples
        patient = samples.content.patient
        self._patient = replace(patient, id=f"{patient.id}-SIMPLE")
        self._ids = IdSource(self._patient.id)
        self._created: Resource = {}
        self._folder: Resource = {}
        self._version = ""

    async def run(self, walk: Walk) -> None:
        """All steps."""
        await walk.step(SIMPLE, self._simplified)
        await walk.step("read it as Binary, as resource and as document", self._binary, needs=(SIMPLE,))
        await walk.step("the same DocumentReference again is stored once", self._again, needs=(SIMPLE,))
        await walk.step("a DocumentReference without document is refused", self._without_document)
        await walk.step("publish a FHIR document as entry of a Bundle", self._fhir_document)
        await walk.step(FOLDER, self._make_folder)
        await walk.step("an update of a folder adds a document", self._add, needs=(FOLDER,))
        await walk.step("an update of a folder removes none", self._remove, needs=(FOLDER,))

    def _document(self) -> SampleDocument:
        return replace(self._samples.note, unique_id=self._ids.oid(2))

    async def _create(self, resource: Resource, status: int) -> Any:
        answer = await self._client.request(
            "POST",
            f"{self._client.base_url}/DocumentReference",
            headers={"Content-Type": FHIR_JSON, "Accept": FHIR_JSON},
            body=json.dumps(resource).encode(),
        )
        return answer.expect_status(status)

    def _single(self) -> Resource:
        document = replace(self._samples.note, unique_id=IdSource(f"{self._patient.id} single").oid(2))
        made: Resource = provide_bundle([document], patient=self._patient)["entry"][1]["resource"]
        attachment = made["content"][0]["attachment"]
        del attachment["url"]
        attachment["data"] = b64encode(document.content).decode()
        return made

    async def _simplified(self) -> None:
        answer = await self._create(self._single(), 201)
        self._created = answer.json()
        attachment = self._created["content"][0]["attachment"]
        require("url in place of data", "url" in attachment and "data" not in attachment)
        location = self._client.resolve(answer.headers["Location"])
        read = await self._client.request("GET", location)
        expect("the resource at Location", self._created, read.expect_status(200).json())

    async def _binary(self) -> None:
        url = f"{self._client.base_url}/Binary/{self._created['id']}"
        content = self._samples.note.content
        resource = await self._client.request("GET", url, headers={"Accept": FHIR_JSON})
        expect("data of the Binary", content, b64decode(resource.expect_status(200).json()["data"]))
        document = await self._client.request("GET", url)
        expect("bytes of the document", content, document.expect_status(200).body)

    async def _again(self) -> None:
        answer = await self._create(self._single(), 201)
        expect("answer to the repeat", self._created, answer.json())
        unique_id = self._created["masterIdentifier"]["value"]
        parameters = [("patient.identifier", self._patient.token), ("identifier", unique_id)]
        page = await self._client.search([*parameters, ("status", "current")])
        expect("matches", 1, len(page.matches))

    async def _without_document(self) -> None:
        resource = self._single()
        del resource["content"][0]["attachment"]["data"]
        answer = await self._create(resource, 422)
        expressions = [path for issue in answer.issues() for path in issue.get("expression", [])]
        expect("expression", ["DocumentReference.content[0].attachment.data"], expressions)

    async def _fhir_document(self) -> None:
        content = replace(self._samples.content, patient=self._patient)
        made = next(sample_reports(content))
        report = replace(
            content.report,
            unique_id=made.case.identifier,
            content=made.content,
            reference_ids=(),
            events=(),
            creation=made.case.written,
            period=None,
        )
        document = json.loads(report.content)
        request = provide_bundle([report], patient=self._patient)
        request["entry"][2]["resource"] = document
        request["entry"][2]["request"]["url"] = "Bundle"
        attachment = request["entry"][1]["resource"]["content"][0]["attachment"]
        del attachment["hash"], attachment["size"]
        location = response_entries(await self._client.publish(request), request)[1]["location"]
        found = (await self._client.request("GET", self._client.resolve(location))).json()
        stored = found["content"][0]["attachment"]
        body = (await self._client.request("GET", stored["url"])).expect_status(200).body
        expect("document", document, json.loads(body))
        expect("hash", b64encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode(), stored["hash"])

    async def _make_folder(self) -> None:
        folder = replace(self._samples.content.folder, unique_id=self._ids.oid(3))
        request = provide_bundle([self._document()], patient=self._patient, folder=folder)
        location = response_entries(await self._client.publish(request), request)[2]["location"]
        await self._read_folder(location)

    async def _read_folder(self, location: str) -> None:
        answer = await self._client.request("GET", self._client.resolve(location))
        self._folder = answer.expect_status(200).json()
        self._version = answer.headers["ETag"]

    def _update(self, kept: list[Resource]) -> Resource:
        request = provide_bundle([self._document()], patient=self._patient)
        added = {"item": {"reference": request["entry"][1]["fullUrl"]}}
        path = f"List/{self._folder['id']}"
        request["entry"].append(
            {
                "fullUrl": f"{self._client.base_url}/{path}",
                "resource": {**self._folder, "entry": [*kept, added]},
                "request": {"method": "PUT", "url": path, "ifMatch": self._version},
            }
        )
        return request

    async def _add(self) -> None:
        request = self._update(self._folder["entry"])
        location = response_entries(await self._client.publish(request), request)[3]["location"]
        before = len(self._folder["entry"])
        await self._read_folder(location)
        expect("documents in the folder", before + 1, len(self._folder["entry"]))

    async def _remove(self) -> None:
        answer = await self._client.publish(self._update([]))
        expect("HTTP status", 409, answer.status)
        before = self._folder
        await self._read_folder(f"List/{before['id']}")
        expect("the folder", before, self._folder)
