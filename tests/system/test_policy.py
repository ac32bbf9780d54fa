"""The policy of a site decides at each search, and again where a URL is opened."""

import asyncio
import json

import pytest
import pytest_asyncio
from lxml import etree

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION
from gateway.ebxml.imaging_retrieve import write_imaging_request
from gateway.ebxml.retrieve import read_retrieve_response, write_retrieve_request
from gateway.ebxml.stored_queries import write_query
from gateway.model import Cx, DocumentRequest, ImageRequest, ImageSetRequest
from gateway.model.errors import PeerFault
from gateway.model.query import FindDocuments
from gateway.model.transfer_syntaxes import ANY
from gateway.settings import Settings, SettingsError, load_settings
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from gateway.wiring.parts import StartError
from gateway.wiring.policy import policy_of
from tests.security import assertions
from tests.security.assertions import signed
from tests.system import site_policy
from tests.system.documents import a_document, a_patient
from tests.system.issuers import running_issuer
from tests.system.stack import REPOSITORY, running_stack
from tests.system.test_assertions_of_others import Service, security

RULES = """
default: permit
rules:
  - name: only the treating see what is restricted
    effect: deny
    when: {confidentiality: [R, V], action: [search, read, retrieve, images]}
    unless: {purpose: TREAT}
  - name: researchers do not open documents
    effect: deny
    when: {action: [retrieve, images], purpose: HRESCH}
  - name: an opted-out patient
    effect: deny
    when: {patient: "urn:oid:2.999.1.1|OPTED-OUT"}
  - name: guests do not publish
    effect: deny
    when: {action: publish, role: guest}
"""
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def claims(purpose=None, role=None):
    found = {}
    if purpose:
        system = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
        found["purpose_of_use"] = [{"system": system, "code": purpose}]
    if role:
        found["subject_role"] = [{"system": "urn:oid:2.999.9", "code": role}]
    return {"extensions": {"ihe_iua": found}}


class Site:
    def __init__(self, stack, issuer):
        self.stack, self.issuer = stack, issuer

    async def ask(self, path, method="GET", headers=None, body=None, **who):
        token = self.issuer.token(self.stack.base_url, "system/*.cruds", **claims(**who))
        url = path if "://" in path else f"{self.stack.base_url}/{path}" if path else self.stack.base_url
        known = {"Authorization": f"Bearer {token}", **(headers or {})}
        async with self.stack.session.request(method, url, headers=known, json=body) as answer:
            return answer.status, answer.headers, await answer.read()

    async def publish(self, patient, *labels, **who):
        """Documents with these confidentiality codes."""
        bundle = provide_bundle([a_document() for _ in labels], patient=patient)
        documents = [
            e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DocumentReference"
        ]
        for document, label in zip(documents, labels, strict=True):
            document["securityLabel"] = [{"coding": [{"system": CONFIDENTIALITY, "code": label}]}]
        headers = {"Content-Type": "application/fhir+json"}
        status, _, body = await self.ask("", "POST", headers, bundle, **who)
        return status, body

    async def search(self, patient, more="", **who):
        """What is found: URLs of documents by confidentiality code, and the Bundle."""
        path = f"DocumentReference?patient.identifier={patient.token}&status=current{more}"
        status, _, body = await self.ask(path, **who)
        assert status == 200, body
        found = json.loads(body)
        return {
            e["resource"]["securityLabel"][0]["coding"][0]["code"]: e["resource"]
            for e in found.get("entry", ())
        }, found


