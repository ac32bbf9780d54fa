"""Patients are what their documents say, and are found by names, birth and sex once a document was seen."""

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.report_parts import ReportOrder
from gateway.demo.samples import ORGANIZATION, SamplePatient

from .documents import a_document, a_patient
from .imaging import matches
from .reports import a_report
from .stack import running_stack
from .tables import in_the_registry

pytestmark = pytest.mark.asyncio(loop_scope="module")


def person(family, given, birth="1975-04-12", gender="female"):
    return SamplePatient(a_patient().id, family, given, birth, gender, "Exampleton")


async def publish(stack, patient, *documents):
    status, answer = await stack.publish(provide_bundle(list(documents or [a_document()]), patient=patient))
    assert status == 200, answer


async def search(stack, **parameters):
    named = {name.replace("__", ":"): value for name, value in parameters.items()}
    status, bundle = await stack.get("Patient", **named)
    assert status == 200, bundle
    return bundle


async def ids(stack, **parameters):
    return [p["identifier"][0]["value"] for p in matches(await search(stack, **parameters))]


async def test_a_patient_is_who_their_documents_say(stack):
    patient = person("Quastenflosser", "Änne")
    await publish(stack, patient)
    (found,) = matches(await search(stack, identifier=patient.token))
    assert found["name"][0]["family"] == "Quastenflosser"
    assert (found["birthDate"], found["gender"]) == ("1975-04-12", "female")
    assert found["identifier"][0] == patient.identifier
    status, read = await stack.get(f"Patient/{found['id']}")
    assert (status, read) == (200, found)
    (part,) = matches(await search(stack, identifier=patient.token, _elements="birthDate"))
    assert set(part) == {"resourceType", "id", "meta", "birthDate"}


@pytest.mark.parametrize(
    ("parameters", "is_found"),
    [
        ({"family": "Zwerg"}, True),
        ({"family": "zwergtaucher"}, True),
        ({"family": "taucher"}, False),
        ({"family__contains": "taucher", "birthdate": "1981-02-03"}, True),
        ({"family__exact": "Zwergtaucher"}, True),
        ({"family__exact": "zwergtaucher"}, False),
        ({"given": "jose"}, True),
        ({"given": "José,Nobody"}, True),
        ({"name": "zwe"}, True),
        ({"name": "jos", "birthdate": "1981-02-03"}, True),
        ({"birthdate": "1981-02-03"}, True),
        ({"birthdate": "eq1981-02-03"}, True),
        ({"birthdate": "1981-02-04"}, False),
        ({"family": "Zwerg", "birthdate": "1981"}, True),
        ({"family": "Zwerg", "birthdate": "ge1981-01"}, True),
        ({"family": "Zwerg", "birthdate": "lt1981"}, False),
        ({"family": "Zwerg", "gender": "male"}, True),
        ({"family": "Zwerg", "gender": "http://hl7.org/fhir/administrative-gender|male"}, True),
        ({"family": "Zwerg", "gender": "female"}, False),
        ({"family": "Zwerg", "given": "Maria"}, False),
    ],
)
async def test_each_parameter_narrows(stack, parameters, is_found):
    patient = person("Zwergtaucher", "José", "1981-02-03", "male")
    await publish(stack, patient)
    assert (patient.id in await ids(stack, **parameters)) is is_found
    with_identifier = await ids(stack, identifier=patient.token, **parameters)
    assert with_identifier == ([patient.id] if is_found else [])
    async with stack.session.post(
        f"{stack.base_url}/Patient/_search",
        data={name.replace("__", ":"): value for name, value in parameters.items()},
    ) as answer:
        posted = matches(await answer.json(content_type=None))
    assert (patient.id in [p["identifier"][0]["value"] for p in posted]) is is_found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def few(tmp_path_factory):
    async with running_stack(tmp_path_factory.mktemp("few")) as stack:
        stack.interfere = None
        patient = SamplePatient(a_patient().id, "Wi", "Jan", "1983-02-03", "male", "Dehals")
        await publish(stack, patient)
        yield stack, patient


async def test_an_answer_says_who_can_be_found(stack):
    bundle = await search(stack, family="Nobody-is-called-so")
    assert bundle["total"] == 0
    (outcome,) = matches(bundle, "outcome")
    assert "seen documents" in outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"family": "Wi"},
        {"gender": "male"},
        {"birthdate": "1983"},
        {"birthdate": "ge1983-02-03"},
        {"given:contains": "an"},
        {"active": "true"},
        {"address-country": "AT"},
    ],
)
async def test_what_could_mean_anybody_is_searched_among_all_as_long_as_they_are_few(few, parameters):
    stack, patient = few
    assert patient.id in [p["identifier"][0]["value"] for p in matches(await search(stack, **parameters))]


async def test_what_sources_disagree_about_is_not_merged(stack, capfd):
    patient = person("Haubentaucher", "Ida", "1990-01-01")
    await publish(stack, patient, a_document(creation="2024-01-01T00:00:00Z"))
    other = SamplePatient(patient.id, "Andersrum", "Otto", "1950-05-05", "male", "Elsewhere")
    await publish(stack, other, a_document(creation="2025-01-01T00:00:00Z"))
    (found,) = matches(await search(stack, identifier=patient.token))
    assert found["name"][0]["family"] == "Andersrum"
    assert (found["birthDate"], found["gender"]) == ("1950-05-05", "male")
    assert len(found["name"]) == 1
    assert "patient.sources_differ" in capfd.readouterr().out
    assert await ids(stack, family="Haubentaucher") == []
    assert await ids(stack, family="Andersrum") == [patient.id]


async def test_two_patients_of_one_name_are_two(stack):
    twins = [person("Doppelganger", "Eva"), person("Doppelganger", "Eva")]
    for twin in twins:
        await publish(stack, twin)
    assert sorted(await ids(stack, name="Doppel", birthdate="1975-04-12")) == sorted(t.id for t in twins)


async def test_pages_have_each_patient_once(stack):
    patients = [person("Seitenweise", f"Nr{n}") for n in range(3)]
    for patient in patients:
        await publish(stack, patient)
    seen, bundle = [], await search(stack, family="Seitenweise", _count=2)
    while True:
        assert bundle["total"] == 3
        seen += [p["identifier"][0]["value"] for p in matches(bundle)]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not following:
            break
        status, bundle = await stack.get(following[0])
        assert status == 200
    assert sorted(seen) == sorted(p.id for p in patients)


async def test_where_the_registry_says_nothing_the_documents_do(stack):
    patient = person("Berichtsperson", "Ada")
    order = ReportOrder("B-1", ORGANIZATION, "P-1", ORGANIZATION)
    await publish(stack, patient, a_report("foot", patient, order, seed=patient.id))
    changed = in_the_registry(stack, patient, source_patient_info=None, source_patient_id=None)
    assert changed == 1
    (found,) = matches(await search(stack, identifier=patient.token))
    assert found["name"] == [{"family": "Berichtsperson", "given": ["Ada"]}]
    assert found["birthDate"] == "1975-04-12"
    assert await ids(stack, family="Berichtsperson") == [patient.id]
    status, bundle = await stack.get(
        "DiagnosticReport",
        **{"patient.identifier": patient.token, "_include": "DiagnosticReport:patient"},
    )
    assert (status, matches(bundle, "include")) == (200, [found])
