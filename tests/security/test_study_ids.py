"""Ids of studies lead to the study and its patient without a table, and show neither."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import Cx
from gateway.model.object_ids import marked
from gateway.security.patient_ids import PatientIds
from gateway.security.sealing import KeyRing
from gateway.security.study_ids import NotOurs, StudyDocument, StudyIdentity, StudyIds

RING = KeyRing([bytes(range(32))])
HOMES = ("urn:oid:2.999.8", "urn:oid:2.999.9")
IDS = StudyIds(RING, lambda: HOMES)
oids = st.lists(st.integers(0, 10**9), min_size=1, max_size=5).map(
    lambda arcs: ".".join(map(str, (2, 999, *arcs)))
)
identities = st.builds(
    StudyIdentity, oids, st.builds(Cx, st.text(max_size=12), oids), st.none() | st.sampled_from(HOMES)
)
documents = st.builds(
    lambda uuid, home: uuid.urn if home is None else marked(uuid.urn, home),
    st.uuids(),
    st.none() | st.sampled_from((*HOMES, "urn:oid:2.999.77")),
)
long_identities = st.builds(
    StudyIdentity,
    st.text("0123456789.", min_size=1, max_size=64),
    st.builds(Cx, st.text(max_size=256), oids | st.text(max_size=64)),
    st.none() | st.sampled_from((*HOMES, "urn:oid:2.999.77")),
    documents,
)
STUDY = StudyIdentity("1.2.250.1.59.40211.22756022.2.1.101", Cx("59569735", "2.999.1"))


@given(identities)
def test_an_id_is_one_of_fhir_and_the_same_each_time(study):
    fhir_id = IDS.write(study)
    assert re.fullmatch(r"[A-Za-z0-9.-]{1,64}", fhir_id)
    assert StudyIds(RING, lambda: HOMES).write(study) == fhir_id
    assert IDS.read(fhir_id) in (study.owner, IDS.digest(study))


@given(identities, st.text(max_size=30))
def test_ids_of_parts_lead_to_the_study_and_differ(study, name):
    part = IDS.write_part(study, "Endpoint", name)
    assert re.fullmatch(r"[A-Za-z0-9.-]{1,64}", part)
    assert IDS.read_part(part) in (study.owner, IDS.digest(study))
    assert part not in (IDS.write(study), IDS.write_part(study, "Order", name))


@given(long_identities, st.text(max_size=30))
def test_whatever_is_long_the_id_leads_to_its_patient_or_to_a_document_of_the_study(study, name):
    fhir_id, part = IDS.write(study), IDS.write_part(study, "Endpoint", name)
    for text in (fhir_id, part):
        assert re.fullmatch(r"[A-Za-z0-9.-]{1,64}", text)
    for led in (IDS.read(fhir_id), IDS.read_part(part)):
        if led != study.owner:
            assert isinstance(led, StudyDocument)
            assert led.document == study.document
            assert IDS.is_meant(led, study.study_instance_uid)
            assert not IDS.is_meant(led, study.study_instance_uid + "1")


@given(documents, st.lists(oids, min_size=2, max_size=20, unique=True))
def test_the_studies_of_one_document_have_different_ids(document, uids):
    patient = Cx("A name that is long" * 3, "2.999.1")
    assert len({IDS.write(StudyIdentity(uid, patient, None, document)) for uid in uids}) == len(uids)


def test_what_fits_has_the_same_id_whatever_document_lists_it():
    listed = structs.replace(STUDY, document="urn:uuid:6d4b0a35-9e1d-4d7c-8f25-3a0a0b3f2f10")
    assert IDS.write(listed) == IDS.write(STUDY)
    assert IDS.write_part(listed, "Endpoint") == IDS.write_part(STUDY, "Endpoint")


def test_a_usual_study_and_patient_fit():
    longest = structs.replace(STUDY, study_instance_uid="2.25." + "9" * 38)
    of_a_country = structs.replace(longest, patient_id=Cx("4567891230", "1.3.6.1.4.1.21367.2005.13.20.1000"))
    for known in (STUDY, longest, of_a_country):
        for home in (None, HOMES[1]):
            study = structs.replace(known, home_community_id=home)
            assert IDS.read(IDS.write(study)) == study.owner
            assert IDS.read_part(IDS.write_part(study, "Endpoint")) == study.owner


def test_the_studies_of_a_patient_have_different_ids():
    ids = {IDS.write(structs.replace(STUDY, study_instance_uid=f"2.999.{number}")) for number in range(100)}
    assert len(ids) == 100


def test_the_same_study_of_two_communities_has_two_ids():
    uids = {
        IDS.write(StudyIdentity(STUDY.study_instance_uid, STUDY.patient_id, home)) for home in (None, *HOMES)
    }
    assert len(uids) == 3


@pytest.mark.parametrize(
    "study",
    [
        StudyIdentity("2.25." + "9" * 38, Cx("A name that is long" * 3, "2.999.1")),
        StudyIdentity("2.999.1", Cx("1", "not an oid")),
        StudyIdentity("2.999.1", Cx("1", "2.999.1"), "urn:oid:2.999.77"),
    ],
    ids=["long", "no oid", "unknown community"],
)
def test_what_does_not_fit_and_is_in_no_known_document_gets_a_digest_that_leads_nowhere_by_itself(study):
    fhir_id = IDS.write(study)
    assert IDS.read(fhir_id) == fhir_id == IDS.digest(study) == IDS.write(study)
    assert IDS.read_part(IDS.write_part(study, "Endpoint")) == fhir_id


def test_what_was_not_written_here_opens_nothing():
    patient = PatientIds(RING).write(Cx("59569735", "2.999.1"))
    fhir_id = IDS.write(STUDY)
    for wrong in ("", "x", "s-1", fhir_id[:-2], fhir_id + "A", patient, fhir_id.swapcase()):
        with pytest.raises(NotOurs):
            IDS.read(wrong)
