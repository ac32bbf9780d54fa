"""Every element that the guide's profiles make mandatory, fix or forbid is checked: each is taken out of a sample
report, changed or put in, and a finding says so.

The elements come from the StructureDefinitions of the guide. What is not covered is a list with reasons.
"""

import copy
import json
import re
from functools import cache
from pathlib import Path

import pytest

from gateway.fhir.report_read import NotAReportError
from gateway.model.releases import FhirRelease
from tests.fhir.report_samples import findings, report

PROFILES = Path(__file__).resolve().parents[3] / "shared/oracle/profiles"
FOLDERS = {
    FhirRelease.R4: PROFILES / "r4/hl7.fhir.eu.imaging",
    FhirRelease.R5: PROFILES / "r5/hl7.fhir.eu.imaging-r5",
}
SAMPLES = {
    "BundleReportEuImaging": "cardiac",
    "BundleReportMinimalMetadataEuImaging": "minimal",
    "CompositionEuImaging": "foot",
    "DiagnosticReportEuImaging": "cardiac",
    "DiagnosticReportEuImagingMinimalMetadata": "minimal",
    "ImagingStudyEuImaging": "cardiac",
    "ServiceRequestOrderEuImaging": "cardiac",
    "ProcedureEuImaging": "cardiac",
    "ObservationFindingEuImaging": "cardiac",
    "ObservationRadiationDoseEuImaging": "cardiac",
    "DeviceEuImaging": "cardiac",
    "ImagingSelectionEuImaging": "cardiac",
}
OPTIONAL = "an optional element that no sample has: "
EXCEPTIONS = {
    r"Bundle\.entry:[\w-]+\.resource": "a slice of entries that a sample does not have; of others it is checked",
    r"Composition\.extension:diagnosticreport-reference\.value\[x\]": f"{OPTIONAL}without value it says nothing",
    r"Composition\.attester:resultValidator\.(mode|time)": f"{OPTIONAL}the time is checked as that of mode legal",
    r"Composition\.attester:legalAuthenticator\.mode": "of another mode it is another attester, and none is missed",
    r"Composition\.section:(comparison|findings|impression|recommendation|communication|report)\.code": (
        "with another code it is another section, and none is missed"
    ),
    r"DiagnosticReport\.(basedOn|imagingStudy|study):(order|study)-resource\.reference": (
        "without reference it is the other slice, whose identifier is missed"
    ),
    r"DiagnosticReport\.(extension:)?note\..*": f"{OPTIONAL}what a note is of is read where it is there",
    r"ImagingStudy\.series\.performer:\w+\.(actor|function)": f"{OPTIONAL}slices by a function that may be any",
    r"Observation\.identifier:observationUid\.type": f"{OPTIONAL}observation-uid-type in test_report_check",
    r"Procedure\.performer:[\w-]+\.actor": "slices by a function that the guide does not fix",
    r"Device\.udiCarrier\.deviceIdentifier": f"{OPTIONAL}FHIR's own rule",
    r"ServiceRequest\.extension:reason\.value\[x\].*": "how the extension for R5 is written, not what it says",
}
"""Elements whose absence or change nobody has to notice."""


@cache
def profile(release, name):
    for path in FOLDERS[release].glob("StructureDefinition-*.json"):
        definition = json.loads(path.read_text())
        if definition["name"] == name:
            return definition
    raise LookupError(name)


def constraints(release, name):
    """(element id, what) of all that the profile demands, and of what FHIR demands at the root."""
    definition = profile(release, name)
    elements = {e["id"]: e for e in definition["snapshot"]["element"]}
    own = {e["id"] for e in definition["differential"]["element"]}
    forbidden = tuple(f"{key}." for key, e in elements.items() if e.get("max") == "0")
    for key, element in elements.items():
        depth = key.count(".")
        if depth == 0 or key.startswith(forbidden) or re.search(r"\.(id|url|modifierExtension)$", key):
            continue
        if depth > 1 and key not in own:
            continue
        fixed = next((element[k] for k in element if k.startswith(("fixed", "pattern"))), None)
        if element.get("max") == "0":
            yield key, "forbidden", None
        elif fixed is not None and element["min"] > 0:
            yield key, "fixed", fixed
        elif element["min"] > 0:
            yield key, "mandatory", None


def cases():
    found = []
    for release, folder in FOLDERS.items():
        if folder.exists():
            for name in SAMPLES:
                found += [(release, name, *each) for each in constraints(release, name)]
    return found


def roots(bundle, release, name):
    """The objects of a sample that have to keep a profile."""
    kind = profile(release, name)["type"]
    if kind == "Bundle":
        return [bundle]
    of_kind = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]
    claiming = [
        r for r in of_kind if any(u.endswith(f"/{name}") for u in r.get("meta", {}).get("profile", ()))
    ]
    return claiming or of_kind


