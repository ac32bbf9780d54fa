"""Patients whose identifiers differ from community to community (XCPD ITI-55), in searches and in reads."""

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import redis
from aiohttp import web

from gateway.affinity.patient_manager import BASE, PatientManagerServer
from gateway.affinity.patient_records import PatientRecords
from gateway.crossborder.patients import now
from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import SamplePatient
from gateway.hl7v3.discovery_request import query_element, read_discovery_request
from gateway.hl7v3.discovery_response import write_discovery_response
from gateway.hl7v3.time_to_live import write_time_to_live
from gateway.model import Cx
from gateway.model.identity import (
    Discovery,
    DiscoveryAnswer,
    DiscoveryStatus,
    MessageHead,
    Party,
    PatientMatch,
)
from gateway.soap.contract import load_contract
from gateway.soap.server import SoapReply, SoapService
from tests.clients.managers import person
from tests.correlation.servers import Server
from tests.crossborder.neighbours import OWN, home_of, neighbours, outcomes, strange
from tests.system.documents import a_document, a_patient
from tests.system.issuers import running_issuer
from tests.system.stack import site

HOME = f"{OWN}.1"


class Index:
    """The patient index of a community: its identifiers by those that it is asked for, and by family names."""

    def __init__(self, folder):
        self.known = {}
        self.called = {}
        self.others = {}
        self.asked = []
        self.time_to_live = 7 * 86_400
        self.queries = []
        self.service = SoapService(load_contract(), {"ITI-55": self.discover}, folder)

    async def answer(self, request):
        return await self.service(request)

    async def discover(self, request):
        asked = read_discovery_request(request.body)
        self.asked += asked.query.identifiers
        self.queries.append(asked.query)
        found = [there for i in asked.query.identifiers for there in self.known.get(i, ())]
        found += [there for name in asked.query.names for there in self.called.get(name.family, ())]
        matches = tuple(
            PatientMatch(
                home_community_id=HOME,
                identifier=there,
                other_identifiers=self.others.get(there, ()),
                degree=100,
            )
            for there in found
        )
        status = DiscoveryStatus.MATCHES if matches else DiscoveryStatus.NO_MATCH
        head = MessageHead(
            message_id="2.999.3.1",
            created=now(),
            sender=Party("2.999.100.1", HOME),
            receiver=asked.head.sender,
            query_id=asked.head.query_id,
        )
        answer = DiscoveryAnswer(head, asked.head.message_id, Discovery(status, matches))
        body = write_discovery_response(answer, query_element(request.body))
        said = () if self.time_to_live is None else (write_time_to_live(self.time_to_live),)
        return SoapReply(body, header_blocks=said)


@asynccontextmanager
async def two_worlds(tmp_path, shared=(), **own):
    """A gateway and a community with an index, and a document there of each of two of its patients."""
    index = Index(tmp_path / "spool")
    try:
        async with strange(index.answer) as place:
            changes = {"1": {"patients_url": f"{place}/", "assigning_authorities": shared}}
            async with neighbours(tmp_path, "1", own=own, changes=changes) as around:
                documents = {}
                for patient in (a_patient(), a_patient()):
                    document = a_document()
                    status, _ = await around.by_name["1"].stack.publish(
                        provide_bundle([document], patient=patient)
                    )
                    assert status == 200
                    documents[Cx(patient.id, patient.authority)] = document
                yield around, index, documents
    finally:
        index.service.close()


def cx(patient):
    return Cx(patient.id, patient.authority)


async def test_documents_are_found_under_the_own_identifier_of_the_patient(tmp_path):
    here = a_patient()
    async with two_worlds(tmp_path) as (around, index, documents):
        there, document = next(iter(documents.items()))
        index.known = {cx(here): [there]}
        for _ in range(2):
            (found,) = await around.front.find(patient__identifier=here.token, status="current")
        assert index.asked == [cx(here)], "what the community said is remembered"
        assert home_of(found) == HOME
        subject = found["subject"]["identifier"]
        assert (subject["system"], subject["value"]) == (f"urn:oid:{here.authority}", here.id)
        assert (await around.front.download(found))[2] == document.content
        assert (await around.front.get(f"DocumentReference/{found['id']}"))[1] == found
        assert await around.front.find(patient__identifier=here.token, _id=found["id"]) == [found]


