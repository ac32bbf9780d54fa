"""A consumer and source of XDS.b, and other communities, before a gateway whose own domain speaks MHD alone: another
gateway of the tests, behind which documents are in an affinity domain."""

import os
from contextlib import asynccontextmanager

import pytest
from msgspec import structs

from gateway.clients.patient_discovery import Asker, PatientDiscovery
from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import SamplePatient
from gateway.ebxml.imaging_retrieve import write_imaging_request
from gateway.ebxml.query_response import read_query_response
from gateway.ebxml.retrieve import read_retrieve_response, write_retrieve_request
from gateway.ebxml.stored_queries import write_query
from gateway.model import DocumentRequest, ImageRequest, ImageSetRequest, ResponseStatus
from gateway.model.codes import APND, HAS_MEMBER
from gateway.model.identity import PatientQuery
from gateway.model.query import ANY_STATUS, FindDocuments, GetAll, GetDocuments
from gateway.model.transfer_syntaxes import ANY
from gateway.settings import Settings
from gateway.soap.client import Peer
from tests.affinity.samples import entry, entry_uuid, folder, link, sha1, submission
from tests.crossborder.test_xds_servers import CONTENTS, SERVING, patient, told
from tests.crossborder.xds_consumer import all_queries, behind, statuses, xds_consumer
from tests.system.documents import a_document, a_patient
from tests.system.imaging import matches, published_study
from tests.system.stack import REPOSITORY, running_gateway, running_stack


@asynccontextmanager
async def two_gateways(tmp_path, assert_valid, **settings):
    """The MHD server, a consumer of the gateway before it, and that gateway."""
    async with running_stack(tmp_path / "a") as server:
        values = {
            "state_dir": tmp_path / "b",
            "mhd_domain": {"base_url": server.base_url, "repository_unique_id": REPOSITORY},
            **SERVING,
            **settings,
        }
        async with (
            running_gateway(Settings(**values)) as front,
            xds_consumer(front.base_url, assert_valid) as client,
        ):
            yield server, client, front


async def test_what_a_source_submits_is_found_and_retrieved_byte_for_byte(tmp_path, assert_valid):
    of = patient()
    async with two_gateways(tmp_path, assert_valid) as (server, client, _), behind(server) as domain:
        made = await told(client, of)
        found = await client.query(FindDocuments(patient_id=of))
        ids = [each.entries[0].unique_id for each in made]
        answer, contents = await client.retrieve(*ids)
        _, there = await domain.retrieve(*ids)
    assert statuses(found) == {ids[2]: True}
    assert (answer.status, answer.errors) == (ResponseStatus.SUCCESS, ())
    assert contents == there == dict(zip(ids, CONTENTS, strict=True))
    assert [d.header.mime_type for d in answer.documents] == [e.entries[0].mime_type for e in made]


def as_fhir_has_it(result, links_of_links):
    """What of an answer FHIR carries: no versions, no ids of Associations, no Associations as members."""
    links = {
        (a.type, a.source, a.target, a.submission_set_status)
        for a in result.associations
        if a.target not in links_of_links
    }
    entries = [
        structs.replace(e, logical_id=None, version=None, service_stop_time=(e.service_stop_time or "")[:10])
        for e in result.entries
    ]
    return (
        result.status,
        {e.entry_uuid: e for e in entries},
        {s.entry_uuid: s for s in result.submission_sets},
        {f.entry_uuid: f for f in result.folders},
        links,
    )


async def test_every_stored_query_is_answered_as_the_registry_behind_the_server_answers_it(
    tmp_path, assert_valid
):
    of = patient()
    async with two_gateways(tmp_path, assert_valid) as (server, client, _), behind(server) as registry:
        opening, _, renewal = await told(client, of)
        everything = await registry.query(GetAll(patient_id=of, entry_status=ANY_STATUS))
        links = {a.entry_uuid for a in everything.associations}
        for query in all_queries(of, opening, renewal):
            expected = as_fhir_has_it(await registry.query(query), links)
            answer = await client.query(query)
            assert answer.errors == (), query
            assert not answer.empty, query
            assert as_fhir_has_it(answer, links) == expected, query
            references = await client.query(query, "ObjectRef")
            assert len(references.object_refs) == len(answer.entries) + len(answer.submission_sets) + len(
                answer.folders
            ) + len(answer.associations)


# --- for other communities ------------------------------------------------------------------------------

HOME = "urn:oid:2.999.5"
ANSWERING = {"home_community_id": HOME, "responding_gateway": {"enabled": True}}


def xca(client):
    """The same consumer as another community's initiating gateway."""
    client.registry = client.repository = Peer("community", f"{client.base}/xca/gateway", max_attempts=1)
    return client


async def cross_gateway(client, query):
    answer = await client.soap.call(client.registry, "ITI-38", write_query(query))
    return read_query_response(answer)


