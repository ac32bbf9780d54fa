"""Who sees the console: signing in and out, forms of other sites, and the headers of every answer."""

import time

import pytest

from gateway.console.viewers import Sessions
from gateway.security.sealing import KeyRing
from gateway.security.tokens import TokenVerifier
from gateway.settings import Settings, SettingsError, load_settings
from tests.system.stack import running_stack

from .signed_in import Visitor, running_console, visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def test_it_is_off_by_default(tmp_path):
    async with running_stack(tmp_path, security={"access": "open"}) as stack:
        status, _ = await stack.get(stack.base_url.removesuffix("/fhir") + "/console")
        assert status == 404


async def test_a_browser_is_shown_the_way_to_the_sign_in(console):
    async with visitor(console) as guest:
        sent = await guest.get()
        assert (sent.status, sent.headers["Location"]) == (303, "/console/sign-in")
        sent = await guest.get("/nowhere?patient=secret")
        assert (sent.status, sent.headers["Location"]) == (303, "/console/sign-in?next=/nowhere")


async def test_a_token_opens_it_once_and_a_cookie_from_then_on(console):
    token = console.token("console system/DocumentReference.rs", sub="Ada")
    async with visitor(console) as guest:
        signed = await guest.sign_in(token)
        assert (signed.status, signed.headers["Location"]) == (303, "/console")
        [cookie] = signed.headers.getall("Set-Cookie")
        assert token not in cookie
        for part in ("HttpOnly", "SameSite=Strict", "Path=/console", "Max-Age=14400"):
            assert part in cookie
        assert "Secure" not in cookie, "there is no TLS here"
        seen = await guest.get()
        assert seen.status == 200
        assert "Ada" in seen.words("//header")


async def test_the_sign_in_leads_on_to_what_was_asked_for(console):
    for asked, lands in (
        ("/transactions", "/console/transactions"),
        ("//evil.example", "/console"),
        ("https://evil.example", "/console"),
        ("/\\evil.example", "/console"),
        ("/" + "x" * 300, "/console"),
    ):
        async with visitor(console) as guest:
            form = (await guest.get("/sign-in", params={"next": asked})).form("/sign-in")
            signed = await guest.post("/sign-in", {**form, "token": console.token()})
            assert signed.headers["Location"] == lands, asked


async def test_a_token_without_the_scope_opens_nothing(console):
    async with visitor(console) as guest:
        for scope in ("system/*.cruds", "system/console.rs", "Console", "patient/*.rs"):
            signed = await guest.sign_in(console.token(scope))
            assert signed.status == 403
            assert "lacks the scope console" in signed.words()
            assert "Set-Cookie" not in signed.headers


async def test_a_token_that_is_not_good_is_refused_with_the_reason(console):
    async with visitor(console) as guest:
        for token, reason in (
            (console.token(exp=int(time.time()) - 600), "expired"),
            (console.token(aud="https://other.example"), "another server"),
            ("<script>alert(1)</script>", "not trusted here"),
            ("<b> <script>alert(1)</script>", "no access token"),
            ("", "no access token"),
            ("ä" * 50, "no access token"),
        ):
            signed = await guest.sign_in(token)
            assert signed.status == 401
            assert reason in signed.words("//*[@role='alert']")
            assert not signed.page.xpath("//script[not(@src)]")


async def test_a_client_shows_its_token_with_each_request(console):
    headers = {"Authorization": f"Bearer {console.token()}"}
    async with visitor(console) as guest:
        assert (await guest.get(headers=headers)).status == 200
        refused = await guest.get(headers={"Authorization": f"Bearer {console.token('ITI-67')}"})
        assert refused.status == 403
        for wrong in ("Basic abc", "Bearer", "Bearer a b"):
            refused = await guest.get(headers={"Authorization": wrong})
            assert refused.status == 401
            assert refused.headers["WWW-Authenticate"].startswith("Bearer")


async def test_what_scripts_fetch_is_refused_and_not_redirected(console):
    async with visitor(console) as guest:
        refused = await guest.get("/parts/overview", headers={"Sec-Fetch-Mode": "cors"})
        assert refused.status == 401


