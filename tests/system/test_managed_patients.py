"""Searches of Patient and `$match` with a patient manager beside the documents: each tells of patients, and where
they disagree nothing is merged.
"""

from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import PATIENT_AUTHORITY, SamplePatient
from gateway.model.codes import MOTHERS_MAIDEN_NAME
from tests.clients.managers import WARD, manager_at, person

from .documents import a_document
from .imaging import matches
from .issuers import running_issuer
from .stack import running_stack
from .test_patient_match import graded, match, parameters

pytestmark = pytest.mark.asyncio(loop_scope="module")

KNOWN = person(
    "anna",
    (PATIENT_AUTHORITY, "M-1"),
    (WARD, "w-1"),
    family="Manager",
    telecom=[{"system": "phone", "value": "0316 4711"}],
    extension=[{"url": MOTHERS_MAIDEN_NAME, "valueString": "Vorher"}],
)
BOTH = person("both", (PATIENT_AUTHORITY, "M-2"), family="Beide")
APART = person("apart", (PATIENT_AUTHORITY, "M-3"), family="Anders", born="1980-02-03")
NEW = person("new", (PATIENT_AUTHORITY, "M-4"), family="Neuling")
OLD = person(
    "old",
    (PATIENT_AUTHORITY, "M-5"),
    family="Altling",
    active=False,
    link=[{"other": {"reference": "Patient/new"}, "type": "replaced-by"}],
)
NAMELESS = person("none", family="Niemand")


def documented(patient, **changes):
    values = {
        "id": patient["identifier"][0]["value"],
        "family": patient["name"][0]["family"],
        "given": patient["name"][0]["given"][0],
        "birth_date": patient["birthDate"],
        "gender": patient["gender"],
        "city": "Graz",
        **changes,
    }
    return SamplePatient(**values)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("managed")
    people = (KNOWN, BOTH, APART, NEW, OLD, NAMELESS)
    async with manager_at(folder / "manager", *people) as (base, asked):
        managed = {"base_url": base, "domain": PATIENT_AUTHORITY, "max_attempts": 1}
        async with running_stack(folder / "stack", patient_manager=managed) as stack:
            stack.interfere = None
            for patient in (documented(BOTH), documented(APART, family="Sonders", birth_date="1990-01-01")):
                status, answer = await stack.publish(provide_bundle([a_document()], patient=patient))
                assert status == 200, answer
            yield stack, asked


async def search(stack, **asked):
    status, bundle = await stack.get("Patient", **asked)
    assert status == 200, bundle
    return bundle


def numbers(bundle):
    return [p["identifier"][0]["value"] for p in matches(bundle)]


@pytest.mark.parametrize(
    "asked",
    [
        {"family": "Manager", "birthdate": "1980-02-03"},
        {"family": "manager", "gender": "female"},
        {"identifier": f"urn:oid:{WARD}|w-1"},
        {"identifier": f"urn:oid:{PATIENT_AUTHORITY}|M-1"},
        {"telecom": "0316 4711", "family": "Man"},
        {"mothersMaidenName": "Vorher", "family": "Man"},
    ],
)
async def test_whom_the_manager_knows_is_found_without_documents(site, asked):
    stack, _ = site
    (found,) = matches(await search(stack, **asked))
    assert found["identifier"][0] == {"system": f"urn:oid:{PATIENT_AUTHORITY}", "value": "M-1"}
    assert {i["value"] for i in found["identifier"]} == {"M-1", "w-1"}
    assert found["telecom"] == KNOWN["telecom"] and found["active"] is True
    assert (await stack.get(f"Patient/{found['id']}")) == (200, found)
    assert matches(await search(stack, _id=found["id"])) == [found]


async def test_what_domains_are_wanted_changes_nothing_else(site):
    stack, _ = site
    (whole,) = matches(await search(stack, family="Manager"))
    (found,) = matches(await search(stack, family="Manager", identifier=f"urn:oid:{PATIENT_AUTHORITY}|"))
    assert found["id"] == whole["id"]
    assert found["identifier"] == whole["identifier"][:1]


