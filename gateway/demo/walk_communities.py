"""A walk over three communities through the gateway in front: find, retrieve and see what each of them has,
by FHIR and WADO-RS and by SOAP, also after a restart, and with one community stopped.
"""

import asyncio
import secrets
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from gateway.demo.access import AUDIT_SCOPE
from gateway.demo.bundles import provide_bundle
from gateway.demo.ct_study import FIRST_LOCATION
from gateway.demo.handed_out import HandedOut, RecordingClient
from gateway.demo.neighbours import Neighbourhood, Place, neighbourhood
from gateway.demo.outside_client import FHIR_JSON, OutsideClient, Page, Resource, expect, require
from gateway.demo.report_content import LINKED, sample_reports
from gateway.demo.walk import Step, Walk
from gateway.demo.walk_community_soap import SoapWalk
from gateway.demo.walk_hospital import HospitalWalk
from gateway.demo.walk_publish import response_entries
from gateway.demo.walk_reports import publish_report
from gateway.demo.walk_stopped import StoppedWalk
from gateway.model.releases import FhirRelease
from gateway.soap.client import SoapClient
from gateway.soap.contract import load_contract

FOUND = "one search finds the studies of all three communities"
HANDED_OUT = "every URL that was handed out gives something"
_DICOM: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_HOME: Final = "ihe-HomeCommunityId"
_KINDS: Final = frozenset(
    {
        *("DocumentReference", "content", "List", "ImagingStudy", "Endpoint", "Provenance", "wado"),
        *("Patient", "DiagnosticReport", "Composition", "Observation", "PractitionerRole"),
    }
)
"""What URLs are handed out of at least."""


def check_communities(state_dir: Path, out: Callable[[str], object] = print) -> int:
    """Start three communities and walk over them; 0 where every step passed. Raises ChildError."""
    seed = secrets.token_hex(4)
    with (
        neighbourhood(state_dir, 0, seed, f"C-{seed}", "warning") as running,
        running.bridge(running.places[2]),
    ):
        return asyncio.run(_check(running, out))


async def publish_studies(running: Neighbourhood, session: aiohttp.ClientSession) -> None:
    """The manifest of each community's study, published in that community."""
    for place in running.places:
        client = OutsideClient(session, place.base_url, running.client.tokens(place.base_url))
        bundle = provide_bundle([place.content.manifest], patient=place.content.patient)
        response_entries(await client.publish(bundle), bundle)


async def _check(running: Neighbourhood, out: Callable[[str], object]) -> int:
    timeout = aiohttp.ClientTimeout(total=60)
    walk = Walk(out)
    async with aiohttp.ClientSession(timeout=timeout) as session, SoapClient(load_contract()) as soap:
        await CommunityWalk(running, session, soap).run(walk)
    out(walk.summary())
    return 1 if walk.failed else 0


