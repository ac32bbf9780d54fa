"""Patients under keys: all that were noted, until they are too many to be looked at."""

from gateway.correlation.patient_names import PatientIndex
from gateway.model import Cx


async def test_patients_are_under_their_keys_and_no_others(open_store):
    async with open_store() as store:
        index = PatientIndex(store, 60)
        one, other = Cx("1", "2.999"), Cx("2", "2.999")
        await index.note(one, frozenset({"family mus", "birth 2001-02-03"}))
        await index.note(other, frozenset({"family mus"}))
        await index.note(other, frozenset({"family mus"}))
        assert await index.under(["family mus"]) == {one, other}
        assert await index.under(["birth 2001-02-03", "given eva"]) == {one}
        assert await index.under(["given eva"]) == frozenset()


async def test_too_many_are_told_from_none(open_store):
    async with open_store() as store:
        index = PatientIndex(store, 60)
        for number in range(256):
            await index.note(Cx(str(number), "2.999"), frozenset({"family sch"}))
        assert await index.under(["family sch"]) is None
        assert await index.under(["family sch", "family mus"]) is None


async def test_nobody_is_written_where_there_are_too_many_already(open_store):
    async with open_store() as store:
        index = PatientIndex(store, 60)
        for number in range(258):
            await index.note(Cx(str(number), "2.999"), frozenset({"everybody"}))
        held = await store.get("patients", "everybody")
        await index.note(Cx("another", "2.999"), frozenset({"everybody", "family mus"}))
        assert await store.get("patients", "everybody") == held
        assert await index.under(["family mus"]) == {Cx("another", "2.999")}


async def test_without_redis_nobody_is_found_and_nothing_fails(open_store, server):
    async with open_store() as store:
        index = PatientIndex(store, 60)
        server.kill()
        await index.note(Cx("1", "2.999"), frozenset({"family mus"}))
        assert await index.under(["family mus"]) == frozenset()
