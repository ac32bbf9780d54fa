"""A token that is bound to a patient sees that patient and no other, on every way that leads to data."""

import json

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION
from tests.system.documents import a_document, a_patient
from tests.system.issuers import running_issuer
from tests.system.stack import beside, running_stack

FHIR_JSON = {"Content-Type": "application/fhir+json"}
PATIENT_SCOPE = "patient/*.cruds"
STUDY = 'multipart/related; type="application/dicom"; transfer-syntax=*'


class Bound:
    """A gateway, two patients with a document, a List and a study each, and tokens."""

    def __init__(self, stack, issuer, contents):
        self.stack = stack
        self.issuer = issuer
        self.mine, self.theirs = contents
        self.all = issuer.token(stack.base_url, "system/*.cruds")
        self.bound = issuer.token(stack.base_url, PATIENT_SCOPE, patient=self.mine.patient.token)

    def token(self, scope=PATIENT_SCOPE, **claims):
        return self.issuer.token(self.stack.base_url, scope, **claims)

    async def ask(self, path, token, method="GET", **more):
        """Status, headers and body."""
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        url = path if "://" in path else f"{self.stack.base_url}/{path}" if path else self.stack.base_url
        async with self.stack.session.request(method, url, headers=headers, **more) as answer:
            return answer.status, answer.headers, await answer.read()

    async def bundle(self, path, token=None):
        status, _, body = await self.ask(path, token or self.all)
        assert status == 200, body
        return json.loads(body)

    async def resources(self, path, token=None):
        found = await self.bundle(path, token)
        return [e["resource"] for e in found.get("entry", ()) if e["search"]["mode"] == "match"]

    async def publish(self, bundle, token):
        status, _, body = await self.ask(
            "", token, "POST", data=json.dumps(bundle).encode(), headers=FHIR_JSON
        )
        return status, body


async def addresses(site, content):
    """Every address that leads to something of a patient: what reads, and what retrieves."""
    token = content.patient.token
    documents = await site.resources(f"DocumentReference?patient.identifier={token}&status=current")
    (study,) = await site.resources(f"ImagingStudy?patient.identifier={token}")
    (submission_set, *_) = await site.resources(f"List?patient.identifier={token}&code=submissionset")
    endpoint = (
        study["endpoint"][0]["reference"]
        if "endpoint" in study
        else study["series"][0]["endpoint"][0]["reference"]
    )
    _, _, body = await site.ask(endpoint, site.all)
    images = f"{json.loads(body)['address']}/studies/{content.images.study_instance_uid}"
    uid = content.images.study_instance_uid
    return {
        "DocumentReference": f"DocumentReference/{documents[0]['id']}",
        "Binary": f"Binary/{documents[0]['id']}",
        "content": documents[0]["content"][0]["attachment"]["url"],
        "Patient": documents[0]["subject"]["reference"],
        "List": f"List/{submission_set['id']}",
        "ImagingStudy": f"ImagingStudy/{study['id']}",
        "Endpoint": endpoint,
        "wado": images,
        "wado metadata": f"{images}/metadata",
        "wado search": f"{images}/series",
        "dicomweb": f"dicomweb/studies/{uid}",
        "dicomweb search": f"dicomweb/studies?StudyInstanceUID={uid}",
    }


ADDRESSES = (
    *("DocumentReference", "Binary", "content", "Patient", "List", "ImagingStudy", "Endpoint"),
    *("wado", "wado metadata", "wado search", "dicomweb", "dicomweb search"),
)


