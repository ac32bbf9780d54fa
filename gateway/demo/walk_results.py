"""Check of what searches answer with: parts of resources, neighbours, both types at once, and the definitions
that /metadata refers to (FHIR R4 search 3.1.1.5; IHE MHD 4.2.4 Document Responder).
"""

from typing import Any

from gateway.demo.outside_client import FHIR_JSON, OutsideClient, Page, expect, require
from gateway.demo.walk import Walk
from gateway.demo.walk_publish import NOTED, PUBLISHED, Samples

_DOCUMENTS = 5
"""Four, and the manifest in its other format."""
_LISTS = 3
"""A SubmissionSet with a Folder, and that of the note."""


class ResultWalk:
    """Steps about what comes back from a search."""

    def __init__(self, client: OutsideClient, samples: Samples) -> None:
        self._client = client
        self._patient = samples.content.patient

    async def run(self, walk: Walk) -> None:
        """All steps."""
        needs = (PUBLISHED, NOTED)
        await walk.step("_summary=count gives the number alone", self._count, needs=needs)
        await walk.step("_elements gives a part that says so", self._elements, needs=needs)
        await walk.step("a read gives a part too", self._part_of_read, needs=needs)
        await walk.step("documents come with patient and Lists", self._neighbours, needs=needs)
        await walk.step("a SubmissionSet comes with its members", self._members, needs=needs)
        await walk.step("documents are sorted by when they were submitted", self._sorted, needs=needs)
        await walk.step("documents and Lists are found at the base", self._both, needs=needs)
        await walk.step("a definition of IHE MHD in /metadata is served", self._definitions)

    def _query(self, *more: tuple[str, str]) -> list[tuple[str, str]]:
        return [("patient.identifier", self._patient.token), ("status", "current"), *more]

    async def _search(self, *more: tuple[str, str], resource: str = "DocumentReference") -> Page:
        return await self._client.search(self._query(*more), resource=resource)

    async def _bundle(self, path: str, *more: tuple[str, str]) -> list[dict[str, Any]]:
        """The entries of a searchset, whatever their mode."""
        url = f"{self._client.base_url}{path}?{self._client.query(self._query(*more))}"
        answer = await self._client.request("GET", url, headers={"Accept": FHIR_JSON})
        entries: list[dict[str, Any]] = answer.expect_status(200).json()["entry"]
        return entries

    async def _count(self) -> None:
        page = await self._search(("_summary", "count"))
        expect("total and matches", (_DOCUMENTS, ()), (page.total, page.matches))

    async def _elements(self) -> None:
        page = await self._search(("_elements", "type"))
        expect("documents", _DOCUMENTS, len(page.matches))
        for document in page.matches:
            shown = {"resourceType", "id", "meta", "status", "content", "type"}
            expect("elements", shown, set(document))
            expect("tags", ["SUBSETTED"], [tag["code"] for tag in document["meta"]["tag"]])

    async def _part_of_read(self) -> None:
        page = await self._search()
        url = f"{self._client.base_url}/DocumentReference/{page.matches[0]['id']}?_summary=true"
        part = (await self._client.request("GET", url)).expect_status(200).json()
        expect("id", page.matches[0]["id"], part["id"])
        require("it has no authenticator and says that it is a part", part["meta"].get("tag"))

    async def _neighbours(self) -> None:
        entries = await self._bundle(
            "/DocumentReference", ("_include", "DocumentReference:patient"), ("_revinclude", "List:item")
        )
        kinds = [e["resource"]["resourceType"] for e in entries if e["search"]["mode"] == "include"]
        expect("Patient and Lists", ["List"] * _LISTS + ["Patient"], sorted(kinds))

    async def _members(self) -> None:
        page = await self._search(("code", "submissionset"), resource="List")
        members = {item["item"]["reference"] for found in page.matches for item in found["entry"]}
        entries = await self._bundle("/List", ("code", "submissionset"), ("_include", "List:item"))
        included = {
            f"{e['resource']['resourceType']}/{e['resource']['id']}"
            for e in entries
            if e["search"]["mode"] == "include"
        }
        expect("members", members, included)

    async def _sorted(self) -> None:
        earlier = await self._search(("_sort", "_lastUpdated"))
        later = await self._search(("_sort", "-_lastUpdated"))
        expect("documents", _DOCUMENTS, len(earlier.matches))
        ids = {document["id"] for document in earlier.matches}
        expect("the same in the other order", ids, {document["id"] for document in later.matches})

    async def _both(self) -> None:
        entries = await self._bundle("", ("_type", "DocumentReference,List"))
        kinds = [e["resource"]["resourceType"] for e in entries if e["search"]["mode"] == "match"]
        expect("matches", ["DocumentReference"] * _DOCUMENTS + ["List"] * _LISTS, kinds)

    async def _definitions(self) -> None:
        statement = (await self._client.request("GET", f"{self._client.base_url}/metadata")).json()
        (rest,) = statement["rest"]
        listed = {p.get("definition", "") for r in rest["resource"] for p in r.get("searchParam", ())}
        of_mhd = sorted(url for url in listed if url.startswith("https://profiles.ihe.net/"))
        require("definitions of IHE MHD", of_mhd)
        for url in of_mhd:
            query = self._client.query([("url", url)])
            answer = await self._client.request(
                "GET", f"{self._client.base_url}/SearchParameter?{query}", headers={"Accept": FHIR_JSON}
            )
            found = [entry["resource"]["url"] for entry in answer.expect_status(200).json()["entry"]]
            expect("definitions with the URL", [url], found)
