"""Check of imaging reports: published, read as resources, given back byte for byte, and led to the images of
their study and back (HL7 Europe Imaging Report 1.0.0-ballot, resource access), at the base of either release.
"""

from collections.abc import Iterable

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import SampleContent
from gateway.demo.outside_client import OutsideClient, Parameters, Resource, expect, require
from gateway.demo.report_documents import order_of, report_document
from gateway.demo.reports import study_of
from gateway.demo.samples import IdSource, SampleDocument
from gateway.demo.walk import Step, Walk
from gateway.demo.walk_publish import response_entries
from gateway.demo.walk_r5 import bundle_in_r5
from gateway.model.releases import FhirRelease

_IMAGES = 'multipart/related; type="application/dicom"; transfer-syntax=*'


class ReportResourceWalk:
    """Steps with reports of a patient, and the manifest and images that two of them are about."""

    def __init__(
        self, client: OutsideClient, content: SampleContent, release: FhirRelease = FhirRelease.R4
    ) -> None:
        """The images of `content` have to be at their sources; `client` is of the base of `release`."""
        self._client = client
        self._release = release
        self._studies = "imagingStudy" if release is FhirRelease.R4 else "study"
        self._suffix = "" if release is FhirRelease.R4 else f" (FHIR {release.name})"
        self._published = self._named(
            "publish an imaging report of each format with the manifest of their study"
        )
        self._found = self._named("the reports of a patient are found as resources")
        self._led = self._named("a report leads to its study")
        self._content = content
        ids, order, study = (
            IdSource(f"reports of {content.patient.id}"),
            order_of(content),
            study_of(content.images),
        )
        patient = content.patient
        self._documents: dict[str, SampleDocument] = {
            "cardiac": report_document("cardiac", ids, patient, order, study, release=release),
            "foot": report_document(
                "foot",
                ids,
                patient,
                order,
                number="FOOT",
                written="2025-06-01T10:00:00+02:00",
                release=release,
            ),
            "minimal": report_document(
                "minimal",
                ids,
                patient,
                order,
                study,
                number="PDF",
                written="2025-07-01T10:00:00+02:00",
                release=release,
            ),
        }
        self._reports: dict[str, Resource] = {}
        self._study: Resource = {}

    async def run(self, walk: Walk) -> None:
        """All steps."""
        named, published, found, led = self._named, self._published, self._found, self._led
        await walk.step(published, self._publish)
        await walk.step(found, self._find, needs=(published,))
        for name, matching, count in self._narrowed():
            step = self._narrow(matching, count)
            await walk.step(named(f"reports are found by {name}"), step, needs=(published,))
        await walk.step(named("$document gives each report byte for byte"), self._document, needs=(found,))
        await walk.step(named("what a report refers to can be read"), self._references, needs=(found,))
        await walk.step(led, self._to_study, needs=(found,))
        await walk.step(named("the study leads to its images"), self._to_images, needs=(led,))
        await walk.step(named("the study leads back to its reports"), self._back, needs=(led,))
        await walk.step(named("provenance leads to the document"), self._provenance, needs=(found,))

    def _named(self, step: str) -> str:
        return step + self._suffix

    async def _publish(self) -> None:
        documents = [self._content.manifest, *self._documents.values()]
        bundle = provide_bundle(documents, patient=self._content.patient)
        if self._release is FhirRelease.R5:
            bundle = bundle_in_r5(bundle)
        response_entries(await self._client.publish(bundle), bundle)

    async def _find(self) -> None:
        for report in await self._search("DiagnosticReport", []):
            (document,) = [n for n, d in self._documents.items() if d.creation == report["issued"]]
            self._reports[document] = report
        expect("reports", sorted(self._documents), sorted(self._reports))

    def _narrowed(self) -> Iterable[tuple[str, tuple[str, str], int]]:
        study, accession = self._content.images.study_instance_uid, self._content.images.accession
        return (
            ("category", ("category", "http://loinc.org|85430-7"), 3),
            ("code", ("code", "http://loinc.org|58744-4"), 1),
            ("date of release", ("issued", "ge2025-06-01"), 2),
            ("date", ("date", _day(self._content.images.date)), 2),
            ("study UID", ("study.identifier", f"urn:oid:{study}"), 2),
            ("accession number", ("based-on:identifier", accession), 3),
        )

    def _narrow(self, matching: tuple[str, str], count: int) -> Step:
        async def step() -> None:
            expect("number of reports", count, len(await self._search("DiagnosticReport", [matching])))

        return step

    async def _document(self) -> None:
        for name, report in self._reports.items():
            url = f"{self._client.base_url}/DiagnosticReport/{report['id']}/$document"
            answer = await self._client.request("GET", url)
            expect("bytes", self._documents[name].content, answer.expect_status(200).body)
            require("the release of the report", answer.headers["Content-Type"].endswith(f"={self._release}"))

    async def _references(self) -> None:
        report = self._reports["cardiac"]
        listed = [*report["basedOn"], *report[self._studies], *report["performer"], *report["result"]]
        # R4 has the Composition in an extension
        listed += [e["valueReference"] for e in report.get("extension", ()) if "valueReference" in e]
        listed += [report["composition"]] if "composition" in report else []
        require("the Composition is among them", any("Composition/" in r["reference"] for r in listed))
        for reference in listed:
            answer = await self._client.request("GET", self._client.resolve(reference["reference"]))
            resource = answer.expect_status(200).json()
            expect("reference", reference["reference"], f"{resource['resourceType']}/{resource['id']}")

    async def _to_study(self) -> None:
        (reference,) = self._reports["cardiac"][self._studies]
        answer = await self._client.request("GET", self._client.resolve(reference["reference"]))
        self._study = answer.expect_status(200).json()
        uid = f"urn:oid:{self._content.images.study_instance_uid}"
        expect("Study Instance UID", uid, self._study["identifier"][0]["value"])
        minimal = self._reports["minimal"][self._studies][0]
        expect("study of the report with minimal metadata", reference["reference"], minimal["reference"])

    async def _to_images(self) -> None:
        for series in self._study["series"]:
            endpoint = await self._client.request(
                "GET", self._client.resolve(series["endpoint"][0]["reference"])
            )
            address = endpoint.expect_status(200).json()["address"]
            url = f"{address}/studies/{self._content.images.study_instance_uid}/series/{series['uid']}"
            answer = await self._client.request("GET", url, headers={"Accept": _IMAGES})
            parts = answer.expect_status(200).body.count(b"Content-Type: application/dicom")
            expect("images of a series", series["numberOfInstances"], parts)

    async def _back(self) -> None:
        wanted = {self._reports[name]["id"] for name in ("cardiac", "minimal")}
        parameters = [("_id", self._study["id"]), ("_revinclude", "DiagnosticReport:study")]
        answer = await self._client.search_answer([*self._patient(), *parameters], resource="ImagingStudy")
        entries = answer.expect_status(200).json()["entry"]
        along = {e["resource"]["id"] for e in entries if e["search"]["mode"] == "include"}
        expect("reports of the study", sorted(wanted), sorted(along))

    async def _provenance(self) -> None:
        report = self._reports["foot"]
        (found,) = await self._search("Provenance", [("target", f"DiagnosticReport/{report['id']}")])
        reference = found["entity"][0]["what"]["reference"]
        answer = await self._client.request("GET", self._client.resolve(reference))
        document = answer.expect_status(200).json()
        expect(
            "document", report["meta"]["source"], self._client.resolve(f"DocumentReference/{document['id']}")
        )
        require("the document has an address", document["content"][0]["attachment"]["url"])

    async def _search(self, kind: str, more: Parameters) -> list[Resource]:
        page = await self._client.search([*self._patient(), *more], resource=kind)
        return list(page.matches)

    def _patient(self) -> Parameters:
        return [("patient.identifier", self._content.patient.token)]


def _day(date: str) -> str:
    """A date of DICOM as FHIR has it."""
    return f"{date[:4]}-{date[4:6]}-{date[6:]}"
