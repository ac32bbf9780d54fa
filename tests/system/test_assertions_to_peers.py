"""Peers are told who asks by a signed SAML assertion (IHE XUA), made of the token's claims and the settings."""

import base64
import datetime
import re
import time

import pytest
from cryptography import x509
from lxml import etree

from gateway.demo.bundles import provide_bundle
from gateway.settings import Settings, SettingsError, load_settings
from gateway.wiring.parts import StartError, open_parts
from tests.certificates import self_signed
from tests.security.xml_signatures import signed_by
from tests.system.documents import a_document, a_patient
from tests.system.issuers import running_issuer
from tests.system.stack import running_stack

NS = {
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "wsse": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd",
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "hl7": "urn:hl7-org:v3",
}
XSPA = "urn:oasis:names:tc:xspa:1.0:subject:"
USER = {
    "ihe_iua": {
        "subject_name": 'Dr. Öst <&> "A"',
        "subject_organization": "Hospital A",
        "subject_organization_id": "urn:oid:2.999.40.3",
        "subject_role": [
            {"system": "urn:oid:2.16.840.1.113883.2.9.6.2.7", "code": "221", "display": "Doctor"}
        ],
        "purpose_of_use": [
            {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"},
            {"system": "https://unmapped.example/codes", "code": "X"},
        ],
        "national_provider_identifier": "NPI-1",
    }
}


async def copied(request):
    """What a request holds, which the peer then reads as it came."""
    content = await request.content.read()
    request.content.unread_data(content)
    return content


class Site:
    """A gateway with tokens whose peers see what it sends."""

    def __init__(self, stack, issuer, certified):
        self.stack, self.issuer, self.certified = stack, issuer, certified
        self.seen: list[tuple[str, bytes]] = []
        stack.interfere = self._look

    async def _look(self, request):
        self.seen.append((request.path, await copied(request)))

    async def ask(self, path, method="GET", **more):
        claims = more.pop("claims", {"extensions": USER})
        token = self.issuer.token(self.stack.base_url, "system/*.cruds", **claims)
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        url = f"{self.stack.base_url}/{path}" if path else self.stack.base_url
        async with self.stack.session.request(method, url, headers=headers, **more) as answer:
            return answer.status, await answer.read()


@pytest.fixture(params=["rsa", "ec"])
def kind(request):
    return request.param


async def a_site(tmp_path, issue=None, kind="ec", peers=None, **more):
    certified = self_signed("sts", kind=kind)
    key, certificate = certified.write(tmp_path, "sts")
    section = {
        "issuer": "https://ncp.example/sts",
        "key_file": str(key),
        "certificate_file": str(certificate),
        "name": "Contact point",
        "purposes": [{"system": "urn:oid:2.16.840.1.113883.5.8", "code": "TREAT"}],
        **(issue or {}),
    }
    return certified, {
        "peers": peers or {"assertion": "issue", "audience": "urn:oid:2.999.7"},
        "security": {"access": "token", "assertions": {"issue": section}, **more},
    }


def envelope_of(message):
    """The envelope in a request, out of its MIME part where it has one."""
    return re.search(rb"<s:Envelope.*</s:Envelope>", message, re.DOTALL)[0]


def assertion_of(message):
    return etree.fromstring(envelope_of(message)).find("s:Header/wsse:Security/saml:Assertion", NS)


def attributes(assertion):
    found = {}
    for attribute in assertion.iterfind("saml:AttributeStatement/saml:Attribute", NS):
        values = attribute.findall("saml:AttributeValue", NS)
        assert values
        found[attribute.get("Name")] = [value[0] if len(value) else value.text for value in values]
    return found


async def test_every_request_to_a_peer_has_an_assertion_that_verifies_in_its_envelope(tmp_path, kind):
    certified, settings = await a_site(tmp_path, kind=kind)
    patient = a_patient()
    async with running_issuer() as issuer:
        settings["security"]["issuers"] = [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}]
        async with running_stack(tmp_path / "stack", home_community_id="2.999.5", **settings) as stack:
            site = Site(stack, issuer, certified)
            bundle = provide_bundle([a_document()], patient=patient)
            headers = {"Content-Type": "application/fhir+json"}
            assert (await site.ask("", "POST", json=bundle, headers=headers))[0] == 200
            search = f"DocumentReference?patient.identifier={patient.token}&status=current"
            status, body = await site.ask(search)
            assert status == 200
            url = re.search(rb'"url":"[^"]*?/fhir/(content/[^"]+)"', body)[1].decode()
            assert (await site.ask(url))[0] == 200
    assert {path for path, _ in site.seen} == {"/xds/registry", "/xds/repository"}
    assert len(site.seen) >= 3
    for _, message in site.seen:
        assert signed_by(envelope_of(message), certified.certificate)
        security = assertion_of(message).getparent()
        assert security.get(f"{{{NS['s']}}}mustUnderstand") == "1"
        assert len(security) == 1