def accept_of(name):
    if name in {"wado", "dicomweb"}:
        return {"Accept": STUDY}
    if name == "content":
        return {}
    return {
        "Accept": "application/dicom+json" if name.startswith(("wado", "dicom")) else "application/fhir+json"
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["forbidden", "not-found"])
async def site(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bound")
    contents = [sample_content(f"bound {request.param} {n}", a_patient().id) for n in (1, 2)]
    for content in contents:
        folders = content.images.write(folder / "images")
    images = {
        FIRST_LOCATION: (folders[FIRST_LOCATION], "rad-69"),
        SECOND_LOCATION: (folders[SECOND_LOCATION], "wado-rs"),
    }
    async with running_issuer() as issuer:
        security = {
            "access": "token",
            "other_patient": request.param,
            "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
        }
        async with running_stack(folder / "stack", images=images, security=security) as stack:
            site = Bound(stack, issuer, contents)
            site.others = 403 if request.param == "forbidden" else 404
            for content in contents:
                status, body = await site.publish(
                    provide_bundle([content.manifest, a_document()], patient=content.patient), site.all
                )
                assert status == 200, body
            site.addresses_of_mine = await addresses(site, contents[0])
            site.addresses_of_theirs = await addresses(site, contents[1])
            yield site


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("name", ADDRESSES)
async def test_what_is_of_the_patient_opens(site, name):
    status, _, body = await site.ask(site.addresses_of_mine[name], site.bound, headers=accept_of(name))
    assert status in {200, 206}, body


@pytest.mark.parametrize("name", ADDRESSES)
async def test_what_is_of_another_patient_does_not_open(site, name):
    address = site.addresses_of_theirs[name]
    open_status, _, _ = await site.ask(address, site.all, headers=accept_of(name))
    assert open_status in {200, 206}, "it is there for others"
    status, _, body = await site.ask(address, site.bound, headers=accept_of(name))
    assert status in ({403} if site.others == 403 else {403, 404}), body
    if name not in {"wado search", "dicomweb search"}:
        assert status == site.others, body
    assert site.theirs.patient.id.encode() not in body
    assert json.loads(body)["resourceType"] == "OperationOutcome"


async def test_a_head_of_another_patients_document_does_not_open(site):
    assert (await site.ask(site.addresses_of_theirs["content"], site.bound, "HEAD"))[0] == site.others
    etag = {"If-None-Match": f'"{"0" * 40}"'}
    assert (await site.ask(site.addresses_of_theirs["content"], site.bound, headers=etag))[0] == site.others


async def test_the_own_study_is_found_where_it_was_not_seen_and_no_other(site, tmp_path):
    """A gateway with an empty Redis asks the registry for the patient of the token."""
    async with beside(site.stack, tmp_path) as gateway:
        for content, expected in ((site.mine, 200), (site.theirs, 404)):
            url = f"{gateway.base_url}/dicomweb/studies/{content.images.study_instance_uid}"
            status, _, body = await site.ask(url, site.bound, headers={"Accept": STUDY})
            assert status == expected, body
        url = f"{gateway.base_url}/dicomweb/series?StudyInstanceUID={site.mine.images.study_instance_uid}"
        status, _, body = await site.ask(url, site.bound)
        assert (status, len(json.loads(body))) == (200, len(site.mine.images.series))


@pytest.mark.parametrize(
    "path",
    [
        "DocumentReference?patient.identifier={theirs}&status=current",
        "List?patient.identifier={theirs}",
        "?patient.identifier={theirs}",
        "Patient?identifier={theirs}",
        "ImagingStudy?patient.identifier={theirs}",
        "ServiceRequest?patient.identifier={theirs}",
        "dicomweb/studies?PatientID={id}&IssuerOfPatientID=2.999.1.1",
    ],
)
async def test_a_search_that_names_another_patient_is_403_and_asks_nobody(site, path):
    patient = site.theirs.patient
    calls = dict(site.stack.soap_calls)
    named = path.format(theirs=patient.token, id=patient.id)
    url = f"{site.stack.base_url}{named}" if named.startswith("?") else named
    status, _, body = await site.ask(url, site.bound)
    assert status == 403, body
    assert site.stack.soap_calls == calls


async def test_a_search_that_names_no_patient_finds_no_other(site):
    for kind in ("DocumentReference", "List"):
        logical_id = site.addresses_of_theirs[kind].rpartition("/")[2]
        status, _, body = await site.ask(f"{kind}?_id={logical_id}", site.bound)
        if site.others == 403:
            assert status == 403
        else:
            assert (status, json.loads(body)["total"]) == (200, 0)


async def test_a_page_link_of_another_client_shows_no_other_patient(site):
    patient = a_patient()
    status, body = await site.publish(
        provide_bundle([a_document() for _ in range(3)], patient=patient), site.all
    )
    assert status == 200, body
    page = await site.bundle(f"DocumentReference?patient.identifier={patient.token}&status=current&_count=1")
    following = next(link["url"] for link in page["link"] if link["relation"] == "next")
    assert (await site.ask(following, site.all))[0] == 200
    assert (await site.ask(following, site.bound))[0] == 403
    own = site.token(patient=patient.token)
    assert (await site.ask(following, own))[0] == 200
    assert (await site.ask(following, site.token("system/List.rs")))[0] == 403


async def test_a_bound_client_publishes_for_its_patient_alone(site):
    mine = provide_bundle([a_document()], patient=site.mine.patient)
    status, body = await site.publish(mine, site.bound)
    assert status == 200, body
    theirs = provide_bundle([a_document()], patient=site.theirs.patient)
    status, body = await site.publish(theirs, site.bound)
    assert status == 403, body
    status, body = await site.publish(theirs, site.all)
    assert status == 200, body
    status, body = await site.publish(theirs, site.bound)
    assert status == 403, "not even the answer that is kept of it"


async def test_the_patient_can_be_named_in_each_way(site):
    patient = site.mine.patient
    reference = site.addresses_of_mine["Patient"]
    for claim in (
        {"patient": patient.token},
        {"patient": f"{patient.id}^^^&{patient.authority}&ISO"},
        {"patient": reference},
        {"patient": reference.removeprefix("Patient/")},
        {"extensions": {"ihe_bppc": {"patient_id": f"{patient.id}^^^&{patient.authority}&ISO"}}},
    ):
        token = site.token(**claim)
        assert (await site.ask(site.addresses_of_mine["content"], token))[0] == 200, claim
        assert (await site.ask(site.addresses_of_theirs["content"], token))[0] == site.others, claim


async def test_a_consent_claim_binds_system_scopes_and_names_of_transactions_too(site):
    patient = site.mine.patient
    consent = {"ihe_bppc": {"patient_id": f"{patient.id}^^^&{patient.authority}&ISO"}}
    for scope in ("system/*.rs", "ITI-68"):
        token = site.token(scope, extensions=consent)
        assert (await site.ask(site.addresses_of_mine["content"], token))[0] == 200
        assert (await site.ask(site.addresses_of_theirs["content"], token))[0] == site.others


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"patient": ""},
        {"patient": 7},
        {"patient": "Patient/made-up"},
        {"patient": "https://unmapped.example|1"},
        {"patient": "^^^"},
        {"extensions": {"ihe_bppc": {"patient_id": ["1"]}}},
    ],
)
async def test_patient_scopes_without_a_patient_that_is_known_open_nothing(site, claims):
    status, _, body = await site.ask(site.addresses_of_mine["content"], site.token(**claims))
    assert status == 403, body


