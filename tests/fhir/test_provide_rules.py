"""Every rule of ITI-65 that a Bundle can break, each with its status and the FHIRPath of the fault."""

import base64
import copy

import orjson
import pytest

from gateway.model import codes
from tests.fhir import provide_samples as samples
from tests.fhir.provide_samples import BASE, FOLDER_ID, OLD, OLDER, urn

SET, DOCUMENT, BINARY = (f"Bundle.entry[{n}].resource" for n in range(3))
ATTACHMENT = f"{DOCUMENT}.content[0].attachment"


def errors(made, **changes):
    error = samples.refusal(made, **changes)
    return error.status, [i.expression for i in error.issues if i.severity == "error"]


def changed(path, value=None, *, make=samples.bundle):
    """A good Bundle with one element set, or removed where `value` is None."""
    made = make()
    *steps, last = path
    place = made
    for step in steps:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return made


def test_the_unchanged_samples_break_no_rule():
    assert samples.read(samples.bundle(b"one", b"two"))
    assert samples.read(samples.with_folder(b"one"))
    assert samples.read(samples.with_folder(b"one", method="PUT"))


# --- the Bundle -----------------------------------------------------------------------------------------
def test_no_submission_set():
    made = samples.bundle()
    del made["entry"][0]
    assert errors(made) == (422, ["Bundle.entry"])


def test_two_submission_sets():
    made = samples.bundle()
    another = copy.deepcopy(made["entry"][0])
    another["fullUrl"] = urn(2)
    another["resource"]["identifier"][0]["value"] = "urn:oid:2.999.1.77"
    made["entry"].append(another)
    assert errors(made) == (422, ["Bundle.entry[3]"])


@pytest.mark.parametrize("kind", ["Practitioner", "Organization", "Encounter", "OperationOutcome"])
def test_an_entry_that_no_slice_takes(kind):
    made = samples.bundle()
    made["entry"].append(samples.entry(60, kind, {"resourceType": kind}))
    assert errors(made) == (422, ["Bundle.entry[3].resource"])


def test_type_batch():
    assert errors(changed(("type",), "batch")) == (422, ["Bundle.type"])


MODIFIER = [{"url": "https://x.example", "valueBoolean": True}]


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ((), "implicitRules", "https://x.example"),
        (("entry", 0), "modifierExtension", MODIFIER),
        (("entry", 0, "resource"), "implicitRules", "https://x.example"),
        (("entry", 0, "resource", "entry", 0), "modifierExtension", MODIFIER),
        (("entry", 1, "resource", "content", 0), "modifierExtension", MODIFIER),
        (("entry", 1, "resource", "contained", 0), "modifierExtension", MODIFIER),
        (("entry", 1, "resource", "contained", 0), "implicitRules", "https://x.example"),
        (("entry", 2, "resource"), "implicitRules", "https://x.example"),
    ],
)
def test_what_modifies_the_meaning_is_not_passed_over(path, name, value):
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    assert errors(changed((*path, name), value)) == (422, [f"Bundle{steps}.{name}"])


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("total",), 3, "Bundle.total"),
        (("entry", 1, "search"), {"mode": "match"}, "Bundle.entry[1].search"),
        (("entry", 1, "response"), {"status": "200"}, "Bundle.entry[1].response"),
    ],
)
def test_what_only_other_kinds_of_bundle_have(path, value, place):
    assert errors(changed(path, value)) == (422, [place])


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("description",), "description"),
        (("content", 0, "attachment", "title"), "content[0].attachment.title"),
    ],
)
def test_a_text_that_no_registry_takes(path, place):
    assert samples.read(changed(("entry", 1, "resource", *path), "x" * 1024))
    assert errors(changed(("entry", 1, "resource", *path), "x" * 1025)) == (422, [f"{DOCUMENT}.{place}"])


