"""The correlation explorer: where something is held, whether it can be had, and who may see what of it."""

import asyncio
import json

import pytest
import pytest_asyncio
from aiohttp import web

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION
from tests.crossborder.neighbours import OWN, garbage
from tests.system.documents import a_patient
from tests.system.stack import running_stack

from .explored import CLINICIAN, MHD, SUPPORT, XCA, explored, look_for
from .signed_in import Console, visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVENTS = {"Accept": "text/event-stream"}
RAD69_SERIES = "0"
"""Number of a series whose source speaks RAD-69."""
LEGS = {
    OWN: {"ITI-18", "ITI-43", "RAD-69", "RAD-107"},
    XCA: {"ITI-38", "ITI-39", "RAD-75"},
    MHD: {"ITI-67", "ITI-68", "RAD-107"},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(tmp_path_factory):
    async with explored(tmp_path_factory.mktemp("explored")) as running:
        yield running


def signed_in(held, scope=CLINICIAN, **claims):
    return visitor(held, headers={"Authorization": f"Bearer {held.token(scope, **claims)}"})


def forms(seen, end):
    """Where the forms that end so lead, below /console, with what they carry."""
    return [
        (
            form.get("action").removeprefix("/console"),
            {each.get("name"): each.get("value") for each in form.xpath(".//input")},
        )
        for form in seen.page.xpath("//form")
        if form.get("action").endswith(end)
    ]


def metadata_of(seen):
    """Where the metadata of each document are, below /console."""
    return [a.removeprefix("/console") for a in seen.page.xpath("//a/@href") if "/metadata?" in a]


def told(seen):
    """Server-Sent Events: their names and data."""
    events = []
    for block in seen.text.strip().split("\n\n"):
        name, data = block.split("\n")
        events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


# --- where it is ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("home", [OWN, XCA, MHD])
async def test_a_study_is_found_in_its_community_with_every_series_location_and_leg(held, home):
    content = held.contents[home]
    async with signed_in(held, SUPPORT) as guest:
        seen = await look_for(guest, content.images.study_instance_uid)
    words = seen.words("//main")
    assert seen.status == 200
    assert home in words or home == OWN
    assert content.manifest.unique_id in words
    for series in content.images.series:
        [row] = [
            " ".join(row.text_content().split())
            for row in seen.page.xpath("//table//tr")
            if series.series_instance_uid in row.text_content()
        ]
        assert series.location_uid in row
    badges = {" ".join(each.text_content().split()) for each in seen.page.xpath("//*[@class='badge ok']")}
    assert LEGS[home] <= badges
    assert "A way leads to all of it" in words


async def test_the_picture_says_in_words_what_it_shows(held):
    async with signed_in(held, SUPPORT) as guest:
        seen = await look_for(guest, held.own.images.study_instance_uid)
    [picture] = seen.page.xpath("//*[local-name()='svg'][@role='img']")
    named = [
        seen.page.get_element_by_id(name).text_content() for name in picture.get("aria-labelledby").split()
    ]
    assert named[0] == "Where it is held"
    assert f"{len(held.own.images.series)} series" in named[1]
    boxes = picture.xpath(".//*[local-name()='g'][contains(@class, 'box')]/*[local-name()='title']/text()")
    for series in held.own.images.series:
        assert any(series.series_instance_uid in box for box in boxes)


async def test_an_accession_number_finds_the_study_and_stands_in_no_address(held):
    images = held.contents[XCA].images
    async with signed_in(held, SUPPORT) as guest:
        for what in (images.accession, f"{images.accession_authority}|{images.accession}"):
            seen = await look_for(guest, what)
            assert images.study_instance_uid in seen.words("//main"), what
            assert not [
                link for link in seen.page.xpath("//@href | //@action | //@src") if images.accession in link
            ]


async def test_a_document_is_found_by_each_of_its_ids(held):
    [found] = [
        r
        for r in await held.stack.find(patient__identifier=held.own.patient.token, status="current")
        if r["masterIdentifier"]["value"] == f"urn:oid:{held.own.manifest.unique_id}"
        and "-" not in r["id"][36:]
    ]
    async with signed_in(held, SUPPORT) as guest:
        for what in (held.own.manifest.unique_id, found["id"], f"urn:uuid:{found['id']}"):
            seen = await look_for(guest, what)
            assert held.own.images.study_instance_uid in seen.words("//main"), what


async def test_a_study_that_was_not_seen_is_found_by_who_may_say_whose_it_is(held, tmp_path):
    # what another replica that remembers nothing would see: the patient's manifests of every registry
    await _forget(held)
    patient = held.own.patient
    named = f"urn:oid:{patient.authority}|{patient.id}"
    uid = held.contents[MHD].images.study_instance_uid
    async with signed_in(held, SUPPORT) as guest:
        assert "No registry names it" in (await look_for(guest, uid)).words("//main")
        form = (await guest.get("/explore")).form("/explore")
        assert (await guest.post("/explore", {**form, "what": uid, "patient": named})).status == 403
    async with signed_in(held) as guest:
        wrong = {**(await guest.get("/explore")).form("/explore"), "what": uid, "patient": patient.id}
        assert (await guest.post("/explore", wrong)).status == 400
        seen = await look_for(guest, uid, patient=named)
        assert MHD in seen.words("//main")
        assert patient.id not in seen.text
    for content in held.contents.values():
        await held.stack.get("ImagingStudy", **{"patient.identifier": content.patient.token})


async def _forget(held):
    """Remove what the correlation store knows."""
    await held.stack.parts.store._client.flushdb()


async def test_what_is_looked_for_is_shown_as_it_is_and_nothing_else(held):
    async with signed_in(held, SUPPORT) as guest:
        for what in ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}", "1.2.3'||'"):
            seen = await look_for(guest, what)
            assert seen.status == 200
            assert not seen.page.xpath("//script[not(@src)] | //main//img | //*[@onerror]")
            assert seen.page.get_element_by_id("what").get("value") == what
        form = (await guest.get("/explore")).form("/explore")
        for wrong in ("", " ", "x" * 257, "a\x00b"):
            assert (await guest.post("/explore", {**form, "what": wrong})).status == 400
        for address in ("/explore/found/abc", "/explore/document/abc/metadata"):
            assert (await guest.get(address)).status == 404