async def test_signing_out_ends_the_session_everywhere(console):
    async with visitor(console) as guest:
        await guest.sign_in(console.token())
        kept = {each.key: each.value for each in guest.session.cookie_jar}
        form = (await guest.get()).form("/sign-out")
        out = await guest.post("/sign-out", form)
        assert (out.status, out.headers["Location"]) == (303, "/console/sign-in")
        assert (await guest.get()).status == 303
    async with visitor(console, cookies=kept) as thief:
        assert (await thief.get()).status == 303, "the cookie that was kept is no good"


async def test_a_cookie_that_was_altered_or_has_run_out_is_none(console):
    async with visitor(console) as guest:
        await guest.sign_in(console.token())
        [(name, value)] = [(each.key, each.value) for each in guest.session.cookie_jar]
    changed = value[:-1] + ("A" if value[-1] != "A" else "B")
    for wrong in (changed, "", "x" * 4000, value[::-1]):
        async with visitor(console, cookies={name: wrong}) as other:
            assert (await other.get()).status == 303
    parts = console.stack.parts
    later = Sessions(parts.ring, parts.store, 14_400, clock=lambda: time.time() + 14_401)
    assert await later.of_cookie(value) is None
    others = Sessions(KeyRing([b"k" * 32]), parts.store, 14_400)
    assert await others.of_cookie(value) is None


async def test_a_form_of_another_site_is_refused(console):
    async with visitor(console) as guest:
        form = {**(await guest.get("/sign-in")).form("/sign-in"), "token": console.token()}
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
        ):
            refused = await guest.post("/sign-in", form, headers=headers)
            assert refused.status == 403, headers
        own = console.url.removesuffix("/console")
        assert (await guest.post("/sign-in", form, headers={"Origin": own})).status == 303


async def test_a_form_without_the_token_of_its_session_is_refused(console):
    async with visitor(console) as guest, visitor(console) as other:
        await guest.sign_in(console.token())
        await other.sign_in(console.token())
        of_other = (await other.get()).form("/sign-out")
        for form in ({}, {"form_token": ""}, {"form_token": "AAAA"}, of_other):
            refused = await guest.post("/sign-out", form)
            assert refused.status == 403
            assert "too old" in refused.words()
        assert (await guest.get()).status == 200, "it is signed in still"
        async with guest.session.post(f"{guest.url}/sign-out", json=of_other) as answer:
            assert answer.status == 415
        huge = {"form_token": "x" * 100_000}
        assert (await guest.post("/sign-out", huge)).status == 413