def test_a_unique_id_that_is_too_long():
    made = changed(("entry", 1, "resource", "masterIdentifier", "value"), "urn:oid:1." + "1" * 130)
    assert errors(made) == (422, [f"{DOCUMENT}.masterIdentifier.value"])


def test_a_period_that_ends_before_it_starts():
    place = ("entry", 1, "resource", "context", "period")
    assert samples.read(changed(place, {"start": "2024-02-01", "end": "2024"}))
    reversed_ = {"start": "2024-02-02", "end": "2024-02-01T23:00:00Z"}
    assert errors(changed(place, reversed_)) == (422, [f"{DOCUMENT}.context.period"])


def test_content_that_xds_has_no_place_for_is_named():
    made = samples.bundle()
    made["entry"][1]["resource"]["extension"] = MODIFIER
    made["entry"][0]["resource"]["identifier"].append({"system": "urn:oid:2.999.8", "value": "4"})
    warnings = samples.read(made).warnings
    assert {w.severity for w in warnings} == {"information"}
    assert {w.expression for w in warnings} == {
        f"{DOCUMENT}.extension[0]",
        "Bundle.entry[0].resource.identifier[1]",
    }


def test_no_profile():
    assert errors(changed(("meta",))) == (422, ["Bundle.meta.profile"])


def test_a_profile_of_another_transaction():
    error = samples.refusal(changed(("meta", "profile"), [codes.PROFILE_MINIMAL_DOCUMENT]))
    assert [(i.code, i.expression) for i in error.issues] == [("required", "Bundle.meta.profile")]


def test_a_list_that_is_neither_submission_set_nor_folder():
    made = samples.with_folder(b"one")
    made["entry"][-1]["resource"]["code"] = samples.concept("x")
    assert "Bundle.entry[3].resource.code" in errors(made)[1]


def test_two_patients():
    made = samples.bundle()
    for number in (70, 71):
        patient = {
            "resourceType": "Patient",
            "identifier": [{"system": "urn:oid:2.999.2", "value": "P1"}],
        }
        made["entry"].append(samples.entry(number, "Patient", patient))
    assert errors(made) == (422, ["Bundle.entry[4]"])


@pytest.mark.parametrize(
    ("index", "request_", "place"),
    [
        (0, {"method": "PUT", "url": f"List/{FOLDER_ID}"}, "Bundle.entry[0].request.method"),
        (1, {"method": "PUT", "url": f"DocumentReference/{OLD}"}, "Bundle.entry[1].request.method"),
        (2, {"method": "PUT", "url": "Binary/1"}, "Bundle.entry[2].request.method"),
        (1, {"method": "POST", "url": "DocumentManifest"}, "Bundle.entry[1].request.url"),
        (1, {"method": "POST", "url": f"DocumentReference/{OLD}"}, "Bundle.entry[1].request.url"),
    ],
)
def test_a_method_or_url_that_does_not_fit(index, request_, place):
    assert place in errors(changed(("entry", index, "request"), request_))[1]


def test_an_entry_without_request():
    assert "Bundle.entry[2].request" in errors(changed(("entry", 2, "request")))[1]


@pytest.mark.parametrize("condition", ["ifMatch", "ifNoneExist", "ifNoneMatch"])
def test_conditions_are_not_ignored(condition):
    made = changed(("entry", 1, "request", condition), 'W/"1"')
    assert errors(made) == (422, [f"Bundle.entry[1].request.{condition}"])


@pytest.mark.parametrize("full_url", [None, "https://client.example/DocumentReference/1"])
def test_a_new_resource_without_urn_uuid(full_url):
    assert "Bundle.entry[1].fullUrl" in errors(changed(("entry", 1, "fullUrl"), full_url))[1]


@pytest.mark.parametrize("full_url", ["DocumentReference/1", "#1", "urn:uuid:a b"])
def test_a_full_url_of_a_patch_that_is_not_absolute(full_url):
    made = samples.related(("replaces", f"DocumentReference/{OLD}"))
    made["entry"].append({**samples.patch(OLD), "fullUrl": full_url})
    assert errors(made) == (422, [f"Bundle.entry[{len(made['entry']) - 1}].fullUrl"])


