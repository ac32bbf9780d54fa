"""Check of ITI-65: what a Document Source may rely on (IHE MHD 4.2.4 2:3.65)."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import SampleContent
from gateway.demo.outside_client import Answer, MismatchError, OutsideClient, expect, require
from gateway.demo.samples import IdSource, SampleDocument
from gateway.demo.walk import Walk

PUBLISHED = "publish three documents with a folder"
NOTED = "publish a document that starts and ends with CR LF"
OTHER = "publish for a second patient"
REPLACED = "replace a document"

_LARGE = 3 * 1024 * 1024 + 1


@dataclass(frozen=True, slots=True)
class Samples:
    """All documents of one run; `note` starts and ends with CR LF."""

    content: SampleContent
    note: SampleDocument
    tiny: SampleDocument
    large: SampleDocument

    @property
    def of_patient(self) -> dict[str, SampleDocument]:
        """What the first patient has before the replacement, by the name that searches use."""
        return {
            "report": self.content.report,
            "discharge": self.content.discharge,
            "manifest": self.content.manifest,
            "note": self.note,
        }


def make_samples(content: SampleContent, seed: str) -> Samples:
    """The documents of a run with this seed."""
    ids = IdSource(f"{seed} more")
    note = SampleDocument(
        unique_id=ids.oid(2),
        content=b"\r\n--a line that looks like a boundary\r\n\r\nSeen in the outpatient clinic.\r\n",
        content_type="text/plain",
        title="Visit note",
        # the day differs in UTC
        creation="2022-06-30T23:30:00-02:00",
    )
    return Samples(
        content=content,
        note=note,
        tiny=replace(note, unique_id=ids.oid(2), content=b"\n", title="One byte"),
        large=replace(
            note,
            unique_id=ids.oid(2),
            content=hashlib.shake_256(seed.encode()).digest(_LARGE),
            content_type="application/octet-stream",
            title="Three megabytes",
        ),
    )


def response_entries(answer: Answer, request: dict[str, Any]) -> list[dict[str, Any]]:
    """`response` of each entry. Raises MismatchError unless there is one for each entry of the request."""
    bundle = answer.expect_status(200).json()
    expect("Bundle.type", "transaction-response", bundle.get("type"))
    responses = [entry["response"] for entry in bundle["entry"]]
    expect("number of response entries", len(request["entry"]), len(responses))
    return responses


class PublishWalk:
    """Steps about publishing; later parts of the check use `locations`."""

    def __init__(self, client: OutsideClient, second: OutsideClient, samples: Samples) -> None:
        self._client = client
        self._second = second
        self._samples = samples
        self.locations: dict[str, str] = {}

    async def run(self, walk: Walk) -> None:
        """Publish, repeat and fail."""
        await walk.step(PUBLISHED, self._publish)
        await walk.step("each Location is readable", self._read_locations, needs=(PUBLISHED,))
        await walk.step(NOTED, self._publish_note)
        await walk.step(OTHER, self._publish_other)
        await walk.step(
            "the same Bundle again gets the same answer and stores nothing", self._repeat, needs=(PUBLISHED,)
        )
        await walk.step("two clients send one Bundle at once: stored once", self._concurrently)
        await walk.step("a wrong hash is refused with its FHIRPath, nothing is stored", self._wrong_hash)
        await walk.step("a wrong size is refused, nothing is stored", self._wrong_size)
        await walk.step("a Bundle without SubmissionSet is refused", self._no_submission_set)
        await walk.step("a body that is not JSON is refused", self._not_json)

    async def run_replacement(self, walk: Walk) -> None:
        """Replace the report; searches for what was current have to come before."""
        await walk.step(REPLACED, self._replace, needs=(PUBLISHED,))
        await walk.step("the replaced document is superseded", self._old_is_superseded, needs=(REPLACED,))
        await walk.step("the new document shows relatesTo", self._new_relates_to, needs=(REPLACED,))
        await walk.step(
            "appends, transforms and signs are shown as relatesTo", self._relate, needs=(PUBLISHED,)
        )
        await walk.step(
            "a second replacement of the same document is refused", self._replace_twice, needs=(REPLACED,)
        )

    def _three(self) -> dict[str, Any]:
        content = self._samples.content
        return provide_bundle(
            [content.report, content.discharge, content.manifest],
            patient=content.patient,
            folder=content.folder,
            title="CT of the chest",
        )

    async def _publish(self) -> None:
        request = self._three()
        responses = response_entries(await self._client.publish(request), request)
        locations = []
        for number, (entry, response) in enumerate(zip(request["entry"], responses, strict=True)):
            require(
                f"status of entry {number}: expected 201 got {response.get('status')!r}",
                str(response.get("status", "")).startswith("201"),
            )
            location = response.get("location")
            if not location:
                raise MismatchError(f"entry {number} has no location")
            kind = entry["resource"]["resourceType"]
            if kind != "Binary":
                require(f"location of entry {number} names a {kind}", f"{kind}/" in location)
            locations.append(location)
        expect("distinct Locations", len(locations), len(set(locations)))
        kinds = [entry["resource"]["resourceType"] for entry in request["entry"]]
        documents = [
            location for kind, location in zip(kinds, locations, strict=True) if kind == "DocumentReference"
        ]
        self.locations = dict(zip(("report", "discharge", "manifest"), documents, strict=True))

    async def _read_locations(self) -> None:
        for name, location in self.locations.items():
            answer = await self._client.request("GET", self._client.resolve(location))
            resource = answer.expect_status(200).json()
            wanted = self._samples.of_patient[name]
            expect(f"masterIdentifier of {name}", wanted.identifier["value"], _unique_id(resource))
        request = self._three()
        for entry, response in zip(
            request["entry"], response_entries(await self._client.publish(request), request), strict=True
        ):
            answer = await self._client.request("GET", self._client.resolve(response["location"]))
            answer.expect_status(200)
            if entry["resource"]["resourceType"] == "List":
                expect("List.title", entry["resource"].get("title"), answer.json().get("title"))
                expect("List.entry", len(entry["resource"]["entry"]), len(answer.json().get("entry", [])))

    async def _publish_note(self) -> None:
        request = provide_bundle([self._samples.note], patient=self._samples.content.patient)
        response_entries(await self._client.publish(request), request)

    async def _publish_other(self) -> None:
        content = self._samples.content
        documents = [content.other_report, self._samples.tiny, self._samples.large]
        request = provide_bundle(documents, patient=content.other_patient)
        response_entries(await self._client.publish(request), request)

    async def _repeat(self) -> None:
        before = await self._count(self._samples.content.patient.token)
        request = self._three()
        first = await self._client.publish(request)
        again = await self._second.publish(request)
        response_entries(first, request)
        expect("answer to the repeat", first.json(), again.expect_status(200).json())
        expect("documents of the patient", before, await self._count(self._samples.content.patient.token))

    async def _concurrently(self) -> None:
        content = self._samples.content
        document = replace(self._samples.note, unique_id=IdSource(content.patient.id).oid(2))
        patient = replace(content.patient, id=f"{content.patient.id}-TWICE")
        request = provide_bundle([document], patient=patient)
        answers = await asyncio.gather(self._client.publish(request), self._second.publish(request))
        for answer in answers:
            response_entries(answer, request)
        expect("the two answers", answers[0].json(), answers[1].json())
        expect("documents of the patient", 1, await self._count(patient.token))

    async def _refused(self, request: dict[str, Any], statuses: Sequence[int], token: str) -> list[Any]:
        answer = await self._client.publish(request)
        require(f"HTTP status: expected one of {statuses} got {answer.status}", answer.status in statuses)
        issues = answer.issues()
        require("an issue of severity error", any(issue.get("severity") == "error" for issue in issues))
        expect("documents of the patient", 0, await self._count(token))
        return issues

    async def _wrong_hash(self) -> None:
        request, token = self._alone("WRONG-HASH")
        _attachment(request)["hash"] = "2jmj7l5rSw0yVb/vlWAYkK/YBwk="
        issues = await self._refused(request, (422,), token)
        expressions = [path for issue in issues for path in issue.get("expression", [])]
        require(
            f"an expression that ends with attachment.hash: got {expressions}",
            any(path.startswith("Bundle.entry") and path.endswith("attachment.hash") for path in expressions),
        )

    async def _wrong_size(self) -> None:
        request, token = self._alone("WRONG-SIZE")
        _attachment(request)["size"] += 1
        await self._refused(request, (422,), token)

    async def _no_submission_set(self) -> None:
        request, token = self._alone("NO-SUBMISSION-SET")
        request["entry"] = [e for e in request["entry"] if e["resource"]["resourceType"] != "List"]
        await self._refused(request, (400, 422), token)

    async def _not_json(self) -> None:
        headers = {"Content-Type": "application/fhir+json"}
        answer = await self._client.request("POST", self._client.base_url, headers=headers, body=b"{")
        require("issues", answer.expect_status(400).issues())

    def _alone(self, suffix: str) -> tuple[dict[str, Any], str]:
        """A Bundle with one document of a patient who has no other, and the patient's token."""
        content = self._samples.content
        patient = replace(content.patient, id=f"{content.patient.id}-{suffix}")
        document = replace(self._samples.note, unique_id=IdSource(patient.id).oid(2))
        return provide_bundle([document], patient=patient), patient.token

    async def _count(self, patient: str) -> int:
        parameters = [("patient.identifier", patient), ("status", "current,superseded")]
        return (await self._client.search(parameters)).total

    async def _replace(self) -> None:
        content = self._samples.content
        request = provide_bundle(
            [content.corrected_report], patient=content.patient, replaces=self._reference("report")
        )
        responses = response_entries(await self._client.publish(request), request)
        for entry, response in zip(request["entry"], responses, strict=True):
            if entry["resource"]["resourceType"] == "DocumentReference":
                self.locations["corrected_report"] = response["location"]
            if entry["request"]["method"] == "PATCH":
                require("status of the PATCH entry is 200", response["status"].startswith("200"))

    def _reference(self, name: str) -> str:
        """`DocumentReference/<id>` of a Location, which may be absolute and have a version."""
        location = self.locations[name].partition("/_history/")[0]
        return "/".join(location.split("/")[-2:])

    async def _old_is_superseded(self) -> None:
        answer = await self._client.request("GET", self._client.resolve(self.locations["report"]))
        expect("status when read", "superseded", answer.expect_status(200).json().get("status"))
        content = self._samples.content
        for status, wanted in (("current", 0), ("superseded", 1), ("current,superseded", 1)):
            parameters = [
                ("patient.identifier", content.patient.token),
                ("identifier", content.report.token),
                ("status", status),
            ]
            expect(f"matches with status={status}", wanted, (await self._client.search(parameters)).total)

    async def _new_relates_to(self) -> None:
        wanted = [("replaces", self._reference("report"))]
        expect("relatesTo", wanted, await self._relations(self._samples.content.corrected_report))
        read = await self._client.request("GET", self._client.resolve(self.locations["corrected_report"]))
        expect("relatesTo when read", wanted, _relations(read.expect_status(200).json()))

    async def _relate(self) -> None:
        patient = self._samples.content.patient
        target = self._reference("discharge")
        for code in ("appends", "transforms", "signs"):
            document = replace(self._samples.note, unique_id=IdSource(f"{patient.id} {code}").oid(2))
            request = provide_bundle([document], patient=patient, relates_to=[(code, target)])
            response_entries(await self._client.publish(request), request)
            expect("relatesTo", [(code, target)], await self._relations(document))

    async def _relations(self, document: SampleDocument) -> list[tuple[str, str]]:
        parameters = [
            ("patient.identifier", self._samples.content.patient.token),
            ("status", "current"),
            ("identifier", document.token),
        ]
        page = await self._client.search(parameters)
        expect("matches", 1, len(page.matches))
        return _relations(page.matches[0])

    async def _replace_twice(self) -> None:
        content = self._samples.content
        again = replace(content.corrected_report, unique_id=IdSource(content.report.unique_id).oid(2))
        request = provide_bundle([again], patient=content.patient, replaces=self._reference("report"))
        answer = await self._client.publish(request)
        require(f"HTTP status: expected 4xx got {answer.status}", 400 <= answer.status < 500)
        require("issues", answer.issues())


def _attachment(request: dict[str, Any]) -> dict[str, Any]:
    for entry in request["entry"]:
        if entry["resource"]["resourceType"] == "DocumentReference":
            attachment: dict[str, Any] = entry["resource"]["content"][0]["attachment"]
            return attachment
    raise ValueError("the Bundle has no DocumentReference")


def _unique_id(resource: dict[str, Any]) -> object:
    return resource["masterIdentifier"]["value"]


def _relations(resource: dict[str, Any]) -> list[tuple[str, str]]:
    """Code of each relatesTo, and `DocumentReference/<id>` of its target."""
    return [
        (relation["code"], "/".join(relation["target"]["reference"].split("/")[-2:]))
        for relation in resource.get("relatesTo", [])
    ]
