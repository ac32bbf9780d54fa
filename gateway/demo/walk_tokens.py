"""Check of authorisation: nothing opens without a token (ITI-72; RFC 6750 3)."""

import json

from gateway.demo.outside_client import Answer, OutsideClient, expect, require
from gateway.demo.walk import Walk
from gateway.demo.walk_publish import PUBLISHED, Samples


class TokenWalk:
    """Steps of a client with tokens and of one without."""

    def __init__(self, client: OutsideClient, without: OutsideClient, samples: Samples) -> None:
        self._client = client
        self._without = without
        self._patient = samples.content.patient

    async def run(self, walk: Walk) -> None:
        """All steps."""
        await walk.step("smart-configuration says where tokens are given", self._configuration)
        await walk.step("a search without a token gives 401", self._search)
        await walk.step("an altered token gives 401", self._altered)
        await walk.step(
            "the URL of a document opens nothing without a token", self._document, needs=(PUBLISHED,)
        )

    async def _configuration(self) -> None:
        answer = await self._without.request(
            "GET", f"{self._client.base_url}/.well-known/smart-configuration"
        )
        configuration = json.loads(answer.expect_status(200).body)
        require("client_credentials", "client_credentials" in configuration["grant_types_supported"])
        require("an absolute token_endpoint", configuration["token_endpoint"].startswith("http"))

    async def _search(self) -> None:
        answer = await self._without.search_answer([("patient.identifier", self._patient.token)])
        _expect_challenge(answer, "")

    async def _altered(self) -> None:
        headers = {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."}
        answer = await self._without.request("GET", f"{self._client.base_url}/List", headers=headers)
        _expect_challenge(answer, 'error="invalid_token"')

    async def _document(self) -> None:
        page = await self._client.search([("patient.identifier", self._patient.token), ("status", "current")])
        url = page.matches[0]["content"][0]["attachment"]["url"]
        _expect_challenge(await self._without.request("GET", url), "")
        (await self._client.request("GET", url)).expect_status(200)


def _expect_challenge(answer: Answer, error: str) -> None:
    (issue,) = answer.expect_status(401).issues()
    expect("issue.code", "login", issue["code"])
    challenge = answer.headers.get("WWW-Authenticate", "")
    require("WWW-Authenticate: Bearer", challenge.startswith("Bearer ") and error in challenge)