async def test_another_community_finds_and_retrieves_what_the_server_has(tmp_path, assert_valid):
    of = patient()
    async with two_gateways(tmp_path, assert_valid, **ANSWERING) as (_, client, _):
        made = await told(client, of)
        other = xca(client)
        found = await cross_gateway(other, GetAll(patient_id=of))
        uid = made[2].entries[0].unique_id
        request = DocumentRequest(REPOSITORY, uid, HOME)
        missing = DocumentRequest(REPOSITORY, "2.999.404", HOME)
        body = write_retrieve_request([request, missing])
        answer = read_retrieve_response(await other.soap.call(other.repository, "ITI-39", body))
    assert [e.unique_id for e in found.entries] == [uid]
    objects = (*found.entries, *found.submission_sets, *found.folders, *found.associations)
    assert {item.home_community_id for item in objects} == {HOME}
    assert answer.status is ResponseStatus.PARTIAL
    assert [(d.header.document_unique_id, d.content) for d in answer.documents] == [(uid, CONTENTS[2])]
    assert [(e.code, e.location) for e in answer.errors] == [("XDSDocumentUniqueIdError", HOME)]


async def test_another_community_discovers_a_patient_of_the_server(tmp_path, assert_valid):
    of = patient()
    async with two_gateways(tmp_path, assert_valid, **ANSWERING) as (_, client, _):
        await told(client, of)
        peer = Peer("community", f"{client.base}/xca/patients", max_attempts=1)
        asker = PatientDiscovery(client.soap, peer, Asker("urn:oid:2.999.6", None, "P"), (HOME,))
        client.soap.assert_valid = lambda body: None
        known = await asker.discover(PatientQuery(identifiers=(of,)))
        unknown = await asker.discover(PatientQuery(identifiers=(patient(),)))
    assert [match.identifier for match in known.matches] == [of]
    assert unknown.matches == ()


async def test_images_of_the_server_come_byte_for_byte_by_rad_75(tmp_path, assert_valid):
    async with published_study(tmp_path / "a", "mhd-images") as published:
        study = published.study
        values = {
            "state_dir": tmp_path / "b",
            "mhd_domain": {
                "base_url": published.stack.base_url,
                "dicomweb_url": f"{published.stack.base_url}/dicomweb",
            },
            **ANSWERING,
        }
        # the archive gives what it has seen a manifest of
        await published.search("ImagingStudy", patient__identifier=published.content.patient.token)
        async with (
            running_gateway(Settings(**values)) as front,
            xds_consumer(front.base_url, assert_valid) as client,
        ):
            peer = Peer("community", f"{client.base}/xca-i/imaging", max_attempts=1)
            asked = tuple(
                ImageRequest(
                    series.location_uid,
                    study.study_instance_uid,
                    series.series_instance_uid,
                    image.sop_instance_uid,
                    HOME,
                )
                for series in study.series
                for image in series.images
            )
            body = write_imaging_request(ImageSetRequest(asked, ANY))
            answer = read_retrieve_response(await client.soap.call(peer, "RAD-75", body))
    assert (answer.status, answer.errors) == (ResponseStatus.SUCCESS, ())
    assert {d.header.document_unique_id: d.content for d in answer.documents} == published.files


# --- submissions ----------------------------------------------------------------------------------------


async def test_symbolic_ids_become_those_of_the_server(tmp_path, assert_valid):
    of, content = patient(), b"text"
    note = entry(patient_id=of, entry_uuid="Document01", hash=sha1(content), size=4)
    episode = folder(patient_id=of, entry_uuid="Folder01")
    whole = submission(
        note,
        folders=(episode,),
        associations=[link(HAS_MEMBER, "Folder01", "Document01")],
        patient_id=of,
        entry_uuid="SubmissionSet01",
    )
    async with two_gateways(tmp_path, assert_valid) as (_, client, _):
        answer = await client.provide(whole, content)
        assert answer.errors == ()
        found = await client.query(GetAll(patient_id=of))
    (stored,), (held,), (brought,) = found.entries, found.folders, found.submission_sets
    assert (stored.unique_id, held.unique_id) == (note.unique_id, episode.unique_id)
    assert {(a.source, a.target) for a in found.associations} == {
        (held.entry_uuid, stored.entry_uuid),
        (brought.entry_uuid, stored.entry_uuid),
        (brought.entry_uuid, held.entry_uuid),
    }


def to_an_old_folder(of, made):
    note = entry(patient_id=of, hash=sha1(b"x"), size=1)
    episode = made[0].folders[0].entry_uuid
    return submission(note, associations=[link(HAS_MEMBER, episode, note.entry_uuid)], patient_id=of)


def of_something_unknown(of, made):
    note = entry(patient_id=of, hash=sha1(b"x"), size=1)
    return submission(note, associations=[link(APND, note.entry_uuid, entry_uuid())], patient_id=of)


def with_a_wrong_hash(of, made):
    return submission(entry(patient_id=of, hash=sha1(b"y"), size=1), patient_id=of)


def of_another_patient(of, made):
    return submission(entry(patient_id=patient(), hash=sha1(b"x"), size=1), patient_id=of)