# --- metadata ---------------------------------------------------------------------------------------------
async def test_metadata_of_both_worlds_stand_side_by_side(held):
    async with signed_in(held) as guest:
        seen = await look_for(guest, held.own.images.study_instance_uid)
        both = await guest.get(metadata_of(seen)[0])
    rows = {
        row.xpath("normalize-space(string(./th/text()))"): " ".join(row.text_content().split())
        for row in both.page.xpath("//tbody/tr")
    }
    assert held.own.patient.id in rows["patientId"]
    assert "subject" in rows["patientId"]
    assert held.own.images.study_instance_uid in rows["Study Instance UID"]
    assert "content.attachment.contentType application/dicom" in rows["mimeType"]
    assert held.own.patient.family in rows["Patient's Name"]
    raw = [json.loads(each.text_content()) for each in both.page.xpath("//pre")]
    assert [each["resourceType"] for each in raw] == ["DocumentReference", "ImagingStudy"]


async def test_who_may_not_read_documents_sees_nothing_that_tells_whose_they_are(held):
    patient, images = held.own.patient, held.own.images
    async with signed_in(held, SUPPORT) as guest:
        seen = await look_for(guest, images.study_instance_uid)
        both = await guest.get(metadata_of(seen)[0])
    assert both.status == 200
    for secret in (
        patient.id,
        patient.family,
        images.accession,
        "CT of the chest",
        "19750412",
        held.own.manifest.title,
    ):
        assert secret not in both.text
        assert secret not in seen.text
    assert "hidden" in both.words("//main")
    assert held.own.manifest.unique_id in both.words("//main")


async def test_a_token_of_one_patient_opens_no_document_of_another(held):
    other = "urn:oid:2.999.1.1|somebody-else"
    async with signed_in(held, "console patient/*.rs", patient=other) as guest:
        form = (await guest.get("/explore")).form("/explore")
        sent = await guest.post("/explore", {**form, "what": held.own.images.study_instance_uid})
        seen = await guest.get(sent.headers["Location"].removeprefix("/console"))
    assert seen.status == 403
    assert held.own.manifest.unique_id not in seen.text


# --- trying -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("home", [OWN, XCA, MHD])
async def test_all_images_of_a_study_are_retrieved_and_counted(held, home):
    content = held.contents[home]
    files = [data for _, _, data in content.images.files()]
    async with signed_in(held) as guest:
        seen = await look_for(guest, content.images.study_instance_uid)
        [(action, form)] = [each for each in forms(seen, "/retrieve-images") if "series" not in each[1]]
        events = told(await guest.post(action, form, headers=EVENTS))
        page = await guest.post(action, form)
    name, done = events[-1]
    assert (events[0][0], name) == ("progress", "done")
    assert (done["outcome"], done["instances"], done["wanted"]) == ("complete", len(files), len(files))
    assert done["bytes"] >= sum(map(len, files))
    assert {leg["transaction"] for leg in done["legs"]} & LEGS[home]
    assert f"{len(files)} of {len(files)} images" in page.words("//main")


