"""Check of ITI-68: every document comes back byte for byte (IHE MHD 4.2.4 2:3.68, RFC 9110)."""

import hashlib
from base64 import b64encode
from typing import Any

from gateway.demo.outside_client import Answer, OutsideClient, expect, require
from gateway.demo.samples import SampleDocument, SamplePatient
from gateway.demo.walk import Step, Walk
from gateway.demo.walk_publish import NOTED, OTHER, PUBLISHED, Samples


class RetrieveWalk:
    """Steps about retrieving."""

    def __init__(self, client: OutsideClient, samples: Samples) -> None:
        self._client = client
        self._samples = samples

    async def run(self, walk: Walk) -> None:
        """Retrieve all documents, then with each request header that counts."""
        content, samples = self._samples.content, self._samples
        for name, document in samples.of_patient.items():
            needs = (NOTED,) if name == "note" else (PUBLISHED,)
            await walk.step(
                f"retrieve the {name} with equal SHA-1", self._whole(content.patient, document), needs=needs
            )
        others = {"second patient's report": content.other_report, "one byte": samples.tiny}
        for name, document in {**others, "3 MiB": samples.large}.items():
            await walk.step(
                f"retrieve {name} with equal SHA-1",
                self._whole(content.other_patient, document),
                needs=(OTHER,),
            )
        needs = (NOTED,)
        await walk.step("HEAD has the headers and no body", self._head, needs=needs)
        await walk.step("Range gives 206 with the bytes asked for", self._range, needs=needs)
        await walk.step("a Range behind the end gives 416", self._range_behind_the_end, needs=needs)
        await walk.step("If-None-Match with the ETag gives 304", self._not_modified, needs=needs)
        await walk.step("an altered URL gives 404", self._altered_url, needs=needs)
        await walk.step("an Accept without the document's type gives 406", self._not_acceptable, needs=needs)

    async def run_after_replacement(self, walk: Walk, needs: tuple[str, ...]) -> None:
        """The superseded document and its replacement are both retrievable."""
        content = self._samples.content
        for name, document in (
            ("superseded report", content.report),
            ("corrected report", content.corrected_report),
        ):
            await walk.step(f"retrieve the {name}", self._whole(content.patient, document), needs=needs)

    async def _attachment(self, patient: SamplePatient, document: SampleDocument) -> dict[str, Any]:
        parameters = [
            ("patient.identifier", patient.token),
            ("status", "current,superseded"),
            ("identifier", document.token),
        ]
        page = await self._client.search(parameters)
        # a manifest is there in another format too
        shown: list[dict[str, Any]] = [found["content"][0]["attachment"] for found in page.matches]
        (attachment,) = [one for one in shown if one["contentType"] == document.content_type]
        return attachment

    def _whole(self, patient: SamplePatient, document: SampleDocument) -> Step:
        async def step() -> None:
            attachment = await self._attachment(patient, document)
            answer = await self._client.request("GET", attachment["url"])
            answer.expect_status(200)
            expect("SHA-1", attachment["hash"], _sha1(answer.body))
            require("the bytes are those that were published", answer.body == document.content)
            expect("Content-Type", document.content_type, answer.media_type)
            expect("Content-Length", str(len(document.content)), answer.headers.get("Content-Length"))

        return step

    async def _note(self, method: str = "GET", **headers: str) -> Answer:
        attachment = await self._attachment(self._samples.content.patient, self._samples.note)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._client.request(method, attachment["url"], headers=named)

    async def _head(self) -> None:
        whole, head = await self._note(), await self._note("HEAD")
        head.expect_status(200)
        expect("body of HEAD", b"", head.body)
        for name in ("Content-Type", "Content-Length", "ETag"):
            expect(name, whole.headers.get(name), head.headers.get(name))

    async def _range(self) -> None:
        data = self._samples.note.content
        size = len(data)
        for asked, first, last in (
            ("bytes=0-3", 0, 3),
            ("bytes=5-9", 5, 9),
            ("bytes=-4", size - 4, size - 1),
            (f"bytes={size - 1}-", size - 1, size - 1),
        ):
            answer = await self._note(Range=asked)
            answer.expect_status(206)
            expect(f"bytes of {asked}", data[first : last + 1], answer.body)
            expect("Content-Range", f"bytes {first}-{last}/{size}", answer.headers.get("Content-Range"))

    async def _range_behind_the_end(self) -> None:
        (await self._note(Range="bytes=1000000-")).expect_status(416)

    async def _not_modified(self) -> None:
        etag = (await self._note()).headers["ETag"]
        answer = await self._note(If_None_Match=etag)
        answer.expect_status(304)
        expect("body of 304", b"", answer.body)
        (await self._note(If_None_Match='"other"')).expect_status(200)

    async def _altered_url(self) -> None:
        attachment = await self._attachment(self._samples.content.patient, self._samples.note)
        start, slash, token = attachment["url"].rpartition("/")
        middle = len(token) // 2
        swapped = "A" if token[middle] != "A" else "B"
        altered = f"{start}{slash}{token[:middle]}{swapped}{token[middle + 1 :]}"
        (await self._client.request("GET", altered)).expect_status(404)
        (await self._client.request("GET", f"{start}{slash}{token[:middle]}")).expect_status(404)

    async def _not_acceptable(self) -> None:
        (await self._note(Accept="application/pdf")).expect_status(406)
        (await self._note(Accept="application/pdf, text/*;q=0.5")).expect_status(200)
        (await self._note(Accept="*/*")).expect_status(200)


def _sha1(data: bytes) -> str:
    return b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()
