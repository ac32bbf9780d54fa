"""The own authorisation server (ITI-71): what a client gets, and what attacks on it get."""

import asyncio
import base64
import json
import os
import signal
import time
import uuid

import pytest
import pytest_asyncio
from aiohttp import web
from joserfc import jwt

from gateway.settings import Settings
from tests.system.issuers import hmac_with_public_key, new_key, unsigned
from tests.system.stack import running_gateway, running_stack, site

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def public(*keys):
    return {"keys": [key.as_dict(private=False) for key in keys]}


class Client:
    """A registered client with an RSA and an EC key."""

    def __init__(self, client_id="reader"):
        self.client_id = client_id
        self.keys = {"RS384": new_key("RS384"), "ES384": new_key("ES384")}
        self.endpoint = ""

    def claims(self, **changes):
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.endpoint,
            "exp": int(time.time()) + 120,
            "jti": uuid.uuid4().hex,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def assertion(self, algorithm="ES384", key=None, header=None, **changes):
        key = key or self.keys[algorithm]
        head = {"alg": algorithm, "kid": key.kid, "typ": "JWT", **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        default = "JWT" if "typ" in head else None
        return jwt.encode(head, self.claims(**changes), key, algorithms=[algorithm], default_type=default)

    def form(self, scope="system/List.rs", **changes):
        form = {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": ASSERTION,
            **changes,
        }
        if "client_assertion" not in form:
            form["client_assertion"] = self.assertion()
        return {name: value for name, value in form.items() if value is not None}


class Server:
    def __init__(self, stack, client, bound):
        self.stack = stack
        self.client = client
        self.bound = bound
        self.endpoint = client.endpoint = bound.endpoint = f"{stack.base_url}/auth/token"

    async def ask(self, form, endpoint=None):
        """Status, headers and JSON of the answer to a token request."""
        async with self.stack.session.post(endpoint or self.endpoint, data=form) as answer:
            return answer.status, answer.headers, await answer.json()

    async def token(self, scope="system/List.rs", client=None):
        status, _, answer = await self.ask((client or self.client).form(scope))
        assert status == 200, answer
        return answer

    async def search(self, token, path="List?patient.identifier=urn:oid:2.999.1.1|nobody", base=None):
        headers = {"Authorization": f"Bearer {token}"}
        async with self.stack.session.get(f"{base or self.stack.base_url}/{path}", headers=headers) as answer:
            await answer.read()
            return answer.status

    async def refuse(self, error="invalid_client", **form):
        status, headers, answer = await self.ask(self.client.form(**form))
        assert (answer.get("error"), status in {400, 401}) == (error, True), (status, answer)
        assert headers["Cache-Control"] == "no-store"
        return answer["error_description"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory):
    client, bound = Client(), Client("patient-app")
    section = {
        "clients": {
            "reader": {
                "jwks": public(*client.keys.values()),
                "scopes": ["system/List.rs", "system/DocumentReference.rs", "ITI-66"],
            },
            "patient-app": {
                "jwks": public(*bound.keys.values()),
                "scopes": ["patient/*.rs"],
                "patient": "urn:oid:2.999.1.1|MINE",
            },
        }
    }
    folder = tmp_path_factory.mktemp("server")
    async with running_stack(folder, security={"access": None, "authorisation_server": section}) as stack:
        yield Server(stack, client, bound)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
async def test_a_client_gets_a_token_that_opens(server, algorithm):
    form = server.client.form(client_assertion=server.client.assertion(algorithm))
    status, headers, answer = await server.ask(form)
    assert status == 200, answer
    assert (headers["Cache-Control"], headers["Pragma"]) == ("no-store", "no-cache")
    assert (answer["token_type"], answer["scope"]) == ("bearer", "system/List.rs")
    assert 0 < answer["expires_in"] <= 300
    assert await server.search(answer["access_token"]) == 200
    assert await server.search(answer["access_token"], "DocumentReference?patient.identifier=x") == 403


async def test_smart_configuration_leads_to_the_token_endpoint_and_the_keys(server):
    base = server.stack.base_url
    async with server.stack.session.get(f"{base}/.well-known/smart-configuration") as answer:
        document = await answer.json()
    assert document["token_endpoint"] == server.endpoint
    assert document["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert {"RS384", "ES384"} <= set(document["token_endpoint_auth_signing_alg_values_supported"])
    async with server.stack.session.get(document["jwks_uri"]) as answer:
        (key,) = (await answer.json())["keys"]
    assert key["crv"] == "P-384"
    assert "d" not in key


async def test_more_scopes_than_granted_give_those_that_are(server):
    answer = await server.token(
        "system/List.rs system/Patient.rs system/*.cruds system/List.read ITI-66 ITI-65"
    )
    assert answer["scope"] == "system/List.rs system/List.read ITI-66"
    await server.refuse("invalid_scope", scope="system/Patient.rs")
    await server.refuse("invalid_scope", scope="system/List.cruds")
    await server.refuse("invalid_scope", scope="nonsense")
    await server.refuse("invalid_scope", scope="patient/List.rs")
    await server.refuse("invalid_scope", scope=None)


async def test_a_client_of_one_patient_gets_tokens_of_that_patient(server):
    token = (await server.token("patient/List.rs", server.bound))["access_token"]
    assert await server.search(token, "List?patient.identifier=urn:oid:2.999.1.1|MINE") == 200
    assert await server.search(token, "List?patient.identifier=urn:oid:2.999.1.1|THEIRS") == 403


async def test_an_assertion_is_good_once(server):
    form = server.client.form()
    assert (await server.ask(form))[0] == 200
    assert "used before" in await server.refuse(client_assertion=form["client_assertion"])


async def test_an_assertion_sent_many_times_at_once_is_good_once(server):
    form = server.client.form()
    answers = await asyncio.gather(*(server.ask(form) for _ in range(20)))
    assert sorted(status for status, _, _ in answers) == [200] + [401] * 19


async def test_another_replica_knows_the_jti_and_takes_the_token(server, tmp_path):
    redis = server.stack.settings.state_dir / "redis"
    socket = next(redis.rglob("*.sock"), None)
    assert socket is not None
    values = server.stack.settings.model_dump()
    values["state_dir"] = tmp_path / "second"
    values["redis"]["url"] = f"unix://{socket}"
    values["security"]["keys"] = [(server.stack.settings.state_dir / "keys").read_text().strip()]
    values["server"]["base_url"] = server.stack.base_url
    form = server.client.form()
    status, _, answer = await server.ask(form)
    assert status == 200
    async with running_gateway(Settings(**values)) as second:
        status, _, again = await server.ask(form, f"{second.base_url}/auth/token")
        assert (status, again["error"]) == (401, "invalid_client")
        assert await server.search(answer["access_token"], base=second.base_url) == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"sub": "somebody"},
        {"iss": "patient-app", "sub": "patient-app"},
        {"aud": "https://other.example/token"},
        {"aud": None},
        {"exp": int(time.time()) - 10},
        {"exp": int(time.time()) + 3600},
        {"exp": None},
        {"nbf": int(time.time()) + 3600},
        {"iat": int(time.time()) + 3600},
        {"jti": None},
        {"jti": ""},
    ],
)
async def test_an_assertion_with_wrong_claims_is_refused(server, changes):
    await server.refuse(client_assertion=server.client.assertion(**changes))


