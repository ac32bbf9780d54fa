"""Reports of the sample generator, and ways to change them."""

import copy
import re
from functools import cache

import orjson

from gateway.demo.content import READER
from gateway.demo.ct_study import sample_study
from gateway.demo.report_parts import ReportOrder
from gateway.demo.reports import WRITERS, ReportCase, foot_study, study_of
from gateway.demo.samples import ACCESSION_AUTHORITY, ORGANIZATION, IdSource, SamplePatient
from gateway.fhir.report_read import read_report_bundle
from gateway.fhir.terminology import Terminology
from gateway.model.releases import FhirRelease

TERMINOLOGY = Terminology()
PATIENT = SamplePatient("REPORT-1", "Muster", "Maria", "1975-04-12", "female", "Exampleton")
ORDER = ReportOrder("A123", ACCESSION_AUTHORITY, "P456", ORGANIZATION)
KINDS = tuple(WRITERS)
RELEASES = tuple(FhirRelease)
ALL = tuple((kind, release) for kind in KINDS for release in RELEASES)


def case_of(kind, ids):
    images = sample_study(
        ids,
        study_uid="2.999.3.77",
        patient=PATIENT,
        accession=ORDER.accession,
        accession_authority=ORDER.accession_authority,
        institution="Example Hospital",
        date="20250429",
        time="071500",
    )
    return ReportCase(
        identifier=f"2.999.2.{len(kind)}",
        patient=PATIENT,
        author=READER,
        order=ORDER,
        study=foot_study(ids) if kind == "foot" else study_of(images),
        written="2025-05-08T10:00:00+02:00",
    )


@cache
def report_bytes(kind, release=FhirRelease.R4):
    ids = IdSource(f"report {kind}")
    return WRITERS[kind](release, ids, case_of(kind, ids))


def report(kind, release=FhirRelease.R4):
    """The report as JSON values, to be changed at will."""
    return orjson.loads(report_bytes(kind, release))


def resource(bundle, kind, number=0):
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind][number]


def read(bundle):
    return read_report_bundle(bundle, TERMINOLOGY)


def findings(bundle):
    return [(finding.rule, finding.place) for finding in read(bundle).findings]


def rules(bundle):
    return {rule for rule, _ in findings(bundle)}


def changed(bundle, path, value=None):
    """A copy with the element at `path` (`entry[0].resource.title`) replaced, without `value` removed."""
    made = copy.deepcopy(bundle)
    *steps, last = re.findall(r"[^.\[\]]+", path)
    held = made
    for step in steps:
        held = held[int(step)] if step.isdigit() else held[step]
    key = int(last) if last.isdigit() else last
    if value is None:
        del held[key]
    else:
        held[key] = value
    return made
