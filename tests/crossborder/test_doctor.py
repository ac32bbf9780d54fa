"""`gateway doctor` asks the communities of the settings."""

import socket

import pytest

from gateway.doctor import examine
from gateway.settings import Settings
from tests.system.imaging import published_study

HOME = "urn:oid:2.999.5"


@pytest.fixture(autouse=True)
def _logs_stay_those_of_the_tests(monkeypatch):
    monkeypatch.setattr("gateway.doctor.configure", lambda level: None)


ANSWERING = {"home_community_id": HOME, "responding_gateway": {"enabled": True}}


async def lines_of(settings, **communities):
    """What it says of the communities, and its exit code."""
    lines = []
    values = settings.model_dump() | {
        "home_community_id": "2.999.6",
        "responding_gateway": {},
        "redis": {"url": "redis://127.0.0.1:9"},
        "communities": [communities],
    }
    await examine(Settings(**values), lines.append)
    return [line for line in lines if " community " in line]


async def test_it_tells_which_communities_answer(tmp_path):
    async with published_study(tmp_path, "doctor", **ANSWERING) as published:
        base = published.stack.base_url.removesuffix("/fhir")
        community = {
            "home_community_id": HOME,
            "name": "b",
            "query_url": f"{base}/xca/gateway",
            "images_url": f"{base}/xca-i/imaging",
            "patients_url": f"{base}/xca/patients",
            "quirks": {"retrieve": {"documents_per_request": 1}},
        }
        well = await lines_of(published.stack.settings, **community)
        other = await lines_of(published.stack.settings, **community | {"home_community_id": "2.999.7"})
    assert [line.split(" in ")[0] for line in well] == [
        "ok    community b: ITI-38 answered",
        "ok    community b: ITI-39 answered",
        "ok    community b: RAD-75 answered",
        "ok    community b: ITI-55 answered",
        "ok    community b retrieve quirks: documents_per_request=1",
    ]
    assert [line for line in other if "XDSUnknownCommunity" in line] == other[:3]
    assert {line[:4] for line in other[:3]} == {"FAIL"}


async def test_it_tells_which_communities_do_not(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        settings = Settings(
            state_dir=tmp_path,
            registry={"url": url, "max_attempts": 1},
            repositories=[{"unique_id": "2.999.10.1", "url": url, "max_attempts": 1}],
        )
        lines = await lines_of(settings, home_community_id=HOME, name="b", query_url=url, max_attempts=1)
    assert [line.split(":")[0] for line in lines] == ["FAIL  community b"] * 2
