"""Scopes with a query (SMART App Launch 2.2) open documents that it fits, at the search and again at each read,
retrieval and publish."""

import json

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.model import Code, DocumentEntry
from gateway.security.scope_limits import read_limit
from gateway.security.scopes import Scopes
from tests.system.documents import a_document, a_patient
from tests.system.issuers import running_issuer
from tests.system.stack import running_stack

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
NORMAL = f"security-label={CONFIDENTIALITY}|N"
ALL = "system/*.cruds"

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Client:
    def __init__(self, stack, issuer):
        self.stack, self.issuer = stack, issuer

    async def ask(self, scope, path, body=None, claims=None):
        token = self.issuer.token(self.stack.base_url, scope, **(claims or {}))
        url = path if "://" in path else f"{self.stack.base_url}/{path}".rstrip("/")
        headers = {"Authorization": f"Bearer {token}"}
        if body is not None:
            headers["Content-Type"] = "application/fhir+json"
        async with self.stack.session.request(
            "GET" if body is None else "POST", url, headers=headers, json=body
        ) as answer:
            return answer.status, answer.headers, await answer.read()

    async def publish(self, scope, patient, *labels):
        bundle = provide_bundle([a_document() for _ in labels], patient=patient)
        documents = [
            e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DocumentReference"
        ]
        for document, label in zip(documents, labels, strict=True):
            document["securityLabel"] = [{"coding": [{"system": CONFIDENTIALITY, "code": label}]}]
        return await self.ask(scope, "", bundle)

    async def labels(self, scope, patient, claims=None):
        """Documents that are found, by their label."""
        path = f"DocumentReference?patient.identifier={patient.token}&status=current"
        status, _, body = await self.ask(scope, path, claims=claims)
        assert status == 200, body
        return {
            e["resource"]["securityLabel"][0]["coding"][0]["code"]: e["resource"]
            for e in json.loads(body).get("entry", ())
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limited")
    async with (
        running_issuer() as issuer,
        running_stack(
            folder,
            security={
                "access": "token",
                "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
            },
        ) as stack,
    ):
        yield Client(stack, issuer)


async def published(client):
    patient = a_patient("limited")
    status, _, body = await client.publish(ALL, patient, "N", "R")
    assert status == 200, body
    return patient, await client.labels(ALL, patient)


async def test_a_search_finds_what_the_query_fits(client):
    patient, every = await published(client)
    assert set(every) == {"N", "R"}
    for scope, found in (
        (f"system/DocumentReference.rs?{NORMAL}", {"N"}),
        ("system/DocumentReference.rs?security-label=R", {"R"}),
        ("system/DocumentReference.rs?security-label=R,N", {"N", "R"}),
        ("system/DocumentReference.rs?security-label=R&security-label=N", set()),
        ("system/DocumentReference.rs?security-label=urn:oid:2.16.840.1.113883.5.25%7CN", {"N"}),
        (f"system/DocumentReference.s?{NORMAL} system/DocumentReference.s?security-label=R", {"N", "R"}),
        (f"system/DocumentReference.s?{NORMAL} system/DocumentReference.s", {"N", "R"}),
        (f"system/DocumentReference.s?{NORMAL} ITI-67", {"N", "R"}),
    ):
        assert set(await client.labels(scope, patient)) == found, scope


@pytest.mark.parametrize(
    "query",
    ["subject=x", "security-label:not=N", "security-label", "", "type=|x", "security-label=", "type=a|"],
)
async def test_a_query_that_is_not_understood_grants_nothing(client, query):
    status, headers, _ = await client.ask(f"system/DocumentReference.rs?{query}", "DocumentReference")
    assert status == 403
    assert 'error="insufficient_scope"' in headers["WWW-Authenticate"]


async def test_a_url_of_a_document_that_the_query_does_not_fit_does_not_open(client):
    _, every = await published(client)
    scope = f"system/DocumentReference.rs?{NORMAL} system/Binary.r"
    for label, status in (("N", 200), ("R", 403)):
        found = every[label]
        for path in (f"DocumentReference/{found['id']}", found["content"][0]["attachment"]["url"]):
            answered, headers, body = await client.ask(scope, path)
            assert answered == status, (path, body)
            if status == 403:
                assert 'error="insufficient_scope"' in headers["WWW-Authenticate"]
    status, *_ = await client.ask(
        f"system/DocumentReference.s?{NORMAL} system/Binary.r",
        every["R"]["content"][0]["attachment"]["url"],
    )
    assert status == 403, "where documents are limited in any way, so is their content"


async def test_what_is_published_has_to_fit(client):
    scope = f"system/DocumentReference.c?{NORMAL} system/List.c system/Binary.c"
    patient = a_patient("limited publish")
    status, *_ = await client.publish(scope, patient, "N", "R")
    assert status == 403
    assert await client.labels(ALL, patient) == {}, "nothing of it is stored"
    assert (await client.publish(scope, patient, "N"))[0] == 200


async def test_a_scope_of_a_patient_is_limited_too(client):
    patient, every = await published(client)
    other, theirs = await published(client)
    scope = f"patient/DocumentReference.rs?{NORMAL}"
    bound = {"claims": {"patient": patient.token}}
    assert set(await client.labels(scope, patient, **bound)) == {"N"}
    for reference in (every["R"], theirs["N"]):
        assert (await client.ask(scope, f"DocumentReference/{reference['id']}", **bound))[0] == 403
    path = f"DocumentReference?patient.identifier={other.token}&status=current"
    assert (await client.ask(scope, path, **bound))[0] == 403


@pytest.mark.asyncio(loop_scope="function")
async def test_each_parameter_looks_at_its_code():
    code = Code("c", "2.999.3")
    for name, entry in {
        "type": {"type_code": code},
        "category": {"class_code": code},
        "format": {"format_code": code},
        "facility": {"facility_type": code},
        "setting": {"practice_setting": code},
        "security-label": {"confidentiality": (code,)},
        "event": {"event_codes": (code,)},
    }.items():
        document = DocumentEntry(entry_uuid="urn:uuid:1", unique_id="2.999.1", **entry)
        for value, fits in (
            ("c", True),
            ("2.999.3|c", True),
            ("2.999.4|c", False),
            ("d", False),
            ("d,c", True),
        ):
            limit = read_limit("system", "rs", f"{name}={value}")
            assert limit is not None and limit.fits(document, str) == fits, (name, value)
        assert not read_limit("system", "rs", f"{name}=c").fits(
            DocumentEntry(entry_uuid="urn:uuid:1", unique_id="2.999.1"), str
        )
        # one code with a comma in it, and not c beside another
        for escaped in ("d\\,c", "d%5C,c", "2.999.4|d\\,c", "2.999\\,3|c", "c\\", "2.999.3\\|c"):
            assert read_limit("system", "rs", f"{name}={escaped}") is None, (name, escaped)


@pytest.mark.asyncio(loop_scope="function")
async def test_a_client_is_given_no_wider_limit_than_it_has():
    def covers(registered, asked):
        return Scopes.of([registered]).covers(Scopes.of([asked]))

    limited = "system/DocumentReference.rs?type=a"
    assert covers(limited, limited)
    assert covers(limited, "system/DocumentReference.s?type=a")
    assert covers("system/DocumentReference.rs", limited)
    assert covers("system/*.rs", limited)
    for asked in (
        "system/DocumentReference.rs",
        "system/DocumentReference.rs?type=b",
        "system/DocumentReference.rs?type=a,b",
        "system/DocumentReference.cruds?type=a",
        "patient/DocumentReference.rs?type=a",
        "ITI-67",
    ):
        assert not covers(limited, asked), asked
