"""Check of ITI-78 and ITI-119: patients are found by what is known of them, and nobody is taken for another
(IHE PDQm 3.2.0).
"""

import json
from typing import Any

from gateway.demo.outside_client import FHIR_JSON, Answer, OutsideClient, Resource, expect, require
from gateway.demo.samples import SamplePatient
from gateway.demo.walk import Walk
from gateway.demo.walk_publish import PUBLISHED, Samples
from gateway.model.codes import EXT_MATCH_GRADE

_FOUND = "ITI-78 finds the patient by identifier, by GET and by POST"
_FORM = "application/x-www-form-urlencoded"
_NOBODY = "urn:oid:2.999.1.404"


class PatientWalk:
    """Steps of a Patient Demographics Consumer."""

    def __init__(self, client: OutsideClient, samples: Samples) -> None:
        self._client = client
        self._patient: SamplePatient = samples.content.patient
        self._found: Resource = {}

    async def run(self, walk: Walk) -> None:
        """All steps."""
        await walk.step(_FOUND, self._find, needs=(PUBLISHED,))
        await walk.step(
            "ITI-78 finds the patient by name, birth and sex", self._demographics, needs=(_FOUND,)
        )
        await walk.step(
            "ITI-78 gives identifiers of the domain that is asked for", self._domains, needs=(_FOUND,)
        )
        await walk.step("ITI-78 does not know a domain of nobody", self._unknown_domain)
        await walk.step(
            "ITI-78 reads the patient, and nobody under an id of nobody", self._read, needs=(_FOUND,)
        )
        await walk.step("ITI-119 is certain of the patient by identifier", self._certain, needs=(_FOUND,))
        await walk.step("ITI-119 is certain of nobody by name and birth alone", self._alike, needs=(_FOUND,))
        await walk.step(
            "ITI-119 is certain of nobody who is described otherwise", self._otherwise, needs=(_FOUND,)
        )
        await walk.step("ITI-119 says what is wrong with a request", self._wrong)

    # --- ITI-78 -------------------------------------------------------------------------------------------
    async def _search(self, *parameters: tuple[str, str]) -> Answer:
        url = f"{self._client.base_url}/Patient/_search"
        body = self._client.query(parameters).encode()
        return await self._client.request("POST", url, body=body, headers={"Content-Type": _FORM})

    async def _find(self) -> None:
        token = self._patient.token
        url = f"{self._client.base_url}/Patient?{self._client.query([('identifier', token)])}"
        got = (await self._client.request("GET", url)).expect_status(200).json()
        posted = (await self._search(("identifier", token))).expect_status(200).json()
        expect("total", 1, got["total"])
        (self._found,) = _patients(got)
        expect("by POST", [self._found], _patients(posted))
        expect("identifier", self._patient.identifier, self._found["identifier"][0])
        expect("active", True, self._found["active"])

    async def _demographics(self) -> None:
        patient = self._patient
        answer = await self._search(
            ("identifier", patient.token),
            ("family", patient.family),
            ("birthdate", patient.birth_date),
            ("gender", patient.gender),
            ("address-city", patient.city),
        )
        expect(
            "patients", [self._found["id"]], [p["id"] for p in _patients(answer.expect_status(200).json())]
        )
        answer = await self._search(("identifier", patient.token), ("family:exact", patient.family.upper()))
        expect("patients of another spelling", [], _patients(answer.expect_status(200).json()))

    async def _domains(self) -> None:
        domain = self._patient.token.partition("|")[0]
        answer = await self._search(("_id", self._found["id"]), ("identifier", f"{domain}|"))
        (found,) = _patients(answer.expect_status(200).json())
        expect("domains", {domain}, {identifier["system"] for identifier in found["identifier"]})

    async def _unknown_domain(self) -> None:
        answer = await self._search(("family", self._patient.family), ("identifier", f"{_NOBODY}|"))
        issue = answer.expect_status(404).issues()[0]
        expect("issue", ("warning", "not-found"), (issue["severity"], issue["code"]))

    async def _read(self) -> None:
        url = f"{self._client.base_url}/Patient/{self._found['id']}"
        answer = await self._client.request("GET", url)
        expect("the Patient", self._found, answer.expect_status(200).json())
        answer = await self._client.request("GET", f"{self._client.base_url}/Patient/nobody")
        expect("issue.code", "not-found", answer.expect_status(404).issues()[0]["code"])

    # --- ITI-119 ------------------------------------------------------------------------------------------
    async def _match(self, patient: Resource, *, status: int = 200) -> Answer:
        listed: list[dict[str, Any]] = [
            {"name": "resource", "resource": patient},
            {"name": "onlyCertainMatches", "valueBoolean": True},
        ]
        body = json.dumps({"resourceType": "Parameters", "parameter": listed}).encode()
        url = f"{self._client.base_url}/Patient/$match"
        answer = await self._client.request("POST", url, body=body, headers={"Content-Type": FHIR_JSON})
        return answer.expect_status(status)

    def _described(self, *left_out: str, **changes: object) -> Resource:
        described = {**self._patient.resource("x"), **changes}
        return {name: value for name, value in described.items() if name not in ("id", *left_out)}

    async def _certain(self) -> None:
        bundle = (await self._match(self._described())).json()
        expect("type", "searchset", bundle["type"])
        (entry,) = bundle["entry"]
        expect("id", self._found["id"], entry["resource"]["id"])
        grades = {e["url"]: e["valueCode"] for e in entry["search"]["extension"]}
        expect("match-grade", {EXT_MATCH_GRADE: "certain"}, grades)
        require("a score from 0 to 1", 0 < entry["search"]["score"] <= 1)

    async def _alike(self) -> None:
        bundle = (await self._match(self._described("identifier", "address"))).json()
        expect("patients", [], _patients(bundle))

    async def _otherwise(self) -> None:
        bundle = (await self._match(self._described(birthDate="1901-01-01"))).json()
        expect("patients", [], _patients(bundle))

    async def _wrong(self) -> None:
        issue = (await self._match({"resourceType": "Patient"}, status=400)).issues()[0]
        expect("issue", ("error", "incomplete"), (issue["severity"], issue["code"]))


def _patients(bundle: Resource) -> list[Resource]:
    entries = bundle.get("entry", ())
    return [entry["resource"] for entry in entries if entry["resource"]["resourceType"] == "Patient"]
