"""The console as people see it: in a headless Chromium, in light and dark, on a phone, by keyboard, without
JavaScript."""

import json

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from tests.system.documents import a_document, a_patient

from .browser import VIEWS, come_signed_in, running_browser, sign_in, window
from .signed_in import running_console

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = {"overview": "", "transactions": "/transactions"}
ROWS = "tbody[data-events] tr"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with running_browser() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(browser, tmp_path_factory):
    community = {
        "name": "a community with quite a long name, as they are",
        "home_community_id": "2.999.7.2.16.840.1.113883.3.42.10001.100001.12.7",
        "query_url": "http://127.0.0.1:9/xca",
        "assigning_authorities": ["2.999.1.1"],
        "max_attempts": 1,
        "circuit_threshold": 2,
    }
    own = {"home_community_id": "2.999.7.1", "communities": [community]}
    async with running_console(tmp_path_factory.mktemp("console"), **own) as running:
        for _ in range(3):
            await traffic(running)
        yield running


async def traffic(console):
    """A publish, a find that one community fails for, a retrieve, and mistakes of clients."""
    session, base, patient = console.stack.session, console.stack.base_url, a_patient()
    headers = {"Authorization": f"Bearer {console.token('system/*.cruds')}"}
    body = json.dumps(provide_bundle([a_document()], patient=patient))
    fhir = {**headers, "Content-Type": "application/fhir+json"}
    async with session.post(base, data=body, headers=fhir) as answer:
        assert answer.status == 200
    query = {"patient.identifier": patient.token, "status": "current"}
    async with session.get(f"{base}/DocumentReference", params=query, headers=headers) as answer:
        found = await answer.json(content_type=None)
    references = [
        e["resource"] for e in found["entry"] if e["resource"]["resourceType"] == "DocumentReference"
    ]
    async with session.get(references[0]["content"][0]["attachment"]["url"], headers=headers) as answer:
        await answer.read()
    async with session.get(f"{base}/List", params=query) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_well_made_in_each_view(browser, console, name, view, tmp_path):
    async with window(browser, view) as opened:
        await come_signed_in(opened, console, PAGES[name])
        for details in await opened.page.locator("details").all():
            await details.evaluate("each => { each.open = true; }")
        await opened.require_well_made(shot=name, folder=tmp_path)


@pytest.mark.parametrize("view", VIEWS)
async def test_the_sign_in_and_what_it_refuses_are_well_made(browser, console, view, tmp_path):
    async with window(browser, view) as opened:
        await opened.page.goto(console.url)
        await opened.require_well_made(shot="sign-in", folder=tmp_path)
        await opened.page.get_by_label("Access token").fill(console.token("ITI-67"))
        await opened.page.get_by_role("button", name="Sign in").click()
        assert "lacks the scope console" in await opened.page.get_by_role("alert").inner_text()
        opened.wrong.clear()  # the browser notes the 403 of the form
        await opened.require_well_made(shot="sign-in-refused", folder=tmp_path)


@pytest.mark.parametrize("view", VIEWS)
async def test_an_error_page_is_well_made(browser, console, view, tmp_path):
    async with window(browser, view) as opened:
        await come_signed_in(opened, console)
        await opened.page.goto(f"{console.url}/nowhere")
        opened.wrong.clear()  # the browser notes the 404
        await opened.require_well_made(shot="error", folder=tmp_path)
        await opened.page.get_by_role("link", name="To the overview").click()
        await opened.page.wait_for_url(console.url)


@pytest.mark.parametrize("path", PAGES.values())
async def test_nothing_is_cut_off_on_the_narrowest_screens_and_with_large_text(browser, console, path):
    async with window(browser, "phone", viewport={"width": 320, "height": 600}) as opened:
        await come_signed_in(opened, console, path)
        width = "document.documentElement.scrollWidth"
        assert await opened.page.evaluate(width) <= 320
        nav = opened.page.get_by_role("navigation")
        assert await nav.evaluate("nav => nav.scrollWidth - nav.clientWidth") <= 0
        await opened.page.set_viewport_size({"width": 800, "height": 600})
        await opened.page.evaluate("document.documentElement.style.fontSize = '32px'")
        assert await opened.page.evaluate(width) <= 800


