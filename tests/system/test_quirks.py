"""Peers with quirks behind the FHIR side: a client gets the complete answer, or a precise error."""

import asyncio

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
