"""A Patient id stands for one identifier and is a valid FHIR id."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Cx
from gateway.security.patient_ids import NotOurs, PatientIds
from gateway.security.sealing import KeyRing

RING = KeyRing([bytes(range(32))])
FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
arcs = st.lists(st.integers(0, 1 << 128), max_size=8)
tops = st.tuples(st.integers(0, 1), st.integers(0, 39)) | st.tuples(st.just(2), st.integers(0, 1 << 64))
oids = st.builds(lambda top, rest: ".".join(map(str, (*top, *rest))), tops, arcs)
ids = st.text(max_size=40) | st.from_regex(r"[0-9]{1,60}", fullmatch=True) | st.uuids().map(str)


@given(ids, oids)
def test_an_id_that_fits_leads_back_to_its_identifier(value, authority):
    patient = Cx(value, authority)
    fhir_id = PatientIds(RING).write(patient)
    if fhir_id is not None:
        assert FHIR_ID.fullmatch(fhir_id)
        assert PatientIds(RING).read(fhir_id) == patient
        assert PatientIds(RING).write(patient) == fhir_id


@pytest.mark.parametrize(
    "patient",
    [
        Cx("DEMO-1", "2.999.1.1"),
        Cx("0012345678901234567890", "1.3.6.1.4.1.21367.2005.13.20.1000"),
        Cx("f47ac10b-58cc-4372-a567-0e02b2c3d479", "2.16.840.1.113883.2.9.4.3.2"),
        Cx("BBBBBBBBBQ999999", "2.16.724.4.40"),
        Cx("Łódź 7", "2.999.30.1"),
        Cx("756.1234.5678.97", "2.25.329800735698586629295641978511506172918"[:17]),
    ],
)
def test_usual_identifiers_fit(patient):
    fhir_id = PatientIds(RING).write(patient)
    assert fhir_id
    assert PatientIds(RING).read(fhir_id) == patient


@pytest.mark.parametrize(
    "patient",
    [
        Cx("x" * 40, "2.999.1"),
        Cx("9" * 500, "2.999.1"),
        Cx("1", "2." + "9" * 400),
        Cx("1", "1.2" + ".999" * 60),
        Cx("1", "1.40.3"),
        Cx("1", "not an oid"),
        Cx("1", "2.01.3"),
        Cx("1", ""),
    ],
)
def test_an_identifier_that_cannot_be_an_id_has_none(patient):
    assert PatientIds(RING).write(patient) is None


def test_a_made_up_or_altered_id_is_no_patient():
    ids = PatientIds(RING)
    fhir_id = ids.write(Cx("P-4711", "2.999.1"))
    assert fhir_id
    assert "4711" not in fhir_id
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-."
    for i, was in enumerate(fhir_id):
        for other in alphabet:
            if other != was:
                with pytest.raises(NotOurs):
                    ids.read(fhir_id[:i] + other + fhir_id[i + 1 :])
    for text in ("", "1", "example", "é" * 8, fhir_id + "=", fhir_id.lower()):
        with pytest.raises(NotOurs):
            ids.read(text)


def test_a_patient_id_survives_rotation():
    fhir_id = PatientIds(RING).write(Cx("P-4711", "2.999.1"))
    assert fhir_id
    rotated = KeyRing([bytes(32), bytes(range(32))])
    assert PatientIds(rotated).read(fhir_id) == Cx("P-4711", "2.999.1")
