"""Check of manifests as documents: found by study, number, modality and region, with the patient and without,
and retrieved in both formats (IHE RAD MADO 0.1.0; HL7 Europe Imaging Report).
"""

from typing import Any

from gateway.demo.content import CT, THORAX, SampleContent
from gateway.demo.outside_client import FHIR_JSON, OutsideClient, Parameters, expect, require
from gateway.demo.walk import Step, Walk
from gateway.demo.walk_images import PUBLISHED

DICOM = "application/dicom"
BOTH = "a manifest is found in both formats"


class ManifestWalk:
    """Steps about the manifest that the walk through images has published."""

    def __init__(self, client: OutsideClient, content: SampleContent) -> None:
        self._client = client
        self._patient = content.patient
        self._manifest = content.manifest
        self._study = content.images

    async def run(self, walk: Walk) -> None:
        """All steps."""
        await walk.step(BOTH, self._both, needs=(PUBLISHED,))
        for name, value, other in self._parameters():
            step = self._found_by(name, value, other)
            await walk.step(f"a manifest is found by {name}", step, needs=(BOTH,))
        await walk.step("either format is read by its id", self._read, needs=(BOTH,))
        await walk.step("Accept chooses the format at either URL", self._accept, needs=(BOTH,))

    def _parameters(self) -> list[tuple[str, str, str]]:
        """Parameters with a value of the manifest, and with one that it does not have."""
        study, issuer = self._study.study_instance_uid, f"urn:oid:{self._study.accession_authority}"
        return [
            ("study-instance-uid", f"urn:oid:{study}", "urn:oid:2.999.404"),
            ("accession-number", f"{issuer}|{self._study.accession}", f"{issuer}|404"),
            ("identifier", f"urn:oid:{study}", "urn:oid:2.999.404"),
            ("modality", CT.token, "US"),
            ("modality", "KO", "MR"),
            ("bodysite", THORAX.token, "774007"),
            ("anatomical-region", THORAX.code, "774007"),
        ]

    async def _search(self, *more: tuple[str, str]) -> dict[str, dict[str, Any]]:
        """DocumentReferences of the patient by their contentType."""
        of_patient: Parameters = [("patient.identifier", self._patient.token), ("status", "current"), *more]
        page = await self._client.search(of_patient)
        expect("total", len(page.matches), page.total)
        return {found["content"][0]["attachment"]["contentType"]: found for found in page.matches}

    async def _both(self) -> None:
        found = await self._search()
        expect("formats", {DICOM, FHIR_JSON}, set(found))
        for form, other in ((DICOM, FHIR_JSON), (FHIR_JSON, DICOM)):
            target = {"reference": f"DocumentReference/{found[other]['id']}"}
            expect("relatesTo", [{"code": "transforms", "target": target}], found[form]["relatesTo"])

    def _found_by(self, name: str, value: str, other: str) -> Step:
        async def step() -> None:
            expect("formats", {DICOM, FHIR_JSON}, set(await self._search((name, value))))
            expect("formats of another value", set(), set(await self._search((name, other))))
            if name in ("study-instance-uid", "accession-number"):
                page = await self._client.search([(name, value), ("status", "current")])
                expect("found without the patient", 2, page.total)

        return step

    async def _read(self) -> None:
        for shown in (await self._search()).values():
            url = f"{self._client.base_url}/DocumentReference/{shown['id']}"
            answer = await self._client.request("GET", url, headers={"Accept": FHIR_JSON})
            expect("the resource", shown, answer.expect_status(200).json())

    async def _accept(self) -> None:
        for shown in (await self._search()).values():
            url = shown["content"][0]["attachment"]["url"]
            stored = await self._client.request("GET", url, headers={"Accept": DICOM})
            expect("bytes", self._manifest.content, stored.expect_status(200).body)
            made = await self._client.request("GET", url, headers={"Accept": FHIR_JSON})
            bundle = made.expect_status(200).json()
            expect("Bundle", ("Bundle", "document"), (bundle["resourceType"], bundle["type"]))
            require("it names the study", self._study.study_instance_uid in made.body.decode())
            require("addresses are the gateway's", f"{self._client.base_url}/wado/" in made.body.decode())
            neither = await self._client.request("GET", url, headers={"Accept": "image/png"})
            require("issues", neither.expect_status(406).issues())
