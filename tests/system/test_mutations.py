"""Each mistake in a Provide Document Bundle (ITI-65) is a 4xx that names the element and the rule, and leaves
the affinity domain as it was: the same rows in every table, the same files.
"""

import copy
import json
import uuid
from base64 import b64encode

import pytest

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import EPISODE, WARD_PHYSICIAN
from gateway.demo.samples import IdSource, SampleFolder
from gateway.model import codes
from tests.system.documents import a_document, a_patient
from tests.system.tables import fingerprint

pytestmark = pytest.mark.asyncio(loop_scope="module")

SET, FIRST, SECOND, FOLDER, BINARY = range(5)
"""Positions in the Bundle that is changed; the second Binary is the sixth entry."""
RESOURCES = [f"Bundle.entry[{n}].resource" for n in range(6)]
ATTACHMENT = "content.0.attachment"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
NO_ROLE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "RI"}]}
ZERO_HASH = "2jmj7l5rSw0yVb/vlWAYkK/YBwk="


def good():
    """A Bundle that keeps every rule: two documents of a new patient in a new Folder."""
    ids = IdSource(uuid.uuid4().hex)
    documents = [a_document(content=content, authors=(WARD_PHYSICIAN,)) for content in (b"one", b"two")]
    folder = SampleFolder(ids.oid(4), "Episode", EPISODE)
    return provide_bundle(documents, patient=a_patient(), folder=folder)


def at(made, path):
    """The element that the last step of a path is in, and that step."""
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    for step in steps:
        made = made[step]
    return made, last


def put(path, value):
    def change(made):
        element, last = at(made, path)
        element[last] = copy.deepcopy(value)

    return change


def drop(path):
    def change(made):
        element, last = at(made, path)
        del element[last]

    return change


def add(path, value):
    def change(made):
        element, last = at(made, path)
        element.setdefault(last, []).append(copy.deepcopy(value))

    return change


def of(position, path):
    return f"entry.{position}.resource.{path}"


def extension(position, url):
    """Drop an extension of a List by its URL."""

    def change(made):
        resource = made["entry"][position]["resource"]
        resource["extension"] = [e for e in resource["extension"] if e["url"] != url]
        if not resource["extension"]:
            del resource["extension"]

    return change


def without_contained(position, number, change):
    """The change, and without the contained resource that nothing refers to after it."""

    def changes(made):
        change(made)
        resource = made["entry"][position]["resource"]
        del resource["contained"][number]
        if not resource["contained"]:
            del resource["contained"]

    return changes


def twice(position):
    def change(made):
        copied = copy.deepcopy(made["entry"][position])
        copied["fullUrl"] = f"urn:uuid:{uuid.uuid4()}"
        made["entry"].append(copied)

    return change


def entry_with(resource, method="POST"):
    def change(made):
        url = resource["resourceType"]
        made["entry"].append(
            {"fullUrl": f"urn:uuid:{uuid.uuid4()}", "resource": resource, "request": {"method": method, "url": url}}
        )  # fmt: skip

    return change


def relates(code, reference):
    return put(of(FIRST, "relatesTo"), [{"code": code, "target": {"reference": reference}}])


def same_unique_id(made):
    first, second = (made["entry"][n]["resource"] for n in (FIRST, SECOND))
    second["masterIdentifier"] = copy.deepcopy(first["masterIdentifier"])
    second.pop("identifier", None)


def same_binary(made):
    first, second = (made["entry"][n]["resource"]["content"][0]["attachment"] for n in (FIRST, SECOND))
    second["url"] = first["url"]


def own_first_document(made):
    relation = {"code": "replaces", "target": {"reference": made["entry"][SECOND]["fullUrl"]}}
    made["entry"][FIRST]["resource"]["relatesTo"] = [relation]


def itself(made):
    relation = {"code": "appends", "target": {"reference": made["entry"][FIRST]["fullUrl"]}}
    made["entry"][FIRST]["resource"]["relatesTo"] = [relation]


def set_as_attachment(made):
    made["entry"][FIRST]["resource"]["content"][0]["attachment"]["url"] = made["entry"][SET]["fullUrl"]


def on_demand(made):
    attachment = made["entry"][FIRST]["resource"]["content"][0]["attachment"]
    del attachment["hash"], attachment["size"], made["entry"][BINARY]
    attachment["url"] = "https://elsewhere.example/document"


def delayed_assembly(made):
    attachment = made["entry"][FIRST]["resource"]["content"][0]["attachment"]
    del made["entry"][BINARY]
    attachment |= {"url": "https://elsewhere.example/document", "size": 0, "hash": ZERO_HASH}