def is_in_slice(item, slice_id, release, name):
    """Whether an item of a list is of a slice: by what the slice fixes, or by the type of its resource."""
    elements = profile(release, name)["snapshot"]["element"]
    if "resource" in item:
        kind = re.match(r"(Composition|DiagnosticReport|Patient|ImagingStudy)", slice_id.rpartition(":")[2])
        return kind is not None and item["resource"]["resourceType"] == kind[1]
    by_id = {element["id"]: element for element in elements}
    of_type = by_id[slice_id].get("type", ({},))[0]
    if of_type.get("code") == "Extension":
        return item.get("url") in of_type.get("profile", ())
    for element in elements:
        if element["id"] == slice_id or element["id"].startswith(f"{slice_id}."):
            fixed = next((element[k] for k in element if k.startswith(("fixed", "pattern"))), None)
            if fixed is not None:
                held = item
                for step in (
                    element["id"][len(slice_id) :].strip(".").split(".") if element["id"] != slice_id else ()
                ):
                    held = held.get(step) if isinstance(held, dict) else None
                return contains(held, fixed)
    # by what a reference leads to: then all of them are
    return True


def contains(value, pattern):
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(contains(value.get(k), v) for k, v in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(contains(v, p) for v in value) for p in pattern)
    return value == pattern


def holders(root, key, release, name):
    """(holder, name or index) of each place in a sample that an element stands at."""
    places = [(None, None, root)]
    so_far = key.split(".")[0]
    for step in key.split(".")[1:]:
        so_far += f".{step}"
        bare, _, slice_name = step.partition(":")
        bare = bare.removesuffix("[x]")
        found = []
        for _, _, value in places:
            for name_of in (
                [n for n in value if n == bare or ("[x]" in step and n.startswith(bare))]
                if isinstance(value, dict)
                else ()
            ):
                held = value[name_of]
                if isinstance(held, list):
                    found += [
                        (held, number, item)
                        for number, item in enumerate(held)
                        if not slice_name or is_in_slice(item, so_far, release, name)
                    ]
                else:
                    found.append((value, name_of, held))
        places = found
    return places


def excepted(key):
    return next((reason for pattern, reason in EXCEPTIONS.items() if re.fullmatch(pattern, key)), None)


def other(value):
    """The same with other codes."""
    if isinstance(value, dict):
        return {k: (other(v) if k in ("coding", "code") else v) for k, v in value.items()}
    if isinstance(value, list):
        return [other(item) for item in value]
    return "other"


def mutated(bundle, release, name, key, what, fixed):
    """A changed sample; None where there is nothing to change."""
    made = copy.deepcopy(bundle)
    for root in roots(made, release, name):
        if what == "forbidden":
            parent, _, last = key.rpartition(".")
            for holder in (
                [root] if "." not in parent else [v for *_, v in holders(root, parent, release, name)]
            ):
                holder[last.partition(":")[0]] = (
                    [{"relation": "self", "url": "x"}] if last == "link" else {"x": "y"}
                )
                return made
            continue
        found = holders(root, key, release, name)
        if not found:
            continue
        for holder, at, value in sorted(
            found, key=lambda f: f[1] if isinstance(f[1], int) else 0, reverse=True
        ):
            if what == "fixed":
                holder[at] = other(value)
            else:
                del holder[at]
        prune(made)
        return made
    return None


def prune(value):
    """Leave out what became empty, as FHIR has it."""
    for item in list(value.values() if isinstance(value, dict) else value):
        if isinstance(item, dict | list):
            prune(item)
    if isinstance(value, dict):
        for name in [n for n, item in value.items() if item in ({}, [])]:
            del value[name]


@pytest.mark.parametrize(("release", "name", "key", "what", "fixed"), cases(), ids=lambda v: str(v)[:60])
def test_what_a_profile_demands_is_checked(release, name, key, what, fixed):
    sample = report(SAMPLES[name], release)
    made = mutated(sample, release, name, key, what, fixed)
    before = findings(sample)
    try:
        new = [f for f in findings(made) if f not in before] if made is not None else []
    except NotAReportError as refused:
        new = [str(refused)]
    if not new and excepted(key) is None:
        assert made is not None, f"no sample has {key}"
        pytest.fail(
            f"nobody notices that {key} is {'there' if what == 'forbidden' else 'missing or another'}"
        )


def test_no_exception_is_superfluous():
    if not cases():
        pytest.skip("the guide is not here")
    keys = [key for _, _, key, _, _ in cases()]
    unused = [pattern for pattern in EXCEPTIONS if not any(re.fullmatch(pattern, key) for key in keys)]
    assert unused == []