async def test_one_series_is_retrieved_alone(held):
    async with signed_in(held) as guest:
        seen = await look_for(guest, held.own.images.study_instance_uid)
        for action, form in forms(seen, "/retrieve-images"):
            if "series" in form:
                [*_, (_, done)] = told(await guest.post(action, form, headers=EVENTS))
                [only] = done["series"]
                of_series = held.own.images.series[int(form["series"])]
                assert only["series_instance_uid"] == of_series.series_instance_uid
                assert (done["outcome"], done["instances"]) == ("complete", len(of_series.images))
        assert (await guest.post(action, {**form, "series": "999"})).status == 404


async def test_a_document_is_retrieved_whole_and_compared(held):
    async with signed_in(held) as guest:
        seen = await look_for(guest, held.own.manifest.unique_id)
        [(action, form)] = forms(seen, "/retrieve-document")
        [*_, (_, done)] = told(await guest.post(action, form, headers=EVENTS))
        assert (done["outcome"], done["bytes"]) == ("complete", len(held.own.manifest.content))

        async def other_bytes(request):
            return None if request.path != "/xds/repository" else await garbage(request)

        held.stack.interfere = other_bytes
        try:
            [*_, (_, done)] = told(await guest.post(action, form, headers=EVENTS))
        finally:
            held.stack.interfere = None
        assert done["outcome"] == "failed"
        assert "ITI-43" in done["problem"]


async def test_trying_needs_the_scope_of_the_retrieval_and_a_form_of_this_session(held):
    async with signed_in(held) as guest:
        seen = await look_for(guest, held.own.images.study_instance_uid)
        tries = [*forms(seen, "/retrieve-images"), *forms(seen, "/retrieve-document")]
        for action, form in tries:
            assert (await guest.post(action, {**form, "form_token": ""})).status == 403
    async with signed_in(held, SUPPORT) as guest:
        seen = await look_for(guest, held.own.images.study_instance_uid)
        assert not forms(seen, "/retrieve-images")
        mine = (await guest.get("/explore")).form("/explore")
        for action, form in tries:
            refused = await guest.post(action, {**form, **mine}, headers=EVENTS)
            assert refused.status == 403
            assert "It needs system/" in refused.words("//main")


async def test_what_is_tried_is_recorded_as_what_it_is_by_who_is_signed_in(held):
    async with signed_in(held, sub="dr-explorer") as guest:
        seen = await look_for(guest, held.own.images.study_instance_uid)
        [(action, form)] = [each for each in forms(seen, "/retrieve-images") if "series" not in each[1]]
        await guest.post(action, form, headers=EVENTS)
        [(action, form)] = forms(seen, "/retrieve-document")
        await guest.post(action, form, headers=EVENTS)
    status, found = await held.stack.get("AuditEvent", date="ge2026-01-01", _count=1000)
    assert status == 200, found
    mine = [e["resource"] for e in found["entry"] if "dr-explorer" in json.dumps(e["resource"])]
    named = {
        coding["display"] for event in mine for coding in event.get("subtype", ()) if "display" in coding
    }
    assert {"WADO-RS Retrieve", "Retrieve Document", "Retrieve Imaging Document Set"} <= named
    assert any(held.own.patient.id in json.dumps(event) for event in mine)
    assert {event["outcome"] for event in mine} == {"0"}


@pytest.mark.parametrize("headers", [EVENTS, {}], ids=["with events", "as a page"])
async def test_a_retrieval_that_fails_is_recorded_as_one_that_failed(held, headers):
    name = f"unlucky-{len(headers)}"

    async def no_repository(request):
        return await garbage(request) if request.path == "/xds/repository" else None

    async with signed_in(held, sub=name) as guest:
        seen = await look_for(guest, held.own.manifest.unique_id)
        [(action, form)] = forms(seen, "/retrieve-document")
        held.stack.interfere = no_repository
        try:
            assert (await guest.post(action, form, headers=headers)).status == 200
        finally:
            held.stack.interfere = None
    status, found = await held.stack.get("AuditEvent", date="ge2026-01-01", _count=1000)
    assert status == 200, found
    outcomes = [
        event["outcome"]
        for event in (entry["resource"] for entry in found["entry"])
        if name in json.dumps(event) and "ITI-68" in json.dumps(event.get("subtype"))
    ]
    assert outcomes == ["8"]


