"""Addresses that clients, peers and documents name lead the gateway nowhere (SSRF): each of them points at a trap
here, and nobody knocks there. What is followed where the settings say so is in the tests of its own subject."""

import asyncio
import dataclasses
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web
from msgspec.structs import replace

from gateway.clients.fhir_access import BackendServices, NoAccess
from gateway.clients.token_request import ClientKey
from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import CLASS_CODES_BY_TYPE, DOCUMENT_DEFAULTS
from gateway.dicom.kos_writer import write_kos
from gateway.fhir.manifest_bundle import ManifestContext, manifest_bundle_bytes
from gateway.fhir.terminology import Terminology
from gateway.model import Code, Cx, imaging_codes
from gateway.model.imaging import (
    Instance,
    LocalTime,
    Manifest,
    RetrieveLocation,
    RetrieveLocationUid,
    Series,
    Study,
)
from gateway.security.sealing import KeyRing
from gateway.security.study_urls import StudyKey, StudyTokens
from tests.dicom.files import CT, image_file
from tests.imaging.archives import Archive
from tests.security.assertions import DS, as_token, signed
from tests.soap.wire import envelope
from tests.system.documents import a_document, a_patient
from tests.system.imaging import matches
from tests.system.issuers import running_issuer
from tests.system.manifests import FHIR_FORMAT, FHIR_JSON, KOS_FORMAT, manifest_document
from tests.system.stack import REPOSITORY, running_stack, site
from tests.system.test_assertions_of_others import security
from tests.system.test_assertions_passed_on import settings as with_assertions

STUDY, SERIES, MANIFEST = "2.999.51", "2.999.51.1", "2.999.52.1"
SOP = f"{SERIES}.1"
ANY = 'multipart/related; type="application/dicom"; transfer-syntax=*'


class Trap:
    """A port that notes who connects."""

    def __init__(self):
        self.knocks = []
        self.host = ""

    async def answer(self, reader, writer):
        self.knocks.append((await reader.read(200))[:200])
        writer.close()

    def url(self, path=""):
        return f"http://{self.host}/{path}"


@asynccontextmanager
async def a_trap():
    trap = Trap()
    server = await asyncio.start_server(trap.answer, "127.0.0.1", 0)
    trap.host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield trap
    finally:
        server.close()
    assert trap.knocks == []


# --- what is published --------------------------------------------------------------------------------------
async def test_no_address_in_a_resource_is_called(tmp_path):
    async with a_trap() as trap, running_stack(tmp_path) as stack:
        bundle = provide_bundle([a_document()], patient=a_patient())
        for entry in bundle["entry"]:
            resource = entry["resource"]
            resource["meta"] = {
                **resource.get("meta", {}),
                "profile": [*resource.get("meta", {}).get("profile", []), trap.url("StructureDefinition/x")],
                "source": trap.url("source"),
            }
            if resource["resourceType"] == "DocumentReference":
                resource["extension"] = [{"url": trap.url("extension"), "valueUri": trap.url("value")}]
                resource["type"]["coding"].append({"system": trap.url("CodeSystem/x"), "code": "x"})
        status, outcome = await stack.publish(bundle)
        assert status in {200, 400, 422}, outcome
        for change in (
            lambda d: d["content"][0]["attachment"].update(url=trap.url("document")),
            lambda d: d.update(subject={"reference": trap.url("fhir/Patient/1")}),
            lambda d: d.update(author=[{"reference": trap.url("fhir/Practitioner/1")}]),
            lambda d: d.update(
                relatesTo=[{"code": "appends", "target": {"reference": trap.url("fhir/DocumentReference/1")}}]
            ),
            lambda d: d["content"][0].update(format={"system": trap.url("x"), "code": "x"}),
        ):
            bundle = provide_bundle([a_document()], patient=a_patient())
            change(bundle["entry"][1]["resource"])
            status, outcome = await stack.publish(bundle)
            assert status in {200, 400, 422}, outcome


def a_manifest(url):
    series = Series(
        SERIES,
        modality=Code("CT", imaging_codes.DCM, "Computed Tomography"),
        number="1",
        locations=(RetrieveLocation(RetrieveLocationUid("2.999.53"), url),),
        instances=(Instance(SOP, CT, "1"),),
    )
    study = Study(
        STUDY, modalities=(series.modality,), started=LocalTime("20260310", "080000"), series=(series,)
    )
    return Manifest(sop_instance_uid=MANIFEST, series_instance_uid="2.999.52", study=study)


def as_kos(manifest):
    return manifest_document(write_kos(manifest), MANIFEST, format=KOS_FORMAT)


def as_fhir(manifest):
    content = manifest_bundle_bytes(
        manifest, ManifestContext(Terminology(), datetime(2026, 3, 10, 8, tzinfo=UTC))
    )
    return manifest_document(content, MANIFEST, content_type=FHIR_JSON, format=FHIR_FORMAT)