def patch_of_nothing(made):
    operation = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "DocumentReference.status"},
        {"name": "value", "valueCode": "superseded"},
    ]
    made["entry"].append(
        {
            "fullUrl": f"urn:uuid:{uuid.uuid4()}",
            "resource": {
                "resourceType": "Parameters",
                "parameter": [{"name": "operation", "part": operation}],
            },
            "request": {"method": "PATCH", "url": f"DocumentReference/{UNKNOWN}"},
        }
    )


def document_bundle(**elements):
    resource = {
        "resourceType": "Bundle",
        "type": "document",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:2.999.1.1"},
        "timestamp": "2026-01-02T03:04:05Z",
        "entry": [{"fullUrl": "urn:uuid:" + UNKNOWN, "resource": {"resourceType": "Patient"}}],
        **elements,
    }

    def change(made):
        made["entry"][BINARY]["resource"] = resource
        made["entry"][BINARY]["request"]["url"] = "Bundle"

    return change


PATIENT = {"resourceType": "Patient", "name": [{"family": "Nobody"}]}
LONG = "x" * 1025
FIRST_ATTACHMENT = of(FIRST, ATTACHMENT)
MUTATIONS = {
    # the Bundle
    "no SubmissionSet": (drop("entry.0"), 422, "Bundle.entry"),
    "two SubmissionSets": (twice(SET), 422, "Bundle.entry[6]"),
    "type batch": (put("type", "batch"), 422, "Bundle.type"),
    "type collection": (put("type", "collection"), 422, "Bundle.type"),
    "no profile": (drop("meta"), 422, "Bundle.meta.profile"),
    "profile of another guide": (put("meta.profile", ["https://x.example/Bundle"]), 422, "Bundle.meta.profile"),
    "total": (put("total", 6), 422, "Bundle.total"),
    "implicitRules": (put("implicitRules", "https://x.example/rules"), 422, "Bundle.implicitRules"),
    "unknown property": (put("color", "red"), 400, "Bundle.color"),
    "Practitioner entry": (entry_with({"resourceType": "Practitioner"}), 422, "Bundle.entry[6].resource"),
    "Organization entry": (entry_with({"resourceType": "Organization"}), 422, "Bundle.entry[6].resource"),
    "Encounter entry": (entry_with({"resourceType": "Encounter", "status": "finished", "class": {"code": "IMP"}}), 422, "Bundle.entry[6].resource"),
    "two Patients": (lambda m: [entry_with(PATIENT)(m) for _ in "ab"], 422, "Bundle.entry[7]"),
    "Patient without identifier": (entry_with(PATIENT), 422, "Bundle.entry[6].resource.identifier"),
    "entry without request": (drop("entry.1.request"), 422, "Bundle.entry[1].request"),
    "DELETE": (put("entry.1.request.method", "DELETE"), 422, "Bundle.entry[1].request.method"),
    "PUT of a document": (put("entry.1.request.method", "PUT"), 422, "Bundle.entry[1].request.method"),
    "POST to another type": (put("entry.1.request.url", "List"), 422, "Bundle.entry[1].request.url"),
    "ifNoneExist": (put("entry.1.request.ifNoneExist", "identifier=1"), 422, "Bundle.entry[1].request.ifNoneExist"),
    "fullUrl twice": (lambda m: m["entry"][SECOND].update(fullUrl=m["entry"][FIRST]["fullUrl"]), 422, "Bundle.entry[2].fullUrl"),
    "fullUrl no urn:uuid": (put("entry.1.fullUrl", "https://x.example/DocumentReference/1"), 422, "Bundle.entry[1].fullUrl"),
    "no fullUrl": (drop("entry.1.fullUrl"), 422, "Bundle.entry[1].fullUrl"),
    "PUT of a Folder that is not there": (lambda m: m["entry"][FOLDER].update(request={"method": "PUT", "url": f"List/{UNKNOWN}"}), 422, "Bundle.entry[3].request.url"),
    "PATCH of what is not replaced": (patch_of_nothing, 422, "Bundle.entry[6].request.url"),
    # identifiers
    "masterIdentifier without type": (drop(of(FIRST, "masterIdentifier.type")), 422, f"{RESOURCES[FIRST]}.masterIdentifier.type"),
    "masterIdentifier of another type": (put(of(FIRST, "masterIdentifier.type"), NO_ROLE), 422, f"{RESOURCES[FIRST]}.masterIdentifier.type"),
    "masterIdentifier without system": (drop(of(FIRST, "masterIdentifier.system")), 422, f"{RESOURCES[FIRST]}.masterIdentifier"),
    "masterIdentifier that is no URI": (put(of(FIRST, "masterIdentifier.value"), "2.999.1"), 422, f"{RESOURCES[FIRST]}.masterIdentifier.value"),
    "masterIdentifier with a wrong OID": (put(of(FIRST, "masterIdentifier.value"), "urn:oid:2.999.01"), 422, f"{RESOURCES[FIRST]}.masterIdentifier.value"),
    "no masterIdentifier": (drop(of(FIRST, "masterIdentifier")), 422, f"{RESOURCES[FIRST]}.masterIdentifier"),
    "uniqueId twice": (same_unique_id, 422, f"{RESOURCES[SECOND]}.masterIdentifier"),
    "SubmissionSet uniqueId a UUID": (put(of(SET, "identifier.0.value"), f"urn:uuid:{UNKNOWN}"), 422, f"{RESOURCES[SET]}.identifier[0].value"),
    "Folder uniqueId a URL": (put(of(FOLDER, "identifier.0.value"), "https://x.example/1"), 422, f"{RESOURCES[FOLDER]}.identifier[0].value"),
    "identifier differs from masterIdentifier": (put(of(FIRST, "identifier"), [{"type": {"coding": [{"system": codes.MHD_IDENTIFIER_TYPE, "code": "uniqueId"}]}, "system": "urn:ietf:rfc:3986", "value": "urn:oid:2.999.1"}]), 422, f"{RESOURCES[FIRST]}.identifier[0]"),
    "entryUUID that is none": (put(of(FIRST, "identifier"), [{"type": {"coding": [{"system": codes.MHD_IDENTIFIER_TYPE, "code": "entryUUID"}]}, "system": "urn:ietf:rfc:3986", "value": "urn:uuid:1"}]), 422, f"{RESOURCES[FIRST]}.identifier[0].value"),
    # DocumentReference
    "docStatus": (put(of(FIRST, "docStatus"), "final"), 422, f"{RESOURCES[FIRST]}.docStatus"),
    "status superseded": (put(of(FIRST, "status"), "superseded"), 422, f"{RESOURCES[FIRST]}.status"),
    "status of no code system": (put(of(FIRST, "status"), "done"), 400, f"{RESOURCES[FIRST]}.status"),
    "modifierExtension": (put(of(FIRST, "modifierExtension"), [{"url": "https://x.example/not", "valueBoolean": True}]), 422, f"{RESOURCES[FIRST]}.modifierExtension"),
    "no type": (drop(of(FIRST, "type")), 422, f"{RESOURCES[FIRST]}.type"),
    "type of an unknown system": (put(of(FIRST, "type.coding.0.system"), "https://x.example/types"), 422, f"{RESOURCES[FIRST]}.type.coding"),
    "type as text": (put(of(FIRST, "type"), {"text": "Report"}), 422, f"{RESOURCES[FIRST]}.type"),
    "no category": (drop(of(FIRST, "category")), 422, f"{RESOURCES[FIRST]}.category"),
    "two categories": (lambda m: m["entry"][FIRST]["resource"]["category"].append(m["entry"][FIRST]["resource"]["category"][0]), 422, f"{RESOURCES[FIRST]}.category[1]"),
    "no securityLabel": (drop(of(FIRST, "securityLabel")), 422, f"{RESOURCES[FIRST]}.securityLabel"),
    "no context": (without_contained(FIRST, 0, drop(of(FIRST, "context"))), 422, f"{RESOURCES[FIRST]}.context.facilityType"),
    "no practiceSetting": (drop(of(FIRST, "context.practiceSetting")), 422, f"{RESOURCES[FIRST]}.context.practiceSetting"),
    "no sourcePatientInfo": (without_contained(FIRST, 0, drop(of(FIRST, "context.sourcePatientInfo"))), 422, f"{RESOURCES[FIRST]}.context.sourcePatientInfo"),
    "source patient without identifier": (drop(of(FIRST, "contained.0.identifier")), 422, f"{RESOURCES[FIRST]}.contained[0].identifier"),
    "period that ends before it starts": (put(of(FIRST, "context.period"), {"start": "2024-02-01", "end": "2024-01-01"}), 422, f"{RESOURCES[FIRST]}.context.period"),
    "external author": (add(of(FIRST, "author"), {"reference": "https://x.example/Practitioner/1"}), 422, f"{RESOURCES[FIRST]}.author[1].reference"),
    "author that is not contained": (put(of(FIRST, "author"), [{"reference": "#nobody"}]), 400, f"{RESOURCES[FIRST]}.author[0].reference"),
    "external authenticator": (put(of(FIRST, "authenticator"), {"reference": "Practitioner/1"}), 422, f"{RESOURCES[FIRST]}.authenticator.reference"),
    "related without identifier": (put(of(FIRST, "context.related"), [{"reference": "ServiceRequest/1"}]), 422, f"{RESOURCES[FIRST]}.context.related[0].identifier"),
    "description too long": (put(of(FIRST, "description"), LONG), 422, f"{RESOURCES[FIRST]}.description"),
    # subjects
    "two subjects": (put(of(SECOND, "subject.identifier.value"), "OTHER"), 422, f"{RESOURCES[SECOND]}.subject"),
    "no subject": (drop(of(FIRST, "subject")), 422, f"{RESOURCES[FIRST]}.subject"),
    "subject that is a Group": (put(of(FIRST, "subject"), {"reference": "Group/1"}), 422, f"{RESOURCES[FIRST]}.subject"),
    "subject that nobody knows": (put(of(FIRST, "subject"), {"reference": "Patient/1"}), 422, f"{RESOURCES[FIRST]}.subject"),
    "subject of an unknown authority": (put(of(FIRST, "subject.identifier.system"), "https://x.example/ids"), 422, f"{RESOURCES[FIRST]}.subject.identifier.system"),
    # attachments
    "data and url": (put(f"{FIRST_ATTACHMENT}.data", b64encode(b"one").decode()), 422, f"{RESOURCES[FIRST]}.content[0].attachment.data"),
    "wrong hash": (put(f"{FIRST_ATTACHMENT}.hash", ZERO_HASH), 422, f"{RESOURCES[FIRST]}.content[0].attachment.hash"),
    "hash in hexadecimal": (put(f"{FIRST_ATTACHMENT}.hash", b64encode(b"da39a3ee5e6b4b0d3255bfef95601890afd80709").decode()), 422, f"{RESOURCES[FIRST]}.content[0].attachment.hash"),
    "wrong size": (put(f"{FIRST_ATTACHMENT}.size", 4), 422, f"{RESOURCES[FIRST]}.content[0].attachment.size"),
    "unresolved urn:uuid": (put(f"{FIRST_ATTACHMENT}.url", f"urn:uuid:{UNKNOWN}"), 422, f"{RESOURCES[FIRST]}.content[0].attachment.url"),
    "attachment that is a List": (set_as_attachment, 422, f"{RESOURCES[FIRST]}.content[0].attachment.url"),
    "one Binary for two documents": (same_binary, 422, f"{RESOURCES[SECOND]}.content[0].attachment.url"),
    "On-Demand": (on_demand, 422, f"{RESOURCES[FIRST]}.content[0].attachment.url"),
    "Delayed Assembly": (delayed_assembly, 422, f"{RESOURCES[FIRST]}.content[0].attachment.url"),
    "two contents": (lambda m: m["entry"][FIRST]["resource"]["content"].append(m["entry"][SECOND]["resource"]["content"][0]), 422, f"{RESOURCES[FIRST]}.content[1]"),
    "no contentType": (drop(f"{FIRST_ATTACHMENT}.contentType"), 422, f"{RESOURCES[FIRST]}.content[0].attachment.contentType"),
    "contentType of another Binary": (put(of(BINARY, "contentType"), "text/html"), 422, f"{RESOURCES[BINARY]}.contentType"),
    "Binary that is not base64": (put(of(BINARY, "data"), "?"), 400, f"{RESOURCES[BINARY]}.data"),
    "Binary that nobody names": (entry_with({"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="}), 422, "Bundle.entry[6]"),
    "no language": (drop(f"{FIRST_ATTACHMENT}.language"), 422, f"{RESOURCES[FIRST]}.content[0].attachment.language"),
    "language that is none": (put(f"{FIRST_ATTACHMENT}.language", "German language"), 422, f"{RESOURCES[FIRST]}.content[0].attachment.language"),
    "no creation": (drop(f"{FIRST_ATTACHMENT}.creation"), 422, f"{RESOURCES[FIRST]}.content[0].attachment.creation"),
    "no format": (drop(of(FIRST, "content.0.format")), 422, f"{RESOURCES[FIRST]}.content[0].format"),
    "document Bundle without Composition": (document_bundle(), 400, f"{RESOURCES[BINARY]}.entry[0].resource"),
    "document Bundle without timestamp": (lambda m: (document_bundle()(m), m["entry"][BINARY]["resource"].pop("timestamp")), 400, f"{RESOURCES[BINARY]}.timestamp"),
    "Bundle that is no document": (document_bundle(type="collection"), 400, f"{RESOURCES[BINARY]}.type"),
    # relations
    "relatesTo nothing": (relates("replaces", f"urn:uuid:{UNKNOWN}"), 422, f"{RESOURCES[FIRST]}.relatesTo[0].target.reference"),
    "relatesTo another server": (relates("appends", f"https://x.example/DocumentReference/{UNKNOWN}"), 422, f"{RESOURCES[FIRST]}.relatesTo[0].target.reference"),
    "relatesTo of no code": (relates("mentions", f"DocumentReference/{UNKNOWN}"), 400, f"{RESOURCES[FIRST]}.relatesTo[0].code"),
    "replaces a document of the Bundle": (own_first_document, 422, f"{RESOURCES[FIRST]}.relatesTo[0].target"),
    "relatesTo itself": (itself, 422, f"{RESOURCES[FIRST]}.relatesTo[0].target"),
    # SubmissionSet
    "no sourceId": (extension(SET, codes.EXT_SOURCE_ID), 422, f"{RESOURCES[SET]}.extension('{codes.EXT_SOURCE_ID}')"),
    "no designationType": (extension(SET, codes.EXT_DESIGNATION_TYPE), 422, f"{RESOURCES[SET]}.extension('{codes.EXT_DESIGNATION_TYPE}')"),
    "sourceId that is no OID": (put(of(SET, "extension.0.valueIdentifier.value"), "HIS"), 422, f"{RESOURCES[SET]}.extension[0].value.value"),
    "no date": (drop(of(SET, "date")), 422, f"{RESOURCES[SET]}.date"),
    "mode snapshot": (put(of(SET, "mode"), "snapshot"), 422, f"{RESOURCES[SET]}.mode"),
    "status retired": (put(of(SET, "status"), "retired"), 422, f"{RESOURCES[SET]}.status"),
    "a List of no kind": (put(of(SET, "code.coding.0.code"), "list"), 422, f"{RESOURCES[SET]}.code"),
    "encounter": (put(of(SET, "encounter"), {"reference": "Encounter/1"}), 422, f"{RESOURCES[SET]}.encounter"),
    "member that is nowhere": (add(of(SET, "entry"), {"item": {"reference": f"urn:uuid:{UNKNOWN}"}}), 422, f"{RESOURCES[SET]}.entry[3].item.reference"),
    "member with a flag": (put(of(SET, "entry.0.flag"), {"text": "new"}), 422, f"{RESOURCES[SET]}.entry[0].flag"),
    "external source": (without_contained(SET, 0, put(of(SET, "source"), {"reference": "https://x.example/Practitioner/1"})), 422, f"{RESOURCES[SET]}.source.reference"),
    "two notes": (put(of(SET, "note"), [{"text": "a"}, {"text": "b"}]), 422, f"{RESOURCES[SET]}.note[1]"),
    # Folder
    "Folder with emptyReason": (put(of(FOLDER, "emptyReason"), {"text": "none"}), 422, f"{RESOURCES[FOLDER]}.emptyReason"),
    "Folder without title": (drop(of(FOLDER, "title")), 422, f"{RESOURCES[FOLDER]}.title"),
    "Folder without designationType": (extension(FOLDER, codes.EXT_DESIGNATION_TYPE), 422, f"{RESOURCES[FOLDER]}.extension('{codes.EXT_DESIGNATION_TYPE}')"),
    "Folder with source": (put(of(FOLDER, "source"), {"display": "x"}), 422, f"{RESOURCES[FOLDER]}.source"),
    "Folder in a Folder": (lambda m: m["entry"][FOLDER]["resource"]["entry"].append({"item": {"reference": m["entry"][FOLDER]["fullUrl"]}}), 422, f"{RESOURCES[FOLDER]}.entry[2].item"),
}  # fmt: skip


async def test_the_bundle_that_is_changed_is_accepted(stack):
    before = fingerprint(stack)
    status, answer = await stack.publish(good())
    assert status == 200, answer
    assert fingerprint(stack) != before


@pytest.mark.parametrize("name", list(MUTATIONS))
async def test_a_mistake_is_named_and_leaves_no_trace(stack, name):
    change, status, expression = MUTATIONS[name]
    made = good()
    change(made)
    before = fingerprint(stack)
    got, outcome = await stack.publish(made)
    assert (got, outcome["resourceType"]) == (status, "OperationOutcome"), outcome
    errors = {e: i for i in outcome["issue"] if i["severity"] == "error" for e in i.get("expression", ())}
    assert expression in errors, list(errors)
    assert len(errors[expression]["diagnostics"]) > 20
    assert "Muster" not in json.dumps(outcome)
    assert fingerprint(stack) == before


async def test_there_are_enough_of_them():
    assert len(MUTATIONS) >= 60
