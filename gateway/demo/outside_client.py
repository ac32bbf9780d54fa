"""An MHD client over plain HTTP (ITI-65 to ITI-68) that knows no code of the gateway."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urljoin

import aiohttp

FHIR_JSON = "application/fhir+json"

Resource = dict[str, Any]
Parameters = Sequence[tuple[str, str]]
TokenSource = Callable[[], Awaitable[str]]
"""Gives an access token that is good now."""


class MismatchError(Exception):
    """The gateway did not answer as a client may expect; the text says `expected .. got ..`."""


def expect(what: str, wanted: object, got: object) -> None:
    """Raise MismatchError unless both values are equal."""
    if wanted != got:
        raise MismatchError(f"{what}: expected {_short(wanted)} got {_short(got)}")


def require(what: str, holds: object) -> None:
    """Raise MismatchError unless `holds` is true."""
    if not holds:
        raise MismatchError(what)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:120]}... ({len(text)} characters)"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """Content-Type without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip()

    def json(self) -> Resource:
        """Body as FHIR JSON. Raises MismatchError where it is something else."""
        expect("Content-Type", FHIR_JSON, self.media_type)
        try:
            parsed = json.loads(self.body)
        except ValueError:
            raise MismatchError("the body is not JSON") from None
        if not isinstance(parsed, dict):
            raise MismatchError("the body is not a JSON object")
        return parsed

    def issues(self) -> list[Resource]:
        """Issues of an OperationOutcome body."""
        outcome = self.json()
        expect("resourceType", "OperationOutcome", outcome.get("resourceType"))
        found = outcome.get("issue")
        require("an OperationOutcome has issues", found)
        return list(found or [])

    def expect_status(self, wanted: int) -> "Answer":
        """Raise MismatchError, with what the OperationOutcome says, unless the status is `wanted`."""
        if self.status != wanted:
            said = self.body[:400].decode("utf-8", "replace")
            raise MismatchError(f"HTTP status: expected {wanted} got {self.status}: {said}")
        return self


@dataclass(frozen=True, slots=True)
class Page:
    """One searchset Bundle."""

    matches: tuple[Resource, ...]
    total: int
    links: Mapping[str, str]
    warnings: tuple[Resource, ...]


class OutsideClient:
    """Requests to the FHIR base URL and to what lies next to it."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, token: TokenSource | None = None
    ) -> None:
        """`token` is where the client gets its access tokens; without it none is sent."""
        self._session = session
        self._token = token
        self.base_url = base_url.rstrip("/")

    def resolve(self, location: str) -> str:
        """Absolute URL of a Location that may be relative to the FHIR base."""
        return urljoin(self.base_url + "/", location)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send a request and read the answer to its end; redirects are not followed."""
        if self._token is not None:
            headers = {"Authorization": f"Bearer {await self._token()}", **(headers or {})}
        async with self._session.request(
            method, url, headers=headers, data=body, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers.copy(), await response.read())

    async def publish(self, bundle: Resource) -> Answer:
        """ITI-65."""
        return await self.request(
            "POST",
            self.base_url,
            headers={"Content-Type": FHIR_JSON, "Accept": FHIR_JSON},
            body=json.dumps(bundle).encode(),
        )

    async def search(
        self, parameters: Parameters, *, by_post: bool = False, resource: str = "DocumentReference"
    ) -> Page:
        """ITI-67 (or ITI-66 for List), first page. Raises MismatchError for anything but a searchset."""
        return _page(await self.search_answer(parameters, by_post=by_post, resource=resource))

    @staticmethod
    def query(parameters: Parameters) -> str:
        """Parameters as query string or form."""
        return urlencode(parameters)

    async def search_answer(
        self, parameters: Parameters, *, by_post: bool = False, resource: str = "DocumentReference"
    ) -> Answer:
        """The first page as it comes."""
        form = self.query(parameters)
        url = f"{self.base_url}/{resource}"
        if by_post:
            headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": FHIR_JSON}
            return await self.request("POST", f"{url}/_search", headers=headers, body=form.encode())
        return await self.request("GET", f"{url}?{form}", headers={"Accept": FHIR_JSON})

    async def next_page(self, page: Page) -> Page | None:
        """The page that `link` with relation next leads to."""
        url = page.links.get("next")
        if url is None:
            return None
        return _page(await self.request("GET", self.resolve(url), headers={"Accept": FHIR_JSON}))


def _page(answer: Answer) -> Page:
    bundle = answer.expect_status(200).json()
    expect("Bundle.type", "searchset", bundle.get("type"))
    entries = bundle.get("entry", [])
    matches = _of_mode(entries, "match")
    for entry in matches:
        require("each match has a fullUrl", entry.get("fullUrl"))
    total = bundle.get("total")
    if not isinstance(total, int):
        raise MismatchError(f"Bundle.total: expected a number got {_short(total)}")
    return Page(
        matches=tuple(entry["resource"] for entry in matches),
        total=total,
        links={link["relation"]: link["url"] for link in bundle.get("link", [])},
        warnings=tuple(entry["resource"] for entry in _of_mode(entries, "outcome")),
    )


def _of_mode(entries: Sequence[Resource], mode: str) -> list[Resource]:
    return [entry for entry in entries if entry.get("search", {}).get("mode") == mode]
