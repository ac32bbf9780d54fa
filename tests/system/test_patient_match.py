"""ITI-119 (IHE PDQm 3.2.0): `$match` over the patients that this gateway knows."""

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import SamplePatient
from gateway.model.codes import EXT_MATCH_GRADE

from .documents import a_document
from .imaging import matches
from .stack import running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA = SamplePatient("MATCH-1", "Lindqvist", "Ada", "1975-04-12", "female", "Lund")
TWIN = SamplePatient("MATCH-2", "Lindqvist", "Ada", "1975-04-12", "female", "Lund")
BO = SamplePatient("MATCH-3", "Ekman", "Bo", "1980-01-02", "male", "Lund")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["certain", "graded"])
async def site(request, tmp_path_factory):
    async with running_stack(tmp_path_factory.mktemp("match"), search={"match": request.param}) as stack:
        stack.interfere = None
        for patient in (ADA, TWIN, BO):
            status, answer = await stack.publish(provide_bundle([a_document()], patient=patient))
            assert status == 200, answer
        yield stack, request.param


def described(patient, *, identifier=True, address=True):
    resource = patient.resource("x")
    del resource["id"]
    if not identifier:
        del resource["identifier"]
    if address:
        resource["address"][0]["postalCode"] = "222 22"
        resource["address"][0]["line"] = ["Example Street 1"]
    else:
        del resource["address"]
    return resource


def parameters(patient, **values):
    listed = [{"name": "resource", "resource": patient}]
    if "only" in values:
        listed.append({"name": "onlyCertainMatches", "valueBoolean": values["only"]})
    if "count" in values:
        listed.append({"name": "count", "valueInteger": values["count"]})
    return {"resourceType": "Parameters", "parameter": listed}


async def match(stack, body, *, status=200, path="Patient/$match", **headers):
    async with stack.session.post(
        f"{stack.base_url}/{path}", json=body, headers={"Content-Type": "application/fhir+json", **headers}
    ) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


def graded(bundle):
    """Identifier, score and grade of each Patient, as the profile wants them said."""
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
    found = []
    for entry in bundle.get("entry", ()):
        if entry["resource"]["resourceType"] == "Patient":
            search = entry["search"]
            (extension,) = search["extension"]
            assert (search["mode"], extension["url"]) == ("match", EXT_MATCH_GRADE)
            assert 0 <= search["score"] <= 1
            assert entry["fullUrl"].endswith(f"/Patient/{entry['resource']['id']}")
            value = entry["resource"]["identifier"][0]["value"]
            found.append((value, search["score"], extension["valueCode"]))
        else:
            assert entry["resource"]["resourceType"] == "OperationOutcome"
            assert {i["severity"] for i in entry["resource"]["issue"]} <= {"warning", "information"}
    return found


async def test_one_certain_match_is_given(site):
    stack, _ = site
    for body in (described(BO), parameters(described(BO)), parameters(described(BO), only=True)):
        assert graded(await match(stack, body)) == [(BO.id, 0.95, "certain")]
    (found,) = matches(await match(stack, described(BO)))
    assert (await stack.get(f"Patient/{found['id']}")) == (200, found)


async def test_the_patient_alone_is_the_same_as_parameters_with_it(site):
    stack, _ = site
    for patient in (described(ADA), described(ADA, identifier=False)):
        alone, wrapped = await match(stack, patient), await match(stack, parameters(patient))
        assert graded(alone) == graded(wrapped)


async def test_demographics_alone_make_nobody_certain_where_two_are_alike(site):
    stack, mode = site
    wanted = described(ADA, identifier=False)
    assert (await match(stack, parameters(wanted, only=True))) == {
        "resourceType": "Bundle", "type": "searchset", "total": 0,
    }  # fmt: skip
    bundle = await match(stack, parameters(wanted, only=False))
    if mode == "graded":
        assert [(value, grade) for value, _, grade in graded(bundle)] == [
            (patient, "probable") for patient in sorted_ids(bundle)
        ]
        assert {value for value, _, _ in graded(bundle)} == {ADA.id, TWIN.id}
    else:
        assert graded(bundle) == []
        (outcome,) = matches(bundle, "outcome")
        assert "nobody is certain" in outcome["issue"][0]["diagnostics"]


def sorted_ids(bundle):
    return [value for value, _, _ in graded(bundle)]


async def test_the_identifier_tells_two_of_one_name_apart(site):
    stack, mode = site
    first, *others = graded(await match(stack, described(ADA)))
    assert first == (ADA.id, 0.95, "certain")
    assert [grade for _, _, grade in others] == (["possible"] if mode == "graded" else [])
    assert graded(await match(stack, parameters(described(ADA), only=True))) == [first]


async def test_no_more_than_count_are_given_and_the_best_come_first(site):
    stack, _ = site
    found = graded(await match(stack, parameters(described(ADA), count=1)))
    assert [value for value, _, _ in found] == [ADA.id]
    scores = [score for _, score, _ in graded(await match(stack, parameters(described(ADA))))]
    assert scores == sorted(scores, reverse=True)


async def test_what_is_said_otherwise_speaks_against_a_match(site):
    stack, mode = site
    wrong = {**described(BO), "birthDate": "1980-01-03"}
    found = graded(await match(stack, wrong))
    assert [grade for _, _, grade in found] == (["possible"] if mode == "graded" else [])
    assert graded(await match(stack, parameters(wrong, only=True))) == []


async def test_nobody_is_an_empty_answer(site):
    stack, _ = site
    nobody = SamplePatient("MATCH-404", "Nobody", "Nemo", "1901-01-01", "male", "Nowhere")
    bundle = await match(stack, described(nobody))
    assert (bundle["total"], graded(bundle)) == (0, [])


async def test_in_xml_and_in_r5(site):
    stack, _ = site
    text = (
        '<Patient xmlns="http://hl7.org/fhir"><identifier><system value="urn:oid:2.999.1.1"/>'
        f'<value value="{BO.id}"/></identifier></Patient>'
    )
    headers = {"Content-Type": "application/fhir+xml"}
    async with stack.session.post(f"{stack.base_url}/Patient/$match", data=text, headers=headers) as answer:
        assert answer.status == 200
        found = await answer.text()
    assert '<score value="0.95"/>' in found and f'<extension url="{EXT_MATCH_GRADE}">' in found
    bundle = await match(stack, described(BO), path="R5/Patient/$match")
    assert graded(bundle) == [(BO.id, 0.95, "certain")]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"resourceType": "Bundle", "type": "collection"}, 400, "invalid"),
        ({"resourceType": "Patient"}, 400, "incomplete"),
        ({"resourceType": "Parameters", "id": "1"}, 400, "required"),
        ([], 400, "structure"),
    ],
)
async def test_what_cannot_be_matched_is_told(site, body, status, code):
    stack, _ = site
    outcome = await match(stack, body, status=status)
    assert outcome["resourceType"] == "OperationOutcome"
    assert [(i["severity"], i["code"]) for i in outcome["issue"]] == [("error", code)]


async def test_other_formats_and_methods_are_refused(site):
    stack, _ = site
    outcome = await match(stack, {}, status=415, **{"Content-Type": "text/turtle"})
    assert outcome["issue"][0]["code"] == "not-supported"
    async with stack.session.get(f"{stack.base_url}/Patient/$match") as answer:
        assert answer.status in (404, 405)
