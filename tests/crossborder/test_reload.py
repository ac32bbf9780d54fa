"""SIGHUP reads the communities of the settings again, without ending anything."""

import asyncio
import json
import os
import signal

from gateway.demo.bundles import provide_bundle
from gateway.wiring.reloading import CommunityReload
from tests.crossborder.neighbours import OWN, home_of, neighbour
from tests.ports import free_port
from tests.system.documents import a_document, a_patient
from tests.system.stack import Service, running_stack


async def test_communities_come_and_go_with_sighup(tmp_path):
    patient = a_patient()
    async with running_stack(tmp_path / "own") as own, neighbour(tmp_path / "1", f"{OWN}.1") as other:
        status, _ = await other.stack.publish(provide_bundle([a_document()], patient=patient))
        assert status == 200
        config = tmp_path / "gateway.yaml"

        def write(*communities):
            values = own.settings.model_dump(mode="json", include={"registry", "repositories"})
            values |= {
                "state_dir": str(tmp_path / "gateway"),
                "home_community_id": OWN,
                "server": {"port": free_port()},
                "communities": communities,
            }
            # JSON is YAML
            config.write_text(json.dumps(values))

        write()
        gateway = Service(["serve", "--config", str(config)], {}, tmp_path / "gateway.log")
        try:
            base = await gateway.start()

            async def homes():
                query = f"patient.identifier={patient.token}&status=current"
                async with own.session.get(f"{base}/DocumentReference?{query}") as answer:
                    bundle = await answer.json(content_type=None)
                return [home_of(e["resource"]) for e in bundle.get("entry", ())]

            async def until(expected):
                os.kill(gateway.pid, signal.SIGHUP)
                async with asyncio.timeout(60):
                    while await homes() != expected:
                        await asyncio.sleep(0.1)

            assert await homes() == []
            write(other.settings())
            await until([f"{OWN}.1"])
            config.write_text("communities: [")
            os.kill(gateway.pid, signal.SIGHUP)
            async with asyncio.timeout(60):
                while "communities.not_reloaded" not in (tmp_path / "gateway.log").read_text():
                    await asyncio.sleep(0.1)
            assert await homes() == [f"{OWN}.1"], "settings that cannot be used change nothing"
            write()
            await until([])
        finally:
            await gateway.kill()


async def test_an_id_of_a_community_that_was_removed_is_not_found(tmp_path):
    patient = a_patient()
    async with neighbour(tmp_path / "1", f"{OWN}.1") as other:
        communities = [other.settings()]
        async with running_stack(tmp_path / "front", home_community_id=OWN, communities=communities) as front:
            await other.stack.publish(provide_bundle([a_document()], patient=patient))
            (found,) = await front.find(patient__identifier=patient.token, status="current")
            without = front.settings.model_copy(update={"communities": ()})
            reload = CommunityReload(front.parts.communities, front.parts, lambda: without)
            reload()
            assert (await front.get(f"DocumentReference/{found['id']}"))[0] == 404
            assert (await front.download(found))[0] == 404
            assert await front.find(patient__identifier=patient.token, status="current") == []
