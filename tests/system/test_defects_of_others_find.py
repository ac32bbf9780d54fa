"""Defects of other gateways in what a search shows: ids, authors, codes, URLs. One test each, this one without it.

The registry's answers are made here, so that they hold what a registry in the field may.
"""

import uuid
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from msgspec.structs import replace

from gateway.demo.bundles import provide_bundle
from gateway.model import (
    Association,
    Author,
    AvailabilityStatus,
    Code,
    Cx,
    Organization,
    Person,
    QueryResult,
    ResponseStatus,
    codes,
)
from tests.fhir.judges import errors_of
from tests.fhir.test_document_reference import ENTRY
from tests.system import wire_failures as wire
from tests.system.documents import a_document, a_patient
from tests.system.stack import REPOSITORY, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUBLIC = "https://documents.example/fhir"
KNOWN = replace(ENTRY, repository_unique_id=REPOSITORY)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    settings = {
        "server": {"base_url": PUBLIC},
        "terminology": {"code_systems": {"https://codes.example/class": "2.999.20"}},
    }
    async with running_stack(tmp_path_factory.mktemp("stack"), **settings) as running:
        yield running


@asynccontextmanager
async def registered(stack, *entries, associations=()):
    """A registry that holds these and nothing else."""
    result = QueryResult(status=ResponseStatus.SUCCESS, entries=entries, associations=associations)
    stack.interfere = wire.at(wire.REGISTRY, wire.query_answer(result))
    try:
        yield
    finally:
        stack.interfere = None


async def shown(stack, **changes):
    """The DocumentReference of an entry with these attributes."""
    entry = replace(KNOWN, **changes)
    async with registered(stack, entry):
        (found,) = await stack.find(patient__identifier="urn:oid:2.999.2|P1", status="current,superseded")
    assert errors_of(found) == []
    return found


@pytest.mark.parametrize(
    ("unique_id", "system", "value"),
    [
        ("2.999.1", codes.URI_SYSTEM, "urn:oid:2.999.1"),
        (
            "urn:uuid:1d1a4a3f-0000-4000-8000-000000000002",
            codes.URI_SYSTEM,
            "urn:uuid:1d1a4a3f-0000-4000-8000-000000000002",
        ),
        ("2.999.1^A/1", "urn:oid:2.999.1", "A/1"),
        ("https://documents.example/1", codes.URI_SYSTEM, "https://documents.example/1"),
    ],
)
async def test_only_an_oid_gets_the_prefix_of_oids(stack, unique_id, system, value):
    master = (await shown(stack, unique_id=unique_id))["masterIdentifier"]
    assert (master["system"], master["value"]) == (system, value)


async def test_the_id_handed_out_is_the_one_that_is_read_whatever_the_logical_id(stack):
    logical = "urn:uuid:1d1a4a3f-0000-4000-8000-0000000000aa"
    changes = {"logical_id": logical, "version": "2"}
    found = await shown(stack, **changes)
    async with registered(stack, replace(KNOWN, **changes)):
        status, read = await stack.get(f"DocumentReference/{found['id']}")
    assert (status, read["id"]) == (200, found["id"])


async def test_identifiers_say_their_role_by_type(stack):
    roles = {i["type"]["coding"][0]["code"]: i["value"] for i in (await shown(stack))["identifier"]}
    assert roles == {"uniqueId": "urn:oid:2.999.1.2", "entryUUID": KNOWN.entry_uuid}


async def test_a_url_is_absolute_safe_and_that_of_the_public_base(stack):
    found = await shown(stack, unique_id="2.999.1^A/1 &?#", home_community_id="urn:oid:2.999.9")
    url = found["content"][0]["attachment"]["url"]
    assert url.startswith(f"{PUBLIC}/content/")
    parts = urlsplit(url)
    assert (parts.query, parts.fragment) == ("", "")
    assert "2.999" not in url and "A/1" not in url


async def test_the_profile_claimed_is_that_of_a_document_reference(stack):
    assert (await shown(stack))["meta"]["profile"] == [codes.PROFILE_COMPREHENSIVE_DOCUMENT]


@pytest.mark.parametrize(
    ("status", "expected"),
    [(AvailabilityStatus.APPROVED, "current"), (AvailabilityStatus.DEPRECATED, "superseded")],
)
async def test_the_status_is_always_there(stack, status, expected):
    assert (await shown(stack, status=status))["status"] == expected


async def test_confidentiality_codes_are_concepts_of_their_own(stack):
    both = (Code("N", "2.16.840.1.113883.5.25", "normal"), Code("R", "2.16.840.1.113883.5.25", "restricted"))
    labels = (await shown(stack, confidentiality=both))["securityLabel"]
    assert [[coding["code"] for coding in label["coding"]] for label in labels] == [["N"], ["R"]]