@pytest.mark.parametrize("position", [0, 1])
def test_a_type_of_identifier_that_ihe_does_not_know(position):
    made = samples.bundle()
    wrong = samples.identifier("UniqueID", "urn:oid:2.999.1.78")
    made["entry"][position]["resource"]["identifier"] = [wrong]
    assert errors(made) == (422, [f"Bundle.entry[{position}].resource.identifier[0].type"])


def test_a_source_id_of_another_system():
    made = samples.bundle()
    place = next(
        n for n, e in enumerate(made["entry"][0]["resource"]["extension"]) if e["url"] == codes.EXT_SOURCE_ID
    )
    made["entry"][0]["resource"]["extension"][place]["valueIdentifier"]["system"] = "https://x.example"
    assert errors(made) == (422, [f"Bundle.entry[0].resource.extension[{place}].value.system"])


def test_a_full_url_that_comes_twice():
    assert "Bundle.entry[2].fullUrl" in errors(changed(("entry", 2, "fullUrl"), urn(10)))[1]


# --- DocumentReference ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("masterIdentifier",), "masterIdentifier"),
        (("masterIdentifier", "type"), "masterIdentifier.type"),
        (("type",), "type"),
        (("category",), "category"),
        (("subject",), "subject"),
        (("securityLabel",), "securityLabel"),
        (("content", 0, "attachment", "contentType"), "content[0].attachment.contentType"),
        (("content", 0, "attachment", "language"), "content[0].attachment.language"),
        (("content", 0, "attachment", "creation"), "content[0].attachment.creation"),
        (("content", 0, "format"), "content[0].format"),
        (("context", "facilityType"), "context.facilityType"),
        (("context", "practiceSetting"), "context.practiceSetting"),
        (("contained", 0, "identifier"), "contained[0].identifier"),
    ],
)
def test_a_document_reference_without_a_required_element(path, place):
    made = changed(("entry", 1, "resource", *path))
    assert errors(made) == (422, [f"{DOCUMENT}.{place}"])


def test_a_document_reference_without_context():
    made = changed(("entry", 1, "resource", "context"))
    del made["entry"][1]["resource"]["contained"][0]
    assert errors(made) == (
        422,
        [f"{DOCUMENT}.context.{e}" for e in ("facilityType", "practiceSetting", "sourcePatientInfo")],
    )


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("docStatus",), "final", "docStatus"),
        (("modifierExtension",), [{"url": "https://x.example", "valueCode": "a"}], "modifierExtension"),
        (("content", 0, "attachment", "data"), "SGVsbG8=", "content[0].attachment.data"),
        (("status",), "superseded", "status"),
        (("status",), "entered-in-error", "status"),
        (("category",), [samples.concept("11369-6"), samples.concept("34133-9")], "category[1]"),
        (("masterIdentifier", "value"), "2.999.1", "masterIdentifier.value"),
        (("content", 0, "attachment", "language"), "German (AT)", "content[0].attachment.language"),
        (("masterIdentifier", "value"), "2024-01-01T00:00:00Z", "masterIdentifier.value"),
        (("masterIdentifier", "value"), "urn:oid:2.999.x", "masterIdentifier.value"),
        (("masterIdentifier", "system"), "https://unknown.example", "masterIdentifier.system"),
        (("identifier",), [samples.identifier("uniqueId", "urn:oid:2.999.5")], "identifier[0]"),
        (("identifier",), [samples.identifier("entryUUID", "urn:oid:2.999.5")], "identifier[0].value"),
        (("identifier",), [samples.identifier("entryUUID", urn(n)) for n in (1, 2)], "identifier[1]"),
        (("author",), [{"reference": "#a"}, {"reference": "Practitioner/1"}], "author[1].reference"),
        (("authenticator",), {"reference": "https://x.example/Practitioner/1"}, "authenticator.reference"),
        (("context", "sourcePatientInfo"), {"reference": "#a"}, "context.sourcePatientInfo.reference"),
        (("context", "related"), [{"reference": "ServiceRequest/1"}], "context.related[0].identifier"),
        (("context", "encounter"), [{"reference": "Encounter/1"}], "context.encounter[0].identifier"),
        (("subject",), {"reference": "Group/1"}, "subject"),
        (("subject",), {"reference": urn(777)}, "subject"),
        (("subject",), {"reference": "Patient/unknown"}, "subject"),
        (("type", "coding", 0, "system"), "https://codes.example", "type.coding"),
        (("type",), {"text": "Summary"}, "type"),
        (("content", 0, "format", "system"), "https://codes.example", "content[0].format.coding"),
        (
            ("contained", 0, "identifier", 0, "system"),
            "https://x.example",
            "contained[0].identifier[0].system",
        ),
    ],
)
def test_a_document_reference_that_breaks_a_rule(path, value, place):
    made = changed(("entry", 1, "resource", *path), value)
    for resource in (made["entry"][1]["resource"],):
        used = orjson.dumps(resource)
        resource["contained"] = [c for c in resource["contained"] if b'"#%s"' % c["id"].encode() in used]
    status, places = errors(made)
    assert status == 422
    assert f"{DOCUMENT}.{place}" in places


