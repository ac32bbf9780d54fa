"""Replicas share keys and Redis and nothing else: what one hands out, any other takes."""

import asyncio
import secrets

import pytest

from gateway.demo.bundles import provide_bundle
from gateway.settings import Settings
from tests.correlation.servers import Server
from tests.system import wire_failures as wire
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_gateway, running_stack

PUBLIC = "https://documents.example/fhir"


def settings_of(stack, **changes):
    """The settings of a gateway with some sections changed."""
    return Settings(**{**stack.settings.model_dump(), **changes})


@pytest.fixture
async def replicas(tmp_path):
    """Two gateways behind one public URL."""
    redis = Server(tmp_path / "redis").start()
    common = {
        "redis": {"url": redis.url},
        "security": {"keys": [secrets.token_hex(32)]},
        "server": {"base_url": PUBLIC},
    }
    try:
        async with (
            running_stack(tmp_path, **common) as first,
            running_gateway(settings_of(first, state_dir=tmp_path / "second")) as second,
        ):
            yield first, second
    finally:
        redis.kill()


def through(gateway, url):
    """What the load balancer makes of a public URL."""
    assert url.startswith(f"{PUBLIC}/")
    return url.replace(PUBLIC, gateway.base_url)


def next_of(page):
    return next((link["url"] for link in page["link"] if link["relation"] == "next"), None)


async def walk(gateways, parameters):
    """References of all pages, each page asked of the next gateway."""
    turn = 0
    _, page = await gateways[0].get("DocumentReference", **parameters)
    found = [e["resource"] for e in page["entry"]]
    while (link := next_of(page)) is not None:
        turn += 1
        gateway = gateways[turn % len(gateways)]
        status, page = await gateway.get(through(gateway, link))
        assert status == 200, page
        found += [e["resource"] for e in page["entry"]]
    return found


async def test_what_one_replica_hands_out_works_on_the_other(replicas):
    first, second = replicas
    patient = a_patient()
    documents = [a_document(content=b"%d" % n) for n in range(5)]
    status, answer = await first.publish(provide_bundle(documents, patient=patient))
    assert status == 200
    found = await walk(replicas, {"patient.identifier": patient.token, "status": "current", "_count": 2})
    assert len({reference["id"] for reference in found}) == len(found) == 5
    contents = set()
    for reference in found:
        url = through(second, reference["content"][0]["attachment"]["url"])
        async with second.session.get(url) as response:
            assert response.status == 200
            contents.add(await response.read())
    assert contents == {document.content for document in documents}
    subject = found[0]["subject"]["reference"]
    assert (await second.get(subject))[1]["identifier"] == [patient.identifier]
    on_second = await second.find(patient=subject, status="current")
    on_first = await first.find(patient=subject, status="current")
    assert on_second == on_first, "both write the same resources, URLs included"
    for entry in answer["entry"][:6]:
        location = entry["response"]["location"].removeprefix(f"{PUBLIC}/")
        assert (await second.get(location))[0] == 200


async def test_pages_are_read_from_the_snapshot_of_the_other_replica(replicas):
    first, second = replicas
    patient = a_patient()
    await first.publish(provide_bundle([a_document() for _ in range(3)], patient=patient))
    parameters = {"patient.identifier": patient.token, "status": "current", "_count": 2}
    _, page = await first.get("DocumentReference", **parameters)
    first.soap_calls.clear()
    status, _ = await second.get(through(second, next_of(page)))
    assert status == 200
    assert first.soap_calls[wire.REGISTRY] == 1, "only the associations of the page are asked for"


async def test_the_same_bundle_at_two_replicas_at_once_is_stored_once(replicas):
    first, second = replicas
    patient = a_patient()
    for _ in range(5):
        bundle = provide_bundle([a_document(content=b"same")], patient=patient)
        first.soap_calls.clear()
        answers = await asyncio.gather(*(g.publish(bundle) for g in (first, second, first, second)))
        assert [status for status, _ in answers] == [200] * 4
        assert all(answer == answers[0][1] for _, answer in answers)
        assert first.soap_calls[wire.REPOSITORY] == 1
    assert len(await second.find(patient__identifier=patient.token, status="current")) == 5


