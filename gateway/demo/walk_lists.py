"""Check of ITI-66: SubmissionSets and Folders are found by each parameter, with their members (IHE MHD 4.2.4
2:3.66).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gateway.demo.bundles import CONTENT_TYPE, provide_bundle
from gateway.demo.outside_client import OutsideClient, Page, expect, require
from gateway.demo.samples import SOURCE_ID, IdSource
from gateway.demo.walk import Step, Walk
from gateway.demo.walk_publish import Samples, response_entries

LISTED = "publish two documents with a folder, to be found as Lists"
LIST_PARAMETERS = (
    "patient",
    "patient.identifier",
    "code",
    "status",
    "date",
    "designationType",
    "source.given",
    "source.family",
    "sourceId",
    "identifier",
    "_id",
)

Parameters = Sequence[tuple[str, str]]
Row = tuple[str, Parameters, str]
"""Name of the step, parameters besides the patient, and what is to be found: submission, folder."""

_SET, _FOLDER = ("code", "submissionset"), ("code", "folder")
_CURRENT = ("status", "current")


def list_searches(folder_type: str) -> list[Row]:
    """Searches by every parameter but those that name a List; `folder_type` is a token of codeList."""
    both = "submission folder"
    rows: list[Row] = [
        ("code submissionset", [_SET, _CURRENT], "submission"),
        ("code folder", [_FOLDER, _CURRENT], "folder"),
        ("code, one of both", [("code", "submissionset,folder"), _CURRENT], both),
        ("status superseded, which no List has", [_SET, ("status", "superseded")], ""),
        ("status retired", [_FOLDER, ("status", "retired")], ""),
    ]
    for value, found in (
        ("2026-01-02", "submission"),
        ("eq2026-01-02T03:04:05Z", "submission"),
        ("ge2026-01-02T04:04:05+01:00", "submission"),
        ("gt2026-01-02T04:04:05+01:00", ""),
        ("lt2026-01-03", "submission"),
        ("le2026-01-01", ""),
        ("ne2026-01", ""),
        ("sa2025", "submission"),
        ("eb2026-01-03", "submission"),
        ("2025,2026-01", "submission"),
    ):
        rows.append((f"date={value}", [_SET, _CURRENT, ("date", value)], found))
    # lastUpdateTime is the time at which the registry took the Folder
    rows.append(("date of a Folder", [_FOLDER, _CURRENT, ("date", "ge2026-01-02")], "folder"))
    rows.append(("date before any Folder", [_FOLDER, _CURRENT, ("date", "lt2026-01-02")], ""))
    for kind, name, values in (
        (_SET, "designationType", ((CONTENT_TYPE.token, "submission"), (folder_type, ""))),
        (_FOLDER, "designationType", ((folder_type, "folder"), (CONTENT_TYPE.token, ""))),
        (_SET, "source.family", (("Submit", "submission"), ("ubmit", ""))),
        (_SET, "source.given", (("sam", "submission"), ("Nobody", ""))),
        (_SET, "sourceId", ((f"urn:oid:{SOURCE_ID}", "submission"), ("urn:oid:2.999.1.99", ""))),
    ):
        for value, found in values:
            step = f"{kind[1]} by {name}" if found else f"{kind[1]} by {name} without match"
            rows.append((step, [kind, _CURRENT, (name, value)], found))
    return rows


class ListWalk:
    """Steps about Lists, with a patient of its own. Every search is sent by GET and by POST."""

    def __init__(self, client: OutsideClient, samples: Samples) -> None:
        self._client = client
        patient = samples.content.patient
        # no longer than the first patient's, so that it fits a Patient id
        self._patient = replace(patient, id=f"{patient.id[:-1]}L")
        ids = IdSource(self._patient.id)
        self._documents = [replace(samples.note, unique_id=ids.oid(2)) for _ in range(2)]
        self._folder = replace(samples.content.folder, unique_id=ids.oid(4))
        self._found: dict[str, dict[str, Any]] = {}

    async def run(self, walk: Walk) -> None:
        """All steps."""
        await walk.step(LISTED, self._publish)
        for name, parameters, found in list_searches(self._folder.code.token):
            await walk.step(f"find Lists by {name}", self._search(parameters, found), needs=(LISTED,))
        members = "Lists have their members as entries"
        await walk.step(members, self._members, needs=(LISTED,))
        await walk.step("find Lists by _id, identifier and patient", self._by_id, needs=(members,))
        await walk.step("a Folder has no sourceId: said in a warning", self._left_out, needs=(LISTED,))
        await walk.step("other communities are refused", self._communities)
        await walk.step("paging shows each List once", self._paging, needs=(LISTED,))

    async def _publish(self) -> None:
        request = provide_bundle(self._documents, patient=self._patient, folder=self._folder)
        responses = response_entries(await self._client.publish(request), request)
        # the SubmissionSet, the documents, the Folder
        self._ids = [str(response["location"]).rpartition("/")[2] for response in responses[:4]]

    async def _expect(self, parameters: Parameters, wanted: set[str]) -> Page:
        pages = [
            await self._client.search(parameters, by_post=by_post, resource="List")
            for by_post in (False, True)
        ]
        names = {self._ids[0]: "submission", self._ids[3]: "folder"}
        for way, page in zip(("GET", "POST"), pages, strict=True):
            found = [names.get(resource["id"], "a List of someone else") for resource in page.matches]
            expect(f"found by {way}", sorted(wanted), sorted(found))
            expect(f"total by {way}", len(wanted), page.total)
        return pages[0]

    def _with_patient(self, parameters: Parameters) -> list[tuple[str, str]]:
        return [("patient.identifier", self._patient.token), *parameters]

    def _search(self, parameters: Parameters, found: str) -> Step:
        async def step() -> None:
            page = await self._expect(self._with_patient(parameters), set(found.split()))
            expect("warnings", (), page.warnings)

        return step

    async def _members(self) -> None:
        submission, first, second, folder = self._ids
        page = await self._expect(
            self._with_patient([("code", "submissionset,folder"), _CURRENT]), {"submission", "folder"}
        )
        self._found = {resource["id"]: resource for resource in page.matches}
        documents = {f"DocumentReference/{first}", f"DocumentReference/{second}"}
        for name, wanted in ((submission, documents | {f"List/{folder}"}), (folder, documents)):
            entries = self._found[name].get("entry", [])
            expect("List.entry", sorted(wanted), sorted(entry["item"]["reference"] for entry in entries))
            read = await self._client.request("GET", f"{self._client.base_url}/List/{name}")
            expect("the List read by id", read.expect_status(200).json(), self._found[name])
        expect("title of the Folder", self._folder.title, self._found[folder].get("title"))

    async def _by_id(self) -> None:
        for name, wanted in ((self._ids[0], "submission"), (self._ids[3], "folder")):
            await self._expect([("_id", name)], {wanted})
            for identifier in self._found[name]["identifier"]:
                token = f"{identifier['system']}|{identifier['value']}"
                await self._expect([("identifier", token)], {wanted})
                other = _FOLDER if wanted == "submission" else _SET
                await self._expect([("identifier", token), other], set())
            reference = self._found[name]["subject"]["reference"]
            code = _SET if wanted == "submission" else _FOLDER
            await self._expect([("patient", reference), code, _CURRENT], {wanted})

    async def _left_out(self) -> None:
        parameters = self._with_patient([_FOLDER, _CURRENT, ("sourceId", "urn:oid:2.999.1.99")])
        page = await self._expect(parameters, {"folder"})
        require(
            "a warning that names sourceId", any("sourceId" in str(w.get("issue")) for w in page.warnings)
        )

    async def _communities(self) -> None:
        parameters = self._with_patient([_SET, _CURRENT, ("targetCommunityIdList", "urn:oid:2.999.1.99")])
        answer = await self._client.search_answer(parameters, resource="List")
        require("issues", answer.expect_status(400).issues())

    async def _paging(self) -> None:
        parameters = self._with_patient([("code", "submissionset,folder"), _CURRENT, ("_count", "1")])
        seen: list[str] = []
        page: Page | None = await self._client.search(parameters, resource="List")
        while page is not None:
            expect("total on every page", 2, page.total)
            seen += [resource["id"] for resource in page.matches]
            require("the next link shows no patient id", self._patient.id not in page.links.get("next", ""))
            require("pages come to an end", len(seen) <= 2)
            page = await self._client.next_page(page)
        expect("Lists seen", sorted([self._ids[0], self._ids[3]]), sorted(seen))
