"""Another community looks for patients whom the patient manager here knows, by name and birth or by what it calls them
itself (ITI-55 of the responding gateway)."""

from msgspec import structs

from gateway.model import Cx, Person
from gateway.model.identity import DiscoveryStatus, PatientQuery
from gateway.model.metadata import Address
from tests.clients.managers import DOMAIN, WARD, manager_at, person
from tests.crossborder.test_patient_manager import known, settings_of
from tests.crossborder.test_patients import HOME, community, publish
from tests.system.documents import a_patient

MUSTER = PatientQuery(names=(Person(family="muster", given="Anna"),), birth_date="19800203")


def identifiers(found):
    return [match.identifier for match in found.matches]


async def test_a_patient_is_found_by_name_and_birth_with_what_the_manager_says(tmp_path):
    patients = (
        person(
            "anna", (DOMAIN, "A"), address=[{"city": "Wien"}], telecom=[{"system": "phone", "value": "1"}]
        ),
        person("bert", (DOMAIN, "B"), family="Musterfrau"),
        person("cora", (DOMAIN, "C"), given=["Annamaria"]),
        person("dora", (DOMAIN, "D"), born="1980-02-04"),
        person("elsewhere", (WARD, "w-1")),
        person("gone", (DOMAIN, "G"), active=False),
    )
    async with (
        manager_at(tmp_path / "patients", *patients) as (base, _),
        community(tmp_path / "stack", patient_manager=settings_of(base)) as (_, discovery, _),
    ):
        found = await discovery.discover(MUSTER)
        assert found.status is DiscoveryStatus.MATCHES
        (match,) = found.matches
        assert (match.home_community_id, match.identifier) == (HOME, Cx("A", DOMAIN))
        assert [(name.family, name.given) for name in match.names] == [("Muster", "Anna")]
        assert (match.birth_date, match.gender, match.addresses[0].city) == ("19800203", "F", "Wien")
        for nobody in (
            PatientQuery(names=(Person(family="Muster"),), birth_date="19800205"),
            PatientQuery(names=(Person(family="Must", given="Anna"),), birth_date="19800203"),
            PatientQuery(names=(Person(family="Muster", given="Anna"),), birth_date="19800203", gender="M"),
        ):
            assert (await discovery.discover(nobody)).status is DiscoveryStatus.NO_MATCH


async def test_where_several_are_meant_more_is_asked_for_and_nobody_told(tmp_path):
    patients = (person("anna", (DOMAIN, "A")), person("other", (DOMAIN, "B"), gender="male"))
    everything = PatientQuery(
        names=(Person(family="Muster"),),
        birth_date="19800203",
        gender="F",
        addresses=(Address(city="Wien"),),
    )
    async with (
        manager_at(tmp_path / "patients", *patients) as (base, _),
        community(tmp_path / "stack", patient_manager=settings_of(base)) as (_, discovery, _),
    ):
        found = await discovery.discover(MUSTER)
        assert (found.status, found.matches) == (DiscoveryStatus.MORE_ASKED, ())
        assert "LivingSubjectAdministrativeGenderRequested" in found.codes
        assert identifiers(await discovery.discover(everything)) == [Cx("A", DOMAIN)]


async def test_what_the_other_community_calls_the_patient_is_looked_up(tmp_path):
    here = a_patient()
    patients = (known(here, "anna", (WARD, "w-1")), person("bert", (DOMAIN, "B"), (WARD, "w-2")))
    async with (
        manager_at(tmp_path / "patients", *patients) as (base, _),
        community(tmp_path / "stack", patient_manager=settings_of(base)) as (stack, discovery, _),
    ):
        for asked, expected in ((Cx("w-1", WARD), Cx(here.id, DOMAIN)), (Cx("w-2", WARD), Cx("B", DOMAIN))):
            assert identifiers(await discovery.discover(PatientQuery(identifiers=(asked,)))) == [expected]
        unknown = PatientQuery(identifiers=(Cx("w-9", WARD),))
        assert (await discovery.discover(unknown)).status is DiscoveryStatus.NO_MATCH
        # what was submitted comes first
        _, submitted = await publish(stack)
        assert identifiers(await discovery.discover(PatientQuery(identifiers=(submitted,)))) == [submitted]


async def test_without_the_manager_nobody_is_said_to_be_unknown(tmp_path):
    away = settings_of("http://127.0.0.1:1/fhir")
    async with community(tmp_path, patient_manager=away) as (stack, discovery, _):
        found = await discovery.discover(MUSTER)
        assert (found.status, found.codes) == (DiscoveryStatus.CANNOT_ANSWER, ("InternalError",))
        _, submitted = await publish(stack)
        assert identifiers(await discovery.discover(PatientQuery(identifiers=(submitted,)))) == [submitted]


async def test_who_has_another_number_of_the_same_authority_is_somebody_else(tmp_path):
    """One name and one birth, and two persons: the number that is asked for says which."""
    patients = (person("anna", (DOMAIN, "A"), (WARD, "222")),)
    async with (
        manager_at(tmp_path / "patients", *patients) as (base, _),
        community(tmp_path / "stack", patient_manager=settings_of(base)) as (_, discovery, _),
    ):
        for number, expected in ((Cx("111", WARD), []), (Cx("111", "2.999.77"), [Cx("A", DOMAIN)])):
            asked = structs.replace(MUSTER, identifiers=(number,))
            assert identifiers(await discovery.discover(asked)) == expected, number
