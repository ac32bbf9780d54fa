"""The correlation explorer: where a study or document is held, and whether it can be had.

What it retrieves is retrieved as by a client, counted, and thrown away; it is recorded as the transaction
that it is (RAD-107, ITI-68), by who is signed in.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Final

import orjson
from aiohttp import web
from msgspec import Struct, to_builtins
from msgspec.structs import replace as changed

from gateway.console.attempts import Attempt, Attempted, Progress, unexpected
from gateway.console.errors import PageError
from gateway.console.exploring import (
    DOCUMENTS,
    IMAGES,
    PATIENT_METADATA,
    Explorer,
    Look,
    Looks,
    may,
)
from gateway.console.picture import picture_of
from gateway.console.protection import looking
from gateway.console.rendering import PREFIX, page
from gateway.console.viewers import viewer_of
from gateway.http_body import write_body
from gateway.imaging.plan import NoSuchImage
from gateway.model import Cx, DocumentEntry
from gateway.model.claims import Claims
from gateway.security.access import NotGranted, acting_with, current_access
from gateway.security.policy import Action
from gateway.security.scopes import Permission
from gateway.security.subjects import asked_with, broken_off
from gateway.trace.findings import HeldDocument, Trace

_LONGEST: Final = 256
_EVENTS: Final = "text/event-stream"
_BEAT: Final = 15.0
"""Seconds between signs of life."""
_PICTURES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_RENDERING: Final = frozenset({"RAD-107", "RAD-160"})
"""Legs that may give pictures."""

PatientOf = Callable[[str], Cx]
"""Reads `system|value`. Raises ValueError with what is wrong with it."""


class ShownDocument(Struct, frozen=True):
    """A document of a trace with the token that its addresses have, the series that pictures may be had of,
    by number, and the studies that it refers to with the tokens of looking for them."""

    held: HeldDocument
    token: str
    pictured: frozenset[int]
    studies: tuple[tuple[str, str], ...]


class ExplorerPages:
    """The pages below /console/explore."""

    def __init__(self, explorer: Explorer, looks: Looks, patient_of: PatientOf) -> None:
        self._explorer = explorer
        self._looks = looks
        self._patient_of = patient_of

    def table(self) -> list[web.RouteDef]:
        """Routes below /console."""
        document = "/explore/document/{document}"
        return [
            web.get("/explore", self.ask),
            web.post("/explore", self.search),
            web.get("/explore/found/{look}", self.show),
            web.get(f"{document}/metadata", self.metadata),
            web.post(f"{document}/retrieve-images", self.retrieve_images),
            web.post(f"{document}/retrieve-document", self.retrieve_document),
            web.get(f"{document}/picture/{{series:[0-9]{{1,5}}}}", self.picture, allow_head=False),
        ]

    # --- looking ------------------------------------------------------------------------------------------
    async def ask(self, request: web.Request) -> web.Response:
        """The form."""
        with _exploring(request):
            return self._form(request)

    async def search(self, request: web.Request) -> web.StreamResponse:
        """What the form says becomes an address without any id in it."""
        form = await request.post()
        text, patient = (str(form.get(name, "")).strip() for name in ("what", "patient"))
        with _exploring(request):
            problem, of_patient = "", None
            if not text or len(text) > _LONGEST or not text.isprintable():
                problem = f"Say what to look for: an identifier of 1 to {_LONGEST} characters."
            elif patient:
                require(PATIENT_METADATA)
                try:
                    of_patient = self._patient_of(patient)
                except ValueError as error:
                    problem = f"Patient: {error}"
            if problem:
                return self._form(request, status=400, problem=problem)
        raise web.HTTPSeeOther(f"{PREFIX}/explore/found/{self._looks.write(Look(text, of_patient))}")

    def _form(self, request: web.Request, *, status: int = 200, problem: str = "") -> web.Response:
        return page(
            request,
            "explore.html",
            status=status,
            problem=problem,
            may_name_patients=may(PATIENT_METADATA),
        )

    async def show(self, request: web.Request) -> web.Response:
        """Where it is held."""
        look = self._looks.read(request.match_info["look"])
        with _exploring(request):
            if look.patient is not None:
                require(PATIENT_METADATA)
            following = await self._explorer.held(look)
            trace = following.trace
            return page(
                request,
                "explore_found.html",
                text=look.text,
                look=request.match_info["look"],
                trace=trace,
                picture=picture_of(trace),
                documents=[self._shown(document) for document in trace.documents],
                summary=_Summary.of(trace),
                may_name_patients=may(PATIENT_METADATA),
                may_retrieve_documents=may(DOCUMENTS),
                may_retrieve_images=may(IMAGES),
            )

    def _shown(self, held: HeldDocument) -> ShownDocument:
        pictured = (
            number
            for number, series in enumerate(held.series)
            if series.modality != "KO"
            and any(way.problem is None and way.transaction in _RENDERING for way in series.ways)
        )
        others = [uid for uid in held.names_studies if uid != held.study_instance_uid]
        studies = tuple((uid, self._looks.write(Look(uid))) for uid in others)
        return ShownDocument(held, self._looks.document(held.entry_uuid), frozenset(pictured), studies)

    async def metadata(self, request: web.Request) -> web.Response:
        """A document in both worlds."""
        with _exploring(request, "read"):
            entry = await self._entry(request)
            both = await self._explorer.side_by_side(entry)
            return page(
                request,
                "explore_metadata.html",
                both=both,
                look=self._look(request.query.get("from", "")),
                document_reference=_indented(both.document_reference),
                imaging_study=_indented(both.imaging_study),
            )

    # --- retrieving ---------------------------------------------------------------------------------------
    async def retrieve_images(self, request: web.Request) -> web.StreamResponse:
        """All images of a manifest, or of one of its series."""
        series = str((await request.post()).get("series", ""))
        with _exploring(request, "images"):
            require(IMAGES)
            entry = await self._entry(request)
            number = int(series) if series.isascii() and series.isdigit() and len(series) < 6 else None
            selection = await self._explorer.selection(entry, number)
            what = "All images" if number is None else f"Images of series {number + 1}"
            return await self._told(request, self._explorer.try_images(selection), what)

    async def retrieve_document(self, request: web.Request) -> web.StreamResponse:
        """A document."""
        with _exploring(request, "retrieve"):
            require(DOCUMENTS)
            entry = await self._entry(request)
            return await self._told(request, self._explorer.try_document(entry), "Document")

    async def picture(self, request: web.Request) -> web.StreamResponse:
        """A small picture of a series, where its archive gives one."""
        with _exploring(request, "images"):
            require(IMAGES)
            selection = await self._explorer.selection(
                await self._entry(request), int(request.match_info["series"])
            )
            try:
                async with self._explorer.thumbnail(selection) as view:
                    media = view.content_type.partition(";")[0].strip().lower()
                    if media not in _PICTURES:
                        raise PageError(502, "No picture", "The archive gives no picture of this series.")
                    response = web.StreamResponse(
                        headers={"Content-Type": media, "Cache-Control": "private, no-store"}
                    )
                    await response.prepare(request)
                    await write_body(request, response, view.chunks)
                    return response
            except NoSuchImage:
                raise PageError(404, "No picture", "The manifest lists no such image.") from None

    def _look(self, token: str) -> str:
        """The token of the result that a page was reached from; empty where it is none."""
        try:
            self._looks.read(token)
        except PageError:
            return ""
        return token

    async def _told(self, request: web.Request, attempt: Attempt, what: str) -> web.StreamResponse:
        """As events on the way (Server-Sent Events) to who takes them, else as a page in the end."""
        async with aclosing(attempt) as words:
            if _EVENTS in request.headers.get("Accept", ""):
                return await _streamed(request, words)
            done: Attempted | None = None
            async for word in words:
                done = word if isinstance(word, Attempted) else None
        assert done is not None
        _note(done)
        look = self._look(str((await request.post()).get("from", "")))
        return page(request, "explore_attempt.html", what=what, done=done, look=look)

    async def _entry(self, request: web.Request) -> DocumentEntry:
        return await self._explorer.entry(self._looks.entry_uuid(request.match_info["document"]))


class _Summary(Struct, frozen=True):
    """How much of a trace works."""

    documents: int
    series: int
    instances: int
    problems: int

    @classmethod
    def of(cls, trace: Trace) -> "_Summary":
        series = [each for document in trace.documents for each in document.series]
        return cls(len(trace.documents), len(series), sum(s.instances for s in series), trace.problems)


# --- who may what -----------------------------------------------------------------------------------------
@contextmanager
def _exploring(request: web.Request, action: Action = "search") -> Iterator[None]:
    """What is inside is done by the viewer, and is `action` to the policy of the site."""
    viewer = viewer_of(request)
    with looking(request):
        access = current_access()
        claims = access.claims if access is not None else None
        if claims is None and viewer is not None and viewer.name:
            claims = Claims("", viewer.name, "console")
        if claims is not None:
            asked_with(claims)
        if access is None:
            yield
            return
        with acting_with(changed(access, action=action, reads=action != "search")):
            yield


def require(permission: Permission) -> None:
    """Raise NotGranted where who looks is not granted this."""
    if not may(permission):
        raise NotGranted(frozenset({permission}))


# --- telling of attempts ----------------------------------------------------------------------------------
async def _streamed(request: web.Request, words: AsyncIterator[Progress | Attempted]) -> web.StreamResponse:
    response = web.StreamResponse(
        # a proxy that collects the answer would show all progress at once
        headers={"Content-Type": _EVENTS, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    last: Progress | None = None
    beating = asyncio.create_task(_beat(response))
    try:
        async for word in words:
            if isinstance(word, Attempted):
                _note(word)
            else:
                last = word
            await response.write(_event(word))
    except ConnectionResetError:
        broken_off("the client left")
    except Exception as error:
        broken_off("an error of the gateway")
        await response.write(_event(unexpected(error, last)))
    finally:
        beating.cancel()
    await response.write_eof()
    return response


async def _beat(response: web.StreamResponse) -> None:
    """Comments, so that no proxy takes a source that takes its time for a dead gateway."""
    with suppress(ConnectionResetError):
        while True:
            await asyncio.sleep(_BEAT)
            await response.write(b": waiting\n\n")


def _note(done: Attempted) -> None:
    if done.outcome != "complete":
        broken_off(f"{done.outcome}: not all could be had")


def _event(word: Progress | Attempted) -> bytes:
    name = "done" if isinstance(word, Attempted) else "progress"
    return f"event: {name}\ndata: ".encode() + orjson.dumps(to_builtins(word)) + b"\n\n"


def _indented(resource: object) -> str:
    return orjson.dumps(resource, option=orjson.OPT_INDENT_2).decode() if resource is not None else ""


__all__ = ["ExplorerPages", "PatientOf"]