async def test_what_manager_and_documents_agree_about_is_one_patient_with_documents(site):
    stack, _ = site
    (found,) = matches(await search(stack, family="Beide"))
    assert "address" not in found, "who the patient is says the manager"
    assert len(await stack.find(patient=f"Patient/{found['id']}", status="current")) == 1


async def test_what_they_disagree_about_stays_two_patients(site):
    stack, _ = site
    bundle = await search(stack, identifier=f"urn:oid:{PATIENT_AUTHORITY}|M-3")
    by_name = {p["name"][0]["family"]: p for p in matches(bundle)}
    assert set(by_name) == {"Anders", "Sonders"}
    (outcome,) = matches(bundle, "outcome")
    assert {i["code"] for i in outcome["issue"] if i["severity"] == "warning"} == {"conflict"}
    assert by_name["Anders"]["id"] != by_name["Sonders"]["id"]
    for found in by_name.values():
        assert (await stack.get(f"Patient/{found['id']}")) == (200, found)
        assert len(await stack.find(patient=f"Patient/{found['id']}", status="current")) == 1
    assert [p["id"] for p in matches(await search(stack, family="Sonders"))] == [by_name["Sonders"]["id"]]
    number = {"resourceType": "Patient", "identifier": APART["identifier"]}
    assert graded(await match(stack, parameters(number, only=True))) == []
    said = {**number, "name": [{"family": "Anders"}], "birthDate": "1980-02-03"}
    assert [g for _, _, g in graded(await match(stack, parameters(said, only=True)))] == ["certain"]


async def test_who_was_merged_refers_to_who_took_their_place(site):
    stack, _ = site
    (new,) = matches(await search(stack, family="Neuling"))
    (old,) = matches(await search(stack, family="Altling"))
    assert old["active"] is False
    assert old["link"] == [{"other": {"reference": f"Patient/{new['id']}"}, "type": "replaced-by"}]
    assert matches(await search(stack, family="Altling", active="true")) == []
    assert (await stack.get(f"Patient/{old['id']}")) == (200, old)


async def test_who_has_no_identifier_that_is_known_is_left_out_and_that_is_told(site):
    stack, _ = site
    bundle = await search(stack, family="Niemand")
    assert matches(bundle) == []
    (outcome,) = matches(bundle, "outcome")
    assert "terminology.assigning_authorities" in outcome["issue"][-1]["diagnostics"]


async def test_the_manager_is_matched_too(site):
    stack, asked = site
    wanted = {name: value for name, value in KNOWN.items() if name not in ("id", "identifier")}
    # names, birth and sex, the telecom and the maiden name
    assert graded(await match(stack, parameters(wanted, only=True))) == [("M-1", 1.0, "certain")]
    assert all("Manager" not in path for _, path, _ in asked), "no name is in a URL"


async def test_without_the_manager_documents_tell_and_the_answer_says_so(tmp_path):
    managed = {"base_url": "http://127.0.0.1:9/patients", "domain": PATIENT_AUTHORITY, "max_attempts": 1}
    async with running_stack(tmp_path, patient_manager=managed) as stack:
        status, answer = await stack.publish(provide_bundle([a_document()], patient=documented(BOTH)))
        assert status == 200, answer
        bundle = await search(stack, family="Beide")
        (found,) = matches(bundle)
        issues = [i for outcome in matches(bundle, "outcome") for i in outcome["issue"]]
        assert any("patient manager" in i["diagnostics"] and i["severity"] == "warning" for i in issues)
        assert (await stack.get(f"Patient/{found['id']}")) == (200, found)


RULES = f"""
default: permit
rules:
  - name: who opted out is for the treating alone
    effect: deny
    when: {{patient: "urn:oid:{PATIENT_AUTHORITY}|M-1"}}
    unless: {{purpose: TREAT}}
"""


