"""Patients are found by their identifier in the affinity domain, once something was submitted for them."""

import pytest

from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import PATIENT_AUTHORITY

from .documents import a_document, a_patient
from .imaging import matches
from .stack import running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def submitted(stack):
    patient = a_patient()
    status, answer = await stack.publish(provide_bundle([a_document()], patient=patient))
    assert status == 200, answer
    return patient


async def search(stack, **parameters):
    status, bundle = await stack.get("Patient", **parameters)
    assert status == 200, bundle
    return matches(bundle)


async def test_a_patient_is_found_by_identifier_and_leads_to_their_documents(stack):
    patient = await submitted(stack)
    (found,) = await search(stack, identifier=patient.token)
    assert found["identifier"][0] == patient.identifier
    assert len(await stack.find(patient=f"Patient/{found['id']}", status="current")) == 1
    assert await search(stack, _id=found["id"]) == [found]
    status, read = await stack.get(f"Patient/{found['id']}")
    assert (status, read) == (200, found)


async def test_an_unknown_patient_is_an_empty_answer(stack):
    assert await search(stack, identifier=a_patient().token) == []
    assert await search(stack, _id="nobody") == []


async def test_several_identifiers_are_alternatives_and_repeated_ones_narrow(stack):
    one, other = await submitted(stack), await submitted(stack)
    assert len(await search(stack, identifier=f"{one.token},{other.token}")) == 2
    assert await search(stack, identifier=[one.token, other.token]) == []


@pytest.mark.parametrize(
    ("parameters", "status", "text"),
    [
        ({}, 400, "one of identifier, _id, _lastUpdated, active"),
        ({"targetCommunityIdList": "urn:oid:2.999.404"}, 400, "not a community that this server reaches"),
        ({"identifier": "http://nowhere.example|1"}, 400, "terminology.assigning_authorities"),
        ({"identifier": "nowhere|"}, 400, "has to be a URI"),
        ({"identifier": ",".join(map(str, range(101)))}, 400, "100 values at most"),
        ({"active": "perhaps"}, 400, "give true or false"),
        ({"telecom": "phone|"}, 400, "give a number"),
        ({"birthdate": "yesterday"}, 400, "birthdate"),
        ({"family:sounds": "Meier"}, 400, ":sounds is not supported"),
    ],
)
async def test_what_cannot_be_searched_is_told(stack, parameters, status, text):
    got, outcome = await stack.get("Patient", **parameters)
    assert got == status
    assert text in outcome["issue"][0]["diagnostics"]


async def test_what_is_not_known_is_left_out_or_refused_as_the_client_prefers(stack):
    patient = await submitted(stack)
    parameters = {"identifier": patient.token, "animal-breed": "4711"}
    assert len(await search(stack, **parameters)) == 1
    async with stack.session.get(
        f"{stack.base_url}/Patient", params=parameters, headers={"Prefer": "handling=strict"}
    ) as answer:
        assert answer.status == 400


async def test_a_value_alone_is_searched_in_the_authorities_of_the_domain(tmp_path):
    async with running_stack(tmp_path, search={"patient_authorities": [PATIENT_AUTHORITY]}) as stack:
        patient = await submitted(stack)
        (found,) = await search(stack, identifier=patient.id)
        assert found["identifier"][0] == patient.identifier
