"""Patients whom clients name as other domains do: who they are here is asked of the patient manager, and nobody is
taken for somebody else."""

import base64
from contextlib import asynccontextmanager
from dataclasses import replace

from aiohttp import web

from gateway.demo.bundles import provide_bundle
from gateway.model import Cx
from tests.clients.managers import DOMAIN, HOSPITAL, SHARED, WARD, manager_at, person
from tests.crossborder.neighbours import OWN, home_of, neighbours, outcomes
from tests.crossborder.test_identities import two_worlds
from tests.system.documents import a_document, a_patient
from tests.system.imaging import published_study
from tests.system.issuers import running_issuer
from tests.system.stack import running_stack, site
from tests.system.test_audit import audited, named


def known(patient, number, *further, **more):
    """The Patient that the manager has of a patient of the domain."""
    return person(number, (patient.authority, patient.id), *further, **more)


def cx(patient):
    return Cx(patient.id, patient.authority)


def settings_of(base, **more):
    return {"base_url": base, "domain": DOMAIN, "max_attempts": 1, **more}


async def publish(stack, patient):
    document = a_document()
    status, answer = await stack.publish(provide_bundle([document], patient=patient))
    assert status == 200, answer
    return document


async def search(stack, resource="DocumentReference", **named):
    """Status, matches and issues of a search."""
    named = {name.replace("__", "."): value for name, value in named.items()}
    status, bundle = await stack.get(resource, **named)
    if status != 200:
        return status, [], bundle["issue"]
    found = [e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match"]
    return status, found, [i for i in outcomes(bundle) if i["severity"] != "information"]


@asynccontextmanager
async def with_manager(tmp_path, *patients, manager=None, **settings):
    """A gateway with a manager of these Patients, and what the manager was asked."""
    async with (
        manager_at(tmp_path / "patients", *patients) as (base, asked),
        running_stack(
            tmp_path / "stack", patient_manager=settings_of(base, **(manager or {})), **settings
        ) as stack,
    ):
        yield stack, base, asked


async def test_documents_are_found_by_whatever_the_manager_knows_the_patient_by(tmp_path):
    here, other, twice = a_patient(), a_patient(), a_patient()
    patients = (
        known(here, "anna", (WARD, "w-1"), (HOSPITAL, "h-1")),
        known(other, "bert", (WARD, "w-2")),
        known(twice, "one", (WARD, "both")),
        known(a_patient(), "two", (WARD, "both")),
        person("elsewhere", (WARD, "w-3")),
        person("gone", (WARD, "w-4"), active=False),
    )
    async with with_manager(tmp_path, *patients) as (stack, base, asked):
        document = await publish(stack, here)
        await publish(stack, other)
        await publish(stack, twice)
        asked.clear()
        for named in (
            {"patient__identifier": f"urn:oid:{WARD}|w-1"},
            {"patient__identifier": f"{HOSPITAL}|h-1"},
            {"subject__identifier": f"urn:oid:{WARD}|w-1"},
            {"patient:identifier": f"urn:oid:{WARD}|w-1"},
            {"patient": f"{base}/Patient/anna"},
            {"patient": f"{base}/Patient/anna/_history/3"},
            {"patient__identifier": f"{here.token},urn:oid:{WARD}|w-1"},
        ):
            status, (found,), issues = await search(stack, status="current", **named)
            assert (status, issues) == (200, []), named
            assert found["masterIdentifier"]["value"] == f"urn:oid:{document.unique_id}"
            assert found["subject"]["identifier"]["value"] == here.id
        # what is remembered is not asked again
        assert len([path for _, path, _ in asked if "w-1" in path]) == 1

        for value, code in (("w-9", "not-found"), ("w-3", "not-found"), ("w-4", "not-found"),
                            ("both", "multiple-matches")):  # fmt: skip
            named = {"patient.identifier": f"urn:oid:{WARD}|{value}"}
            for resource in ("DocumentReference", "List", "ImagingStudy", "DiagnosticReport"):
                status, found, issues = await search(stack, resource, **named)
                assert (status, found, [i["code"] for i in issues]) == (200, [], [code]), (value, resource)
                assert value not in issues[0]["diagnostics"]
        status, found, issues = await search(
            stack, status="current", patient__identifier="urn:oid:2.999.404|x"
        )
        assert (status, found, [i["code"] for i in issues]) == (200, [], ["not-found"])

        # a search of documents and Lists at once says it once
        _, bundle = await stack.get("", _type="DocumentReference,List", **named)
        codes = [issue["code"] for issue in outcomes(bundle)]
        assert (bundle["total"], codes.count("multiple-matches")) == (0, 1)

        # also of a system that no setting maps
        status, found, issues = await search(stack, status="current", patient__identifier=f"{HOSPITAL}|h-9")
        assert (status, found, [i["code"] for i in issues]) == (200, [], ["not-found"])

        # the identifier of the domain needs nobody
        before = len(asked)
        assert len((await search(stack, status="current", patient__identifier=other.token))[1]) == 1
        assert len(asked) == before

        report = await stack.health()
        assert report["circuits"]["patient manager ITI-83"] == "closed"
        assert report["abilities"]["patients"] == "up"


async def test_pages_go_on_with_the_patient_who_was_found_first(tmp_path):
    here = a_patient()
    async with with_manager(tmp_path, known(here, "anna", (WARD, "w-1"))) as (stack, _, asked):
        documents = {(await publish(stack, here)).unique_id for _ in range(3)}
        named = {"patient.identifier": f"urn:oid:{WARD}|w-1", "status": "current", "_count": 2}
        _, page = await stack.get("DocumentReference", **named)
        links = {link["relation"]: link["url"] for link in page["link"]}
        asked.clear()
        _, following = await stack.get(links["next"])
        found = {
            e["resource"]["masterIdentifier"]["value"].removeprefix("urn:oid:")
            for bundle in (page, following)
            for e in bundle["entry"]
            if e["search"]["mode"] == "match"
        }
        assert (found, asked) == (documents, [])
        assert here.id in links["self"], "the search that was made is that of the domain's identifier"


async def test_a_manager_without_pixm_is_asked_by_pdqm(tmp_path):
    here = a_patient()
    link = [{"type": "replaced-by", "other": {"reference": "Patient/anna"}}]
    patients = (
        known(here, "anna", (HOSPITAL, "h|1")),
        person("merged", (WARD, "w-1"), active=False, link=link),
        person("nobody", (WARD, "w-2")),
    )
    async with with_manager(tmp_path, *patients, manager={"speaks": ["PDQm"]}) as (stack, base, asked):
        await publish(stack, here)
        for named in (
            {"patient__identifier": f"{HOSPITAL}|h\\|1"},
            {"patient__identifier": f"urn:oid:{WARD}|w-1"},
            {"patient": f"{base}/Patient/merged"},
        ):
            assert len((await search(stack, status="current", **named))[1]) == 1, named
        _, found, issues = await search(stack, status="current", patient__identifier=f"urn:oid:{WARD}|w-2")
        assert (found, [i["code"] for i in issues]) == ([], ["not-found"])
    assert not any("ihe-pix" in path for _, path, _ in asked)


async def test_a_server_that_answers_with_everybody_makes_nobody_somebody_else(tmp_path):
    here = a_patient()
    everybody = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": known(here, "anna", (WARD, "w-1"))}],
    }

    async def answer(_):
        return web.json_response(everybody, content_type="application/fhir+json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with site(app) as url:
        manager = settings_of(url, speaks=["PDQm"])
        async with running_stack(tmp_path, patient_manager=manager) as stack:
            await publish(stack, here)
            status, found, issues = await search(
                stack, status="current", patient__identifier=f"urn:oid:{WARD}|w-9"
            )
    assert (status, found, [i["code"] for i in issues]) == (200, [], ["not-found"])


async def test_without_the_manager_only_its_own_searches_fail_and_say_that_it_does(tmp_path):
    here = a_patient()
    told = {"status": 500}

    async def answer(request):
        if told["status"] is None:
            request.transport.abort()
        return web.Response(status=told["status"] or 500)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with site(app) as url:
        manager = settings_of(url, circuit_threshold=2, circuit_reset=600)
        async with running_stack(tmp_path, patient_manager=manager) as stack:
            await publish(stack, here)
            named = {"patient__identifier": f"urn:oid:{WARD}|w-1", "status": "current"}
            for status, expected in ((504, 504), (403, 502), (503, 503), (None, 502)):
                told["status"] = status
                got, _, issues = await search(stack, **named)
                assert got == expected
                assert "patient manager" in issues[0]["diagnostics"]
                assert "w-1" not in str(issues)
            told["status"] = 404
            assert (await search(stack, **named))[0] == 503, "the circuit is open, so that it is not asked"
            report = await stack.health()
            assert (report["status"], report["abilities"]["patients"]) == ("impaired", "degraded")
            assert len((await search(stack, status="current", patient__identifier=here.token))[1]) == 1


async def test_a_manager_that_does_not_know_the_domain_is_a_mistake_of_the_settings(tmp_path):
    async with with_manager(tmp_path, person("anna", (WARD, "w-1")), manager={"domain": "2.999.405"}) as (
        stack,
        _,
        _,
    ):
        status, _, issues = await search(stack, status="current", patient__identifier=f"urn:oid:{WARD}|w-1")
    assert status == 502
    assert "patient_manager.domain" in issues[0]["diagnostics"]


async def test_who_is_bound_to_a_patient_learns_nothing_of_others(tmp_path):
    here, other = a_patient(), a_patient()
    patients = (known(here, "anna", (WARD, "w-1")), known(other, "bert", (WARD, "w-2")))
    async with running_issuer() as issuer:
        trusted = {
            "access": "token",
            "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
        }
        async with with_manager(tmp_path, *patients, security=trusted) as (stack, _, _):
            bound = issuer.token(stack.base_url, "patient/*.cruds", patient=here.token)
            statuses = {}
            for value in ("w-1", "w-2", "nobody"):
                url = f"{stack.base_url}/DocumentReference?patient.identifier=urn:oid:{WARD}|{value}&status=current"
                async with stack.session.get(url, headers={"Authorization": f"Bearer {bound}"}) as answer:
                    statuses[value] = answer.status
    assert statuses == {"w-1": 200, "w-2": 403, "nobody": 403}


async def test_a_community_is_asked_by_the_shared_identifier_that_the_manager_knows(tmp_path):
    here, there = a_patient(), a_patient()
    shared = replace(there, authority=SHARED)
    manager = known(here, "anna", (SHARED, shared.id), (WARD, "w-1"))
    async with manager_at(tmp_path / "patients", manager) as (base, _):
        changes = {"1": {"assigning_authorities": [SHARED]}}
        own = {"patient_manager": settings_of(base)}
        async with neighbours(tmp_path, "1", own=own, changes=changes) as around:
            mine = await publish(around.front, here)
            theirs = await publish(around.by_name["1"].stack, shared)
            for named in (here.token, f"urn:oid:{WARD}|w-1", f"urn:oid:{SHARED}|{shared.id}"):
                status, found, issues = await search(
                    around.front, status="current", patient__identifier=named
                )
                assert (status, issues) == (200, [])
                by_home = {home_of(f): f["masterIdentifier"]["value"] for f in found}
                assert by_home == {
                    OWN: f"urn:oid:{mine.unique_id}",
                    f"{OWN}.1": f"urn:oid:{theirs.unique_id}",
                }
                assert {f["subject"]["identifier"]["value"] for f in found} == {here.id}
            # whom the manager does not know, communities may
            stranger = replace(a_patient(), authority=SHARED)
            await publish(around.by_name["1"].stack, stranger)
            _, found, issues = await search(
                around.front, status="current", patient__identifier=f"urn:oid:{SHARED}|{stranger.id}"
            )
            assert (len(found), issues) == (1, [])


async def test_a_community_is_asked_by_the_names_that_the_manager_knows(tmp_path):
    here, unnamed = a_patient(), a_patient()
    address = [{"line": ["Gasse 1"], "city": "Wien", "country": "AT"}]
    anna = known(here, "anna", family="Muster-Alt", address=address)
    async with (
        manager_at(tmp_path / "patients", anna) as (base, asked),
        two_worlds(tmp_path, patient_manager=settings_of(base)) as (around, index, documents),
    ):
        there, other = documents
        index.called = {"Muster-Alt": [there]}
        index.known = {cx(unnamed): [other]}
        for _ in range(2):
            (found,) = await around.front.find(patient__identifier=here.token, status="current")
        assert home_of(found) == f"{OWN}.1"
        assert found["subject"]["identifier"]["value"] == here.id
        (query,) = index.queries
        assert query.identifiers == (cx(here),)
        assert [(n.family, n.given) for n in query.names] == [("Muster-Alt", "Anna")]
        assert (query.birth_date, query.gender) == ("19800203", "F")
        assert [a.city for a in query.addresses] == ["Wien"]
        assert len(asked) == 1, "what the manager and the community said is remembered"

        # whom the manager does not know is asked for by the identifier alone
        assert len(await around.front.find(patient__identifier=unnamed.token, status="current")) == 1
        assert index.queries[1].names == ()


async def test_two_patients_of_one_name_are_not_taken_for_one(tmp_path):
    here = a_patient()
    async with (
        manager_at(tmp_path / "patients", known(here, "anna")) as (base, _),
        two_worlds(tmp_path, patient_manager=settings_of(base)) as (around, index, documents),
    ):
        index.called = {"Muster": list(documents)}
        status, found, issues = await search(around.front, status="current", patient__identifier=here.token)
    assert (status, found) == (200, [])
    assert f"{OWN}.1" in issues[0]["diagnostics"]


async def test_without_the_manager_a_community_may_still_know_the_identifier(tmp_path):
    here, other = a_patient(), a_patient()
    away = {"base_url": "http://127.0.0.1:1/fhir", "domain": DOMAIN, "max_attempts": 1}
    async with two_worlds(tmp_path, patient_manager=away) as (around, index, documents):
        index.known = {cx(here): [next(iter(documents))]}
        assert len(await around.front.find(patient__identifier=here.token, status="current")) == 1
        # that it does not know him may be for want of his name
        status, found, issues = await search(around.front, status="current", patient__identifier=other.token)
        assert (status, found) == (200, [])
        assert "patient manager" in issues[0]["diagnostics"]


async def test_images_are_searched_by_the_number_of_another_hospital(tmp_path):
    async with manager_at(tmp_path / "patients") as (base, _):
        own = settings_of(base, unknown_lifetime=0.001)
        async with published_study(tmp_path, "qido", patient_manager=own) as published:
            stack, here = published.stack, published.content.patient
            # the manager learns of the patient by ITI-104
            url = f"{base}/Patient?identifier={here.token}"
            async with stack.session.put(url, json=known(here, "x", (WARD, "w-1"))) as answer:
                assert answer.status == 201
            for number, issuer, status in (("w-1", WARD, 200), (here.id, DOMAIN, 200), ("w-9", WARD, 204)):
                url = f"{stack.base_url}/dicomweb/studies"
                asked = {"PatientID": number, "IssuerOfPatientID": issuer}
                async with stack.session.get(url, params=asked) as answer:
                    assert answer.status == status, number
                    assert ("patient manager" in answer.headers.get("Warning", "")) is (status == 204)


async def test_what_the_manager_is_asked_is_recorded_and_measured(tmp_path):
    here = a_patient()
    async with (
        manager_at(tmp_path / "patients", known(here, "anna", (WARD, "w-1"))) as (base, _),
        audited(tmp_path / "stack", patient_manager=settings_of(base), metrics={"enabled": True}) as gateway,
    ):
        path = "/DocumentReference?status=current&patient.identifier=urn:oid:"
        _, _, events = await gateway.asked("GET", f"{path}{WARD}|w-1")
        (event,) = (event for event in events if named(event) == "ITI-83")
        assert event["outcome"] == "0"
        assert event["meta"]["profile"] == [
            "https://profiles.ihe.net/ITI/PIXm/StructureDefinition/IHE.PIXm.Query.Audit.Consumer"
        ]
        who, what = (e for e in event["entity"] if e["type"]["code"] in ("1", "2"))
        assert who["what"]["identifier"] == {"system": f"urn:oid:{WARD}", "value": "w-1"}
        assert "w-1" in base64.b64decode(what["query"]).decode()
        assert event["agent"][1]["network"]["address"] == "127.0.0.1"
        root = gateway.stack.base_url.removesuffix("/fhir")
        async with gateway.session.get(f"{root}/metrics") as answer:
            measured = await answer.text()
        assert 'peer="patient manager"' in measured
        assert "w-1" not in measured
