"""Which references `_include` and `_revinclude` follow, and how they are written."""

import pytest

from gateway.fhir.held_search import parse_held_search
from gateway.fhir.imaging_includes import ELEMENTS, FOLLOWED, SPELLINGS, Step, imaging_paths, read_steps
from gateway.fhir.issues import OutcomeError
from gateway.fhir.report_parameters import REPORT_TABLES
from tests.fhir.test_study_search import CONTEXT

PATIENT = ("patient", "1")


def parse(*parameters, kind="DiagnosticReport", strict=False):
    return parse_held_search(REPORT_TABLES[kind], [PATIENT, *parameters], CONTEXT, strict=strict)


@pytest.mark.parametrize(
    ("parameter", "step"),
    [
        (("_include", "DiagnosticReport:study"), Step("DiagnosticReport", "study")),
        (("_include", "DiagnosticReport:imaging-study"), Step("DiagnosticReport", "study")),
        (
            ("_include", "DiagnosticReport:performer:Organization"),
            Step("DiagnosticReport", "performer", "Organization"),
        ),
        (("_revinclude", "Provenance:target"), Step("Provenance", "target", is_reverse=True)),
        (
            ("_revinclude", "Composition:entry:DiagnosticReport"),
            Step("Composition", "entry", "DiagnosticReport", is_reverse=True),
        ),
        (("_include:iterate", "ImagingStudy:endpoint"), Step("ImagingStudy", "endpoint", iterates=True)),
        (("_include:recurse", "ImagingStudy:based-on"), Step("ImagingStudy", "basedon", iterates=True)),
        (
            ("_revinclude:iterate", "Observation:derived-from"),
            Step("Observation", "derived-from", is_reverse=True, iterates=True),
        ),
    ],
)
def test_each_form_is_understood_and_repeated_in_the_self_link(parameter, step):
    search = parse(parameter, strict=True)
    assert search.steps == (step,)
    assert parameter in search.self_parameters
    assert parse(*search.self_parameters[1:]).steps == (step,)


@pytest.mark.parametrize(
    "parameter",
    [
        ("_include", "ImagingStudy:endpoint"),
        ("_include", "DiagnosticReport:study:Patient"),
        ("_include", "DiagnosticReport:nothing"),
        ("_include", "DiagnosticReport"),
        ("_include", ""),
        ("_include:again", "DiagnosticReport:study"),
        ("_revinclude", "Observation:device"),
        ("_include:iterate", "Practitioner:nothing"),
    ],
)
def test_what_is_not_supported_is_left_out_with_a_warning_or_refused(parameter):
    search = parse(parameter)
    assert search.steps == ()
    assert parameter[0] in search.warnings[0].diagnostics
    assert parameter not in search.self_parameters
    with pytest.raises(OutcomeError):
        parse(parameter, strict=True)


@pytest.mark.parametrize("kind", sorted(FOLLOWED))
@pytest.mark.parametrize("control", ["_include", "_revinclude"])
def test_all_of_them_are_what_the_statement_lists(kind, control):
    listed = imaging_paths(control, kind)
    everything = read_steps(control, "*", kind, iterates=False)
    one_by_one = [step for path in listed for step in read_steps(control, path, kind, iterates=False)]
    assert len(one_by_one) == len(listed)
    assert set(everything) == set(one_by_one)
    assert len(everything) == len(set(everything))


def test_every_spelling_is_of_a_reference_that_there_is():
    assert all((source, name) in ELEMENTS for (source, _), name in SPELLINGS.items())


def test_a_text_has_no_neighbours():
    search = parse(("_include:iterate", "DiagnosticReport:study"), ("_summary", "text"))
    assert search.steps == ()
    assert "_include" not in search.self_link
