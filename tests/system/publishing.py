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


def warnings_of(answer):
    """Issues of a transaction-response; each is in the outcome of the entry that it is about."""
    found = []
    for number, entry in enumerate(answer["entry"]):
        for issue in entry["response"].get("outcome", {"issue": []})["issue"]:
            place = issue.get("expression", ["Bundle.entry[0]"])[0]
            assert place.startswith(f"Bundle.entry[{number}]")
            found.append(issue)
    return found


async def published(stack, bundle):
    """The warnings of a Bundle that is accepted, by code; and the answer."""
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    issues = warnings_of(answer)
    assert all(issue["severity"] != "error" for issue in issues)
    return codes_of({"issue": issues}), answer


async def a_registered_document(stack, patient):
    """A document of the patient, as the server has it."""
    _, answer = await published(stack, provide_bundle([a_document()], patient=patient))
    _, found = await stack.get(answer["entry"][1]["response"]["location"])
    return found
