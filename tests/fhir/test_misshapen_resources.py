"""What documents of others hold may be no FHIR: it costs itself, and never the answer that it is in."""

import copy

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.fhir.formats import FhirFormat, write_resource
from gateway.fhir.issues import OutcomeError
from gateway.fhir.report_entries import NotABundle, read_report_entries
from gateway.fhir.versions import ConversionError, to_r5
from gateway.model.releases import FhirRelease
from tests.fhir.report_samples import KINDS, report, resource

SHAPES = [None, 1, True, "x", [], {}, [1], ["x"], {"a": 1}, [[]], [None], [{"extension": [1]}]]


def places(value, path=()):
    """Every place in JSON values."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


@st.composite
def misshapen(draw, release):
    """A report with a value of another shape somewhere."""
    made = copy.deepcopy(report(draw(st.sampled_from(KINDS)), release))
    *steps, last = draw(st.sampled_from(list(places(made))))
    held = made
    for step in steps:
        held = held[step]
    held[last] = draw(st.sampled_from(SHAPES))
    return made


QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(misshapen(FhirRelease.R5))
@QUICK
def test_a_report_of_r5_is_read_or_named_as_unusable(bundle):
    try:
        read_report_entries(orjson.dumps(bundle))
    except NotABundle as error:
        assert "Muster" not in str(error), "no patient data in errors"


@given(misshapen(FhirRelease.R4))
@QUICK
def test_a_resource_of_r4_is_written_in_r5_or_named_as_one_that_cannot_be(bundle):
    for entry in bundle["entry"] if isinstance(bundle.get("entry"), list) else ():
        held = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(held, dict):
            try:
                to_r5(held)
            except ConversionError:
                with pytest.raises(OutcomeError) as refused:
                    write_resource(orjson.dumps(held), FhirFormat.JSON, release=FhirRelease.R5)
                assert refused.value.status == 406


def test_a_searchset_of_r5_goes_without_what_cannot_be_shown():
    sound = resource(report("cardiac"), "Observation")
    broken = {**sound, "id": "broken", "derivedFrom": 7}
    searchset = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 2,
        "link": [{"relation": "self", "url": "https://gateway.example/fhir/R5/Observation"}],
        "entry": [{"resource": r, "search": {"mode": "match"}} for r in (sound, broken)],
    }
    written = orjson.loads(write_resource(orjson.dumps(searchset), FhirFormat.JSON, release=FhirRelease.R5))
    assert [entry["resource"] for entry in written["entry"]] == [to_r5(sound)]
    (issue,) = written["issues"]["issue"]
    assert (issue["severity"], issue["code"]) == ("warning", "incomplete")
