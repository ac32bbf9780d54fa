"""Resources of reports with tokens that grant too little, or that are bound to another patient: nothing leaks."""

import json
from urllib.parse import quote

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.demo.samples import SamplePatient
from tests.system.documents import a_document, a_patient
from tests.system.issuers import running_issuer
from tests.system.reports import a_report, order_of, study_of
from tests.system.stack import running_stack
from tests.system.test_patient_bound_tokens import Bound

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = (
    *("DiagnosticReport", "Composition", "Observation", "Procedure", "ServiceRequest", "Condition", "Device"),
    *("Basic", "Provenance", "ImagingStudy", "Endpoint"),
)
PEOPLE = ("Practitioner", "PractitionerRole", "Organization")
CONTENT = ("Coronary", "Calcium", "valueQuantity")
EVERYTHING = "_include=*&_include:iterate=*&_revinclude=*&_revinclude:iterate=*"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["forbidden", "not-found"])
async def site(request, tmp_path_factory):
    contents = []
    for number, family in enumerate(("Eigen", "Geheimnis")):
        content = sample_content(f"report access {request.param} {number}", a_patient().id)
        patient = SamplePatient(content.patient.id, family, "Ada", "1975-04-12", "female", "Exampleton")
        contents.append((content, patient))
    async with running_issuer() as issuer:
        security = {
            "access": "token",
            "other_patient": request.param,
            "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
        }
        folder = tmp_path_factory.mktemp("access")
        async with running_stack(folder, security=security) as stack:
            stack.interfere = None
            site = Bound(stack, issuer, [content for content, _ in contents])
            site.others = 403 if request.param == "forbidden" else 404
            site.patients = [patient for _, patient in contents]
            for content, patient in contents:
                report = a_report("cardiac", patient, order_of(content), study_of(content.images))
                bundle = provide_bundle([content.manifest, report, a_document()], patient=patient)
                status, body = await site.publish(bundle, site.all)
                assert status == 200, body
            mine, site.theirs_found = [await everything(site, p) for p in site.patients]
            site.mine_found = mine
            site.bound = site.token(patient=site.patients[0].token)
            yield site


async def everything(site, patient):
    """One resource of each type, by type, with all that comes along."""
    found = {}
    for kind in KINDS:
        bundle = await site.bundle(f"{kind}?patient.identifier={quote(patient.token)}&{EVERYTHING}")
        for entry in bundle["entry"]:
            found.setdefault(entry["resource"]["resourceType"], entry["resource"])
    return found


def strangers(site, body):
    """What of another patient an answer names."""
    patient, images = site.patients[1], site.theirs.images
    named = (patient.family, patient.id, images.study_instance_uid, site.theirs_found["Patient"]["id"])
    return [word for word in named if word.encode() in body]


def leaks(site, body):
    """The same, and what a report says."""
    return [*strangers(site, body), *(word for word in CONTENT if word.encode() in body)]


# --- another patient ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [*KINDS, *PEOPLE, "Patient"])
async def test_a_read_of_another_patients_resource_shows_nothing(site, kind):
    theirs = f"{kind}/{site.theirs_found[kind]['id']}"
    assert (await site.ask(theirs, site.all))[0] == 200, "it is there for others"
    status, _, body = await site.ask(theirs, site.bound)
    assert status == site.others
    assert json.loads(body)["resourceType"] == "OperationOutcome"
    assert not leaks(site, body)
    mine = f"{kind}/{site.mine_found[kind]['id']}"
    assert (await site.ask(mine, site.bound))[0] == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_report_document_of_another_patient_is_not_given(site, method):
    path = f"DiagnosticReport/{site.theirs_found['DiagnosticReport']['id']}/$document"
    assert (await site.ask(path, site.all, method))[0] == 200
    status, _, body = await site.ask(path, site.bound, method)
    assert status == site.others
    assert not leaks(site, body)
    own = f"DiagnosticReport/{site.mine_found['DiagnosticReport']['id']}/$document"
    assert (await site.ask(own, site.bound, method))[0] == 200