class CommunityWalk:
    """The steps."""

    def __init__(self, running: Neighbourhood, session: aiohttp.ClientSession, soap: SoapClient) -> None:
        self._running = running
        self._session = session
        self._soap = soap
        front = running.front
        tokens = running.client.tokens
        self._client = RecordingClient(session, front.base_url, tokens(front.base_url))
        self._auditor = OutsideClient(session, front.base_url, tokens(front.base_url, AUDIT_SCOPE))
        self._by_soap = SoapWalk(running, soap)
        self._handed_out = HandedOut(OutsideClient(session, front.base_url, tokens(front.base_url)))
        self._patient = front.content.patient
        self._addresses: dict[str, str] = {}
        self._manifests: dict[str, Resource] = {}
        self._studies: dict[str, Resource] = {}

    async def run(self, walk: Walk) -> None:
        """Walk."""
        await walk.step("a study and a report are published in each community", self._publish)
        await walk.step(FOUND, self._find)
        studies = {place.content.images.study_instance_uid for place in self._running.places}
        await HospitalWalk(self._running.front, self._client, studies).run(walk, FOUND)
        await self._retrieve_all(walk, "")
        await self._by_soap.run(walk, needs=(FOUND,))
        await walk.step(
            "an id or URL with another community in it is 404 and recorded", self._swapped, needs=(FOUND,)
        )
        await walk.step("pages lead through what all communities have", self._pages, needs=(FOUND,))
        await walk.step(HANDED_OUT, self._visit, needs=(FOUND,))
        await walk.step("the gateway starts again without what Redis held", self._restart)
        after = "every URL that was handed out gives the same after that"
        await walk.step(after, self._handed_out.check, needs=(HANDED_OUT,))
        await self._retrieve_all(walk, " after that")
        await StoppedWalk(self._running, self._client, self._by_soap).run(walk, needs=(FOUND,))

    async def _retrieve_all(self, walk: Walk, when: str) -> None:
        for place in self._running.places:
            number = place.number
            await walk.step(
                f"the manifest of community {number} comes byte for byte{when}",
                self._manifest(place),
                needs=(FOUND,),
            )
            await walk.step(
                f"WADO-RS gives the images of community {number}{when}", self._images(place), needs=(FOUND,)
            )

    # --- FHIR -----------------------------------------------------------------------------------------------
    async def _publish(self) -> None:
        await publish_studies(self._running, self._session)
        for place in self._running.places:
            tokens = self._running.client.tokens(place.base_url)
            client = OutsideClient(self._session, place.base_url, tokens)
            for report in sample_reports(place.content):
                if report.kind == LINKED and report.release is FhirRelease.R4:
                    await publish_report(client, report)

    async def _find(self) -> None:
        whose = [("patient.identifier", self._patient.token)]
        page = await self._client.search(whose, resource="ImagingStudy")
        said = [issue.get("diagnostics") for each in page.warnings for issue in each["issue"]]
        expect("warnings", [], said)
        for study in page.matches:
            uid = study["identifier"][0]["value"].removeprefix("urn:oid:")
            self._studies[uid] = study
            for series in study["series"]:
                endpoint = self._client.resolve(series["endpoint"][0]["reference"])
                answer = await self._client.request("GET", endpoint)
                self._addresses[uid] = answer.expect_status(200).json()["address"]
        wanted = {place.content.images.study_instance_uid for place in self._running.places}
        expect("studies", wanted, set(self._studies))
        documents = await self._client.search(
            [*whose, ("status", "current"), ("contenttype", "application/dicom")]
        )
        for reference in documents.matches:
            self._manifests[reference["masterIdentifier"]["value"].removeprefix("urn:oid:")] = reference
        for place in self._running.places:
            homes = [
                extension["valueOid"]
                for extension in self._manifests[place.content.manifest.unique_id].get("extension", ())
                if extension["url"].endswith(_HOME)
            ]
            expect(f"homeCommunityId of community {place.number}", [place.home], homes)

    def _manifest(self, place: Place) -> Step:
        async def step() -> None:
            reference = self._manifests[place.content.manifest.unique_id]
            read = self._client.resolve(f"DocumentReference/{reference['id']}")
            (await self._client.request("GET", read, headers={"Accept": FHIR_JSON})).expect_status(200)
            url = reference["content"][0]["attachment"]["url"]
            answer = (await self._client.request("GET", url)).expect_status(200)
            expect("bytes", place.content.manifest.content, answer.body)

        return step

    def _images(self, place: Place) -> Step:
        async def step() -> None:
            uid = place.content.images.study_instance_uid
            read = self._client.resolve(f"ImagingStudy/{self._studies[uid]['id']}")
            (await self._client.request("GET", read, headers={"Accept": FHIR_JSON})).expect_status(200)
            url = f"{self._addresses[uid]}/studies/{uid}"
            answer = (await self._client.request("GET", url, headers={"Accept": _DICOM})).expect_status(200)
            for _, image, content in place.content.images.files():
                require(f"image {image.sop_instance_uid} byte for byte", content in answer.body)

        return step

    # --- other communities in the place of those that are meant ---------------------------------------------
    async def _swapped(self) -> None:
        second, third = (self._manifests[p.content.manifest.unique_id] for p in self._running.places[1:])
        number, _, _ = second["id"].partition(".")
        mark = third["id"].partition(".")[2]
        study = self._running.places[1].content.images.study_instance_uid
        home = self._running.places[2].home.removeprefix("urn:oid:")
        at = f"RetrieveLocationUID/{FIRST_LOCATION}"
        for path in (
            f"DocumentReference/{number}.{mark}",
            f"Binary/{number}.{mark}",
            f"wado/homeCommunityId/{home}/{at}/study/{study}",
            f"wado/homeCommunityId/{home}/{at}/studies/{study}",
            f"wado/homeCommunityId/2.999.404/{at}/study/{study}",
            _altered(second["content"][0]["attachment"]["url"]),
            f"{_altered(self._addresses[study])}/studies/{study}",
            f"ImagingStudy/{_altered(self._studies[study]['id'])}",
        ):
            await self._refused(self._client.resolve(path))

    async def _refused(self, url: str) -> None:
        """It is 404, and the audit repository is told so."""
        request_id, asked = uuid.uuid4().hex, datetime.now(UTC)
        headers = {"X-Request-Id": request_id}
        (await self._client.request("GET", url, headers=headers)).expect_status(404)
        when = f"ge{asked.date().isoformat()}"
        found = await self._auditor.search(
            [("date", when), ("entity.identifier", request_id)], resource="AuditEvent"
        )
        outcomes = [event["outcome"] for event in found.matches]
        # what was asked of communities for it is recorded beside it
        require(f"a record of the failure of {url}, not {outcomes}", set(outcomes) - {"0"})

    # --- all that is handed out -----------------------------------------------------------------------------
    async def _pages(self) -> None:
        whose = ("patient.identifier", self._patient.token)
        for resource, more in (
            ("DocumentReference", [("status", "current")]),
            ("List", [("status", "current")]),
            ("ImagingStudy", [("_include", "ImagingStudy:endpoint"), ("_revinclude", "Provenance:target")]),
            ("DiagnosticReport", [("_include", "DiagnosticReport:*")]),
        ):
            total = (await self._client.search([whose, *more], resource=resource)).total
            require(f"more than one {resource}", total >= len(self._running.places))
            page: Page | None = await self._client.search([whose, *more, ("_count", "1")], resource=resource)
            seen = set()
            while page is not None:
                seen |= {match["id"] for match in page.matches}
                page = await self._client.next_page(page)
            expect(f"{resource} on pages", total, len(seen))

    async def _visit(self) -> None:
        for place in self._running.places:
            study = place.content.images
            whole = f"{self._addresses[study.study_instance_uid]}/studies/{study.study_instance_uid}"
            await self._handed_out.note(whole, accept=_DICOM)
            for series in study.series:
                uid = f"{whole}/series/{series.series_instance_uid}"
                await self._handed_out.note(
                    uid, f"{uid}/instances/{series.images[0].sop_instance_uid}", accept=_DICOM
                )
        await self._handed_out.note(*self._client.urls)
        missing = _KINDS - self._handed_out.kinds()
        expect("kinds of URLs that were not handed out", set(), missing)

    async def _restart(self) -> None:
        await asyncio.to_thread(self._running.front.restart_gateway, without_redis=True)


def _altered(text: str) -> str:
    """With another character in the middle of its last step."""
    start, slash, token = text.rpartition("/")
    middle = len(token) // 2
    other = "A" if token[middle] != "A" else "B"
    return f"{start}{slash}{token[:middle]}{other}{token[middle + 1 :]}"
