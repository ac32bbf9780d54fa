"""A walk through publish, find and retrieve as an outside client, over HTTP alone.

Every run uses patients and documents of its own, so that it can be repeated against a gateway that keeps
its state.
"""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

import aiohttp

from gateway.demo.content import sample_content
from gateway.demo.outside_client import OutsideClient, TokenSource, expect, require
from gateway.demo.walk import Walk
from gateway.demo.walk_admin import AdminCommand, AdminWalk
from gateway.demo.walk_find import FindWalk
from gateway.demo.walk_formats import FormatWalk
from gateway.demo.walk_generate import GenerateWalk
from gateway.demo.walk_images import ImageWalk
from gateway.demo.walk_lists import LIST_PARAMETERS, ListWalk
from gateway.demo.walk_manifests import ManifestWalk
from gateway.demo.walk_patients import PatientWalk
from gateway.demo.walk_publish import REPLACED, PublishWalk, make_samples
from gateway.demo.walk_r5 import R5Walk
from gateway.demo.walk_report_resources import ReportResourceWalk
from gateway.demo.walk_reports import ReportWalk
from gateway.demo.walk_results import ResultWalk
from gateway.demo.walk_retrieve import RetrieveWalk
from gateway.demo.walk_simplified import SimplifiedWalk
from gateway.demo.walk_tokens import TokenWalk
from gateway.model.releases import FhirRelease

_SECONDS_PER_REQUEST = 60

SEARCHED = (
    "patient",
    "patient.identifier",
    "status",
    "type",
    "category",
    "format",
    "creation",
    "period",
    "date",
    "_lastUpdated",
    "event",
    "setting",
    "facility",
    "security-label",
    "identifier",
    "_id",
    "related",
    "author.given",
    "author.family",
)


def run_check(
    base_url: str,
    out: Callable[[str], object] = print,
    admin: AdminCommand | None = None,
    images: Path | None = None,
    token: TokenSource | None = None,
) -> int:
    """Walk through the gateway at `base_url` (`http://host:port/fhir`), one line per step to `out`.

    With `admin` an operator's changes are walked through too, with `images` (the folder in which each
    location has the folder of its images) imaging studies, with `token` (a source of access tokens) what
    happens without one. Returns 0 where every step passed, else 1.
    """
    return asyncio.run(_check(base_url, out, admin, images, token))


async def _check(
    base_url: str,
    out: Callable[[str], object],
    admin: AdminCommand | None,
    images: Path | None,
    token: TokenSource | None,
) -> int:
    seed = secrets.token_hex(8)
    samples = make_samples(sample_content(seed, f"CHECK-{seed}-1", f"CHECK-{seed}-2"), seed)
    timeout = aiohttp.ClientTimeout(total=_SECONDS_PER_REQUEST)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        aiohttp.ClientSession(timeout=timeout) as second_session,
    ):
        client = OutsideClient(session, base_url, token)
        walk = Walk(out)
        await _run_server_steps(walk, client)
        publish = PublishWalk(client, OutsideClient(second_session, base_url, token), samples)
        await publish.run(walk)
        retrieve = RetrieveWalk(client, samples)
        await retrieve.run(walk)
        if token is not None:
            await TokenWalk(client, OutsideClient(second_session, base_url), samples).run(walk)
        await FindWalk(client, samples, publish.locations).run(walk)
        await ListWalk(client, samples).run(walk)
        await ResultWalk(client, samples).run(walk)
        await PatientWalk(client, samples).run(walk)
        await FormatWalk(client, samples).run(walk)
        r5 = OutsideClient(session, f"{client.base_url}/R5", token)
        await R5Walk(client, r5, samples).run(walk)
        await SimplifiedWalk(client, samples).run(walk)
        await GenerateWalk(client, samples).run(walk)
        await publish.run_replacement(walk)
        await retrieve.run_after_replacement(walk, (REPLACED,))
        content = sample_content(f"{seed} images", f"CHECK-{seed}-3", f"CHECK-{seed}-4")
        if images is not None:
            reported = sample_content(f"{seed} report resources", f"CHECK-{seed}-5", f"CHECK-{seed}-6")
            reported_in_r5 = sample_content(f"{seed} reports in R5", f"CHECK-{seed}-7", f"CHECK-{seed}-8")
            # sources look into their folders when they are asked first
            reported.images.write(images)
            reported_in_r5.images.write(images)
            await ImageWalk(client, content, images).run(walk)
            await ManifestWalk(client, content).run(walk)
            await ReportResourceWalk(client, reported).run(walk)
            await ReportResourceWalk(r5, reported_in_r5, FhirRelease.R5).run(walk)
        await ReportWalk(client, content, manifest=images is not None).run(walk)
        if admin is not None:
            await AdminWalk(client, samples, admin).run(walk)
    out(walk.summary())
    return 1 if walk.failed else 0


async def _run_server_steps(walk: Walk, client: OutsideClient) -> None:
    async def ready() -> None:
        answer = await client.request("GET", urljoin(client.base_url, "/health/ready"))
        answer.expect_status(200)

    async def metadata() -> None:
        answer = await client.request("GET", f"{client.base_url}/metadata")
        statement = answer.expect_status(200).json()
        expect("resourceType", "CapabilityStatement", statement.get("resourceType"))
        expect("fhirVersion", "4.0.1", statement.get("fhirVersion"))
        (rest,) = statement["rest"]
        require(
            "interaction transaction", any(i["code"] == "transaction" for i in rest.get("interaction", []))
        )
        for resource, names in (("DocumentReference", SEARCHED), ("List", LIST_PARAMETERS)):
            (stated,) = [r for r in rest["resource"] if r["type"] == resource]
            kinds = {interaction["code"] for interaction in stated["interaction"]}
            require(f"read and search-type of {resource}", {"read", "search-type"} <= kinds)
            listed = {parameter["name"] for parameter in stated["searchParam"]}
            expect(f"search parameters of {resource} not listed", [], [n for n in names if n not in listed])

    await walk.step("the gateway is ready", ready)
    await walk.step("the CapabilityStatement lists what is used", metadata)