async def test_neither_provenance_nor_meta_source_leads_to_the_document(site):
    provenance = site.theirs_found["Provenance"]
    document = provenance["entity"][0]["what"]["reference"]
    source = site.theirs_found["DiagnosticReport"]["meta"]["source"]
    for path in (document, source, document.replace("DocumentReference", "Binary")):
        status, _, body = await site.ask(path, site.bound)
        assert status == site.others, path
        assert not leaks(site, body)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_search_for_another_patient_is_403_and_asks_nobody(site, kind):
    token, reference = site.patients[1].token, f"Patient/{site.theirs_found['Patient']['id']}"
    for asked in (f"patient.identifier={quote(token)}", f"patient={reference}", f"subject={reference}"):
        calls = dict(site.stack.soap_calls)
        status, _, body = await site.ask(f"{kind}?{asked}", site.bound)
        assert (status, site.stack.soap_calls) == (403, calls)
        assert not leaks(site, body)
    status, _, body = await site.ask(
        f"{kind}/_search", site.bound, "POST", data={"patient.identifier": token}
    )
    assert status == 403


@pytest.mark.parametrize("kind", KINDS)
async def test_what_comes_along_is_of_the_patient_alone(site, kind):
    token = site.patients[0].token
    bundle = await site.bundle(f"{kind}?patient.identifier={quote(token)}&{EVERYTHING}", site.bound)
    assert bundle["entry"]
    assert not strangers(site, json.dumps(bundle).encode())


@pytest.mark.parametrize("kind", KINDS)
async def test_an_id_or_reference_of_another_patient_finds_nothing_in_a_search_of_ones_own(site, kind):
    mine, theirs = quote(site.patients[0].token), site.theirs_found[kind]
    asked = [f"_id={theirs['id']}"]
    if kind == "Provenance":
        asked.append(f"target=DiagnosticReport/{site.theirs_found['DiagnosticReport']['id']}")
    if kind == "DiagnosticReport":
        asked.append(f"study=ImagingStudy/{site.theirs_found['ImagingStudy']['id']}")
        asked.append(f"study.identifier={site.theirs.images.study_instance_uid}")
        asked.append(f"based-on.identifier={site.theirs.images.accession}")
    for one in asked:
        status, _, body = await site.ask(f"{kind}?patient.identifier={mine}&{one}", site.bound)
        assert status == 200, body
        assert json.loads(body)["total"] == (1 if "based-on" in one and same_number(site) else 0)
        # its link says again what was asked, and nothing else is in it
        assert {e["search"]["mode"] for e in json.loads(body).get("entry", ())} <= {"outcome"}
    status, _, body = await site.ask(f"{kind}?_id={theirs['id']}", site.bound)
    assert status == 400, "a clinical search names its patient"
    assert not leaks(site, body)


def same_number(site):
    return site.mine.images.accession == site.theirs.images.accession


async def test_names_do_not_lead_to_other_patients(site):
    for asked in ("family=Geheimnis", "name=geh&birthdate=1975-04-12", "birthdate=1975-04-12"):
        assert (await site.bundle(f"Patient?{asked}"))["total"] >= 1
        bundle = await site.bundle(f"Patient?{asked}", site.bound)
        assert not leaks(site, json.dumps(bundle).replace("family=Geheimnis", "").encode())
        found = [e["resource"]["name"][0]["family"] for e in bundle["entry"] if "name" in e["resource"]]
        assert set(found) <= {"Eigen"}


async def test_a_page_link_of_another_client_shows_nothing(site):
    token = quote(site.patients[1].token)
    page = await site.bundle(f"Observation?patient.identifier={token}&_count=1")
    following = next(link["url"] for link in page["link"] if link["relation"] == "next")
    assert (await site.ask(following, site.all))[0] == 200
    status, _, body = await site.ask(following, site.bound)
    assert status == 403
    assert not leaks(site, body)


