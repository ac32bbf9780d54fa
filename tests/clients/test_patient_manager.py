"""ITI-83 and ITI-78 with a patient manager: what it knows, what it does not know, and what managers of other makes
answer instead."""

import socket

import pytest
from aiohttp import web

from gateway.clients.fhir_access import HeaderFile
from gateway.fhir.patient_manager import read_managed_patient, said_of
from gateway.model import Cx, Person
from gateway.model.errors import PeerBusy, PeerProtocolError, PeerTimeout, PeerUnreachable, PeerUnsupported
from gateway.model.identity import CrossReferenceStatus, PatientQuery, SourceIdentifier
from tests.clients.managers import (
    DOMAIN,
    HOSPITAL,
    SHARED,
    TERMS,
    WARD,
    answering,
    client_of,
    identifier,
    manager_at,
    person,
)

KNOWN, UNKNOWN_PATIENT = CrossReferenceStatus.KNOWN, CrossReferenceStatus.UNKNOWN_PATIENT
UNKNOWN_DOMAIN, UNKNOWN_TARGET = CrossReferenceStatus.UNKNOWN_DOMAIN, CrossReferenceStatus.UNKNOWN_TARGET

ANNA = person("anna", (DOMAIN, "A"), (WARD, "w-1"), (HOSPITAL, "h|1"))
BERT = person("bert", (DOMAIN, "B"), (WARD, "w-2"), (SHARED, "s-2"), family="Beispiel", given=["Bert", "Q."],
              gender="male", born="1975-12-31")  # fmt: skip


def source(value, system=f"urn:oid:{WARD}"):
    return SourceIdentifier(system, value)


def outcome(status, code, text, severity="error"):
    issue = {"severity": severity, "code": code, "diagnostics": text}
    return fhir({"resourceType": "OperationOutcome", "issue": [issue]}, status)


def fhir(content, status=200):
    return web.json_response(content, status=status, content_type="application/fhir+json")


def always(answer):
    async def handler(_):
        return answer() if callable(answer) else answer

    return handler


# --- ITI-83 -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("by_post", [False, True])
async def test_an_identifier_leads_to_those_of_the_domains_that_are_asked_for(tmp_path, by_post):
    async with manager_at(tmp_path, ANNA, BERT) as (base, asked), client_of(base, by_post=by_post) as manager:
        found = await manager.cross_reference(source("w-2"), [DOMAIN, SHARED])
        assert found.status is KNOWN
        assert set(found.identifiers) == {Cx("B", DOMAIN), Cx("s-2", SHARED)}
        assert found.patients == ("Patient/bert",)
        only = await manager.cross_reference(source("h|1", HOSPITAL), [DOMAIN])
        assert only.identifiers == (Cx("A", DOMAIN),), "a URI that nothing maps, and a bar in the value"
        nothing = await manager.cross_reference(source("w-1"), [SHARED])
        assert (nothing.status, nothing.identifiers) == (KNOWN, ())
    assert {method for method, _, _ in asked} == {"POST" if by_post else "GET"}
    assert all(("w-2" in path) is not by_post for _, path, _ in asked[:1])


async def test_a_reference_to_a_patient_of_the_manager_is_an_identifier_too(tmp_path):
    async with manager_at(tmp_path, ANNA) as (base, _), client_of(base) as manager:
        found = await manager.cross_reference(source("Patient/anna", base), [DOMAIN])
        assert found.identifiers == (Cx("A", DOMAIN),)


