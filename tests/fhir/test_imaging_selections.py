"""ImagingSelection of R5 <-> the Basic that stands for it in R4, and the references to it."""

import pytest
from fhir.resources import get_fhir_model_class as r5_model_class
from fhir.resources.R4B import get_fhir_model_class as r4_model_class
from hypothesis import given
from hypothesis import strategies as st

from gateway.fhir.imaging_selections import STAND_INS, is_selection
from gateway.fhir.version_search import in_r4
from gateway.fhir.versions import from_r5, to_r5
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.releases import FhirRelease
from tests.fhir.report_samples import report, resource

EXTENSION = codes.EXT_R5 + "ImagingSelection"
CODE = {"text": "For reading"}


def unexpected(element):
    raise AssertionError(f"{element} was lost")


# --- both ways --------------------------------------------------------------------------------------------
uids = st.from_regex(r"2\.999(\.[1-9][0-9]{0,5}){1,4}", fullmatch=True)
concepts = st.fixed_dictionaries({"text": st.sampled_from(["hand", "foot"])})
references = st.fixed_dictionaries({"reference": st.sampled_from(["ImagingStudy/1", "Device/2", "#x"])})
regions = st.fixed_dictionaries(
    {
        "regionType": st.sampled_from(["point", "polyline"]),
        "coordinate": st.lists(st.integers(0, 999), min_size=1, max_size=4),
    }
)


def some(strategy):
    return st.lists(strategy, min_size=1, max_size=3)


instances = st.fixed_dictionaries(
    {"uid": uids},
    optional={
        "number": st.integers(1, 999),
        "sopClass": st.fixed_dictionaries({"system": st.just("urn:ietf:rfc:3986"), "code": uids}),
        "subset": some(st.sampled_from(["1", "2-4"])),
        "imageRegion2D": some(regions),
        "imageRegion3D": some(regions),
    },
)
selections = st.fixed_dictionaries(
    {
        "resourceType": st.just("ImagingSelection"),
        "status": st.sampled_from(["available", "entered-in-error", "unknown"]),
        "code": concepts,
    },
    optional={
        "id": st.sampled_from(["a", "b"]),
        "identifier": some(st.fixed_dictionaries({"value": st.sampled_from(["1", "2"])})),
        "subject": references,
        "issued": st.just("2026-01-02T03:04:05Z"),
        "performer": some(st.fixed_dictionaries({"actor": references}, optional={"function": concepts})),
        "basedOn": some(references),
        "category": some(concepts),
        "studyUid": uids,
        "derivedFrom": some(references),
        "endpoint": some(references),
        "seriesUid": uids,
        "seriesNumber": st.integers(1, 99),
        "frameOfReferenceUid": uids,
        "bodySite": st.fixed_dictionaries({"concept": concepts}, optional={"reference": references}),
        "focus": some(references),
        "instance": some(instances),
        "extension": some(
            st.fixed_dictionaries({"url": st.just(codes.EXT_REFERENCE_ID), "valueString": st.just("x")})
        ),
    },
)


@given(selections)
def test_every_selection_is_valid_in_both_releases_and_comes_back_as_it_was(selection):
    r5_model_class("ImagingSelection").model_validate(selection)
    basic = from_r5(selection, unexpected)
    r4_model_class("Basic").model_validate(basic)
    assert is_selection(basic)
    assert to_r5(basic, unexpected) == selection


@pytest.mark.parametrize(
    "profile", ["ImagingSelectionKeyImageEuImaging", "SrInstanceImagingSelectionEuImaging"]
)
def test_a_basic_of_the_guide_comes_back_as_it_was(profile):
    basic = resource(report("cardiac"), "Basic")
    basic["meta"]["profile"] = [imaging.EU_STRUCTURE + profile]
    selection = to_r5(basic, unexpected)
    assert selection["resourceType"] == "ImagingSelection"
    assert selection["meta"]["profile"] == [imaging.EU_R5_STRUCTURE + profile]
    assert "extension" not in selection
    assert from_r5(selection, unexpected) == basic


def test_the_key_image_of_the_sample_report_is_the_same_in_either_release():
    basic = resource(report("cardiac"), "Basic")
    native = resource(report("cardiac", FhirRelease.R5), "ImagingSelection")
    assert to_r5(basic) == native


# --- what is read besides ---------------------------------------------------------------------------------
def test_the_later_edition_of_the_extensions_is_read_too():
    basic = {
        "resourceType": "Basic",
        "code": {"text": "other"},
        "modifierExtension": [{"url": f"{EXTENSION}.status", "valueCode": "available"}],
        "extension": [
            {"url": f"{EXTENSION}.code", "valueCodeableConcept": CODE},
            {"url": f"{EXTENSION}.studyUid", "valueId": "2.999.1"},
            {"url": f"{EXTENSION}.derivedFrom", "valueReference": {"reference": "ImagingStudy/1"}},
            {"url": f"{EXTENSION}.derivedFrom", "valueReference": {"reference": "ImagingStudy/2"}},
            {
                "url": f"{EXTENSION}.instance",
                "extension": [
                    {"url": f"{EXTENSION}.instance.uid", "valueId": "2.999.2"},
                    {"url": "number", "valueUnsignedInt": 3},
                ],
            },
        ],
    }
    assert to_r5(basic, unexpected) == {
        "resourceType": "ImagingSelection",
        "status": "available",
        "code": CODE,
        "studyUid": "2.999.1",
        "derivedFrom": [{"reference": "ImagingStudy/1"}, {"reference": "ImagingStudy/2"}],
        "instance": [{"uid": "2.999.2", "number": 3}],
    }


