"""Searches of documents that go to several communities at once (ITI-66, ITI-67 over ITI-18 and ITI-38)."""

from gateway.demo.bundles import provide_bundle
from gateway.model import codes
from tests.crossborder.neighbours import OWN, neighbours
from tests.system.documents import a_document, a_patient


async def publish(stack, patient, *documents):
    status, answer = await stack.publish(provide_bundle(documents, patient=patient))
    assert status == 200, answer


def home_of(resource):
    return next(
        (e["valueOid"] for e in resource.get("extension", ()) if e["url"] == codes.EXT_HOME_COMMUNITY), None
    )


async def test_one_search_finds_the_documents_of_all_communities_and_each_says_where_it_is(tmp_path):
    patient = a_patient()
    mine, theirs, others = a_document(), a_document(), a_document()
    async with neighbours(tmp_path, "1", "2") as around:
        await publish(around.front, patient, mine)
        await publish(around.by_name["1"].stack, patient, theirs)
        await publish(around.by_name["2"].stack, patient, others)
        found = await around.front.find(patient__identifier=patient.token, status="current")
        contents = {}
        for resource in found:
            status, read = await around.front.get(f"DocumentReference/{resource['id']}")
            assert (status, read) == (200, resource)
            status, _, content = await around.front.download(resource)
            contents[home_of(resource)] = (status, content)
    assert contents == {
        None: (200, mine.content),
        f"{OWN}.1": (200, theirs.content),
        f"{OWN}.2": (200, others.content),
    }
