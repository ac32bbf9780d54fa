"""Peers with quirks behind the FHIR side: a client gets the complete answer, or a precise error."""

import asyncio
import re

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import SampleReferenceId
from gateway.model import Code, Cx, DocumentEntry, QueryResult, ResponseStatus, codes
from tests.system import wire_failures as wire
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack

ACCESSION = SampleReferenceId(value="ACC-1", type=codes.REFERENCE_ACCESSION, authority="2.999.1.3")
RELATED = {"related:identifier": "urn:oid:2.999.1.3|ACC-1"}
DCM = "1.2.840.10008.2.16.4"


async def test_a_registry_that_gives_few_objects_at_once_is_asked_until_all_are_there(tmp_path):
    async with running_stack(tmp_path, registry_limit=5) as stack:
        patient = a_patient()
        documents = [a_document() for _ in range(12)]
        bundles = [provide_bundle(documents[n : n + 3], patient=patient) for n in range(0, 12, 3)]
        answers = await asyncio.gather(*map(stack.publish, bundles))
        assert [status for status, _ in answers] == [200] * 4
        asked = {"patient.identifier": patient.token, "status": "current"}
        status, bundle = await stack.get("DocumentReference", **asked)
        assert (status, bundle["total"]) == (200, 12)
        assert {e["search"]["mode"] for e in bundle["entry"]} == {"match"}
        found = {e["resource"]["masterIdentifier"]["value"] for e in bundle["entry"]}
        assert found == {f"urn:oid:{d.unique_id}" for d in documents}
        status, bundle = await stack.get("List", **asked, code="submissionset")
        assert (status, bundle["total"]) == (200, 4)
        for entry in bundle["entry"]:
            status, one = await stack.get(f"List/{entry['resource']['id']}")
            assert (status, len(one["entry"])) == (200, 3), one


async def test_more_submission_sets_than_a_registry_gives_at_once_are_found_with_their_members(tmp_path):
    async with running_stack(tmp_path, registry_limit=2) as stack:
        patient = a_patient()
        for _ in range(3):
            status, _ = await stack.publish(provide_bundle([a_document()], patient=patient))
            assert status == 200
        lists = await stack.find_lists(
            patient__identifier=patient.token, status="current", code="submissionset"
        )
        assert [len(found["entry"]) for found in lists] == [1, 1, 1]


async def test_too_many_results_of_a_registry_without_fallback_are_too_costly(tmp_path):
    quirks = {"object_refs": "never"}
    async with running_stack(tmp_path, registry_limit=2, registry_quirks=quirks) as stack:
        patient = a_patient()
        status, answer = await stack.publish(
            provide_bundle([a_document() for _ in range(3)], patient=patient)
        )
        assert status == 200, answer
        asked = {"patient.identifier": patient.token, "status": "current"}
        status, outcome = await stack.get("DocumentReference", **asked)
        assert (status, outcome["issue"][0]["code"]) == (400, "too-costly")
        assert outcome["issue"][0]["details"]["coding"][0]["code"] == "XDSTooManyResults"


async def test_what_is_related_is_found_without_the_query_for_it(tmp_path):
    async with running_stack(tmp_path, registry_quirks={"reference_ids": "filter"}) as stack:
        patient = a_patient()
        documents = [a_document(reference_ids=(ACCESSION,)), a_document()]
        status, answer = await stack.publish(provide_bundle(documents, patient=patient))
        assert status == 200, answer
        unknown = wire.at(wire.REGISTRY, wire.fault("Receiver"), asked_for=b"12941a89-e02e-4be5-967c")
        stack.interfere = unknown
        (found,) = await stack.find(patient__identifier=patient.token, status="current", **RELATED)
        assert found["masterIdentifier"]["value"] == f"urn:oid:{documents[0].unique_id}"


async def test_a_search_that_the_registry_cannot_do_is_an_error_that_names_the_setting(tmp_path):
    async with running_stack(tmp_path, registry_quirks={"reference_ids": "refuse"}) as stack:
        asked = {"patient.identifier": a_patient().token, "status": "current", **RELATED}
        stack.soap_calls.clear()
        status, outcome = await stack.get("DocumentReference", **asked)
        assert (status, outcome["issue"][0]["code"]) == (501, "not-supported")
        assert "registry.quirks.reference_ids" in outcome["issue"][0]["diagnostics"]
        assert not stack.soap_calls


async def test_a_code_is_found_in_each_spelling_of_its_system(tmp_path):
    patient = a_patient()
    entries = tuple(
        DocumentEntry(
            entry_uuid=f"urn:uuid:00000000-0000-4000-8000-00000000000{number}",
            unique_id=f"2.999.2.{number}",
            patient_id=Cx(patient.id, patient.token.partition("|")[0].removeprefix("urn:oid:")),
            event_codes=(Code("CT", scheme),),
        )
        for number, scheme in enumerate((DCM, "DCM"))
    )
    answer = wire.query_answer(QueryResult(status=ResponseStatus.SUCCESS, entries=entries))
    asked = {"patient__identifier": patient.token, "status": "current"}
    event = "http://dicom.nema.org/resources/ontology/DCM|CT"
    for quirks, found in (({}, 1), ({"code_schemes": {DCM: ["DCM"]}}, 2)):
        async with running_stack(tmp_path / str(found), registry_quirks=quirks) as stack:
            stack.interfere = wire.at(wire.REGISTRY, answer)
            references = await stack.find(event=event, **asked)
            assert len(references) == found, quirks


