"""Reports of several communities as resources: searched together, and read where they are."""

import orjson
import pytest

from gateway.demo.bundles import provide_bundle
from gateway.settings import Settings
from gateway.wiring.communities import members
from tests.crossborder.neighbours import OWN, neighbours, outcomes
from tests.crossborder.test_images_of_communities import keys_of
from tests.ports import free_port
from tests.system.documents import a_patient
from tests.system.imaging import matches
from tests.system.reports import FOOT, a_report
from tests.system.stack import running_gateway


async def searched(stack, kind, patient, **parameters):
    status, bundle = await stack.get(kind, **{"patient.identifier": patient.token, **parameters})
    assert status == 200, bundle
    return bundle


@pytest.fixture
async def around(tmp_path):
    """The own community and two others, with a report of one patient in each."""
    async with neighbours(tmp_path, "1", "2") as running:
        running.patient = a_patient()
        stacks = {"": running.front, **{name: other.stack for name, other in running.by_name.items()}}
        running.documents = {
            name: a_report("foot", running.patient, FOOT, seed=name, number=f"FOOT{name}") for name in stacks
        }
        for name, stack in stacks.items():
            bundle = provide_bundle([running.documents[name]], patient=running.patient)
            status, answer = await stack.publish(bundle)
            assert status == 200, answer
        yield running


async def test_reports_of_all_communities_are_searched_together_and_read_one_by_one(around):
    front = around.front
    bundle = await searched(front, "DiagnosticReport", around.patient)
    found = matches(bundle)
    assert len({report["id"] for report in found}) == 3
    assert not outcomes(bundle)
    for report in found:
        before = {name: sum(other.stack.soap_calls.values()) for name, other in around.by_name.items()}
        status, read = await front.get(f"DiagnosticReport/{report['id']}")
        assert (status, read) == (200, report)
        asked = [
            name
            for name, other in around.by_name.items()
            if sum(other.stack.soap_calls.values()) > before[name]
        ]
        assert len(asked) <= 1, "a read goes to the community of the report alone"
        status, document = await front.get(f"DiagnosticReport/{report['id']}/$document")
        assert (status, document["resourceType"]) == (200, "Bundle")
    contents = {orjson.dumps(orjson.loads(d.content)) for d in around.documents.values()}
    documents = [
        (await front.get(f"DiagnosticReport/{report['id']}/$document"))[1]["identifier"] for report in found
    ]
    assert len({orjson.dumps(identifier) for identifier in documents}) == len(contents) == 3


async def test_ids_of_their_resources_still_work_after_a_restart_without_redis(around, tmp_path):
    front = around.front
    held = [
        resource
        for kind in ("DiagnosticReport", "ServiceRequest")
        for resource in matches(await searched(front, kind, around.patient))
    ]
    assert len(held) >= 4
    after = Settings(
        **{
            **front.settings.model_dump(),
            "state_dir": tmp_path / "restarted",
            "security": {**front.settings.security.model_dump(), "keys": [keys_of(front)]},
        }
    )
    async with running_gateway(after) as restarted:
        for resource in held:
            status, _ = await restarted.get(f"{resource['resourceType']}/{resource['id']}")
            assert status == 200, resource["resourceType"]


async def test_reports_of_the_living_are_given_with_a_warning_about_the_dead(around):
    front = around.front
    communities = [each.model_dump() for each in front.settings.communities]
    communities[1]["query_url"] = f"http://127.0.0.1:{free_port()}/"
    changed = Settings(**{**front.settings.model_dump(), "communities": communities})
    front.parts.communities.change_to(members(changed, front.parts))
    bundle = await searched(front, "DiagnosticReport", around.patient)
    (issue,) = outcomes(bundle)
    assert len(matches(bundle)) == 2
    assert f"{OWN}.2" in issue["diagnostics"]
