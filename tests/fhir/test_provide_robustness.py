"""No body, however broken, ends in anything but a submission or an OperationOutcome."""

import copy

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.fhir.issues import OutcomeError
from gateway.fhir.outcome import write_outcome
from gateway.fhir.provide_response import write_provide_response
from tests.fhir import provide_samples as samples
from tests.fhir.provide_samples import OLD, urn


def full_bundle():
    made = samples.with_folder(b"one", b"two")
    made["entry"][1]["resource"]["relatesTo"] = [
        {"code": "replaces", "target": {"reference": f"DocumentReference/{OLD}"}}
    ]
    made["entry"].append(samples.patch(OLD))
    patient = {"resourceType": "Patient", "identifier": [{"system": "urn:oid:2.999.2", "value": "P1"}]}
    made["entry"].append(samples.entry(70, "Patient", patient))
    return made


def places(value, path=()):
    """Every path in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


GOOD = full_bundle()
PLACES = sorted(places(GOOD), key=str)
ODD = st.sampled_from(
    (
        *(
            None,
            True,
            0,
            -1,
            1.5,
            2**31,
            "",
            " ",
            "x",
            "#a",
            "#p",
            "urn:oid:2.999",
            urn(10),
            urn(100),
            urn(70),
        ),
        *(
            {},
            [],
            ["x"],
            [{}],
            {"reference": "#a"},
            {"resourceType": "Patient"},
            [[1]],
            "PATCH",
            "GET",
            "List",
        ),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2024-02-30", '{"reference":"#a"}'),
    )
)


def try_to_read(made):
    try:
        provided = samples.read(orjson.dumps(made))
    except OutcomeError as error:
        assert error.status in (400, 422)
        assert any(issue.severity == "error" for issue in error.issues)
        write_outcome(error.issues)
        return
    write_provide_response(provided, samples.context())


def holds(place, step):
    """True where an earlier change has left this step of a path in place."""
    if isinstance(step, str):
        return isinstance(place, dict) and step in place
    return isinstance(place, list) and step < len(place)


@given(st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=3))
@settings(max_examples=250, deadline=None)
def test_values_that_do_not_belong_there(changes):
    made = copy.deepcopy(GOOD)
    for path, value in changes:
        place = made
        for step in path[:-1]:
            place = place[step] if holds(place, step) else None
        if holds(place, path[-1]):
            place[path[-1]] = copy.deepcopy(value)
    try_to_read(made)


@pytest.mark.parametrize("part", range(8))
def test_every_single_element_missing(part):
    for path in PLACES[part::8]:
        made = copy.deepcopy(GOOD)
        place = made
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]
        try_to_read(made)


def test_the_good_one_is_good():
    assert len(samples.read(GOOD).submission.entries) == 2