async def test_an_audience_among_several_is_enough(server):
    form = server.client.form(client_assertion=server.client.assertion(aud=["x", server.endpoint]))
    assert (await server.ask(form))[0] == 200


async def test_assertions_that_prove_nothing_are_refused(server):
    client = server.client
    await server.refuse(client_assertion=unsigned(client.claims()))
    for key in client.keys.values():
        await server.refuse(client_assertion=hmac_with_public_key(client.claims(), key))
    theirs = new_key("ES384")
    await server.refuse(client_assertion=client.assertion(key=theirs))
    await server.refuse(
        client_assertion=client.assertion(key=theirs, header={"kid": client.keys["ES384"].kid})
    )
    await server.refuse(client_assertion=client.assertion(header={"kid": None}))
    await server.refuse(client_assertion=client.assertion(header={"jku": "https://attacker.example/jwks"}))
    await server.refuse(client_assertion=client.assertion(header={"typ": "at+jwt"}))
    await server.refuse(client_assertion="x.y.z")
    await server.refuse(client_assertion=server.bound.assertion(iss="reader", sub="reader"))


async def test_an_access_token_is_no_assertion_and_an_assertion_no_access_token(server):
    token = (await server.token())["access_token"]
    await server.refuse(client_assertion=token)
    assert await server.search(server.client.assertion(scope="system/List.rs")) == 401


async def test_a_refused_assertion_does_not_use_up_its_jti(server):
    jti = uuid.uuid4().hex
    await server.refuse(client_assertion=server.client.assertion(key=new_key("ES384"), jti=jti))
    assert (await server.ask(server.client.form(client_assertion=server.client.assertion(jti=jti))))[0] == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": None}, "unsupported_grant_type"),
        ({"client_assertion_type": "x"}, "invalid_client"),
        ({"client_id": "patient-app"}, "invalid_client"),
        ({"resource": "https://other.example/fhir"}, "invalid_target"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
    ],
)
async def test_a_request_that_is_none_is_refused_in_the_words_of_oauth(server, form, error):
    await server.refuse(error, **form)


@pytest.mark.parametrize("kind", ["jwt", "access_token", "access-token"])
async def test_the_type_of_token_that_there_is_may_be_asked_for(server, kind):
    form = server.client.form(requested_token_type=f"urn:ietf:params:oauth:token-type:{kind}")
    assert (await server.ask(form))[0] == 200


