"""What the gateway takes is valid to HAPI FHIR's validator with the Comprehensive bundle profile: it is at least
as strict, for every element that is missing or has a value of another kind.
"""

import copy

import orjson
import pytest

from gateway.fhir.issues import OutcomeError
from tests.fhir import provide_samples as samples
from tests.fhir.test_provide_robustness import GOOD, PLACES

pytestmark = pytest.mark.interop

MISSING = object()
OTHER_VALUES = (
    "x",
    "a b",
    "2024",
    "2024-01-01T00:00:00Z",
    "#p",
    "Patient/9",
    "text/plain",
    "superseded",
    5,
    True,
)
TERMINOLOGY = {"code", "system"}
"""Mutants of these in a coded value may name codes that exist nowhere, which only the domain can judge."""


def mutants():
    """Bundles with one element changed, and what was changed."""
    for number, path in enumerate(PLACES):
        for value in (MISSING, OTHER_VALUES[number % len(OTHER_VALUES)]):
            if value is not MISSING and "coding" in path and path[-1] in TERMINOLOGY:
                continue
            made = copy.deepcopy(GOOD)
            place = made
            for step in path[:-1]:
                place = place[step]
            if value is MISSING:
                del place[path[-1]]
            else:
                place[path[-1]] = value
            yield path, made


def is_accepted(made):
    try:
        samples.read(orjson.dumps(made))
    except OutcomeError:
        return False
    return True


def test_the_sample_is_valid(hapi):
    assert hapi.errors(GOOD) == []


def test_no_mutant_is_taken_that_the_validator_refuses(hapi):
    taken = [(path, made) for path, made in mutants() if is_accepted(made)]
    assert len(taken) > 50
    assert {path: errors for path, made in taken if (errors := hapi.errors(made))} == {}