async def test_the_language_is_that_of_the_document(stack):
    assert (await shown(stack, language="de-CH"))["content"][0]["attachment"]["language"] == "de-CH"


@pytest.mark.parametrize(
    ("dtm", "date_time"), [("2026", "2026"), ("202601", "2026-01"), ("20260102", "2026-01-02")]
)
async def test_the_precision_of_a_time_is_kept(stack, dtm, date_time):
    assert (await shown(stack, creation_time=dtm))["content"][0]["attachment"]["creation"] == date_time


@pytest.mark.parametrize(
    "institution",
    [Organization("Haus"), Organization("Haus", "2.999.5"), Organization("Haus", "C1", "2.999.6")],
    ids=["name only", "OID", "id and authority"],
)
async def test_an_institution_needs_no_number(stack, institution):
    found = await shown(stack, authors=(Author(institutions=(institution,)),))
    (organization,) = [c for c in found["contained"] if c["resourceType"] == "Organization"]
    assert organization["name"] == "Haus"
    assert ("identifier" in organization) == bool(institution.id)


async def test_every_author_is_shown(stack):
    authors = tuple(Author(person=Person(family=name)) for name in ("Eins", "Zwei", "Drei"))
    found = await shown(stack, authors=authors)
    names = [c["name"][0]["family"] for c in found["contained"] if c["resourceType"] == "Practitioner"]
    assert names == ["Eins", "Zwei", "Drei"]
    assert len(found["author"]) == 3


@pytest.mark.parametrize(
    ("scheme", "system"),
    [
        ("2.16.840.1.113883.6.1", "http://loinc.org"),
        ("2.999.20", "https://codes.example/class"),
        ("2.999.21", "urn:oid:2.999.21"),
    ],
)
async def test_code_systems_come_from_a_table_that_settings_extend(stack, scheme, system):
    found = await shown(stack, class_code=Code("1", scheme, "one"))
    assert found["category"][0]["coding"][0]["system"] == system


async def test_many_patients_cost_no_call_each(stack):
    entries = [
        replace(
            KNOWN,
            entry_uuid=f"urn:uuid:1d1a4a3f-0000-4000-8000-{n:012d}",
            unique_id=f"2.999.1.{n}",
            patient_id=Cx(f"P{n}", "2.999.2"),
        )
        for n in range(50)
    ]
    ids = ",".join(entry.entry_uuid[9:] for entry in entries)
    stack.soap_calls.clear()
    async with registered(stack, *entries):
        _, page = await stack.get("DocumentReference", _id=ids, _count=50)
    found = [e["resource"] for e in page["entry"] if e["search"]["mode"] == "match"]
    assert len({resource["subject"]["identifier"]["value"] for resource in found}) == 50
    assert sum(stack.soap_calls.values()) == 2


@pytest.mark.parametrize(
    ("kind", "shown_as"),
    [
        (codes.XFRM_RPLC, ["replaces", "transforms"]),
        (codes.IS_SNAPSHOT_OF, ["transforms"]),
        (codes.APND, ["appends"]),
    ],
)
async def test_relations_are_asked_for_and_name_a_reference_that_can_be_read(stack, kind, shown_as):
    old = "urn:uuid:1d1a4a3f-0000-4000-8000-000000000002"
    relation = Association(entry_uuid=old, type=kind, source=KNOWN.entry_uuid, target=old)
    async with registered(stack, KNOWN, associations=(relation,)):
        (found,) = await stack.find(patient__identifier="urn:oid:2.999.2|P1", status="current")
    assert [r["code"] for r in found["relatesTo"]] == shown_as
    assert {r["target"]["reference"] for r in found["relatesTo"]} == {f"DocumentReference/{old[9:]}"}


async def test_a_submission_set_shows_its_members_in_a_search(stack):
    patient = a_patient()
    status, answer = await stack.publish(provide_bundle([a_document()], patient=patient))
    assert status == 200, answer
    (found,) = await stack.find_lists(
        patient__identifier=patient.token, status="current", code="submissionset"
    )
    assert [e["item"]["reference"] for e in found["entry"]] == [
        answer["entry"][1]["response"]["location"].removeprefix(f"{PUBLIC}/")
    ]


async def test_an_unknown_id_asks_for_its_own_id_alone(stack):
    assert await stack.find(identifier=f"{codes.URI_SYSTEM}|{uuid.uuid4().urn}") == []
    status, outcome = await stack.get(f"DocumentReference/{uuid.uuid4()}")
    assert (status, outcome["issue"][0]["code"]) == (404, "not-found")