def test_data_beside_url():
    made = changed(("entry", 1, "resource", "content", 0, "attachment", "data"), "SGVsbG8=")
    assert errors(made) == (422, [f"{ATTACHMENT}.data"])


def test_two_contents():
    made = samples.bundle()
    content = made["entry"][1]["resource"]["content"]
    content.append(copy.deepcopy(content[0]))
    assert errors(made) == (422, [f"{DOCUMENT}.content[1]"])


def test_an_unmapped_code_system_and_authority_are_named_with_their_settings():
    made = changed(("entry", 1, "resource", "type", "coding", 0, "system"), "https://codes.example/t")
    made["entry"][1]["resource"]["contained"][0]["identifier"][0]["system"] = "https://ids.example/m"
    texts = " ".join(i.diagnostics for i in samples.refusal(made).issues)
    assert "https://codes.example/t" in texts and "terminology.code_systems" in texts
    assert "https://ids.example/m" in texts and "terminology.assigning_authorities" in texts


# --- documents ------------------------------------------------------------------------------------------
def test_a_wrong_hash():
    made = changed(
        ("entry", 1, "resource", "content", 0, "attachment", "hash"), "2jmj7l5rSw0yVb/vlWAYkK/YBwk="
    )
    assert errors(made) == (422, [f"{ATTACHMENT}.hash"])


def test_a_hash_in_hexadecimal():
    text = base64.b64encode(b"0a4d55a8d778e5022fab701977c5d840bbc486d0").decode()
    made = changed(("entry", 1, "resource", "content", 0, "attachment", "hash"), text)
    error = samples.refusal(made)
    assert [i.expression for i in error.issues] == [f"{ATTACHMENT}.hash"]
    assert "hexadecimal" in error.issues[0].diagnostics


def test_a_wrong_size():
    made = changed(("entry", 1, "resource", "content", 0, "attachment", "size"), 24)
    assert errors(made) == (422, [f"{ATTACHMENT}.size"])


def test_an_attachment_that_is_not_in_the_bundle():
    made = changed(("entry", 1, "resource", "content", 0, "attachment", "url"), "https://x.example/1.txt")
    assert errors(made) == (422, [f"{ATTACHMENT}.url", "Bundle.entry[2]"])


def test_an_attachment_that_names_another_kind_of_entry():
    made = changed(("entry", 1, "resource", "content", 0, "attachment", "url"), urn(1))
    assert errors(made) == (422, [f"{ATTACHMENT}.url", "Bundle.entry[2]"])


