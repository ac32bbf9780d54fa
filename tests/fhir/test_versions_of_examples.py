"""The examples of the guides in the other release: valid there, and back as they were."""

import json
from pathlib import Path

import pytest
from fhir.resources import get_fhir_model_class as r5_model_class
from fhir.resources.R4B import get_fhir_model_class as r4_model_class

from gateway.fhir.versions import from_r5, to_r5
from tests.fhir.test_versions import canonical

ORACLE = Path(__file__).resolve().parents[3] / "shared/oracle/profiles"
OLD = sorted(ORACLE.glob("r4/hl7.fhir.eu.imaging/examples/*.json"))
NEW = sorted(ORACLE.glob("r5/hl7.fhir.eu.imaging-r5/examples/*.json"))
MHD = sorted(ORACLE.glob("r4/ihe.iti.mhd-4.2.4/examples/DocumentReference-*.json"))

pytestmark = pytest.mark.skipif(not OLD, reason="the examples of the guides are not here")


def resources(path):
    """The resources of an example, in a Bundle or alone."""
    content = json.loads(path.read_bytes())
    return [e["resource"] for e in content["entry"]] if content["resourceType"] == "Bundle" else [content]


@pytest.mark.parametrize("path", [*OLD, *MHD], ids=lambda path: path.stem)
def test_an_example_of_r4_is_valid_in_r5_and_comes_back(path):
    for resource in resources(path):
        lost = []
        new = to_r5(resource, lost.append)
        r5_model_class(new["resourceType"]).model_validate(new)
        back = from_r5(new, lost.append)
        r4_model_class(back["resourceType"]).model_validate(back)
        if not lost:
            assert _comparable(back) == _comparable(resource)


@pytest.mark.parametrize("path", NEW, ids=lambda path: path.stem)
def test_an_example_of_r5_is_valid_in_r4(path):
    for resource in resources(path):
        old = from_r5(resource)
        r4_model_class(old["resourceType"]).model_validate(old)
        r5_model_class(resource["resourceType"]).model_validate(to_r5(old))


def test_the_document_reference_of_a_report_has_elements_in_place_of_extensions():
    """Statement 19."""
    (path,) = [each for each in OLD if each.stem == "DocumentReference-DocumentReferenceSemiStructured"]
    (old,) = resources(path)
    urls = {extension["url"].rpartition("/")[2] for extension in old["extension"]}
    assert {"extension-DocumentReference.modality", "extension-DocumentReference.bodySite"} <= urls
    new = to_r5(old)
    assert "extension-DocumentReference" not in json.dumps(new)
    assert new["modality"] and new["bodySite"][0]["concept"]
    assert all("valueCanonical" in profile for profile in new["content"][0]["profile"])
    assert _comparable(from_r5(new)) == _comparable(old)


def _comparable(resource):
    """In canonical order, and without what is another in both for good.

    Guides differ in meta.profile. MHD has the uniqueId in masterIdentifier and, with its type, in identifier. A
    contact of an Organization that has neither name nor purpose is the organization itself.
    """
    made = {name: value for name, value in resource.items() if name not in ("meta", "masterIdentifier")}
    made["meta"] = {name: value for name, value in resource.get("meta", {}).items() if name != "profile"}
    if "masterIdentifier" in resource:
        listed = [resource["masterIdentifier"], *made.get("identifier", ())]
        made["identifier"] = sorted({(i["system"], i["value"]) for i in listed})
    if resource["resourceType"] == "Organization":
        own = [c for c in made.pop("contact", ()) if not {"name", "purpose"} & c.keys()]
        made["telecom"] = [*made.get("telecom", ()), *(t for c in own for t in c.get("telecom", ()))]
        made["address"] = [*made.get("address", ()), *(c["address"] for c in own if "address" in c)]
    return canonical(made)