@pytest.mark.parametrize(
    ("asked", "targets", "status"),
    [
        (source("nobody"), [DOMAIN], UNKNOWN_PATIENT),
        (source("w-1", "urn:oid:2.999.99"), [DOMAIN], UNKNOWN_DOMAIN),
        (source("w-1"), ["2.999.98"], UNKNOWN_TARGET),
    ],
)
async def test_what_the_manager_does_not_know_is_an_answer_and_not_a_failure(
    tmp_path, asked, targets, status
):
    recorded = []
    async with (
        manager_at(tmp_path, ANNA) as (base, _),
        client_of(base, record=recorded.append) as manager,
    ):
        assert (await manager.cross_reference(asked, targets)).status is status
    (exchange,) = recorded
    assert (exchange.transaction, exchange.failure) == ("ITI-83", None)
    assert exchange.patient == Cx(asked.value, asked.system.removeprefix("urn:oid:"))


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        # the texts of IHE PIXm under the statuses of other makes
        (
            lambda: outcome(404, "code-invalid", "sourceIdentifier Assigning Authority not found"),
            UNKNOWN_DOMAIN,
        ),
        (lambda: outcome(400, "code-invalid", "targetSystem not found"), UNKNOWN_TARGET),
        (lambda: outcome(400, "not-found", "sourceIdentifier Patient Identifier not found"), UNKNOWN_PATIENT),
        (lambda: outcome(422, "processing", "targetSystem not found"), UNKNOWN_TARGET),
        (lambda: outcome(200, "not-found", "sourceIdentifier Patient Identifier not found"), UNKNOWN_PATIENT),
        # the statuses of IHE PIXm with other texts
        (lambda: outcome(404, "not-found", "Patient unbekannt"), UNKNOWN_PATIENT),
        (lambda: outcome(400, "code-invalid", "unbekannt"), UNKNOWN_DOMAIN),
        (lambda: outcome(403, "code-invalid", "unbekannt"), UNKNOWN_TARGET),
        # a patient who was merged: a Bundle, or Parameters without any
        (lambda: fhir({"resourceType": "Bundle", "type": "searchset"}), KNOWN),
        (lambda: fhir({"resourceType": "Parameters"}), KNOWN),
        (lambda: fhir({"resourceType": "Parameters", "parameter": []}), KNOWN),
    ],
)
async def test_managers_say_in_many_ways_that_they_know_nobody(answer, status):
    async with answering(always(answer)) as manager:
        found = await manager.cross_reference(source("w-1"), [DOMAIN])
    assert (found.status, found.identifiers) == (status, ())


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=404, text="<h1>Not found</h1>", content_type="text/html"),
        lambda: outcome(404, "processing", "Unknown resource type"),
        lambda: outcome(400, "processing", "this server cannot handle GET operation[Patient/$ihe-pix]"),
        lambda: outcome(403, "forbidden", "no"),
        lambda: web.Response(status=403),
        lambda: web.Response(status=401),
        lambda: web.Response(status=302, headers={"Location": "http://elsewhere.example/"}),
        lambda: fhir({"resourceType": "Patient", "id": "1"}),
        lambda: fhir({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient"}}]}),
        lambda: web.Response(text="{}"),
        lambda: web.Response(text="no json"),
        lambda: web.Response(status=500),
    ],
)
async def test_what_is_no_answer_of_a_manager_never_means_that_it_knows_nobody(answer):
    async with answering(always(answer)) as manager:
        with pytest.raises(PeerProtocolError) as raised:
            await manager.cross_reference(source("w-1"), [DOMAIN])
    assert "w-1" not in str(raised.value)


async def test_what_a_manager_tells_besides_is_not_taken_for_the_patient():
    answer = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "targetIdentifier", "valueIdentifier": identifier(WARD, "w-1")},
            {"name": "targetIdentifier", "valueIdentifier": identifier(SHARED, "s-1")},
            {"name": "targetIdentifier", "valueIdentifier": identifier(DOMAIN, "old", use="old")},
            {"name": "targetIdentifier", "valueIdentifier": {"value": "without-system"}},
            {"name": "targetIdentifier", "valueIdentifier": {"system": DOMAIN, "value": "A"}},
            {"name": "targetIdentifier", "valueIdentifier": identifier(DOMAIN, "A")},
            {"name": "note", "valueIdentifier": identifier(DOMAIN, "Z")},
            {"name": "targetId", "valueReference": {"reference": "Patient/anna"}},
        ],
    }
    async with answering(always(lambda: fhir(answer))) as manager:
        found = await manager.cross_reference(source("w-1"), [DOMAIN])
    assert found.identifiers == (Cx("A", DOMAIN),), "bare OIDs are read, sources and old ones are not"


