"""CapabilityStatement.rest.security: how clients are authorised (SMART App Launch 2.2; IHE IUA)."""

from typing import Any

from gateway.model import codes


def security_element(tokens: bool, token_endpoint: str | None) -> dict[str, Any]:
    """What /metadata says. `tokens` is False where everyone is served."""
    if not tokens:
        return {
            "description": "Open access, as its operator has set: it has to stand behind an authorisation of "
            "the site."
        }
    element: dict[str, Any] = {
        "service": [
            {"coding": [{"system": codes.RESTFUL_SECURITY_SERVICE, "code": "SMART-on-FHIR"}]},
        ],
        "description": "Every request but those for /metadata, /.well-known and definitions needs an access "
        "token (ITI-72) with scopes of SMART v1 or v2 or with names of transactions as scopes; SMART Backend "
        "Services, see .well-known/smart-configuration.",
    }
    if token_endpoint is not None:
        uris = [{"url": "token", "valueUri": token_endpoint}]
        element["extension"] = [{"url": codes.OAUTH_URIS, "extension": uris}]
    return element
