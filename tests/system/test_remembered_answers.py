"""With `lifetimes.registry_answer` a warm search asks nobody, and what is stale is so for a while only."""

import asyncio
import json
import os
import sys
import uuid

import pytest
from msgspec import structs

from gateway.demo.bundles import provide_bundle
from gateway.demo.report_parts import ReportOrder
from gateway.demo.samples import ORGANIZATION
from gateway.model import Cx
from gateway.model.query import FindDocuments
from gateway.soap.contract import load_contract
from tests.affinity.samples import sha1, submission
from tests.crossborder.xds_consumer import behind, xds_consumer
from tests.system.issuers import running_issuer

from .documents import a_patient
from .imaging import matches
from .reports import a_report
from .stack import running_gateway, running_stack

ORDER = ReportOrder("W-1", ORGANIZATION, "P-W", ORGANIZATION)
KINDS = ("DiagnosticReport", "Observation", "ImagingStudy", "Composition", "Patient")


async def publish(stack, patient, seed, session=None, **headers):
    report = a_report("foot", patient, ReportOrder(f"W-{seed}", ORGANIZATION, "P-W", ORGANIZATION), seed=seed)
    async with stack.session.post(
        stack.base_url, json=provide_bundle([report], patient=patient),
        headers={"Content-Type": "application/fhir+json", **headers},
    ) as answer:  # fmt: skip
        assert answer.status == 200, await answer.text()


async def reports(stack, patient, **headers):
    async with stack.session.get(
        f"{stack.base_url}/DiagnosticReport", params={"patient.identifier": patient.token}, headers=headers
    ) as answer:
        assert answer.status == 200, await answer.text()
        return len(matches(await answer.json(content_type=None)))


async def test_a_warm_search_asks_nobody_until_something_is_stored(tmp_path):
    async with running_stack(tmp_path, lifetimes={"registry_answer": 3600}) as stack:
        stack.interfere = None
        patient, other = a_patient(), a_patient()
        await publish(stack, patient, "1")
        await publish(stack, other, "1")
        assert await reports(stack, patient) == 1
        calls = dict(stack.soap_calls)
        for kind in KINDS:
            name = "identifier" if kind == "Patient" else "patient.identifier"
            status, bundle = await stack.get(kind, **{name: patient.token})
            assert (status, len(matches(bundle)) > 0) == (200, True)
        assert stack.soap_calls == calls
        assert await reports(stack, other) == 1, "another patient is another question"
        await publish(stack, patient, "2")
        assert await reports(stack, patient) == 2


async def test_by_default_the_registry_is_asked_each_time(tmp_path):
    async with running_stack(tmp_path) as stack:
        stack.interfere = None
        patient = a_patient()
        await publish(stack, patient, "1")
        await reports(stack, patient)
        before = stack.soap_calls["/xds/registry"]
        await reports(stack, patient)
        assert stack.soap_calls["/xds/registry"] == before + 1


async def test_what_another_gateway_stores_is_seen_when_the_time_is_over(tmp_path):
    async with running_stack(tmp_path / "one", lifetimes={"registry_answer": 1}) as stack:
        stack.interfere = None
        patient = a_patient()
        await publish(stack, patient, "1")
        assert await reports(stack, patient) == 1
        settings = stack.settings.model_copy(update={"state_dir": tmp_path / "two"})
        async with running_gateway(settings) as other:
            await publish(other, patient, "2")
        async with asyncio.timeout(60):
            while await reports(stack, patient) == 1:
                await asyncio.sleep(0.05)
        assert await reports(stack, patient) == 2


async def test_what_is_stored_by_soap_is_seen_at_once(tmp_path):
    settings = {"lifetimes": {"registry_answer": 3600}, "xds_server": {"enabled": True}}
    async with running_stack(tmp_path, **settings) as stack:
        stack.interfere = None
        patient = a_patient()
        await publish(stack, patient, "1")
        assert await reports(stack, patient) == 1
        whose = Cx(patient.id, patient.authority)
        async with (
            behind(stack) as registry,
            xds_consumer(stack.base_url, load_contract().validate) as source,
        ):
            (first,) = (await registry.query(FindDocuments(patient_id=whose))).entries
            second = structs.replace(first, entry_uuid=uuid.uuid4().urn, unique_id="2.999.70.1")
            order = ReportOrder("W-2", ORGANIZATION, "P-W", ORGANIZATION)
            content = a_report("foot", patient, order, seed="2").content
            second = structs.replace(
                second, logical_id=None, version=None, hash=sha1(content), size=len(content)
            )
            answer = await source.provide(submission(second, patient_id=whose), content)
            assert answer.errors == ()
        assert await reports(stack, patient) == 2


async def test_what_an_operator_changes_is_seen_at_once(tmp_path):
    async with running_stack(tmp_path, lifetimes={"registry_answer": 3600}) as stack:
        stack.interfere = None
        patient = a_patient()
        await publish(stack, patient, "1")
        assert await reports(stack, patient) == 1
        (found,) = await stack.find(patient__identifier=patient.token, status="current")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")},
            "GATEWAY_REGISTRY__URL": stack.settings.registry.url,
            "GATEWAY_REPOSITORIES": json.dumps(
                [{"unique_id": r.unique_id, "url": r.url} for r in stack.settings.repositories]
            ),
            "GATEWAY_STATE_DIR": str(stack.settings.state_dir),
            "GATEWAY_LIFETIMES__REGISTRY_ANSWER": "3600",
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", "admin", "deprecate", found["id"], "--yes"),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        assert await reports(stack, patient) == 0


async def test_an_answer_is_given_again_to_who_got_it_alone(tmp_path):
    async with running_issuer() as issuer:
        security = {
            "access": "token",
            "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
        }
        async with running_stack(tmp_path, lifetimes={"registry_answer": 3600}, security=security) as stack:
            stack.interfere = None
            patient = a_patient()

            def bearer(client, scope="system/*.cruds", **claims):
                token = issuer.token(stack.base_url, scope, client_id=client, sub=client, **claims)
                return {"Authorization": f"Bearer {token}"}

            await publish(stack, patient, "1", **bearer("one"))
            assert await reports(stack, patient, **bearer("one")) == 1
            before = stack.soap_calls["/xds/registry"]
            assert await reports(stack, patient, **bearer("one")) == 1
            assert stack.soap_calls["/xds/registry"] == before
            assert await reports(stack, patient, **bearer("two")) == 1
            assert stack.soap_calls["/xds/registry"] == before + 1
            bound = bearer("one", "patient/*.rs", patient=a_patient().token)
            async with stack.session.get(
                f"{stack.base_url}/DiagnosticReport",
                params={"patient.identifier": patient.token},
                headers=bound,
            ) as answer:
                assert answer.status == 403


pytestmark = pytest.mark.asyncio
