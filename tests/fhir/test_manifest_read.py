"""The reader of FHIR manifests: what it tolerates, by name, and what it refuses."""

import copy
import random
from pathlib import Path

import orjson
import pytest

from gateway.fhir.formats import FhirFormat
from gateway.fhir.manifest_bundle import write_manifest_bundle
from gateway.fhir.manifest_losses import as_fhir_returns
from gateway.fhir.manifest_read import NotAManifestError, read_manifest, read_manifest_bundle
from gateway.fhir.manifest_rules import RULES
from gateway.fhir.terminology import Terminology
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import IssuedId, Issuer, LocalTime, RetrieveLocation
from tests.fhir.manifest_samples import CONTEXT, GROUP, NEAR, SIMPLE, TERMINOLOGY

ORACLE = Path(__file__).resolve().parents[3] / "shared/oracle"
SAMPLE = ORACLE / "fhir/mado-manifest-a-bundle.json"
GUIDE_EXAMPLE = ORACLE / "profiles/r4/ihe.rad.mado/examples/Bundle-mado-bundle-589331894518000.json"


def written(manifest=SIMPLE):
    return write_manifest_bundle(manifest, CONTEXT)


def the(bundle, kind, number=0):
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind][number]


def without(bundle, *kinds):
    bundle["entry"] = [e for e in bundle["entry"] if e["resource"]["resourceType"] not in kinds]


def read(bundle):
    return read_manifest_bundle(bundle, TERMINOLOGY)


def rules(result):
    return {finding.rule for finding in result.findings}


def test_what_the_gateway_writes_has_no_findings_but_the_place_without_address():
    assert rules(read(written())) == {"placeholder-address"}


# --- forms of the document ----------------------------------------------------------------------------------
def test_a_collection_is_read():
    bundle = written() | {"type": "collection"}
    result = read(bundle)
    assert rules(result) == {"bundle-type", "placeholder-address"}
    assert result.manifest == as_fhir_returns(SIMPLE)


def test_an_imaging_study_alone_is_read():
    study = the(written(), "ImagingStudy")
    result = read(study)
    assert {"no-bundle", "document-id-missing", "time-missing", "reference-unresolved"} <= rules(result)
    assert result.manifest.study.study_instance_uid == SIMPLE.study.study_instance_uid
    assert result.manifest.sop_instance_uid.startswith("2.25.")
    assert result.manifest.sop_instance_uid == read(study).manifest.sop_instance_uid
    assert result.manifest.study.requests[0].accession.value == "A1"


def test_a_collection_without_composition_is_read():
    bundle = written() | {"type": "collection"}
    without(bundle, "Composition")
    result = read(bundle)
    assert "no-composition" in rules(result)
    assert result.manifest.created == LocalTime("20260225", "005759", "+0100")
    assert result.manifest.creator == SIMPLE.creator


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        ([], "JSON object"),
        ({}, "nothing"),
        ({"resourceType": "Patient"}, "this is Patient"),
        ({"resourceType": 7}, "nothing"),
        ({"resourceType": "Bundle", "type": "document"}, "has none"),
        ({"resourceType": "ImagingStudy"}, "no Study Instance UID"),
    ],
)
def test_what_is_no_manifest_is_refused_with_the_reason(resource, reason):
    with pytest.raises(NotAManifestError, match=reason):
        read(resource)


def test_a_report_is_no_manifest():
    report = written()
    the(report, "Composition")["type"]["coding"][0]["code"] = "85430-7"
    with pytest.raises(NotAManifestError, match="imaging report"):
        read(report)
    with_result = written()
    with_result["entry"].append({"resource": {"resourceType": "DiagnosticReport"}})
    with pytest.raises(NotAManifestError, match="imaging report"):
        read(with_result)


def test_of_several_studies_the_composition_names_the_one():
    bundle, other = written(), the(written(GROUP), "ImagingStudy")
    bundle["entry"].insert(1, {"fullUrl": "urn:uuid:0", "resource": other})
    assert read(bundle).manifest.study.study_instance_uid == SIMPLE.study.study_instance_uid
    without(bundle, "Composition")
    with pytest.raises(NotAManifestError, match="2 ImagingStudy"):
        read(bundle)