async def test_every_answer_has_the_headers_that_keep_others_out(console):
    async with visitor(console) as guest:
        answers = [
            await guest.get(),
            await guest.get("/sign-in"),
            await guest.get("/static/console.css"),
            await guest.get("/nowhere"),
        ]
        await guest.sign_in(console.token())
        answers += [await guest.get(), await guest.get("/nowhere"), await guest.get("/parts/overview")]
    for seen in answers:
        policy = dict(
            part.strip().split(" ", 1) for part in seen.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["form-action"] == "'self'"
        assert seen.headers["X-Content-Type-Options"] == "nosniff"
        assert seen.headers["X-Frame-Options"] == "DENY"
        assert seen.headers["Referrer-Policy"] == "no-referrer"
        assert seen.headers["X-Request-Id"]
    assert answers[0].headers["Cache-Control"] == answers[-1].headers["Cache-Control"] == "no-store"


async def test_pages_hold_neither_scripts_nor_styles_of_their_own(console):
    async with visitor(console) as guest:
        await guest.sign_in(console.token())
        for path in ("", "/nowhere", "/parts/overview"):
            page = (await guest.get(path)).page
            assert not page.xpath("//script[not(@src)] | //style | //@style")
            assert not [name for each in page.iter() for name in each.attrib if name.startswith("on")]
            for address in page.xpath("//script/@src | //link/@href | //img/@src"):
                assert address.startswith("/console/static/")


async def test_unknown_pages_and_methods_are_error_pages(console):
    async with visitor(console) as guest:
        await guest.sign_in(console.token())
        missing = await guest.get("/<b>nowhere</b>")
        assert (missing.status, missing.words("//h1")) == (404, "Nothing is here")
        form = (await guest.get()).form("/sign-out")
        assert (await guest.post("/parts/overview", form)).status == 405
        assert (await guest.get("/static/../site.py")).status == 404
        assert (await guest.get("/")).headers["Location"] == "/console"


async def test_a_name_is_escaped(console):
    async with visitor(console) as guest:
        await guest.sign_in(console.token(sub="<img src=x onerror=alert(1)>\"'"))
        seen = await guest.get()
        assert not seen.page.xpath("//header//img")
        assert "<img src=x" in seen.words("//header")


async def test_an_error_of_the_gateway_is_a_page_without_its_text(console, monkeypatch):
    async def broken(*_):
        raise RuntimeError("of patient Miller")

    async with visitor(console) as guest:
        await guest.sign_in(console.token())
        monkeypatch.setattr("gateway.health.Health.report", broken)
        seen = await guest.get()
        assert seen.status == 500
        assert "Miller" not in seen.text


async def test_where_tokens_cannot_be_verified_that_is_said(console, monkeypatch):
    from gateway.security.tokens import VerificationUnavailable

    async def away(*_):
        raise VerificationUnavailable("the keys of its issuer cannot be had")

    async with visitor(console) as guest:
        monkeypatch.setattr(TokenVerifier, "_verified", away)
        signed = await guest.sign_in(console.token())
        assert signed.status == 503
        assert "cannot be verified now" in signed.words("//*[@role='alert']")


async def test_a_token_that_says_too_much_is_refused_with_what_to_do(console):
    scope = " ".join(
        ["console", *(f"system/Type{chr(65 + n % 26)}{chr(65 + n // 26)}x.cruds" for n in range(300))]
    )
    async with visitor(console) as guest:
        signed = await guest.sign_in(console.token(scope))
        assert signed.status == 400
        assert "fewer scopes" in signed.words("//*[@role='alert']")


async def test_open_access_asks_nobody(tmp_path):
    async with running_stack(tmp_path, security={"access": "open"}, console={"enabled": True}) as stack:
        guest = Visitor(stack.session, stack.base_url.removesuffix("/fhir") + "/console")
        seen = await guest.get()
        assert seen.status == 200
        assert "open access" in seen.words("//header")
        assert (await guest.get("/sign-in")).headers["Location"] == "/console"


async def test_cookies_are_for_https_alone_where_browsers_come_by_it(tmp_path):
    base_url = "https://ncp.example/fhir"
    async with (
        running_console(tmp_path, server={"base_url": base_url}) as console,
        visitor(console) as guest,
    ):
        form = (await guest.get("/sign-in")).form("/sign-in")
        signed = await guest.post("/sign-in", {**form, "token": console.issuer.token(base_url, "console")})
        [cookie] = signed.headers.getall("Set-Cookie")
        assert cookie.startswith("__Secure-")
        assert "; Secure" in cookie
        assert "max-age" in signed.headers["Strict-Transport-Security"]
        # the guest itself comes by HTTP, where a jar keeps such cookies back
        name, _, value = cookie.partition(";")[0].partition("=")
        own = {"Cookie": f"{name}={value}"}
        out = await guest.post("/sign-out", (await guest.get(headers=own)).form("/sign-out"), headers=own)
        assert out.status == 303
        [ended] = out.headers.getall("Set-Cookie")
        assert ended.startswith(f"{name}=")
        assert value not in ended
        for part in ("Max-Age=0", "Path=/console", "Secure", "HttpOnly", "SameSite=Strict"):
            assert part in ended.split("; ")[1:], "a browser would keep the cookie"


@pytest.mark.parametrize(
    ("console", "said"),
    [
        ({"enabled": True, "access": "open"}, "needs console.port"),
        ({"enabled": True, "host": "127.0.0.1"}, "needs a port"),
        ({"enabled": True, "base_url": "https://console.example"}, "needs a port"),
        ({"enabled": True, "port": 70_000}, "console.port"),
        ({"enabled": True, "sesion": 5}, "console.sesion: is not a setting"),
    ],
)
async def test_settings_that_contradict_each_other_are_refused(console, said, tmp_path):
    values = {
        "registry": {"url": "https://registry.example"},
        "repositories": [{"unique_id": "2.999.1", "url": "https://repository.example"}],
        "security": {
            "access": "token",
            "issuers": [{"issuer": "https://i.example", "jwks_url": "https://i.example/jwks"}],
        },
    }
    with pytest.raises(SettingsError, match=said):
        load_settings(None, {**values, "console": console})


async def test_open_access_has_no_tokens_to_ask_for():
    with pytest.raises(ValueError, match="needs security"):
        Settings(
            registry={"url": "https://registry.example"},
            repositories=[{"unique_id": "2.999.1", "url": "https://repository.example"}],
            security={"access": "open"},
            console={"enabled": True, "access": "token"},
        )
