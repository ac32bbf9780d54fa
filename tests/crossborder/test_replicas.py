"""Two gateways on one Redis in front of communities: search on one, page and retrieve on the other."""

import secrets

from gateway.demo.bundles import provide_bundle
from gateway.settings import Settings
from tests.correlation.servers import Server
from tests.crossborder.neighbours import OWN, home_of, neighbours
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_gateway

PUBLIC = "https://ncp.example/fhir"


async def test_what_one_replica_found_the_other_pages_and_retrieves(tmp_path):
    redis = Server(tmp_path / "redis").start()
    common = {
        "redis": {"url": redis.url},
        "security": {"access": "open", "keys": [secrets.token_hex(32)]},
        "server": {"base_url": PUBLIC},
    }
    patient = a_patient()
    documents = {home: [a_document(), a_document()] for home in (f"{OWN}.1", f"{OWN}.2")}
    try:
        async with neighbours(tmp_path, "1", "2", own=common) as around:
            for home, listed in documents.items():
                stack = around.by_name[home.rpartition(".")[2]].stack
                status, _ = await stack.publish(provide_bundle(listed, patient=patient))
                assert status == 200
            first = around.front
            again = Settings(**{**first.settings.model_dump(), "state_dir": tmp_path / "second"})
            async with running_gateway(again) as second:
                gateways = [first, second]
                status, page = await first.get(
                    "DocumentReference",
                    **{"patient.identifier": patient.token, "status": "current", "_count": 1},
                )
                found = []
                for turn in range(1, 5):
                    assert (status, page["total"]) == (200, 4)
                    found += [e["resource"] for e in page["entry"] if e["search"]["mode"] == "match"]
                    link = next((each["url"] for each in page["link"] if each["relation"] == "next"), None)
                    if link is not None:
                        before = {n: dict(o.stack.soap_calls) for n, o in around.by_name.items()}
                        gateway = gateways[turn % 2]
                        status, page = await gateway.get(link.replace(PUBLIC, gateway.base_url))
                        asked = sum(
                            sum(o.stack.soap_calls.values()) - sum(before[n].values())
                            for n, o in around.by_name.items()
                        )
                        assert asked <= 1, "a page asks for the relations of its entry and for nothing else"
                assert sorted(map(home_of, found)) == [f"{OWN}.1"] * 2 + [f"{OWN}.2"] * 2
                contents = set()
                for reference in found:
                    url = reference["content"][0]["attachment"]["url"].replace(PUBLIC, second.base_url)
                    async with second.session.get(url) as answer:
                        contents.add(await answer.read())
                    status, read = await second.get(f"DocumentReference/{reference['id']}")
                    assert (status, read) == (200, reference)
                assert contents == {d.content for listed in documents.values() for d in listed}
    finally:
        redis.kill()
