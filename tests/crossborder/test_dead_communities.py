"""What a community gave and then died: whoever asks for it by id or URL is told that it does not answer, in time and by
its name, and nothing is taken for missing (R33, R74)."""

import pytest

from gateway.wiring.communities import members
from tests.crossborder.neighbours import never, strange
from tests.crossborder.test_images_of_communities import searched, studies
from tests.ports import free_port
from tests.system.imaging import matches


@pytest.mark.parametrize(("how", "expected"), [("silent", {504}), ("stopped", {502, 503})])
async def test_what_was_handed_out_of_it_says_that_it_does_not_answer(tmp_path, how, expected):
    async with strange(never) as place, studies(tmp_path, {"1": "a"}) as (around, contents):
        front, content = around.front, contents["1"]
        bundle = await searched(front, content, _include="ImagingStudy:endpoint")
        (study,), (endpoint, *_) = matches(bundle), matches(bundle, "include")
        (reference,) = await front.find(
            patient__identifier=content.patient.token, contenttype="application/dicom"
        )
        gone = place if how == "silent" else f"http://127.0.0.1:{free_port()}"
        (before,) = front.settings.communities
        urls = {f"{name}_url": f"{gone}/" for name in ("query", "retrieve", "images")}
        after = before.model_copy(update={**urls, "deadline": 0.5, "read_timeout": 0.5, "max_attempts": 1})
        changed = front.settings.model_copy(update={"communities": (after,)})
        front.parts.communities.change_to(members(changed, front.parts))

        uid = content.images.study_instance_uid
        for path in (
            f"DocumentReference/{reference['id']}",
            f"ImagingStudy/{study['id']}",
            f"Endpoint/{endpoint['id']}",
            reference["content"][0]["attachment"]["url"],
            f"{endpoint['address']}/studies/{uid}",
        ):
            status, outcome = await front.get(path)
            assert status in expected, (path, outcome)
            assert "ommunity 1" in outcome["issue"][0]["diagnostics"], path
            assert content.patient.id not in str(outcome)