async def test_the_other_replica_answers_a_publish_whose_outcome_the_first_never_learned(replicas):
    first, second = replicas
    patient = a_patient()
    bundle = provide_bundle([a_document(content=b"same")], patient=patient)

    async def everything_cut(request):
        if request.path == wire.REGISTRY:
            return await wire.cut_before_headers(request)
        return await wire.at(wire.REPOSITORY, wire.carried_out_then_cut)(request)

    first.interfere = everything_cut
    status, _ = await first.publish(bundle)
    assert status == 502
    first.interfere = None
    status, answer = await second.publish(bundle)
    assert status == 200
    assert await first.publish(bundle) == (200, answer)
    assert len(await first.find(patient__identifier=patient.token, status="current")) == 1


async def test_a_gateway_with_other_keys_opens_nothing(replicas, tmp_path):
    first, _ = replicas
    patient = a_patient()
    await first.publish(provide_bundle([a_document() for _ in range(3)], patient=patient))
    _, page = await first.get(
        "DocumentReference", **{"patient.identifier": patient.token, "status": "current", "_count": 2}
    )
    reference = page["entry"][0]["resource"]
    other = settings_of(first, state_dir=tmp_path / "other", security={"keys": [secrets.token_hex(32)]})
    async with running_gateway(other) as stranger:
        for url in (reference["content"][0]["attachment"]["url"], next_of(page)):
            status, outcome = await stranger.get(through(stranger, url))
            assert (status, outcome["resourceType"]) == (404, "OperationOutcome")
        status, _ = await stranger.get(reference["subject"]["reference"])
        assert status == 404
        # the same Redis: what it holds is not readable for the stranger, and not destroyed by it
        assert len(await stranger.find(patient__identifier=patient.token, status="current")) == 3
    status, _ = await first.get(through(first, next_of(page)))
    assert status == 200


async def test_keys_can_be_changed_without_breaking_what_was_handed_out(replicas, tmp_path):
    first, _ = replicas
    patient, document = a_patient(), a_document(content=b"old key")
    await first.publish(provide_bundle([document], patient=patient))
    (reference,) = await first.find(patient__identifier=patient.token, status="current")
    keys = [secrets.token_hex(32), *first.settings.security.keys]
    changed = settings_of(first, state_dir=tmp_path / "changed", security={"keys": keys})
    async with running_gateway(changed) as later:
        url = through(later, reference["content"][0]["attachment"]["url"])
        async with later.session.get(url) as response:
            assert (response.status, await response.read()) == (200, b"old key")
        assert (await later.get(reference["subject"]["reference"]))[0] == 200


async def test_a_gateway_that_was_restarted_knows_its_urls_pages_and_answers(tmp_path):
    patient = a_patient()
    async with running_stack(tmp_path, server={"base_url": PUBLIC}) as domain:
        settings = settings_of(domain, state_dir=tmp_path / "restarted")
        bundle = provide_bundle([a_document(content=b"%d" % n) for n in range(3)], patient=patient)
        parameters = {"patient.identifier": patient.token, "status": "current", "_count": 2}
        async with running_gateway(settings) as before:
            status, answer = await before.publish(bundle)
            assert status == 200
            _, page = await before.get("DocumentReference", **parameters)
        domain.soap_calls.clear()
        async with running_gateway(settings) as after:
            assert await after.publish(bundle) == (200, answer)
            assert not domain.soap_calls, "the answer was kept"
            status, rest = await after.get(through(after, next_of(page)))
            assert status == 200
            assert domain.soap_calls == {wire.REGISTRY: 1}, "the snapshot was kept"
            references = [e["resource"] for e in (*page["entry"], *rest["entry"])]
            contents = set()
            for reference in references:
                url = through(after, reference["content"][0]["attachment"]["url"])
                async with after.session.get(url) as response:
                    contents.add(await response.read())
            assert contents == {b"0", b"1", b"2"}
            assert (await after.get(references[0]["subject"]["reference"]))[0] == 200
