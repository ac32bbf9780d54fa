"""kill -9 of gateway, affinity domain or Redis: what was acknowledged is there once."""

import asyncio
import hashlib
import os
import random
import signal
import sys

import aiohttp
import pytest

from gateway.demo.bundles import provide_bundle
from tests.ports import free_port
from tests.system.documents import a_document, a_patient
from tests.system.stack import Service, affinity_service, children_of, gateway_service

PUBLISHES = 200
KILLS = 3

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the Redis process in /proc")


class Publisher:
    """A client that repeats its Bundle until it is acknowledged."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base_url = base_url
        self.acknowledged = 0

    async def publish(self, bundle: dict) -> dict:
        deadline = asyncio.get_running_loop().time() + 120
        while True:
            try:
                async with self._session.post(
                    self._base_url, json=bundle, headers={"Content-Type": "application/fhir+json"}
                ) as answer:
                    body = await answer.json(content_type=None)
                    if answer.status == 200:
                        self.acknowledged += 1
                        return body
                    assert answer.status in {500, 502, 503, 504}, body
            except aiohttp.ClientError:
                pass
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(random.uniform(0.05, 0.3))


async def kill_redis_of(gateway: Service) -> None:
    for pid in children_of(gateway.pid):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("victim", ["gateway", "affinity", "redis"])
@pytest.mark.timeout(240)
async def test_every_acknowledged_document_is_there_once(tmp_path, victim):
    affinity_port, port = free_port(), free_port()
    affinity = affinity_service(tmp_path, affinity_port)
    gateway = gateway_service(tmp_path, port, affinity_port)
    await affinity.start()
    base_url = await gateway.start()
    patient = a_patient(victim)
    documents = [a_document(f"{victim}-{n}", content=random.randbytes(2000)) for n in range(PUBLISHES)]
    try:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            client = Publisher(session, base_url)
            publishes = [
                asyncio.create_task(client.publish(provide_bundle([d], patient=patient))) for d in documents
            ]
            for kill in range(KILLS):
                share = PUBLISHES * (kill + random.random()) / (KILLS + 1)
                while client.acknowledged < share and not all(p.done() for p in publishes):
                    await asyncio.sleep(0.005)
                if victim == "redis":
                    await kill_redis_of(gateway)
                else:
                    service = {"gateway": gateway, "affinity": affinity}[victim]
                    await service.kill()
                    await service.start()
            answers = await asyncio.gather(*publishes)
            assert len(answers) == PUBLISHES
            await check_all_there_once(session, base_url, patient, documents, answers)
    finally:
        await gateway.kill()
        await affinity.kill()


async def check_all_there_once(session, base_url, patient, documents, answers):
    # the circuit may still be open after the last kill
    parameters = {"patient.identifier": patient.token, "status": "current", "_count": "1000"}
    for _ in range(100):
        async with session.get(f"{base_url}/DocumentReference", params=parameters) as answer:
            bundle = await answer.json(content_type=None)
            if answer.status == 200:
                break
        await asyncio.sleep(0.2)
    found = {e["resource"]["masterIdentifier"]["value"]: e["resource"] for e in bundle["entry"]}
    assert bundle["total"] == len(found) == len(documents)
    for document, answer in zip(documents, answers, strict=True):
        reference = found[f"urn:oid:{document.unique_id}"]
        location = answer["entry"][1]["response"]["location"]
        assert location.rsplit("/", 1)[-1] == reference["id"]
        async with session.get(reference["content"][0]["attachment"]["url"]) as content:
            body = await content.read()
        assert hashlib.sha1(body).digest() == hashlib.sha1(document.content).digest()