async def test_the_policy_decides_about_patients_of_whom_there_is_nothing_else(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    treating = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}
    async with running_issuer() as issuer, manager_at(tmp_path / "manager", KNOWN, BOTH) as (base, _):
        security = {
            "access": "token",
            "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
            "policy": {"rules_file": str(rules)},
        }
        managed = {"base_url": base, "domain": PATIENT_AUTHORITY, "max_attempts": 1}
        async with running_stack(tmp_path / "stack", security=security, patient_manager=managed) as stack:

            async def ask(path, *, body=None, **claims):
                token = issuer.token(stack.base_url, "system/Patient.rs", **claims)
                headers = {"Authorization": f"Bearer {token}"}
                if body is not None:
                    headers["Content-Type"] = "application/fhir+json"
                method = "GET" if body is None else "POST"
                async with stack.session.request(
                    method, f"{stack.base_url}/{path}", headers=headers, json=body
                ) as answer:
                    return answer.status, await answer.json(content_type=None)

            who = {"extensions": {"ihe_iua": {"purpose_of_use": [treating]}}}
            body = {"resourceType": "Patient", "identifier": KNOWN["identifier"]}
            _, seen = await ask("Patient?family=Manager", **who)
            (known,) = matches(seen)
            assert len(matches((await ask("Patient/$match", body=body, **who))[1])) == 1
            assert (await ask(f"Patient/{known['id']}", **who)) == (200, known)
            assert matches((await ask("Patient?family=Manager"))[1]) == []
            assert matches((await ask("Patient?family=Beide"))[1]) != []
            assert matches((await ask("Patient/$match", body=body))[1]) == []
            nobody = {"resourceType": "Patient", "name": [{"family": "Unbekannt"}], "birthDate": "1980-02-03"}
            alike = {**nobody, "name": KNOWN["name"]}
            told = [(await ask("Patient/$match", body=each))[1] for each in (nobody, alike)]
            assert [(answer["total"], answer.get("entry", [])) for answer in told] == [(0, [])] * 2
            assert (await ask(f"Patient/{known['id']}"))[0] == 403


async def test_who_took_over_a_number_is_shown_and_a_number_of_two_shows_nobody(tmp_path):
    replaced = [{"other": {"reference": "Patient/b-new"}, "type": "replaced-by"}]
    people = (
        person("a-old", (PATIENT_AUTHORITY, "M-9"), family="Wechsel", active=False, link=replaced),
        person("b-new", (PATIENT_AUTHORITY, "M-9"), family="Wechsel"),
        person("c-one", (PATIENT_AUTHORITY, "M-8"), family="Doppelt"),
        person("d-two", (PATIENT_AUTHORITY, "M-8"), family="Doppelt"),
    )
    async with manager_at(tmp_path / "manager", *people) as (base, _):
        managed = {"base_url": base, "domain": PATIENT_AUTHORITY, "max_attempts": 1}
        async with running_stack(tmp_path / "stack", patient_manager=managed) as stack:
            (found,) = matches(await search(stack, family="Wechsel"))
            assert found["active"] is True
            assert "link" not in found
            bundle = await search(stack, family="Doppelt")
            assert matches(bundle) == []
            (outcome,) = matches(bundle, "outcome")
            assert "multiple-matches" in {issue["code"] for issue in outcome["issue"]}


async def test_whom_only_the_manager_knows_is_not_gone_while_it_is_away(tmp_path):
    managed = {"domain": PATIENT_AUTHORITY, "max_attempts": 1}
    async with AsyncExitStack() as manager:
        base, _ = await manager.enter_async_context(manager_at(tmp_path / "manager", KNOWN))
        async with running_stack(tmp_path / "stack", patient_manager={"base_url": base, **managed}) as stack:
            (found,) = matches(await search(stack, family="Manager"))
            await manager.aclose()
            for path in (f"Patient/{found['id']}", f"Patient?_id={found['id']}"):
                status, outcome = await stack.get(path)
                assert status in (502, 504), path
                assert "patient manager" in outcome["issue"][0]["diagnostics"]