@pytest.mark.parametrize("allowed", [None, 0])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
async def test_what_may_not_be_kept_is_asked_again(tmp_path, allowed, known):
    here = a_patient()
    async with two_worlds(tmp_path) as (around, index, documents):
        index.time_to_live = allowed
        index.known = {cx(here): [next(iter(documents))]} if known else {}
        for _ in range(2):
            found = await around.front.find(patient__identifier=here.token, status="current")
            assert len(found) == known
            if found:
                # whose it is that was found is not asked again
                assert (await around.front.get(f"DocumentReference/{found[0]['id']}"))[1] == found[0]
        assert index.asked == [cx(here)] * 2


async def test_a_site_may_keep_what_does_not_say_for_how_long(tmp_path):
    here = a_patient()
    own = {"patient_discovery": {"remember": "always"}}
    async with two_worlds(tmp_path, **own) as (around, index, documents):
        index.time_to_live = None
        index.known = {cx(here): [next(iter(documents))]}
        for _ in range(2):
            await around.front.find(patient__identifier=here.token, status="current")
        assert index.asked == [cx(here)]


async def test_several_matches_are_never_taken_for_one_patient(tmp_path):
    here = a_patient()
    async with two_worlds(tmp_path) as (around, index, documents):
        index.known = {cx(here): list(documents)}
        status, bundle = await around.front.get(
            "DocumentReference", **{"patient.identifier": here.token, "status": "current"}
        )
    assert (status, bundle["total"]) == (200, 0)
    (issue,) = outcomes(bundle)
    assert issue["severity"] == "warning"
    assert HOME in issue["diagnostics"]


async def test_a_community_that_does_not_know_the_patient_is_not_asked_for_documents(tmp_path):
    here = a_patient()
    async with two_worlds(tmp_path) as (around, index, _):
        before = dict(around.by_name["1"].stack.soap_calls)
        for _ in range(2):
            status, bundle = await around.front.get(
                "DocumentReference", **{"patient.identifier": here.token, "status": "current"}
            )
        assert around.by_name["1"].stack.soap_calls == before
        assert index.asked == [cx(here)]
    assert (status, bundle["total"], outcomes(bundle)) == (200, 0, [])


async def test_a_shared_identifier_is_passed_through(tmp_path):
    async with two_worlds(tmp_path, shared=["2.999.1.1"]) as (around, index, documents):
        for there in documents:
            (found,) = await around.front.find(
                patient__identifier=f"urn:oid:{there.authority}|{there.id}", status="current"
            )
            assert home_of(found) == HOME
    assert index.asked == []


async def test_a_client_bound_to_a_patient_sees_that_patient_in_other_communities_and_no_other(tmp_path):
    here, other = a_patient(), a_patient()
    async with running_issuer() as issuer:
        trusted = {
            "access": "token",
            "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
        }
        async with two_worlds(tmp_path, security=trusted) as (around, index, documents):
            mine, theirs = documents
            index.known = {cx(here): [mine], cx(other): [theirs]}
            front = around.front

            async def ask(path, token):
                headers = {"Authorization": f"Bearer {token}"}
                url = path if "://" in path else f"{front.base_url}/{path}"
                async with front.session.get(url, headers=headers) as answer:
                    return answer.status, await answer.json(content_type=None)

            everything = issuer.token(front.base_url, "system/*.cruds")
            bound = issuer.token(front.base_url, "patient/*.cruds", patient=here.token)

            async def found(patient, token):
                status, bundle = await ask(
                    f"DocumentReference?patient.identifier={patient.token}&status=current", token
                )
                return status, [e["resource"] for e in bundle.get("entry", ()) if "resource" in e]

            (status, (of_other,)) = await found(other, everything)
            assert status == 200
            assert (await found(other, bound))[0] == 403
            status, (of_mine,) = await found(here, bound)
            assert status == 200
            assert (await ask(f"DocumentReference/{of_mine['id']}", bound))[0] == 200
            for path in (
                f"DocumentReference/{of_other['id']}",
                of_other["content"][0]["attachment"]["url"],
                f"Binary/{of_other['id']}",
            ):
                assert (await ask(path, bound))[0] in (403, 404)


