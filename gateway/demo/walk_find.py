"""Check of ITI-67: every parameter finds what it should and nothing else (IHE MHD 4.2.4 2:3.67)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import (
    ADMISSION,
    CT,
    DISCHARGE_SUMMARY,
    IMAGING_REPORT,
    KOS_FORMAT,
    MEDICAL_SUMMARY_FORMAT,
    THORAX,
)
from gateway.demo.outside_client import FHIR_JSON, OutsideClient, Page, expect, require
from gateway.demo.samples import (
    AMBULATORY,
    GENERAL_MEDICINE,
    IMAGES,
    NORMAL,
    RADIOLOGY,
    RESTRICTED,
    SUMMARIES,
    SampleCode,
)
from gateway.demo.walk import Step, Walk
from gateway.demo.walk_publish import NOTED, OTHER, PUBLISHED, Samples

Parameters = Sequence[tuple[str, str]]
Row = tuple[str, Parameters, str]
"""Name of the step, parameters besides patient and status, and the names of the documents to be found."""

_ALL = "report discharge manifest note"
_STUDY = "report manifest"
FHIR_MANIFEST = "manifest in FHIR"


def _coded(name: str, cases: Sequence[tuple[SampleCode, str]]) -> list[Row]:
    """Searches by a coded element: with system and code, by code alone, as OR, and with values that miss."""
    rows: list[Row] = [(f"{name} {code.code}", [(name, code.token)], found) for code, found in cases]
    first, found = cases[0]
    either = ",".join(code.token for code, _ in cases)
    wanted = " ".join(dict.fromkeys(part for _, names in cases for part in names.split()))
    rows += [
        (f"{name} by code alone", [(name, first.code)], found),
        (f"{name}, one of several", [(name, either)], wanted),
        (f"{name} without match", [(name, f"{first.system}|no-such-code")], ""),
        (f"{name} of another system", [(name, f"urn:oid:2.999.1.99|{first.code}")], ""),
    ]
    return rows


def _dates(name: str, cases: Sequence[tuple[str, str]]) -> list[Row]:
    return [(f"{name}={value}", [(name, value)], found) for value, found in cases]


CREATION = _dates(
    "creation",
    [
        ("2024", _STUDY),
        ("eq2024-03-10", _STUDY),
        ("2024-03-10T08:30:00Z", "report"),
        ("2024-03-10T09:30+01:00", "report"),
        ("ge2024-03-10T09:30:00+01:00", "report"),
        ("gt2024-03-10T09:30:00+01:00", ""),
        ("gt2024-03-10T07:25:00Z", "report"),
        ("le2024-03-10T07:25:00Z", "discharge manifest note"),
        ("lt2024-03-10T07:25:00Z", "discharge note"),
        ("le2023", "discharge note"),
        ("lt2023", "note"),
        ("ge2023", "report discharge manifest"),
        ("gt2023", _STUDY),
        ("ne2024", "discharge note"),
        ("sa2023-11", _STUDY),
        ("eb2023", "note"),
        ("ap2024-03-10", _STUDY),
        ("2022-07-01", "note"),
        ("2022-06", ""),
        ("2021", ""),
        ("2022,2023", "discharge note"),
    ],
)
PERIOD = _dates(
    "period",
    [
        ("2024-03-10", _STUDY),
        ("2023-11-03", ""),
        ("ge2023-11-03", "report discharge manifest"),
        ("le2023-11-03", "discharge"),
        ("gt2023-11-05", _STUDY),
        ("lt2023-11-02", "discharge"),
        ("sa2023-11", _STUDY),
        ("eb2024", "discharge"),
        ("2022", ""),
    ],
)


def searches(samples: Samples) -> list[Row]:
    """All searches with one or two parameters besides patient and status."""
    accession, study = samples.content.accession, samples.content.study
    rows: list[Row] = [("patient and status alone", [], _ALL)]
    rows += _coded("type", [(IMAGING_REPORT, "report"), (DISCHARGE_SUMMARY, "discharge")])
    rows += _coded("category", [(IMAGES, "manifest"), (SUMMARIES, "discharge")])
    rows += _coded("format", [(KOS_FORMAT, "manifest"), (MEDICAL_SUMMARY_FORMAT, "discharge")])
    rows += _coded("event", [(CT, _STUDY), (ADMISSION, "discharge")])
    rows += _coded("setting", [(RADIOLOGY, _STUDY), (GENERAL_MEDICINE, "discharge note")])
    rows += _coded("facility", [(AMBULATORY, "note")])
    rows += _coded("security-label", [(RESTRICTED, "discharge"), (NORMAL, _ALL)])
    rows += [
        ("event twice means both", [("event", CT.token), ("event", THORAX.token)], _STUDY),
        ("event twice without match", [("event", CT.token), ("event", ADMISSION.token)], ""),
        ("type and category", [("type", IMAGING_REPORT.token), ("category", IMAGES.token)], ""),
        ("creation from and to", [("creation", "ge2023-01-01"), ("creation", "lt2024-01-01")], "discharge"),
    ]
    rows += CREATION + PERIOD
    for name in ("date", "_lastUpdated"):
        rows += [
            (f"{name} on the day of the submission", [(name, "2026-01-02")], _ALL),
            (f"{name} after the submission", [(name, "ge2026-01-02T03:04:06Z")], ""),
        ]
    for spelling in ("related:identifier", "related.identifier"):
        rows += [
            (
                f"{spelling} accession",
                [(spelling, f"urn:oid:{accession.authority}|{accession.value}")],
                _STUDY,
            ),
            (f"{spelling} study UID", [(spelling, f"urn:dicom:uid|urn:oid:{study.value}")], _STUDY),
            (f"{spelling} without match", [(spelling, f"urn:oid:{accession.authority}|A0")], ""),
            (f"{spelling} of another authority", [(spelling, f"urn:oid:2.999.1.99|{accession.value}")], ""),
        ]
    rows += [
        ("author.family", [("author.family", "Template")], "discharge"),
        ("author.family of the second author", [("author.family", "Specimen")], "report"),
        ("author.family, start in small letters", [("author.family", "samp")], "report"),
        ("author.family, middle of the name", [("author.family", "emplat")], ""),
        ("author.given", [("author.given", "Rita")], "report"),
        ("author.given without match", [("author.given", "Nobody")], ""),
        (
            "author.family and author.given",
            [("author.family", "Template"), ("author.given", "Paula")],
            "discharge",
        ),
    ]
    for name, document in samples.of_patient.items():
        rows.append((f"identifier of the {name}", [("identifier", document.token)], name))
    rows.append(("identifier without match", [("identifier", "urn:ietf:rfc:3986|urn:oid:2.999.2.1")], ""))
    rows.append(("status superseded, before any is", [("status", "superseded")], ""))
    rows.append(("status, one of both", [("status", "current,superseded")], _ALL))
    return rows


class FindWalk:
    """Steps about searching. Every search is sent by GET and by POST and has to find the same."""

    def __init__(self, client: OutsideClient, samples: Samples, locations: dict[str, str]) -> None:
        self._client = client
        self._samples = samples
        self._locations = locations
        self._names = {d.identifier["value"]: name for name, d in samples.of_patient.items()}

    async def run(self, walk: Walk) -> None:
        """All searches, then what their results hold."""
        needs = (PUBLISHED, NOTED)
        for name, parameters, found in searches(self._samples):
            await walk.step(f"find by {name}", self._search(parameters, found), needs=needs)
        await walk.step("find by _id", self._by_id, needs=needs)
        await walk.step("find by patient, as subject of a result refers to it", self._by_patient, needs=needs)
        await walk.step("find for another patient", self._other_patient, needs=(*needs, OTHER))
        await walk.step(
            "a parameter that is not known is left out with a warning, refused if strict",
            self._not_known,
            needs=needs,
        )
        await walk.step("an unknown patient has no documents", self._unknown_patient)
        await walk.step("a value that is no date is refused", self._not_a_date)
        await walk.step("several authors are shown", self._authors, needs=needs)
        await walk.step("metadata come back as they were sent", self._metadata, needs=needs)
        for way in ("GET", "POST"):
            await walk.step(
                f"paging by {way} shows each document once", self._paging(way == "POST"), needs=needs
            )

    def _with_patient(self, parameters: Parameters) -> list[tuple[str, str]]:
        status = [] if any(name == "status" for name, _ in parameters) else [("status", "current")]
        return [("patient.identifier", self._samples.content.patient.token), *status, *parameters]

    def _name(self, document: dict[str, Any]) -> str:
        name = self._names.get(_unique_id(document), "a document of someone else")
        content_type = document["content"][0]["attachment"]["contentType"]
        return FHIR_MANIFEST if name == "manifest" and content_type == FHIR_JSON else name

    async def _expect(self, parameters: Parameters, wanted: set[str]) -> Page:
        one_format = any(name in ("format", "_id") for name, _ in parameters)
        by_get = await self._client.search(parameters)
        by_post = await self._client.search(parameters, by_post=True)
        for way, page in (("GET", by_get), ("POST", by_post)):
            found = [self._name(document) for document in page.matches]
            # the manifest is shown in both formats, unless one of them is asked for
            both = wanted | ({FHIR_MANIFEST} if "manifest" in wanted and not one_format else set())
            expect(f"found by {way}", sorted(both), sorted(found))
            expect(f"total by {way}", len(both), page.total)
        require("both pages have a self link", "self" in by_get.links and "self" in by_post.links)
        return by_get

    def _search(self, parameters: Parameters, found: str) -> Step:
        async def step() -> None:
            page = await self._expect(self._with_patient(parameters), set(found.split()))
            expect("warnings", (), page.warnings)

        return step

    async def _by_id(self) -> None:
        for name, location in self._locations.items():
            logical_id = location.partition("/_history/")[0].rpartition("/")[2]
            await self._expect(self._with_patient([("_id", logical_id)]), {name})
            await self._expect([("_id", logical_id)], {name})
        unknown = "00000000-0000-4000-8000-000000000000"
        await self._expect(self._with_patient([("_id", unknown)]), set())

    async def _by_patient(self) -> None:
        page = await self._client.search(self._with_patient([]))
        references = {document["subject"]["reference"] for document in page.matches}
        expect("distinct subjects", 1, len(references))
        reference = references.pop()
        absolute = self._client.resolve(reference)
        for value in (reference, absolute, reference.removeprefix("Patient/")):
            await self._expect([("patient", value), ("status", "current")], set(_ALL.split()))
        read = await self._client.request("GET", absolute)
        identifiers = read.expect_status(200).json()["identifier"]
        require("Patient has the identifier", self._samples.content.patient.identifier in identifiers)

    async def _other_patient(self) -> None:
        content, samples = self._samples.content, self._samples
        other = [("patient.identifier", content.other_patient.token), ("status", "current")]
        page = await self._client.search(other)
        wanted = {d.identifier["value"] for d in (content.other_report, samples.tiny, samples.large)}
        expect("documents of the second patient", wanted, {_unique_id(d) for d in page.matches})
        reference = page.matches[0]["subject"]["reference"]
        both = [("patient", reference), *self._with_patient([])]
        answer = await self._client.search_answer(both)
        if answer.status != 400:
            await self._expect(both, set())

    async def _not_known(self) -> None:
        parameters = self._with_patient([("flavour", "sweet")])
        page = await self._expect(parameters, set(_ALL.split()))
        require("a warning that names it", any("flavour" in str(w.get("issue")) for w in page.warnings))
        require("the self link is without it", "flavour" not in page.links["self"])
        url = f"{self._client.base_url}/DocumentReference"
        query = self._client.query(parameters)
        strict = await self._client.request("GET", f"{url}?{query}", headers={"Prefer": "handling=strict"})
        require("issues", strict.expect_status(400).issues())

    async def _unknown_patient(self) -> None:
        token = f"{self._samples.content.patient.token}-UNKNOWN"
        await self._expect([("patient.identifier", token), ("status", "current")], set())

    async def _not_a_date(self) -> None:
        answer = await self._client.search_answer(self._with_patient([("creation", "ge2024-13-01")]))
        require("issues", answer.expect_status(400).issues())

    async def _document(self, name: str) -> dict[str, Any]:
        token = self._samples.of_patient[name].token
        page = await self._client.search(self._with_patient([("identifier", token)]))
        (found,) = [document for document in page.matches if self._name(document) == name]
        return found

    async def _authors(self) -> None:
        report = await self._document("report")
        contained = {f"#{resource['id']}": resource for resource in report["contained"]}
        shown = [_author_name(reference["reference"], contained) for reference in report["author"]]
        expect("authors", ["Sample Rita", "Specimen Otto", "Example Radiology Department"], shown)
        role = contained[report["author"][0]["reference"]]
        expect("role", "66862007", role["code"][0]["coding"][0]["code"])
        expect("specialty", "394914008", role["specialty"][0]["coding"][0]["code"])

    async def _metadata(self) -> None:
        for name in self._samples.of_patient:
            shown = await self._document(name)
            sent = self._sent(name)
            for path in (
                ("type",),
                ("securityLabel",),
                ("description",),
                ("masterIdentifier",),
            ):
                expect(f"{name}: {path[0]}", sent.get(path[0]), shown.get(path[0]))
            shown_categories = [c for concept in shown["category"] for c in concept["coding"]]
            for coding in sent["category"][0]["coding"]:
                require(f"{name}: category has {coding['code']}", coding in shown_categories)
            # a manifest adds what it says to what was sent
            for event in sent["context"].get("event", ()):
                require(f"{name}: context.event has {event}", event in shown["context"]["event"])
            for element in ("facilityType", "practiceSetting"):
                expect(
                    f"{name}: context.{element}", sent["context"].get(element), shown["context"].get(element)
                )
            expect(f"{name}: format", sent["content"][0]["format"], shown["content"][0]["format"])
            self._compare_attachment(
                name, sent["content"][0]["attachment"], shown["content"][0]["attachment"]
            )
            self._compare_period(name, sent["context"].get("period"), shown["context"].get("period"))
            patients = [r for r in shown["contained"] if r["resourceType"] == "Patient"]
            expect(f"{name}: name in sourcePatientInfo", "Muster", patients[0]["name"][0]["family"])

    def _sent(self, name: str) -> dict[str, Any]:
        bundle = provide_bundle([self._samples.of_patient[name]], patient=self._samples.content.patient)
        return next(
            entry["resource"]
            for entry in bundle["entry"]
            if entry["resource"]["resourceType"] == "DocumentReference"
        )

    def _compare_attachment(self, name: str, sent: dict[str, Any], shown: dict[str, Any]) -> None:
        for element in ("contentType", "language", "size", "hash", "title"):
            expect(f"{name}: attachment.{element}", sent[element], shown.get(element))
        expect(f"{name}: attachment.creation", _time(sent["creation"]), _time(shown["creation"]))
        require(
            f"{name}: attachment.url is absolute, got {shown['url']}",
            shown["url"].startswith(("http://", "https://")),
        )
        patient = self._samples.content.patient
        require(f"{name}: attachment.url shows no patient id", patient.id not in shown["url"])

    def _compare_period(self, name: str, sent: dict[str, str] | None, shown: dict[str, str] | None) -> None:
        if sent is None:
            expect(f"{name}: context.period", None, shown)
            return
        require(f"{name}: context.period is there", shown)
        for end in ("start", "end"):
            expect(f"{name}: context.period.{end}", _time(sent[end]), _time((shown or {})[end]))

    def _paging(self, by_post: bool) -> Step:
        async def step() -> None:
            parameters = self._with_patient([("_count", "1")])
            seen: list[str] = []
            page: Page | None = await self._client.search(parameters, by_post=by_post)
            while page is not None:
                expect("total on every page", len(self._names) + 1, page.total)
                require(f"a page of at most 1, got {len(page.matches)}", len(page.matches) <= 1)
                seen += [self._name(document) for document in page.matches]
                link = page.links.get("next", "")
                require("the next link shows no patient id", self._samples.content.patient.id not in link)
                require("pages come to an end", len(seen) <= len(self._names) + 1)
                page = await self._client.next_page(page)
            expect("documents seen", sorted([*self._names.values(), FHIR_MANIFEST]), sorted(seen))

        return step


def _unique_id(resource: dict[str, Any]) -> str:
    return str(resource["masterIdentifier"]["value"])


def _references(resource: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """System and value of each related identifier, and whether its type has a CXi URN."""
    identifiers = [related["identifier"] for related in resource["context"].get("related", [])]
    return [
        (i["system"], i["value"], any(c["code"].startswith("urn:ihe:iti:") for c in i["type"]["coding"]))
        for i in identifiers
    ]


def _time(value: str) -> datetime:
    return datetime.fromisoformat(value)


def _author_name(reference: str, contained: dict[str, dict[str, Any]]) -> str:
    """Name behind a reference to a contained resource: of the person, or of the organization."""
    resource = contained[reference]
    if resource["resourceType"] == "PractitionerRole":
        linked = resource.get("practitioner") or resource["organization"]
        return _author_name(linked["reference"], contained)
    if resource["resourceType"] == "Organization":
        return str(resource["name"])
    name = resource["name"][0]
    return " ".join([name["family"], *name.get("given", [])])