async def address_of(stack, patient, document):
    """Where the images of a manifest would be, whether or not clients are told."""
    (found,) = await stack.find(
        patient__identifier=patient.token, status="current", contenttype=document.content_type
    )
    key = StudyKey(
        study_instance_uid=STUDY,
        repository_unique_id=REPOSITORY,
        document_unique_id=document.unique_id,
        entry_uuid=f"urn:uuid:{found['id']}",
        patient_id=Cx(patient.id, patient.authority),
        mime_type=document.content_type,
    )
    token = StudyTokens(KeyRing.load_or_create(stack.settings.state_dir / "keys")).write(key)
    return f"{stack.base_url}/wado/{token}/studies/{STUDY}"


@pytest.mark.parametrize("write", [as_kos, as_fhir], ids=["KOS", "FHIR"])
@pytest.mark.parametrize("listed", [True, False])
async def test_a_retrieve_url_leads_to_listed_hosts_alone(tmp_path, write, listed):
    content = image_file(STUDY, SERIES, SOP)
    archive = Archive({(STUDY, SERIES, SOP): content})
    async with archive.serve() as url, a_trap() as trap:
        host = url.removeprefix("http://").partition("/")[0]
        imaging = {"locations": [], "retrieve_url_hosts": [host] if listed else ["elsewhere.example"]}
        publish = {"defaults": DOCUMENT_DEFAULTS, "class_codes": CLASS_CODES_BY_TYPE}
        async with running_stack(tmp_path, imaging=imaging, publish=publish) as stack:
            for address in (url, trap.url("dicomweb")):
                patient = a_patient()
                unique = f"{MANIFEST}.{len(archive.requests)}.{address is url:d}"
                document = write(replace(a_manifest(address), sop_instance_uid=unique))
                document = dataclasses.replace(document, unique_id=unique)
                status, answer = await stack.publish(provide_bundle([document], patient=patient))
                assert status == 200, answer
                status, bundle = await stack.get(
                    "ImagingStudy",
                    **{"patient.identifier": patient.token, "_include": "ImagingStudy:endpoint"},
                )
                assert status == 200
                opened = listed and address is url
                shown = {
                    e["address"]
                    for e in matches(bundle, "include")
                    if e["resourceType"] == "Endpoint" and e["connectionType"]["code"] == "dicom-wado-rs"
                }
                # clients are given no address of others, and one of ours where images can be had
                assert all(each.startswith(stack.base_url) for each in shown) == opened, shown
                assert not any(each.startswith((url, trap.url())) for each in shown)
                async with stack.session.get(
                    await address_of(stack, patient, document), headers={"Accept": ANY}
                ) as images:
                    body = await images.read()
                opened = listed and address is url
                assert (images.status == 200, content in body) == (opened, opened), body[:300]
    assert bool(archive.requests) == listed


# --- headers of SOAP and of tokens --------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["ReplyTo", "FaultTo", "From", "To"])
async def test_no_address_in_a_soap_header_is_called(tmp_path, name):
    async with (
        a_trap() as trap,
        running_stack(
            tmp_path,
            home_community_id="2.999.5",
            responding_gateway={"enabled": True},
            xds_server={"enabled": True},
        ) as stack,
    ):
        for path, action in (
            ("/xca/gateway", "urn:ihe:iti:2007:CrossGatewayQuery"),
            ("/xca-i/imaging", "urn:ihe:rad:2011:CrossGatewayRetrieveImagingDocumentSet"),
            ("/xds/registry", "urn:ihe:iti:2007:RegistryStoredQuery"),
        ):
            address = trap.url() if name == "To" else f"<wsa:Address>{trap.url()}</wsa:Address>"
            # FaultTo is where a fault would go, which this is
            message = envelope(
                "<a/>",
                headers=f"<wsa:Action>{action}</wsa:Action><wsa:MessageID>urn:uuid:1</wsa:MessageID>"
                f"<wsa:{name}>{address}</wsa:{name}>",
            )
            async with stack.session.post(
                stack.base_url.removesuffix("/fhir") + path,
                data=message,
                headers={"Content-Type": "application/soap+xml"},
            ) as answer:
                assert answer.status >= 400


async def test_no_address_in_a_token_is_called(tmp_path):
    async with (
        a_trap() as trap,
        running_issuer() as issuer,
        running_stack(
            tmp_path,
            security={
                "access": "token",
                "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
            },
        ) as stack,
    ):
        claims = issuer.claims(stack.base_url, "system/*.rs")
        tokens = [
            issuer.signed(claims, jku=trap.url("jwks")),
            issuer.signed(claims, x5u=trap.url("chain.pem")),
            issuer.signed(claims, kid=trap.url("key")),
            issuer.signed({**claims, "iss": trap.url().rstrip("/")}),
            issuer.signed({**claims, "sub": trap.url(), "jti": trap.url()}),
        ]
        for token in tokens:
            headers = {"Authorization": f"Bearer {token}"}
            async with stack.session.get(f"{stack.base_url}/List", headers=headers) as answer:
                assert answer.status in {400, 401}