async def test_the_assertion_says_what_the_token_says(tmp_path):
    certified, settings = await a_site(tmp_path)
    patient = a_patient()
    async with running_issuer() as issuer:
        settings["security"]["issuers"] = [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}]
        async with running_stack(tmp_path / "stack", home_community_id="2.999.5", **settings) as stack:
            site = Site(stack, issuer, certified)
            await site.ask(
                f"DocumentReference?patient.identifier={patient.token}&status=current",
                claims={"sub": "user-7", "extensions": USER, "exp": int(time.time()) + 120},
            )
    assertion = assertion_of(site.seen[-1][1])
    assert assertion.get("Version") == "2.0"
    assert assertion.findtext("saml:Issuer", None, NS) == "https://ncp.example/sts"
    assert [child.tag.partition("}")[2] for child in assertion] == [
        *("Issuer", "Signature", "Subject", "Conditions", "AuthnStatement", "AttributeStatement")
    ]
    assert assertion.findtext("saml:Subject/saml:NameID", None, NS) == "user-7"
    method = assertion.find("saml:Subject/saml:SubjectConfirmation", NS).get("Method")
    assert method == "urn:oasis:names:tc:SAML:2.0:cm:bearer"
    conditions = assertion.find("saml:Conditions", NS)
    assert conditions.get("NotBefore") == assertion.get("IssueInstant")
    audience = conditions.findtext("saml:AudienceRestriction/saml:Audience", None, NS)
    assert audience == "urn:oid:2.999.7"
    assert 0 < seconds(conditions.get("NotOnOrAfter")) - time.time() <= 120, "no longer than the token"
    said = attributes(assertion)
    assert said[f"{XSPA}subject-id"] == ['Dr. Öst <&> "A"']
    assert said[f"{XSPA}organization"] == ["Hospital A"]
    assert said[f"{XSPA}organization-id"] == ["urn:oid:2.999.40.3"]
    assert said[f"{XSPA}npi"] == ["NPI-1"]
    assert said["urn:ihe:iti:xca:2010:homeCommunityId"] == ["urn:oid:2.999.5"]
    assert said["urn:oasis:names:tc:xacml:2.0:resource:resource-id"] == [
        f"{patient.id}^^^&{patient.authority}&ISO"
    ]
    (role,) = said["urn:oasis:names:tc:xacml:2.0:subject:role"]
    assert role.tag == "{urn:hl7-org:v3}Role"
    assert dict(role.attrib) == {
        "{http://www.w3.org/2001/XMLSchema-instance}type": "hl7:CE",
        "code": "221",
        "codeSystem": "2.16.840.1.113883.2.9.6.2.7",
        "displayName": "Doctor",
    }
    assert role.nsmap["hl7"] == "urn:hl7-org:v3"
    (purpose,) = said[f"{XSPA}purposeofuse"]
    assert (purpose.tag, purpose.get("code")) == ("{urn:hl7-org:v3}PurposeOfUse", "TREAT")
    assert purpose.get("codeSystem") == "2.16.840.1.113883.5.8"


def seconds(text):
    return datetime.datetime.fromisoformat(text).timestamp()


async def test_without_a_user_the_service_speaks_for_itself(tmp_path):
    _, settings = await a_site(tmp_path, {"organization": "NCP", "subject": "svc@ncp"}, access="open")
    async with running_stack(tmp_path / "stack", **settings) as stack:
        seen = []

        async def look(request):
            seen.append(await copied(request))

        stack.interfere = look
        await stack.find(patient__identifier="urn:oid:2.999.1.1|1", status="current")
    assertion = assertion_of(seen[0])
    assert assertion.findtext("saml:Subject/saml:NameID", None, NS) == "svc@ncp"
    said = attributes(assertion)
    assert said[f"{XSPA}subject-id"] == ["Contact point"]
    assert said[f"{XSPA}organization"] == ["NCP"]
    assert said[f"{XSPA}purposeofuse"][0].get("code") == "TREAT"
    assert "urn:oasis:names:tc:xacml:2.0:subject:role" not in said


async def test_where_nothing_says_what_for_it_is_treatment(tmp_path):
    certified, settings = await a_site(tmp_path)
    settings["security"]["access"] = "open"
    del settings["security"]["assertions"]["issue"]["purposes"]
    async with running_stack(tmp_path / "stack", **settings) as stack:
        site = Site(stack, None, certified)
        assert await stack.find(patient__identifier=a_patient().token, status="current") == []
    (purpose,) = attributes(assertion_of(site.seen[0][1]))[f"{XSPA}purposeofuse"]
    assert (purpose.get("code"), purpose.get("codeSystem")) == ("TREAT", "2.16.840.1.113883.5.8")


