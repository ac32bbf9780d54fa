"""Access tokens (ITI-72): each test is an attack or a mistake, with the answer it gets.

The issuer is a real server whose keys the gateway fetches; requests go over real sockets.
"""

import json
import time

import aiohttp
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.demo.bundles import provide_bundle
from gateway.mhd.bases import BASES
from gateway.security.interactions import interaction_of
from gateway.security.tokens import Introspection, InvalidToken, Issuer, TokenVerifier
from gateway.wiring.parts import open_parts
from tests.system.documents import a_document, a_patient
from tests.system.issuers import hmac_with_public_key, new_key, running_issuer, unsigned
from tests.system.stack import running_stack

ALL = "system/*.cruds"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def issuer():
    async with running_issuer() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(issuer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "secret").write_text("gateway-secret\n")
    security = {
        "access": "token",
        "issuers": [
            {
                "issuer": issuer.url,
                "jwks_url": f"{issuer.url}/jwks",
                "introspection": {"url": f"{issuer.url}/introspect", "token_file": folder / "secret"},
                "token_endpoint": f"{issuer.url}/token",
            }
        ],
    }
    async with running_stack(folder, security=security) as running:
        yield running


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ask(
    stack, path="List?patient.identifier=urn:oid:2.999.1.1|nobody", token=None, method="GET", **more
):
    """Status, WWW-Authenticate and body of a request below the base, or of a whole URL."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    url = path if "://" in path else f"{stack.base_url}/{path}"
    async with stack.session.request(
        method, url, headers={**headers, **more.pop("headers", {})}, **more
    ) as answer:
        body = await answer.read()
        return answer.status, answer.headers.get("WWW-Authenticate"), body


async def refused(stack, token, status=401, error='error="invalid_token"'):
    calls = dict(stack.soap_calls)
    got, challenge, body = await ask(stack, token=token)
    assert (got, error in challenge) == (status, True), (got, challenge, body)
    outcome = json.loads(body)
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["code"] == {401: "login", 403: "forbidden", 400: "invalid"}[status]
    assert stack.soap_calls == calls, "nobody behind is asked"
    return outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize("algorithm", ["RS384", "PS256", "ES256", "ES384"])
async def test_a_good_token_opens(stack, issuer, algorithm):
    token = issuer.token(stack.base_url, "system/List.rs", algorithm=algorithm)
    assert (await ask(stack, token=token))[0] == 200


async def test_without_a_token_the_challenge_names_no_error(stack):
    status, challenge, body = await ask(stack)
    assert (status, challenge) == (401, 'Bearer realm="fhir"')
    assert json.loads(body)["issue"][0]["code"] == "login"


@pytest.mark.parametrize("base", ["", "/R4", "/R5"])
async def test_every_base_asks_for_a_token_and_takes_the_same(stack, issuer, base):
    url = f"{stack.base_url}{base}"
    search = f"{url}/DocumentReference?patient.identifier=urn:oid:2.999.1.1|nobody&status=current"
    for path in (search, f"{url}/content/x", f"{url}/dicomweb/studies/1.2.3", f"{url}/DocumentReference/1"):
        assert (await ask(stack, path))[0] == 401
    for audience in (stack.base_url, url):
        assert (await ask(stack, search, issuer.token(audience, "ITI-67")))[0] == 200
    async with stack.session.get(f"{url}/.well-known/smart-configuration") as answer:
        assert answer.status == 200
    _, _, body = await ask(stack, f"{url}/metadata")
    assert json.loads(body)["rest"][0]["security"]["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"iss": "https://other.example"}, "issuer"),
        ({"aud": "https://other.example/fhir"}, "another server"),
        ({"aud": ["https://other.example/fhir"]}, "another server"),
        ({"aud": None}, "no aud"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "no exp"),
        ({"exp": "never"}, "exp is not a time"),
        ({"exp": True}, "exp is not a time"),
        ({"nbf": 1 << 40}, "not valid yet"),
        ({"iat": 1 << 40}, "not valid yet"),
        ({"iat": None}, "no iat"),
        ({"sub": None}, "no sub"),
        ({"jti": None}, "no jti"),
        ({"jti": 7}, "jti is not a text"),
        ({"client_id": None}, "no client"),
    ],
)
async def test_a_token_with_wrong_claims_is_refused(stack, issuer, changes, said):
    assert said in await refused(stack, issuer.token(stack.base_url, ALL, **changes))


async def test_clocks_may_differ_by_the_skew_and_not_by_more(stack, issuer):
    now = int(time.time())
    within = issuer.token(stack.base_url, ALL, exp=now - 30, nbf=now + 30, iat=now + 30)
    assert (await ask(stack, token=within))[0] == 200
    await refused(stack, issuer.token(stack.base_url, ALL, exp=now - 90))
    await refused(stack, issuer.token(stack.base_url, ALL, nbf=now + 90))


async def test_algorithms_that_prove_nothing_are_refused(stack, issuer):
    claims = issuer.claims(stack.base_url, ALL)
    for algorithm in ("none", "None", "NONE", ""):
        await refused(stack, unsigned(claims, algorithm))
    for key in issuer.keys.values():
        await refused(stack, hmac_with_public_key(claims, key))


async def test_a_key_of_someone_else_is_refused_whatever_it_is_called(stack, issuer):
    claims = issuer.claims(stack.base_url, ALL)
    theirs = new_key("ES384")
    await refused(stack, issuer.signed(claims, key=theirs))
    await refused(stack, issuer.signed(claims, key=theirs, kid=issuer.keys["ES384"].kid))
    embedded = theirs.as_dict(private=False)
    await refused(stack, issuer.signed(claims, key=theirs, jwk=embedded))
    await refused(stack, issuer.signed(claims, key=theirs, jku="https://attacker.example/jwks"))


async def test_an_altered_token_is_refused(stack, issuer):
    head, body, signature = issuer.token(stack.base_url, "system/List.r").split(".")
    _, other, _ = issuer.token(stack.base_url, ALL).split(".")
    await refused(stack, f"{head}.{other}.{signature}")
    await refused(stack, f"{head}.{body}.{signature[:-8]}AAAAAAAA")
    await refused(stack, f"{head}.{body}.")
    await refused(stack, "x" * 7000)


async def test_a_token_of_another_kind_is_refused(stack, issuer):
    claims = issuer.claims(stack.base_url, ALL)
    await refused(stack, issuer.signed(claims, typ="logout+jwt"))


async def test_a_token_is_taken_from_one_header_alone(stack, issuer):
    token = issuer.token(stack.base_url, ALL)
    status, challenge, _ = await ask(stack, f"List?access_token={token}")
    assert (status, 'error="invalid_request"' in challenge) == (400, True)
    status, challenge, _ = await ask(stack, f"List?access_token={token}", token=token)
    assert (status, 'error="invalid_request"' in challenge) == (400, True)
    two = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    async with stack.session.get(f"{stack.base_url}/List", headers=two) as answer:
        assert answer.status == 400
    async with stack.session.get(f"{stack.base_url}/List", headers={"Authorization": "Bearer "}) as answer:
        assert answer.status in {400, 401}
    async with stack.session.get(f"{stack.base_url}/List", headers={"Authorization": "Basic eDp5"}) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    ("method", "path", "scope", "missing"),
    [
        (
            "GET",
            "DocumentReference?patient=x",
            "system/List.cruds system/DocumentReference.r",
            "system/DocumentReference.s",
        ),
        (
            "POST",
            "DocumentReference/_search",
            "system/DocumentReference.r ITI-66 ITI-68",
            "system/DocumentReference.s",
        ),
        ("GET", "DocumentReference/1", "system/DocumentReference.s", "system/DocumentReference.r"),
        ("GET", "List?patient=x", "ITI-67", "system/List.s"),
        ("GET", "List/1", "system/List.dus", "system/List.r"),
        ("GET", "List/1", "system/List.rs?code=submissionset", "system/List.r"),
        ("GET", "Patient?identifier=x", "ITI-67", "system/Patient.s"),
        ("POST", "Patient/_search", "system/Patient.r", "system/Patient.s"),
        ("GET", "Patient/1", "ITI-119", "system/Patient.r"),
        ("POST", "Patient/$match", "ITI-67 system/Patient.r", "system/Patient.s"),
        ("GET", "Binary/1", "ITI-67", "system/Binary.r"),
        ("GET", "content/xyz", "system/DocumentReference.rs", "system/Binary.r"),
        ("POST", "", "system/DocumentReference.c system/List.c", "system/Binary.c"),
        ("POST", "", "system/*.rs", "system/List.c"),
        ("POST", "DocumentReference", "system/DocumentReference.read", "system/DocumentReference.c"),
        ("POST", "DocumentReference/$generate-metadata", "ITI-67", "system/DocumentReference.c"),
        ("GET", "ImagingStudy?patient=x", "ITI-67", "system/ImagingStudy.s"),
        ("GET", "Endpoint/1", "system/ImagingStudy.rs", "system/Endpoint.r"),
        ("GET", "dicomweb/studies/1.2.3", "ITI-68 system/ImagingStudy.s", "system/ImagingStudy.r"),
        ("GET", "dicomweb/studies?StudyInstanceUID=1.2.3", "RAD-107", "system/ImagingStudy.s"),
        ("GET", "wado/xyz/studies/1.2.3/metadata", "ITI-68", "system/ImagingStudy.r"),
        ("GET", "?_type=List,DocumentReference", "system/List.s", "system/DocumentReference.s"),
        ("GET", "?_type=List&_type=DocumentReference", "system/List.s", "system/DocumentReference.s"),
        ("GET", "?_page=x", "system/List.s", "system/DocumentReference.s"),
        ("GET", "List/1", "", "system/List.r"),
    ],
)
async def test_a_scope_that_does_not_cover_the_request_is_403_and_names_what_would(
    stack, issuer, method, path, scope, missing
):
    calls = dict(stack.soap_calls)
    token = issuer.token(stack.base_url, scope)
    target = f"{stack.base_url}{path}" if path.startswith("?") or not path else path
    status, challenge, body = await ask(stack, target, token=token, method=method)
    assert status == 403, body
    assert 'error="insufficient_scope"' in challenge
    named = challenge.partition('scope="')[2].rstrip('"')
    assert missing.rsplit(".")[0] in named
    assert json.loads(body)["issue"][0]["code"] == "forbidden"
    assert stack.soap_calls == calls


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("List?patient.identifier=urn:oid:2.999.1.1|nobody", "ITI-66"),
        ("List?patient.identifier=urn:oid:2.999.1.1|nobody", "system/List.read"),
        ("List?patient.identifier=urn:oid:2.999.1.1|nobody", "user/*.s"),
        ("List?patient.identifier=urn:oid:2.999.1.1|nobody", "openid launch system/List.search"),
        ("DocumentReference?patient.identifier=urn:oid:2.999.1.1|nobody&status=current", "ITI-67"),
        ("ImagingStudy?patient.identifier=urn:oid:2.999.1.1|nobody", "system/ImagingStudy.rs"),
        ("dicomweb/studies?PatientID=nobody&IssuerOfPatientID=2.999.1.1", "system/ImagingStudy.s"),
    ],
)
async def test_each_style_of_scopes_opens(stack, issuer, path, scope):
    status, _, body = await ask(stack, path, token=issuer.token(stack.base_url, scope))
    assert status in {200, 204}, body


async def test_what_comes_along_needs_its_own_scope(stack, issuer):
    path = "List?patient.identifier=urn:oid:2.999.1.1|nobody&_include=List:item"
    status, challenge, _ = await ask(stack, path, token=issuer.token(stack.base_url, "system/List.rs"))
    assert (status, "system/DocumentReference.r" in challenge) == (403, True)
    scope = "system/List.rs system/DocumentReference.r"
    assert (await ask(stack, path, token=issuer.token(stack.base_url, scope)))[0] == 200


async def test_a_url_given_to_one_client_opens_nothing_to_another(stack, issuer):
    patient = a_patient()
    everything = issuer.token(stack.base_url, ALL)
    headers = {"Content-Type": "application/fhir+json"}
    bundle = json.dumps(provide_bundle([a_document()], patient=patient)).encode()
    status, _, body = await ask(stack, stack.base_url, everything, "POST", data=bundle, headers=headers)
    assert status == 200, body
    search = f"DocumentReference?patient.identifier={patient.token}&status=current"
    _, _, page = await ask(stack, search, everything)
    found = json.loads(page)["entry"][0]["resource"]
    url = found["content"][0]["attachment"]["url"]
    assert (await ask(stack, url, everything))[0] == 200
    for address in (url, f"Binary/{found['id']}"):
        assert (await ask(stack, address))[0] == 401
        other = issuer.token(stack.base_url, "ITI-67", client_id="client-2")
        assert (await ask(stack, address, other))[0] == 403
    assert (await ask(stack, url, other, "HEAD"))[0] == 403
    altered = url[:-2] + ("AA" if url[-2:] != "AA" else "BB")
    assert (await ask(stack, altered, everything))[0] == 404


async def test_what_has_no_patient_data_is_public(stack):
    for path in ("metadata", "SearchParameter", "OperationDefinition", ".well-known/smart-configuration"):
        assert (await ask(stack, path))[0] == 200
    assert (await ask(stack, stack.base_url.removesuffix("/fhir") + "/health/ready"))[0] == 200


async def test_rad69_is_not_there_unless_its_own_setting_says_so(stack):
    url = stack.base_url.removesuffix("/fhir") + "/xds/imaging"
    assert (await ask(stack, url, method="POST", data=b"x"))[0] == 404


async def test_smart_configuration_and_metadata_say_where_tokens_are_given(stack, issuer):
    root = stack.base_url.removesuffix("/fhir")
    for base in (stack.base_url, root):
        async with stack.session.get(
            f"{base}/.well-known/smart-configuration", headers={"Accept": "text/html"}
        ) as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
            document = await answer.json()
    assert document["token_endpoint"] == f"{issuer.url}/token"
    assert document["introspection_endpoint"] == f"{issuer.url}/introspect"
    assert "client_credentials" in document["grant_types_supported"]
    assert {"permission-v1", "permission-v2", "client-confidential-asymmetric"} <= set(
        document["capabilities"]
    )
    assert document["code_challenge_methods_supported"] == ["S256"]
    _, _, body = await ask(stack, "metadata")
    security = json.loads(body)["rest"][0]["security"]
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    assert security["extension"][0]["extension"][0]["valueUri"] == f"{issuer.url}/token"


async def test_an_opaque_token_is_asked_about_and_the_answer_kept_for_a_while(stack, issuer):
    claims = issuer.claims(stack.base_url, "system/List.rs")
    issuer.opaque["opaque-1"] = {"active": True, **claims}
    before = issuer.asked
    for _ in range(3):
        assert (await ask(stack, token="opaque-1"))[0] == 200
    assert issuer.asked == before + 1
    await refused(stack, "opaque-nobody")
    issuer.opaque["opaque-2"] = {**claims, "active": "true"}
    await refused(stack, "opaque-2")
    issuer.opaque["opaque-3"] = {"active": True, **claims, "aud": "https://other.example"}
    await refused(stack, "opaque-3")
    issuer.opaque["opaque-4"] = {"active": True, **claims, "exp": 5}
    await refused(stack, "opaque-4")
    issuer.down = True
    try:
        status, _, body = await ask(stack, token="opaque-5")
        assert status == 503, body
        assert (await ask(stack, token="opaque-1"))[0] == 200
    finally:
        issuer.down = False


async def test_an_answer_about_an_opaque_token_is_not_kept_past_its_end(issuer):
    """Not even for the skew of clocks, within which its issuer may know better."""
    now = [time.time()]
    claims = issuer.claims("urn:here", "system/List.rs", exp=int(now[0]) + 60)
    issuer.opaque["opaque-ending"] = {"active": True, **claims}
    asked = Introspection(f"{issuer.url}/introspect", lambda: "Bearer gateway-secret", 3600.0)
    async with aiohttp.ClientSession() as session:
        verifier = TokenVerifier(
            [Issuer(issuer.url, ("urn:here",), introspection=asked)], session, skew=60.0, clock=lambda: now[0]
        )
        for _ in range(2):
            assert (await verifier.verify("opaque-ending")).client_id == "client-1"
        before, issuer.opaque["opaque-ending"] = issuer.asked, {"active": False}
        now[0] += 59
        await verifier.verify("opaque-ending")
        assert issuer.asked == before
        now[0] += 2
        with pytest.raises(InvalidToken, match="not active"):
            await verifier.verify("opaque-ending")


@pytest.mark.parametrize(
    ("host", "loud"), [("issuer.example", True), ("127.0.0.1", False), ("localhost:8443", False)]
)
async def test_the_log_shouts_about_keys_and_tokens_that_go_without_tls(tmp_path, host, loud):
    (tmp_path / "secret").write_text("s")
    asked = {"url": f"http://{host}/introspect", "token_file": tmp_path / "secret"}
    issuers = [
        {"issuer": "urn:a", "jwks_url": f"http://{host}/jwks", "introspection": asked},
        {"issuer": "urn:b", "jwks_url": "https://issuer.example/jwks"},
    ]
    with capture_logs() as lines:
        async with running_stack(tmp_path, security={"access": "token", "issuers": issuers}):
            pass
    shouted = {line["setting"] for line in lines if line["event"] == "security.without_tls"}
    named = {"security.issuers.0.jwks_url", "security.issuers.0.introspection.url"}
    assert shouted == (named if loud else set())


async def test_issuers_are_told_of_which_trace_a_request_is(stack, issuer):
    issuer.opaque["opaque-traced"] = {"active": True, **issuer.claims(stack.base_url, "system/List.rs")}
    asked_with = "9b2d0c9a-5a5b-4c59-9f0a-2f8c5b1f1a11"
    assert (await ask(stack, token="opaque-traced", headers={"X-Request-Id": asked_with}))[0] == 200
    assert issuer.told[-1]["X-Request-Id"] == asked_with
    assert issuer.told[-1]["traceparent"].startswith("00-")


async def test_the_client_of_a_token_is_the_source_of_what_it_publishes(stack, issuer):
    sources = []
    for client in ("hospital-a", "hospital-b", "hospital-a"):
        patient = a_patient()
        bundle = provide_bundle([a_document()], patient=patient)
        document = next(
            e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DocumentReference"
        )
        binary = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Binary")
        attachment = document["content"][0]["attachment"]
        attachment.pop("url", None)
        attachment["data"] = binary["data"]
        headers = {"Content-Type": "application/fhir+json", "X-Client-Id": "somebody-else"}
        token = issuer.token(stack.base_url, f"{ALL}", client_id=client)
        status, _, body = await ask(
            stack, "DocumentReference", token, "POST", data=json.dumps(document).encode(), headers=headers
        )
        assert status == 201, body
        _, _, lists = await ask(stack, f"List?patient.identifier={patient.token}&code=submissionset", token)
        resource = json.loads(lists)["entry"][0]["resource"]
        sources.append(
            next(e for e in resource["extension"] if e["url"].endswith("sourceId"))["valueIdentifier"]
        )
    assert sources[0] == sources[2]
    assert sources[0] != sources[1]


async def test_every_route_below_the_base_has_a_rule(stack, issuer):
    async with open_parts(
        stack.settings.model_copy(update={"state_dir": stack.settings.state_dir / "other"})
    ) as parts:
        app, _ = create_app(stack.settings, parts, stack.base_url)
        paths = [base.path for base in app[BASES]]
        seen = 0
        for route in app.router.routes():
            path = route.resource.canonical
            if path != "/fhir" and not path.startswith("/fhir/"):
                assert path.startswith(("/health", "/.well-known/", "/metrics")), path
                continue
            base = next(b for b in paths if path == b or path.startswith(f"{b}/"))
            template = path.removeprefix(base).replace("{type}", "ImagingStudy")
            assert interaction_of(route.method, template) is not None, (route.method, path)
            seen += 1
        assert seen > 30