async def test_ids_that_are_made_up_open_nothing(site):
    real = site.mine_found["DiagnosticReport"]["id"]
    swapped = real[:8] + site.theirs_found["DiagnosticReport"]["id"][8:]
    for name in (real[:-2], real[::-1], swapped, "x", "a" * 64):
        for kind in ("DiagnosticReport", "Observation", "Practitioner"):
            status, _, body = await site.ask(f"{kind}/{name}", site.bound)
            assert status in (403, 404), (kind, name)
            assert not leaks(site, body)


# --- scopes -------------------------------------------------------------------------------------------------
async def test_without_token_nothing_is_given(site):
    for path in (
        "DiagnosticReport",
        f"Observation/{site.mine_found['Observation']['id']}",
        "Patient?family=Eigen",
    ):
        url = f"{site.stack.base_url}/{path}"
        async with site.stack.session.get(url) as answer:
            assert answer.status == 401
            assert not leaks(site, await answer.read())


@pytest.mark.parametrize(
    ("scope", "path", "status"),
    [
        ("system/DiagnosticReport.rs", "DiagnosticReport?{mine}", 200),
        ("system/DiagnosticReport.r", "DiagnosticReport?{mine}", 403),
        ("system/DiagnosticReport.s", "DiagnosticReport/{id}", 403),
        ("system/DiagnosticReport.read", "DiagnosticReport/{id}", 200),
        ("system/DiagnosticReport.rs", "DiagnosticReport/{id}/$document", 403),
        ("system/DiagnosticReport.rs system/Binary.r", "DiagnosticReport/{id}/$document", 200),
        ("system/DiagnosticReport.rs", "Observation?{mine}", 403),
        ("system/DiagnosticReport.rs", "Composition?{mine}", 403),
        ("system/DiagnosticReport.rs", "DiagnosticReport?{mine}&_include=DiagnosticReport:study", 403),
        (
            "system/DiagnosticReport.rs system/ImagingStudy.r",
            "DiagnosticReport?{mine}&_include=DiagnosticReport:study",
            200,
        ),
        (
            "system/DiagnosticReport.rs system/ImagingStudy.r",
            "DiagnosticReport?{mine}&_include=DiagnosticReport:study&_include:iterate=ImagingStudy:basedon",
            403,
        ),
        ("system/DiagnosticReport.rs", "DiagnosticReport?{mine}&_revinclude=Provenance:target", 403),
        ("system/DiagnosticReport.rs", "DiagnosticReport?{mine}&_include=DiagnosticReport:patient", 403),
        ("system/DiagnosticReport.rs", "Patient?family=Eigen", 403),
        ("system/Patient.rs", "Patient?family=Eigen", 200),
        ("system/DocumentReference.rs", "DiagnosticReport?{mine}", 403),
        ("patient/DiagnosticReport.rs", "DiagnosticReport?{mine}", 200),
        ("patient/DiagnosticReport.rs", "DiagnosticReport?{theirs}", 403),
        ("patient/DiagnosticReport.rs", "Observation?{mine}", 403),
        ("patient/DiagnosticReport.rs", "Practitioner/{practitioner}", 403),
        ("patient/Practitioner.r", "Practitioner/{practitioner}", 200),
    ],
)
async def test_a_scope_gives_what_it_names(site, scope, path, status):
    named = path.format(
        mine=f"patient.identifier={quote(site.patients[0].token)}",
        theirs=f"patient.identifier={quote(site.patients[1].token)}",
        id=site.mine_found["DiagnosticReport"]["id"],
        practitioner=site.mine_found["Practitioner"]["id"],
    )
    claims = {"patient": site.patients[0].token} if scope.startswith("patient/") else {}
    got, _, body = await site.ask(named, site.token(scope, **claims))
    assert got == status, body
    if status == 403:
        assert json.loads(body)["resourceType"] == "OperationOutcome"
        assert not leaks(site, body)
        assert b"Eigen" not in body
