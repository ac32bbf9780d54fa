"""A headless Chromium, and what is asked of every page that it shows."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .signed_in import visitor

VIEWS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}, "has_touch": True},
    "dark phone": {"color_scheme": "dark", "viewport": {"width": 360, "height": 740}, "has_touch": True},
}
KEEP = "CONSOLE_SCREENSHOTS"
"""Names a folder where screenshots are kept for who wants to look at them."""

# Text with a contrast below 4.5:1 (3:1 where it is large) on what is painted behind it (WCAG 2.2, 1.4.3).
FAINT_TEXT = r"""() => {
  const rgba = (text) => { const n = text.match(/[\d.]+/g).map(Number); return [n[0], n[1], n[2], n[3] ?? 1]; };
  const over = (top, low) => [0, 1, 2].map((i) => top[i] * top[3] + low[i] * (1 - top[3])).concat(1);
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const color = rgba(getComputedStyle(e).backgroundColor);
      if (color[3] > 0) layers.push(color);
      if (color[3] === 1) break;
    }
    return layers.reverse().reduce((low, top) => over(top, low), [255, 255, 255, 1]);
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement, style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (!walk.currentNode.textContent.trim() || box.width < 2 || style.visibility !== "visible") continue;
    if (element.closest("noscript, script, .unseen, option") || !element.getClientRects().length) continue;
    const low = ground(element), text = over(rgba(style.color), low);
    const [a, b] = [light(text), light(low)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`${walk.currentNode.textContent.trim()} ${ratio.toFixed(2)}`);
  }
  return found;
}"""

# Structure that a screen reader goes by.
BAD_STRUCTURE = r"""() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const found = [];
  const once = (selector) => { if (all(selector).length !== 1) found.push(`${all(selector).length} of ${selector}`); };
  ["h1", "main", "body > header", "body > footer"].forEach(once);
  if (document.documentElement.lang !== "en") found.push("no language");
  if (!document.title.includes("Gateway console")) found.push("no title");
  const ids = all("[id]").map((e) => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`id ${id} twice`);
  for (const e of all("[aria-labelledby], [aria-describedby]"))
    for (const id of `${e.getAttribute("aria-labelledby") ?? ""} ${e.getAttribute("aria-describedby") ?? ""}`.split(/\s+/))
      if (id && !document.getElementById(id)) found.push(`nothing has the id ${id}`);
  let level = 0;
  for (const e of all("h1, h2, h3, h4")) {
    const own = Number(e.tagName[1]);
    if (own > level + 1) found.push(`${e.tagName} after h${level}: ${e.textContent.trim()}`);
    level = own;
  }
  for (const e of all("table")) {
    if (!e.caption) found.push("table without caption");
    if (!e.querySelectorAll("tbody tr [role=rowheader], [data-nothing]").length) found.push("rows without header");
  }
  for (const e of all("th")) if (!e.scope) found.push("th without scope");
  for (const e of all("svg")) if (e.getAttribute("aria-hidden") !== "true" && !e.hasAttribute("aria-label")
    && !e.hasAttribute("aria-labelledby")) found.push("svg");
  for (const e of all("[tabindex]")) if (e.tabIndex > 0) found.push("tabindex");
  for (const e of all("section, nav")) if (!e.hasAttribute("aria-labelledby") && !e.hasAttribute("aria-label")) found.push(`${e.tagName} without a name`);
  return found;
}"""

# What a finger has to meet (WCAG 2.2, 2.5.8); links within sentences are excepted there.
SMALL_TARGETS = r"""() => [...document.querySelectorAll("button, select, summary, input:not([type=hidden]), nav a, .brand, .button, textarea")]
  .filter((e) => e.getClientRects().length)
  .map((e) => [e, e.getBoundingClientRect()])
  .filter(([, box]) => box.height < 24 || box.width < 24)
  .map(([e, box]) => `${e.tagName} ${e.textContent.trim()} ${box.width} x ${box.height}`)"""

NAMED_ROLES = frozenset(
    {"button", "link", "textbox", "combobox", "searchbox", "checkbox", "table", "region", "navigation"}
    | {"form", "image", "img", "progressbar", "DisclosureTriangle"}
)


def chromium() -> str:
    """The browser of this machine; without one the test is skipped."""
    pytest.importorskip("playwright.async_api", reason="Playwright drives the browser")
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium is installed")


@asynccontextmanager
async def running_browser() -> AsyncIterator[Any]:
    path = chromium()
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        # root has no sandbox; what is shown is our own
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Window:
    """A page, and what went wrong on it."""

    page: Any
    view: str
    wrong: list[str] = field(default_factory=list)

    async def require_well_made(self, *, shot: str, folder: Path) -> None:
        """The page can be read by everyone and nothing is wrong on it; a picture of it is taken."""
        page = self.page
        keep = os.environ.get(KEEP)
        target = Path(keep) if keep else folder
        target.mkdir(parents=True, exist_ok=True)
        picture = target / f"{shot}-{self.view.replace(' ', '-')}.png"
        await page.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 5_000, "there is something on it"
        for asked in (FAINT_TEXT, BAD_STRUCTURE, SMALL_TARGETS):
            self.wrong += await page.evaluate(asked)
        self.wrong += [f"{role} without a name" for role in await nameless(page)]
        wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        self.wrong += [f"{wide} pixels too wide"] if wide > 0 else []
        assert not self.wrong, self.wrong


@asynccontextmanager
async def window(browser: Any, view: str = "light", **options: Any) -> AsyncIterator[Window]:
    context = await browser.new_context(**{**VIEWS[view], **options})
    page = await context.new_page()
    page.set_default_timeout(30_000)
    opened = Window(page, view)
    page.on("console", lambda message: _note(opened, message))
    page.on("pageerror", lambda error: opened.wrong.append(f"error: {error}"))
    try:
        yield opened
    finally:
        await context.close()


def _note(opened: Window, message: Any) -> None:
    if message.type in {"error", "warning"}:
        opened.wrong.append(f"{message.type}: {message.text}")


async def nameless(page: Any) -> list[str]:
    """What a screen reader has no name for, as the browser itself sees it."""
    session = await page.context.new_cdp_session(page)
    tree = await session.send("Accessibility.getFullAXTree")
    await session.detach()
    return [
        node["role"]["value"]
        for node in tree["nodes"]
        if not node.get("ignored")
        and node["role"]["value"] in NAMED_ROLES
        and not node.get("name", {}).get("value", "").strip()
    ]


async def sign_in(opened: Window, console: Any, path: str = "", scope: str = "console") -> None:
    """Come to a page through the sign-in, as people do."""
    await opened.page.goto(console.url + path)
    await opened.page.get_by_label("Access token").fill(console.token(scope, sub="Ada Lovelace"))
    await opened.page.get_by_role("button", name="Sign in").click()
    await opened.page.wait_for_url(console.url + path)


async def come_signed_in(opened: Window, console: Any, path: str = "") -> None:
    """Come to a page with the cookie of a sign-in."""
    async with visitor(console) as guest:
        await guest.sign_in(console.token(sub="Ada Lovelace"))
        [(name, value)] = [(each.key, each.value) for each in guest.session.cookie_jar]
    cookie = {"name": name, "value": value, "url": console.url}
    await opened.page.context.add_cookies([cookie])
    await opened.page.goto(console.url + path)
