"""Several processes behind one listener: they share what a gateway has, stop together and end together."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from gateway.demo.bundles import provide_bundle
from gateway.exit_codes import ExitCode
from tests.system.documents import a_document, a_patient
from tests.system.stack import affinity_service, children_of, free_port, gateway_service
from tests.system.test_metrics import Seen, metrics_of
from tests.test_cli import start_refused

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="asks /proc for children")


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def free_ports_in_a_row():
    """The first of two ports that are this test's."""
    first = free_port()
    while (second := free_port()) != first + 1:
        first = second
    return first


async def test_workers_share_redis_keys_and_load_and_drop_nothing_when_they_stop(tmp_path):
    affinity_port, port, metrics_port = free_port(), free_port(), free_ports_in_a_row()
    affinity = affinity_service(tmp_path, affinity_port)
    gateway = gateway_service(
        tmp_path,
        port,
        affinity_port,
        SERVER__WORKERS="2",
        SERVER__DRAIN_WAIT="0.5",
        METRICS__ENABLED="true",
        METRICS__PORT=str(metrics_port),
    )
    patient = a_patient()
    bundle = provide_bundle([a_document(content=b"of two workers")], patient=patient)
    outcomes = []
    try:
        await affinity.start()
        base_url = await gateway.start()
        workers = children_of(gateway.process.pid)
        assert len(workers) == 2
        one_request_each = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=one_request_each) as session:
            for _ in range(2):
                async with session.post(
                    base_url, json=bundle, headers={"Content-Type": "application/fhir+json"}
                ) as answer:
                    assert answer.status == 200
            query = {"patient.identifier": patient.token, "status": "current"}

            async def ask():
                async with session.get(f"{base_url}/DocumentReference", params=query) as found:
                    body = await found.json(content_type=None)
                    outcomes.append((found.status, body.get("total")))
                    return body

            [entry] = (await ask())["entry"]
            url = entry["resource"]["content"][0]["attachment"]["url"]
            for _ in range(4):
                async with session.get(url) as found:
                    assert await found.read() == b"of two workers", "whichever has the request"
            counted = [
                Seen(await metrics_of(session, f"http://127.0.0.1:{metrics_port + n}")) for n in (0, 1)
            ]
            assert (
                sum(each.value("requests_total", transaction="ITI-68", status="200") for each in counted) == 4
            )
            assert (
                sum(each.value("requests_total", transaction="ITI-65", status="200") for each in counted) == 2
            )
            async with asyncio.TaskGroup() as group:
                for _ in range(8):
                    group.create_task(ask())
                await asyncio.sleep(0)
                gateway.process.send_signal(signal.SIGTERM)
        assert set(outcomes) == {(200, 1)}, "published twice, stored once; each one asked for is answered"
        assert await asyncio.wait_for(gateway.process.wait(), 60) == 0
        assert not any(map(is_alive, workers))
    finally:
        await gateway.kill()
        await affinity.kill()


async def test_a_worker_that_dies_ends_the_gateway_so_that_it_is_started_again(tmp_path):
    gateway = gateway_service(tmp_path, free_port(), free_port(), SERVER__WORKERS="2")
    try:
        await gateway.start()
        workers = children_of(gateway.process.pid)
        os.kill(workers[1], signal.SIGKILL)
        assert await asyncio.wait_for(gateway.process.wait(), 60) == 1
        assert not any(map(is_alive, workers))
        assert '"workers.ended"' in (tmp_path / "gateway.log").read_text()
    finally:
        await gateway.kill()


def test_several_workers_have_their_metrics_at_ports_of_their_own(tmp_path):
    line = start_refused(tmp_path, GATEWAY_SERVER__WORKERS="2", GATEWAY_METRICS__ENABLED="true")
    assert line.startswith("gateway: metrics.port: has to be set")


def test_what_stops_the_start_of_a_worker_is_one_line(tmp_path):
    file = tmp_path / "state"
    file.touch()
    line = start_refused(tmp_path, GATEWAY_SERVER__WORKERS="2", GATEWAY_STATE_DIR=str(file / "below"))
    assert line == f"gateway: state_dir: {file / 'below'}: Not a directory"


FAILING = """
import sys
from gateway.settings import Settings
from gateway.workers import run_workers

async def serve(settings, place):
    raise ValueError("ZQMARK, Ada")

peer = {"url": "http://127.0.0.1:9/"}
settings = Settings(
    state_dir=sys.argv[1], server={"port": 0, "workers": 2}, metrics={"enabled": False},
    registry=peer, repositories=[{**peer, "unique_id": "2.999.10.1"}],
)
sys.exit(run_workers(settings, serve))
"""


def test_the_log_of_a_worker_that_fails_has_where_and_no_text_of_the_error(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FAILING, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == ExitCode.FAILED
    assert "workers.failed" in said
    assert "ValueError" in said
    assert "ZQMARK" not in said
