"""The explorer as people see it: in light and dark, on a phone, by keyboard, with and without JavaScript."""

import asyncio
import base64

import pytest
import pytest_asyncio
from aiohttp import web

from gateway.demo.ct_study import FIRST_LOCATION
from tests.crossborder.neighbours import garbage

from .browser import VIEWS, running_browser, sign_in, window
from .explored import CLINICIAN, SUPPORT, XCA, explored

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRY_ALL = "Try to retrieve all images"
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCB3UNq9AAAAABJRU5ErkJggg=="
)
"""A picture of one grey dot (PNG)."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with running_browser() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(browser, tmp_path_factory):
    async with explored(tmp_path_factory.mktemp("browsed")) as running:
        yield running


async def look_for(page, held, what):
    await page.goto(f"{held.url}/explore")
    await page.get_by_label("Identifier").fill(what)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#result-title")


async def try_all(page, state):
    await page.get_by_role("button", name=TRY_ALL).click()
    await page.wait_for_selector(f"[data-result] .badge.{state}")
    await page.evaluate("scrollTo(0, 0)")


async def renders(request):
    """An archive that renders."""
    return web.Response(body=DOT, content_type="image/png") if request.path.endswith("/rendered") else None


@pytest.mark.parametrize("view", VIEWS)
async def test_every_page_is_well_made_in_each_view(browser, held, view, tmp_path):
    held.stack.interfere = renders
    try:
        async with window(browser, view) as opened:
            page = opened.page
            await sign_in(opened, held, "/explore", CLINICIAN)
            await opened.require_well_made(shot="explorer", folder=tmp_path)
            await look_for(page, held, held.own.images.study_instance_uid)
            # pictures are loaded when they come into sight
            await page.locator("img.thumb").scroll_into_view_if_needed()
            assert await page.eval_on_selector("img.thumb", "e => e.decode().then(() => e.naturalWidth)") == 1
            drawn, tree = [await page.is_visible(place) for place in ("svg.held", ".tree")]
            assert (drawn, tree) == ((False, True) if "phone" in view else (True, False))
            await try_all(page, "ok")
            await opened.require_well_made(shot="explorer-found", folder=tmp_path)
            await page.get_by_role("link", name="Metadata").click()
            await page.wait_for_selector("#study-title")
            for details in await page.locator("details").all():
                await details.evaluate("each => { each.open = true; }")
            await opened.require_well_made(shot="explorer-metadata", folder=tmp_path)
            await page.get_by_role("link", name="Back to where it is held").click()
            await page.wait_for_selector("#result-title")
    finally:
        held.stack.interfere = None


@pytest.mark.parametrize("view", ["light", "dark phone"])
async def test_what_fails_is_shown_where_it_fails(browser, held, view, tmp_path):
    async def trouble(request):
        return await garbage(request) if request.path == "/xds/imaging" else await renders(request)

    held.stack.interfere, held.others[XCA].interfere = trouble, garbage
    try:
        async with window(browser, view) as opened:
            page = opened.page
            await sign_in(opened, held, "/explore", CLINICIAN)
            await look_for(page, held, held.own.images.study_instance_uid)
            await try_all(page, "warn")
            result = page.locator("[data-result]", has=page.locator(".badge.warn"))
            assert f"the source failed (imaging source {FIRST_LOCATION})" in await result.inner_text()
            await opened.require_well_made(shot="explorer-partial", folder=tmp_path)
            await look_for(page, held, held.contents[XCA].images.study_instance_uid)
            assert "remembered only" in await page.inner_text("#result-title")
            await opened.require_well_made(shot="explorer-dead-community", folder=tmp_path)
            await look_for(page, held, "NO-SUCH-NUMBER")
            await opened.require_well_made(shot="explorer-nothing", folder=tmp_path)
    finally:
        held.stack.interfere = held.others[XCA].interfere = None


async def test_who_may_not_see_patients_is_told_what_is_hidden(browser, held, tmp_path):
    async with window(browser, "phone") as opened:
        page = opened.page
        await sign_in(opened, held, "/explore", SUPPORT)
        await look_for(page, held, held.own.images.study_instance_uid)
        assert await page.get_by_role("button", name=TRY_ALL).count() == 0
        await opened.require_well_made(shot="explorer-of-support", folder=tmp_path)
        await page.get_by_role("link", name="Metadata").click()
        await page.wait_for_selector("#study-title")
        assert held.own.patient.id not in await page.content()
        await opened.require_well_made(shot="explorer-hidden", folder=tmp_path)


async def test_progress_is_told_while_images_come_and_the_keyboard_is_enough(browser, held):
    go_on = asyncio.Event()

    async def slowly(request):
        if request.path == "/xds/imaging":
            await go_on.wait()
        return await renders(request)

    held.stack.interfere = slowly
    try:
        async with window(browser) as opened:
            page = opened.page
            await sign_in(opened, held, "/explore", CLINICIAN)
            await look_for(page, held, held.own.images.study_instance_uid)
            button = page.get_by_role("button", name=TRY_ALL)
            await button.focus()
            await page.keyboard.press("Enter")
            bar = page.get_by_role("progressbar", name="Retrieving of document 1")
            await bar.wait_for()
            assert await button.is_disabled()
            go_on.set()
            await page.wait_for_selector("[data-result] .badge.ok")
            assert await bar.count() == 0
            assert await button.evaluate("each => each === document.activeElement")
            assert await page.get_by_role("status").filter(has_text="16 of 16 images").count() == 1
            names = await page.evaluate(
                "() => [...document.querySelectorAll('form[data-attempt] button')].map((e) => e.textContent)"
            )
            assert len(names) == len(set(names)), "buttons of the same words can be told apart"
            assert not opened.wrong
    finally:
        go_on.set()
        held.stack.interfere = None


async def test_without_javascript_a_page_tells_what_came(browser, held, tmp_path):
    async with window(browser, java_script_enabled=False) as opened:
        page = opened.page
        await sign_in(opened, held, "/explore", CLINICIAN)
        await look_for(page, held, held.own.images.study_instance_uid)
        await page.get_by_role("button", name=TRY_ALL).click()
        await page.wait_for_selector("h1#title")
        assert "complete" in await page.inner_text("h1#title")
        assert "16 of 16 images" in await page.inner_text("main")
        opened.wrong.clear()  # an archive that renders nothing is noted
        await opened.require_well_made(shot="explorer-without-javascript", folder=tmp_path)
        await page.get_by_role("link", name="Back to where it is held").click()
        await page.wait_for_selector("#result-title")
