"""Every URL that a gateway hands out to a client: gathered from its answers, and visited again later."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.demo.outside_client import FHIR_JSON, Answer, OutsideClient, expect, require

_NOT_TO_BE_READ: Final = frozenset({"address"})
"""The address of an Endpoint is what paths of WADO-RS follow, and nothing by itself."""
_OF_THE_MOMENT: Final = frozenset({"recorded", "timestamp"})
_BOUNDARY: Final = "boundary="


class RecordingClient(OutsideClient):
    """A client that keeps the URLs of the gateway that stand in its answers."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.urls: dict[str, None] = {}
        self._root = self.base_url.removesuffix("fhir")

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """As of `OutsideClient`."""
        answer = await super().request(method, url, headers=headers, body=body)
        if answer.media_type == FHIR_JSON and answer.status < 300:
            self.urls |= dict.fromkeys(self._in(json.loads(answer.body)))
        return answer

    def _in(self, value: object, name: str = "") -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from self._in(inner, key)
        elif isinstance(value, list):
            for inner in value:
                yield from self._in(inner, name)
        elif isinstance(value, str) and name not in _NOT_TO_BE_READ:
            if value.startswith(self._root):
                yield value
            elif name == "reference" and not value.startswith("#") and ":" not in value:
                yield self.resolve(value)


class HandedOut:
    """What the URLs gave when they were handed out."""

    def __init__(self, client: OutsideClient) -> None:
        self._client = client
        self._given: dict[str, object] = {}

    async def note(self, *urls: str, accept: str | None = None) -> None:
        """Visit URLs and keep what each gives. Raises MismatchError where one gives nothing."""
        for url in urls:
            self._given[url] = (accept, await self._visit(url, accept))

    async def check(self) -> None:
        """Visit all again. Raises MismatchError where one does not give what it gave."""
        require("URLs were handed out", self._given)
        for url, given in self._given.items():
            assert isinstance(given, tuple)
            accept, before = given
            expect(url.removeprefix(self._client.base_url), before, await self._visit(url, accept))

    def kinds(self) -> set[str]:
        """The first step of their paths, which says of what kind they are."""
        return {url.removeprefix(self._client.base_url).split("?")[0].split("/")[1] for url in self._given}

    async def _visit(self, url: str, accept: str | None) -> object:
        answer = await self._client.request("GET", url, headers={"Accept": accept} if accept else None)
        if answer.status != 200:
            answer.expect_status(200)
        return _lasting(answer)


def _lasting(answer: Answer) -> object:
    """What of an answer has to be the same the next time."""
    if answer.media_type == "multipart/related":
        boundary = answer.headers["Content-Type"].partition(_BOUNDARY)[2].partition(";")[0].strip('"')
        # the parts may come in another order
        return sorted(answer.body.split(f"--{boundary}".encode()))
    if answer.media_type != FHIR_JSON:
        return answer.body
    resource = json.loads(answer.body)
    if resource.get("type") == "searchset":
        # an OperationOutcome among the resources is of one answer alone
        lasting = (e for e in resource.get("entry", ()) if e["search"]["mode"] != "outcome")
        return [resource["total"], *(entry["fullUrl"] for entry in lasting)]
    return {name: value for name, value in resource.items() if name not in _OF_THE_MOMENT}
