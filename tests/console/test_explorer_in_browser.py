"""The explorer in a browser: light, dark and on a phone, by keyboard, with and without JavaScript.

CONSOLE_SCREENSHOTS names a folder where the pictures of the pages are kept to be looked at.
"""

import asyncio
import os
import shutil
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from gateway.demo.ct_study import FIRST_LOCATION
from tests.crossborder.neighbours import garbage

from .explored import CLINICIAN, SUPPORT, XCA, explored

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]

LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}
TRY_ALL = "Try to retrieve all images"
# one dot of grey
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154785e6368000000820081dd436af40000000049454e44ae426082"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(tmp_path_factory):
    async with explored(tmp_path_factory.mktemp("browsed")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium():
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    kept = os.environ.get("CONSOLE_SCREENSHOTS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@asynccontextmanager
async def opened(held, chromium, scope=CLINICIAN, **options):
    """A page whose viewer is signed in; `page.faults` are what the browser complained about."""
    context = await chromium.new_context(**options)
    page = await context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda said: page.faults.append(said.text) if said.type == "error" else None)
    try:
        await page.goto(f"{held.url}/sign-in")
        await page.fill("#token", held.token(scope))
        await page.click("main button")
        yield page
    finally:
        await context.close()


async def look_for(page, held, what):
    await page.goto(f"{held.url}/explore")
    await page.fill("#what", what)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#result-title")


async def looked_at(page, file):
    """Take a picture; nothing may stick out of the page."""
    await page.wait_for_load_state("networkidle")
    assert len(await page.screenshot(path=file, full_page=True)) > 5000
    wide, seen = await page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= seen, f"{file.name} is wider than the screen"


async def renders(request):
    """An archive that renders."""
    if request.path.endswith("/rendered"):
        return web.Response(body=PICTURE, content_type="image/png")
    return None


@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_is_whole_on_every_screen(held, chromium, pictures, look):
    held.stack.interfere = renders
    try:
        async with opened(held, chromium, **LOOKS[look]) as page:
            await page.goto(f"{held.url}/explore")
            await looked_at(page, pictures / f"explorer-form-{look}.png")
            await look_for(page, held, held.own.images.study_instance_uid)
            # pictures are loaded when they come into sight
            await page.locator("img.thumb").scroll_into_view_if_needed()
            assert await page.eval_on_selector(
                "img.thumb", "each => each.decode().then(() => each.naturalWidth)"
            )
            await page.evaluate("window.scrollTo(0, 0)")
            await looked_at(page, pictures / f"explorer-found-{look}.png")
            drawn, tree = [await page.is_visible(place) for place in ("svg.held", ".tree")]
            assert (drawn, tree) == ((False, True) if look == "phone" else (True, False))
            await page.click(f"text={TRY_ALL}")
            await page.wait_for_selector("[data-result] .badge.ok")
            await looked_at(page, pictures / f"explorer-tried-{look}.png")
            await page.click("text=Metadata")
            await page.wait_for_selector("#study-title")
            await looked_at(page, pictures / f"explorer-metadata-{look}.png")
            await page.click("text=Back to where it is held")
            await page.wait_for_selector("#result-title")
            assert page.faults == []
    finally:
        held.stack.interfere = None


async def test_what_fails_is_shown_where_it_fails(held, chromium, pictures):
    async def trouble(request):
        return await garbage(request) if request.path == "/xds/imaging" else await renders(request)

    async def dead(request):
        return await garbage(request)

    held.stack.interfere, held.others[XCA].interfere = trouble, dead
    try:
        async with opened(held, chromium, **LOOKS["light"]) as page:
            await look_for(page, held, held.own.images.study_instance_uid)
            await page.click(f"text={TRY_ALL}")
            result = page.locator("[data-result]", has=page.locator(".badge.warn"))
            await result.wait_for()
            assert f"the source failed (imaging source {FIRST_LOCATION})" in await result.inner_text()
            await looked_at(page, pictures / "explorer-partial-light.png")
            await look_for(page, held, held.contents[XCA].images.study_instance_uid)
            assert "remembered only" in await page.inner_text("#result-title")
            await looked_at(page, pictures / "explorer-dead-community-light.png")
        async with opened(held, chromium, SUPPORT, **LOOKS["phone"]) as page:
            await look_for(page, held, held.own.images.study_instance_uid)
            await page.click("text=Metadata")
            await page.wait_for_selector("#study-title")
            assert held.own.patient.id not in await page.content()
            await looked_at(page, pictures / "explorer-hidden-phone.png")
    finally:
        held.stack.interfere = held.others[XCA].interfere = None


async def test_progress_is_told_while_images_come_and_the_keyboard_is_enough(held, chromium):
    go_on = asyncio.Event()

    async def slowly(request):
        if request.path == "/xds/imaging":
            await go_on.wait()
        return await renders(request)

    held.stack.interfere = slowly
    try:
        async with opened(held, chromium, **LOOKS["light"]) as page:
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
            status = page.get_by_role("status").filter(has_text="16 of 16 images")
            assert await status.count() == 1
            assert page.faults == []
    finally:
        go_on.set()
        held.stack.interfere = None


async def test_without_javascript_a_page_tells_what_came(held, chromium, pictures):
    async with opened(held, chromium, java_script_enabled=False, **LOOKS["light"]) as page:
        await look_for(page, held, held.own.images.study_instance_uid)
        await page.click(f"text={TRY_ALL}")
        await page.wait_for_selector("h1#title")
        assert "complete" in await page.inner_text("h1#title")
        assert "16 of 16 images" in await page.inner_text("main")
        await looked_at(page, pictures / "explorer-without-script-light.png")
        await page.click("text=Back to where it is held")
        await page.wait_for_selector("#result-title")


async def test_everything_has_a_name_for_who_hears_the_page(held, chromium):
    async with opened(held, chromium, **LOOKS["light"]) as page:
        await look_for(page, held, held.own.images.study_instance_uid)
        nameless = await page.evaluate(
            """() => [...document.querySelectorAll('button, a[href], input:not([type=hidden]), img, [role=img], table')]
              .filter((each) => !(each.labels?.length || each.textContent.trim() || each.alt
                || each.getAttribute('aria-label') || each.getAttribute('aria-labelledby')))
              .map((each) => each.outerHTML)"""
        )
        assert nameless == []
        names = await page.evaluate(
            "() => [...document.querySelectorAll('form[data-attempt] button')].map((each) => each.textContent)"
        )
        assert len(names) == len(set(names)), "buttons of the same words can be told apart"
        ids = await page.evaluate("() => [...document.querySelectorAll('[id]')].map((each) => each.id)")
        assert len(ids) == len(set(ids))
