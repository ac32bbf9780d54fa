"""FHIR R4 and R5 side by side: three bases over the same documents, each in its own words."""

import json

import pytest
import pytest_asyncio
from fhir.resources import get_fhir_model_class

from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import RADIOLOGY, SampleFolder
from gateway.fhir.document_reference_read import read_document_reference
from gateway.fhir.versions import from_r5, to_r5
from gateway.fhir.xml_reader import read_xml
from gateway.fhir.xml_writer import write_xml
from gateway.model import codes
from gateway.model.releases import FhirRelease
from tests.fhir.contexts import read_context
from tests.system.documents import a_document, a_patient

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON, XML = "application/fhir+json", "application/fhir+xml"


async def ask(stack, method, path, body=None, **headers):
    """Status, headers and body; `path` is below the base that all releases share."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = path if path.startswith("http") else f"{stack.base_url}{path}"
    async with stack.session.request(method, url, data=body, headers=named) as answer:
        return answer.status, answer.headers, await answer.read()


async def resource(stack, path, **headers):
    """The resource at a path."""
    status, _, body = await ask(stack, "GET", path, **headers)
    assert status == 200, body
    return json.loads(body)


async def found(stack, path):
    """The matches of a search."""
    bundle = await resource(stack, path)
    return [e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(stack):
    """A patient with three documents that were published in R4."""
    patient = a_patient()
    documents = [a_document(title=f"Number {n}", content=b"x" * (n + 1)) for n in range(3)]
    bundle = provide_bundle(documents, patient=patient)
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    return bundle


def patient_of(bundle):
    """The identifier search of the patient of a Bundle."""
    (subject,) = {
        json.dumps(e["resource"]["subject"])
        for e in bundle["entry"]
        if e["resource"]["resourceType"] == "DocumentReference"
    }
    identifier = json.loads(subject)["identifier"]
    return f"patient.identifier={identifier['system']}%7C{identifier['value']}&status=current"


@pytest.mark.parametrize(("path", "version"), [("/R4", "4.0.1"), ("/R5", "5.0.0"), ("", "4.0.1")])
async def test_every_base_states_its_own_release(stack, path, version):
    statement = await resource(stack, f"{path}/metadata")
    assert statement["fhirVersion"] == version
    assert [rest["mode"] for rest in statement["rest"]] == ["server"]
    assert statement["implementation"]["url"] == stack.base_url + path


async def test_r5_claims_mhd_with_its_version_and_says_that_it_is_not_the_recommended_one(stack):
    statement = await resource(stack, "/R5/metadata")
    get_fhir_model_class("CapabilityStatement").model_validate(statement)
    of_mhd = [c for c in statement["instantiates"] if c.startswith(codes.MHD)]
    assert of_mhd and all(c.endswith("|5.1.0") for c in of_mhd)
    assert "the version that IHE recommends is 4.2.4" in statement["description"]
    assert "MADO" not in json.dumps(statement)


async def test_versions_names_the_releases_in_json_and_xml(stack):
    expected = [("version", "4.0"), ("version", "5.0"), ("default", "4.0")]
    in_r4 = await resource(stack, "/$versions", Accept="application/json")
    assert [(p["name"], p["valueString"]) for p in in_r4["parameter"]] == expected
    _, _, body = await ask(stack, "GET", "/$versions", Accept="application/xml; fhirVersion=5.0")
    in_r5 = read_xml(body, FhirRelease.R5)
    assert [(p["name"], p["valueCode"]) for p in in_r5["parameter"]] == expected


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/R4", f"{JSON}; fhirVersion=5.0", 406),
        ("/R5", f"{JSON}; fhirVersion=4.0", 406),
        ("/R4", f"{JSON}; fhirVersion=4.0.1", 200),
        ("/R5", JSON, 200),
        ("/R5", f"{JSON}; fhirVersion=5.0.0", 200),
        ("", f"{JSON}; fhirVersion=5.0", 200),
        ("", f"{JSON}; fhirVersion=3.0", 406),
        ("", f"{JSON}; fhirVersion=4.0; q=0.2, {JSON}; fhirVersion=5.0; q=0.1", 200),
    ],
)
async def test_a_base_answers_only_in_its_release(stack, path, accept, status):
    found_status, headers, body = await ask(stack, "GET", f"{path}/metadata", Accept=accept)
    assert found_status == status
    if status == 406:
        assert json.loads(body)["resourceType"] == "OperationOutcome"
    in_r5 = path == "/R5" or (path == "" and "=5" in accept and "=4" not in accept)
    assert ("fhirVersion=5.0" in headers["Content-Type"]) == in_r5


@pytest.mark.parametrize(("path", "version"), [("/R4", "5.0"), ("/R5", "4.0")])
async def test_a_body_of_another_release_is_refused(stack, path, version):
    status, _, body = await ask(stack, "POST", path, b"{}", Content_Type=f"{JSON}; fhirVersion={version}")
    assert status == 415
    assert json.loads(body)["issue"][0]["severity"] == "error"


async def test_versions_that_contradict_are_refused_on_the_base_of_all(stack):
    headers = {"Content_Type": f"{JSON}; fhirVersion=5.0", "Accept": f"{JSON}; fhirVersion=4.0"}
    status, _, body = await ask(stack, "POST", "", b"{}", **headers)
    assert status == 406
    assert json.loads(body)["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("kind", ["DocumentReference", "List"])
async def test_the_same_content_answers_on_both_bases(stack, published, kind):
    query = f"{kind}?{patient_of(published)}"
    by_id = {r["id"]: r for r in await found(stack, f"/R4/{query}")}
    in_r5 = {r["id"]: r for r in await found(stack, f"/R5/{query}")}
    assert by_id and by_id.keys() == in_r5.keys()
    for name, of_r5 in in_r5.items():
        get_fhir_model_class(kind).model_validate(of_r5)
        back = json.loads(
            json.dumps(from_r5(of_r5)).replace(f"{stack.base_url}/R5/", f"{stack.base_url}/R4/")
        )
        of_r4 = by_id[name]
        for side in (back, of_r4):
            for content in side.get("content", ()):
                # sealed anew each time
                content["attachment"]["url"] = content["attachment"]["url"].rpartition("/")[0]
        assert back == of_r4
        if kind == "DocumentReference":
            assert read_document_reference(back, read_context(), kind) == read_document_reference(
                of_r4, read_context(), kind
            )


@pytest.mark.parametrize("path", ["", "/R4", "/R5"])
async def test_every_url_begins_with_the_base_of_the_request(stack, published, path):
    base = f"{stack.base_url}{path}/"
    bundle = await resource(stack, f"{path}/DocumentReference?{patient_of(published)}&_count=1")
    urls = [link["url"] for link in bundle["link"]] + [entry["fullUrl"] for entry in bundle["entry"]]
    urls += [entry["resource"]["content"][0]["attachment"]["url"] for entry in bundle["entry"]]
    assert all(url.startswith(base) for url in urls)
    if path == "":
        assert not any("/R4/" in url or "/R5/" in url for url in urls)


async def test_a_page_of_one_base_is_not_one_of_another(stack, published):
    first = await resource(stack, f"/R5/DocumentReference?{patient_of(published)}&_count=1")
    (next_page,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
    assert (await resource(stack, next_page))["entry"]
    for other in ("/fhir/", "/fhir/R4/"):
        status, _, _ = await ask(stack, "GET", next_page.replace("/fhir/R5/", other))
        assert status == 404


async def test_a_searchset_of_r5_has_a_self_link_and_says_warnings_in_issues(stack):
    empty = await resource(
        stack, "/R5/DocumentReference?identifier=urn:ietf:rfc:3986%7Curn:oid:2.999.404&nothing=1"
    )
    get_fhir_model_class("Bundle").model_validate(empty)
    assert [link["relation"] for link in empty["link"]] == ["self"]
    assert {issue["severity"] for issue in empty["issues"]["issue"]} == {"warning"}
    assert "entry" not in empty
    in_r4 = await resource(
        stack, "/R4/DocumentReference?identifier=urn:ietf:rfc:3986%7Curn:oid:2.999.404&nothing=1"
    )
    assert "issues" not in in_r4
    assert [entry["search"]["mode"] for entry in in_r4["entry"]] == ["outcome"]


async def test_the_parameters_of_both_releases_find_the_same(stack, published):
    patient = patient_of(published)
    (one, *_) = await found(stack, f"/R4/DocumentReference?{patient}")
    coded = one["content"][0]["format"]
    token = f"{coded['system']}%7C{coded['code']}"
    names = [("/R4", "format"), ("/R5", "format"), ("/R5", "format-code")]
    ids = [
        sorted(r["id"] for r in await found(stack, f"{base}/DocumentReference?{patient}&{name}={token}"))
        for base, name in names
    ]
    assert len(ids[0]) == 3 and ids[0] == ids[1] == ids[2]


async def test_a_reference_to_one_base_is_understood_on_the_others(stack, published):
    (one, *_) = await found(stack, f"/R4/DocumentReference?{patient_of(published)}")
    reference = one["subject"]["reference"]
    counts = [
        len(
            await found(
                stack, f"{path}/DocumentReference?patient={stack.base_url}{other}/{reference}&status=current"
            )
        )
        for path in ("", "/R4", "/R5")
        for other in ("", "/R4", "/R5")
    ]
    assert counts == [3] * 9


async def test_parts_of_a_resource_are_asked_for_by_the_names_of_r5(stack, published):
    (one, *_) = await found(stack, f"/R5/DocumentReference?{patient_of(published)}")
    part = await resource(stack, f"/R5/DocumentReference/{one['id']}?_elements=practiceSetting")
    assert part["practiceSetting"] == one["practiceSetting"]
    assert "author" not in part
    get_fhir_model_class("DocumentReference").model_validate(part)


async def test_xml_of_r5_says_the_same_as_json(stack, published):
    path = f"/R5/DocumentReference?{patient_of(published)}"
    status, headers, body = await ask(stack, "GET", path, Accept=XML)
    assert (status, headers["Content-Type"]) == (200, f"{XML}; fhirVersion=5.0; charset=utf-8")
    in_json = await resource(stack, path)
    in_xml = read_xml(body, FhirRelease.R5)
    for bundle in (in_json, in_xml):
        for entry in bundle["entry"]:
            del entry["resource"]["content"][0]["attachment"]["url"]
    in_xml["total"] = int(in_xml["total"])
    for entry in in_xml["entry"]:
        attachment = entry["resource"]["content"][0]["attachment"]
        attachment["size"] = str(attachment["size"])
    assert in_xml == in_json


async def test_a_document_is_retrieved_through_every_base(stack, published):
    for path in ("", "/R4", "/R5"):
        for one in await found(stack, f"{path}/DocumentReference?{patient_of(published)}"):
            _, _, content = await ask(stack, "GET", one["content"][0]["attachment"]["url"])
            assert int(one["content"][0]["attachment"]["size"]) == len(content)


# --- publishing -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("media_type", [JSON, XML])
@pytest.mark.parametrize("path", ["/R5", ""])
async def test_what_is_published_in_r5_is_found_in_r4(stack, media_type, path):
    patient = a_patient()
    bundle = provide_bundle([a_document(title="From R5", content=b"published in R5")], patient=patient)
    sent = to_r5(bundle)
    body = json.dumps(sent).encode() if media_type == JSON else write_xml(sent, release=FhirRelease.R5)
    status, headers, answer = await ask(
        stack, "POST", path, body, Content_Type=f"{media_type}; fhirVersion=5.0", Accept=JSON
    )
    assert status == 200, answer
    assert "fhirVersion=5.0" in headers["Content-Type"]
    response = json.loads(answer)
    get_fhir_model_class("Bundle").model_validate(response)
    (one,) = await found(stack, f"/R4/DocumentReference?{patient_of(bundle)}")
    (document,) = [
        e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DocumentReference"
    ]
    for side in (one, document):
        assert side["context"].pop("sourcePatientInfo")
    assert (one["masterIdentifier"]["system"], one["masterIdentifier"]["value"]) == (
        document["masterIdentifier"]["system"],
        document["masterIdentifier"]["value"],
    )
    for name in ("type", "category", "context", "securityLabel"):
        assert one.get(name) == document.get(name), name
    assert one["content"][0]["attachment"]["size"] == len(b"published in R5")
    _, _, content = await ask(stack, "GET", one["content"][0]["attachment"]["url"])
    assert content == b"published in R5"


async def test_the_same_bundle_is_stored_once_and_answered_with_the_urls_of_each_base(stack):
    bundle = json.dumps(provide_bundle([a_document(content=b"once")], patient=a_patient())).encode()
    answers = []
    for path in ("", "/R4"):
        status, _, body = await ask(stack, "POST", path, bundle, Content_Type=JSON)
        assert status == 200, body
        answers.append(body.decode())
    assert answers[1].replace("/fhir/R4/", "/fhir/") == answers[0]


@pytest.mark.parametrize(
    ("path", "change", "named_path"),
    [
        (
            "/R5",
            lambda d: d.update(masterIdentifier=d["identifier"][0]),
            "masterIdentifier",
        ),
        ("/R5", lambda d: d.update(authenticator={"display": "x"}), "authenticator"),
        ("/R5", lambda d: d.update(context={"period": {"start": "2026"}}), "context"),
        ("/R5", lambda d: d["content"][0].update(format={"code": "x"}), "content[0].format"),
        ("/R4", lambda d: d.update(attester=[]), "attester"),
        ("/R4", lambda d: d.update(period={"start": "2026"}), "period"),
        ("/R4", lambda d: d["content"][0].update(profile=[]), "content[0].profile"),
    ],
)
async def test_elements_of_the_other_release_are_refused_by_name(stack, path, change, named_path):
    bundle = provide_bundle([a_document(content=b"x")], patient=a_patient())
    sent = to_r5(bundle) if path == "/R5" else bundle
    (document,) = [
        e["resource"] for e in sent["entry"] if e["resource"]["resourceType"] == "DocumentReference"
    ]
    change(document)
    status, _, body = await ask(stack, "POST", path, json.dumps(sent).encode(), Content_Type=JSON)
    assert status == 400
    paths = [path for issue in json.loads(body)["issue"] for path in issue.get("expression", ())]
    assert any(path.endswith(f".resource.{named_path}") for path in paths), paths


async def test_a_missing_source_patient_is_named_where_r5_has_it(stack):
    sent = to_r5(provide_bundle([a_document(content=b"x")], patient=a_patient()))
    (document,) = [
        e["resource"] for e in sent["entry"] if e["resource"]["resourceType"] == "DocumentReference"
    ]
    document["extension"] = [e for e in document["extension"] if e["url"] != codes.EXT_SOURCE_PATIENT]
    document["contained"] = [c for c in document["contained"] if c["resourceType"] != "Patient"]
    for name in ("extension", "contained"):
        if not document[name]:
            del document[name]
    status, _, body = await ask(stack, "POST", "/R5", json.dumps(sent).encode(), Content_Type=JSON)
    assert status == 422
    expressions = [path for issue in json.loads(body)["issue"] for path in issue.get("expression", ())]
    assert any(codes.EXT_SOURCE_PATIENT in path for path in expressions), expressions


async def test_simplified_publish_takes_r5_and_answers_in_it(stack):
    bundle = to_r5(provide_bundle([a_document(content=b"simple")], patient=a_patient()))
    (document,) = [
        e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DocumentReference"
    ]
    (binary,) = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Binary"]
    attachment = document["content"][0]["attachment"]
    del attachment["url"]
    attachment["data"] = binary["data"]
    document.pop("id", None)
    document["identifier"] = [
        i for i in document["identifier"] if i["type"]["coding"][0]["code"] == "uniqueId"
    ]
    document["meta"] = {"profile": [codes.PROFILE_SIMPLIFIED_DOCUMENT]}
    status, headers, body = await ask(
        stack, "POST", "/R5/DocumentReference", json.dumps(document).encode(), Content_Type=JSON
    )
    assert status == 201, body
    stored = json.loads(body)
    assert headers["Location"] == f"{stack.base_url}/R5/DocumentReference/{stored['id']}"
    get_fhir_model_class("DocumentReference").model_validate(stored)
    assert stored["content"][0]["attachment"]["size"] == "6"
    assert stored["content"][0]["attachment"]["hash"]


# --- versions that are stated twice -----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "profile"),
    [
        ("/R4", "http://hl7.org/fhir/5.0/StructureDefinition/DocumentReference"),
        ("/R5", "http://hl7.org/fhir/4.0/StructureDefinition/DocumentReference"),
        ("/R4", f"{codes.PROFILE_COMPREHENSIVE_DOCUMENT}|5.1.0"),
        ("/R5", f"{codes.PROFILE_COMPREHENSIVE_DOCUMENT}|4.2.4"),
    ],
)
async def test_a_profile_of_the_other_release_is_refused_by_name(stack, path, profile):
    bundle = provide_bundle([a_document(content=b"x")], patient=a_patient())
    sent = to_r5(bundle) if path == "/R5" else bundle
    number, document = next(
        (n, e["resource"])
        for n, e in enumerate(sent["entry"])
        if e["resource"]["resourceType"] == "DocumentReference"
    )
    document["meta"] = {"profile": [profile]}
    status, _, body = await ask(stack, "POST", path, json.dumps(sent).encode(), Content_Type=JSON)
    assert status == 400
    (issue,) = json.loads(body)["issue"]
    assert issue["expression"] == [f"Bundle.entry[{number}].resource.meta.profile[0]"]


@pytest.mark.parametrize("path", ["/R4", "/R5"])
@pytest.mark.parametrize("version", ["", "|own"])
async def test_a_profile_without_version_or_with_its_own_is_taken(stack, path, version):
    bundle = provide_bundle([a_document(content=b"x")], patient=a_patient())
    sent = to_r5(bundle) if path == "/R5" else bundle
    own = {"/R4": "|4.2.4", "/R5": "|5.1.0"}[path] if version else ""
    for resource in [sent, *(e["resource"] for e in sent["entry"])]:
        if "profile" in resource.get("meta", {}):
            resource["meta"]["profile"] = [p.partition("|")[0] + own for p in resource["meta"]["profile"]]
    status, _, body = await ask(stack, "POST", path, json.dumps(sent).encode(), Content_Type=JSON)
    assert status == 200, body


async def test_the_releases_of_the_base_of_all_are_an_operation_of_its_statement(stack):
    for release in FhirRelease:
        accept = f"{JSON}; fhirVersion={release}"
        statement = await resource(stack, "/metadata", Accept=accept)
        (operation,) = statement["rest"][0]["operation"]
        assert operation == {"name": "versions", "definition": codes.OPERATION_VERSIONS}
        definition = await resource(stack, "/OperationDefinition/CapabilityStatement-versions", Accept=accept)
        assert (definition["url"], definition["code"]) == (codes.OPERATION_VERSIONS, "versions")
    for path in ("/R4", "/R5"):
        assert "operation" not in (await resource(stack, f"{path}/metadata"))["rest"][0]
        status, _, _ = await ask(stack, "GET", f"{path}/OperationDefinition/CapabilityStatement-versions")
        assert status == 404


async def test_an_entity_tag_is_of_one_release(stack):
    folder = SampleFolder("2.999.3.55", "Episode", RADIOLOGY)
    bundle = provide_bundle([a_document(content=b"x")], patient=a_patient(), folder=folder)
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    (one,) = await found(stack, f"/R4/List?{patient_of(bundle)}&code=folder")
    tags = {}
    for path, release in (("/R4", "4.0"), ("/R5", "5.0"), ("", "4.0"), ("", "5.0")):
        _, headers, _ = await ask(
            stack, "GET", f"{path}/List/{one['id']}", Accept=f"{JSON}; fhirVersion={release}"
        )
        assert "Accept" in headers["Vary"]
        tags.setdefault(release, set()).add(headers["ETag"])
    assert [len(each) for each in tags.values()] == [1, 1]
    assert tags["4.0"] != tags["5.0"]
