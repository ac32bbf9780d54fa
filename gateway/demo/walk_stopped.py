"""Steps of the walk over three communities with one of them stopped: a process that has ended refuses
connections at once, one that stands still takes them and never answers.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from gateway.demo.neighbours import DEADLINE, Neighbourhood, Place
from gateway.demo.outside_client import FHIR_JSON, MismatchError, OutsideClient, Page, expect, require
from gateway.demo.walk import Step, Walk
from gateway.demo.walk_community_soap import SoapWalk

_MARGIN = 0.2
_TRIES = 8
_BACK_SECONDS = 60.0


class StoppedWalk:
    """The steps, which are the last ones: in the end only the second and the third community answer."""

    def __init__(self, running: Neighbourhood, client: OutsideClient, by_soap: SoapWalk) -> None:
        self._running = running
        self._client = client
        self._by_soap = by_soap
        self._whose = ("patient.identifier", running.front.content.patient.token)

    async def run(self, walk: Walk, *, needs: tuple[str, ...]) -> None:
        """Walk."""
        rest = "the others answer in time and the warning names it"
        for place in self._running.places[1:]:
            await walk.step(f"community {place.number} stands still: {rest}", self._still(place), needs=needs)
            await walk.step(f"community {place.number} is killed: {rest}", self._killed(place), needs=needs)
        await walk.step(f"the own registry is killed: {rest}", self._without_own, needs=needs)

    def _still(self, place: Place) -> Step:
        async def step() -> None:
            with place.standing_still():
                await self._check(place)
            await self._all_are_back()

        return step

    def _killed(self, place: Place) -> Step:
        async def step() -> None:
            async with self._dead(place):
                await self._check(place)
                await self._by_soap.partial(place)
                only = urlencode([self._whose, ("status", "current"), ("targetCommunityIdList", place.home)])
                url = f"{self._client.base_url}/DocumentReference?{only}"
                answer = await self._client.request("GET", url, headers={"Accept": FHIR_JSON})
                refused = answer.status in (502, 504)
                require(f"502 or 504 where it alone is asked, not {answer.status}", refused)
            await self._all_are_back()

        return step

    async def _without_own(self) -> None:
        front = self._running.front
        await asyncio.to_thread(front.kill_domain)
        await self._check(front)

    @asynccontextmanager
    async def _dead(self, place: Place) -> AsyncIterator[None]:
        await asyncio.to_thread(place.kill_gateway)
        try:
            yield
        finally:
            await asyncio.to_thread(place.start_gateway_again)

    async def _check(self, stopped: Place) -> None:
        """What the searches of documents and of studies give in time, without what is stopped."""
        living = [place for place in self._running.places if place is not stopped]
        manifests = {p.content.manifest.unique_id for p in living}
        await self._searched("DocumentReference", stopped, "masterIdentifier", manifests)
        studies = {p.content.images.study_instance_uid for p in living}
        await self._searched("ImagingStudy", stopped, "identifier", studies)

    async def _searched(self, resource: str, stopped: Place, named_by: str, wanted: set[str]) -> None:
        """Search, again where something is not as it should be: a machine that is busy with other things may
        be late once, and not each time.
        """
        for tried in range(1, _TRIES + 1):
            page, seconds = await self._timed(resource)
            try:
                in_time = seconds <= DEADLINE + _MARGIN
                require(f"{resource} within {DEADLINE + _MARGIN} s, not {seconds:.2f}", in_time)
                said = str(page.warnings)
                require(f"a warning that names it, not {said[:300]}", stopped.home in said)
                expect(f"{resource} of the living", wanted, {_uid(m[named_by]) for m in page.matches})
            except MismatchError:
                if tried == _TRIES:
                    raise
            else:
                return

    async def _timed(self, resource: str) -> tuple[Page, float]:
        more = [("status", "current"), ("contenttype", "application/dicom")]
        parameters = [self._whose, *(more if resource == "DocumentReference" else [])]
        started = time.monotonic()
        page = await self._client.search(parameters, resource=resource)
        return page, time.monotonic() - started

    async def _all_are_back(self) -> None:
        """Until what was stopped answers again: who failed is left alone for a while."""
        ends = time.monotonic() + _BACK_SECONDS
        while True:
            page, _ = await self._timed("DocumentReference")
            if not page.warnings:
                return
            require("all communities answer again", time.monotonic() < ends)
            await asyncio.sleep(0.2)


def _uid(identifier: Any) -> str:
    """The UID of an identifier, or of the first of several."""
    first = identifier[0] if isinstance(identifier, list) else identifier
    return str(first["value"]).removeprefix("urn:oid:")