def test_bytes_that_are_no_fhir():
    with pytest.raises(NotAManifestError, match="line 1"):
        read_manifest(b'{"resourceType": "Bundle", ', TERMINOLOGY)
    with pytest.raises(NotAManifestError, match="XML"):
        read_manifest(b"<Bundle", TERMINOLOGY, FhirFormat.XML)
    with pytest.raises(NotAManifestError):
        read_manifest(b"[" * 100_000, TERMINOLOGY)


# --- deviations by name -------------------------------------------------------------------------------------
def change(path, value):
    """A change of one element of the written Bundle, by resource type and path."""

    def apply(bundle):
        kind, *steps = path
        place = the(bundle, kind)
        for step in steps[:-1]:
            place = place[step]
        place[steps[-1]] = value

    return apply


STUDY = "ImagingStudy"
FIRST = (STUDY, "series", 0)
DEVIATIONS = [
    ("uid-prefix", change((STUDY, "identifier", 0, "value"), SIMPLE.study.study_instance_uid)),
    ("uid-system", change((STUDY, "identifier", 0, "system"), "urn:ietf:rfc:3986")),
    ("uid-type", change((STUDY, "identifier", 0, "type"), {"text": "UID"})),
    ("uid-prefix", change((*FIRST, "uid"), "urn:oid:2.999.1.200.1")),
    ("sop-class-system", change((*FIRST, "instance", 0, "sopClass", "system"), "http://dicom.nema.org/resources/CodeSystem/DICOM_UIDs")),
    ("uid-prefix", change((*FIRST, "instance", 0, "sopClass", "code"), "1.2.840.10008.5.1.4.1.1.2")),
    ("issuer-not-a-uri", change(("ServiceRequest", "identifier", 0, "system"), "2.999.10")),
    ("location-uid-prefix", change(("Endpoint", "extension", 0, "valueString"), "oid:2.999.21")),
    ("location-uid-prefix", change(("Endpoint", "extension", 0, "valueString"), "urn:oid:2.999.21")),
    ("connection-type", change(("Endpoint", "connectionType", "code"), "dicom-qido-rs")),
    ("document-type-legacy", change(("Composition", "type", "coding", 0, "code"), "19005-8")),
    ("document-type", change(("Composition", "type", "coding", 0, "code"), "11111-1")),
    ("category-legacy", change(("Composition", "category", 0, "coding", 0, "system"), imaging.LEGACY_EU_PRIORITY_CATEGORIES)),
    ("profile-legacy", change((STUDY, "meta", "profile"), ["http://hl7.eu/fhir/imaging-r4/StructureDefinition/ImagingStudyEuImaging"])),
    ("study-unreferenced", change(("Composition", "event"), [{}])),
    ("number-as-text", change((*FIRST, "number"), "1")),
    ("list-as-one", change((*FIRST, "bodySite"), [{"system": "http://snomed.info/sct", "code": "69536005", "display": "Head"}])),
    ("one-as-list", change((STUDY, "modality"), {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT", "display": "Computed Tomography"})),
    ("r5-element", change((*FIRST, "bodySite"), {"concept": {"coding": [{"system": "http://snomed.info/sct", "code": "69536005", "display": "Head"}]}})),
    ("r5-element", change((*FIRST, "modality"), {"coding": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT", "display": "Computed Tomography"}]})),
    ("document-id-differs", change(("Composition", "identifier", "value"), "urn:oid:2.999.7")),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "deviate"), DEVIATIONS)
def test_a_deviation_changes_nothing_but_the_findings(rule, deviate):
    bundle = written()
    deviate(bundle)
    result = read(bundle)
    assert rules(result) == {rule, "placeholder-address"}
    assert result.manifest == as_fhir_returns(SIMPLE)


@pytest.mark.parametrize(
    ("rule", "path", "value"),
    [
        ("series-count-differs", (STUDY, "numberOfSeries"), 9),
        ("instance-count-differs", (*FIRST, "numberOfInstances"), 9),
        ("wrong-type", (STUDY, "started"), {"a": 1}),
        ("date-invalid", (STUDY, "started"), "2026-02-30"),
        ("date-invalid", (STUDY, "started"), "24.2.2026"),
        ("date-partial", (STUDY, "started"), "2026-02"),
        ("time-zone-missing", (STUDY, "started"), "2026-02-24T16:23:10"),
        ("fraction-cut", (STUDY, "started"), "2026-02-24T16:23:10.123456789+01:00"),
        ("uid-invalid", (*FIRST, "uid"), "1.02.3"),
        ("uid-invalid", (*FIRST, "uid"), "1." + "2" * 70),
        ("uid-missing", (*FIRST, "uid"), " "),
        ("uid-missing", (*FIRST, "instance", 0, "uid"), None),
        ("sop-class-missing", (*FIRST, "instance", 0, "sopClass"), None),
        ("modality-missing", (*FIRST, "modality"), None),
        ("no-series", (STUDY, "series"), []),
        ("series-empty", (*FIRST, "instance"), []),
        ("location-missing", (*FIRST, "endpoint"), []),
        ("reference-unresolved", (*FIRST, "endpoint", 0, "reference"), "Endpoint/9"),
        ("order-unreferenced", (STUDY, "basedOn"), []),
        ("accession-differs", (STUDY, "basedOn", 0, "identifier", "value"), "Z"),
        ("code-incomplete", (STUDY, "modality", 0, "system"), None),
        ("sex-invalid", ("Patient", "gender"), "unknown"),
        ("name-as-text", ("Patient", "name"), [{"text": "Anna Müller"}]),
        ("number-invalid", (*FIRST, "number"), -1),
        ("text-as-number", (*FIRST, "description"), 7),
        ("issuer-empty", ("Patient", "identifier", 0, "system"), "urn:oid:"),
    ],
)
def test_a_deviation_that_loses_something_says_so(rule, path, value):
    bundle = written()
    change(path, value)(bundle)
    result = read(bundle)
    assert rule in rules(result)
    assert result.manifest != as_fhir_returns(SIMPLE) or rule in ("accession-differs", "order-unreferenced")


def test_uids_are_reported_and_never_altered():
    bundle = written()
    change((*FIRST, "uid"), "1.02.3")(bundle)
    assert read(bundle).manifest.study.series[0].series_instance_uid == "1.02.3"


@pytest.mark.parametrize(
    "placeholder", ["http://notspecified", "http://notapplicable", "http://NotSpecified/"]
)
def test_a_placeholder_is_no_address(placeholder):
    bundle = written()
    change(("Endpoint", "address"), placeholder)(bundle)
    assert read(bundle).manifest.study.series[0].locations == (RetrieveLocation(NEAR.uid),)


def test_an_order_that_only_its_number_names_is_a_request():
    bundle = written()
    without(bundle, "ServiceRequest")
    result = read(bundle)
    (request,) = result.manifest.study.requests
    assert request.accession == IssuedId("A1", Issuer("RIS", "2.999.10", "ISO"))
    assert "reference-unresolved" not in rules(result)


def test_an_authority_that_the_settings_map_is_an_oid():
    terminology = Terminology(assigning_authorities={"https://ris.example/ids": "2.999.10"})
    bundle = written()
    change(("ServiceRequest", "identifier", 0, "system"), "https://ris.example/ids")(bundle)
    (request,) = read_manifest_bundle(bundle, terminology).manifest.study.requests
    assert request.accession.issuer.oid == "2.999.10"
    (request,) = read(bundle).manifest.study.requests
    assert request.accession.issuer == Issuer("RIS", "https://ris.example/ids", "URI")


def test_findings_of_one_rule_are_counted_and_not_listed_without_end():
    bundle = written()
    series = the(bundle, STUDY)["series"][0]
    series["instance"] = [dict(series["instance"][0], uid=f"urn:oid:2.999.{n}") for n in range(1000)]
    found = [finding for finding in read(bundle).findings if finding.rule == "uid-prefix"]
    assert len(found) == 5
    assert "995 more" in found[0].text


def test_no_finding_shows_content():
    bundle = written()
    for deviate in (deviate for _, deviate in DEVIATIONS):
        deviate(bundle)
    texts = " ".join(f"{finding.place} {finding.text}" for finding in read(bundle).findings)
    for secret in ("Müller", "UV1", "2.999.1.200.1", "Axial"):
        assert secret not in texts


# --- manifests of others ------------------------------------------------------------------------------------
@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample of IHE is not here")
def test_the_sample_of_ihe():
    result = read_manifest(SAMPLE.read_bytes(), TERMINOLOGY)
    study = result.manifest.study
    assert study.study_instance_uid == "1.2.250.1.59.40211.22756022.2.1.101"
    assert study.started == LocalTime("20220822", "083117", "+0200")
    assert [(s.number, s.description, len(s.instances)) for s in study.series] == [
        ("1", "Series A1", 50), ("2", "Series A2", 36),
    ]  # fmt: skip
    assert study.requests[0].accession.value == "1731954284869428"
    assert study.regions[0].code == "774007"
    assert rules(result) == {
        "category-legacy", "sop-class-system", "procedure-without-code", "document-id-derived",
        "location-uid-invalid",
    }  # fmt: skip


@pytest.mark.skipif(not GUIDE_EXAMPLE.exists(), reason="the guide's example is not here")
def test_the_example_of_the_guide():
    result = read_manifest(GUIDE_EXAMPLE.read_bytes(), TERMINOLOGY)
    (series,) = result.manifest.study.series
    assert series.instances[0].frames == 49
    assert series.locations[0].uid == "213.323245.462.63.56"
    assert rules(result) == {
        "uid-prefix", "uid-invalid", "location-uid-prefix", "procedure-as-description",
        "document-id-differs", "document-id-uuid", "instance-count-differs", "location-uid-invalid",
    } & rules(result)  # fmt: skip
    assert {"document-id-uuid", "procedure-as-description", "location-uid-prefix"} <= rules(result)


# --- hostile edits ------------------------------------------------------------------------------------------
ODD = (
    None, True, 0, -1, 1.5, 2**31, 10**30, "", " ", "x", "#referrer", "urn:oid:", "urn:oid:2.999", "oid:",
    "http://[", "2026-13-45T99:99:99+99:99", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:60-12:00",
    {}, [], [[]], ["x"], [None], [{}], {"reference": "#referrer"}, {"coding": [{}]}, {"resourceType": "Endpoint"},
    "urn:uuid:00000000-0000-0000-0000-000000000000", "\x00", "\ud800", "é" * 5000,
)  # fmt: skip


def places(value, path=()):
    """Every path in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def edited(bundle, chance):
    """The Bundle with up to three elements replaced, removed, or copied to where they do not belong."""
    paths = list(places(bundle))
    for _ in range(chance.randint(1, 3)):
        place, path = bundle, chance.choice(paths)
        for step in path[:-1]:
            place = place[step] if _holds(place, step) else None
        if not _holds(place, path[-1]):
            continue
        how = chance.random()
        if how < 0.25:
            del place[path[-1]]
        elif how < 0.5:
            place[path[-1]] = copy.deepcopy(chance.choice(list(bundle.values()) or [0]))
        else:
            place[path[-1]] = copy.deepcopy(chance.choice(ODD))
    return bundle


def _holds(place, step):
    if isinstance(step, str):
        return isinstance(place, dict) and step in place
    return isinstance(place, list) and step < len(place)


@pytest.mark.parametrize("manifest", [SIMPLE, GROUP], ids=["simple", "group"])
def test_no_edit_of_a_manifest_ends_in_anything_but_findings_or_a_refusal(manifest):
    chance = random.Random(manifest.sop_instance_uid)
    good, read_ones = orjson.dumps(written(manifest)), 0
    for _ in range(5000):
        try:
            result = read(edited(orjson.loads(good), chance))
        except NotAManifestError as refusal:
            assert str(refusal)
            continue
        read_ones += 1
        assert all(finding.rule in RULES for finding in result.findings)
        write_manifest_bundle(result.manifest, CONTEXT)  # what was read can be written
    assert read_ones > 2500


def test_no_change_of_bytes_ends_in_anything_but_findings_or_a_refusal():
    chance = random.Random(1)
    good = orjson.dumps(written())
    for _ in range(500):
        raw = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        try:
            read_manifest(bytes(raw), TERMINOLOGY)
        except NotAManifestError as refusal:
            assert str(refusal)
