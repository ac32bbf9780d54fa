"""The embedded patient manager by itself: what PIXm and PDQm ask of servers, and its feed."""

import json

import aiohttp
import pytest

from gateway.affinity.patient_records import PatientRecords
from tests.clients.managers import DOMAIN, WARD, identifier, manager_at, person

ANNA = person("anna", (DOMAIN, "A"), (WARD, "w-1"), telecom=[{"system": "phone", "value": "+43 1"}])
BERT = person("bert", (DOMAIN, "B"), family="Beispiel", gender="male", active=False)


@pytest.fixture
async def ask(tmp_path):
    """Asks the manager; status and body."""
    async with manager_at(tmp_path, ANNA, BERT) as (base, _), aiohttp.ClientSession() as session:

        async def asked(method, path, **more):
            async with session.request(method, f"{base}/{path}", **more) as answer:
                return answer.status, await answer.json(content_type=None)

        yield asked


def ids(bundle):
    return [entry["resource"]["id"] for entry in bundle.get("entry", ())]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "required"),
        (f"sourceIdentifier=urn:oid:{WARD}|w-1&sourceIdentifier=urn:oid:{WARD}|w-2", 400, "required"),
        ("sourceIdentifier=w-1", 400, "invalid"),
        (f"sourceIdentifier=urn:oid:{WARD}|", 400, "invalid"),
        ("sourceIdentifier=urn:oid:2.999.404|w-1", 400, "code-invalid"),
        (f"sourceIdentifier=urn:oid:{WARD}|w-1&targetSystem=urn:oid:2.999.404", 403, "code-invalid"),
        (f"sourceIdentifier=urn:oid:{WARD}|nobody", 404, "not-found"),
    ],
)
async def test_what_it_does_not_know_has_the_statuses_of_pixm(ask, query, status, code):
    got, outcome = await ask("GET", f"Patient/$ihe-pix?{query}")
    assert (got, outcome["issue"][0]["code"]) == (status, code)


async def test_the_source_identifier_is_not_in_the_answer(ask):
    _, answer = await ask("GET", f"Patient/$ihe-pix?sourceIdentifier=urn:oid:{WARD}|w-1")
    assert answer["parameter"] == [
        {"name": "targetIdentifier", "valueIdentifier": identifier(DOMAIN, "A")},
        {"name": "targetId", "valueReference": {"reference": "Patient/anna"}},
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("family=mus", ["anna"]),
        ("family:exact=mus", []),
        ("given=Anna&gender=female", ["anna"]),
        ("birthdate=1980-02", ["anna", "bert"]),
        ("active=true", ["anna"]),
        ("telecom=%2B43 1", ["anna"]),
        ("identifier=A,B", ["anna", "bert"]),
        ("_id=bert", ["bert"]),
        ("address-city=Wien", []),
    ],
)
async def test_get_and_post_give_the_same(ask, query, found):
    status, by_get = await ask("GET", f"Patient?{query}")
    assert (status, ids(by_get), by_get["total"]) == (200, found, len(found))
    form = dict(pair.split("=", 1) for pair in query.replace("%2B", "+").split("&"))
    _, by_post = await ask("POST", "Patient/_search", data=form)
    assert ids(by_post) == found


async def test_only_identifiers_of_the_domains_that_are_wanted_are_returned(ask):
    _, bundle = await ask("GET", f"Patient?family=Muster&identifier=urn:oid:{DOMAIN}|")
    assert bundle["entry"][0]["resource"]["identifier"] == [identifier(DOMAIN, "A")]
    status, outcome = await ask("GET", "Patient?family=Muster&identifier=urn:oid:2.999.404|")
    assert (status, outcome["issue"][0]["severity"]) == (404, "warning")


async def test_what_it_cannot_do_is_an_outcome(ask):
    for path, more, status in (
        ("Patient?hobby=x", {}, 400),
        ("Patient/nobody", {}, 404),
        ("Patient/anna", {"headers": {"Accept": "text/turtle"}}, 406),
        ("Patient?_format=xml", {}, 406),
    ):
        got, outcome = await ask("GET", path, **more)
        assert (got, outcome["resourceType"]) == (status, "OperationOutcome")


async def test_the_feed_adds_changes_and_keeps(ask, tmp_path):
    token = f"urn:oid:{WARD}|w-1"
    changed = {**person("x", (WARD, "w-1")), "name": [{"family": "Neu"}]}
    status, stored = await ask("PUT", f"Patient?identifier={token}", json=changed)
    assert (status, stored["id"]) == (200, "anna")
    assert identifier(DOMAIN, "A") in stored["identifier"], "what other domains call her stays"
    new = person("y", (WARD, "w-7"))
    status, created = await ask("PUT", f"Patient?identifier=urn:oid:{WARD}|w-7", json=new)
    assert status == 201
    for path, body in (
        ("Patient", new),
        (f"Patient?identifier=urn:oid:{WARD}|other", new),
        (f"Patient?identifier={token}", {"resourceType": "Basic"}),
    ):
        assert (await ask("PUT", path, json=body))[0] == 400
    again = PatientRecords(tmp_path)
    assert again.get("anna")["name"] == [{"family": "Neu"}], "it is there after a start"
    assert again.get(created["id"]) is not None


def test_a_folder_with_something_else_is_refused_by_the_name_of_the_file(tmp_path):
    for content in ("no json", json.dumps({"resourceType": "Basic"}), "[]"):
        (tmp_path / "odd.json").write_text(content)
        with pytest.raises(ValueError, match=r"odd\.json"):
            PatientRecords(tmp_path)
