"""The example reports of the guide in either release: published, read as resources, given back byte for byte."""

import json
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class

from gateway.demo.bundles import provide_bundle
from gateway.demo.report_documents import IMAGING, REPORT

from .documents import a_document, a_patient
from .imaging import matches
from .stack import running_stack
from .test_report_resources import literals

ORACLE = Path(__file__).resolve().parents[3] / "shared/oracle/profiles"
EXAMPLES = sorted(ORACLE.glob("r[45]/hl7.fhir.eu.imaging*/examples/Bundle-bundle-report-*.json"))

pytestmark = pytest.mark.skipif(not EXAMPLES, reason="the examples of the guide are not here")


async def read_all(stack, paths):
    """Every resource that references lead to, by its path."""
    found, waiting = {}, list(paths)
    while waiting:
        path = waiting.pop()
        if path in found or path.startswith(("#", "http")):
            continue
        status, found[path] = await stack.get(path)
        assert status == 200, path
        waiting += literals(found[path])
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parts[-4]}-{path.stem[21:]}")
async def test_an_example_answers_as_resources(tmp_path, path):
    patient, content = a_patient(), path.read_bytes()
    document = a_document(
        content=content, content_type="application/fhir+json", type=REPORT, category=IMAGING
    )
    async with running_stack(tmp_path, reports={"check": "off"}) as stack:
        status, answer = await stack.publish(provide_bundle([document], patient=patient))
        assert status == 200, answer
        status, bundle = await stack.get("DiagnosticReport", **{"patient.identifier": patient.token})
        (report,) = matches(bundle)
        found = await read_all(stack, [f"DiagnosticReport/{report['id']}"])
        for resource in found.values():
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        held = {e["resource"]["resourceType"] for e in json.loads(content)["entry"]} - {"Binary"}
        assert {resource["resourceType"] for resource in found.values()} >= held
        url = f"{stack.base_url}/DiagnosticReport/{report['id']}/$document"
        async with stack.session.get(url) as answer:
            assert (answer.status, await answer.read()) == (200, content)