async def test_the_source_is_left_when_the_viewer_leaves(held):
    asked, left = asyncio.Event(), asyncio.Event()

    async def waits(request):
        if request.path != "/xds/imaging":
            return
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            left.set()
            raise

    async with signed_in(held) as guest:
        seen = await look_for(guest, held.own.images.study_instance_uid)
        [(action, form)] = [
            each for each in forms(seen, "/retrieve-images") if each[1].get("series") == RAD69_SERIES
        ]
        held.stack.interfere = waits
        try:
            async with guest.session.post(guest.url + action, data=form, headers=EVENTS) as answer:
                assert (await answer.content.readline()) == b"event: progress\n"
                await asked.wait()
                answer.close()
            await asyncio.wait_for(left.wait(), 60)
        finally:
            held.stack.interfere = None


# --- pictures ---------------------------------------------------------------------------------------------
async def test_an_archive_that_renders_gives_a_picture_of_its_series(held):
    asked = []

    async def renders(request):
        if not request.path.endswith(("/rendered", "/thumbnail")):
            return None
        asked.append((request.path.rpartition("/")[2], request.query.get("viewport")))
        if request.path.endswith("/rendered"):
            return web.Response(status=404)
        return web.Response(body=b"\xff\xd8\xff\xd9", content_type="image/jpeg")

    held.stack.interfere = renders
    try:
        async with signed_in(held) as guest:
            seen = await look_for(guest, held.own.images.study_instance_uid)
            pictures = [src.removeprefix("/console") for src in seen.page.xpath("//img/@src")]
            by_wado = [
                s for s in held.own.images.series if s.location_uid == SECOND_LOCATION and s.modality != "KO"
            ]
            assert len(pictures) == len(by_wado) > 0
            async with guest.session.get(guest.url + pictures[0]) as answer:
                assert (answer.status, await answer.read()) == (200, b"\xff\xd8\xff\xd9")
                assert answer.content_type == "image/jpeg"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        async with signed_in(held, SUPPORT) as guest:
            assert (await guest.get(pictures[0])).status == 403
    finally:
        held.stack.interfere = None
    assert asked == [("rendered", "192,192"), ("thumbnail", "192,192")]


async def test_a_community_that_speaks_mhd_gives_pictures_by_its_archive(held):
    async def renders(request):
        if request.path.endswith("/rendered"):
            return web.Response(body=b"\xff\xd8\xff\xd9", content_type="image/jpeg")
        return None

    behind = held.others[MHD]
    behind.interfere = renders
    try:
        async with signed_in(held) as guest:
            seen = await look_for(guest, held.contents[MHD].images.study_instance_uid)
            pictures = [src.removeprefix("/console") for src in seen.page.xpath("//img/@src")]
            assert len(pictures) == sum(s.modality != "KO" for s in held.contents[MHD].images.series)
            async with guest.session.get(guest.url + pictures[0]) as answer:
                assert (answer.status, answer.content_type) == (200, "image/jpeg")
    finally:
        behind.interfere = None


async def test_a_picture_that_is_none_is_not_passed_on(held):
    async def lies(request):
        return (
            web.Response(text="<script>", content_type="text/html") if "/rendered" in request.path else None
        )

    held.stack.interfere = lies
    try:
        async with signed_in(held) as guest:
            seen = await look_for(guest, held.own.images.study_instance_uid)
            [picture, *_] = seen.page.xpath("//img/@src")
            assert (await guest.get(picture.removeprefix("/console"))).status == 502
    finally:
        held.stack.interfere = None


# --- what fails -------------------------------------------------------------------------------------------
async def test_a_source_that_is_down_is_named_with_what_is_missing(held):
    async def no_rad69(request):
        return await garbage(request) if request.path == "/xds/imaging" else None

    held.stack.interfere = no_rad69
    try:
        async with signed_in(held) as guest:
            seen = await look_for(guest, held.own.images.study_instance_uid)
            [(action, form)] = [each for each in forms(seen, "/retrieve-images") if "series" not in each[1]]
            [*_, (_, done)] = told(await guest.post(action, form, headers=EVENTS))
            page = await guest.post(action, form)
    finally:
        held.stack.interfere = None
    lost = sum(len(s.images) for s in held.own.images.series if s.location_uid == FIRST_LOCATION)
    assert done["outcome"] == "partial"
    assert done["wanted"] - done["instances"] == lost
    [missing] = done["missing"]
    assert (missing["peer"], missing["instances"]) == (f"imaging source {FIRST_LOCATION}", lost)
    assert f"imaging source {FIRST_LOCATION}" in page.words("//main")


