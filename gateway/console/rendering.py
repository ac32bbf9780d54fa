"""Pages from templates (Jinja2), with everything escaped, and the static files beside them."""

import asyncio
import hashlib
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from gateway.console.viewers import Viewer, viewer_of

PREFIX: Final = "/console"
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class NavItem(Struct, frozen=True):
    """An item of the navigation: where it leads below /console, and what it is called."""

    path: str
    label: str


NAVIGATION: Final = (
    NavItem("", "Overview"),
    NavItem("/transactions", "Transactions"),
    NavItem("/explore", "Explorer"),
)


class StaticFile(Struct, frozen=True):
    """A file that pages refer to; `version` changes with its content."""

    content: bytes
    content_type: str
    version: str


class Pages:
    """Renders templates. `replica` names this process where there are several."""

    def __init__(self, version: str, replica: str, form_token: Any) -> None:
        """`form_token` makes what the forms of a viewer carry."""
        self.static = _static_files()
        self._form_token = form_token
        self._environment = Environment(
            loader=PackageLoader("gateway.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {
            "prefix": PREFIX,
            "navigation": NAVIGATION,
            "version": version,
            "replica": replica,
            "static": self._static_url,
        }
        self._environment.filters |= {
            "seconds": seconds_text,
            "size": size_text,
            "age": age_text,
            "clock": clock_text,
            "iso": iso_text,
        }

    def render(self, request: web.Request, template: str, **values: Any) -> str:
        """The text of a page or of a part of one."""
        viewer = viewer_of(request)
        return self._environment.get_template(template).render(
            viewer=viewer,
            here=request.path.removeprefix(PREFIX).rstrip("/"),
            form_token=lambda: self._hidden(viewer),
            **values,
        )

    def _hidden(self, viewer: Viewer | None) -> Markup:
        value = self._form_token(viewer)
        return Markup('<input type="hidden" name="form_token" value="{}">').format(value)

    def _static_url(self, name: str) -> str:
        return f"{PREFIX}/static/{name}?v={self.static[name].version}"


PAGES: Final = web.AppKey("pages", Pages)
STOPPING: Final = web.AppKey("stopping", asyncio.Event)
"""Set when the gateway stops: streams end then."""


def page(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """An answer made of a template."""
    pages = request.config_dict[PAGES]
    return web.Response(
        status=status,
        text=pages.render(request, template, **values),
        content_type="text/html",
        charset="utf-8",
    )


def _static_files() -> dict[str, StaticFile]:
    found = {}
    for file in files("gateway.console").joinpath("static").iterdir():
        suffix = f".{file.name.rpartition('.')[2]}"
        if suffix in _TYPES:
            content = file.read_bytes()
            found[file.name] = StaticFile(content, _TYPES[suffix], hashlib.sha256(content).hexdigest()[:12])
    return found


# --- figures as people read them --------------------------------------------------------------------------
def seconds_text(seconds: float) -> str:
    """A duration: `0.4 ms`, `12 ms`, `1.25 s`, `2 min 5 s`."""
    if seconds < 0.00995:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    return age_text(seconds)


def age_text(seconds: float) -> str:
    """A longer duration by its two largest units: `3 d 4 h`, `5 min 2 s`."""
    left = int(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def size_text(size: float) -> str:
    """A number of bytes: `0 B`, `1.2 kB`, `34 MB`."""
    if size < 1000:
        return f"{size:.0f} B"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.5 or unit == "GB":
            break
    return f"{size:.1f} {unit}" if size < 9.95 else f"{size:.0f} {unit}"


def clock_text(seconds: float) -> str:
    """The time of day of seconds since 1970, in UTC: `14:03:22`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"


def iso_text(seconds: float) -> str:
    """Seconds since 1970 as `2026-01-02T14:03:22Z`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
