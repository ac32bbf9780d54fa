"""ITI-78 (IHE PDQm 3.2.0): the parameters, the combinations, the domains that are returned, and what is read."""

import json

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.report_parts import ReportOrder
from gateway.demo.samples import ORGANIZATION, SamplePatient
from gateway.model import Person, SourcePatientInfo
from gateway.model.codes import MOTHERS_MAIDEN_NAME

from .documents import a_document, a_patient
from .imaging import matches
from .reports import a_report
from .stack import running_stack
from .tables import in_the_registry, without_patient

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA = SamplePatient("PDQ-1", "Lindqvist", "Ada", "1975-04-12", "female", "Göteborg")
BO = SamplePatient("PDQ-2", "Lindqvist", "Bo", "1975-04-12", "male", "Lund")
NATIONAL = "urn:oid:2.999.77"
PERSONNUMMER = "http://personnummer.example/id"


def with_details(content):
    """What reports tell of a patient beyond what XDS has a place for."""
    bundle = json.loads(content)
    (patient,) = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient"]
    patient["identifier"] += [
        {"system": NATIONAL, "value": "N-1"},
        {"system": PERSONNUMMER, "value": "750412-1234"},
    ]
    patient["telecom"] = [
        {"system": "phone", "value": "+46 (31) 123-45"},
        {"system": "email", "value": "Ada@lindqvist.example"},
    ]
    patient["extension"] = [{"url": MOTHERS_MAIDEN_NAME, "valueString": "Sjöberg"}]
    patient["address"] = [
        {
            "line": ["Avenyn 7"], "city": "Göteborg", "state": "Västra Götaland",
            "postalCode": "411 36", "country": "SE",
        }
    ]  # fmt: skip
    return json.dumps(bundle).encode()


async def publish(stack, patient, *documents):
    status, answer = await stack.publish(provide_bundle(list(documents), patient=patient))
    assert status == 200, answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def known(tmp_path_factory):
    """Ada of a report that says more than the registry, and Bo of an entry."""
    async with running_stack(tmp_path_factory.mktemp("queries"), lifetimes={"registry_answer": 0}) as stack:
        stack.interfere = None
        order = ReportOrder("Q-1", ORGANIZATION, "P-1", ORGANIZATION)
        await publish(stack, ADA, a_report("foot", ADA, order, seed="ada", change=with_details))
        assert in_the_registry(stack, ADA, source_patient_info=None, source_patient_id=None) == 1
        await publish(stack, BO, a_document())
        assert await ids(stack, identifier=ADA.token) == [ADA.id]
        yield stack


async def bundle(stack, **parameters):
    status, found = await stack.get("Patient", **named(parameters))
    assert status == 200, found
    return found


def named(parameters):
    return {name.replace("__", ":").replace("_of_", "-"): value for name, value in parameters.items()}


async def ids(stack, **parameters):
    return sorted(p["identifier"][0]["value"] for p in matches(await bundle(stack, **parameters)))


BOTH = [ADA.id, BO.id]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"identifier": f"{NATIONAL}|N-1"}, [ADA.id]),
        ({"identifier": "N-1"}, [ADA.id]),
        ({"identifier": f"{PERSONNUMMER}|750412-1234"}, [ADA.id]),
        ({"identifier": f"{NATIONAL}|N-2"}, []),
        ({"identifier": f"{BO.token},{NATIONAL}|N-1"}, BOTH),
        ({"identifier": [ADA.token, f"{NATIONAL}|N-1"]}, [ADA.id]),
        ({"identifier": [BO.token, f"{NATIONAL}|N-1"]}, []),
        ({"identifier": "|N-1"}, []),
        ({"active": "true"}, BOTH),
        ({"active": "false"}, []),
        ({"active": "true,false", "family": "Lind"}, BOTH),
        ({"family": "lindqvist"}, BOTH),
        ({"family__exact": "Lindqvist"}, BOTH),
        ({"family__exact": "lindqvist"}, []),
        ({"given": "Ada"}, [ADA.id]),
        ({"given": "Ada,Bo"}, BOTH),
        ({"family": "Lindqvist", "gender": "male"}, [BO.id]),
        ({"family": "Lindqvist", "birthdate": "1975-04-12"}, BOTH),
        ({"family": "Lindqvist", "birthdate": "gt1975-04-12"}, []),
        ({"gender": "female"}, [ADA.id]),
        ({"birthdate": "1975"}, BOTH),
        ({"birthdate": ["ge1975-04", "lt1975-05"]}, BOTH),
        ({"telecom": "+463112345"}, [ADA.id]),
        ({"telecom": "+46 31 12345"}, [ADA.id]),
        ({"telecom": "phone|+463112345"}, [ADA.id]),
        ({"telecom": "email|+463112345"}, []),
        ({"telecom": "ada@LINDQVIST.example"}, [ADA.id]),
        ({"address": "avenyn"}, [ADA.id]),
        ({"address": "goteborg"}, [ADA.id]),
        ({"address__exact": "411 36"}, [ADA.id]),
        ({"address_of_city": "Göte"}, [ADA.id]),
        ({"address_of_city": "avenyn"}, []),
        ({"address_of_country": "SE"}, [ADA.id]),
        ({"address_of_country": "AT"}, [BO.id]),
        ({"address_of_postalcode": "411"}, [ADA.id]),
        ({"address_of_state": "Västra"}, [ADA.id]),
        ({"mothersMaidenName": "sjo"}, [ADA.id]),
        ({"mothersMaidenName__exact": "Sjöberg"}, [ADA.id]),
        ({"mothersMaidenName__exact": "sjöberg"}, []),
        ({"mothersMaidenName": "Lindqvist"}, []),
        ({"_lastUpdated": "ge2020"}, BOTH),
        ({"_lastUpdated": "lt2020"}, []),
    ],
)
async def test_each_parameter_by_get_and_by_post(known, parameters, expected):
    assert await ids(known, **parameters) == expected
    form = [
        (name, each)
        for name, value in named(parameters).items()
        for each in (value if isinstance(value, list) else [value])
    ]
    async with known.session.post(f"{known.base_url}/Patient/_search", data=form) as answer:
        assert answer.status == 200
        posted = await answer.json(content_type=None)
    assert sorted(p["identifier"][0]["value"] for p in matches(posted)) == expected
    assert posted["total"] == len(expected)
    assert all(entry["fullUrl"] for entry in posted.get("entry", ()))


