"""Patients of other communities, found by ITI-78 and ITI-119 through ITI-55: never one of several, never asked
unless it is wanted.
"""

from contextlib import asynccontextmanager

import pytest

from gateway.crossborder.patients import contradicts, now
from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import SamplePatient
from gateway.hl7v3.discovery_request import query_element, read_discovery_request
from gateway.hl7v3.discovery_response import write_discovery_response
from gateway.model import Cx, Person
from gateway.model.identity import (
    Discovery,
    DiscoveryAnswer,
    DiscoveryStatus,
    MessageHead,
    Party,
    PatientMatch,
)
from gateway.model.metadata import Address
from gateway.soap.contract import load_contract
from gateway.soap.server import SoapReply, SoapService
from tests.crossborder.neighbours import OWN, garbage, neighbours, outcomes, strange
from tests.system.documents import a_document
from tests.system.imaging import matches
from tests.system.test_patient_match import graded, match, parameters

HOME = f"{OWN}.1"
THERE = "2.999.60"
NATIONAL = Cx("N-1", "2.999.77")
ADA = SamplePatient("HERE-1", "Lindqvist", "Ada", "1975-04-12", "female", "Lund")
BORN = {"family": "Lindqvist", "given": "Ada", "birthdate": "1975-04-12"}
NAMED = {**BORN, "targetCommunityIdList": HOME}


def someone(number, **changes):
    return PatientMatch(
        **{
            "home_community_id": HOME,
            "identifier": Cx(f"T-{number}", THERE),
            "names": (Person(family="Lindqvist", given="Ada"),),
            "birth_date": "19750412",
            "gender": "F",
            "addresses": (Address(city="Oslo", country="NO"),),
            "degree": 95,
            **changes,
        }
    )


class Index:
    """The patient index of a community, which knows people by name and birth, and by identifier."""

    def __init__(self, folder):
        self.people = []
        self.says = None
        self.asked = []
        self.service = SoapService(load_contract(), {"ITI-55": self.discover}, folder)

    async def answer(self, request):
        return await self.service(request)

    async def discover(self, request):
        asked = read_discovery_request(request.body)
        self.asked.append(asked.query)
        found = tuple(filter(lambda each: self._is_meant(asked.query, each), self.people))
        status = DiscoveryStatus.MATCHES if found else DiscoveryStatus.NO_MATCH
        head = MessageHead(
            message_id="2.999.3.1",
            created=now(),
            sender=Party("2.999.100.1", HOME),
            receiver=asked.head.sender,
            query_id=asked.head.query_id,
        )
        answer = DiscoveryAnswer(head, asked.head.message_id, self.says or Discovery(status, found))
        return SoapReply(write_discovery_response(answer, query_element(request.body)))

    def _is_meant(self, query, person):
        if query.identifiers:
            return not {person.identifier, *person.other_identifiers}.isdisjoint(query.identifiers)
        return not contradicts(query, person)


@asynccontextmanager
async def abroad(tmp_path, answer=None, **own):
    """A gateway and a community with an index."""
    index = Index(tmp_path / "spool")
    try:
        async with strange(answer or index.answer) as place:
            changes = {"1": {"patients_url": f"{place}/", "assigning_authorities": [THERE]}}
            async with neighbours(tmp_path, "1", own=own, changes=changes) as around:
                yield around.front, index, around.by_name["1"].stack
    finally:
        index.service.close()


async def search(front, **asked):
    status, bundle = await front.get("Patient", **asked)
    assert status == 200, bundle
    return bundle


async def test_a_patient_of_a_community_is_found_read_and_leads_to_their_documents(tmp_path):
    async with abroad(tmp_path) as (front, index, community):
        index.people = [someone(1)]
        document = a_document()
        patient = SamplePatient("T-1", "Lindqvist", "Ada", "1975-04-12", "female", "Oslo", THERE)
        status, answer = await community.publish(provide_bundle([document], patient=patient))
        assert status == 200, answer
        assert matches(await search(front, **BORN)) == []
        assert index.asked == [], "a community is asked where it is named"
        (found,) = matches(await search(front, **NAMED, gender="female"))
        (query,) = index.asked
        assert (query.names, query.birth_date, query.gender) == (
            (Person(family="Lindqvist", given="Ada"),), "19750412", "F",
        )  # fmt: skip
        assert found["meta"]["source"] == HOME
        assert found["identifier"] == [{"system": f"urn:oid:{THERE}", "value": "T-1"}]
        assert found["name"] == [{"family": "Lindqvist", "given": ["Ada"]}]
        assert (found["gender"], found["birthDate"], found["active"]) == ("female", "1975-04-12", True)
        assert found["address"] == [{"city": "Oslo", "country": "NO"}]
        assert (await front.get(f"Patient/{found['id']}")) == (200, found)
        (seen,) = await front.find(patient=f"Patient/{found['id']}", status="current")
        assert seen["masterIdentifier"]["value"].endswith(document.unique_id)


