"""What FHIR clients see of metadata updates, On-Demand documents and removals (IHE MHD 4.2.4 2:3.67, 2:3.68)."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from msgspec import structs

from gateway.demo.bundles import CONTENT_TYPE, provide_bundle
from gateway.demo.samples import SampleFolder
from gateway.ebxml.responses import write_registry_response
from gateway.model import RegistryError, RegistryResponse, ResponseStatus
from gateway.model.codes import APND, EMPTY_SHA1, HAS_MEMBER
from gateway.model.query import GetDocuments
from gateway.soap.client import SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.envelope import write_envelope
from tests.affinity.client import Client
from tests.affinity.samples import (
    entry,
    folder,
    link,
    on_demand,
    sha1,
    status_of,
    submission,
    version_of,
)
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack

PATIENT = "urn:oid:2.999.1.1|P-1"
CONTENT = b"a report"
BOX = SampleFolder("2.999.3.1", "Episode", CONTENT_TYPE)
ZERO_HASH = "2jmj7l5rSw0yVb/vlWAYkK/YBwk="


@asynccontextmanager
async def gateway(folder_, **settings):
    """A gateway and a direct way to the affinity domain behind it."""
    async with (
        running_stack(folder_, **settings) as stack,
        SoapClient(load_contract()) as soap,
    ):
        yield stack, Client(soap, stack.settings.registry.url.removesuffix("/xds/registry"))


def provided(**changes):
    return entry(**{"hash": sha1(CONTENT), "size": len(CONTENT), **changes})


async def provide(domain, document, **more):
    wanted = submission(document, **more)
    assert (await domain.provide(wanted, CONTENT)).errors == ()
    return wanted


async def update(domain, document, previous="1", **changes):
    wanted = version_of(document, previous, **changes)
    assert (await domain.update(wanted)).errors == ()
    return wanted.versions[0].entry


def fhir_id(document) -> str:
    return document.entry_uuid.removeprefix("urn:uuid:")


def title(reference) -> str:
    return reference["content"][0]["attachment"]["title"]


async def found(stack, **parameters):
    return await stack.find(**{"patient__identifier": PATIENT, "status": "current", **parameters})


async def test_a_document_keeps_its_id_through_updates(tmp_path):
    async with gateway(tmp_path) as (stack, domain):
        first = provided(title="First")
        await provide(domain, first)
        (before,) = await found(stack)
        second = await update(domain, first, title="Second")
        third = await update(domain, second, "2", title="Third")
        (current,) = await found(stack)
        assert before["id"] == current["id"] == fhir_id(first)
        assert title(current) == "Third"
        status, read = await stack.get(f"DocumentReference/{before['id']}")
        assert (status, read) == (200, current)
        assert await found(stack, _id=before["id"]) == [current]
        assert await found(stack, _id=fhir_id(third)) == []
        assert await found(stack, identifier=third.entry_uuid) == [current]
        status, read = await stack.get(f"DocumentReference/{fhir_id(third)}")
        assert (status, read["id"]) == (200, fhir_id(first))


async def test_old_versions_are_not_superseded_documents(tmp_path):
    async with gateway(tmp_path) as (stack, domain):
        first = provided()
        await provide(domain, first)
        await update(domain, first)
        assert await found(stack, status="superseded") == []
        assert len(await found(stack, status="current,superseded")) == 1


async def test_a_url_from_before_the_update_still_leads_to_the_document(tmp_path):
    async with gateway(tmp_path, retrieve={"deprecated": "gone"}) as (stack, domain):
        first = provided()
        await provide(domain, first)
        (before,) = await found(stack)
        second = await update(domain, first, title="Second")
        (after,) = await found(stack)
        for reference in (before, after):
            assert (await stack.download(reference))[::2] == (200, CONTENT)
        async with stack.session.get(f"{stack.base_url}/Binary/{before['id']}") as answer:
            assert (answer.status, await answer.read()) == (200, CONTENT)
        assert (await domain.update(status_of(second.entry_uuid, "Approved", "Deprecated"))).errors == ()
        for reference in (before, after):
            assert (await stack.download(reference))[0] == 410
        (superseded,) = await found(stack, status="superseded")
        assert superseded["id"] == before["id"]


async def test_a_submission_set_lists_what_it_brought_after_an_update(tmp_path):
    async with gateway(tmp_path) as (stack, domain):
        first = provided()
        brought = await provide(domain, first)
        await update(domain, first, title="Second")
        own = f"DocumentReference/{fhir_id(first)}"
        status, read = await stack.get(f"List/{fhir_id(brought.submission_set)}")
        assert (status, [e["item"]["reference"] for e in read["entry"]]) == (200, [own])
        for searched in await stack.find_lists(
            patient__identifier=PATIENT, code="submissionset", status="current"
        ):
            (member,) = (e["item"]["reference"] for e in searched["entry"])
            status, read = await stack.get(member)
            assert (status, f"DocumentReference/{read['id']}", title(read)) == (200, own, "Second")


async def test_lists_and_relations_lead_to_the_current_version(tmp_path):
    async with gateway(tmp_path) as (stack, domain):
        first, box, addendum = provided(), folder(), provided()
        member = link(HAS_MEMBER, box.entry_uuid, first.entry_uuid)
        await provide(domain, first, folders=(box,), associations=(member,))
        relation = link(APND, addendum.entry_uuid, first.entry_uuid)
        await provide(domain, addendum, associations=(relation,))
        await update(domain, first, title="Second")
        status, read = await stack.get(f"List/{fhir_id(box)}")
        assert (status, [e["item"]["reference"] for e in read["entry"]]) == (
            200,
            [f"DocumentReference/{fhir_id(first)}"],
        )
        status, related = await stack.get(f"DocumentReference/{fhir_id(addendum)}")
        (target,) = (r["target"]["reference"] for r in related["relatesTo"])
        status, read = await stack.get(target)
        assert (status, read["id"], title(read)) == (200, fhir_id(first), "Second")


async def test_an_updated_document_is_replaced_and_listed_by_its_id(tmp_path):
    async with gateway(tmp_path) as (stack, domain):
        patient, first, second = a_patient(), a_document(), a_document()
        bundle = provide_bundle([first], patient=patient, folder=BOX)
        status, answer = await stack.publish(bundle)
        assert status == 200, answer
        (shown,) = await stack.find(patient__identifier=patient.token, status="current")
        (entry_,) = (await domain.query(GetDocuments(unique_ids=(first.unique_id,)))).entries
        await update(domain, entry_, title="Corrected")
        (box,) = await stack.find_lists(patient__identifier=patient.token, code="folder", status="current")
        status, read = await stack.get(f"List/{box['id']}")
        own = f"DocumentReference/{shown['id']}"
        assert [e["item"]["reference"] for e in read["entry"]] == [own]
        replacing = provide_bundle([second], patient=patient, replaces=own)
        status, answer = await stack.publish(replacing)
        assert status == 200, answer
        by_status = {
            r["status"]: r
            for r in await stack.find(patient__identifier=patient.token, status="current,superseded")
        }
        assert by_status["superseded"]["id"] == shown["id"]
        (target,) = (r["target"]["reference"] for r in by_status["current"]["relatesTo"])
        status, read = await stack.get(target)
        assert (status, read["id"], title(read)) == (200, shown["id"], "Corrected")


async def test_a_folder_is_added_to_after_a_member_was_updated(tmp_path):
    async with gateway(tmp_path) as (stack, domain):
        patient, first, second = a_patient(), a_document(), a_document()
        bundle = provide_bundle([first], patient=patient, folder=BOX)
        status, answer = await stack.publish(bundle)
        assert status == 200, answer
        (entry_,) = (await domain.query(GetDocuments(unique_ids=(first.unique_id,)))).entries
        await update(domain, entry_, title="Corrected")
        (box,) = await stack.find_lists(patient__identifier=patient.token, code="folder", status="current")
        _, read = await stack.get(f"List/{box['id']}")
        adding = provide_bundle([second], patient=patient)
        added = {"item": {"reference": adding["entry"][1]["fullUrl"]}}
        adding["entry"].append(
            {
                "fullUrl": f"https://client.example/List/{box['id']}",
                "resource": {**read, "entry": [*read["entry"], added]},
                "request": {"method": "PUT", "url": f"List/{box['id']}"},
            }
        )
        status, answer = await stack.publish(adding)
        assert status == 200, answer
        _, read = await stack.get(f"List/{box['id']}")
        assert len(read["entry"]) == 2


async def test_a_publish_that_is_repeated_after_an_update_stores_nothing_twice(tmp_path):
    async with gateway(tmp_path, lifetimes={"idempotency": 0.1}) as (stack, domain):
        patient, first = a_patient(), a_document()
        bundle = provide_bundle([first], patient=patient)
        status, before = await stack.publish(bundle)
        assert status == 200
        (entry_,) = (await domain.query(GetDocuments(unique_ids=(first.unique_id,)))).entries
        await update(domain, entry_, title="Corrected")
        await asyncio.sleep(0.3)
        status, after = await stack.publish(bundle)
        assert (status, after) == (200, before)
        assert len(await stack.find(patient__identifier=patient.token, status="current")) == 1


async def test_a_registry_without_versions_is_asked_as_before(tmp_path):
    asked = []

    async def refuse_every_second(request: web.Request):
        # the second question of a read is that by logicalID
        asked.append(request.path)
        if len(asked) % 2:
            return None
        error = RegistryError("XDSStoredQueryMissingParam", "no id")
        body = write_registry_response(RegistryResponse(ResponseStatus.FAILURE, (error,)))
        action = "urn:ihe:iti:2007:RegistryStoredQueryResponse"
        return web.Response(body=write_envelope(body, action=action), content_type="application/soap+xml")

    async with gateway(tmp_path) as (stack, domain):
        old = provided()
        await provide(domain, old)
        assert (await domain.update(status_of(old.entry_uuid, "Approved", "Deprecated"))).errors == ()
        stack.interfere = refuse_every_second
        status, read = await stack.get(f"DocumentReference/{fhir_id(old)}")
        assert (status, read["status"]) == (200, "superseded")
        status, _ = await stack.get("DocumentReference/00000000-0000-4000-8000-ffffffffffff")
        assert (status, len(asked)) == (404, 4)


# --- On-Demand and delayed assembly ---------------------------------------------------------------------


async def test_an_on_demand_document_has_no_size_and_leaves_a_snapshot(tmp_path):
    async with gateway(tmp_path) as (stack, domain):
        wanted = on_demand()
        assert (await domain.register_on_demand(submission(wanted))).errors == ()
        (shown,) = await found(stack)
        assert shown["id"] == fhir_id(wanted)
        assert {"url", "contentType", "language", "title"} == set(shown["content"][0]["attachment"])
        status, headers, body = await stack.download(shown)
        assert (status, headers["Content-Type"]) == (200, "text/plain")
        assert body.startswith(b"All documents\r\n")
        (snapshot,) = [r for r in await found(stack) if r["id"] != shown["id"]]
        assert snapshot["relatesTo"] == [
            {"code": "transforms", "target": {"reference": f"DocumentReference/{shown['id']}"}}
        ]
        assert snapshot["content"][0]["attachment"]["size"] == len(body)
        assert (await stack.download(snapshot))[::2] == (200, body)


async def test_delayed_assembly_has_size_0_and_the_hash_of_nothing(tmp_path):
    async with gateway(tmp_path) as (stack, domain):
        assert (await domain.register(submission(entry(hash=EMPTY_SHA1, size=0)))).errors == ()
        (shown,) = await found(stack)
        attachment = shown["content"][0]["attachment"]
        assert (attachment["size"], attachment["hash"]) == (0, ZERO_HASH)


# --- removal --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("removed", "status"), [("gone", 410), ("not-found", 404)])
async def test_a_removed_document_is_gone(tmp_path, removed, status):
    async with gateway(tmp_path, retrieve={"removed": removed}) as (stack, domain):
        document = provided()
        wanted = await provide(domain, document)
        (shown,) = await found(stack)
        objects = (wanted.submission_set, document, *wanted.associations)
        assert (await domain.delete(*(o.entry_uuid for o in objects))).errors == ()
        assert (await domain.remove(document.unique_id)).errors == ()
        answered, _, body = await stack.download(shown)
        assert answered == status
        assert b"XDSDocumentUniqueIdError" in body
        url = shown["content"][0]["attachment"]["url"]
        async with stack.session.head(url) as answer:
            assert answer.status == status
        assert (await stack.get(f"DocumentReference/{shown['id']}"))[0] == 404
        async with stack.session.get(f"{stack.base_url}/Binary/{shown['id']}") as answer:
            assert answer.status == 404
        assert await found(stack) == []


async def test_updates_at_the_same_time_never_show_two_versions(tmp_path):
    async with gateway(tmp_path) as (stack, domain):
        current = provided(title="0")
        await provide(domain, current)
        seen = set()

        async def look():
            while "5" not in seen:
                for query in ({}, {"_id": fhir_id(first)}):
                    (shown,) = await found(stack, **query)
                    assert shown["id"] == fhir_id(first)
                    seen.add(title(shown))

        first = current
        looking = asyncio.gather(look(), look())
        for number in range(1, 6):
            current = await update(domain, structs.replace(current), str(number), title=str(number))
        await looking