@pytest.mark.parametrize(
    ("wrong", "code", "text"),
    [
        (to_an_old_folder, "XDSRepositoryError", "Folder that exists"),
        (of_something_unknown, "UnresolvedReferenceException", "1 of the objects"),
        (with_a_wrong_hash, "XDSRepositoryMetadataError", "hash"),
        (of_another_patient, "XDSPatientIdDoesNotMatch", "same patient"),
    ],
)
async def test_a_submission_that_cannot_be_stored_whole_is_refused_with_its_reason(
    tmp_path, assert_valid, wrong, code, text
):
    of = patient()
    async with two_gateways(tmp_path, assert_valid) as (_, client, _):
        made = await told(client, of)
        refused = wrong(of, made)
        answer = await client.provide(refused, b"x")
        uid = refused.entries[0].unique_id
        found = await client.query(GetDocuments(unique_ids=(uid,)))
    assert answer.status is ResponseStatus.FAILURE
    assert answer.errors[0].code == code
    assert text in answer.errors[0].context
    assert found.empty


async def test_a_large_document_passes_both_ways(tmp_path, assert_valid):
    content = os.urandom(3 * 1024 * 1024 + 1)
    of = submission(entry(hash=sha1(content), size=len(content)))
    async with two_gateways(tmp_path, assert_valid) as (_, client, front):
        assert (await client.provide(of, content)).errors == ()
        _, contents = await client.retrieve(of.entries[0].unique_id)
        assert not list((front.settings.state_dir / "spool").rglob("part-*"))
    assert contents == {of.entries[0].unique_id: content}


async def test_a_server_that_does_not_answer_is_an_error_that_says_what_is_known(tmp_path, assert_valid):
    dead = {"mhd_domain": {"base_url": "http://127.0.0.1:9/fhir", "max_attempts": 1}}
    of = patient()
    async with two_gateways(tmp_path, assert_valid, **dead) as (_, client, _):
        found = await client.query(FindDocuments(patient_id=of))
        stored = await client.provide(with_a_wrong_hash(of, ()), b"y")
    assert [error.code for error in found.errors] == ["XDSRegistryNotAvailable"]
    assert [error.code for error in stored.errors] == ["XDSRegistryNotAvailable"]
    assert "nothing was stored" in stored.errors[0].context


# --- FHIR clients ---------------------------------------------------------------------------------------


async def test_fhir_clients_publish_find_and_read_what_is_at_the_server(tmp_path, assert_valid):
    person, content = a_patient(), b"letter\r\n"
    first, second = a_document(content=content), a_document()
    async with two_gateways(tmp_path, assert_valid) as (server, _, front):
        status, answer = await front.publish(provide_bundle([first], patient=person))
        assert status == 200, answer
        again = await front.publish(provide_bundle([first], patient=person))
        assert again == (200, answer)
        await server.publish(provide_bundle([second], patient=person))
        found = await front.find(patient__identifier=person.token, status="current")
        lists = await front.find_lists(
            patient__identifier=person.token, code="submissionset", status="current"
        )
        downloads = [await front.download(reference) for reference in found]
        read = [await front.get(f"DocumentReference/{reference['id']}") for reference in found]
        there = await server.find(patient__identifier=person.token, status="current")
        unknown, _ = await front.get("DocumentReference/00000000-0000-4000-8000-00000000dead")
        health = await front.health()
    assert {body for _, _, body in downloads} == {content, second.content}
    assert read == [(200, reference) for reference in found]
    assert {r["masterIdentifier"]["value"] for r in found} == {r["masterIdentifier"]["value"] for r in there}
    assert len(lists) == 2
    assert unknown == 404
    assert health["abilities"] == {"find": "up", "publish": "up", "retrieve": "up"}


@pytest.mark.parametrize("asks", [True, False])
async def test_searches_of_patients_are_those_of_the_server_where_it_has_them(tmp_path, asks):
    """Of whom this gateway has seen no document it knows by the search of the server alone."""
    async with running_stack(tmp_path / "a") as server:
        server_settings = {
            "base_url": server.base_url, "repository_unique_id": REPOSITORY, "patients": asks,
        }  # fmt: skip
        values = {"state_dir": tmp_path / "b", "mhd_domain": server_settings}
        person = SamplePatient(a_patient().id, "Domherr", "Ida", "1971-02-03", "female", "Wien")
        status, answer = await server.publish(provide_bundle([a_document()], patient=person))
        assert status == 200, answer
        async with running_gateway(Settings(**values)) as front:
            named = {"family": "Domherr", "birthdate": "1971-02-03"}
            status, bundle = await front.get("Patient", **named)
            found = matches(bundle)
            assert (status, len(found)) == (200, 1 if asks else 0)
            if asks:
                (patient,) = found
                assert patient["identifier"][0] == person.identifier
                assert patient["name"] == [{"family": "Domherr", "given": ["Ida"]}]
                assert (await front.get(f"Patient/{patient['id']}")) == (200, patient)
                assert len(await front.find(patient=f"Patient/{patient['id']}", status="current")) == 1
            # by identifier the documents tell
            status, bundle = await front.get("Patient", identifier=person.token)
            assert [p["identifier"][0] for p in matches(bundle)] == [person.identifier]
