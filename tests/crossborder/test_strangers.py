"""Documents of patients whom their sources name as other domains do: they are stored for who it is here, and for
nobody else."""

import pytest

from gateway.demo.bundles import provide_bundle
from tests.clients.managers import DOMAIN, HOSPITAL, WARD, identifier, manager_at, person
from tests.crossborder.test_patient_manager import known, search, settings_of, with_manager
from tests.system.documents import a_document, a_patient
from tests.system.issuers import running_issuer
from tests.system.stack import running_stack


@pytest.fixture
def here():
    return a_patient()


PATIENT = "urn:uuid:7f6f1dcf-2c4f-4d0e-9a3e-0b7d1a6a5c11"


def bundle_of(subject, document):
    """A Bundle whose subjects are `subject`."""
    bundle = provide_bundle([document], patient=a_patient())
    for entry in bundle["entry"]:
        if "subject" in entry["resource"]:
            entry["resource"]["subject"] = dict(subject)
    return bundle


async def stored_for(stack, document, patient):
    """Whether the document is found under the patient's identifier here."""
    _, found, _ = await search(stack, status="current", patient__identifier=patient.token)
    return any(f["masterIdentifier"]["value"] == f"urn:oid:{document.unique_id}" for f in found)


async def test_documents_are_stored_for_whom_the_manager_says_that_it_is(tmp_path, here):
    other = a_patient()
    patients = (
        known(here, "anna", (WARD, "w-1"), (HOSPITAL, "h-1")),
        known(other, "bert", (WARD, "w-2"), (WARD, "both")),
        known(a_patient(), "third", (WARD, "both")),
        person("elsewhere", (WARD, "w-3")),
    )
    async with with_manager(tmp_path, *patients) as (stack, base, _):
        for subject in (
            {"identifier": identifier(WARD, "w-1")},
            {"identifier": identifier(HOSPITAL, "h-1")},
            {"reference": f"{base}/Patient/anna"},
            {"reference": f"{base}/Patient/anna", "identifier": identifier(WARD, "w-1")},
            {"reference": f"{base}/Patient/anna", "identifier": identifier(DOMAIN, here.id)},
        ):
            document = a_document()
            bundle = bundle_of(subject, document)
            status, answer = await stack.publish(bundle)
            assert status == 200, (subject, answer)
            assert await stored_for(stack, document, here), subject
            assert (await stack.publish(bundle)) == (200, answer), "a repeat is answered as the first"

        for subject, code in (
            ({"identifier": identifier(WARD, "w-9")}, "not-found"),
            ({"identifier": identifier(WARD, "w-3")}, "not-found"),
            ({"identifier": identifier("2.999.404", "x")}, "not-found"),
            ({"identifier": identifier(WARD, "both")}, "multiple-matches"),
            ({"reference": f"{base}/Patient/nobody"}, "not-found"),
            ({"reference": "https://elsewhere.example/fhir/Patient/1"}, "not-found"),
            (
                {"reference": f"{base}/Patient/anna", "identifier": identifier(WARD, "w-2")},
                "business-rule",
            ),
        ):
            document = a_document()
            status, answer = await stack.publish(bundle_of(subject, document))
            assert status == 422, subject
            first = answer["issue"][0]
            assert first["code"] == code, (subject, answer)
            assert "w-" not in first["diagnostics"]
            for each in (here, other):
                assert not await stored_for(stack, document, each)


async def test_a_patient_of_the_bundle_is_who_all_of_its_identifiers_mean(tmp_path, here):
    other = a_patient()
    patients = (known(here, "anna", (WARD, "w-1"), (HOSPITAL, "h-1")), known(other, "bert", (WARD, "w-2")))
    async with with_manager(tmp_path, *patients) as (stack, _, _):
        for given, status in (
            ([identifier(WARD, "w-1"), identifier(HOSPITAL, "h-1")], 200),
            ([identifier(WARD, "w-9"), identifier(HOSPITAL, "h-1")], 200),
            ([identifier(WARD, "w-2"), identifier(HOSPITAL, "h-1")], 422),
            ([identifier(WARD, "w-9")], 422),
            # what is of this domain says who it is
            ([identifier(WARD, "w-1"), identifier(DOMAIN, here.id)], 200),
        ):
            document = a_document()
            patient = {"resourceType": "Patient", "identifier": given}
            bundle = bundle_of({"reference": PATIENT}, document)
            bundle["entry"].append(
                {"fullUrl": PATIENT, "resource": patient, "request": {"method": "POST", "url": "Patient"}}
            )
            got, answer = await stack.publish(bundle)
            assert got == status, (given, answer)
            assert await stored_for(stack, document, here) is (status == 200)


async def test_the_manager_is_not_asked_about_what_is_of_this_domain(tmp_path, here):
    async with with_manager(tmp_path) as (stack, _, asked):
        status, _ = await stack.publish(provide_bundle([a_document()], patient=here))
        assert status == 200
    assert asked == []


async def test_without_the_manager_nothing_is_stored_and_the_client_told_to_come_again(tmp_path, here):
    async with running_stack(
        tmp_path, patient_manager=settings_of("http://127.0.0.1:1/fhir", connect_timeout=5.0)
    ) as stack:
        document = a_document()
        status, answer = await stack.publish(bundle_of({"identifier": identifier(WARD, "w-1")}, document))
    assert status == 502
    assert "patient manager" in answer["issue"][0]["diagnostics"]


async def test_who_is_bound_to_a_patient_publishes_for_nobody_else(tmp_path, here):
    patients = (known(here, "anna", (WARD, "w-1")), known(a_patient(), "bert", (WARD, "w-2")))
    async with running_issuer() as issuer, manager_at(tmp_path / "patients", *patients) as (base, _):
        trusted = {
            "access": "token",
            "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
        }
        async with running_stack(
            tmp_path / "stack", patient_manager=settings_of(base), security=trusted
        ) as stack:
            bound = issuer.token(stack.base_url, "patient/*.cruds", patient=here.token)
            statuses = {}
            for value in ("w-1", "w-2", "w-9"):
                body = bundle_of({"identifier": identifier(WARD, value)}, a_document())
                async with stack.session.post(
                    stack.base_url,
                    json=body,
                    headers={"Authorization": f"Bearer {bound}", "Content-Type": "application/fhir+json"},
                ) as answer:
                    statuses[value] = answer.status
    assert statuses == {"w-1": 200, "w-2": 403, "w-9": 403}
