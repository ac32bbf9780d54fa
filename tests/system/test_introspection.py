"""Resource servers may ask the own authorisation server what its tokens say (ITI-102), and tokens say what is
registered of their client."""

import base64
import json

import pytest
import pytest_asyncio

from tests.certificates import self_signed
from tests.system.stack import running_stack
from tests.system.test_assertions_to_peers import XSPA, assertion_of, attributes, copied
from tests.system.test_token_endpoint import Client, Server, public

CLAIMS = {
    "name": "Ward 3",
    "organization": "Hospital A",
    "organization_id": "urn:oid:2.999.40.3",
    "roles": [{"system": "urn:oid:2.16.840.1.113883.2.9.6.2.7", "code": "221", "display": "Doctor"}],
    "purposes": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}],
    "provider_id": "NPI-1",
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Introspected(Server):
    async def introspect(self, token, caller, method="POST", **more):
        headers = {"Authorization": f"Bearer {caller}"} if caller else {}
        url = self.endpoint.replace("/auth/token", "/auth/introspect")
        body = more or {"data": {"token": token}}
        async with self.stack.session.request(method, url, headers=headers, **body) as answer:
            text = await answer.text()
            return answer.status, answer.headers, json.loads(text) if text.startswith("{") else text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("introspection")
    key, certificate = self_signed("sts").write(folder, "sts")
    client, asker = Client(), Client("resource-server")
    section = {
        "clients": {
            "reader": {
                "jwks": public(*client.keys.values()),
                "scopes": ["system/List.rs", "system/DocumentReference.rs"],
                "claims": CLAIMS,
            },
            "resource-server": {
                "jwks": public(*asker.keys.values()),
                "scopes": ["system/List.rs"],
                "introspects": True,
            },
        }
    }
    issue = {"issuer": "urn:sts", "key_file": str(key), "certificate_file": str(certificate)}
    async with running_stack(
        folder / "stack",
        peers={"assertion": "issue"},
        security={"access": None, "authorisation_server": section, "assertions": {"issue": issue}},
    ) as stack:
        yield Introspected(stack, client, asker)


async def tokens(server):
    """A token of the reader, and one of the resource server."""
    reader = await server.token()
    asker = await server.token(client=server.bound)
    return reader["access_token"], asker["access_token"]


async def test_a_good_token_is_active_with_what_it_says(server):
    token, asker = await tokens(server)
    status, headers, said = await server.introspect(token, asker)
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert (said["active"], said["client_id"], said["scope"]) == (True, "reader", "system/List.rs")
    assert said["extensions"]["ihe_iua"] == {
        "subject_name": "Ward 3",
        "subject_organization": "Hospital A",
        "subject_organization_id": "urn:oid:2.999.40.3",
        "subject_role": CLAIMS["roles"],
        "purpose_of_use": CLAIMS["purposes"],
        "national_provider_identifier": "NPI-1",
    }
    assert said["exp"] > said["iat"]


async def test_what_is_no_good_token_is_inactive_and_nothing_else_is_said(server):
    token, asker = await tokens(server)
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**claims, "scope": "system/*.cruds"}).encode()).decode()
    for wrong in (
        "nonsense",
        "a.b.c",
        f"{head}.{forged.rstrip('=')}.{signature}",
        f"{head}.{body}.",
        server.client.assertion(),
    ):
        status, _, said = await server.introspect(wrong, asker)
        assert (status, said) == (200, {"active": False}), wrong


async def test_who_may_not_ask_is_told_nothing(server):
    token, _ = await tokens(server)
    for caller in (None, "nonsense", token, server.bound.assertion()):
        status, headers, said = await server.introspect(token, caller)
        assert (status, said["error"]) == (401, "invalid_client")
        assert headers["WWW-Authenticate"].startswith("Bearer")
        assert "active" not in said


async def test_only_a_form_that_is_posted_is_answered(server):
    token, asker = await tokens(server)
    assert (await server.introspect(token, asker, "GET", params={"token": token}))[0] == 405
    assert (await server.introspect(token, asker, params={"token": token}))[0] == 400
    assert (await server.introspect(token, asker, json={"token": token}))[0] == 400
    assert (await server.introspect(token, asker, data={"no_token": "x"}))[0] == 400


async def test_smart_configuration_names_it(server):
    async with server.stack.session.get(f"{server.stack.base_url}/.well-known/smart-configuration") as answer:
        assert (await answer.json())["introspection_endpoint"].endswith("/auth/introspect")


async def test_peers_are_told_what_is_registered_of_the_client(server):
    token, _ = await tokens(server)
    seen = []

    async def look(request):
        seen.append(await copied(request))

    server.stack.interfere = look
    try:
        assert await server.search(token) == 200
    finally:
        server.stack.interfere = None
    assertion = assertion_of(seen[-1])
    said = attributes(assertion)
    assert said[f"{XSPA}subject-id"] == ["Ward 3"]
    assert said[f"{XSPA}organization"] == ["Hospital A"]
    assert [role.get("code") for role in said["urn:oasis:names:tc:xacml:2.0:subject:role"]] == ["221"]
    saml = "{urn:oasis:names:tc:SAML:2.0:assertion}"
    assert assertion.findtext(f".//{saml}NameID") == "reader"
    assert assertion.findtext(f".//{saml}AuthnContextClassRef").endswith(":X509")