def test_two_documents_with_one_binary():
    made = samples.bundle(b"same", b"same")
    made["entry"][3]["resource"]["content"][0]["attachment"]["url"] = urn(100)
    assert errors(made) == (
        422,
        ["Bundle.entry[3].resource.content[0].attachment.url", "Bundle.entry[4]"],
    )


def test_a_binary_of_another_type_than_its_attachment():
    made = changed(("entry", 2, "resource", "contentType"), "text/xml")
    assert errors(made) == (422, [f"{BINARY}.contentType"])


def test_a_binary_that_is_not_base64():
    assert errors(changed(("entry", 2, "resource", "data"), "Hello World")) == (400, [f"{BINARY}.data"])


def test_two_documents_with_one_unique_id():
    made = samples.bundle(b"one", b"two")
    master = made["entry"][1]["resource"]["masterIdentifier"]
    made["entry"][3]["resource"]["masterIdentifier"] = master
    error = samples.refusal(made)
    assert [(i.expression, i.details_code) for i in error.issues] == [
        ("Bundle.entry[3].resource.masterIdentifier", "XDSRegistryDuplicateUniqueIdInMessage")
    ]


def test_two_resources_with_one_entry_uuid():
    made = samples.bundle(b"one", b"two")
    for index in (1, 3):
        made["entry"][index]["resource"]["identifier"] = [samples.identifier("entryUUID", urn(4))]
    assert errors(made) == (422, ["Bundle.entry[3].resource.identifier"])


# --- subjects -------------------------------------------------------------------------------------------
def test_two_subjects():
    made = changed(("entry", 1, "resource", "subject"), {"reference": "Patient/8"})
    error = samples.refusal(made)
    assert [(i.expression, i.details_code) for i in error.issues] == [
        (f"{DOCUMENT}.subject", "XDSPatientIdDoesNotMatch")
    ]


def test_a_subject_whose_reference_and_identifier_differ():
    subject = {"reference": "Patient/9", "identifier": {"system": "urn:oid:2.999.2", "value": "P2"}}
    assert errors(changed(("entry", 1, "resource", "subject"), subject)) == (
        422,
        [f"{DOCUMENT}.subject.identifier"],
    )


def test_a_patient_entry_without_known_identifier():
    made = samples.bundle()
    for index in (0, 1):
        made["entry"][index]["resource"]["subject"] = {"reference": urn(70)}
    patient = {"resourceType": "Patient", "identifier": [{"system": "https://x.example", "value": "1"}]}
    made["entry"].append(samples.entry(70, "Patient", patient))
    assert errors(made) == (422, ["Bundle.entry[3].resource.identifier[0].system"])


# --- Lists ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("element", ["date", "subject", "mode"])
def test_a_submission_set_without_a_required_element(element):
    status, places = errors(changed(("entry", 0, "resource", element)))
    assert status in (400, 422)
    assert places == [f"{SET}.{element}"]


@pytest.mark.parametrize("position", [0, 1])
def test_a_submission_set_without_designation_type_or_source_id(position):
    url = (codes.EXT_DESIGNATION_TYPE, codes.EXT_SOURCE_ID)[position]
    place = f"{SET}.extension('{url}')"
    assert errors(changed(("entry", 0, "resource", "extension", position))) == (422, [place])