async def test_a_manager_that_is_slow_away_or_busy_is_a_failure_of_its_own_kind():
    async with answering(always(lambda: web.Response(status=503))) as manager:
        with pytest.raises(PeerBusy):
            await manager.cross_reference(source("w-1"), [DOMAIN])
    async with answering(always(lambda: web.Response(status=504))) as manager:
        with pytest.raises(PeerTimeout):
            await manager.cross_reference(source("w-1"), [DOMAIN])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    async with client_of(f"http://127.0.0.1:{closed}") as manager:
        with pytest.raises(PeerUnreachable):
            await manager.find(PatientQuery(identifiers=(Cx("A", DOMAIN),)))


async def test_a_manager_is_shown_what_the_settings_say(tmp_path):
    shown = []

    async def handler(request):
        shown.append(request.headers.get("Authorization"))
        return fhir({"resourceType": "Parameters"})

    header = tmp_path / "header"
    header.write_text("Bearer secret\n")
    async with answering(handler, access=HeaderFile(header)) as manager:
        await manager.cross_reference(source("w-1"), [DOMAIN])
    assert shown == ["Bearer secret"]


async def test_a_manager_is_asked_for_what_it_speaks_alone(tmp_path):
    async with manager_at(tmp_path, ANNA) as (base, asked):
        async with client_of(base, cross_references=False) as manager:
            with pytest.raises(PeerUnsupported):
                await manager.cross_reference(source("w-1"), [DOMAIN])
        async with client_of(base, demographics=False) as manager:
            with pytest.raises(PeerUnsupported):
                await manager.find(PatientQuery(identifiers=(Cx("A", DOMAIN),)))
            with pytest.raises(PeerUnsupported):
                await manager.read("anna")
    assert asked == []


# --- ITI-78 -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("by_get", [False, True])
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (PatientQuery(identifiers=(Cx("B", DOMAIN),)), ["bert"]),
        (PatientQuery(names=(Person(family="muster", given="Anna"),)), ["anna"]),
        (PatientQuery(names=(Person(family="Muster"), Person(family="Beispiel"))), ["anna", "bert"]),
        (PatientQuery(names=(Person(family="Beispiel", given="Bert"),), birth_date="19751231"), ["bert"]),
        (PatientQuery(names=(Person(family="Beispiel"),), birth_date="19800203"), []),
        (PatientQuery(birth_date="19800203", gender="F"), ["anna"]),
        (PatientQuery(birth_date="19800203", gender="M"), []),
    ],
)
async def test_patients_are_found_by_identifier_name_birth_and_sex(tmp_path, by_get, query, ids):
    async with manager_at(tmp_path, ANNA, BERT) as (base, asked), client_of(base, by_get=by_get) as manager:
        found = await manager.find(query)
    assert ([p.logical_id for p in found.patients], found.complete) == (ids, True)
    ((method, path, _),) = asked
    assert method == ("GET" if by_get else "POST")
    assert by_get or path == "/patients/Patient/_search", "nobody's name is in a URL"


async def test_every_page_is_read_up_to_the_bound(tmp_path):
    crowd = [person(f"p{n}", (DOMAIN, f"P{n}")) for n in range(7)]
    query = PatientQuery(names=(Person(family="Muster"),))
    async with manager_at(tmp_path, *crowd) as (base, _):
        async with client_of(base) as manager:
            parameters = [("family", "Muster"), ("_count", "3")]
            found = await manager.search(parameters)
            assert len(found.patients) == 7
        async with client_of(base, most=3) as manager:
            found = await manager.find(query)
            assert (len(found.patients), found.complete) == (3, False)
        async with client_of(base, most=7) as manager:
            found = await manager.find(query)
            assert (len(found.patients), found.complete) == (7, True)


