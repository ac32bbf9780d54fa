"""Check of imaging reports (HL7 Europe Imaging Report 1.0.0-ballot): each format in FHIR R4 and R5 is
published as it is, found by what it says, retrieved byte for byte, and leads to the manifest of its study.
"""

import json
from base64 import b64encode

from gateway.demo.content import SampleContent
from gateway.demo.outside_client import FHIR_JSON, OutsideClient, Resource, expect, require
from gateway.demo.report_content import LINKED, SampleReport, sample_reports
from gateway.demo.walk import Walk

PUBLISHED = "imaging reports of FHIR R4 and R5 bring their metadata"
REPORT_TYPE = "http://loinc.org|85430-7"
_BUNDLES = "http://hl7.eu/fhir/imaging"


async def publish_report(client: OutsideClient, report: SampleReport) -> Resource:
    """ITI-105 of a report alone; the DocumentReference that answers it."""
    data = b64encode(report.content).decode()
    reference = {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"contentType": report.content_type, "data": data}}],
    }
    answer = await client.request(
        "POST",
        f"{client.base_url}/DocumentReference",
        headers={"Content-Type": FHIR_JSON, "Accept": FHIR_JSON},
        body=json.dumps(reference).encode(),
    )
    return answer.expect_status(201).json()


class ReportWalk:
    """Steps with the reports of a patient; with `manifest` that of the CT study was published before."""

    def __init__(self, client: OutsideClient, content: SampleContent, *, manifest: bool) -> None:
        self._client = client
        self._patient = content.patient
        self._study = content.study
        self._manifest = manifest
        self._reports = tuple(sample_reports(content))

    async def run(self, walk: Walk) -> None:
        """All steps."""
        needed = (PUBLISHED,)
        await walk.step(PUBLISHED, self._publish)
        await walk.step(
            "a report is found by study, order, modality and region", self._find, needs=(PUBLISHED,)
        )
        await walk.step("a report comes back byte for byte", self._retrieve, needs=needed)
        if self._manifest:
            await walk.step(
                "a study leads to its manifest and its reports, and back", self._link, needs=needed
            )

    async def _publish(self) -> None:
        for report in self._reports:
            made = await publish_report(self._client, report)
            expect("uniqueId", f"urn:oid:{report.case.identifier}", made["masterIdentifier"]["value"])
            expect("type", "85430-7", made["type"]["coding"][0]["code"])
            form = made["content"][0]["format"]["code"]
            require("the format is the profile of the Bundle", form.startswith(_BUNDLES))
            expect("patient", self._patient.id, _patient_of(made))

    async def _search(self, *more: tuple[str, str]) -> list[Resource]:
        page = await self._client.search(
            [("patient.identifier", self._patient.token), ("status", "current"), *more]
        )
        return list(page.matches)

    async def _find(self) -> None:
        expect("reports", len(self._reports), len(await self._search(("type", REPORT_TYPE))))
        for report in self._reports:
            study, order = report.case.study, report.case.order
            wanted = f"urn:oid:{report.case.identifier}"
            accession = f"urn:oid:{order.accession_authority}|{order.accession}"
            for asked in (
                [("study-instance-uid", f"urn:oid:{study.uid}")],
                [("accession-number", accession)],
                [("bodysite", study.region.token)],
                [] if report.kind == "minimal" else [("modality", study.series[0].modality.token)],
            ):
                found = await self._search(("type", REPORT_TYPE), *asked)
                ids = [each["masterIdentifier"]["value"] for each in found]
                require(f"the {report.kind} report is found by {[name for name, _ in asked]}", wanted in ids)

    async def _retrieve(self) -> None:
        for report in self._reports:
            (found,) = await self._search(("identifier", f"urn:oid:{report.case.identifier}"))
            answer = await self._client.request("GET", found["content"][0]["attachment"]["url"])
            expect("bytes of the report", report.content, answer.expect_status(200).body)
            expect("Content-Type", FHIR_JSON, answer.media_type)

    async def _link(self) -> None:
        linked = [f"urn:oid:{r.case.identifier}" for r in self._reports if r.kind == LINKED]
        found = await self._search(("study-instance-uid", f"urn:oid:{self._study.value}"))
        kinds = {each["type"]["coding"][0]["code"] for each in found}
        expect("types of documents of the study", {"18748-4", "85430-7"}, kinds)
        reports = [each for each in found if each["masterIdentifier"]["value"] in linked]
        expect("reports of the study", len(linked), len(reports))
        for each in reports:
            uids = [related["identifier"]["value"] for related in each["context"]["related"]]
            require("the report names the study", f"urn:oid:{self._study.value}" in uids)


def _patient_of(reference: Resource) -> str:
    patients = [c for c in reference.get("contained", ()) if c["resourceType"] == "Patient"]
    require("the source patient is contained", patients)
    return str(patients[0]["identifier"][0]["value"])