def test_a_submission_set_without_both_is_told_so():
    places = [f"{SET}.extension('{url}')" for url in (codes.EXT_SOURCE_ID, codes.EXT_DESIGNATION_TYPE)]
    assert errors(changed(("entry", 0, "resource", "extension"))) == (422, places)


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("status",), "retired", "status"),
        (("mode",), "snapshot", "mode"),
        (("emptyReason",), {"text": "nothing"}, "emptyReason"),
        (("encounter",), {"reference": "Encounter/1"}, "encounter"),
        (("orderedBy",), {"text": "date"}, "orderedBy"),
        (("identifier", 0, "value"), urn(5), "identifier[0].value"),
        (("identifier", 0, "system"), "urn:oid:2.999.1", "identifier[0].value"),
        (("entry", 0, "deleted"), True, "entry[0].deleted"),
        (("entry", 0, "item"), {"reference": urn(888)}, "entry[0].item.reference"),
        (("entry", 0, "item"), {"reference": urn(100)}, "entry[0].item"),
        (("entry", 0, "item"), {"reference": "DocumentReference/old-one"}, "entry[0].item.reference"),
        (
            ("entry", 0, "item"),
            {"reference": f"https://x.example/DocumentReference/{OLD}"},
            "entry[0].item.reference",
        ),
        (("source",), {"reference": "Practitioner/1"}, "source.reference"),
        (("note",), [{"text": "a"}, {"text": "b"}], "note[1]"),
        (("extension", 1, "valueIdentifier", "value"), "our-system", "extension[1].value.value"),
        (("extension", 1), {"url": codes.EXT_SOURCE_ID, "valueString": "2.999.1"}, "extension[1].value"),
        (
            ("extension", 0, "valueCodeableConcept"),
            samples.concept("x", "https://codes.example"),
            "extension[0].value.coding",
        ),
    ],
)
def test_a_submission_set_that_breaks_a_rule(path, value, place):
    status, places = errors(changed(("entry", 0, "resource", *path), value))
    assert status == 422
    assert f"{SET}.{place}" in places


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("emptyReason",), {"text": "nothing"}, "emptyReason"),
        (("source",), {"display": "Dr. Welby"}, "source"),
        (("title",), None, "title"),
        (("subject",), None, "subject"),
        (("extension",), None, f"extension('{codes.EXT_DESIGNATION_TYPE}')"),
        (("identifier", 0, "value"), urn(5), "identifier[0].value"),
        (("entry", 0, "item"), {"reference": urn(1)}, "entry[0].item"),
        (("entry", 0, "item"), {"reference": "DocumentReference/old-one"}, "entry[0].item.reference"),
        (("entry", 0, "flag"), {"text": "x"}, "entry[0].flag"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_folder_that_breaks_a_rule(path, value, place, method):
    made = changed(
        ("entry", 3, "resource", *path), value, make=lambda: samples.with_folder(b"one", method=method)
    )
    status, places = errors(made)
    assert status == 422
    assert f"Bundle.entry[3].resource.{place}" in places


@pytest.mark.parametrize("url", ["List", "List/my-folder", f"https://x.example/List/{FOLDER_ID}"])
def test_an_update_of_a_folder_that_is_not_named(url):
    made = samples.with_folder(b"one", method="PUT")
    made["entry"][3]["request"]["url"] = url
    assert errors(made) == (422, ["Bundle.entry[3].request.url"])


# --- relations ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("code", "reference", "place"),
    [
        ("replaces", "DocumentReference/old-one", "target.reference"),
        ("replaces", f"https://x.example/DocumentReference/{OLD}", "target.reference"),
        ("appends", f"List/{OLD}", "target.reference"),
        ("appends", urn(1), "target"),
        ("appends", urn(10), "target"),
        ("appends", urn(999), "target.reference"),
    ],
)
def test_a_relation_to_nothing_that_can_be_related_to(code, reference, place):
    assert errors(samples.related((code, reference))) == (422, [f"{DOCUMENT}.relatesTo[0].{place}"])


def test_a_document_of_the_same_bundle_cannot_be_replaced():
    made = samples.bundle(b"one", b"two")
    made["entry"][3]["resource"]["relatesTo"] = [{"code": "replaces", "target": {"reference": urn(10)}}]
    assert errors(made) == (422, ["Bundle.entry[3].resource.relatesTo[0].target"])


def test_a_patch_of_a_document_that_is_not_replaced():
    made = samples.related(("replaces", f"DocumentReference/{OLD}"))
    made["entry"].append(samples.patch(OLDER))
    assert errors(made) == (422, ["Bundle.entry[3].request.url"])


