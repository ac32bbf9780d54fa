"""Publishing over sockets: what a Bundle is answered with."""

from gateway.demo.bundles import provide_bundle
from tests.system.documents import a_document


def codes_of(outcome):
    """Codes of the issues, each with the element that it is about."""
    return {
        issue["details"]["coding"][0]["code"]: issue.get("expression", [""])[0]
        for issue in outcome["issue"]
        if "details" in issue
    }


async def published(stack, bundle):
    """The warnings of a Bundle that is accepted, by code; and the answer."""
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    outcome = answer["entry"][0]["response"].get("outcome", {"issue": []})
    assert all(issue["severity"] != "error" for issue in outcome["issue"])
    return codes_of(outcome), answer


async def a_registered_document(stack, patient):
    """A document of the patient, as the server has it."""
    _, answer = await published(stack, provide_bundle([a_document()], patient=patient))
    _, found = await stack.get(answer["entry"][1]["response"]["location"])
    return found