async def test_requests_appear_as_they_end_and_a_pause_holds_them(browser, console):
    async with window(browser) as opened:
        page = opened.page
        await come_signed_in(opened, console, "/transactions")
        before = await page.locator(ROWS).count()
        await traffic(console)
        await page.wait_for_function(f"() => document.querySelectorAll('{ROWS}').length === {before + 4}")
        first = await page.locator(ROWS).first.inner_text()
        assert "ITI-66" in first
        assert "401" in first
        await page.get_by_role("button", name="Pause").click()
        await traffic(console)
        await page.wait_for_function(
            "() => document.querySelector('[data-live-text]').textContent === 'Paused, 4 new'"
        )
        assert await page.locator(ROWS).count() == before + 4
        await page.get_by_role("button", name="Pause").click()
        await page.wait_for_function(f"() => document.querySelectorAll('{ROWS}').length === {before + 8}")
        assert opened.wrong == []


async def test_figures_come_anew_without_losing_the_place(browser, console):
    async with window(browser) as opened:
        page = opened.page
        await come_signed_in(opened, console)
        place = page.locator("#peers-scroll")
        await place.focus()
        await page.evaluate("document.querySelector('[data-refresh] section').dataset.old = 'yes'")
        await page.wait_for_function("() => !document.querySelector('[data-old]')")
        assert await place.evaluate("place => document.activeElement === place")
        assert opened.wrong == []


async def test_a_gateway_that_is_away_is_told_and_found_again(browser, console):
    async with window(browser) as opened:
        page = opened.page
        await come_signed_in(opened, console)
        await page.route("**/parts/overview", lambda route: route.abort())
        await page.wait_for_function("() => document.querySelector('[data-live]').dataset.state === 'away'")
        assert "trying again" in await page.get_by_role("status").inner_text()
        await page.unroute("**/parts/overview")
        await page.wait_for_function("() => document.querySelector('[data-live]').dataset.state === 'live'")


async def test_all_is_reached_by_keyboard_and_the_focus_is_seen(browser, console):
    async with window(browser) as opened:
        page = opened.page
        await come_signed_in(opened, console, "/transactions")
        walked = []
        for _ in range(12):
            await page.keyboard.press("Tab")
            focused = await page.evaluate(
                """() => { const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
                return [e.textContent.trim() || e.name || e.id, box.bottom > 0 && box.top < innerHeight,
                parseFloat(style.outlineWidth) >= 2 && style.outlineStyle !== 'none']; }"""
            )
            walked.append(focused[0])
            assert focused[1], f"{focused[0]} is not on the screen"
            assert focused[2], f"the focus of {focused[0]} is not seen"
        assert walked[0] == "Skip to the content"
        for name in ("Overview", "Transactions", "Sign out", "Pause", "Show"):
            assert name in walked, walked
        await page.keyboard.press("Home")
        await page.evaluate("document.activeElement.blur()")
        await page.locator(".skip").focus()
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"


async def test_filters_and_signing_in_and_out_work_by_keyboard(browser, console):
    async with window(browser) as opened:
        page = opened.page
        await page.goto(f"{console.url}/transactions")
        await page.keyboard.insert_text(console.token())  # the field has the focus
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{console.url}/transactions")
        await page.get_by_label("Answered").focus()
        await page.keyboard.type("by an error")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**outcome=failed**")
        statuses = await page.locator(f"{ROWS} .badge").all_inner_texts()
        assert statuses
        assert all(int(status) >= 400 for status in statuses)
        await page.get_by_role("button", name="Sign out").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/sign-in")
        await page.goto(console.url)
        assert page.url.endswith("/sign-in")


async def test_pages_are_whole_without_javascript(browser, console):
    async with window(browser, java_script_enabled=False) as opened:
        page = opened.page
        await sign_in(opened, console)
        assert "registry" in await page.locator("table").inner_text()
        assert await page.locator("[data-live]").is_hidden(), "nothing claims to be live"
        assert 'http-equiv="refresh"' in await page.content()
        await page.get_by_role("link", name="Transactions").click()
        await page.get_by_label("Transaction").select_option("ITI-68")
        await page.get_by_role("button", name="Show").click()
        assert set(await page.locator(f"{ROWS} th").all_inner_texts()) == {"ITI-68"}


async def test_a_session_that_was_ended_elsewhere_leads_to_the_sign_in(browser, console):
    async with window(browser) as opened:
        page = opened.page
        await come_signed_in(opened, console)
        await page.context.clear_cookies()
        await page.wait_for_url("**/sign-in")