def test_a_patch_without_an_id_of_this_server():
    made = samples.related(("replaces", f"DocumentReference/{OLD}"))
    made["entry"].append(samples.patch("old-one"))
    assert errors(made) == (422, ["Bundle.entry[3].request.url"])


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (0, {"name": "type", "valueCode": "delete"}),
        (1, {"name": "path", "valueString": "DocumentReference.description"}),
        (2, {"name": "value", "valueCode": "current"}),
        (2, {"name": "value", "valueString": "superseded"}),
    ],
)
def test_a_patch_of_anything_else(part, value):
    made = samples.related(("replaces", f"DocumentReference/{OLD}"))
    made["entry"].append(samples.patch(OLD))
    made["entry"][3]["resource"]["parameter"][0]["part"][part] = value
    assert errors(made) == (422, ["Bundle.entry[3].resource.parameter"])


# --- the whole ------------------------------------------------------------------------------------------
def test_every_violation_is_reported_at_once():
    made = samples.bundle()
    made["type"] = "batch"
    resource = made["entry"][1]["resource"]
    resource["docStatus"] = "final"
    resource["content"][0]["attachment"]["size"] = 4
    resource["relatesTo"] = [{"code": "replaces", "target": {"reference": "DocumentReference/x"}}]
    del made["entry"][0]["resource"]["extension"][1]
    assert set(errors(made)[1]) == {
        "Bundle.type",
        f"{SET}.extension('{codes.EXT_SOURCE_ID}')",
        f"{DOCUMENT}.docStatus",
        f"{ATTACHMENT}.size",
        f"{DOCUMENT}.relatesTo[0].target.reference",
    }


def test_what_is_not_fhir_is_400_with_every_place():
    made = samples.bundle()
    made["colour"] = "red"
    made["entry"][0]["resource"]["date"] = "yesterday"
    made["entry"][1]["resource"]["status"] = "done"
    assert errors(made) == (
        400,
        [f"{SET}.date", f"{DOCUMENT}.status", "Bundle.colour"],
    )


@pytest.mark.parametrize(
    "made",
    [
        {"resourceType": "Patient"},
        {"resourceType": "Bundle"},
        {"resourceType": "Bundle", "type": "transaction", "entry": "all"},
        {"resourceType": "Bundle", "type": "transaction", "entry": ["all"]},
        {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": "all"}]},
        {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": {"resourceType": "Foo"}}]},
        {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [{"request": {"method": "BREW", "url": "x"}}],
        },
        {"resourceType": "Bundle", "type": "transaction", "meta": {"profile": "x"}},
    ],
)
def test_a_body_that_is_no_bundle(made):
    assert errors(made)[0] == 400


def test_an_empty_bundle_is_a_bundle_without_submission_set():
    made = {
        "resourceType": "Bundle",
        "type": "transaction",
        "meta": {"profile": [codes.PROFILE_COMPREHENSIVE_BUNDLE]},
    }
    assert errors(made) == (422, ["Bundle.entry"])


def test_a_body_above_the_limit_is_413():
    assert errors(samples.bundle(), max_bytes=100)[0] == 413


def test_no_issue_quotes_the_patient():
    made = changed(("entry", 1, "resource", "subject"), {"reference": "Patient/secret-1"})
    made["entry"][1]["resource"]["contained"][0]["identifier"][0].update(
        value="secret-2", system="https://x.example"
    )
    made["entry"][1]["resource"]["contained"][0]["name"] = [{"family": "secret-3"}]
    made["entry"][1]["resource"]["description"] = "secret-4"
    error = samples.refusal(made)
    assert not any("secret" in i.diagnostics + (i.expression or "") for i in error.issues)
    assert "secret" not in str(error)


def test_the_own_base_url_in_requests_is_understood():
    made = samples.bundle()
    for entry in made["entry"]:
        entry["request"]["url"] = f"{BASE}/{entry['request']['url']}"
    assert samples.read(made).submission.entries