async def test_the_time_of_the_last_change_is_shown_where_it_is_asked_for(known):
    (found,) = matches(await bundle(known, identifier=BO.token, _lastUpdated="ge2020"))
    assert found["meta"]["lastUpdated"] >= "2020"


async def test_the_self_link_says_what_was_used(known):
    found = await bundle(known, family="Lindqvist", gender="male", **{"animal-breed": "dachshund"})
    (link,) = [each["url"] for each in found["link"] if each["relation"] == "self"]
    assert "family=Lindqvist" in link and "gender=male" in link and "dachshund" not in link


# --- domains ----------------------------------------------------------------------------------------------
async def domains(stack, *wanted):
    (found,) = matches(await bundle(stack, given="Ada", identifier=list(wanted)))
    return [each["system"] for each in found["identifier"]]


async def test_identifiers_of_the_domains_that_are_asked_for_alone_are_given(known):
    own = ADA.token.partition("|")[0]
    assert set(await domains(known)) == {own, NATIONAL, PERSONNUMMER}
    assert await domains(known, f"{NATIONAL}|") == [NATIONAL]
    assert set(await domains(known, f"{NATIONAL}|,{PERSONNUMMER}|")) == {NATIONAL, PERSONNUMMER}
    assert await domains(known, f"{ADA.token}", f"{NATIONAL}|") == [NATIONAL]
    assert matches(await bundle(known, given="Bo", identifier=f"{NATIONAL}|")) == []


@pytest.mark.parametrize("wanted", ["urn:oid:2.999.404|", f"{NATIONAL}|,http://nobody.example|"])
async def test_a_domain_that_nobody_knows_is_not_found(known, wanted):
    status, outcome = await known.get("Patient", family="Lindqvist", identifier=wanted)
    assert status == 404
    first, further = outcome["issue"]
    assert first == {"severity": "warning", "code": "not-found", "diagnostics": "targetSystem not found"}
    assert "terminology.assigning_authorities" in further["diagnostics"]


# --- reads ------------------------------------------------------------------------------------------------
async def test_a_patient_is_read_as_it_was_found(known):
    (found,) = matches(await bundle(known, given="Ada"))
    assert found["active"] is True
    assert found["extension"] == [{"url": MOTHERS_MAIDEN_NAME, "valueString": "Sjöberg"}]
    assert (await known.get(f"Patient/{found['id']}")) == (200, found)
    status, r5 = await known.get(f"R5/Patient/{found['id']}")
    assert (status, r5["id"], r5["identifier"]) == (200, found["id"], found["identifier"])
    headers = {"Accept": "application/fhir+xml"}
    async with known.session.get(f"{known.base_url}/Patient/{found['id']}", headers=headers) as answer:
        text = await answer.text()
    assert answer.status == 200 and '<family value="Lindqvist"/>' in text
    async with known.session.get(f"{known.base_url}/Patient?given=Ada", headers=headers) as answer:
        text = await answer.text()
    assert answer.status == 200 and '<family value="Lindqvist"/>' in text


async def test_an_id_of_nobody_is_not_found_and_one_of_whom_nothing_is_left_is_gone(known):
    status, outcome = await known.get("Patient/nobody")
    assert (status, outcome["issue"][0]["severity"], outcome["issue"][0]["code"]) == (
        404,
        "error",
        "not-found",
    )
    patient = a_patient("gone")
    await publish(known, patient, a_document())
    (found,) = matches(await bundle(known, identifier=patient.token))
    without_patient(known, patient)
    status, outcome = await known.get(f"Patient/{found['id']}")
    assert (status, outcome["issue"][0]["code"]) == (410, "deleted")
    assert matches(await bundle(known, identifier=patient.token)) == []


async def test_a_format_that_is_not_known_is_not_acceptable(known):
    for path in ("Patient?given=Ada", "Patient/nobody"):
        status, outcome = await known.get(f"{path}{'&' if '?' in path else '?'}_format=turtle")
        assert (status, outcome["issue"][0]["code"]) == (406, "not-supported")


async def test_what_the_registry_says_besides_is_shown_and_found(known):
    """PID-6 and PID-13, which FHIR has a place for and IHE MHD maps nowhere."""
    patient = SamplePatient(a_patient().id, "Berg", "Cleo", "1966-01-01", "female", "Oslo")
    await publish(known, patient, a_document())
    said = SourcePatientInfo(
        names=(Person(family="Berg", given="Cleo"),), birth_date="19660101",
        other=("PID-6|Dahl^Eva", "PID-13|~^PRN^PH^^^^^^^^^22 33 44"),
    )  # fmt: skip
    assert in_the_registry(known, patient, source_patient_info=said) == 1
    (found,) = matches(await bundle(known, identifier=patient.token))
    assert found["extension"] == [{"url": MOTHERS_MAIDEN_NAME, "valueString": "Dahl Eva"}]
    assert found["telecom"] == [{"system": "phone", "value": "22 33 44", "use": "home"}]
    assert await ids(known, telecom="223344") == [patient.id]
    assert await ids(known, mothersMaidenName="dahl") == [patient.id]