@pytest.mark.parametrize("told", [True, False], ids=["the community says it", "nobody says it"])
async def test_who_a_patient_is_here_is_asked_again_after_a_flush(tmp_path, told):
    """A read by id names no patient, and what a search had found out of them is lost with Redis."""
    here = a_patient()
    there = SamplePatient("T-9", "Muster", "Eva", "1961-02-03", "female", "Oslo", "2.999.60")
    server = Server(tmp_path / "redis").start()
    own = {"search": {"patient_authorities": [here.authority]}, "redis": {"url": server.url}}
    async with AsyncExitStack() as stack:
        stack.callback(server.kill)
        around, index, _ = await stack.enter_async_context(two_worlds(tmp_path, **own))
        bundle = provide_bundle([a_document()], patient=there)
        assert (await around.by_name["1"].stack.publish(bundle))[0] == 200
        index.known = {cx(here): [cx(there)], cx(there): [cx(there)]}
        index.others = {cx(there): (cx(here),) if told else ()}
        (found,) = await around.front.find(patient__identifier=here.token, status="current")
        with redis.Redis.from_url(server.url) as kept:
            kept.flushall()
        asked = len(index.asked)
        for _ in range(2):
            status, read = await around.front.get(f"DocumentReference/{found['id']}")
            assert status == 200
            subject = read["subject"]["identifier"]["value"]
            assert subject == (here.id if told else there.id)
        # what it says is kept, and that it says nothing too
        assert index.asked[asked:] == ([cx(there), cx(here)] if told else [cx(there)])


async def test_that_nobody_says_who_a_patient_is_is_not_kept_of_a_manager_that_was_away(tmp_path):
    here = a_patient()
    there = SamplePatient("T-9", "Muster", "Eva", "1961-02-03", "female", "Oslo", "2.999.60")
    known = person("eva", (here.authority, here.id), ("2.999.60", "T-9"))
    away = asyncio.Event()

    @web.middleware
    async def while_there(request, handler):
        return web.Response(status=500) if away.is_set() else await handler(request)

    folder = tmp_path / "patients"
    folder.mkdir()
    (folder / "eva.json").write_text(json.dumps(known))
    app = web.Application(middlewares=[while_there])
    PatientManagerServer(PatientRecords(folder)).add_routes(app.router)
    server = Server(tmp_path / "redis").start()
    async with AsyncExitStack() as stack:
        stack.callback(server.kill)
        url = await stack.enter_async_context(site(app))
        managed = {"base_url": f"{url}{BASE}", "domain": here.authority, "max_attempts": 1}
        own = {"patient_manager": managed, "redis": {"url": server.url}}
        around, index, _ = await stack.enter_async_context(two_worlds(tmp_path, **own))
        bundle = provide_bundle([a_document()], patient=there)
        assert (await around.by_name["1"].stack.publish(bundle))[0] == 200
        index.known = {cx(here): [cx(there)], cx(there): [cx(there)]}
        (found,) = await around.front.find(patient__identifier=here.token, status="current")
        with redis.Redis.from_url(server.url) as kept:
            kept.flushall()
        subjects = []
        for gone in (True, False):
            away.set() if gone else away.clear()
            status, read = await around.front.get(f"DocumentReference/{found['id']}")
            assert status == 200
            subjects.append(read["subject"]["identifier"]["value"])
        assert subjects == [there.id, here.id]
