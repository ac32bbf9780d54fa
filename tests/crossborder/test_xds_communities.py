"""A consumer that speaks XDS.b alone finds and retrieves what is in the own affinity domain, in a community behind a
responding gateway, and in one that speaks MHD alone."""

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway.demo.bundles import provide_bundle
from gateway.model import Cx, ResponseStatus
from gateway.model.query import FindDocuments, GetAll, GetDocuments
from tests.affinity.client import Client
from tests.crossborder.neighbours import OWN, neighbour
from tests.crossborder.xds_consumer import xds_consumer
from tests.system.documents import a_document, a_patient
from tests.system.stack import Stack, running_stack

XCA, MHD, DEAD = f"{OWN}.1", f"{OWN}.2", f"{OWN}.3"
MHD_REPOSITORY = "2.999.10.2"


@dataclass
class Around:
    """The gateway in front, its consumer, and the stacks by homeCommunityId."""

    front: Stack
    client: Client
    by_home: dict[str, Stack]
    patient: Any
    documents: dict[str, Any]

    @property
    def cx(self):
        return Cx(self.patient.id, self.patient.authority)


@asynccontextmanager
async def around(tmp_path, assert_valid, *, dead=False):
    """Each community with one document of the patient; with `dead` there is one that does not answer."""
    async with AsyncExitStack() as stack:
        by_home = {}
        for home in (XCA, MHD):
            other = await stack.enter_async_context(neighbour(tmp_path / home[-1], home))
            by_home[home] = other.stack
        xca_base = by_home[XCA].base_url.removesuffix("/fhir")
        communities = [
            {"home_community_id": XCA, "name": "xca", "query_url": f"{xca_base}/xca/gateway"},
            {
                "home_community_id": MHD,
                "name": "mhd",
                "mhd": {"base_url": by_home[MHD].base_url, "repository_unique_id": MHD_REPOSITORY},
            },
        ]
        if dead:
            nobody = {"query_url": "http://127.0.0.1:9/", "max_attempts": 1}
            communities.append({"home_community_id": DEAD, "name": "dead", **nobody})
        front = await stack.enter_async_context(
            running_stack(
                tmp_path / "front",
                home_community_id=OWN,
                communities=communities,
                xds_server={"enabled": True},
            )
        )
        by_home[OWN] = front
        patient, documents = a_patient(), {}
        for home, each in by_home.items():
            documents[home] = a_document(content=home.encode())
            status, answer = await each.publish(provide_bundle([documents[home]], patient=patient))
            assert status == 200, answer
        client = await stack.enter_async_context(xds_consumer(front.base_url, assert_valid))
        yield Around(front, client, by_home, patient, documents)


async def test_one_query_finds_documents_of_all_and_each_is_retrieved_where_it_is(tmp_path, assert_valid):
    async with around(tmp_path, assert_valid) as here:
        found = await here.client.query(FindDocuments(patient_id=here.cx))
        assert (found.status, found.errors) == (ResponseStatus.SUCCESS, ())
        contents = {}
        for entry in found.entries:
            answer, content = await here.client.retrieve(
                entry.unique_id, repository=entry.repository_unique_id, home=entry.home_community_id
            )
            assert answer.status is ResponseStatus.SUCCESS, answer.errors
            assert [d.header.home_community_id for d in answer.documents] == [entry.home_community_id]
            contents[entry.home_community_id] = content[entry.unique_id]
    assert contents == {home: document.content for home, document in here.documents.items()}
    assert {e.home_community_id: e.repository_unique_id for e in found.entries}[MHD] == MHD_REPOSITORY


async def test_what_has_been_found_is_asked_for_by_id_at_its_community(tmp_path, assert_valid):
    async with around(tmp_path, assert_valid) as here:
        everything = await here.client.query(GetAll(patient_id=here.cx))
        for entry in everything.entries:
            again = await here.client.query(
                GetDocuments(entry_uuids=(entry.entry_uuid,), home=entry.home_community_id)
            )
            assert again.entries == (entry,)
        references = await here.client.query(FindDocuments(patient_id=here.cx), "ObjectRef")
    sets = {s.home_community_id for s in everything.submission_sets}
    assert sets == {OWN, XCA, MHD}
    assert {(r.id, r.home_community_id) for r in references.object_refs} == {
        (e.entry_uuid, e.home_community_id) for e in everything.entries
    }


async def test_a_query_without_patient_has_to_name_a_community_that_is_known(tmp_path, assert_valid):
    async with around(tmp_path, assert_valid) as here:
        nowhere = await here.client.query(GetDocuments(unique_ids=("2.999.1",)))
        unknown = await here.client.query(GetDocuments(unique_ids=("2.999.1",), home="urn:oid:2.999.77"))
    assert [e.code for e in nowhere.errors] == ["XDSMissingHomeCommunityId"]
    assert [(e.code, e.location) for e in unknown.errors] == [("XDSUnknownCommunity", "urn:oid:2.999.77")]


async def test_target_communities_limit_who_is_asked_and_unknown_ones_are_an_error(tmp_path, assert_valid):
    async with around(tmp_path, assert_valid) as here:
        some = await here.client.query(
            FindDocuments(patient_id=here.cx, target_communities=(MHD, "urn:oid:2.999.77"))
        )
        none = await here.client.query(
            FindDocuments(patient_id=here.cx, target_communities=("urn:oid:2.999.77",))
        )
    assert [e.home_community_id for e in some.entries] == [MHD]
    assert some.status is ResponseStatus.PARTIAL
    assert [(e.code, e.location) for e in some.errors] == [("XDSUnknownCommunity", "urn:oid:2.999.77")]
    assert none.status is ResponseStatus.FAILURE


async def test_a_community_that_does_not_answer_is_an_error_beside_the_results_of_the_others(
    tmp_path, assert_valid
):
    async with around(tmp_path, assert_valid, dead=True) as here:
        found = await here.client.query(FindDocuments(patient_id=here.cx))
        alone = await here.client.query(GetDocuments(unique_ids=("2.999.1",), home=DEAD))
        uid = here.documents[OWN].unique_id
        lost, _ = await here.client.retrieve(uid, home=DEAD)
    assert {e.home_community_id for e in found.entries} == {OWN, XCA, MHD}
    assert found.status is ResponseStatus.PARTIAL
    assert [(e.code, e.location) for e in found.errors] == [("XDSUnavailableCommunity", DEAD)]
    assert [(e.code, e.location) for e in alone.errors] == [("XDSUnavailableCommunity", DEAD)]
    assert lost.status is ResponseStatus.FAILURE


async def test_fhir_clients_find_and_read_what_an_mhd_community_has(tmp_path, assert_valid):
    async with around(tmp_path, assert_valid) as here:
        found = await here.front.find(
            patient__identifier=here.patient.token, status="current", targetCommunityIdList=MHD
        )
        assert len(found) == 1
        status, _, content = await here.front.download(found[0])
        read = await here.front.get(f"DocumentReference/{found[0]['id']}")
    assert (status, content) == (200, here.documents[MHD].content)
    assert read == (200, found[0])