async def test_peers_that_are_not_told_who_asks_get_no_assertion(tmp_path):
    _, settings = await a_site(tmp_path, peers={"assertion": "none"}, access="open")
    async with running_stack(tmp_path / "stack", **settings) as stack:
        seen = []

        async def look(request):
            seen.append(await copied(request))

        stack.interfere = look
        await stack.find(patient__identifier="urn:oid:2.999.1.1|1", status="current")
    assert b"Security" not in seen[0]


async def test_a_code_system_without_oid_fails_the_request_where_the_settings_say_so(tmp_path):
    certified, settings = await a_site(tmp_path, {"unmapped_codes": "refuse"})
    async with running_issuer() as issuer:
        settings["security"]["issuers"] = [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}]
        async with running_stack(tmp_path / "stack", **settings) as stack:
            site = Site(stack, issuer, certified)
            status, body = await site.ask(
                "DocumentReference?patient.identifier=urn:oid:2.999.1.1|1&status=current"
            )
    assert status >= 500
    assert b"terminology.code_systems" in body
    assert b"https://unmapped.example/codes" in body
    assert not site.seen


async def test_a_token_of_another_community_is_refused(tmp_path):
    certified, settings = await a_site(tmp_path)
    async with running_issuer() as issuer:
        settings["security"]["issuers"] = [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}]
        async with running_stack(tmp_path / "stack", home_community_id="2.999.5", **settings) as stack:
            site = Site(stack, issuer, certified)
            search = "DocumentReference?patient.identifier=urn:oid:2.999.1.1|1&status=current"
            foreign = {"extensions": {"ihe_iua": {"home_community_id": "urn:oid:2.999.6"}}}
            assert (await site.ask(search, claims=foreign))[0] == 403
            assert not site.seen
            own = {"extensions": {"ihe_iua": {"home_community_id": "urn:oid:2.999.5"}}}
            assert (await site.ask(search, claims=own))[0] == 200


async def test_a_new_key_signs_without_a_restart(tmp_path):
    old, settings = await a_site(tmp_path, access="open")
    async with running_stack(tmp_path / "stack", **settings) as stack:
        seen = []

        async def look(request):
            seen.append(await copied(request))

        stack.interfere = look

        async def find():
            await stack.find(patient__identifier="urn:oid:2.999.1.1|1", status="current")
            return envelope_of(seen[-1])

        assert signed_by(await find(), old.certificate)
        new = self_signed("sts")
        new.write(tmp_path, "sts")
        ends = time.monotonic() + 60
        while new_certificate_of(envelope := await find()) != new.certificate:
            assert time.monotonic() < ends
        assert signed_by(envelope, new.certificate)


def new_certificate_of(envelope):
    text = etree.fromstring(envelope).findtext(".//{http://www.w3.org/2000/09/xmldsig#}X509Certificate")
    return x509.load_der_x509_certificate(base64.b64decode(text))


@pytest.mark.parametrize("broken", ["other key", "no key", "no file", "short key", "password"])
async def test_a_key_that_cannot_sign_stops_the_start_with_a_line_that_names_the_setting(tmp_path, broken):
    _, settings = await a_site(tmp_path, access="open")
    key = tmp_path / "sts.key"
    if broken == "other key":
        self_signed("other").write(tmp_path / "other", "sts")
        key.write_bytes((tmp_path / "other" / "sts.key").read_bytes())
    elif broken == "no key":
        key.write_text("not a key")
    elif broken == "no file":
        key.unlink()
    elif broken == "short key":
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        short = rsa.generate_private_key(65537, 1024)
        key.write_bytes(short.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    else:
        key.write_bytes(self_signed().key_pem(b"secret"))
    full = Settings(
        state_dir=tmp_path / "gateway",
        registry={"url": "http://registry.example"},
        repositories=[{"unique_id": "2.999.1", "url": "http://repository.example"}],
        security=settings["security"],
    )
    with pytest.raises(StartError, match=r"^security\.assertions\.issue: ") as refused:
        async with open_parts(full):
            pass
    assert "secret" not in str(refused.value)


def test_peers_that_want_assertions_need_a_key(monkeypatch):
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    values = {
        "registry": {"url": "http://registry.example", "assertion": "issue"},
        "repositories": [{"unique_id": "2.999.1", "url": "http://repository.example"}],
    }
    with pytest.raises(SettingsError, match=r"registry\.assertion: issue needs the section"):
        load_settings(overrides=values)