async def test_what_a_client_says_of_itself_widens_nothing(server):
    """Its role, purpose of use, community, patient and scopes are those that it is registered with."""
    said = {
        "extensions": {
            "ihe_iua": {
                "subject_role": [{"system": "urn:oid:2.999.9", "code": "chief"}],
                "purpose_of_use": [{"system": "urn:oid:2.999.9", "code": "ETREAT"}],
                "home_community_id": "urn:oid:2.999.99",
            },
            "ihe_bppc": {"patient_id": "1^^^&2.999.1.1&ISO"},
        },
        "scope": "system/*.cruds",
        "patient": "urn:oid:2.999.1.1|OTHER",
    }
    form = {**server.bound.form("patient/List.rs"), "client_assertion": server.bound.assertion(**said)}
    status, _, answer = await server.ask({**form, "patient": "OTHER", "extensions": "{}"})
    assert (status, answer["scope"]) == (200, "patient/List.rs")
    payload = answer["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["patient"] == "urn:oid:2.999.1.1|MINE"
    assert "extensions" not in claims


async def test_smart_configuration_is_json_whatever_is_accepted(server):
    url = f"{server.stack.base_url}/.well-known/smart-configuration"
    for accept in ("application/fhir+xml", "text/html", "image/png;q=0.1", "*/*;q=0", "x"):
        async with server.stack.session.get(url, headers={"Accept": accept}) as answer:
            assert (answer.status, answer.content_type) == (200, "application/json"), accept
            document = await answer.json()
    assert all(document[name].startswith("http") for name in ("issuer", "token_endpoint", "jwks_uri"))


async def test_a_repeated_parameter_and_a_wrong_body_are_invalid_requests(server):
    fields = [*server.client.form().items(), ("scope", "system/*.cruds")]
    status, _, answer = await server.ask(fields)
    assert (status, answer["error"]) == (400, "invalid_request")
    async with server.stack.session.post(server.endpoint, json=server.client.form()) as response:
        assert (response.status, (await response.json())["error"]) == (400, "invalid_request")
    status, _, answer = await server.ask(server.client.form(), f"{server.endpoint}?scope=x")
    assert (status, answer["error"]) == (400, "invalid_request")
    status, _, answer = await server.ask({"scope": "x" * 50_000})
    assert answer["error"] == "invalid_request"


async def test_without_redis_no_token_is_given(tmp_path):
    client = Client()
    section = {"clients": {"reader": {"jwks": public(client.keys["ES384"]), "scopes": ["system/*.rs"]}}}
    async with running_stack(
        tmp_path, security={"access": "token", "authorisation_server": section}
    ) as stack:
        client.endpoint = f"{stack.base_url}/auth/token"
        lock = stack.settings.state_dir / "redis" / "redis" / "server.lock"
        os.kill(int(lock.read_text()), signal.SIGKILL)
        for _ in range(3):
            async with stack.session.post(client.endpoint, data=client.form()) as answer:
                status, body = answer.status, await answer.json()
            if status != 200:
                break
        assert (status, body["error"]) == (503, "temporarily_unavailable")


async def test_keys_of_a_client_at_a_url_may_be_named_by_jku(tmp_path):
    client = Client()
    key_sets = []

    async def serve(_):
        key_sets.append(1)
        return web.json_response(public(client.keys["ES384"]))

    app = web.Application()
    app.router.add_get("/jwks", serve)
    async with site(app) as url:
        section = {"clients": {"reader": {"jwks_url": f"{url}/jwks", "scopes": ["system/*.rs"]}}}
        async with running_stack(
            tmp_path, security={"access": "token", "authorisation_server": section}
        ) as stack:
            client.endpoint = f"{stack.base_url}/auth/token"
            for header in ({"jku": f"{url}/jwks"}, {}):
                form = client.form(client_assertion=client.assertion(header=header))
                async with stack.session.post(client.endpoint, data=form) as answer:
                    assert answer.status == 200, await answer.text()
            form = client.form(client_assertion=client.assertion(header={"jku": f"{url}/other"}))
            async with stack.session.post(client.endpoint, data=form) as answer:
                assert json.loads(await answer.text())["error"] == "invalid_client"
    assert len(key_sets) == 1


async def test_keys_rotate_with_an_overlap(tmp_path):
    client = Client()
    section = {"clients": {"reader": {"jwks": public(client.keys["ES384"]), "scopes": ["system/*.rs"]}}}
    security = {"access": "token", "authorisation_server": section}
    async with running_stack(tmp_path, security=security) as stack:
        client.endpoint = f"{stack.base_url}/auth/token"
        async with stack.session.post(client.endpoint, data=client.form()) as answer:
            token = (await answer.json())["access_token"]
        old = (stack.settings.state_dir / "keys").read_text().strip()
        values = stack.settings.model_dump()
        values["state_dir"] = tmp_path / "next"
        values["server"]["base_url"] = stack.base_url
        headers = {"Authorization": f"Bearer {token}"}
        search = "List?patient.identifier=urn:oid:2.999.1.1|nobody"
        for keys, status in (([f"{7:064x}", old], 200), ([f"{7:064x}"], 401)):
            values["security"]["keys"] = keys
            async with running_gateway(Settings(**values)) as rotated:
                async with rotated.session.get(f"{rotated.base_url}/{search}", headers=headers) as answer:
                    assert answer.status == status
                async with rotated.session.get(f"{rotated.base_url}/auth/jwks") as answer:
                    assert len((await answer.json())["keys"]) == len(keys)
