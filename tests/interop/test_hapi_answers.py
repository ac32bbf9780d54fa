"""Every kind of answer, in JSON and in XML, is valid to HAPI FHIR's validator with the profile of its transaction."""

import json

import pytest
import pytest_asyncio

from gateway.fhir.xml_reader import read_xml
from gateway.model import codes
from tests.interop.hapi import SEVERAL_MODALITIES, complaints
from tests.system.emitted import JSON, PUBLISH, XML, answers, publish_samples
from tests.system.stack import running_stack

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

DOCUMENTS = codes.MHD_STRUCTURE + "IHE.MHD.FindDocumentReferencesResponseMessage"
LISTS = codes.MHD_STRUCTURE + "IHE.MHD.FindDocumentListsResponseMessage"
PROVIDED = codes.MHD_STRUCTURE + "IHE.MHD.ProvideDocumentBundleResponse"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    async with running_stack(tmp_path_factory.mktemp("stack"), publish=PUBLISH) as running:
        yield running


def profiles_of(asked, resource):
    """What IHE MHD says about the answer beside what the resources claim."""
    if resource["resourceType"] != "Bundle":
        return ()
    if resource["type"] == "transaction-response":
        return (PROVIDED,)
    if any(entry["search"]["mode"] != "match" for entry in resource.get("entry", ())):
        # these profiles leave no place for outcomes and included resources, which FHIR has in any searchset
        return ()
    if asked.startswith("DocumentReference "):
        return (DOCUMENTS,)
    return (LISTS,) if asked.startswith("List ") else ()


@pytest.mark.parametrize("accept", [JSON, XML])
async def test_each_kind_of_answer(stack, hapi, accept):
    checked = set()
    async for asked, _, text in answers(stack, await publish_samples(stack), accept):
        resource = json.loads(text) if accept == JSON else read_xml(text)
        profiles = profiles_of(asked, resource)
        assert complaints(hapi.errors(text, *profiles), SEVERAL_MODALITIES) == [], asked
        checked.update((resource["resourceType"], profile) for profile in profiles or ("",))
    assert {profile for _, profile in checked} == {"", DOCUMENTS, LISTS, PROVIDED}
    assert {kind for kind, _ in checked} >= {
        *("Binary", "CapabilityStatement", "DocumentReference", "List", "OperationDefinition"),
        *("OperationOutcome", "Parameters", "Patient", "SearchParameter"),
    }
