"""What the patient manager said is kept for a while, each thing for as long as the settings say, and read by every
replica."""

from gateway.correlation.managed_patients import ManagedPatientStore
from gateway.model import Cx, Person
from gateway.model.identity import PatientQuery, SourceIdentifier

ANNA = Cx("A", "2.999.1.1")
SOURCE = SourceIdentifier("urn:oid:2.999.7.1", "w-1")
SAID = PatientQuery(names=(Person(family="Muster"),), birth_date="19800203")


async def test_what_one_replica_learnt_another_knows(open_store):
    async with open_store() as one, open_store() as other:
        first, second = ManagedPatientStore(one, 60, 60), ManagedPatientStore(other, 60, 60)
        assert await second.known_as(SOURCE, ANNA.authority) is None
        assert await second.said(ANNA) is None
        await first.remember(SOURCE, ANNA.authority, (ANNA,))
        await first.remember_said(ANNA, SAID)
        assert await second.known_as(SOURCE, ANNA.authority) == (ANNA,)
        assert await second.said(ANNA) == SAID
        assert await second.known_as(SOURCE, "2.999.1.2") is None, "another domain is another question"


async def test_that_nobody_is_known_lasts_for_a_time_of_its_own(open_store):
    async with open_store() as store:
        # a lifetime that has ended when it is looked for, beside one that outlives every test
        patients = ManagedPatientStore(store, 3600, 0.001)
        await patients.remember(SOURCE, ANNA.authority, (ANNA,))
        unknown = SourceIdentifier("urn:oid:2.999.7.1", "w-9")
        await patients.remember(unknown, ANNA.authority, ())
        await patients.remember_said(ANNA, PatientQuery())
        while await patients.known_as(unknown, ANNA.authority) is not None:
            pass
        while await patients.said(ANNA) is not None:
            pass
        assert await patients.known_as(SOURCE, ANNA.authority) == (ANNA,)


async def test_several_stay_several(open_store):
    async with open_store() as store:
        patients = ManagedPatientStore(store, 60, 60)
        both = (ANNA, Cx("B", ANNA.authority))
        await patients.remember(SOURCE, ANNA.authority, both)
        assert await patients.known_as(SOURCE, ANNA.authority) == both


async def test_without_redis_nothing_is_known_and_nothing_fails(open_store, server):
    async with open_store() as store:
        patients = ManagedPatientStore(store, 60, 60)
        server.kill()
        await patients.remember(SOURCE, ANNA.authority, (ANNA,))
        await patients.remember_said(ANNA, SAID)
        assert await patients.known_as(SOURCE, ANNA.authority) is None
        assert await patients.said(ANNA) is None
