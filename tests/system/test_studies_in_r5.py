"""Imaging resources at the base of FHIR R5: valid there, and the same as those of R4."""

import json

import pytest
import pytest_asyncio
from fhir.resources import get_fhir_model_class

from gateway.fhir.versions import from_r5

from .imaging import published_study

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    async with published_study(tmp_path_factory.mktemp("studies-r5"), "studies in both releases") as running:
        yield running


async def answered(published, release, kind):
    """The resources of one type by id, and the searchset as it came."""
    status, bundle = await published.stack.get(
        f"{release}/{kind}",
        **{
            "patient.identifier": published.content.patient.token,
            **({"status": "current"} if kind == "DocumentReference" else {}),
        },
    )
    assert status == 200, bundle
    return {
        e["resource"]["id"]: e["resource"] for e in bundle["entry"] if e["search"]["mode"] == "match"
    }, bundle


def plain(resource, base, *, drop_profiles):
    """A resource without what differs for good: the base, sealed tokens, and profiles that R5 does not have."""
    made = json.loads(json.dumps(resource).replace(base, "BASE"))
    if drop_profiles:
        made.get("meta", {}).pop("profile", None)
        if not made.get("meta", True):
            del made["meta"]
    if "address" in made:
        made["address"] = made["address"].rpartition("/")[0]
    return made


@pytest.mark.parametrize("kind", ["ImagingStudy", "ServiceRequest", "Endpoint", "Provenance"])
async def test_both_bases_answer_the_same(published, kind):
    by_id, _ = await answered(published, "R4", kind)
    in_r5, bundle = await answered(published, "R5", kind)
    get_fhir_model_class("Bundle").model_validate(bundle)
    assert by_id and by_id.keys() == in_r5.keys()
    base = published.stack.base_url
    for name, resource in in_r5.items():
        get_fhir_model_class(kind).model_validate(resource)
        assert "MADO/StructureDefinition" not in json.dumps(resource.get("meta", {}))
        back = plain(from_r5(resource), f"{base}/R5", drop_profiles=True)
        assert back == plain(by_id[name], f"{base}/R4", drop_profiles=True)


async def test_modality_and_body_site_have_the_types_of_r5(published):
    (study,) = (await answered(published, "R5", "ImagingStudy"))[0].values()
    assert all("coding" in modality for modality in study["modality"])
    assert all("coding" in series["modality"] for series in study["series"])
    assert all("concept" in series["bodySite"] for series in study["series"] if "bodySite" in series)


async def test_a_manifest_has_modality_and_body_site_as_elements(published):
    found, _ = await answered(published, "R5", "DocumentReference")
    assert any("modality" in document for document in found.values())
    for document in found.values():
        get_fhir_model_class("DocumentReference").model_validate(document)
        assert len(document["content"][0]["profile"]) == 1
        assert "extension-DocumentReference" not in json.dumps(document)


@pytest.mark.parametrize("names", [("basedon", "based-on"), ("bodysite", "body-site")])
async def test_parameters_are_known_by_the_spellings_of_both_releases(published, names):
    (study, *_) = (await answered(published, "R4", "ImagingStudy"))[0].values()
    region = next(s["bodySite"]["code"] for s in study["series"] if "bodySite" in s)
    value = region if "bodysite" in names else study["basedOn"][0]["reference"]
    for release in ("R4", "R5"):
        for name in names:
            query = {"patient.identifier": published.content.patient.token, name: value}
            status, bundle = await published.stack.get(f"{release}/ImagingStudy", **query)
            assert status == 200 and "issues" not in bundle, bundle
            assert [e["resource"]["id"] for e in bundle["entry"]] == [study["id"]], (release, name)
