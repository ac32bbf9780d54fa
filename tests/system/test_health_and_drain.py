"""Health tells impaired from down, and a stop under load drops no request."""

import asyncio
import json
import signal
from collections import Counter

import aiohttp

from gateway.demo.bundles import provide_bundle
from gateway.settings import Settings
from tests.ports import free_port
from tests.system import wire_failures as wire
from tests.system.documents import a_document, a_patient
from tests.system.stack import affinity_service, gateway_service, running_gateway, running_stack

FAST_CIRCUITS = {"max_attempts": 1, "connect_timeout": 2, "circuit_threshold": 1, "circuit_reset": 600}


async def state_of(stack):
    """Status codes of readiness and state, and the report."""
    root = stack.base_url.removesuffix("/fhir")
    ready, _ = await stack.get(f"{root}/health/ready")
    state, report = await stack.get(f"{root}/health")
    return ready, state, report


async def test_a_failing_repository_impairs_and_a_failing_registry_is_down(tmp_path):
    patient = a_patient()
    bundle = provide_bundle([a_document()], patient=patient)
    async with running_stack(tmp_path, peers=FAST_CIRCUITS) as stack:
        all_up = {"find": "up", "publish": "up", "retrieve": "up"}
        ready, state, report = await state_of(stack)
        assert (ready, state, report["status"], report["abilities"]) == (200, 200, "ready", all_up)

        stack.interfere = wire.at(wire.REPOSITORY, wire.cut_before_headers)
        status, _ = await stack.publish(bundle)
        assert status >= 500
        ready, state, report = await state_of(stack)
        assert (ready, state, report["status"]) == (200, 200, "impaired")
        assert report["abilities"] == all_up | {"publish": "down"}

        stack.interfere = wire.at(wire.REGISTRY, wire.cut_before_headers)
        status, _ = await stack.get("DocumentReference", **{"patient.identifier": patient.token})
        assert status >= 500
        ready, state, report = await state_of(stack)
        assert (state, report["status"], report["abilities"]["find"]) == (503, "down", "down")
        assert ready == 200, "without requests the circuit could not close again"


async def test_with_several_sources_one_that_fails_degrades(tmp_path):
    second = {"unique_id": "2.999.10.77", "url": "http://127.0.0.1:1/xds"}
    async with running_stack(tmp_path, peers=FAST_CIRCUITS) as stack:
        settings = stack.settings
        both = [*(each.model_dump() for each in settings.repositories), {**second, **FAST_CIRCUITS}]
        bundle = provide_bundle([a_document()], patient=a_patient())
        more = settings.model_dump() | {"repositories": both, "state_dir": tmp_path / "second"}
        async with running_gateway(Settings(**more)) as gateway:
            assert (await gateway.publish(bundle))[0] == 200
            [found] = await gateway.find(patient__identifier=bundle_patient(bundle), status="current")
            stack.interfere = wire.at(wire.REPOSITORY, wire.cut_before_headers)
            status, _, _ = await gateway.download(found)
            assert status >= 500
            report = await gateway.health()
            assert report["abilities"]["retrieve"] == "degraded"
            assert report["status"] == "impaired"


def bundle_patient(bundle):
    """`system|value` of the patient that a Bundle is about."""
    reference = next(
        e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DocumentReference"
    )
    identifier = reference["contained"][0]["identifier"][0]
    return f"{identifier['system']}|{identifier['value']}"


class Client:
    """Comes again and again, as through a load balancer: by kept connections, to who says that it is ready."""

    def __init__(self, base_url, patient):
        self._base_url = base_url
        self._patient = patient
        self.outcomes = Counter()
        self.ready = True

    @property
    def answered(self):
        return self.outcomes["200 1"]

    async def run(self):
        connector = aiohttp.TCPConnector(limit=8)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(self._requests(session))

    async def probe(self):
        root = self._base_url.removesuffix("/fhir")
        async with aiohttp.ClientSession() as session:
            while self.ready:
                async with session.get(f"{root}/health/ready") as answer:
                    self.ready = answer.status == 200
                    self.report = json.loads(await answer.read())
                await asyncio.sleep(0.05)

    async def _requests(self, session):
        query = {"patient.identifier": self._patient.token, "status": "current"}
        while self.ready:
            try:
                async with session.get(f"{self._base_url}/DocumentReference", params=query) as answer:
                    found = (await answer.json(content_type=None))["total"]
                    self.outcomes[f"{answer.status} {found}"] += 1
                    self.outcomes["told to leave"] += answer.headers.get("Connection") == "close"
            except aiohttp.ClientError as error:
                self.outcomes[f"dropped: {type(error).__name__}"] += 1


async def test_no_request_is_dropped_when_a_gateway_under_load_is_stopped(tmp_path):
    patient = a_patient()
    affinity_port, port = free_port(), free_port()
    affinity = affinity_service(tmp_path, affinity_port)
    gateway = gateway_service(tmp_path, port, affinity_port, SERVER__DRAIN_WAIT="2")
    try:
        await affinity.start()
        base_url = await gateway.start()
        bundle = provide_bundle([a_document(content=b"x" * 8_000_000)], patient=patient)
        async with aiohttp.ClientSession() as session:
            headers = {"Content-Type": "application/fhir+json"}
            async with session.post(base_url, json=bundle, headers=headers) as answer:
                assert answer.status == 200
            query = {"patient.identifier": patient.token, "status": "current"}
            async with session.get(f"{base_url}/DocumentReference", params=query) as answer:
                [entry] = (await answer.json(content_type=None))["entry"]
            url = entry["resource"]["content"][0]["attachment"]["url"]
            client = Client(base_url, patient)
            async with session.get(url) as slow, asyncio.TaskGroup() as group:
                group.create_task(client.run())
                # a loaded machine takes its time until there is load to speak of
                while client.answered <= 20:
                    await asyncio.sleep(0.05)
                group.create_task(client.probe())
                await asyncio.sleep(0.2)
                gateway.process.send_signal(signal.SIGTERM)
                while client.ready:
                    await asyncio.sleep(0.05)
                # longer than the listener, by a client that reads when it likes
                await asyncio.sleep(2.5)
                size = len(await slow.read())
        assert await asyncio.wait_for(gateway.process.wait(), 30) == 0
    finally:
        await gateway.kill()
        await affinity.kill()
    assert client.report["status"] == "stopping"
    told = client.outcomes.pop("told to leave")
    assert set(client.outcomes) == {"200 1"}, client.outcomes
    assert client.answered > 20
    assert told > 0
    assert size == 8_000_000