def rewritten(change):
    """What the affinity domain answers, changed on its way."""

    async def interfere(request):
        answer = await wire.forwarded(request) if "X-Passed" not in request.headers else None
        if answer is not None:
            answer.body = change(answer.body)
        return answer

    return interfere


def without_slots(body):
    return re.sub(rb'<rim:Slot name="(hash|size)">.*?</rim:Slot>', b"", body)


def media_type(value):
    def change(body):
        body = re.sub(rb'mimeType="[^"]*"', b'mimeType="%b"' % value, body)
        return re.sub(rb"(mimeType>)[^<]*(<)", rb"\g<1>%b\g<2>" % value, body)

    return change


def only_in_retrieve(change):
    return lambda body: body if b"AdhocQueryResponse" in body else change(body)


CHANGED = {
    "no SHA-1 and no size": (without_slots, "text/plain"),
    "SHA-1 in capitals": (
        lambda body: re.sub(rb">([0-9a-f]{40})<", lambda m: b">%b<" % m[1].upper(), body),
        "text/plain",
    ),
    "no media type": (media_type(b""), "application/octet-stream"),
    "something else as media type": (media_type(b"Plain text\xc3\xa4"), "application/octet-stream"),
    "a media type with parameters": (media_type(b"text/plain; charset=utf-8"), "text/plain; charset=utf-8"),
    "another media type from the repository": (only_in_retrieve(media_type(b"text/xml")), "text/plain"),
    "uniqueIds with their URN": (
        only_in_retrieve(lambda body: body.replace(b"DocumentUniqueId>2.", b"DocumentUniqueId>urn:oid:2.")),
        "text/plain",
    ),
    "uniqueIds in brackets": (
        only_in_retrieve(
            lambda body: re.sub(rb"(DocumentUniqueId>)([0-9.]+)<", rb"\g<1>&lt;\g<2>&gt;<", body)
        ),
        "text/plain",
    ),
    "repositories with their URN": (
        lambda body: body.replace(b">2.999.10.1<", b">urn:oid:2.999.10.1<"),
        "text/plain",
    ),
    "statuses alone": (
        lambda body: re.sub(rb'status="urn:[^"]*:(\w+)"', rb'status="\g<1>"', body),
        "text/plain",
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_stack(tmp_path_factory):
    async with running_stack(tmp_path_factory.mktemp("changed")) as stack:
        yield stack


@pytest.mark.parametrize("deviation", CHANGED)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_document_is_found_and_retrieved_whatever_its_peers_write(module_stack, deviation):
    change, served = CHANGED[deviation]
    stack, patient, document = module_stack, a_patient(), a_document()
    stack.interfere = None
    status, answer = await stack.publish(provide_bundle([document], patient=patient))
    assert status == 200, answer
    seen = []
    stack.interfere = rewritten(lambda body: seen.append((body, change(body))) or seen[-1][1])
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    assert found["masterIdentifier"]["value"] == f"urn:oid:{document.unique_id}"
    status, headers, content = await stack.download(found)
    assert (status, content) == (200, document.content)
    assert headers["Content-Type"] == served
    assert any(before != after for before, after in seen), "the deviation was on the wire"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_media_type_with_parameters_is_what_accept_names_without(module_stack):
    stack, patient = module_stack, a_patient()
    stack.interfere = None
    await stack.publish(provide_bundle([a_document()], patient=patient))
    stack.interfere = rewritten(media_type(b"text/plain; charset=utf-8"))
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    assert (await stack.download(found, Accept="text/plain"))[0] == 200
    assert (await stack.download(found, Accept="image/png"))[0] == 406


@pytest.mark.asyncio(loop_scope="module")
async def test_a_document_whose_registry_says_no_media_type_has_that_of_its_repository(module_stack):
    stack, patient = module_stack, a_patient()
    stack.interfere = None
    await stack.publish(provide_bundle([a_document()], patient=patient))
    stack.interfere = rewritten(lambda body: body.replace(b'mimeType="text/plain"', b'mimeType="?"'))
    (found,) = await stack.find(patient__identifier=patient.token, status="current")
    status, headers, _ = await stack.download(found)
    assert (status, headers["Content-Type"]) == (200, "text/plain")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_document_is_found_by_its_id_where_the_registry_holds_it_as_a_urn(module_stack):
    stack, patient, document = module_stack, a_patient(), a_document()
    stack.interfere = None
    await stack.publish(provide_bundle([document], patient=patient))
    own = document.unique_id.encode()
    stack.interfere = rewritten(lambda body: body.replace(b'value="%b"' % own, b'value="URN:OID:%b"' % own))
    (found,) = await stack.find(
        patient__identifier=patient.token,
        status="current",
        identifier=f"urn:ietf:rfc:3986|urn:oid:{document.unique_id}",
    )
    assert found["masterIdentifier"]["value"] == f"urn:oid:{document.unique_id}"
