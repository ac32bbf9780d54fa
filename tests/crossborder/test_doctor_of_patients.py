"""`gateway doctor` asks the patient manager, by what it speaks."""

import pytest
from aiohttp import web

from gateway.doctor import examine
from gateway.settings import Settings
from tests.clients.managers import DOMAIN, WARD, manager_at, person
from tests.system.stack import site


@pytest.fixture(autouse=True)
def _logs_stay_those_of_the_tests(monkeypatch):
    monkeypatch.setattr("gateway.doctor.configure", lambda level: None)


async def lines_of(folder, base, **manager):
    """What it says of the manager."""
    nowhere = {"url": "http://127.0.0.1:9", "max_attempts": 1}
    settings = Settings(
        state_dir=folder,
        registry=nowhere,
        repositories=[{"unique_id": "2.999.10.1", **nowhere}],
        redis={"url": "redis://127.0.0.1:9"},
        patient_manager={"base_url": base, "domain": DOMAIN, "max_attempts": 1, **manager},
    )
    lines = []
    await examine(settings, lines.append)
    return [line.split(" in ")[0] for line in lines if " patient manager" in line]


async def test_it_tells_what_the_manager_speaks(tmp_path):
    async with manager_at(tmp_path / "patients", person("anna", (DOMAIN, "A"))) as (base, _):
        both = ["ok    patient manager: ITI-83 answered", "ok    patient manager: ITI-78 answered"]
        assert await lines_of(tmp_path, base) == both
        assert await lines_of(tmp_path, base, speaks=["PDQm"]) == both[1:]
        assert await lines_of(tmp_path, base, speaks=["PIXm"]) == both[:1]
        (line, _) = await lines_of(tmp_path, base.replace("/patients", "/elsewhere"))
        assert line.startswith("FAIL  patient manager: ITI-83"), (
            "a wrong base is not a manager that knows nobody"
        )


async def test_a_manager_that_does_not_know_the_domain_is_found_out(tmp_path):
    async with manager_at(tmp_path / "patients", person("anna", (WARD, "w-1"))) as (base, _):
        line, _ = await lines_of(tmp_path, base)
    assert line.startswith("FAIL  patient manager")
    assert f"urn:oid:{DOMAIN}" in line


async def test_a_manager_that_answers_with_anybody_is_found_out(tmp_path):
    everybody = {"resourceType": "Bundle", "entry": [{"resource": person("anna", (DOMAIN, "A"))}]}

    async def answer(_):
        return web.json_response(everybody)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with site(app) as url:
        (line,) = await lines_of(tmp_path, url, speaks=["PDQm"])
    assert line.startswith("FAIL  patient manager: ITI-78")
