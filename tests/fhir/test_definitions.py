"""The definitions that are served are those that are stated, and those of IHE MHD agree with the guide's own."""

import json
from pathlib import Path

import pytest
from fhir.resources.R4B.operationdefinition import OperationDefinition
from fhir.resources.R4B.searchparameter import SearchParameter

from gateway.fhir.capability import write_capability_statement
from gateway.fhir.definitions import OPERATION_DEFINITION, SEARCH_PARAMETER, definitions
from gateway.fhir.issues import OutcomeError
from gateway.mhd.definitions import Definitions

BASE = "http://gw.example/fhir"
GUIDE = Path(__file__).parents[3] / "shared/oracle/profiles/r4/ihe.iti.mhd-4.2.4"
MHD = "https://profiles.ihe.net/ITI/MHD/"
OPERATION = MHD + "OperationDefinition/generate-metadata"


@pytest.fixture
def served():
    return Definitions(lambda: write_capability_statement(BASE), BASE)


def stated():
    (rest,) = json.loads(write_capability_statement(BASE))["rest"]
    parameters = [p for r in rest["resource"] for p in r.get("searchParam", ())] + rest["searchParam"]
    operations = [o for r in rest["resource"] for o in r.get("operation", ())]
    return {p["definition"] for p in parameters if "definition" in p} | {o["definition"] for o in operations}


def resources(bundle):
    return [entry["resource"] for entry in json.loads(bundle).get("entry", ())]


def test_each_canonical_of_a_guide_that_is_stated_is_served_and_no_other(served):
    found = resources(served.search(SEARCH_PARAMETER, [])) + resources(
        served.search(OPERATION_DEFINITION, [])
    )
    assert {r["url"] for r in found} == {
        url for url in stated() if not url.startswith("http://hl7.org/fhir/")
    }
    assert any(url.startswith("https://profiles.ihe.net/RAD/MADO/") for url in stated())
    assert MHD + "SearchParameter/DocumentReference-Creation" in stated()


def test_each_is_valid_and_read_by_its_id(served):
    for resource in resources(served.search(SEARCH_PARAMETER, [])):
        SearchParameter.model_validate(resource)
        assert json.loads(served.read(SEARCH_PARAMETER, resource["id"])) == resource
        url = resource["url"]
        assert resources(served.search(SEARCH_PARAMETER, [("url", url)], strict=True)) == [resource]
        assert resources(served.search(SEARCH_PARAMETER, [("_id", f"x,{resource['id']}")])) == [resource]
    assert resources(served.search(SEARCH_PARAMETER, [("url", "http://x.example/1")])) == []


def test_an_operation_is_served_once_it_is_stated():
    assert not definitions(OPERATION_DEFINITION, ())
    (raw,) = definitions(OPERATION_DEFINITION, (OPERATION,)).values()
    OperationDefinition.model_validate_json(raw)


def test_what_is_not_known_is_said_or_refused(served):
    with pytest.raises(OutcomeError) as caught:
        served.read(SEARCH_PARAMETER, "List-Flavour")
    assert caught.value.status == 404
    bundle = json.loads(served.search(SEARCH_PARAMETER, [("name", "x"), ("_format", "json")]))
    assert bundle["entry"][-1]["search"]["mode"] == "outcome"
    assert bundle["link"][0]["url"] == f"{BASE}/SearchParameter"
    with pytest.raises(OutcomeError) as caught:
        served.search(SEARCH_PARAMETER, [("name", "x")], strict=True)
    assert caught.value.status == 400


@pytest.mark.skipif(not GUIDE.is_dir(), reason="the guide's own artefacts are not here")
@pytest.mark.parametrize(
    ("resource_type", "name"),
    [
        (SEARCH_PARAMETER, "DocumentReference-Creation"),
        (SEARCH_PARAMETER, "List-DesignationType"),
        (SEARCH_PARAMETER, "List-SourceId"),
        (OPERATION_DEFINITION, "generate-metadata"),
    ],
)
def test_they_agree_with_those_of_the_guide(resource_type, name):
    theirs = json.loads((GUIDE / f"{resource_type}-{name}.json").read_text())
    ours = json.loads(definitions(resource_type, (theirs["url"],))[name])
    same = {
        "url",
        "name",
        "code",
        "base",
        "type",
        "kind",
        "status",
        "resource",
        "system",
        "instance",
        "affectsState",
    }
    for element in same & set(theirs):
        assert ours[element] == theirs[element], element
    if resource_type == SEARCH_PARAMETER:
        assert ours["expression"].removeprefix("List.") == theirs["expression"].strip("()") or (
            ours["expression"].removeprefix("List.") in theirs["expression"]
        )
    else:
        for mine, other in zip(ours["parameter"], theirs["parameter"], strict=True):
            assert {k: mine[k] for k in ("name", "use", "min", "max", "type")} == {
                k: other[k] for k in ("name", "use", "min", "max", "type")
            }
