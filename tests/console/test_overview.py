"""The overview says what is up, and each reason why something is not."""

import asyncio

import pytest
from aiohttp import web

from gateway.clients.quirks import RegistryQuirks
from tests.system.stack import site

from .signed_in import running_console, visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEARCH = {"patient.identifier": "urn:oid:2.999.1.1|1", "status": "current"}


async def search(console):
    headers = {"Authorization": f"Bearer {console.token('system/*.cruds')}"}
    url = f"{console.stack.base_url}/DocumentReference"
    async with console.stack.session.get(url, params=SEARCH, headers=headers) as answer:
        return answer.status, await answer.text()


def table(seen, title):
    """Rows of the table below a heading, by the words of its columns."""
    [found] = seen.page.xpath(f"//section[h2[normalize-space()='{title}']]//table")
    names = [" ".join(each.text_content().split()) for each in found.xpath("./thead//th")]
    rows = []
    for row in found.xpath("./tbody/tr"):
        cells = [" ".join(each.text_content().split()) for each in row.xpath("./th | ./td")]
        rows.append(dict(zip(names, cells, strict=False)))
    return rows


async def test_all_is_well_and_what_was_never_called_is_said_to_be_so(tmp_path):
    async with running_console(tmp_path) as console, visitor(console) as guest:
        await guest.sign_in(console.token())
        seen = await guest.get()
        assert seen.words("//section[contains(@class, 'status')]/h2") == "ready Everything works"
        assert {row["Circuit"] for row in table(seen, "Peers")} == {"not called"}
        await search(console)
        part = await guest.get("/parts/overview")
        [row] = [row for row in table(part, "Peers") if row["Transaction"] == "ITI-18"]
        assert row["Peer"].startswith("registry 127.0.0.1:")
        assert (row["Circuit"], row["Calls"], row["Failed"]) == ("closed", "1", "0")
        assert "urn:oid:2.999.1.1" not in part.text


async def test_a_registry_that_fails_is_named_with_its_circuit(tmp_path):
    peers = {"circuit_threshold": 1, "max_attempts": 1, "circuit_reset": 600}
    async with running_console(tmp_path, peers=peers) as console, visitor(console) as guest:
        await guest.sign_in(console.token())

        async def fail(request):
            return web.Response(status=503)

        console.stack.interfere = fail
        status, _ = await search(console)
        assert status >= 500
        seen = await guest.get()
        assert "registry ITI-18 failed repeatedly" in seen.words("//ul[@class='reasons']")
        assert seen.words("//section[contains(@class, 'status')]/h2").startswith("down")
        [row] = [row for row in table(seen, "Peers") if row["Transaction"] == "ITI-18"]
        assert (row["Circuit"], row["Failed"]) == ("open", "1")


async def test_communities_have_the_state_of_their_worst_circuit(tmp_path):
    async with site(web.Application()) as away:
        community = {
            "name": "<b>neighbour</b>",
            "home_community_id": "2.999.7.2",
            "query_url": f"{away}/xca",
            "assigning_authorities": ["2.999.1.1"],
            "circuit_threshold": 1,
            "max_attempts": 1,
        }
        own = {"home_community_id": "2.999.7.1", "communities": [community]}
        async with running_console(tmp_path, **own) as console, visitor(console) as guest:
            await guest.sign_in(console.token())
            place = "//section[h2[normalize-space()='Communities']]"
            assert "<b>neighbour</b> not called" in (await guest.get()).words(place)
            await search(console)
            words = (await guest.get()).words(place)
            assert "<b>neighbour</b> closed" in words or "<b>neighbour</b> open" in words
            assert "urn:oid:2.999.7.2" in words
            assert "XCA: documents" in words


async def test_redis_that_is_away_is_told_with_what_is_lost(tmp_path, monkeypatch):
    async with running_console(tmp_path) as console, visitor(console) as guest:
        await guest.sign_in(console.token())
        store = console.stack.parts.store
        monkeypatch.setattr(store, "_available", False)
        monkeypatch.setattr(store, "_away_error", "ConnectionError")
        seen = await guest.get()
        assert "Redis is away for" in seen.words("//ul[@class='reasons']")
        assert "the registry is asked each time" in seen.words("//ul[@class='reasons']")
        assert "Redis away" in seen.words("//ul[@class='abilities']")
        assert "own, in 256 MiB" in seen.words("//section[h2[normalize-space()='Redis']]")


async def test_an_audit_repository_that_is_away_is_told_with_what_waits(tmp_path):
    feed = {"url": "http://127.0.0.1:9/fhir"}
    async with running_console(tmp_path, audit={"fhir": feed}) as console, visitor(console) as guest:
        await guest.sign_in(console.token())
        await search(console)
        while not console.stack.parts.trail.deliveries[0].away:
            await asyncio.sleep(0.05)
        seen = await guest.get()
        assert "The audit repository fhir cannot be reached" in seen.words("//ul[@class='reasons']")
        assert "fhir away" in seen.words("//section[h2[normalize-space()='Audit']]")


async def test_no_address_is_shown_with_its_password(tmp_path):
    own = {
        "registry": {"url": "http://user:geheim@127.0.0.1:9/xds?token=geheim", "quirks": RegistryQuirks()},
    }
    async with running_console(tmp_path, **own) as console, visitor(console) as guest:
        await guest.sign_in(console.token())
        seen = await guest.get()
        assert "127.0.0.1:9" in seen.words()
        assert "geheim" not in seen.text
