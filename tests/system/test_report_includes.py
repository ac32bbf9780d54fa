"""What comes along with resources of reports, and how much of them is given."""

from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle

from .imaging import matches, published_study
from .reports import a_report, order_of, study_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    async with published_study(tmp_path_factory.mktemp("includes"), "includes of reports") as running:
        patient, images = running.content.patient, running.content.images
        report = a_report("cardiac", patient, order_of(running.content), study_of(images))
        status, answer = await running.stack.publish(provide_bundle([report], patient=patient))
        assert status == 200, answer
        yield running


async def found(published, kind, **parameters):
    named = {name.replace("__", ":"): value for name, value in parameters.items()}
    asked = {"patient.identifier": published.content.patient.token, **named}
    status, bundle = await published.stack.get(kind, **asked)
    assert status == 200, bundle
    return bundle


def kinds(bundle):
    return sorted({r["resourceType"] for r in matches(bundle, "include")})


@pytest.mark.parametrize(
    ("kind", "parameters", "brought"),
    [
        ("DiagnosticReport", {"_include": "DiagnosticReport:performer"}, ["Organization"]),
        ("DiagnosticReport", {"_include": "DiagnosticReport:performer:Practitioner"}, []),
        (
            "DiagnosticReport",
            {"_include": "DiagnosticReport:results-interpreter"},
            ["Organization", "Practitioner", "PractitionerRole"],
        ),
        (
            "DiagnosticReport",
            {"_include": "DiagnosticReport:results-interpreter:PractitionerRole"},
            ["PractitionerRole"],
        ),
        (
            "DiagnosticReport",
            {
                "_include": "DiagnosticReport:results-interpreter:PractitionerRole",
                "_include__iterate": "PractitionerRole:practitioner",
            },
            ["Practitioner", "PractitionerRole"],
        ),
        ("DiagnosticReport", {"_include": "DiagnosticReport:study"}, ["ImagingStudy"]),
        (
            "DiagnosticReport",
            {
                "_include": "DiagnosticReport:study",
                "_include__iterate": ["ImagingStudy:endpoint", "ImagingStudy:basedon"],
            },
            ["Endpoint", "ImagingStudy", "ServiceRequest"],
        ),
        ("DiagnosticReport", {"_include__iterate": "ImagingStudy:endpoint"}, []),
        ("DiagnosticReport", {"_include": "DiagnosticReport:patient"}, ["Patient"]),
        ("DiagnosticReport", {"_revinclude": "Provenance:target"}, ["Provenance"]),
        (
            "DiagnosticReport",
            {"_include": "DiagnosticReport:result", "_revinclude__iterate": "Provenance:target"},
            ["Observation", "Provenance"],
        ),
        ("Composition", {"_include": "Composition:entry:Observation"}, ["Observation"]),
        ("Composition", {"_revinclude": "DiagnosticReport:composition"}, ["DiagnosticReport"]),
        ("Observation", {"_revinclude": "DiagnosticReport:result"}, ["DiagnosticReport"]),
        ("Device", {"_include": "Device:patient"}, ["Patient"]),
        ("Device", {"_revinclude": "Procedure:performer"}, ["Procedure"]),
        ("ImagingStudy", {"_revinclude": "Observation:derived-from"}, ["Observation"]),
        (
            "ImagingStudy",
            {
                "_revinclude": "DiagnosticReport:study",
                "_include__iterate": "DiagnosticReport:composition",
            },
            ["Composition", "DiagnosticReport"],
        ),
        ("Endpoint", {"_revinclude": "ImagingStudy:endpoint"}, ["ImagingStudy"]),
    ],
)
async def test_references_are_followed_as_they_are_asked_for(published, kind, parameters, brought):
    bundle = await found(published, kind, **parameters)
    assert matches(bundle)
    assert kinds(bundle) == brought
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(urls) == len(set(urls)), "each resource stands once"
    assert bundle["total"] == len(matches(bundle)), "what comes along is not counted"
    assert not matches(bundle, "outcome")
    asked = parse_qs(urlsplit(bundle["link"][0]["url"]).query)
    for name, value in parameters.items():
        assert asked[name.replace("__", ":")] == (value if isinstance(value, list) else [value])


async def test_all_that_comes_along_is_what_a_read_gives(published):
    everything = {"_include__iterate": "*", "_include": "*", "_revinclude": "*"}
    bundle = await found(published, "DiagnosticReport", **everything)
    along = matches(bundle, "include")
    assert len({r["resourceType"] for r in along}) > 10
    for resource in along:
        status, read = await published.stack.get(f"{resource['resourceType']}/{resource['id']}")
        assert status == 200, resource["resourceType"]
        if resource["resourceType"] != "Provenance":
            assert read == resource


async def test_what_comes_along_with_findings_is_the_study_with_its_endpoints(published):
    """Findings stand in reports alone, but the study is that of the manifest too."""
    bundle = await found(published, "Observation", code="73569-6", _include="Observation:derived-from")
    (study,) = matches(bundle, "include")
    assert all(series["endpoint"] for series in study["series"])


@pytest.mark.parametrize(
    "kind", ["DiagnosticReport", "Composition", "Observation", "Procedure", "ServiceRequest", "Condition"]
)
async def test_a_summary_is_a_part_that_says_so(published, kind):
    whole = matches(await found(published, kind))
    parts = matches(await found(published, kind, _summary="true"))
    assert [p["id"] for p in parts] == [w["id"] for w in whole]
    for part, full in zip(parts, whole, strict=True):
        assert {"code": "SUBSETTED"}.items() <= part["meta"]["tag"][0].items()
        assert "profile" not in part["meta"]
        assert part["meta"]["source"] == full["meta"]["source"]
        assert set(part) <= set(full) | {"meta"}
    counted = await found(published, kind, _summary="count")
    assert (counted["total"], counted.get("entry")) == (len(whole), None)


async def test_elements_are_those_that_are_asked_for(published):
    (report,) = matches(await found(published, "DiagnosticReport", _elements="effective,presentedForm"))
    assert set(report) == {"resourceType", "id", "meta", "status", "code", "effectiveDateTime"}
    bundle = await found(
        published,
        "DiagnosticReport",
        _include="DiagnosticReport:study",
        _elements="DiagnosticReport.issued,ImagingStudy.started",
    )
    (study,) = matches(bundle, "include")
    assert set(study) == {"resourceType", "id", "meta", "status", "subject", "started"}


async def test_pages_and_their_neighbours_fit_together(published):
    whole = await found(published, "Observation", _sort="date", _total="accurate")
    url, seen = "Observation", []
    parameters = {
        "patient.identifier": published.content.patient.token,
        "_sort": "date",
        "_count": 1,
        "_include": "Observation:device",
        "_revinclude": "Provenance:target",
    }
    while url:
        status, page = await published.stack.get(url, **parameters)
        assert status == 200, page
        assert len(matches(page)) == 1
        assert page["total"] == whole["total"]
        assert "Provenance" in kinds(page)
        seen += matches(page)
        links = {link["relation"]: link["url"] for link in page["link"]}
        url, parameters = links.get("next"), {}
    assert seen == matches(whole)