async def test_several_matches_are_several_patients_and_none_is_certain(tmp_path):
    async with abroad(tmp_path, search={"match": "graded"}) as (front, index, _):
        index.people = [someone(1), someone(2)]
        assert len(matches(await search(front, **NAMED))) == 2
        path = f"Patient/$match?targetCommunityIdList={HOME}"
        wanted = described()
        assert graded(await match(front, parameters(wanted, only=True), path=path)) == []
        assert [g for _, _, g in graded(await match(front, parameters(wanted), path=path))] == [
            "probable"
        ] * 2
        index.people = [someone(1)]
        found = graded(await match(front, parameters(wanted, only=True), path=path))
        assert found == [("T-1", 0.95, "certain")]
        index.people = [someone(1, degree=80)]
        assert graded(await match(front, parameters(wanted, only=True), path=path)) == []


def described():
    return {
        "resourceType": "Patient",
        "name": [{"family": "Lindqvist", "given": ["Ada"]}],
        "birthDate": "1975-04-12",
        "gender": "female",
    }


async def test_what_two_communities_say_of_one_identifier_stays_two_patients(tmp_path):
    async with abroad(tmp_path, fan_out={"patients": "all"}) as (front, index, _):
        document = provide_bundle([a_document()], patient=SamplePatient(
            NATIONAL.id, "Lindqvist", "Ada", "1975-04-12", "female", "Lund", NATIONAL.authority
        ))  # fmt: skip
        assert (await front.publish(document))[0] == 200
        index.people = [someone(1, identifier=NATIONAL, birth_date="19750413")]
        here, there = sorted(
            matches(await search(front, identifier=f"urn:oid:{NATIONAL.authority}|{NATIONAL.id}")),
            key=lambda found: found["birthDate"],
        )
        assert (here["birthDate"], there["birthDate"]) == ("1975-04-12", "1975-04-13")
        assert here["id"] != there["id"]
        assert "source" not in here.get("meta", {}) and there["meta"]["source"] == HOME
        for found in (here, there):
            assert (await front.get(f"Patient/{found['id']}")) == (200, found)
        only_the_number = {"resourceType": "Patient", "identifier": here["identifier"]}
        assert graded(await match(front, parameters(only_the_number, only=True))) == []
        # and where they agree it is one person, who is given once
        index.people = [someone(1, identifier=NATIONAL)]
        (found,) = graded(await match(front, parameters(only_the_number, only=True)))
        assert found[0] == NATIONAL.id


@pytest.mark.parametrize(
    ("says", "text"),
    [
        (
            Discovery(DiscoveryStatus.MORE_ASKED, codes=("MothersMaidenNameRequested",)),
            "wants to be told more: mothersMaidenName",
        ),
        (
            Discovery(DiscoveryStatus.CANNOT_ANSWER, codes=("ResponderBusy",)),
            "does not say whom it knows (Resp",
        ),
        (None, ""),
    ],
)
async def test_what_a_community_says_instead_of_patients_is_told(tmp_path, says, text):
    async with abroad(tmp_path) as (front, index, _):
        index.says = says
        bundle = await search(front, **NAMED)
        told = [issue["diagnostics"] for issue in outcomes(bundle) if issue["severity"] == "warning"]
        assert bundle["total"] == 0
        assert len(told) == (1 if says else 0)
        assert all(text in each and HOME in each for each in told)


async def test_a_community_is_not_asked_with_less_than_it_needs(tmp_path):
    async with abroad(tmp_path) as (front, index, _):
        bundle = await search(front, family="Lindqvist", targetCommunityIdList=HOME)
        assert index.asked == []
        (issue,) = [each for each in outcomes(bundle) if each["severity"] == "warning"]
        assert "the day of birth" in issue["diagnostics"]


async def test_a_community_that_gives_no_answer_is_named_and_alone_is_an_error(tmp_path):
    async with abroad(tmp_path, garbage, fan_out={"patients": "all"}) as (front, _, _):
        document = provide_bundle([a_document()], patient=ADA)
        assert (await front.publish(document))[0] == 200
        bundle = await search(front, **BORN)
        assert [p["identifier"][0]["value"] for p in matches(bundle)] == [ADA.id]
        (issue,) = [each for each in outcomes(bundle) if "its patients are missing" in each["diagnostics"]]
        assert issue["severity"] == "warning"
        assert HOME in issue["diagnostics"] and "ITI-55" in issue["diagnostics"]
        status, outcome = await front.get("Patient", **NAMED)
        assert (status, outcome["resourceType"]) == (502, "OperationOutcome")
        found = await match(front, parameters(described(), only=True))
        assert outcomes(found)[0]["severity"] == "warning"