def url(reference):
    return reference["content"][0]["attachment"]["url"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy")
    rules = folder / "rules.yaml"
    rules.write_text(RULES)
    (folder / "idp.pem").write_bytes(assertions.SIGNER.pem)
    content = sample_content("policy images", a_patient().id)
    folders = content.images.write(folder / "images")
    images = {
        FIRST_LOCATION: (folders[FIRST_LOCATION], "rad-69"),
        SECOND_LOCATION: (folders[SECOND_LOCATION], "wado-rs"),
    }
    async with running_issuer() as issuer:
        accept = {
            "audiences": [assertions.AUDIENCE],
            "issuers": [{"issuer": assertions.ISSUER, "certificates_file": str(folder / "idp.pem")}],
            "optional_at": ["/xca/gateway"],
        }
        async with running_stack(
            folder / "stack",
            images=images,
            home_community_id="2.999.5",
            responding_gateway={"enabled": True},
            security={
                "access": "token",
                "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
                "assertions": {"accept": accept},
                "policy": {"rules_file": str(rules)},
            },
        ) as stack:
            site = Site(stack, issuer)
            site.content = content
            yield site


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_search_leaves_out_what_is_denied(site):
    patient = a_patient()
    assert (await site.publish(patient, "N", "R"))[0] == 200
    treating, whole = await site.search(patient, purpose="TREAT")
    assert set(treating) == {"N", "R"}
    others, part = await site.search(patient)
    assert set(others) == {"N"}
    assert (whole["total"], part["total"]) == (2, 1)


async def test_a_url_that_one_client_was_given_does_not_open_for_another(site):
    patient = a_patient()
    await site.publish(patient, "N", "R")
    found, _ = await site.search(patient, purpose="TREAT")
    for method in ("GET", "HEAD"):
        assert (await site.ask(url(found["R"]), method, purpose="TREAT"))[0] == 200
        assert (await site.ask(url(found["R"]), method))[0] == 403
        assert (await site.ask(url(found["N"]), method))[0] == 200
    for path in (f"DocumentReference/{found['R']['id']}", f"Binary/{found['R']['id']}"):
        assert (await site.ask(path, purpose="TREAT"))[0] == 200
        status, _, body = await site.ask(path)
        assert (status, json.loads(body)["issue"][0]["code"]) == (403, "forbidden")
    etag = {"If-None-Match": "*"}
    assert (await site.ask(url(found["R"]), headers=etag))[0] == 403


async def test_a_page_link_of_another_client_shows_what_its_user_may_see(site):
    patient = a_patient()
    await site.publish(patient, "R", "R", "N")
    _, first = await site.search(patient, "&_count=1", purpose="TREAT")
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    seen = []
    while following:
        status, _, body = await site.ask(following)
        assert status == 200, body
        page = json.loads(body)
        seen += [e["resource"]["securityLabel"][0]["coding"][0]["code"] for e in page.get("entry", ())]
        following = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    assert "R" not in seen


async def test_what_may_be_found_need_not_be_opened(site):
    patient = a_patient()
    await site.publish(patient, "N")
    found, _ = await site.search(patient, purpose="HRESCH")
    assert set(found) == {"N"}
    assert (await site.ask(url(found["N"]), purpose="HRESCH"))[0] == 403
    assert (await site.ask(url(found["N"]), purpose="TREAT"))[0] == 200


async def test_images_open_as_their_manifest_does(site):
    content = site.content
    headers = {"Content-Type": "application/fhir+json"}
    bundle = provide_bundle([content.manifest], patient=content.patient)
    assert (await site.ask("", "POST", headers, bundle, purpose="TREAT"))[0] == 200
    uid = content.images.study_instance_uid
    path = f"ImagingStudy?patient.identifier={content.patient.token}&_include=ImagingStudy:endpoint"
    _, _, body = await site.ask(path, purpose="HRESCH")
    resources = [e["resource"] for e in json.loads(body)["entry"]]
    base = next(r["address"] for r in resources if r["resourceType"] == "Endpoint")
    accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    for address in (f"{base}/studies/{uid}", f"dicomweb/studies/{uid}"):
        assert (await site.ask(address, headers=accept, purpose="TREAT"))[0] in {200, 206}
        status, _, body = await site.ask(address, headers=accept, purpose="HRESCH")
        assert status == 403, body


async def test_other_communities_get_images_as_their_manifest_opens(site):
    series = site.content.images.series[0]
    image = ImageRequest(
        series.location_uid,
        site.content.images.study_instance_uid,
        series.series_instance_uid,
        series.images[0].sop_instance_uid,
        "urn:oid:2.999.5",
    )
    request = write_imaging_request(ImageSetRequest((image,), ANY))
    peer = Peer("gateway", site.stack.base_url.removesuffix("/fhir") + "/xca-i/imaging", max_attempts=1)
    async with SoapClient(load_contract()) as soap:
        for purpose, given in (("TREAT", True), ("HRESCH", False)):
            header = security(signed(attributes=[purpose_of_use(purpose)])).encode()
            try:
                answer = await soap.call(peer, "RAD-75", request, header_blocks=[header])
            except PeerFault:
                assert not given
            else:
                assert bool(read_retrieve_response(answer).documents) is given


async def test_images_at_a_location_need_a_manifest_that_was_seen_where_a_policy_decides(tmp_path):
    content = sample_content("policy unseen", a_patient().id)
    folders = content.images.write(tmp_path / "images")
    series = next(s for s in content.images.series if s.location_uid == SECOND_LOCATION)
    path = (
        f"wado/homeCommunityId/2.999.5/RetrieveLocationUID/{SECOND_LOCATION}/studies/"
        f"{content.images.study_instance_uid}/series/{series.series_instance_uid}/instances/"
        f"{series.images[0].sop_instance_uid}"
    )
    (tmp_path / "rules.yaml").write_text("default: permit")
    accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    async with running_issuer() as issuer:
        security = {
            "access": "token",
            "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
        }
        policy = {"policy": {"rules_file": str(tmp_path / "rules.yaml")}}
        for more, status in (({}, 200), (policy, 404)):
            async with running_stack(
                tmp_path / str(status),
                images={SECOND_LOCATION: (folders[SECOND_LOCATION], "wado-rs")},
                home_community_id="2.999.5",
                responding_gateway={"enabled": True},
                security={**security, **more},
            ) as stack:
                assert (await Site(stack, issuer).ask(path, headers=accept))[0] == status


async def test_an_opted_out_patient_is_there_for_nobody(site):
    patient = a_patient()
    opted = type(patient)("OPTED-OUT", *[getattr(patient, n) for n in list(patient.__dataclass_fields__)[1:]])
    status, body = await site.publish(opted, "N", purpose="TREAT")
    assert status == 403, body
    found, _ = await site.search(opted, purpose="TREAT")
    assert not found


async def test_who_may_not_publish_stores_nothing(site):
    patient = a_patient()
    calls = dict(site.stack.soap_calls)
    status, body = await site.publish(patient, "N", role="guest")
    assert status == 403, body
    assert site.stack.soap_calls.get("/xds/repository") == calls.get("/xds/repository")
    assert (await site.publish(patient, "N", role="doctor"))[0] == 200


async def test_other_communities_get_what_the_policy_permits(site):
    patient = a_patient()
    await site.publish(patient, "N", "R")
    found, _ = await site.search(patient, purpose="TREAT")
    unique_ids = {code: next(i["value"] for i in [r["masterIdentifier"]])[8:] for code, r in found.items()}
    service = Service(site.stack)
    query = write_query(FindDocuments(patient_id=Cx(patient.id, patient.authority)), "LeafClass")
    purpose = purpose_of_use("TREAT")
    treating, unknown = security(signed(attributes=[purpose])), ""
    for header, codes in ((treating, {"N", "R"}), (security(signed()), {"N"}), (unknown, {"N"})):
        _, envelope, _ = await service.ask(header, body=query)
        text = etree_text(envelope.body)
        assert {code for code, uid in unique_ids.items() if uid in text} == codes
        for code, uid in unique_ids.items():
            request = write_retrieve_request([DocumentRequest(REPOSITORY, uid, "urn:oid:2.999.5")])
            _, envelope, _ = await service.ask(header, action="CrossGatewayRetrieve", body=request)
            given = "XDSDocumentUniqueIdError" not in etree_text(envelope.body)
            assert given is (code in codes), (code, header[:40])


def purpose_of_use(code):
    """The attribute of an assertion."""
    coded = f"code='{code}' codeSystem='2.16.840.1.113883.5.8'"
    value = f"<h:PurposeOfUse xmlns:h='urn:hl7-org:v3' {coded}/>"
    return "urn:oasis:names:tc:xspa:1.0:subject:purposeofuse", value


def etree_text(element):
    return etree.tostring(element).decode()


async def test_rules_are_read_again_when_they_change(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("default: permit")
    async with running_issuer() as issuer:
        settings = {
            "access": "token",
            "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
            "policy": {"rules_file": str(rules)},
        }
        async with running_stack(tmp_path / "stack", security=settings) as stack:
            site, patient = Site(stack, issuer), a_patient()
            await site.publish(patient, "N")
            found, _ = await site.search(patient)
            assert (await site.ask(url(found["N"])))[0] == 200
            rules.write_text("default: deny")
            async with asyncio.timeout(60):
                while (await site.ask(url(found["N"])))[0] != 403:
                    await asyncio.sleep(0.1)
            rules.write_text("default: nonsense")
            await asyncio.sleep(1.2)
            assert (await site.ask(url(found["N"])))[0] == 403, "rules that cannot be read change nothing"


async def test_a_policy_of_the_site_decides_and_its_failure_denies(tmp_path):
    async with running_issuer() as issuer:
        for failing in (False, True):
            settings = {
                "access": "token",
                "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
                "policy": {
                    "hook": "tests.system.site_policy:make",
                    "options": {"client": "client-1", "failing": failing},
                },
            }
            async with running_stack(tmp_path / str(failing), security=settings) as stack:
                site, patient = Site(stack, issuer), a_patient()
                status, body = await site.publish(patient, "N")
                if failing:
                    assert status == 503, body
                    assert b"secret" not in body
                    continue
                assert status == 200
                assert (await site.search(patient))[0]
                token = issuer.token(stack.base_url, "system/*.cruds", client_id="client-2")
                query = (
                    f"{stack.base_url}/DocumentReference?patient.identifier={patient.token}&status=current"
                )
                async with stack.session.get(query, headers={"Authorization": f"Bearer {token}"}) as answer:
                    assert (await answer.json(content_type=None))["total"] == 0
    assert ("publish", 2) in site_policy.ASKED
    assert ("search", 1) in site_policy.ASKED


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        ({"rules_file": "/nowhere.yaml"}, "security.policy.rules_file: /nowhere.yaml: No such file"),
        (
            {"hook": "tests.system.site_policy:nobody"},
            "security.policy.hook: tests.system.site_policy:nobody: ",
        ),
        ({"hook": "no.such.module:make"}, "security.policy.hook: no.such.module:make: ModuleNotFoundError"),
        ({"hook": "unknown"}, "security.policy.hook: unknown: is no entry point of mhd_xds_gateway.policies"),
        (
            {"hook": "tests.system.site_policy:make"},
            "security.policy.hook: tests.system.site_policy:make: fails",
        ),
        (
            {"hook": "tests.system.site_policy:not_a_policy"},
            "security.policy.hook: tests.system.site_policy:not_a_policy: makes no policy",
        ),
    ],
)
async def test_a_policy_that_cannot_be_had_stops_the_start(policy, line):
    settings = Settings(
        registry={"url": "http://registry.example"},
        repositories=[{"unique_id": "2.999.1", "url": "http://repository.example"}],
        security={
            "access": "token",
            "issuers": [{"issuer": "a", "jwks_url": "http://issuer.example"}],
            "policy": policy,
        },
    )
    with pytest.raises(StartError) as refused:
        policy_of(settings)
    assert str(refused.value).startswith(line)


async def test_a_policy_needs_somebody_who_asks(monkeypatch):
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    values = {
        "registry": {"url": "http://registry.example"},
        "repositories": [{"unique_id": "2.999.1", "url": "http://repository.example"}],
        "security": {"access": "open", "policy": {"rules_file": "rules.yaml"}},
    }
    with pytest.raises(SettingsError, match="policy: decides about who asks"):
        load_settings(overrides=values)
