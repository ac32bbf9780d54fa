"""Every kind of resource that the gateway sends is FHIR R4 to two judges, in JSON as in XML."""

import json

import pytest
import pytest_asyncio

from gateway.fhir.xml_reader import read_xml
from tests.fhir.judges import errors_of
from tests.system.emitted import JSON, PUBLISH, XML, answers, publish_samples
from tests.system.stack import running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = {
    "Binary",
    "Bundle searchset",
    "Bundle transaction-response",
    "CapabilityStatement",
    "DocumentReference",
    "List",
    "OperationDefinition",
    "OperationOutcome",
    "Parameters",
    "Patient",
    "SearchParameter",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    async with running_stack(tmp_path_factory.mktemp("stack"), publish=PUBLISH) as running:
        yield running


@pytest.mark.parametrize("accept", [JSON, XML])
async def test_each_kind_of_answer_is_valid(stack, accept):
    seen = set()
    async for asked, status, text in answers(stack, await publish_samples(stack), accept):
        resource = json.loads(text) if accept == JSON else read_xml(text)
        assert errors_of(resource) == [], asked
        assert (resource["resourceType"] == "OperationOutcome") == (status >= 400), asked
        seen.add(
            f"{resource['resourceType']} {resource.get('type', '') if resource['resourceType'] == 'Bundle' else ''}".strip()
        )
    assert seen >= KINDS