@pytest.mark.parametrize(
    "profile", [*sorted(STAND_INS), imaging.EU_STRUCTURE + "ImagingSelectionEuImaging|1.0.0"]
)
def test_a_basic_is_a_selection_by_its_profile(profile):
    basic = {"resourceType": "Basic", "meta": {"profile": [profile]}, "code": CODE}
    selection = to_r5(basic)
    assert (selection["resourceType"], selection["status"]) == ("ImagingSelection", "unknown")
    assert ("meta" in selection) == (profile not in STAND_INS)


def test_any_other_basic_stays_one():
    basic = {
        "resourceType": "Basic",
        "code": CODE,
        "created": "2026-01-02",
        "extension": [{"url": codes.EXT_REFERENCE_ID, "valueString": "x"}],
    }
    assert to_r5(basic, unexpected) == basic
    assert from_r5(basic | {"created": "2026-01-02T03:04:05Z"}, unexpected) == basic


def test_what_has_no_place_is_named():
    lost = []
    to_r5(
        {
            "resourceType": "Basic",
            "created": "2026-01-02",
            "author": {"display": "x"},
            "extension": [{"url": EXTENSION, "extension": [{"url": "novel", "valueString": "x"}]}],
        },
        lost.append,
    )
    assert sorted(lost) == ["Basic.author", "Basic.created", "ImagingSelection (extension novel)"]


# --- references -------------------------------------------------------------------------------------------
def a_bundle():
    """A searchset with a selection, another Basic, and what refers to both."""
    div = (
        '<div xmlns="http://www.w3.org/1999/xhtml"><a href="Basic/1">image</a> <a href="Basic/2">x</a></div>'
    )
    composition = {
        "resourceType": "Composition",
        "text": {"status": "generated", "div": div},
        "section": [
            {"entry": [{"reference": "Basic/1", "type": "Basic"}, {"reference": "Basic/2", "type": "Basic"}]},
            {"entry": [{"reference": "https://gateway.example/fhir/R4/Basic/1/_history/1"}]},
            {"entry": [{"reference": "Basic/3"}, {"reference": "Basic/4", "type": "Basic"}]},
        ],
    }
    resources = [
        composition,
        {"resourceType": "Basic", "id": "1", "code": CODE, "extension": [{"url": EXTENSION}]},
        {"resourceType": "Basic", "id": "2", "code": CODE},
        {"resourceType": "Provenance", "target": [{"reference": "Basic/1"}, {"reference": "Basic/2"}]},
    ]
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [
            {"fullUrl": f"https://gateway.example/fhir/{r['resourceType']}/{r.get('id', 'x')}", "resource": r}
            for r in resources
        ],
    }


def test_references_change_their_type_in_every_resource_of_a_bundle():
    bundle = to_r5(a_bundle())
    composition, _, _, provenance = (entry["resource"] for entry in bundle["entry"])
    assert [section["entry"] for section in composition["section"]] == [
        [
            {"reference": "ImagingSelection/1", "type": "ImagingSelection"},
            {"reference": "Basic/2", "type": "Basic"},
        ],
        [{"reference": "https://gateway.example/fhir/R4/ImagingSelection/1/_history/1"}],
        # what is not there is a selection unless the reference says its type
        [{"reference": "ImagingSelection/3"}, {"reference": "Basic/4", "type": "Basic"}],
    ]
    assert 'href="ImagingSelection/1"' in composition["text"]["div"]
    assert 'href="Basic/2"' in composition["text"]["div"]
    assert provenance["target"] == [{"reference": "ImagingSelection/1"}, {"reference": "Basic/2"}]
    assert [entry["fullUrl"].rpartition("fhir/")[2] for entry in bundle["entry"]] == [
        "Composition/x", "ImagingSelection/1", "Basic/2", "Provenance/x",
    ]  # fmt: skip


def test_references_come_back():
    bundle = a_bundle()
    del bundle["entry"][1]["resource"]["extension"][0]
    bundle["entry"][1]["resource"]["extension"].append(
        {"url": EXTENSION, "extension": [{"url": "status", "valueCode": "available"}]}
    )
    assert from_r5(to_r5(bundle)) == bundle


def test_a_reference_to_media_keeps_its_words():
    lost = []
    report_r4 = {
        "resourceType": "DiagnosticReport",
        "media": [
            {"link": {"reference": "Media/1", "display": "slice 7"}},
            {"link": {"reference": "Media/2"}},
        ],
    }
    links = [item["link"] for item in to_r5(report_r4, lost.append)["media"]]
    assert links == [{"display": "slice 7"}, {"display": "a resource that FHIR R5 does not have"}]
    assert lost == ["reference to Media"] * 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ImagingSelection/1", "Basic/1"),
        ("https://x.example/ImagingSelection/1,ImagingSelection/2", "https://x.example/Basic/1,Basic/2"),
        ("MyImagingSelection/1", "MyImagingSelection/1"),
    ],
)
def test_a_search_for_a_reference_means_the_same_in_r4(value, expected):
    assert in_r4("entry", value) == ("entry", expected)
