"""Check of the base of FHIR R5 (IHE MHD 5.1.0): publish, find and retrieve, and the same by R4.

The Bundle is written in R5 here, by hand, with nothing of the gateway.
"""

import json
from dataclasses import replace
from typing import Any, Final

from fhir.resources.documentreference import DocumentReference
from pydantic import ValidationError

from gateway.demo.bundles import provide_bundle
from gateway.demo.outside_client import FHIR_JSON, MismatchError, OutsideClient, Resource, expect, require
from gateway.demo.samples import IdSource
from gateway.demo.walk import Walk
from gateway.demo.walk_publish import Samples, response_entries

IN_R5: Final = "publish in FHIR R5"
FOUND: Final = "find in FHIR R5"

_IDENTIFIER_TYPE: Final = "https://profiles.ihe.net/ITI/MHD/CodeSystem/IHE.MHD.MHDIdentifierType"
_SOURCE_PATIENT: Final = "http://hl7.org/fhir/StructureDefinition/documentreference-sourcepatient"


class R5Walk:
    """Steps at the base of FHIR R5 below that of all releases, with a patient of their own."""

    def __init__(self, client: OutsideClient, r5: OutsideClient, samples: Samples) -> None:
        self._client = client
        self._r5 = r5
        patient = samples.content.patient
        self._patient = replace(patient, id=f"{patient.id}-R5")
        self._document = replace(samples.note, unique_id=IdSource(self._patient.id).oid(2))
        self._found: Resource = {}

    async def run(self, walk: Walk) -> None:
        """All steps."""
        await walk.step("the CapabilityStatement of FHIR R5", self._metadata)
        await walk.step(IN_R5, self._publish)
        await walk.step(FOUND, self._find, needs=(IN_R5,))
        await walk.step("retrieve what R5 refers to", self._retrieve, needs=(FOUND,))
        await walk.step("FHIR R4 has the same document under the same id", self._same, needs=(FOUND,))
        await walk.step("an element of R4 in a request of R5 is refused by its path", self._refused)

    async def _metadata(self) -> None:
        answer = await self._r5.request("GET", f"{self._r5.base_url}/metadata")
        statement = answer.expect_status(200).json()
        expect("fhirVersion", "5.0.0", statement.get("fhirVersion"))
        require("fhirVersion in Content-Type", "fhirVersion=5.0" in answer.headers["Content-Type"])

    def _bundle(self) -> Resource:
        return bundle_in_r5(provide_bundle([self._document], patient=self._patient))

    async def _publish(self) -> None:
        bundle = self._bundle()
        answer = await self._r5.publish(bundle)
        for entry in response_entries(answer, bundle):
            location = self._r5.resolve(entry["location"])
            require("a Location below the base", location.startswith(f"{self._r5.base_url}/"))

    def _parameters(self, *others: tuple[str, str]) -> list[tuple[str, str]]:
        return [("patient.identifier", self._patient.token), ("status", "current"), *others]

    async def _find(self) -> None:
        form = self._document.format.coding()
        page = await self._r5.search(self._parameters(("format-code", f"{form['system']}|{form['code']}")))
        require("a link to itself", "self" in page.links)
        (found,) = page.matches
        try:
            DocumentReference.model_validate(found)
        except ValidationError:
            raise MismatchError("the DocumentReference is not FHIR R5") from None
        unique_ids = [i["value"] for i in found["identifier"] if _role(i) == "uniqueId"]
        expect("uniqueId", [self._document.identifier["value"]], unique_ids)
        attachment = found["content"][0]["attachment"]
        expect("attachment.size", str(len(self._document.content)), attachment["size"])
        require("attachment.url below the base", attachment["url"].startswith(f"{self._r5.base_url}/"))
        self._found = found

    async def _retrieve(self) -> None:
        answer = await self._r5.request("GET", self._found["content"][0]["attachment"]["url"])
        expect("bytes of the document", self._document.content, answer.expect_status(200).body)

    async def _same(self) -> None:
        (found,) = (await self._client.search(self._parameters())).matches
        expect("id", self._found["id"], found["id"])
        expect("type", self._found["type"], found["type"])
        expect("practice setting", self._found["practiceSetting"], found["context"]["practiceSetting"])
        (of_r5,), (of_r4,) = self._found["content"], found["content"]
        expect("format", of_r5["profile"][0]["valueCoding"], of_r4["format"])
        expect("hash", of_r5["attachment"]["hash"], of_r4["attachment"]["hash"])

    async def _refused(self) -> None:
        bundle = self._bundle()
        for entry in bundle["entry"]:
            if entry["resource"]["resourceType"] == "DocumentReference":
                entry["resource"]["masterIdentifier"] = self._document.identifier
        answer = await self._r5.request(
            "POST", self._r5.base_url, headers={"Content-Type": FHIR_JSON}, body=json.dumps(bundle).encode()
        )
        paths = [path for issue in answer.expect_status(400).issues() for path in issue.get("expression", ())]
        require("an issue names masterIdentifier", any(path.endswith("masterIdentifier") for path in paths))


def bundle_in_r5(bundle: Resource) -> Resource:
    """A sample Bundle with the elements of R5."""
    return bundle | {"entry": [{**e, "resource": _in_r5(e["resource"])} for e in bundle["entry"]]}


def _role(identifier: Resource) -> Any:
    return next((coding.get("code") for coding in identifier.get("type", {}).get("coding", ())), None)


def _in_r5(resource: Resource) -> Resource:
    """A resource of the sample Bundles with the elements of R5."""
    made = dict(resource)
    if resource["resourceType"] == "List":
        made["subject"] = [resource["subject"]]
    if resource["resourceType"] != "DocumentReference":
        return made
    context: Resource = made.pop("context")
    source_patient = context.pop("sourcePatientInfo")
    event = [{"concept": concept} for concept in context.pop("event", [])]
    related = context.pop("related", [])
    role = {"coding": [{"system": _IDENTIFIER_TYPE, "code": "uniqueId"}]}
    made["identifier"] = [{**made.pop("masterIdentifier"), "type": role}]
    made["extension"] = [{"url": _SOURCE_PATIENT, "valueReference": source_patient}]
    made["contained"] = [_person_in_r5(contained) for contained in made["contained"]]
    (content,) = made["content"]
    attachment = {**content["attachment"], "size": str(content["attachment"]["size"])}
    made["content"] = [{"attachment": attachment, "profile": [{"valueCoding": content["format"]}]}]
    return made | context | ({"event": event} if event else {}) | ({"basedOn": related} if related else {})


def _person_in_r5(resource: Resource) -> Resource:
    made = dict(resource)
    if resource["resourceType"] == "PractitionerRole" and "telecom" in made:
        made["contact"] = [{"telecom": made.pop("telecom")}]
    return made