async def test_pages_elsewhere_and_without_end_are_errors_of_the_manager():
    page = {"resourceType": "Bundle", "type": "searchset"}
    for url, text in (("http://elsewhere.example/more", "allowed_hosts"), ("?more=1", "no end")):
        link = [{"relation": "next", "url": url}]
        async with answering(always(lambda link=link: fhir({**page, "link": link}))) as manager:
            with pytest.raises(PeerProtocolError, match=text):
                await manager.find(PatientQuery(identifiers=(Cx("A", DOMAIN),)))


async def test_a_patient_is_read_with_what_is_fhir_of_it():
    strange = {
        **person("1", (DOMAIN, "A"), ("2.999.55", "x")),
        "identifier": identifier(DOMAIN, "A"),
        "birthDate": "3.2.1980",
        "gender": "W",
        "telecom": {"system": "phone", "value": 12345},
        "active": "true",
        "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName", "valueString": "Alt"}
        ],
    }
    async with answering(always(lambda: fhir(strange))) as manager:
        patient = await manager.read("1")
    assert patient.identifiers == (Cx("A", DOMAIN),)
    assert patient.active
    assert "birthDate" not in patient.resource
    assert "gender" not in patient.resource
    said = said_of(patient)
    assert said.names == (Person(family="Muster", given="Anna"),)
    assert [point.value for point in said.telecoms] == ["12345"]
    assert said.mothers_maiden_name == Person(family="Alt")


async def test_a_read_of_nobody_is_none_and_leads_nowhere_else(tmp_path):
    async with manager_at(tmp_path, ANNA) as (base, asked), client_of(base) as manager:
        assert (await manager.read("anna")).logical_id == "anna"
        assert await manager.read("nobody") is None
        before = len(asked)
        for odd in ("../metadata", "anna?_format=xml", "", "a/b", "%2e%2e"):
            assert await manager.read(odd) is None
        assert len(asked) == before


async def test_who_was_merged_is_followed_to_who_took_the_place(tmp_path):
    link = [{"type": "replaced-by", "other": {"reference": "Patient/anna"}}]
    merged = person("twin", (WARD, "w-9"), active=False, link=link)
    loop = [
        person(
            a, (WARD, a), active=False, link=[{"type": "replaced-by", "other": {"reference": f"Patient/{b}"}}]
        )
        for a, b in (("x", "y"), ("y", "x"))
    ]
    async with manager_at(tmp_path, ANNA, merged, *loop) as (base, _), client_of(base) as manager:
        twin = await manager.read("twin")
        assert not twin.active
        assert (await manager.surviving(twin)).logical_id == "anna"
        assert await manager.surviving(await manager.read("x")) is None


async def test_a_search_for_a_domain_that_the_manager_does_not_know_finds_nobody(tmp_path):
    async with manager_at(tmp_path, ANNA) as (base, _), client_of(base) as manager:
        assert (await manager.search([("identifier", "urn:oid:2.999.98|")])).patients == ()


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_search_that_the_manager_refuses_is_not_an_empty_answer(status):
    async with answering(always(lambda: outcome(status, "processing", "no"))) as manager:
        with pytest.raises(PeerProtocolError, match=f"HTTP {status}"):
            await manager.find(PatientQuery(identifiers=(Cx("A", DOMAIN),)))


def test_the_query_for_other_communities_has_what_the_patient_says():
    resource = person("1", (DOMAIN, "A"), address=[{"line": ["Gasse 1"], "city": "Wien", "country": "AT"}])
    said = said_of(read_managed_patient(resource, TERMS))
    assert (said.birth_date, said.gender, said.identifiers) == ("19800203", "F", ())
    (address,) = said.addresses
    assert (address.street, address.city, address.country) == ("Gasse 1", "Wien", "AT")
    assert said.sufficient