async def test_two_patients_in_one_token_open_nothing(site):
    theirs = site.theirs.patient
    consent = {"ihe_bppc": {"patient_id": f"{theirs.id}^^^&{theirs.authority}&ISO"}}
    token = site.token(patient=site.mine.patient.token, extensions=consent)
    for addresses_of in (site.addresses_of_mine, site.addresses_of_theirs):
        assert (await site.ask(addresses_of["content"], token))[0] == 403


async def test_a_match_gives_the_patient_of_the_token_and_no_other(site):
    url = f"{site.stack.base_url}/Patient/$match"
    found = {}
    for content in (site.mine, site.theirs):
        patient = {"resourceType": "Patient", "identifier": [content.patient.identifier]}
        for name, token in (("all", site.all), ("bound", site.bound)):
            status, _, body = await site.ask(url, token, "POST", json=patient, headers=FHIR_JSON)
            assert status == 200, body
            entries = json.loads(body).get("entry", ())
            ids = [e["resource"]["identifier"][0]["value"] for e in entries if e["search"]["mode"] == "match"]
            found[name, content.patient.id] = ids
    mine, theirs = site.mine.patient.id, site.theirs.patient.id
    assert found == {
        ("all", mine): [mine], ("all", theirs): [theirs], ("bound", mine): [mine], ("bound", theirs): [],
    }  # fmt: skip


async def test_a_search_by_name_finds_the_patient_of_the_token_alone(site):
    patient = site.mine.patient
    path = f"Patient?family={patient.family}&birthdate={patient.birth_date}"
    for token, expected in ((site.bound, {patient.id}), (site.all, {patient.id, site.theirs.patient.id})):
        ids = {p["identifier"][0]["value"] for p in await site.resources(path, token)}
        assert ids == expected