async def test_a_community_that_is_dead_is_named_and_what_is_remembered_of_it_shown(held):
    async def dead(request):
        return await garbage(request)

    behind = held.others[XCA]
    behind.interfere = dead
    try:
        async with signed_in(held, SUPPORT) as guest:
            seen = await look_for(guest, held.contents[XCA].images.study_instance_uid)
    finally:
        behind.interfere = None
    words = seen.words("//main")
    assert "community by XCA" in words
    assert "remembered only" in words
    assert "Its registry cannot be asked now" in words
    assert held.contents[XCA].manifest.unique_id in words


async def test_a_superseded_document_is_marked_and_names_its_successor(held):
    front, content = held.stack, held.own
    status, answer = await front.publish(provide_bundle([content.report], patient=content.patient))
    assert status == 200, answer
    [old] = [
        r
        for r in await front.find(patient__identifier=content.patient.token, status="current")
        if r["masterIdentifier"]["value"] == f"urn:oid:{content.report.unique_id}"
    ]
    later = provide_bundle(
        [content.corrected_report], patient=content.patient, replaces=f"DocumentReference/{old['id']}"
    )
    status, answer = await front.publish(later)
    assert status == 200, answer
    async with signed_in(held) as guest:
        seen = await look_for(guest, old["id"])
    words = seen.words("//main")
    assert "superseded" in words
    assert "Replaced by" in words
    assert content.corrected_report.unique_id in words
    # a report leads to its study
    [study] = set(seen.page.xpath("//dd/a/@href"))
    async with signed_in(held) as guest:
        led = await guest.get(study.removeprefix("/console"))
    assert content.images.study_instance_uid in led.words("//main")


async def test_a_location_that_nobody_knows_is_told_with_the_setting(tmp_path):
    async with explored(tmp_path, imaging={"locations": []}) as lost:
        async with signed_in(lost) as guest:
            seen = await look_for(guest, lost.own.images.study_instance_uid)
            [(action, form)] = [each for each in forms(seen, "/retrieve-images") if "series" not in each[1]]
            [*_, (_, done)] = told(await guest.post(action, form, headers=EVENTS))
        words = seen.words("//main")
        assert f"location {FIRST_LOCATION} is neither in imaging.locations" in words
        assert "things do not work" in words
        assert (done["outcome"], done["instances"]) == ("failed", 0)
        assert done["missing"][0]["reason"] == "no location that the gateway reaches"


async def test_the_policy_of_the_site_holds_here_too(tmp_path):
    rules = tmp_path / "rules.json"
    rules.write_text(
        json.dumps(
            {
                "default": "permit",
                "rules": [{"name": "no images", "effect": "deny", "when": {"action": ["images"]}}],
            }
        )
    )
    security = {"policy": {"rules_file": str(rules)}}
    async with explored(tmp_path / "all", security=security) as ruled, signed_in(ruled) as guest:
        seen = await look_for(guest, ruled.own.images.study_instance_uid)
        [(action, form)] = [each for each in forms(seen, "/retrieve-images") if "series" not in each[1]]
        refused = await guest.post(action, form, headers=EVENTS)
    assert seen.status == 200
    assert refused.status == 403
    assert ruled.own.images.study_instance_uid not in refused.text


async def test_where_access_is_open_everyone_sees_and_tries_everything(tmp_path):
    content = sample_content("open explorer", a_patient().id)
    folders = content.images.write(tmp_path / "images")
    images = {uid: (folders[uid], "wado-rs") for uid in (FIRST_LOCATION, SECOND_LOCATION)}
    settings = {"security": {"access": "open"}, "console": {"enabled": True}}
    async with (
        running_stack(tmp_path, images=images, **settings) as stack,
        visitor(Console(stack, None)) as guest,
    ):
        await stack.publish(provide_bundle([content.manifest], patient=content.patient))
        await stack.get("ImagingStudy", **{"patient.identifier": content.patient.token})
        seen = await look_for(guest, content.images.study_instance_uid)
        both = await guest.get(metadata_of(seen)[0])
        assert content.patient.id in both.text
        [(action, form)] = [each for each in forms(seen, "/retrieve-images") if "series" not in each[1]]
        [*_, (_, done)] = told(await guest.post(action, form, headers=EVENTS))
        assert done["outcome"] == "complete"
