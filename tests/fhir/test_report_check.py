"""Each rule of the report guide is found where it is broken, and nowhere else.

A mutation names what it changes in a sample report, and the finding that has to say so.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.fhir.report_rules import RULES
from gateway.model.imaging import Severity
from gateway.model.releases import FhirRelease
from tests.fhir.report_samples import changed, findings, report, resource, rules

R4, R5 = FhirRelease
ELSEWHERE = {"coding": [{"system": "http://example.org/codes", "code": "other"}]}
NO_TYPE = {"coding": [{"system": "http://example.org/codes", "code": "X"}]}
SECTIONS = {"imagingstudy": 0, "order": 1, "history": 2, "procedure": 3}


@dataclass(frozen=True)
class Change:
    """Removal of `path`, or its replacement by `value`, in the first `kind` of a sample report.

    `place` is where the finding stands if that is not `path`; an empty `kind` is the Bundle itself.
    """

    rule: str
    kind: str
    path: str
    value: Any = None
    place: str | None = None
    sample: str = "cardiac"
    number: int = 0
    releases: tuple[FhirRelease, ...] = field(default=(R4, R5))


def entry_of(bundle: Any, kind: str, number: int) -> int:
    found = [n for n, e in enumerate(bundle["entry"]) if e["resource"]["resourceType"] == kind]
    return found[number]


def mandatory(kind: str, rules_by_element: dict[str, str], **more: Any) -> list[Change]:
    return [Change(rule, kind, element, **more) for element, rule in rules_by_element.items()]


COMPOSITION = {
    "status": "composition-status",
    "type": "composition-type",
    "date": "composition-date",
    "author": "composition-author",
    "title": "composition-title",
    "identifier": "composition-identifier",
    "subject": "composition-subject",
}
REPORT = {
    "status": "report-status",
    "code": "report-code",
    "identifier": "report-identifier",
    "subject": "report-subject",
}
ORDER = {"status": "order-status", "intent": "order-intent", "subject": "order-subject"}
ACCESSION = {"system": "accession-system", "value": "accession-value", "type": "accession-type"}
STUDY_UID = {"type": "study-uid-type", "value": "study-uid-value"}
KEY = {"sample": "minimal"}

CHANGES: list[Change] = [
    # --- Bundle
    Change("bundle-type", "", "type", "collection"),
    Change("bundle-type", "", "type", "document", sample="minimal"),
    Change("bundle-identifier", "", "identifier"),
    Change("bundle-identifier", "", "identifier.system", place="identifier"),
    Change("bundle-identifier", "", "identifier.value", place="identifier"),
    Change("bundle-timestamp", "", "timestamp"),
    Change("bundle-total", "", "total", 9),
    Change("bundle-total", "", "total", 9, sample="minimal"),
    Change("bundle-link", "", "link", [{"relation": "self", "url": "http://example.org"}], sample="minimal"),
    Change("entry-resource", "", "entry[9].resource"),
    Change("full-url-missing", "", "entry[3].fullUrl"),
    Change("full-url-invalid", "", "entry[3].fullUrl", "Patient/1"),
    Change("full-url-id", "", "entry[3].fullUrl", "http://example.org/fhir/Patient/other"),
    Change("profile-missing", "", "meta", place="meta.profile"),
    *(
        Change("entry-not-in-report", "", f"entry[2].{name}", value)
        for name, value in (
            ("link", [{"relation": "self", "url": "http://example.org"}]),
            ("search", {"mode": "match"}),
            ("request", {"method": "GET", "url": "Patient"}),
            ("response", {"status": "200"}),
        )
    ),
    # --- Composition
    *mandatory("Composition", COMPOSITION),
    Change("category-report", "Composition", "category[0]", place="category"),
    Change("category-report", "Composition", "category[0].coding[0].code", "85430-8", place="category"),
    Change("category-report", "Composition", "category[0].coding[0].system", "http://x", place="category"),
    Change("category-imaging", "Composition", "category[1]", place="category"),
    Change("category-imaging", "Composition", "category[1].coding[0].code", "Other", place="category"),
    Change("category-imaging", "Composition", "category[1].coding[0].system", "http://x", place="category"),
    Change("composition-type-loinc", "Composition", "type", ELSEWHERE),
    Change("attester-time", "Composition", "attester[0].time"),
    *(
        Change(f"section-{name}", "Composition", f"section[{number}]", place="section", sample="foot")
        for name, number in SECTIONS.items()
    ),
    *(
        Change(
            f"section-{name}",
            "Composition",
            f"section[{number}].code.coding[0].code",
            "1-8",
            place="section",
            sample="foot",
        )
        for name, number in SECTIONS.items()
    ),
    *(
        Change(
            f"section-{name}",
            "Composition",
            f"section[{number}].code.coding[0].system",
            "http://x",
            place="section",
            sample="foot",
        )
        for name, number in SECTIONS.items()
    ),
    Change("section-code", "Composition", "section[4].code"),
    Change("section-empty", "Composition", "section[2].extension", place="section[2].emptyReason"),
    Change("section-content", "Composition", "section[2].text", place="section[2]"),
    Change("section-not-empty", "Composition", "section[0].emptyReason", ELSEWHERE),
    Change("section-text", "Composition", "section[0].text"),
    Change("section-study-entry", "Composition", "section[0].entry"),
    # --- DiagnosticReport
    *mandatory("DiagnosticReport", REPORT),
    *mandatory("DiagnosticReport", REPORT, sample="minimal"),
    Change("report-composition", "DiagnosticReport", "composition", releases=(R5,)),
    Change("report-composition", "DiagnosticReport", "extension[1]", place="composition", releases=(R4,)),
    Change("report-result", "DiagnosticReport", "result", releases=(R5,)),
    Change("category-report", "DiagnosticReport", "category[0]", place="category"),
    Change("category-imaging", "DiagnosticReport", "category[1]", place="category", sample="minimal"),
    Change("accession-missing", "DiagnosticReport", "basedOn[0].identifier"),
    *(Change(rule, "DiagnosticReport", f"basedOn[0].identifier.{name}") for name, rule in ACCESSION.items()),
    *(
        Change(rule, "DiagnosticReport", f"basedOn[0].identifier.{name}", sample="minimal")
        for name, rule in ACCESSION.items()
    ),
    Change("accession-type", "DiagnosticReport", "basedOn[0].identifier.type", NO_TYPE),
    Change(
        "order-neither", "DiagnosticReport", "basedOn[0].identifier", place="basedOn[0]", sample="minimal"
    ),
    Change(
        "order-both", "DiagnosticReport", "basedOn[0].reference", "#x", place="basedOn[0]", sample="minimal"
    ),
    *(
        Change(
            change.rule,
            change.kind,
            f"{study}[0]{change.path}",
            change.value,
            place,
            "minimal",
            0,
            (release,),
        )
        for release, study in ((R4, "imagingStudy"), (R5, "study"))
        for change, place in (
            (Change("study-neither", "DiagnosticReport", ".identifier"), f"{study}[0]"),
            (Change("study-both", "DiagnosticReport", ".reference", "#x"), f"{study}[0]"),
            (Change("study-uid-type", "DiagnosticReport", ".identifier.type"), None),
            (Change("study-uid-system", "DiagnosticReport", ".identifier.system"), None),
            (Change("study-uid-system", "DiagnosticReport", ".identifier.system", "http://x"), None),
            (Change("study-uid-value", "DiagnosticReport", ".identifier.value"), None),
            (Change("study-uid-prefix", "DiagnosticReport", ".identifier.value", "2.999.3.77"), None),
        )
    ),
    Change("pdf-missing", "DiagnosticReport", "presentedForm", sample="minimal"),
    Change(
        "pdf-missing",
        "DiagnosticReport",
        "presentedForm[0].contentType",
        "text/plain",
        place="presentedForm",
        sample="minimal",
    ),
    Change(
        "pdf-empty", "DiagnosticReport", "presentedForm[0].data", place="presentedForm[0]", sample="minimal"
    ),
    Change("attachment-dangling", "DiagnosticReport", "presentedForm[0].url", "Binary/1", sample="minimal"),
    Change("attachment-outside", "DiagnosticReport", "presentedForm[0].url", "http://x/y", sample="minimal"),
    # --- the resources beside them
    Change("patient-name", "Patient", "name"),
    Change("patient-birth-date", "Patient", "birthDate"),
    Change("practitioner-name", "Practitioner", "name"),
    Change("organization-name", "Organization", "name"),
    Change("study-status", "ImagingStudy", "status"),
    Change("study-subject", "ImagingStudy", "subject"),
    Change("study-uid-missing", "ImagingStudy", "identifier"),
    *(Change(rule, "ImagingStudy", f"identifier[0].{name}") for name, rule in STUDY_UID.items()),
    Change("study-uid-system", "ImagingStudy", "identifier[0].system", "http://x"),
    Change("study-uid-type", "ImagingStudy", "identifier[0].type", NO_TYPE),
    Change("study-uid-prefix", "ImagingStudy", "identifier[0].value", "2.999.3.77"),
    Change("study-uid-invalid", "ImagingStudy", "identifier[0].value", "urn:oid:2.999.03"),
    Change("study-endpoint", "ImagingStudy", "endpoint", [{"display": "PACS"}]),
    Change("accession-missing", "ImagingStudy", "basedOn[0].identifier"),
    *(Change(rule, "ImagingStudy", f"basedOn[0].identifier.{name}") for name, rule in ACCESSION.items()),
    Change("series-uid", "ImagingStudy", "series[0].uid"),
    Change("series-modality", "ImagingStudy", "series[0].modality"),
    Change("instance-uid", "ImagingStudy", "series[0].instance[0].uid"),
    Change("instance-sop-class", "ImagingStudy", "series[0].instance[0].sopClass"),
    Change("order-category", "ServiceRequest", "category"),
    Change("order-category", "ServiceRequest", "category[0].coding[0].code", "1", place="category"),
    Change("order-category", "ServiceRequest", "category[0].coding[0].system", "http://x", place="category"),
    *mandatory("ServiceRequest", ORDER),
    Change("accession-system", "ServiceRequest", "identifier[0].system"),
    Change("accession-value", "ServiceRequest", "identifier[0].value"),
    Change("procedure-status", "Procedure", "status"),
    Change("procedure-code", "Procedure", "code"),
    Change("procedure-subject", "Procedure", "subject"),
    Change("procedure-function", "Procedure", "performer[0].function"),
    # the first Observation of the cardiac report is its dose
    Change("dose-code", "Observation", "code"),
    Change("dose-code", "Observation", "code.coding[0].code", "1-8", place="code"),
    Change("dose-code", "Observation", "code.coding[0].system", "http://x", place="code"),
    Change("dose-subject", "Observation", "subject"),
    Change("dose-value", "Observation", "valueString"),
    Change("dose-study", "Observation", "derivedFrom"),
    Change("observation-status", "Observation", "status", number=1),
    Change("observation-code", "Observation", "code", number=1),
    Change(
        "observation-uid-type",
        "Observation",
        "identifier",
        [{"system": "urn:dicom:uid", "value": "urn:oid:2.999.1"}],
        place="identifier[0].type",
        number=1,
    ),
    Change("device-status", "Device", "status"),
    Change("device-category", "Device", "category", releases=(R5,)),
    Change("device-category", "Device", "category[0].coding[0].code", "1", "category", releases=(R5,)),
    Change("device-category", "Device", "extension", place="category", releases=(R4,)),
    Change("selection-status", "ImagingSelection", "status", releases=(R5,)),
    Change("selection-code", "ImagingSelection", "code", releases=(R5,)),
    Change("selection-study", "ImagingSelection", "derivedFrom", releases=(R5,)),
    Change("selection-code", "Basic", "code", releases=(R4,)),
    Change("selection-content", "Basic", "extension", releases=(R4,)),
    Change("selection-status", "Basic", "extension[0].extension[0]", place="extension[0]", releases=(R4,)),
    # --- what one entry says against another
    Change("reference-dangling", "Composition", "custodian.reference", "Organization/none"),
    Change("reference-outside", "Composition", "custodian.reference", "http://x.org/Organization/none"),
    Change("reference-contained", "Composition", "custodian.reference", "#none"),
    Change("reference-dangling", "ImagingStudy", "subject.reference", "urn:uuid:no"),
    Change("identifiers-differ", "DiagnosticReport", "identifier[0].value", "other", place="identifier"),
    Change("organizations-differ", "DiagnosticReport", "performer"),
    Change("categories-differ", "DiagnosticReport", "category[2]", place="category"),
    Change("types-differ", "DiagnosticReport", "code", ELSEWHERE),
    Change("studies-differ", "DiagnosticReport", "imagingStudy", releases=(R4,)),
    Change("studies-differ", "DiagnosticReport", "study", releases=(R5,)),
    # --- what is tolerated in reading
    Change("wrong-type", "Composition", "title", ["CT"]),
    Change("text-as-number", "Composition", "title", 1),
    Change("list-as-one", "Composition", "custodian", [{"display": "x"}]),
    Change("one-as-list", "Composition", "author", {"display": "x"}),
    Change("date-invalid", "Composition", "date", "yesterday"),
    Change("date-partial", "Patient", "birthDate", "1975"),
    Change("issuer-not-a-uri", "Patient", "identifier[0].system", "2.999.1.1"),
    Change("issuer-empty", "Patient", "identifier[0].system", "urn:oid:"),
    Change("fraction-cut", "Patient", "birthDate", "1975-04-12T01:02:03.1234567Z"),
    Change(
        "r5-element",
        "Composition",
        "type.coding[0].concept",
        {"coding": [{"system": "http://loinc.org", "code": "1-8"}]},
        place="type.coding[0]",
    ),
    Change("name-as-text", "Patient", "name", [{"text": "Maria Muster"}], place="name[0]"),
]
CASES = [(change, release) for change in CHANGES for release in change.releases]


def _label(case: Any) -> str:
    change, release = case
    return f"{release.name}-{change.kind}.{change.path}-{change.rule}"


@pytest.mark.parametrize("case", CASES, ids=_label)
def test_a_change_gives_the_finding_that_names_it(case):
    change, release = case
    bundle = report(change.sample, release)
    start = ""
    if change.kind:
        start = f"entry[{entry_of(bundle, change.kind, change.number)}].resource."
    place = f"Bundle.{start}{change.place or change.path}"
    assert (change.rule, place) in findings(changed(bundle, start + change.path, change.value))


# --- changes that take more than one element ---------------------------------------------------------------
def test_a_second_resource_where_there_is_one():
    for kind, rule in (
        ("Composition", "composition-repeated"),
        ("DiagnosticReport", "diagnostic-report-repeated"),
        ("Patient", "patient-repeated"),
    ):
        bundle = report("foot")
        again = copy.deepcopy(resource(bundle, kind))
        bundle["entry"].append({"fullUrl": "urn:uuid:again", "resource": {**again, "id": "again"}})
        number = len(bundle["entry"]) - 1
        assert (rule, f"Bundle.entry[{number}].resource") in findings(bundle)


def test_a_second_study_in_a_minimal_report():
    bundle = report("minimal")
    for number in (1, 2):
        study = copy.deepcopy(resource(report("foot"), "ImagingStudy"))
        bundle["entry"].append({"fullUrl": f"urn:uuid:{number}", "resource": study})
    assert "imaging-study-repeated" in rules(bundle)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("DiagnosticReport", "diagnostic-report-missing"),
        ("Patient", "patient-missing"),
        ("ImagingStudy", "imaging-study-missing"),
    ],
)
def test_a_resource_that_is_missing(kind, rule):
    bundle = report("foot")
    bundle["entry"] = [e for e in bundle["entry"] if e["resource"]["resourceType"] != kind]
    assert (rule, "Bundle.entry") in findings(bundle)


def test_a_composition_that_is_not_first():
    bundle = report("foot")
    bundle["entry"].reverse()
    assert ("composition-first", "Bundle.entry[0]") in findings(bundle)


def test_one_full_url_for_two_entries():
    bundle = report("foot")
    bundle["entry"][5]["fullUrl"] = bundle["entry"][4]["fullUrl"]
    assert ("full-url-repeated", "Bundle.entry[5].fullUrl") in findings(bundle)


def test_an_entry_that_nothing_leads_to():
    bundle = report("foot")
    stray = {"resourceType": "Device", "id": "stray"}
    bundle["entry"].append({"fullUrl": "urn:uuid:stray", "resource": stray})
    assert findings(bundle) == [("entry-unrelated", f"Bundle.entry[{len(bundle['entry']) - 1}]")]


def test_an_entry_that_refers_to_the_report_belongs_to_it():
    bundle = report("foot")
    target = {"reference": bundle["entry"][1]["fullUrl"]}
    provenance = {"resourceType": "Provenance", "id": "p", "target": [target]}
    bundle["entry"].append({"fullUrl": "urn:uuid:p", "resource": provenance})
    assert findings(bundle) == []


def test_a_reference_by_type_and_id_alone():
    bundle = report("foot")
    organization = resource(bundle, "Organization")
    resource(bundle, "Composition")["custodian"] = {"reference": f"Organization/{organization['id']}"}
    assert findings(bundle) == [("reference-by-id", "Bundle.entry[0].resource.custodian.reference")]


def test_a_section_twice():
    bundle = report("foot")
    sections = resource(bundle, "Composition")["section"]
    sections.append(copy.deepcopy(sections[-1]))
    assert ("section-repeated", f"Bundle.entry[0].resource.section[{len(sections) - 1}].code") in findings(
        bundle
    )


def test_an_entry_of_another_type_in_a_section():
    bundle = report("foot")
    sections = resource(bundle, "Composition")["section"]
    sections[1]["entry"].append({"reference": bundle["entry"][2]["fullUrl"]})
    assert ("section-entry-type", "Bundle.entry[0].resource.section[1].entry[1]") in findings(bundle)


def test_a_fixed_category_twice():
    bundle = report("foot")
    categories = resource(bundle, "Composition")["category"]
    categories.append(copy.deepcopy(categories[0]))
    assert ("category-repeated", "Bundle.entry[0].resource.category[3]") in findings(bundle)


@pytest.mark.parametrize("release", FhirRelease)
def test_the_category_of_the_other_release_is_read_with_a_warning(release):
    bundle = report("foot", release)
    other = R5 if release is R4 else R4
    system = resource(report("foot", other), "Composition")["category"][1]["coding"][0]["system"]
    resource(bundle, "Composition")["category"][1]["coding"][0]["system"] = system
    assert ("category-system", "Bundle.entry[0].resource.category") in findings(bundle)


@pytest.mark.parametrize("release", FhirRelease)
def test_a_subject_that_is_another_one(release):
    bundle = report("foot", release)
    organization = {
        "reference": next(
            e["fullUrl"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Organization"
        )
    }
    resource(bundle, "Composition")["subject"] = [organization] if release is R5 else organization
    broken = rules(bundle)
    assert {"composition-subject-patient", "subjects-differ"} <= broken


@pytest.mark.parametrize("release", FhirRelease)
def test_a_composition_that_is_another_resource(release):
    bundle = report("foot", release)
    report_ = resource(bundle, "DiagnosticReport")
    named = report_["composition"] if release is R5 else report_["extension"][1]["valueReference"]
    named["reference"] = bundle["entry"][2]["fullUrl"]
    assert "report-composition-target" in rules(bundle)


@pytest.mark.parametrize("release", FhirRelease)
def test_a_composition_in_a_minimal_report(release):
    bundle = report("minimal", release)
    reference = {"reference": "urn:uuid:x"}
    report_ = resource(bundle, "DiagnosticReport")
    if release is R5:
        report_["composition"] = reference
    else:
        url = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.composition"
        report_["extension"].append({"url": url, "valueReference": reference})
    assert "report-composition-minimal" in rules(bundle)


def test_an_observation_of_a_section_that_is_no_result():
    bundle = report("cardiac", R5)
    resource(bundle, "DiagnosticReport")["result"].pop(0)
    broken = [place for rule, place in findings(bundle) if rule == "report-result-of-sections"]
    assert broken == ["Bundle.entry[0].resource.section[4].entry[0]"]


def test_a_member_of_a_result_counts_as_result():
    bundle = report("cardiac", R5)
    results = resource(bundle, "DiagnosticReport")["result"]
    resource(bundle, "Observation", 1)["hasMember"] = [results.pop(1)]
    assert findings(bundle) == []


def test_a_second_study_uid():
    bundle = report("foot")
    identifiers = resource(bundle, "ImagingStudy")["identifier"]
    identifiers.append(copy.deepcopy(identifiers[0]))
    assert "study-uid-repeated" in rules(bundle)


def test_a_code_without_system():
    bundle = report("foot")
    del resource(bundle, "ImagingStudy")["extension"][0]["valueCodeableConcept"]["coding"][0]["system"]
    assert "code-incomplete" in rules(bundle)


def test_the_profile_of_the_other_format():
    bundle = report("minimal")
    bundle["meta"] = report("foot")["meta"]
    assert ("profile-differs", "Bundle.meta.profile") in findings(bundle)


SOP = {
    "type": {
        "coding": [
            {
                "system": "http://hl7.eu/fhir/imaging/CodeSystem/codesystem-missing-dicom-terminology",
                "code": "00080018",
            }
        ]
    },
    "system": "urn:dicom:uid",
    "value": "urn:oid:2.999.7.1",
}


def sr_instance(release):
    """The first key image of the cardiac report as selection of a DICOM SR."""
    bundle = report("cardiac", release)
    selection = resource(bundle, "ImagingSelection" if release is R5 else "Basic")
    base = bundle["meta"]["profile"][0].rpartition("/")[0]
    selection["meta"] = {"profile": [f"{base}/SrInstanceImagingSelectionEuImaging"]}
    selection["identifier"] = [SOP]
    return bundle, selection


@pytest.mark.parametrize("release", FhirRelease)
def test_a_selected_sr_instance(release):
    assert findings(sr_instance(release)[0]) == []
    for broken in ([], [{**SOP, "system": "http://x"}], [{**SOP, "type": NO_TYPE}], [SOP, SOP]):
        bundle, selection = sr_instance(release)
        selection["identifier"] = broken
        assert rules(bundle) == {"sr-instance-identifier"}
    for name, rule in (
        ("studyUid", "sr-instance-study"),
        ("seriesUid", "sr-instance-series"),
        ("instance", "sr-instance-instance"),
    ):
        bundle, selection = sr_instance(release)
        if release is R5:
            del selection[name]
        else:
            content = selection["extension"][0]["extension"]
            content[:] = [one for one in content if one["url"] != name]
        assert rules(bundle) == {rule}


def key_image(release):
    """The cardiac report with a key image as DocumentReference."""
    bundle = report("cardiac", release)
    base = bundle["meta"]["profile"][0].rpartition("/")[0]
    modality = {"coding": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}]}
    extension = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DocumentReference.modality"
    mark = {
        "url": "http://hl7.org/fhir/StructureDefinition/documentreference-thumbnail",
        "valueBoolean": False,
    }
    image = {
        "resourceType": "DocumentReference",
        "id": "image",
        "meta": {"profile": [f"{base}/DocumentReferenceKeyImageEuImaging"]},
        "status": "current",
        "category": [{"coding": [{"system": "http://loinc.org", "code": "55113-5"}]}],
        "subject": resource(bundle, "DiagnosticReport")["subject"],
        "content": [{"extension": [mark], "attachment": {"url": "http://example.org/wado?x"}}],
    }
    if release is R5:
        image["modality"] = [modality]
    else:
        image["extension"] = [{"url": extension, "valueCodeableConcept": modality}]
    bundle["entry"].append({"fullUrl": "urn:uuid:image", "resource": image})
    resource(bundle, "Composition")["section"][4]["entry"].append({"reference": "urn:uuid:image"})
    return bundle, image


@pytest.mark.parametrize("release", FhirRelease)
def test_a_key_image_as_document_reference(release):
    assert rules(key_image(release)[0]) == {"attachment-outside"}
    modality = "modality" if release is R5 else "extension"
    for element, rule in (
        ("category", "key-image-category"),
        ("subject", "key-image-subject"),
        (modality, "key-image-modality"),
        ("content", "key-image-content"),
    ):
        bundle, image = key_image(release)
        del image[element]
        assert rule in rules(bundle)
    bundle, image = key_image(release)
    image["category"][0]["coding"][0]["code"] = "55113-6"
    assert "key-image-category" in rules(bundle)


# --- the table ---------------------------------------------------------------------------------------------
BY_HAND = {
    "composition-first",
    "composition-repeated",
    "diagnostic-report-repeated",
    "patient-repeated",
    "imaging-study-repeated",
    "diagnostic-report-missing",
    "patient-missing",
    "imaging-study-missing",
    "full-url-repeated",
    "entry-unrelated",
    "reference-by-id",
    "section-repeated",
    "section-entry-type",
    "category-repeated",
    "category-system",
    "composition-subject-patient",
    "subjects-differ",
    "report-composition-target",
    "report-composition-minimal",
    "report-result-of-sections",
    "study-uid-repeated",
    "code-incomplete",
    "profile-differs",
    "profile-legacy",
    "time-zone-missing",
    "sr-instance-identifier",
    "sr-instance-study",
    "sr-instance-series",
    "sr-instance-instance",
    "key-image-category",
    "key-image-subject",
    "key-image-modality",
    "key-image-content",
}


def test_every_rule_is_shown():
    shown = {change.rule for change in CHANGES} | BY_HAND
    assert shown == RULES.keys()


def test_no_finding_shows_a_value():
    bundle = report("cardiac")
    for entry in bundle["entry"]:
        for name in [n for n in entry["resource"] if n not in ("resourceType", "id", "name")][:4]:
            del entry["resource"][name]
    assert "Muster" not in str(findings(bundle))
    assert all("Muster" not in text for _, text in RULES.values())


def test_severities():
    assert RULES["composition-identifier"][0] is Severity.ERROR
    assert RULES["study-uid-prefix"][0] is Severity.WARNING, "the invariant of the guide is a warning"