async def test_no_address_in_an_assertion_is_called(tmp_path):
    _, wanted = with_assertions(tmp_path, "none")
    async with a_trap() as trap, running_stack(tmp_path / "stack", **wanted) as stack:
        retrieval = f"<ds:KeyInfo xmlns:ds='{DS}'><ds:RetrievalMethod URI='{trap.url('key')}'/></ds:KeyInfo>"
        for made in (
            signed(uri=trap.url("assertion")),
            signed(show=False, more=retrieval),
            signed(transforms=(trap.url("transform"),)),
        ):
            async with stack.session.get(
                f"{stack.base_url}/List", headers={"Authorization": f"Bearer {as_token(made)}"}
            ) as answer:
                assert answer.status in {400, 401}
            message = envelope("<a/>", headers=security(made))
            async with stack.session.post(
                stack.base_url.replace("/fhir", "/xca/gateway"),
                data=message,
                headers={"Content-Type": "application/soap+xml"},
            ) as answer:
                assert answer.status >= 400


# --- redirects, and what servers say of themselves ------------------------------------------------------------
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_issuers_cannot_send_the_gateway_elsewhere(tmp_path, status):
    async def elsewhere(request):
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": trap.url(request.path)})

    asked = []
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", elsewhere)
    (tmp_path / "secret").write_text("gateway-secret")
    async with a_trap() as trap, site(app) as url, running_issuer() as issuer:
        issuers = [
            {"issuer": url, "jwks_url": f"{url}/jwks"},
            {
                "issuer": "urn:opaque",
                "introspection": {"url": f"{url}/introspect", "token_file": str(tmp_path / "secret")},
            },
        ]
        async with running_stack(
            tmp_path / "stack", security={"access": "token", "issuers": issuers}
        ) as stack:
            claims = {**issuer.claims(stack.base_url, "system/*.rs"), "iss": url}
            for token in (issuer.signed(claims), "opaque-token"):
                headers = {"Authorization": f"Bearer {token}"}
                async with stack.session.get(f"{stack.base_url}/List", headers=headers) as answer:
                    assert answer.status == 503, "whether it is good cannot be told"
    assert asked == ["/jwks", "/introspect"]


@pytest.mark.parametrize("how", ["named", "redirect", "token redirect"])
async def test_an_mhd_server_cannot_send_the_assertion_for_a_token_elsewhere(how):
    async def configuration(request):
        if how == "redirect":
            raise web.HTTPTemporaryRedirect(trap.url("configuration"))
        endpoint = trap.url("token") if how == "named" else f"http://{request.host}/token"
        return web.json_response({"token_endpoint": endpoint})

    async def token(_):
        raise web.HTTPTemporaryRedirect(trap.url("token"))

    app = web.Application()
    app.router.add_get("/fhir/.well-known/smart-configuration", configuration)
    app.router.add_post("/token", token)
    key, _ = ClientKey.made()
    async with a_trap() as trap, site(app) as url:
        access = BackendServices(
            f"{url}/fhir", "front", key, "system/*.rs", allows=lambda endpoint: endpoint.startswith(url)
        )
        with pytest.raises(NoAccess):
            await access.header()


async def test_the_token_of_a_client_goes_to_no_peer(tmp_path):
    """What clients show, cookies included, is for this server alone (IUA 3.72; no third host)."""
    seen = []
    async with (
        running_issuer() as issuer,
        running_stack(
            tmp_path,
            security={
                "access": "token",
                "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
            },
        ) as stack,
    ):

        async def look(request):
            seen.append(dict(request.headers))

        stack.interfere = look
        token = issuer.token(stack.base_url, "system/*.cruds")
        headers = {"Authorization": f"Bearer {token}", "Cookie": "session=MARK", "X-Own": "MARK"}
        patient = a_patient()
        body = provide_bundle([a_document()], patient=patient)
        with_type = {**headers, "Content-Type": "application/fhir+json"}
        async with stack.session.post(stack.base_url, json=body, headers=with_type) as answer:
            assert answer.status == 200
        url = f"{stack.base_url}/DocumentReference?patient.identifier={patient.token}&status=current"
        async with stack.session.get(url, headers=headers) as answer:
            found = json.loads(await answer.read())
        address = found["entry"][0]["resource"]["content"][0]["attachment"]["url"]
        async with stack.session.get(address, headers=headers) as answer:
            assert answer.status == 200
    assert len(seen) >= 3
    for each in seen:
        assert not {"authorization", "cookie", "x-own"} & {name.lower() for name in each}
        assert "MARK" not in str(each) and token not in str(each)
